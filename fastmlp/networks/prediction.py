"""The outputs of a network for rows: of one network on several threads, or of one network after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
from fastmlp.kernels import batch
from fastmlp.kernels.layers import rows_of
from fastmlp.networks.layout import aligned, block_lanes, stride_of
from fastmlp.threads import LONGEST_CALL, threads_for, workers


def outputs(theta: NDArray[Any], layers: NDArray[np.int64], x: NDArray[Any], columns: int) -> NDArray[Any]:
    """The outputs for the rows of x (N, D), in so many columns: see batch.predict."""
    n = len(x)
    out = np.empty((n, columns), dtype=theta.dtype)
    lanes = block_lanes(layers, theta.dtype.itemsize, n)

    def work(first: int) -> None:
        (block,) = aligned(theta.dtype, rows_of(layers) * stride_of(lanes))
        some = arrays.floating(x[first : first + rows], theta.dtype)
        batch.predict(out[first : first + rows], block, some, theta, layers, 0, len(some), lanes, stride_of(lanes))

    threads = max(1, min(threads_for(n * theta.size), -(-n // lanes)))
    most = LONGEST_CALL // theta.size if x.dtype == theta.dtype else arrays.BLOCK // x.shape[1]  # rows that are converted at once
    rows = lanes * max(1, min(-(-n // (lanes * threads)), most // lanes))
    if n <= rows:
        work(0)
        return out
    with workers(threads) as share_out:
        share_out(work, list(range(0, n, rows)))
    return out


def outputs_in_turn(
    thetas: Iterable[NDArray[Any]], layers: NDArray[np.int64], x: NDArray[Any], columns: int
) -> Iterator[NDArray[Any]]:
    """`outputs` of one network after the other for the same rows, on this thread, each in the place of the one before."""
    out = np.empty((len(x), columns), dtype=x.dtype)
    lanes = block_lanes(layers, x.dtype.itemsize, len(x))
    (block,) = aligned(x.dtype, rows_of(layers) * stride_of(lanes))
    for theta in thetas:
        batch.predict(out, block, x, theta, layers, 0, len(x), lanes, stride_of(lanes))
        yield out
