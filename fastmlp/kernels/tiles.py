"""Rows of data with samples as lanes: how they are packed, and in which order they come.

N samples, D inputs, K outputs, B lanes of a block, of which the first m are in use. Its arrays hold (units, B) numbers, flat.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit, jit_inline, jit_part
from fastmlp.kernels.simd import get, lanes_of, put, store

STRIP = np.int64(32)  # samples of two vectors of float32, four of float64


class Data(NamedTuple):
    """Rows as the caller holds them. The network sees (x - shift) * scale."""

    x: np.ndarray  # (N, D); a large one may be of a type of its own
    y: np.ndarray  # (N, K), or (N, 1) class numbers that stand for one-hot rows
    weight: np.ndarray  # (N,), or one for all
    shift: np.ndarray  # (D,)
    scale: np.ndarray  # (D,)


class Tiles(NamedTuple):
    """Blocks of rows with samples as lanes, flat: one that is packed anew for each block, or all of them, packed once and kept."""

    inputs: np.ndarray  # (blocks, D, B), and a row of ones below each if there are biases
    targets: np.ndarray  # (blocks, K, B)
    weights: np.ndarray  # (blocks, B), 0 past the last sample
    stride: int  # B
    lanes: int  # samples of a block
    kept: bool


@jit_inline
def strips(count, array):
    """The count, rounded up to whole strips of two vectors."""
    strip = 2 * lanes_of(array)
    return (count + strip - 1) // strip * strip


@jit
def pack(tiles, tile, data, order, first, m):
    """Rows order[first : first + m] of the data into a tile: samples become lanes. Past them the last one is repeated, and weighs
    nothing: of a row of zeros the loss might be infinite, and nothing times infinity is no number."""
    n_in, stride, number = data.shift.shape[0], tiles.stride, tiles.inputs.dtype.type
    rows, end = tiles.inputs.size // tiles.weights.size, strips(m, tiles.inputs)
    for d in range(n_in):
        shift, scale = data.shift[d], data.scale[d]
        out = (tile * rows + d) * stride
        for n in range(m):
            put(tiles.inputs, out + n, (number(get(data.x, np.int64(get(order, first + n)) * n_in + d)) - shift) * scale)
        last = get(tiles.inputs, out + m - 1)
        for n in range(m, end):
            put(tiles.inputs, out + n, last)
    pack_targets(tiles, tile, data, order, first, m)


@jit_part
def pack_targets(tiles, tile, data, order, first, m):
    """Their targets and weights alone."""
    stride, number = tiles.stride, tiles.weights.dtype.type
    n_out, zero, one = tiles.targets.size // tiles.weights.size, number(0), number(1)
    columns = data.y.shape[1]
    if columns < n_out:  # class numbers. To compare them with each k, one by one, took a twentieth of a step of 64-32-10
        for out in range(tile * n_out * stride, (tile + 1) * n_out * stride, stride):
            for n in range(out, out + strips(m, tiles.targets), lanes_of(tiles.targets)):
                store(tiles.targets, n, zero)
        for n in range(m):
            k = np.int64(get(data.y, np.int64(get(order, first + n)) * columns))
            put(tiles.targets, (tile * n_out + k) * stride + n, one)
    else:
        for k in range(n_out):
            out = (tile * n_out + k) * stride
            for n in range(m):
                put(tiles.targets, out + n, get(data.y, np.int64(get(order, first + n)) * columns + k))
    for n in range(m):
        row = np.int64(get(order, first + n))
        put(tiles.weights, tile * stride + n, get(data.weight, min(row, data.weight.shape[0] - 1)))
    for n in range(m, strips(m, tiles.weights)):
        put(tiles.weights, tile * stride + n, zero)


@jit
def shuffle(orders, draws):
    """Shuffles each row of orders (E, N), by draws (E, >= N) of 32 random bits: Fisher and Yates, in the form of Durstenfeld 1964.

    A number below i + 1 is the upper half of its product with 32 bits (Lemire 2019, without his second draw: what that would
    correct is less than one in 2^32 / N).
    """
    for e in range(orders.shape[0]):
        row, bits = orders[e], draws[e]
        for i in range(row.shape[0] - 1, 0, -1):
            j = np.int64((np.uint64(bits[i]) * np.uint64(i + 1)) >> np.uint64(32))
            other = row[j]
            row[j] = row[i]
            row[i] = other
