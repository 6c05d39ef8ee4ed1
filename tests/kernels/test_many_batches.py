"""Lanes are networks: each becomes what the reference makes of it alone, to the last bit whatever stands in the other lanes.

With NUMBA_BOUNDSCHECK=1 the same tests notice any index out of bounds as an IndexError.
"""

import numpy as np
import pytest
from cases import EVERY_NETWORK, network_of
from lane_groups import (
    DIFFERENT,
    DTYPES,
    EPOCHS,
    INTERPRETED,
    OWN,
    RATES,
    alone,
    compare,
    descend,
    members_of,
)
from pairs import in_pairs

from benchmarks.reference import Network
from fastmlp.kernels import schedules
from fastmlp.kernels.many_batches import BEST, DIVERGED, ENDED, PATIENCE, RUNNING, TARGET_LOSS, WHY
from fastmlp.kernels.schedules import RateSchedule
from fastmlp.kernels.tiles import Data
from fastmlp.training.data import Parts, TrainingData
from fastmlp.training.descent import Stopping

pytestmark = pytest.mark.kernels

KERNELS = ("descend", "descend_online")
MARK = -7777.0  # where nothing may be written
BINARY = network_of("sigmoid", "sigmoid", "cross_entropy", (4,), outputs=1)
SOFTMAX = network_of("tanh", "softmax", "cross_entropy_bits", (5, 2))
REGRESSOR = network_of("relu", "identity", "squared_error", (3,), outputs=2)
NETWORKS = BINARY, SOFTMAX, REGRESSOR

SOME = {"rows": 4} if INTERPRETED else {}
SUBJECTS = [*(("descend", name) for name in (("adam",) if INTERPRETED else RATES)), ("descend_online", "sgd")]

by_dtype = pytest.mark.parametrize("dtype", DTYPES)
by_kernel = pytest.mark.parametrize("kernel", KERNELS)


# -- the same as the reference -----------------------------------------------------------------------------------------


@in_pairs(kind=EVERY_NETWORK, bias=[True] if INTERPRETED else [True, False], kernel=KERNELS)
def test_every_network_is_trained_as_the_reference_trains_it(kind, bias, kernel):
    activation, output, loss, dtype = kind
    for hidden in [(2,)] if INTERPRETED else [(), (3,), (4, 5)]:
        compare(members_of(network_of(activation, output, loss, hidden, bias=bias), dtype, kernel, rows=4, held=2), 1)


@in_pairs(
    network=NETWORKS,
    optimizer=RATES,
    batch_size=[2] if INTERPRETED else [1, 2, 7],
    bias=[True, False],
    dtype=DTYPES,
)
def test_every_optimizer_is_that_of_the_reference(network, optimizer, batch_size, bias, dtype):
    names = network.activations if dtype is np.float64 else ("tanh",) * len(network.activations)  # not relu, as above
    network = Network(network.sizes, names, network.output, network.loss, bias)
    # SGD on single samples has a kernel of its own.
    compare(members_of(network, dtype, "descend", optimizer=optimizer, batch_size=batch_size, **SOME))


MORE = {"l1": 0.02, "clip": 0.05, "average": 0.7}


@in_pairs(more=[{}, MORE, *({name: value} for name, value in MORE.items())], shares=[(), (0.3, 0.6)], own=[OWN, ()], dtype=DTYPES)
def test_steps_are_those_of_the_reference_with_penalties_clipping_averages_and_dropout(more, shares, own, dtype):
    for optimizer in ("momentum", "nesterov"):  # not adam, whose steps are long where a gradient is nothing but rounding
        compare(members_of(SOFTMAX, dtype, "descend", held=2, optimizer=optimizer, more=more, shares=shares, own=own, **SOME))


@by_dtype
def test_a_member_loses_the_same_units_whatever_stands_beside_it(dtype):
    group = members_of(SOFTMAX, dtype, "descend", more=MORE, shares=(0.3, 0.6), members=19)
    together = descend(group, 2)
    for member in (0, 7, 18):
        assert np.array_equal(descend(alone(group, member), 2).theta[-1][0], together.theta[-1][member])


