"""Vectors compute lane by lane what NumPy computes, compiled and with the JIT off; memory beside them is left alone."""

import operator

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaError

from fastmlp.kernels import simd, trace, tuples
from fastmlp.kernels.simd import get, lanes_of, load, load_eight, load_two, load_wide, put, room, store, store_two
from fastmlp.kernels.trace import where

pytestmark = pytest.mark.kernels

DTYPES = (np.float32, np.float64)
ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv)
IN_PLACE = dict(zip(ARITHMETIC, (operator.iadd, operator.isub, operator.imul, operator.itruediv), strict=True))
MOST_LANES = 16
compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="with the JIT off there are no types")


def pairs(dtype):
    """Every pair of sixteen numbers of all kinds: x, the same throughout a vector, and y."""
    info = np.finfo(dtype)
    numbers = [0.0, 1.0, 1.5, 1 / 3, 7.0, 1e-3, info.max, info.tiny, info.smallest_subnormal, np.inf, np.nan, 1e30]
    signed = np.array([*numbers, *(-n for n in (0.0, 1.5, np.inf, np.nan))], dtype)
    return np.repeat(signed, MOST_LANES), np.tile(signed, MOST_LANES)


def same_bits(computed, expected):
    assert computed.dtype == expected.dtype
    assert np.array_equal(computed.view(np.uint8), expected.view(np.uint8))


def same_numbers(computed, expected):
    """The same bits, but that any NaN is as good as another."""
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(computed), nan)
    same_bits(computed[~nan], expected[~nan])


def mixed(function, x, y):
    """The function of x and y as vectors; of x as a number for all lanes, and y; of y, and x as a number."""

    @numba.njit(error_model="numpy")
    def loop(out, x, y):
        for n in range(0, x.size, lanes_of(x)):
            store(out, n, function(load(x, n), load(y, n)))
            store(out, x.size + n, function(get(x, n), load(y, n)))
            store(out, 2 * x.size + n, function(load(y, n), get(x, n)))

    out, before = np.empty((3, x.size), x.dtype), np.append(x, y)
    loop(out, x, y)
    same_bits(np.append(x, y), before)
    return out


def both(function, x):
    """The function of x as vectors, and as single numbers."""

    @numba.njit(error_model="numpy")
    def loop(out, x):
        for n in range(0, x.size, lanes_of(x)):
            store(out, n, function(load(x, n)))
        for n in range(x.size):
            put(out, x.size + n, function(get(x, n)))

    out, before = np.empty((2, x.size), x.dtype), x.copy()
    loop(out, x)
    same_bits(x, before)
    return out


