"""The epochs of one network, with samples as lanes: batches, one kernel call for many of them or many threads for one, and when it
stops."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
from fastmlp.kernels import barrier, batch, ends, online, optimizers
from fastmlp.kernels.simd import readable
from fastmlp.kernels.tiles import Data
from fastmlp.networks.history import DivergedError, History, TrainingState
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import ChunkedLoss
from fastmlp.threads import Stop, Workers, to_own_core
from fastmlp.training.data import MeasuredRows, RowOrders, TrainingData
from fastmlp.training.epochs import Job
from fastmlp.training.options import Options

TRIAL_SECONDS = 0.001  # what a call by a team that may not be the fastest should last
WORTH_A_TRIAL = 0.005  # seconds of work that are left
CALLS_BETWEEN_TRIALS = 16  # at most: the first follow sooner, as idle threads of a BLAS keep cores busy for some milliseconds
CALL_SECONDS = 0.05  # what a kernel call should last: Ctrl-C and progress wait for its end
FIRST_CALL = 4_000_000  # parameters times rows, before anything is known of the time it takes
LARGE_TARGET = 100  # that a loss, or a gradient, of its square may be the reason of a divergence
ORDER_ENTRIES = 1 << 20  # of row numbers that are shuffled in advance


class Stopping(NamedTuple):
    """When a network ends."""

    epochs: int
    target_loss: float
    patience: int | None
    tol: float = 0.0
    n_iter_no_change: float = np.inf  # which tol is without
    adaptive: bool = False

    @classmethod
    def of(cls, options: Options, epochs: int) -> Stopping:
        target_loss = -np.inf if options.target_loss is None else options.target_loss
        if options.tol is None:
            return cls(epochs, target_loss, options.patience)
        adaptive = options.schedule == "adaptive"
        return cls(epochs, target_loss, options.patience, options.tol, float(options.n_iter_no_change), adaptive)

    @property
    def ends(self) -> ends.Ends:
        """As the kernels take it."""
        return ends.Ends(self.target_loss, self.patience or 0, self.tol, self.n_iter_no_change, self.adaptive)


def divergence(
    network: MLP, y: NDArray[Any], standardized: bool, epoch: int, loss: float, rates: float | NDArray[np.float64]
) -> DivergedError:
    """What to say of a training, or several, for such targets, with advice on what may help beside a lower learning rate."""
    advice = ""
    if not standardized:
        advice = ", or standardize=True" if network.bias else ", or columns of X with a mean of 0 and a deviation of 1"
        largest = 0.0 if network.classes is not None else max(abs(float(y.max())), abs(float(y.min())))
        advice += f" (y reaches {largest:g}: targets near 1 are learnt best)" if largest > LARGE_TARGET else ""
    return DivergedError(epoch, loss, rates, advice)


class Pace:
    """How many threads to send into the kernel, and for how many batches.

    The result is the same for any number of threads, so the fastest team is sent, and now and then another one, for a short time:
    where other processes keep the cores busy, threads that wait for each other can take several times as long as one alone.
    """

    def __init__(self, most: int, first: int) -> None:
        self.teams = sorted({1, most})
        self.first = first
        self.calls = 0
        self.seconds: dict[int, float] = {}  # for a batch, once all are there
        self.gathering: dict[int, float] = {}  # seconds of a call beside

    def next(self, left: int, most: int) -> tuple[int, int]:
        """The team, and the batches of its call, when so many are left, of which a call does at most so many."""
        self.calls += 1

        def cost(team: int) -> float:  # of a batch
            seconds = self.seconds.get(team, 0.0)
            return seconds and seconds + self.gathering[team] / max(1.0, min(most, CALL_SECONDS / seconds))

        if self.seconds and left * min(self.seconds.values()) < WORTH_A_TRIAL:
            return min(self.seconds, key=cost), left
        ranked = sorted(self.teams, key=cost)
        is_power_of_2 = self.calls & (self.calls - 1) == 0
        trial = len(self.seconds) < len(self.teams) or self.calls % CALLS_BETWEEN_TRIALS == 0 or is_power_of_2
        team = ranked[-1] if trial and len(self.seconds) == len(self.teams) else ranked[0]
        if not self.seconds:
            return team, self.first
        return team, max(1, int((TRIAL_SECONDS if trial else CALL_SECONDS) / min(self.seconds.values())))

    def most(self, threads: int) -> int:
        """No more than so many can be sent."""
        self.teams = sorted({1, threads})
        return threads

    def took(self, team: int, batches: int, at_work: float, seconds: float) -> None:
        """A call took so many seconds, of which so many from when all were at work until the last one left."""
        self.seconds[team], self.gathering[team] = max(at_work / batches, 1e-9), seconds - at_work


def end_of_call(first: int, last: int, batches: int, most_epochs: int) -> int:
    """The batch to end a kernel call before: within an epoch, or at the end of one; not more than so many epochs."""
    end_of_epoch = (first // batches + 1) * batches
    if last < end_of_epoch or first % batches:
        return min(last, end_of_epoch)
    return first + max(1, min((last - first) // batches, most_epochs)) * batches


class Descent:
    """One network on its way: many batches in a kernel call, or a large batch shared out to threads."""

    def __init__(
        self,
        network: MLP,
        data: TrainingData,
        rule: optimizers.Rule,
        stopping: Stopping,
        batch_size: int | None,
        threads: int,
        state: TrainingState | None = None,
    ) -> None:
        """From the beginning, or from the state of a training of which rule.method.schedule.before epochs count as those before."""
        n = self.rows = len(data.rows)
        self.network, self.data, self.rule, self.stopping, self.threads = network, data.arrays, rule, stopping, threads
        self.theta = network.theta
        self.batch_size = min(batch_size or n, n)
        self.batches = -(-n // self.batch_size)
        self.orders = RowOrders(data.rows, data.order, rule.method.schedule.before)
        self.order = data.rows[None]  # a row for each epoch that the next kernel call touches, or one for all
        self.sums, self.penalties = np.zeros(1), np.zeros(1)  # of the losses of each epoch; what l2 adds to their mean
        self.counters = np.array([0 if state is None else state.steps, 0], np.int64)  # steps; batches that are done
        self.moments = np.zeros((2, self.theta.size), self.theta.dtype)
        if state is not None:
            self.moments[:] = state.moments
        self.progress = np.array([np.inf, 0.0, 0.0])  # see kernels/ends.py
        self.stopped_by = ""  # while it goes on
        self.last_loss = np.nan  # that ended it, where it diverged
        self.validation_loss: list[float] = []
        self.best_epoch, self.best = 0, self.theta.copy()
        self.before: tuple[NDArray[Any], ...] | None = None  # theta, moments and counters, as the epoch began that is under way
        # Plain SGD on one sample has kernels of its own, where the lanes are neurons.
        self.one_by_one = self.batch_size == 1 and rule.method.optimizer == optimizers.SGD
        if self.one_by_one:
            self.memory = online.online_memory(network.layers, network.dtype, online.BLOCK)
        else:
            self.work = self._chunked(self.data, data.rows, self.batch_size, keep_tiles=self.batches == 1)
        self.held_out = None if data.held_out is None else self._measured(data.held_out)
        self.pace = Pace(1 if self.one_by_one else self.work.plan.team, max(1, FIRST_CALL // (self.batch_size * self.theta.size)))

    def _chunked(self, data: Data, order: NDArray[np.integer], rows: int, *, keep_tiles: bool) -> ChunkedLoss:
        return ChunkedLoss(self.network.network, data, order, rows, self.threads, keep_tiles=keep_tiles)

    def _measured(self, rows: MeasuredRows) -> ChunkedLoss:
        """The loss over rows that are measured after each epoch."""
        data = Data(readable(rows.x), rows.y, np.ones(1, self.theta.dtype), self.data.shift, self.data.scale)
        return self._chunked(data, rows.order, len(rows.order), keep_tiles=True)

    @property
    def workers(self) -> int:
        """How many threads it has work for."""
        here = 1 if self.one_by_one else self.work.plan.workers
        return here if self.held_out is None else max(here, self.held_out.plan.threads)

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return int(self.counters[1]) // self.batches

    def history(self) -> History:
        measured = None if self.held_out is None else np.array(self.validation_loss)
        return History(self.sums[: self.epochs] / self.rows, measured, self.epochs, self.stopped_by)

    # -- as one of those in training: see epochs.py ------------------------------------------------------------------------------

    def jobs(self, until: int, halt: Stop) -> list[Job]:
        return [partial(self._go_on, until, halt)] if not self.stopped_by and self.epochs < until else []

    def _go_on(self, until: int, halt: Stop, threads: Workers | None) -> None:
        assert threads is not None  # it is alone
        self.advance(until, threads, halt)

    def tidy(self) -> None:
        """There is nothing to tidy up."""

    def running(self) -> list[int]:
        return [] if self.stopped_by else [0]

    def epochs_done(self) -> list[int]:
        return [] if self.stopped_by else [self.epochs]

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        if not self.stopped_by and (places is None or 0 in places):
            self.rewind()
            self.stop(stopped_by)

    # -- going on ----------------------------------------------------------------------------------------------------------------

    def advance(self, until: int, share_out: Workers, halt: Stop) -> None:
        """Goes on until so many epochs are done, or a reason to stop comes up, or a halt is called for between kernel calls."""
        n, total, every_batch = self.rows, until * self.batches, self.stopping.epochs * self.batches
        each_epoch = self.held_out is not None or self.stopping.adaptive or not (self.one_by_one or self.work.plan.in_kernel)
        most = 1 if each_epoch else ORDER_ENTRIES // n if self.orders.shuffle else until
        while not self.stopped_by and self.counters[1] < total:
            first = int(self.counters[1])
            threads, batches = self.pace.next(every_batch - first, min(most, until) * self.batches)
            if threads > (standing := share_out.standing(threads)):
                threads = self.pace.most(standing)
            last = end_of_call(first, min(total, first + self._whole_blocks(batches)), self.batches, most)
            if last > len(self.sums) * self.batches:
                more = np.zeros(max(len(self.sums), -(-last // self.batches)))
                self.sums, self.penalties = np.append(self.sums, more), np.append(self.penalties, more)
            if first % self.batches == 0:
                self.order = self.orders.next(-(-(last - first) // self.batches))
                self.before = self.theta.copy(), self.moments.copy(), self.counters.copy()
            began = time.perf_counter()
            at_work = self._advance(first, last, threads, share_out, halt)
            seconds = time.perf_counter() - began
            self.pace.took(threads, last - first, at_work or seconds, seconds)
            if self.epochs > first // self.batches:
                self._end_epoch(self.epochs - 1, share_out)
            if halt.is_set():
                return

    def _end_epoch(self, epoch: int, share_out: Workers) -> None:
        """Measures, and looks for a reason to stop."""
        loss = float(self.sums[epoch]) / self.rows
        if math.isfinite(loss):
            measured = self._validate(epoch, share_out)
            loss = loss if measured is None or math.isfinite(measured) else measured
        if not math.isfinite(loss):
            self.last_loss = loss
            self.stop("diverged")
            return
        self.before = None
        if loss <= self.stopping.target_loss:
            self.stop("target_loss")
        elif self.stopping.patience and epoch - self.best_epoch >= self.stopping.patience:
            self.stop("patience")
        elif self.progress[ends.STALE] > self.stopping.n_iter_no_change:
            self._end_or_slow_down()

    def _end_or_slow_down(self) -> None:
        rate = self.rule.learning_rate
        if not self.stopping.adaptive or rate <= ends.LEAST_RATE:
            self.stop("tol")
            return
        self.rule = self.rule._replace(learning_rate=rate / ends.LOWER)
        self.progress[ends.STALE] = 0

    def rewind(self) -> None:
        """After an interrupt: back to the end of the last whole epoch, where the weights are those that its losses led to."""
        done = self.epochs if self.held_out is None else min(self.epochs, len(self.validation_loss))
        if self.before is not None and (self.counters[1] != done * self.batches or self.before[2][1] == self.counters[1]):
            for array, before in zip((self.theta, self.moments, self.counters), self.before, strict=True):
                array[:] = before
        self.before = None
        del self.validation_loss[self.epochs :]

    def stop(self, reason: str) -> None:
        """It ends, and is left with the weights that are to be kept."""
        if reason != "diverged" and not arrays.all_finite(self.theta):
            reason, self.last_loss = "diverged", float(self.sums[max(self.epochs - 1, 0)]) / self.rows
        elif self.stopping.patience and self.validation_loss and reason != "diverged":
            self.theta[:] = self.best
        self.stopped_by = reason

    # -- what the kernels do ------------------------------------------------------------------------------------------------------

    def _whole_blocks(self, batches: int) -> int:
        """So many batches or fewer. A block's losses are summed at once: a call that ended within it would change their bits."""
        block = online.BLOCK if self.one_by_one else 1
        return block * max(1, batches // block)

    def _advance(self, first: int, last: int, threads: int, share_out: Workers, halt: Stop) -> float | None:
        """Batches first to last - 1, counted over the epochs, by so many threads that meet in the kernel; for how many seconds all
        were there, where that is known."""
        if self.one_by_one:
            state = batch.State(self.theta, self.moments, self.counters, self.sums, self.penalties, self.progress)
            network, limits = self.network.network, self.stopping.ends
            online.train_by_samples(state, self.memory, self.data, self.order, first, last, network, self.rule, limits)
            return None
        with self.work.holding(self.theta, self.moments) as (theta, moments):
            state = batch.State(theta, moments, self.counters, self.sums, self.penalties, self.progress)
            return self._by_batches(state, first, last, threads, share_out, halt)

    def _by_batches(self, state: batch.State, first: int, last: int, threads: int, share_out: Workers, halt: Stop) -> float | None:
        work, limits = self.work, self.stopping.ends
        network = work.network
        if work.plan.in_kernel:
            sizes = batch.Sizes(self.batch_size, work.plan.chunk, work.plan.together, first, last)
            counter = barrier.new_counter()

            def member(me: int) -> tuple[float, float]:
                try:
                    if threads > 1:
                        to_own_core(me)
                    came = time.perf_counter()
                    team = batch.Team(me, threads, counter, halt.flag)
                    work.train(
                        state, work.sums, work.workers[me], self.data, self.order, sizes, network, self.rule, limits, team
                    )  # fmt: skip
                    return came, time.perf_counter()
                except BaseException:  # the others are not to wait
                    barrier.give_up(counter)
                    raise

            came, went = zip(*share_out(member, list(range(threads))), strict=True)
            return max(went) - max(came)
        for b in range(first, last):
            epoch, place = divmod(b, self.batches)
            work.order = self.order[min(epoch - first // self.batches, len(self.order) - 1)]
            start = place * self.batch_size
            stop = min(start + self.batch_size, self.rows)
            if ends.is_penalized(self.rule.l2, self.rule.method, limits):
                share = ends.share_of_penalty(state.theta, network.layers, self.rule.l2, start, stop, self.rows)
                self.penalties[epoch] += share
            self.sums[epoch] += work.sum_loss(state.theta, start, stop, share_out)
            size, step = state.theta.size, int(self.counters[0]) + 1
            batch.end_batch(state, work.total, stop - start, network, self.rule, epoch, step, 0, size)
            self.counters[:] = step, b + 1
            if place + 1 == self.batches:
                loss = float(self.sums[epoch]) / self.rows + self.penalties[epoch]
                ends.is_stuck(self.progress, 0, 1, loss, limits)
        return None

    def _validate(self, epoch: int, share_out: Workers) -> float | None:
        """The loss over the rows that are held out, if there are any; it is noted, and the best weights kept."""
        if self.held_out is None:
            return None
        n = len(self.held_out.order)
        loss = self.held_out.sum_loss(self.held_out.held(self.theta), 0, n, share_out, gradient=False) / n
        if math.isfinite(loss):
            self.validation_loss.append(loss)
            if loss < self.validation_loss[self.best_epoch] or epoch == 0:
                self.best_epoch = epoch
                self.best[:] = self.theta
        return loss
