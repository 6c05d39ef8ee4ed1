"""tol and n_iter_no_change, and the schedules that count epochs, rows or progress: of one network, and of those of a population."""

import numpy as np
import pytest
from cases import one_sentence, toy
from members import BATCH_SIZES, PRECISIONS, all_bits, compare, regression

import fastmlp
from benchmarks.reference import rate_factors
from fastmlp.kernels.ends import notes_no_progress
from fastmlp.training.one_network import Stopping

SGD = {"optimizer": "sgd", "hidden": (3,), "seed": 1, "l2": 0.0}


def epochs_until(losses, tol, most):
    """The epochs until more than `most` in a row were not below the least one before by tol."""
    stale, least = 0, np.inf
    for epoch, loss in enumerate(losses, 1):
        stale = stale + 1 if loss > least - tol else 0
        least = min(least, loss)
        if stale > most:
            return epoch, "tol"
    return len(losses), "epochs"


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("validation", [None, 0.2])
def test_a_training_stops_after_too_many_epochs_in_a_row_without_progress(validation, batch_size, dtype):
    X, y = toy()
    rates = [1e-4, 0.003, 0.05, 0.3]
    options = {**SGD, "epochs": 30, "batch_size": batch_size, "validation": validation}
    free = fastmlp.train_many(X.astype(dtype), y, learning_rate=rates, **options).history
    ended = set()
    for tol, most in ((0.002, 2), (0.0, 1), (0.02, 5)):
        population = compare(X.astype(dtype), y, learning_rate=rates, tol=tol, n_iter_no_change=most, **options)
        expected = [epochs_until(losses, tol, most) for losses in free.loss]
        assert list(zip(population.history.epochs, population.history.stopped_by, strict=True)) == expected
        ended |= set(population.history.stopped_by)
    assert ended == {"tol", "epochs"}


@PRECISIONS
def test_what_l2_adds_to_the_loss_counts_as_the_weights_of_each_step_have_it(dtype):
    X, y = toy()
    X, l2, tol = X.astype(dtype), 0.3, 0.004
    options = {**SGD, "l2": l2, "batch_size": None, "learning_rate": 0.3, "standardize": False}
    weights = [fastmlp.train(X, y, epochs=epochs, **options).weights for epochs in range(1, 40)]
    penalties = [l2 / 2 * sum(np.sum(layer.astype(float) ** 2) for layer in layers) for layers in weights[:-1]]
    free = fastmlp.train(X, y, epochs=39, **options).history.loss
    # Before the first step there is no network to ask.
    expected = epochs_until([np.inf, *(free[1:] + penalties)], tol, 2)
    assert expected[1] == "tol" and expected != epochs_until(free, tol, 2)
    population = compare(X, y, epochs=39, tol=tol, n_iter_no_change=2, **{**options, "learning_rate": [0.3, 1e-4]})
    assert (population.history.epochs[0], population.history.stopped_by[0]) == expected


@BATCH_SIZES
@pytest.mark.parametrize("l2", [0.02, 0.5])
def test_members_and_networks_alone_count_what_l2_adds_alike(l2, batch_size):
    X, y = toy()
    options = {**SGD, "l2": l2, "epochs": 60, "batch_size": batch_size, "tol": 0.003, "n_iter_no_change": 1}
    population = compare(X, y, learning_rate=[0.01, 0.05, 0.2], **options)
    assert "tol" in population.history.stopped_by
    decay = compare(X, y, learning_rate=[0.01, 0.05], **{**options, "optimizer": "adamw"})
    assert [member.history.epochs for member in decay] == [
        epochs_until(losses, 0.003, 1)[0]
        for losses in compare(X, y, learning_rate=[0.01, 0.05], **{**options, "optimizer": "adamw", "tol": None}).history.loss
    ], "the decay of adamw is in no loss"


