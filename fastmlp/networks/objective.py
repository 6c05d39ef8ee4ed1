"""The loss of a network over rows, and its gradient.

Rows are cut in chunks whose size follows from the network alone, and chunks are added in their order: the result has the same bits
however many threads take part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import barrier, batch
from fastmlp.kernels.simd import readable
from fastmlp.networks.layout import batch_scratch, block_lanes, tiles
from fastmlp.threads import LONGEST_CALL, Map, shares, threads_for

# Work is counted in parameters times rows; one of them takes 0.1 to 0.5 ns.
TEAM_PAYS = 100_000  # of a batch: threads that meet in the kernel lose less than a microsecond by it
LONGEST_BATCH = 20_000_000  # of a batch that is done within one kernel call
SHARE = 10_000  # parameters whose update is worth another thread
GRADIENT_BYTES = 1 << 24  # of the chunks' gradients of a batch
CHUNK_WORK = 13_000  # at least: what a chunk costs beside that is its gradient, added up
CHUNK_ROWS = 64  # at least
TILE_BYTES = 1 << 25  # of training rows kept with samples as lanes; larger data is packed anew, block by block


class ChunkedLoss:
    """The loss, and if wanted its gradient, of runs of rows: chunk by chunk, a wave of chunks at a time."""

    def __init__(
        self,
        network: batch.Network,
        data: batch.Data,
        order: NDArray[np.int32],
        most_rows: int,
        parameters: int,
        threads: int,
        *,
        keep_tiles: bool = False,
    ) -> None:
        dtype = data.shift.dtype
        layers = network.layers
        lanes = block_lanes(layers, dtype.itemsize, most_rows)
        self.network, self.data, self.order = network, data, order
        self.chunk = _chunk_rows(lanes, parameters)
        n_chunks = -(-most_rows // self.chunk)
        work = most_rows * parameters
        self.in_kernel = work <= LONGEST_BATCH and n_chunks * parameters * dtype.itemsize <= GRADIENT_BYTES
        self.team = min(threads, max(n_chunks, parameters // SHARE)) if barrier.POSSIBLE and work >= TEAM_PAYS else 1
        self.threads = min(threads_for(work, threads), n_chunks)
        per_call = n_chunks if self.in_kernel else max(1, min(32, LONGEST_CALL // (self.chunk * parameters)))
        self.wave = min(n_chunks, self.threads * per_call)
        self.scratch = [batch_scratch(layers, dtype, lanes) for _ in range(max(self.threads, self.team))]
        blocks = -(-most_rows // lanes)
        columns = int(layers[0, 0] + layers[-1, 1]) + 1
        if keep_tiles and blocks * lanes * columns * dtype.itemsize <= TILE_BYTES:
            kept = tiles(layers, dtype, lanes, blocks)
            for block in range(blocks):
                first = block * lanes
                batch.pack(kept, block, data, order, first, min(lanes, most_rows - first))
            self.tiles = [kept] * len(self.scratch)
        else:
            self.tiles = [tiles(layers, dtype, lanes) for _ in self.scratch]
        self.losses = np.zeros(self.wave)
        self.gradients = np.zeros((self.wave, parameters), dtype=dtype)
        self.total = np.zeros(parameters, dtype=dtype)

    def sum_loss(self, theta: NDArray[Any], start: int, stop: int, share_out: Map, *, gradient: bool = True) -> float:
        """The weighted sum of the losses of rows order[start : stop]; its gradient, unscaled, comes to stand in `total`."""
        gradients = self.gradients if gradient else self.gradients[:0]
        self.total[:] = 0
        loss = 0.0
        for first in range(start, stop, self.wave * self.chunk):
            n_chunks = min(self.wave, -(-(stop - first) // self.chunk))

            def work(job: tuple[int, tuple[int, int]], first: int = first) -> None:
                worker, share = job
                span = (first, stop, *share)
                batch.chunk_losses(
                    gradients, self.losses, self.scratch[worker], self.tiles[worker], self.data, self.order, span, self.chunk,
                    theta, self.network,
                )  # fmt: skip

            share_out(work, list(enumerate(shares(n_chunks, self.threads))))
            loss = batch.add_chunks(self.total, gradients, self.losses, n_chunks, loss, 0, self.total.size)
        return loss * self.network.loss_scale


def _chunk_rows(lanes: int, parameters: int) -> int:
    """Rows of a chunk: whole blocks."""
    return lanes * -(-max(CHUNK_ROWS, CHUNK_WORK // parameters) // lanes)


def plain_rows(x: NDArray[Any], y: NDArray[Any]) -> batch.Data:
    """Rows as they are: unweighted, unscaled."""
    d = x.shape[1]
    return batch.Data(readable(x), y, np.ones(1, y.dtype), np.zeros(d, y.dtype), np.ones(d, y.dtype))


def every_row(n: int) -> NDArray[np.int32]:
    return np.arange(n, dtype=np.int32)
