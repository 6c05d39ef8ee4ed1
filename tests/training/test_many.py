"""train_many: how many members there are, successive halving, grids, memory, and what it says when that cannot be."""

import itertools
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cases import one_sentence, toy
from members import BATCH_SIZES, PRECISIONS, ROWS, all_bits, bits, check_ends, check_member, compare, regression

import fastmlp

# -- How many members, and their seeds -----------------------------------------------------------------------------------------


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


# -- Successive halving --------------------------------------------------------------------------------------------------------


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


# -- Grids ---------------------------------------------------------------------------------------------------------------------


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


# -- When things go wrong ------------------------------------------------------------------------------------------------------

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


# -- Memory --------------------------------------------------------------------------------------------------------------------


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
