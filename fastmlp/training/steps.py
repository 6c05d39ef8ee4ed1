"""Steps of a network over rows that come bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import barrier, batch, optimizers
from fastmlp.kernels.tiles import STRIP, Data
from fastmlp.networks.layout import Dropped
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import ChunkedLoss, every_row
from fastmlp.training.one_network import Stopping
from fastmlp.training.scaling import Scaling

SMALL = 2_000_000  # parameters times rows that are worth no second thread, and are done before somebody interrupts
KEPT = 4  # sizes of batches whose memory is kept
NEVER = Stopping(1, -np.inf, None).ends


class Steps:
    """A network that is trained on some rows, then on others, as they come.

    What a kernel needs beside the rows is made once, so that a step from a single row takes some microseconds.
    """

    def __init__(self, network: MLP, moments: NDArray[Any], counters: NDArray[np.int64], dropped: Dropped | None = None) -> None:
        """With what the optimizer knows: its moments (2, P), and a third row for an average; and two counters, of which the first
        one is that of its steps."""
        self._dropped = dropped
        self.network, self._layers = network, network.network
        self._state = batch.State(network.theta, moments, counters, np.zeros(1), np.zeros(1), np.zeros(3))
        self._alone = batch.Team(0, 1, barrier.new_counter(), np.zeros(1, np.uint8))
        self._work: dict[tuple[int, bool], ChunkedLoss] = {}  # for batches of so many rows, in few rows or more
        self._in_order = every_row(1)[None]

    def over(
        self,
        x: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any],
        rule: optimizers.Rule,
        batch_size: int,
        order: NDArray[np.integer] | None = None,
        scaling: Scaling | None = None,
    ) -> float:
        """The mean loss over rows x (N, D) in that order, each as it was seen before the step to which its batch led; the network
        sees them scaled, or as they are.

        All arrays are as kernels take them, and N parameters * rows are at most SMALL.
        """
        n, state = len(x), self._state
        data = Data(x, targets, weights, *(scaling or self.network.unscaled))
        if self._in_order.shape[1] != n:
            self._in_order = every_row(n)[None]
        many = n > int(STRIP)  # in fewer, to copy theta and its moments to whole vectors takes longer than the steps
        if (work := self._work.get((batch_size, many))) is None:
            if len(self._work) == KEPT:
                self._work.clear()
            work = ChunkedLoss(self._layers, data, self._in_order[0], batch_size, 1, units=many, dropped=self._dropped)
            self._work[batch_size, many] = work
        state.history[0] = state.counters[1] = 0
        sizes = batch.Sizes(batch_size, work.plan.chunk, work.plan.together, 0, -(-n // batch_size))
        rows = self._in_order if order is None else order[None]
        rest = work.sums, work.workers[0], data, rows, sizes, work.network, rule, NEVER, self._alone
        if work.plan.wide is None:  # a step from a single row would notice the difference
            work.train(state, *rest)
        else:
            with work.holding(state.theta, state.moments) as (theta, moments):
                work.train(state._replace(theta=theta, moments=moments), *rest)
        return float(state.history[0]) / n
