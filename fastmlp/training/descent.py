"""The epochs of one training: batches, one kernel call for many of them or many threads for one, and the history."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import batch, online, optimizers
from fastmlp.kernels.simd import readable
from fastmlp.networks.history import DivergedError, History
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import ChunkedLoss
from fastmlp.progress import Progress
from fastmlp.threads import Map, to_own_core, workers

TRIAL_SECONDS = 0.001  # what a call by a team that may not be the fastest should last
WORTH_A_TRIAL = 0.02  # seconds of work that are left
CALLS_BETWEEN_TRIALS = 20
CALL_SECONDS = 0.05  # what a kernel call should last: Ctrl-C and progress wait for its end
FIRST_CALL = 20_000_000  # parameters times rows, before anything is known of the time it takes
LARGE_TARGET = 100  # that a loss, or a gradient, of its square may be the reason of a divergence
ORDER_ENTRIES = 1 << 20  # of row numbers that are shuffled in advance

OnEpoch = Callable[[int, float, float | None], Any]


class Rows(NamedTuple):
    """Rows to measure: inputs (N, D), targets as the kernels take them, and the numbers of the rows that count."""

    x: NDArray[Any]
    y: NDArray[Any]
    order: NDArray[np.int32]


@dataclass(frozen=True)
class Limits:
    epochs: int
    target_loss: float
    patience: int | None


def further_advice(model: MLP, standardized: bool, y: NDArray[Any]) -> str:
    """What else may help after a divergence, beside a lower learning rate."""
    if standardized:
        return ""
    advice = ", or standardize=True" if model.bias else ", or columns of X with a mean of 0 and a deviation of 1"
    largest = 0.0 if model.classes is not None else max(abs(float(y.max())), abs(float(y.min())))
    return advice + (f" (y reaches {largest:g}: targets near 1 are learnt best)" if largest > LARGE_TARGET else "")


class Order:
    """In which order the rows are taken, in one epoch after the other: the same, or shuffled."""

    def __init__(self, rows: NDArray[np.int32], shuffle: np.random.Generator | None) -> None:
        self.rows, self.shuffle = rows, shuffle

    def skip(self, epochs: int) -> None:
        """The next ones are those that would follow after so many epochs."""
        if self.shuffle is not None:
            self.shuffle.bit_generator.random_raw(epochs * self._words, output=False)

    @property
    def _words(self) -> int:
        """Of 64 random bits, for each epoch."""
        return -(-len(self.rows) // 2)

    def next(self, epochs: int) -> NDArray[np.int32]:
        """(epochs, N) row numbers for the next epochs, or (1, N) for any."""
        if self.shuffle is None:
            return self.rows[None]
        orders = np.empty((epochs, len(self.rows)), np.int32)
        self.fill(orders)
        return orders

    def fill(self, orders: NDArray[np.int32]) -> None:
        """Writes the row numbers for the next epochs, one in each row."""
        orders[:] = self.rows
        if self.shuffle is not None:
            draws = self.shuffle.bit_generator.random_raw(len(orders) * self._words)
            batch.shuffle(orders, draws.view(np.uint32).reshape(len(orders), -1))


class Pace:
    """How many threads to send into the kernel, and for how many batches.

    The result is the same for any number of threads, so the fastest team is sent, and now and then another one, for a short time:
    where other processes keep the cores busy, threads that wait for each other can take several times as long as one alone.
    """

    def __init__(self, most: int, first: int) -> None:
        self.teams = sorted({1, most})
        self.first = first
        self.calls = 0
        self.seconds: dict[int, float] = {}  # for a batch

    def next(self, left: int) -> tuple[int, int]:
        """The team, and the batches of its call, when so many are left."""
        self.calls += 1
        if self.seconds and left * min(self.seconds.values()) < WORTH_A_TRIAL:
            return min(self.seconds, key=self.seconds.__getitem__), left
        ranked = sorted(self.teams, key=lambda team: self.seconds.get(team, 0.0))
        trial = len(self.seconds) < len(self.teams) or self.calls % CALLS_BETWEEN_TRIALS == 0
        team = ranked[-1] if trial and len(self.seconds) == len(self.teams) else ranked[0]
        if not self.seconds:
            return team, self.first
        return team, max(1, int((TRIAL_SECONDS if trial else CALL_SECONDS) / min(self.seconds.values())))

    def took(self, team: int, seconds: float) -> None:
        self.seconds[team] = max(seconds, 1e-9)


def end_of_call(first: int, last: int, batches: int, most_epochs: int) -> int:
    """The batch to end a kernel call before: within an epoch, or at the end of one; not more than so many epochs."""
    end_of_epoch = (first // batches + 1) * batches
    if last < end_of_epoch or first % batches:
        return min(last, end_of_epoch)
    return first + max(1, min((last - first) // batches, most_epochs)) * batches


class Run:
    """One training: many batches in a kernel call, or a large batch shared out to threads."""

    def __init__(
        self,
        model: MLP,
        data: batch.Data,
        order: Order,
        rule: optimizers.Rule,
        limits: Limits,
        batch_size: int | None,
        threads: int,
    ) -> None:
        n = self.rows = len(order.rows)
        self.model, self.data, self.rule, self.limits, self.threads = model, data, rule, limits, threads
        self.theta = model.theta
        self.batch_size = min(batch_size or n, n)
        self.batches = -(-n // self.batch_size)
        self.orders = order if self.batches > 1 else Order(order.rows, None)
        self.order = order.rows[None]  # a row for each epoch that the next kernel call touches, or one for all
        self.sums = np.zeros(1)  # of the losses of each epoch
        self.counters = np.zeros(2, dtype=np.int64)  # steps; batches that are done
        self.state = np.zeros((2, self.theta.size), dtype=self.theta.dtype)
        self.stopped_by = "epochs"
        self.validation_loss: list[float] = []
        self.best_epoch, self.best = 0, self.theta.copy()
        self.before: tuple[NDArray[Any], ...] | None = None  # theta, state and counters, as the epoch began that is under way
        self.held_out: ChunkedLoss | None = None
        # Plain SGD on one sample has kernels of its own, where the lanes are neurons.
        self.one_by_one = self.batch_size == 1 and rule.optimizer == optimizers.SGD
        if self.one_by_one:
            self.memory = online.memory(model.layers, model.dtype, online.BLOCK)
        else:
            self.work = self._chunked(data, order.rows, self.batch_size, keep_tiles=self.batches == 1)
        self.pace = Pace(1 if self.one_by_one else self.work.team, max(1, FIRST_CALL // (self.batch_size * self.theta.size)))

    def _chunked(self, data: batch.Data, order: NDArray[np.int32], rows: int, *, keep_tiles: bool) -> ChunkedLoss:
        return ChunkedLoss(self.model.network, data, order, rows, self.theta.size, self.threads, keep_tiles=keep_tiles)

    def take_up(self, moments: NDArray[Any], steps: int) -> None:
        """Begins with what an optimizer has come to in so many steps."""
        self.state[:] = moments
        self.counters[0] = steps

    def watch(self, rows: Rows) -> None:
        """Rows whose loss is measured after each epoch."""
        data = batch.Data(readable(rows.x), rows.y, np.ones(1, self.theta.dtype), self.data.shift, self.data.scale)
        self.held_out = self._chunked(data, rows.order, len(rows.order), keep_tiles=True)

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return int(self.counters[1]) // self.batches

    def go(self, on_epoch: OnEpoch | None, progress: bool) -> None:
        with Progress(progress).of(self._state) as show:
            with workers(self.threads) as share_out:
                try:
                    self.advance(self.limits.epochs, share_out, on_epoch, show)
                except KeyboardInterrupt:
                    self.stopped_by = "interrupt"
            if self.stopped_by == "interrupt":  # and no thread is at work any more
                self.rewind()
        if self.stopped_by == "interrupt":
            so_far = "this is the network so far" if self.epochs else "the network is as it began"
            if self.epochs and self.limits.patience:
                so_far = f"this is the network of epoch {self.best_epoch + 1}, the best so far"
            message = f"training was interrupted after {self.epochs} of {self.limits.epochs} epochs; {so_far}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
        self.finish()

    def rewind(self) -> None:
        """After an interrupt: back to the end of the last whole epoch, where the weights are those that its losses led to."""
        done = self.epochs if self.held_out is None else min(self.epochs, len(self.validation_loss))
        if self.before is not None and (self.counters[1] != done * self.batches or self.before[2][1] == self.counters[1]):
            for array, before in zip((self.theta, self.state, self.counters), self.before, strict=True):
                array[:] = before
        self.before = None
        del self.validation_loss[self.epochs :]

    def _state(self) -> tuple[str, float]:
        """How far it has come."""
        done, epochs = self.epochs, self.limits.epochs
        words = f"epoch {done}/{epochs}"
        if done:
            words += f"  loss {self.sums[done - 1] / self.rows:.6g}"
        if self.validation_loss:
            words += f"  validation {self.validation_loss[-1]:.6g}"
        return words, done / epochs

    def finish(self) -> None:
        """The network is left with the weights that are to be kept, and its history."""
        if not np.isfinite(self.theta).all():
            last = max(self.epochs - 1, 0)
            raise self._diverged(last, self.sums[last] / self.rows)
        if self.limits.patience and self.validation_loss:
            self.theta[:] = self.best
        self.model.history = History(
            loss=self.sums[: self.epochs] / self.rows,
            validation_loss=None if self.held_out is None else np.array(self.validation_loss),
            epochs=self.epochs,
            stopped_by=self.stopped_by,
        )

    def _diverged(self, epoch: int, loss: float) -> DivergedError:
        standardized = bool(self.data.shift.any() or (self.data.scale != 1).any())
        advice = further_advice(self.model, standardized, self.data.y)
        return DivergedError(epoch, loss, self.rule.learning_rate, advice)

    def advance(
        self,
        epochs: int,
        share_out: Map,
        on_epoch: OnEpoch | None = None,
        show: Callable[[], None] = lambda: None,
        halt: Callable[[], bool] = lambda: False,
    ) -> None:
        """Goes on until so many epochs are done, or a reason to stop comes up; a halt may be called for between kernel calls."""
        n, total = self.rows, epochs * self.batches
        each_epoch = on_epoch is not None or self.held_out is not None or not (self.one_by_one or self.work.in_kernel)
        while self.counters[1] < total and not halt():
            first = int(self.counters[1])
            threads, batches = self.pace.next(total - first)
            last = min(total, first + self._whole_blocks(batches))
            most = 1 if each_epoch else ORDER_ENTRIES // n if self.orders.shuffle else self.limits.epochs
            last = end_of_call(first, last, self.batches, most)
            if last > len(self.sums) * self.batches:
                self.sums = np.append(self.sums, np.zeros(max(len(self.sums), -(-last // self.batches))))
            if first % self.batches == 0:
                self.order = self.orders.next(-(-(last - first) // self.batches))
                self.before = self.theta.copy(), self.state.copy(), self.counters.copy()
            began = time.perf_counter()
            self._advance(first, last, threads, share_out)
            self.pace.took(threads, (time.perf_counter() - began) / (last - first))
            if self.epochs == first // self.batches:
                continue
            epoch = self.epochs - 1
            loss = float(self.sums[epoch]) / n
            if not np.isfinite(loss):
                raise self._diverged(epoch, loss)
            validation_loss = self._validate(epoch, share_out)
            self.before = None
            show()
            if on_epoch is not None and on_epoch(epoch, loss, validation_loss):
                self.stopped_by = "on_epoch"
            elif loss <= self.limits.target_loss:
                self.stopped_by = "target_loss"
            elif self.limits.patience and epoch - self.best_epoch >= self.limits.patience:
                self.stopped_by = "patience"
            if self.stopped_by != "epochs":
                return

    def _whole_blocks(self, batches: int) -> int:
        """So many batches or fewer. A block's losses are summed at once: a call that ended within it would change their bits."""
        block = online.BLOCK if self.one_by_one else 1
        return block * max(1, batches // block)

    def _advance(self, first: int, last: int, threads: int, share_out: Map) -> None:
        """Batches first to last - 1, counted over the epochs, by so many threads that meet in the kernel."""
        network, target = self.model.network, self.limits.target_loss
        if self.one_by_one:
            online.descend(
                self.theta, self.counters, self.sums, *self.memory, self.data, self.order, first, last, network, self.rule, target
            )  # fmt: skip
            return
        work = self.work
        if work.in_kernel:
            sizes = (self.batch_size, work.chunk, first, last)
            counter = np.zeros(1, dtype=np.int64)

            def member(me: int) -> None:
                if threads > 1:
                    to_own_core(me)
                batch.descend(
                    self.theta, self.state, self.counters, self.sums, work.total, work.gradients, work.losses, work.scratch[me],
                    work.tiles[me], self.data, self.order, sizes, network, self.rule, target, (me, threads, counter),
                )  # fmt: skip

            share_out(member, list(range(threads)))
            return
        for b in range(first, last):
            epoch, place = divmod(b, self.batches)
            work.order = self.order[min(epoch - first // self.batches, len(self.order) - 1)]
            start = place * self.batch_size
            stop = min(start + self.batch_size, self.rows)
            self.sums[epoch] += work.sum_loss(self.theta, start, stop, share_out)
            size, step = self.theta.size, int(self.counters[0]) + 1
            batch.step(self.theta, self.state, step, work.total, 0, size, stop - start, network, self.rule, epoch)
            self.counters[:] = step, b + 1
            if place + 1 == self.batches and not target < self.sums[epoch] / self.rows < np.inf:
                return

    def _validate(self, epoch: int, share_out: Map) -> float | None:
        if self.held_out is None:
            return None
        n = len(self.held_out.order)
        loss = self.held_out.sum_loss(self.theta, 0, n, share_out, gradient=False) / n
        if not np.isfinite(loss):
            raise self._diverged(epoch, loss)
        self.validation_loss.append(loss)
        if loss < self.validation_loss[self.best_epoch] or epoch == 0:
            self.best_epoch = epoch
            self.best[:] = self.theta
        return loss
