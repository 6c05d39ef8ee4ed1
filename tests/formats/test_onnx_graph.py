"""Networks as ONNX: found right by its checker, and run by onnxruntime with the same outputs."""

import sys

import numpy as np
import pytest
from exports import PAIRS, assert_close, case, outputs_of
from model_files import image_classifier, network

import fastmlp

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def session(model, folder, **options):
    model.export(folder / "m.onnx", **options)
    onnx.checker.check_model(str(folder / "m.onnx"), full_check=True)
    return onnxruntime.InferenceSession(str(folder / "m.onnx"))


def run(model, folder, X, **options):
    found = session(model, folder, **options)
    return dict(zip([value.name for value in found.get_outputs()], found.run(None, {"X": X}), strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("activation", "output"), PAIRS)
def test_outputs_are_ours_for_every_activation(activation, output, dtype, tmp_path):
    model, X = case(activation, output, dtype)
    if (activation, dtype) == ("gelu", np.float64):
        with pytest.raises(ValueError, match="onnxruntime has no gelu of float64"):
            model.export(tmp_path / "m.onnx")
        assert not list(tmp_path.iterdir())
        return
    came = run(model, tmp_path, X)
    assert_close(came["outputs" if model.classes is None else "probabilities"], outputs_of(model, X), dtype)
    if model.classes is not None:
        assert came["label"].dtype == np.int64 and came["label"].tolist() == model.predict(X).tolist()


def test_the_number_of_rows_is_free(tmp_path):
    model = network()
    found = session(model, tmp_path)
    for rows in 1, 7, 100:
        assert found.run(None, {"X": np.zeros((rows, 3))})[0].shape == (rows, 2)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(["a", "日本"], ["a", "日本"]), ([False, True], [0, 1]), ([-5, 7], [-5, 7]), ([0.5, 1.5], [0.5, 1.5])],
    ids=str,
)
@pytest.mark.parametrize("outputs", [1, 2])
def test_labels_are_strings_or_numbers(classes, labels, outputs, tmp_path):
    output = "sigmoid" if outputs == 1 else "softmax"
    model = network((3, 4, outputs), output=output, loss="cross_entropy", classes=np.array(classes))
    X = np.random.default_rng(0).normal(size=(20, 3))
    came = run(model, tmp_path, X)
    assert came["label"].tolist() == [labels[classes.index(label)] for label in model.predict(X).tolist()]


def test_a_population_gives_the_mean(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    for y in (X[:, 0] > 0, np.arange(60) % 3, np.sin(X[:, 0])):
        population = fastmlp.train_many(X, y, hidden=[4, 4, (5, 3)], epochs=3, seed=range(3))
        came = run(population, tmp_path, X)
        expected = population.predict(X).reshape(60, 1) if y.dtype == float else population.predict_proba(X)
        assert_close(next(value for name, value in came.items() if name != "label"), expected, np.float64)


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_an_image_classifier_takes_features(method, tmp_path):
    classifier, X = image_classifier(method), np.random.default_rng(0).random((9, 3))
    came = run(classifier, tmp_path, X)
    assert came["label"].tolist() == classifier.predict(X).tolist()
    assert_close(came["probabilities"], classifier.scores(X), np.float64)


def test_a_dtype_may_be_wished(tmp_path):
    model, X = case("gelu", "softmax", np.float64)
    came = run(model, tmp_path, X.astype(np.float32), dtype="float32")
    np.testing.assert_allclose(came["probabilities"], model.predict_proba(X), atol=1e-4)


def test_its_own_file_is_written_over(tmp_path):
    for sizes in (2, 3), (5, 4):
        network(sizes).export(tmp_path / "m.onnx")
    assert onnx.load(tmp_path / "m.onnx").producer_name == "fastmlp"


def test_without_the_library_a_sentence_says_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"^ONNX needs its library: pip install 'fastmlp\[onnx\]'$"):
        network().export(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
