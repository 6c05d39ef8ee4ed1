"""Work on rows, cut in chunks: scratch for the kernels, and threads that share the chunks out.

A chunk's size follows from the network alone, and chunks are added in their order: the result has the same bits however many
threads take part.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastmlp import arrays, checks
from fastmlp.kernels import barrier, batch
from fastmlp.kernels.activations import CODES

Map = Callable[[Callable[[Any], Any], list[Any]], list[Any]]

# Work is counted in parameters times rows; one of them takes 0.1 to 0.5 ns.
TEAM_PAYS = 100_000  # of a batch: threads that meet in the kernel lose less than a microsecond by it
THREADS_PAY = 2_000_000  # handing work to another thread from Python, and waiting for it, has its price
LONGEST_BATCH = 20_000_000  # of a batch that is done within one kernel call
LONGEST_CALL = 200_000_000  # for one kernel call: Ctrl-C waits for its end
SHARE = 10_000  # parameters whose update is worth another thread
GRADIENT_BYTES = 1 << 24  # of the chunks' gradients of a batch
CHUNK_WORK = 13_000  # at least: what a chunk costs beside that is its gradient, added up
CHUNK_ROWS = 64  # at least
TILE_BYTES = 1 << 25  # of training rows kept with samples as lanes; larger data is packed anew, block by block
BLOCK_BYTES = 1 << 16  # of a block's arrays: between the first-level cache and the second


def layer_table(layer_sizes: Sequence[int], activations: Sequence[str], output: str, bias: bool) -> NDArray[np.int64]:
    """What the kernels know of a network: see kernels/batch.py."""
    rows, at = [], 0
    for (n_in, n_out), activation in zip(pairwise(layer_sizes), (*activations, output), strict=True):
        rows.append((n_in, n_out, CODES[activation], at, int(bias)))
        at += (n_in + bias) * n_out
    return np.array(rows, dtype=np.int64)


def lanes_of(layers: NDArray[np.int64], itemsize: int, rows: int) -> int:
    """Samples of a block: whole strips, as many as the cache holds, or as there are."""
    most = BLOCK_BYTES // (itemsize * (int(layers[0, 0]) + _units(layers) + int(layers[:, 1].max())))
    strip = int(batch.STRIP)
    return strip * max(1, min(most, rows + strip - 1) // strip)


def stride_of(lanes: int) -> int:
    """How far apart the rows of a block are: rows a power of two apart share the few places of the cache where they may stand."""
    return lanes + int(batch.STRIP) // 2


def _units(layers: NDArray[np.int64]) -> int:
    """Rows of batch.Scratch.units."""
    return int((layers[:-1, 1] + layers[:-1, 4]).sum() + layers[-1, 1])


def chunk_of(lanes: int, parameters: int) -> int:
    """Rows of a chunk: whole blocks."""
    return lanes * -(-max(CHUNK_ROWS, CHUNK_WORK // parameters) // lanes)


def hidden(layers: NDArray[np.int64], dtype: DTypeLike, stride: int) -> NDArray[Any]:
    """batch.Scratch.units, with the rows of ones."""
    units = aligned((_units(layers), stride), dtype)
    at = 0
    for width, biased in layers[:-1, (1, 4)].tolist():
        units[at + width : at + width + biased] = 1
        at += width + biased
    return units.reshape(-1)


def scratch(layers: NDArray[np.int64], dtype: DTypeLike, lanes: int) -> batch.Scratch:
    stride = stride_of(lanes)
    widths = [(n_in + biased, -(-n_out // batch.STRIP) * batch.STRIP) for n_in, n_out, _, _, biased in layers.tolist()]
    return batch.Scratch(
        units=hidden(layers, dtype, stride),
        deltas=aligned((2 * int(layers[:, 1].max()) * stride,), dtype),
        spare=aligned((max((lanes + rows) * width for rows, width in widths),), dtype),
    )


def tiles(layers: NDArray[np.int64], dtype: DTypeLike, lanes: int, blocks: int = 0, stride: int | None = None) -> batch.Tiles:
    """Room for one block that is packed anew each time, or for all of them."""
    n, stride = max(blocks, 1), stride or stride_of(lanes)
    n_in, biased = int(layers[0, 0]), int(layers[0, 4])
    inputs = aligned((n, n_in + biased, stride), dtype)
    inputs[:, n_in:] = 1
    return batch.Tiles(
        inputs=inputs.reshape(-1),
        targets=aligned((n * int(layers[-1, 1]) * stride,), dtype),
        weights=aligned((n * stride,), dtype),
        stride=stride,
        lanes=lanes,
        kept=blocks > 0,
    )


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros that begin at a cache line: a vector that straddles two lines takes twice as long to load."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + 64, dtype=np.uint8)
    start = -buffer.__array_interface__["data"][0] % 64
    return buffer[start : start + size].view(dtype).reshape(shape)


def to_own_core(me: int) -> None:
    """Moves this thread of a team to a core of its own, where it need not stay. The system takes some milliseconds to do so."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            cores = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {sorted(cores)[me % len(cores)]})
            os.sched_setaffinity(0, cores)


