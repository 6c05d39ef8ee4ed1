"""What notebooks show of models, evaluations and tables."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import fastmlp
from fastmlp.networks.html import html_table

X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.where(X[:, 0] > 0, "<b>&amp;", "o'")


def cells(html):
    """The texts of a page's cells; it must be well-formed."""
    page = ElementTree.fromstring(f"<div>{html}</div>")
    return [[cell.text for cell in row] for row in page.iter("tr")]


def test_texts_are_shown_as_they_are():
    assert cells(html_table(["<a>", "b"], [["&", "'\""], ["", "1 < 2"]], "<c>", "&d")) == [
        ["<a>", "b"],
        ["&", "'\""],
        [None, "1 < 2"],
    ]


def test_numbers_stand_at_the_right_and_words_at_the_left_of_their_columns():
    page = ElementTree.fromstring(html_table(["", "n"], [["a", "1.5"], ["3", "-2e-05"], ["4", "nan"]]))
    styles = [[cell.get("style") for cell in row] for row in page.iter("tr")]
    assert styles == [["text-align: left", None]] * 4


def test_models_and_evaluations():
    model = fastmlp.train(X, Y, hidden=(4, 3), epochs=2, seed=0)
    assert cells(model._repr_html_())[1:] == [
        ["1", "2 to 4", "relu", "12"], ["2", "4 to 3", "relu", "15"], ["3", "3 to 1", "sigmoid", "4"],
    ]  # fmt: skip
    assert "MLP 2-4-3-1 classifier of 2" in model._repr_html_() and "2 epochs" in model._repr_html_()
    evaluation = model.evaluate(X, Y)
    header, *rows = cells(evaluation._repr_html_())
    assert header[0] == "class" and [row[0] for row in rows] == sorted(set(Y.tolist()))
    assert [int(row[-1]) for row in rows] == evaluation.support.tolist()
    regressor = fastmlp.train(X, X[:, 0], hidden=2, epochs=1, seed=0)
    assert "R2" in regressor.evaluate(X, X[:, 0])._repr_html_()
    for shown in (model, evaluation, regressor):
        assert not re.search("color|background", shown._repr_html_())  # so that dark and light ground will do


def test_populations_and_tables():
    population = fastmlp.train_many(X, Y, members=25, hidden=3, epochs=1, seed=0)
    header, *rows = cells(population.table._repr_html_())
    assert header == ["member", "seed", "loss", "epochs", "stopped_by"] and len(rows) == 20
    assert "... and 5 more" in population.table._repr_html_()
    assert len(cells(population._repr_html_())) == 1 + 5 and "Population of 25" in population._repr_html_()


def test_models_of_tables_tell_what_columns_are_and_which_matter():
    table = {f"x{k}": X[:, k].tolist() for k in range(2)} | {"id": [f"row {n}" for n in range(40)], "y": Y.tolist()}
    model = fastmlp.train_table(table, "y", hidden=3, epochs=2, seed=0)
    header, *rows = cells(model._repr_html_())
    assert header == ["column", "kind", None, "importance"]
    assert [row[:2] for row in rows] == [["x0", "number"], ["x1", "number"], ["id", "ignored"]] and rows[2][3] is None
    assert float(rows[0][3]) == round(model.made_with["importance"]["x0"], 3)
    assert f"accuracy {model.made_with['validation']['accuracy']:.4g} on rows held out; MLP 2-3-1" in model._repr_html_()
    wide = fastmlp.train_table(
        {f"x{k}": X[:, 0].tolist() for k in range(30)} | {"y": Y.tolist()}, "y", hidden=3, epochs=1, validation=None
    )
    assert len(cells(wide._repr_html_())) == 1 + 24 and "... and 6 more columns" in wide._repr_html_()
    assert cells(wide._repr_html_())[0] == ["column", "kind", None]


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_image_classifiers_tell_their_classes(method):
    unfitted = fastmlp.ImageClassifier(hidden=3, epochs=2, seed=0, method=method, extractor="ink", validation=0.25)
    assert cells(unfitted._repr_html_()) == [] and "ImageClassifier(" in unfitted._repr_html_()
    model = unfitted.fit(np.random.default_rng(0).random((40, 3)), Y)
    header, *rows = cells(model._repr_html_())
    alone = method == "one-vs-rest"
    assert header == ["class", "images", *["network"] * alone]
    assert [row[:2] for row in rows] == [[name, str((name == Y).sum())] for name in sorted(set(Y.tolist()))]
    assert f"accuracy {model.made_with['validation']['accuracy']:.4g} on 10 images held out" in model._repr_html_()
    assert ("MLP 3-3-" in rows[0][-1]) == alone


