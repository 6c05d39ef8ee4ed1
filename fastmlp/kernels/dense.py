"""A dense layer over a block of samples: products with its weights, forward and backward, in tiles of four by four.

D inputs, H units, B lanes of which the first m are in use; arrays are as in batch.py.
"""

import numpy as np

from fastmlp.kernels.jit import jit, jit_fast, jit_flat


@jit
def _four_outputs(z, h, a, theta, at, step_in, step_out, biases_at, m):
    """z[h : h + 4] = four rows of w.T @ a + b, four inputs at a time."""
    zero = z.dtype.type(0)
    b0 = b1 = b2 = b3 = zero
    if biases_at >= 0:
        b0, b1, b2, b3 = theta[biases_at + h], theta[biases_at + h + 1], theta[biases_at + h + 2], theta[biases_at + h + 3]
    z0, z1, z2, z3 = z[h][:m], z[h + 1][:m], z[h + 2][:m], z[h + 3][:m]
    n_in = a.shape[0]
    for d in range(0, n_in, 4):
        # Past the last input, weights of zero meet the last input again.
        a0, a1, a2, a3 = a[d][:m], a[min(d + 1, n_in - 1)][:m], a[min(d + 2, n_in - 1)][:m], a[min(d + 3, n_in - 1)][:m]
        p = at + d * step_in + h * step_out
        w00, w01, w02, w03 = theta[p], theta[p + step_out], theta[p + 2 * step_out], theta[p + 3 * step_out]
        w10 = w11 = w12 = w13 = w20 = w21 = w22 = w23 = w30 = w31 = w32 = w33 = zero
        if d + 1 < n_in:
            p += step_in
            w10, w11, w12, w13 = theta[p], theta[p + step_out], theta[p + 2 * step_out], theta[p + 3 * step_out]
        if d + 2 < n_in:
            p += step_in
            w20, w21, w22, w23 = theta[p], theta[p + step_out], theta[p + 2 * step_out], theta[p + 3 * step_out]
        if d + 3 < n_in:
            p += step_in
            w30, w31, w32, w33 = theta[p], theta[p + step_out], theta[p + 2 * step_out], theta[p + 3 * step_out]
        for n in range(m):
            # All reads before all writes: LLVM else reads the inputs again after each write (28 instead of 46 GFLOP/s in float32).
            x0, x1, x2, x3 = a0[n], a1[n], a2[n], a3[n]
            if d > 0:
                b0, b1, b2, b3 = z0[n], z1[n], z2[n], z3[n]
            z0[n] = b0 + w00 * x0 + w10 * x1 + w20 * x2 + w30 * x3
            z1[n] = b1 + w01 * x0 + w11 * x1 + w21 * x2 + w31 * x3
            z2[n] = b2 + w02 * x0 + w12 * x1 + w22 * x2 + w32 * x3
            z3[n] = b3 + w03 * x0 + w13 * x1 + w23 * x2 + w33 * x3


@jit
def _one_output(z, h, a, theta, at, step_in, step_out, biases_at, m):
    """z[h] = one row of w.T @ a + b, four inputs at a time."""
    zero = z.dtype.type(0)
    b = theta[biases_at + h] if biases_at >= 0 else zero
    z0 = z[h][:m]
    n_in = a.shape[0]
    for d in range(0, n_in, 4):
        a0, a1, a2, a3 = a[d][:m], a[min(d + 1, n_in - 1)][:m], a[min(d + 2, n_in - 1)][:m], a[min(d + 3, n_in - 1)][:m]
        p = at + d * step_in + h * step_out
        w0 = theta[p]
        w1 = theta[p + step_in] if d + 1 < n_in else zero
        w2 = theta[p + 2 * step_in] if d + 2 < n_in else zero
        w3 = theta[p + 3 * step_in] if d + 3 < n_in else zero
        for n in range(m):
            if d > 0:
                b = z0[n]
            z0[n] = b + w0 * a0[n] + w1 * a1[n] + w2 * a2[n] + w3 * a3[n]


@jit
def _one_input(z, a, w, b):
    """z = w a + b."""
    for n in range(z.shape[0]):
        z[n] = w * a[n] + b


@jit_flat
def _product(z, a, theta, at, step_in, step_out, biases_at, m):
    """z (H, B) = w.T @ a (D, B) + b, where w[d, h] stands at theta[at + d * step_in + h * step_out]."""
    n_out = z.shape[0]
    if a.shape[0] == 1:
        for h in range(n_out):
            _one_input(z[h][:m], a[0][:m], theta[at + h * step_out], theta[biases_at + h] if biases_at >= 0 else z.dtype.type(0))
        return
    for h in range(0, n_out - 3, 4):
        _four_outputs(z, h, a, theta, at, step_in, step_out, biases_at, m)
    for h in range(n_out - n_out % 4, n_out):
        _one_output(z, h, a, theta, at, step_in, step_out, biases_at, m)