@by_kernel
@pytest.mark.parametrize(("name", "decay"), [*((name, 0.0) for name in schedules.CODES), ("exponential", 0.7)])
def test_schedules_are_those_of_the_reference(name, decay, kernel):
    network = network_of("tanh", "softmax", "cross_entropy", (3,))
    epochs = 2 if INTERPRETED else 5
    compare(members_of(network, float, kernel, schedule=RateSchedule(schedules.CODES[name], 1.2, epochs, 0, 7, 0.3, decay)), epochs)


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


@in_pairs(network=NETWORKS, subject=SUBJECTS, dtype=DTYPES)
def test_a_member_is_the_same_to_the_last_bit_in_any_lane_and_alone(network, subject, dtype):
    kernel, optimizer = subject
    group = members_that_share_nothing(network, dtype, kernel, optimizer, rows=4)
    outcome = descend(group, 2)
    count = len(group.places)
    turned = np.random.default_rng(0).permutation(count)
    other = group._replace(theta=group.theta[turned], numbers=group.numbers[turned], data=[group.data[k] for k in turned])
    same_bits(outcome, descend(other, 2), turned, np.arange(count))
    for member in (0, count - 1):
        same_bits(outcome, descend(alone(group, member), 2), [member], [0])


@in_pairs(subject=SUBJECTS, value=[np.nan] if INTERPRETED else [np.nan, np.inf, -np.inf], dtype=DTYPES)
def test_what_is_no_number_stays_in_its_lane(subject, value, dtype):
    kernel, optimizer = subject

    def with_data(data, **changes):
        return data._replace(arrays=data.arrays._replace(**changes))

    group = members_that_share_nothing(SOFTMAX, dtype, kernel, optimizer, rows=4)
    x = group.data[0].arrays.x
    x = np.append(x, np.full((1, x.shape[1]), value, dtype), axis=0)  # a row that only those take that are to fail
    more = [(np.append(data.arrays.y, data.arrays.y[:1], axis=0), np.append(data.arrays.weight, dtype(1))) for data in group.data]
    learned = [with_data(data, x=x, y=y, weight=weight) for data, (y, weight) in zip(group.data, more, strict=True)]
    group = group._replace(data=learned)
    outcome = descend(group, 2)
    well, ill = np.arange(0, len(learned), 2), np.arange(1, len(learned), 2)

    def spoil(what, data):
        if what == "x":
            return data._replace(rows=np.full_like(data.rows, len(x) - 1))
        if what == "held y":
            return data._replace(held_out=data.held_out._replace(y=np.full_like(data.held_out.y, value)))
        return with_data(data, **{what: np.full_like(getattr(data.arrays, what), value)})

    for what in ("theta", "numbers", "x", "y", "weight", "shift", "scale", "held y"):
        other = group._replace(theta=group.theta.copy(), numbers=group.numbers.copy(), data=list(learned))
        for member in ill:
            if what in ("theta", "numbers"):
                getattr(other, what)[member] = value
            else:
                other.data[member] = spoil(what, learned[member])
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


def ends_as_told(group, epochs, target_loss, patience, by_accuracy=False):
    """The reasons why members end, which have to follow from the losses of a training without limits."""
    group = group._replace(stopping=Stopping(0, -np.inf, None, by_accuracy=by_accuracy))
    rows, held_out = len(group.data[0].rows), group.data[0].held_out
    free = descend(group, epochs, [len(range(0, rows, 32 if group.batch_size == 1 else group.batch_size))] * epochs)
    outcome = descend(group._replace(stopping=group.stopping._replace(target_loss=target_loss, patience=patience)), epochs)
    decisive = free.wrong if by_accuracy else free.measured
    measured = decisive / len(held_out.order) if held_out else np.empty((len(group.places), 0))
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
@pytest.mark.parametrize("network", [BINARY, SOFTMAX])
def test_the_accuracy_on_the_rows_held_out_may_decide_instead(network, kernel, dtype):
    group = members_of(network, dtype, kernel, rows=4, held=4)
    group.numbers[np.arange(len(group.places)) % DIFFERENT != 3, 0] *= 4
    compare(group._replace(stopping=Stopping(0, -np.inf, None, by_accuracy=True)), EPOCHS)
    for patience in (1, 3):
        assert PATIENCE in ends_as_told(group, 5, -np.inf, patience, by_accuracy=True)


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
