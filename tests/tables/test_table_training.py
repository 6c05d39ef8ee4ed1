"""train_table: what is learned, measured and trained anew; and the model on files and frames."""

import numpy as np
import pytest

import fastmlp
from fastmlp.tables import by_arrow
from fastmlp.tables.table_training import table_task
from fastmlp.training.data import split


@pytest.fixture
def model(houses):
    return fastmlp.train_table(houses, "price", seed=0, epochs=100)


def test_a_network_learns_a_table_and_says_how_well(houses, model):
    assert repr(model) == "<TableModel of price by area, town, built, heated: regressor>"
    found = model.made_with["validation"]
    assert found["rows"] == 40 and found["r2"] > 0.98 > 0.1 > found["mean"] and found["mae"] < 0.2 * found["mean_mae"]
    assert list(model.made_with["importance"])[:2] == ["area", "town"]
    assert model.evaluate(houses).r2 > 0.98 and model.predict_table(houses).shape == (200,)
    with pytest.raises(ValueError, match="predict_proba is for classifiers"):
        model.predict_proba(houses)


def test_it_is_what_train_makes_of_the_inputs(houses, model):
    data = table_task(houses, "price")
    first = fastmlp.train(data.X, data.y, seed=0, epochs=100, validation=0.2, patience=1000)
    best = int(first.history.validation_loss.argmin()) + 1
    assert model.made_with["validation"]["best_epoch"] == best
    _, held = split(200, None, 0.2, 0)
    assert model.made_with["validation"]["r2"] == first.evaluate(data.X[held], data.y[held]).r2
    again = fastmlp.train(data.X, data.y, seed=0, epochs=best)
    assert model.networks[0].theta.tobytes() == again.theta.tobytes()
    kept = fastmlp.train_table(houses, "price", seed=0, epochs=100, refit=False)
    assert kept.networks[0].theta.tobytes() == first.theta.tobytes()
    whole = fastmlp.train_table(houses, "price", seed=0, epochs=9, validation=None)
    assert whole.networks[0].theta.tobytes() == fastmlp.train(data.X, data.y, seed=0, epochs=9).theta.tobytes()
    assert "validation" not in whole.made_with


def test_files_and_frames_give_the_same_model(houses, model, written):
    path = written(houses)
    by_path = fastmlp.train_table(path, "price", seed=0, epochs=100)
    assert by_path.networks[0].theta.tobytes() == model.networks[0].theta.tobytes()
    assert by_path.predict_table(houses).tobytes() == model.predict_table(path).tobytes()
    lines = path.read_text().splitlines(keepends=True)
    order = [5, 3, 1, 0, 4, 2]
    path.write_text("".join(";".join(line.strip().split(",")[place] for place in order) + "\n" for line in lines))
    assert model.predict_table(path).tobytes() == model.predict_table(houses).tobytes()
    for package in "pandas", "polars":
        frames = pytest.importorskip(package)
        columns = {name: list(cells) if name != "built" else cells for name, cells in houses.items()}
        assert model.predict_table(frames.DataFrame(columns)).tobytes() == model.predict_table(houses).tobytes()


@pytest.mark.parametrize("target", ["town", "heated"])
def test_a_classifier_knows_its_labels(houses, target):
    model = fastmlp.train_table(houses, target, seed=0, epochs=60)
    found = model.made_with["validation"]
    assert found["accuracy"] > found["most_frequent"]
    assert model.classes.tolist() == sorted(set(houses[target].tolist()))
    probabilities = model.predict_proba(houses)
    assert model.predict_table(houses).tolist() == model.classes[probabilities.argmax(axis=1)].tolist()
    assert model.evaluate(houses).accuracy == np.mean(model.predict_table(houses) == houses[target])


def test_of_several_networks_the_best_is_kept_or_an_ensemble(houses):
    data = table_task(houses, "price")
    how = {"members": 6, "halving": 3, "hidden": [4, 4, 4, 8, 8, 8], "epochs": 18, "seed": 1}
    population = fastmlp.train_many(data.X, data.y, **how, validation=0.2, patience=1000, data_seed=1)
    best = fastmlp.train_table(houses, "price", **how, refit=False)
    assert best.networks[0].theta.tobytes() == population.best()[0].theta.tobytes()
    together = fastmlp.train_table(houses, "price", **how, refit=False, ensemble=True)
    kept = [n for n, reason in enumerate(population.history.stopped_by) if reason != "halving"]
    assert len(together.networks) == len(kept) > 1
    expected = np.mean([population[n].predict(data.X) for n in kept], axis=0)
    np.testing.assert_allclose(together.predict_table(houses), expected, rtol=1e-12)
    anew = fastmlp.train_table(houses, "price", **how, ensemble=True)
    assert anew.made_with["validation"]["refit"] is True and len(anew.networks) == len(kept)


def test_folds_measure_what_is_trained_on_all_rows(houses):
    data = table_task(houses, "town")
    model = fastmlp.train_table(houses, "town", seed=2, epochs=9, cv=4)
    result = fastmlp.cross_validate(data.X, data.y, seed=2, epochs=9, cv=4, task="classification")
    found = model.made_with["validation"]
    assert (found["folds"], found["rows"], found["accuracy"]) == (4, 200, pytest.approx(result.scores.mean()))
    assert set(model.made_with["importance"]) == {"area", "built", "heated", "price"}
    assert model.networks[0].theta.tobytes() == fastmlp.train(data.X, data.y, seed=2, epochs=9).theta.tobytes()


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"ensemble": True}, ValueError, "ensemble=True needs several networks: give members"),
        ({"cv": 3, "members": 2}, ValueError, "cv measures one network; give it without members and halving"),
        ({"impute": "mean"}, ValueError, "impute must be one of 'median'; got 'mean'"),
        ({"ignore": "area"}, TypeError, "ignore must be a list of names of columns; got 'area'"),
        ({"validation": 2.0}, ValueError, "validation must be "),
        ({"hiden": 3}, TypeError, r"train_table has no option 'hiden' \(did you mean 'hidden'\?\)"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(houses, how, error, message):
    with pytest.raises(error, match=message):
        fastmlp.train_table(houses, "price", **how)


def test_few_rows_are_rejected():
    with pytest.raises(ValueError, match="the table must have at least 10 rows to train on; it has 9"):
        fastmlp.train_table({"a": range(9), "b": range(9)}, "b")


def test_without_pyarrow_all_is_the_same(houses, written, monkeypatch):
    pytest.importorskip("pyarrow")
    path = written(houses)
    monkeypatch.setattr(by_arrow, "SMALL", 0)
    one = table_task(path, "price")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    other = table_task(path, "price")
    assert one.X.tobytes() == other.X.tobytes() and one.y.tobytes() == other.y.tobytes() and one.encoder == other.encoder
