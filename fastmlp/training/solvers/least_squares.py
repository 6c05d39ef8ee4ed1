"""One network by the method of Levenberg and Marquardt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import barrier, batch, cholesky, levenberg_marquardt
from fastmlp.kernels.vectors import BYTES
from fastmlp.networks.layout import aligned
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import ChunkedLoss
from fastmlp.threads import Stop, Workers
from fastmlp.training.data import TrainingData
from fastmlp.training.one_network import Stopping
from fastmlp.training.pace import Pace, by_team
from fastmlp.training.solvers.solver import Solver

MOST_PARAMETERS = 2048  # of which the normal matrix takes 32 MB
ROW_NUMBERS = 1 << 16  # of the Jacobian that are held at once, as the second-level cache holds them
MOST_TILES = 8
TEAM_PAYS = 200_000  # of parameters squared times rows


class LeastSquares(Solver):
    """Its work is counted in parts of the sum over a tile of rows."""

    def __init__(self, network: MLP, data: TrainingData, l2: float, stopping: Stopping, threads: int) -> None:
        super().__init__(network, data, l2, stopping, threads, counters=6)
        size, n_out, n = network.theta.size, network.layer_sizes[-1], self.rows
        team = threads if barrier.POSSIBLE and n * n_out * size * size >= TEAM_PAYS else 1
        self.work = ChunkedLoss(network.network, self.data, data.rows, n, threads, keep_tiles=True, units=False, workers=team)
        tiles = self.work.workers[0].tiles
        lanes = BYTES // network.dtype.itemsize
        width = (size // lanes + 1) * lanes
        width += lanes * (width // lanes % 2 == 0)  # rows that are a power of two apart share the few places of the cache
        of_tile = tiles.lanes * n_out * width
        n_tiles = -(-n // tiles.lanes)
        held = min(max(2, min(ROW_NUMBERS // of_tile, MOST_TILES)), n_tiles)
        numbers = aligned(network.dtype, *(size,) * 5, held * of_tile, *(size * width,) * 2, int(cholesky.BLOCK) * width)
        counts = np.zeros(4), self.counters, self.loss_history, self.progress
        self.state = levenberg_marquardt.NormalState._make([*numbers, width, held, *counts])
        self.state.theta[:] = self.state.trial[:] = self.theta
        losses = np.zeros(max(len(self.work.sums.losses), -(-n // self.work.plan.chunk)))
        self.sums = batch.Sums(self.work.total, self.work.sums.gradients[:0], losses)
        outputs = 2 * n_out * tiles.stride
        self.beside = [
            levenberg_marquardt.Beside(*aligned(network.dtype, outputs, tiles.stride)) for _ in range(len(self.work.workers))
        ]
        self.pace = Pace(team, max(1, of_tile * size // levenberg_marquardt.UNITS))

    @property
    def workers(self) -> int:
        here = len(self.beside)
        return here if self.held_out is None else max(here, self.held_out.plan.threads)

    @property
    def losses_found(self) -> int:
        return int(self.counters[levenberg_marquardt.LOSSES])

    @property
    def loss(self) -> float:
        return float(self.state.numbers[levenberg_marquardt.LOSS])

    def _iterate(self, last: int, work: int, threads: int, share_out: Workers, halt: Stop) -> float:
        sizes = batch.Sizes(self.rows, self.work.plan.chunk, False, work, last)
        network, limits, stops, work_of = self.work.network, self.limits, self.stopping.ends, self.work.workers

        def work_together(me: int, counter: NDArray[np.int64]) -> None:
            team = batch.Team(me, threads, counter, halt.flag)
            levenberg_marquardt.fit_least_squares(
                self.state, self.sums, work_of[me], self.beside[me], self.data, self.order, sizes, network, limits, stops, team
            )  # fmt: skip

        at_work = by_team(threads, share_out, work_together)
        self.theta[:] = self.state.theta
        return at_work
