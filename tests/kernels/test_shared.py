"""Shared memory: compiled code reads and writes the array itself, and a constant is what it is."""

import numba
import numpy as np
import pytest

from fastmlp.kernels.shared import Shared, array_of

pytestmark = [pytest.mark.kernels, pytest.mark.versions]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_both_sides_see_what_either_writes(dtype):
    array = np.arange(5, dtype=dtype)
    shared = Shared(array)

    @numba.njit
    def double(i):
        array_of(shared)[i] *= 2
        return array_of(shared).sum(), array_of(shared).size

    assert double(4) == (14, 5)
    assert array.tolist() == [0, 1, 2, 3, 8]
    array[0] = 100
    assert double(0) == (214, 5)


def test_each_is_a_type_of_its_own():
    one, other = (Shared(np.full(3, float(k))) for k in (1, 2))
    sums = numba.njit(lambda: array_of(one)[0] + 10 * array_of(other)[0])
    assert sums() == 21


def test_a_constant_is_itself():
    constant = np.array([1.0, 2.0])
    assert numba.njit(lambda: array_of(constant)[1])() == 2
