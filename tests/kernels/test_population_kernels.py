"""Lanes are networks: each becomes what the reference makes of it alone, to the last bit whatever stands in the other lanes.

With NUMBA_BOUNDSCHECK=1 the same tests notice any index out of bounds as an IndexError.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from cases import EVERY_NETWORK, OUTPUT_LOSSES, mlp, network_of, parameter_count, slow

from benchmarks import reference
from benchmarks.reference import Network
from fastmlp.kernels import optimizers, output, population, population_online, schedules
from fastmlp.kernels.activations import OUTPUTS
from fastmlp.kernels.population import BEST, DIVERGED, ENDED, PATIENCE, RUNNING, TARGET_LOSS, WHY
from fastmlp.kernels.product import NONE, Grid, by_vectors
from fastmlp.kernels.schedules import AS_GIVEN, RateSchedule
from fastmlp.kernels.tiles import Data, Tiles, shuffle
from fastmlp.training.data import MeasuredRows, Parts, RowOrders, TrainingData
from fastmlp.training.descent import Stopping
from fastmlp.training.groups import Outcomes, TrainingGroup
from fastmlp.training.lanes import NetworksAsLanes

pytestmark = pytest.mark.kernels

INTERPRETED = numba.config.DISABLE_JIT
DTYPES = (np.float32, np.float64)
KERNELS = ("descend", "descend_online")
OWN = ("order", "scale", "y", "weight")  # what members may have each for itself, or all in common
EPOCHS = 1 if INTERPRETED else 2
DIFFERENT = 5  # members: they stand in turn in the lanes, so that each is in many of them, beside others each time
RATES = {row.name: 0.01 if row.adaptive else 0.02 for row in optimizers.TABLE}
MARK = -7777.0  # where nothing may be written
BINARY = network_of("sigmoid", "sigmoid", "cross_entropy", (4,), outputs=1)
SOFTMAX = network_of("tanh", "softmax", "cross_entropy_bits", (5, 2))
REGRESSOR = network_of("relu", "identity", "squared_error", (3,), outputs=2)
NETWORKS = pytest.mark.parametrize("network", [BINARY, SOFTMAX, REGRESSOR], ids=["binary", "softmax", "regressor"])

SOME = {"rows": 4} if INTERPRETED else {}
SUBJECTS = [*(("descend", name) for name in (("adam",) if INTERPRETED else RATES)), ("descend_online", "sgd")]

by_dtype = pytest.mark.parametrize("dtype", DTYPES)
by_kernel = pytest.mark.parametrize("kernel", KERNELS)


# -- the product of a layer --------------------------------------------------------------------------------------------


@numba.njit
def product(z, a, b, rows, columns, depth, more):
    by_vectors(z, a, b, rows, columns, depth, more, z.array, NONE)


def places_of(grid, shape):
    """Where the lanes of each vector of a grid stand."""
    i, j, lane = np.indices(shape)
    return grid.at + i * grid.down + j * grid.along + lane


def grid(values, at, transposed, outside):
    """Vectors (rows, columns, lanes) in a flat array, with gaps that hold `outside`; those of a row lie closer, or of a column."""
    rows, columns, lanes = values.shape
    near, far = lanes + 3, (lanes + 3) * (rows if transposed else columns) + 5
    flat = np.full(at + max(rows, columns) * far + 5, outside, values.dtype)
    made = Grid(flat, at, near, far) if transposed else Grid(flat, at, far, near)
    flat[places_of(made, values.shape)] = values
    return made


@by_dtype
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("transposed", [0, 1, 2, 4, 7])  # which of z, a and b
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_product_is_that_of_numpy_in_each_lane(depth, transposed, more, dtype):
    lanes, rng = 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    sizes = (1, 4, 6, 11) if INTERPRETED and depth != 2 else range(1, 10)
    for rows in sizes:
        for columns in sizes:
            z, a, b = (
                rng.normal(size=(*shape, lanes)).astype(dtype) for shape in ((rows, columns), (rows, depth), (depth, columns))
            )
            made = grid(z, 3, transposed & 1, MARK)
            product(made, grid(a, 1, transposed & 2, np.nan), grid(b, 2, transposed & 4, np.nan), rows, columns, depth, more)
            terms = np.einsum("rdn,dcn->rcdn", a.astype(float), b.astype(float))
            before = more * z.astype(float)
            # Each of the products and of the sums rounds to half an ulp of what is at most the sum of the magnitudes.
            bound = np.finfo(dtype).eps * (depth + 1) * (np.abs(before) + np.abs(terms).sum(axis=2))
            at = places_of(made, z.shape)
            assert (np.abs(made.array[at] - (before + terms.sum(axis=2))) <= bound).all(), (rows, columns)
            made.array[at] = MARK
            assert (made.array == MARK).all(), "written outside the vectors"


@by_dtype
def test_a_lane_of_a_product_adds_its_terms_in_their_order_whatever_the_sizes(dtype):
    lanes, rng = 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    a, b = rng.normal(size=(9, 6, lanes)).astype(dtype), rng.normal(size=(6, 9, lanes)).astype(dtype)
    whole = grid(np.zeros((9, 9, lanes), dtype), 0, False, MARK)
    product(whole, grid(a, 0, False, MARK), grid(b, 0, False, MARK), 9, 9, 6, False)
    for rows, columns in [(1, 1), (1, 9), (9, 1), (3, 4), (4, 3), (6, 7)]:
        part = grid(np.zeros((rows, columns, lanes), dtype), 0, False, MARK)
        product(part, grid(a[-rows:], 0, False, MARK), grid(b[:, -columns:], 0, False, MARK), rows, columns, 6, False)
        computed = part.array[places_of(part, (rows, columns, lanes))]
        assert np.array_equal(computed, whole.array[places_of(whole, (9, 9, lanes))][-rows:, -columns:])


# -- what is trained, and what becomes of it ---------------------------------------------------------------------------


def alone(group, member):
    """One of the members, without the others."""
    one = slice(member, member + 1)
    return group._replace(
        places=group.places[one], theta=group.theta[one], numbers=group.numbers[one], data=group.data[one]
    )  # fmt: skip


def members_of(
    network, dtype, kernel, *, optimizer="momentum", batch_size=3, rows=7, held=0, members=None, own=OWN, schedule=AS_GIVEN, **data
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
        template, np.arange(members), theta[turn], numbers[turn], optimizers.method_of(optimizer, schedule), min(batch_size, rows),
        Stopping(0, -np.inf, None), [learned[k] for k in turn],
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


def expected(group, member, epochs):
    model, data = group.network, group.data[member]
    network = Network(model.layer_sizes, model.activations, model.output, model.loss_name, model.bias)
    rate, mu, l2 = group.numbers[member].tolist()
    optimizer = optimizers.TABLE[group.method.optimizer].name

    def seen(rows):
        y = rows.y.astype(float)
        if model.classes is not None and network.sizes[-1] > 1:
            y = np.eye(network.sizes[-1])[rows.y[:, 0].astype(int)]
        return (rows.x - data.arrays.shift.astype(float)) * data.arrays.scale, y

    x, y = seen(data.arrays)
    weights = np.broadcast_to(data.arrays.weight, len(x)).astype(float)
    theta, state = group.theta[member].astype(float), {}
    thetas, sums, measured = [], np.zeros(epochs), np.zeros(epochs)
    orders = data.row_orders().next(epochs)
    schedule = group.method.schedule
    factors = reference.rate_factors(schedules.TABLE[schedule.code].name, epochs, schedule.warmup)
    for epoch in range(epochs):
        order = orders[min(epoch, len(orders) - 1)]
        for start in range(0, len(order), group.batch_size):
            rows = order[start : start + group.batch_size]
            sums[epoch] += len(rows) * reference.loss(network, theta, x[rows], y[rows], weights[rows])
            gradient = reference.backward(network, theta, x[rows], y[rows], weights[rows])
            reference.step(network, theta, gradient, state, optimizer, rate * factors[epoch], mu, l2)
        thetas.append(theta.copy())
        if data.held_out is not None:
            held, targets = (array[data.held_out.order] for array in seen(data.held_out))
            measured[epoch] = len(held) * reference.loss(network, theta, held, targets)
    return Expected(np.array(thetas), sums, measured)


class Outcome(NamedTuple):
    """What became of m members."""

    theta: np.ndarray  # (calls, m, P): after each call of the kernel
    kept: np.ndarray  # (m, P)
    marks: np.ndarray  # (m, 3)
    best: np.ndarray  # (m,)
    sums: np.ndarray  # (m, E)
    measured: np.ndarray  # (m, E)
    running: list  # for each strip, what the last call returned
    empty: list  # for each strip, what its empty lanes hold: theta, kept, marks


def descend(group, epochs, calls=None):
    """The kernel over whole strips, in calls of so many batches each, or in one, until no member goes on."""
    strips = NetworksAsLanes(group, Outcomes(len(group.places), 0, False), 1)
    scratch = spoiled(strips.scratch.get())
    kernel = population_online.train_lanes_by_samples if strips.group.online else population.train_lanes_by_batches
    limits = population.Ends(group.stopping.target_loss, group.stopping.patience or 0)
    ends = np.cumsum(calls or [epochs * strips.batches]).tolist()
    assert ends[-1] == epochs * strips.batches
    whole: list[Any] = []
    for strip in strips.filled:
        count, arrays = len(strip.members), strip.arrays
        thetas, sums, measured, running = [], [], [], 1
        for first, last in zip([0, *ends], ends, strict=False):
            if first % strips.batches == 0:
                strip.begin_epochs(-(-last // strips.batches) - first // strips.batches, strips.width)
                sums.append(strip.sums)
                measured.append(strip.measured)
            if running:
                running = kernel(
                    arrays, scratch, strip.data, strip.held_out, strip.sums.reshape(-1), strip.measured.reshape(-1),
                    population.LaneSizes(strips.block, first, last, first), group.network.network, group.method, limits,
                )  # fmt: skip
            thetas.append(arrays.theta.reshape(-1, strips.width).T.copy())
        kept, marks, best = (array.reshape(-1, strips.width).T for array in (arrays.kept, arrays.marks, arrays.best))
        empty = thetas[-1][count:], kept[count:], marks[count:]
        sums, measured = np.concatenate(sums).T, np.concatenate(measured).T
        mine = [array[:count] for array in (kept, marks, best[:, 0], sums, measured)]
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
    theta, sums, measured = (np.array(arrays)[np.arange(members) % DIFFERENT] for arrays in zip(*some, strict=True))
    updates = epochs * -(-len(group.data[0].rows) // group.batch_size)
    tolerance = 4 * updates * np.finfo(group.theta.dtype).eps
    wrong = np.abs(outcome.theta[-1] - theta[:, -1]).max(axis=1) / np.abs(theta[:, -1]).max(axis=1)
    np.testing.assert_allclose(wrong, 0, atol=tolerance)
    np.testing.assert_allclose(outcome.sums, sums, rtol=tolerance)
    np.testing.assert_allclose(outcome.measured, measured, rtol=tolerance)
    return outcome


# -- the same as the reference -----------------------------------------------------------------------------------------


@by_kernel
@pytest.mark.parametrize("bias", [True] if INTERPRETED else [True, False])
@pytest.mark.parametrize(("activation", "output", "loss", "dtype"), EVERY_NETWORK)
def test_every_network_is_trained_as_the_reference_trains_it(activation, output, loss, dtype, bias, kernel):
    for hidden in [(2,)] if INTERPRETED else [(), (3,), (4, 5)]:
        compare(members_of(network_of(activation, output, loss, hidden, bias=bias), dtype, kernel, rows=4, held=2), 1)


@by_dtype
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_size", [2] if INTERPRETED else [1, 2, 7])
@pytest.mark.parametrize("optimizer", RATES)
@NETWORKS
def test_every_optimizer_is_that_of_the_reference(network, optimizer, batch_size, bias, dtype):
    names = network.activations if dtype is np.float64 else ("tanh",) * len(network.activations)  # not relu, as above
    network = Network(network.sizes, names, network.output, network.loss, bias)
    # SGD on single samples has a kernel of its own.
    compare(members_of(network, dtype, "descend", optimizer=optimizer, batch_size=batch_size, **SOME))


@by_kernel
@pytest.mark.parametrize("name", schedules.CODES)
def test_schedules_are_those_of_the_reference(name, kernel):
    network = network_of("tanh", "softmax", "cross_entropy", (3,))
    epochs = 2 if INTERPRETED else 5
    compare(members_of(network, float, kernel, schedule=RateSchedule(schedules.CODES[name], 1.2, epochs)), epochs)


@by_dtype
@by_kernel
@pytest.mark.parametrize(
    "sizes", [(1, 1), (3, 1), (2, 6), (1, 1, 1), (1, 2, 1, 3), (5, 4, 4, 4), (9, 8, 7), (6, 10, 1, 5, 2)], ids=str
)
def test_any_depth_and_width(sizes, kernel, dtype):
    output, loss = ("softmax", "cross_entropy") if sizes[-1] > 1 else ("sigmoid", "squared_error")
    for bias in (True, False):
        network = Network(sizes, ("tanh", "sigmoid", "identity")[: len(sizes) - 2], output, loss, bias)
        compare(members_of(network, dtype, kernel, rows=3 if INTERPRETED else 7), 1)


@by_dtype
@pytest.mark.parametrize(
    ("rows", "batch_size"), [(1, 1), (2, 2), (3, 2), (15, 4), (16, 16), (17, 17), (33, 16), (35, 32), (35, 17), (50, 49)]
)
def test_batches_and_their_blocks_end_anywhere(rows, batch_size, dtype):
    compare(members_of(BINARY, dtype, "descend", rows=rows, batch_size=batch_size))


@by_dtype
@pytest.mark.parametrize("rows", [1, 65] if INTERPRETED else [1, 2, 8, 33, *range(40, 46), 64, 65, 72])
def test_samples_are_laid_out_in_blocks_that_end_anywhere(rows, dtype):
    compare(members_of(BINARY, dtype, "descend_online", rows=rows), EPOCHS)


@by_dtype
@by_kernel
@pytest.mark.parametrize(
    "own", [(), *((name,) for name in OWN), ("order", "y"), ("order", "weight"), ("scale", "y"), ("y", "weight"), OWN], ids=str
)
def test_members_share_their_rows_targets_and_weights_or_have_their_own(own, kernel, dtype):
    for network, class_numbers in [(BINARY, True), (SOFTMAX, True), (SOFTMAX, False)]:
        compare(members_of(network, dtype, kernel, own=own, class_numbers=class_numbers, **SOME), EPOCHS)
    compare(members_of(REGRESSOR, dtype, kernel, own=own, shuffle=False, weighted=False, **SOME), EPOCHS)


@by_dtype
@by_kernel
@pytest.mark.parametrize("own", [(), ("held y",), ("held order",), ("held y", "held order")], ids=str)
def test_rows_that_are_held_out_are_measured_after_each_epoch(own, kernel, dtype):
    for held in (1, 17) if INTERPRETED else (1, 5, 16, 17, 40):
        group = members_of(SOFTMAX, dtype, kernel, rows=3, held=held, own=own, class_numbers=held % 2 == 0)
        outcome = compare(group, 1 if held > 5 else 2)
        assert np.array_equal(outcome.best, outcome.measured.min(axis=1) / held)
        assert np.array_equal(outcome.marks[:, BEST], outcome.measured.argmin(axis=1))


@pytest.mark.skipif(not INTERPRETED, reason="for each type the kernels are compiled anew")
@by_kernel
def test_data_may_be_of_a_type_of_its_own(kernel):
    compare(members_of(BINARY, np.float64, kernel, x_type=np.int8))


@by_dtype
@by_kernel
@pytest.mark.parametrize("members", ["one", "one less than a strip", "three more than a strip"])
def test_strips_need_not_be_full(members, kernel, dtype):
    lanes = len(members_of(BINARY, dtype, kernel).places)
    count = {"one": 1, "one less than a strip": lanes - 1, "three more than a strip": lanes + 3}[members]
    outcome = compare(members_of(BINARY, dtype, kernel, members=count, rows=4, held=2), 1)
    assert outcome.running == [min(lanes, count)] + [count - lanes] * (count > lanes)
    for theta, kept, marks in outcome.empty:
        assert np.isfinite(theta).all() and not kept.any()
        assert (marks == [1, RUNNING, 0]).all()


@by_dtype
@by_kernel
def test_the_loss_of_a_sample_is_that_before_the_update_that_it_caused(kernel, dtype):
    # By hand: one weight w, no bias, x = 1, t = 0, loss w^2 / 2 and its slope w; both halve with a rate of 1/2.
    network = Network((1, 1), (), "identity", "squared_error", bias=False)
    group = members_of(network, dtype, kernel, batch_size=1, rows=3)
    ones, zeros = np.ones((3, 1), dtype), np.zeros((3, 1), dtype)
    data = TrainingData(
        Data(ones, zeros, ones[0], zeros[0], ones[0]), np.arange(3, dtype=np.int32), None, None, None, Parts(*[None] * 5)
    )
    group.numbers[:] = 0.5, 0, 0
    group.theta[:, 0] = 2.0 ** np.arange(len(group.places))
    outcome = descend(group._replace(data=[data] * len(group.places)), 1)
    assert np.array_equal(outcome.theta[-1], group.theta / 8)
    assert np.array_equal(outcome.sums, group.theta.astype(float) ** 2 * (1 + 1 / 4 + 1 / 16) / 2)


# -- lanes keep to themselves ------------------------------------------------------------------------------------------


def same_bits(one, other, members, places=None):
    """Of these members; in the other outcome they stand at other places."""
    places = members if places is None else places
    assert np.array_equal(one.theta[:, members], other.theta[:, places])
    for name in ("kept", "marks", "best", "sums", "measured"):
        assert np.array_equal(getattr(one, name)[members], getattr(other, name)[places]), name


def members_that_share_nothing(network, dtype, kernel, optimizer, **more):
    """Whose members share nothing but the data; their limits are such that there is something to keep."""
    group = members_of(network, dtype, kernel, optimizer=optimizer, batch_size=3, held=3, **more)
    return group._replace(stopping=Stopping(0, -np.inf, 1))


@by_dtype
@pytest.mark.parametrize(("kernel", "optimizer"), SUBJECTS)
@NETWORKS
def test_a_member_is_the_same_to_the_last_bit_in_any_lane_and_alone(network, optimizer, kernel, dtype):
    group = members_that_share_nothing(network, dtype, kernel, optimizer, rows=4)
    outcome = descend(group, 2)
    count = len(group.places)
    turned = np.random.default_rng(0).permutation(count)
    other = group._replace(theta=group.theta[turned], numbers=group.numbers[turned], learned=[group.data[k] for k in turned])
    same_bits(outcome, descend(other, 2), turned, np.arange(count))
    for member in (0, count - 1):
        same_bits(outcome, descend(alone(group, member), 2), [member], [0])


@by_dtype
@pytest.mark.parametrize(("kernel", "optimizer"), SUBJECTS)
@pytest.mark.parametrize("value", [np.nan] if INTERPRETED else [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_in_its_lane(value, optimizer, kernel, dtype):
    def with_data(data, **changes):
        return data._replace(data=data.arrays._replace(**changes))

    group = members_that_share_nothing(SOFTMAX, dtype, kernel, optimizer, rows=4)
    x = group.data[0].data.x
    x = np.append(x, np.full((1, x.shape[1]), value, dtype), axis=0)  # a row that only those take that are to fail
    more = [(np.append(data.arrays.y, data.arrays.y[:1], axis=0), np.append(data.arrays.weight, dtype(1))) for data in group.data]
    learned = [with_data(data, x=x, y=y, weight=weight) for data, (y, weight) in zip(group.data, more, strict=True)]
    group = group._replace(learned=learned)
    outcome = descend(group, 2)
    well, ill = np.arange(0, len(learned), 2), np.arange(1, len(learned), 2)

    def spoil(what, data):
        if what == "x":
            return data._replace(rows=np.full_like(data.rows, len(x) - 1))
        if what == "held y":
            return data._replace(held_out=data.held_out._replace(y=np.full_like(data.held_out.y, value)))
        return with_data(data, **{what: np.full_like(getattr(data.arrays, what), value)})

    for what in ("theta", "numbers", "x", "y", "weight", "shift", "scale", "held y"):
        other = group._replace(theta=group.theta.copy(), numbers=group.numbers.copy(), learned=list(learned))
        for member in ill:
            if what in ("theta", "numbers"):
                getattr(other, what)[member] = value
            else:
                other.learned[member] = spoil(what, learned[member])
        spoilt = descend(other, 2)
        same_bits(outcome, spoilt, well)
        assert (spoilt.measured[ill] != outcome.measured[ill]).all(), what


# -- calls and ends ----------------------------------------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize(
    ("kernel", "optimizer", "rows", "calls"),
    [
        (kernel, optimizer, rows, calls)
        for kernel, optimizer in SUBJECTS
        for rows, calls in (
            [(5, [1] * 6), (5, [2, 1, 3]), (5, [3, 1, 1, 1])]
            if kernel == "descend"
            else [(5, [1, 1]), (65, [1] * 18), (65, [4, 5, 9])]
        )
    ],
)
def test_the_same_bits_in_however_many_calls(kernel, optimizer, rows, calls, dtype):
    for own in (OWN,) if INTERPRETED else (OWN, ()):
        for shuffled in (True,) if INTERPRETED else (True, False):
            some = {"optimizer": optimizer, "batch_size": 2, "rows": rows, "held": 2, "own": own, "shuffle": shuffled}
            group = members_of(REGRESSOR, dtype, kernel, **some)._replace(stopping=Stopping(0, 0.9, 1))
            whole, parts = descend(group, 2), descend(group, 2, calls)
            every = np.arange(len(group.places))
            same_bits(whole._replace(theta=whole.theta[-1:]), parts._replace(theta=parts.theta[-1:]), every)
            assert whole.running == parts.running


def fate(losses, held, target_loss, patience):
    """(epochs, why, best epoch, epoch of which the parameters are kept) of a network with these mean losses."""
    best = 0
    for epoch, loss in enumerate(losses):
        if not np.isfinite([loss, *held[epoch : epoch + 1]]).all():
            return epoch + 1, DIVERGED, best, epoch
        if len(held) and held[epoch] < held[best]:
            best = epoch
        if loss <= target_loss:
            return epoch + 1, TARGET_LOSS, best, best if patience else epoch
        if patience and epoch - best >= patience:
            return epoch + 1, PATIENCE, best, best
    return 0, RUNNING, best, best if patience else None


def ends_as_told(group, epochs, target_loss, patience):
    """The reasons why members end, which have to follow from the losses of a training without limits."""
    group = group._replace(stopping=Stopping(0, -np.inf, None))
    rows, held_out = len(group.data[0].rows), group.data[0].held_out
    free = descend(group, epochs, [len(range(0, rows, 32 if group.batch_size == 1 else group.batch_size))] * epochs)
    outcome = descend(group._replace(stopping=Stopping(0, target_loss, patience)), epochs)
    measured = free.measured / len(held_out.order) if held_out else np.empty((len(group.places), 0))
    fates = [fate(free.sums[member] / rows, measured[member], target_loss, patience) for member in range(len(group.places))]
    assert outcome.marks.tolist() == [list(one[:3]) for one in fates]
    for member, (ended, why, best, kept) in enumerate(fates):
        expected = np.zeros_like(free.theta[0, 0]) if kept is None else free.theta[kept, member]
        assert np.array_equal(outcome.kept[member], expected, equal_nan=True)
        assert not held_out or (ended, why) == (1, DIVERGED) or outcome.best[member] == measured[member, best]
    ended, why = outcome.marks[:, ENDED], outcome.marks[:, WHY]
    assert outcome.running == [(why == RUNNING).sum()]
    last = epochs if outcome.running[0] else ended.max()  # nothing is done after the last has ended
    assert np.array_equal(outcome.sums[:, :last], free.sums[:, :last], equal_nan=True) and not outcome.sums[:, last:].any()
    assert np.array_equal(outcome.theta[-1], free.theta[last - 1], equal_nan=True)
    return set(why.tolist())


@by_dtype
@by_kernel
@pytest.mark.parametrize("held", [0, 4])
def test_a_member_ends_after_the_epoch_that_reaches_the_target_loss(held, kernel, dtype):
    group = members_of(BINARY, dtype, kernel, rows=4, held=held)
    losses = descend(group, 3).sums / 4
    reached = float(np.median(losses[:, 2]))
    assert ends_as_told(group, 3, reached, None) == {RUNNING, TARGET_LOSS}
    assert ends_as_told(group, 3, losses.max(axis=0).min(), None) == {TARGET_LOSS}


@by_dtype
@by_kernel
def test_a_member_without_progress_on_the_rows_held_out_ends_and_its_best_is_kept(kernel, dtype):
    group = members_of(BINARY, dtype, kernel, rows=4, held=4)
    group.numbers[np.arange(len(group.places)) % DIFFERENT != 3, 0] *= 4
    assert ends_as_told(group, 5, -np.inf, 1) == {RUNNING, PATIENCE}
    assert ends_as_told(group, 5, -np.inf, 3) == {RUNNING, PATIENCE}
    reached = float(descend(group, 2).sums[:, 1].min()) / 4  # in the epoch in which patience ends too
    assert ends_as_told(group, 5, reached, 1) == {RUNNING, PATIENCE, TARGET_LOSS}


@by_dtype
@by_kernel
@pytest.mark.parametrize("patience", [None, 1])
def test_a_member_whose_loss_is_not_finite_ends_and_no_other(patience, kernel, dtype):
    group = members_of(REGRESSOR, dtype, kernel, rows=4, held=4)
    largest = float(np.finfo(dtype).max)
    group.numbers[:2] = largest ** (1 / 8), 0, 0  # after some epochs
    group.theta[2] = np.nan
    group.theta[3, -1] = largest  # the bias of an output
    data = group.data[4]
    group.data[4] = data._replace(held_out=data.held_out._replace(y=data.held_out.y + dtype(largest)))
    for target_loss in (-np.inf, np.inf):  # whatever its target
        reasons = ends_as_told(group, 3, target_loss, patience)
        assert reasons >= {DIVERGED, RUNNING if target_loss < np.inf else TARGET_LOSS}
    outcome = descend(group, 3)
    assert (outcome.marks[:5, WHY] == DIVERGED).all()
    assert outcome.marks[:5, ENDED].min() == 1 < outcome.marks[:5, ENDED].max()


@by_dtype
@by_kernel
def test_what_is_no_number_in_a_hidden_layer_is_noticed_at_once(kernel, dtype):
    group = members_of(REGRESSOR, dtype, kernel, rows=4)  # of relu units
    group.theta[1, 0] = np.nan  # a weight of the first layer
    outcome = descend(group, 1)
    assert outcome.marks[:3, WHY].tolist() == [RUNNING, DIVERGED, RUNNING]


@by_dtype
@by_kernel
def test_what_has_ended_stays_as_it_was_while_others_go_on(kernel, dtype):
    group = members_of(BINARY, dtype, kernel, rows=4, held=2)
    target_loss = float(np.median(descend(group, 2).sums[:, 0])) / 4
    group = group._replace(stopping=Stopping(0, target_loss, None))
    short, long = descend(group, 1), descend(group, 3)
    ended = np.flatnonzero(short.marks[:, ENDED])
    assert 0 < len(ended) < len(group.places)
    assert np.array_equal(short.kept[ended], long.kept[ended]) and np.array_equal(short.marks[ended], long.marks[ended])
    assert np.array_equal(short.best[ended], long.best[ended])
    assert not np.array_equal(long.theta[-1, ended], long.kept[ended])


# -- losses, and the order of the rows ---------------------------------------------------------------------------------


@numba.njit
def add_losses(losses, period, d, z, tiles, tile, m, network):
    output.add_losses(losses, period, d, z, tiles, tile, m, network)


@pytest.mark.parametrize("dtype", DTYPES if INTERPRETED else DTYPES[:1])  # as part of the kernels both are compiled anyway
@pytest.mark.parametrize("strips", [1, 4])  # vectors of a period
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(("function", "loss"), [pair for pair in OUTPUT_LOSSES if not pair[1].endswith("bits")])
def test_losses_are_added_up_at_their_places_in_a_period(function, loss, outputs, strips, dtype):
    period, rng = strips * 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    m, stride, at, tile = 3 * period, 4 * period, 5, 1
    network = Network((1, outputs), (), function, loss)
    logits = (3 * rng.normal(size=(outputs, m))).astype(dtype)
    targets = rng.random((outputs, m)).astype(dtype)
    if function == "softmax":
        targets = np.eye(outputs, dtype=dtype)[rng.integers(0, outputs, m)].T
    weights, before = rng.random(m).astype(dtype), rng.random(period).astype(dtype)

    z = np.full(at + outputs * stride, np.nan, dtype)
    z[at:].reshape(outputs, stride)[:, :m] = logits
    tiles = Tiles(
        np.empty(0, dtype), np.full(2 * outputs * stride, np.nan, dtype), np.full(2 * stride, np.nan, dtype), stride, 3, True
    )
    tiles.targets.reshape(2, outputs, stride)[tile, :, :m] = targets
    tiles.weights.reshape(2, stride)[tile, :m] = weights
    losses, d = np.append(before, np.full(5, MARK, dtype)), np.full(outputs * stride + 5, MARK, dtype)
    kernels_network = mlp(network, np.zeros(parameter_count(network), dtype)).network
    add_losses(losses, period, d, Grid(z, at, stride, period // strips), tiles, tile, m, kernels_network)

    exact = [array.astype(float).T for array in (logits, targets)]
    right = reference.OUTPUTS[function](exact[0])
    each = weights * reference.sample_losses(network, right, *exact)
    slopes = weights[:, None] * reference.output_backward(network, right, *exact)
    # Logarithms, exponentials and products round to some 4 ulps of the largest number that is added, for each output and sample.
    largest = max(np.abs(numbers).max() for numbers in (exact[0], each, slopes))
    eps = 4 * np.finfo(dtype).eps * largest * (outputs + 2)
    np.testing.assert_allclose(losses[:period], before + each.reshape(3, period).sum(axis=0), rtol=0, atol=3 * eps)
    np.testing.assert_allclose(d[: outputs * stride].reshape(outputs, stride)[:, :m], slopes.T, rtol=0, atol=eps)
    d[: outputs * stride].reshape(outputs, stride)[:, :m] = MARK
    assert (losses[period:] == MARK).all() and (d == MARK).all(), "written outside their places"


def test_shuffled_rows_are_a_permutation_whatever_the_draws():
    rows = np.array([3, 3, 8, 1, 90, 7, 5], np.int32)
    for bits in (0, 1, 2**31, 2**32 - 1):
        orders = np.tile(rows, (2, 1))
        shuffle(orders, np.full((2, 8), bits, np.uint32))
        assert (np.sort(orders) == np.sort(rows)).all()
    orders = RowOrders(np.arange(101, dtype=np.int32), 0).next(20)
    assert (np.sort(orders) == np.arange(101)).all()
    assert len({order.tobytes() for order in orders}) == 20


def test_every_permutation_is_as_likely_as_any_other():
    # Chi-square of 5! kinds: k = 119 degrees of freedom. It exceeds k + 2 sqrt(k t) + 2 t with a chance below exp(-t)
    # (Laurent and Massart 2000, lemma 1), and k - 2 sqrt(k t) falls short of it with one below that too: t = ln 10^6.
    epochs = 120 * 100
    orders = RowOrders(np.arange(5, dtype=np.int32), 3).next(epochs)
    counts = np.bincount(orders @ 5 ** np.arange(5))
    counts = counts[counts > 0]
    assert len(counts) == 120
    k, t = 119, np.log(1e6)
    assert k - 2 * np.sqrt(k * t) <= ((counts - epochs / 120) ** 2).sum() / (epochs / 120) <= k + 2 * np.sqrt(k * t) + 2 * t


@pytest.mark.parametrize("rows", [1, 2, 7, 8])
def test_orders_are_the_same_in_however_many_chunks(rows):
    order = np.arange(10, 10 + rows, dtype=np.int32)
    whole = RowOrders(order, 5).next(9)
    parts = RowOrders(order, 5)
    assert np.array_equal(whole, np.concatenate([parts.next(count) for count in (1, 5, 2, 1)]))
    assert np.array_equal(order, np.arange(10, 10 + rows))
