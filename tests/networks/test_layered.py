"""What kernels stand on is as they take it, however it was given, and stays so: parameters, and what the shape of a network follows
from."""

import copy
import pickle
import re

import numpy as np
import pytest
from cases import SOFTMAX, mlp, one_sentence, problem
from populations import mixed

import fastmlp
from fastmlp import MLP, Objective

THETA, X, _ = problem(SOFTMAX, rows=5)


def model_of(theta=THETA):
    return mlp(SOFTMAX, theta, classes=np.arange(3))


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def mapped(array, path):
    path.write_bytes(array.tobytes())
    return np.memmap(path, array.dtype, mode="r")


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype)
    room[:] = array
    return room


KINDS = {
    "as it is": lambda array, _: array.copy(),
    "read-only": lambda array, _: read_only(array),
    "mapped": lambda array, path: mapped(array, path / "theta"),
    "strided": lambda array, _: np.repeat(array, 2)[::2],
    "reversed": lambda array, _: array[::-1].copy()[::-1],
    "unaligned": lambda array, _: unaligned(array),
    "of another byte order": lambda array, _: array.astype(array.dtype.newbyteorder()),
    "of another type": lambda array, _: array.astype(np.longdouble),
    "a list": lambda array, _: array.tolist(),
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@EVERY_KIND
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_theta_is_copied_into_the_parameters_that_are_there(kind, dtype, tmp_path):
    model, theta = model_of(np.zeros_like(THETA, dtype)), THETA.astype(dtype)
    view = model.weights[0]
    model.theta = KINDS[kind](theta, tmp_path)
    assert np.array_equal(model.theta, theta) and np.shares_memory(model.theta, view)
    model.update(X[0], 1, 0.1)
    assert not np.array_equal(model.theta, theta) and view[0, 0] == model.theta[0]


@EVERY_KIND
def test_a_network_can_be_made_of_any_theta_and_updated(kind, tmp_path):
    given = KINDS[kind](THETA, tmp_path)
    before = np.array(given)
    model = MLP(
        SOFTMAX.sizes,
        given,
        activations=SOFTMAX.activations,
        output="softmax",
        loss_name="cross_entropy_bits",
        classes=np.arange(3),
    )
    assert np.array_equal(model.theta, THETA)
    model.update(X[0], 1, 0.1)
    assert kind == "as it is" or np.array_equal(np.array(given), before)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (THETA[:-1], "theta must have shape (77,), a number for each parameter of the network; got (76,)"),
        (THETA[:, None], "theta must have shape (77,), a number for each parameter of the network; got (77, 1)"),
        (0.0, "theta must have shape (77,), a number for each parameter of the network; got ()"),
        (THETA * 1j, "theta must hold real numbers; got dtype complex128"),
        (np.where(np.arange(77) == 7, np.nan, THETA), "theta must be finite; theta[7] is nan"),
    ],
)  # fmt: skip
def test_what_is_no_theta_is_told_and_changes_nothing(value, told):
    model = model_of()
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        model.theta = value
    assert np.array_equal(model.theta, THETA)


def test_the_shape_and_type_of_what_theta_gives_are_not_those_of_the_network():
    model = model_of()
    answers = model.predict_proba(X)
    theta = model.theta
    theta.flags.writeable = False
    with pytest.raises(ValueError, match="resize"):
        model.theta.resize(3, refcheck=False)
    assert np.array_equal(model.predict_proba(X), answers)
    model.update(X[0], 1, 0.1)


MODEL, POPULATION = model_of(), mixed()
FIXED = [
    *((MODEL, name) for name in ("layer_sizes", "activations", "output", "loss_name", "huber_delta", "bias", "classes")),
    *((MODEL, name) for name in ("custom_loss", "feature_names", "layers", "network")),
    *((POPULATION, name) for name in ("groups", "history", "options", "scores", "diverged", "same_targets")),
]


