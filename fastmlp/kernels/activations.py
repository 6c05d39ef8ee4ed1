"""Activations: a table, whose row is all that there is to know of one. To add one: its function, its row, and its name.

The function of a number or a vector z gives f(z) and its derivative f'(z): both are known where z is, on the way forward, and share
what they have in common; the way back multiplies by the derivatives, and does not know of what function they are.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from fastmlp.kernels import elementary
from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.elementary import constants_of
from fastmlp.kernels.simd import lanes_of, load, load_two, store, store_two
from fastmlp.kernels.trace import choose, like, traced, where

# What a type checker knows of the names; a test holds them against the table.
Activation = Literal["elu", "gelu", "gelu_tanh", "identity", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]
Output = Literal["exp", "identity", "sigmoid", "softmax", "softplus"]


@traced
def _identity(z):
    """z"""
    return z, like(z, 1.0)


@traced
def _sigmoid(z):
    """1 / (1 + e^-z)"""
    y = elementary.sigmoid(z)
    return y, y - y * y


@traced
def _tanh(z):
    """(e^z - e^-z) / (e^z + e^-z)"""
    y = elementary.tanh(z)
    return y, like(z, 1.0) - y * y


@traced
def _relu(z):
    """max(z, 0)"""
    c = constants_of(z)
    return elementary.positive(z), where(z > c.zero, c.one, c.zero)


@traced
def _leaky_relu(z):
    """z, and where that is negative a hundredth of it"""
    one, slope = like(z, 1.0), like(z, 0.01)
    return where(z < constants_of(z).zero, slope * z, z), where(z > constants_of(z).zero, one, slope)


@traced
def _elu(z):
    """z, and where that is negative e^z - 1"""
    c = constants_of(z)
    below = elementary.exp_minus_one(-elementary.positive(-z))
    return where(z > c.zero, z, below), below + c.one


@traced
def _softplus(z):
    """log(1 + e^z)"""
    slope, rest = elementary.sigmoid_and_softplus(z)
    return elementary.positive(z) + rest, slope


@traced
def _gelu(z):
    """z P(z), with the standard normal distribution P"""
    below, density = elementary.normal(z)
    return z * below, below + z * density


@traced
def _gelu_tanh(z):
    """z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2"""
    c = constants_of(z)
    root, cubic = like(z, 0.7978845608028654), like(z, 0.044715)
    square = z * z
    square = where(square > like(z, 100.0), like(z, 100.0), square)  # where the tanh is 1, and z^3 must not overflow
    t = elementary.tanh(z * root * (c.one + cubic * square))
    half = c.half * (c.one + t)
    return z * half, half + c.half * z * (c.one - t * t) * root * (c.one + like(z, 3.0) * cubic * square)


@traced
def _silu(z):
    """z / (1 + e^-z)"""
    s = elementary.sigmoid(z)
    y = z * s
    return y, s + y * (like(z, 1.0) - s)


@traced
def _exp(z):
    """e^z"""
    y = elementary.exp(z)
    return y, y


class ActivationRow(NamedTuple):
    """What there is to know of an activation."""

    name: str
    function: Callable[..., Any] | None  # z -> (f(z), f'(z)); None for softmax, which needs all units of a sample
    hidden: bool  # whether hidden layers may have it
    output: Literal["numbers", "probabilities"] | None  # what it makes of the logits, if the output may have it
    source: str


TABLE = (
    ActivationRow("identity", _identity, True, "numbers", ""),
    ActivationRow("sigmoid", _sigmoid, True, "probabilities", ""),
    ActivationRow("tanh", _tanh, True, None, ""),
    ActivationRow("relu", _relu, True, None, "Nair and Hinton 2010"),
    ActivationRow("leaky_relu", _leaky_relu, True, None, "Maas, Hannun and Ng 2013"),
    ActivationRow("elu", _elu, True, None, "Clevert, Unterthiner and Hochreiter 2015"),
    ActivationRow("softplus", _softplus, True, "numbers", "Dugas et al. 2000"),
    ActivationRow("gelu", _gelu, True, None, "Hendrycks and Gimpel 2016"),
    ActivationRow("gelu_tanh", _gelu_tanh, True, None, "Hendrycks and Gimpel 2016, the approximation"),
    ActivationRow("silu", _silu, True, None, "Elfwing, Uchibe and Doya 2017"),
    ActivationRow("exp", _exp, False, "numbers", ""),
    ActivationRow("softmax", None, False, "probabilities", ""),
)
CODES = {row.name: code for code, row in enumerate(TABLE)}
HIDDEN: tuple[Any, ...] = tuple(row.name for row in TABLE if row.hidden)
OUTPUTS: dict[Any, str] = {row.name: row.output for row in TABLE if row.output}
IDENTITY, RELU, SIGMOID, SOFTMAX, TANH = (CODES[name] for name in ("identity", "relu", "sigmoid", "softmax", "tanh"))

_HIDDEN = {CODES[row.name]: row.function for row in TABLE if row.hidden}
_OUTPUT = {CODES[row.name]: row.function for row in TABLE if row.output and row.function}


@traced
def hidden_activation(code, z):
    """(f(z), f'(z)) of a hidden layer."""
    return choose(code, _HIDDEN, z)


@traced
def output_activation(code, z):
    """(f(z), f'(z)) of an output other than softmax."""
    return choose(code, _OUTPUT, z)


@jit_inline
def _activate_pairs(a, slopes, at, rows, stride, m, code):
    """Two vectors at once, as each operation waits for the one before; where their number is odd, the last of them twice."""
    one = lanes_of(a)
    for row in range(at, at + rows * stride, stride):
        last = row + m - one
        for n in range(row, row + m, 2 * one):
            second = min(n + one, last)
            y, slope = hidden_activation(code, load_two(a, n, second))
            store_two(a, n, second, y)
            if slopes is not None:
                store_two(slopes, n, second, slope)


@jit_inline
def _activate(a, slopes, at, rows, stride, m, code):
    for row in range(at, at + rows * stride, stride):
        for n in range(row, row + m, lanes_of(a)):
            y, slope = hidden_activation(code, load(a, n))
            store(a, n, y)
            if slopes is not None:
                store(slopes, n, slope)


@jit_part
def activate(a, slopes, at, rows, stride, m, code):
    """a = f(a) for the first m places of so many rows, and slopes = f'(a), unless there is no such array.

    The most frequent codes are constants of loops of their own: with a choice in the loop 3-5-1 took a tenth more time.
    """
    if code == SIGMOID:
        _activate_pairs(a, slopes, at, rows, stride, m, SIGMOID)
    elif code == RELU:
        _activate(a, slopes, at, rows, stride, m, RELU)
    elif code == TANH:
        _activate_pairs(a, slopes, at, rows, stride, m, TANH)
    else:
        _activate(a, slopes, at, rows, stride, m, code)
