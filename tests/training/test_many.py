"""train_many: a member is what train makes, the same to the bit beside any others; and what it says when that cannot be."""

import _thread
import inspect
import itertools
import re
import threading
import tracemalloc
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from cases import (
    BINARY,
    EVERY_NETWORK,
    RATES,
    REGRESSOR,
    SOFTMAX,
    labels_of,
    network_of,
    one_sentence,
    problem,
    slow,
    toy,
    without_bias,
)

import fastmlp
from fastmlp.training import descent, lanes

ROWS, EPOCHS, MEMBERS = (9, 2, 3) if numba.config.DISABLE_JIT else (61, 4, 17)
NETWORKS = pytest.mark.parametrize("network", [BINARY, SOFTMAX, REGRESSOR], ids=["binary", "softmax", "regressor"])
BATCH_SIZES = pytest.mark.parametrize("batch_size", [1, 7, None])
PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def shape_of(network):
    """The options that make such a network."""
    _, *hidden, _ = network.sizes
    return {
        "hidden": tuple(hidden),
        "activation": network.activations,
        "output": network.output,
        "loss": network.loss,
        "bias": network.bias,
    }


def data_of(network, rows=ROWS, dtype=np.float64):
    """X, and y as train_many takes it where all members have the same targets."""
    _, X, targets = problem(network, rows, dtype)
    y, _ = labels_of(network, targets)
    return X, y if y.ndim == 1 else y[:, None]


def own_options(options, i):
    """What train is given for member i."""
    own = {name: value for name, value in options.items() if name != "members"}
    for name in ("learning_rate", "l2", "momentum", "seed"):
        if np.ndim(own.get(name)) == 1:
            own[name] = own[name][i]
    for name in ("hidden", "activation", "batch_size"):
        if isinstance(own.get(name), list):
            own[name] = own[name][i]
    if np.ndim(own.get("sample_weight")) == 2:
        own["sample_weight"] = own["sample_weight"][:, i]
    if isinstance(own.get("validation"), tuple):
        own["validation"] = own["validation"][0], own_targets(own["validation"][1], i)
    if "members" in options and np.ndim(options["seed"]) == 0:
        own["seed"] = options["seed"] + i
    return own


def own_targets(y, i):
    y = np.asarray(y)
    return y if y.ndim == 1 else y[:, min(i, y.shape[1] - 1)]


def check_member(member, alone, tolerance, slack=0.0):
    for name in ("layer_sizes", "activations", "output", "loss_name", "bias", "dtype"):
        assert getattr(member, name) == getattr(alone, name), name
    assert (member.classes is None) == (alone.classes is None)
    assert member.classes is None or member.classes.tolist() == alone.classes.tolist()
    assert np.abs(member.theta - alone.theta).max() <= tolerance * np.abs(alone.theta).max() + slack
    assert (member.history.epochs, member.history.stopped_by) == (alone.history.epochs, alone.history.stopped_by)
    np.testing.assert_allclose(member.history.loss, alone.history.loss, rtol=tolerance)
    assert (member.history.validation_loss is None) == (alone.history.validation_loss is None)
    if alone.history.validation_loss is not None:
        np.testing.assert_allclose(member.history.validation_loss, alone.history.validation_loss, rtol=tolerance)