@pytest.mark.parametrize(("model", "name"), FIXED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_the_shape_follows_from_cannot_be_set(model, name):
    kind = type(model).__name__
    for one in (model, copy.copy(model), pickle.loads(pickle.dumps(model))):
        with pytest.raises(AttributeError, match=f"^{name} cannot be set, as all else follows from it; make another {kind}$"):
            setattr(one, name, (30, 60, 50, 30))


def test_the_names_of_what_cannot_be_set_are_those_of_the_class():
    model = model_of()
    model.FIXED = ()
    with pytest.raises(AttributeError):
        model.layer_sizes = (1, 2)


def test_other_attributes_can_be_set():
    model = model_of()
    model.made_with = {"seed": 3}
    assert model.made_with == {"seed": 3}


def test_the_network_of_an_objective_and_the_networks_of_a_classifier_cannot_be_set():
    objective = Objective(MODEL, X, [0, 1, 2, 0, 1])
    classifier = fastmlp.ImageClassifier(
        ["a", "b", "c"], (mlp(SOFTMAX, THETA, classes=np.array(["a", "b", "c"])),), "ink", "softmax"
    )  # fmt: skip
    for one, name in ((objective, "network"), (classifier, "networks"), (classifier, "extractor")):
        with pytest.raises(AttributeError):
            setattr(one, name, model_of())


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int64])
def test_layer_sizes_become_plain_numbers(kind):
    sizes = np.array([100, 100, 2]).astype(kind)
    model = MLP(sizes, np.zeros(10302), activations=["tanh"], output="identity", loss_name="squared_error")
    assert model.layer_sizes == (100, 100, 2) and {type(size) for size in model.layer_sizes} == {int}
    assert model.predict(np.zeros((1, 100))).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"bias": -1}, "bias must be True or False; got -1"),
        ({"layer_sizes": (3, 2.0, 1)}, "layer_sizes"),
        ({"layer_sizes": 3}, "layer_sizes must name inputs and outputs at least; got 3"),
        ({"layer_sizes": (3, -2, 1)}, "layer_sizes"),
        ({"activations": 5}, "activation must be a name"),
        ({"classes": [1, 0]}, "classes must be at least two different labels in ascending order; got [1, 0]"),
        ({"theta": [0] * 10}, "theta must have shape (11,)"),
    ],
    ids=str,
)
def test_what_makes_no_network_is_told(change, fragment):
    whole = {"layer_sizes": (3, 2, 1), "theta": np.zeros(11), "activations": ("tanh",), "output": "identity"}
    with one_sentence([fragment]):
        MLP(**{**whole, "loss_name": "squared_error", **change})


def unpickled_from_read_only_memory(model):
    """As by joblib, which maps arrays, or from another process."""
    buffers = []
    data = pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(data, buffers=[bytes(buffer) for buffer in buffers])


def test_what_was_pickled_can_be_updated_wherever_its_arrays_lie():
    model, many = unpickled_from_read_only_memory(model_of()), unpickled_from_read_only_memory(mixed())
    assert np.array_equal(model.theta, THETA)
    for one in (model, many[0]):
        before, rows = one.theta.copy(), np.ones((1, one.layer_sizes[0]))
        one.update(rows[0], one.predict(rows)[0] if one.classes is not None else 3.0, 0.1)
        assert not np.array_equal(one.theta, before)
    assert np.array_equal(many.groups[0].theta[0], many[0].theta)


def test_a_population_can_be_made_of_parameters_that_are_read_only():
    many = mixed()
    group = many.groups[0]._replace(theta=read_only(many.groups[0].theta))
    other = fastmlp.Population([group, *many.groups[1:]], many.history, many._given, many.scores)
    assert other.groups[0].theta.flags.writeable


def test_a_state_of_another_network_is_told():
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    model, other = (fastmlp.train(X, y, hidden=hidden, epochs=1, seed=0, keep_state=True) for hidden in (3, 4))
    for state in (other.state, "state", other.state._replace(theta=model.state.theta)):
        model.state = state
        with one_sentence(["init.state must be what keep_state=True keeps of such a network"]):
            fastmlp.train(X, y, init=model, epochs=1)
