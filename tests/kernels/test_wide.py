"""Lanes that are units come to the loss, the gradient and the steps of the reference; what pads theta is 0 and stays so."""

from itertools import product
from typing import NamedTuple

import numba
import numpy as np
import pytest
from cases import REGRESSOR, SOFTMAX, labels_of, mlp, problem, toy

import fastmlp
from benchmarks import reference
from benchmarks.reference import Network
from fastmlp import Objective
from fastmlp.kernels import barrier, batch, ends, optimizers
from fastmlp.kernels.tiles import Data
from fastmlp.networks import layout, objective
from fastmlp.networks.objective import ChunkedLoss
from fastmlp.threads import Workers
from fastmlp.training.descent import Stopping

pytestmark = pytest.mark.kernels

INTERPRETED = numba.config.DISABLE_JIT
DTYPES = (np.float32, np.float64)
OUTPUTS = (("softmax", "cross_entropy"), ("sigmoid", "cross_entropy"), ("identity", "squared_error"))
WIDTHS = (1, 8, 16, 17) if INTERPRETED else (1, 8, 15, 16, 17, 40, 100)
ROWS = (1, 2, 33) if INTERPRETED else (1, 2, 31, 32, 33, 70)
by_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def units_as_lanes(monkeypatch):
    """However narrow layers are."""
    monkeypatch.setattr(layout, "least_width", lambda *_: 1)


class Rows(NamedTuple):
    """Rows in an order, as kernels take them and as the reference does."""

    data: Data
    order: np.ndarray
    inputs: np.ndarray  # in float64, as the network sees them
    targets: np.ndarray
    weights: np.ndarray


def problem_of(network, rows, dtype, *, weighted=False, class_numbers=False, x_type=None, seed=0):
    """theta, whose layers neither swell nor shrink what goes through them, and so many rows, taken out of more."""
    theta, X, targets = problem(network, rows + 5, dtype, seed)
    theta *= dtype(2 / np.sqrt(max(network.sizes)))
    rng, inputs = np.random.default_rng(seed), X.shape[1]
    X = X if x_type is None else (10 * X).astype(x_type)
    shift, scale = rng.normal(size=inputs).astype(dtype), rng.uniform(0.1, 0.5, inputs).astype(dtype)
    weight = rng.uniform(0.5, 1.5, rows + 5).astype(dtype) if weighted else np.ones(1, dtype)
    order = rng.permutation(rows + 5)[:rows].astype(np.int32)
    weight /= np.broadcast_to(weight, rows + 5)[order].mean()
    y = targets.argmax(axis=1, keepdims=True).astype(dtype) if class_numbers else targets
    seen = (X[order].astype(float) - shift) * scale.astype(float)
    weights = np.broadcast_to(weight, rows + 5)[order].astype(float)
    return theta, Rows(Data(X, y, weight, shift, scale), order, seen, targets[order].astype(float), weights)


def work_of(network, theta, rows, most_rows=None):
    work = ChunkedLoss(mlp(network, theta).network, rows.data, rows.order, most_rows or len(rows.order), 1)
    assert work.plan.wide is not None
    return work


def mean_of(work, theta, rows, start=0):
    """The mean loss over the rows from place `start` on, and its gradient as the work holds it."""
    n = len(rows.order) - start
    loss = work.sum_loss(work.held(theta), start, len(rows.order), Workers(1))
    gradient = work.total.copy()
    batch.to_mean(gradient, n, work.network)
    return loss / n, gradient