# -- Operators ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plain", ARITHMETIC, ids=lambda f: f.__name__)
@pytest.mark.parametrize("in_place", [False, True])
def test_arithmetic_of_vectors_and_numbers_is_that_of_numpy(in_place, plain, dtype):
    x, y = pairs(dtype)
    computed = mixed(IN_PLACE[plain] if in_place else plain, x, y)
    with np.errstate(all="ignore"):
        for row, expected in zip(computed, (plain(x, y), plain(x, y), plain(y, x)), strict=True):
            same_numbers(row, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("comparison", [operator.lt, operator.gt], ids=lambda f: f.__name__)
def test_where_takes_x_where_the_comparison_holds_which_it_does_not_for_nan(comparison, dtype):
    @numba.njit
    def choose(x, y):
        return where(comparison(x, y), x, y)

    @numba.njit
    def choose_by_sign(x):
        return where(comparison(x, -x), x, -x)

    x, y = pairs(dtype)
    expected = np.where(comparison(x, y), x, y)
    same_bits(mixed(choose, x, y), np.array([expected, expected, np.where(comparison(y, x), y, x)]))
    same_bits(both(choose_by_sign, y), np.array([np.where(comparison(y, -y), y, -y)] * 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_takes_two_numbers_for_all_lanes_and_one_truth_for_all_lanes(dtype):
    @numba.njit
    def loop(out, x, y, numbers):
        for n in range(0, x.size, lanes_of(x)):
            store(out, n, where(load(x, n) > load(y, n), get(numbers, 0), get(numbers, 1)))
            store(out, x.size + n, where(get(x, n) > get(numbers, 0), load(x, n), load(y, n)))

    x, y = pairs(dtype)
    out = np.empty((2, x.size), dtype)
    loop(out, x, y, np.array([2, 3], dtype))
    same_bits(out, np.array([np.where(x > y, 2, 3), np.where(x > 2, x, y)], dtype))


# -- Functions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "plain"), [(operator.neg, np.negative), (trace.magnitude, np.abs)], ids=lambda f: f.__name__)
def test_negation_and_magnitude_are_those_of_numpy(function, plain, dtype):
    _, x = pairs(dtype)
    for row in both(function, x):
        same_bits(row, plain(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_square_root_is_that_of_numpy(dtype):
    _, x = pairs(dtype)
    with np.errstate(all="ignore"):
        expected = np.sqrt(x)
    for row in both(trace.square_root, x):
        same_numbers(row, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_copysign_takes_the_sign_of_zeros_infinities_and_nan(dtype):
    @numba.njit
    def loop(out, x, y):
        for n in range(0, x.size, lanes_of(x)):
            store(out, n, trace.copysign(load(x, n), load(y, n)))
        for n in range(x.size):
            put(out, x.size + n, trace.copysign(get(x, n), get(y, n)))

    x, y = pairs(dtype)
    out = np.empty((2, x.size), dtype)
    loop(out, x, y)
    same_bits(out, np.array([np.copysign(x, y)] * 2))


def padded(x):
    """x, and ones up to a whole number of vectors."""
    return np.append(x, np.ones(-x.size % MOST_LANES, x.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_power_of_two_has_every_exponent_of_a_normal_number(dtype):
    info = np.finfo(dtype)
    exponents = np.arange(info.minexp, info.maxexp)
    x = padded(dtype(1.5 * 2.0**info.nmant) + (exponents + (info.maxexp - 1)).astype(dtype))
    for powers in both(trace.power_of_two, x):
        same_bits(powers[: exponents.size], np.ldexp(dtype(1), exponents))


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_exponent_brings_numbers_of_every_exponent_beside_one(dtype):
    @numba.njit
    def exponent(x):
        return trace.binary_exponent(x)[0]

    @numba.njit
    def inverse(x):
        return trace.binary_exponent(x)[1]

    info = np.finfo(dtype)
    exponents = np.arange(info.minexp + 2, info.maxexp - 2)  # 2^-k has to be a normal number too
    root = dtype(0.5**0.5)
    mantissas = np.array([1, 1.25, 2 * np.nextafter(root, dtype(0)), 2 * root, 1.75, 2 - info.eps], dtype)
    x = padded(np.ldexp(mantissas, exponents[:, None]).ravel())
    fraction, k = np.frexp(x)
    k -= fraction < root
    same_bits(both(exponent, x), np.array([k, k], dtype))
    for scale in both(inverse, x):
        same_bits(scale, np.ldexp(dtype(1), -k))
        assert root <= (scale * x).min() and (scale * x).max() < 2 * root


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("read", [load, load_eight], ids=lambda f: f.__name__)
def test_total_adds_halves_to_each_other(read, dtype):
    @numba.njit
    def totals(out, x):
        for n in range(out.size):
            put(out, n, simd.total(read(x, n * lanes)))

    lanes = 8 if read is load_eight else 64 // np.dtype(dtype).itemsize
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, lanes)) * 10.0 ** rng.integers(-3, 4, size=(200, lanes))).astype(dtype)
    out = np.empty(200, dtype)
    totals(out, x)
    expected, neighbours = x, x
    while expected.shape[1] > 1:
        expected = expected.reshape(200, 2, -1).sum(axis=1)
        neighbours = neighbours.reshape(200, -1, 2).sum(axis=2)
    same_bits(out, expected[:, 0])
    assert not np.array_equal(out, neighbours[:, 0]), "another order gives other bits"


# -- Memory ------------------------------------------------------------------------------------------------------------

OUTSIDE = AssertionError if numba.config.DISABLE_JIT else IndexError
PLACES = (0, 1, 3, 7, 18)  # aligned, and not


def rows_of_numbers(dtype):
    """Numbers that all differ; places are counted on from row to row."""
    return np.arange(1, 101, dtype=dtype).reshape(10, 10)


@numba.njit
def read_all(out, x, i):
    lanes = lanes_of(out)
    store(out, 0, load(x, i))
    store(out, lanes, simd.spread(x, i))
    store(out, 2 * lanes, simd.zeros(x))
    store(out, 3 * lanes, load_eight(x, i))
    put(out, 3 * lanes + 8, get(x, i))
    for k, number in enumerate(tuples.as_tuple(x, i, 3)):
        put(out, 3 * lanes + 9 + k, number)
    store(out, 3 * lanes + 12, load_wide(x, i))
    store(out, 7 * lanes + 12, simd.zeros_wide(x))
    store(out, 11 * lanes + 12, simd.spread_wide(x, i))


@numba.njit
def copy_three(out, i, step, x, j):
    tuples.copy_apart(out, i, step, x, j, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tuples_of_tuples_are_rows(dtype):
    rows = numba.njit(lambda x, i: tuples.as_tuples(x, i, 2, 3))(rows_of_numbers(dtype), 7)
    assert rows == ((8, 9, 10), (11, 12, 13))
    assert numba.njit(lambda x: tuples.as_tuples(x, 99, 1, 1))(rows_of_numbers(dtype)) == ((100,),)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_are_copied_to_places_apart(dtype):
    x, out = rows_of_numbers(dtype), np.zeros(20, dtype)
    copy_three(out, 2, 7, x, 18)
    copy_three(out, 0, 1, x, 97)
    expected = np.zeros(20)
    expected[[2, 9, 16]], expected[:3] = (19, 20, 21), (98, 99, 100)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_begin_at_any_place(dtype):
    x = rows_of_numbers(dtype)
    flat, lanes = x.ravel(), 64 // x.itemsize
    for i in PLACES:
        out = np.full(15 * lanes + 12, np.nan, dtype)
        read_all(out, x, i)
        expected = (
            flat[i : i + lanes], [flat[i]] * lanes, [0] * lanes, flat[i : i + 8], [flat[i]], flat[i : i + 3],
            flat[i : i + 4 * lanes], [0] * 4 * lanes, [flat[i]] * 4 * lanes,
        )  # fmt: skip
        assert np.array_equal(out, np.concatenate(expected))


@numba.njit
def gathered(out, array, rows, first, step, shift, across):
    store(out, 0, simd.gather(out, array, rows, first, step, shift, across))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int8, np.uint8, np.int64])
def test_gather_takes_a_number_of_each_lane_from_its_row(kind, dtype):
    lanes, rng = 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    array = rng.integers(0 if kind is np.uint8 else -128, 128, (20, 3 * lanes)).astype(kind)
    rows = rng.integers(0, 20, 4 + lanes).astype(np.int32)
    lane = np.arange(lanes)
    for first, step, shift, across in [(0, 3 * lanes, 0, 0), (3, 3 * lanes, 5, 0), (4, 3 * lanes, lanes, 2), (1, 0, 7, 1)]:
        out = np.empty(lanes, dtype)
        gathered(out, array, rows, first, step, shift, across)
        assert np.array_equal(out, array.ravel()[rows[first + lane] * step + shift + lane * across].astype(dtype))


STORED = [order + kind for kind in ("f2", "f4", "f8", "i2", "u2", "i4", "u4", "i8", "u8") for order in "<>"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["b1", "i1", "u1", *STORED])
def test_numbers_of_every_type_and_byte_order_are_read_as_numpy_reads_them(kind, dtype):
    stored = np.dtype(kind)
    if stored.itemsize <= 2:  # all there are
        numbers = np.arange(2 if kind == "b1" else 256**stored.itemsize).astype(f"u{stored.itemsize}").view(stored)
    else:
        numbers = np.random.default_rng(0).integers(0, 256, 1 << 12, np.uint8).view(stored)
    with np.errstate(all="ignore"):  # random bits may be too large for float32, or no number
        expected = numbers.astype(dtype)
    numbers, expected = numbers[np.isfinite(expected)], expected[np.isfinite(expected)]
    if numba.config.DISABLE_JIT:
        numbers, expected = numbers[:500], expected[:500]

    @numba.njit
    def loop(out, gathered, numbers, rows):
        for n in range(numbers.size):
            out[n] = out.dtype.type(get(numbers, n))
        for n in range(0, numbers.size // lanes_of(out) * lanes_of(out), lanes_of(out)):
            store(gathered, n, simd.gather(gathered, numbers, rows, n, 1, 0, 0))

    out, gathered = np.empty_like(expected), expected.copy()
    loop(out, gathered, simd.readable(numbers), np.arange(numbers.size, dtype=np.int32))
    same_bits(out, expected)
    same_bits(gathered, expected)


def test_rows_outside_are_noticed_where_indices_are_checked():
    checked = numba.njit(boundscheck=True)(getattr(gathered, "py_func", gathered))
    x, lanes = np.arange(32.0).reshape(16, 2), 8
    rows = np.full(lanes, 15, np.int32)
    checked(np.empty(lanes), x, rows, 0, 2, 1, 0)
    for first, step, shift in [(1, 2, 0), (-1, 2, 0), (0, 2, 2), (0, 3, 0), (0, -2, 0)]:
        with pytest.raises(OUTSIDE):
            checked(np.empty(lanes), x, rows, first, step, shift, 0)


@numba.njit
def write_vector(out, x, i):
    store(out, i, load(x, 2))


@numba.njit
def write_eight(out, x, i):
    store(out, i, load_eight(x, 2))


@numba.njit
def write_wide(out, x, i):
    store(out, i, load_wide(x, 2))


@numba.njit
def write_spread(out, x, i):
    store(out, i, get(x, 2))


@numba.njit
def write_number(out, x, i):
    put(out, i, get(x, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("write", [write_vector, write_eight, write_wide, write_spread, write_number], ids=lambda f: f.__name__)
def test_writes_leave_what_stands_beside_them(write, dtype):
    x = rows_of_numbers(dtype)
    flat, lanes = x.ravel(), 64 // x.itemsize
    written = {
        write_vector: flat[2 : 2 + lanes], write_eight: flat[2:10], write_wide: flat[2 : 2 + 4 * lanes],
        write_spread: flat[[2] * lanes], write_number: flat[2:3],
    }  # fmt: skip
    for i in PLACES:
        out = -x
        expected = -flat
        expected[i : i + written[write].size] = written[write]
        write(out, x, i)
        assert np.array_equal(out.ravel(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("read", "vectors"), [(load, 1), (load_eight, None), (load_wide, 4), (get, 0), (simd.spread, 0)], ids=str)
def test_reads_outside_are_noticed_where_indices_are_checked(read, vectors, dtype):
    @numba.njit(boundscheck=True)
    def copy(out, x, i):
        store(out, 0, read(x, i))

    x, lanes = np.arange(100, dtype=dtype), 64 // np.dtype(dtype).itemsize
    count = 8 if vectors is None else max(1, vectors * lanes)
    out = np.empty(100, dtype)
    copy(out, x, 100 - count)
    assert np.array_equal(out[:count], x[-count:])
    for i in (-1, 101 - count, 100, 2**40):
        with pytest.raises(OUTSIDE):
            copy(out, x, i)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("write", [write_vector, write_eight, write_wide, write_spread, write_number], ids=lambda f: f.__name__)
def test_writes_outside_are_noticed_where_indices_are_checked(write, dtype):
    x, lanes = np.arange(100, dtype=dtype), 64 // np.dtype(dtype).itemsize
    count = {write_eight: 8, write_wide: 4 * lanes, write_number: 1}.get(write, lanes)
    # As with NUMBA_BOUNDSCHECK=1.
    write = numba.njit(boundscheck=True)(getattr(write, "py_func", write))
    for i in (-1, 101 - count, 100, 2**40):
        out = np.zeros(100, dtype)
        with pytest.raises(OUTSIDE):
            write(out, x, i)
        assert not out.any()
    write(out, x, 100 - count)
    assert np.count_nonzero(out) == count


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_has_64_bytes(dtype):
    @numba.njit
    def lanes(x):
        return lanes_of(x)

    assert lanes(np.empty(0, dtype)) * np.dtype(dtype).itemsize == 64


@pytest.mark.parametrize("dtype", DTYPES)
def test_rooms_are_as_large_as_said_and_each_is_its_own(dtype):
    @numba.njit
    def sum_of_two(out):
        one, other = room(out, 100), room(out, 100)
        for i in range(one.size):
            put(one, i, out.dtype.type(1))
        for i in range(other.size):
            put(other, i, out.dtype.type(2))
        for i in range(one.size):
            put(out, i, get(one, i) + other[i])
        return one.size, one.itemsize

    out = np.zeros(100, dtype)
    assert sum_of_two(out) == (100, out.itemsize)
    assert (out == 3).all()


@compiled_only
@pytest.mark.parametrize("write", [write_vector, write_spread, write_number], ids=lambda f: f.__name__)
def test_numbers_of_another_type_are_not_written(write):
    # They would take other places than they are meant for.
    with pytest.raises(NumbaError):
        write(np.zeros(64, np.float32), np.ones(64), 0)


@compiled_only
def test_arrays_with_gaps_are_neither_read_nor_written():
    x = np.ones(128)
    for out, read in ((x.copy(), x[::2]), (x.copy()[::2], x)):
        with pytest.raises(NumbaError):
            write_vector(out, read, 0)
    rows = np.zeros(64, np.int32)
    for array, some in ((x[::2], rows), (x, rows[::2])):
        with pytest.raises(NumbaError):
            gathered(np.empty(8), array, some, 0, 1, 0, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("places", [(1, 40), (40, 1), (7, 7), (20, 21)])
def test_two_vectors_are_one_of_twice_the_size(places, dtype):
    @numba.njit
    def run(out, x, i, j):
        store_two(out, i, j, load_two(x, i, j) * x.dtype.type(2))

    x = np.random.default_rng(0).normal(size=60).astype(dtype)
    out, expected, lanes = np.zeros_like(x), np.zeros_like(x), 64 // x.itemsize
    run(out, x, *places)
    for place in places:
        expected[place : place + lanes] = 2 * x[place : place + lanes]
    same_bits(out, expected)
