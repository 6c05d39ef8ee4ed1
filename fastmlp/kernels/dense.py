"""A dense layer over a block of samples: its products, forward and backward.

m samples are computed, whole strips of two vectors; lanes past the last sample hold numbers that weigh nothing. D inputs (the one
that is always 1 included), H units; w[d, h] stands at theta[layer.weights + d * H + h].
"""

import numpy as np

from fastmlp.kernels.compile import jit_flat, jit_inline, jit_part
from fastmlp.kernels.product import NONE, Grid, add_dots, by_numbers, nowhere
from fastmlp.kernels.shuffles import transpose
from fastmlp.kernels.simd import get, lanes_of, load, put, spread, store, zeros
from fastmlp.kernels.vectors import REGISTERS

# Cycles, nearly: to add up the lanes of a vector, beside others; to transpose as many numbers as a vector has.
SUM, TURN = 6, 6
PRODUCTS = 2 if REGISTERS >= 32 else 1  # of vectors, in a cycle
ONE, NO = np.int64(1), np.int64(0)  # as plain literals they would be types of their own, and what takes them be compiled once more


@jit_inline
def _weight(w, h, i, n_in):
    """The weight in all lanes; 0 beyond the last input."""
    return spread(w.array, w.at + h * w.down + i * w.along) if i < n_in else zeros(w.array)


@jit_part
def _few_inputs(z, w, a, n_out, m, n_in, slopes, first):
    """The product for up to four inputs, two outputs at a time: eight weights stay in registers along the samples (3-5-1 takes a
    tenth less time). An odd last row is computed twice."""
    last = n_in - 1
    at0, at1 = a.at, a.at + min(ONE, last) * a.down
    at2, at3 = a.at + min(2 * ONE, last) * a.down, a.at + min(3 * ONE, last) * a.down
    for h in range(0, n_out, 2):
        k = min(h + 1, n_out - 1)
        v0, v1, v2, v3 = _weight(w, h, 0, n_in), _weight(w, h, 1, n_in), _weight(w, h, 2, n_in), _weight(w, h, 3, n_in)
        w0, w1, w2, w3 = _weight(w, k, 0, n_in), _weight(w, k, 1, n_in), _weight(w, k, 2, n_in), _weight(w, k, 3, n_in)
        one, two = z.at + h * z.down, z.at + k * z.down
        for n in range(0, m, lanes_of(z.array)):
            x0 = load(a.array, at0 + n)
            s, t = v0 * x0, w0 * x0
            if n_in > 1:
                x1, x2, x3 = load(a.array, at1 + n), load(a.array, at2 + n), load(a.array, at3 + n)
                s = (s + v1 * x1) + (v2 * x2 + v3 * x3)
                t = (t + w1 * x1) + (w2 * x2 + w3 * x3)
            if first >= 0:
                s *= load(slopes, first + h * z.down + n)
                t *= load(slopes, first + k * z.down + n)
            store(z.array, one + n, s)
            store(z.array, two + n, t)


@jit_part
def _product(z, w, a, n_out, m, n_in, slopes, first):
    """z (H, m) = w (H, D) @ a (D, m), times the slopes that stand from `first` on, if that is not negative."""
    if n_in <= 4:
        _few_inputs(z, w, a, n_out, m, n_in, slopes, first)
    else:
        by_numbers(z, w, a, n_out, m // lanes_of(z.array), n_in, nowhere(z), slopes, first)


@jit_flat
def dense_forward(z, a, theta, layer, m):
    """z (H, m) = w.T @ a (D, m)."""
    w = Grid(theta, layer.weights, ONE, layer.n_out)
    _product(z, w, a, layer.n_out, m, layer.n_in + layer.biased, theta, NONE)


@jit_flat
def dense_backward_input(dz_below, dz, theta, layer, m, slopes, first):
    """dz of the layer below (D, m) = w @ dz (H, m) times f'(z) of that layer; without the input of ones."""
    _product(dz_below, Grid(theta, layer.weights, layer.n_out, ONE), dz, layer.n_in, m, layer.n_out, slopes, first)


@jit_part
def dense_backward_parameters(g, a, dz, layer, m, spare):
    """dw (D, H) += a (D, m) @ dz (H, m).T"""
    n_in, n_out, p, one = layer.n_in + layer.biased, layer.n_out, layer.weights, lanes_of(g)
    width = (n_out + one - 1) // one * one
    # A sum over lanes ends with adding them up; a sum in each lane has the transposition before it, and lanes that stand for no
    # output.
    over_lanes = n_in * n_out * (m // one + SUM)
    in_lanes = (n_in // PRODUCTS + TURN) * width * m // one
    if over_lanes < in_lanes:
        add_dots(g, p, n_out, a, dz, n_in, n_out, m // one)
        return
    transpose(spare, NO, width, dz.array, dz.at, dz.down, n_out, m)
    by_sample, samples = Grid(spare, NO, width, one), Grid(a.array, a.at, a.down, ONE)
    if width == n_out:
        dw = Grid(g, p, width, one)
        by_numbers(dw, samples, by_sample, n_in, width // one, m, dw, g, NONE)
        return
    own = m * width
    dw = Grid(spare, own, width, one)
    by_numbers(dw, samples, by_sample, n_in, width // one, m, nowhere(dw), g, NONE)
    for i in range(n_in):
        for h in range(n_out):
            q = p + i * n_out + h
            put(g, q, get(g, q) + get(spare, own + i * width + h))