@BATCH_SIZES
def test_an_adaptive_rate_is_divided_by_five_instead_and_the_epochs_are_counted_anew(batch_size):
    X, y = toy()
    options = {**SGD, "batch_size": batch_size, "schedule": "adaptive", "tol": 10.0, "n_iter_no_change": 1}
    alone = fastmlp.train(X, y, epochs=20, learning_rate=1e-5, **options)
    assert (alone.history.epochs, alone.history.stopped_by) == (1 + 3 * 2, "tol")  # 1e-5, 2e-6, 4e-7 and no lower
    population = compare(X, y, learning_rate=[1e-5, 0.1, 1e-7], epochs=9, **options)
    assert population.history.epochs.tolist() == [7, 9, 3]
    free = fastmlp.train(X, y, epochs=3, learning_rate=0.1, **SGD, batch_size=batch_size).history.loss
    assert np.array_equal(population[1].history.loss[:3].round(9), free.round(9)), "until then, the rate is as given"


def test_an_adaptive_rate_stays_lowered_where_members_move_to_other_lanes():
    X, y = toy()
    options = {**SGD, "schedule": "adaptive", "tol": 0.01, "n_iter_no_change": 1, "epochs": 40, "data_seed": 1}
    rates = np.geomspace(1e-6, 0.5, 20)
    together = fastmlp.train_many(X, y, learning_rate=rates, **options)
    calls = fastmlp.train_many(X, y, learning_rate=rates, on_epoch=lambda *_: None, **options)
    assert len(set(together.history.epochs.tolist())) > 2
    assert all_bits(together) == all_bits(calls)


@BATCH_SIZES
@pytest.mark.parametrize("power", [0.5, 0.0, 1.5])
def test_invscaling_divides_the_rate_by_a_power_of_the_rows_seen(power, batch_size):
    X, y = regression()
    options = {**SGD, "batch_size": batch_size, "learning_rate": 0.1, "epochs": 3, "shuffle": False}
    population = compare(X, y, schedule="invscaling", power_t=power, **options)
    network = None
    for factor in rate_factors("invscaling", 3, rows=len(X), power=power):
        one = {**options, "epochs": 1, "learning_rate": 0.1 * factor, "init": network or "glorot"}
        network = fastmlp.train(X, y, **one)
    np.testing.assert_allclose(population[0].theta, network.theta, rtol=1e-9, atol=1e-12)


def test_invscaling_goes_on_where_a_kept_state_goes_on():
    X, y = toy()
    options = {**SGD, "schedule": "invscaling", "learning_rate": 0.5}
    whole = fastmlp.train(X, y, epochs=4, **options)
    first = fastmlp.train(X, y, epochs=2, keep_state=True, **options)
    assert np.array_equal(whole.theta, fastmlp.train(X, y, epochs=2, init=first, **options).theta)


@BATCH_SIZES
@pytest.mark.parametrize("warmup", [0, 1.5])
def test_an_exponential_rate_is_that_of_the_epoch_before_times_decay(warmup, batch_size):
    X, y = regression()
    options = {**SGD, "batch_size": batch_size, "epochs": 4, "shuffle": False}
    population = compare(X, y, schedule="exponential", decay=0.6, warmup=warmup, learning_rate=[0.1, 0.05], **options)
    factors = rate_factors("exponential", 4, warmup, decay=0.6)
    assert np.allclose(factors, [1, 0.6, 0.36, 0.216] if not warmup else [1 / 3, 1, 0.6**0.5, 0.6**1.5])
    network = None
    for factor in factors:
        one = {**options, "epochs": 1, "learning_rate": 0.1 * factor, "init": network or "glorot"}
        network = fastmlp.train(X, y, **one)
    np.testing.assert_allclose(population[0].theta, network.theta, rtol=1e-9, atol=1e-12)


