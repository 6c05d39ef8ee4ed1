"""Files that earlier versions saved: they are read as they were meant, and written again byte for byte."""

from pathlib import Path

import numpy as np
import pytest

import fastmlp

SAVED = Path(__file__).parents[1] / "saved"  # by version 0.1.0; expected.npz has rows, and what the models said of them
NAMES = ("classifier", "regressor", "population", "softmax", "one-vs-rest", "ensemble")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_a_file_of_an_earlier_version_holds_the_same_model(name):
    model = fastmlp.load(SAVED / f"{name}.npz")
    with np.load(SAVED / "expected.npz") as known:
        expected, X, ink = known[name], known["X"], known["ink"]
    said = {
        "classifier": lambda: model.predict_proba(X),
        "regressor": lambda: model.predict(X.astype(np.float32)),
        "population": lambda: model.predict_proba_members(X),
    }.get(name, lambda: model.scores(ink))()
    assert said.dtype == expected.dtype and said.shape == expected.shape
    np.testing.assert_allclose(said, expected, rtol=100 * np.finfo(expected.dtype).eps)  # exp may differ by processor


def test_a_file_of_an_earlier_version_is_written_again_byte_for_byte(name, tmp_path):
    fastmlp.load(SAVED / f"{name}.npz").save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (SAVED / f"{name}.npz").read_bytes()


def test_what_stands_in_the_files_of_an_earlier_version_is_read():
    classifier, regressor = (fastmlp.load(SAVED / f"{name}.npz") for name in ("classifier", "regressor"))
    assert classifier.classes.tolist() == ["no", "yes"] and classifier.feature_names == ("length", "width", "日")
    assert classifier.history.epochs == 12 and len(classifier.history.validation_loss) == 12
    assert regressor.dtype == np.float32 and (regressor.state.seed, regressor.state.data_seed, regressor.state.steps) == (2, 3, 8)
    population = fastmlp.load(SAVED / "population.npz")
    assert population.options["seed"] == [5, 6, 7, 2**64 - 1] and population.options["hidden"] == [(3,), (3,), (2, 2), (3,)]
    assert population.options["batch_size"] == [8, None, 8, 16]
    images = [fastmlp.load(SAVED / f"{name}.npz") for name in ("softmax", "one-vs-rest", "ensemble")]
    assert [(model.method, len(model.networks)) for model in images] == [("softmax", 1), ("one-vs-rest", 2), ("ensemble", 2)]
    assert images[0].made_with["images"] == {"circle": 20, "line": 20}
