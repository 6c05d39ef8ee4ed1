"""Update rules over one flat parameter vector, of a gradient of the same shape.

The state is (2, P): the velocity of momentum and nesterov in its first row; Adam's two moments. Each rule is written once, for
numbers and for vectors: of a parameter, what it becomes.
"""

import math
from typing import NamedTuple

from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.simd import square_root

SGD, MOMENTUM, NESTEROV, ADAM = range(4)
CODES = {"sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV, "adam": ADAM}
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
CONSTANT, COSINE, LINEAR = range(3)
SCHEDULES = {"constant": CONSTANT, "cosine": COSINE, "linear": LINEAR}


class Schedule(NamedTuple):
    """How the learning rate changes from epoch to epoch."""

    code: int
    warmup: float  # epochs
    epochs: int
    before: int = 0  # epochs of an earlier training, that this one goes on from: they count for the warmup


AS_GIVEN = Schedule(CONSTANT, 0.0, 1)


class Rule(NamedTuple):
    """An update rule and its numbers."""

    optimizer: int
    learning_rate: float
    momentum: float
    l2: float
    schedule: Schedule = AS_GIVEN


@jit_part
def rate_factor(schedule, epoch):
    """What the learning rate is multiplied by in an epoch, counted from 0: what the schedule gives for its middle.

    It rises linearly from 0 to 1 in the warmup; then it falls to 0, linearly or as half a period of the cosine (Loshchilov and
    Hutter 2017, equation 5, without restarts).
    """
    done = epoch + 0.5
    if schedule.before + done < schedule.warmup:
        return (schedule.before + done) / schedule.warmup
    warmup = max(schedule.warmup - schedule.before, 0.0)  # what is left of it
    part = (done - warmup) / (schedule.epochs - warmup)
    if schedule.code == COSINE:
        return 0.5 * (1.0 + math.cos(math.pi * part))
    return 1.0 - part if schedule.code == LINEAR else 1.0


@jit_part
def scheduled(rule, epoch):
    """The rule, with the learning rate that its schedule gives for an epoch."""
    rate = rule.learning_rate * rate_factor(rule.schedule, epoch)
    return Rule(rule.optimizer, rate, rule.momentum, rule.l2, rule.schedule)


@jit_part
def add_l2(g, theta, layers, l2, low, high):
    """g += l2 * W for the weights from place low to high, not the biases: the gradient of l2 / 2 * sum(W^2)."""
    strength = theta.dtype.type(l2)
    for layer in range(layers.shape[0]):
        at = layers[layer, 3]
        first, last = max(at, low), min(at + layers[layer, 0] * layers[layer, 1], high)
        for i in range(first, last):
            g[i] += strength * theta[i]


@jit_inline
def sgd(theta, g, rate):
    """theta - r g"""
    return theta - rate * g


@jit_inline
def velocity(v, g, rate, momentum):
    """m v - r g, which moves theta. nesterov: Sutskever et al. 2013, in the form of Bengio et al. 2012."""
    return momentum * v - rate * g


class Factors(NamedTuple):
    """Those of a step of Adam, in the type of the parameters."""

    keep1: float
    take1: float
    keep2: float
    take2: float
    rate: float  # of the learning rate: 1 / (1 - beta1^step)
    unbias: float  # 1 / (1 - beta2^step)
    epsilon: float


@jit_inline
def factors(number, step):
    """The factors of a step, counted from 1."""
    return Factors(
        number(BETA1), number(1 - BETA1), number(BETA2), number(1 - BETA2),
        number(1 / (1 - BETA1**step)), number(1 / (1 - BETA2**step)), number(EPSILON),
    )  # fmt: skip


@jit_inline
def adam(theta, v, s, g, rate, f):
    """Kingma and Ba 2014, algorithm 1: theta and both moments, after a step of the rate times f.rate."""
    v = f.keep1 * v + f.take1 * g
    s = f.keep2 * s + f.take2 * (g * g)
    return theta - rate * v / (square_root(s * f.unbias) + f.epsilon), v, s


@jit_part
def update(theta, v, s, g, rule, step):
    """One step (counted from 1) down the gradient g, of as many parameters as are given; v and s are their rows of the state."""
    number = theta.dtype.type
    rate, momentum = number(rule.learning_rate), number(rule.momentum)
    if rule.optimizer == SGD:
        for i in range(theta.shape[0]):
            theta[i] = sgd(theta[i], g[i], rate)
    elif rule.optimizer == MOMENTUM:
        for i in range(theta.shape[0]):
            v[i] = velocity(v[i], g[i], rate, momentum)
            theta[i] += v[i]
    elif rule.optimizer == NESTEROV:
        for i in range(theta.shape[0]):
            v[i] = velocity(v[i], g[i], rate, momentum)
            theta[i] += velocity(v[i], g[i], rate, momentum)
    else:
        f = factors(number, step)
        rate *= f.rate
        for i in range(theta.shape[0]):
            theta[i], v[i], s[i] = adam(theta[i], v[i], s[i], g[i], rate, f)
