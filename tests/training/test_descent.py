"""The epochs of one network: the same numbers as the reference, when it stops, and the same bits whoever works on it."""

import re
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
    problem,
    slow,
    toy,
    without_bias,
)
from pairs import in_pairs

import fastmlp
from benchmarks import reference
from benchmarks.reference import Network
from fastmlp.kernels import barrier
from fastmlp.threads import Workers
from fastmlp.training import descent, pace

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


# -- The same numbers as the reference -----------------------------------------------------------------------------------------


@pytest.mark.versions(dtype=np.float64)
@pytest.mark.kernels
@in_pairs(
    network=[BINARY, SOFTMAX, REGRESSOR],
    optimizer=RATES,
    batch_size=[1, 7, 32, None],
    bias=[True, False],
    dtype=[np.float32, np.float64],
)
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
@pytest.mark.parametrize("schedule", ["cosine", "linear", "exponential", "constant"])
def test_schedules_are_those_of_the_reference(schedule, batch_size):
    compare(SOFTMAX, schedule=schedule, batch_size=batch_size)
    compare(BINARY, schedule=schedule, batch_size=batch_size, warmup=1.2, l2=0.05)
    compare(REGRESSOR, schedule=schedule, batch_size=batch_size, warmup=1, optimizer="adam", learning_rate=0.01)


@pytest.mark.kernels
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("delta", [0.3, 2.5])
def test_the_delta_of_huber_is_that_of_the_reference(delta, batch_size):
    compare(Network((3, 4, 2), ("tanh",), "identity", "huber", huber_delta=delta), batch_size=batch_size)


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
    for number, hidden in enumerate([(), (7,), (8, 9), (17, 1, 8)]):  # as wide as a vector, narrower, wider
        rows = 8 if numba.config.DISABLE_JIT else 260 if number == 1 else 40  # once, more than are packed at once
        options = {"rows": rows, "epochs": 1, "batch_size": 1, "learning_rate": 0.02}
        options |= {"l2": 0.05, "sample_weight": 0.5 + np.arange(rows) % 3}
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


# -- When it stops -------------------------------------------------------------------------------------------------------------


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


def test_without_validation_there_is_no_validation_loss():
    assert fastmlp.train(*toy(), epochs=1).history.validation_loss is None


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


# -- The same bits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_size", [None, 50_000])
def test_the_same_bits_for_any_thread_count(batch_size, dtype, monkeypatch):
    shared_by = []

    def watched(workers, function, jobs, call=Workers.__call__):
        shared_by.append(len(jobs))
        return call(workers, function, jobs)

    monkeypatch.setattr(Workers, "__call__", watched)
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
        monkeypatch.setattr(pace, name, 0)
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
