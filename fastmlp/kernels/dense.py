"""A dense layer over a block of samples: its three products, in tiles that stay in registers.

A block is flat: rows of samples, one row for each unit, `stride` numbers apart, of which the first m are computed. m is a multiple
of two vectors; lanes past the last sample hold numbers that weigh nothing. Biases are the weights of one more input, whose row
holds ones. D inputs (that one included), H units; w[d, h] stands at theta[w + d * H + h].
"""

import numpy as np

from fastmlp.kernels.jit import jit_inline, jit_part
from fastmlp.kernels.simd import get, lanes_of, load, put, spread, store, total, zeros

DEPTH = 64  # inputs in a row of tiles: what they read stays in the first-level cache


@jit_inline
def _one_row(z, at, a, first, stride, w, p, step_in, depth, more):
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
    store(z, at, z0)
    store(z, at + one, z1)


@jit_inline
def _four_rows(z, at, z_stride, a, first, stride, w, p, step_in, step_out, depth, more):
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
    store(z, at, z00)
    store(z, at + one, z01)
    store(z, at1, z10)
    store(z, at1 + one, z11)
    store(z, at2, z20)
    store(z, at2 + one, z21)
    store(z, at3, z30)
    store(z, at3 + one, z31)


@jit_part
def product(z, at, z_stride, a, first, a_stride, w, p, step_in, step_out, n_in, n_out, m, more):
    """Rows h of z (+)= the sums over d of w[p + d * step_in + h * step_out] times row d of a; added to what is there if more."""
    for done in range(0, n_in, DEPTH):
        depth = min(DEPTH, n_in - done)
        more += done
        for n in range(0, m, 2 * lanes_of(z)):
            here = first + done * a_stride + n
            h = 0
            while h < n_out:
                there = at + h * z_stride + n
                weights = p + done * step_in + h * step_out
                if h + 4 <= n_out:
                    _four_rows(z, there, z_stride, a, here, a_stride, w, weights, step_in, step_out, depth, more > 0)
                    h += 4
                else:
                    _one_row(z, there, a, here, a_stride, w, weights, step_in, depth, more > 0)
                    h += 1


@jit_inline
def _add(g, p, x):
    put(g, p, get(g, p) + total(x))


@jit_part
def dots(g, p, a, first, d, at, stride, n_in, n_out, m):
    """g[p + i * H + h] += row i of a times row h of d, summed over the samples: four times two sums at once."""
    for i in range(0, n_in, 4):
        last = n_in - 1
        a0 = first + i * stride
        a1, a2, a3 = first + min(i + 1, last) * stride, first + min(i + 2, last) * stride, first + min(i + 3, last) * stride
        for h in range(0, n_out, 2):
            d0, d1 = at + h * stride, at + min(h + 1, n_out - 1) * stride
            g00, g01, g10, g11, g20, g21, g30, g31 = zeros(g), zeros(g), zeros(g), zeros(g), zeros(g), zeros(g), zeros(g), zeros(g)
            for n in range(0, m, lanes_of(g)):
                x0, x1, x2, x3 = load(a, a0 + n), load(a, a1 + n), load(a, a2 + n), load(a, a3 + n)
                y = load(d, d0 + n)
                g00 += x0 * y
                g10 += x1 * y
                g20 += x2 * y
                g30 += x3 * y
                y = load(d, d1 + n)
                g01 += x0 * y
                g11 += x1 * y
                g21 += x2 * y
                g31 += x3 * y
            q = p + i * n_out + h
            two = h + 1 < n_out
            _add(g, q, g00)
            if two:
                _add(g, q + 1, g01)
            if i + 1 < n_in:
                q += n_out
                _add(g, q, g10)
                if two:
                    _add(g, q + 1, g11)
            if i + 2 < n_in:
                q += n_out
                _add(g, q, g20)
                if two:
                    _add(g, q + 1, g21)
            if i + 3 < n_in:
                q += n_out
                _add(g, q, g30)
                if two:
                    _add(g, q + 1, g31)


@jit_part
def _transpose(out, d, at, stride, n_out, width, m):
    """Row h of d becomes column h of out, whose rows are `width` apart."""
    for h in range(n_out):
        for n in range(m):
            put(out, n * width + h, get(d, at + h * stride + n))


@jit_inline
def strips(count, array):
    """The count, rounded up to whole strips of two vectors."""
    strip = 2 * lanes_of(array)
    return (count + strip - 1) // strip * strip


@jit_part
def dense_backward_parameters(g, p, a, first, d, at, stride, n_in, n_out, m, spare):
    """g[p + i * H + h] += row i of a times row h of d, summed over the samples."""
    width = strips(n_out, g)
    # In cycles, nearly: a sum over lanes costs twelve for adding the lanes up; a sum in each lane has the transposition before it,
    # and lanes that stand for no output.
    over_lanes = n_in * n_out * (m // lanes_of(g) + 12)
    in_lanes = n_in * width * m // (2 * lanes_of(g)) + 2 * n_out * m
    if over_lanes < in_lanes:
        dots(g, p, a, first, d, at, stride, n_in, n_out, m)
        return
    _transpose(spare, d, at, stride, n_out, width, m)
    if width == n_out:
        product(g, p, width, spare, np.int64(0), width, a, first, np.int64(1), stride, m, n_in, width, np.int64(1))
        return
    own = m * width
    product(spare, own, width, spare, np.int64(0), width, a, first, np.int64(1), stride, m, n_in, width, np.int64(0))
    for i in range(n_in):
        for h in range(n_out):
            put(g, p + i * n_out + h, get(g, p + i * n_out + h) + get(spare, own + i * width + h))
