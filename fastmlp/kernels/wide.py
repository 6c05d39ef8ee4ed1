"""Forward and backward over chunks of samples where hidden layers are wide. Lanes are units: a vector holds units of one sample,
and what it is multiplied by is a number of that sample, or of another unit.

Rows of inputs are taken as the caller holds them. In theta, rows of weights are whole vectors, S numbers long: those of all units
of a layer for one input, and of the last layer those of all inputs for one output. What stands past the last of them is 0, in the
gradient, too. So only the weights of layers in between are ever transposed, and the logits, whose losses are counted with samples
as lanes.

N samples, D inputs, H units of a layer, K outputs, B samples of a chunk, of which the first m are in use.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.activations import activate
from fastmlp.kernels.compile import jit, jit_flat, jit_inline, jit_part
from fastmlp.kernels.dropout import drop_wide, drops, note_keys
from fastmlp.kernels.layers import last_layer, layer_of
from fastmlp.kernels.output import block_loss
from fastmlp.kernels.product import NONE, Grid, add_dots, by_numbers, nowhere
from fastmlp.kernels.simd import get, lanes_of, load, put, store, zeros
from fastmlp.kernels.tiles import pack_targets, strips

ONE, NO = np.int64(1), np.int64(0)  # as plain literals they would be types of their own, and what takes them be compiled once more
ROWS = np.int64(32)  # at most that go through all layers at once: what they need of units stays in the first-level cache


class WideScratch(NamedTuple):
    """What one worker writes while it works on a chunk, flat."""

    inputs: np.ndarray  # (B, D)
    units: np.ndarray  # (B, S) activations of each hidden layer, one layer after the other
    slopes: np.ndarray  # the derivatives of those activations
    deltas: np.ndarray  # the derivatives of the loss by what the activations are of, dz
    outputs: np.ndarray  # (B, K) logits, then dz of the output
    turned: np.ndarray  # (H, S of the layer below) the weights of each layer between the first and the last, transposed
    logits: np.ndarray  # (2, K, lanes): of some samples, and their gradient
    rows: int  # B
    block: int  # of them that go through all layers at once


# -- parameters ----------------------------------------------------------------------------------------------------------------


@jit
def hold(held, values, layers, wide_layers, back):
    """Copies values (R, P), numbers for each parameter, to where they stand by the table of wide layers; or back."""
    last = layers.shape[0] - 1
    for number in range(layers.shape[0]):
        layer, wide = layer_of(layers, number), layer_of(wide_layers, number)
        down, along = (ONE, wide.stride) if number == last else (wide.stride, ONE)
        for row in range(values.shape[0]):
            p, q = row * values.shape[1] + layer.weights, row * held.shape[1]
            for i in range(layer.n_in):
                _copy(held, q + wide.weights + i * down, along, values, p, layer.n_out, back)
                p += layer.n_out
            if layer.biased > 0:
                _copy(held, q + wide.biases, ONE, values, p, layer.n_out, back)


@jit_inline
def _copy(held, q, along, values, p, count, back):
    if along == 1:  # a loop of its own, which LLVM makes vectors of
        for k in range(count):
            if back:
                put(values, p + k, get(held, q + k))
            else:
                put(held, q + k, get(values, p + k))
    else:
        for k in range(count):
            if back:
                put(values, p + k, get(held, q + k * along))
            else:
                put(held, q + k * along, get(values, p + k))


# -- some rows -----------------------------------------------------------------------------------------------------------------


@jit_part
def take_rows(scratch, data, order, first, start, stop):
    """Rows start to stop - 1 of those that begin at place `first` of the order, as the network sees them."""
    n_in, number, out = data.shift.shape[0], scratch.inputs.dtype.type, start * data.shift.shape[0]
    for n in range(first + start, first + stop):
        at = np.int64(get(order, n)) * n_in
        for d in range(n_in):
            put(scratch.inputs, out + d, (number(get(data.x, at + d)) - get(data.shift, d)) * get(data.scale, d))
        out += n_in


@jit_part
def turn_weights(scratch, theta, layers):
    """The weights of the layers between the first and the last, transposed. What pads them is 0."""
    out, at = scratch.turned, np.int64(0)
    for number in range(1, layers.shape[0] - 1):
        layer, stride = layer_of(layers, number), layer_of(layers, number - 1).stride
        for i in range(layer.n_in):
            row = layer.weights + i * layer.stride
            for h in range(layer.n_out):
                put(out, at + h * stride + i, get(theta, row + h))
        at += layer.n_out * stride


@jit_part
def _logits(out, units, at, theta, layer, start, stop):
    """The logits (B, K) of some samples: sums over lanes."""
    n_out, stride, one = layer.n_out, layer.stride, lanes_of(theta)
    for n in range(start, stop):
        for k in range(n_out):
            put(out, n * n_out + k, get(theta, layer.biases + k) if layer.biased > 0 else theta.dtype.type(0))
    h, w = Grid(units, at + start * stride, stride, one), Grid(theta, layer.weights, stride, one)
    add_dots(out, start * n_out, n_out, h, w, stop - start, n_out, stride // one)


@jit_flat
def units_forward(scratch, theta, layers, start, stop, dropout):
    """Of some rows of inputs the activations of all hidden layers, their slopes, and the logits."""
    units, at, last, one, unit = scratch.units, np.int64(0), layers.shape[0] - 1, lanes_of(theta), np.int64(0)
    inputs = Grid(scratch.inputs, start * layers[0, 0], layers[0, 0], ONE)
    for number in range(last):
        layer = layer_of(layers, number)
        here = at + start * layer.stride
        z, w = Grid(units, here, layer.stride, one), Grid(theta, layer.weights, layer.stride, one)
        biases = Grid(theta, layer.biases if layer.biased > 0 else NONE, NO, one)
        by_numbers(z, inputs, w, stop - start, layer.stride // one, layer.n_in, biases, theta, NONE)
        numbers = (stop - start) * layer.stride
        activate(units, scratch.slopes, here, ONE, numbers, numbers, layer.activation)
        if drops(dropout):
            drop_wide(units, scratch.slopes, here, layer.stride, stop - start, dropout, number, unit)
        unit += layer.n_out
        inputs = Grid(units, here, layer.stride, ONE)
        if number < last - 1:
            at += scratch.rows * layer.stride
    _logits(scratch.outputs, units, at, theta, layer_of(layers, last), start, stop)


@jit_part
def logits_to_lanes(scratch, n_out, stride, start, stop):
    """The logits of some samples, which become lanes. Past them the last one is repeated."""
    for n in range(strips(stop - start, scratch.logits)):
        row = min(start + n, stop - 1) * n_out
        for k in range(n_out):
            put(scratch.logits, k * stride + n, get(scratch.outputs, row + k))


@jit_part
def _deltas_from_lanes(scratch, n_out, stride, start, stop):
    """And the way back of their gradient."""
    first = n_out * stride
    for n in range(stop - start):
        for k in range(n_out):
            put(scratch.outputs, (start + n) * n_out + k, get(scratch.logits, first + k * stride + n))


@jit_flat
def _deltas_backward(scratch, theta, layers, start, stop):
    """dz of all hidden layers, from that of the output."""
    one, turned, at = lanes_of(theta), scratch.turned.size, scratch.units.size
    dz = Grid(scratch.outputs, start * last_layer(layers).n_out, last_layer(layers).n_out, ONE)
    for number in range(layers.shape[0] - 1, 0, -1):
        layer, stride = layer_of(layers, number), layer_of(layers, number - 1).stride
        w = Grid(theta, layer.weights, stride, one)
        if number < layers.shape[0] - 1:
            turned -= layer.n_out * stride
            w = Grid(scratch.turned, turned, stride, one)
        at -= scratch.rows * stride
        here = at + start * stride
        below = Grid(scratch.deltas, here, stride, one)
        by_numbers(below, dz, w, stop - start, stride // one, layer.n_out, nowhere(below), scratch.slopes, here)
        dz = Grid(scratch.deltas, here, stride, ONE)


# -- a chunk -------------------------------------------------------------------------------------------------------------------


@jit_part
def _add_up(g, at, dz, first, stride, m):
    """The gradient of the biases of a hidden layer, the sum of dz over the samples."""
    for j in range(0, stride, lanes_of(g)):
        bias, place = zeros(g), first + j
        for _ in range(m):
            bias += load(dz, place)
            place += stride
        store(g, at + j, bias)


@jit_part
def _add_up_few(g, at, dz, n_out, m):
    """The same of the output."""
    for k in range(n_out):
        bias = g.dtype.type(0)
        for n in range(k, m * n_out, n_out):
            bias += get(dz, n)
        put(g, at + k, bias)


@jit_part
def _gradient(g, scratch, layers, m, me, threads):
    """The gradient of the chunk, from dz of all layers; of each layer the share of this thread."""
    units, one, last, at = scratch.units, lanes_of(g), layers.shape[0] - 1, np.int64(0)
    a = Grid(scratch.inputs, NO, ONE, layers[0, 0])
    for number in range(last):
        layer = layer_of(layers, number)
        i, count = _share(layer.n_in, me, threads)
        dz, dw = Grid(scratch.deltas, at, layer.stride, one), Grid(g, layer.weights + i * layer.stride, layer.stride, one)
        rows = Grid(a.array, a.at + i * a.down, a.down, a.along)
        by_numbers(dw, rows, dz, count, layer.stride // one, m, nowhere(dw), g, NONE)
        if layer.biased > 0 and me == threads - 1:
            _add_up(g, layer.biases, scratch.deltas, at, layer.stride, m)
        a = Grid(units, at, ONE, layer.stride)
        at += scratch.rows * layer.stride
    layer = layer_of(layers, last)
    k, count = _share(layer.n_out, me, threads)
    dz, dw = Grid(scratch.outputs, k, ONE, layer.n_out), Grid(g, layer.weights + k * layer.stride, layer.stride, one)
    h = Grid(units, at - scratch.rows * layer.stride, layer.stride, one)
    by_numbers(dw, dz, h, count, layer.stride // one, m, nowhere(dw), g, NONE)
    for row in range(k, k + count):  # what pads the units is not always 0: a sigmoid's is 1/2
        for i in range(layer.n_in, layer.stride):
            put(g, layer.weights + row * layer.stride + i, g.dtype.type(0))
    if layer.biased > 0 and me == threads - 1:
        _add_up_few(g, layer.biases, scratch.outputs, layer.n_out, m)


@jit_inline
def _share(count, me, threads):
    """Of so many the first that is a thread's, and how many are."""
    first = count * me // threads
    return first, count * (me + 1) // threads - first


