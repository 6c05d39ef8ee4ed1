"""Stochastic gradient descent on one sample at a time. Lanes are neurons: each innermost loop runs along the units of a layer.

Each update waits for the one before, so that the length of this chain is what counts. The parameters are copied into rows that are
padded to whole vectors, and run along a layer's longer side: along its outputs (one row for each input), or along its inputs (one
row for each output). No loop then has a remainder. The padding stays zero, because a padded unit's activation is 0.

D inputs, H units of a layer, K outputs, L layers; theta, layers and the data are as in batch.py.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels import elementary
from fastmlp.kernels.activations import SIGMOID, SOFTMAX, activate, activate_backward
from fastmlp.kernels.batch import CROSS_ENTROPY
from fastmlp.kernels.jit import jit, jit_fast, jit_flat

LANES = 8
OFF = -1000.0  # the bias of a padded sigmoid unit
# The columns of a plan: for each layer whether its rows run along its inputs, their length, the outputs padded, and where its rows,
# its biases, its inputs and its outputs begin.
ALONG_INPUTS, LENGTH, WIDTH, ROWS_AT, BIASES_AT, INPUTS_AT, OUTPUTS_AT = range(7)


class Scratch(NamedTuple):
    """The padded parameters, and what is written while a sample is worked on."""

    plan: np.ndarray  # (L, 7) int64
    rows: np.ndarray
    biases: np.ndarray  # zero in a network without
    units: np.ndarray  # the activations of all layers, inputs first
    deltas: np.ndarray  # their gradients
    target: np.ndarray  # (K,)


def scratch(layers, dtype):
    plan, rows_at, biases_at, inputs_at = [], 0, 0, 0
    for n_in, n_out in layers[:, :2].tolist():
        along_inputs, width = n_out < n_in, _padded(n_out)
        length = _padded(n_in) if along_inputs else width
        plan.append((along_inputs, length, width, rows_at, biases_at, inputs_at, inputs_at + _padded(n_in)))
        rows_at += length * (n_out if along_inputs else -(-n_in // 4) * 4)
        biases_at += width
        inputs_at += _padded(n_in)
    return Scratch(
        plan=np.array(plan, dtype=np.int64),
        rows=np.zeros(rows_at, dtype),
        biases=np.zeros(biases_at, dtype),
        units=np.zeros(inputs_at + _padded(n_out), dtype),
        deltas=np.zeros(inputs_at + _padded(n_out), dtype),
        target=np.zeros(n_out, dtype),
    )


def _padded(n):
    return -(-n // LANES) * LANES


@jit
def _exchange(theta, scratch, layers, spread):
    """The padded parameters from theta, or theta from them."""
    for layer in range(layers.shape[0]):
        n_in, n_out, weights_at, biases_at = layers[layer, 0], layers[layer, 1], layers[layer, 3], layers[layer, 4]
        plan = scratch.plan[layer]
        step_in, step_out = (1, plan[LENGTH]) if plan[ALONG_INPUTS] else (plan[LENGTH], 1)
        biases = scratch.biases[plan[BIASES_AT] :]
        for d in range(n_in):
            for h in range(n_out):
                p, q = weights_at + d * n_out + h, plan[ROWS_AT] + d * step_in + h * step_out
                if spread:
                    scratch.rows[q] = theta[p]
                else:
                    theta[p] = scratch.rows[q]
        for h in range(n_out):
            if biases_at >= 0 and spread:
                biases[h] = theta[biases_at + h]
            elif biases_at >= 0:
                theta[biases_at + h] = biases[h]
        if layers[layer, 2] == SIGMOID:
            for h in range(n_out, plan[WIDTH]):
                biases[h] = theta.dtype.type(OFF)


@jit_fast
def _dot(a, w):
    total = a.dtype.type(0)
    for i in range(a.shape[0]):
        total += a[i] * w[i]
    return total


@jit
def _add_four(z, b, rows, x0, x1, x2, x3):
    """z = b + x @ w, for four inputs."""
    n = z.shape[0]
    w0, w1, w2, w3 = rows[:n], rows[n : 2 * n], rows[2 * n : 3 * n], rows[3 * n : 4 * n]
    for h in range(n):
        z[h] = b[h] + x0 * w0[h] + x1 * w1[h] + x2 * w2[h] + x3 * w3[h]


@jit
def _descend_four(dz, rows, x0, x1, x2, x3, decay):
    """w = decay w - x dz, for four inputs."""
    n = dz.shape[0]
    w0, w1, w2, w3 = rows[:n], rows[n : 2 * n], rows[2 * n : 3 * n], rows[3 * n : 4 * n]
    for h in range(n):
        y, v0, v1, v2, v3 = dz[h], w0[h], w1[h], w2[h], w3[h]
        w0[h] = decay * v0 - x0 * y
        w1[h] = decay * v1 - x1 * y
        w2[h] = decay * v2 - x2 * y
        w3[h] = decay * v3 - x3 * y


@jit
def _back_through(da, a, w, y, x, decay):
    """da += y w; w = decay w - x a."""
    for d in range(da.shape[0]):
        v = w[d]
        da[d] += y * v
        w[d] = decay * v - x * a[d]


@jit
def _fill(row, value):
    for i in range(row.shape[0]):
        row[i] = value


@jit_flat
def dense_forward(z, a, scratch, plan, n_in, n_out):
    """z (H,) = a (D,) @ w + b, padding included."""
    b = scratch.biases[plan[BIASES_AT] : plan[BIASES_AT] + plan[WIDTH]]
    rows, length = scratch.rows[plan[ROWS_AT] :], plan[LENGTH]
    if plan[ALONG_INPUTS]:
        for h in range(z.shape[0]):
            z[h] = b[h]
        for h in range(n_out):
            z[h] += _dot(a, rows[h * length : (h + 1) * length])
    else:
        for d in range(0, n_in, 4):
            _add_four(z, b if d == 0 else z, rows[d * length :], a[d], a[d + 1], a[d + 2], a[d + 3])


@jit_flat
def dense_backward(da, a, dz, scratch, plan, n_in, n_out, rate, decay, with_input):
    """da (D,) = w @ dz (H,), if asked for, padding included; then w = decay w - rate a dz and b -= rate dz."""
    rows, length = scratch.rows[plan[ROWS_AT] :], plan[LENGTH]
    if plan[ALONG_INPUTS]:
        _fill(da, rate - rate)
        for h in range(n_out):
            _back_through(da, a, rows[h * length : (h + 1) * length], dz[h], rate * dz[h], decay)
    else:
        if with_input:
            for d in range(n_in):
                da[d] = _dot(dz, rows[d * length : (d + 1) * length])
        for d in range(0, n_in, 4):
            _descend_four(
                dz, rows[d * length :], rate * a[d], rate * a[d + 1], rate * a[d + 2], rate * a[d + 3], decay
            )  # fmt: skip


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
            p, softplus = elementary.sigmoid_and_softplus(x)
            value += ((zero if x < zero else x) - y * x) + softplus
            d[k] = p - y
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
            activate(z, code)
        for k in range(z.shape[0]):
            d[k] = z[k] - t[k]
            value += half * d[k] * d[k]
            inner += z[k] * d[k]
        if code == SOFTMAX:
            for k in range(z.shape[0]):
                d[k] = z[k] * (d[k] - inner)
        else:
            activate_backward(d, z, code)
    return value


@jit_flat
def _sample_step(scratch, layers, loss, scale, rate, decay):
    """One update from the sample whose inputs stand at the beginning of the units, with its gradient scaled; returns its loss."""
    last = layers.shape[0] - 1
    for layer in range(last + 1):
        n_in, n_out = layers[layer, 0], layers[layer, 1]
        plan = scratch.plan[layer]
        a = scratch.units[plan[INPUTS_AT] : plan[OUTPUTS_AT]]
        z = scratch.units[plan[OUTPUTS_AT] : plan[OUTPUTS_AT] + plan[WIDTH]]
        dense_forward(z, a, scratch, plan, n_in, n_out)
        if layer < last:
            activate(z, layers[layer, 2])
    at = scratch.plan[last, OUTPUTS_AT]
    dz = scratch.deltas[at : at + layers[last, 1]]
    value = output_loss(dz, scratch.units[at : at + layers[last, 1]], scratch.target, layers[last, 2], loss)
    for k in range(dz.shape[0]):
        dz[k] *= scale
    for layer in range(last, -1, -1):
        plan = scratch.plan[layer]
        a, da = scratch.units[plan[INPUTS_AT] : plan[OUTPUTS_AT]], scratch.deltas[plan[INPUTS_AT] : plan[OUTPUTS_AT]]
        dz = scratch.deltas[plan[OUTPUTS_AT] : plan[OUTPUTS_AT] + plan[WIDTH]]
        dense_backward(da, a, dz, scratch, plan, layers[layer, 0], layers[layer, 1], rate, decay, layer > 0)
        if layer > 0:
            activate_backward(da, a, layers[layer - 1, 2])
        if layers[layer, 4] >= 0:
            b = scratch.biases[plan[BIASES_AT] : plan[BIASES_AT] + plan[WIDTH]]
            for h in range(b.shape[0]):
                b[h] -= rate * dz[h]
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
    layers = network.layers
    rate, scale = theta.dtype.type(rule.learning_rate), theta.dtype.type(network.loss_scale)
    decay = theta.dtype.type(1 - rule.learning_rate * rule.l2)
    n = order.shape[1]
    _exchange(theta, scratch, layers, True)
    for s in range(first, last):
        epoch = s // n
        row = order[min(epoch - first // n, order.shape[0] - 1), s - epoch * n]
        for d in range(data.x.shape[1]):
            scratch.units[d] = (data.x[row, d] - data.shift[d]) * data.scale[d]
        _load_target(scratch.target, data.y, row)
        weight = data.weight[row]
        loss = _sample_step(scratch, layers, network.loss, scale * weight, rate, decay)
        history[epoch] += np.float64(loss * weight) * network.loss_scale
        counters[1] = s + 1
        if s + 1 == (epoch + 1) * n and not target < history[epoch] / n < np.inf:
            break
    _exchange(theta, scratch, layers, False)


@jit
def update(theta, scratch, x, y, network, rate):
    """One update from the one row of x (1, D) and of y; returns its loss."""
    one = theta.dtype.type(1)
    _exchange(theta, scratch, network.layers, True)
    for d in range(x.shape[1]):
        scratch.units[d] = x[0, d]
    _load_target(scratch.target, y, 0)
    loss = _sample_step(scratch, network.layers, network.loss, theta.dtype.type(network.loss_scale), rate, one)
    _exchange(theta, scratch, network.layers, False)
    return np.float64(loss) * network.loss_scale
