"""Products of matrices of vectors, in tiles whose sums stay in registers.

Of z = a @ b, all elements of z and b are vectors, and those of a too, or numbers that stand for all lanes. Each sum is added in its
order, whatever the sizes: a lane's result does not depend on the tile that it stands in.
"""

from itertools import product as pairs
from typing import NamedTuple

import numpy as np
from numba import types

from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.shuffles import adder, least
from fastmlp.kernels.simd import compiles, load, load_number, load_vector, spread, store, store_vector, vector_of, zeros
from fastmlp.kernels.trace import traced
from fastmlp.kernels.vectors import REGISTERS


class Grid(NamedTuple):
    """The elements of a matrix in a flat array: where the first is, and how far apart they are along two axes."""

    array: np.ndarray
    at: int
    down: int
    along: int


@traced
def add_products(sums, x, y):
    """sums + x y^T, of a column x and a row y; all as tuples, the sums row by row."""
    return tuple(each + one * other for each, (one, other) in zip(sums, pairs(x, y), strict=True))


@traced
def multiply(x, y):
    """Element by element."""
    return tuple(one * other for one, other in zip(x, y, strict=True))


def loader(height, width, read):
    """What reads a tile of so many elements from a place on, with a step down and one along, as a tuple, row by row."""

    def tile(array, at, down, along):
        return tuple(read(array, at + i * down + j * along) for i, j in pairs(range(height), range(width)))

    def of(array, at, down, along):
        return types.UniTuple(vector_of(array), height * width)

    @compiles(tile, result=of, kinds=[(types.Array, *[types.Integer] * 3)])
    def _(context, builder, signature, array, at, down, along):
        kind, vector = signature.args[0], signature.return_type.dtype
        one = {load: load_vector, spread: load_number}[read]
        elements = [one(context, builder, kind, array, place, vector) for place in _places(builder, at, down, along, height, width)]
        return context.make_tuple(builder, signature.return_type, elements)

    return tile


def writer(height, width):
    """What writes such a tile."""

    def tile(array, at, down, along, values):
        for value, (i, j) in zip(values, pairs(range(height), range(width)), strict=True):
            store(array, at + i * down + j * along, value)

    @compiles(
        tile, result=lambda array, at, down, along, values: types.none, kinds=[(types.Array, *[types.Integer] * 3, types.BaseTuple)]
    )
    def _(context, builder, signature, array, at, down, along, values):
        for k, place in enumerate(_places(builder, at, down, along, height, width)):
            store_vector(context, builder, signature.args[0], array, place, builder.extract_value(values, k))
        return context.get_dummy_value()

    return tile


def _places(builder, at, down, along, height, width):
    """Where the elements of a tile are, row by row."""
    row, places = at, []
    for i in range(height):
        row = builder.add(row, down) if i else row
        place = row
        for j in range(width):
            place = builder.add(place, along) if j else place
            places.append(place)
    return places


def nothing(height, width):
    """A tile of zeros."""

    def tile(array):
        return (zeros(array),) * (height * width)

    @compiles(tile, result=lambda array: types.UniTuple(vector_of(array), height * width), kinds=[(types.Array,)])
    def _(context, builder, signature, array):
        return context.get_constant_null(signature.return_type)

    return tile


def tile_of(height, width, read):
    """What computes a tile of so many sums, where `read` gives an element of a: `load`, or `spread` for numbers."""
    zeros_of, z_of, column_of, row_of, write = (
        nothing(height, width), loader(height, width, load), loader(height, 1, read), loader(1, width, load), writer(height, width)
    )  # fmt: skip

    @jit_inline
    def tile(z, p, a, q, b, r, depth, start, t, slopes, s):
        sums = zeros_of(z.array)
        if t >= 0:
            sums = z_of(start.array, t, start.down, start.along)
        for _ in range(depth):
            sums = add_products(sums, column_of(a.array, q, a.down, a.along), row_of(b.array, r, b.down, b.along))
            q += a.along
            r += b.down
        if s >= 0:
            sums = multiply(sums, z_of(slopes, s, z.down, z.along))
        write(z.array, p, z.down, z.along, sums)

    return tile


@jit_inline
def _moved(place, by):
    return place + by if place >= 0 else NONE