def test_an_exponential_rate_falls_to_a_hundredth_by_default():
    assert np.allclose(rate_factors("exponential", 5, 1), [0.5, *0.01 ** (np.arange(0.5, 4) / 4)])
    compare(*regression(), schedule="exponential", warmup=1, epochs=5, learning_rate=[0.1, 0.01], **SGD)


def test_an_exponential_rate_of_given_decay_goes_on_where_a_kept_state_goes_on():
    X, y = toy()
    options = {**SGD, "schedule": "exponential", "learning_rate": 0.5, "decay": 0.5, "warmup": 1.5}
    whole = fastmlp.train(X, y, epochs=4, **options)
    first = fastmlp.train(X, y, epochs=2, keep_state=True, **options)
    assert np.array_equal(whole.theta, fastmlp.train(X, y, epochs=2, init=first, **options).theta)


def through_plateaus(X, y, *, epochs, learning_rate, decay, tol, most, **options):
    """One epoch after the other, each with the rate that those before leave: the last network, and the rates."""
    network, least, stale, rates = None, np.inf, 0, []
    for _ in range(epochs):
        rates.append(learning_rate)
        network = fastmlp.train(X, y, epochs=1, learning_rate=learning_rate, init=network or "glorot", **options)
        history = network.history
        value = (history.loss if history.validation_loss is None else history.validation_loss)[0]
        stale = stale + 1 if value >= least - tol else 0
        least = min(least, value)
        if stale > most:
            stale, learning_rate = 0, learning_rate * decay if learning_rate > 1e-6 else learning_rate
    return network, rates


@BATCH_SIZES
@pytest.mark.parametrize("validation", [None, 0.3])
@pytest.mark.parametrize(("tol", "most", "decay"), [(None, 1, None), (0.1, 1, None), (0.02, 2, 0.5)])
def test_a_rate_is_lowered_on_a_plateau_and_the_training_goes_on(tol, most, decay, validation, batch_size):
    X, y = regression()
    y = y + np.random.default_rng(0).normal(size=len(y))
    options = {**SGD, "batch_size": batch_size, "shuffle": False, "validation": validation}
    rates = [0.02, 0.12 if batch_size == 1 else 1.0, 2e-6]
    given = {"tol": tol, "n_iter_no_change": most, "decay": decay}
    population = compare(X, y, schedule="plateau", learning_rate=rates, epochs=16, **given, **options)
    assert population.history.stopped_by == ["epochs"] * 3
    lowered = set()
    for member, rate in zip(population, rates, strict=True):
        numbers = {"decay": decay or 0.1, "tol": tol or 0.0, "most": most}
        network, seen = through_plateaus(X, y, epochs=16, learning_rate=rate, **numbers, **options)
        np.testing.assert_allclose(member.theta, network.theta, rtol=1e-7, atol=1e-9)
        lowered.add(len(set(seen)))
    assert max(lowered) > 1


def test_what_l2_adds_counts_on_a_plateau():
    X, y = toy()
    options = {**SGD, "l2": 0.3, "batch_size": None, "standardize": False, "epochs": 30, "n_iter_no_change": 2, "tol": 0.004}
    compare(X, y, learning_rate=[0.3, 1e-4], schedule="plateau", **options)
    stops = fastmlp.train(X, y, learning_rate=0.3, schedule="constant", **options).history
    goes_on = fastmlp.train(X, y, learning_rate=0.3, schedule="plateau", **options).history
    assert stops.stopped_by == "tol" and np.array_equal(stops.loss, goes_on.loss[: stops.epochs])
    free = fastmlp.train(X, y, learning_rate=0.3, **{**options, "tol": None}).history.loss
    assert goes_on.loss[stops.epochs] == free[stops.epochs] != goes_on.loss[stops.epochs + 1] != free[stops.epochs + 1]


