"""One network by L-BFGS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import batch, ends, lbfgs
from fastmlp.kernels.vectors import BYTES
from fastmlp.networks.layout import aligned
from fastmlp.networks.mlp import MLP
from fastmlp.threads import Stop, Workers
from fastmlp.training.data import TrainingData
from fastmlp.training.one_network import Stopping
from fastmlp.training.pace import Pace, by_team
from fastmlp.training.solvers.solver import Solver


class QuasiNewton(Solver):
    """Its work is counted in trial points."""

    def __init__(self, network: MLP, data: TrainingData, l2: float, stopping: Stopping, threads: int) -> None:
        super().__init__(network, data, l2, stopping, threads, counters=8)
        work = self.work = self._chunked(self.data, data.rows, self.rows, keep_tiles=True)
        held, lanes = work.plan.parameters, BYTES // network.dtype.itemsize
        size = -(-held // lanes) * lanes
        *points, memory = aligned(network.dtype, *(size,) * 5, 2 * lbfgs.MEMORY * size)
        steps, changes = memory.reshape(2, lbfgs.MEMORY, size)
        numbers = np.zeros(9), self.counters, self.loss_history, self.progress
        self.state = lbfgs.LbfgsState._make([*points, steps, changes, np.zeros((2, lbfgs.MEMORY)), *numbers])
        self.state.theta[:held] = self.state.trial[:held] = work.held(self.theta)
        self.pace = Pace(work.plan.team, self.rows * max(held, network.work_of_row))

    @property
    def workers(self) -> int:
        here = self.work.plan.workers
        return here if self.held_out is None else max(here, self.held_out.plan.threads)

    @property
    def losses_found(self) -> int:
        return int(self.counters[ends.WORK])

    @property
    def loss(self) -> float:
        return float(self.state.numbers[lbfgs.LOSS])

    def _iterate(self, last: int, work: int, threads: int, share_out: Workers, halt: Stop) -> float | None:
        chunked, plan, network, at_work = self.work, self.work.plan, self.work.network, None
        limits, stops = self.limits, self.stopping.ends
        work = int(min(work, self.most_losses - self.losses_found))
        if plan.in_kernel:
            sizes = batch.Sizes(self.rows, plan.chunk, plan.together, work, last)
            minimize = lbfgs.minimize if plan.wide is None else lbfgs.minimize_wide

            def work_together(me: int, counter: NDArray[np.int64]) -> None:
                team = batch.Team(me, threads, counter, halt.flag)
                minimize(
                    self.state, chunked.sums, chunked.workers[me], self.data, self.order, sizes, network, limits, stops, team
                )  # fmt: skip

            at_work = by_team(threads, share_out, work_together)
        else:
            loss = chunked.sum_loss(self.state.trial[: plan.parameters], 0, self.rows, share_out) / network.loss_scale
            lbfgs.take(self.state, chunked.total, loss, self.rows, network, limits, stops)
        self.theta[:] = chunked.outside(self.state.theta[: plan.parameters])
        return at_work
