"""Groups of networks for kernels whose lanes are networks: what they learn, what the reference and what the kernel make of each."""

from types import MappingProxyType
from typing import Any, NamedTuple

import numba
import numpy as np
from cases import mlp, parameter_count, slow

from benchmarks import reference
from benchmarks.reference import Network
from fastmlp.kernels import many_batches, many_online, optimizers, schedules
from fastmlp.kernels.activations import OUTPUTS
from fastmlp.kernels.schedules import AS_GIVEN
from fastmlp.kernels.tiles import Data
from fastmlp.networks.layout import Dropped
from fastmlp.training.data import MeasuredRows, Parts, TrainingData
from fastmlp.training.descent import Stopping
from fastmlp.training.groups import Outcomes, TrainingGroup
from fastmlp.training.lanes import NetworksAsLanes

INTERPRETED = numba.config.DISABLE_JIT
DTYPES = (np.float32, np.float64)
OWN = ("order", "scale", "y", "weight")  # what members may have each for itself, or all in common
EPOCHS = 1 if INTERPRETED else 2
DIFFERENT = 5  # members: they stand in turn in the lanes, so that each is in many of them, beside others each time
RATES = {row.name: 0.01 if row.adaptive else 0.02 for row in optimizers.TABLE if row.function}


def alone(group, member):
    """One of the members, without the others."""
    one = slice(member, member + 1)
    return group._replace(
        places=group.places[one], theta=group.theta[one], numbers=group.numbers[one], data=group.data[one],
        dropped=group.dropped and group.dropped.of(member),
    )  # fmt: skip


def members_of(
    network,
    dtype,
    kernel,
    *,
    optimizer="momentum",
    batch_size=3,
    rows=7,
    held=0,
    members=None,
    own=OWN,
    schedule=AS_GIVEN,
    shares=(),
    more=MappingProxyType({}),
    **data,
):
    """A group for a kernel: a full strip, or so many members."""
    if kernel == "descend_online":
        optimizer, batch_size = "sgd", 1
    if members is None:
        members = (256 if kernel == "descend_online" else 64) // np.dtype(dtype).itemsize
    rng = np.random.default_rng(0)
    learned = data_of(rng, network, dtype, rows, held, own, **data)
    theta = (0.5 * rng.normal(size=(DIFFERENT, parameter_count(network)))).astype(dtype)
    rate = slow(network, RATES[optimizer])
    numbers = np.array([(rate * (1 + k / 4), 0.5 + 0.1 * k, 0.04 * k) for k in range(DIFFERENT)], dtype)
    template = mlp(network, theta[0], np.arange(max(2, network.sizes[-1])) if data.get("class_numbers") else None)
    turn = np.arange(members) % DIFFERENT
    return TrainingGroup(
        template, np.arange(members), theta[turn], numbers[turn], optimizers.method_of(optimizer, schedule)._replace(**more),
        min(batch_size, rows), Stopping(0, -np.inf, None), [learned[k] for k in turn],
        Dropped(shares, (2**63 + turn.astype(np.uint64)).tolist()) if shares else None,
    )  # fmt: skip


