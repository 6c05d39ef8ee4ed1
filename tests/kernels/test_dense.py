"""The products of a dense layer are those of NumPy, whatever the sizes, and nothing is read or written outside their rows."""

import numba
import numpy as np
import pytest
from pairs import in_pairs

from fastmlp.kernels import dense
from fastmlp.kernels.layers import Layer
from fastmlp.kernels.product import DEPTH, NONE, Grid, by_numbers

pytestmark = pytest.mark.kernels

DTYPES = (np.float32, np.float64)
SIZES = [(1, 1), (2, 3), (3, 4), (4, 5), (5, 2), (8, 8), (17, 6), (DEPTH, 4), (DEPTH + 1, 7), (2 * DEPTH + 2, 9)]
MARK = -7777.0  # where nothing may be written
rng = np.random.default_rng(0)


@numba.njit
def product(z, w, a, n_out, columns, n_in, start):
    by_numbers(z, w, a, n_out, columns, n_in, start, z.array, NONE)


@numba.njit
def dense_forward(z, a, theta, layer, m):
    dense.dense_forward(z, a, theta, layer, m)


@numba.njit
def dense_backward_input(dz_below, dz, theta, layer, m, slopes, first):
    dense.dense_backward_input(dz_below, dz, theta, layer, m, slopes, first)


@numba.njit
def dense_backward_parameters(g, a, dz, layer, m, spare):
    dense.dense_backward_parameters(g, a, dz, layer, m, spare)


def layer_of(n_in, n_out, weights):
    return Layer(n_in, n_out, 0, weights, 0, weights + n_in * n_out, n_out)


def strip(dtype):
    """Samples of two vectors."""
    return 128 // np.dtype(dtype).itemsize


def rows(values, at, stride, outside):
    """Rows as a flat array holds them, which elsewhere holds `outside`."""
    flat = np.full(at + len(values) * stride + 5, outside, values.dtype)
    made = Grid(flat, at, stride, 64 // values.itemsize)
    values_of(made, values.shape)[:] = values
    return made


def values_of(rows, shape):
    return rows.array[rows.at :][: shape[0] * rows.down].reshape(shape[0], rows.down)[:, : shape[1]]


def normal(shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def sum_of_products(x, y, before=0.0):
    """before + x @ y in float64, and how many times eps a sum may be off: its n products and additions round, there as here."""
    x, y, before = (np.asarray(array, np.float64) for array in (x, y, before))
    return before + x @ y, (x.shape[1] + 1) * (np.abs(before) + np.abs(x) @ np.abs(y))


def check(rows, expected, bound):
    values = values_of(rows, expected.shape)
    assert (np.abs(values - expected) <= np.finfo(rows.array.dtype).eps * bound).all()
    values[:] = MARK
    assert (rows.array == MARK).all(), "written outside the rows"


@in_pairs(sizes=SIZES, transposed=[False, True], start=["nowhere", "in place", "one row"], dtype=DTYPES)
def test_product_is_that_of_numpy(sizes, transposed, start, dtype):
    n_in, n_out = sizes
    for m in (strip(dtype), 3 * strip(dtype)):
        a, before, w = normal((n_in, m), dtype), normal((n_out, m), dtype), normal((n_in, n_out), dtype)
        theta = rows((w.T if transposed else w).reshape(1, -1), 2, w.size, np.nan).array
        z = rows(before, 3, m + 16, MARK)
        weights = Grid(theta, 2, n_in, 1) if transposed else Grid(theta, 2, 1, n_out)
        starts = {
            "nowhere": (z._replace(at=NONE), 0.0),
            "in place": (z, before),
            "one row": (rows(before[:1], 4, m, np.nan)._replace(down=0), before[:1]),
        }
        grid, first = starts[start]
        product(z, weights, rows(a, 5, m + 7, np.nan), n_out, m // z.along, n_in, grid)
        check(z, *sum_of_products(w.T, a, first))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_forward_is_the_product_with_the_weights(n_in, n_out, dtype):
    m = strip(dtype)
    a, w = normal((n_in, m), dtype), normal((n_in, n_out), dtype)
    z = rows(np.full((n_out, m), np.nan, dtype), 3, m + 16, MARK)
    dense_forward(z, rows(a, 5, m + 7, np.nan), rows(w.reshape(1, -1), 2, w.size, np.nan).array, layer_of(n_in, n_out, 2), m)
    check(z, *sum_of_products(w.T, a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_in", "n_out"), [size[::-1] for size in SIZES])
def test_backward_to_the_inputs_is_that_of_numpy_times_the_slopes(n_in, n_out, dtype):
    m = strip(dtype)
    slopes, dz, w = normal((n_in, m), dtype), normal((n_out, m), dtype), normal((n_in, n_out), dtype)
    dz_below = rows(np.full((n_in, m), np.nan, dtype), 3, m + 16, MARK)
    theta, f = rows(w.reshape(1, -1), 2, w.size, np.nan).array, rows(slopes, 1, m + 16, np.nan)
    dense_backward_input(dz_below, rows(dz, 5, m + 7, np.nan), theta, layer_of(n_in, n_out, 2), m, f.array, f.at)
    expected, bound = sum_of_products(w, dz)
    check(dz_below, expected * slopes, (bound + np.abs(expected)) * np.abs(slopes))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_in", "n_out", "m", "way"),
    [
        *((n_in, n_out, 96, "over lanes") for n_in, n_out in [(1, 1), (2, 3), (4, 5), (4, 2), (5, 3), (6, 1), (7, 4), (65, 1)]),
        (40, 32, 32, "in lanes"), (66, 64, 32, "in lanes"), (40, 33, 64, "padded"), (66, 31, 32, "padded"), (40, 12, 32, "padded"),
    ],
)  # fmt: skip
def test_the_gradient_of_the_parameters_is_that_of_numpy_both_ways(n_in, n_out, m, way, dtype):
    a, dz, before = normal((n_in, m), dtype), normal((n_out, m), dtype), normal((n_in, n_out), dtype)
    g = rows(before.reshape(1, -1), 3, before.size, MARK)
    lanes = strip(dtype) // 2
    width = -(-n_out // lanes) * lanes
    spare = np.full((m + n_in) * width + 5, MARK, dtype)
    dense_backward_parameters(g.array, rows(a, 5, m + 7, np.nan), rows(dz, 1, m + 9, np.nan), layer_of(n_in, n_out, 3), m, spare)
    check(g, *(part.reshape(1, -1) for part in sum_of_products(a, dz.T, before)))
    written = np.flatnonzero(spare != MARK).max(initial=-1) + 1
    assert written == {"over lanes": 0, "in lanes": m * width, "padded": (m + n_in) * width}[way]
