"""Stochastic gradient descent on one sample at a time. Lanes are neurons: each innermost loop runs along the units of a layer.

Each update waits for the one before, and a small layer is a handful of multiplications: what counts is how few instructions stand
around them. So hardly anything is sliced or called; loops count from offsets into flat arrays. The offsets are unsigned, because
Numba asks of each signed index whether it is negative.

D inputs, H units of a layer, K outputs, L layers; theta and the data are as in batch.py.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels import elementary
from fastmlp.kernels.activations import IDENTITY, RELU, SIGMOID, SOFTMAX, activate, activate_backward
from fastmlp.kernels.batch import CROSS_ENTROPY
from fastmlp.kernels.jit import jit, jit_fast, jit_flat

LANES = 8  # activations are computed by whole vectors; what stands beyond a layer's units is never read
WIDE = 16  # outputs; in a narrower layer each is summed by itself. Not tuned finely
ZERO = np.uint64(0)
N_IN, N_OUT, ACTIVATION, WEIGHTS, BIASES, BIASED, INPUTS, OUTPUTS = range(8)


class Scratch(NamedTuple):
    """What is written while a sample is worked on."""

    plan: np.ndarray  # (L, 8) uint64: the table of batch.py, whether there are biases, where a layer's inputs and outputs begin
    units: np.ndarray  # the activations of all layers, inputs first
    deltas: np.ndarray  # their gradients
    target: np.ndarray  # (K,)


def scratch(layers, dtype):
    plan, inputs = [], 0
    for n_in, n_out, activation, weights, biases in layers.tolist():
        outputs = inputs + -(-n_in // LANES) * LANES
        plan.append((n_in, n_out, activation, weights, max(biases, 0), biases >= 0, inputs, outputs))
        inputs = outputs
    units = np.zeros(inputs + -(-n_out // LANES) * LANES, dtype)
    return Scratch(np.array(plan, dtype=np.uint64), units, units.copy(), np.zeros(n_out, dtype))


@jit_fast
def _dot(w, p, d, q, n):
    """The sum of w[p + i] d[q + i] over n places."""
    total = d.dtype.type(0)
    for i in range(n):
        total += w[p + i] * d[q + i]
    return total


@jit_flat
def dense_forward(units, theta, plan):
    """z (H,) = a (D,) @ w + b."""
    n_in, n_out, a, z, w = plan[N_IN], plan[N_OUT], plan[INPUTS], plan[OUTPUTS], plan[WEIGHTS]
    zero = units.dtype.type(0)
    if n_out < WIDE:
        for h in range(n_out):
            total = theta[plan[BIASES] + h] if plan[BIASED] else zero
            p = w + h
            for d in range(n_in):
                total += units[a + d] * theta[p]
                p += n_out
            units[z + h] = total
        return
    for h in range(n_out):
        units[z + h] = theta[plan[BIASES] + h] if plan[BIASED] else zero
    for d in range(n_in):
        x = units[a + d]
        for h in range(n_out):
            units[z + h] += x * theta[w + h]
        w += n_out


@jit_flat
def dense_backward(units, deltas, theta, plan, below, rate, decay):
    """w = decay w - rate a dz and b -= rate dz; before that, dz of the layer below, which has an activation, or is none (-1)."""
    n_in, n_out, a, z, w = plan[N_IN], plan[N_OUT], plan[INPUTS], plan[OUTPUTS], plan[WEIGHTS]
    one, zero = units.dtype.type(1), units.dtype.type(0)
    for d in range(n_in):
        x = units[a + d]
        if below >= 0:
            y = _dot(theta, w, deltas, z, n_out)
            if below == SIGMOID:
                y *= x * (one - x)
            elif below == RELU:
                y = y if x > zero else zero
            elif below != IDENTITY:
                y *= one - x * x
            deltas[a + d] = y
        x *= rate
        for h in range(n_out):
            theta[w + h] = decay * theta[w + h] - x * deltas[z + h]
        w += n_out
    if plan[BIASED]:
        for h in range(n_out):
            theta[plan[BIASES] + h] -= rate * deltas[z + h]


@jit_flat
def _softmax(z):
    """z (K,) = softmax(z), in place; returns the greatest logit, and the sum of e^(z - that)."""
    top, total = z[0], z.dtype.type(0)
    for k in range(1, z.shape[0]):
        top = z[k] if z[k] > top else top
    for k in range(z.shape[0]):
        z[k] = elementary.exp(z[k] - top)
        total += z[k]
    for k in range(z.shape[0]):
        z[k] /= total
    return top, total


@jit
def output_loss(d, z, t, code, loss):
    """The sample's loss, and its gradient by the logits z (K,) into d (K,). The formulas stand in batch.py."""
    zero, one, half = z.dtype.type(0), z.dtype.type(1), z.dtype.type(0.5)
    value, inner = zero, zero
    if loss == CROSS_ENTROPY and code == SIGMOID:
        for k in range(z.shape[0]):
            x, y = z[k], t[k]
            d[k] = elementary.sigmoid(x) - y
            value += ((zero if x < zero else x) - y * x) + elementary.log1p(elementary.exp_negative(x))
    elif loss == CROSS_ENTROPY:
        for k in range(z.shape[0]):
            value -= t[k] * z[k]
        top, total = _softmax(z)
        value = (value + top) + elementary.log1p(total - one)
        for k in range(z.shape[0]):
            d[k] = z[k] - t[k]
    else:
        if code == SOFTMAX:
            _softmax(z)
        else:
            activate(z, ZERO, np.uint64(z.shape[0]), code)
        for k in range(z.shape[0]):
            d[k] = z[k] - t[k]
            value += half * d[k] * d[k]
            inner += z[k] * d[k]
        if code == SOFTMAX:
            for k in range(z.shape[0]):
                d[k] = z[k] * (d[k] - inner)
        else:
            activate_backward(d, z, ZERO, np.uint64(z.shape[0]), code)
    return value


