"""Members side by side: the same bits whoever stands beside them, and each ends on its own."""

import numpy as np
import pytest
from cases import RATES, toy
from members import BATCH_SIZES, PRECISIONS, ROWS, UNRULY, all_bits, bits, check_ends, chosen, compare, regression, unruly

import fastmlp

# -- The same bits -------------------------------------------------------------------------------------------------------------


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


# -- How each member ended -----------------------------------------------------------------------------------------------------


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
