"""Steps of a network over rows that come bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
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

    def __init__(
        self,
        network: MLP,
        moments: NDArray[Any],
        counters: NDArray[np.int64],
        dropped: Dropped | None = None,
        *,
        write_back: bool = True,
    ) -> None:
        """With what the optimizer knows: its moments (2, P), and a third row for an average; and two counters, of which the first
        one is that of its steps. Theta and moments are up to date after each call, or else where `write_back` is called: between
        calls they stay as kernels hold them, where these have a form of their own."""
        self._dropped, self._writes_back = dropped, write_back
        self.drops = dropped is not None
        self.network, self._layers = network, network.network
        self._state = batch.State(network.theta, moments, counters, np.zeros(1), np.zeros(1), np.zeros(3))
        self._alone = batch.Team(0, 1, barrier.new_counter(), np.zeros(1, np.uint8))
        self._work: dict[tuple[int, bool], ChunkedLoss] = {}  # for batches of so many rows, in few rows or more
        self._in_order = every_row(1)[None]
        self._held: batch.State | None = None  # the same with copies of theta and moments, as kernels hold them
        self._holder: ChunkedLoss | None = None  # who made these, where they are newer than what they are copies of

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
        if work.plan.wide is None:
            self.write_back()
        else:
            state = self._hold(work)
        work.train(state, *rest)
        if self._writes_back:
            self.write_back()
        return float(state.history[0]) / n

    def _hold(self, work: ChunkedLoss) -> batch.State:
        """The state as kernels hold it where lanes are units: all do so alike."""
        state, held = self._state, self._held
        if held is None:
            held = self._held = state._replace(theta=work.held(state.theta), moments=work.held(state.moments))
        elif self._holder is None:
            work.held(state.theta, held.theta)
            work.held(state.moments, held.moments)
        self._holder = work
        return held

    def write_back(self) -> None:
        """Brings theta and moments up to date. Who then changes them goes on from what they are."""
        if self._held is not None and self._holder is not None:
            self._holder.write_back(self._held.theta, self._state.theta)
            self._holder.write_back(self._held.moments, self._state.moments)
            self._holder = None

    def is_finite(self) -> bool:
        """Whether theta is, as it is now."""
        newest = self._state if self._held is None or self._holder is None else self._held
        return arrays.all_finite(newest.theta)