@jit_flat
def _sample_step(theta, scratch, loss, scale, rate, decay):
    """One update from the sample whose inputs stand at the beginning of the units, with its gradient scaled; returns its loss."""
    units, deltas, n_out = scratch.units, scratch.deltas, scratch.target.shape[0]
    last = scratch.plan.shape[0] - 1
    for layer in range(last + 1):
        plan = scratch.plan[layer]
        dense_forward(units, theta, plan)
        if layer < last:
            activate(units, plan[OUTPUTS], scratch.plan[layer + 1, OUTPUTS] - plan[OUTPUTS], plan[ACTIVATION])
    at = scratch.plan[last, OUTPUTS]
    dz = deltas[at:][:n_out]
    value = output_loss(dz, units[at:][:n_out], scratch.target, scratch.plan[last, ACTIVATION], loss)
    for k in range(n_out):
        dz[k] *= scale
    for layer in range(last, -1, -1):
        below = np.int64(scratch.plan[layer - 1, ACTIVATION]) if layer > 0 else np.int64(-1)
        dense_backward(units, deltas, theta, scratch.plan[layer], below, rate, decay)
    return value


@jit_flat
def _load_target(t, y, row):
    """One row of y into t (K,): numbers as they are, or a class number as a one-hot row."""
    for k in range(t.shape[0]):
        if y.shape[1] == t.shape[0]:
            t[k] = y[row, k]
        else:
            t[k] = t.dtype.type(1) if y[row, 0] == k else t.dtype.type(0)


@jit
def descend(theta, counters, history, scratch, data, order, first, last, network, rule, target):
    """Samples first to last - 1, counted over the epochs; the rest is as in batch.descend, with batches of one and plain SGD."""
    rate, scale = theta.dtype.type(rule.learning_rate), theta.dtype.type(network.loss_scale)
    decay = theta.dtype.type(1 - rule.learning_rate * rule.l2)
    n = order.shape[1]
    epoch, place, row_of_order = first // n, first % n, 0
    for s in range(first, last):
        row = order[row_of_order, place]
        for d in range(data.x.shape[1]):
            scratch.units[d] = (data.x[row, d] - data.shift[d]) * data.scale[d]
        _load_target(scratch.target, data.y, row)
        weight = data.weight[row]
        loss = _sample_step(theta, scratch, network.loss, scale * weight, rate, decay)
        history[epoch] += np.float64(loss * weight) * network.loss_scale
        counters[1] = s + 1
        place += 1
        if place == n:
            if not target < history[epoch] / n < np.inf:
                return
            epoch, place, row_of_order = epoch + 1, 0, min(row_of_order + 1, order.shape[0] - 1)


@jit
def update(theta, scratch, x, y, network, rate):
    """One update from the one row of x (1, D) and of y; returns its loss."""
    one = theta.dtype.type(1)
    for d in range(x.shape[1]):
        scratch.units[d] = x[0, d]
    _load_target(scratch.target, y, 0)
    loss = _sample_step(theta, scratch, network.loss, theta.dtype.type(network.loss_scale), rate, one)
    return np.float64(loss) * network.loss_scale
