"""Traced functions compute the same where Python calls them, on numbers and arrays, and where compiled code does, on both kinds."""

import re
from typing import NamedTuple

import numba
import numpy as np
import pytest

from fastmlp.kernels.elementary import positive
from fastmlp.kernels.simd import get, lanes_of, load, put, store
from fastmlp.kernels.trace import choose, like, magnitude, traced, where

pytestmark = pytest.mark.kernels

DTYPES = (np.float32, np.float64)


class Line(NamedTuple):
    slope: float
    height: float


@traced
def _on_a_line(x, line):
    return line.slope * x + line.height, 2 - x / like(x, 4.0)


@traced
def _chosen(code, x):
    return choose(code, {3: lambda x: x + 1, 5: lambda x: -x, 7: lambda x: magnitude(x) * 10}, x)


@traced
def _unrolled(x):
    total = like(x, 0.0)
    for k in range(4):
        total = where(x > like(x, k), total + 1, total)
    return total


@numba.njit
def _loop(vectors, numbers, x, line, codes):
    for n in range(0, x.size, lanes_of(x)):
        a, b = _on_a_line(load(x, n), line)
        store(vectors, n, a)
        store(vectors, x.size + n, b)
        store(vectors, 5 * x.size + n, _unrolled(load(x, n)))
        for k in range(codes.size):
            store(vectors, (2 + k) * x.size + n, _chosen(codes[k], load(x, n)))
    for n in range(x.size):
        a, b = _on_a_line(get(x, n), line)
        put(numbers, n, a)
        put(numbers, x.size + n, b)
        put(numbers, 5 * x.size + n, _unrolled(get(x, n)))
        for k in range(codes.size):
            put(numbers, (2 + k) * x.size + n, _chosen(codes[k], get(x, n)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_vectors_and_arrays_come_to_the_same(dtype):
    x = np.linspace(-3, 5, 64).astype(dtype)
    line, codes = Line(dtype(0.5), dtype(3)), np.array([3, 5, 7])
    vectors, numbers = np.empty((6, x.size), dtype), np.empty((6, x.size), dtype)
    _loop(vectors.reshape(-1), numbers.reshape(-1), x, line, codes)
    expected = [*_on_a_line(x, line), *(_chosen(code, x) for code in codes), _unrolled(x)]
    np.testing.assert_allclose(vectors, expected, rtol=2 * np.finfo(dtype).eps)  # a product and a sum may be one instruction
    assert np.array_equal(vectors, numbers)
    assert all(np.asarray(part).dtype == dtype for part in expected)


def test_a_code_that_stands_nowhere_is_the_last_one():
    assert _chosen(99, np.float64(-2)) == 20


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is traced")
def test_a_function_that_looks_at_a_value_is_told_what_to_use():
    @traced
    def impossible(x):
        return x if x > 0 else -x

    with pytest.raises(TypeError, match="must not depend on a value: use where"):
        numba.njit(lambda x: impossible(x))(1.5)


@numba.njit
def _in_place(x, rest):
    """The rest has fewer numbers than a vector."""
    for n in range(0, x.size, lanes_of(x)):
        store(x, n, positive(load(x, n)))
    for n in range(rest.size):
        put(rest, n, positive(get(rest, n)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_choice_that_is_written_back_to_its_place_is_right_for_every_kind_of_number(dtype):
    kinds = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf, 2.5, -2.5, np.finfo(dtype).tiny, -np.finfo(dtype).tiny], dtype)
    x = np.tile(kinds, 64)
    rest = kinds.copy()
    _in_place(x, rest)
    expected = np.where(kinds < 0, dtype(0), kinds)
    for computed in (x.reshape(64, -1), rest[None]):
        assert np.array_equal(computed, np.tile(expected, (len(computed), 1)), equal_nan=True)
        assert np.array_equal(np.signbit(computed[:, 1:]), np.signbit(np.tile(expected[1:], (len(computed), 1))))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_choice_that_is_written_back_to_its_place_is_no_store_with_a_mask():
    for dtype in DTYPES:
        _in_place(np.zeros(64, dtype), np.zeros(1, dtype))
    for code in _in_place.inspect_asm().values():
        assert not re.findall(r"maskmov.*|\)\s*\{%k.*", code)
