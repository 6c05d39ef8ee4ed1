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
from fastmlp.kernels.activations import activate
from fastmlp.kernels.compile import jit, jit_flat, jit_part
from fastmlp.kernels.dropout import EPOCH, Dropout, drop, drops, note_keys_of_lanes
from fastmlp.kernels.ends import LEAST_RATE, PENALTY, STALE, is_penalized, notes_no_progress
from fastmlp.kernels.layers import layer_of
from fastmlp.kernels.output import add_errors, add_losses
from fastmlp.kernels.product import NONE, Grid, by_numbers, by_vectors, nowhere
from fastmlp.kernels.schedules import rate_factor
from fastmlp.kernels.simd import gather, get, lanes_of, load, put, room, store, zeros
from fastmlp.kernels.tiles import Tiles
from fastmlp.kernels.trace import magnitude, square_root, where

MOST_LANES = 64  # of a strip
BLOCK = 32  # samples of a block of a batch
RUNNING, TARGET_LOSS, PATIENCE, DIVERGED, TOL = range(5)
RATE, MOMENTUM_OF, L2 = range(3)  # rows of Lanes.numbers
ENDED, WHY, BEST = range(3)  # rows of Lanes.marks


class Lanes(NamedTuple):
    """What belongs to S networks, and what becomes of them."""

    theta: np.ndarray  # (P, S)
    moments: np.ndarray  # (moments, P, S): as many as the optimizer has, and an average of theta, see optimizers.py
    kept: np.ndarray  # (P, S): of those that have ended, and the best so far where the validation loss decides
    numbers: np.ndarray  # (3, S): learning rate, momentum, l2
    shift: np.ndarray  # (D, S)
    scale: np.ndarray  # (D, S): the networks see (x - shift) * scale
    marks: np.ndarray  # (3, S) int64: epochs at the end, or 0; why; the best epoch by the rows that are held out
    best: np.ndarray  # (1, S) float64: its loss, or its error rate where that decides
    progress: np.ndarray  # (3, S) float64: see ends.py
    seeds: np.ndarray  # (S,) int64: see dropout.py


class LaneData(NamedTuple):
    """Rows as the caller holds them, and in which order they are taken."""

    x: np.ndarray  # (N, D)
    y: np.ndarray  # (N, C), or (N, S * C) if each has its own: K numbers, or a class number that stands for a one-hot row
    weight: np.ndarray  # (N, 1) or (N, S), or (1, 1)
    order: np.ndarray  # (S, E, N), or (1, E, N) if it is the same for all; for one epoch, or each that the call touches
    class_numbers: bool  # whether that is what y holds
    alike: bool  # whether all networks see the same inputs, scaled alike and in the same order


class LaneScratch(NamedTuple):
    """What one worker writes while it works on a block."""

    units: np.ndarray  # (units, B * S): activations of the hidden layers, a row of ones below each if there are biases; the logits
    slopes: np.ndarray  # (units, B * S): the derivatives of those activations
    few: np.ndarray  # (units, S): of one sample, without the ones
    few_slopes: np.ndarray  # (units, S)
    deltas: np.ndarray  # (2 * widest layer, B * S)
    gradient: np.ndarray  # (P, S)
    losses: np.ndarray  # (S,)
    numbers: np.ndarray  # (B, D) of inputs, and a one behind each row if there are biases: of networks that see the same
    dropout: Dropout  # of B * S keys
    tiles: Tiles  # one block
    measured: Tiles  # one block of the rows that are measured


class LaneSizes(NamedTuple):
    """Batches first to last - 1, counted over the epochs; how many rows a batch has; how many steps are done."""

    batch: int
    first: int
    last: int
    steps: int


# -- a block of samples --------------------------------------------------------------------------------------------------------


@jit_part
def take_numbers(numbers, data, strip, lanes, slot, first, count):
    """The inputs of the rows that stand at first, first + 1, ... of the order, for networks that see the same."""
    x, n, width, number, out = data.x, data.order.shape[2], data.x.shape[1], numbers.dtype.type, np.int64(0)
    for at in range(slot * n + first, slot * n + first + count):
        row = np.int64(get(data.order, at)) * width
        for d in range(width):
            put(numbers, out + d, (number(get(x, row + d)) - get(strip.shift, d * lanes)) * get(strip.scale, d * lanes))
        out += numbers.size // BLOCK


