"""Numbers that nobody expects, wherever one is asked for: taken as what they are, or told in a sentence that names the argument."""

import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from inputs import MODEL, POPULATION, X, Y, train, train_many

import fastmlp
from fastmlp import MLP, Objective
from fastmlp.training.options import OPTIONS

REGRESSOR = train(X, X[:, 0] ** 2)
LARGE = (10**5000, 10**400, -(10**400), 10**30, 2**64, 2**63, 2**53 + 1, 2**53, 1e308, Fraction(10**400), Decimal("1e400"))
SMALL = (
    5e-324,
    0,
    -0.0,
    -1,
    0.5,
    1.0,
    Fraction(1, 2),
    Decimal("0.5"),
    np.float16(0.5),
    np.float32(0.5),
    np.uint8(200),
    np.int8(-1),
)
NO_NUMBERS = (
    np.nan,
    np.inf,
    -np.inf,
    1j,
    np.complex64(1),
    True,
    np.True_,
    None,
    ...,
    "x",
    "1",
    b"1",
    np.datetime64(1, "s"),
    object(),
)
SEVERAL = (
    [],
    [1],
    [None],
    [10**400],
    (10**400,),
    {1: 2},
    range(10**30),
    np.array(2),
    np.array([0.5]),
    np.array([[1]]),
    np.array("x"),
)
VALUES = (*LARGE, np.longdouble("1e4000"), *SMALL, *NO_NUMBERS, *SEVERAL)
OTHER_NAMES = ("members", "GB", "diverged", "bootstrap")  # that a sentence may have instead


