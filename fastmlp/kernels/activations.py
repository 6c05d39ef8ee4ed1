"""Activations and their derivatives, side by side, over rows of samples."""

from fastmlp.kernels import elementary
from fastmlp.kernels.jit import jit_part
from fastmlp.kernels.simd import lanes_of, load, store, where, zeros

IDENTITY, SIGMOID, TANH, RELU, SOFTMAX = range(5)
CODES = {"identity": IDENTITY, "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "softmax": SOFTMAX}


@jit_part
def activate(a, at, rows, stride, m, code):
    """a = f(a) for the first m places of so many rows. Softmax is not here: it needs all units of a sample."""
    one = lanes_of(a)
    for row in range(at, at + rows * stride, stride):
        if code == SIGMOID:
            for n in range(row, row + m, one):
                store(a, n, elementary.sigmoid(load(a, n)))
        elif code == TANH:
            for n in range(row, row + m, one):
                store(a, n, elementary.tanh(load(a, n)))
        elif code == RELU:
            for n in range(row, row + m, one):
                x = load(a, n)
                store(a, n, where(x > zeros(a), x, zeros(a)))


@jit_part
def activate_backward(d, to, a, at, rows, stride, m, code):
    """d = d * f'(z) for the same places of d and a, in place, from the activation a = f(z)."""
    lanes = lanes_of(a)
    one = a.dtype.type(1)
    for row in range(0, rows * stride, stride):
        x, y = to + row, at + row
        if code == SIGMOID:
            for n in range(0, m, lanes):
                f = load(a, y + n)
                store(d, x + n, load(d, x + n) * (f * (one - f)))
        elif code == TANH:
            for n in range(0, m, lanes):
                f = load(a, y + n)
                store(d, x + n, load(d, x + n) * (one - f * f))
        elif code == RELU:
            for n in range(0, m, lanes):
                store(d, x + n, where(load(a, y + n) > zeros(a), load(d, x + n), zeros(a)))
