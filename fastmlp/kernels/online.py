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

from fastmlp.kernels import activations, elementary
from fastmlp.kernels.activations import SOFTMAX
from fastmlp.kernels.compile import jit, jit_flat, jit_inline
from fastmlp.kernels.ends import is_penalized, is_stuck, share_of_penalty
from fastmlp.kernels.layers import Network
from fastmlp.kernels.losses import CROSS_ENTROPY, of_any_logit, of_any_output
from fastmlp.kernels.output import block_loss
from fastmlp.kernels.product import Grid
from fastmlp.kernels.schedules import rate_factor
from fastmlp.kernels.simd import get, lanes_of, load_eight, put, store, total
from fastmlp.kernels.tiles import Tiles, pack, strips
from fastmlp.kernels.trace import like, traced, where

BLOCK = 256  # samples that are packed, and whose losses are summed, at once
LANES = 8  # sixteen would make small layers wait longer for their sums
# Columns of the plan.
N_IN, N_OUT, ACTIVATION, WEIGHTS, BIASED, WIDTH, PLACES, INPUTS, OUTPUTS, COLUMNS = range(10)


class OnlineScratch(NamedTuple):
    """What is written while samples are worked on: parts of one memory."""

    plan: np.ndarray  # (L, COLUMNS) int64: the table of layers.py; a row's width; where a layer's rows, inputs and outputs begin
    places: np.ndarray  # the parameters, in rows of whole vectors; what is no parameter is 0 and stays so
    units: np.ndarray  # the activations of the hidden layers, behind each its 1 if there are biases; the logits
    slopes: np.ndarray  # the derivatives of those activations
    deltas: np.ndarray  # the gradients of the units, times the learning rate
    real: np.ndarray  # 1 for a unit, else 0
    ones: np.ndarray  # 1 for the 1 behind a layer, else 0
    logits: np.ndarray  # (K, B): of the samples of a block
    spare: np.ndarray  # (K, B)
    tiles: Tiles  # one block


class OnlineMemory(NamedTuple):
    """All that is written while samples are worked on."""

    plan: np.ndarray  # see OnlineScratch
    edges: np.ndarray  # int64: where in the memory its other parts begin and end
    memory: np.ndarray


