"""Activations over a run of numbers: of one unit for many samples (batch.py), or of many units for one sample (online.py)."""

from fastmlp.kernels import elementary
from fastmlp.kernels.jit import jit

IDENTITY, SIGMOID, TANH, RELU, SOFTMAX = range(5)
CODES = {"identity": IDENTITY, "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "softmax": SOFTMAX}


@jit
def activate(a, first, count, code):
    """a[first + i] = f(a[first + i]) for count places; both are unsigned. Softmax is not here: it needs all units of a sample."""
    if code == SIGMOID:
        for i in range(count):
            a[first + i] = elementary.sigmoid(a[first + i])
    elif code == TANH:
        for i in range(count):
            a[first + i] = elementary.tanh(a[first + i])
    elif code == RELU:
        zero = a.dtype.type(0)
        for i in range(count):
            a[first + i] = zero if a[first + i] < zero else a[first + i]


@jit
def activate_backward(d, a, first, count, code):
    """d = d * f'(z) for the same places of d and a, in place, from the activation a = f(z)."""
    one = a.dtype.type(1)
    if code == SIGMOID:
        for i in range(count):
            d[first + i] *= a[first + i] * (one - a[first + i])
    elif code == TANH:
        for i in range(count):
            d[first + i] *= one - a[first + i] * a[first + i]
    elif code == RELU:
        zero = a.dtype.type(0)
        for i in range(count):
            d[first + i] = d[first + i] if a[first + i] > zero else zero
