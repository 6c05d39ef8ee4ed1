"""The products of a dense layer are those of NumPy, whatever the sizes, and nothing is read or written outside their rows."""

import numba
import numpy as np
import pytest

from benchmarks.reference import ACTIVATIONS
from fastmlp.kernels import dense
from fastmlp.kernels.activations import CODES, IDENTITY
from fastmlp.kernels.dense import Rows, Weights

pytestmark = pytest.mark.kernels

DTYPES = (np.float32, np.float64)
SIZES = [(1, 1), (2, 3), (3, 4), (4, 5), (5, 2), (8, 8), (17, 6), (dense.DEPTH, 4), (dense.DEPTH + 1, 7), (2 * dense.DEPTH + 2, 9)]
MARK = -7777.0  # where nothing may be written
rng = np.random.default_rng(0)


@numba.njit
def product(z, a, w, n_in, n_out, m, more):
    dense.product(z, a, w, n_in, n_out, m, more, Rows(z.array, -1, 0), IDENTITY)


@numba.njit
def dense_forward(z, a, theta, w, n_in, n_out, m):
    dense.dense_forward(z, a, theta, w, n_in, n_out, m)


@numba.njit
def dense_backward_input(dz_below, y, dz, theta, w, n_in, n_out, m, code):
    dense.dense_backward_input(dz_below, y, dz, theta, w, n_in, n_out, m, code)


@numba.njit
def dense_backward_parameters(g, p, a, dz, n_in, n_out, m, spare):
    dense.dense_backward_parameters(g, p, a, dz, n_in, n_out, m, spare)


def strip(dtype):
    """Samples of two vectors."""
    return 128 // np.dtype(dtype).itemsize


def rows(values, at, stride, outside):
    """Rows as a flat array holds them, which elsewhere holds `outside`."""
    flat = np.full(at + len(values) * stride + 5, outside, values.dtype)
    values_of(Rows(flat, at, stride), values.shape)[:] = values
    return Rows(flat, at, stride)


def values_of(rows, shape):
    return rows.array[rows.at :][: shape[0] * rows.stride].reshape(shape[0], rows.stride)[:, : shape[1]]


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_product_is_that_of_numpy(n_in, n_out, transposed, more, dtype):
    for m in (strip(dtype), 3 * strip(dtype)):
        a, before, w = normal((n_in, m), dtype), normal((n_out, m), dtype), normal((n_in, n_out), dtype)
        theta = rows((w.T if transposed else w).reshape(1, -1), 2, w.size, np.nan).array
        z = rows(before, 3, m + 16, MARK)
        weights = Weights(theta, 2, 1, n_in) if transposed else Weights(theta, 2, n_out, 1)
        product(z, rows(a, 5, m + 7, np.nan), weights, n_in, n_out, m, more)
        check(z, *sum_of_products(w.T, a, more * before))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_forward_is_the_product_with_the_weights(n_in, n_out, dtype):
    m = strip(dtype)
    a, w = normal((n_in, m), dtype), normal((n_in, n_out), dtype)
    z = rows(np.full((n_out, m), np.nan, dtype), 3, m + 16, MARK)
    dense_forward(z, rows(a, 5, m + 7, np.nan), rows(w.reshape(1, -1), 2, w.size, np.nan).array, 2, n_in, n_out, m)
    check(z, *sum_of_products(w.T, a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_in", "n_out"), [size[::-1] for size in SIZES])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backward_to_the_inputs_is_that_of_numpy_times_the_slopes(activation, n_in, n_out, dtype):
    m = strip(dtype)
    f, derivative = ACTIVATIONS[activation]
    y, dz, w = f(normal((n_in, m), dtype)), normal((n_out, m), dtype), normal((n_in, n_out), dtype)
    dz_below = rows(np.full((n_in, m), np.nan, dtype), 3, m + 16, MARK)
    dense_backward_input(
        dz_below, rows(y, 1, m + 16, np.nan), rows(dz, 5, m + 7, np.nan), rows(w.reshape(1, -1), 2, w.size, np.nan).array, 2,
        n_in, n_out, m, CODES[activation],
    )  # fmt: skip
    expected, bound = sum_of_products(w, dz)
    slopes = derivative(y.astype(float))
    check(dz_below, expected * slopes, bound * slopes + 4 * np.abs(expected))  # the slopes, at most 1, round four times


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_in", "n_out", "m", "way"),
    [
        *((n_in, n_out, 96, "over lanes") for n_in, n_out in [(1, 1), (2, 3), (3, 5), (4, 2), (5, 3), (6, 1), (7, 4), (65, 1)]),
        (40, 32, 96, "in lanes"), (66, 64, 160, "in lanes"), (40, 33, 96, "padded"), (66, 31, 160, "padded"),
    ],
)  # fmt: skip
def test_the_gradient_of_the_parameters_is_that_of_numpy_both_ways(n_in, n_out, m, way, dtype):
    a, dz, before = normal((n_in, m), dtype), normal((n_out, m), dtype), normal((n_in, n_out), dtype)
    g = rows(before.reshape(1, -1), 3, before.size, MARK)
    width = -(-n_out // strip(dtype)) * strip(dtype)
    spare = np.full((m + n_in) * width + 5, MARK, dtype)
    dense_backward_parameters(g.array, 3, rows(a, 5, m + 7, np.nan), rows(dz, 1, m + 9, np.nan), n_in, n_out, m, spare)
    check(g, *(part.reshape(1, -1) for part in sum_of_products(a, dz.T, before)))
    written = np.flatnonzero(spare != MARK).max(initial=-1) + 1
    assert written == {"over lanes": 0, "in lanes": m * width, "padded": (m + n_in) * width}[way]
