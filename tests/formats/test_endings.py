"""What can be written at all: endings, numbers that are finite, places that there are."""

import numpy as np
import pytest
from model_files import network

import fastmlp
from fastmlp.formats import onnx_graph
from fastmlp.formats.endings import FORMATS
from fastmlp.formats.spellings import SPELLINGS
from fastmlp.kernels.activations import TABLE


def refused(model, path, error, *parts, **options):
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else None
    with pytest.raises(error) as caught:
        model.export(path, **options)
    message = str(caught.value)
    assert "\n" not in message and all(part in message for part in parts), message
    assert before == (sorted(path.parent.iterdir()) if path.parent.is_dir() else None)


@pytest.mark.parametrize("name", ["m", "m.txt", "m.h", "m.c.gz", "M.H"])
def test_an_unknown_ending_lists_those_that_there_are(name, tmp_path):
    refused(network(), tmp_path / name, ValueError, *FORMATS, name)


@pytest.mark.parametrize("ending", FORMATS)
def test_what_is_wrong_is_told_and_nothing_is_written(ending, tmp_path):
    if ending == ".onnx":
        pytest.importorskip("onnx")
    path, model = tmp_path / f"m{ending}", network()
    refused(model, tmp_path / "no" / f"m{ending}", FileNotFoundError, f"m{ending} cannot be written: there is no folder")
    (tmp_path / f"folder{ending}").mkdir()
    refused(model, tmp_path / f"folder{ending}", ValueError, f"folder{ending} cannot be written: it is there and is not a regular")
    refused(model, path, TypeError, "dtyp", dtyp=1)
    refused(model, path, ValueError, "dtype must be 'float32' or 'float64'; got 'int8'", dtype="int8")
    model.theta[3] = np.nan
    refused(model, path, ValueError, "not finite")
    path.write_text("mine")
    refused(network(), path, ValueError, "it is there and is not")
    assert path.read_text() == "mine"


def test_a_number_that_the_dtype_has_not_is_told(tmp_path):
    model = network()
    model.theta[3] = 1e300
    refused(model, tmp_path / "m.c", ValueError, "a parameter is not finite as float32", dtype="float32")


def test_a_population_of_members_that_cannot_vote_is_told(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 3))
    refused(fastmlp.train_many(X, X[:, :2], epochs=1, seed=0), tmp_path / "m.c", ValueError, "learned the same targets")
    some_diverged = fastmlp.train_many(X, X[:, 0], learning_rate=[0.01, 1e30, 1e30], optimizer="sgd", epochs=9, seed=0)
    refused(some_diverged[1:], tmp_path / "m.c", ValueError, "all 2 did")


def test_every_activation_is_written_in_every_language():
    names = {row.name for row in TABLE}
    assert SPELLINGS.keys() == names - {"softmax"} and onnx_graph.ACTIVATIONS.keys() == names


def test_an_ending_may_be_in_capitals(tmp_path):
    network().export(tmp_path / "M.C")
    assert {path.name for path in tmp_path.iterdir()} == {"M.C", "M.H"}
