"""train: the same numbers as the reference, the meaning of every option, and what it does when things go wrong."""

import _thread
import re
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

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
    mlp,
    network_of,
    one_sentence,
    problem,
    slow,
    toy,
    without_bias,
)

import fastmlp
from benchmarks import reference
from benchmarks.reference import Network
from fastmlp.kernels import barrier
from fastmlp.networks import objective
from fastmlp.training import descent

ROWS, EPOCHS = (10, 2) if numba.config.DISABLE_JIT else (75, 5)


def compare(network, dtype=np.float64, rows=ROWS, epochs=EPOCHS, **options):
    """Train both ways from one theta, in file order; the same parameters and history but for rounding.

    float64: 1e-9 of the largest parameter. float32: each update rounds every parameter to half an ulp and its gradient
    to a few; in the worst case, all in one direction.
    """
    theta, X, targets = problem(network, rows, dtype)
    y, classes = labels_of(network, targets)
    options = {"optimizer": "sgd", "batch_size": 7, **options}
    options["learning_rate"] = slow(network, options.get("learning_rate", 0.1))
    model = fastmlp.train(X, y, init=mlp(network, theta, classes), epochs=epochs, shuffle=False, standardize=False, **options)
    options["batch_size"] = min(options["batch_size"] or rows, rows)
    expected, history = reference.train(
        network,
        *(array.astype(float) for array in (theta, X, targets)),
        row_orders=[np.arange(rows)] * epochs,
        **{"mu" if name == "momentum" else name: value for name, value in options.items()},
    )
    updates = epochs * -(-rows // options["batch_size"])
    tolerance = 1e-9 if dtype is np.float64 else 4 * updates * np.finfo(dtype).eps
    assert model.dtype == dtype
    assert np.abs(model.theta - expected).max() <= tolerance * np.abs(expected).max()
    np.testing.assert_allclose(model.history.loss, history, rtol=tolerance)
    assert model.history.epochs == epochs and model.history.stopped_by == "epochs"
    return model


def initial_theta(X, y, **options):
    """What training starts from: the step is too small to change anything."""
    return fastmlp.train(X, y, epochs=1, optimizer="sgd", learning_rate=1e-300, standardize=False, **options).theta


# -- The same numbers as the reference ---------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 32, None])
@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("network", [BINARY, SOFTMAX, REGRESSOR], ids=["binary", "softmax", "regressor"])
def test_training_is_that_of_the_reference(network, optimizer, batch_size, bias, dtype):
    network = network if bias else without_bias(network)
    options = {"optimizer": optimizer, "learning_rate": RATES[optimizer], "batch_size": batch_size}
    compare(network, dtype, **options)


@pytest.mark.kernels
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("network", [BINARY, SOFTMAX, REGRESSOR], ids=["binary", "softmax", "regressor"])
def test_l2_momentum_and_sample_weight_are_those_of_the_reference(network, batch_size):
    weight = np.arange(ROWS) % 4.0
    compare(network, batch_size=batch_size, l2=0.05)
    compare(network, batch_size=batch_size, optimizer="momentum", momentum=0.5, learning_rate=0.02)
    compare(network, batch_size=batch_size, sample_weight=weight)
    compare(network, batch_size=batch_size, sample_weight=weight, l2=0.05, optimizer="adam", learning_rate=0.01)


@pytest.mark.kernels
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_are_those_of_the_reference(schedule, batch_size):
    compare(SOFTMAX, schedule=schedule, batch_size=batch_size)
    compare(BINARY, schedule=schedule, batch_size=batch_size, warmup=1.2, l2=0.05)
    compare(REGRESSOR, schedule=schedule, batch_size=batch_size, warmup=1, optimizer="adam", learning_rate=0.01)


def test_the_rate_of_an_epoch_is_that_of_its_middle():
    # By hand: one weight w, x = 1, t = 0, the slope of the loss is w: each epoch multiplies w by 1 - rate.
    model = fastmlp.MLP.from_weights([[[1.0]]], [[0.0]])
    options = {"batch_size": None, "optimizer": "sgd", "learning_rate": 0.5, "epochs": 4, "standardize": False}
    slopes = {"linear": [7 / 8, 5 / 8, 3 / 8, 1 / 8], "cosine": (1 + np.cos(np.pi * np.array([1, 3, 5, 7]) / 8)) / 2}
    for schedule, factors in slopes.items():
        losses = fastmlp.train([[1.0]], [0.0], init=model, schedule=schedule, task="regression", **options).history.loss
        w, b = 1.0, 0.0
        for factor, loss in zip(factors, losses, strict=True):
            np.testing.assert_allclose(loss, (w + b) ** 2 / 2, rtol=1e-12)
            w, b = w - 0.5 * factor * (w + b), b - 0.5 * factor * (w + b)


@pytest.mark.parametrize("sizes", [(3, 1), (1, 1, 1), (20, 64, 33, 10), (3, 4, 4, 4, 4, 2)], ids=str)
@pytest.mark.parametrize("batch_size", [1, 32, None])
def test_any_depth_and_width(sizes, batch_size):
    output, loss = ("softmax", "cross_entropy") if sizes[-1] > 1 else ("sigmoid", "cross_entropy")
    network = Network(sizes, ("tanh", "sigmoid", "relu", "identity")[: len(sizes) - 2], output, loss)
    compare(network, batch_size=batch_size)


@pytest.mark.kernels
@pytest.mark.parametrize("sizes", [(9, 5, 2), (5, 9, 3), (8, 8, 8), (1, 7, 1, 2), (17, 9, 16, 2)], ids=str)
@pytest.mark.parametrize("activation", ["identity", "relu", "sigmoid", "tanh"])
def test_no_width_leaves_a_remainder_behind(activation, sizes):
    # Widths beside the multiples of vector lengths, with layers that widen and that narrow; updates follow one another.
    for output, loss in (("softmax", "cross_entropy"), ("identity", "squared_error")):
        network = Network(sizes, (activation,) * (len(sizes) - 2), output, loss)
        for batch_size in (1, 2):
            compare(network, rows=10, epochs=2, batch_size=batch_size, l2=0.1, learning_rate=1e-3)
            compare(without_bias(network), rows=10, epochs=2, batch_size=batch_size, learning_rate=1e-3)


@pytest.mark.kernels
@pytest.mark.parametrize(("activation", "output", "loss", "dtype"), EVERY_NETWORK)
def test_sample_by_sample_every_network_is_trained_as_the_reference_trains_it(activation, output, loss, dtype):
    rows = 8 if numba.config.DISABLE_JIT else 260  # compiled, more than are packed at once
    options = {"rows": rows, "epochs": 1, "batch_size": 1, "learning_rate": 0.02}
    options |= {"l2": 0.05, "sample_weight": 0.5 + np.arange(rows) % 3}
    for number, hidden in enumerate([(), (7,), (8, 9), (17, 1, 8)]):  # as wide as a vector, narrower, wider
        one, several = (2, 9) if output == "softmax" else (1, 3)
        compare(network_of(activation, output, loss, hidden, outputs=one, bias=number % 2 == 0), dtype, **options)
        compare(network_of(activation, output, loss, hidden, outputs=several, bias=number % 2 == 1), dtype, **options)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", [BINARY, SOFTMAX, REGRESSOR], ids=["binary", "softmax", "regressor"])
def test_sample_by_sample_and_batches_of_one_are_the_same_in_any_order(network, dtype):
    # Momentum of 0 is plain SGD, by the kernels for batches, in the same order.
    rows, epochs = (20, 2) if numba.config.DISABLE_JIT else (600, 3)
    theta, X, targets = problem(network, rows, dtype)
    y, classes = labels_of(network, targets)
    options = {"batch_size": 1, "learning_rate": 0.02, "epochs": epochs, "seed": 0, "init": mlp(network, theta, classes)}
    one_by_one = fastmlp.train(X, y, optimizer="sgd", **options)
    batches = fastmlp.train(X, y, optimizer="momentum", momentum=0.0, **options)
    tolerance = 4 * epochs * rows * np.finfo(dtype).eps  # see compare
    assert np.abs(one_by_one.theta - batches.theta).max() <= tolerance * np.abs(batches.theta).max()
    np.testing.assert_allclose(one_by_one.history.loss, batches.history.loss, rtol=tolerance)


def test_a_batch_larger_than_the_data_is_the_full_batch():
    assert np.array_equal(compare(BINARY, batch_size=1000).theta, compare(BINARY, batch_size=None).theta)


def test_more_rows_than_fit_into_a_block():
    compare(SOFTMAX, rows=20_011, epochs=2, batch_size=None)
    compare(SOFTMAX, rows=20_011, epochs=1, batch_size=9_000)


def test_history_is_the_loss_of_each_sample_before_the_update_that_it_caused():
    theta, X, targets = problem(BINARY, rows=3)
    y, classes = labels_of(BINARY, targets)
    seen, now = [], theta
    for x, t in zip(X, targets, strict=True):
        seen.append(reference.loss(BINARY, now, x[None], t[None]))
        now = now - 0.1 * reference.backward(BINARY, now, x[None], t[None])
    options = {"optimizer": "sgd", "learning_rate": 0.1, "shuffle": False, "standardize": False, "epochs": 1}
    model = fastmlp.train(X, y, init=mlp(BINARY, theta, classes), batch_size=1, **options)
    np.testing.assert_allclose(model.history.loss, [np.mean(seen)], rtol=1e-12)
    full = fastmlp.train(X, y, init=mlp(BINARY, theta, classes), batch_size=None, **options)
    np.testing.assert_allclose(full.history.loss, [reference.loss(BINARY, theta, X, targets)], rtol=1e-12)


# -- When it stops -----------------------------------------------------------------------------------------------------


def test_target_loss_stops_after_the_first_epoch_that_reaches_it():
    X, y = toy()
    whole = fastmlp.train(X, y, epochs=30, seed=1)
    target = whole.history.loss[12]
    assert (whole.history.loss[:12] > target).all()
    model = fastmlp.train(X, y, epochs=30, seed=1, target_loss=target)
    assert (model.history.epochs, model.history.stopped_by) == (13, "target_loss")
    assert np.array_equal(model.history.loss, whole.history.loss[:13])


def test_patience_keeps_the_weights_of_the_best_epoch():
    X, y = toy(rows=20)
    Xv, yv = toy(rows=40, seed=9)
    options = {"hidden": (20,), "learning_rate": 0.05, "seed": 0, "validation": (Xv, yv)}
    model = fastmlp.train(X, y, epochs=2000, patience=10, **options)
    losses = model.history.validation_loss
    assert model.history.stopped_by == "patience"
    assert len(losses) == len(model.history.loss) == model.history.epochs < 2000
    best = int(losses.argmin())
    assert model.history.epochs == best + 1 + 10
    np.testing.assert_allclose(model.loss(Xv, yv), losses[best], rtol=1e-12)
    same = fastmlp.train(X, y, epochs=best + 1, **options)
    np.testing.assert_allclose(model.theta, same.theta, rtol=1e-12)


def test_validation_loss_is_that_after_the_epoch():
    X, y = toy()
    model = fastmlp.train(X, y, epochs=5, seed=0, validation=(X[:7], y[:7]))
    assert len(model.history.validation_loss) == 5
    np.testing.assert_allclose(model.loss(X[:7], y[:7]), model.history.validation_loss[-1], rtol=1e-12)


def test_a_fraction_for_validation_is_held_out():
    X, y = toy()
    model = fastmlp.train(X, y, epochs=5, seed=0, validation=0.25)
    again = fastmlp.train(X, y, epochs=5, seed=0, validation=0.25)
    assert len(model.history.validation_loss) == 5
    assert np.array_equal(model.theta, again.theta)
    assert not np.array_equal(model.theta, fastmlp.train(X, y, epochs=5, seed=0).theta)


def kept_rows(y, **options):
    """The numbers of the rows that are trained on: with a column for each row, those whose weights move, and how far they do."""
    classes = None if y.dtype.kind == "f" else np.unique(y)
    zeros = [np.zeros((len(y), 1))]
    start = fastmlp.MLP.from_weights(zeros, output="identity" if classes is None else "sigmoid", classes=classes)
    model = fastmlp.train(np.eye(len(y)), y, init=start, epochs=1, optimizer="sgd", **options)
    return np.flatnonzero(model.theta), model.theta[model.theta != 0]


def test_of_each_class_the_same_share_is_held_out():
    y = np.arange(100) % 4 // 3  # a quarter are 1
    kept, _ = kept_rows(y, validation=0.2, seed=0)
    assert np.bincount(y[kept]).tolist() == [60, 20]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_holding_rows_out_is_training_on_the_others(batch_size, dtype):
    X, _ = toy()
    X = X.astype(dtype)
    y = X[:, 0] - X[:, 1]
    kept, _ = kept_rows(y, validation=0.3, seed=5)
    held = np.setdiff1d(np.arange(60), kept)
    assert len(held) == 18
    options = {"batch_size": batch_size, "optimizer": "sgd", "epochs": 4, "seed": 5}
    model = fastmlp.train(X, y, validation=0.3, **options)
    other = fastmlp.train(X[kept], y[kept], validation=(X[held], y[held]), **options)
    assert np.array_equal(model.theta, other.theta)
    assert np.array_equal(model.history.loss, other.history.loss)
    assert np.array_equal(model.history.validation_loss, other.history.validation_loss)


@pytest.mark.parametrize("batch_size", [1, None])
def test_the_weights_of_the_rows_that_are_kept_have_a_mean_of_one(batch_size):
    X, _ = toy()
    y, weight = X[:, 0] - X[:, 1], 1 + np.arange(60.0) ** 2
    ones = np.ones(60)  # from zero weights, a row's weight moves by its factor times the learning rate
    kept, moved = kept_rows(ones, validation=0.3, seed=5, sample_weight=weight, batch_size=batch_size, learning_rate=0.5)
    factors = moved / 0.5 * (len(kept) if batch_size is None else 1)
    np.testing.assert_allclose(factors, weight[kept] / weight[kept].mean(), rtol=1e-14)
    options = {"batch_size": batch_size, "optimizer": "sgd", "learning_rate": 0.01, "epochs": 4, "seed": 5}
    model = fastmlp.train(X, y, validation=0.3, sample_weight=weight, **options)
    other = fastmlp.train(X[kept], y[kept], sample_weight=weight[kept], **options)
    np.testing.assert_allclose(model.theta, other.theta, rtol=1e-9)
    np.testing.assert_allclose(model.history.loss, other.history.loss, rtol=1e-12)


def test_without_validation_there_is_no_validation_loss():
    assert fastmlp.train(*toy(), epochs=1).history.validation_loss is None


def test_on_epoch_is_told_every_epoch_and_stops_when_it_returns_true():
    X, y = toy()
    told = []
    model = fastmlp.train(X, y, epochs=50, seed=0, schedule="constant", on_epoch=lambda *news: told.append(news) or len(told) == 4)
    assert (model.history.epochs, model.history.stopped_by) == (4, "on_epoch")
    assert [epoch for epoch, _, _ in told] == [0, 1, 2, 3]
    assert [loss for _, loss, _ in told] == model.history.loss.tolist()
    assert [validation for _, _, validation in told] == [None] * 4
    assert np.array_equal(model.theta, fastmlp.train(X, y, epochs=4, seed=0, schedule="constant").theta)


@pytest.mark.parametrize("yes", [True, np.True_])
def test_any_kind_of_true_stops(yes):
    assert fastmlp.train(*toy(), epochs=5, on_epoch=lambda *_: yes).history.epochs == 1
    assert fastmlp.train(*toy(), epochs=5, on_epoch=lambda *_: not yes).history.epochs == 5
    assert fastmlp.train(*toy(), epochs=5, on_epoch=lambda *_: None).history.epochs == 5


def test_an_error_in_on_epoch_is_the_callers():
    def fail(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fastmlp.train(*toy(), epochs=5, on_epoch=fail)


def test_progress_writes_one_line_to_stderr(capsys):
    fastmlp.train(*toy(), epochs=3)
    assert capsys.readouterr() == ("", "")
    fastmlp.train(*toy(), epochs=3, progress=True)
    out, err = capsys.readouterr()
    assert not out and "3" in err and err.count("\n") == 1


# -- Weights of samples and classes ------------------------------------------------------------------------------------


def test_a_whole_weight_is_a_row_repeated_as_often():
    theta, X, targets = problem(SOFTMAX, rows=30)
    y, classes = labels_of(SOFTMAX, targets)
    times = np.arange(30) % 4
    options = {"batch_size": None, "optimizer": "adam", "learning_rate": 0.01, "epochs": 20, "standardize": False}
    weighted = fastmlp.train(X, y, init=mlp(SOFTMAX, theta, classes), sample_weight=times, **options)
    repeated = fastmlp.train(np.repeat(X, times, 0), np.repeat(y, times), init=mlp(SOFTMAX, theta, classes), **options)
    np.testing.assert_allclose(weighted.theta, repeated.theta, rtol=1e-9)
    np.testing.assert_allclose(weighted.history.loss, repeated.history.loss, rtol=1e-11)


def test_weights_have_no_scale():
    X, y = toy()
    weight = np.arange(60) % 3
    once = fastmlp.train(X, y, sample_weight=weight, epochs=5, seed=0)
    scaled = fastmlp.train(X, y, sample_weight=1024 * weight, epochs=5, seed=0)
    assert np.array_equal(once.theta, scaled.theta)
    np.testing.assert_allclose(
        fastmlp.train(X, y, sample_weight=np.full(60, 7.0), epochs=5, seed=0).theta,
        fastmlp.train(X, y, epochs=5, seed=0).theta,
        rtol=1e-12,
    )


def test_class_weight_weighs_the_rows_of_a_class():
    X, y = toy()
    y = np.where(np.arange(60) < 10, "rare", "common")
    common = {"epochs": 5, "seed": 0, "batch_size": 7}
    by_class = fastmlp.train(X, y, class_weight={"rare": 3.0, "common": 0.5}, **common)
    by_row = fastmlp.train(X, y, sample_weight=np.where(y == "rare", 3.0, 0.5), **common)
    np.testing.assert_allclose(by_class.theta, by_row.theta, rtol=1e-12)
    balanced = fastmlp.train(X, y, class_weight="balanced", **common)
    by_row = fastmlp.train(X, y, sample_weight=np.where(y == "rare", 1 / 10, 1 / 50), **common)
    np.testing.assert_allclose(balanced.theta, by_row.theta, rtol=1e-12)


# -- Bootstrap ---------------------------------------------------------------------------------------------------------


def drawn(rows, **options):
    """How often each of so many rows comes up: from zero weights, a row's weight moves by its factor times the learning rate."""
    kept, moved = kept_rows(np.ones(rows), bootstrap=True, batch_size=1, learning_rate=0.5, **options)
    times = np.zeros(rows)
    times[kept] = moved / 0.5
    return times


def test_bootstrap_counts_rows_as_often_as_they_are_drawn():
    rows = 1000
    times = drawn(rows, seed=0)
    np.testing.assert_allclose(times, np.round(times), atol=1e-12 * rows)
    assert round(times.sum()) == rows
    # A row's count is nearly Poisson of mean 1; the number of rows that come up k times varies less than if they were independent.
    for k, share in enumerate(np.exp(-1) / np.array([1, 1, 2, 6])):
        assert abs((np.round(times) == k).sum() - share * rows) < 5 * np.sqrt(rows * share * (1 - share))


def test_bootstrap_is_drawn_by_seed_alone():
    times = drawn(50, seed=1)
    assert np.array_equal(times, drawn(50, seed=1))
    assert np.array_equal(times, drawn(50, seed=1, data_seed=2))
    assert not np.array_equal(times, drawn(50, seed=2))
    assert not np.array_equal(drawn(50, seed=2, data_seed=1), drawn(50, seed=1, data_seed=1))


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("weight", [None, 1 + np.arange(60.0) % 3], ids=["alike", "weighted"])
def test_bootstrap_changes_the_weights_of_rows_and_nothing_else(weight, batch_size):
    X, y = toy()
    times = drawn(60, seed=3)
    options = {"epochs": 4, "seed": 3, "batch_size": batch_size}
    model = fastmlp.train(X, y, bootstrap=True, sample_weight=weight, **options)
    weighted = fastmlp.train(X, y, sample_weight=times if weight is None else times * weight, **options)
    np.testing.assert_allclose(model.theta, weighted.theta, rtol=1e-9)
    np.testing.assert_allclose(model.history.loss, weighted.history.loss, rtol=1e-11)
    assert not np.array_equal(model.theta, fastmlp.train(X, y, sample_weight=weight, **options).theta)


def test_what_is_held_out_is_not_drawn():
    rows = 60
    kept, _ = kept_rows(np.ones(rows), validation=0.3, seed=5)
    times = drawn(rows, validation=0.3, seed=5)
    assert not times[np.setdiff1d(np.arange(rows), kept)].any()
    assert round(times.sum()) == len(kept)
    X, _ = toy()
    model = fastmlp.train(X, X[:, 0], validation=0.3, seed=5, bootstrap=True, epochs=1, standardize=False)
    held = np.setdiff1d(np.arange(rows), kept)
    np.testing.assert_allclose(model.loss(X[held], X[held, 0]), model.history.validation_loss[-1], rtol=1e-12)


# -- Standardisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_standardize_is_training_on_standardised_rows(batch_size):
    X, y = toy()
    X = X * [1.0, 100.0, 0.01] + [0.0, 5000.0, 1.0]
    standardised = (X - X.mean(axis=0)) / X.std(axis=0)
    options = {"epochs": 10, "seed": 0, "batch_size": batch_size}
    folded = fastmlp.train(X, y, standardize=True, **options)
    plain = fastmlp.train(standardised, y, standardize=False, **options)
    np.testing.assert_allclose(folded.history.loss, plain.history.loss, rtol=1e-9)
    np.testing.assert_allclose(folded.predict_proba(X), plain.predict_proba(standardised), rtol=1e-9)
    assert np.array_equal(folded.theta, fastmlp.train(X, y, **options).theta), "it is the default"


def r2(model, X, y):
    """The share of the variance of each output that is explained, the smallest."""
    wrong = np.square(y - model.predict(X)).sum(axis=0)
    return float(np.min(1 - wrong / np.square(y - np.mean(y, axis=0)).sum(axis=0)))


TARGETS = {
    "large": lambda x: 1e6 * x,
    "larger than 1": lambda x: 1e3 * x,
    "far from 0": lambda x: x + 1000,
    "small": lambda x: 1e-4 * x,
    "of very different scales": lambda x: np.column_stack([x, 1e6 * x]),
    "house prices": lambda x: 3e5 + 8e4 * np.tanh(x),
}


@pytest.mark.parametrize("targets", TARGETS)
def test_targets_of_any_scale_are_learnt(targets):
    X = np.random.default_rng(0).normal(size=(300, 1))
    y = TARGETS[targets](X[:, 0])
    assert r2(fastmlp.train(X, y, seed=0), X, y) > 0.99
    both = fastmlp.train_many(X, y, members=2, seed=0) if y.ndim == 1 else fastmlp.train_many(X, y[:, None], members=2, seed=0)
    assert min(r2(member, X, y) for member in both) > 0.99


def test_counting_is_learnt_in_float32():
    x = np.arange(1, 500, dtype=np.float32)
    assert r2(fastmlp.train(x[:, None], x + 1, seed=0), x[:, None], x + 1) > 0.99


@pytest.mark.parametrize("factor", [1e-170, 1e170])
def test_columns_whose_squares_leave_the_range_of_floats_vary(factor):
    X = np.random.default_rng(0).normal(size=(300, 1))
    assert r2(fastmlp.train(X * factor, X[:, 0], seed=0), X * factor, X[:, 0]) > 0.99
    standardised = (X - X.mean()) / X.std()
    deviation = X.std() * factor
    predicted = fastmlp.train(X, X[:, 0] * factor, seed=0).predict(X) / deviation
    assert np.abs(predicted - standardised[:, 0] - X.mean() / X.std()).max() < 0.3


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("hidden", [(), (4,)], ids=str)
def test_targets_are_standardised_and_the_scaling_is_folded_into_the_last_layer(batch_size, hidden):
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    y = np.column_stack([1e4 * X[:, 0] - 5e5, 1e-3 * X[:, 1]]) + noise * [1e3, 1e-4]
    mean, deviation = y.mean(axis=0), y.std(axis=0)
    options = {"epochs": 10, "seed": 0, "batch_size": batch_size, "hidden": hidden, "optimizer": "sgd", "learning_rate": 0.1}
    options["validation"] = (X[:9], y[:9])
    folded = fastmlp.train(X, y, **options)
    options |= {"standardize": False, "validation": ((X[:9] - X.mean(axis=0)) / X.std(axis=0), (y[:9] - mean) / deviation)}
    plain = fastmlp.train((X - X.mean(axis=0)) / X.std(axis=0), (y - mean) / deviation, **options)
    np.testing.assert_allclose(folded.history.loss, plain.history.loss, rtol=1e-9)  # what was minimised
    np.testing.assert_allclose(folded.history.validation_loss, plain.history.validation_loss, rtol=1e-9)
    expected = plain.predict((X - X.mean(axis=0)) / X.std(axis=0)) * deviation + mean
    np.testing.assert_allclose(folded.predict(X), expected, atol=1e-9 * deviation.max())


def test_targets_are_scaled_by_the_rows_that_are_trained_on():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = 100 * X[:, 0] + 7
    y[30:] *= 1e3
    few = fastmlp.train(X[:30], y[:30], epochs=5, seed=0, shuffle=False)
    same = fastmlp.train(X[:30], y[:30], epochs=5, seed=0, shuffle=False, validation=(X[30:], y[30:]))
    assert np.array_equal(few.theta, same.theta)


def test_nothing_is_scaled_but_the_targets_of_a_regressor_with_biases():
    X, y = toy()
    still = {"epochs": 1, "batch_size": None, "seed": 0, "optimizer": "sgd", "learning_rate": 1e-300, "task": "regression"}
    for options in ({"standardize": False}, {"bias": False}, {"output": "sigmoid", "loss": "squared_error"}):
        model = fastmlp.train(X, y / 2, **still, **options)
        np.testing.assert_allclose(model.history.loss[0], model.loss(X, y / 2), rtol=1e-12)  # in the units of y


def test_a_constant_target_is_predicted():
    X = toy()[0]
    assert np.abs(fastmlp.train(X, np.full(60, 2.5e6), seed=0).predict(X) - 2.5e6).max() < 1e5


def test_a_constant_column_is_no_trouble():
    X, y = toy()
    X[:, 1] = 7.0
    model = fastmlp.train(X, y, epochs=100, seed=0, standardize=True)
    assert np.isfinite(model.theta).all()
    assert (model.predict(X) == y).mean() > 0.8


def test_without_biases_nothing_can_be_standardised():
    X, y = toy()
    assert fastmlp.train(X, y, bias=False, epochs=1).biases == ()
    with pytest.raises(ValueError, match=r"standardize.*bias"):
        fastmlp.train(X, y, bias=False, standardize=True)


# -- Where it starts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["glorot", "he", "normal", "uniform"])
def test_inits_have_their_distributions(init):
    X, y = np.random.default_rng(0).normal(size=(4, 300)), np.array([0.0, 1.0, 2.0, 3.0])
    theta = initial_theta(X, y, hidden=(400,), init=init, seed=0, task="regression")
    n = 300 * 400
    w, b = theta[:n], theta[n : n + 400]
    low, high = {"glorot": (-1, 1), "uniform": (0, 1)}.get(init, (-np.inf, np.inf))
    if init == "glorot":  # U[-r, r) with r = sqrt(6 / (300 + 400))
        spread = np.sqrt(6 / 700)
        low, high, mean, deviation = -spread, spread, 0, spread / np.sqrt(3)
    elif init == "uniform":
        mean, deviation = 0.5, np.sqrt(1 / 12)
    else:
        mean, deviation = 0, 0.1 if init == "normal" else np.sqrt(2 / 300)
    assert low <= w.min() and w.max() < high
    assert abs(w.mean() - mean) < 5 * deviation / np.sqrt(n)
    assert abs(w.std() - deviation) < 5 * deviation / np.sqrt(2 * n)
    if init in ("glorot", "he"):
        assert np.abs(b).max() < 1e-290  # 0, but for the one step
    else:
        assert abs(b.mean() - mean) < 5 * deviation / np.sqrt(400) and b.std() > deviation / 2


def test_a_warm_start_goes_on_where_it_was():
    X, y = toy()
    options = {"batch_size": 7, "optimizer": "sgd", "learning_rate": 0.1, "shuffle": False, "standardize": False}
    whole = fastmlp.train(X, y, hidden=(5, 4), activation=("relu", "tanh"), epochs=10, seed=0, **options)
    half = fastmlp.train(X, y, hidden=(5, 4), activation=("relu", "tanh"), epochs=5, seed=0, **options)
    before = half.theta.copy()
    rest = fastmlp.train(X, y, init=half, epochs=5, **options)
    assert np.array_equal(half.theta, before), "the network that it starts from stays as it is"
    assert rest.layer_sizes == (3, 5, 4, 1) and rest.activations == ("relu", "tanh")
    np.testing.assert_allclose(rest.theta, whole.theta, rtol=1e-12)
    np.testing.assert_allclose(rest.history.loss, whole.history.loss[5:], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_five_and_five_epochs_with_the_state_are_ten(batch_size, optimizer, dtype, tmp_path):
    X, y = toy()
    X, targets = (10 * X + 3).astype(dtype), (1e3 * X[:, :2]).astype(dtype)
    for answers in (y, targets):
        options = {"batch_size": batch_size, "optimizer": optimizer, "hidden": 4, "keep_state": True, "validation": 0.2}
        ten = fastmlp.train(X, answers, epochs=10, seed=3, **options)
        five = fastmlp.train(X, answers, epochs=5, seed=3, **options)
        begun = five.theta.copy()
        five.save(tmp_path / "five.npz")
        for first in (five, fastmlp.load(tmp_path / "five.npz")):
            rest = fastmlp.train(X, answers, init=first, epochs=5, **options)
            assert np.array_equal(rest.theta, ten.theta)
            assert np.array_equal(rest.history.loss, ten.history.loss[5:])
            assert np.array_equal(rest.history.validation_loss, ten.history.validation_loss[5:])
            assert rest.state.epochs == 10 and rest.state.seed == 3
        assert np.array_equal(five.theta, begun) and five.state.epochs == 5, "what it goes on from stays as it is"


@pytest.mark.parametrize(
    "options", [{"data_seed": 9, "validation": 0.2, "bootstrap": True}, {"warmup": 3}, {"warmup": 7.5}, {"shuffle": False}], ids=str
)
def test_five_and_five_are_ten_with_any_option_that_goes_on(options):
    X, y = toy()
    options = {"hidden": 4, "keep_state": True, "batch_size": 7, **options}
    ten = fastmlp.train(X, y, epochs=10, seed=3, **options)
    five = fastmlp.train(X, y, epochs=5, seed=3, **{**options, "warmup": min(options.get("warmup", 0), 4.9)})
    if options.get("warmup", 0) < 5:
        assert np.array_equal(fastmlp.train(X, y, epochs=5, init=five, **options).theta, ten.theta)
    else:
        with pytest.raises(ValueError, match=r"warmup must be fewer epochs than epochs=5; got 7\.5"):
            fastmlp.train(X, y, epochs=5, seed=3, **options)


def test_a_state_is_used_where_it_fits():
    X, y = toy()
    options = {"hidden": 4, "seed": 0, "batch_size": None}
    first = fastmlp.train(X, y, epochs=5, keep_state=True, **options)
    assert fastmlp.train(X, y, epochs=5, init=first, **options).state is None
    plain = fastmlp.train(X, y, epochs=5, optimizer="sgd", init=first, **options)
    first.state, kept = None, first.state
    assert np.array_equal(plain.theta, fastmlp.train(X, y, epochs=5, optimizer="sgd", init=first, **options).theta)
    first.state = kept
    first.theta *= 1.01  # the network was changed since: it is what the training begins with, not what the state has
    changed = fastmlp.train(X, y, epochs=1, init=first, learning_rate=1e-300, **options)
    np.testing.assert_allclose(changed.theta, first.theta, rtol=1e-12)
    other = fastmlp.train(X + 1, y, epochs=1, init=first, learning_rate=1e-300, **options)  # scaled in another way
    np.testing.assert_allclose(other.predict_proba(X), first.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("standardize", [True, False])
def test_a_warm_start_begins_with_the_same_answers(standardize):
    X, y = toy()
    X = 10 * X + 100
    first = fastmlp.train(X, y, epochs=20, seed=0)
    second = fastmlp.train(X, y, init=first, epochs=1, optimizer="sgd", learning_rate=1e-300, standardize=standardize)
    np.testing.assert_allclose(second.predict_proba(X), first.predict_proba(X), rtol=1e-10)


@pytest.mark.parametrize(
    ("option", "fragment"),
    [
        ({"hidden": (7,)}, "hidden"),
        ({"activation": "tanh"}, "activation"),
        ({"output": "softmax"}, "output"),
        ({"bias": False}, "bias"),
    ],
    ids=str,
)
def test_options_that_contradict_the_warm_start_are_rejected(option, fragment):
    X, y = toy()
    model = fastmlp.train(X, y, hidden=(5,), epochs=1)
    fastmlp.train(X, y, init=model, hidden=(5,), activation="relu", output="sigmoid", loss="cross_entropy", epochs=1)
    with pytest.raises(ValueError, match=fragment):
        fastmlp.train(X, y, init=model, **option)


def test_a_warm_start_needs_the_same_features_and_classes():
    X, y = toy()
    model = fastmlp.train(X, y, epochs=1)
    with pytest.raises(ValueError, match="3"):
        fastmlp.train(X[:, :2], y, init=model)
    with pytest.raises(ValueError, match=r"y\[1\] is 2"):
        fastmlp.train(X, y + 1, init=model)


# -- Seeds -------------------------------------------------------------------------------------------------------------


def test_data_seed_draws_the_held_out_rows():
    ones = np.ones(60)
    kept, _ = kept_rows(ones, validation=0.3, seed=1, data_seed=5)
    assert np.array_equal(kept, kept_rows(ones, validation=0.3, seed=2, data_seed=5)[0])
    assert np.array_equal(kept, kept_rows(ones, validation=0.3, data_seed=5)[0])
    assert not np.array_equal(kept, kept_rows(ones, validation=0.3, seed=1, data_seed=6)[0])
    assert not np.array_equal(kept, kept_rows(ones, validation=0.3, seed=1)[0])


@pytest.mark.parametrize("batch_size", [1, 7])
def test_data_seed_draws_the_order(batch_size):
    X, y = toy()
    init = fastmlp.train(X, y, epochs=1, seed=0)
    one, same, other = (
        fastmlp.train(X, y, init=init, epochs=3, batch_size=batch_size, seed=seed, data_seed=data_seed).theta
        for seed, data_seed in [(1, 5), (2, 5), (1, 6)]
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("init", ["glorot", "he", "normal", "uniform"])
def test_data_seed_leaves_the_initial_weights_to_seed(init):
    X, y = toy()
    options = {"init": init, "batch_size": None}  # one step, in which no order matters
    theta = initial_theta(X, y, **options, seed=1, data_seed=5)
    assert np.array_equal(theta, initial_theta(X, y, **options, seed=1, data_seed=6))
    assert np.array_equal(theta, initial_theta(X, y, **options, seed=1))
    assert not np.array_equal(theta, initial_theta(X, y, **options, seed=2, data_seed=5))


# -- The same bits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_the_same_seed_gives_the_same_bits(batch_size):
    X, y = toy()
    one, same, other = (fastmlp.train(X, y, epochs=5, batch_size=batch_size, seed=s).theta for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_without_a_seed_every_run_is_its_own():
    X, y = toy()
    assert not np.array_equal(fastmlp.train(X, y, epochs=1).theta, fastmlp.train(X, y, epochs=1).theta)


def test_training_draws_nothing_from_the_global_generator():
    before = np.random.get_state()[1].copy()
    fastmlp.train(*toy(), epochs=2)
    assert np.array_equal(np.random.get_state()[1], before)


def test_shuffle_changes_the_order_of_rows_and_nothing_else():
    X, y = toy()
    options = {"hidden": (4,), "seed": 0, "batch_size": 7, "epochs": 3}
    shuffled, ordered = (fastmlp.train(X, y, shuffle=shuffle, **options) for shuffle in (True, False))
    assert not np.array_equal(shuffled.theta, ordered.theta)
    # In one full batch the order of rows is nothing but rounding.
    options["batch_size"] = None
    shuffled, ordered = (fastmlp.train(X, y, shuffle=shuffle, **options) for shuffle in (True, False))
    np.testing.assert_allclose(shuffled.theta, ordered.theta, rtol=1e-10)


def test_an_epoch_sees_every_row_once():
    # With a rate too small to matter, the losses that an epoch saw add up to the loss of the whole.
    X, y = toy(rows=61)
    model = fastmlp.train(X, y, optimizer="sgd", learning_rate=1e-300, batch_size=7, epochs=3, seed=0)
    np.testing.assert_allclose(model.history.loss, model.loss(X, y), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_size", [None, 50_000])
def test_the_same_bits_for_any_thread_count(batch_size, dtype, monkeypatch):
    shared_by = []

    class Watched(ThreadPoolExecutor):
        def map(self, function, jobs):
            shared_by.append(len(jobs))
            return super().map(function, jobs)

    monkeypatch.setattr("fastmlp.threads.ThreadPoolExecutor", Watched)
    X, y = toy(rows=120_000)
    models = []
    for threads in (1, 2, 3):
        options = {"epochs": 3, "batch_size": batch_size, "seed": 0, "validation": 0.4, "threads": threads}
        models.append(fastmlp.train(X.astype(dtype), y, **options))
        assert threads == 1 or shared_by[-1] == threads
    for model in models[1:]:
        assert np.array_equal(model.theta, models[0].theta)
        assert np.array_equal(model.history.loss, models[0].history.loss)
        assert np.array_equal(model.history.validation_loss, models[0].history.validation_loss)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_size", [1, 7, 500, None])
def test_the_same_bits_however_long_kernel_calls_take(batch_size, dtype, monkeypatch):
    X, y = toy(rows=1500)
    options = {"hidden": (40,), "batch_size": batch_size, "optimizer": "sgd", "epochs": 3, "seed": 0, "threads": 2}
    whole = fastmlp.train(X.astype(dtype), y, **options)
    for name in ("CALL_SECONDS", "TRIAL_SECONDS", "WORTH_A_TRIAL", "FIRST_CALL"):
        monkeypatch.setattr(descent, name, 0)
    calls = []
    monkeypatch.setattr(
        descent.Descent, "_advance", lambda one, *span, advance=descent.Descent._advance: calls.append(span) or advance(one, *span)
    )
    parts = fastmlp.train(X.astype(dtype), y, **options)
    assert len(calls) >= 3 * -(-1500 // max(batch_size or 1500, 256))
    assert np.array_equal(parts.theta, whole.theta)
    assert np.array_equal(parts.history.loss, whole.history.loss)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", RATES)
def test_every_optimizer_gives_the_same_bits_for_any_thread_count(optimizer, dtype, monkeypatch):
    sent = set()

    class OneTeam(descent.Pace):
        """Always as many threads as there may be."""

        def __init__(self, most, first):
            super().__init__(most, first)
            self.teams = [most]
            sent.add(most)

    monkeypatch.setattr(descent, "Pace", OneTeam)
    X, y = toy(rows=3000)
    options = {"hidden": (40, 7), "optimizer": optimizer, "l2": 0.01, "epochs": 5, "seed": 0, "validation": 0.3}
    options |= {"sample_weight": np.arange(3000) % 3}
    for batch_size in (1500, None):
        one, *others = (
            fastmlp.train(X.astype(dtype), y, batch_size=batch_size, threads=threads, **options) for threads in (1, 2, 3)
        )
        for other in others:
            assert np.array_equal(other.theta, one.theta)
            assert np.array_equal(other.history.loss, one.history.loss)
            assert np.array_equal(other.history.validation_loss, one.history.validation_loss)
    assert sent == ({1, 2, 3} if barrier.POSSIBLE else {1})


# -- Types -------------------------------------------------------------------------------------------------------------


def test_float32_stays_float32_and_everything_else_is_float64():
    X, y = toy()
    for dtype, expected in [("f4", "f4"), ("f8", "f8"), ("i4", "f8"), ("f2", "f8"), ("?", "f8")]:
        model = fastmlp.train(X.astype(dtype), y, epochs=1)
        assert model.dtype == model.theta.dtype == expected
        assert model.predict_proba(X.astype(dtype)).dtype == expected
        assert model.history.loss.dtype == np.float64
    assert fastmlp.train(X, y, epochs=1, dtype="float32").dtype == np.float32
    assert fastmlp.train(X.astype(np.float32), y, epochs=1, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="dtype"):
        fastmlp.train(X, y, dtype=int)


@pytest.mark.parametrize("train", [fastmlp.train, partial(fastmlp.train_many, members=2)], ids=["train", "train_many"])
def test_what_is_meant_is_asked_for_where_y_may_mean_both(train):
    X = np.arange(50.0)[:, None]
    quantities, halves, labels = np.arange(50) * 7, np.arange(50) % 25, (np.arange(50) % 10).astype(float)
    with pytest.warns(UserWarning, match=r"y holds 50 different integers in 50 rows.*task='regression'") as warned:
        train(X, quantities, epochs=1)
    assert warned[0].filename == __file__  # it points to the call
    with pytest.warns(UserWarning, match=r"y holds floats, but only 10 different whole numbers.*task='classification'"):
        train(X, labels, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (halves, labels + 0.5, np.arange(50) * 1.0, np.arange(50) % 20, np.zeros(50), labels.astype(int), list("ab" * 25)):
            train(X, y, epochs=1)
        train(X, quantities, task="regression", epochs=1)
        train(X, quantities, task="classification", epochs=1)
        train(X, labels, task="regression", epochs=1)
        train(X, labels, task="classification", epochs=1)
        train(X, labels % 2, output="sigmoid", epochs=1)
        train(X, labels, init=fastmlp.train(X, labels, task="regression", epochs=1), epochs=1)


def test_y_says_whether_to_classify():
    X, y = toy()
    assert fastmlp.train(X, y, epochs=1).output == "sigmoid"
    assert fastmlp.train(X, y + 0.5, epochs=1).classes is None
    assert fastmlp.train(X, y.astype(float), task="classification", epochs=1).classes.tolist() == [0.0, 1.0]
    assert fastmlp.train(X, y, task="regression", epochs=1).output == "identity"
    assert fastmlp.train(X, np.arange(60) % 4, epochs=1).layer_sizes[-1] == 4
    assert fastmlp.train(X, X[:, :2], epochs=1).layer_sizes[-1] == 2
    assert fastmlp.train(X, y.tolist(), epochs=1).output == "sigmoid"
    assert fastmlp.train(X, ["a", "b"] * 30, epochs=1).classes.tolist() == ["a", "b"]


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


def test_the_defaults_learn():
    X, y = toy(rows=400)
    assert (fastmlp.train(X, y, seed=0).predict(X) == y).mean() > 0.93
    target = np.sin(X[:, 0]) + X[:, 1]
    error = fastmlp.train(X, target, seed=0).predict(X) - target
    assert error.var() < 0.05 * target.var()


# -- When things go wrong ----------------------------------------------------------------------------------------------


def test_a_loss_that_runs_away_is_named():
    X, _ = toy()
    with pytest.raises(fastmlp.DivergedError, match=r"epoch \d+.*learning_rate"):
        fastmlp.train(X, 1e3 * X[:, 0], optimizer="sgd", learning_rate=1e6, epochs=200)
    assert issubclass(fastmlp.DivergedError, ArithmeticError)


@pytest.mark.parametrize("train", [fastmlp.train, partial(fastmlp.train_many, members=2)], ids=["train", "train_many"])
@pytest.mark.parametrize(
    ("options", "expected", "missing"),
    [
        ({}, r"below 1e\+30$", "standardize|reaches"),
        ({"standardize": False}, r"below 1e\+30, or standardize=True \(y reaches 5000", "mean of 0"),
        ({"bias": False}, r"columns of X with a mean of 0.*y reaches 5000", "standardize"),
    ],
    ids=str,
)
def test_advice_after_a_divergence_fits_the_options(train, options, expected, missing):
    X, y = toy()
    with pytest.raises(fastmlp.DivergedError, match=expected) as caught:
        train(X, 5000.0 * y + 0.5 * (1 - y), optimizer="sgd", learning_rate=1e30, epochs=20, **options)
    assert not re.search(missing, str(caught.value))
    with pytest.raises(fastmlp.DivergedError, match=r"standardize=True$"):
        train(1e8 * X, y, activation="relu", optimizer="sgd", learning_rate=1e300, epochs=20, standardize=False)


def test_ctrl_c_in_on_epoch_gives_the_network_so_far():
    X, y = toy()

    def interrupt(*_):
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        calls.append(None)

    calls = []
    with pytest.warns(RuntimeWarning, match="interrupted") as warned:
        model = fastmlp.train(X, y, epochs=1000, seed=0, schedule="constant", on_epoch=interrupt)
    assert warned[0].filename == __file__  # it points to the call
    assert model.history.stopped_by == "interrupt"
    assert model.history.epochs == len(model.history.loss) == 3
    assert np.array_equal(model.theta, fastmlp.train(X, y, epochs=3, seed=0, schedule="constant").theta)


@pytest.mark.parametrize("batch_size", [1, None])
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_during_the_kernels_gives_the_network_so_far(batch_size, threads):
    X, y = toy(rows=30_000)
    options = {"batch_size": batch_size, "seed": 0, "threads": threads, "schedule": "constant"}
    fastmlp.train(X, y, epochs=1, **options)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    deadline = time.monotonic() + 20
    with pytest.warns(RuntimeWarning, match="interrupted"):
        model = fastmlp.train(X, y, epochs=10**6, on_epoch=lambda *_: time.monotonic() > deadline, **options)
    timer.join()
    assert model.history.stopped_by == "interrupt"
    assert 0 < model.history.epochs == len(model.history.loss) < 10**6
    assert np.isfinite(model.theta).all()
    again = fastmlp.train(X, y, epochs=model.history.epochs, **options)
    assert np.array_equal(model.history.loss, again.history.loss)
    assert np.array_equal(model.theta, again.theta)


@pytest.mark.parametrize("validation", [None, 0.25])
@pytest.mark.parametrize("options", [{"batch_size": 1, "optimizer": "sgd"}, {"batch_size": 16}, {"batch_size": None}], ids=str)
@pytest.mark.parametrize(
    "where",
    [
        (descent.Descent, "_advance"),
        (descent.Descent, "_validate"),
        (objective.ChunkedLoss, "sum_loss"),
        (descent.batch, "end_batch"),
    ],
    ids=lambda where: where[1],
)
def test_after_ctrl_c_weights_history_and_message_are_of_the_same_epoch(where, options, validation, monkeypatch):
    """Wherever it comes: after a kernel call, within an epoch or at its end; before an epoch is measured; before a step counts."""
    X, y = toy(rows=100)
    options = {"seed": 0, "validation": validation, "schedule": "constant", **options}
    if where[1] in ("sum_loss", "end_batch"):  # of batches so large that Python goes from one to the next
        monkeypatch.setattr(objective, "LONGEST_BATCH", 0)
    whole = {epochs: fastmlp.train(X, y, epochs=epochs, **options) for epochs in range(1, 5)}
    monkeypatch.setattr(descent.Pace, "next", lambda *_: (1, 3))
    function, kept = getattr(*where), []
    for calls in range(15):
        left = iter(range(calls))

        def interrupted(*args, left=left, **how):
            result = function(*args, **how)
            if next(left, None) is None:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(*where, interrupted)
        with warnings.catch_warnings(record=True, action="always") as caught:
            model = fastmlp.train(X, y, epochs=4, **options)
        epochs = model.history.epochs
        if model.history.stopped_by == "interrupt":
            assert f"after {epochs} of 4 epochs" in str(caught[0].message)
        kept.append(epochs)
        if epochs == 0:
            continue
        assert np.array_equal(model.theta, whole[epochs].theta)
        assert np.array_equal(model.history.loss, whole[epochs].history.loss)
        assert validation is None or np.array_equal(model.history.validation_loss, whole[epochs].history.validation_loss)
    assert kept == sorted(kept) and (kept[0] < kept[-1] or options["batch_size"] == 1)


GOOD_X = np.arange(12.0).reshape(4, 3)
GOOD_Y = [0, 1, 0, 1]


def spoiled(row, column, value):
    X = GOOD_X.copy()
    X[row, column] = value
    return X


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


def rejected(X, y, options, fragments):
    with one_sentence(fragments):
        fastmlp.train(X, y, epochs=options.pop("epochs", 1), **options)


def test_class_weight_is_for_classifiers():
    with pytest.raises(ValueError, match="class_weight"):
        fastmlp.train(GOOD_X, GOOD_X[:, 0] + 0.5, class_weight={0: 1.0})


def test_the_data_stays_as_it_was():
    X, y = toy()
    kept = X.copy(), y.copy()
    fastmlp.train(X, y, epochs=3, standardize=True)
    assert np.array_equal(X, kept[0]) and np.array_equal(y, kept[1])
