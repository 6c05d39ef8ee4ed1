"""Products of matrices of vectors are those of NumPy in each lane, and nothing is written outside."""

import numba
import numpy as np
import pytest
from pairs import in_pairs

from fastmlp.kernels.product import DEPTH, NONE, Grid, add_dots, by_numbers, by_vectors, product_of
from fastmlp.kernels.simd import load, spread

pytestmark = pytest.mark.kernels

INTERPRETED = numba.config.DISABLE_JIT
MARK = -7777.0  # where nothing may be written
READS = {"vectors": load, "numbers": spread}  # what the elements of a are
STARTS = ("nowhere", "in place", "elsewhere", "one row")
TILES = [((6, 4), (2, 4)), ((6, 1), (2, 2)), ((4, 4), (1, 4)), ((3, 2), (1, 2))]
by_dtype = pytest.mark.parametrize("dtype", (np.float32, np.float64))
by_elements = pytest.mark.parametrize("elements", READS)


@numba.njit
def of_vectors(z, a, b, rows, columns, depth, start, slopes, first):
    by_vectors(z, a, b, rows, columns, depth, start, slopes, first)


@numba.njit
def of_numbers(z, a, b, rows, columns, depth, start, slopes, first):
    by_numbers(z, a, b, rows, columns, depth, start, slopes, first)


@numba.njit
def dots(g, at, down, a, b, rows, columns, depth):
    add_dots(g, at, down, a, b, rows, columns, depth)


COMPILED = {"vectors": of_vectors, "numbers": of_numbers}


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


def begun(kind, z, before, transposed):
    """Where a product begins, whose sums will stand at z, and what stands there."""
    if kind == "in place":
        return z, before
    if kind == "nowhere":
        return Grid(z.array, NONE, 0, z.along), np.zeros_like(before)
    if kind == "one row":
        only = np.where(np.arange(len(before))[:, None, None] == 0, before, np.nan)  # nothing but the first row is read
        return grid(only.astype(before.dtype), 4, transposed, np.nan)._replace(down=0), before[:1]
    return grid(before, 4, transposed, np.nan), before


def check(multiply, elements, shape, start="nowhere", transposed=0, with_slopes=False, dtype=np.float64):
    """A product (rows, columns, depth) of seeded numbers; which of z, a and b are transposed is a sum of 1, 2 and 4."""
    (rows, columns, depth), lanes, rng = shape, 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    before, b, slopes = (
        rng.normal(size=(*sides, lanes)).astype(dtype) for sides in ((rows, columns), (depth, columns), (rows, columns))
    )
    a = rng.normal(size=(rows, depth, lanes if elements == "vectors" else 1)).astype(dtype)
    z = grid(before if start == "in place" else np.full_like(before, np.nan), 3, transposed & 1, MARK)
    begin, first = begun(start, z, before, transposed & 1)
    factors = grid(slopes, 3, transposed & 1, np.nan)  # as far apart as the sums
    multiply(
        z, grid(a, 1, transposed & 2, np.nan), grid(b, 2, transposed & 4, np.nan), rows, columns, depth, begin, factors.array,
        np.int64(factors.at) if with_slopes else NONE,
    )  # fmt: skip
    slopes = slopes if with_slopes else np.ones_like(slopes)
    terms = a.astype(float)[:, :, None] * b.astype(float)
    expected = (first + terms.sum(axis=1)) * slopes
    # Each of the products, of the sums and the slope rounds to half an ulp of what is at most the sum of the magnitudes.
    bound = np.finfo(dtype).eps * (depth + 2) * (np.abs(first) + np.abs(terms).sum(axis=1)) * np.abs(slopes)
    at = places_of(z, before.shape)
    assert (np.abs(z.array[at] - expected) <= bound).all(), shape
    z.array[at] = MARK
    assert (z.array == MARK).all(), "written outside the vectors"


