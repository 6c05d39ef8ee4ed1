"""Many networks at once. Lanes are networks: a vector holds the same parameter, or the same unit, of as many networks as it has
lanes, and nothing that a network is or does depends on what stands in the other lanes.

A strip is S networks of the same layers: the lanes of one vector where batches are worked on; of a wide one (see simd.py) for
updates from single samples, where each update waits for the one before, and several vectors fill the time.

N samples, D inputs, H units of a layer, K outputs, P parameters, E epochs, B samples of a block. All arrays are flat, lanes last:
a block's rows are units, B * S numbers long and `stride` apart, so that what works on single numbers is that of batch.py.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels import optimizers
from fastmlp.kernels.activations import IDENTITY, SOFTMAX, activate, activate_backward, activation, backward
from fastmlp.kernels.batch import SQUARED_ERROR, Tiles, add_losses, cross_entropy, row_of, squared_error
from fastmlp.kernels.compile import jit, jit_flat, jit_part
from fastmlp.kernels.optimizers import ADAM, MOMENTUM, SGD
from fastmlp.kernels.product import Grid, product
from fastmlp.kernels.simd import (
    WIDE,
    gather,
    get,
    lanes_of,
    load,
    load_wide,
    magnitude,
    put,
    room,
    spread_wide,
    store,
    where,
    zeros_wide,
)

MOST_LANES = 64  # of a strip
RUNNING, TARGET_LOSS, PATIENCE, DIVERGED = range(4)
RATE, MOMENTUM_OF, L2 = range(3)  # rows of Strip.numbers
ENDED, WHY, BEST = range(3)  # rows of Strip.marks


class Strip(NamedTuple):
    """What belongs to S networks, and what becomes of them."""

    theta: np.ndarray  # (P, S)
    state: np.ndarray  # (moments, P, S): as many as the optimizer has, see optimizers.py
    kept: np.ndarray  # (P, S): of those that have ended, and the best so far where the validation loss decides
    numbers: np.ndarray  # (3, S): learning rate, momentum, l2
    shift: np.ndarray  # (D, S)
    scale: np.ndarray  # (D, S): the networks see (x - shift) * scale
    marks: np.ndarray  # (3, S) int64: epochs at the end, or 0; why; the epoch of the best validation loss
    best: np.ndarray  # (1, S) float64: that loss


class Data(NamedTuple):
    """Rows as the caller holds them, and in which order they are taken."""

    x: np.ndarray  # (N, D)
    y: np.ndarray  # (N, C), or (N, S * C) if each has its own: K numbers, or a class number that stands for a one-hot row
    weight: np.ndarray  # (N, 1) or (N, S), or (1, 1)
    order: np.ndarray  # (S, E, N), or (1, E, N) if it is the same for all, int32; for one epoch, or each that the call touches
    class_numbers: bool  # whether that is what y holds
    alike: bool  # whether all networks see the same inputs, scaled alike and in the same order


class Scratch(NamedTuple):
    """What one worker writes while it works on a block."""

    units: np.ndarray  # (units, B * S): activations of the hidden layers, a row of ones below each if there are biases; the logits
    few: np.ndarray  # (units, S): of one sample, without the ones
    deltas: np.ndarray  # (2 * widest layer, B * S)
    gradient: np.ndarray  # (P, S)
    losses: np.ndarray  # (S,)
    tiles: Tiles  # one block
    measured: Tiles  # one block of the rows that are measured


class Limits(NamedTuple):
    """When a network ends, apart from its last epoch."""

    target_loss: float
    patience: int  # 0: the validation loss does not decide


# -- a block of samples --------------------------------------------------------------------------------------------------------


@jit_part
def _pack(tiles, data, strip, lanes, slot, first, count, once):
    """The rows that stand at first, first + 1, ... of the order, into tiles: into one, or each into its own.

    Inputs are written once, to the first lane, if so asked.
    """
    x, y, weight, order, number = data.x, data.y, data.weight, data.order, tiles.inputs.dtype.type
    n_in, n, own_order, one = x.shape[1], order.shape[2], order.shape[0] > 1, lanes_of(tiles.inputs)
    n_out, rows = tiles.targets.size // tiles.weights.size, tiles.inputs.size // tiles.weights.size
    one_hot, columns = data.class_numbers and n_out > 1, 1 if data.class_numbers else n_out
    own_y, own_weight = columns if y.shape[1] > columns else 0, 1 if weight.shape[1] > 1 else 0
    weight_step = weight.shape[1] if weight.shape[0] > 1 else 0
    stride, block, zero, half, unit = tiles.stride, tiles.lanes > 1, number(0), number(0.5), number(1)
    taken = room(order, MOST_LANES)
    inputs, targets, weights = np.int64(0), np.int64(0), np.int64(0)
    for at in range(slot * n + first, slot * n + first + count):
        for lane in range(lanes if own_order or own_y + own_weight > 0 else 1):
            put(taken, lane, get(order, at + (lane * order.shape[1] * n if own_order else 0)))
        row = np.int64(get(taken, 0))
        for d in range(n_in):
            p, q = inputs + d * stride, d * lanes
            if once:
                put(tiles.inputs, p, (number(get(x, row * n_in + d)) - get(strip.shift, q)) * get(strip.scale, q))
            elif own_order:
                for v in range(0, lanes, one):
                    values = gather(tiles.inputs, x, taken, v, n_in, d, 0)
                    store(tiles.inputs, p + v, (values - load(strip.shift, q + v)) * load(strip.scale, q + v))
            else:
                value = number(get(x, row * n_in + d))
                for v in range(0, lanes, one):
                    store(tiles.inputs, p + v, (value - load(strip.shift, q + v)) * load(strip.scale, q + v))
        for k in range(n_out):
            p, column = targets + k * stride, 0 if one_hot else k
            if own_order or own_y > 0:
                for v in range(0, lanes, one):
                    t = gather(tiles.targets, y, taken, v, y.shape[1], v * own_y + column, own_y)
                    store(tiles.targets, p + v, where(magnitude(t - number(k)) > half, zero, unit) if one_hot else t)
            else:
                answer = get(y, row * y.shape[1] + column)
                answer = (unit if answer == number(k) else zero) if one_hot else answer
                for v in range(0, lanes, one):
                    store(tiles.targets, p + v, answer)
        if own_weight > 0 or (own_order and weight_step > 0):
            for v in range(0, lanes, one):
                store(tiles.weights, weights + v, gather(tiles.weights, weight, taken, v, weight_step, v * own_weight, own_weight))
        else:
            for v in range(0, lanes, one):
                store(tiles.weights, weights + v, get(weight, row * weight_step))
        inputs += lanes if block else rows * stride
        targets += lanes if block else n_out * stride
        weights += lanes


@jit_flat
def _forward(units, tiles, theta, layers, lanes, m):
    """Activations of all hidden layers and the logits of the last; returns where these begin."""
    stride, last = tiles.stride, layers.shape[0] - 1
    a, at, to = tiles.inputs, np.int64(0), np.int64(0)
    for layer in range(last + 1):
        n_in, n_out, code, weights, biased = row_of(layers, layer)
        for v in range(0, lanes, lanes_of(theta)):
            z, w = Grid(units, to + v, stride, lanes), Grid(theta, weights * lanes + v, lanes, n_out * lanes)
            product(z, w, Grid(a, at + v, stride, lanes), n_out, m, n_in + biased, False)
        if layer < last:
            activate(units, to, n_out, stride, m * lanes, code)
        a, at = units, to
        to += (n_out + biased) * stride
    return at


@jit_flat
def _backward(scratch, at, theta, layers, lanes, m, more):
    """The gradient of the block, or if more that in addition, from the deltas of the logits."""
    units, deltas, g, stride = scratch.units, scratch.deltas, scratch.gradient, scratch.tiles.stride
    here, below = np.int64(0), deltas.size // 2
    for layer in range(layers.shape[0] - 1, -1, -1):
        n_in, n_out, _, weights, biased = row_of(layers, layer)
        at -= (n_in + biased) * stride
        dw, dz = Grid(g, weights * lanes, n_out * lanes, lanes), Grid(deltas, here, lanes, stride)
        if layer == 0:
            product(dw, Grid(scratch.tiles.inputs, np.int64(0), stride, lanes), dz, n_in + biased, n_out, m, more)
        else:
            product(dw, Grid(units, at, stride, lanes), dz, n_in + biased, n_out, m, more)
            w = Grid(theta, weights * lanes, n_out * lanes, lanes)
            product(Grid(deltas, below, stride, lanes), w, Grid(deltas, here, stride, lanes), n_in, m, n_out, False)
            activate_backward(deltas, below, units, at, n_in, stride, m * lanes, layers[layer - 1, 2])
            here, below = below, here


@jit_part
def _step(strip, g, layers, optimizer, factor, step, rate_factor):
    """Moves the parameters down their gradient, g times the factor."""
    theta, state, numbers, lanes = strip.theta, strip.state, strip.numbers, lanes_of(strip.theta)
    second = state.size // 2
    rate = load(numbers, RATE * lanes) * theta.dtype.type(rate_factor)
    momentum = load(numbers, MOMENTUM_OF * lanes)
    f = optimizers.factors(theta.dtype.type, step)
    if optimizer == ADAM:
        rate *= f.rate
    for layer in range(layers.shape[0]):
        n_in, n_out, _, weights, biased = row_of(layers, layer)
        end = (weights + n_in * n_out) * lanes
        for p in range(weights * lanes, end + biased * n_out * lanes, lanes):
            w, dw = load(theta, p), load(g, p) * factor
            if p < end:
                dw += load(numbers, L2 * lanes) * w
            if optimizer == SGD:
                store(theta, p, optimizers.sgd(w, dw, rate))
            elif optimizer == ADAM:
                w, v, s = optimizers.adam(w, load(state, p), load(state, second + p), dw, rate, f)
                store(theta, p, w)
                store(state, p, v)
                store(state, second + p, s)
            else:
                v = optimizers.velocity(load(state, p), dw, rate, momentum)
                store(state, p, v)
                if optimizer == MOMENTUM:
                    store(theta, p, w + v)
                else:
                    store(theta, p, w + optimizers.velocity(v, dw, rate, momentum))


# -- epochs --------------------------------------------------------------------------------------------------------------------


@jit_part
def _add_to(sums, at, losses, scale):
    for lane in range(losses.size):
        sums[at + lane] += np.float64(losses[lane]) * scale
        losses[lane] = 0


@jit_part
def _measure(strip, scratch, held, network, sums, at):
    """Adds the losses of the rows that are held out."""
    layers, tiles, lanes, loss = network.layers, scratch.measured, scratch.losses.size, network.loss
    n, n_out, code = held.order.shape[2], layers[layers.shape[0] - 1, 1], layers[layers.shape[0] - 1, 2]
    for first in range(0, n, tiles.lanes):
        m = min(tiles.lanes, n - first)
        _pack(tiles, held, strip, lanes, np.int64(0), first, m, False)
        logits = _forward(scratch.units, tiles, strip.theta, layers, lanes, m)
        add_losses(scratch.losses, lanes, scratch.deltas, scratch.units, logits, tiles, np.int64(0), n_out, m * lanes, code, loss)
        _add_to(sums, at, scratch.losses, network.loss_scale)


@jit_part
def _keep(strip, lane, lanes):
    for p in range(lane, strip.theta.size, lanes):
        strip.kept[p] = strip.theta[p]


@jit_part
def _end_epoch(strip, lanes, epoch, sums, measured, at, n, n_held, limits):
    """Ends the networks that are to end; returns how many go on."""
    running, marks = 0, strip.marks
    for lane in range(lanes):
        if marks[ENDED * lanes + lane] > 0:
            continue
        why = RUNNING
        loss = sums[at + lane] / n
        if not np.isfinite(loss):
            why = DIVERGED
        elif n_held > 0:
            value = measured[at + lane] / n_held
            if not np.isfinite(value):
                why = DIVERGED
            elif epoch == 0 or value < strip.best[lane]:
                strip.best[lane] = value
                marks[BEST * lanes + lane] = epoch
                if limits.patience > 0:
                    _keep(strip, lane, lanes)
        if why == RUNNING and loss <= limits.target_loss:
            why = TARGET_LOSS
        if why == RUNNING and 0 < limits.patience <= epoch - marks[BEST * lanes + lane]:
            why = PATIENCE
        if why == RUNNING:
            running += 1
            continue
        marks[ENDED * lanes + lane] = epoch + 1
        marks[WHY * lanes + lane] = why
        if limits.patience == 0 or why == DIVERGED:
            _keep(strip, lane, lanes)
    return running


@jit
def descend(strip, scratch, data, held, sums, measured, sizes, network, method, limits):
    """Batches first to last - 1, counted over the epochs, where sizes is (batch_size, first, last, steps): so many steps are done;
    method is (optimizer, schedule).

    sums and measured (E, S) gather the losses of the epochs that the call touches, from that of the first batch on. It ends early
    when no network goes on; returns how many do.
    """
    batch_size, first, last, step = sizes
    optimizer, schedule = method
    layers, tiles, lanes, loss = network.layers, scratch.tiles, lanes_of(strip.theta), network.loss
    n, n_held = data.order.shape[2], held.order.shape[2]
    n_out, code = layers[layers.shape[0] - 1, 1], layers[layers.shape[0] - 1, 2]
    batches = (n + batch_size - 1) // batch_size
    base, running, zero = first // batches, np.int64(1), np.int64(0)
    for b in range(first, last):
        epoch = b // batches
        slot = min(epoch - base, data.order.shape[1] - 1)
        start = (b - epoch * batches) * batch_size
        stop = min(start + batch_size, n)
        for at in range(start, stop, tiles.lanes):
            m = min(tiles.lanes, stop - at)
            _pack(tiles, data, strip, lanes, slot, at, m, False)
            logits = _forward(scratch.units, tiles, strip.theta, layers, lanes, m)
            add_losses(scratch.losses, lanes, scratch.deltas, scratch.units, logits, tiles, zero, n_out, m * lanes, code, loss)
            _backward(scratch, logits, strip.theta, layers, lanes, m, at > start)
        step += 1
        factor = strip.theta.dtype.type(network.loss_scale / (stop - start))
        _step(strip, scratch.gradient, layers, optimizer, factor, step, optimizers.rate_factor(schedule, epoch))
        _add_to(sums, (epoch - base) * lanes, scratch.losses, network.loss_scale)
        if stop == n:
            running = _end(strip, scratch, held, sums, measured, epoch, base, lanes, n, n_held, network, limits)
            if running == 0:
                break
    return running


@jit_flat
def _end(strip, scratch, held, sums, measured, epoch, base, lanes, n, n_held, network, limits):
    at = (epoch - base) * lanes
    if n_held > 0:
        _measure(strip, scratch, held, network, measured, at)
    return _end_epoch(strip, lanes, epoch, sums, measured, at, n, n_held, limits)


# -- updates from single samples -----------------------------------------------------------------------------------------------


@jit_flat
def _layer_forward(units, to, a, first, once, theta, weights, n_in, n_out, biased, code, lanes):
    """Activations of a layer for one sample, from the inputs that stand one below the other from a[first] on; of each the first
    lane, if it is written once."""
    p, row, end = weights * lanes, n_out * lanes, first + n_in * lanes
    for _ in range(n_out):
        z, q, d = zeros_wide(theta), p, first
        if biased > 0:
            z = load_wide(theta, p + n_in * row)
        while d < end:
            z += load_wide(theta, q) * (spread_wide(a, d) if once else load_wide(a, d))
            q += row
            d += lanes
        store(units, to, activation(z, code))
        to += lanes
        p += lanes


@jit_flat
def _output(losses, deltas, units, at, tiles, s, n_out, code, loss, rate, lanes):
    """Adds the losses of a sample, and makes the deltas of the logits at units[at], times the rate."""
    if code == SOFTMAX:
        add_losses(losses, lanes, deltas, units, at, tiles, s, n_out, lanes, code, loss)
        for k in range(0, n_out * lanes, lanes):
            store(deltas, k, load_wide(deltas, k) * rate)
    else:
        number, t, w = losses.dtype.type, s * n_out * lanes, load_wide(tiles.weights, s * lanes)
        sums = load_wide(losses, np.int64(0))
        for k in range(0, n_out * lanes, lanes):
            z = load_wide(units, at + k)
            if loss == SQUARED_ERROR:
                y = activation(z, code)
                e, d = squared_error(y, load_wide(tiles.targets, t + k), w, number(0.5))
                d = backward(d, y, code, number(1))
            else:
                e, d = cross_entropy(z, load_wide(tiles.targets, t + k), w)
            sums += e
            store(deltas, k, d * rate)
        store(losses, np.int64(0), sums)


@jit_flat
def _deltas_below(theta, weights, units, at, deltas, here, below, n_in, n_out, code, lanes):
    """The deltas of a layer's inputs, activations of that code at units[at], from those of its outputs."""
    p, end, last, one = weights * lanes, at + n_in * lanes, here + n_out * lanes, theta.dtype.type(1)
    while at < end:
        dx, d = zeros_wide(theta), here
        while d < last:
            dx += load_wide(theta, p) * load_wide(deltas, d)
            p += lanes
            d += lanes
        store(deltas, below, backward(dx, load_wide(units, at), code, one))
        below += lanes
        at += lanes


