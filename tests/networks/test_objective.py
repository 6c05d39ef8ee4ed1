"""Objective: the loss and its gradient on the same rows, again and again, at any parameters and from any thread."""

import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import autograd
import numpy as np
import pytest
from at_work import come_down_to, threads_at_work
from cases import BINARY, REGRESSOR, SOFTMAX, autograd_loss, labels_of, mlp, one_sentence, problem

import fastmlp
from fastmlp import MLP, Objective
from fastmlp.kernels import batch


def model_of(network, rows=100, dtype=np.float64):
    theta, X, targets = problem(network, rows, dtype)
    y, classes = labels_of(network, targets)
    return mlp(network, theta, classes), X, y, targets


@pytest.fixture
def shared_out(monkeypatch):
    """Any work is worth threads; those that are begun are listed."""
    begun = []

    class Watched(threading.Thread):
        def start(self):
            super().start()
            begun.append(self)

    monkeypatch.setattr("fastmlp.threads.THREADS_PAY", 0)
    monkeypatch.setattr("fastmlp.threads.Thread", Watched)
    monkeypatch.setattr("fastmlp.threads._idle", {})
    return begun


@pytest.mark.parametrize("network", [BINARY, SOFTMAX, REGRESSOR], ids=["binary", "softmax", "regressor"])
def test_value_and_gradient_are_those_of_the_formula_at_any_theta_and_with_weights(network):
    model, X, y, targets = model_of(network)
    rng = np.random.default_rng(5)
    weights, theta = rng.random(len(X)), rng.normal(size=model.theta.size)
    loss = autograd_loss(network, X, targets, weights / weights.mean())
    objective = Objective(model, X, y, sample_weight=3 * weights)
    for given in (None, theta):
        at = model.theta if given is None else given
        value, gradient = objective.value_and_gradient(given)
        np.testing.assert_allclose(value, loss(at), rtol=1e-12)
        np.testing.assert_allclose(gradient, autograd.grad(loss)(at), rtol=1e-9, atol=1e-12)
        assert objective.value(given) == value and np.array_equal(objective.gradient(given), gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_what_a_network_of_that_theta_says_bit_for_bit(dtype):
    model, X, y, _ = model_of(SOFTMAX, rows=700, dtype=dtype)
    objective, before = Objective(model, X, y), model.theta.copy()
    theta = np.random.default_rng(6).normal(size=model.theta.size).astype(dtype)
    other = model.like(theta)
    assert objective.value(theta) == other.loss(X, y) and objective.value() == model.loss(X, y)
    gradient = objective.gradient(theta)
    assert gradient.dtype == dtype and np.array_equal(gradient, other.gradient(X, y))
    assert np.array_equal(model.theta, before)
    model.theta[:] = theta
    assert objective.value() == other.loss(X, y)  # the network's own, as they are now
    objective.gradient(before)
    assert np.array_equal(gradient, other.gradient(X, y))  # what was given is the caller's


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_thread_count_and_threads_are_begun_once(dtype, shared_out, monkeypatch):
    monkeypatch.setattr("fastmlp.threads._cores", lambda: frozenset(range(3)))  # and so many are kept
    model, X, y, _ = model_of(SOFTMAX, rows=20_000, dtype=dtype)
    told = []
    for threads in (1, 2, 3):
        objective = Objective(model, X, y, threads=threads)
        told.append([objective.value_and_gradient() for _ in range(5)][-1])
        assert len(shared_out) == (threads if threads > 1 else 0)
    for value, gradient in told[1:]:
        assert value == told[0][0] and np.array_equal(gradient, told[0][1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_whether_rows_are_laid_out_once_or_for_each_call(dtype):
    for network in (BINARY, SOFTMAX, REGRESSOR):
        model, X, y, _ = model_of(network, rows=1000, dtype=dtype)
        weights = np.linspace(0, 2, 1000)
        once, each = (Objective(model, X, y, weights, lay_out=lay_out).value_and_gradient() for lay_out in (True, False))
        assert once[0] == each[0] and np.array_equal(once[1], each[1])


def test_small_work_begins_no_thread(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a thread was made")

    monkeypatch.setattr("fastmlp.threads.Thread", refuse)
    model, X, y, _ = model_of(BINARY, rows=8000)
    assert Objective(model, X, y).value() == model.loss(X, y)
    assert np.isfinite(model.gradient(X, y)).all()


def test_it_keeps_no_thread_at_work(shared_out):
    model, X, y, _ = model_of(SOFTMAX, rows=20_000)
    before = threads_at_work()
    objective = Objective(model, X, y, threads=3)
    objective.value()
    assert len(shared_out) == 3
    assert come_down_to(before)


def test_threads_that_share_one_take_turns(shared_out):
    model, X, y, _ = model_of(SOFTMAX, rows=5000)
    objective = Objective(model, X, y, threads=2)
    thetas = np.random.default_rng(7).normal(size=(40, model.theta.size))
    alone = [model.like(theta).gradient(X, y) for theta in thetas]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(objective.gradient, thetas))
    assert np.array_equal(together, alone)


def test_after_an_error_or_ctrl_c_the_next_call_is_right(shared_out, monkeypatch):
    model, X, y, _ = model_of(SOFTMAX, rows=20_000)
    objective = Objective(model, X, y, threads=2)
    expected, chunk_losses = objective.gradient(), batch.chunk_losses

    def interrupted(*args):
        chunk_losses(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "chunk_losses", interrupted)
        with pytest.raises(KeyboardInterrupt):
            objective.gradient()
    assert np.array_equal(objective.gradient(), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_threads_of_its_own(shared_out):
    model, X, y, _ = model_of(SOFTMAX, rows=20_000)
    objective = Objective(model, X, y, threads=2)
    expected = objective.value()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads, which the child is without
        child = os.fork()
    if not child:
        signal.alarm(60)
        with suppress(BaseException):
            os._exit(0 if objective.value() == expected else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_gradient_descent_by_hand_comes_down():
    model, X, y, _ = model_of(REGRESSOR)
    objective, theta = Objective(model, X, y), model.theta.copy()
    losses = []
    for _ in range(50):
        loss, gradient = objective.value_and_gradient(theta)
        losses.append(loss)
        theta -= 0.02 * gradient
    assert all(later < earlier for earlier, later in pairwise(losses))


@pytest.mark.parametrize(
    ("theta", "fragments"),
    [
        (np.zeros(3), ("theta", "(26,)", "(3,)")),
        (np.zeros((26, 1)), ("theta", "(26,)", "(26, 1)")),
        (np.full(26, np.nan), ("theta", "finite", "theta[0]")),
        (["a"] * 26, ("theta", "numbers")),
    ],
    ids=["length", "shape", "nan", "text"],
)
def test_a_theta_that_does_not_fit_is_told(theta, fragments):
    model, X, y, _ = model_of(BINARY)
    with one_sentence(fragments):
        Objective(model, X, y).value(theta)


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        ({"sample_weight": np.ones(3)}, ("sample_weight", "(100,)")),
        ({"sample_weight": -np.ones(100)}, ("sample_weight", "negative")),
        ({"threads": 0}, ("threads", "positive")),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_told(options, fragments):
    model, X, y, _ = model_of(BINARY)
    with one_sentence(fragments):
        Objective(model, X, y, **options)


def test_what_is_no_network_is_told():
    model, X, y, _ = model_of(BINARY)
    with one_sentence(("network must be an MLP", "list")):
        Objective([model], X, y)


def test_it_names_its_network_and_rows():
    model, X, y, _ = model_of(BINARY)
    assert repr(fastmlp.Objective(model, X, y)) == f"<Objective of {model} on 100 rows>"


@pytest.mark.kernels
@pytest.mark.parametrize("rows", [1, 15, 17, 33])
def test_lanes_past_the_last_row_do_not_count_even_where_a_row_of_zeros_overflows(rows):
    model = MLP.from_weights([[[-1.0]]], [[800.0]], output="exp", loss="poisson")
    X, y = np.full((rows, 1), 800.0), np.full(rows, 2.0)
    assert model.loss(X, y) == 1 and model.gradient(X, y).tolist() == [-800, -1]
    options = {"init": model, "standardize": False, "epochs": 1, "learning_rate": 1e-9, "task": "regression", "seed": 0}
    for batch_size, optimizer in ((1, "sgd"), (1, "adam"), (7, "sgd"), (None, "sgd")):
        how = {"batch_size": batch_size, "optimizer": optimizer}
        assert np.isfinite(fastmlp.train(X, y, **options, **how).history.loss).all()
        assert np.isfinite(fastmlp.train_many(X, y, members=3, **options, **how).history.loss).all()