@jit_flat
def dense_forward(z, a, theta, weights_at, biases_at, m):
    """z (H, B) = w.T @ a (D, B) + b."""
    # As plain literals, 1 and -1 would be types of their own, and what they are passed to would be compiled once more.
    _product(z, a, theta, weights_at, z.shape[0], np.int64(1), biases_at, m)


@jit_flat
def dense_backward_input(da, dz, theta, weights_at, m):
    """da (D, B) = w @ dz (H, B)."""
    _product(da, dz, theta, weights_at, np.int64(1), dz.shape[0], np.int64(-1), m)


@jit_fast
def _dot_four(g, at, a, dz, h, m):
    """dw[:, h : h + 4] += a @ dz[h : h + 4].T, four inputs at a time: sixteen sums stay in registers."""
    z0, z1, z2, z3 = dz[h][:m], dz[h + 1][:m], dz[h + 2][:m], dz[h + 3][:m]
    n_in, n_out = a.shape[0], dz.shape[0]
    for d in range(0, n_in, 4):
        a0, a1, a2, a3 = a[d][:m], a[min(d + 1, n_in - 1)][:m], a[min(d + 2, n_in - 1)][:m], a[min(d + 3, n_in - 1)][:m]
        g00 = g01 = g02 = g03 = g10 = g11 = g12 = g13 = g.dtype.type(0)
        g20 = g21 = g22 = g23 = g30 = g31 = g32 = g33 = g.dtype.type(0)
        for n in range(m):
            x0, x1, x2, x3 = a0[n], a1[n], a2[n], a3[n]
            y0, y1, y2, y3 = z0[n], z1[n], z2[n], z3[n]
            g00, g01, g02, g03 = g00 + x0 * y0, g01 + x0 * y1, g02 + x0 * y2, g03 + x0 * y3
            g10, g11, g12, g13 = g10 + x1 * y0, g11 + x1 * y1, g12 + x1 * y2, g13 + x1 * y3
            g20, g21, g22, g23 = g20 + x2 * y0, g21 + x2 * y1, g22 + x2 * y2, g23 + x2 * y3
            g30, g31, g32, g33 = g30 + x3 * y0, g31 + x3 * y1, g32 + x3 * y2, g33 + x3 * y3
        _add_to(g, at + d * n_out + h, g00, g01, g02, g03)
        if d + 1 < n_in:
            _add_to(g, at + (d + 1) * n_out + h, g10, g11, g12, g13)
        if d + 2 < n_in:
            _add_to(g, at + (d + 2) * n_out + h, g20, g21, g22, g23)
        if d + 3 < n_in:
            _add_to(g, at + (d + 3) * n_out + h, g30, g31, g32, g33)


@jit
def _add_to(g, p, v0, v1, v2, v3):
    g[p] += v0
    g[p + 1] += v1
    g[p + 2] += v2
    g[p + 3] += v3


@jit_fast
def _dot_one(g, at, a, dz, h, m):
    """dw[:, h] += a @ dz[h], four inputs at a time."""
    z0 = dz[h][:m]
    n_in, n_out = a.shape[0], dz.shape[0]
    for d in range(0, n_in, 4):
        a0, a1, a2, a3 = a[d][:m], a[min(d + 1, n_in - 1)][:m], a[min(d + 2, n_in - 1)][:m], a[min(d + 3, n_in - 1)][:m]
        g0 = g1 = g2 = g3 = g.dtype.type(0)
        for n in range(m):
            g0, g1, g2, g3 = g0 + a0[n] * z0[n], g1 + a1[n] * z0[n], g2 + a2[n] * z0[n], g3 + a3[n] * z0[n]
        p = at + d * n_out + h
        g[p] += g0
        if d + 1 < n_in:
            g[p + n_out] += g1
        if d + 2 < n_in:
            g[p + 2 * n_out] += g2
        if d + 3 < n_in:
            g[p + 3 * n_out] += g3


@jit
def fill(row, value):
    for n in range(row.shape[0]):
        row[n] = value


@jit_fast
def sum_row(row):
    total = row.dtype.type(0)
    for n in range(row.shape[0]):
        total += row[n]
    return total


@jit_flat
def dense_backward_parameters(g, a, dz, weights_at, biases_at, m):
    """dw (D, H) += a @ dz.T and db (H,) += the sums of dz, where g holds them."""
    n_out = dz.shape[0]
    for h in range(0, n_out - 3, 4):
        _dot_four(g, weights_at, a, dz, h, m)
    for h in range(n_out - n_out % 4, n_out):
        _dot_one(g, weights_at, a, dz, h, m)
    if biases_at >= 0:
        for h in range(n_out):
            g[biases_at + h] += sum_row(dz[h][:m])