@jit_flat
def wide_chunk(worker, sums, c, data, order, first, last, theta, network, me, threads):
    """The weighted sum of the losses of rows first to last - 1 of the order into sums.losses[c]; their gradient, unscaled, into row
    c of the gradients, if there is one. Of a team that works on the chunk together each member takes a share of its blocks, the
    losses of each of which come into sums.losses, and share_of_gradient has to follow."""
    layers, scratch, tiles, m, loss = network.layers, worker.scratch, worker.tiles, last - first, 0.0
    n_out, stride, z, backward = last_layer(layers).n_out, tiles.stride, scratch.logits, c < sums.gradients.shape[0]
    dz = z[n_out * stride :]
    if backward:
        turn_weights(scratch, theta, layers)
    b, count = _share((m + scratch.block - 1) // scratch.block, me, threads)
    for block in range(b, b + count):
        start = block * scratch.block
        stop = min(start + scratch.block, m)
        take_rows(scratch, data, order, first, start, stop)
        pack_targets(tiles, NO, data, order, first + start, stop - start)
        if drops(worker.dropout):
            note_keys(worker.dropout, order, first + start, stop - start)
        units_forward(scratch, theta, layers, start, stop, worker.dropout)
        logits_to_lanes(scratch, n_out, stride, start, stop)
        of_block = block_loss(dz, Grid(z, NO, stride, lanes_of(z)), tiles, NO, strips(stop - start, z), network)
        loss += of_block
        if backward:
            _deltas_from_lanes(scratch, n_out, stride, start, stop)
            _deltas_backward(scratch, theta, layers, start, stop)
        if threads > 1:
            sums.losses[block] = of_block
    if threads == 1:
        sums.losses[c] = loss
        if backward:
            _gradient(sums.gradients[c], scratch, layers, m, NO, ONE)


@jit_flat
def share_of_gradient(sums, worker, m, network, me, threads):
    """When a team has been through the m rows of a chunk together, this member's share of its gradient. One adds up the losses."""
    block = worker.scratch.block
    _gradient(sums.gradients[0], worker.scratch, network.layers, m, me, threads)
    if me == 0:
        for b in range(1, (m + block - 1) // block):
            sums.losses[0] += sums.losses[b]
