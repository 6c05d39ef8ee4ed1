"""Activations over a row of numbers: of one unit for many samples (batch.py), or of many units for one sample (online.py)."""

from fastmlp.kernels import elementary
from fastmlp.kernels.jit import jit

IDENTITY, SIGMOID, TANH, RELU, SOFTMAX = range(5)
CODES = {"identity": IDENTITY, "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "softmax": SOFTMAX}


@jit
def activate(a, code):
    """a = f(a), in place. Softmax is not here: it needs all units of a sample."""
    if code == SIGMOID:
        for n in range(a.shape[0]):
            a[n] = elementary.sigmoid(a[n])
    elif code == TANH:
        for n in range(a.shape[0]):
            a[n] = elementary.tanh(a[n])
    elif code == RELU:
        zero = a.dtype.type(0)
        for n in range(a.shape[0]):
            a[n] = zero if a[n] < zero else a[n]


@jit
def activate_backward(d, a, code):
    """d = d * f'(z), in place, from the activation a = f(z)."""
    one = a.dtype.type(1)
    if code == SIGMOID:
        for n in range(d.shape[0]):
            d[n] *= a[n] * (one - a[n])
    elif code == TANH:
        for n in range(d.shape[0]):
            d[n] *= one - a[n] * a[n]
    elif code == RELU:
        zero = a.dtype.type(0)
        for n in range(d.shape[0]):
            d[n] = d[n] if a[n] > zero else zero
