"""A dense layer over a block of samples: its products, forward and backward, in tiles that stay in registers.

m samples are computed, whole strips of two vectors; lanes past the last sample hold numbers that weigh nothing. Biases are the
weights of one more input, whose row holds ones. D inputs (that one included), H units; w[d, h] stands at theta[w + d * H + h].
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.activations import IDENTITY, derivative, slope
from fastmlp.kernels.compile import jit_flat, jit_inline, jit_part
from fastmlp.kernels.simd import get, lanes_of, load, put, spread, store, total, zeros

DEPTH = 64  # inputs in a row of tiles: what they read stays in the first-level cache
ONE, NO = np.int64(1), np.int64(0)  # as plain literals they would be types of their own, and what takes them be compiled once more


class Rows(NamedTuple):
    """Rows of samples in a flat array, one for each unit: where the first begins, and how far they are apart."""

    array: np.ndarray
    at: int
    stride: int


class Weights(NamedTuple):
    """w[i, h] stands at theta[at + i * step_in + h * step_out]."""

    theta: np.ndarray
    at: int
    step_in: int
    step_out: int


@jit_inline
def _finish(z, at, z0, z1, y, below, c):
    """Stores what a row of a tile has come to: as it is, or times the slopes of the activations at y[below]."""
    one = lanes_of(z)
    if below >= 0:
        z0 *= slope(load(y, below), c)
        z1 *= slope(load(y, below + one), c)
    store(z, at, z0)
    store(z, at + one, z1)


@jit_inline
def _one_row(z, at, a, first, stride, w, p, step_in, depth, more, y, below, c):
    one = lanes_of(z)
    z0, z1 = zeros(z), zeros(z)
    if more:
        z0, z1 = load(z, at), load(z, at + one)
    for _ in range(depth):
        x = spread(w, p)
        z0 += x * load(a, first)
        z1 += x * load(a, first + one)
        p += step_in
        first += stride
    _finish(z, at, z0, z1, y, below, c)


@jit_inline
def _four_rows(z, at, z_stride, a, first, stride, w, p, step_in, step_out, depth, more, y, below, c):
    one = lanes_of(z)
    z00, z01, z10, z11, z20, z21, z30, z31 = zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z)
    at1, at2, at3 = at + z_stride, at + 2 * z_stride, at + 3 * z_stride
    if more:
        z00, z01, z10, z11 = load(z, at), load(z, at + one), load(z, at1), load(z, at1 + one)
        z20, z21, z30, z31 = load(z, at2), load(z, at2 + one), load(z, at3), load(z, at3 + one)
    for _ in range(depth):
        x0, x1 = load(a, first), load(a, first + one)
        w0, w1, w2, w3 = spread(w, p), spread(w, p + step_out), spread(w, p + 2 * step_out), spread(w, p + 3 * step_out)
        z00 += w0 * x0
        z01 += w0 * x1
        z10 += w1 * x0
        z11 += w1 * x1
        z20 += w2 * x0
        z21 += w2 * x1
        z30 += w3 * x0
        z31 += w3 * x1
        p += step_in
        first += stride
    step = z_stride if below >= 0 else NO
    _finish(z, at, z00, z01, y, below, c)
    _finish(z, at1, z10, z11, y, below + step, c)
    _finish(z, at2, z20, z21, y, below + 2 * step, c)
    _finish(z, at3, z30, z31, y, below + 3 * step, c)


@jit_inline
def _weight(w, i, h, n_in):
    """w[i, h] in all lanes; 0 beyond the last input."""
    return spread(w.theta, w.at + i * w.step_in + h * w.step_out) if i < n_in else zeros(w.theta)


@jit_part
def _few_inputs(z, a, w, n_in, n_out, m, y, code):
    """product for up to four inputs, two outputs at a time: eight weights stay in registers along the samples (3-5-1 takes a tenth
    less time). An odd last row is computed twice."""
    c = derivative(z.array.dtype.type, code)
    last = n_in - 1
    at0, at1 = a.at, a.at + min(ONE, last) * a.stride
    at2, at3 = a.at + min(2 * ONE, last) * a.stride, a.at + min(3 * ONE, last) * a.stride
    for h in range(0, n_out, 2):
        k = min(h + 1, n_out - 1)
        v0, v1, v2, v3 = _weight(w, 0, h, n_in), _weight(w, 1, h, n_in), _weight(w, 2, h, n_in), _weight(w, 3, h, n_in)
        w0, w1, w2, w3 = _weight(w, 0, k, n_in), _weight(w, 1, k, n_in), _weight(w, 2, k, n_in), _weight(w, 3, k, n_in)
        first, second = z.at + h * z.stride, z.at + k * z.stride
        for n in range(0, m, lanes_of(z.array)):
            x0 = load(a.array, at0 + n)
            s, t = v0 * x0, w0 * x0
            if n_in > 1:
                x1, x2, x3 = load(a.array, at1 + n), load(a.array, at2 + n), load(a.array, at3 + n)
                s = (s + v1 * x1) + (v2 * x2 + v3 * x3)
                t = (t + w1 * x1) + (w2 * x2 + w3 * x3)
            if y.at >= 0:
                s *= slope(load(y.array, y.at + h * z.stride + n), c)
                t *= slope(load(y.array, y.at + k * z.stride + n), c)
            store(z.array, first + n, s)
            store(z.array, second + n, t)


@jit_part
def product(z, a, w, n_in, n_out, m, more, y, code):
    """Rows h of z = the sums over i of w[i, h] times row i of a, added to what is there if more.

    If y.at is not negative, the sums are then multiplied by f'(z) of the activations in the rows of y, as far apart as those of z.
    """
    if n_in <= 4 and more == 0:
        _few_inputs(z, a, w, n_in, n_out, m, y, code)
        return
    c = derivative(z.array.dtype.type, code)
    for done in range(0, n_in, DEPTH):
        depth = min(DEPTH, n_in - done)
        last = done + depth == n_in
        for n in range(0, m, 2 * lanes_of(z.array)):
            first = a.at + done * a.stride + n
            h = NO
            while h < n_out:
                at = z.at + h * z.stride + n
                below = y.at + h * z.stride + n if y.at >= 0 and last else NO - 1
                p = w.at + done * w.step_in + h * w.step_out
                if h + 4 <= n_out:
                    _four_rows(z.array, at, z.stride, a.array, first, a.stride, w.theta, p, w.step_in, w.step_out, depth,
                               more + done > 0, y.array, below, c)  # fmt: skip
                    h += 4
                else:
                    _one_row(z.array, at, a.array, first, a.stride, w.theta, p, w.step_in, depth, more + done > 0,
                             y.array, below, c)  # fmt: skip
                    h += 1


@jit_flat
def dense_forward(z, a, theta, w, n_in, n_out, m):
    """z (H, m) = w.T @ a (D, m)."""
    product(z, a, Weights(theta, w, n_out, ONE), n_in, n_out, m, NO, Rows(z.array, NO - 1, NO), np.int64(IDENTITY))


@jit_flat
def dense_backward_input(dz_below, y, dz, theta, w, n_in, n_out, m, code):
    """dz of the layer below (D, m) = w @ dz (H, m) times f'(z) of its activations y; without the input of ones."""
    product(dz_below, dz, Weights(theta, w, ONE, n_out), n_out, n_in, m, NO, y, code)


