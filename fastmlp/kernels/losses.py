"""Losses: a table, whose row is all that there is to know of one. To add one: its function, its row, and its name.

The function of a loss is that of one output: it gives the loss and its gradient by the logit z, of the output y = f(z), its
derivative dy = f'(z), the target t, and the parameter of the loss. What a sample costs is the sum over its outputs. One
that a caller brings has no row, and its address for a code: see custom_loss.py.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from fastmlp.kernels import elementary
from fastmlp.kernels.activations import OUTPUTS, output_activation
from fastmlp.kernels.custom_loss import loss_at
from fastmlp.kernels.trace import choose, copysign, like, magnitude, traced, where

# What a type checker knows of the names; a test holds them against the table.
Loss = Literal["absolute_error", "cross_entropy", "cross_entropy_bits", "huber", "poisson", "squared_error"]


@traced
def _cross_entropy(z, t):
    """-t log(y) - (1 - t) log(1 - y) of y = sigmoid(z), by the logit: no log(0) exists."""
    y, rest = elementary.sigmoid_and_softplus(z)
    return (elementary.positive(z) - t * z) + rest, y - t


@traced
def _squared_error(z, y, dy, t, parameter):
    """(y - t)^2 / 2"""
    e = y - t
    return e * e * like(z, 0.5), e * dy


@traced
def _absolute_error(z, y, dy, t, parameter):
    """|y - t|; where that is 0, so is the gradient."""
    e = y - t
    zero = like(z, 0.0)
    return magnitude(e), where(magnitude(e) > zero, copysign(dy, e), zero)


@traced
def _huber(z, y, dy, t, parameter):
    """(y - t)^2 / 2, but beyond |y - t| = d, the parameter, the line d (|y - t| - d / 2) that goes on from there."""
    e = y - t
    d = like(z, 1.0) * parameter
    within = where(magnitude(e) > d, copysign(d, e), e)
    return within * (e - like(z, 0.5) * within), within * dy


@traced
def _poisson(z, y, dy, t, parameter):
    """y - t log(y), of outputs that are nearly e^z where they are small."""
    least = like(z, 1e-30)
    known = y > least
    y_known = where(known, y, least)
    return y - t * where(known, elementary.log(y_known), z), dy - t * where(known, dy / y_known, like(z, 1.0))


class LossRow(NamedTuple):
    """What there is to know of a loss."""

    name: str
    function: Callable[..., Any]
    outputs: tuple[str, ...]  # that it fits
    source: str
    by_logit: bool = False  # whether the function is one of the logit and the target alone; softmax has one of its own
    scale: float = 1.0  # that the loss is multiplied by
    parameter: str | None = None  # the option that is the function's parameter
    targets: tuple[float, float] = (-math.inf, math.inf)  # between which they must lie


TABLE = (
    LossRow("cross_entropy", _cross_entropy, ("sigmoid", "softmax"), "in nats", by_logit=True, targets=(0, 1)),
    LossRow("cross_entropy_bits", _cross_entropy, ("sigmoid", "softmax"), "", by_logit=True, targets=(0, 1), scale=1 / math.log(2)),
    LossRow("squared_error", _squared_error, tuple(OUTPUTS), ""),
    LossRow("absolute_error", _absolute_error, tuple(OUTPUTS), ""),
    LossRow("huber", _huber, tuple(OUTPUTS), "Huber 1964", parameter="huber_delta"),
    LossRow("poisson", _poisson, ("exp", "softplus"), "minus its log likelihood, but for log(t!)", targets=(0, math.inf)),
)
LOSSES: dict[Any, LossRow] = {row.name: row for row in TABLE}
FUNCTIONS = tuple(dict.fromkeys(row.function for row in TABLE))
CODES = {row.name: FUNCTIONS.index(row.function) for row in TABLE}  # rows that differ in their scale have one function
_BY_LOGIT = {CODES[row.name]: row.function for row in TABLE if row.by_logit}
_BY_OUTPUT = {CODES[row.name]: row.function for row in TABLE if not row.by_logit}
CROSS_ENTROPY = CODES["cross_entropy"]
ERROR_RATE = -1  # what is measured of a classifier, see output.py; no loss to train by, as it has no gradient


@traced
def of_output(code, z, y, dy, t, parameter):
    """The loss of an output that is known, and its gradient by the logit."""
    return choose(code, _BY_OUTPUT, z, y, dy, t, parameter)


@traced
def of_logit(code, activation, z, t, parameter):
    """The same by the logit alone, and the code of the output's activation, which is not softmax."""

    def otherwise(z, t):
        return of_output(code, z, *output_activation(activation, z), t, parameter)

    return choose(code, _BY_LOGIT | {None: otherwise}, z, t)


@traced
def by_function(address, activation, z, t, weight):
    """The same of a loss that a caller brings; 0 where the weight is 0."""
    y, dy = output_activation(activation, z)
    loss, gradient = loss_at(address, y, t, weight)
    return loss, gradient * dy


@traced
def of_any_output(code, z, y, dy, t, parameter, weight):
    """The loss of an output that is known, and its gradient by the logit, be it one of ours or of a caller's."""

    def otherwise(z, y, dy, t, parameter):
        loss, gradient = loss_at(code, y, t, weight)
        return loss, gradient * dy

    return choose(code, _BY_OUTPUT | {None: otherwise}, z, y, dy, t, parameter)


@traced
def of_any_logit(code, activation, z, t, parameter, weight):
    """The same by the logit alone, and the code of the output's activation, which is not softmax."""

    def otherwise(z, t):
        return of_any_output(code, z, *output_activation(activation, z), t, parameter, weight)

    return choose(code, _BY_LOGIT | {None: otherwise}, z, t)


def custom_row(name):
    """What there is to know of such a loss, whose code is its address."""
    return LossRow(name, loss_at, tuple(OUTPUTS), "custom_loss.py")
