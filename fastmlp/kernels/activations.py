"""Activations and their derivatives, side by side, over rows of samples."""

import numpy as np

from fastmlp.kernels import elementary
from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.simd import lanes_of, load, store, where

IDENTITY, SIGMOID, TANH, RELU, SOFTMAX = range(5)
CODES = {"identity": IDENTITY, "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "softmax": SOFTMAX}


@jit_inline
def activation(z, code):
    """f(z), of one number or vector."""
    if code == SIGMOID:
        return elementary.sigmoid(z)
    if code == TANH:
        return elementary.tanh(z)
    if code == RELU:
        return elementary.positive(z)
    return z


@jit_inline
def backward(d, y, code, one):
    """d * f'(z) of one number or vector, where y = f(z)."""
    if code == SIGMOID:
        return d * (y * (one - y))
    if code == TANH:
        return d * (one - y * y)
    if code == RELU:
        return where(y > one - one, d, d - d)
    return d


@jit_part
def activate(a, at, rows, stride, m, code):
    """a = f(a) for the first m places of so many rows. Softmax is not here: it needs all units of a sample."""
    for row in range(at, at + rows * stride if code != IDENTITY else at, stride):
        for n in range(row, row + m, lanes_of(a)):
            store(a, n, activation(load(a, n), code))


@jit_part
def activate_backward(d, first, a, at, rows, stride, m, code):
    """d = d * f'(z) for so many rows from place `first` on, in place, from the activations a = f(z)."""
    one = a.dtype.type(1)
    for row in range(0, rows * stride, stride):
        for n in range(row, row + m, lanes_of(a)):
            store(d, first + n, backward(load(d, first + n), load(a, at + n), code, one))


@jit_inline
def derivative(number, code):
    """(c0, c1, c2, least) with f'(z) = c0 + c1 y + c2 y^2 where y = f(z) is greater than the least, else 0: for the end of a tile,
    where there is no loop that a branch could be moved out of."""
    zero, one, anything = number(0), number(1), number(-np.inf)
    if code == SIGMOID:
        return zero, one, -one, anything
    if code == TANH:
        return one, zero, -one, anything
    return one, zero, zero, zero if code == RELU else anything


@jit_inline
def slope(y, c):
    """f'(z) from y = f(z) and what derivative(code) gave."""
    return where(y > c[3], y * (y * c[2] + c[1]) + c[0], y - y)