@jit_part
def dense_backward_parameters(g, p, a, dz, n_in, n_out, m, spare):
    """dw (D, H), from g[p] on, += a (D, m) @ dz (H, m).T."""
    width = strips(n_out, g)
    # In cycles, nearly: a sum over lanes costs twelve for adding the lanes up; a sum in each lane has the transposition before it,
    # and lanes that stand for no output.
    over_lanes = n_in * n_out * (m // lanes_of(g) + 12)
    in_lanes = n_in * width * m // (2 * lanes_of(g)) + 2 * n_out * m
    if over_lanes < in_lanes:
        _dots(g, p, a, dz, n_in, n_out, m)
        return
    _transpose(spare, dz, n_out, width, m)
    by_sample, samples = Rows(spare, NO, width), Weights(a.array, a.at, ONE, a.stride)
    none = Rows(g, NO - 1, NO)
    if width == n_out:
        product(Rows(g, p, width), by_sample, samples, m, n_in, width, ONE, none, np.int64(IDENTITY))
        return
    own = m * width
    product(Rows(spare, own, width), by_sample, samples, m, n_in, width, NO, none, np.int64(IDENTITY))
    for i in range(n_in):
        for h in range(n_out):
            _add(g, p + i * n_out + h, get(spare, own + i * width + h))


@jit_inline
def strips(count, array):
    """The count, rounded up to whole strips of two vectors."""
    strip = 2 * lanes_of(array)
    return (count + strip - 1) // strip * strip


@jit_part
def _transpose(out, dz, n_out, width, m):
    """Row h of dz becomes column h of out, whose rows are `width` apart."""
    for h in range(n_out):
        for n in range(m):
            put(out, n * width + h, get(dz.array, dz.at + h * dz.stride + n))


@jit_inline
def _add(g, p, x):
    put(g, p, get(g, p) + x)


@jit_part
def _dots(g, p, a, dz, n_in, n_out, m):
    """g[p + i * H + h] += the sum over the samples of row i of a times row h of dz: four times two sums at once."""
    d = dz.array
    for i in range(0, n_in, 4):
        last = n_in - 1
        at0, at1 = a.at + i * a.stride, a.at + min(i + 1, last) * a.stride
        at2, at3 = a.at + min(i + 2, last) * a.stride, a.at + min(i + 3, last) * a.stride
        for h in range(0, n_out, 2):
            first, second = dz.at + h * dz.stride, dz.at + min(h + 1, n_out - 1) * dz.stride
            g00, g01, g10, g11, g20, g21, g30, g31 = zeros(g), zeros(g), zeros(g), zeros(g), zeros(g), zeros(g), zeros(g), zeros(g)
            for n in range(0, m, lanes_of(g)):
                x0, x1, x2, x3 = load(a.array, at0 + n), load(a.array, at1 + n), load(a.array, at2 + n), load(a.array, at3 + n)
                y0, y1 = load(d, first + n), load(d, second + n)
                g00 += x0 * y0
                g10 += x1 * y0
                g20 += x2 * y0
                g30 += x3 * y0
                g01 += x0 * y1
                g11 += x1 * y1
                g21 += x2 * y1
                g31 += x3 * y1
            q, two = p + i * n_out + h, h + 1 < n_out
            _add(g, q, total(g00))
            if two:
                _add(g, q + 1, total(g01))
            if i + 1 < n_in:
                q += n_out
                _add(g, q, total(g10))
                if two:
                    _add(g, q + 1, total(g11))
            if i + 2 < n_in:
                q += n_out
                _add(g, q, total(g20))
                if two:
                    _add(g, q + 1, total(g21))
            if i + 3 < n_in:
                q += n_out
                _add(g, q, total(g30))
                if two:
                    _add(g, q + 1, total(g31))
