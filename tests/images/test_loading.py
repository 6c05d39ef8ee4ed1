"""Models of all kinds from their files; those of earlier versions are read as they were meant, and written again as they were."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_files import assert_refused, image_classifier, network, rewrite_header, round_trip, same_network

import fastmlp
from fastmlp.training.many import train_many

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


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_an_image_classifier_comes_back_exactly(tmp_path, method):
    model = image_classifier(method)
    again = round_trip(model, tmp_path)
    assert (again.classes, again.extractor, again.method) == (model.classes, model.extractor, model.method)
    assert all(map(same_network, again.networks, model.networks)) and len(again.networks) == len(model.networks)


def test_a_classifier_of_the_first_version_and_its_ink_is_read_with_a_warning(tmp_path):
    path, model = tmp_path / "m.npz", image_classifier("softmax")
    model.save(path)
    assert same_network(fastmlp.load(path).networks[0], model.networks[0])
    rewrite_header(path, version=1)
    with pytest.warns(
        UserWarning, match=r"m\.npz comes from an earlier version, to whose 'ink' a thick stroke was more than a line"
    ):
        again = fastmlp.load(path)
    assert again.extractor == "ink"
    assert same_network(again.networks[0], model.networks[0])


MADE_WITH = {"seed": 2**64 - 1, "rows": 40, "options": {"l2": 0.1, "batch_size": None}, "versions": {"numpy": "2"}}


def test_what_a_model_was_made_with_comes_back_exactly(tmp_path):
    model = image_classifier("one-vs-rest")
    made = replace(model, made_with=MADE_WITH | {"images": {"circle": 20, "日本": 20}, "validation": {"loss": [0.1, None]}})
    model.networks[1].made_with = MADE_WITH
    again = round_trip(made, tmp_path)
    assert again.made_with == made.made_with
    assert [network.made_with for network in again.networks] == [{}, MADE_WITH]
    assert round_trip(network(made_with=MADE_WITH), tmp_path).made_with == MADE_WITH

    X = np.random.default_rng(0).normal(size=(9, 2))
    population = train_many(X, X[:, 0], members=2, hidden=1, epochs=1)
    again = round_trip(population, tmp_path)
    assert again.made_with == population.made_with and again[1].made_with == population[1].made_with


def test_a_missing_file_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "m.npz"))):
        fastmlp.load(tmp_path / "m.npz")
    assert_refused(tmp_path, "not a regular file")


@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=["null", "half a character"])
def test_classes_that_no_row_can_be_written_with_are_refused(name, tmp_path):
    path = tmp_path / "m.npz"
    image_classifier("one-vs-rest").save(path)
    rewrite_header(path, classes=[name, "line"])
    assert_refused(path, "a class in its header must be the name of a folder")
