"""Forward and backward over blocks of samples. Lanes are samples: each innermost loop runs along the samples of one unit, and
vectorises whatever the widths of the layers are.

N samples, D inputs, H units of a layer, K outputs, P parameters, L layers, B lanes of a block, of which the first m are in use.
Arrays of a block are (units, B); theta and its gradient are flat; all are C-contiguous and of one floating dtype, except

layers (L, 5) int64: inputs, outputs, activation, and where in theta the weights and the biases begin (-1: no biases).

A row is taken before it is sliced (`z[h][:m]`): a 2-D slice would lose its contiguity in Numba's types, and no loop over it would
vectorise.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels import elementary, optimizers
from fastmlp.kernels.activations import IDENTITY, SIGMOID, SOFTMAX, activate, activate_backward
from fastmlp.kernels.jit import jit, jit_fast, jit_flat

CROSS_ENTROPY, SQUARED_ERROR = range(2)
ZERO = np.uint64(0)


class Network(NamedTuple):
    """What is trained: its layers, and the loss as a kind and a factor (1 / ln 2 for bits)."""

    layers: np.ndarray
    loss: int
    loss_scale: float


class Data(NamedTuple):
    """Rows as the caller holds them. The network sees (x - shift) * scale."""

    x: np.ndarray  # (N, D)
    y: np.ndarray  # (N, K), or (N, 1) class numbers that stand for one-hot rows
    weight: np.ndarray  # (N,)
    shift: np.ndarray  # (D,)
    scale: np.ndarray  # (D,)


class Tiles(NamedTuple):
    """Blocks of rows with samples as lanes: one that is packed anew for each block, or all of them, packed once and kept."""

    inputs: np.ndarray  # (blocks, D, B)
    targets: np.ndarray  # (blocks, K, B)
    weights: np.ndarray  # (blocks, B)
    kept: bool


class Scratch(NamedTuple):
    """What one worker writes while it works on a block."""

    activations: np.ndarray  # (units of all layers, B)
    deltas: np.ndarray  # (2 * widest layer, B): dz of a layer and of the one below it, by turns
    rows: np.ndarray  # (2, B): the losses of the samples, and a row for softmax


# -- a layer -------------------------------------------------------------------------------------------------------------------


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
def _fill(row, value):
    for n in range(row.shape[0]):
        row[n] = value


@jit_fast
def _total(row):
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
            g[biases_at + h] += _total(dz[h][:m])


# -- the output ----------------------------------------------------------------------------------------------------------------


@jit
def _softmax(z, top, total, m):
    """z (K, B) = softmax over the K rows, in place; leaves the greatest logits and the sums of e^(z - top)."""
    _fill(top, z[0][0])
    for n in range(m):
        top[n] = z[0][n]
    for k in range(1, z.shape[0]):
        row = z[k][:m]
        for n in range(m):
            top[n] = row[n] if row[n] > top[n] else top[n]
    _fill(total, z.dtype.type(0))
    for k in range(z.shape[0]):
        row = z[k][:m]
        for n in range(m):
            row[n] = elementary.exp(row[n] - top[n])
        for n in range(m):
            total[n] += row[n]
    for k in range(z.shape[0]):
        row = z[k][:m]
        for n in range(m):
            row[n] /= total[n]


@jit
def _cross_entropy_sigmoid(d, z, t, w, losses):
    """w (-t log(p) - (1 - t) log(1 - p)) with p = sigmoid(z), from the logits: no log(0) exists. d = w (p - t)."""
    zero = z.dtype.type(0)
    for n in range(z.shape[0]):
        x, y = z[n], t[n]
        p, softplus = elementary.sigmoid_and_softplus(x)
        losses[n] += w[n] * (((zero if x < zero else x) - y * x) + softplus)
        d[n] = w[n] * (p - y)


@jit
def _squared_error(d, a, t, w, losses):
    """w (a - t)^2 / 2. d = w (a - t)."""
    half = a.dtype.type(0.5)
    for n in range(a.shape[0]):
        e = a[n] - t[n]
        losses[n] += half * e * e * w[n]
        d[n] = w[n] * e


@jit
def _softmax_backward(d, p, inner, m):
    """d (K, B) = p (d - sum over the rows of p d), in place."""
    _fill(inner, d.dtype.type(0))
    for k in range(d.shape[0]):
        dk, pk = d[k][:m], p[k][:m]
        for n in range(m):
            inner[n] += dk[n] * pk[n]
    for k in range(d.shape[0]):
        dk, pk = d[k][:m], p[k][:m]
        for n in range(m):
            dk[n] = pk[n] * (dk[n] - inner[n])


@jit
def _cross_entropy_softmax(d, z, t, w, losses, spare, m):
    """w times -sum t log(p) = log(sum e^z) - sum t z, where sum t = 1 and p = softmax(z), over all rows. d = w (p - t)."""
    one = z.dtype.type(1)
    for k in range(z.shape[0]):
        zk, tk = z[k][:m], t[k][:m]
        for n in range(m):
            losses[n] -= tk[n] * zk[n]
    top = d[0][:m]
    _softmax(z, top, spare, m)
    for n in range(m):
        losses[n] = w[n] * ((losses[n] + top[n]) + elementary.log1p(spare[n] - one))
    for k in range(z.shape[0]):
        pk, tk, dk = z[k][:m], t[k][:m], d[k][:m]
        for n in range(m):
            dk[n] = w[n] * (pk[n] - tk[n])


@jit_flat
def _output_loss(d, z, t, w, code, loss, rows, m):
    """The samples' weighted losses into rows[0], their gradient by the logits z (K, B) into d (K, B)."""
    losses, spare = rows[0][:m], rows[1][:m]
    _fill(losses, z.dtype.type(0))
    if loss == CROSS_ENTROPY and code == SIGMOID:
        for k in range(z.shape[0]):
            _cross_entropy_sigmoid(d[k][:m], z[k][:m], t[k][:m], w, losses)
    elif loss == CROSS_ENTROPY:
        _cross_entropy_softmax(d, z, t, w, losses, spare, m)
    else:
        output_forward(z, code, rows[1], d[0], m)
        for k in range(z.shape[0]):
            _squared_error(d[k][:m], z[k][:m], t[k][:m], w, losses)
        if code == SOFTMAX:
            _softmax_backward(d, z, spare, m)
        else:
            for k in range(z.shape[0]):
                activate_backward(d[k], z[k], ZERO, np.uint64(m), code)