@contextmanager
def workers(threads: int) -> Iterator[Map]:
    """A map over jobs, on this thread or on several; it ends when all of them have ended."""
    if threads == 1:
        yield lambda function, jobs: [function(job) for job in jobs]
        return
    with ThreadPoolExecutor(threads) as pool:

        def team(function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
            begun: dict[int, object] = {}

            def once(number: int) -> Any:
                ticket = object()
                return function(jobs[number]) if begun.setdefault(number, ticket) is ticket else None

            try:
                return list(pool.map(once, range(len(jobs))))
            except BaseException:  # Ctrl-C, say: those that were sent may be waiting, in the kernel, for the others
                for number in range(len(jobs)):
                    pool.submit(once, number)
                raise

        def share_out(function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
            if len(jobs) <= threads:  # who may wait for each other, and Ctrl-C takes hold of this thread alone
                return team(function, jobs)
            # This thread works too, so that one fewer has to be begun: 1000 small networks take a millisecond less.
            results: list[Any] = [None] * len(jobs)
            left = iter(range(len(jobs)))

            def work() -> None:
                for number in left:
                    results[number] = function(jobs[number])

            others = [pool.submit(work) for _ in range(threads - 1)]
            try:
                work()
                for other in others:
                    other.result()
            finally:
                for _ in left:  # after an error nothing more is begun
                    pass
            return results

        yield share_out


def shares(count: int, parts: int) -> list[tuple[int, int]]:
    """range(count), cut into that many runs as equal as can be; empty ones left out."""
    edges = [count * part // parts for part in range(parts + 1)]
    return [(first, last) for first, last in pairwise(edges) if first < last]


class Chunked:
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
        lanes = lanes_of(layers, dtype.itemsize, most_rows)
        self.network, self.data, self.order = network, data, order
        self.chunk = chunk_of(lanes, parameters)
        n_chunks = -(-most_rows // self.chunk)
        work = most_rows * parameters
        self.in_kernel = work <= LONGEST_BATCH and n_chunks * parameters * dtype.itemsize <= GRADIENT_BYTES
        self.team = min(threads, max(n_chunks, parameters // SHARE)) if barrier.POSSIBLE and work >= TEAM_PAYS else 1
        self.threads = min(threads, n_chunks) if work >= THREADS_PAY else 1
        per_call = n_chunks if self.in_kernel else max(1, min(32, LONGEST_CALL // (self.chunk * parameters)))
        self.wave = min(n_chunks, self.threads * per_call)
        self.scratch = [scratch(layers, dtype, lanes) for _ in range(max(self.threads, self.team))]
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


def outputs(theta: NDArray[Any], layers: NDArray[np.int64], x: NDArray[Any], columns: int) -> NDArray[Any]:
    """The outputs for the rows of x (N, D), in so many columns: see batch.predict."""
    n = len(x)
    out = np.empty((n, columns), dtype=theta.dtype)
    lanes = lanes_of(layers, theta.dtype.itemsize, n)

    def work(first: int) -> None:
        block = aligned((batch.rows_of(layers) * stride_of(lanes),), theta.dtype)
        some = arrays.floating(x[first : first + rows], theta.dtype)
        batch.predict(out[first : first + rows], block, some, theta, layers, 0, len(some), lanes, stride_of(lanes))

    if n * theta.size < THREADS_PAY:
        rows = n
        work(0)
        return out
    threads = min(checks.threads(None), -(-n // lanes))
    most = LONGEST_CALL // theta.size if x.dtype == theta.dtype else arrays.BLOCK // x.shape[1]  # rows that are converted at once
    rows = lanes * max(1, min(-(-n // (lanes * threads)), most // lanes))
    with workers(threads) as share_out:
        share_out(work, list(range(0, n, rows)))
    return out


def outputs_in_turn(
    thetas: Iterable[NDArray[Any]], layers: NDArray[np.int64], x: NDArray[Any], columns: int
) -> Iterator[NDArray[Any]]:
    """`outputs` of one network after the other for the same rows, on this thread, each in the place of the one before."""
    out = np.empty((len(x), columns), dtype=x.dtype)
    lanes = lanes_of(layers, x.dtype.itemsize, len(x))
    block = aligned((batch.rows_of(layers) * stride_of(lanes),), x.dtype)
    for theta in thetas:
        batch.predict(out, block, x, theta, layers, 0, len(x), lanes, stride_of(lanes))
        yield out