@jit_part
def pack_lanes(tiles, data, strip, lanes, slot, first, count, once):
    """The rows that stand at first, first + 1, ... of the order, into tiles: into one, or each into its own.

    Inputs are written once, to the first lane, if so asked; of networks that see the same, into one tile, not at all.
    """
    x, y, weight, order, number = data.x, data.y, data.weight, data.order, tiles.inputs.dtype.type
    n_in, n, own_order, one = x.shape[1], order.shape[2], order.shape[0] > 1, lanes_of(tiles.inputs)
    n_out, rows = tiles.targets.size // tiles.weights.size, tiles.inputs.size // tiles.weights.size
    skipped = once and tiles.lanes > 1
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
        for d in range(0 if skipped else n_in):
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
def _forward(scratch, tiles, theta, layers, lanes, m, alike, dropping):
    """Activations of all hidden layers, their slopes, and the logits of the last, some units being dropped; returns where these
    begin."""
    units, stride, last, unit = scratch.units, tiles.stride, layers.shape[0] - 1, np.int64(0)
    a, at, to = tiles.inputs, np.int64(0), np.int64(0)
    for number in range(last + 1):
        layer = layer_of(layers, number)
        depth, row = layer.n_in + layer.biased, layer.n_out * lanes
        if alike and number == 0:
            z, w = Grid(units, to, lanes, stride), Grid(theta, layer.weights * lanes, row, lanes)
            x = Grid(scratch.numbers, np.int64(0), depth, np.int64(1))
            by_numbers(z, x, w, m, layer.n_out, depth, nowhere(z), theta, NONE)
        else:
            for v in range(0, lanes, lanes_of(theta)):
                z, w = Grid(units, to + v, stride, lanes), Grid(theta, layer.weights * lanes + v, lanes, row)
                by_vectors(z, w, Grid(a, at + v, stride, lanes), layer.n_out, m, depth, nowhere(z), theta, NONE)
        if number < last:
            activate(units, scratch.slopes, to, layer.n_out, stride, m * lanes, layer.activation)
            if dropping:
                drop(units, scratch.slopes, to, layer.n_out, stride, m * lanes, scratch.dropout, number, unit)
            unit += layer.n_out
        a, at = units, to
        to += (layer.n_out + layer.biased) * stride
    return at


@jit_flat
def _backward(scratch, at, theta, layers, lanes, m, more, alike):
    """The gradient of the block, or if more that in addition, from the deltas of the logits."""
    units, deltas, g, stride = scratch.units, scratch.deltas, scratch.gradient, scratch.tiles.stride
    here, below = np.int64(0), deltas.size // 2
    for number in range(layers.shape[0] - 1, -1, -1):
        layer = layer_of(layers, number)
        at -= (layer.n_in + layer.biased) * stride
        dw, dz = Grid(g, layer.weights * lanes, layer.n_out * lanes, lanes), Grid(deltas, here, lanes, stride)
        x, x_at = units, at
        if number == 0:
            x, x_at = scratch.tiles.inputs, np.int64(0)
        start, depth = Grid(g, dw.at if more else NONE, dw.down, lanes), layer.n_in + layer.biased
        if alike and number == 0:
            by_numbers(dw, Grid(scratch.numbers, np.int64(0), np.int64(1), depth), dz, depth, layer.n_out, m, start, theta, NONE)
        else:
            by_vectors(dw, Grid(x, x_at, stride, lanes), dz, depth, layer.n_out, m, start, theta, NONE)
        if number > 0:
            w, dx = Grid(theta, layer.weights * lanes, layer.n_out * lanes, lanes), Grid(deltas, below, stride, lanes)
            dz = Grid(deltas, here, stride, lanes)
            by_vectors(dx, w, dz, layer.n_in, m, layer.n_out, nowhere(dx), scratch.slopes, at)
            here, below = below, here


@jit_part
def _clipped(g, factor, most):
    """The factor in all lanes, or what it takes for the gradients to be no longer: see optimizers.clipped."""
    factors, squares = zeros(g) + factor, zeros(g)
    if most < np.inf:
        for p in range(0, g.size, lanes_of(g)):
            squares += load(g, p) * load(g, p)
        length, longest = square_root(squares) * factor, zeros(g) + g.dtype.type(most)
        factors = where(length > longest, factors * longest / length, factors)
    return factors


@jit_flat
def results(strip, method):
    """Theta, or its average where there is one: what the networks become."""
    return strip.moments[method.moments * strip.theta.size :] if method.average > 0 else strip.theta


