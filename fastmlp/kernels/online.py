"""Stochastic gradient descent on one sample at a time. Lanes are neurons.

Each update waits for the one before, so what counts is the chain of operations that depend on each other, and how few instructions
stand beside it. The parameters are therefore copied to where vectors fit, and back after many samples. The first layer's weights
stand there as they are, its outputs as lanes: z = sum of x[d] w[d]. Those of the others are transposed, their inputs as lanes: each
output is one sum over lanes going forward, and going backward the gradient of the inputs comes as a vector, as the layer below
needs it. Biases are weights of one more input that is always 1. Gradients carry the learning rate from the output on.

D inputs, H units of a layer, K outputs, L layers; theta and the data are as in batch.py.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels import elementary
from fastmlp.kernels.activations import RELU, SIGMOID, SOFTMAX, TANH
from fastmlp.kernels.batch import SQUARED_ERROR, Tiles, block_loss, pack
from fastmlp.kernels.compile import jit, jit_flat, jit_inline
from fastmlp.kernels.dense import strips
from fastmlp.kernels.optimizers import scheduled
from fastmlp.kernels.simd import get, load_eight, put, store, total, where

BLOCK = 256  # samples that are packed, and whose losses are summed, at once
LANES = 8  # sixteen would make small layers wait longer for their sums
# Columns of the plan.
N_IN, N_OUT, ACTIVATION, WEIGHTS, BIASED, WIDTH, PLACES, INPUTS, OUTPUTS, COLUMNS = range(10)


class Scratch(NamedTuple):
    """What is written while samples are worked on: parts of one memory."""

    plan: np.ndarray  # (L, COLUMNS) int64: the table of batch.py; a row's width; where a layer's rows, inputs and outputs begin
    places: np.ndarray  # the parameters, in rows of whole vectors; what is no parameter is 0 and stays so
    units: np.ndarray  # the activations of the hidden layers, behind each its 1 if there are biases; the logits
    deltas: np.ndarray  # the gradients of the units, times the learning rate
    real: np.ndarray  # 1 for a unit, else 0
    ones: np.ndarray  # 1 for the 1 behind a layer, else 0
    logits: np.ndarray  # (K, B): of the samples of a block
    spare: np.ndarray  # (K, B)
    tiles: Tiles  # one block


def memory(layers, dtype, block):
    """(plan, edges, memory): the plan of a Scratch for blocks of so many samples, and its parts, which lie between the edges."""

    def whole(count):
        return -(-count // LANES) * LANES

    table = layers.tolist()
    (first, *_, biased), (_, outputs, *_) = table[0], table[-1]
    plan, places, inputs = [], 0, 0
    real, ones = [], []
    for layer, (n_in, n_out, activation, weights, _) in enumerate(table):
        width = whole(n_out + biased) if layer == 0 else whole(n_in + biased)
        plan.append((n_in, n_out, activation, weights, biased, width, places, inputs, len(real)))
        places += width * (whole(n_in + biased) if layer == 0 else n_out)
        inputs = len(real)
        room = whole(n_out + biased)
        real += [1] * n_out + [0] * (room - n_out)
        ones += [0] * n_out + ([biased] + [0] * LANES)[: room - n_out]
    none = [0] * len(real)
    logits = [0] * (outputs * block)
    tile = [0] * (first * block) + [1] * (biased * block)
    parts = ([0] * places, none, none, real, ones, logits, logits, tile, logits, [0] * block)
    edges = np.cumsum([0] + [len(part) for part in parts])
    return np.array(plan), edges, np.array([number for part in parts for number in part], dtype)


@jit_flat
def _scratch(plan, edges, memory):
    block = edges[10] - edges[9]
    tiles = Tiles(memory[edges[7] : edges[8]], memory[edges[8] : edges[9]], memory[edges[9] : edges[10]], block, block, False)
    return Scratch(
        plan, memory[: edges[1]], memory[edges[1] : edges[2]], memory[edges[2] : edges[3]], memory[edges[3] : edges[4]],
        memory[edges[4] : edges[5]], memory[edges[5] : edges[6]], memory[edges[6] : edges[7]], tiles,
    )  # fmt: skip


@jit
def spread_out(places, plan, theta, back):
    """Copies theta to its places, or back."""
    for layer in range(plan.shape[0]):
        n_out, width = plan[layer, N_OUT], plan[layer, WIDTH]
        for i in range(plan[layer, N_IN] + plan[layer, BIASED]):
            for h in range(n_out):
                at = plan[layer, WEIGHTS] + i * n_out + h
                to = plan[layer, PLACES] + (i * width + h if layer == 0 else h * width + i)
                if back:
                    put(theta, at, get(places, to))
                else:
                    put(places, to, get(theta, at))


@jit_flat
def _activate(units, real, ones, at, z, code):
    """Stores the activations of the units at `at`, from their z."""
    y = z
    if code == SIGMOID:
        y = elementary.sigmoid(z)
    elif code == TANH:
        y = elementary.tanh(z)
    elif code == RELU:
        y = where(z > units.dtype.type(0), z, z - z)
    store(units, at, where(load_eight(real, at) > units.dtype.type(0), y, load_eight(ones, at)))


@jit_flat
def forward(units, x, sample, stride, plan, places, real, ones):
    """All activations, and the logits of the last layer, from the inputs at x[sample], x[sample + stride], ..."""
    last = plan.shape[0] - 1
    h, width = np.int64(0), get(plan, WIDTH)
    end = sample + (get(plan, N_IN) + get(plan, BIASED)) * stride
    while h < width:
        p = h
        z = get(x, sample) * load_eight(places, p)
        d = sample + stride
        while d < end:
            p += width
            z += get(x, d) * load_eight(places, p)
            d += stride
        if last == 0:
            store(units, h, z)
        else:
            _activate(units, real, ones, h, z, get(plan, ACTIVATION))
        h += LANES
    layer = COLUMNS
    while layer <= last * COLUMNS:
        width, p, at = get(plan, layer + WIDTH), get(plan, layer + PLACES), get(plan, layer + INPUTS)
        to = get(plan, layer + OUTPUTS)
        end = to + get(plan, layer + N_OUT)
        while to < end:
            z = load_eight(places, p) * load_eight(units, at)
            d = LANES
            while d < width:
                z += load_eight(places, p + d) * load_eight(units, at + d)
                d += LANES
            put(units, to, total(z))
            p += width
            to += 1
        if layer < last * COLUMNS:
            h, end = get(plan, layer + OUTPUTS), get(plan, layer + COLUMNS + OUTPUTS)
            while h < end:
                _activate(units, real, ones, h, load_eight(units, h), get(plan, layer + ACTIVATION))
                h += LANES
        layer += COLUMNS


@jit_flat
def _backward(scratch, sample, decay):
    """Moves the parameters, from the deltas of the logits."""
    plan, units, deltas, places, x = scratch.plan, scratch.units, scratch.deltas, scratch.places, scratch.tiles.inputs
    stride = scratch.tiles.stride
    one = units.dtype.type(1)
    layer = (plan.shape[0] - 1) * COLUMNS
    while layer > 0:
        width, code, at = get(plan, layer + WIDTH), get(plan, layer - COLUMNS + ACTIVATION), get(plan, layer + INPUTS)
        first = get(plan, layer + OUTPUTS)
        end = first + get(plan, layer + N_OUT)
        d = np.int64(0)
        while d < width:
            a, real = load_eight(units, at + d), load_eight(scratch.real, at + d)
            kept = real * (decay - one) + one
            p = get(plan, layer + PLACES) + d
            w, delta = load_eight(places, p), get(deltas, first)
            gradient = w * delta
            store(places, p, w * kept - a * delta)
            h = first + 1
            while h < end:
                p += width
                w, delta = load_eight(places, p), get(deltas, h)
                gradient += w * delta
                store(places, p, w * kept - a * delta)
                h += 1
            slope = real
            if code == SIGMOID:
                slope = a * (one - a)
            elif code == TANH:
                slope = one - a * a
            elif code == RELU:
                slope = where(a > units.dtype.type(0), real, real - real)
            store(deltas, at + d, gradient * slope)
            d += LANES
        layer -= COLUMNS
    h, width = np.int64(0), get(plan, WIDTH)
    end = sample + get(plan, N_IN) * stride
    while h < width:
        delta = load_eight(deltas, h)
        p, d = h, sample
        while d < end:
            store(places, p, load_eight(places, p) * decay - get(x, d) * delta)
            p += width
            d += stride
        if get(plan, BIASED) > 0:
            store(places, p, load_eight(places, p) - delta)
        h += LANES


@jit_inline
def softmax(z, at, n_out):
    """softmax(z), in place."""
    top, sums = get(z, at), z.dtype.type(0)
    for k in range(at, at + n_out):
        top = where(get(z, k) > top, get(z, k), top)
    for k in range(at, at + n_out):
        e = elementary.exp(get(z, k) - top)
        put(z, k, e)
        sums += e
    for k in range(at, at + n_out):
        put(z, k, get(z, k) / sums)


@jit_flat
def _output_delta(scratch, sample, loss, rate):
    """Notes the logits, and makes the deltas of the output: rate times the gradient of the loss by the logits (see batch.py)."""
    plan, units, targets, stride = scratch.plan, scratch.units, scratch.tiles.targets, scratch.tiles.stride
    last = (plan.shape[0] - 1) * COLUMNS
    at, n_out, code = get(plan, last + OUTPUTS), get(plan, last + N_OUT), get(plan, last + ACTIVATION)
    zero, one = units.dtype.type(0), units.dtype.type(1)
    k = np.int64(0)
    while k < n_out:
        put(scratch.logits, k * stride + sample, get(units, at + k))
        k += 1
    if code == SOFTMAX:
        softmax(units, at, n_out)
    inner = zero
    k = np.int64(0)
    while k < n_out:
        a, slope = get(units, at + k), one
        if code == SIGMOID:
            a = elementary.sigmoid(a)
            if loss == SQUARED_ERROR:
                slope = a * (one - a)
        e = a - get(targets, k * stride + sample)
        inner += a * e
        put(scratch.deltas, at + k, (rate * slope) * e)
        k += 1
    if code == SOFTMAX and loss == SQUARED_ERROR:
        for k in range(n_out):
            a = get(units, at + k)
            put(scratch.deltas, at + k, rate * (a * ((a - get(targets, k * stride + sample)) - inner)))


@jit_flat
def _steps(scratch, layers, loss, scale, rate, decay, count):
    """One update from each of the first samples of the tile; returns the weighted sum of their losses."""
    units, tiles, logits, zero = scratch.units, scratch.tiles, scratch.logits, np.int64(0)
    for sample in range(count):
        forward(units, tiles.inputs, sample, tiles.stride, scratch.plan, scratch.places, scratch.real, scratch.ones)
        _output_delta(scratch, sample, loss, rate * get(tiles.weights, sample))
        _backward(scratch, sample, decay)
    n_out, code = layers[layers.shape[0] - 1, 1], layers[layers.shape[0] - 1, 2]
    m = strips(count, logits)
    return block_loss(scratch.spare, logits, zero, tiles, zero, n_out, m, code, loss) * scale


@jit
def descend(theta, counters, history, plan, edges, memory, data, order, begin, last, network, rule, target):
    """Samples begin to last - 1, counted over the epochs; the rest is as in batch.descend, with batches of one and plain SGD."""
    scratch, scale = _scratch(plan, edges, memory), network.loss_scale
    n = order.shape[1]
    spread_out(scratch.places, plan, theta, False)
    s = begin
    while s < last:
        epoch = s // n
        place, row_of_order = s - epoch * n, min(epoch - begin // n, order.shape[0] - 1)
        count = min(scratch.tiles.lanes, n - place, last - s)
        pack(scratch.tiles, np.int64(0), data, order[row_of_order], place, count)
        now = scheduled(rule, epoch)
        rate, decay = theta.dtype.type(now.learning_rate * scale), theta.dtype.type(1 - now.learning_rate * now.l2)
        history[epoch] += _steps(scratch, network.layers, network.loss, scale, rate, decay, count)
        s += count
        if place + count == n and not target < history[epoch] / n < np.inf:
            break
    counters[1] = s
    spread_out(scratch.places, plan, theta, True)


@jit
def update(theta, plan, edges, memory, x, y, layers, loss, scale, rate):
    """One update from one sample, x (D,) and y (K,) or a class number (1,); returns its loss.

    If x or y is not finite, it does nothing and returns NaN. All arguments are arrays and numbers: taking a tuple apart would last
    longer than the rest.
    """
    scratch, number = _scratch(plan, edges, memory), theta.dtype.type
    inputs, targets, stride = scratch.tiles.inputs, scratch.tiles.targets, scratch.tiles.stride
    n_out, columns = layers[layers.shape[0] - 1, 1], y.shape[0]
    bad = number(0)
    for d in range(x.shape[0]):
        put(inputs, d * stride, get(x, d))
        bad += get(x, d) - get(x, d)
    for k in range(n_out):
        t = get(y, min(k, columns - 1))
        bad += t - t
        if columns < n_out:
            t = number(1) if t == k else number(0)
        put(targets, k * stride, t)
    if bad != number(0):
        return np.nan
    put(scratch.tiles.weights, np.int64(0), number(1))
    spread_out(scratch.places, plan, theta, False)
    value = _steps(scratch, layers, loss, scale, number(rate * scale), number(1), np.int64(1))
    spread_out(scratch.places, plan, theta, True)
    return value
