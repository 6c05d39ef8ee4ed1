"""The outputs of a network for rows: of one network on several threads, or of one network after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays, checks, interrupts
from fastmlp.kernels import inference
from fastmlp.kernels.layers import rows_of
from fastmlp.networks.layout import aligned, block_lanes, prediction_lanes, stride_of
from fastmlp.threads import LONGEST_CALL, Workers, threads_for


def outputs(theta: NDArray[Any], layers: NDArray[np.int64], x: NDArray[Any], columns: int, before: int = 0) -> NDArray[Any]:
    """The outputs for the rows of x (N, D) in so many columns, see kernels/inference.py. If a number of either is not finite, a
    ValueError tells so; of an output, where it stands, after so many rows before these."""
    n = len(x)
    out = empty_outputs(n, columns, theta.dtype)
    lanes, on_stack = prediction_lanes(layers, theta.dtype.itemsize, n)

    def work(first: int) -> None:
        some, part, stride = arrays.floating(x[first : first + rows], theta.dtype), out[first : first + rows], stride_of(lanes)
        if on_stack:
            finite = inference.predict_few(part, some, theta, layers, lanes, stride)
        else:
            (block,) = aligned(theta.dtype, rows_of(layers) * stride)
            finite = inference.predict(part, block, some, theta, layers, 0, len(some), lanes, stride)
        if not finite:
            raise _overflow(out[first : first + rows], before + first)

    threads = max(1, min(threads_for(n * theta.size), -(-n // lanes)))
    most = LONGEST_CALL // theta.size if x.dtype == theta.dtype else arrays.BLOCK // x.shape[1]  # rows that are converted at once
    rows = lanes * max(1, min(-(-n // (lanes * threads)), most // lanes))
    if n <= rows:
        work(0)
        return out
    with interrupts.noted(), Workers(threads) as share_out:
        share_out(work, list(range(0, n, rows)))
    return out


def empty_outputs(n: int, columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Room for those for n rows."""
    checks.enough_memory(f"the outputs for {n} rows", n * columns * dtype.itemsize)
    return np.empty((n, columns), dtype=dtype)


def outputs_in_turn(
    thetas: Iterable[NDArray[Any]], layers: NDArray[np.int64], x: NDArray[Any], columns: int
) -> Iterator[NDArray[Any]]:
    """`outputs` of one network after the other for the same rows, on this thread, each in the place of the one before."""
    out = np.empty((len(x), columns), dtype=x.dtype)
    lanes = block_lanes(layers, x.dtype.itemsize, len(x))
    (block,) = aligned(x.dtype, rows_of(layers) * stride_of(lanes))
    for theta in thetas:
        if not inference.predict(out, block, x, theta, layers, 0, len(x), lanes, stride_of(lanes)):
            raise _overflow(out, 0)
        yield out


def _overflow(out: NDArray[Any], first: int) -> ValueError:
    """What to say of outputs, those for row `first` and after it, of which some are not finite."""
    places = np.argwhere(~np.isfinite(out))
    if not len(places):
        return ValueError("X must be finite")
    row, column = places[0]
    return ValueError(
        f"outputs must be finite; that for X[{first + row}] is {out[row, column]}: the weights are too large for such rows"
    )