@jit_part
def _step(strip, g, layers, method, factor, step, epoch):
    """Moves the parameters down their gradient, g times the factor."""
    theta, moments, numbers, lanes = strip.theta, strip.moments, strip.numbers, lanes_of(strip.theta)
    code, second, number = method.optimizer, strip.theta.size, strip.theta.dtype.type
    averages = method.moments * second
    rate = load(numbers, RATE * lanes) * number(rate_factor(method.schedule, epoch))
    l2 = load(numbers, L2 * lanes)
    f = optimizers.factors(number, rate, load(numbers, MOMENTUM_OF * lanes), method, step)
    l1, part = number(method.l1), number(optimizers.averaging(method.average, step))
    to_mean = _clipped(g, factor, method.clip)
    for k in range(layers.shape[0]):
        layer = layer_of(layers, k)
        end = (layer.weights + layer.n_in * layer.n_out) * lanes
        for p in range(layer.weights * lanes, end + layer.biased * layer.n_out * lanes, lanes):
            w, dw = load(theta, p), load(g, p) * to_mean
            if p < end:
                if method.decoupled:
                    w -= rate * l2 * w
                else:
                    dw += l2 * w
                if l1 > 0:
                    dw += optimizers.signed(l1, load(theta, p))
            if method.moments == 0:
                w = optimizers.step0(code, w, dw, f)
            elif method.moments == 1:
                w, v = optimizers.step1(code, w, load(moments, p), dw, f)
                store(moments, p, v)
            else:
                w, v, s = optimizers.step2(code, w, load(moments, p), load(moments, second + p), dw, f)
                store(moments, p, v)
                store(moments, second + p, s)
            store(theta, p, w)
            if method.average > 0:
                mean = load(moments, averages + p)
                store(moments, averages + p, mean + (w - mean) * part)


# -- epochs --------------------------------------------------------------------------------------------------------------------


@jit_part
def add_to(sums, at, losses, scale):
    """Adds the losses of the lanes to their sums; they begin anew."""
    for lane in range(losses.size):
        sums[at + lane] += np.float64(losses[lane]) * scale
        losses[lane] = 0


@jit_part
def _measure(strip, theta, scratch, held, network, sums, at, errors_at):
    """Adds the losses of the rows that are held out, and unless that is `at`, how many of them are told wrong."""
    tiles, lanes, n = scratch.measured, scratch.losses.size, held.order.shape[2]
    for first in range(0, n, tiles.lanes):
        m = min(tiles.lanes, n - first)
        pack_lanes(tiles, held, strip, lanes, np.int64(0), first, m, False)
        logits = _forward(scratch, tiles, theta, network.layers, lanes, m, False, False)
        z = Grid(scratch.units, logits, tiles.stride, lanes)
        if errors_at > at:
            add_errors(scratch.losses, lanes, z, tiles, np.int64(0), m * lanes, network.layers)
            add_to(sums, errors_at, scratch.losses, 1.0)
        add_losses(scratch.losses, lanes, scratch.deltas, z, tiles, np.int64(0), m * lanes, network)
        add_to(sums, at, scratch.losses, network.loss_scale)


@jit_part
def _keep(strip, theta, lane, lanes):
    for p in range(lane, theta.size, lanes):
        strip.kept[p] = theta[p]


@jit_part
def _end_epoch(strip, theta, epoch, sums, measured, at, decides_at, n, n_held, ends):
    lanes, running, marks = strip.best.size, 0, strip.marks
    for lane in range(lanes):
        if marks[ENDED * lanes + lane] > 0:
            continue
        why, value = RUNNING, 0.0
        loss = sums[at + lane] / n
        if not np.isfinite(loss):
            why = DIVERGED
        elif n_held > 0:
            value = measured[decides_at + lane] / n_held
            if not np.isfinite(measured[at + lane]):
                why = DIVERGED
            elif epoch == 0 or value < strip.best[lane]:
                strip.best[lane] = value
                marks[BEST * lanes + lane] = epoch
                if ends.patience > 0:
                    _keep(strip, theta, lane, lanes)
        if why == RUNNING and loss <= ends.target_loss:
            why = TARGET_LOSS
        if why == RUNNING and 0 < ends.patience <= epoch - marks[BEST * lanes + lane]:
            why = PATIENCE
        penalized, strip.progress[PENALTY * lanes + lane] = loss + strip.progress[PENALTY * lanes + lane], 0
        watched = value if ends.by_measured else penalized
        if why == RUNNING and notes_no_progress(strip.progress, lane, lanes, watched, ends):
            rate = RATE * lanes + lane
            lowers = ends.divisor > 0 and strip.numbers[rate] > LEAST_RATE
            if lowers:
                strip.numbers[rate] /= strip.numbers.dtype.type(ends.divisor)
            if lowers or ends.plateau:
                strip.progress[STALE * lanes + lane] = 0
            else:
                why = TOL
        if why == RUNNING:
            running += 1
            continue
        marks[ENDED * lanes + lane] = epoch + 1
        marks[WHY * lanes + lane] = why
        if ends.patience == 0 or why == DIVERGED:
            _keep(strip, theta, lane, lanes)
    return running


