"""rows= of train_many: each member becomes what a training on its own rows alone gives."""

import numpy as np
import pytest
from cases import one_sentence, toy
from members import BATCH_SIZES, PRECISIONS, all_bits, bits, compare, regression

import fastmlp

ROWS = [np.arange(20), np.arange(50) % 31, np.arange(60) % 3 > 0, np.arange(59, 19, -1), np.arange(-20, 0)]
LABELS = np.arange(60) // 2 % 3


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "sgd", "learning_rate": [0.1, 0.05, 0.1, 0.2, 0.1], "hidden": [3, 3, 4, 4, 4]},
        {"data_seed": 3, "validation": 0.2, "patience": 2, "epochs": 9},
        {"sample_weight": np.linspace(0.5, 2, 60), "members": 5},
        {"validation": toy(11), "standardize": False},
    ],
    ids=str,
)
def test_a_member_is_what_a_training_on_its_rows_gives(options, batch_size, dtype):
    X, y = toy()
    compare(X.astype(dtype), y, rows=ROWS, batch_size=batch_size, **options)


@BATCH_SIZES
def test_targets_are_scaled_and_classes_weighted_by_the_rows_of_the_member(batch_size):
    X, y = regression()
    compare(X, y, rows=ROWS, batch_size=batch_size, validation=0.3)
    compare(X, LABELS, rows=ROWS, batch_size=batch_size, class_weight="balanced", validation=0.3)
    compare(X, np.column_stack([y] * 5), rows=ROWS, batch_size=batch_size)


def test_defaults_follow_the_rows_of_each_member():
    X, y = np.resize(toy()[0], (400, 3)), np.resize(toy()[1], 400)
    rows = [np.arange(10), np.arange(390), np.arange(10)]
    population = compare(X, y, rows=rows, epochs=None)
    assert population.history.epochs[0] == population.history.epochs[2] > population.history.epochs[1]
    assert population.options["l2"][0] > population.options["l2"][1]
    assert (np.isnan(population.history.loss).sum(axis=1) == population.history.epochs.max() - population.history.epochs).all()


def test_classes_are_those_of_the_rows():
    X, _ = toy()
    y = np.repeat([3, 5, 7], 20)
    population = fastmlp.train_many(X, y, rows=[np.arange(40), np.arange(60), np.arange(20, 60)], epochs=1)
    assert [member.classes.tolist() for member in population] == [[3, 5], [3, 5, 7], [5, 7]]


@BATCH_SIZES
def test_a_member_has_the_same_bits_whatever_rows_the_others_have(batch_size):
    X, y = toy()
    options = {"batch_size": batch_size, "epochs": 3, "hidden": (5,), "seed": 4}
    together = fastmlp.train_many(X, y, rows=[*ROWS, ROWS[0]], threads=2, **options)
    assert bits(together, 0) == bits(together, 5)
    for i, rows in enumerate(ROWS):
        assert all_bits(fastmlp.train_many(X, y, rows=[rows], threads=1, **options)) == [bits(together, i)]


@BATCH_SIZES
@pytest.mark.parametrize("on_epoch", [None, lambda *_: None], ids=["at once", "epoch by epoch"])
def test_members_may_have_numbers_of_epochs(on_epoch, batch_size):
    X, y = toy()
    epochs = [3, 7, 3, 5]
    options = {"seed": 1, "hidden": (5,), "batch_size": batch_size, "on_epoch": on_epoch}
    population = compare(X, y, epochs=epochs, **options)
    assert population.history.epochs.tolist() == epochs
    assert population.history.stopped_by == ["epochs"] * 4
    assert bits(population, 3) == bits(fastmlp.train_many(X, y, epochs=5, **options), 0)


def test_halving_goes_over_the_epochs_of_the_member_that_has_most():
    X, y = np.resize(toy()[0], (400, 3)), np.resize(toy()[1], 400)
    rows = [np.arange(10), np.arange(390)] * 2
    population = fastmlp.train_many(X, y, rows=rows, halving=2, hidden=2)
    assert population.history.epochs.max() == fastmlp.train(X[:10], y[:10], hidden=2).history.epochs
    with one_sentence(["halving needs one number of epochs", "got [1, 2]"]):
        fastmlp.train_many(X, y, halving=2, epochs=[1, 2])


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        (3, ValueError, ["rows must be a sequence with row numbers, or a mask, for each member", "got 3"]),
        ([], ValueError, ["rows", "got []"]),
        ([1, 2], ValueError, ["rows[0] must be a 1-D array of whole numbers or booleans", "got 1"]),
        ([[0, 1], [0.5]], ValueError, ["rows[1] must be a 1-D array", "got [0.5]"]),
        ([[0, 60]], IndexError, ["rows[0] must be from -60 to 59, for 60 rows", "got 60"]),
        ([[True] * 59], IndexError, ["rows[0] of booleans must have 60 of them, one for each row", "got 59"]),
        ([[0, 1], [False] * 60], ValueError, ["rows[1] must choose at least one of 60 rows", "got none"]),
    ],
    ids=str,
)
def test_rows_that_are_none_are_told(rows, error, words):
    with one_sentence(words, error):
        fastmlp.train_many(*toy(), rows=rows)


def test_rows_have_to_agree_with_what_else_says_how_many_members_there_are():
    with one_sentence(["members=3", "rows must have one value for each member", "got 2"]):
        fastmlp.train_many(*toy(), rows=[[0, 1], [2, 3]], members=3)
    with one_sentence(["X and sample_weight must have the same number of rows", "60 and 59"]):
        fastmlp.train_many(*toy(), rows=[[0, 1], [2, 3]], sample_weight=np.ones(59))
    with one_sentence(["bootstrap needs rows of which none comes twice"]):
        fastmlp.train_many(*toy(), rows=[[0, 1, 1, 2]], bootstrap=True)


@BATCH_SIZES
@pytest.mark.parametrize("apart", ["rows", "seeds"])
def test_members_that_come_to_share_lanes_take_the_rows_in_their_own_order(apart, batch_size):
    """After each epoch those that are left move together: from lanes of one order each to lanes of both."""
    X, y = regression(60)
    own = {"rows": [np.arange(50)] * 16 + [np.arange(10, 60)] * 16} if apart == "rows" else {"seed": [1] * 16 + [2] * 16}
    options = {"hidden": (3,), "optimizer": "sgd", "learning_rate": np.geomspace(1e-3, 0.3, 16).tolist() * 2, "seed": 1}
    options |= {"batch_size": batch_size, "epochs": 30, "target_loss": 0.3, "validation": None, **own}
    at_once = fastmlp.train_many(X, y, **options)
    epoch_by_epoch = fastmlp.train_many(X, y, on_epoch=lambda *_: None, **options)
    assert len(set(at_once.history.epochs.tolist())) > 3
    assert all_bits(at_once) == all_bits(epoch_by_epoch)
