"""Products of matrices of vectors, in tiles whose sums stay in registers.

Of z = a @ b, all elements of z and b are vectors, and those of a too, or numbers that stand for all lanes. Each sum is added in its
order, whatever the sizes: a lane's result does not depend on the tile that it stands in.
"""

from itertools import product as pairs
from typing import NamedTuple

import numpy as np
from numba import types

from fastmlp.kernels.compile import jit_inline, jit_part
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
    def tile(z, p, a, q, b, r, depth, more, slopes, s):
        sums = zeros_of(z.array)
        if more:
            sums = z_of(z.array, p, z.down, z.along)
        for _ in range(depth):
            sums = add_products(sums, column_of(a.array, q, a.down, a.along), row_of(b.array, r, b.down, b.along))
            q += a.along
            r += b.down
        if s >= 0:
            sums = multiply(sums, z_of(slopes, s, z.down, z.along))
        write(z.array, p, z.down, z.along, sums)

    return tile


def block_of(height, width, read):
    """What computes as many whole tiles as fit in a matrix."""
    tile = tile_of(height, width, read)

    @jit_inline
    def block(z, a, b, rows, columns, depth, more, slopes, first):
        p, r, s, step = z.at, b.at, first, width if first >= 0 else SAME
        for _ in range(columns // width):
            here, q, there = p, a.at, s
            for _ in range(rows // height):
                tile(z, here, a, q, b, r, depth, more, slopes, there)
                here, q, there = here + height * z.down, q + height * a.down, there + height * z.down if there >= 0 else NONE
            p, r, s = p + width * z.along, r + width * b.along, s + step * z.along

    return block


@jit_inline
def _part(grid, i, j):
    """The matrix from row i and column j on."""
    return Grid(grid.array, grid.at + i * grid.down + j * grid.along, grid.down, grid.along)


@jit_inline
def _moved(first, by):
    return first + by if first >= 0 else NONE


def product_of(size, low_width, read, odd_columns):
    """What multiplies matrices in tiles of that size, and what rows are left over in tiles one row high. Columns are whole tiles,
    unless they may be odd."""
    height, width = size
    tall, low = block_of(height, width, read), block_of(1, low_width, read)
    narrow, single = block_of(height, 1, read), block_of(1, 1, read)

    @jit_part
    def product(z, a, b, rows, columns, depth, more, slopes, first):
        """z = a @ b, added to what is there if more: a (rows, depth), b (depth, columns).

        If `first` is not negative, the sums are multiplied by the slopes that stand from there on, as far apart as those of z.
        """
        i = rows // height * height
        for done in range(0, depth, DEPTH):
            count, add = min(DEPTH, depth - done), more or done > 0
            s = first if done + count == depth else NONE
            left, right = _part(a, SAME, done), _part(b, done, SAME)
            tall(z, left, right, rows, columns, count, add, slopes, s)
            if i < rows:
                last, below = _part(z, i, SAME), _moved(s, i * z.down)
                low(last, _part(left, i, SAME), right, rows - i, columns, count, add, slopes, below)
            if odd_columns:
                j, k = columns // width * width, columns // low_width * low_width
                if j < columns:
                    narrow(
                        _part(z, SAME, j),
                        left,
                        _part(right, SAME, j),
                        rows,
                        columns - j,
                        count,
                        add,
                        slopes,
                        _moved(s, j * z.along),
                    )
                if k < columns and i < rows:
                    at = _moved(s, i * z.down + k * z.along)
                    single(
                        _part(z, i, k), _part(left, i, SAME), _part(right, SAME, k), rows - i, columns - k, count, add, slopes, at
                    )

    return product


DEPTH = 64  # terms of a sum that are added at once: what a row of tiles reads stays in the first-level cache
NONE, SAME = np.int64(-1), np.int64(0)  # as plain literals they would be of types of their own

# The sums of a tile, and what they are made of, fill the registers. Of the sixteen of 32 bytes that a processor without AVX-512
# has, a vector takes two: larger tiles were half as fast there (by_numbers 33 and 67, by_vectors 28 and 58 operations in 1 ns).
if REGISTERS >= 32:
    by_vectors, by_numbers = product_of((4, 4), 4, load, odd_columns=True), product_of((4, 2), 2, spread, odd_columns=False)
else:
    by_vectors, by_numbers = product_of((3, 2), 2, load, odd_columns=True), product_of((4, 1), 2, spread, odd_columns=False)
