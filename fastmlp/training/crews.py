"""Many trainings at once, each of which ends on its own: networks as lanes of strips, or runs of one network side by side.

A crew trains the members of a squad: networks of one architecture. What a member becomes does not depend on the others, nor on how
many there are: the choice between both kinds of crew follows from its own architecture, batches and rows alone.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import batch, optimizers, population
from fastmlp.kernels.simd import BYTES, WIDE, readable
from fastmlp.networks import layout
from fastmlp.networks.history import DivergedError
from fastmlp.networks.mlp import MLP
from fastmlp.threads import workers
from fastmlp.training.descent import CALL_SECONDS, FIRST_CALL, ORDER_ENTRIES, Limits, Order, Rows, Run, end_of_call
from fastmlp.training.train import Scaling, Streams

STOPPED_BY = np.array(["epochs", "target_loss", "patience", "diverged"])  # by the marks of kernels/population.py
LARGE_BATCH = 256  # samples
LARGE_NETWORK = 16_384  # parameters
ONLINE_BLOCK = 8  # samples that are laid out at once for updates from single samples
ONLINE_BYTES = 1 << 16  # of rows that are so few that they are all laid out at once
BLOCK = 16  # samples of a block of a batch
ROUND_SECONDS = 0.1  # that a strip goes on for, until those that have ended leave their lanes

# Of a strip that no kernel is working on.
NOTHING = np.zeros((0, 0))
NO_ORDER = np.zeros((1, 1, 0), np.int32)

Job = Callable[[], None]


class Lesson(NamedTuple):
    """What a network is trained on; members that agree in it share one object."""

    data: batch.Data
    rows: NDArray[np.int32]  # to train on
    order: Streams | None  # that the rows are shuffled by
    held_out: Rows | None
    outputs: Scaling | None = None  # of the targets

    @property
    def inputs(self) -> Scaling:
        return Scaling(self.data.shift, self.data.scale)


def distinct(lessons: list[Lesson]) -> list[Lesson]:
    """The lessons, or the one that all share."""
    return lessons[:1] if len(set(map(id, lessons))) == 1 else lessons


def alike(lessons: list[Lesson]) -> list[tuple[slice | list[int], Lesson]]:
    """The members whose inputs and targets are scaled alike, and the lesson of one of them."""
    if len(distinct(lessons)) == 1:
        return [(slice(None), lessons[0])]
    found: dict[tuple[int, int], list[int]] = {}
    for member, lesson in enumerate(lessons):
        found.setdefault((id(lesson.data.scale), id(lesson.outputs)), []).append(member)
    return [(members, lessons[members[0]]) for members in found.values()]


class Squad(NamedTuple):
    """m networks of one architecture."""

    network: MLP  # but for its theta
    places: NDArray[np.intp]  # (m,) in the population
    theta: NDArray[Any]  # (m, P): the first, for scaled inputs and targets; they become the last
    numbers: NDArray[Any]  # (m, 3): learning rate, momentum, l2
    optimizer: int
    batch_size: int  # at most the number of rows
    limits: Limits
    lessons: list[Lesson]  # m of them
    schedule: optimizers.Schedule = optimizers.AS_GIVEN

    @property
    def online(self) -> bool:
        """Whether each update is from one sample, by plain gradient descent: that has a kernel of its own."""
        return self.batch_size == 1 and self.optimizer == optimizers.SGD


class Record:
    """How the members of a population went; threads write to different rows."""

    def __init__(self, members: int, epochs: int, measured: bool) -> None:
        self.loss = np.full((members, epochs), np.nan)  # and NaN it stays after a member's end
        self.validation_loss = np.full((members, epochs), np.nan) if measured else None
        self.epochs = np.full(members, -1)  # of those that have ended
        self.scores = np.full(members, np.nan)
        self.stopped_by = np.full(members, "epochs", STOPPED_BY.dtype)

    def end(self, places: NDArray[np.intp], epochs: NDArray[np.int64], stopped_by: NDArray[np.str_], keeps_best: bool) -> None:
        """Notes of the members at those places how many epochs they completed, and why they ended."""
        self.epochs[places], self.stopped_by[places] = epochs, stopped_by
        for member in np.flatnonzero(stopped_by == "interrupt"):  # which may have come after the losses of a call were noted
            self.loss[places[member], epochs[member] :] = np.nan
            if self.validation_loss is not None:
                self.validation_loss[places[member], epochs[member] :] = np.nan
        scored = (epochs > 0) & (stopped_by != "diverged")
        if not scored.any():
            return
        places, last = places[scored], epochs[scored] - 1
        losses = self.loss if self.validation_loss is None else self.validation_loss
        self.scores[places] = np.nanmin(losses[places, : last.max() + 1], axis=1) if keeps_best else losses[places, last]

    def score(self, places: list[int], epochs: int, keeps_best: bool) -> NDArray[np.float64]:
        """The losses by which members that have completed so many epochs are compared."""
        losses = (self.loss if self.validation_loss is None else self.validation_loss)[places, :epochs]
        return losses.min(axis=1) if keeps_best else losses[:, -1]


def crew(squad: Squad, record: Record, threads: int) -> Strips | Singles:
    """Networks as lanes, or samples as lanes.

    Measured with 32 members in float32: for batches of 32 networks as lanes are 3.3 times as fast for 3-5-1, 1.9 times for
    64-32-10, 1.6 times for 64-100-10 (7510 parameters), 1.1 times for 17,000 parameters, and slower beyond: a strip's parameters,
    gradients and moments have to stay in the cache. For batches of 256 and more the gain is 1.5 times and less, while a few
    members would pay for all lanes of a strip. Single samples have no other lanes.
    """
    lanes_are_networks = squad.online or (squad.batch_size < LARGE_BATCH and squad.network.theta.size <= LARGE_NETWORK)
    return (Strips if lanes_are_networks else Singles)(squad, record, threads)


class Strips:
    """Members as lanes."""

    def __init__(self, squad: Squad, record: Record, threads: int) -> None:
        self.squad, self.record = squad, record
        self.lanes = (WIDE if squad.online else 1) * BYTES // squad.theta.itemsize
        self.rows = len(squad.lessons[0].rows)
        self.block = self._online_block() if squad.online else squad.batch_size
        self.batches = -(-self.rows // self.block)
        self.work = self.block * squad.network.theta.size * self.lanes // 4  # of a batch, in what one network costs
        self.seconds = 0.0  # for a batch, once that is known
        self.epoch = 0
        self.scratch: SimpleQueue[population.Scratch] = SimpleQueue()
        self.common = self._material(squad.lessons[:1]) if len(distinct(squad.lessons)) == 1 else None  # to all strips
        members = np.arange(len(squad.places))
        self.strips = [self._strip(members[at : at + self.lanes]) for at in range(0, len(members), self.lanes)]
        for _ in range(min(threads, len(self.strips))):
            self.scratch.put(self._scratch())

    # -- strips ------------------------------------------------------------------------------------------------------------------

    def _strip(self, members: NDArray[np.intp], before: Sequence[tuple[_Strip, int]] = ()) -> _Strip:
        """A strip of these members, from the beginning, or from the lanes of strips in which they stood before."""
        squad, lanes = self.squad, self.lanes
        parameters, dtype = squad.network.theta.size, squad.theta.dtype
        lessons = [squad.lessons[member] for member in members.tolist()]
        material = self.common or self._material(distinct(lessons))
        count, moments = len(members), {optimizers.SGD: 0, optimizers.ADAM: 2}.get(squad.optimizer, 1)
        block = layout.aligned(((2 + moments) * parameters + squad.numbers.shape[1], lanes), dtype)
        theta, kept, rest = block[:parameters], block[parameters : 2 * parameters], block[2 * parameters :]
        state, numbers = rest[: moments * parameters], rest[moments * parameters :]
        marks, best = np.zeros((3, lanes), np.int64), np.zeros((1, lanes))
        theta[:, :count], numbers[:, :count] = squad.theta[members].T, squad.numbers[members].T  # empty lanes are 0
        marks[population.ENDED, count:] = 1  # and have ended
        for lane, (strip, old) in enumerate(before):
            for name, array in {"theta": theta, "state": state, "kept": kept, "marks": marks, "best": best}.items():
                array[:, lane] = getattr(strip.arrays, name)[old::lanes]
        if before:
            orders = [strip.orders[min(old, len(strip.orders) - 1)] for strip, old in before]
            orders = copy.deepcopy(orders[:1]) if material.one_order else orders
        else:
            orders = [_order(lesson) for lesson in (lessons[:1] if material.one_order else lessons)]
        flat = [array.reshape(-1) for array in (theta, state, kept, numbers, material.shift, material.scale, marks, best)]
        return _Strip(members, population.Strip(*flat), orders, material.data, material.held_out, self.epoch * self.batches)

    def _material(self, lessons: list[Lesson]) -> _Material:
        """What the members of a strip learn from, each its own lesson or all the same one."""
        one_order = all(lesson.rows is lessons[0].rows and lesson.order is lessons[0].order for lesson in lessons)
        one_scale = all(lesson.data.scale is lessons[0].data.scale for lesson in lessons)
        padded = lessons + lessons[:1] * (self.lanes - len(lessons) if len(lessons) > 1 else 0)
        shift, scale = (self._columns(np.array([getattr(lesson.data, name) for lesson in padded])) for name in ("shift", "scale"))
        return _Material(
            one_order, shift, scale, self._data([lesson.data for lesson in padded], one_order and one_scale),
            self._held_out([lesson.held_out for lesson in padded]),
        )  # fmt: skip

    def _online_block(self) -> int:
        """How many samples are laid out at once: by the rows and the network alone, so that losses are added in one way."""
        layers = self.squad.network.layers
        sample = (layers[0, 0] + layers[0, 4] + layers[-1, 1] + 1) * WIDE * BYTES
        return self.rows if self.rows * sample <= ONLINE_BYTES else ONLINE_BLOCK

    def _columns(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows, one for each lane or one for all, as lanes."""
        columns = layout.aligned((rows.shape[1], self.lanes), self.squad.theta.dtype)
        columns[:] = rows.T
        return columns

    def _data(self, data: list[batch.Data], alike: bool = False) -> population.Data:
        class_numbers = self.squad.network.classes is not None
        y, weights = _side_by_side([d.y for d in data]), _side_by_side([d.weight for d in data])
        return population.Data(data[0].x, y, weights, NO_ORDER, class_numbers, alike)

    def _held_out(self, rows: list[Rows | None]) -> population.Data:
        one = np.ones(1, self.squad.theta.dtype)
        held = [row for row in rows if row is not None]
        if not held:
            return self._data([self.squad.lessons[0].data])
        data = self._data([batch.Data(readable(row.x), row.y, one, one, one) for row in held])
        orders = [row.order for row in held]
        shared = all(order is orders[0] for order in orders)
        return data._replace(order=np.array(orders[:1] if shared else orders)[:, None])

    def _scratch(self) -> population.Scratch:
        layers, dtype, lanes = self.squad.network.layers, self.squad.theta.dtype, self.lanes
        # Rows are an odd number of vectors apart, so that they stand in different sets of the cache.
        stride = (BLOCK + 1) * lanes
        tiles = layout.tiles(layers, dtype, min(BLOCK, self.block), 1, stride)
        if self.squad.online:
            tiles = layout.tiles(layers, dtype, 1, self.block, lanes)
        return population.Scratch(
            units=layout.units(layers, dtype, stride),
            few=layout.aligned((int(layers[:, 1].sum()) * lanes,), dtype),
            deltas=layout.aligned((2 * int(layers[:, 1].max()) * stride,), dtype),
            gradient=layout.aligned((0 if self.squad.online else self.squad.network.theta.size * lanes,), dtype),
            losses=layout.aligned((lanes,), dtype),
            tiles=tiles,
            measured=layout.tiles(layers, dtype, BLOCK, 1, stride),
        )

    # -- going on ----------------------------------------------------------------------------------------------------------------

    def jobs(self, until: int, halt: Callable[[], bool]) -> list[Job]:
        """What there is to do until all have come to that epoch, or to one before it; none if they are there."""
        if self.epoch >= until or not self.strips:
            return []
        batches = ROUND_SECONDS / self.seconds if self.seconds else FIRST_CALL // self.work
        self.epoch = min(until, self.epoch + max(1, int(batches / self.batches)))
        return [partial(self._go_on, strip, self.epoch * self.batches, halt) for strip in self.strips]

    def _go_on(self, strip: _Strip, total: int, halt: Callable[[], bool]) -> None:
        squad, scratch = self.squad, self.scratch.get()
        limits = population.Limits(squad.limits.target_loss, squad.limits.patience or 0)
        kernel = population.descend_online if squad.online else population.descend
        try:
            while strip.done < total and not halt():
                first = strip.done
                most = int(CALL_SECONDS / self.seconds) if self.seconds else FIRST_CALL // self.work
                most_epochs = ORDER_ENTRIES // (self.rows * len(strip.orders)) if strip.orders[0].shuffle else total
                last = end_of_call(first, min(total, first + max(1, most)), self.batches, most_epochs)
                if first % self.batches == 0:
                    strip.before = _Whole(first, strip.arrays.theta.copy(), strip.arrays.kept.copy())
                    strip.begin_epochs(-(-last // self.batches) - first // self.batches, self.lanes)
                began = time.perf_counter()
                running = kernel(
                    strip.arrays, scratch, strip.data, strip.held_out, strip.sums.reshape(-1), strip.measured.reshape(-1),
                    (self.block, first, last, first), squad.network.network, (squad.optimizer, squad.schedule), limits,
                )  # fmt: skip
                self.seconds = max(1e-9, (time.perf_counter() - began) / (last - first))
                self._note(strip, first // self.batches, last // self.batches)
                strip.done = last if running else total
                if strip.done % self.batches == 0:
                    strip.before = None
        finally:
            self.scratch.put(scratch)
        strip.end_epochs()

    def _note(self, strip: _Strip, first: int, last: int) -> None:
        """The losses of epochs first to last - 1."""
        count, places, record = len(strip.members), self.squad.places[strip.members], self.record
        ended = strip.arrays.marks.reshape(3, -1)[population.ENDED, :count]
        some_ended = ended.any()
        where = slice(places[0], places[-1] + 1) if places[-1] - places[0] == count - 1 else places  # copied much faster
        for losses, sums, rows in (
            (record.loss, strip.sums, self.rows), (record.validation_loss, strip.measured, strip.held_out.order.shape[2])
        ):  # fmt: skip
            if losses is not None:
                mean = sums[: last - first, :count] / rows
                if some_ended:
                    mean[(ended > 0) & (ended <= np.arange(first, last)[:, None])] = np.nan
                losses[where, first:last] = mean.T

    def close_ranks(self) -> None:
        """Those that have ended leave, where the others then need fewer strips."""
        running = sum(int(strip.running().sum()) for strip in self.strips)
        if -(-running // self.lanes) < len(self.strips):
            self.drop(set(), "epochs")

    def running(self) -> list[int]:
        """The places of those that have not ended."""
        return [place for strip in self.strips for place in self.squad.places[strip.members[strip.running()]].tolist()]

    def epochs_done(self) -> list[int]:
        """By each of those that have not ended."""
        return [strip.done // self.batches for strip in self.strips for _ in range(int(strip.running().sum()))]

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        """Ends the members at those places of the population, or all; they and those that had ended leave."""
        staying: list[tuple[_Strip, int]] = []
        leaving: list[tuple[_Strip, slice | NDArray[np.intp]]] = []
        for strip in self.strips:
            if places is None:
                leaving.append((strip, slice(len(strip.members))))
                continue
            stays = strip.running()
            stays &= [place not in places for place in self.squad.places[strip.members].tolist()]
            leaving.append((strip, np.flatnonzero(~stays)))
            staying += [(strip, lane) for lane in np.flatnonzero(stays).tolist()]
        self._leave(leaving, stopped_by)
        groups = [staying[at : at + self.lanes] for at in range(0, len(staying), self.lanes)]
        self.strips = [self._strip(np.array([strip.members[lane] for strip, lane in group]), group) for group in groups]

    def _leave(self, leaving: list[tuple[_Strip, slice | NDArray[np.intp]]], stopped_by: str) -> None:
        """Writes what the members in those lanes have become, and how they went."""
        if not leaving:
            return
        squad, keeps_best = self.squad, bool(self.squad.limits.patience)
        parts = [strip.members[lanes] for strip, lanes in leaving]
        members = np.concatenate(parts)
        ended, why, _ = np.concatenate([strip.arrays.marks.reshape(3, -1)[:, lanes] for strip, lanes in leaving], axis=1)
        came_to = [strip.whole_epochs() for strip, _ in leaving]
        done = np.repeat([whole.done // self.batches for whole in came_to], [len(part) for part in parts])
        ended[ended > done] = 0  # in a kernel call that Ctrl-C came into, whose losses are not noted
        epochs = np.where(ended > 0, ended, done)
        theta, kept = (
            np.concatenate([getattr(whole, name).reshape(-1, self.lanes)[:, lanes]
                            for whole, (_, lanes) in zip(came_to, leaving, strict=True)], axis=1).T
            for name in ("theta", "kept")
        )  # fmt: skip
        squad.theta[members] = np.where(((ended > 0) | (keeps_best & (epochs > 0)))[:, None], kept, theta)
        finite = np.isfinite(squad.theta[members]).all(axis=1)
        reasons = np.where(ended > 0, STOPPED_BY[why], np.where(finite, stopped_by, "diverged"))
        self.record.end(squad.places[members], epochs, reasons, keeps_best)


class _Material(NamedTuple):
    """What the members of a strip learn from."""

    one_order: bool  # for all
    shift: NDArray[Any]
    scale: NDArray[Any]
    data: population.Data  # but for the order
    held_out: population.Data


class _Whole(NamedTuple):
    """Members after their whole epochs: the batches that are done, and their arrays."""

    done: int
    theta: NDArray[Any]
    kept: NDArray[Any]


@dataclass
class _Strip:
    """Members in their lanes, as far as they have come."""

    members: NDArray[np.intp]
    arrays: population.Strip
    orders: list[Order]  # one for each member, or one for all
    data: population.Data
    held_out: population.Data
    done: int  # batches
    sums: NDArray[np.float64] = field(default_factory=lambda: NOTHING)  # of the losses of the epochs of a kernel call
    measured: NDArray[np.float64] = field(default_factory=lambda: NOTHING)
    before: _Whole | None = None  # as the epoch began that is under way

    def begin_epochs(self, count: int, lanes: int) -> None:
        self.sums, self.measured = np.zeros((count, lanes)), np.zeros((count, lanes))
        if len(self.orders) == 1:
            order = self.orders[0].next(count)[None]
        else:
            order = np.empty((lanes, count if self.orders[0].shuffle else 1, len(self.orders[0].rows)), np.int32)
            for rows, own in zip(order, self.orders, strict=False):
                own.fill(rows)
            order[len(self.orders) :] = order[0]
        self.data = self.data._replace(order=order)

    def end_epochs(self) -> None:
        """What the epochs needed is not kept while other strips go on."""
        self.sums = self.measured = NOTHING
        self.data = self.data._replace(order=NO_ORDER)

    def whole_epochs(self) -> _Whole:
        return self.before or _Whole(self.done, self.arrays.theta, self.arrays.kept)

    def running(self) -> NDArray[np.bool_]:
        ended: NDArray[np.int64] = self.arrays.marks.reshape(3, -1)[population.ENDED, : len(self.members)]
        return ended == 0


def _order(lesson: Lesson) -> Order:
    return Order(lesson.rows, lesson.order and lesson.order.order())


def _side_by_side(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """The arrays, columns or vectors, as columns of one; what all share stays alone."""
    arrays = [array.reshape(len(array), -1) for array in ([arrays[0]] if all(array is arrays[0] for array in arrays) else arrays)]
    return np.concatenate(arrays, axis=1) if len(arrays) > 1 else arrays[0]


class Singles:
    """Members side by side: each a run with samples as lanes."""

    def __init__(self, squad: Squad, record: Record, threads: int) -> None:
        self.squad, self.record = squad, record
        self.threads = max(1, threads // len(squad.places))  # of a run
        self.runs: dict[int, Run] = {}
        self.left = dict(enumerate(squad.places.tolist()))  # members that have not ended
        self.epoch = 0

    def jobs(self, until: int, halt: Callable[[], bool]) -> list[Job]:
        if self.epoch >= until:
            return []
        self.epoch = until
        return [partial(self._go_on, member, until, halt) for member in self.left]

    def _run(self, member: int) -> Run:
        """The run of a member, as far as it has come."""
        if member not in self.runs:
            self.runs[member] = self._new_run(member)
        return self.runs[member]

    def _new_run(self, member: int) -> Run:
        squad, lesson = self.squad, self.squad.lessons[member]
        rate, momentum, l2 = squad.numbers[member].tolist()
        rule = optimizers.Rule(squad.optimizer, rate, momentum, l2, squad.schedule)
        network = squad.network.like(squad.theta[member])
        data = lesson.data._replace(y=np.ascontiguousarray(lesson.data.y))
        run = Run(network, data, _order(lesson), rule, squad.limits, squad.batch_size, self.threads)
        if lesson.held_out is not None:
            run.watch(lesson.held_out._replace(y=np.ascontiguousarray(lesson.held_out.y)))
        return run

    def _go_on(self, member: int, until: int, halt: Callable[[], bool]) -> None:
        run = self._run(member)
        with workers(self.threads) as share_out:
            try:
                run.advance(until, share_out, halt=halt)
            except DivergedError as error:
                run.stopped_by = "diverged"
                self._leave(member, error.epoch + 1)
                return
        if run.stopped_by != "epochs" or run.epochs == self.squad.limits.epochs:
            self._leave(member, run.epochs)
        else:
            self._note(member, run, run.epochs)

    def _note(self, member: int, run: Run, epochs: int) -> None:
        place, record = self.squad.places[member], self.record
        record.loss[place, :epochs] = run.sums[:epochs] / run.rows
        if record.validation_loss is not None:
            losses = run.validation_loss[:epochs]
            record.validation_loss[place, :epochs] = losses + [np.nan] * (epochs - len(losses))

    def close_ranks(self) -> None:
        """Nothing holds a place here."""

    def running(self) -> list[int]:
        return list(self.left.values())

    def epochs_done(self) -> list[int]:
        runs = map(self.runs.get, list(self.left))  # threads may begin and end some meanwhile
        return [0 if run is None else run.epochs for run in runs]

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        for member, place in list(self.left.items()):
            if places is None or place in places:
                run = self._run(member)
                run.stopped_by = stopped_by
                run.rewind()
                self._leave(member, run.epochs)

    def _leave(self, member: int, epochs: int) -> None:
        run, keeps_best = self.runs.pop(member), bool(self.squad.limits.patience)
        self._note(member, run, epochs)
        diverged = run.stopped_by == "diverged" or not np.isfinite(run.theta).all()
        if keeps_best and run.validation_loss and not diverged:
            run.theta[:] = run.best
        self.squad.theta[member] = run.theta
        why = np.array(["diverged" if diverged else run.stopped_by])
        self.record.end(self.squad.places[[member]], np.array([epochs]), why, keeps_best)
        del self.left[member]
