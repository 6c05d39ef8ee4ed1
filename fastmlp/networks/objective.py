"""The loss of a network over rows, and its gradient: Objective, and what it and the training of batches stand on.

Rows are cut in chunks whose size follows from the network alone, and chunks are added in their order: the result has the same bits
however many threads take part.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.kernels import barrier, batch
from fastmlp.kernels.layers import Network
from fastmlp.kernels.losses import ERROR_RATE
from fastmlp.kernels.simd import readable
from fastmlp.kernels.tiles import Data, pack
from fastmlp.kernels.vectors import BYTES
from fastmlp.kernels.wide import ROWS, hold
from fastmlp.networks.layered import Layered
from fastmlp.networks.layout import (
    Dropped,
    aligned,
    batch_scratch,
    block_lanes,
    dropout_memory,
    empty_tiles,
    parameters_held,
    scratch_sizes,
    stride_of,
    wide_layers,
    wide_scratch,
    wide_sizes,
)
from fastmlp.threads import LONGEST_CALL, Workers, shares, thread_count, threads_for

if TYPE_CHECKING:
    from fastmlp.networks.mlp import MLP

# Work is counted in parameters times rows; one of them takes 0.1 to 0.5 ns.
TEAM_PAYS = 100_000  # of a batch: threads that meet in the kernel lose less than a microsecond by it
LONGEST_BATCH = 20_000_000  # of a batch that is done within one kernel call
TOGETHER_PAYS = 1_000_000  # of a batch that is one chunk: threads that work on it together meet once more
SHARE = 10_000  # parameters whose update is worth another thread
GRADIENT_BYTES = 1 << 24  # of the chunks' gradients of a batch
KEPT_WORK = 500_000  # of a loss whose memory a network keeps for the next one
CHUNK_WORK = 13_000  # at least: what a chunk costs beside that is its gradient, added up
CHUNK_ROWS = 64  # at least
WIDE_ROWS, WIDE_BYTES = (64, 128), 3 << 17  # of a chunk where lanes are units, and of what is written for it
TILE_BYTES = 1 << 25  # of training rows kept with samples as lanes; larger data is packed anew, block by block


class Objective:
    """The loss of a network over rows, and its gradient, for any parameters: what a solver minimises.

    What can be done once is done once: the arguments are checked, the rows laid out, memory and threads made. So a call costs what
    its arithmetic costs.

    Parameters
    ----------
    network : MLP
        Its sizes, activations, output and loss. It is not changed.
    X : (N, D)
        Rows of inputs.
    y : (N,) or (N, K)
        Their labels, or a regressor's targets.
    sample_weight : (N,), optional
        How much each row counts; scaled to a mean of 1. By default all alike.
    threads : int, optional
        How many threads may take part, where the rows are so many that it pays; by default one for each core.
    lay_out : bool
        Whether rows of up to 32 MB are copied once as the arithmetic goes through them, or for each call. Once pays from the second
        call on.

    Attributes
    ----------
    network : MLP

    Raises
    ------
    ValueError
        As `MLP.loss` does, and if sample_weight or threads is not as described.

    The same bits come for any number of threads. As long as it is used, neither X nor y is to be changed. Threads that share one
    take turns.

    Examples
    --------
    >>> objective = Objective(network, X, y)
    >>> theta = network.theta.copy()
    >>> for _ in range(100):
    ...     theta -= 0.1 * objective.gradient(theta)
    >>> objective.value(theta)
    """

    def __init__(
        self,
        network: MLP,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        threads: int | None = None,
        *,
        lay_out: bool = True,
    ) -> None:
        if not isinstance(network, Layered):
            raise ValueError(f"network must be an MLP; got {type(network).__name__}")
        data = _data(network, X, y, sample_weight)
        n = len(data.x)
        count = threads_for(n * network.theta.size, thread_count(threads))
        self._network, self._rows, self._busy = network, n, Lock()
        self._work = ChunkedLoss(network.network, data, every_row(n), n, count, keep_tiles=lay_out)

    @property
    def network(self) -> MLP:
        return self._network

    def __repr__(self) -> str:
        return f"<Objective of {self.network} on {self._rows} rows>"

    def value(self, theta: ArrayLike | None = None) -> float:
        """The mean loss over the rows.

        Parameters
        ----------
        theta : (P,), optional
            The parameters, in the order of `MLP.theta`; by default the network's own, as they are now.

        Raises
        ------
        ValueError
            If theta is not of that shape, or holds NaN or infinity.
        """
        with self._busy:
            return self._mean_loss(theta, gradient=False)

    def gradient(self, theta: ArrayLike | None = None) -> NDArray[Any]:
        """The gradient (P,) of `value` by theta, in the network's dtype."""
        return self.value_and_gradient(theta)[1]

    def value_and_gradient(self, theta: ArrayLike | None = None) -> tuple[float, NDArray[Any]]:
        """Both, for the price of the gradient."""
        with self._busy:
            return self._mean_loss(theta, gradient=True), self._work.mean_gradient()

    def _mean_loss(self, theta: ArrayLike | None, *, gradient: bool) -> float:
        given = self.network.theta if theta is None else self._parameters(theta)
        with Workers(self._work.plan.threads) as share_out:
            return self._work.mean_loss(given, share_out, gradient=gradient)

    def _parameters(self, theta: ArrayLike) -> NDArray[Any]:
        own = self.network.theta
        return arrays.finite("theta", arrays.parameters("theta", theta, own.dtype, own.size))