def block_of(height, width, read):
    """What computes as many whole tiles as fit in a matrix."""
    tile = tile_of(height, width, read)

    @jit_inline
    def block(z, a, b, rows, columns, depth, start, slopes, first):
        p, r, t, s = z.at, b.at, start.at, first
        for _ in range(columns // width):
            here, q, begun, there = p, a.at, t, s
            for _ in range(rows // height):
                tile(z, here, a, q, b, r, depth, start, begun, slopes, there)
                here, q = here + height * z.down, q + height * a.down
                begun, there = _moved(begun, height * start.down), _moved(there, height * z.down)
            p, r, t, s = p + width * z.along, r + width * b.along, _moved(t, width * start.along), _moved(s, width * z.along)

    return block


@jit_inline
def _part(grid, i, j):
    """The matrix from row i and column j on, if there is one."""
    return Grid(grid.array, _moved(grid.at, i * grid.down + j * grid.along), grid.down, grid.along)


def band_of(height, width, read):
    """What computes as many rows of tiles as fit in a matrix; columns that are left over, one by one."""
    wide, narrow = block_of(height, width, read), block_of(height, 1, read)

    @jit_inline
    def band(z, a, b, rows, columns, depth, start, slopes, first):
        wide(z, a, b, rows, columns, depth, start, slopes, first)
        j = columns // width * width
        if width > 1 and j < columns:
            begun, at = _part(start, SAME, j), _moved(first, j * z.along)
            narrow(_part(z, SAME, j), a, _part(b, SAME, j), rows, columns - j, depth, begun, slopes, at)

    return band


def product_of(tall, low, read):
    """What multiplies matrices in tiles of the first size; of the second where rows are left over, and below these row by row."""
    height, low_height = tall[0], low[0]
    upper, middle, lower = band_of(*tall, read), band_of(*low, read), band_of(1, 4, read)

    @jit_part
    def product(z, a, b, rows, columns, depth, start, slopes, first):
        """z = a @ b, added to what stands at `start`, unless that begins at NONE: a (rows, depth), b (depth, columns).

        `start` is as large as z; its rows may all be the same. If `first` is not negative, the sums are multiplied by the
        slopes that stand from there on, as far apart as those of z.
        """
        i = rows // height * height
        k = i + (rows - i) // low_height * low_height
        for done in range(0, depth, DEPTH):
            count = min(DEPTH, depth - done)
            begun = start if done == 0 else z
            s = first if done + count == depth else NONE
            left, right = _part(a, SAME, done), _part(b, done, SAME)
            upper(z, left, right, i, columns, count, begun, slopes, s)
            if i < k:
                below, at = _part(begun, i, SAME), _moved(s, i * z.down)
                middle(_part(z, i, SAME), _part(left, i, SAME), right, k - i, columns, count, below, slopes, at)
            if low_height > 1 and k < rows:
                below, at = _part(begun, k, SAME), _moved(s, k * z.down)
                lower(_part(z, k, SAME), _part(left, k, SAME), right, rows - k, columns, count, below, slopes, at)

    return product


# -- sums over lanes -----------------------------------------------------------------------------------------------------------


def column_within(height):
    """What reads a column of so many vectors, of which past number `last` that one is repeated."""

    def column(array, at, down, last):
        return tuple(load(array, at + min(i, last) * down) for i in range(height))

    def of(array, at, down, last):
        return types.UniTuple(vector_of(array), height)

    @compiles(column, result=of, kinds=[(types.Array, *[types.Integer] * 3)])
    def _(context, builder, signature, array, at, down, last):
        elements = []
        for i in range(height):
            place = builder.add(at, builder.mul(least(builder, i, last), down))
            elements.append(load_vector(context, builder, signature.args[0], array, place, signature.return_type.dtype))
        return context.make_tuple(builder, signature.return_type, elements)

    return column


def dots_of(height, width):
    """What computes add_dots in tiles of so many sums. Where the last rows are fewer, the last is taken twice; columns are left."""
    zeros_of, column_of, row_of, add_totals = (
        nothing(height, width), column_within(height), loader(1, width, load), adder(height, width)
    )  # fmt: skip

    @jit_inline
    def dots(g, at, down, a, b, rows, columns, depth):
        for j in range(0, columns // width * width, width):
            for i in range(0, rows, height):
                q, r, sums = a.at + i * a.down, b.at + j * b.down, zeros_of(a.array)
                for _ in range(depth):
                    sums = add_products(sums, column_of(a.array, q, a.down, rows - 1 - i), row_of(b.array, r, b.down, b.down))
                    q += a.along
                    r += b.along
                add_totals(g, at + i * down + j, down, rows - i, sums)

    return dots


@jit_part
def add_dots(g, at, down, a, b, rows, columns, depth):
    """Adds to g[at + i * down + j] the sum over lanes of row i of a times row j of b, each of as many vectors as is deep."""
    if FOUR_APART and rows == 4:
        _dots_of_four(g, at, down, a, b, rows, columns, depth)
    else:
        _dots(g, at, down, a, b, rows, columns, depth)
    if columns % COLUMNS > 0:
        last = columns // COLUMNS * COLUMNS
        _dots_of_one(g, at + last, down, a, _part(b, last, SAME), rows, columns - last, depth)


DEPTH = 64  # terms of a sum that are added at once: what a row of tiles reads stays in the first-level cache
NONE, SAME = np.int64(-1), np.int64(0)  # as plain literals they would be of types of their own


@jit_inline
def nowhere(z):
    """The start of a product that is added to nothing."""
    return Grid(z.array, NONE, SAME, z.along)


# The sums of a tile, and what they are made of, fill the registers. Of the sixteen of 32 bytes that a processor without AVX-512
# has, a vector takes two.
COLUMNS = 2  # of a tile of sums over lanes
FOUR_APART = REGISTERS < 32  # in tiles of three rows, four would be six
if REGISTERS >= 32:
    by_vectors, by_numbers = product_of((4, 4), (1, 4), load), product_of((6, 4), (2, 4), spread)
    _dots = _dots_of_four = dots_of(4, COLUMNS)
else:
    by_vectors, by_numbers = product_of((3, 2), (1, 2), load), product_of((6, 1), (2, 2), spread)
    _dots, _dots_of_four = dots_of(3, COLUMNS), dots_of(2, COLUMNS)
_dots_of_one = dots_of(4, 1)
