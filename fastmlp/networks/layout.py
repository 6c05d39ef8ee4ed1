"""What the kernels are given of a network: the table of its layers, and memory for blocks of rows, which begins at a cache line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import addressof, c_char
from functools import lru_cache, wraps
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastmlp.kernels import batch, inference, wide
from fastmlp.kernels.activations import CODES
from fastmlp.kernels.dropout import SHARES, Dropout
from fastmlp.kernels.layers import Layer, rows_of
from fastmlp.kernels.tiles import STRIP, Tiles
from fastmlp.kernels.vectors import BYTES
from fastmlp.kernels.wide import WideScratch

Rest = TypeVarTuple("Rest")
Result = TypeVar("Result")
LINE = 64  # bytes that come into the cache at once
WORTH_THE_STACK = 128  # samples at a time, where memory would hold more
BLOCK_BYTES = 1 << 16  # of a block's arrays: between the first-level cache and the second


def layer_table(layer_sizes: Sequence[int], activations: Sequence[str], output: str, bias: bool) -> NDArray[np.int64]:
    """What the kernels know of a network: see kernels/layers.py."""
    rows, at = [], 0
    for (n_in, n_out), activation in zip(pairwise(layer_sizes), (*activations, output), strict=True):
        rows.append((n_in, n_out, CODES[activation], at, int(bias), at + n_in * n_out, n_out))
        at += (n_in + bias) * n_out
    return np.array(rows, dtype=np.int64)


def _kept(function: Callable[[NDArray[np.int64], *Rest], Result]) -> Callable[[NDArray[np.int64], *Rest], Result]:
    """Keeps what a function of a table of layers gave: to find it takes longer than small networks train."""

    @lru_cache(64)
    def of_bytes(table: bytes, *rest: *Rest) -> Result:
        return function(np.frombuffer(table, np.int64).reshape(-1, len(Layer._fields)), *rest)

    @wraps(function)
    def kept(layers: NDArray[np.int64], *rest: *Rest) -> Result:
        return of_bytes(layers.tobytes(), *rest)

    return kept


def wide_layers(layers: NDArray[np.int64], itemsize: int, rows: int) -> NDArray[np.int64] | None:
    """The table of a network whose lanes are to be units for so many rows at a time, see kernels/wide.py; None if they are to be
    samples."""
    lanes = BYTES // itemsize
    narrowest = min(layers[:-1, 1].tolist(), default=0)
    return None if narrowest < least_width(int(layers[0, 0]), lanes, rows) else _padded(layers, lanes)


@_kept
def _padded(layers: NDArray[np.int64], lanes: int) -> NDArray[np.int64]:
    at, wide = 0, layers.copy()
    for number, (n_in, n_out, _, _, biased, _, _) in enumerate(layers.tolist()):
        units, is_last = -(-n_out // lanes) * lanes, number == len(layers) - 1
        rows, stride = (n_out, int(wide[number - 1, 6])) if is_last else (n_in, units)
        wide[number, 3:] = at, biased, at + rows * stride, stride
        at += rows * stride + biased * units
    return wide


def least_width(n_in: int, lanes: int, rows: int) -> int:
    """Units of the layers of such a network at least, one or more. As measured for 4 to 256 of them: of few samples no vectors are
    filled; with few inputs, samples need no transposition."""
    return 8 if rows <= 8 else 24 if rows <= 64 and n_in >= 8 else 5 * lanes


def parameters_held(layers: NDArray[np.int64], lanes: int = 1) -> int:
    """Numbers of theta; with those that pad it in a table of wide_layers, if vectors of so many lanes are given."""
    _, n_out, _, _, biased, end, _ = layers[-1].tolist()
    return int(end + biased * (-(-n_out // lanes) * lanes))


def wide_scratch(
    layers: NDArray[np.int64], dtype: DTypeLike, rows: int, block: int, first: WideScratch | None = None
) -> tuple[WideScratch, Tiles]:
    """For chunks of so many rows, of which so many go through all layers at once; and room for their targets and weights. Of a team
    that works on a chunk together, the first has what the others write of its rows, too."""
    sizes = wide_sizes(layers, rows)
    *of_rows, turned, logits, targets, weights = aligned(dtype, *(sizes if first is None else sizes[-4:]))
    if first is None:
        first = WideScratch._make([*of_rows, turned, logits, rows, block])
    return first._replace(turned=turned, logits=logits), Tiles(weights[:0], targets, weights, weights.size, rows, kept=False)


def wide_sizes(layers: NDArray[np.int64], rows: int) -> tuple[int, ...]:
    """Numbers of each array of both."""
    strides, n_out = layers[:-1, 6], int(layers[-1, 1])
    units, turned = rows * int(strides.sum()), int((layers[1:-1, 1] * strides[:-1]).sum())
    outputs, lanes = rows * n_out, stride_of(int(wide.ROWS))
    return rows * int(layers[0, 0]), units, units, units, outputs, turned, 2 * n_out * lanes, n_out * lanes, lanes


@_kept
def block_lanes(layers: NDArray[np.int64], itemsize: int, rows: int) -> int:
    """Samples of a block: whole strips, as many as the cache holds, or as there are."""
    most = BLOCK_BYTES // (itemsize * (int(layers[0, 0]) + unit_rows(layers) + max(layers[:, 1].tolist())))
    strip = int(STRIP)
    return strip * max(1, min(most, rows + strip - 1) // strip)


@_kept
def prediction_lanes(layers: NDArray[np.int64], itemsize: int, rows: int) -> tuple[int, bool]:
    """Samples that prediction takes at a time, and whether what it writes of them fits on the stack."""
    lanes, strip = block_lanes(layers, itemsize, rows), int(STRIP)
    few = (inference.ROOM // rows_of(layers) - stride_of(0)) // strip * strip
    return (min(lanes, few), True) if few >= min(lanes, WORTH_THE_STACK) else (lanes, False)


def stride_of(lanes: int) -> int:
    """How far apart the rows of a block are: rows a power of two apart share the few places of the cache where they may stand."""
    return lanes + int(STRIP) // 2


def unit_rows(layers: NDArray[np.int64]) -> int:
    """Rows of batch.BatchScratch.units."""
    return sum(n_out + biased for _, n_out, _, _, biased, _, _ in layers.tolist()) - int(layers[-1, 4])


def set_ones(units: NDArray[Any], layers: NDArray[np.int64], stride: int) -> None:
    """The rows of ones in the units of a block, one below each hidden layer that has biases behind it."""
    at = 0
    for _, width, _, _, biased, _, _ in layers[:-1].tolist():
        units[(at + width) * stride : (at + width + biased) * stride] = 1
        at += width + biased


def batch_scratch(
    layers: NDArray[np.int64], dtype: DTypeLike, lanes: int, tiles: Tiles | None = None
) -> tuple[batch.BatchScratch, Tiles]:
    """For blocks of so many samples; and room for one of them, unless there are tiles."""
    stride = stride_of(lanes)
    sizes = *scratch_sizes(layers, lanes), *tile_sizes(layers, 0 if tiles else 1, stride)
    units, slopes, deltas, spare, inputs, targets, weights = aligned(dtype, *sizes)
    set_ones(units, layers, stride)
    if tiles is None:
        tiles = with_ones(Tiles(inputs, targets, weights, stride, lanes, kept=False), layers)
    return batch.BatchScratch(units, slopes, deltas, spare), tiles


@_kept
def scratch_sizes(layers: NDArray[np.int64], lanes: int) -> tuple[int, int, int, int]:
    """Numbers of each part of batch.BatchScratch."""
    table, stride, strip = layers.tolist(), stride_of(lanes), int(STRIP)
    rows, widest = unit_rows(layers), max(layers[:, 1].tolist())
    spare = max((lanes + n_in + biased) * -(-n_out // strip) * strip for n_in, n_out, _, _, biased, _, _ in table)
    return rows * stride, rows * stride, 2 * widest * stride, spare


class Dropped(NamedTuple):
    """What is left out of the hidden layers of some networks in training."""

    shares: tuple[float, ...]  # of the units of each layer
    seeds: Sequence[int]  # of the networks

    def of(self, place: int) -> Dropped:
        """The same of one of them."""
        return self._replace(seeds=self.seeds[place : place + 1])

    @property
    def signed_seeds(self) -> NDArray[np.int64]:
        """As the kernels take them."""
        return np.array(self.seeds, np.uint64).view(np.int64)


NO_DROPOUT = Dropout(np.zeros(SHARES, np.int64), np.zeros(0, np.int32))


def dropout_memory(rows: int, dropped: Dropped | None) -> Dropout:
    """For blocks of so many rows, of which some units are left out, or none."""
    if dropped is None:
        return NO_DROPOUT
    shares = [min(round(share * 2**32), 2**32 - 1) for share in dropped.shares]  # some units are left, however few
    return Dropout(np.array([0, dropped.signed_seeds[0], *shares], np.int64), np.zeros(rows, np.int32))


def empty_tiles(layers: NDArray[np.int64], dtype: DTypeLike, lanes: int, blocks: int = 0, stride: int | None = None) -> Tiles:
    """Room for one block that is packed anew each time, or for all of them."""
    stride = stride or stride_of(lanes)
    inputs, targets, weights = aligned(dtype, *tile_sizes(layers, max(blocks, 1), stride))
    return with_ones(Tiles(inputs, targets, weights, stride, lanes, kept=blocks > 0), layers)


def tile_sizes(layers: NDArray[np.int64], blocks: int, stride: int) -> tuple[int, int, int]:
    """Numbers of each array of Tiles."""
    n_in, biased, n_out = int(layers[0, 0]), int(layers[0, 4]), int(layers[-1, 1])
    return blocks * (n_in + biased) * stride, blocks * n_out * stride, blocks * stride


def with_ones(tiles: Tiles, layers: NDArray[np.int64]) -> Tiles:
    """The same, with the rows of ones below the inputs of each block, if there are biases."""
    blocks = tiles.weights.size // tiles.stride
    tiles.inputs.reshape(blocks, -1, tiles.stride)[:, layers[0, 0] :] = 1
    return tiles


def aligned(dtype: DTypeLike, *sizes: int) -> list[NDArray[Any]]:
    """Arrays of so many zeros, which begin at cache lines: a vector that straddles two takes twice as long to load."""
    kind = np.dtype(dtype)
    line = LINE // kind.itemsize
    starts = [0, *accumulate(-(-size // line) * line for size in sizes)]
    buffer = np.zeros(starts[-1] + line, kind)
    first = -addressof(c_char.from_buffer(buffer.data)) % LINE // kind.itemsize
    return [buffer[first + start : first + start + size] for start, size in zip(starts, sizes, strict=False)]
