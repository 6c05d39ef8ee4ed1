"""Derivatives of outputs, over blocks of samples as lanes: by the inputs or by the parameters, of each sample or times a vector.

Of output k they come by the way back that a loss takes, from the derivatives of y[k] by the logits. Times a direction they come by
the way forward, where tangents go beside the units; times weights of the outputs by one way back (Griewank, Walther 2008, ch. 3).
N samples, D inputs, K outputs, P parameters; B lanes of a block, of which the first m are in use.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.activations import SOFTMAX, output_activation
from fastmlp.kernels.batch import BatchScratch, hidden_forward
from fastmlp.kernels.compile import jit, jit_flat, jit_part
from fastmlp.kernels.dense import dense_backward_input, dense_backward_parameters, dense_forward
from fastmlp.kernels.layers import Layer, last_layer, layer_of
from fastmlp.kernels.output import softmax_of_rows
from fastmlp.kernels.product import NONE, Grid
from fastmlp.kernels.simd import get, lanes_of, load, put, store, total, zeros
from fastmlp.kernels.tiles import Tiles, strips


class DerivativeScratch(NamedTuple):
    """What is written while a block is worked on."""

    block: BatchScratch  # its deltas are wide enough for the inputs, too
    tiles: Tiles  # one block of inputs; targets that take what a product is with, and weights of 1
    outputs: np.ndarray  # (2, K, B) and the derivative of each by its logit
    tangents: np.ndarray  # (3, units of the widest layer or inputs, B)


class RowsOfParameters(NamedTuple):
    """Where rows of P numbers go, one for each sample."""

    array: np.ndarray
    first: int  # the place where they begin
    width: int  # how far apart they are
    samples: int


class SumOfRows(NamedTuple):
    """Where the sum of such rows goes."""

    array: np.ndarray  # (P,)
    spare: np.ndarray  # see batch.BatchScratch


# -- parts of a way forward and back -------------------------------------------------------------------------------------------


@jit_part
def known_outputs(outputs, z, layer, stride, m):
    """The outputs (K, B) for the logits z, and below them (K, B) the derivative of each by its own logit, unless it is softmax."""
    end = layer.n_out * stride
    for n in range(0, m, lanes_of(outputs)):
        if layer.activation == SOFTMAX:
            for k in range(0, end, stride):
                store(outputs, k + n, load(z.array, z.at + k + n))
            softmax_of_rows(outputs, n, layer.n_out, stride)
        else:
            for k in range(0, end, stride):
                y, slope = output_activation(layer.activation, load(z.array, z.at + k + n))
                store(outputs, k + n, y)
                store(outputs, end + k + n, slope)


@jit_part
def derivatives_of_output(deltas, outputs, factors, layer, k, stride, m):
    """The derivatives of output k by all logits (K, B), times a factor of each sample, to the beginning of deltas; of softmax
    y[k] (1 - y[k]) by its own, and -y[k] y[j] by another."""
    end, own, one = layer.n_out * stride, k * stride, deltas.dtype.type(1)
    for n in range(0, m, lanes_of(deltas)):
        factor, y = load(factors, n), load(outputs, own + n)
        for j in range(0, end, stride):
            if layer.activation != SOFTMAX:
                store(deltas, j + n, factor * load(outputs, end + j + n) if j == own else zeros(deltas))
            elif j == own:
                store(deltas, j + n, factor * (y * (one - y)))
            else:
                store(deltas, j + n, zeros(deltas) - factor * (y * load(outputs, j + n)))


@jit_part
def _through_output(values, at, outputs, layer, stride, m):
    """Numbers (K, B) from place `at` on times the derivatives of outputs by logits, in place: forward and back are alike, as those
    of softmax, y[k] (v[k] - sum of y[j] v[j]), are symmetric."""
    end = layer.n_out * stride
    for n in range(0, m, lanes_of(values)):
        inner = zeros(values)
        if layer.activation == SOFTMAX:
            for k in range(n, end, stride):
                inner += load(outputs, k) * load(values, at + k)
        for k in range(n, end, stride):
            factor = load(outputs, k if layer.activation == SOFTMAX else end + k)
            store(values, at + k, factor * (load(values, at + k) - inner))


@jit_part
def _rows_of_layer(rows, a, dz, layer, m):
    """rows.array[n * width + i * H + h] = a[i, n] dz[h, n], from place `first` on, for the parameters of a layer."""
    number, lanes, n_out = rows.array.dtype.type, lanes_of(rows.array), layer.n_out
    whole = rows.samples // lanes * lanes
    for start in range(0, whole, lanes):
        for i in range(layer.n_in + layer.biased):
            here = a.at + i * a.down + start
            for h in range(n_out):
                there, place = dz.at + h * dz.down + start, rows.first + start * rows.width + layer.weights + i * n_out + h
                for n in range(lanes):
                    put(rows.array, place + n * rows.width, number(get(a.array, here + n) * get(dz.array, there + n)))
    for n in range(whole, rows.samples):
        place = rows.first + n * rows.width + layer.weights
        for i in range(layer.n_in + layer.biased):
            for h in range(n_out):
                product = get(a.array, a.at + i * a.down + n) * get(dz.array, dz.at + h * dz.down + n)
                put(rows.array, place + i * n_out + h, number(product))


@jit_part
def _sum_of_layer(to, a, dz, layer, m):
    dense_backward_parameters(to.array, a, dz, layer, m, to.spare)


@jit_part
def _nothing_of_layer(to, a, dz, layer, m):
    pass


@jit_flat
def _way_back(take, to, scratch, at, x, theta, layers, m):
    """From the derivatives by the logits, at the beginning of scratch.deltas, to those by what the first layer computes; returns
    where these stand. The logits stand at place `at`. Each layer's inputs, and the derivatives by what it computes, `take` gets."""
    deltas, stride = scratch.deltas, x.down
    here, below = np.int64(0), deltas.size // 2
    for number in range(layers.shape[0] - 1, 0, -1):
        layer = layer_of(layers, number)
        at -= (layer.n_in + layer.biased) * stride
        dz = Grid(deltas, here, stride, x.along)
        take(to, Grid(scratch.units, at, stride, x.along), dz, layer, m)
        dense_backward_input(Grid(deltas, below, stride, x.along), dz, theta, layer, m, scratch.slopes, at)
        here, below = below, here
    take(to, x, Grid(deltas, here, stride, x.along), layer_of(layers, np.int64(0)), m)
    return here


