"""Update rules over one flat parameter vector, of a gradient of the same shape.

The state is (2, P): the velocity of momentum and nesterov in its first row; Adam's two moments.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.jit import jit_part

SGD, MOMENTUM, NESTEROV, ADAM = range(4)
CODES = {"sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV, "adam": ADAM}
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Rule(NamedTuple):
    """An update rule and its numbers."""

    optimizer: int
    learning_rate: float
    momentum: float
    l2: float


@jit_part
def add_l2(g, theta, layers, l2, low, high):
    """g += l2 * W for the weights from place low to high, not the biases: the gradient of l2 / 2 * sum(W^2)."""
    strength = theta.dtype.type(l2)
    for layer in range(layers.shape[0]):
        at = layers[layer, 3]
        first, last = max(at, low), min(at + layers[layer, 0] * layers[layer, 1], high)
        for i in range(first, last):
            g[i] += strength * theta[i]


@jit_part
def update(theta, v, s, g, rule, step):
    """One step (counted from 1) down the gradient g, of as many parameters as are given; v and s are their rows of the state.

    sgd: theta -= r g. momentum: v = m v - r g, theta += v. nesterov: the same v, theta += m v - r g (Sutskever et al. 2013, in the
    form of Bengio et al. 2012). adam: Kingma and Ba 2014, algorithm 1.
    """
    rate = theta.dtype.type(rule.learning_rate)
    momentum = theta.dtype.type(rule.momentum)
    if rule.optimizer == SGD:
        for i in range(theta.shape[0]):
            theta[i] -= rate * g[i]
    elif rule.optimizer == MOMENTUM:
        for i in range(theta.shape[0]):
            v[i] = momentum * v[i] - rate * g[i]
            theta[i] += v[i]
    elif rule.optimizer == NESTEROV:
        for i in range(theta.shape[0]):
            v[i] = momentum * v[i] - rate * g[i]
            theta[i] += momentum * v[i] - rate * g[i]
    else:
        keep1, keep2 = theta.dtype.type(BETA1), theta.dtype.type(BETA2)
        take1, take2 = theta.dtype.type(1 - BETA1), theta.dtype.type(1 - BETA2)
        rate = theta.dtype.type(rule.learning_rate / (1 - BETA1**step))
        unbias = theta.dtype.type(1 / (1 - BETA2**step))
        epsilon = theta.dtype.type(EPSILON)
        for i in range(theta.shape[0]):
            v[i] = keep1 * v[i] + take1 * g[i]
            s[i] = keep2 * s[i] + take2 * (g[i] * g[i])
            theta[i] -= rate * v[i] / (np.sqrt(s[i] * unbias) + epsilon)