def online_memory(layers, dtype, block):
    """That for blocks of so many samples."""

    def whole(count):
        return -(-count // LANES) * LANES

    table = layers.tolist()
    (first, _, _, _, biased, *_), (_, outputs, *_) = table[0], table[-1]
    plan, places, inputs = [], 0, 0
    real, ones = [], []
    for layer, (n_in, n_out, activation, weights, *_) in enumerate(table):
        width = whole(n_out + biased) if layer == 0 else whole(n_in + biased)
        plan.append((n_in, n_out, activation, weights, biased, width, places, inputs, len(real)))
        places += width * (whole(n_in + biased) if layer == 0 else n_out)
        inputs = len(real)
        room = whole(n_out + biased)
        real += [1] * n_out + [0] * (room - n_out)
        ones += [0] * n_out + ([biased] + [0] * LANES)[: room - n_out]
    units, logits, tile = len(real), outputs * block, (first + biased) * block
    edges = np.cumsum([0, places, units, units, units, units, units, logits, logits, tile, logits, block])
    memory = np.zeros(edges[-1], dtype)
    memory[edges[4] : edges[5]], memory[edges[5] : edges[6]] = real, ones
    memory[edges[9] - biased * block : edges[9]] = 1
    return OnlineMemory(np.array(plan), edges, memory)


@jit_flat
def _scratch(plan, edges, memory):
    block = edges[11] - edges[10]
    tiles = Tiles(memory[edges[8] : edges[9]], memory[edges[9] : edges[10]], memory[edges[10] : edges[11]], block, block, False)
    return OnlineScratch(
        plan, memory[: edges[1]], memory[edges[1] : edges[2]], memory[edges[2] : edges[3]], memory[edges[3] : edges[4]],
        memory[edges[4] : edges[5]], memory[edges[5] : edges[6]], memory[edges[6] : edges[7]], memory[edges[7] : edges[8]], tiles,
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


@jit_inline
def _activate(units, slopes, real, ones, at, z, code):
    """Stores the activations of the units at `at`, from their z, and their slopes if there is an array for them."""
    zero = units.dtype.type(0)
    y, slope = activations.hidden_activation(code, z)
    is_real = load_eight(real, at) > zero
    store(units, at, where(is_real, y, load_eight(ones, at)))
    if slopes is not None:
        store(slopes, at, where(is_real, slope, zero))


@jit_flat
def forward(units, slopes, x, sample, stride, plan, places, real, ones):
    """All activations, their slopes if there is room, and the logits, from the inputs x[sample], x[sample + stride], ..."""
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
            _activate(units, slopes, real, ones, h, z, get(plan, ACTIVATION))
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
                _activate(units, slopes, real, ones, h, load_eight(units, h), get(plan, layer + ACTIVATION))
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
        width, at = get(plan, layer + WIDTH), get(plan, layer + INPUTS)
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
            store(deltas, at + d, gradient * load_eight(scratch.slopes, at + d))
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
def softmax_of_units(z, at, n_out):
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


@traced
def _delta_of_logit(loss, code, z, t, parameter, weight):
    return of_any_logit(loss, code, z, t, parameter, weight)[1]


@traced
def _delta_of_probability(loss, p, t, parameter, weight):
    return of_any_output(loss, p, p, like(p, 1.0), t, parameter, weight)[1]


@jit_flat
def _output_deltas(scratch, sample, loss, parameter, rate):
    """Notes the logits, and makes the deltas of the output: rate times the gradient of the loss by the logits."""
    plan, units, deltas = scratch.plan, scratch.units, scratch.deltas
    targets, stride = scratch.tiles.targets, scratch.tiles.stride
    last = (plan.shape[0] - 1) * COLUMNS
    at, n_out, code = get(plan, last + OUTPUTS), get(plan, last + N_OUT), get(plan, last + ACTIVATION)
    if code == SOFTMAX:
        for k in range(n_out):
            put(scratch.logits, k * stride + sample, get(units, at + k))
        softmax_of_units(units, at, n_out)
        inner = units.dtype.type(0)
        for k in range(n_out):
            p, t = get(units, at + k), get(targets, k * stride + sample)
            gradient = p - t
            if loss != CROSS_ENTROPY:
                gradient = _delta_of_probability(loss, p, t, parameter, rate)
                inner += p * gradient
            put(deltas, at + k, rate * gradient)
        if loss != CROSS_ENTROPY:
            for k in range(n_out):
                put(deltas, at + k, get(units, at + k) * (get(deltas, at + k) - rate * inner))
        return
    k = np.int64(0)
    while k < n_out:
        z, t = get(units, at + k), get(targets, k * stride + sample)
        put(scratch.logits, k * stride + sample, z)
        put(deltas, at + k, rate * _delta_of_logit(loss, code, z, t, parameter, rate))
        k += 1


@jit_flat
def _steps(scratch, network, rate, decay, count):
    """One update from each of the first samples of the tile; returns the weighted sum of their losses."""
    units, tiles, logits, zero = scratch.units, scratch.tiles, scratch.logits, np.int64(0)
    parameter = units.dtype.type(network.loss_parameter)
    for sample in range(count):
        forward(units, scratch.slopes, tiles.inputs, sample, tiles.stride, scratch.plan, scratch.places, scratch.real, scratch.ones)
        _output_deltas(scratch, sample, network.loss, parameter, rate * get(tiles.weights, sample))
        _backward(scratch, sample, decay)
    z = Grid(logits, zero, tiles.stride, lanes_of(logits))
    return block_loss(scratch.spare, z, tiles, zero, strips(count, logits), network) * network.loss_scale


@jit
def train_by_samples(state, work, data, order, first, last, network, rule, ends):
    """Samples first to last - 1, counted over the epochs, each with an update by plain gradient descent; the rest is as in
    batch.train_by_batches."""
    theta, history, scratch = state.theta, state.history, _scratch(work.plan, work.edges, work.memory)
    n, penalized = order.shape[1], is_penalized(0.0, rule.l2, ends)
    spread_out(scratch.places, work.plan, theta, False)
    s = first
    while s < last:
        epoch = s // n
        place, row_of_order = s - epoch * n, min(epoch - first // n, order.shape[0] - 1)
        count = min(scratch.tiles.lanes, n - place, last - s)
        pack(scratch.tiles, np.int64(0), data, order[row_of_order], place, count)
        if penalized and place == 0:
            state.penalties[epoch] += share_of_penalty(theta, network.layers, 0.0, rule.l2, 0, 0, n)
        now = rule.learning_rate * rate_factor(rule.method.schedule, epoch)
        rate, decay = theta.dtype.type(now * network.loss_scale), theta.dtype.type(1 - now * rule.l2)
        history[epoch] += _steps(scratch, network, rate, decay, count)
        s += count
        if place + count == n:
            if penalized:
                spread_out(scratch.places, work.plan, theta, True)
                state.penalties[epoch] += share_of_penalty(theta, network.layers, 0.0, rule.l2, n, n, n)
            loss = history[epoch] / n
            if is_stuck(state.progress, 0, 1, loss + state.penalties[epoch], ends) or not ends.target_loss < loss < np.inf:
                break
    state.counters[1] = s
    spread_out(scratch.places, work.plan, theta, True)


@jit_flat
def _one_step(scratch, x, y, layers, loss, numbers, rate):
    """One update from one sample, x (D,) and y (K,) or a class number (1,); returns its loss. If x or y is not finite, it does
    nothing and returns NaN."""
    number, network = scratch.units.dtype.type, Network(layers, loss, numbers[0], numbers[1])
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
    return _steps(scratch, network, number(rate * network.loss_scale), number(1), np.int64(1))


@jit
def update_once(theta, plan, edges, memory, x, y, layers, loss, numbers, rate):
    """One update of theta. numbers (2,) are the scale and the parameter of the loss. All arguments are arrays and numbers: taking a
    tuple apart would last longer than the rest."""
    scratch = _scratch(plan, edges, memory)
    spread_out(scratch.places, plan, theta, False)
    value = _one_step(scratch, x, y, layers, loss, numbers, rate)
    spread_out(scratch.places, plan, theta, True)
    return value


@jit
def update_places(plan, edges, memory, x, y, layers, loss, numbers, rate):
    """The same for parameters that are held in their places."""
    return _one_step(_scratch(plan, edges, memory), x, y, layers, loss, numbers, rate)
