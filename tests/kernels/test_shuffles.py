"""Squares are transposed and lanes added up as NumPy does it, and memory beside them is left alone."""

import numba
import numpy as np
import pytest

from fastmlp.kernels import shuffles
from fastmlp.kernels.product import loader
from fastmlp.kernels.shuffles import adder, side_of
from fastmlp.kernels.simd import load

pytestmark = pytest.mark.kernels

DTYPES = (np.float32, np.float64)
MARK = -7777.0  # where nothing may be written
TILES = [(1, 1), (3, 2), (2, 2), (4, 1), (4, 2)]
rng = np.random.default_rng(0)


@numba.njit
def transpose(out, i, step, array, j, stride, rows, columns):
    shuffles.transpose(out, i, step, array, j, stride, rows, columns)


def added_by(height, width):
    add_totals, tile = adder(height, width), loader(height, width, load)

    @numba.njit
    def run(g, at, down, rows, vectors, i, j, k):
        add_totals(g, at, down, rows, tile(vectors, i, j, k))

    return run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 11, 16])
@pytest.mark.parametrize("columns", [8, 9, 13, 16, 32])
def test_rows_become_columns_and_the_last_is_repeated_up_to_a_whole_square(rows, columns, dtype):
    side = 32 // np.dtype(dtype).itemsize
    stride, step, whole = columns + 3, 21, -(-rows // side) * side
    values = rng.normal(size=(rows, columns)).astype(dtype)
    array = np.full(5 + rows * stride - 3, np.nan, dtype)  # nothing is read past the last row
    for k in range(rows):
        array[5 + k * stride :][:columns] = values[k]
    out = np.full(7 + columns * step, MARK, dtype)
    transpose(out, 7, step, array, 5, stride, rows, columns)
    written = out[7:].reshape(columns, step)
    assert np.array_equal(written[:, :whole], values.T[:, np.minimum(np.arange(whole), rows - 1)])
    assert (written[:, whole:] == MARK).all()
    assert (out[:7] == MARK).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_square_has_the_numbers_of_32_bytes(dtype):
    compiled = numba.njit(lambda array: side_of(array))
    assert compiled(np.zeros(1, dtype)) == side_of(np.zeros(1, dtype)) == 32 // np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("height", "width"), TILES)
def test_sums_over_lanes_are_added_to_as_many_rows_as_there_are(height, width, dtype):
    lanes = 64 // np.dtype(dtype).itemsize
    vectors = rng.normal(size=(height, width, lanes)).astype(dtype)
    for rows in range(1, height + 2):
        before = rng.normal(size=(height + 1, width + 3)).astype(dtype)
        g = np.concatenate([[MARK], before.ravel()]).astype(dtype)
        added_by(height, width)(g, 1, width + 3, rows, vectors.ravel(), 0, width * lanes, lanes)
        expected = before.astype(float)
        expected[: min(rows, height), :width] += vectors[:rows].astype(float).sum(axis=2)
        bound = np.finfo(dtype).eps * lanes * (np.abs(before).max() + np.abs(vectors).sum(axis=2).max())
        np.testing.assert_allclose(g[1:].reshape(before.shape), expected, rtol=0, atol=bound)
        assert np.array_equal(g[1:].reshape(before.shape)[rows:], before[rows:])
        assert g[0] == MARK
