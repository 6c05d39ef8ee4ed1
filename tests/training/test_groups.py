"""A member of a population is what train makes: whatever is asked for, of any number of members, rows and targets."""

import tracemalloc

import numpy as np
import pytest
from cases import BINARY, EVERY_NETWORK, RATES, REGRESSOR, SOFTMAX, network_of, slow, toy, without_bias
from members import BATCH_SIZES, EPOCHS, MEMBERS, ROWS, all_bits, check_member, compare, data_of, shape_of
from pairs import in_pairs

import fastmlp


@pytest.mark.versions(dtype=np.float64)
@pytest.mark.kernels
@in_pairs(network=[BINARY, SOFTMAX, REGRESSOR], optimizer=RATES, batch_size=[1, 7, None], dtype=[np.float32, np.float64])
def test_members_are_what_train_makes(network, optimizer, batch_size, dtype):
    X, y = data_of(network, dtype=dtype)
    options = {"optimizer": optimizer, "learning_rate": 0.2 * RATES[optimizer], "batch_size": batch_size}
    compare(X, y, members=MEMBERS, **shape_of(network), **options)
    compare(X, y, members=2, **shape_of(without_bias(network)), **options)


@in_pairs(kind=EVERY_NETWORK, hidden=[(), (1,), (8, 9)], batch_size=[1, 7, None], outputs=[1, 2, 3], bias=[True, False])
def test_members_of_every_kind_are_what_train_makes(kind, hidden, batch_size, outputs, bias):
    *kind, dtype = kind
    network = network_of(*kind, hidden, outputs=max(outputs, 2) if "softmax" in kind else outputs, bias=bias)
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
    "huber_delta": {"task": "regression", "loss": "huber", "huber_delta": 0.3},
    "large batch": {"batch_size": ROWS - 1},
    "beyond the data": {"batch_size": 10 * ROWS},
}


@in_pairs(option=OPTIONS, batch_size=[1, 7, None], dtype=[np.float32, np.float64])
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


@in_pairs(members=[1, 2, 17, 65, 130], batch_size=[1, 7, None], dtype=[np.float32, np.float64])
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


# -- Targets and rows ----------------------------------------------------------------------------------------------------------


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