def compare(X, y, **options):
    """Train many, and each of them alone; the same but for rounding.

    float64: 1e-9 of the largest parameter. float32: in each update either of the two rounds every parameter to half an ulp and its
    gradient to a few; in the worst case, all in one direction. Adam divides by the size of a gradient: of one that nearly cancels
    little is left but rounding, and that may be a part of a step.
    """
    options = {"epochs": EPOCHS, "hidden": (5,), "seed": 0, **options}
    population = fastmlp.train_many(X, y, **options)
    for i in range(len(population)):
        own = own_options(options, i)
        alone = fastmlp.train(X, own_targets(y, i), **own)
        updates = alone.history.epochs * -(-len(X) // (own.get("batch_size", 32) or len(X)))
        if alone.dtype == np.float64:
            check_member(population[i], alone, 1e-9)
        else:
            slack = 0.1 * population.options["learning_rate"][i] if own.get("optimizer", "adam") == "adam" else 0.0
            check_member(population[i], alone, 8 * updates * np.finfo(np.float32).eps, slack)
    return population


def bits(population, i):
    """All that became of member i."""
    history = population.history
    epochs, stopped_by = int(history.epochs[i]), history.stopped_by[i]
    if stopped_by == "diverged":
        return epochs, stopped_by
    losses = [loss[i, :epochs].tobytes() for loss in (history.loss, history.validation_loss) if loss is not None]
    return epochs, stopped_by, population.scores[i], population[i].theta.tobytes(), *losses


def all_bits(population):
    return [bits(population, i) for i in range(len(population))]


def regression(rows=60):
    X, _ = toy(rows)
    return X, np.sin(X[:, 0]) + X[:, 1]


def unruly(members):
    """Options of so many members, some of which diverge, some of which stop early, and some of which go on to the end."""
    rates = np.resize([0.03, 1e30, 1e-3, 0.2, 0.01], members)
    l2 = np.resize([0.0, 0.01], members)
    return {"learning_rate": rates.tolist(), "l2": l2.tolist(), "seed": list(range(members))}


def chosen(options, places):
    return {name: [values[i] for i in places] for name, values in options.items()}


NOISY = regression(31)[0], regression(31)[1] + 4 * np.random.default_rng(0).normal(size=31)
UNRULY = {
    "epochs": 16, "optimizer": "sgd", "hidden": (5,), "activation": "tanh", "target_loss": 0.05, "validation": NOISY, "patience": 5,
}  # fmt: skip


# -- A member is what train makes --------------------------------------------------------------------------------------


def test_every_option_of_train_is_one_of_train_many():
    of_one, of_many = (inspect.signature(function).parameters for function in (fastmlp.train, fastmlp.train_many))
    assert {"members", "halving"} == of_many.keys() - of_one.keys()
    assert {"keep_state"} == of_one.keys() - of_many.keys()
    for name in of_one.keys() & of_many.keys():
        parameter = of_one[name]
        assert of_many[name].default == parameter.default, name
        assert of_many[name].kind == parameter.kind, name


@pytest.mark.kernels
@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("optimizer", RATES)
@NETWORKS
def test_members_are_what_train_makes(network, optimizer, batch_size, dtype):
    X, y = data_of(network, dtype=dtype)
    options = {"optimizer": optimizer, "learning_rate": 0.2 * RATES[optimizer], "batch_size": batch_size}
    compare(X, y, members=MEMBERS, **shape_of(network), **options)
    compare(X, y, members=2, **shape_of(without_bias(network)), **options)


@BATCH_SIZES
@pytest.mark.parametrize(("activation", "output", "loss", "dtype"), EVERY_NETWORK)
def test_members_of_every_kind_are_what_train_makes(activation, output, loss, dtype, batch_size):
    for number, hidden in enumerate([(), (1,), (8, 9)]):
        for outputs in (2, 3) if output == "softmax" else (1, 2, 3):
            network = network_of(activation, output, loss, hidden, outputs=outputs, bias=(number + outputs) % 2 == 0)
            X, y = data_of(network, dtype=dtype)
            options = {"batch_size": batch_size, "optimizer": "sgd", "learning_rate": slow(network, 0.02), "epochs": 2}
            compare(X, y, members=2, **shape_of(network), **options)


OPTIONS = {
    "l2": {"l2": 0.05},
    "momentum": {"optimizer": "momentum", "momentum": 0.5},
    "default rate": {"optimizer": "sgd"},
    "sample_weight": {"sample_weight": np.arange(ROWS) % 4.0},
    "own sample_weight": {"sample_weight": 1 + np.arange(5.0 * ROWS).reshape(ROWS, 5) % 7},
    "class_weight": {"class_weight": {0: 3.0}},
    "balanced": {"class_weight": "balanced", "sample_weight": 1 + np.arange(5.0 * ROWS).reshape(ROWS, 5) % 7},
    "bootstrap": {"bootstrap": True},
    "bootstrap of rows that are kept": {"bootstrap": True, "validation": 0.4},
    "bootstrap of weighted": {"bootstrap": True, "sample_weight": 1 + np.arange(ROWS) % 2, "validation": 0.4},
    "ordered": {"shuffle": False},
    "data_seed": {"data_seed": 3, "validation": 0.4},
    "data_seed of bootstrap": {"data_seed": 3, "validation": 0.4, "bootstrap": True},
    "held out": {"validation": 0.4},
    "own rows": {"validation": (toy(23, seed=1))},
    "patience": {"validation": toy(23, seed=1), "patience": 1, "epochs": 30, "learning_rate": 0.1},
    "target_loss": {"target_loss": 0.4, "epochs": 10},
    "not standardized": {"standardize": False},
    "standardized": {"standardize": True, "validation": 0.4},
    "glorot": {"init": "glorot"},
    "he": {"init": "he"},
    "normal": {"init": "normal"},
    "uniform": {"init": "uniform"},
    "softmax of two": {"output": "softmax"},
    "regression": {"task": "regression"},
    "large batch": {"batch_size": ROWS - 1},
    "beyond the data": {"batch_size": 10 * ROWS},
}


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("option", OPTIONS)
def test_options_mean_what_they_mean_to_train(option, batch_size, dtype):
    X, y = toy(ROWS)
    options = OPTIONS[option]
    if dtype == np.float32:  # which epoch is the best, or good enough, may hang on the last bit
        options = {name: value for name, value in options.items() if name not in ("patience", "target_loss")}
        options["epochs"] = EPOCHS
    compare((5 * X + 3).astype(dtype), y, **{"members": 5, "batch_size": batch_size, "learning_rate": 0.01} | options)


@BATCH_SIZES
@pytest.mark.parametrize("standardize", [True, False])
def test_members_go_on_from_a_network(standardize, batch_size):
    X, y = toy(ROWS)
    init = fastmlp.train(X, y, hidden=(5, 4), activation=("relu", "tanh"), epochs=3, seed=9)
    before = init.theta.copy()
    compare(X, y, init=init, hidden=None, members=3, batch_size=batch_size, standardize=standardize)
    assert np.array_equal(init.theta, before), "the network that they start from stays as it is"


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("members", [1, 2, 17, 65, 130])
def test_any_number_of_members(members, batch_size, dtype):
    X, y = toy(33)
    population = compare(X.astype(dtype), y, members=members, batch_size=batch_size, epochs=2, optimizer="sgd")
    assert len(population) == len(population.scores) == members
    assert len({population[i].theta.tobytes() for i in range(members)}) == members


@BATCH_SIZES
@pytest.mark.parametrize(("rows", "inputs"), [(1, 1), (1, 3), (2, 1), (3, 2), (32, 1), (33, 9), (129, 1)])
def test_any_number_of_rows_and_inputs(rows, inputs, batch_size):
    X = np.random.default_rng(0).normal(size=(rows, inputs))
    compare(X, X[:, 0] ** 2, members=3, batch_size=batch_size)
    compare(X, X[:, 0] ** 2, members=3, batch_size=batch_size, standardize=False, bias=False)


@pytest.mark.parametrize("batch_size", [500, 2999, None])
def test_large_batches(batch_size):
    X, y = toy(3000)
    compare(X, y, members=3, batch_size=batch_size, hidden=(40,), optimizer="momentum", validation=0.3)


@BATCH_SIZES
def test_each_member_has_its_own_numbers(batch_size):
    X, y = toy(ROWS)
    options = {"learning_rate": [0.01, 0.02, 0.05], "l2": (0.0, 0.1, 0.01), "momentum": np.array([0.9, 0.0, 0.5])}
    compare(X, y, optimizer="nesterov", seed=[7, 3, 7], batch_size=batch_size, **options)
    compare(X, y, optimizer="nesterov", seed=range(4, 7), batch_size=batch_size, **options)
    compare(X, y, optimizer="nesterov", seed=5, members=3, batch_size=batch_size, **options)
    compare(X, y, learning_rate=np.array([0.01, 0.05], np.float32), batch_size=batch_size)


def test_architectures_may_be_mixed_and_come_back_in_order():
    X, y = toy(ROWS)
    hidden = [(5,), 3, (), (4, 3), (5,), [6], (5,), (4, 3)]
    activation = ["relu", "tanh", "tanh", ("sigmoid", "relu"), "relu", "identity", "tanh", "tanh"]
    batch_size = [7, 1, None, 7, 1, None, 7, 1]
    for optimizer in ("sgd", "adam"):
        compare(X, y, hidden=hidden, activation=activation, batch_size=batch_size, members=8, optimizer=optimizer)
    population = compare(
        X, y, hidden=hidden, activation=activation, batch_size=batch_size, learning_rate=0.01 + 0.01 * np.arange(8)
    )
    assert population.options["hidden"] == [(5,), (3,), (), (4, 3), (5,), (6,), (5,), (4, 3)]
    assert population.options["activation"][2:4] == [(), ("sigmoid", "relu")]
    assert population.options["batch_size"] == batch_size


def test_a_list_is_for_the_members_and_a_tuple_for_the_layers():
    X, y = toy(ROWS)
    assert [m.layer_sizes for m in compare(X, y, hidden=[6, 7])] == [(3, 6, 1), (3, 7, 1)]
    assert [m.layer_sizes for m in compare(X, y, hidden=(6, 7))] == [(3, 6, 7, 1)]
    assert [m.layer_sizes for m in compare(X, y, hidden=[(6, 7)])] == [(3, 6, 7, 1)]
    assert [m.activations for m in compare(X, y, hidden=(6, 7), activation=("tanh", "relu"))] == [("tanh", "relu")]
    assert [m.activations for m in compare(X, y, hidden=(6, 7), activation=["tanh", "relu"])] == [("tanh",) * 2, ("relu",) * 2]


# -- How many members, and their seeds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "members"),
    [
        ({}, 1),
        ({"members": 4}, 4),
        ({"seed": [3, 1]}, 2),
        ({"seed": (3, 1, 2)}, 3),
        ({"learning_rate": [0.1]}, 1),
        ({"l2": np.zeros(2)}, 2),
        ({"momentum": (0.1, 0.2)}, 2),
        ({"hidden": [(2,), (3,)]}, 2),
        ({"activation": ["tanh", "relu", "relu"]}, 3),
        ({"batch_size": [None, 1]}, 2),
        ({"sample_weight": np.ones((60, 3))}, 3),
        ({"members": 2, "seed": [5, 6], "l2": [0, 1], "hidden": [2, 3], "sample_weight": np.ones((60, 2))}, 2),
    ],
    ids=str,
)
def test_members_are_as_many_as_anything_says(options, members):
    X, y = toy()
    population = fastmlp.train_many(X, y, epochs=1, **options)
    assert len(population) == members
    assert all(len(values) == members for values in population.options.values())
    assert population.history.loss.shape[0] == len(population.history.epochs) == len(population.history.stopped_by) == members


