"""Optimizers: a table, whose row is all that there is to know of one. To add one: its function, its row, and its name. Those
without a function have kernels of their own, and see all rows at once: they are called solvers.

The function of an optimizer is that of one parameter: from it, its moments (as many numbers as the optimizer keeps of each), its
gradient g and the factors of the step it gives the parameter and the moments after the step.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit, jit_inline, jit_part
from fastmlp.kernels.schedules import AS_GIVEN, RateSchedule, rate_factor
from fastmlp.kernels.simd import lanes_of, load, store, total, zeros
from fastmlp.kernels.trace import choose, copysign, like, magnitude, square_root, traced, where

# What a type checker knows of the names; a test holds them against the table.
Optimizer = Literal["adam", "adamw", "lbfgs", "levenberg-marquardt", "momentum", "nadam", "nesterov", "rmsprop", "sgd"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of adam and its kin, unless a method says otherwise
RHO = 0.9  # of rmsprop


class Factors(NamedTuple):
    """Those of a step, in the type of the parameters."""

    rate: float
    momentum: float
    rate1: float  # rate / (1 - beta1^step), which makes the first moment unbiased
    rate2: float  # the same of the next step
    unbias: float  # 1 / (1 - beta2^step), of the second moment
    beta1: float
    rest1: float  # 1 - beta1
    beta2: float
    rest2: float
    epsilon: float


@traced
def _sgd(theta, g, f):
    """theta - r g"""
    return theta - f.rate * g


@traced
def _momentum(theta, v, g, f):
    """v = m v - r g, which moves theta."""
    v = f.momentum * v - f.rate * g
    return theta + v, v


@traced
def _nesterov(theta, v, g, f):
    """The same, and theta moves on by m v - r g."""
    v = f.momentum * v - f.rate * g
    return theta + (f.momentum * v - f.rate * g), v


@traced
def _rmsprop(theta, s, g, f):
    """r g, divided by the root of a mean of the squares of g."""
    s = like(g, RHO) * s + like(g, 1 - RHO) * (g * g)
    return theta - f.rate * g / (square_root(s) + like(g, EPSILON)), s


def _moments(v, s, g, f):
    """Running means of g and of its squares."""
    return v * f.beta1 + g * f.rest1, s * f.beta2 + (g * g) * f.rest2


@traced
def _adam(theta, v, s, g, f):
    """r times the mean of g, divided by the root of the mean of its squares, both without the bias of their beginning at 0."""
    v, s = _moments(v, s, g, f)
    return theta - f.rate1 * v / (square_root(s * f.unbias) + f.epsilon), v, s


@traced
def _nadam(theta, v, s, g, f):
    """adam, with the mean of g as it will be after another such g."""
    v, s = _moments(v, s, g, f)
    step = f.rate2 * (v * f.beta1) + f.rate1 * (g * f.rest1)
    return theta - step / (square_root(s * f.unbias) + f.epsilon), v, s


class OptimizerRow(NamedTuple):
    """What there is to know of an optimizer."""

    name: str
    function: Callable[..., Any] | None
    moments: int  # numbers that it keeps of each parameter
    learning_rate: float  # that it has by default, see training
    source: str
    adaptive: bool = False  # whether its steps are about as long as the rate, however steep the loss is
    decoupled: bool = False  # whether l2 takes rate * l2 of a weight itself, and is not in the gradient that the moments see
    iterations: int = 0  # of a solver, by default


TABLE = (
    OptimizerRow("sgd", _sgd, 0, 0.1, ""),
    OptimizerRow("momentum", _momentum, 1, 0.01, "Polyak 1964"),
    OptimizerRow("nesterov", _nesterov, 1, 0.01, "Sutskever et al. 2013, in the form of Bengio et al. 2012"),
    OptimizerRow("rmsprop", _rmsprop, 1, 0.006, "Tieleman and Hinton 2012", adaptive=True),
    OptimizerRow("adam", _adam, 2, 0.006, "Kingma and Ba 2014, algorithm 1", adaptive=True),
    OptimizerRow("adamw", _adam, 2, 0.006, "Loshchilov and Hutter 2019, algorithm 2", adaptive=True, decoupled=True),
    OptimizerRow("nadam", _nadam, 2, 0.006, "Dozat 2016, with a constant beta1", adaptive=True),
    OptimizerRow("lbfgs", None, 0, 1.0, "Nocedal and Wright 2006, chapters 3 and 7", iterations=200),
    OptimizerRow("levenberg-marquardt", None, 0, 1.0, "Madsen, Nielsen and Tingleff 2004, with Moré 1978", iterations=100),
)
OPTIMIZERS: dict[Any, OptimizerRow] = {row.name: row for row in TABLE}
CODES = {row.name: code for code, row in enumerate(TABLE)}
SOLVERS = tuple(row.name for row in TABLE if row.function is None)
SGD = CODES["sgd"]
_BY_MOMENTS = [{CODES[row.name]: row.function for row in TABLE if row.function and row.moments == count} for count in range(3)]


class Method(NamedTuple):
    """A way to go down a gradient, apart from its numbers."""

    optimizer: int
    moments: int
    decoupled: bool
    schedule: RateSchedule = AS_GIVEN
    beta1: float = BETA1  # of two moments: how much of each is kept
    beta2: float = BETA2
    epsilon: float = EPSILON
    l1: float = 0.0  # that is in the loss
    clip: float = np.inf  # the length that no gradient of a loss exceeds
    average: float = 0.0  # of theta: how much of it is kept in each step; 0 if there is none


class Rule(NamedTuple):
    """A method and its numbers."""

    method: Method
    learning_rate: float
    momentum: float
    l2: float


def method_of(name, schedule=AS_GIVEN):
    """The method of an optimizer."""
    return Method(CODES[name], OPTIMIZERS[name].moments, OPTIMIZERS[name].decoupled, schedule)


@traced
def step0(code, theta, g, f):
    """A step of an optimizer that keeps no moments."""
    return choose(code, _BY_MOMENTS[0], theta, g, f)


@traced
def step1(code, theta, v, g, f):
    """A step of an optimizer that keeps one."""
    return choose(code, _BY_MOMENTS[1], theta, v, g, f)


@traced
def step2(code, theta, v, s, g, f):
    """A step of an optimizer that keeps two."""
    return choose(code, _BY_MOMENTS[2], theta, v, s, g, f)


def is_plain(method):
    """Whether it is plain gradient descent: single samples then have kernels of their own."""
    return method.optimizer == SGD and method.l1 == method.average == 0 and method.clip == np.inf


@jit
def l2_of_loss(rule):
    """What of l2 is in the loss: the decay of weights by itself is in none."""
    return 0.0 if rule.method.decoupled else rule.l2


@traced
def signed(strength, w):
    """The strength with the sign of w; of 0 there is none."""
    zero = like(w, 0.0)
    return where(magnitude(w) > zero, copysign(like(w, 1.0) * strength, w), zero)


@jit_inline
def averaging(average, step):
    """How far an average of theta goes towards it in a step, counted from 1: so that it is an exponential one without the bias of
    its beginning, as the first moment of adam is."""
    return (1 - average) / (1 - average**step)


@jit
def clipped(g, factor, most):
    """The factor of a gradient, or what it takes for the product to be no longer than `most` (Pascanu, Mikolov and Bengio 2013)."""
    if most == np.inf:
        return factor
    squares, rest, lanes, i = zeros(g), g.dtype.type(0), lanes_of(g), np.int64(0)
    while i <= g.shape[0] - lanes:
        squares += load(g, i) * load(g, i)
        i += lanes
    while i < g.shape[0]:
        rest += g[i] * g[i]
        i += 1
    length = factor * np.sqrt(np.float64(total(squares) + rest))
    return factor * most / length if length > most else factor


@jit_inline
def factors(number, rate, momentum, method, step):
    """The factors of a step, counted from 1, for a rate and a momentum of the type of the parameters, whose number() it is."""
    beta1, beta2 = method.beta1, method.beta2
    bias1, bias_next, bias2 = 1.0, 1.0, 1.0
    if method.moments == 2:
        bias1, bias_next, bias2 = 1 - beta1**step, 1 - beta1 ** (step + 1), 1 - beta2**step
    rate1, rate2, unbias = rate * number(1 / bias1), rate * number(1 / bias_next), number(1 / bias2)
    kept = number(beta1), number(1 - beta1), number(beta2), number(1 - beta2), number(method.epsilon)
    return Factors(rate, momentum, rate1, rate2, unbias, kept[0], kept[1], kept[2], kept[3], kept[4])


@jit_part
def add_weights(g, theta, layers, strength, low, high):
    """g += strength * W for the weights from place low to high, not the biases."""
    factor = theta.dtype.type(strength)
    for layer in range(layers.shape[0]):
        at = layers[layer, 3]
        first, last = max(at, low), min(layers[layer, 5], high)
        for i in range(first, last):
            g[i] += factor * theta[i]


@jit_part
def _add_signs(g, theta, layers, strength, low, high):
    """g += strength * sign(W), likewise."""
    factor, lanes = theta.dtype.type(strength), lanes_of(theta)
    for layer in range(layers.shape[0]):
        i, last = max(layers[layer, 3], low), min(layers[layer, 5], high)
        while i <= last - lanes:
            store(g, i, load(g, i) + signed(factor, load(theta, i)))
            i += lanes
        while i < last:
            g[i] += signed(factor, theta[i])
            i += 1


@jit_part
def _average(average, theta, part):
    for i in range(theta.shape[0]):
        average[i] += part * (theta[i] - average[i])


@jit_part
def _update(theta, v, s, g, rule, rate, step):
    """One step (counted from 1) down the gradient g, of as many parameters as are given; v and s are their rows of the moments."""
    number, method = theta.dtype.type, rule.method
    code, f = method.optimizer, factors(number, number(rate), number(rule.momentum), method, step)
    if method.moments == 0:
        for i in range(theta.shape[0]):
            theta[i] = step0(code, theta[i], g[i], f)
    elif method.moments == 1:
        for i in range(theta.shape[0]):
            theta[i], v[i] = step1(code, theta[i], v[i], g[i], f)
    else:
        for i in range(theta.shape[0]):
            theta[i], v[i], s[i] = step2(code, theta[i], v[i], s[i], g[i], f)


@jit_part
def move(theta, moments, g, layers, rule, epoch, step, low, high):
    """Moves the parameters low to high - 1 down their gradient g, which l2 / 2 * sum(W^2) and l1 * sum(|W|) may be
    a part of; and their average, if there is one."""
    rate = rule.learning_rate * rate_factor(rule.method.schedule, epoch)
    if rule.l2 > 0 and rule.method.decoupled:
        add_weights(theta, theta, layers, -rate * rule.l2, low, high)
    elif rule.l2 > 0:
        add_weights(g, theta, layers, rule.l2, low, high)
    if rule.method.l1 > 0:
        _add_signs(g, theta, layers, rule.method.l1, low, high)
    _update(theta[low:high], moments[0][low:high], moments[1][low:high], g[low:high], rule, rate, step)
    if rule.method.average > 0:
        _average(moments[2][low:high], theta[low:high], theta.dtype.type(averaging(rule.method.average, step)))
