"""The outputs of a network for rows, with samples as lanes."""

import numpy as np

from fastmlp.kernels.batch import hidden_forward
from fastmlp.kernels.compile import jit, jit_inline, jit_part
from fastmlp.kernels.layers import last_layer, layer_of
from fastmlp.kernels.output import output_forward
from fastmlp.kernels.product import Grid
from fastmlp.kernels.shuffles import side_of, transpose
from fastmlp.kernels.simd import get, lanes_of, load, put, room, total, zeros
from fastmlp.kernels.tiles import strips
from fastmlp.kernels.tuples import copy_apart

ROOM = 8192  # numbers of scratch on the stack
NO = np.int64(0)


def _taker_of(n_in):
    """What copies so many rows of n_in numbers to lanes. Where LLVM knows the step, it makes vectors of it."""

    @jit_inline
    def take(scratch, stride, x, start, count):
        for n in range(count):
            copy_apart(scratch, n, stride, x, (start + n) * n_in, n_in)

    return take


_take_pairs, _take_triples, _take_fours = map(_taker_of, (2, 3, 4))


@jit_inline
def _take_rows(scratch, stride, x, start, count):
    """Rows of inputs, which become lanes."""
    n_in = x.shape[1]
    if n_in == 2:
        _take_pairs(scratch, stride, x, start, count)
    elif n_in == 3:
        _take_triples(scratch, stride, x, start, count)
    elif n_in == 4:
        _take_fours(scratch, stride, x, start, count)
    elif n_in >= side_of(x):
        transpose(scratch, NO, stride, x, start * n_in, n_in, count, n_in)
    else:
        for d in range(n_in):
            for n in range(count):
                put(scratch, d * stride + n, get(x, (start + n) * n_in + d))


@jit_inline
def _give_column(out, k, scratch, z, start, count, with_rest):
    """The outputs at place z on, which become column k of some rows; of two classes one output is that of the second."""
    columns, one = out.shape[1], out.dtype.type(1)
    if columns == 2 and with_rest:
        for n in range(count):
            value, place = get(scratch, z + n), 2 * (start + n)
            put(out, place, one - value)
            put(out, place + 1, value)
    else:
        for n in range(count):
            put(out, (start + n) * columns + k, get(scratch, z + n))


@jit_part
def _predict(out, scratch, x, theta, layers, first, last, lanes, stride):
    """The outputs for rows first to last - 1 of x (N, D), into out (N, K), `lanes` rows at a time; returns whether these rows and
    their outputs are finite.

    Where out has two columns for one output, p, they are 1 - p and p. scratch holds rows_of(layers) * stride numbers.
    """
    n_in, columns, output, along = x.shape[1], out.shape[1], last_layer(layers), lanes_of(scratch)
    one, zero = scratch.dtype.type(1), scratch.dtype.type(0)
    units = n_in
    for number in range(layers.shape[0]):
        layer = layer_of(layers, number)
        if layer.biased > 0:
            for n in range(units * stride, (units + 1) * stride):
                put(scratch, n, one)
        units += layer.n_out + layer.biased
    units = (n_in + layers[0, 4]) * stride
    bad, bad_rest = zeros(scratch), zero
    for start in range(first, last, lanes):
        count = min(lanes, last - start)
        m = strips(count, scratch)
        _take_rows(scratch, stride, x, start, count)
        for row in range(0, n_in * stride, stride):
            for n in range(row + count, row + m):
                put(scratch, n, zero)
            for n in range(row, row + m, along):
                bad += load(scratch, n) - load(scratch, n)
        at = hidden_forward(scratch, None, units, Grid(scratch, np.int64(0), stride, along), theta, layers, m, None)
        output_forward(scratch, at, output, stride, m)
        for k in range(output.n_out):
            z, whole = at + k * stride, count // along * along  # lanes past the last row may overflow
            for n in range(z, z + whole, along):
                bad += load(scratch, n) - load(scratch, n)
            for n in range(z + whole, z + count):
                bad_rest += get(scratch, n) - get(scratch, n)
            _give_column(out, columns - output.n_out + k, scratch, z, start, count, columns > output.n_out)
    return total(bad) + bad_rest == zero


@jit
def predict(out, scratch, x, theta, layers, first, last, lanes, stride):
    """_predict with scratch of the caller's."""
    return _predict(out, scratch, x, theta, layers, first, last, lanes, stride)


@jit
def predict_few(out, x, theta, layers, lanes, stride):
    """_predict for all rows, a few at a time, with scratch on the stack. To allocate it took a tenth of the time for 8000 rows
    of 3-5-1."""
    return _predict(out, room(theta, ROOM), x, theta, layers, NO, x.shape[0], lanes, stride)
