"""train: its defaults learn, and what it cannot take it rejects in one sentence."""

from functools import partial

import numpy as np
import pytest
from cases import RATES, one_sentence, r2, toy

import fastmlp

GOOD_X = np.arange(12.0).reshape(4, 3)

GOOD_Y = [0, 1, 0, 1]


def spoiled(row, column, value):
    X = GOOD_X.copy()
    X[row, column] = value
    return X


def rejected(X, y, options, fragments):
    with one_sentence(fragments):
        fastmlp.train(X, y, epochs=options.pop("epochs", 1), **options)


# -- Defaults ------------------------------------------------------------------------------------------------------------------


def test_the_defaults_learn():
    X, y = toy(rows=400)
    assert (fastmlp.train(X, y, seed=0).predict(X) == y).mean() > 0.93
    target = np.sin(X[:, 0]) + X[:, 1]
    error = fastmlp.train(X, target, seed=0).predict(X) - target
    assert error.var() < 0.05 * target.var()


@pytest.mark.parametrize("hidden", [(), 1, 3, 8, 30, (30, 5)], ids=str)
@pytest.mark.parametrize("rows", [60, 300])
def test_the_defaults_learn_a_line_whatever_the_width(rows, hidden):
    X = np.random.default_rng(0).normal(size=(rows, 4))
    y = 3 * X[:, 0]
    if hidden != 1:  # one relu bends
        assert r2(fastmlp.train(X, y, hidden=hidden, seed=0), X, y) > 0.95
    labels = X[:, 0] > 0
    assert (fastmlp.train(X, labels, hidden=hidden, seed=0).predict(X) == labels).mean() > 0.95
    alternatives = fastmlp.train_many(X, y, hidden=[hidden, (100,)], seed=0)
    for member, own in zip(alternatives, (hidden, (100,)), strict=True):
        np.testing.assert_allclose(member.predict(X), fastmlp.train(X, y, hidden=own, seed=0).predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("optimizer", RATES)
def test_every_optimizer_learns_by_default(optimizer, batch_size):
    X, labels = toy(rows=200)
    y = np.column_stack([X[:, 0] + X[:, 1], np.abs(X[:, 2])])
    for hidden in (16, 100, (300, 30)):
        options = {"optimizer": optimizer, "batch_size": batch_size, "hidden": hidden, "seed": 0}
        assert r2(fastmlp.train(X, y, **options), X, y) > 0.8
        assert fastmlp.train(X, labels, **options).score(X, labels) > 0.9


# -- When things go wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [fastmlp.train, partial(fastmlp.train_many, members=2)], ids=["train", "train_many"])
@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("bias", ["x", np.nan, 2, ...]), ("shuffle", ["no", []]), ("standardize", ["no", 0.5, np.arange(2)]), ("bootstrap", ["x"]),
        ("progress", ["x"]), ("output", ["", 0, False, []]), ("loss", ["", 0, {}]), ("schedule", ["", 0, False, "fast"]),
        ("hidden", [b"x", "", {}, {1, 2}, 0]), ("activation", [5, 0.5, True, "soft"]), ("learning_rate", [10**400, -1, "x"]),
        ("l2", [10**400, -1]), ("warmup", [10**400, -1, 40, "x"]), ("init", [5, None, ["he", "glorot"], range(2), "xavier"]),
        ("validation", [10**400, 2, "x"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_nonsense_is_told_by_the_name_of_the_option(train, option, values):
    X, y = toy()
    for value in values:
        with pytest.raises(ValueError, match=rf"^(the )?{option}") as caught:
            train(X, y, epochs=40, **{option: value})
        assert one_sentence(caught.value)


@pytest.mark.parametrize(
    ("X", "y", "fragments"),
    [
        ([], [], ["X", "(0,)"]),
        (np.empty((0, 3)), [], ["X", "(0, 3)"]),
        (np.empty((4, 0)), GOOD_Y, ["X", "(4, 0)"]),
        (np.arange(4.0), GOOD_Y, ["X", "2-D"]),
        ([[1, 2], [3]], [0, 1], ["X"]),
        (GOOD_X, [0, 1, 0], ["y", "3", "4"]),
        (GOOD_X, [[0, 1], [1]], ["y"]),
        (GOOD_X, np.zeros((4, 1, 1)), ["y", "(4, 1, 1)"]),
        (spoiled(2, 1, np.nan), GOOD_Y, ["X[2, 1]", "nan"]),
        (spoiled(3, 0, -np.inf), GOOD_Y, ["X[3, 0]", "-inf"]),
        (GOOD_X, [0.0, 1.0, np.nan, 0.0], ["y[2", "nan"]),
        (GOOD_X, np.array([[0, 1], [0, np.inf], [0, 0], [0, 0.0]]), ["y[1, 1]", "inf"]),
        (GOOD_X, [1, 1, 1, 1], ["y", "two classes", "only 1"]),
        (GOOD_X, ["a"] * 4, ["y", "two classes", "only 'a'"]),
        ([["a", "b"]] * 4, GOOD_Y, ["X", "number"]),
        (GOOD_X * 1j, GOOD_Y, ["X", "complex"]),
    ],
)
def test_data_that_is_none_is_rejected(X, y, fragments):
    rejected(X, y, {}, fragments)


@pytest.mark.parametrize(
    ("option", "fragments"),
    [
        ({"activation": "sigmod"}, ["activation", "did you mean 'sigmoid'", "'relu'", "'tanh'"]),
        ({"activation": ("tanh", "tanh")}, ["activation", "2", "1"]),
        ({"loss": "cross_entropi"}, ["loss", "did you mean 'cross_entropy'"]),
        ({"output": "soft"}, ["output", "softmax"]),
        ({"optimizer": "adan"}, ["optimizer", "did you mean 'adam'", "'nesterov'"]),
        ({"init": "golrot"}, ["init", "did you mean 'glorot'"]),
        ({"task": "classify"}, ["task", "classification"]),
        ({"output": "identity", "loss": "cross_entropy"}, ["cross_entropy", "identity"]),
        ({"hidden": (3, 0)}, ["hidden", "0"]),
        ({"hidden": (-1,)}, ["hidden", "-1"]),
        ({"hidden": (2.5,)}, ["hidden", "2.5"]),
        ({"epochs": 0}, ["epochs", "0"]),
        ({"epochs": -3}, ["epochs", "-3"]),
        ({"epochs": 1.5}, ["epochs", "1.5"]),
        ({"batch_size": 0}, ["batch_size", "0"]),
        ({"batch_size": -7}, ["batch_size", "-7"]),
        ({"learning_rate": 0}, ["learning_rate", "0"]),
        ({"learning_rate": -0.1}, ["learning_rate", "-0.1"]),
        ({"learning_rate": np.nan}, ["learning_rate", "nan"]),
        ({"learning_rate": "fast"}, ["learning_rate", "fast"]),
        ({"momentum": 1.0}, ["momentum", "1"]),
        ({"momentum": -0.5}, ["momentum", "-0.5"]),
        ({"l2": -1}, ["l2", "-1"]),
        ({"patience": 0, "validation": 0.5}, ["patience", "0"]),
        ({"patience": 3}, ["patience", "validation"]),
        ({"validation": 0}, ["validation", "0"]),
        ({"validation": 1.0}, ["validation", "1"]),
        ({"validation": (GOOD_X[:, :2], GOOD_Y)}, ["validation", "3", "2"]),
        ({"validation": (GOOD_X, [0, 1, 2, 1])}, ["validation", "2"]),
        ({"threads": 0}, ["threads", "0"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"seed": 1.5}, ["seed", "1.5"]),
        ({"data_seed": -1}, ["data_seed", "-1"]),
        ({"data_seed": True}, ["data_seed", "True"]),
        ({"data_seed": "one"}, ["data_seed", "one"]),
        ({"target_loss": np.nan}, ["target_loss", "nan"]),
        ({"sample_weight": [1, 1, 1, -1]}, ["sample_weight[3]", "-1"]),
        ({"sample_weight": [0, 0, 0, 0]}, ["sample_weight", "zero"]),
        ({"sample_weight": [1, 1, 1]}, ["sample_weight", "3", "4"]),
        ({"sample_weight": [1, 1, np.inf, 1]}, ["sample_weight[2]", "inf"]),
        ({"class_weight": {0: 1.0, 1: 1.0, 2: 1.0}}, ["class_weight", "2"]),
        ({"class_weight": {0: 1.0, 1: -1.0}}, ["class_weight", "-1"]),
        ({"class_weight": "balance"}, ["class_weight", "balanced"]),
        ({"dtype": "float16"}, ["dtype", "float16"]),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_rejected(option, fragments):
    rejected(GOOD_X, GOOD_Y, {"hidden": (2,), **option}, fragments)


def test_class_weight_is_for_classifiers():
    with pytest.raises(ValueError, match="class_weight"):
        fastmlp.train(GOOD_X, GOOD_X[:, 0] + 0.5, class_weight={0: 1.0})


def test_the_data_stays_as_it_was():
    X, y = toy()
    kept = X.copy(), y.copy()
    fastmlp.train(X, y, epochs=3, standardize=True)
    assert np.array_equal(X, kept[0]) and np.array_equal(y, kept[1])