def what_is_told(call, value):
    """Nothing, or a sentence."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="y holds")
            call(value)
    except (ValueError, TypeError, IndexError, fastmlp.DivergedError) as error:
        assert type(error) in (ValueError, TypeError, IndexError, fastmlp.DivergedError), value
        assert "\n" not in str(error) and len(str(error)) < 400, value
        return str(error)
    return ""


@pytest.mark.parametrize("function", [train, train_many], ids=["train", "train_many"])
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_takes_it_or_is_named(name, function):
    if function.__name__ not in OPTIONS[name].of or name == "members":
        return
    beside = {"patience": {"validation": 0.3}, "huber_delta": {"loss": "huber", "task": "regression"}, "epochs": {"target_loss": 9}}
    for value in VALUES:
        told = what_is_told(lambda value: function(X, Y, **beside.get(name, {}) | {name: value}), value)
        assert not told or name in told or any(other in told for other in OTHER_NAMES), (value, told)


def gradient(theta):
    return OBJECTIVE.gradient(theta)


def set_theta(theta):
    mlp().theta = theta


def update(y=1.0, rate=1e-3):
    REGRESSOR.update(X[0], y, rate)


def mlp(**change):
    whole = {"layer_sizes": (3, 2, 1), "theta": np.zeros(11), "activations": ("tanh",), "output": "identity"}
    return MLP(**{**whole, "loss_name": "squared_error", **change})


CALLS = {
    "layer_sizes": (lambda v: mlp(layer_sizes=v), lambda v: mlp(layer_sizes=(3, v, 1)), lambda v: mlp(layer_sizes=(v, 2, 1))),
    "theta": (
        lambda v: mlp(theta=v), lambda v: mlp(theta=[v] * 11), set_theta, lambda v: set_theta([v] * 11),
        gradient, lambda v: gradient([v] * MODEL.theta.size),
    ),
    "bias": (lambda v: mlp(bias=v),),
    "huber_delta": (lambda v: mlp(huber_delta=v),),
    "activation": (lambda v: mlp(activations=v),),
    "classes": (lambda v: mlp(classes=v), lambda v: mlp(classes=[v, 1])),
    "feature_names": (lambda v: mlp(feature_names=v), lambda v: mlp(feature_names=[v] * 3)),
    "learning_rate": (lambda v: update(rate=v), lambda v: fastmlp.train_many(X, Y, epochs=1, learning_rate=[0.1, v])),
    "x": (lambda v: MODEL.update(v, 1, 0.1), lambda v: MODEL.update([v, 1, 1], 1, 0.1)),
    "y": (
        lambda v: MODEL.update(X[0], v, 1e-3), update, lambda v: REGRESSOR.loss(X, [v] * 20),
        lambda v: MODEL.loss(X, [v] * 20), lambda v: MODEL.gradient(X, v), lambda v: train(X, v),
        lambda v: train(X[:4], [v, 1, 2, v]),
    ),
    "X": (lambda v: MODEL.predict(v), lambda v: MODEL.predict([[v, 0, 0]]), lambda v: train(v, Y), lambda v: train([[v]] * 20, Y)),
    "V": (
        lambda v: MODEL.jvp(X, v), lambda v: MODEL.jvp(X, [[v] * 3] * 20),
        lambda v: MODEL.jvp(X, [v] * MODEL.theta.size, parameters=True),
    ),
    "U": (lambda v: MODEL.vjp(X, v), lambda v: MODEL.vjp(X, [v] * 20, parameters=True)),
    "sample_weight": (lambda v: Objective(MODEL, X, Y, [v] * 20), lambda v: MODEL.score(X, Y, [v] * 20)),
    "threads": (lambda v: Objective(MODEL, X, Y, threads=v),),
    "class_weight": (lambda v: train(X, Y, class_weight={0: v}),),
    "validation": (lambda v: train(X, Y, validation=(X, v)), lambda v: train(X, Y, validation=(v, Y))),
    "n": (lambda v: POPULATION.best(v), lambda v: POPULATION.table.best(v), lambda v: MODEL.evaluate(X, Y).most_confused(v)),
    "index": (lambda v: POPULATION[v],),
    "vote": (lambda v: POPULATION.predict(X, v),),
    "l2": (lambda v: fastmlp.grid(l2=v),),
    "weights": (lambda v: MLP.from_weights([v]), lambda v: MLP.from_weights([[[v]]])),
    "biases": (lambda v: MLP.from_weights([[[1.0]]], [[v]]),),
}  # fmt: skip
OBJECTIVE = Objective(MODEL, X, Y)


@pytest.mark.parametrize("name", CALLS)
def test_an_argument_takes_it_or_is_named(name):
    for call in CALLS[name]:
        for value in VALUES:
            told = what_is_told(call, value)
            assert not told or name in told or any(other in told for other in (*OTHER_NAMES, "rows", "output", "theta")), (
                value,
                told,
            )


@pytest.mark.parametrize("value", [10**400, 10**30, 2**53 + 1])
def test_a_whole_number_that_is_too_large_is_told(value):
    for name in ("epochs", "patience", "batch_size", "threads"):
        for function in (train, train_many):
            told = what_is_told(lambda v, name=name, function=function: function(X, Y, validation=0.3, **{name: v}), value)
            assert told.startswith(f"{name} must be a positive whole number of at most 2**53; got ")


def test_numbers_of_any_kind_are_taken_as_they_are():
    for value in (0.5, np.float32(0.5), np.float16(0.5), Fraction(1, 2), Decimal("0.5"), np.array(0.5)):
        assert np.array_equal(
            train(X, Y, momentum=value, optimizer="momentum").theta, train(X, Y, momentum=0.5, optimizer="momentum").theta
        )
    for value in (3, np.uint8(3), np.array(3)):
        assert np.array_equal(train(X, Y, hidden=value).theta, train(X, Y, hidden=3).theta)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"l2": range(10**12)}, "a grid of l2=range of length 1000000000000 would need 40000.0 GB of memory; this machine has "),
        ({"l2": range(10**5), "seed": range(10**5), "hidden": [3, 4]}, "a grid of 20000000000 combinations would need 1440.0 GB"),
    ],
)
def test_a_grid_larger_than_memory_is_told(options, sentence):
    assert what_is_told(lambda _: fastmlp.grid(**options), None).startswith(sentence)