def _data(network: MLP, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Data:
    """Rows to measure, as the kernels take them."""
    dtype = network.dtype
    x = arrays.matrix("X", X, dtype, columns=network.layer_sizes[0], names=network.feature_names)
    columns = 1 if network.classes is not None else network.layer_sizes[-1]
    each = columns * dtype.itemsize + np.dtype(arrays.numbers_of_rows(len(x))).itemsize
    checks.enough_memory(f"a loss over {len(x)} rows", len(x) * each)
    targets = network.targets(y, len(x))
    weights = labels.sample_weights(sample_weight, None, network.classes, targets, dtype)
    return Data(readable(x), targets, weights, *network.unscaled)


def loss_of_rows(
    network: MLP, X: ArrayLike, y: ArrayLike, kept: dict[int, ChunkedLoss], *, gradient: bool = False
) -> tuple[float, NDArray[Any]]:
    """The mean loss over the rows, and its gradient (P,), or none (0,).

    Memory is kept for the next rows, if they are as many, and few: to make it takes longer than what is done in it.
    """
    data = _data(network, X, y)
    n = len(data.x)
    size = n * network.theta.size
    work = kept.pop(n, None) or ChunkedLoss(network.network, data, every_row(n), n, threads_for(size))
    work.data = data
    with Workers(work.plan.threads) as share_out:
        loss = work.mean_loss(network.theta, share_out, gradient=gradient)
    found = loss, work.mean_gradient() if gradient else work.total[:0]
    if size <= KEPT_WORK:
        del work.data  # which is the caller's
        kept.clear()
        kept[n] = work
    return found


class ChunkPlan(NamedTuple):
    """How rows are cut in chunks, and who works on them: as the network, the rows and the threads have it."""

    wide: NDArray[np.int64] | None  # the table of its layers where lanes are units
    parameters: int  # with what pads them
    lanes: int  # samples of a block
    chunk: int  # rows: whole blocks
    block: int  # of them that go through all layers at once, where lanes are units
    in_kernel: bool  # whether a batch is done within one kernel call
    team: int  # threads that then meet there
    together: bool  # whether they work on one chunk, each on rows of it, then on parameters
    threads: int  # that else are sent chunks
    wave: int  # chunks whose gradients are held at a time
    blocks: int  # of rows that are laid out once and kept; or 0

    @classmethod
    def of(
        cls, layers: NDArray[np.int64], itemsize: int, rows: int, threads: int, *, keep_tiles: bool, units: bool = True
    ) -> ChunkPlan:
        """The plan for at most so many rows at a time, by at most so many threads; lanes may be units, or always are samples."""
        wide = wide_layers(layers, itemsize, rows) if units else None
        parameters = parameters_held(layers) if wide is None else parameters_held(wide, BYTES // itemsize)
        if wide is None:
            lanes = block_lanes(layers, itemsize, rows)
            chunk = lanes * -(-max(CHUNK_ROWS, CHUNK_WORK // parameters) // lanes)
        else:
            chunk = lanes = _rows_of_chunk(wide, itemsize, rows)
            keep_tiles = False
        together = wide is not None and rows == chunk > 1 and rows * parameters >= TOGETHER_PAYS
        pairs = -(-rows // (2 * int(ROWS)))  # of blocks, for two threads
        block = -(-rows // (2 * pairs)) if together else int(ROWS)
        n_chunks, work, blocks = -(-rows // chunk), rows * parameters, -(-rows // lanes)
        in_kernel = work <= LONGEST_BATCH and n_chunks * parameters * itemsize <= GRADIENT_BYTES
        meeting = barrier.POSSIBLE and in_kernel and work >= TEAM_PAYS
        sent = min(threads_for(work, threads), n_chunks)
        per_call = n_chunks if in_kernel else max(1, min(32, LONGEST_CALL // (chunk * parameters)))
        kept = keep_tiles and blocks * lanes * (int(layers[0, 0] + layers[-1, 1]) + 1) * itemsize <= TILE_BYTES
        team = min(threads, max(n_chunks, parameters // SHARE, 2 * together)) if meeting else 1
        wave = min(n_chunks, sent * per_call)
        return cls(wide, parameters, lanes, chunk, block, in_kernel, team, together and team > 1, sent, wave, blocks if kept else 0)

    @property
    def workers(self) -> int:
        return max(self.threads, self.team)

    def numbers(self, layers: NDArray[np.int64]) -> int:
        """How many numbers are held for it: gradients, what each worker writes, and rows that are laid out."""
        if self.wide is not None:  # theta and two moments are held, too
            return self.parameters * (3 + 1 + self.wave) + self.workers * sum(wide_sizes(self.wide, self.lanes))
        row = int(layers[0, 0] + layers[0, 4] + layers[-1, 1]) + 1
        tiles = (self.blocks or self.workers) * row * stride_of(self.lanes)
        return self.parameters * (1 + self.wave) + self.workers * sum(scratch_sizes(layers, self.lanes)) + tiles


def _rows_of_chunk(layers: NDArray[np.int64], itemsize: int, rows: int) -> int:
    """Rows of a chunk where lanes are units: as many as the cache holds, all chunks of a size, and their number even, for two
    threads. Each costs as much as to write and to add up the gradient."""
    least, most = WIDE_ROWS
    of_row = itemsize * int(layers[0, 0] + 3 * layers[:-1, 6].sum())
    at_once = min(max(WIDE_BYTES // of_row, least), most)
    if rows <= at_once:
        return rows
    pairs = -(-rows // (2 * at_once))
    return -(-rows // (2 * pairs))


class ChunkedLoss:
    """The loss, and if wanted its gradient, of runs of rows: chunk by chunk, a wave of chunks at a time."""

    def __init__(
        self,
        network: Network,
        data: Data,
        order: NDArray[np.integer],
        most_rows: int,
        threads: int,
        *,
        keep_tiles: bool = False,
        units: bool = True,
        workers: int = 1,
        dropped: Dropped | None = None,
    ) -> None:
        """For at most so many rows at a time, by at most so many threads; lanes may be units, if they are so many that it pays.
        There are so many workers at least; of hidden layers, some units may be left out."""
        dtype, layers = data.shift.dtype, network.layers
        plan = self.plan = ChunkPlan.of(layers, dtype.itemsize, most_rows, threads, keep_tiles=keep_tiles, units=units)
        self.layers, self.parameters = layers, parameters_held(layers)  # as those who call have theta
        self.network = network if plan.wide is None else network._replace(layers=plan.wide)
        self.data, self.order, workers = data, order, max(workers, plan.workers)
        if plan.wide is not None:
            own = wide_scratch(plan.wide, dtype, plan.lanes, plan.block)
            shared = own[0] if plan.together else None
            more = [wide_scratch(plan.wide, dtype, plan.lanes, plan.block, shared) for _ in range(1, workers)]
            memory: Sequence[tuple[Any, Any]] = [own, *more]
        else:
            kept = empty_tiles(layers, dtype, plan.lanes, plan.blocks) if plan.blocks else None
            for block in range(plan.blocks):
                first = block * plan.lanes
                pack(kept, block, data, order, first, min(plan.lanes, most_rows - first))
            memory = [batch_scratch(layers, dtype, plan.lanes, kept) for _ in range(workers)]
        self.workers = [batch.Worker(*each, dropout_memory(plan.lanes, dropped)) for each in memory]
        self.total, gradients = aligned(dtype, plan.parameters, plan.wave * plan.parameters)
        self._copies: tuple[NDArray[Any], ...] = ()  # that are written anew in each call
        losses = np.zeros(max(plan.wave, -(-plan.lanes // plan.block)))
        self.sums = batch.Sums(self.total, gradients.reshape(plan.wave, -1), losses)

    def held(self, values: NDArray[Any], held: NDArray[Any] | None = None) -> NDArray[Any]:
        """Theta, or rows of numbers for each parameter, as the kernels hold them: the same array, or a copy with what pads it,
        which is written to one that was held before, if that is given."""
        if self.plan.wide is None:
            return values
        if held is None:
            (flat,) = aligned(values.dtype, values.size // self.parameters * self.plan.parameters)
            held = flat.reshape(*values.shape[:-1], self.plan.parameters)
        self._copy(held, values, back=False)
        return held

    def write_back(self, held: NDArray[Any], values: NDArray[Any]) -> None:
        """What has become of such a copy, to where it came from."""
        self._copy(held, values, back=True)

    def outside(self, held: NDArray[Any]) -> NDArray[Any]:
        """Theta, or rows of such numbers, as those who call have them."""
        if self.plan.wide is None:
            return held
        values = np.empty((*held.shape[:-1], self.parameters), held.dtype)
        self.write_back(held, values)
        return values

    def errors(self) -> ChunkedLoss:
        """The same of how many rows a classifier tells wrong, in place of their losses; without a gradient, and in the same memory:
        one is to be asked after the other."""
        other = copy.copy(self)
        other.network = self.network._replace(loss=ERROR_RATE, loss_scale=1.0)
        return other

    def train(self, *arguments: Any) -> None:
        """batch.train_by_batches, in the form that is meant for it."""
        (batch.train_by_batches if self.plan.wide is None else batch.train_wide_by_batches)(*arguments)

    @contextmanager
    def holding(self, *values: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
        """Such arrays as the kernels hold them, and what comes of them, within the block, back in them after it; of the same shapes
        in each call."""
        if self.plan.wide is None:
            yield values
            return
        self._copies = tuple(map(self.held, values, self._copies or [None] * len(values)))
        try:
            yield self._copies
        finally:
            for held, own in zip(self._copies, values, strict=True):
                self.write_back(held, own)

    def _copy(self, held: NDArray[Any], values: NDArray[Any], *, back: bool) -> None:
        rows = held.reshape(-1, self.plan.parameters), values.reshape(-1, self.parameters)
        hold(*rows, self.layers, self.plan.wide, back)

    def mean_loss(self, theta: NDArray[Any], share_out: Workers, *, gradient: bool) -> float:
        """The mean loss over the rows of the order, for theta as those who call have it."""
        n = len(self.order)
        return self.sum_loss(self.held(theta), 0, n, share_out, gradient=gradient) / n

    def mean_gradient(self) -> NDArray[Any]:
        """The gradient of a mean loss, once that has been asked for."""
        total = self.total.copy()
        batch.to_mean(total, len(self.order), self.network)
        return self.outside(total)

    def sum_loss(self, theta: NDArray[Any], start: int, stop: int, share_out: Workers, *, gradient: bool = True) -> float:
        """The weighted sum of the losses of rows order[start : stop], for theta as `held` makes it; its gradient, unscaled, comes
        to stand in `total`."""
        sums = self.sums if gradient else batch.Sums(self.total, self.sums.gradients[:0], self.sums.losses)
        plan, loss = self.plan, 0.0
        losses = batch.chunk_losses if plan.wide is None else batch.wide_chunk_losses
        for first in range(start, stop, plan.wave * plan.chunk):
            n_chunks = min(plan.wave, -(-(stop - first) // plan.chunk))

            def work(job: tuple[int, tuple[int, int]], first: int = first) -> None:
                worker, share = job
                chunks = batch.ChunkRange(first, stop, plan.chunk, *share)
                losses(sums, self.workers[worker], self.data, self.order, chunks, theta, self.network)

            share_out(work, list(enumerate(shares(n_chunks, plan.threads))))
            loss = batch.add_chunks(sums, n_chunks, loss, first > start)
        return loss * self.network.loss_scale


def every_row(n: int) -> NDArray[np.integer]:
    return np.arange(n, dtype=arrays.numbers_of_rows(n))