@pytest.mark.parametrize("plateau", [False, True])
def test_an_equal_loss_is_no_progress_on_a_plateau(plateau):
    progress, limits = np.array([np.inf, 0.0, 0.0]), Stopping(9, -np.inf, None, 0.0, 2.0, plateau=plateau).ends
    assert [notes_no_progress(progress, 0, 1, value, limits) for value in (3.0, 2.0, 2.0, 2.0, 2.0)] == [False] * 4 + [plateau]


def test_a_rate_is_as_high_again_where_a_training_goes_on_after_plateaus():
    X, y = toy()
    options = {**SGD, "schedule": "plateau", "n_iter_no_change": 1, "tol": 10.0, "learning_rate": 0.1}
    first = fastmlp.train(X, y, epochs=6, keep_state=True, **options)
    second = fastmlp.train(X, y, epochs=3, init=first, **options)
    constant = fastmlp.train(X, y, epochs=3, init=first, **{**options, "schedule": "constant", "tol": None})
    assert np.array_equal(second.theta, constant.theta)


def test_a_rate_stays_lowered_by_plateaus_where_members_move_to_other_lanes():
    X, y = toy()
    options = {**SGD, "schedule": "plateau", "n_iter_no_change": 1, "epochs": 40, "data_seed": 1, "validation": 0.3, "patience": 6}
    rates = np.geomspace(1e-3, 2.0, 20)
    together = fastmlp.train_many(X, y, learning_rate=rates, **options)
    calls = fastmlp.train_many(X, y, learning_rate=rates, on_epoch=lambda *_: None, **options)
    assert len(set(together.history.epochs.tolist())) > 2
    assert all_bits(together) == all_bits(calls)


def test_many_threads_lower_a_rate_as_one_does():
    X, y = np.resize(toy()[0], (600, 3)), np.resize(toy()[1], 600)
    options = {**SGD, "batch_size": None, "epochs": 30, "schedule": "plateau", "tol": 0.003, "n_iter_no_change": 2}
    for validation in (None, 0.3):
        one, two = (
            fastmlp.train(X, y, threads=threads, validation=validation, learning_rate=0.5, **options) for threads in (1, 2)
        )  # fmt: skip
        assert np.array_equal(one.theta, two.theta) and np.array_equal(one.history.loss, two.history.loss)


def test_many_threads_stop_after_the_epoch_that_one_stops_after():
    X, y = np.resize(toy()[0], (600, 3)), np.resize(toy()[1], 600)
    options = {**SGD, "batch_size": None, "epochs": 60, "tol": 0.003, "n_iter_no_change": 2, "learning_rate": 0.5}
    one, two = (fastmlp.train(X, y, threads=threads, **options) for threads in (1, 2))
    assert one.history.stopped_by == two.history.stopped_by == "tol"
    assert np.array_equal(one.history.loss, two.history.loss)


@pytest.mark.parametrize("train", [fastmlp.train, fastmlp.train_many])
def test_what_stops_a_training_is_checked(train):
    for options, words in (
        ({"tol": -1}, ["tol must be a number of at least 0", "got -1"]),
        ({"n_iter_no_change": 0}, ["n_iter_no_change must be a positive whole number", "got 0"]),
        ({"power_t": -0.5}, ["power_t must be a number of at least 0", "got -0.5"]),
        ({"schedule": "adaptive"}, ["the schedule 'adaptive' needs tol"]),
        ({"schedule": "exponential", "decay": 1}, ["decay must be a number between 0 and 1", "got 1"]),
        ({"schedule": "plateau", "decay": 0}, ["decay must be a number between 0 and 1", "got 0"]),
        ({"decay": 0.5}, ["decay is for the schedules 'exponential' and 'plateau'", "the schedule is 'cosine'"]),
        ({"schedule": "exponential", "decay": 0.5, "optimizer": "lbfgs"}, ["schedule must be left out", "lbfgs"]),
        ({"decay": 0.5, "optimizer": "lbfgs"}, ["decay must be left out", "lbfgs"]),
    ):
        with one_sentence(words):
            train(*toy(), **options)