def data_of(rng, network, dtype, rows, held, own, *, class_numbers=False, shuffle=True, weighted=True, x_type=None):
    """One for each member that differs. Of the data, two rows are not taken."""
    inputs, outputs = network.sizes[0], network.sizes[-1]

    def each(name, make):
        return [make() for _ in range(DIFFERENT)] if name in own else [make()] * DIFFERENT

    def x_of(count):
        return (10 * rng.normal(size=(count, inputs))).astype(x_type or dtype)

    def y_of(count):
        if OUTPUTS[network.output] == "numbers":
            draw = rng.standard_normal if network.output == "identity" else rng.random
            return draw((count, outputs)).astype(dtype)
        if network.output == "sigmoid":
            return rng.integers(0, 2, (count, outputs)).astype(dtype)
        numbers = rng.integers(0, outputs, count)
        return (numbers[:, None] if class_numbers else np.eye(outputs)[numbers]).astype(dtype)

    def some_of(count, taken):
        return rng.permutation(count)[:taken].astype(np.int32)

    n, n_held = rows + 2, held + 2
    x, x_held = x_of(n), x_of(n_held)
    orders = each("order", lambda: some_of(n, rows))
    seeds = each("order", lambda: int(rng.integers(1000)) if shuffle else None)
    targets, held_targets = each("y", lambda: y_of(n)), each("y", lambda: y_of(n_held))
    weights = each("weight", lambda: (0.5 + rng.random(n if weighted else 1)).astype(dtype))
    held_orders = each("order", lambda: some_of(n_held, held))
    shifts = each("scale", lambda: (5 * rng.normal(size=inputs)).astype(dtype))
    scales = each("scale", lambda: (0.05 + 0.1 * rng.random(inputs)).astype(dtype))

    def parts_of(k):
        rows, inputs, y, weight = (k if name in own else None for name in OWN)
        return Parts(rows, seeds[k], inputs, y, weight)

    return [
        TrainingData(
            Data(x, targets[k], weights[k], shifts[k], scales[k]), orders[k], seeds[k],
            MeasuredRows(x_held, held_targets[k], held_orders[k]) if held else None, None, parts_of(k),
        )
        for k in range(DIFFERENT)
    ]  # fmt: skip


class Expected(NamedTuple):
    """What the reference makes of a member, in float64."""

    theta: np.ndarray  # (E, P): after each epoch
    sums: np.ndarray  # (E,): of the losses of the samples, each before the update that it caused
    measured: np.ndarray  # (E,): of the losses of the rows that are held out, after the epoch
    wrong: np.ndarray  # (E,): of these rows, how many are told wrong


def expected(group, member, epochs):
    model, data = group.network, group.data[member]
    network = Network(model.layer_sizes, model.activations, model.output, model.loss_name, model.bias)
    rate, mu, l2 = group.numbers[member].tolist()
    optimizer = optimizers.TABLE[group.method.optimizer].name
    more = group.method.l1, group.method.clip, group.method.average

    def seen(rows):
        y = rows.y.astype(float)
        if model.classes is not None and network.sizes[-1] > 1:
            y = np.eye(network.sizes[-1])[rows.y[:, 0].astype(int)]
        return (rows.x - data.arrays.shift.astype(float)) * data.arrays.scale, y

    x, y = seen(data.arrays)
    weights = np.broadcast_to(data.arrays.weight, len(x)).astype(float)
    theta, state = group.theta[member].astype(float), {}
    thetas, sums, measured, wrong = [], np.zeros(epochs), np.zeros(epochs), np.zeros(epochs)
    orders = data.row_orders().next(epochs)
    schedule = group.method.schedule
    name = schedules.TABLE[schedule.code].name
    factors = reference.rate_factors(name, epochs, schedule.warmup, schedule.rows, schedule.power, schedule.decay)
    for epoch in range(epochs):
        order = orders[min(epoch, len(orders) - 1)]
        for start in range(0, len(order), group.batch_size):
            rows = order[start : start + group.batch_size]
            dropped = group.dropped and (group.dropped.shares, group.dropped.seeds[member], epoch, rows)
            kept = dropped and reference.dropout_factors(network, *dropped)
            sums[epoch] += len(rows) * reference.loss(network, theta, x[rows], y[rows], weights[rows], kept)
            gradient = reference.backward(network, theta, x[rows], y[rows], weights[rows], kept)
            reference.step(network, theta, gradient, state, optimizer, rate * factors[epoch], mu, l2, *more)
        thetas.append(theta.copy())
        if data.held_out is not None:
            held, targets = (array[data.held_out.order] for array in seen(data.held_out))
            result = state["average"] if group.method.average else theta
            measured[epoch] = len(held) * reference.loss(network, result, held, targets)
            out = reference.predict(network, result, held)
            told = out > 0.5 if out.shape[1] == 1 else np.eye(out.shape[1])[out.argmax(axis=1)]
            wrong[epoch] = (told != targets).any(axis=1).sum()
    return Expected(np.array(thetas), sums, measured, wrong)


