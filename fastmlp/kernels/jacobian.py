"""Derivatives of single outputs, over blocks of samples as lanes: by the parameters, a row for each sample.

Of output k they come by the way back that a loss takes, from the derivatives of y[k] by the logits. B lanes of a block, of which
the first m are in use; K outputs, P parameters.
"""

import numpy as np

from fastmlp.kernels.activations import SOFTMAX, output_activation
from fastmlp.kernels.compile import jit_flat, jit_part
from fastmlp.kernels.dense import dense_backward_input
from fastmlp.kernels.layers import layer_of
from fastmlp.kernels.output import softmax_of_rows
from fastmlp.kernels.product import Grid
from fastmlp.kernels.simd import get, lanes_of, load, put, store, zeros


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
def _rows_of_layer(rows, first, width, a, dz, layer, m):
    """rows[n * width + i * H + h] = a[i, n] dz[h, n], from place `first` on, for the parameters of a layer."""
    number, lanes, n_out = rows.dtype.type, lanes_of(rows), layer.n_out
    for start in range(0, m, lanes):
        for i in range(layer.n_in + layer.biased):
            here = a.at + i * a.down + start
            for h in range(n_out):
                there, place = dz.at + h * dz.down + start, first + start * width + layer.weights + i * n_out + h
                for n in range(lanes):
                    put(rows, place + n * width, number(get(a.array, here + n) * get(dz.array, there + n)))


@jit_flat
def rows_by_parameters(rows, first, width, scratch, at, x, theta, layers, m):
    """The derivatives by all parameters, (m, P) in rows that are `width` apart and begin at place `first`, of what has those by the
    logits that stand at the beginning of scratch.deltas; the logits stand at place `at`."""
    deltas, stride = scratch.deltas, x.down
    here, below = np.int64(0), deltas.size // 2
    for number in range(layers.shape[0] - 1, 0, -1):
        layer = layer_of(layers, number)
        at -= (layer.n_in + layer.biased) * stride
        dz = Grid(deltas, here, stride, x.along)
        _rows_of_layer(rows, first, width, Grid(scratch.units, at, stride, x.along), dz, layer, m)
        dense_backward_input(Grid(deltas, below, stride, x.along), dz, theta, layer, m, scratch.slopes, at)
        here, below = below, here
    _rows_of_layer(rows, first, width, x, Grid(deltas, here, stride, x.along), layer_of(layers, np.int64(0)), m)
