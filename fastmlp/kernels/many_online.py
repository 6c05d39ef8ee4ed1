"""Many networks at once, with an update from each sample by plain gradient descent: see many_batches.py.

Lanes are networks, those of a wide vector: each update waits for the one before, and several vectors fill the time.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels import activations
from fastmlp.kernels.activations import SOFTMAX
from fastmlp.kernels.compile import jit, jit_flat
from fastmlp.kernels.custom_loss import FIRST_ADDRESS
from fastmlp.kernels.layers import last_layer, layer_of
from fastmlp.kernels.losses import of_logit
from fastmlp.kernels.many_batches import L2, RATE, add_to, end_of_epoch, note_penalties, pack_lanes
from fastmlp.kernels.output import add_losses
from fastmlp.kernels.product import Grid
from fastmlp.kernels.schedules import rate_factor
from fastmlp.kernels.simd import WIDE, lanes_of, load_wide, spread_wide, store, zeros_wide


class LaneInputs(NamedTuple):
    """The inputs of a layer for one sample, one below the other in a flat array; of each the first lane, if it is written once."""

    array: np.ndarray
    at: int
    once: bool


@jit_flat
def _input(inputs, i):
    """What stands so many places below the first, in all lanes."""
    return spread_wide(inputs.array, inputs.at + i) if inputs.once else load_wide(inputs.array, inputs.at + i)


@jit_flat
def _layer_forward(units, slopes, to, inputs, theta, layer, lanes, is_last):
    """Activations of a layer for one sample, and their slopes; of the last layer, the logits."""
    p, row, end = layer.weights * lanes, layer.n_out * lanes, layer.n_in * lanes
    for _ in range(layer.n_out):
        z, q, i = zeros_wide(theta), p, np.int64(0)
        if layer.biased > 0:
            z = load_wide(theta, p + layer.n_in * row)
        while i < end:
            z += load_wide(theta, q) * _input(inputs, i)
            q += row
            i += lanes
        if is_last:
            store(units, to, z)
        else:
            y, slope = activations.hidden_activation(layer.activation, z)
            store(units, to, y)
            store(slopes, to, slope)
        to += lanes
        p += lanes


@jit_flat
def _output(scratch, at, s, network, rate, lanes):
    """Adds the losses of a sample, and makes the deltas of the logits, times the rate."""
    losses, deltas, units, tiles = scratch.losses, scratch.deltas, scratch.few, scratch.tiles
    layer = last_layer(network.layers)
    if layer.activation == SOFTMAX or network.loss >= FIRST_ADDRESS:
        add_losses(losses, lanes, deltas, Grid(units, at, lanes, lanes), tiles, s, lanes, network)
        for k in range(0, layer.n_out * lanes, lanes):
            store(deltas, k, load_wide(deltas, k) * rate)
    else:
        t, w = s * layer.n_out * lanes, load_wide(tiles.weights, s * lanes)
        sums, parameter = load_wide(losses, np.int64(0)), losses.dtype.type(network.loss_parameter)
        for k in range(0, layer.n_out * lanes, lanes):
            z, target = load_wide(units, at + k), load_wide(tiles.targets, t + k)
            e, d = of_logit(network.loss, layer.activation, z, target, parameter)
            sums += w * e
            store(deltas, k, (w * d) * rate)
        store(losses, np.int64(0), sums)


@jit_flat
def _deltas_below(theta, layer, slopes, at, deltas, here, below, lanes):
    """The deltas of a layer's inputs, activations whose slopes begin at `at`, from those of its outputs."""
    p, end, last = layer.weights * lanes, at + layer.n_in * lanes, here + layer.n_out * lanes
    while at < end:
        dx, d = zeros_wide(theta), here
        while d < last:
            dx += load_wide(theta, p) * load_wide(deltas, d)
            p += lanes
            d += lanes
        store(deltas, below, dx * load_wide(slopes, at))
        below += lanes
        at += lanes


@jit_flat
def _move(theta, layer, inputs, deltas, here, keep, lanes):
    """Moves the parameters of a layer by the deltas of its outputs."""
    p, i, end, last = layer.weights * lanes, np.int64(0), layer.n_in * lanes, here + layer.n_out * lanes
    while i < end:
        x, d = _input(inputs, i), here
        while d < last:
            store(theta, p, load_wide(theta, p) * keep - x * load_wide(deltas, d))
            p += lanes
            d += lanes
        i += lanes
    if layer.biased > 0:
        d = here
        while d < last:
            store(theta, p, load_wide(theta, p) - load_wide(deltas, d))
            p += lanes
            d += lanes


@jit
def train_lanes_by_samples(strip, scratch, data, held, sums, measured, sizes, network, method, ends):
    """many_batches.train_lanes_by_batches with an update from each sample; what it counts as batches are blocks of samples."""
    layers, tiles, theta, deltas = network.layers, scratch.tiles, strip.theta, scratch.deltas
    units, slopes, lanes = scratch.few, scratch.few_slopes, WIDE * lanes_of(theta)
    n, top, number = data.order.shape[2], layers.shape[0] - 1, theta.dtype.type
    batches, rows = (n + sizes.batch - 1) // sizes.batch, tiles.inputs.size // tiles.weights.size
    base, running = sizes.first // batches, np.int64(1)
    for b in range(sizes.first, sizes.last):
        epoch = b // batches
        slot = min(epoch - base, data.order.shape[1] - 1)
        start = (b - epoch * batches) * sizes.batch
        stop = min(start + sizes.batch, n)
        if b == sizes.first or batches > 1 or data.order.shape[1] > 1:
            pack_lanes(tiles, data, strip, lanes, slot, start, stop - start, data.alike)
        note_penalties(strip, layers, lanes, method, ends, int(start == 0))
        rate = load_wide(strip.numbers, np.int64(RATE * lanes)) * number(rate_factor(method.schedule, epoch))
        keep = number(1) - rate * load_wide(strip.numbers, np.int64(L2 * lanes))
        rate *= number(network.loss_scale)
        for s in range(stop - start):
            x = LaneInputs(tiles.inputs, s * rows * lanes, data.alike)
            inputs, to = x, np.int64(0)
            for k in range(top + 1):
                layer = layer_of(layers, k)
                _layer_forward(units, slopes, to, inputs, theta, layer, lanes, k == top)
                inputs = LaneInputs(units, to, False)
                to += layer.n_out * lanes
            at = inputs.at
            _output(scratch, at, s, network, rate, lanes)
            here, below = np.int64(0), deltas.size // 2
            for k in range(top, -1, -1):
                layer = layer_of(layers, k)
                at -= layer.n_in * lanes
                inputs = x
                if k > 0:
                    _deltas_below(theta, layer, slopes, at, deltas, here, below, lanes)
                    inputs = LaneInputs(units, at, False)
                _move(theta, layer, inputs, deltas, here, keep, lanes)
                here, below = below, here
        add_to(sums, (epoch - base) * lanes, scratch.losses, network.loss_scale)
        if stop == n:
            note_penalties(strip, layers, lanes, method, ends, 1)
            running = end_of_epoch(strip, theta, scratch, held, sums, measured, epoch, (epoch - base) * lanes, n, network, ends)
            if running == 0:
                break
    return running
