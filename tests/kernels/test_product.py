"""Products of matrices of vectors are those of NumPy in each lane, and nothing is written outside."""

import numba
import numpy as np
import pytest

from fastmlp.kernels.product import NONE, Grid, by_vectors, product_of
from fastmlp.kernels.simd import load

pytestmark = pytest.mark.kernels

INTERPRETED = numba.config.DISABLE_JIT
MARK = -7777.0  # where nothing may be written
by_dtype = pytest.mark.parametrize("dtype", (np.float32, np.float64))


@numba.njit
def product(z, a, b, rows, columns, depth, more):
    by_vectors(z, a, b, rows, columns, depth, more, z.array, NONE)


def places_of(grid, shape):
    """Where the lanes of each vector of a grid stand."""
    i, j, lane = np.indices(shape)
    return grid.at + i * grid.down + j * grid.along + lane


def grid(values, at, transposed, outside):
    """Vectors (rows, columns, lanes) in a flat array, with gaps that hold `outside`; those of a row lie closer, or of a column."""
    rows, columns, lanes = values.shape
    near, far = lanes + 3, (lanes + 3) * (rows if transposed else columns) + 5
    flat = np.full(at + max(rows, columns) * far + 5, outside, values.dtype)
    made = Grid(flat, at, near, far) if transposed else Grid(flat, at, far, near)
    flat[places_of(made, values.shape)] = values
    return made


@by_dtype
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("transposed", [0, 1, 2, 4, 7])  # which of z, a and b
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_product_is_that_of_numpy_in_each_lane(depth, transposed, more, dtype):
    lanes, rng = 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    sizes = (1, 4, 6, 11) if INTERPRETED and depth != 2 else range(1, 10)
    for rows in sizes:
        for columns in sizes:
            z, a, b = (
                rng.normal(size=(*shape, lanes)).astype(dtype) for shape in ((rows, columns), (rows, depth), (depth, columns))
            )
            made = grid(z, 3, transposed & 1, MARK)
            product(made, grid(a, 1, transposed & 2, np.nan), grid(b, 2, transposed & 4, np.nan), rows, columns, depth, more)
            terms = np.einsum("rdn,dcn->rcdn", a.astype(float), b.astype(float))
            before = more * z.astype(float)
            # Each of the products and of the sums rounds to half an ulp of what is at most the sum of the magnitudes.
            bound = np.finfo(dtype).eps * (depth + 1) * (np.abs(before) + np.abs(terms).sum(axis=2))
            at = places_of(made, z.shape)
            assert (np.abs(made.array[at] - (before + terms.sum(axis=2))) <= bound).all(), (rows, columns)
            made.array[at] = MARK
            assert (made.array == MARK).all(), "written outside the vectors"


@by_dtype
def test_a_lane_of_a_product_adds_its_terms_in_their_order_whatever_the_sizes(dtype):
    lanes, rng = 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    a, b = rng.normal(size=(9, 6, lanes)).astype(dtype), rng.normal(size=(6, 9, lanes)).astype(dtype)
    whole = grid(np.zeros((9, 9, lanes), dtype), 0, False, MARK)
    product(whole, grid(a, 0, False, MARK), grid(b, 0, False, MARK), 9, 9, 6, False)
    for rows, columns in [(1, 1), (1, 9), (9, 1), (3, 4), (4, 3), (6, 7)]:
        part = grid(np.zeros((rows, columns, lanes), dtype), 0, False, MARK)
        product(part, grid(a[-rows:], 0, False, MARK), grid(b[:, -columns:], 0, False, MARK), rows, columns, 6, False)
        computed = part.array[places_of(part, (rows, columns, lanes))]
        assert np.array_equal(computed, whole.array[places_of(whole, (9, 9, lanes))][-rows:, -columns:])


@pytest.mark.skipif(not INTERPRETED, reason="compiled, the tiles of this processor are tested above")
@pytest.mark.parametrize(("size", "low_width"), [((4, 4), 4), ((3, 2), 2)])
@pytest.mark.parametrize("with_slopes", [False, True])
def test_tiles_for_any_processor_come_to_the_same(with_slopes, size, low_width):
    multiply, rng = product_of(size, low_width, load, odd_columns=True), np.random.default_rng(0)
    for rows, columns, depth in [(1, 1, 1), (3, 5, 2), (4, 4, 70), (6, 7, 3), (9, 3, 2)]:
        z, a, b = (rng.normal(size=(*shape, 8)) for shape in ((rows, columns), (rows, depth), (depth, columns)))
        slopes = rng.normal(size=z.size)
        made = grid(z, 0, False, MARK)
        spread_out = np.zeros_like(made.array)  # as far apart as the sums
        spread_out[places_of(made, z.shape)] = slopes.reshape(z.shape)
        first = np.int64(made.at) if with_slopes else NONE
        multiply(made, grid(a, 1, False, np.nan), grid(b, 2, False, np.nan), rows, columns, depth, False, spread_out, first)
        factors = slopes.reshape(z.shape) if with_slopes else 1.0
        terms = np.einsum("rdn,dcn->rcdn", a, b)
        # Each of the products, of the sums and the slope rounds to half an ulp of what is at most the sum of the magnitudes.
        bound = np.finfo(float).eps * (depth + 1) * np.abs(terms).sum(axis=2) * np.abs(factors)
        at = places_of(made, z.shape)
        assert (np.abs(made.array[at] - terms.sum(axis=2) * factors) <= bound).all()
        made.array[at] = MARK
        assert (made.array == MARK).all(), "written outside the vectors"
