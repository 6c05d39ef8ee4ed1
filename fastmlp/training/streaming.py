"""train for what is never in memory as a whole: a first pass over the rows measures them, each epoch goes through them again."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.kernels import ends, optimizers
from fastmlp.kernels.dropout import SEED
from fastmlp.kernels.tiles import Data
from fastmlp.networks.layout import Dropped
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import every_row
from fastmlp.threads import Stop, Workers, thread_count
from fastmlp.training.data import Parts, TrainingData, measured_beside, shuffled_rows
from fastmlp.training.defaults import BATCH_SIZE, check_takes_batches, default_rate, wanted_dtype
from fastmlp.training.descent import Descent
from fastmlp.training.initial import (
    ORDER,
    SLICES,
    ask_what_is_meant,
    check_huber_delta,
    dropped_by,
    first_thetas,
    seed_from,
    stream,
    untrained,
)
from fastmlp.training.loss_check import check_custom_loss
from fastmlp.training.measuring import Measured
from fastmlp.training.one_network import Stopping, check_monitor
from fastmlp.training.options import Options
from fastmlp.training.outcome import bring_to_end
from fastmlp.training.passes import BatchSource, HeldOut, SlicedSource, source_of
from fastmlp.training.scaling import Scaling, is_standardized, scaled, unfold

BUFFER_BYTES = 1 << 25  # of the rows that are shuffled together


def train_streamed(given: Mapping[str, Any]) -> MLP:
    """`train`, by what it was given."""
    source = source_of(given["X"], given["y"], given["batches"], given["sample_weight"])
    options = Options.checked(given, np.zeros((BATCH_SIZE, 1)))  # what is wrong is told before anything is read
    _check_options(options, source.hint)
    dtype, seed = wanted_dtype(options.optimizer, options.dtype), options.seed
    data_seed = seed if options.data_seed is None else options.data_seed
    share = options.validation
    held_out = None if share is None or isinstance(share, tuple) else HeldOut(data_seed, share)
    measured = Measured(options, held_out, dtype)
    for some in source.rows(dtype):
        measured.see(some)
    measured.check()
    shape = measured.rows, len(measured.x.mean)
    options = Options.checked({**given, "seed": seed}, np.broadcast_to(np.zeros(1, measured.dtype), shape))
    y, init = measured.shown_targets, options.init
    network = untrained((len(y), shape[1]), measured.dtype, y, options, init, source.names)
    network.targets(y, len(y))  # which init may not know
    check_monitor(options.monitor, network)
    check_huber_delta(options, [network])
    ask_what_is_meant(network, measured.few_targets, options)
    standardized = is_standardized(network, options.standardize)
    inputs = measured.x.scaling(network.dtype) if standardized else Scaling(*network.unscaled)
    outputs = measured.y.scaling(network.dtype) if standardized and network.output == "identity" else None
    if isinstance(init, str):
        first_thetas(init, network, [seed], network.theta[None])
    else:
        network.theta = unfold(network, init.theta[None], inputs, outputs)[0]
    rate = default_rate(options.optimizer, network) if options.learning_rate is None else options.learning_rate
    rule = optimizers.Rule(options.method(options.epochs, measured.kept), rate, options.momentum, options.l2)
    factors = measured.weights(network, options.class_weight)
    buffer = _buffer(network, measured.kept, options.batch_size, inputs, factors is not None)
    beside = measured_beside(network, share, outputs) if isinstance(share, tuple) else measured.held_out(network, outputs)
    data = TrainingData(buffer, every_row(len(buffer.x)), None, beside, outputs, Parts(None, None, None, None, None))
    stream_of_rows = RowStream(source, network, data, measured, held_out, factors, data_seed if options.shuffle else None)
    descent = StreamedDescent(
        network, data, stream_of_rows, rule, Stopping.of(options, options.epochs), options.batch_size,
        thread_count(options.threads), dropped_by(options, network, [seed]),
    )  # fmt: skip
    bring_to_end(descent, options, rate, y, inputs, outputs, measured.rows)
    return network


def _check_options(options: Options, hint: str) -> None:
    """Rejects what needs all rows at once."""
    check_takes_batches(options.optimizer, hint)
    if options.batch_size is None:
        raise ValueError(f"batch_size must be a number for rows that come in batches or slices; None needs all rows{hint}")
    for name in ("bootstrap", "keep_state"):
        if getattr(options, name):
            raise ValueError(f"{name} must be left out for rows that come in batches or slices: it needs all rows{hint}")


def _buffer(network: MLP, rows: int, batch_size: int, inputs: Scaling, weighted: bool) -> Data:
    """Room for whole batches, or for all rows if they are fewer."""
    columns = network.layer_sizes[0], 1 if network.classes is not None else network.layer_sizes[-1]
    row_bytes = network.dtype.itemsize * (sum(columns) + 1)
    size = min(rows, batch_size * max(1, BUFFER_BYTES // (row_bytes * batch_size)))
    checks.enough_memory(f"a buffer of {size} rows", size * row_bytes)
    x, y = (np.zeros((size, count), network.dtype) for count in columns)
    return Data(x, y, np.ones(size if weighted else 1, network.dtype), *inputs)


class RowStream:
    """The rows of one epoch after the other, a buffer at a time."""

    def __init__(
        self,
        source: BatchSource | SlicedSource,
        network: MLP,
        data: TrainingData,
        measured: Measured,
        held_out: HeldOut | None,
        factors: NDArray[np.float64] | None,
        seed: int | None,
    ) -> None:
        """By a seed they are shuffled: those in the buffer, and before them slices, if a buffer does not hold all."""
        self.rows, self._every = measured.kept, measured.rows
        self._source, self._network, self._data = source, network, data
        self._held_out, self._factors = held_out, factors
        self._passes = 1  # which has measured them
        self._orders = None if seed is None else stream(seed, ORDER)
        self._slices = None if seed is None or len(data.rows) == self.rows else stream(seed, SLICES)

    def buffers(self) -> Generator[int]:
        """Those of an epoch: how many rows each has."""
        x, y, weight = self._data.arrays[:3]
        self._passes += 1
        told = f"batches must give the same rows in each pass; pass {self._passes} has"
        seen = done = at = held = 0
        for some in self._source.rows(self._network.dtype, self._slices):
            seen += len(some.x)
            if seen > self._every:
                raise ValueError(f"{told} more than the {self._every} of the first")
            n = len(some.x)
            targets = self._network.targets(some.y, n, f"y{some.place}")
            weights = None if self._factors is None else self._weights(some.weights, targets)
            learnt: Any = slice(None)
            if self._held_out is not None:
                learnt = ~self._held_out.of(some)
                held = self._check_held_out(some.x[~learnt], held)
            parts = [some.x[learnt], scaled(targets, self._data.outputs)[learnt], *([] if weights is None else [weights[learnt]])]
            first, n = 0, len(parts[0])
            while first < n:
                room = min(len(x), self.rows - done)
                count = min(room - at, n - first)
                for to, part in zip((x, y, weight), parts, strict=False):
                    to[at : at + count] = part[first : first + count]
                first, at = first + count, at + count
                if at == room:
                    yield at
                    done, at = done + at, 0
        if seen < self._every:
            used_up = "" if seen else ": a function must make them anew each time"
            raise ValueError(f"{told} {seen}, the first had {self._every}{used_up}")

    def _check_held_out(self, x: NDArray[Any], before: int) -> int:
        """That rows which are held out now, after some before them, are those that were so at first: else what is measured would
        have been learned. How many they are with those before."""
        known = self._data.held_out
        after = before + len(x)
        if known is not None and self._slices is None and not np.array_equal(known.x[before:after], x.astype(known.x.dtype)):
            raise ValueError(
                "batches must give their rows in the same order in each pass where validation is a fraction, or rows that are held"
                f" out would be learned; pass {self._passes} has another order: give validation=(X, y)"
            )
        return after

    def order(self, rows: int) -> NDArray[np.integer]:
        """In which to take so many rows of a buffer."""
        return shuffled_rows(rows, self._orders)

    def _weights(self, given: NDArray[np.float64] | None, targets: NDArray[Any]) -> NDArray[np.float64]:
        assert self._factors is not None
        factors = self._factors if len(self._factors) == 1 else self._factors[targets[:, 0].astype(np.intp)]
        return np.broadcast_to(factors, len(targets)) if given is None else given * factors


class StreamedDescent(Descent):
    """One network by batches of rows that come anew in each epoch, some whole batches at a time."""

    keeps_rows = False

    def __init__(
        self,
        network: MLP,
        data: TrainingData,
        stream_of_rows: RowStream,
        rule: optimizers.Rule,
        stopping: Stopping,
        batch_size: int,
        threads: int,
        dropped: Dropped | None,
    ) -> None:
        """data are those of the buffer that the stream fills."""
        super().__init__(network, data, rule, stopping, batch_size, threads, None, dropped)
        self.training_data, self.stream, self.rows = data, stream_of_rows, stream_of_rows.rows
        self.batches = -(-self.rows // self.batch_size)
        # To the kernels a buffer is an epoch: they are to count its penalties, and to leave it to us to note that one has ended.
        self.limits = stopping.ends._replace(target_loss=-np.inf, by_measured=True)
        self.seed = None if dropped is None else int(dropped.seeds[0])

    def advance(self, until: int, share_out: Workers, halt: Stop) -> None:
        while not self.stopped_by and self.epochs < until and not halt.is_set():
            epoch = self.epochs
            self._make_room(epoch + 1)
            self._note_beginning()
            with closing(self.stream.buffers()) as buffers:
                for rows in buffers:
                    if not epoch and not self.counters[1]:
                        check_custom_loss(self.network, self.theta, self.data.x[:rows], self.training_data)
                    self._learn(epoch, rows, share_out, halt)
                    if halt.is_set() and self.epochs == epoch:
                        return
            ends.is_stuck(self.progress, 0, 1, self.loss_of(epoch) + float(self.penalties[epoch]), self.stopping.ends)
            self._end_epoch(epoch, share_out)
            if self.stopped_by != "diverged":
                self.before = None

    def _learn(self, epoch: int, rows: int, share_out: Workers, halt: Stop) -> None:
        """The batches of the buffer, unless there is to be a halt."""
        done, batches, penalty = int(self.counters[1]), -(-rows // self.batch_size), self.penalties[epoch]
        order = self.stream.order(rows) if self.batches > 1 else every_row(rows)
        self.order = order[None]
        if self.seed is not None:
            first_row = (done - epoch * self.batches) * self.batch_size
            for worker in self.work.workers:
                worker.dropout.numbers[SEED] = seed_from(self.seed, epoch, first_row)
        at, last = epoch * batches, (epoch + 1) * batches
        while at < last:
            threads, count = self._next_call(last - at, last - at, share_out)
            self._call(at, min(last, at + count), threads, share_out, halt)
            at = int(self.counters[1])
            self.counters[1] = done + at - epoch * batches
            if halt.is_set():
                break
        self.penalties[epoch] = penalty + (self.penalties[epoch] - penalty) * rows / self.rows
