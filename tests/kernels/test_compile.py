"""What the decorators of kernels promise of rounding."""

import numba
import pytest

from fastmlp.kernels.compile import jit_alone, jit_rounded


@jit_rounded
def rest_of(x, y):
    return x * x - y


@jit_alone
def rest(x, y):
    return rest_of(x, y)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_what_is_to_round_as_numpy_does_rounds_each_product():
    x = 1 + 2.0**-30
    assert rest(x, x * x) == 0  # in one operation it would be 2^-60