@jit_flat
def rows_by_parameters(rows, first, width, scratch, at, x, theta, layers, m):
    """The derivatives by all parameters, (m, P) in rows that are `width` apart and begin at place `first`, of what has those by the
    logits that stand at the beginning of scratch.deltas; the logits stand at place `at`."""
    _way_back(_rows_of_layer, RowsOfParameters(rows, first, width, m), scratch, at, x, theta, layers, m)


@jit_flat
def _back_to_inputs(scratch, at, x, theta, layers, m):
    """The way back to the inputs (D, B) themselves; returns where their derivatives stand in scratch.deltas."""
    deltas = scratch.deltas
    here = _way_back(_nothing_of_layer, scratch, scratch, at, x, theta, layers, m)
    below = deltas.size // 2 - here
    dz = Grid(deltas, here, x.down, x.along)
    dense_backward_input(Grid(deltas, below, x.down, x.along), dz, theta, layer_of(layers, np.int64(0)), m, scratch.slopes, NONE)
    return below


# -- rows to lanes, and back ---------------------------------------------------------------------------------------------------


@jit_part
def _take_rows(lanes, stride, rows, width, start, count, m, repeats):
    """Rows of so many numbers become lanes. In those past the last one it is repeated, or they are 0."""
    for d in range(width):
        at, last = d * stride, lanes.dtype.type(0)
        for n in range(count):
            put(lanes, at + n, get(rows, (start + n) * width + d))
        if repeats:
            last = get(lanes, at + count - 1)
        for n in range(count, m):
            put(lanes, at + n, last)


@jit_part
def _give_rows(out, first, step, lanes, at, width, stride, count):
    """Lanes become rows, which are `step` apart and begin at place `first`."""
    for d in range(width):
        for n in range(count):
            put(out, first + n * step + d, get(lanes, at + d * stride + n))


@jit_flat
def _forward(scratch, x, n_in, start, count, m, theta, layers):
    """The outputs, and all that a way back needs, for so many rows of x; where the logits stand, and 0 if the outputs are finite,
    else NaN."""
    tiles, block, layer = scratch.tiles, scratch.block, last_layer(layers)
    stride, along, bad = tiles.stride, lanes_of(theta), zeros(theta)
    _take_rows(tiles.inputs, stride, x, n_in, start, count, m, True)
    inputs = Grid(tiles.inputs, np.int64(0), stride, along)
    at = hidden_forward(block.units, block.slopes, np.int64(0), inputs, theta, layers, m, None)
    known_outputs(scratch.outputs, Grid(block.units, at, stride, along), layer, stride, m)
    for row in range(0, layer.n_out * stride, stride):
        for n in range(row, row + m, along):
            bad += load(scratch.outputs, n) - load(scratch.outputs, n)
    return at, total(bad)


# -- what Python calls: each returns whether the outputs are finite ------------------------------------------------------------