def test_seeds_count_up_from_seed_where_there_are_members():
    X, y = toy()
    assert fastmlp.train_many(X, y, epochs=1, members=3, seed=5).options["seed"] == [5, 6, 7]
    assert fastmlp.train_many(X, y, epochs=1, members=2, seed=[9, 1]).options["seed"] == [9, 1]
    assert fastmlp.train_many(X, y, epochs=1, l2=[0, 1, 2], seed=5).options["seed"] == [5, 5, 5]
    assert fastmlp.train_many(X, y, epochs=1, seed=np.arange(2)).options["seed"] == [0, 1]


def test_a_seed_that_was_not_given_is_noted():
    X, y = toy()
    one, other = (fastmlp.train_many(X, y, epochs=1, members=2) for _ in range(2))
    assert not set(one.options["seed"]) & set(other.options["seed"])
    for i, seed in enumerate(one.options["seed"]):
        check_member(one[i], fastmlp.train(X, y, epochs=1, seed=seed), 1e-9)
    population = fastmlp.train_many(X, y, epochs=1, learning_rate=[0.1, 0.2])
    for i, (seed, rate) in enumerate(zip(population.options["seed"], (0.1, 0.2), strict=True)):
        check_member(population[i], fastmlp.train(X, y, epochs=1, seed=seed, learning_rate=rate), 1e-9)


def test_without_members_all_have_one_seed():
    X, y = toy()
    same = fastmlp.train_many(X, y, epochs=1, learning_rate=[0.1, 0.1])
    assert bits(same, 0) == bits(same, 1)


def test_options_are_noted_as_they_took_effect():
    X, y = toy()
    options = fastmlp.train_many(X, y, epochs=1, optimizer="sgd", members=2, seed=3).options
    assert {name: list(values) for name, values in options.items()} == {
        "seed": [3, 4],
        "learning_rate": [0.016, 0.016],
        "l2": [0.0, 0.0],
        "momentum": [0.9, 0.9],
        "hidden": [(100,), (100,)],
        "activation": [("relu",), ("relu",)],
        "batch_size": [32, 32],
    }


# -- Targets and rows --------------------------------------------------------------------------------------------------


@BATCH_SIZES
def test_a_column_of_y_for_each_member(batch_size):
    X, _ = toy(ROWS)
    one_vs_rest = (np.arange(ROWS)[:, None] % 3 == np.arange(3)).astype(int)
    words = np.where(one_vs_rest == 1, np.array(["circle", "line", "cross"]), "other")
    for columns in (one_vs_rest, one_vs_rest == 1, words, X**2, one_vs_rest.tolist()):
        population = compare(X, columns, batch_size=batch_size, members=3)
        assert len(compare(X, columns, batch_size=batch_size)) == len(population) == 3
        with pytest.raises(ValueError, match="targets"):
            population.predict(X)
    assert [population.classes.tolist() for population in compare(X, words)] == [
        ["circle", "other"],
        ["line", "other"],
        ["cross", "other"],
    ]
    compare(X, X**2, validation=(X[:9], X[:9] ** 2), batch_size=batch_size)
    compare(X, one_vs_rest, validation=0.4, class_weight="balanced", batch_size=batch_size)


@BATCH_SIZES
def test_one_column_of_y_is_for_all(batch_size):
    X, y = toy(ROWS)
    for column in (y[:, None], X[:, :1], np.where(y, "a", "b")[:, None]):
        population = compare(X, column, members=3, batch_size=batch_size)
        assert len(population.predict(X)) == ROWS
        assert all_bits(population) == all_bits(compare(X, column[:, 0], members=3, batch_size=batch_size))


@BATCH_SIZES
def test_several_outputs_are_the_last_axis(batch_size):
    X, _ = toy(ROWS)
    each = np.stack([X[:, :2], X[:, 1:], X[:, ::2] ** 2, -X[:, :2]], axis=1)
    assert [m.layer_sizes for m in compare(X, each, batch_size=batch_size)] == [(3, 5, 2)] * 4
    assert [m.layer_sizes for m in compare(X, each[:, :1], batch_size=batch_size, members=3)] == [(3, 5, 2)] * 3
    assert [m.layer_sizes for m in compare(X, each[:, :, :1], batch_size=batch_size)] == [(3, 5, 1)] * 4
    compare(X, each[:, :1], batch_size=batch_size, members=2, validation=(X[:5], each[:5, :1]))


def test_labels_may_be_anything_that_train_takes():
    X, y = toy(ROWS)
    for labels in (y == 1, y.astype("u1"), np.where(y, "yes", "no"), 7 * y - 3, np.arange(ROWS) % 4, y.tolist()):
        compare(X, labels, members=2)


def test_rows_may_be_anything_that_train_takes(tmp_path):
    X, y = toy(ROWS)
    stored = np.memmap(tmp_path / "X", np.float32, "w+", shape=X.shape)
    stored[:] = X
    stored.flush()
    locked = np.memmap(tmp_path / "X", np.float32, "r", shape=X.shape)
    others = np.round(X).astype(int), X > 0, X.tolist(), X[:, ::-1], np.asfortranarray(X), X.astype("f2"), X.astype(">f8")
    for rows in (locked, *others):
        compare(rows, y, members=2)
    assert compare(locked, y, members=2)[0].dtype == np.float32
    assert compare(X, y, members=2, dtype="float32")[0].dtype == np.float32


