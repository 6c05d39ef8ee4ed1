"""Activations as other languages write them: a table, with a row for each of kernels/activations.py. Softmax needs all units of a
row, and is written by each format itself."""

from __future__ import annotations

from typing import NamedTuple


class Spelling(NamedTuple):
    """f(z): in C, of a double; and in NumPy, of an array."""

    c: str
    numpy: str


SPELLINGS = {
    "identity": Spelling("z", "z"),
    "sigmoid": Spelling("1 / (1 + exp(-z))", "0.5 * (1 + np.tanh(0.5 * z))"),
    "tanh": Spelling("tanh(z)", "np.tanh(z)"),
    "relu": Spelling("z > 0 ? z : 0", "np.maximum(z, 0)"),
    "leaky_relu": Spelling("z < 0 ? 0.01 * z : z", "np.where(z < 0, 0.01 * z, z)"),
    "elu": Spelling("z > 0 ? z : expm1(z)", "np.where(z > 0, z, np.expm1(np.minimum(z, 0)))"),
    "softplus": Spelling("(z > 0 ? z : 0) + log1p(exp(-fabs(z)))", "np.logaddexp(0, z)"),
    "gelu": Spelling(
        "0.5 * z * erfc(-0.7071067811865476 * z)", "0.5 * z * np.vectorize(math.erfc, [z.dtype])(-0.7071067811865476 * z)"
    ),
    "gelu_tanh": Spelling(
        "0.5 * z * (1 + tanh(0.7978845608028654 * z * (1 + 0.044715 * (z * z < 100.0 ? z * z : 100.0))))",
        "0.5 * z * (1 + np.tanh(0.7978845608028654 * z * (1 + 0.044715 * np.minimum(z * z, 100))))",
    ),
    "silu": Spelling("z / (1 + exp(-z))", "0.5 * z * (1 + np.tanh(0.5 * z))"),
    "exp": Spelling("exp(z)", "np.exp(z)"),
}