@jit_flat
def _move(theta, weights, a, first, once, deltas, here, n_in, n_out, biased, keep, lanes):
    """Moves the parameters of a layer by the deltas of its outputs."""
    p, end, last = weights * lanes, first + n_in * lanes, here + n_out * lanes
    while first < end:
        x, d = spread_wide(a, first) if once else load_wide(a, first), here
        while d < last:
            store(theta, p, load_wide(theta, p) * keep - x * load_wide(deltas, d))
            p += lanes
            d += lanes
        first += lanes
    if biased > 0:
        d = here
        while d < last:
            store(theta, p, load_wide(theta, p) - load_wide(deltas, d))
            p += lanes
            d += lanes


@jit
def descend_online(strip, scratch, data, held, sums, measured, sizes, network, method, limits):
    """descend with an update from each sample by plain gradient descent; what it counts as batches are blocks of samples."""
    batch_size, first, last, _ = sizes
    _, schedule = method
    layers, tiles, theta = network.layers, scratch.tiles, strip.theta
    units, deltas, lanes = scratch.few, scratch.deltas, WIDE * lanes_of(theta)
    n, n_held = data.order.shape[2], held.order.shape[2]
    top = layers.shape[0] - 1
    batches = (n + batch_size - 1) // batch_size
    base, running = first // batches, np.int64(1)
    one, rows = theta.dtype.type(1), tiles.inputs.size // tiles.weights.size
    for b in range(first, last):
        epoch = b // batches
        slot = min(epoch - base, data.order.shape[1] - 1)
        start = (b - epoch * batches) * batch_size
        stop = min(start + batch_size, n)
        if b == first or batches > 1 or data.order.shape[1] > 1:
            _pack(tiles, data, strip, lanes, slot, start, stop - start, data.alike)
        rate = load_wide(strip.numbers, np.int64(RATE * lanes)) * theta.dtype.type(optimizers.rate_factor(schedule, epoch))
        keep = one - rate * load_wide(strip.numbers, np.int64(L2 * lanes))
        rate *= theta.dtype.type(network.loss_scale)
        for s in range(stop - start):
            x = s * rows * lanes
            a, at, to = tiles.inputs, x, np.int64(0)
            for layer in range(top + 1):
                n_in, n_out, code, weights, biased = row_of(layers, layer)
                if layer == top:
                    code = np.int64(IDENTITY)
                once = data.alike and layer == 0
                _layer_forward(units, to, a, at, once, theta, weights, n_in, n_out, biased, code, lanes)
                a, at = units, to
                to += n_out * lanes
            _output(scratch.losses, deltas, units, at, tiles, s, layers[top, 1], layers[top, 2], network.loss, rate, lanes)
            here, below = np.int64(0), deltas.size // 2
            for layer in range(top, -1, -1):
                n_in, n_out, _, weights, biased = row_of(layers, layer)
                at -= n_in * lanes
                if layer > 0:
                    code = layers[layer - 1, 2]
                    _deltas_below(theta, weights, units, at, deltas, here, below, n_in, n_out, code, lanes)
                else:
                    a, at = tiles.inputs, x
                once = data.alike and layer == 0
                _move(theta, weights, a, at, once, deltas, here, n_in, n_out, biased, keep, lanes)
                here, below = below, here
        _add_to(sums, (epoch - base) * lanes, scratch.losses, network.loss_scale)
        if stop == n:
            running = _end(strip, scratch, held, sums, measured, epoch, base, lanes, n, n_held, network, limits)
            if running == 0:
                break
    return running