@jit_flat
def output_forward(z, code, spare, other_spare, m):
    """The output's activation over the logits z (K, B), in place."""
    if code == SOFTMAX:
        _softmax(z, spare[:m], other_spare[:m], m)
    else:
        for k in range(z.shape[0]):
            activate(z[k], ZERO, np.uint64(m), code)


# -- a block -------------------------------------------------------------------------------------------------------------------


@jit_flat
def hidden_forward(activations, x, theta, layers, m):
    """Activations of every hidden layer and the logits of the last, below one another, from the inputs x (D, B)."""
    a, at = x, 0
    last = layers.shape[0] - 1
    for layer in range(last + 1):
        z = activations[at : at + layers[layer, 1]]
        dense_forward(z, a, theta, layers[layer, 3], layers[layer, 4], m)
        if layer < last and layers[layer, 2] != IDENTITY:
            for h in range(z.shape[0]):
                activate(z[h], ZERO, np.uint64(m), layers[layer, 2])
        a = z
        at += layers[layer, 1]


@jit_flat
def _hidden_backward(g, scratch, x, theta, layers, m):
    """Adds to g what the block contributes to the gradient, from the output's dz at the beginning of scratch.deltas."""
    last = layers.shape[0] - 1
    widest = scratch.deltas.shape[0] // 2
    here, below = 0, widest
    at = scratch.activations.shape[0] - layers[last, 1]
    for layer in range(last, -1, -1):
        n_in, n_out = layers[layer, 0], layers[layer, 1]
        dz = scratch.deltas[here : here + n_out]
        if layer == 0:
            dense_backward_parameters(g, x, dz, layers[0, 3], layers[0, 4], m)
            return
        at -= n_in
        a = scratch.activations[at : at + n_in]
        dense_backward_parameters(g, a, dz, layers[layer, 3], layers[layer, 4], m)
        da = scratch.deltas[below : below + n_in]
        dense_backward_input(da, dz, theta, layers[layer, 3], m)
        for d in range(n_in):
            activate_backward(da[d], a[d], ZERO, np.uint64(m), layers[layer - 1, 2])
        here, below = below, here


@jit_flat
def _block_loss(scratch, inputs, targets, weights, theta, network, m):
    """The weighted sum of the block's losses; leaves the activations, and the output's dz at the beginning of scratch.deltas."""
    layers = network.layers
    n_out = layers[layers.shape[0] - 1, 1]
    hidden_forward(scratch.activations, inputs, theta, layers, m)
    z = scratch.activations[scratch.activations.shape[0] - n_out :]
    d = scratch.deltas[:n_out]
    _output_loss(d, z, targets, weights[:m], layers[layers.shape[0] - 1, 2], network.loss, scratch.rows, m)
    return np.float64(_total(scratch.rows[0][:m]))


@jit
def pack(tiles, tile, data, order, first, m):
    """Rows order[first : first + m] of the data into a tile: samples become lanes."""
    inputs, targets, weights = tiles.inputs[tile], tiles.targets[tile], tiles.weights[tile]
    rows = order[first : first + m]
    for d in range(inputs.shape[0]):
        out = inputs[d][:m]
        shift, scale = data.shift[d], data.scale[d]
        for n in range(m):
            out[n] = (data.x[rows[n], d] - shift) * scale
    one_hot = data.y.shape[1] < targets.shape[0]
    zero, one = inputs.dtype.type(0), inputs.dtype.type(1)
    for k in range(targets.shape[0]):
        out = targets[k][:m]
        for n in range(m):
            if one_hot:
                out[n] = one if data.y[rows[n], 0] == k else zero
            else:
                out[n] = data.y[rows[n], k]
    for n in range(m):
        weights[n] = data.weight[rows[n]]


