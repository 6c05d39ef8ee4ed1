"""Bytes of arrays, as numbers and in runs. data and out are uint8 arrays; the caller answers for every index."""

import numpy as np

from fastmlp.kernels.jit import jit_inline, jit_part
from fastmlp.kernels.simd import get, put


@jit_inline
def item(array, i):
    """The integer at place i."""
    return np.int64(get(array, i))


@jit_inline
def set_byte(out, i, value):
    """Writes the low eight bits of a number."""
    put(out, i, np.uint8(value & 255))


@jit_inline
def little_endian(data, i):
    """The number of four bytes from place i on, the lowest first; LLVM makes one load of it."""
    return item(data, i) | item(data, i + 1) << 8 | item(data, i + 2) << 16 | item(data, i + 3) << 24


@jit_inline
def big_endian(data, i):
    """The number of four bytes from place i on, the highest first."""
    return item(data, i) << 24 | item(data, i + 1) << 16 | item(data, i + 2) << 8 | item(data, i + 3)


@jit_inline
def eight(data, i):
    """Eight bytes from place i on as one number, the lowest first."""
    return little_endian(data, i) | little_endian(data, i + 4) << 32


@jit_inline
def set_eight(out, i, value):
    """Writes the eight bytes of a number; LLVM makes one store of it."""
    for k in range(8):
        set_byte(out, i + k, value >> 8 * k)


@jit_part
def copy(out, at, data, i, count):
    """So many bytes, from a place that does not lie within those written."""
    whole = count // 8 * 8
    for k in range(0, whole, 8):
        set_eight(out, at + k, eight(data, i + k))
    for k in range(whole, count):
        put(out, at + k, get(data, i + k))
