"""Networks as Python modules: the same outputs, with NumPy alone, and no name that becomes code."""

import ast
import runpy

import numpy as np
import pytest
from exports import NAMED, PAIRS, assert_close, case, outputs_of
from model_files import image_classifier, network

import fastmlp
from fastmlp.tables.table_reading import read_table


def module_of(model, folder, **options):
    model.export(folder / "m.py", **options)
    tree = ast.parse((folder / "m.py").read_text("ascii"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
    assert imported <= {"numpy", "math"}
    return runpy.run_path(str(folder / "m.py"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("activation", "output"), PAIRS)
def test_outputs_are_ours_for_every_activation(activation, output, dtype, tmp_path):
    model, X = case(activation, output, dtype)
    module = module_of(model, tmp_path)
    came = module["predict_outputs"](X)
    assert came.dtype == dtype
    assert_close(came, outputs_of(model, X), dtype)
    predicted, expected = module["predict"](X), model.predict(X)
    assert predicted.shape == expected.shape and ("CLASSES" in module) == (model.classes is not None)
    if model.classes is not None:
        assert predicted.tolist() == expected.tolist()
    else:
        assert_close(predicted, expected, dtype)
    assert module["predict_outputs"](X[:0]).shape == (0, came.shape[1])


def test_weights_are_exactly_ours(tmp_path):
    for dtype in np.float32, np.float64:
        model = network((7, 5, 2), dtype=dtype)
        [layers] = module_of(model, tmp_path)["NETWORKS"]
        for (w, b, _), weights, biases in zip(layers, model.weights, model.biases, strict=True):
            assert w.dtype == dtype and w.tobytes() == weights.tobytes() and b.tobytes() == biases.tobytes()


def test_a_population_gives_the_mean(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    for y in (X[:, 0] > 0, np.arange(60) % 3, np.sin(X[:, 0])):
        population = fastmlp.train_many(X, y, hidden=[4, 4, (5, 3)], epochs=3, seed=range(3))
        came = module_of(population, tmp_path)["predict_outputs"](X)
        assert_close(came, outputs_of(population, X) if y.dtype == float else population.predict_proba(X), np.float64)


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_an_image_classifier_takes_features(method, tmp_path):
    classifier, X = image_classifier(method), np.random.default_rng(0).random((9, 3))
    module = module_of(classifier, tmp_path)
    assert_close(module["predict_outputs"](X), classifier.scores(X), np.float64)
    assert module["predict"](X).tolist() == classifier.predict(X).tolist()


def test_predict_gives_what_that_of_the_model_gives(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    table = {"a": X[:, 0], "b": X[:, 1], "y": X[:, 0] > 0}
    numbers = fastmlp.train_table(table | {"y": X[:, 2]}, "y", epochs=1, seed=0, hidden=2)
    labels = fastmlp.train_table(table, "y", task="classification", epochs=1, seed=0, hidden=2)
    for model in (numbers, labels):
        came = module_of(model, tmp_path)["predict"](model.encoder.encode(read_table(table)))
        if model.classes is None:
            assert_close(came, model.predict_table(table), np.float64)
        else:
            assert came.tolist() == model.predict_table(table).tolist()
    population = fastmlp.train_many(X, X[:, 2], hidden=[2, 3], epochs=1, seed=0)
    assert_close(module_of(population, tmp_path)["predict"](X), population.predict(X), np.float64)


def test_class_names_of_any_characters_are_no_code(tmp_path):
    names = sorted([*NAMED, '"""', "'''", '"""\nraise SystemExit\n"""', "\\"])
    model = network((3, len(names)), output="softmax", loss="cross_entropy", classes=np.array(names))
    assert module_of(model, tmp_path)["CLASSES"].tolist() == names
    classifier = fastmlp.ImageClassifier([*names], (model,), "ink", "softmax")
    assert module_of(classifier, tmp_path)["CLASSES"].tolist() == names


@pytest.mark.parametrize("classes", [[b"a", b"\xff"], [False, True], [1, 2], [0.5, 1.5]], ids=str)
def test_labels_of_every_kind_are_kept(classes, tmp_path):
    model = network((3, 2), output="softmax", loss="cross_entropy", classes=np.array(classes))
    came = module_of(model, tmp_path)["CLASSES"]
    assert came.dtype == model.classes.dtype and came.tolist() == classes


def test_a_dtype_may_be_wished(tmp_path):
    model, X = case("tanh", "softmax", np.float64)
    came = module_of(model, tmp_path, dtype="float32")["predict_outputs"](X)
    assert came.dtype == np.float32
    np.testing.assert_allclose(came, model.predict_proba(X), atol=1e-4)