def compare(network, rows, dtype, **options):
    """The bound is that of test_gradients.py."""
    theta, rows = problem_of(network, rows, dtype, **options)
    work = work_of(network, theta, rows)
    loss, held = mean_of(work, theta, rows)
    wide, tolerance = theta.astype(float), 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))
    given = wide, rows.inputs, rows.targets, rows.weights
    np.testing.assert_allclose(work.outside(held), reference.backward(network, *given), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(loss, reference.loss(network, *given), rtol=tolerance)
    assert work.sum_loss(work.held(theta), 0, len(rows.order), Workers(1), gradient=False) / len(rows.order) == loss
    assert only_zeros_pad(work, held)


def only_zeros_pad(work, held):
    return np.array_equal(work.held(work.outside(held)), held)


def some_networks(count):
    """Seeded: each of the choices comes up, in company that varies."""
    rng = np.random.default_rng(0)
    for number in range(count):
        hidden = tuple(rng.choice(WIDTHS, size=1 + number % 3).tolist())
        output, loss = OUTPUTS[number % len(OUTPUTS)]
        outputs = int(rng.choice((2, 3, 10, 17) if output == "softmax" else (1, 2, 3, 10, 17)))
        activations = tuple(rng.choice(("relu", "tanh", "sigmoid"), size=len(hidden)).tolist())
        sizes = (int(rng.choice((1, 3, 9, 20))), *hidden, outputs)
        yield Network(sizes, activations, output, loss, bool(rng.integers(2)))


# -- loss and gradient ---------------------------------------------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize("network", [*some_networks(9 if INTERPRETED else 40)], ids=lambda network: f"{network.sizes}")
def test_loss_and_gradient_are_those_of_the_reference(network, dtype, units_as_lanes):
    for number, rows in enumerate(ROWS):
        class_numbers = network.output == "softmax" and number % 2 == 1
        compare(network, rows, dtype, weighted=number % 3 != 0, class_numbers=class_numbers, seed=number)


@by_dtype
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_any_width(activation, width, dtype, units_as_lanes):
    for layers, (output, loss) in zip((1, 2, 3), OUTPUTS, strict=True):
        compare(Network((3, *(width,) * layers, 3), (activation,) * layers, output, loss), ROWS[-1], dtype)


@pytest.mark.skipif(not INTERPRETED, reason="for each type the kernels are compiled anew")
def test_inputs_may_be_of_a_type_of_their_own(units_as_lanes):
    compare(SOFTMAX, 33, np.float64, weighted=True, x_type=np.int8)


@by_dtype
@pytest.mark.parametrize("waves", [False, True])
def test_chunks_and_waves_of_them_add_up_to_the_reference(waves, dtype, units_as_lanes, monkeypatch):
    monkeypatch.setattr(objective, "WIDE_ROWS", (3, 7))
    if waves:
        monkeypatch.setattr(objective, "LONGEST_BATCH", 0)
        monkeypatch.setattr(objective, "LONGEST_CALL", 0)
    theta, rows = problem_of(REGRESSOR, 33, dtype)
    plan = work_of(REGRESSOR, theta, rows).plan
    assert plan.chunk <= 7 and (plan.wave == 1) == waves and plan.in_kernel != waves
    compare(REGRESSOR, 33, dtype, weighted=True)


@by_dtype
def test_rows_may_begin_anywhere_in_their_order(dtype, units_as_lanes):
    theta, rows = problem_of(SOFTMAX, 20, dtype, weighted=True)
    part = rows._replace(order=rows.order[7:].copy())
    loss, gradient = mean_of(work_of(SOFTMAX, theta, part), theta, part)
    work = work_of(SOFTMAX, theta, rows)
    mean_of(work, theta, rows)  # nothing of it stays
    of_them = mean_of(work, theta, rows, start=7)
    assert of_them[0] == loss and np.array_equal(of_them[1], gradient)


# -- theta with what pads it ---------------------------------------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize("network", [*some_networks(6)], ids=lambda network: f"{network.sizes}")
@pytest.mark.parametrize("rows", [(), (2,), (2, 3)], ids=["theta", "moments", "more"])
def test_held_and_outside_are_inverse_and_zeros_pad(rows, network, dtype, units_as_lanes):
    theta, some = problem_of(network, 2, dtype)
    work = work_of(network, theta, some)
    values = np.arange(1, 1 + theta.size * int(np.prod(rows)), dtype=dtype).reshape(*rows, theta.size)
    held = work.held(values)
    assert held.dtype == dtype and held.shape == (*rows, work.plan.parameters)
    assert np.array_equal(np.sort(held[held != 0]), values.ravel())
    assert np.array_equal(work.outside(held), values)


def test_what_comes_of_arrays_that_are_held_is_in_them_even_after_an_error(units_as_lanes):
    theta, rows = problem_of(SOFTMAX, 2, np.float64)
    work, moments = work_of(SOFTMAX, theta, rows), np.ones((2, theta.size))
    expected = 2 * theta
    with pytest.raises(KeyboardInterrupt), work.holding(theta, moments) as copies:
        for copy in copies:
            copy *= 2
        raise KeyboardInterrupt
    assert np.array_equal(theta, expected) and (moments == 2).all()


@by_dtype
@pytest.mark.parametrize("network", [*some_networks(6)], ids=lambda network: f"{network.sizes}")
def test_the_penalty_is_that_of_the_weights_alone(network, dtype, units_as_lanes):
    theta, rows = problem_of(network, 2, dtype)
    work, weights = work_of(network, theta, rows), [w for w, _ in network.unpack(theta.astype(float))]
    expected = sum(0.7 * np.abs(w).sum() + 0.3 / 2 * np.sum(w**2) for w in weights)
    penalty = ends.share_of_penalty(work.held(theta), work.network.layers, 0.7, 0.3, 0, 2, 2)
    np.testing.assert_allclose(penalty, expected, rtol=theta.size * np.finfo(dtype).eps)  # of positive terms


RATES = {row.name: 0.01 if row.adaptive else 0.05 for row in optimizers.TABLE if row.function}


@by_dtype
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("optimizer", RATES)
def test_steps_are_those_of_the_reference_and_what_pads_stays_zero(optimizer, more, dtype, units_as_lanes, monkeypatch):
    """A sigmoid's units that pad are 1/2. The bound is that of test_descent.py."""
    monkeypatch.setattr(objective, "WIDE_ROWS", (2, 2))
    network = Network((4, 9, 17, 3), ("sigmoid", "tanh"), "softmax", "cross_entropy")
    n, size, epochs = 12, 5, 2
    theta, rows = problem_of(network, n, dtype, weighted=True)
    l2, own = 0.3 * more, {"l1": 0.1, "clip": 0.1, "average": 0.6} if more else {}
    work = work_of(network, theta, rows, size)
    rate = RATES[optimizer]
    assert work.plan.chunk == 2  # three to a batch, and one
    held, moments = work.held(theta), work.held(np.zeros((2 + more, theta.size), dtype))
    state = batch.State(held, moments, np.zeros(2, np.int64), np.zeros(epochs), np.zeros(epochs), np.zeros(3))
    rule = optimizers.Rule(optimizers.method_of(optimizer)._replace(**own), rate, 0.9, l2)
    team = batch.Team(0, 1, barrier.new_counter(), np.zeros(1, np.uint8))
    updates = epochs * -(-n // size)
    sizes, never = batch.Sizes(size, work.plan.chunk, work.plan.together, 0, updates), Stopping(epochs, -np.inf, None).ends
    work.train(state, work.sums, work.workers[0], rows.data, rows.order[None], sizes, work.network, rule, never, team)
    assert state.counters[0] == updates and moments[:2].any() == (rule.method.moments > 0)
    assert only_zeros_pad(work, held) and only_zeros_pad(work, moments)
    expected, history = reference.train(
        network, theta.astype(float), rows.inputs, rows.targets,
        row_orders=[np.arange(n)] * epochs, batch_size=size, optimizer=optimizer, learning_rate=rate, l2=l2,
        sample_weight=rows.weights, **own,
    )  # fmt: skip
    result = moments[2] if more else held
    tolerance = 1e-9 if dtype is np.float64 else 4 * updates * np.finfo(dtype).eps
    assert np.abs(work.outside(result) - expected).max() <= tolerance * np.abs(expected).max()
    np.testing.assert_allclose(state.history / n, history, rtol=tolerance)


# -- whoever works on it, and either way ---------------------------------------------------------------------------------------


@pytest.fixture
def threads_pay(monkeypatch):
    monkeypatch.setattr("fastmlp.threads.THREADS_PAY", 0)
    monkeypatch.setattr(objective, "TEAM_PAYS", 0)
    monkeypatch.setattr(objective, "WIDE_ROWS", (5, 8))
    monkeypatch.setattr(objective, "SHARE", 100)


def model_of(network, rows, dtype):
    theta, X, targets = problem(network, rows, dtype)
    y, classes = labels_of(network, targets)
    return mlp(network, theta, classes), X, y


@by_dtype
def test_a_loss_has_the_same_bits_for_any_thread_count(dtype, units_as_lanes, threads_pay):
    model, X, y = model_of(SOFTMAX, 60, dtype)
    told = []
    for threads in (1, 2, 3):
        one = Objective(model, X, y, threads=threads)
        assert one._work.plan.wide is not None and one._work.plan.threads == threads
        told.append(one.value_and_gradient())
    for value, gradient in told[1:]:
        assert value == told[0][0] and np.array_equal(gradient, told[0][1])


@pytest.fixture
def teams(threads_pay, monkeypatch):
    if not barrier.POSSIBLE:
        pytest.skip("threads cannot meet in a kernel here")
    monkeypatch.setattr("fastmlp.training.descent.Pace.next", lambda pace, batches, most: (max(pace.teams), 1))
    planned, of = [], objective.ChunkPlan.of
    monkeypatch.setattr(objective.ChunkPlan, "of", lambda *args, **options: planned.append(of(*args, **options)) or planned[-1])
    return planned


def train_by_one_two_and_three(n, **options):
    X, y = toy(n)
    one, *others = (fastmlp.train(X, y, threads=threads, epochs=3, seed=0, l2=0.01, **options) for threads in (1, 2, 3))
    for other in others:
        assert np.array_equal(one.theta, other.theta) and np.array_equal(one.history.loss, other.history.loss)


@by_dtype
def test_a_training_has_the_same_bits_for_any_thread_count(dtype, units_as_lanes, teams):
    train_by_one_two_and_three(60, hidden=(17, 9), batch_size=25, dtype=dtype)
    assert [plan.team for plan in teams] == [1, 2, 3] and not any(plan.together for plan in teams)


@by_dtype
@pytest.mark.parametrize(("batch_size", "block"), [(2, 1), (25, 13), (64, 32), (130, 22)])
@pytest.mark.parametrize("hidden", [(17,), (40, 9, 16)], ids=str)
def test_a_team_works_on_one_chunk_together(hidden, batch_size, block, dtype, units_as_lanes, teams, monkeypatch):
    """Whose blocks, and the shares of layers with a single output, are not always enough for all."""
    monkeypatch.setattr(objective, "WIDE_ROWS", (200, 200))
    monkeypatch.setattr(objective, "TOGETHER_PAYS", 0)
    train_by_one_two_and_three(130, hidden=hidden, activation="sigmoid", batch_size=batch_size, dtype=dtype)
    assert [(plan.together, plan.block) for plan in teams] == [(False, block), (True, block), (True, block)]


@by_dtype
@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("options", [{"optimizer": "adamw"}, {"optimizer": "nesterov", "validation": 0.3, "patience": 9}], ids=str)
def test_either_form_trains_a_network_alike(options, in_kernel, dtype, monkeypatch):
    if not in_kernel:
        monkeypatch.setattr(objective, "LONGEST_BATCH", 0)
    X, y = toy(20 if INTERPRETED else 60)
    options = {"hidden": (17, 9), "epochs": 3, "batch_size": 7, "seed": 0, "l2": 0.01, "keep_state": True, **options}
    models = []
    for width in (1, 1000):
        monkeypatch.setattr(layout, "least_width", lambda *_, width=width: width)
        models.append(fastmlp.train(X, y, dtype=dtype, **options))
    units, samples = models
    tolerance = 1e-9 if dtype is np.float64 else 4 * units.state.steps * np.finfo(dtype).eps  # see test_descent.py
    assert units.state.steps == samples.state.steps > 0
    for one, other in [(units.theta, samples.theta), (units.state.moments, samples.state.moments)]:
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()
    np.testing.assert_allclose(units.history.loss, samples.history.loss, rtol=tolerance)


def test_wide_layers_are_told_from_narrow_ones():
    for (sizes, rows), itemsize in product([((3, 5, 1), 1000), ((784, 100, 10), 32), ((784, 10), 32)], (4, 8)):
        layers = layout.layer_table(sizes, ("tanh",) * (len(sizes) - 2), "identity", True)
        assert (layout.wide_layers(layers, itemsize, rows) is not None) == (sizes == (784, 100, 10))