# Which of z, a and b is transposed is a sum of 1, 2 and 4.
@in_pairs(depth=[1, 2, 5], transposed=[0, 1, 2, 4, 7], start=STARTS, elements=READS, dtype=[np.float32, np.float64])
def test_product_is_that_of_numpy_in_each_lane(depth, transposed, start, elements, dtype):
    heights, widths = ((1, 6, 13), (1, 4, 6)) if INTERPRETED else (range(1, 14), (1, 3, 4, 6, 9))
    for rows in heights:
        for columns in widths:
            check(COMPILED[elements], elements, (rows, columns, depth), start, transposed, dtype=dtype)


@by_elements
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("with_slopes", [False, True])
def test_a_long_sum_begins_once_and_meets_the_slopes_once(with_slopes, start, elements):
    for depth in (DEPTH, DEPTH + 1, 2 * DEPTH + 2):
        check(COMPILED[elements], elements, (9, 5, depth), start, with_slopes=with_slopes)


@by_dtype
@by_elements
def test_a_lane_of_a_product_adds_its_terms_in_their_order_whatever_the_sizes(elements, dtype):
    lanes, rng = 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    a, b = (rng.normal(size=size).astype(dtype) for size in ((13, 6, lanes if elements == "vectors" else 1), (6, 9, lanes)))

    def product(rows, columns):
        """The last rows of a by the last columns of b."""
        z = grid(np.zeros((rows, columns, lanes), dtype), 0, False, MARK)
        factors = grid(a[-rows:], 0, False, MARK), grid(b[:, -columns:], 0, False, MARK)
        COMPILED[elements](z, *factors, rows, columns, 6, Grid(z.array, NONE, 0, z.along), z.array, NONE)
        return z.array[places_of(z, (rows, columns, lanes))]

    whole = product(13, 9)
    for rows, columns in [(1, 1), (1, 9), (9, 1), (3, 4), (4, 3), (6, 7), (8, 9), (11, 5)]:
        assert np.array_equal(product(rows, columns), whole[-rows:, -columns:])


@pytest.mark.skipif(not INTERPRETED, reason="compiled, the tiles of this processor are tested above")
@in_pairs(with_slopes=[False, True], start=STARTS, tiles=TILES, elements=READS)
def test_tiles_for_any_processor_come_to_the_same(with_slopes, start, tiles, elements):
    multiply = product_of(*tiles, READS[elements])
    for rows in range(1, 14):
        check(multiply, elements, (rows, 1 + rows % 7, 3), start, with_slopes=with_slopes)
    check(multiply, elements, (3, 5, DEPTH + 6), start, with_slopes=with_slopes)


@by_dtype
@pytest.mark.parametrize("transposed", [0, 1, 2])  # which of a and b lies column by column
def test_dots_add_the_sums_over_lanes(transposed, dtype):
    lanes, random = 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    for rows, columns, depth in [
        (1, 1, 1),
        (2, 3, 5),
        (3, 2, 1),
        (4, 5, 7),
        (5, 4, 2),
        (6, 1, 9),
        (7, 7, 3),
        (8, 2, 1),
        (13, 6, 4),
    ]:
        a, b = (random.normal(size=(count, depth, lanes)).astype(dtype) for count in (rows, columns))
        before = random.normal(size=(rows, columns)).astype(dtype)
        g = np.full(3 + rows * (columns + 2), MARK, dtype)
        places = 3 + np.arange(rows)[:, None] * (columns + 2) + np.arange(columns)
        g[places] = before
        dots(g, 3, columns + 2, grid(a, 1, transposed & 1, np.nan), grid(b, 2, transposed & 2, np.nan), rows, columns, depth)
        x, y = a.astype(float).reshape(rows, -1), b.astype(float).reshape(columns, -1)
        bound = np.finfo(dtype).eps * (depth * lanes + 2) * (np.abs(before) + np.abs(x) @ np.abs(y).T)
        assert (np.abs(g[places] - before - x @ y.T) <= bound).all(), (rows, columns, depth)
        g[places] = MARK
        assert (g == MARK).all(), "written outside the matrix"