@jit
def jacobian_of_rows(out, by_parameters, scratch, x, rows, theta, layers):
    """The derivatives of each output for so many rows, x (N, D) flat: by the parameters into out (N, K, P), or by the inputs into
    out (N, K, D), flat."""
    tiles, block, layer, zero = scratch.tiles, scratch.block, last_layer(layers), np.int64(0)
    n_in, n_out, stride, bad = layers[0, 0], layer.n_out, tiles.stride, theta.dtype.type(0)
    width = theta.shape[0] if by_parameters else n_in
    inputs = Grid(tiles.inputs, zero, stride, lanes_of(theta))
    for start in range(0, rows, tiles.lanes):
        count = min(tiles.lanes, rows - start)
        m = strips(count, theta)
        at, bad_here = _forward(scratch, x, n_in, start, count, m, theta, layers)
        bad += bad_here
        for k in range(n_out):
            first, step = (start * n_out + k) * width, n_out * width
            derivatives_of_output(block.deltas, scratch.outputs, tiles.weights, layer, k, stride, m)
            if by_parameters:
                _way_back(_rows_of_layer, RowsOfParameters(out, first, step, count), block, at, inputs, theta, layers, m)
            else:
                here = _back_to_inputs(block, at, inputs, theta, layers, m)
                _give_rows(out, first, step, block.deltas, here, n_in, stride, count)
    return bad == theta.dtype.type(0)


@jit
def forward_products(out, by_parameters, scratch, x, v, rows, theta, layers):
    """The derivatives of the outputs for so many rows along v, into out (N, K): of the parameters if v is (P,), or of the inputs if
    it is (N, D); all flat."""
    tiles, block, last, zero = scratch.tiles, scratch.block, layers.shape[0] - 1, np.int64(0)
    n_in, n_out, stride, bad = layers[0, 0], layers[last, 1], tiles.stride, theta.dtype.type(0)
    tangents, along = scratch.tangents, lanes_of(theta)
    third = tangents.size // 3
    for start in range(0, rows, tiles.lanes):
        count = min(tiles.lanes, rows - start)
        m = strips(count, theta)
        _, bad_here = _forward(scratch, x, n_in, start, count, m, theta, layers)
        bad += bad_here
        if not by_parameters:
            _take_rows(tangents, stride, v, n_in, start, count, m, True)
        here, there, a, units = zero, third, Grid(tiles.inputs, zero, stride, along), zero
        for number in range(last + 1):
            layer = layer_of(layers, number)
            unbiased = Layer(layer.n_in, layer.n_out, layer.activation, layer.weights, zero, layer.biases, layer.stride)
            to = Grid(tangents, there, stride, along)
            if not by_parameters or number > 0:
                dense_forward(to, Grid(tangents, here, stride, along), theta, unbiased, m)
            if by_parameters:
                own = Grid(tangents, 2 * third if number > 0 else there, stride, along)
                dense_forward(own, a, v, layer, m)
                if number > 0:
                    _add_rows(tangents, there, 2 * third, layer.n_out, stride, m)
            if number < last:
                _multiply_rows(tangents, there, block.slopes, units, layer.n_out, stride, m)
                a = Grid(block.units, units, stride, along)
                units += (layer.n_out + layer.biased) * stride
            here, there = there, third - there
        _through_output(tangents, here, scratch.outputs, last_layer(layers), stride, m)
        _give_rows(out, start * n_out, n_out, tangents, here, n_out, stride, count)
    return bad == theta.dtype.type(0)


@jit_part
def _add_rows(array, to, other, rows, stride, m):
    for row in range(0, rows * stride, stride):
        for n in range(row, row + m, lanes_of(array)):
            store(array, to + n, load(array, to + n) + load(array, other + n))


@jit_part
def _multiply_rows(array, to, factors, first, rows, stride, m):
    for row in range(0, rows * stride, stride):
        for n in range(row, row + m, lanes_of(array)):
            store(array, to + n, load(array, to + n) * load(factors, first + n))


@jit
def backward_products(out, by_parameters, scratch, x, u, rows, theta, layers):
    """The derivatives for so many rows of the sum of outputs times u (N, K): by the parameters, summed over the rows and added to
    out (P,), or by the inputs into out (N, D); all flat."""
    tiles, block, layer, zero = scratch.tiles, scratch.block, last_layer(layers), np.int64(0)
    n_in, n_out, stride, bad = layers[0, 0], layer.n_out, tiles.stride, theta.dtype.type(0)
    inputs = Grid(tiles.inputs, zero, stride, lanes_of(theta))
    for start in range(0, rows, tiles.lanes):
        count = min(tiles.lanes, rows - start)
        m = strips(count, theta)
        at, bad_here = _forward(scratch, x, n_in, start, count, m, theta, layers)
        bad += bad_here
        _take_rows(block.deltas, stride, u, n_out, start, count, m, False)
        _through_output(block.deltas, zero, scratch.outputs, layer, stride, m)
        if by_parameters:
            _way_back(_sum_of_layer, SumOfRows(out, block.spare), block, at, inputs, theta, layers, m)
        else:
            here = _back_to_inputs(block, at, inputs, theta, layers, m)
            _give_rows(out, start * n_in, n_in, block.deltas, here, n_in, stride, count)
    return bad == theta.dtype.type(0)
