"""What the kernels are given of a network: the table of its layers, and memory for blocks of rows, which begins at a cache line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastmlp.kernels import batch
from fastmlp.kernels.activations import CODES
from fastmlp.kernels.tiles import STRIP, Tiles

BLOCK_BYTES = 1 << 16  # of a block's arrays: between the first-level cache and the second


def layer_table(layer_sizes: Sequence[int], activations: Sequence[str], output: str, bias: bool) -> NDArray[np.int64]:
    """What the kernels know of a network: see kernels/layers.py."""
    rows, at = [], 0
    for (n_in, n_out), activation in zip(pairwise(layer_sizes), (*activations, output), strict=True):
        rows.append((n_in, n_out, CODES[activation], at, int(bias)))
        at += (n_in + bias) * n_out
    return np.array(rows, dtype=np.int64)


def block_lanes(layers: NDArray[np.int64], itemsize: int, rows: int) -> int:
    """Samples of a block: whole strips, as many as the cache holds, or as there are."""
    most = BLOCK_BYTES // (itemsize * (int(layers[0, 0]) + _unit_rows(layers) + int(layers[:, 1].max())))
    strip = int(STRIP)
    return strip * max(1, min(most, rows + strip - 1) // strip)


def stride_of(lanes: int) -> int:
    """How far apart the rows of a block are: rows a power of two apart share the few places of the cache where they may stand."""
    return lanes + int(STRIP) // 2


def _unit_rows(layers: NDArray[np.int64]) -> int:
    """Rows of batch.BatchScratch.units."""
    return int((layers[:-1, 1] + layers[:-1, 4]).sum() + layers[-1, 1])


def units(layers: NDArray[np.int64], dtype: DTypeLike, stride: int) -> NDArray[Any]:
    """batch.BatchScratch.units, with the rows of ones."""
    rows = aligned((_unit_rows(layers), stride), dtype)
    at = 0
    for width, biased in layers[:-1, (1, 4)].tolist():
        rows[at + width : at + width + biased] = 1
        at += width + biased
    return rows.reshape(-1)


def batch_scratch(layers: NDArray[np.int64], dtype: DTypeLike, lanes: int) -> batch.BatchScratch:
    stride = stride_of(lanes)
    widths = [(n_in + biased, -(-n_out // STRIP) * STRIP) for n_in, n_out, _, _, biased in layers.tolist()]
    return batch.BatchScratch(
        units=units(layers, dtype, stride),
        slopes=aligned((_unit_rows(layers) * stride,), dtype),
        deltas=aligned((2 * int(layers[:, 1].max()) * stride,), dtype),
        spare=aligned((max((lanes + rows) * width for rows, width in widths),), dtype),
    )


def empty_tiles(layers: NDArray[np.int64], dtype: DTypeLike, lanes: int, blocks: int = 0, stride: int | None = None) -> Tiles:
    """Room for one block that is packed anew each time, or for all of them."""
    n, stride = max(blocks, 1), stride or stride_of(lanes)
    n_in, biased = int(layers[0, 0]), int(layers[0, 4])
    inputs = aligned((n, n_in + biased, stride), dtype)
    inputs[:, n_in:] = 1
    return Tiles(
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
