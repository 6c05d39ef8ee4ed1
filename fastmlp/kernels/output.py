"""The output of a network over a block of samples: its activation, and the loss with its gradient by the logits."""

import numpy as np

from fastmlp.kernels import elementary
from fastmlp.kernels.activations import IDENTITY, SIGMOID, SOFTMAX, activate, output_activation
from fastmlp.kernels.compile import jit_flat, jit_inline, jit_part
from fastmlp.kernels.custom_loss import FIRST_ADDRESS, loss_at
from fastmlp.kernels.layers import last_layer
from fastmlp.kernels.losses import CROSS_ENTROPY, ERROR_RATE, by_function, of_logit, of_output
from fastmlp.kernels.simd import lanes_of, load, room, store, total, zeros
from fastmlp.kernels.trace import like, traced, where

MOST_LANES = 16  # of a vector


@jit_part
def softmax_of_rows(z, at, n_out, stride):
    """z = softmax(z) over the rows, in place, for a vector of samples; returns the greatest logits and the sums of e^(z - top)."""
    top = load(z, at)
    for k in range(at + stride, at + n_out * stride, stride):
        x = load(z, k)
        top = where(x > top, x, top)
    sums = zeros(z)
    for k in range(at, at + n_out * stride, stride):
        e = elementary.exp(load(z, k) - top)
        store(z, k, e)
        sums += e
    inverse = z.dtype.type(1) / sums
    for k in range(at, at + n_out * stride, stride):
        store(z, k, load(z, k) * inverse)
    return top, sums


@jit_inline
def _note(losses, place, period, loss):
    """Adds a vector of losses at that place; returns the next one, which after a period is the first again."""
    store(losses, place, load(losses, place) + loss)
    place += lanes_of(losses)
    return place if place < period else np.int64(0)


@jit_part
def _losses_of_logits(losses, period, d, z, tiles, tile, m, network):
    stride, place, layer = tiles.stride, np.int64(0), last_layer(network.layers)
    parameter = d.dtype.type(network.loss_parameter)
    for n in range(0, m, lanes_of(d)):
        w, loss = load(tiles.weights, tile * stride + n), zeros(d)
        for k in range(0, layer.n_out * stride, stride):
            t = load(tiles.targets, tile * layer.n_out * stride + k + n)
            e, dz = of_logit(network.loss, layer.activation, load(z.array, z.at + k + n), t, parameter)
            loss += e
            store(d, k + n, w * dz)
        place = _note(losses, place, period, w * loss)


@jit_part
def _losses_by_function(losses, period, d, z, tiles, tile, m, network):
    """The same of a loss that a caller brings. A call in the loop above would keep vectors of all losses from staying in registers:
    a full batch of 3-5-1 took a tenth longer."""
    stride, place, layer = tiles.stride, np.int64(0), last_layer(network.layers)
    for n in range(0, m, lanes_of(d)):
        w, loss = load(tiles.weights, tile * stride + n), zeros(d)
        for k in range(0, layer.n_out * stride, stride):
            t = load(tiles.targets, tile * layer.n_out * stride + k + n)
            e, dz = by_function(network.loss, layer.activation, load(z.array, z.at + k + n), t, w)
            loss += e
            store(d, k + n, w * dz)
        place = _note(losses, place, period, w * loss)


@traced
def _loss_of_probability(code, p, t, parameter):
    return of_output(code, p, p, like(p, 1.0), t, parameter)


@jit_part
def _probabilities_by_function(d, n, p, here, targets, there, w, end, stride, loss_function):
    """Of a loss that a caller brings, for all outputs p of a vector of samples: w g, to d; the sums of losses and of w g p."""
    loss, inner = zeros(d), zeros(d)
    for k in range(0, end, stride):
        e, g = loss_at(loss_function, load(p, here + k), load(targets, there + k), w)
        loss += e
        g *= w
        inner += g * load(p, here + k)
        store(d, k + n, g)
    return loss, inner


