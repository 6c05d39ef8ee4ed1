"""Networks and their files: exact round trips, and headers that do not fit what is there."""

import numpy as np
import pytest
from model_files import assert_refused, history, network, rewrite_entry, round_trip, same_network

pytestmark = pytest.mark.versions


@pytest.fixture
def saved(tmp_path):
    """A small model's file, its path and its bytes."""
    path = tmp_path / "m.npz"
    network((1, 1), history=history(1, validated=False)).save(path)
    return path, path.read_bytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer_sizes", [(1, 1), (3, 3, 1), (5, 4, 3, 2, 7)])
def test_a_network_comes_back_exactly(tmp_path, dtype, bias, layer_sizes):
    model = network(layer_sizes, dtype=dtype, bias=bias)
    assert same_network(round_trip(model, tmp_path), model)


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-3, 8]),
        np.array([0, 255], np.uint8),
        np.array([False, True]),
        np.array(["circle", "line"]),
        np.array(["", "a\udcffb", "日本"]),
        np.array([0.5, 1.5, 2.5]),
        None,
    ],
    ids=["int64", "uint8", "bool", "str", "any characters", "float64", "none"],
)
def test_labels_come_back_exactly(tmp_path, classes):
    outputs = 2 if classes is None else len(classes)
    model = network((3, 4, outputs), output="softmax", loss="cross_entropy", classes=classes)
    assert same_network(round_trip(model, tmp_path), model)


def test_two_labels_of_one_sigmoid_output_come_back(tmp_path):
    model = network((3, 1), output="sigmoid", loss="cross_entropy_bits", classes=np.array([False, True]))
    assert same_network(round_trip(model, tmp_path), model)


@pytest.mark.parametrize("training", [None, history(0), history(200, validated=False), history(200)])
def test_the_history_comes_back_exactly(tmp_path, training):
    model = network(history=training)
    assert same_network(round_trip(model, tmp_path), model)


def test_an_accuracy_that_was_monitored_comes_back_exactly(tmp_path):
    model = network((3, 5, 2), output="softmax", loss="cross_entropy", classes=[1, 2], history=history(4, by_accuracy=True))
    assert same_network(round_trip(model, tmp_path), model)
    rewrite_entry(tmp_path / "m.npz", accuracy=False)
    assert_refused(tmp_path / "m.npz", "not those that its header declares")
    rewrite_entry(tmp_path / "m.npz", accuracy=1)
    assert_refused(tmp_path / "m.npz", "accuracy in its header must be of type bool")


def test_extreme_parameters_come_back_exactly(tmp_path):
    model = network((2, 2))
    model.theta[:] = [np.finfo(float).max, -np.finfo(float).tiny, 5e-324, -0.0, 0.1, -1e308]
    assert same_network(round_trip(model, tmp_path), model)


def test_a_loaded_model_can_be_changed(tmp_path):
    model = round_trip(network(), tmp_path)
    model.theta[0] = 5.0
    assert model.weights[0][0, 0] == 5.0


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
    model = network()
    model.theta[3] = np.nan
    with pytest.raises(ValueError, match="theta has a value that is not finite"):
        model.save(tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "fields",
    [
        {"layer_sizes": [10**30, 10**30]},
        {"layer_sizes": [-1, -1]},
        {"layer_sizes": [0, 1]},
        {"layer_sizes": [1]},
        {"layer_sizes": [1.0, 1]},
        {"layer_sizes": [2, 1]},
        {"layer_sizes": [1, True]},
        {"layer_sizes": "11"},
        {"activations": ["tanh"]},
        {"activations": [1]},
        {"layer_sizes": [1, 1, 1], "activations": ["tanh"]},
        {"output": "tan"},
        {"loss_name": "hinge"},
        {"bias": False},
        {"bias": 1},
        {"dtype": "float32"},
        {"dtype": "object"},
        {"dtype": "float16"},
        {"classes": True},
        {"trained": False},
        {"epochs": 2},
        {"epochs": -1},
        {"epochs": 10**30},
        {"validation": True},
        {"stopped_by": None},
        {"made_with": 1},
        {"made_with": {"options": []}},
        {"surplus": 1},
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_its_arrays_is_refused(saved, fields):
    path, _ = saved
    rewrite_entry(path, **fields)
    assert_refused(path)


def test_an_unknown_activation_is_named(tmp_path):
    path = tmp_path / "m.npz"
    network((2, 3, 1)).save(path)
    rewrite_entry(path, activations=["softsign"])
    assert_refused(path, "softsign")
