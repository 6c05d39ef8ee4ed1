"""Members of a population in training, with networks as lanes: many in each kernel call, of which each ends on its own."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import ends, many_batches, many_online
from fastmlp.kernels.simd import readable
from fastmlp.kernels.vectors import BYTES, WIDE
from fastmlp.networks import layout
from fastmlp.threads import Stop, Workers
from fastmlp.training.data import Parts, RowOrders, TrainingData
from fastmlp.training.descent import ORDER_ENTRIES, end_of_call
from fastmlp.training.epochs import Job
from fastmlp.training.groups import Outcomes, TrainingGroup
from fastmlp.training.pace import CALL_SECONDS

STOPPED_BY = np.array(["epochs", "target_loss", "patience", "diverged", "tol"])  # by the marks of kernels/many_batches.py
ONLINE_BLOCK = 8  # samples that are laid out at once for updates from single samples
ONLINE_BYTES = 1 << 16  # of rows that are so few that they are all laid out at once
FIRST_CALL = 20_000_000  # parameters times rows of one network, before anything is known of the time it takes
ROUND_SECONDS = 0.1  # that all go on for, until those that have ended leave their lanes

# Of lanes that no kernel is working on.
NOTHING = np.zeros((0, 0))
NO_ORDER = np.zeros((1, 1, 0), np.int32)


class NetworksAsLanes:
    """Members as lanes: as many in each kernel call as a vector has lanes, or a wide one."""

    def __init__(self, group: TrainingGroup, outcomes: Outcomes, threads: int) -> None:
        self.group, self.outcomes = group, outcomes
        self.width = (WIDE if group.online else 1) * BYTES // group.theta.itemsize  # lanes that a kernel call works on
        self.rows = len(group.data[0].rows)
        self.block = self._online_block() if group.online else group.batch_size
        self.batches = -(-self.rows // self.block)
        self.work = self.block * group.network.work_of_row * self.width // 4  # of a batch, in what one network costs
        self.seconds = 0.0  # for a batch, once that is known
        self.epoch = 0
        self.scratch: SimpleQueue[many_batches.LaneScratch] = SimpleQueue()
        self.common = self._material(group.data) if len(group.data) == 1 else None  # to all lanes
        members = np.arange(len(group.places))
        self.filled = [self._fill(members[at : at + self.width]) for at in range(0, len(members), self.width)]
        for _ in range(min(threads, len(self.filled))):
            self.scratch.put(self._scratch())

    # -- lanes -------------------------------------------------------------------------------------------------------------------

    def _fill(self, members: NDArray[np.intp], before: Sequence[tuple[_Lanes, int]] = ()) -> _Lanes:
        """Lanes with these members, from the beginning, or from the lanes in which they stood before."""
        group, width = self.group, self.width
        parameters, dtype = group.network.theta.size, group.theta.dtype
        data = group.data if self.common else [group.data_of(member) for member in members.tolist()]
        material = self.common or self._material(data[:1] if _agree(data, *Parts._fields) else data)
        count, moments = len(members), group.method.moments + (group.method.average > 0)
        rows = (2 + moments) * parameters + group.numbers.shape[1]
        block = layout.aligned(dtype, rows * width)[0].reshape(rows, width)
        theta, kept, rest = block[:parameters], block[parameters : 2 * parameters], block[2 * parameters :]
        state, numbers = rest[: moments * parameters], rest[moments * parameters :]
        marks, best, progress = np.zeros((3, width), np.int64), np.zeros((1, width)), np.zeros((3, width))
        progress[ends.BEST_LOSS] = np.inf
        seeds = np.zeros(width, np.int64)
        if group.dropped is not None:
            seeds[:count] = group.dropped.signed_seeds[members]
        theta[:, :count], numbers[:, :count] = group.theta[members].T, group.numbers[members].T  # empty lanes are 0
        if group.method.average > 0:
            state[-parameters:] = theta
        marks[many_batches.ENDED, count:] = 1  # and have ended
        for lane, (old, place) in enumerate(before):
            carried = {"theta": theta, "moments": state, "kept": kept, "numbers": numbers, "marks": marks, "best": best}
            for name, array in {**carried, "progress": progress}.items():
                array[:, lane] = getattr(old.arrays, name)[place::width]
        if before:
            found = [old.orders[min(place, len(old.orders) - 1)] for old, place in before]  # of several lanes the same, maybe
            orders = [copy.deepcopy(order) for order in (found[:1] if material.one_order else found)]
        else:
            orders = [one.row_orders() for one in (data[:1] if material.one_order else data)]
        flat = [
            array.reshape(-1)
            for array in (theta, state, kept, numbers, material.shift, material.scale, marks, best, progress, seeds)
        ]
        return _Lanes(members, many_batches.Lanes(*flat), orders, material.data, material.held_out, self.epoch * self.batches)

    def _material(self, data: list[TrainingData]) -> _Material:
        """What the members of some lanes learn from, each for itself or all the same."""
        one_order, one_scale = _agree(data, "rows", "order"), _agree(data, "inputs")
        padded = data + data[:1] * (self.width - len(data) if len(data) > 1 else 0)
        shift, scale = (self._columns(np.array([getattr(one.arrays, name) for one in padded])) for name in ("shift", "scale"))
        y = _side_by_side([one.arrays.y for one in (padded[:1] if _agree(data, "targets") else padded)])
        weights = _side_by_side([one.arrays.weight for one in (padded[:1] if _agree(data, "weights") else padded)])
        learned = self._data(padded[0].arrays.x, y, weights, NO_ORDER, alike=one_order and one_scale)
        return _Material(one_order, shift, scale, learned, self._held_out(padded) or learned)

    def _online_block(self) -> int:
        """How many samples are laid out at once: by the rows and the network alone, so that losses are added in one way."""
        layers = self.group.network.layers
        sample = (layers[0, 0] + layers[0, 4] + layers[-1, 1] + 1) * WIDE * BYTES
        return self.rows if self.rows * sample <= ONLINE_BYTES else ONLINE_BLOCK

    def _columns(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows, one for each lane or one for all, as lanes."""
        columns = layout.aligned(self.group.theta.dtype, rows.shape[1] * self.width)[0].reshape(-1, self.width)
        columns[:] = rows.T
        return columns

    def _data(
        self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[Any], order: NDArray[np.integer], alike: bool = False
    ) -> many_batches.LaneData:
        return many_batches.LaneData(x, y, weights, order, self.group.network.classes is not None, alike)

    def _held_out(self, data: list[TrainingData]) -> many_batches.LaneData | None:
        """The rows to measure, of all or of each."""
        first = data[0].held_out
        if first is None:
            return None
        held = [one.held_out for one in data if one.held_out is not None]
        order = np.array([rows.order for rows in (held[:1] if _agree(data, "rows") else held)])[:, None]
        y = _side_by_side([rows.y for rows in (held[:1] if _agree(data, "targets") else held)])
        return self._data(readable(first.x), y, np.ones((1, 1), self.group.theta.dtype), order)

    def _scratch(self) -> many_batches.LaneScratch:
        layers, dtype, width = self.group.network.layers, self.group.theta.dtype, self.width
        # Rows are an odd number of vectors apart, so that they stand in different sets of the cache.
        block = many_batches.BLOCK
        stride = (block + 1) * width
        tiles = layout.empty_tiles(layers, dtype, min(block, self.block), 1, stride)
        if self.group.online:
            tiles = layout.empty_tiles(layers, dtype, 1, self.block, width)
        of_units, of_few = layout.unit_rows(layers) * stride, int(layers[:, 1].sum()) * width
        parameters = 0 if self.group.online else self.group.network.theta.size
        units, slopes, few, few_slopes, deltas, gradient, losses, numbers = layout.aligned(
            dtype, of_units, of_units, of_few, of_few, 2 * int(layers[:, 1].max()) * stride, parameters * width, width,
            block * int(layers[0, 0] + layers[0, 4]),
        )  # fmt: skip
        layout.set_ones(units, layers, stride)
        numbers.reshape(block, -1)[:, layers[0, 0] :] = 1
        measured = layout.empty_tiles(layers, dtype, block, 1, stride)
        dropout = layout.dropout_memory(block * width, self.group.dropped)
        return many_batches.LaneScratch(units, slopes, few, few_slopes, deltas, gradient, losses, numbers, dropout, tiles, measured)

    # -- going on ----------------------------------------------------------------------------------------------------------------

    def jobs(self, until: int, halt: Stop) -> list[Job]:
        """What there is to do until all have come to that epoch, or to one before it; none if they are there."""
        if until > self.epoch == self.group.stopping.epochs:  # others have more
            self.drop(None, "epochs")
        if self.epoch >= until or not self.filled:
            return []
        until = min(until, self.group.stopping.epochs)
        batches = ROUND_SECONDS / self.seconds if self.seconds else FIRST_CALL // self.work
        self.epoch = min(until, self.epoch + max(1, int(batches / self.batches)))
        return [partial(self._go_on, lanes, self.epoch * self.batches, halt) for lanes in self.filled]

    def _go_on(self, lanes: _Lanes, total: int, halt: Stop, _: Workers | None) -> None:
        group, scratch = self.group, self.scratch.get()
        kernel = many_online.train_lanes_by_samples if group.online else many_batches.train_lanes_by_batches
        try:
            while lanes.done < total and not halt.is_set():
                first = lanes.done
                most = int(CALL_SECONDS / self.seconds) if self.seconds else FIRST_CALL // self.work
                most_epochs = ORDER_ENTRIES // (self.rows * len(lanes.orders)) if lanes.orders[0].shuffle else total
                last = end_of_call(first, min(total, first + max(1, most)), self.batches, most_epochs)
                if first % self.batches == 0:
                    lanes.before = _Whole(first, self._results(lanes).copy(), lanes.arrays.kept.copy())
                    lanes.begin_epochs(-(-last // self.batches) - first // self.batches, self.width, group.stopping.by_accuracy)
                began = time.perf_counter()
                running = kernel(
                    lanes.arrays, scratch, lanes.data, lanes.held_out, lanes.sums.reshape(-1), lanes.measured.reshape(-1),
                    many_batches.LaneSizes(self.block, first, last, first), group.network.network, group.method,
                    group.stopping.ends,
                )  # fmt: skip
                self.seconds = max(1e-9, (time.perf_counter() - began) / (last - first))
                self._note(lanes, first // self.batches, last // self.batches)
                lanes.done = last if running else total
                if lanes.done % self.batches == 0:
                    lanes.before = None
        finally:
            self.scratch.put(scratch)
        lanes.end_epochs()

    def _note(self, lanes: _Lanes, first: int, last: int) -> None:
        """The losses of epochs first to last - 1."""
        count, places, outcomes = len(lanes.members), self.group.places[lanes.members], self.outcomes
        ended = lanes.arrays.marks.reshape(3, -1)[many_batches.ENDED, :count]
        some_ended = ended.any()
        where = slice(places[0], places[-1] + 1) if places[-1] - places[0] == count - 1 else places  # copied much faster
        held, wrong = lanes.held_out.order.shape[2], lanes.measured[len(lanes.sums) :]
        for losses, sums, rows in (
            (outcomes.loss, lanes.sums, self.rows), (outcomes.validation_loss, lanes.measured, held),
            (outcomes.validation_accuracy, held - wrong, held),
        ):  # fmt: skip
            if losses is not None:
                mean = sums[: last - first, :count] / rows
                if some_ended:
                    mean[(ended > 0) & (ended <= np.arange(first, last)[:, None])] = np.nan
                losses[where, first:last] = mean.T

    def _results(self, lanes: _Lanes) -> NDArray[Any]:
        """What their networks would become."""
        arrays = lanes.arrays
        return arrays.moments[-arrays.theta.size :] if self.group.method.average > 0 else arrays.theta

    def tidy(self) -> None:
        """Those that have ended leave, where the others then need fewer kernel calls."""
        running = sum(int(lanes.running().sum()) for lanes in self.filled)
        if -(-running // self.width) < len(self.filled):
            self.drop(set(), "epochs")

    def running(self) -> list[int]:
        """The places of those that have not ended."""
        return [place for lanes in self.filled for place in self.group.places[lanes.members[lanes.running()]].tolist()]

    def epochs_done(self) -> list[int]:
        """By each of those that have not ended."""
        return [lanes.done // self.batches for lanes in self.filled for _ in range(int(lanes.running().sum()))]

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        """Ends the members at those places of the population, or all; they and those that had ended leave."""
        staying: list[tuple[_Lanes, int]] = []
        leaving: list[tuple[_Lanes, slice | NDArray[np.intp]]] = []
        for lanes in self.filled:
            if places is None:
                leaving.append((lanes, slice(len(lanes.members))))
                continue
            stays = lanes.running()
            stays &= [place not in places for place in self.group.places[lanes.members].tolist()]
            leaving.append((lanes, np.flatnonzero(~stays)))
            staying += [(lanes, lane) for lane in np.flatnonzero(stays).tolist()]
        self._leave(leaving, stopped_by)
        together = [staying[at : at + self.width] for at in range(0, len(staying), self.width)]
        self.filled = [self._fill(np.array([lanes.members[lane] for lanes, lane in some]), some) for some in together]

    def _leave(self, leaving: list[tuple[_Lanes, slice | NDArray[np.intp]]], stopped_by: str) -> None:
        """Writes what the members in those lanes have become, and how they went."""
        if not leaving:
            return
        group, keeps_best = self.group, bool(self.group.stopping.patience)
        parts = [lanes.members[which] for lanes, which in leaving]
        members = np.concatenate(parts)
        ended, why, _ = np.concatenate([lanes.arrays.marks.reshape(3, -1)[:, which] for lanes, which in leaving], axis=1)
        came_to = [lanes.before or _Whole(lanes.done, self._results(lanes), lanes.arrays.kept) for lanes, _ in leaving]
        done = np.repeat([whole.done // self.batches for whole in came_to], [len(part) for part in parts])
        ended[ended > done] = 0  # in a kernel call that Ctrl-C came into, whose losses are not noted
        epochs = np.where(ended > 0, ended, done)
        theta, kept = (
            np.concatenate([getattr(whole, name).reshape(-1, self.width)[:, which]
                            for whole, (_, which) in zip(came_to, leaving, strict=True)], axis=1).T
            for name in ("theta", "kept")
        )  # fmt: skip
        group.theta[members] = np.where(((ended > 0) | (keeps_best & (epochs > 0)))[:, None], kept, theta)
        finite = np.isfinite(group.theta[members]).all(axis=1)
        reasons = np.where(ended > 0, STOPPED_BY[why], np.where(finite, stopped_by, "diverged"))
        self.outcomes.end(group.places[members], epochs, reasons, keeps_best)


class _Material(NamedTuple):
    """What the members in some lanes learn from."""

    one_order: bool  # for all
    shift: NDArray[Any]
    scale: NDArray[Any]
    data: many_batches.LaneData  # but for the order
    held_out: many_batches.LaneData


class _Whole(NamedTuple):
    """Members after their whole epochs: the batches that are done, and their arrays."""

    done: int
    theta: NDArray[Any]
    kept: NDArray[Any]


@dataclass
class _Lanes:
    """Members in their lanes, as far as they have come."""

    members: NDArray[np.intp]
    arrays: many_batches.Lanes
    orders: list[RowOrders]  # one for each member, or one for all
    data: many_batches.LaneData
    held_out: many_batches.LaneData
    done: int  # batches
    sums: NDArray[np.float64] = field(default_factory=lambda: NOTHING)  # of the losses of the epochs of a kernel call
    measured: NDArray[np.float64] = field(default_factory=lambda: NOTHING)  # the same; below it, how many rows are told wrong
    before: _Whole | None = None  # as the epoch began that is under way

    def begin_epochs(self, count: int, lanes: int, by_accuracy: bool = False) -> None:
        self.sums, self.measured = np.zeros((count, lanes)), np.zeros((count * (1 + by_accuracy), lanes))
        if len(self.orders) == 1:
            order = self.orders[0].next(count)[None]
        else:
            rows = self.orders[0].rows
            order = np.empty((lanes, count if self.orders[0].shuffle else 1, len(rows)), rows.dtype)
            for one, own in zip(order, self.orders, strict=False):
                own.fill(one)
            order[len(self.orders) :] = order[0]
        self.data = self.data._replace(order=order)

    def end_epochs(self) -> None:
        """What the epochs needed is not kept while others go on."""
        self.sums = self.measured = NOTHING
        self.data = self.data._replace(order=NO_ORDER)

    def running(self) -> NDArray[np.bool_]:
        ended: NDArray[np.int64] = self.arrays.marks.reshape(3, -1)[many_batches.ENDED, : len(self.members)]
        return ended == 0


def _agree(data: list[TrainingData], *parts: str) -> bool:
    """Whether all have those parts in common."""
    first = data[0].parts
    return all(getattr(one.parts, part) == getattr(first, part) for one in data for part in parts)


def _side_by_side(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """The columns of arrays, or vectors, as columns of one array."""
    columns = [array.reshape(len(array), -1) for array in arrays]
    return np.concatenate(columns, axis=1) if len(columns) > 1 else columns[0]