class Outcome(NamedTuple):
    """What became of m members."""

    theta: np.ndarray  # (calls, m, P): after each call of the kernel
    kept: np.ndarray  # (m, P)
    marks: np.ndarray  # (m, 3)
    best: np.ndarray  # (m,)
    sums: np.ndarray  # (m, E)
    measured: np.ndarray  # (m, E)
    wrong: np.ndarray  # (m, E), or (m, 0) where the accuracy does not decide
    running: list  # for each strip, what the last call returned
    empty: list  # for each strip, what its empty lanes hold: theta, kept, marks


def descend(group, epochs, calls=None):
    """The kernel over whole strips, in calls of so many batches each, or in one, until no member goes on."""
    strips = NetworksAsLanes(group, Outcomes(len(group.places), 0, False), 1)
    scratch = spoiled(strips.scratch.get())
    kernel = many_online.train_lanes_by_samples if strips.group.online else many_batches.train_lanes_by_batches
    ends, by_accuracy = np.cumsum(calls or [epochs * strips.batches]).tolist(), group.stopping.by_accuracy
    assert ends[-1] == epochs * strips.batches
    whole: list[Any] = []
    for strip in strips.filled:
        count, arrays = len(strip.members), strip.arrays
        thetas, sums, measured, wrong, running = [], [], [], [], 1
        for first, last in zip([0, *ends], ends, strict=False):
            if first % strips.batches == 0:
                strip.begin_epochs(-(-last // strips.batches) - first // strips.batches, strips.width, by_accuracy)
                sums.append(strip.sums)
                measured.append(strip.measured[: len(strip.sums)])
                wrong.append(strip.measured[len(strip.sums) :])
            if running:
                running = kernel(
                    arrays, scratch, strip.data, strip.held_out, strip.sums.reshape(-1), strip.measured.reshape(-1),
                    many_batches.LaneSizes(strips.block, first, last, first), group.network.network, group.method,
                    group.stopping.ends,
                )  # fmt: skip
            thetas.append(arrays.theta.reshape(-1, strips.width).T.copy())
        kept, marks, best = (array.reshape(-1, strips.width).T for array in (arrays.kept, arrays.marks, arrays.best))
        empty = thetas[-1][count:], kept[count:], marks[count:]
        sums, measured, wrong = (np.concatenate(arrays).T for arrays in (sums, measured, wrong))
        mine = [array[:count] for array in (kept, marks, best[:, 0], sums, measured, wrong)]
        whole.append((np.array(thetas)[:, :count], *mine, running, empty))
    theta, *arrays, running, empty = zip(*whole, strict=True)
    return Outcome(np.concatenate(theta, axis=1), *map(np.concatenate, arrays), list(running), list(empty))


def spoiled(scratch):
    """NaN wherever a kernel may not rely on what it finds: all but the rows of ones and the sums of losses, which begin at 0."""
    tiles = (array for some in (scratch.tiles, scratch.measured) for array in (some.inputs, some.targets, some.weights))
    for array in (scratch.units, scratch.slopes, scratch.few, scratch.few_slopes, scratch.deltas, scratch.gradient, *tiles):
        array[array != 1] = np.nan
    return scratch


def compare(group, epochs=2):
    """The same parameters and losses as by the reference, but for rounding.

    Each update rounds a parameter to half an ulp, and what is added to it, its gradient times a rate below 1, to a few: in the
    worst case 4 ulps of the largest parameter, all in one direction.
    """
    outcome = descend(group, epochs)
    members = len(group.places)
    some = [expected(group, k, epochs) for k in range(min(DIFFERENT, members))]
    theta, sums, measured, errors = (np.array(arrays)[np.arange(members) % DIFFERENT] for arrays in zip(*some, strict=True))
    updates = epochs * -(-len(group.data[0].rows) // group.batch_size)
    tolerance = 4 * updates * np.finfo(group.theta.dtype).eps
    wrong = np.abs(outcome.theta[-1] - theta[:, -1]).max(axis=1) / np.abs(theta[:, -1]).max(axis=1)
    np.testing.assert_allclose(wrong, 0, atol=tolerance)
    np.testing.assert_allclose(outcome.sums, sums, rtol=tolerance)
    np.testing.assert_allclose(outcome.measured, measured, rtol=tolerance)
    if group.stopping.by_accuracy:
        assert np.array_equal(outcome.wrong, errors)
    return outcome