def test_many_small_integers_are_read_as_they_are():
    X = np.random.default_rng(0).integers(0, 256, size=(8200, 512), dtype=np.uint8)
    y = X[:, 0] > 127
    options = {"hidden": (2,), "epochs": 2, "batch_size": 500}
    fastmlp.train_many(X, y, **options)
    tracemalloc.start()
    population = fastmlp.train_many(X, y, members=2, seed=0, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * X.size, "as float64 they take more"
    for i in range(2):
        check_member(population[i], fastmlp.train(X, y, seed=i, **options), 1e-9)


def test_the_data_stays_as_it_was():
    X, y = toy()
    weight = np.ones((60, 2))
    kept = X.copy(), y.copy()
    fastmlp.train_many(X, y, members=2, epochs=2, sample_weight=weight, bootstrap=True)
    assert np.array_equal(X, kept[0]) and np.array_equal(y, kept[1]) and (weight == 1).all()


def test_training_draws_nothing_from_the_global_generator():
    before = np.random.get_state()[1].copy()
    fastmlp.train_many(*toy(), members=2, epochs=2, bootstrap=True)
    assert np.array_equal(np.random.get_state()[1], before)


# -- The same bits -----------------------------------------------------------------------------------------------------


@PRECISIONS
@BATCH_SIZES
def test_the_same_bits_for_any_thread_count(batch_size, dtype):
    X, y = regression(200)
    options = {**UNRULY, **unruly(130), "batch_size": batch_size}
    one, *others = (fastmlp.train_many(X.astype(dtype), y, threads=threads, **options) for threads in (1, 2, 5, None))
    for other in others:
        assert all_bits(other) == all_bits(one)


@pytest.mark.parametrize("batch_size", [600, None])
def test_large_batches_have_the_same_bits_for_any_thread_count_and_any_neighbours(batch_size):
    X, y = toy(3000)
    options = {"hidden": (40,), "epochs": 3, "batch_size": batch_size}
    one, two, five = (fastmlp.train_many(X, y, members=9, seed=0, threads=threads, **options) for threads in (1, 2, 5))
    assert all_bits(one) == all_bits(two) == all_bits(five)
    for seed in (0, 8):
        assert bits(fastmlp.train_many(X, y, seed=[seed], threads=2, **options), 0) == bits(one, seed)


@pytest.mark.parametrize("optimizer", RATES)
@PRECISIONS
@BATCH_SIZES
def test_the_same_bits_for_any_neighbours_in_any_place(batch_size, dtype, optimizer):
    X, y = regression()
    X = X.astype(dtype)
    options = unruly(70)
    common = {**UNRULY, "batch_size": batch_size, "optimizer": optimizer}
    whole = all_bits(fastmlp.train_many(X, y, **options, **common))
    order = np.random.default_rng(0).permutation(70)
    for places in (order, order[:33], order[:2], range(0, 70, 5), [0], [3], [12, 12, 12]):
        part = fastmlp.train_many(X, y, **chosen(options, places), **common)
        assert all_bits(part) == [whole[i] for i in places]


@BATCH_SIZES
def test_the_unruly_end_in_every_way(batch_size):
    """What the tests of the same bits rest on."""
    population = fastmlp.train_many(*regression(), **unruly(70), **UNRULY, batch_size=batch_size)
    assert set(population.history.stopped_by) == {"diverged", "target_loss", "patience", "epochs"}
    assert len(set(population.history.epochs.tolist())) > 3


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("on_epoch", [None, lambda *_: None], ids=["at once", "epoch by epoch"])
def test_the_same_bits_after_most_have_left(on_epoch, batch_size, dtype):
    X, y = regression()
    X = X.astype(dtype)
    rates = np.full(130, 1e30)
    rates[::31] = 1e-3
    options = {"optimizer": "sgd", "hidden": (5,), "epochs": 20, "batch_size": batch_size}
    population = fastmlp.train_many(X, y, learning_rate=rates, seed=range(130), on_epoch=on_epoch, **options)
    assert population.history.stopped_by.count("diverged") == 125
    for i in range(0, 130, 31):
        assert bits(population, i) == bits(fastmlp.train_many(X, y, learning_rate=1e-3, seed=i, **options), 0)


@BATCH_SIZES
def test_the_same_bits_beside_other_architectures_and_targets(batch_size):
    X, y = toy(ROWS)
    options = {"epochs": 3, "batch_size": batch_size}
    architectures = {"hidden": [(5,), (3,), (5,), (4, 4)], "activation": ["tanh", "tanh", "relu", "tanh"]}
    mixed = fastmlp.train_many(X, y, seed=1, **architectures, **options)
    assert bits(mixed, 0) == bits(fastmlp.train_many(X, y, hidden=(5,), activation="tanh", seed=1, **options), 0)
    assert bits(mixed, 2) == bits(fastmlp.train_many(X, y, hidden=(5,), activation="relu", seed=1, **options), 0)
    columns = fastmlp.train_many(X, X**2, seed=1, **options)
    for i in range(3):
        assert bits(columns, i) == bits(fastmlp.train_many(X, X[:, i] ** 2, seed=1, **options), 0)
    weight = 1 + np.arange(4.0 * ROWS).reshape(ROWS, 4) % 5
    weighted = fastmlp.train_many(X, y, sample_weight=weight, seed=1, bootstrap=True, **options)
    assert bits(weighted, 3) == bits(fastmlp.train_many(X, y, sample_weight=weight[:, 3], seed=1, bootstrap=True, **options), 0)


@BATCH_SIZES
def test_being_watched_changes_no_bit(batch_size):
    X, y = regression()
    options = {**UNRULY, **unruly(20), "batch_size": batch_size}
    alone = fastmlp.train_many(X, y, **options)
    assert all_bits(fastmlp.train_many(X, y, on_epoch=lambda *_: None, progress=True, **options)) == all_bits(alone)


def test_a_longer_training_begins_as_a_shorter_one():
    X, y = toy()
    short, long = (
        fastmlp.train_many(X, y, members=20, seed=0, epochs=epochs, batch_size=1, schedule="constant") for epochs in (3, 40)
    )
    assert np.array_equal(long.history.loss[:, :3], short.history.loss)


# -- How each member ended ---------------------------------------------------------------------------------------------


def check_ends(population):
    """Losses of the epochs that a member completed, then NaN."""
    history = population.history
    for losses in (history.loss, history.validation_loss):
        if losses is None:
            continue
        assert losses.dtype == np.float64
        for row, epochs, stopped_by in zip(losses, history.epochs, history.stopped_by, strict=True):
            assert np.isnan(row[epochs:]).all()
            assert stopped_by == "diverged" or np.isfinite(row[:epochs]).all()
    for i, stopped_by in enumerate(history.stopped_by):
        if stopped_by == "diverged":
            assert not np.isfinite(population.scores[i])
            with pytest.raises(fastmlp.DivergedError, match="diverged"):
                _ = population[i]
        else:
            member = population[i].history
            assert (member.epochs, member.stopped_by) == (history.epochs[i], stopped_by)
            assert np.array_equal(member.loss, history.loss[i, : member.epochs])


@BATCH_SIZES
def test_histories_end_where_members_do(batch_size):
    population = fastmlp.train_many(*regression(), **unruly(20), **UNRULY, batch_size=batch_size)
    check_ends(population)
    assert population.history.loss.shape[0] == 20 and population.history.loss.shape[1] >= population.history.epochs.max()
    assert population.history.validation_loss.shape == population.history.loss.shape
    assert fastmlp.train_many(*regression(), members=2, epochs=1).history.validation_loss is None


def test_members_stop_when_their_loss_is_low_enough():
    X, y = regression()
    options = {"members": 20, "seed": 0, "epochs": 200, "target_loss": 0.05}
    population = fastmlp.train_many(X, y, **options)
    assert set(population.history.stopped_by) == {"target_loss"}
    assert len(set(population.history.epochs.tolist())) > 3
    for loss, epochs in zip(population.history.loss, population.history.epochs, strict=True):
        assert loss[epochs - 1] <= 0.05 < loss[: epochs - 1].min()
    check_ends(population)


@BATCH_SIZES
def test_patience_keeps_the_best_weights_of_each(batch_size):
    X, y = toy()
    Xv, yv = toy(40, seed=9)
    options = {"hidden": (20,), "learning_rate": 0.05, "epochs": 200, "batch_size": batch_size}
    population = compare(X, y, members=10, validation=(Xv, yv), patience=4, **options)
    assert "patience" in population.history.stopped_by
    for i, stopped_by in enumerate(population.history.stopped_by):
        losses = population[i].history.validation_loss
        if stopped_by == "patience":
            assert len(losses) == losses.argmin() + 1 + 4
        np.testing.assert_allclose(population[i].loss(Xv, yv), losses.min(), rtol=1e-12)
        assert population.scores[i] == losses.min()


def test_scores_are_of_the_weights_that_are_kept():
    X, y = toy()
    population = fastmlp.train_many(X, y, members=3, epochs=4)
    assert np.array_equal(population.scores, population.history.loss[:, 3])
    population = fastmlp.train_many(X, y, members=3, epochs=40, validation=toy(40, seed=9), learning_rate=0.1)
    assert np.array_equal(population.scores, population.history.validation_loss[:, 39])
    assert (population.scores > population.history.validation_loss.min(axis=1)).any()


@PRECISIONS
@BATCH_SIZES
def test_members_that_diverge_leave_the_others_alone(batch_size, dtype):
    X, y = regression()
    X = X.astype(dtype)
    rates = [0.01, 1e9, 0.02, 1e12, 0.03]
    options = {"optimizer": "sgd", "batch_size": batch_size, "epochs": 30, "hidden": (5,), "seed": 0}
    population = fastmlp.train_many(X, y, learning_rate=rates, **options)
    assert population.history.stopped_by == ["epochs", "diverged", "epochs", "diverged", "epochs"]
    check_ends(population)
    others = fastmlp.train_many(X, y, learning_rate=rates[::2], **options)
    assert all_bits(others) == [bits(population, i) for i in (0, 2, 4)]
    for i in (1, 3):
        with pytest.raises(fastmlp.DivergedError) as alone:
            fastmlp.train(X, y, learning_rate=rates[i], **options)
        with pytest.raises(fastmlp.DivergedError, match="learning_rate") as member:
            _ = population[i]
        assert member.value.epoch == alone.value.epoch


@pytest.mark.parametrize("options", [{}, {"validation": 0.3}, {"hidden": [(3,), (4,), (4,)]}, {"batch_size": None}], ids=str)
def test_when_all_diverge_the_range_of_rates_is_named(options):
    X, y = regression()
    options = {"optimizer": "sgd", "learning_rate": [1e9, 1e7, 1e8], "batch_size": 1, **options}
    with pytest.raises(fastmlp.DivergedError, match="learning_rate") as error:
        fastmlp.train_many(X, y, **options)
    message = str(error.value)
    assert "1e+07" in message and "1e+09" in message and "\n" not in message


def test_a_rate_that_all_diverge_with_is_named():
    with pytest.raises(fastmlp.DivergedError, match=r"1e\+09"):
        fastmlp.train_many(*regression(), optimizer="sgd", learning_rate=1e9, batch_size=1, members=3)


@pytest.mark.parametrize("validation", [None, 0.3])
def test_on_epoch_is_told_of_all_members_once_an_epoch(validation):
    X, y = regression()
    told = []
    options = {"hidden": [(5,), (3,)] * 10, "batch_size": [1, 7, None, 7] * 5, "target_loss": 0.08, "epochs": 40}
    options |= {"optimizer": "sgd", "learning_rate": np.resize([0.1, 0.02, 0.05], 20), "validation": validation, "seed": range(20)}
    population = fastmlp.train_many(X, y, on_epoch=lambda *news: told.append(news), **options)
    assert [epoch for epoch, _, _ in told] == list(range(40))
    assert {"target_loss", "epochs"} <= set(population.history.stopped_by)
    for place, losses in ((1, population.history.loss), (2, population.history.validation_loss)):
        if losses is None:
            assert all(news[place] is None for news in told)
        else:
            assert np.array_equal(np.array([news[place] for news in told]).T, losses, equal_nan=True)


@pytest.mark.parametrize("yes", [True, np.True_])
def test_on_epoch_stops_all_that_have_not_ended(yes):
    X, y = regression()
    options = {"learning_rate": [1e-4, 0.1, 1e9, 2e-4], "optimizer": "sgd", "seed": 0, "batch_size": 1, "target_loss": 0.2}
    population = fastmlp.train_many(X, y, epochs=200, on_epoch=lambda epoch, *_: yes if epoch == 4 else None, **options)
    shorter = fastmlp.train_many(X, y, epochs=5, **options)
    assert population.history.stopped_by == [w if w != "epochs" else "on_epoch" for w in shorter.history.stopped_by]
    assert {"on_epoch", "target_loss", "diverged"} == set(population.history.stopped_by)
    for i in (0, 1, 3):
        assert np.array_equal(population[i].theta, shorter[i].theta)
    check_ends(population)


def test_on_epoch_is_told_of_an_epoch_no_more_when_all_have_ended():
    told = []
    options = {"members": 3, "epochs": 500, "target_loss": 0.05, "seed": 0}
    population = fastmlp.train_many(*regression(), on_epoch=lambda *news: told.append(news), **options)
    assert set(population.history.stopped_by) == {"target_loss"}
    assert len(told) == population.history.epochs.max()


def test_an_error_in_on_epoch_is_the_callers():
    def fail(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fastmlp.train_many(*toy(), members=2, epochs=5, on_epoch=fail)


def test_progress_writes_one_line_to_stderr(capsys):
    fastmlp.train_many(*toy(), members=2, epochs=3)
    assert capsys.readouterr() == ("", "")
    fastmlp.train_many(*toy(), members=2, epochs=3, progress=True)
    out, err = capsys.readouterr()
    assert not out and "3" in err and err.count("\n") == 1


@BATCH_SIZES
def test_ctrl_c_in_on_epoch_gives_the_population_so_far(batch_size):
    def interrupt(epoch, *_):
        if epoch == 4:
            raise KeyboardInterrupt

    X, y = regression()
    options = {"learning_rate": [1e-4, 0.1, 1e9, 2e-4], "optimizer": "sgd", "seed": 0, "batch_size": batch_size, "target_loss": 0.2}
    with pytest.warns(RuntimeWarning, match="interrupted") as warned:
        population = fastmlp.train_many(X, y, epochs=200, on_epoch=interrupt, **options)
    assert warned[0].filename == __file__  # it points to the call
    shorter = fastmlp.train_many(X, y, epochs=5, **options)
    assert population.history.stopped_by == [w if w != "epochs" else "interrupt" for w in shorter.history.stopped_by]
    assert "interrupt" in population.history.stopped_by
    for i, stopped_by in enumerate(shorter.history.stopped_by):
        if stopped_by != "diverged":
            assert population.history.epochs[i] == shorter.history.epochs[i]
            assert np.array_equal(population[i].theta, shorter[i].theta)
    check_ends(population)


@BATCH_SIZES
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_during_the_kernels_gives_the_population_so_far(batch_size, threads):
    X, y = toy(20_000)
    options = {"members": 64, "seed": 0, "batch_size": batch_size, "threads": threads}
    fastmlp.train_many(X[:100], y[:100], epochs=1, **options)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with pytest.warns(RuntimeWarning, match="interrupted"):
        population = fastmlp.train_many(X, y, epochs=5000, **options)  # a minute's work, and more
    timer.join()
    assert "interrupt" in population.history.stopped_by
    check_ends(population)


@pytest.mark.parametrize("options", [{}, {"validation": 0.25}, {"validation": 0.25, "patience": 1}], ids=str)
@pytest.mark.parametrize(
    ("batch_size", "where"),
    [(1, (lanes.population, "descend_online")), (16, (lanes.population, "descend")), (256, (descent.Descent, "_advance"))],
    ids=["1", "16", "256"],
)
def test_after_ctrl_c_each_member_is_what_its_history_says(batch_size, where, options, monkeypatch):
    """Right after a kernel call, within an epoch or at the end of some, before anything of it is noted."""
    X, y = toy(400)
    options = {"members": 3, "seed": 0, "batch_size": batch_size, "optimizer": "sgd", "learning_rate": 0.3, **options}
    whole = {epochs: fastmlp.train_many(X, y, epochs=epochs, **options) for epochs in range(1, 7)}
    function, seen = getattr(*where), set()
    monkeypatch.setattr(descent, "WORTH_A_TRIAL", 0)
    for room in (lanes, descent):
        monkeypatch.setattr(room, "CALL_SECONDS", 0)  # a batch each, but for the first call, which may have several epochs
    for first, calls in itertools.product((1, 10**6), (1, 2, 3, 7, 60, 130)):
        for room in (lanes, descent):
            monkeypatch.setattr(room, "FIRST_CALL", first)
        left = iter(range(calls))

        def interrupted(*args, left=left):
            result = function(*args)
            if next(left, None) is None:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(*where, interrupted)
        with warnings.catch_warnings(record=True, action="always") as caught:
            population = fastmlp.train_many(X, y, epochs=6, **options)
        check_ends(population)
        history, epochs = population.history, set()
        for member, stopped_by in enumerate(history.stopped_by):
            if done := history.epochs[member]:
                expected = whole[done]
                assert np.array_equal(population[member].theta, expected[member].theta)
                assert np.array_equal(history.loss[member, :done], expected.history.loss[member, :done])
            if stopped_by == "interrupt":
                epochs.add(int(done))
        if epochs:
            assert f"after {' to '.join(map(str, sorted({min(epochs), max(epochs)})))} of 6 epochs" in str(caught[0].message)
            seen |= epochs
    assert len(seen) > 1


# -- Successive halving ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validation", [None, 0.3])
@BATCH_SIZES
def test_each_rung_leaves_the_best(batch_size, validation):
    X, y = regression()
    rates = [0.01, 0.1, 0.001, 0.05, 0.003, 0.0001, 0.03, 0.02, 0.0003]
    options = {"optimizer": "sgd", "batch_size": batch_size, "data_seed": 1, "validation": validation, "seed": 0, "hidden": (5,)}
    population = fastmlp.train_many(X, y, learning_rate=rates, halving=3, epochs=18, **options)
    history = population.history
    losses = history.loss if validation is None else history.validation_loss
    assert sorted(history.epochs.tolist()) == [2] * 6 + [6] * 2 + [18]
    assert set(np.flatnonzero(history.epochs > 2)) == set(losses[:, 1].argsort()[:3])
    third = np.flatnonzero(history.epochs > 2)
    assert np.flatnonzero(history.epochs > 6).tolist() == [third[losses[third, 5].argmin()]]
    assert [why == "epochs" for why in history.stopped_by] == (history.epochs == 18).tolist()
    assert set(history.stopped_by) == {"halving", "epochs"}
    check_ends(population)


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("on_epoch", [None, lambda *_: None], ids=["at once", "epoch by epoch"])
def test_members_of_halving_are_as_if_each_had_trained_alone(on_epoch, batch_size, dtype):
    X, y = toy()
    X = X.astype(dtype)
    options = {"batch_size": batch_size, "epochs": 27, "validation": 0.3, "data_seed": 2, "hidden": (5,), "schedule": "constant"}
    population = fastmlp.train_many(X, y, members=27, seed=0, halving=3, on_epoch=on_epoch, **options)
    (winner,) = np.flatnonzero(population.history.epochs == 27)
    assert population.history.stopped_by[winner] == "epochs"
    assert bits(population, winner) == bits(fastmlp.train_many(X, y, seed=int(winner), **options), 0)
    for i, epochs in enumerate(population.history.epochs.tolist()):
        assert np.array_equal(population[i].theta, fastmlp.train_many(X, y, seed=i, **{**options, "epochs": epochs})[0].theta)


@BATCH_SIZES
@pytest.mark.parametrize("on_epoch", [None, lambda *_: None], ids=["at once", "epoch by epoch"])
def test_members_of_halving_keep_orders_of_their_own(on_epoch, batch_size):
    X, y = toy()
    options = {"batch_size": batch_size, "schedule": "constant"}
    population = fastmlp.train_many(X, y, members=9, seed=0, halving=3, epochs=9, on_epoch=on_epoch, **options)
    for i, epochs in enumerate(population.history.epochs.tolist()):
        alone = fastmlp.train(X, y, seed=i, epochs=epochs, **options)
        np.testing.assert_allclose(population[i].theta, alone.theta, atol=1e-9 * np.abs(alone.theta).max())


@pytest.mark.parametrize(("members", "halving"), [(2, 2), (3, 2), (8, 2), (10, 2), (10, 3), (20, 3), (30, 4), (5, 7)])
def test_the_best_part_goes_on_rounded_up(members, halving):
    population = fastmlp.train_many(*toy(), members=members, seed=0, halving=halving, epochs=2 * halving**3)
    ends, left = np.unique(population.history.epochs, return_counts=True)
    assert ends[-1] == 2 * halving**3
    assert set(ends) <= {2 * halving**3 // halving**rung for rung in range(4)} | {ends[0]}
    alive = members
    for ended in left[:-1]:
        assert alive - ended == -(-alive // halving)
        alive -= ended
    assert alive == left[-1] <= halving


def test_epochs_need_not_divide():
    X, y = toy()
    population = fastmlp.train_many(X, y, members=9, seed=0, halving=3, epochs=20)
    (winner,) = np.flatnonzero(population.history.epochs == 20)
    assert bits(population, winner) == bits(fastmlp.train_many(X, y, seed=int(winner), epochs=20), 0)
    assert len(set(population.history.epochs.tolist())) == 3


def test_what_diverges_does_not_go_on():
    rates = np.full(9, 1e9)
    rates[4], rates[7] = 0.01, 0.02
    options = {"optimizer": "sgd", "batch_size": 1, "seed": 0, "epochs": 18, "halving": 3}
    population = fastmlp.train_many(*regression(), learning_rate=rates, **options)
    assert population.history.stopped_by.count("diverged") == 7
    left, best = sorted((4, 7), key=population.history.epochs.__getitem__)
    assert population.history.stopped_by[left] == "halving"
    assert population.history.stopped_by[best] == "epochs" and population.history.epochs[best] == 18
    end = population.history.epochs[left] - 1
    assert population.history.loss[best, end] < population.history.loss[left, end]


def test_halving_goes_over_all_architectures():
    options = {"hidden": [(2,), (20,), ()] * 3, "activation": "relu", "batch_size": [1, 7, None] * 3, "seed": range(9), "epochs": 9}
    population = fastmlp.train_many(*regression(), halving=3, **options)
    assert sorted(population.history.epochs.tolist()) == [1] * 6 + [3] * 2 + [9]
    assert set(np.flatnonzero(population.history.epochs > 1)) == set(population.history.loss[:, 0].argsort()[:3])


def test_on_epoch_hears_of_every_epoch_of_halving():
    told = []
    options = {"members": 9, "seed": 0, "epochs": 9, "halving": 3}
    population = fastmlp.train_many(*toy(), on_epoch=lambda *news: told.append(news), **options)
    assert [epoch for epoch, _, _ in told] == list(range(9))
    assert np.array_equal(np.array([loss for _, loss, _ in told]).T, population.history.loss, equal_nan=True)
    assert all_bits(population) == all_bits(fastmlp.train_many(*toy(), **options))


# -- Grids -------------------------------------------------------------------------------------------------------------


def test_a_grid_is_the_product_and_its_last_option_varies_fastest():
    assert fastmlp.grid(learning_rate=[0.1, 0.2], l2=[0, 1], hidden=[(8,), (8, 8)]) == {
        "learning_rate": [0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2],
        "l2": [0, 0, 1, 1, 0, 0, 1, 1],
        "hidden": [(8,), (8, 8)] * 4,
    }
    assert list(fastmlp.grid(l2=[0], hidden=[3])) == ["l2", "hidden"]
    assert fastmlp.grid(seed=range(3)) == {"seed": [0, 1, 2]}
    assert fastmlp.grid(momentum=np.array([0.5, 0.9]), batch_size=(1, None)) == {
        "momentum": [0.5, 0.5, 0.9, 0.9],
        "batch_size": [1, None, 1, None],
    }


def test_a_grid_is_trained_as_it_is():
    X, y = toy(ROWS)
    grid = fastmlp.grid(learning_rate=[0.01, 0.02], hidden=[(), (5,), (4, 3)], activation=["tanh", "relu"], seed=[1, 2])
    assert len(compare(X, y, **grid)) == 24
    assert len(compare(X, y, **fastmlp.grid(batch_size=[1, 7, None], l2=np.array([0, 0.1])), members=6)) == 6


@pytest.mark.parametrize(("options", "fragments"), [({}, ["grid"]), ({"l2": []}, ["l2"]), ({"l2": [1], "hidden": ()}, ["hidden"])])
def test_a_grid_of_nothing_is_rejected(options, fragments):
    with one_sentence(fragments):
        fastmlp.grid(**options)


# -- When things go wrong ----------------------------------------------------------------------------------------------

GOOD_X = np.arange(12.0).reshape(4, 3)
GOOD_Y = [0, 1, 0, 1]
FLOATS = GOOD_X[:, 0]
OF_TWO = {
    "learning_rate": [0.1, 0.2],
    "l2": (0.1, 0.2),
    "momentum": np.array([0.1, 0.2]),
    "seed": [1, 2],
    "hidden": [(2,), (3,)],
    "activation": ["tanh", "relu"],
    "batch_size": [1, None],
    "sample_weight": np.ones((4, 2)),
}


def rejected(X, y, options, fragments):
    with one_sentence(fragments):
        fastmlp.train_many(X, y, **{"epochs": 1, **options})


@pytest.mark.parametrize("name", OF_TWO)
def test_lengths_that_do_not_match_members_are_rejected(name):
    rejected(GOOD_X, GOOD_Y, {"members": 3, name: OF_TWO[name]}, [name, "2", "3"])
    rejected(GOOD_X, GOOD_Y, {"members": 1, name: OF_TWO[name]}, [name, "2", "1"])


def test_lengths_that_do_not_match_each_other_are_rejected():
    three = {name: [*values, values[-1]] for name, values in OF_TWO.items() if name != "sample_weight"}
    three["sample_weight"] = np.ones((4, 3))
    for one, other in itertools.permutations(OF_TWO, 2):
        rejected(GOOD_X, GOOD_Y, {one: OF_TWO[one], other: three[other]}, [one, other, "2", "3"])


@pytest.mark.parametrize("y", [np.zeros((4, 2)), np.zeros((4, 2, 2)), np.eye(4, dtype=int)[:, :2]], ids=lambda y: str(y.shape))
def test_columns_of_y_that_do_not_match_are_rejected(y):
    rejected(GOOD_X, y, {"members": 3}, ["y", "2", "3"])
    rejected(GOOD_X, y, {"learning_rate": [0.1, 0.2, 0.3]}, ["y", "learning_rate", "2", "3"])
    rejected(GOOD_X, y, {"sample_weight": np.ones((4, 3))}, ["y", "sample_weight", "2", "3"])


@pytest.mark.parametrize("name", ["learning_rate", "l2", "momentum", "seed", "hidden", "activation", "batch_size"])
def test_an_empty_list_is_rejected(name):
    rejected(GOOD_X, GOOD_Y, {name: []}, [name])
    rejected(GOOD_X, GOOD_Y, {name: [], "members": 2}, [name])


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        ({"members": 0}, ["members", "0"]),
        ({"members": -1}, ["members", "-1"]),
        ({"members": 2.5}, ["members", "2.5"]),
        ({"members": True}, ["members", "True"]),
        ({"members": "many"}, ["members", "many"]),
        ({"seed": [1, -1]}, ["seed", "-1"]),
        ({"seed": range(2, -2, -1)}, ["seed", "-1"]),
        ({"seed": [1, None]}, ["seed must be whole numbers", "None"]),
        ({"seed": [1, 1.5]}, ["seed", "1.5"]),
        ({"seed": -2, "members": 2}, ["seed", "-2"]),
        ({"data_seed": -1}, ["data_seed", "-1"]),
        ({"learning_rate": [0.1, 0]}, ["learning_rate", "0"]),
        ({"learning_rate": [0.1, -0.5]}, ["learning_rate", "-0.5"]),
        ({"learning_rate": [np.nan, 0.1]}, ["learning_rate", "nan"]),
        ({"learning_rate": ["fast", 0.1]}, ["learning_rate", "fast"]),
        ({"learning_rate": [[0.1, 0.2]]}, ["learning_rate"]),
        ({"l2": [0, -1]}, ["l2", "-1"]),
        ({"momentum": [0.5, 1.0]}, ["momentum", "1.0"]),
        ({"hidden": [(3,), (0,)]}, ["hidden", "0"]),
        ({"hidden": [(3,), 2.5]}, ["hidden", "2.5"]),
        ({"batch_size": [1, 0]}, ["batch_size", "0"]),
        ({"batch_size": [None, 1.5]}, ["batch_size", "1.5"]),
        ({"activation": ["tanh", "rely"]}, ["activation", "did you mean 'relu'", "'sigmoid'"]),
        ({"activation": [("tanh", "tanh"), "relu"]}, ["activation", "2", "1"]),
        ({"activation": ("tanh", "tanh"), "hidden": [(3, 3), (3,)]}, ["activation", "2", "1"]),
        ({"optimizer": "adan"}, ["optimizer", "did you mean 'adam'", "'nesterov'"]),
        ({"loss": "cross_entropi"}, ["loss", "did you mean 'cross_entropy'"]),
        ({"output": "soft"}, ["output", "softmax"]),
        ({"init": "golrot"}, ["init", "did you mean 'glorot'"]),
        ({"task": "classify"}, ["task", "classification"]),
        ({"dtype": "float16"}, ["dtype", "float16"]),
        ({"epochs": 0}, ["epochs", "0"]),
        ({"threads": 0}, ["threads", "0"]),
        ({"target_loss": np.nan}, ["target_loss", "nan"]),
        ({"patience": 3}, ["patience", "validation"]),
        ({"patience": 0, "validation": 0.5}, ["patience", "0"]),
        ({"validation": 1.0}, ["validation", "1"]),
        ({"validation": (GOOD_X[:, :2], GOOD_Y)}, ["validation", "3", "2"]),
        ({"standardize": True, "bias": False}, ["standardize", "bias"]),
        ({"sample_weight": np.ones((3, 2))}, ["sample_weight", "3", "4"]),
        ({"sample_weight": np.ones((4, 2, 2))}, ["sample_weight", "(4, 2, 2)"]),
        ({"sample_weight": np.array([[1, 1], [1, 1], [1, 1], [1, -1.0]])}, ["sample_weight", "-1"]),
        ({"sample_weight": np.array([[1, 0.0]] * 4)}, ["sample_weight", "zero"]),
        ({"sample_weight": [1, 1, np.inf, 1]}, ["sample_weight", "inf"]),
        ({"class_weight": {2: 1.0}}, ["class_weight", "2"]),
        ({"halving": 1}, ["halving", "1"]),
        ({"halving": 0}, ["halving", "0"]),
        ({"halving": -3}, ["halving", "-3"]),
        ({"halving": 2.5}, ["halving", "2.5"]),
        ({"halving": True}, ["halving", "True"]),
        ({"halving": "half"}, ["halving", "half"]),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_rejected(options, fragments):
    rejected(GOOD_X, GOOD_Y, options, fragments)


@pytest.mark.parametrize(
    ("X", "y", "fragments"),
    [
        (GOOD_X, GOOD_Y[:3], ["y", "3", "4"]),
        (GOOD_X, np.zeros((3, 2)), ["y", "3", "4"]),
        (GOOD_X, np.zeros((4, 2, 2, 1)), ["y", "(4, 2, 2, 1)"]),
        (GOOD_X, np.zeros((4, 0)), ["y", "(4, 0)"]),
        (GOOD_X, np.zeros((4, 0, 2)), ["y", "(4, 0, 2)"]),
        (GOOD_X, np.zeros((4, 2, 0)), ["y", "(4, 2, 0)"]),
        (GOOD_X, [[0, 1], [1]], ["y"]),
        (GOOD_X, np.array([[0, 1], [1, 1], [0, 1], [1, 1]]), ["y", "two classes", "only 1"]),
        (GOOD_X, np.array([[0, 1], [0, np.inf], [0, 0], [0, 0.0]]), ["y", "inf"]),
        (np.where(GOOD_X == 7, np.nan, GOOD_X), GOOD_Y, ["X[2, 1]", "nan"]),
        (np.empty((0, 3)), [], ["X", "(0, 3)"]),
        (np.arange(4.0), GOOD_Y, ["X", "2-D"]),
    ],
)
def test_data_that_is_none_is_rejected(X, y, fragments):
    rejected(X, y, {}, fragments)


def test_class_weight_is_for_classifiers():
    rejected(GOOD_X, np.array(FLOATS) + 0.5, {"class_weight": {0: 1.0}, "members": 2}, ["class_weight"])


@pytest.mark.parametrize("options", [{"hidden": [(5,), (4,)]}, {"activation": ["tanh", "relu"]}, {"output": "softmax"}], ids=str)
def test_options_that_contradict_the_network_to_go_on_from_are_rejected(options):
    init = fastmlp.train(GOOD_X, GOOD_Y, hidden=(5,), epochs=1)
    rejected(GOOD_X, GOOD_Y, {"init": init, **options}, [next(iter(options)), "init"])


@pytest.fixture
def little_room():
    """What is not refused fails before the machine is out of memory."""
    resource = pytest.importorskip("resource")
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("how much this process takes up is not known")
    used = 1024 * int(re.search(r"VmSize:\s+(\d+)", status.read_text())[1])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"members": 10**9, "hidden": (5,)}, 26 * 10**9),
        ({"members": 10**12}, 81 * 10**12),
        ({"members": 2, "hidden": (10**6, 10**6)}, 10**12),  # either alone
        ({"hidden": [(3,), (10**6, 10**6)]}, 10**12),
        ({"seed": range(10**9)}, 81 * 10**9),
    ],
    ids=str,
)
def test_more_than_fits_in_memory_is_refused_at_once(options, parameters, little_room):
    tracemalloc.start()
    try:
        with one_sentence(["GB"]):
            fastmlp.train_many(GOOD_X, FLOATS, epochs=1, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10**6, "a thousandth of a byte for each member would be more"
    with pytest.raises(ValueError) as error:
        fastmlp.train_many(GOOD_X, FLOATS, epochs=1, **options)
    sizes = [float(number.replace(",", "")) for number in re.findall(r"([\d.,]+(?:e\+?\d+)?) GB", str(error.value))]
    assert max(sizes) >= 8 * parameters / 1e9 * 0.99


def traced_peak(X, y, **options):
    tracemalloc.start()
    population = fastmlp.train_many(X, y, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(population) == options["members"]
    return peak


@pytest.mark.parametrize(
    "options",
    [{"shuffle": False}, {"bootstrap": True}, {"validation": 0.25}, {"batch_size": 32}],
    ids=str,
)
def test_memory_does_not_grow_with_members_times_rows(options):
    rows, epochs = 10_000, 1
    X, y = toy(rows)
    options = {"hidden": (5,), "epochs": epochs, "batch_size": 1, "optimizer": "sgd", "threads": 1, "seed": 0, **options}
    # An order and weights for each of 1024 members are 120 MB: no scratch is worth more.
    few, many = (traced_peak(X, y, members=members, **options) for members in (1024, 2048))
    # For each member: theta with two moments, the best so far, the initial and the final one; two histories twice; and 128 Python
    # objects of 64 bytes, of its options and of arrays that it shares with few others. A single byte for each row would be more.
    parameters = fastmlp.train(X, y, **options).theta.size
    for_each = 8 * (6 * parameters + 4 * epochs) + 128 * 64
    assert for_each < rows
    assert many - few < (2048 - 1024) * for_each


@pytest.mark.parametrize(("batch_size", "optimizer"), [(1, "sgd"), (7, "adam")])
def test_beside_the_parameters_memory_does_not_grow_with_members(batch_size, optimizer):
    X, y = toy(20)
    options = {"hidden": (1600,), "epochs": 1, "batch_size": batch_size, "optimizer": optimizer, "threads": 1, "seed": 0}
    # Moments, the best so far and the initial parameters of 512 members are 130 MB: no scratch is worth more.
    few, many = (traced_peak(X, y, members=members, **options) for members in (512, 1024))
    parameters = fastmlp.train(X, y, **options).theta.size
    assert many - few < (1024 - 512) * (8 * parameters + 128 * 64)  # see above
