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
from fastmlp.kernels.dense import dense_backward_input, dense_backward_parameters, dense_forward, fill, sum_row
from fastmlp.kernels.jit import jit, jit_flat

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


# -- the output ----------------------------------------------------------------------------------------------------------------


@jit
def _softmax(z, top, total, m):
    """z (K, B) = softmax over the K rows, in place; leaves the greatest logits and the sums of e^(z - top)."""
    for n in range(m):
        top[n] = z[0][n]
    for k in range(1, z.shape[0]):
        row = z[k][:m]
        for n in range(m):
            top[n] = row[n] if row[n] > top[n] else top[n]
    fill(total, z.dtype.type(0))
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
    fill(inner, d.dtype.type(0))
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
    fill(losses, z.dtype.type(0))
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
    return np.float64(sum_row(scratch.rows[0][:m]))


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
            fill(gradients[c], theta.dtype.type(0))
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
        fill(total, theta.dtype.type(0))
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
