"""What solvers have in common: their epochs are iterations, each of as many losses as it takes."""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import ends
from fastmlp.networks.mlp import MLP
from fastmlp.threads import Stop, Workers
from fastmlp.training.data import TrainingData
from fastmlp.training.defaults import TOLERANCE
from fastmlp.training.one_network import OneNetwork, Stopping
from fastmlp.training.pace import Pace

REASONS = {ends.TOLERANCE: "tolerance", ends.TARGET_LOSS: "target_loss", ends.TOL: "tol", ends.DIVERGED: "diverged"}


class Solver(OneNetwork):
    """One network on its way by a solver; what an iteration is made of is up to those who derive from it."""

    pace: Pace

    def __init__(self, network: MLP, data: TrainingData, l2: float, stopping: Stopping, threads: int, counters: int) -> None:
        super().__init__(network, data, stopping, threads)
        self.order = data.rows
        self.counters = np.zeros(counters, np.int64)  # see kernels/ends.py
        self.loss_history = np.zeros(stopping.epochs)
        tolerance = TOLERANCE[network.dtype.name] if stopping.tolerance is None else stopping.tolerance
        self.limits = ends.Limits(tolerance, l2, 2 * float(np.finfo(network.dtype).eps))
        self.most_losses = math.inf  # of all rows
        self.before = self.theta.copy()  # as the iteration began that is under way, where rows are measured after each

    @property
    def epochs(self) -> int:
        return int(self.counters[ends.DONE])

    @property
    def losses(self) -> NDArray[np.float64]:
        return self.loss_history[: self.epochs].copy()

    def loss_of(self, epoch: int) -> float:
        return float(self.loss_history[epoch]) if self.epochs else math.nan

    def advance(self, until: int, share_out: Workers, halt: Stop) -> None:
        until = min(until, self.stopping.epochs)
        while not self.stopped_by and self.epochs < until:
            threads, work = self.pace.next(1 << 40, 1 << 40)
            if threads > (standing := share_out.standing(threads)):
                threads = self.pace.most(standing)
            done, worked = self.epochs, int(self.counters[ends.WORK])
            if self.losses_found >= self.most_losses:
                self.stop("epochs")
                return
            last = until if self.held_out is None else done + 1
            if self.held_out is not None:
                self.before[:] = self.theta
            began = time.perf_counter()
            at_work = self._iterate(last, work, threads, share_out, halt)
            seconds = time.perf_counter() - began
            self.pace.took(threads, max(1, int(self.counters[ends.WORK]) - worked), at_work or seconds, seconds)
            if self.counters[ends.ENDED] != ends.GOES_ON and not self.epochs:
                self._end_as_it_began()
            if self.epochs > done:
                self._end_epoch(self.epochs - 1, share_out)
            if not self.stopped_by and self.counters[ends.ENDED] != ends.GOES_ON:
                self.stop(REASONS[int(self.counters[ends.ENDED])])
            if halt.is_set():
                return

    def _end_as_it_began(self) -> None:
        """There was no way down from the first weights: their loss is all that is told."""
        penalty = ends.share_of_penalty(self.theta, self.network.layers, 0.0, self.limits.l2, 0, self.rows, self.rows)
        self.loss_history[0] = self.loss - penalty
        self.counters[ends.DONE] = 1

    @property
    def losses_found(self) -> int:
        """How often that of all rows was."""
        raise NotImplementedError

    @property
    def loss(self) -> float:
        """The mean loss where it has come to, with its penalty."""
        raise NotImplementedError

    def rewind(self) -> None:
        if self.held_out is not None and len(self.validation_loss) < self.epochs:
            self.theta[:] = self.before
            self.counters[ends.DONE] = len(self.validation_loss)

    def _iterate(self, last: int, work: int, threads: int, share_out: Workers, halt: Stop) -> float | None:
        """Goes on until so many iterations are done, or so much work, or it ends; leaves self.theta where it has come to. For how
        many seconds all threads were there, where that is known."""
        raise NotImplementedError
