"""Bytes of arrays, as numbers and in runs. data and out are uint8 arrays; the caller answers for every index.

Indices are checked as in simd.py: where NUMBA_BOUNDSCHECK=1 is set when code is compiled, and with the JIT off.
"""

import sys

import numpy as np
from llvmlite import ir
from numba import types

from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.simd import compiles, get, pointer_to, put


@jit_inline
def item(array, i):
    """The integer at place i."""
    return np.int64(get(array, i))


@jit_inline
def set_byte(out, i, value):
    """Writes the low eight bits of a number."""
    put(out, i, np.uint8(value & 255))


def eight(data, i):
    """Eight bytes from place i on as one number, the lowest first."""
    return _bytes_of(data, i, 8).view("<i8")[0]


def four(data, i):
    """The number of four bytes from place i on, the lowest first."""
    return np.int64(_bytes_of(data, i, 4).view("<u4")[0])


def set_eight(out, i, value):
    """Writes the eight bytes of a number."""
    for k in range(8):
        set_byte(out, i + k, value >> 8 * k)


def _bytes_of(data, i, count):
    return np.array([get(data, i + k) for k in range(count)])


def _swapped(builder, value):
    """The bytes of a number the other way round, where the processor has the highest first."""
    return value if sys.byteorder == "little" else builder.bswap(value)


def _pointer(context, builder, kind, data, i, bits):
    number = ir.IntType(bits)
    return builder.bitcast(pointer_to(context, builder, kind, data, i, bits // 8), number.as_pointer())


@compiles(eight, result=lambda data, i: types.int64, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, data, i):
    return _swapped(builder, builder.load(_pointer(context, builder, signature.args[0], data, i, 64), align=1))


@compiles(four, result=lambda data, i: types.int64, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, data, i):
    value = _swapped(builder, builder.load(_pointer(context, builder, signature.args[0], data, i, 32), align=1))
    return builder.zext(value, ir.IntType(64))


@compiles(set_eight, result=lambda out, i, value: types.none, kinds=[(types.Array, types.Integer, types.int64)])
def _(context, builder, signature, out, i, value):
    builder.store(_swapped(builder, value), _pointer(context, builder, signature.args[0], out, i, 64), align=1)
    return context.get_dummy_value()


@jit_inline
def big_endian(data, i):
    """The number of four bytes from place i on, the highest first."""
    low = four(data, i)
    return (low & 255) << 24 | (low & 0xFF00) << 8 | low >> 8 & 0xFF00 | low >> 24


@jit_part
def copy(out, at, data, i, count):
    """So many bytes, from a place that does not lie within those written."""
    whole = count // 8 * 8
    for k in range(0, whole, 8):
        set_eight(out, at + k, eight(data, i + k))
    for k in range(whole, count):
        put(out, at + k, get(data, i + k))