def test_cross_validations_tell_the_score_of_each_fold():
    result = fastmlp.cross_validate(X, Y, cv=4, hidden=3, epochs=2, seed=0)
    header, *rows = cells(result._repr_html_())
    assert header == ["fold", "learned from", "measured on", "accuracy"] and len(rows) == 4
    assert [row[3] for row in rows] == [f"{score:.4g}" for score in result.scores] and rows[0][1:3] == ["30", "10"]
    assert "CrossValidation of 4 folds" in result._repr_html_()


def test_verdicts_tell_how_many_images_of_each_class_there_are():
    labels = ["<b>"] * 3 + ["a", None, "a"] + [f"c{k}" for k in range(30)]
    errors = ["<i> is truncated" if label is None else None for label in labels]
    verdicts = fastmlp.Verdicts([""] * len(labels), labels, np.zeros((len(labels), 32)), errors, 4)
    header, *rows = cells(verdicts._repr_html_())
    assert header == ["class", "images"] and rows[:2] == [["<b>", "3"], ["a", "2"]] and len(rows) == 24
    assert "Verdicts on 35 images" in verdicts._repr_html_()
    assert "... and 8 more classes; 4 skipped, 1 failed, the first: &lt;i&gt; is truncated" in verdicts._repr_html_()
    none = fastmlp.Verdicts([], [], np.zeros((0, 2)), [])
    assert cells(none._repr_html_()) == [header] and "0 skipped, 0 failed<" in none._repr_html_()


def test_histories_and_trainers_tell_their_last_losses_and_why_it_ended():
    history = fastmlp.train(X, Y, hidden=3, epochs=12, seed=0, validation=0.25, monitor="accuracy").history
    header, *rows = cells(history._repr_html_())
    assert header == ["epoch", "loss", "validation loss", "validation accuracy"] and [row[0] for row in rows] == [
        *"89",
        "10",
        "11",
        "12",
    ]
    assert rows[-1][1:3] == [f"{history.loss[-1]:.6g}", f"{history.validation_loss[-1]:.6g}"]
    best = int(history.validation_accuracy.argmax()) + 1
    assert "12 epochs, stopped by epochs" in history._repr_html_() and f"the best epoch is {best}<" in history._repr_html_()
    trainer = fastmlp.Trainer(hidden=2, seed=0)
    assert cells(trainer._repr_html_()) == [["call", "loss"]] and "before its first rows" in trainer._repr_html_()
    for _ in range(7):
        trainer.partial_fit(X, Y)
    assert [row[0] for row in cells(trainer._repr_html_())[1:]] == [*"34567"] and "after 280 rows" in trainer._repr_html_()
    plain = trainer.finish().history
    assert cells(plain._repr_html_())[0] == ["epoch", "loss"] and "best" not in plain._repr_html_()


def test_a_table_is_read_by_rows_and_columns():
    table = fastmlp.train_many(X, Y, learning_rate=[0.1, 0.2], hidden=[2, (3, 4)], epochs=1, seed=0).table
    assert len(table) == 2 and table["learning_rate"] == [0.1, 0.2]
    assert [row["hidden"] for row in table] == [(2,), (3, 4)] and list(next(iter(table))) == list(table.columns)
    with pytest.raises(ValueError, match="did you mean 'hidden'"):
        table["hiden"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_becomes_a_data_frame(library):
    pytest.importorskip(library)
    table = fastmlp.train_many(X, Y, learning_rate=[0.1, 0.2], batch_size=[None, 8], epochs=1, hidden=3, seed=0).table
    frame = getattr(table, f"to_{library}")()
    assert list(frame.columns) == list(table.columns) and frame["learning_rate"].to_list() == [0.1, 0.2]
    assert frame.shape == (2, len(table.columns))
