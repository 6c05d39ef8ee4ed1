"""The epochs of one network, with samples as lanes: batches, one kernel call for many of them or many threads for one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import batch, ends, online, optimizers
from fastmlp.kernels.dropout import EPOCH
from fastmlp.networks.history import TrainingState
from fastmlp.networks.layout import Dropped
from fastmlp.networks.mlp import MLP
from fastmlp.threads import Stop, Workers
from fastmlp.training.data import RowOrders, TrainingData
from fastmlp.training.one_network import OneNetwork, Stopping
from fastmlp.training.pace import Pace, by_team

ORDER_ENTRIES = 1 << 20  # of row numbers that are shuffled in advance


def end_of_call(first: int, last: int, batches: int, most_epochs: int) -> int:
    """The batch to end a kernel call before: within an epoch, or at the end of one; not more than so many epochs."""
    end_of_epoch = (first // batches + 1) * batches
    if last < end_of_epoch or first % batches:
        return min(last, end_of_epoch)
    return first + max(1, min((last - first) // batches, most_epochs)) * batches


class Descent(OneNetwork):
    """One network on its way: many batches in a kernel call, or a large batch shared out to threads."""

    keeps_rows = True  # from one epoch to the next

    def __init__(
        self,
        network: MLP,
        data: TrainingData,
        rule: optimizers.Rule,
        stopping: Stopping,
        batch_size: int | None,
        threads: int,
        state: TrainingState | None = None,
        dropped: Dropped | None = None,
    ) -> None:
        """From the beginning, or from the state of a training of which rule.method.schedule.before epochs count as those before."""
        super().__init__(network, data, stopping, threads)
        n, self.rule, self.limits = self.rows, rule, stopping.ends
        self.batch_size = min(batch_size or n, n)
        self.batches = -(-n // self.batch_size)
        self.orders = RowOrders(data.rows, data.order, rule.method.schedule.before)
        self.order = data.rows[None]  # a row for each epoch that the next kernel call touches, or one for all
        self.sums, self.penalties = np.zeros(1), np.zeros(1)  # of the losses of each epoch; what l1 and l2 add to their mean
        self.counters = np.array([0 if state is None else state.steps, 0], np.int64)  # steps; batches that are done
        self.averaged = rule.method.average > 0
        self.moments = np.zeros((2 + self.averaged, self.theta.size), self.theta.dtype)
        if state is not None:
            self.moments[:] = state.moments
        elif self.averaged:
            self.moments[2] = self.theta
        self.live = self.theta  # the parameters that another training goes on from, once it has ended
        self.before: tuple[NDArray[Any], ...] | None = None  # theta, moments and counters, as the epoch began that is under way
        # Plain SGD on one sample has kernels of its own, where the lanes are neurons.
        self.one_by_one = self.batch_size == 1 and dropped is None and optimizers.is_plain(rule.method)
        if self.one_by_one:
            self.memory = online.online_memory(network.layers, network.dtype, online.BLOCK)
        else:
            self.work = self._chunked(
                self.data, data.rows, self.batch_size, keep_tiles=self.keeps_rows and self.batches == 1, dropped=dropped
            )
        self.pace = Pace(1 if self.one_by_one else self.work.plan.team, self.batch_size * network.work_of_row)

    @property
    def workers(self) -> int:
        here = 1 if self.one_by_one else self.work.plan.workers
        return here if self.held_out is None else max(here, self.held_out.plan.threads)

    @property
    def result(self) -> NDArray[Any]:
        return self.moments[2] if self.averaged else self.theta

    @property
    def epochs(self) -> int:
        return int(self.counters[1]) // self.batches

    @property
    def losses(self) -> NDArray[np.float64]:
        return self.sums[: self.epochs] / self.rows

    def loss_of(self, epoch: int) -> float:
        return float(self.sums[epoch]) / self.rows

    # -- going on ----------------------------------------------------------------------------------------------------------------

    def advance(self, until: int, share_out: Workers, halt: Stop) -> None:
        n, total, every_batch = self.rows, until * self.batches, self.stopping.epochs * self.batches
        each_epoch = self.held_out is not None or self.stopping.divisor > 0 or not (self.one_by_one or self.work.plan.in_kernel)
        most = 1 if each_epoch else ORDER_ENTRIES // n if self.orders.shuffle else until
        while not self.stopped_by and self.counters[1] < total:
            first = int(self.counters[1])
            threads, batches = self._next_call(every_batch - first, min(most, until) * self.batches, share_out)
            last = end_of_call(first, min(total, first + batches), self.batches, most)
            self._make_room(-(-last // self.batches))
            if first % self.batches == 0:
                self.order = self.orders.next(-(-(last - first) // self.batches))
                self._note_beginning()
            self._call(first, last, threads, share_out, halt)
            if self.epochs > first // self.batches:
                self._end_epoch(self.epochs - 1, share_out)
                if self.stopped_by != "diverged":
                    self.before = None
            if halt.is_set():
                return

    def _end_of_progress(self) -> None:
        rate, divisor = self.rule.learning_rate, self.stopping.divisor
        lowers = divisor > 0 and rate > ends.LEAST_RATE
        if not (lowers or self.stopping.plateau):
            self.stop("tol")
            return
        if lowers:
            self.rule = self.rule._replace(learning_rate=rate / divisor)
        self.progress[ends.STALE] = 0

    def stop(self, reason: str) -> None:
        live = self.theta.copy()
        super().stop(reason)
        self.live = live if self.averaged and not self.stopping.patience else self.theta
        if self.averaged:
            self.moments[2] = self.theta

    def rewind(self) -> None:
        done = self.epochs if self.held_out is None else min(self.epochs, len(self.validation_loss))
        if self.before is not None and (self.counters[1] != done * self.batches or self.before[2][1] == self.counters[1]):
            for array, before in zip((self.theta, self.moments, self.counters), self.before, strict=True):
                array[:] = before
        self.before = None
        del self.validation_loss[self.epochs :], self.validation_errors[self.epochs :]

    # -- what the kernels do ------------------------------------------------------------------------------------------------------

    def _make_room(self, epochs: int) -> None:
        if epochs > len(self.sums):
            more = np.zeros(max(len(self.sums), epochs))
            self.sums, self.penalties = np.append(self.sums, more), np.append(self.penalties, more)

    def _note_beginning(self) -> None:
        """Of an epoch, for `rewind`."""
        self.before = self.theta.copy(), self.moments.copy(), self.counters.copy()

    def _next_call(self, left: int, most: int, share_out: Workers) -> tuple[int, int]:
        """Threads and batches of the next call of a kernel, of so many that are left and that it may do."""
        threads, batches = self.pace.next(left, most)
        if threads > (standing := share_out.standing(threads)):
            threads = self.pace.most(standing)
        # A block's losses are summed at once: a call that ended within it would change their bits.
        block = online.BLOCK if self.one_by_one else 1
        return threads, block * max(1, batches // block)

    def _call(self, first: int, last: int, threads: int, share_out: Workers, halt: Stop) -> None:
        """Batches first to last - 1, and a note of the time they took."""
        began = time.perf_counter()
        at_work = self._advance(first, last, threads, share_out, halt)
        seconds = time.perf_counter() - began
        self.pace.took(threads, last - first, at_work or seconds, seconds)

    def _advance(self, first: int, last: int, threads: int, share_out: Workers, halt: Stop) -> float | None:
        """Batches first to last - 1, counted over the epochs, by so many threads that meet in the kernel; for how many seconds all
        were there, where that is known."""
        if self.one_by_one:
            state = batch.State(self.theta, self.moments, self.counters, self.sums, self.penalties, self.progress)
            network = self.network.network
            online.train_by_samples(state, self.memory, self.data, self.order, first, last, network, self.rule, self.limits)
            return None
        with self.work.holding(self.theta, self.moments) as (theta, moments):
            state = batch.State(theta, moments, self.counters, self.sums, self.penalties, self.progress)
            return self._by_batches(state, first, last, threads, share_out, halt)

    def _by_batches(self, state: batch.State, first: int, last: int, threads: int, share_out: Workers, halt: Stop) -> float | None:
        work, limits = self.work, self.limits
        network, rows = work.network, self.order.shape[1]
        batches = -(-rows // self.batch_size)  # of an epoch
        if work.plan.in_kernel:
            sizes = batch.Sizes(self.batch_size, work.plan.chunk, work.plan.together, first, last)

            def work_together(me: int, counter: NDArray[np.int64]) -> None:
                team = batch.Team(me, threads, counter, halt.flag)
                work.train(state, work.sums, work.workers[me], self.data, self.order, sizes, network, self.rule, limits, team)

            return by_team(threads, share_out, work_together)
        for b in range(first, last):
            epoch, place = divmod(b, batches)
            work.order = self.order[min(epoch - first // batches, len(self.order) - 1)]
            start = place * self.batch_size
            stop = min(start + self.batch_size, rows)
            method, l2 = self.rule.method, optimizers.l2_of_loss(self.rule)
            if ends.is_penalized(method.l1, l2, limits):
                share = ends.share_of_penalty(state.theta, network.layers, method.l1, l2, start, stop, rows)
                self.penalties[epoch] += share
            for worker in work.workers:
                worker.dropout.numbers[EPOCH] = method.schedule.before + epoch
            self.sums[epoch] += work.sum_loss(state.theta, start, stop, share_out)
            size, step = state.theta.size, int(self.counters[0]) + 1
            factor = optimizers.clipped(work.total, network.loss_scale / (stop - start), method.clip)
            batch.end_batch(state, work.total, factor, network, self.rule, epoch, step, 0, size)
            self.counters[:] = step, b + 1
            if place + 1 == batches:
                loss = float(self.sums[epoch]) / rows + self.penalties[epoch]
                ends.is_stuck(self.progress, 0, 1, loss, limits)
        return None