# -- chunks and batches --------------------------------------------------------------------------------------------------------


@jit_flat
def chunk_losses(gradients, losses, scratch, tiles, data, order, span, chunk, theta, network):
    """For chunks span[2] to span[3] - 1 of the rows order[span[0] : span[1]]: the weighted sum of the losses into losses[c] and, if
    gradients has a row for each chunk, its gradient, unscaled, into gradients[c]."""
    lanes = tiles.inputs.shape[2]
    for c in range(span[2], span[3]):
        first = span[0] + c * chunk
        last = min(first + chunk, span[1])
        with_gradient = c < gradients.shape[0]
        if with_gradient:
            _fill(gradients[c], theta.dtype.type(0))
        loss = 0.0
        for start in range(first, last, lanes):
            m = min(lanes, last - start)
            tile = np.int64(0)
            if tiles.kept:
                tile = start // lanes
            else:
                pack(tiles, tile, data, order, start, m)
            inputs = tiles.inputs[tile]
            loss += _block_loss(scratch, inputs, tiles.targets[tile], tiles.weights[tile], theta, network, m)
            if with_gradient:
                _hidden_backward(gradients[c], scratch, inputs, theta, network.layers, m)
        losses[c] = loss


@jit
def add_chunks(total, gradients, losses, n_chunks, loss):
    """total (P,) += the chunks' gradients, and the loss so far plus theirs is returned: chunks are added in their order."""
    for c in range(min(n_chunks, gradients.shape[0])):
        g = gradients[c]
        for i in range(total.shape[0]):
            total[i] += g[i]
    for c in range(n_chunks):
        loss += losses[c]
    return loss


@jit
def to_mean(total, n_rows, network):
    """The gradient of the mean loss, from that of the sum."""
    factor = total.dtype.type(network.loss_scale / n_rows)
    for i in range(total.shape[0]):
        total[i] *= factor


@jit
def step(theta, state, counters, total, n_rows, network, rule):
    """Ends a batch: moves theta down its gradient. counters[0] counts the steps."""
    to_mean(total, n_rows, network)
    if rule.l2 > 0:
        optimizers.add_l2(total, theta, network.layers, rule.l2)
    counters[0] += 1
    optimizers.update(theta, state, total, rule, counters[0])


@jit
def descend(theta, state, counters, history, total, gradients, losses, scratch, tiles, data, order, sizes, network, rule, target):
    """Batches first to last - 1, counted over the epochs; sizes is (batch_size, chunk, first, last).

    order has a row for each epoch that is touched, or one for all; history[e] gathers the losses of epoch e. After an epoch whose
    mean loss is at most target or not finite, it stops; counters[1] counts the batches that are done.
    """
    batch_size, chunk, first, last = sizes
    n = order.shape[1]
    batches = (n + batch_size - 1) // batch_size
    for b in range(first, last):
        epoch = b // batches
        rows = order[min(epoch - first // batches, order.shape[0] - 1)]
        start = (b - epoch * batches) * batch_size
        stop = min(start + batch_size, n)
        n_chunks = (stop - start + chunk - 1) // chunk
        span = (start, stop, np.int64(0), n_chunks)
        chunk_losses(gradients, losses, scratch, tiles, data, rows, span, chunk, theta, network)
        _fill(total, theta.dtype.type(0))
        history[epoch] += add_chunks(total, gradients, losses, n_chunks, 0.0) * network.loss_scale
        step(theta, state, counters, total, stop - start, network, rule)
        counters[1] = b + 1
        if stop == n and not target < history[epoch] / n < np.inf:
            return


@jit
def predict(out, activations, inputs, spare, x, theta, layers, first, last):
    """The outputs (K) for rows first to last - 1 of x (N, D), into out (N, K). inputs (D, B) and spare (2, B) are scratch."""
    lanes = inputs.shape[1]
    n_out = layers[layers.shape[0] - 1, 1]
    z = activations[activations.shape[0] - n_out :]
    for start in range(first, last, lanes):
        m = min(lanes, last - start)
        for d in range(inputs.shape[0]):
            row = inputs[d][:m]
            for n in range(m):
                row[n] = x[start + n, d]
        hidden_forward(activations, inputs, theta, layers, m)
        output_forward(z, layers[layers.shape[0] - 1, 2], spare[0], spare[1], m)
        for k in range(n_out):
            row = z[k][:m]
            for n in range(m):
                out[start + n, k] = row[n]