@jit_part
def _losses_of_softmax(losses, period, d, z, tiles, tile, m, network):
    """Of p = softmax(z). For cross entropy w times -sum t log(p) = log(sum e^z) - sum t z, where sum t = 1, and d = w (p - t); for
    another loss, by its gradient g by p, d = w p (g - sum g p)."""
    stride, one, place, layer = tiles.stride, d.dtype.type(1), np.int64(0), last_layer(network.layers)
    parameter = d.dtype.type(network.loss_parameter)
    for n in range(0, m, lanes_of(d)):
        w, loss, inner = load(tiles.weights, tile * stride + n), zeros(d), zeros(d)
        here, there, end = z.at + n, tile * layer.n_out * stride + n, layer.n_out * stride
        if network.loss == CROSS_ENTROPY:
            for k in range(0, end, stride):
                loss -= load(tiles.targets, there + k) * load(z.array, here + k)
        top, sums = softmax_of_rows(z.array, here, layer.n_out, stride)
        if network.loss == CROSS_ENTROPY:
            loss = (loss + top) + elementary.log1p(sums - one)
            for k in range(0, end, stride):
                store(d, k + n, w * (load(z.array, here + k) - load(tiles.targets, there + k)))
        else:
            if network.loss < FIRST_ADDRESS:
                for k in range(0, end, stride):
                    p = load(z.array, here + k)
                    e, g = _loss_of_probability(network.loss, p, load(tiles.targets, there + k), parameter)
                    loss += e
                    g *= w
                    inner += g * p
                    store(d, k + n, g)
            else:
                loss, inner = _probabilities_by_function(d, n, z.array, here, tiles.targets, there, w, end, stride, network.loss)
            for k in range(0, end, stride):
                store(d, k + n, load(z.array, here + k) * (load(d, k + n) - inner))
        place = _note(losses, place, period, w * loss)


@jit_flat
def add_losses(losses, period, d, z, tiles, tile, m, network):
    """The weighted losses of the lanes of a tile, added to losses[lane % period], and their gradients by the logits z to the
    beginning of d."""
    if last_layer(network.layers).activation == SOFTMAX:
        _losses_of_softmax(losses, period, d, z, tiles, tile, m, network)
    elif network.loss >= FIRST_ADDRESS:
        _losses_by_function(losses, period, d, z, tiles, tile, m, network)
    else:
        _losses_of_logits(losses, period, d, z, tiles, tile, m, network)


@jit_part
def add_errors(losses, period, z, tiles, tile, m, layers):
    """The weights of the samples of a tile whose class is not the one that is told, added to losses[lane % period]: told by one
    sigmoid output, whether it is beyond 1/2, or by the first of the largest."""
    stride, place, layer, one = tiles.stride, np.int64(0), last_layer(layers), z.array.dtype.type(1)
    for n in range(0, m, lanes_of(z.array)):
        at = tile * layer.n_out * stride + n
        best, right = load(z.array, z.at + n), load(tiles.targets, at)
        if layer.n_out == 1:
            right = where(elementary.sigmoid(best) > z.array.dtype.type(0.5), right, one - right)
        for k in range(stride, layer.n_out * stride, stride):
            y = load(z.array, z.at + k + n)
            right = where(y > best, load(tiles.targets, at + k), right)
            best = where(y > best, y, best)
        place = _note(losses, place, period, load(tiles.weights, tile * stride + n) * (one - right))


@jit_flat
def block_loss(d, z, tiles, tile, m, network):
    """The weighted sum of the samples' losses, and its gradient by the logits z to the beginning of d; errors have none."""
    losses = room(d, MOST_LANES)
    store(losses, np.int64(0), zeros(d))
    if network.loss == ERROR_RATE:
        add_errors(losses, lanes_of(d), z, tiles, tile, m, network.layers)
    else:
        add_losses(losses, lanes_of(d), d, z, tiles, tile, m, network)
    return np.float64(total(load(losses, np.int64(0))))


@jit_part
def output_forward(z, at, layer, stride, m):
    """The output's activation over the logits z, in place."""
    if layer.activation == SOFTMAX:
        for n in range(at, at + m, lanes_of(z)):
            softmax_of_rows(z, n, layer.n_out, stride)
    elif layer.activation == SIGMOID:
        activate(z, None, at, layer.n_out, stride, m, SIGMOID)
    elif layer.activation != IDENTITY:
        for row in range(at, at + layer.n_out * stride, stride):
            for n in range(row, row + m, lanes_of(z)):
                store(z, n, output_activation(layer.activation, load(z, n))[0])