@jit_part
def note_penalties(strip, layers, lanes, method, ends, halves):
    """Adds to what penalties add to the losses of an epoch: see ends.share_of_penalty."""
    if halves == 0 or not is_penalized(method.l1, 0 if method.decoupled else 1, ends):
        return
    for k in range(layers.shape[0]):
        layer = layer_of(layers, k)
        for p in range(layer.weights * lanes, (layer.weights + layer.n_in * layer.n_out) * lanes, lanes):
            for lane in range(lanes):
                w = np.float64(strip.theta[p + lane])
                l2 = 0.0 if method.decoupled else np.float64(strip.numbers[L2 * lanes + lane])
                strip.progress[PENALTY * lanes + lane] += 0.25 * halves * l2 * (w * w) + 0.5 * halves * method.l1 * abs(w)


@jit
def train_lanes_by_batches(strip, scratch, data, held, sums, measured, sizes, network, method, ends):
    """Batches one after the other, each with a step of the method down the gradient of its mean loss.

    sums and measured (E, S) gather the losses of the epochs that the call touches, from that of the first batch on. If measured is
    (2, E, S), its second part gathers how many rows are told wrong, which then decides. It ends early when no network goes on;
    returns how many do.
    """
    layers, tiles, lanes, n = network.layers, scratch.tiles, lanes_of(strip.theta), data.order.shape[2]
    batches = (n + sizes.batch - 1) // sizes.batch
    base, running, zero, dropping = sizes.first // batches, np.int64(1), np.int64(0), drops(scratch.dropout)
    for b in range(sizes.first, sizes.last):
        epoch = b // batches
        slot = min(epoch - base, data.order.shape[1] - 1)
        start = (b - epoch * batches) * sizes.batch
        stop = min(start + sizes.batch, n)
        scratch.dropout.numbers[EPOCH] = epoch
        for at in range(start, stop, tiles.lanes):
            m = min(tiles.lanes, stop - at)
            if data.alike:
                take_numbers(scratch.numbers, data, strip, lanes, slot, at, m)
            pack_lanes(tiles, data, strip, lanes, slot, at, m, data.alike)
            if dropping:
                note_keys_of_lanes(scratch.dropout, strip.seeds, data.order, slot, at, m)
            logits = _forward(scratch, tiles, strip.theta, layers, lanes, m, data.alike, dropping)
            z = Grid(scratch.units, logits, tiles.stride, lanes)
            add_losses(scratch.losses, lanes, scratch.deltas, z, tiles, zero, m * lanes, network)
            _backward(scratch, logits, strip.theta, layers, lanes, m, at > start, data.alike)
        note_penalties(strip, layers, lanes, method, ends, (start == 0) + (stop == n))
        factor = strip.theta.dtype.type(network.loss_scale / (stop - start))
        _step(strip, scratch.gradient, layers, method, factor, sizes.steps + b - sizes.first + 1, epoch)
        add_to(sums, (epoch - base) * lanes, scratch.losses, network.loss_scale)
        if stop == n:
            theta = results(strip, method)
            running = end_of_epoch(strip, theta, scratch, held, sums, measured, epoch, (epoch - base) * lanes, n, network, ends)
            if running == 0:
                break
    return running


@jit_flat
def end_of_epoch(strip, theta, scratch, held, sums, measured, epoch, at, n, network, ends):
    """Measures the rows that are held out, and ends the networks that are to end; returns how many go on."""
    decides_at = at + measured.size - sums.size
    if held.order.shape[2] > 0:
        _measure(strip, theta, scratch, held, network, measured, at, decides_at)
    return _end_epoch(strip, theta, epoch, sums, measured, at, decides_at, n, held.order.shape[2], ends)
