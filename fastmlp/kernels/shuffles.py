"""Numbers that change lanes: squares of numbers, transposed in registers, and sums over the lanes of many vectors at once.

Both work on registers of 32 bytes, eight float32 or four float64 numbers. Shuffles that cross their halves take longest, and come
last. A sum over lanes takes twelve cycles by itself and some six in company, a number that is transposed less than half a cycle.
"""

from itertools import product as pairs

from llvmlite import ir
from numba import types

from fastmlp.kernels.compile import jit_part
from fastmlp.kernels.simd import compiles, get, lanes_from, load_vector, pointer_to, put, store_vector, total, vector_of
from fastmlp.kernels.vectors import Vector

BYTES = 32  # of a register


def _registers_of(kind):
    """The Numba type of a register of such numbers."""
    return Vector(kind.dtype, BYTES * 8 // kind.dtype.bitwidth)


def _shuffled(builder, x, y, places):
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def _by_turns(builder, x, y, group):
    """Groups of so many numbers of two registers by turns: from both halves the first of them, and the others."""
    side = x.type.count
    half, part = side // 2, side // 4
    places = [
        [register + lane + at + n for lane, at, register, n in pairs((0, half), starts, (0, side), range(group))]
        for starts in (range(0, part, group), range(part, half, group))
    ]
    return [_shuffled(builder, x, y, some) for some in places]


def _halves(builder, x, y):
    """The first halves of two registers, and their second halves."""
    half = x.type.count // 2
    low = [*range(half), *range(2 * half, 3 * half)]
    return [_shuffled(builder, x, y, [n + at for n in low]) for at in (0, half)]


def least(builder, k, last):
    """The code of min(k, last), of a number that is known in advance."""
    number = ir.Constant(last.type, k)
    return builder.select(builder.icmp_signed("<", number, last), number, last)


# -- squares -------------------------------------------------------------------------------------------------------------------


def side_of(array):
    """Rows of a square, and numbers of a row."""
    return BYTES // array.itemsize


@compiles(side_of, result=lambda array: types.intp if vector_of(array) else None, kinds=[(types.Array,)])
def _(context, builder, signature, array):
    return context.get_constant(types.intp, _registers_of(signature.args[0]).lanes)


def turn(out, i, step, array, j, stride, last):
    """A square of numbers, transposed: its rows stand in the array at j, j + stride, ..., its columns come to stand in out at i,
    i + step, ... Past row number `last` that one is repeated."""
    for k, n in pairs(range(side_of(array)), repeat=2):
        put(out, i + n * step + k, get(array, j + min(k, last) * stride + n))


def _turned(out, i, step, array, j, stride, last):
    return types.none if vector_of(array) and vector_of(out) and out.dtype == array.dtype else None


@compiles(turn, result=_turned, kinds=[(types.Array, types.Integer, types.Integer, types.Array, *[types.Integer] * 3)])
def _(context, builder, signature, out, i, step, array, j, stride, last):
    out_kind, _, _, kind, *_ = signature.args
    register = _registers_of(kind)
    rows = []
    for k in range(register.lanes):
        place = builder.add(j, builder.mul(least(builder, k, last), stride))
        rows.append(load_vector(context, builder, kind, array, place, register))
    for column in _transposed(builder, rows):
        store_vector(context, builder, out_kind, out, i, column)
        i = builder.add(i, step)
    return context.get_dummy_value()


def _transposed(builder, rows):
    group = 1
    while 2 * group < len(rows):
        starts = [block + k for block, k in pairs(range(0, len(rows), 2 * group), range(group))]
        rows = [row for k in starts for row in _by_turns(builder, rows[k], rows[k + group], group)]
        group *= 2
    crossed = [_halves(builder, rows[k], rows[k + group]) for k in range(group)]
    return [low for low, _ in crossed] + [high for _, high in crossed]


@jit_part
def transpose(out, i, step, array, j, stride, rows, columns):
    """Rows of at least as many numbers as a square has, transposed: row k of the array, whose numbers stand from j + k * stride on,
    becomes column k of out, whose rows begin at i, i + step, ... Past the last column, up to a whole square, it is repeated."""
    side = side_of(array)
    for k in range(0, rows, side):
        for n in range(0, columns, side):
            d = min(n, columns - side)
            turn(out, i + d * step + k, step, array, j + k * stride + d, stride, rows - 1 - k)


# -- sums over lanes -----------------------------------------------------------------------------------------------------------


def adder(height, width):
    """What adds up the lanes of each vector of a tile, and adds the sums to the numbers of a matrix, as many rows as it has."""

    def add_totals(array, at, down, rows, sums):
        for k, (i, j) in enumerate(pairs(range(height), range(width))):
            if i < rows:
                place = at + i * down + j
                put(array, place, get(array, place) + total(sums[k]))

    def of(array, at, down, rows, sums):
        return types.none

    @compiles(add_totals, result=of, kinds=[(types.Array, *[types.Integer] * 3, types.BaseTuple)])
    def _(context, builder, signature, array, at, down, rows, sums):
        kind = signature.args[0]
        totals = _totals(builder, [builder.extract_value(sums, k) for k in range(height * width)], _registers_of(kind).lanes)
        for i in range(height):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(rows.type, i), rows)):
                place = builder.add(at, builder.mul(down, ir.Constant(down.type, i)))
                for each in totals[i * width : (i + 1) * width]:
                    pointer = pointer_to(context, builder, kind, array, place)
                    builder.store(builder.fadd(builder.load(pointer), each), pointer)
                    place = builder.add(place, ir.Constant(place.type, 1))
        return context.get_dummy_value()

    return add_totals


def _totals(builder, vectors, side):
    """The sums of the lanes of vectors: half a register of them at once, a lane for each."""
    vectors = [_in_register(builder, x, side) for x in vectors]
    group, sums = side // 2, []
    for first in range(0, len(vectors), group):
        few = vectors[first : first + group]
        few += [ir.Constant(few[0].type, ir.Undefined)] * (group - len(few))
        together = 1
        while len(few) > 1:
            few = [builder.fadd(*_by_turns(builder, x, y, together)) for x, y in zip(few[::2], few[1::2], strict=True)]
            together *= 2
        both = _halved(builder, few[0])
        sums += [builder.extract_element(both, ir.IntType(32)(k)) for k in range(min(group, len(vectors) - first))]
    return sums


def _in_register(builder, x, side):
    """A vector, whose halves are added until a register holds it."""
    while x.type.count > side:
        x = _halved(builder, x)
    return x


def _halved(builder, x):
    half = x.type.count // 2
    return builder.fadd(*(lanes_from(builder, x, x, first, half) for first in (0, half)))
