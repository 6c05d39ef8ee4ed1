"""Forward and backward over blocks of samples. Lanes are samples: a vector holds the samples of one unit, whatever the widths of
the layers are.

N samples, D inputs, H units of a layer, K outputs, P parameters, L layers, B lanes of a block, of which the first m are in use.
Arrays of a block hold (units, B) numbers, flat, as theta and its gradient are; all are of one floating dtype, except

layers (L, 5) int64: inputs, outputs, activation, where in theta the weights begin, and 1 if biases follow them, else 0.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels import elementary, optimizers
from fastmlp.kernels.activations import SIGMOID, SOFTMAX, activate, activate_backward
from fastmlp.kernels.barrier import meet
from fastmlp.kernels.compile import jit, jit_flat, jit_inline, jit_part
from fastmlp.kernels.dense import Rows, dense_backward_input, dense_backward_parameters, dense_forward, strips
from fastmlp.kernels.simd import get, lanes_of, load, put, room, store, total, where, zeros

CROSS_ENTROPY, SQUARED_ERROR = range(2)
MOST_LANES = 16  # of a vector
ROOM = 4096  # numbers of scratch for a few rows, on the stack
STRIP = np.int64(32)  # samples of two vectors of float32, four of float64


def rows_of(layers):
    """Rows of a block: inputs, hidden units and logits, and the ones."""
    return int(layers[0, 0] + layers[:, 1].sum() + layers[:, 4].sum())


class Network(NamedTuple):
    """What is trained: its layers, and the loss as a kind and a factor (1 / ln 2 for bits)."""

    layers: np.ndarray
    loss: int
    loss_scale: float


class Data(NamedTuple):
    """Rows as the caller holds them. The network sees (x - shift) * scale."""

    x: np.ndarray  # (N, D); a large one may be of a type of its own
    y: np.ndarray  # (N, K), or (N, 1) class numbers that stand for one-hot rows
    weight: np.ndarray  # (N,), or one for all
    shift: np.ndarray  # (D,)
    scale: np.ndarray  # (D,)


class Tiles(NamedTuple):
    """Blocks of rows with samples as lanes, flat: one that is packed anew for each block, or all of them, packed once and kept."""

    inputs: np.ndarray  # (blocks, D, B), and a row of ones below each if there are biases
    targets: np.ndarray  # (blocks, K, B)
    weights: np.ndarray  # (blocks, B), 0 past the last sample
    stride: int  # B
    lanes: int  # samples of a block
    kept: bool


class Scratch(NamedTuple):
    """What one worker writes while it works on a block, flat."""

    units: np.ndarray  # (units, B): activations of the hidden layers, a row of ones below each if there are biases; the logits
    deltas: np.ndarray  # (2 * widest layer, B): dz of a layer and of the one below it, by turns
    spare: np.ndarray  # of dense_backward_parameters


# -- the output ----------------------------------------------------------------------------------------------------------------


@jit_part
def _softmax(z, at, n_out, stride, n):
    """z = softmax(z) over the rows, in place, for the samples at n; returns the greatest logits and the sums of e^(z - top)."""
    top = load(z, at + n)
    for k in range(at + stride, at + n_out * stride, stride):
        x = load(z, k + n)
        top = where(x > top, x, top)
    sums = zeros(z)
    for k in range(at, at + n_out * stride, stride):
        e = elementary.exp(load(z, k + n) - top)
        store(z, k + n, e)
        sums += e
    inverse = z.dtype.type(1) / sums
    for k in range(at, at + n_out * stride, stride):
        store(z, k + n, load(z, k + n) * inverse)
    return top, sums


@jit_inline
def _note(losses, place, period, loss):
    """Adds a vector of losses at that place; returns the next one, which after a period is the first again."""
    store(losses, place, load(losses, place) + loss)
    place += lanes_of(losses)
    return place if place < period else np.int64(0)


@jit_inline
def cross_entropy(z, t, w):
    """w (-t log(p) - (1 - t) log(1 - p)) with p = sigmoid(z), by the logit: no log(0) exists. And its gradient by z, w (p - t)."""
    p, softplus = elementary.sigmoid_and_softplus(z)
    return w * ((elementary.positive(z) - t * z) + softplus), w * (p - t)


@jit_inline
def squared_error(a, t, w, half):
    """w (a - t)^2 / 2, and its gradient by a, w (a - t)."""
    e = a - t
    return (e * e) * (w * half), w * e


@jit_part
def _cross_entropy_sigmoid(losses, period, d, z, at, tiles, tile, n_out, m):
    stride, place = tiles.stride, np.int64(0)
    for n in range(0, m, lanes_of(z)):
        w = load(tiles.weights, tile * stride + n)
        loss = zeros(z)
        for k in range(0, n_out * stride, stride):
            e, dz = cross_entropy(load(z, at + k + n), load(tiles.targets, tile * n_out * stride + k + n), w)
            loss += e
            store(d, k + n, dz)
        place = _note(losses, place, period, loss)


@jit_part
def _cross_entropy_softmax(losses, period, d, z, at, tiles, tile, n_out, m):
    """w times -sum t log(p) = log(sum e^z) - sum t z, where sum t = 1 and p = softmax(z). d = w (p - t)."""
    stride, one, place = tiles.stride, z.dtype.type(1), np.int64(0)
    for n in range(0, m, lanes_of(z)):
        w = load(tiles.weights, tile * stride + n)
        loss = zeros(z)
        for k in range(0, n_out * stride, stride):
            loss -= load(tiles.targets, tile * n_out * stride + k + n) * load(z, at + k + n)
        top, sums = _softmax(z, at, n_out, stride, n)
        place = _note(losses, place, period, w * ((loss + top) + elementary.log1p(sums - one)))
        for k in range(0, n_out * stride, stride):
            store(d, k + n, w * (load(z, at + k + n) - load(tiles.targets, tile * n_out * stride + k + n)))


@jit_part
def _squared_error(losses, period, d, z, at, tiles, tile, n_out, m, code):
    """w (a - t)^2 / 2 with a = f(z), in place. d = w (a - t) f'(z)."""
    stride, half, place = tiles.stride, z.dtype.type(0.5), np.int64(0)
    output_forward(z, at, n_out, stride, m, code)
    for n in range(0, m, lanes_of(z)):
        w = load(tiles.weights, tile * stride + n)
        inner, loss = zeros(z), zeros(z)
        for k in range(0, n_out * stride, stride):
            a = load(z, at + k + n)
            e, da = squared_error(a, load(tiles.targets, tile * n_out * stride + k + n), w, half)
            loss += e
            store(d, k + n, da)
            inner += da * a
        if code == SOFTMAX:
            for k in range(0, n_out * stride, stride):
                store(d, k + n, load(z, at + k + n) * (load(d, k + n) - inner))
        place = _note(losses, place, period, loss)
    activate_backward(d, np.int64(0), z, at, n_out, stride, m, code)


@jit_flat
def add_losses(losses, period, d, z, at, tiles, tile, n_out, m, code, loss):
    """The weighted losses of the lanes of a tile, added to losses[lane % period], and their gradients by the logits z to the
    beginning of d."""
    if loss == SQUARED_ERROR:
        _squared_error(losses, period, d, z, at, tiles, tile, n_out, m, code)
    elif code == SIGMOID:
        _cross_entropy_sigmoid(losses, period, d, z, at, tiles, tile, n_out, m)
    else:
        _cross_entropy_softmax(losses, period, d, z, at, tiles, tile, n_out, m)


@jit_flat
def block_loss(d, z, at, tiles, tile, n_out, m, code, loss):
    """The weighted sum of the samples' losses, and its gradient by the logits z to the beginning of d."""
    losses = room(z, MOST_LANES)
    store(losses, np.int64(0), zeros(z))
    add_losses(losses, lanes_of(z), d, z, at, tiles, tile, n_out, m, code, loss)
    return np.float64(total(load(losses, np.int64(0))))


@jit_part
def output_forward(z, at, n_out, stride, m, code):
    """The output's activation over the logits z, in place."""
    if code == SOFTMAX:
        for n in range(0, m, lanes_of(z)):
            _softmax(z, at, n_out, stride, n)
    else:
        activate(z, at, n_out, stride, m, code)


# -- a block -------------------------------------------------------------------------------------------------------------------


@jit_inline
def row_of(layers, layer):
    return layers[layer, 0], layers[layer, 1], layers[layer, 2], layers[layer, 3], layers[layer, 4]


@jit_flat
def hidden_forward(units, to, x, first, theta, layers, stride, m):
    """Activations of every hidden layer and the logits of the last, below one another from place `to` on, from the inputs at
    x[first]; returns where the logits begin."""
    a, at = x, first
    last = layers.shape[0] - 1
    for layer in range(last + 1):
        n_in, n_out, code, weights, biased = row_of(layers, layer)
        dense_forward(Rows(units, to, stride), Rows(a, at, stride), theta, weights, n_in + biased, n_out, m)
        if layer < last:
            activate(units, to, n_out, stride, m, code)
        a, at = units, to
        to += (n_out + biased) * stride
    return at


@jit_flat
def _hidden_backward(g, scratch, at, x, first, theta, layers, stride, m):
    """Adds to g what the block contributes to the gradient, from the output's dz at the beginning of scratch.deltas."""
    units, deltas, spare = scratch.units, scratch.deltas, scratch.spare
    here, below = np.int64(0), deltas.size // 2
    for layer in range(layers.shape[0] - 1, 0, -1):
        n_in, n_out, _, weights, biased = row_of(layers, layer)
        at -= (n_in + biased) * stride
        a, dz = Rows(units, at, stride), Rows(deltas, here, stride)
        dense_backward_parameters(g, weights, a, dz, n_in + biased, n_out, m, spare)
        dense_backward_input(Rows(deltas, below, stride), a, dz, theta, weights, n_in, n_out, m, layers[layer - 1, 2])
        here, below = below, here
    n_in, n_out, _, weights, biased = row_of(layers, np.int64(0))
    dense_backward_parameters(g, weights, Rows(x, first, stride), Rows(deltas, here, stride), n_in + biased, n_out, m, spare)


@jit
def pack(tiles, tile, data, order, first, m):
    """Rows order[first : first + m] of the data into a tile: samples become lanes. What stands past them weighs nothing."""
    n_in, stride = data.shift.shape[0], tiles.stride
    n_out = tiles.targets.size // tiles.weights.size
    rows = tiles.inputs.size // tiles.weights.size
    end = strips(m, tiles.inputs)
    number = tiles.inputs.dtype.type
    zero, one = number(0), number(1)
    for d in range(n_in):
        shift, scale = data.shift[d], data.scale[d]
        out = (tile * rows + d) * stride
        for n in range(m):
            put(tiles.inputs, out + n, (number(get(data.x, np.int64(get(order, first + n)) * n_in + d)) - shift) * scale)
        for n in range(m, end):
            put(tiles.inputs, out + n, zero)
    columns = data.y.shape[1]
    for k in range(n_out):
        out = (tile * n_out + k) * stride
        for n in range(m):
            t = get(data.y, np.int64(get(order, first + n)) * columns + min(k, columns - 1))
            if columns < n_out:
                t = one if t == k else zero
            put(tiles.targets, out + n, t)
    for n in range(m):
        row = np.int64(get(order, first + n))
        put(tiles.weights, tile * stride + n, get(data.weight, min(row, data.weight.shape[0] - 1)))
    for n in range(m, end):
        put(tiles.weights, tile * stride + n, zero)


@jit
def shuffle(orders, draws):
    """Shuffles each row of orders (E, N), by draws (E, >= N) of 32 random bits: Fisher and Yates, in the form of Durstenfeld 1964.

    A number below i + 1 is the upper half of its product with 32 bits (Lemire 2019, without his second draw: what that would
    correct is less than one in 2^32 / N).
    """
    for e in range(orders.shape[0]):
        row, bits = orders[e], draws[e]
        for i in range(row.shape[0] - 1, 0, -1):
            j = np.int64((np.uint64(bits[i]) * np.uint64(i + 1)) >> np.uint64(32))
            other = row[j]
            row[j] = row[i]
            row[i] = other


# -- chunks and batches --------------------------------------------------------------------------------------------------------


@jit_flat
def chunk_losses(gradients, losses, scratch, tiles, data, order, span, chunk, theta, network):
    """For chunks span[2] to span[3] - 1 of the rows order[span[0] : span[1]]: the weighted sum of the losses into losses[c] and, if
    gradients has a row for each chunk, its gradient, unscaled, into gradients[c]."""
    layers, stride = network.layers, tiles.stride
    n_out, code = layers[layers.shape[0] - 1, 1], layers[layers.shape[0] - 1, 2]
    rows = tiles.inputs.size // tiles.weights.size
    for c in range(span[2], span[3]):
        first = span[0] + c * chunk
        last = min(first + chunk, span[1])
        with_gradient = c < gradients.shape[0]
        if with_gradient:
            fill(gradients[c], theta.dtype.type(0))
        loss = 0.0
        for start in range(first, last, tiles.lanes):
            m = min(tiles.lanes, last - start)
            tile = np.int64(0)
            if tiles.kept:
                tile = start // tiles.lanes
            else:
                pack(tiles, tile, data, order, start, m)
            m = strips(m, theta)
            x = tile * rows * stride
            at = hidden_forward(scratch.units, np.int64(0), tiles.inputs, x, theta, layers, stride, m)
            loss += block_loss(scratch.deltas, scratch.units, at, tiles, tile, n_out, m, code, network.loss)
            if with_gradient:
                _hidden_backward(gradients[c], scratch, at, tiles.inputs, x, theta, layers, stride, m)
        losses[c] = loss


@jit_part
def fill(row, value):
    for n in range(row.shape[0]):
        row[n] = value


@jit
def add_chunks(total, gradients, losses, n_chunks, loss, low, high):
    """total += the chunks' gradients, for the parameters low to high - 1; the loss so far plus theirs is returned. Chunks are added
    in their order."""
    part = total[low:high]
    for c in range(min(n_chunks, gradients.shape[0])):
        g = gradients[c][low:high]
        for i in range(part.shape[0]):
            part[i] += g[i]
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
def step(theta, state, number, total, low, high, n_rows, network, rule, epoch):
    """Ends a batch, the step of that number: moves the parameters low to high - 1 down their gradient."""
    rule = optimizers.scheduled(rule, epoch)
    to_mean(total[low:high], n_rows, network)
    if rule.l2 > 0:
        optimizers.add_l2(total, theta, network.layers, rule.l2, low, high)
    optimizers.update(theta[low:high], state[0][low:high], state[1][low:high], total[low:high], rule, number)


@jit_inline
def _edge(size, part, parts):
    """Where a share of so many parameters begins. The numbers that a loop's vectors leave over at its end may be rounded in another
    way, and have to be the same ones for any number of shares."""
    return size if part == parts else size * part // parts // 128 * 128


@jit
def descend(
    theta, state, counters, history, total, gradients, losses, scratch, tiles, data, order, sizes, network, rule, target, team
):  # fmt: skip
    """Batches first to last - 1, counted over the epochs; sizes is (batch_size, chunk, first, last).

    order has a row for each epoch that is touched, or one for all; history[e] gathers the losses of epoch e. After an epoch whose
    mean loss is at most target or not finite, it stops; counters are the steps and the batches that are done.

    team is (me, threads, counter): so many threads call this with the same arrays, but each with scratch and tiles of its own. Each
    works on a share of the chunks, and when all have met, on a share of the parameters.
    """
    batch_size, chunk, first, last = sizes
    me, threads, counter = team
    n = order.shape[1]
    batches = (n + batch_size - 1) // batch_size
    low, high = _edge(theta.shape[0], me, threads), _edge(theta.shape[0], me + 1, threads)
    steps, arrivals = counters[0], 0
    for b in range(first, last):
        epoch = b // batches
        rows = order[min(epoch - first // batches, order.shape[0] - 1)]
        start = (b - epoch * batches) * batch_size
        stop = min(start + batch_size, n)
        n_chunks = (stop - start + chunk - 1) // chunk
        span = (start, stop, n_chunks * me // threads, n_chunks * (me + 1) // threads)
        chunk_losses(gradients, losses, scratch, tiles, data, rows, span, chunk, theta, network)
        arrivals += threads
        if threads > 1:
            meet(counter, arrivals)
        fill(total[low:high], theta.dtype.type(0))
        loss = add_chunks(total, gradients, losses, n_chunks, 0.0, low, high)
        steps += 1
        step(theta, state, steps, total, low, high, stop - start, network, rule, epoch)
        if me == 0:
            history[epoch] += loss * network.loss_scale
            counters[0], counters[1] = steps, b + 1
        arrivals += threads
        if threads > 1:
            meet(counter, arrivals)
        if stop == n and not target < history[epoch] / n < np.inf:
            return


@jit
def predict(out, scratch, x, theta, layers, first, last, lanes, stride):
    """The outputs for rows first to last - 1 of x (N, D), into out (N, K), `lanes` rows at a time; returns whether they are finite.

    Where out has two columns for one output, p, they are 1 - p and p. scratch holds rows_of(layers) * stride numbers.
    """
    n_in, n_out, columns = x.shape[1], layers[layers.shape[0] - 1, 1], out.shape[1]
    code = layers[layers.shape[0] - 1, 2]
    one, zero = x.dtype.type(1), x.dtype.type(0)
    units = n_in
    for layer in range(layers.shape[0]):
        if layers[layer, 4] > 0:
            for n in range(units * stride, (units + 1) * stride):
                put(scratch, n, one)
        units += layers[layer, 1] + layers[layer, 4]
    units = (n_in + layers[0, 4]) * stride
    bad = zeros(scratch)
    for start in range(first, last, lanes):
        count = min(lanes, last - start)
        m = strips(count, scratch)
        for d in range(n_in):
            row = d * stride
            for n in range(count):
                put(scratch, row + n, get(x, (start + n) * n_in + d))
            for n in range(count, m):
                put(scratch, row + n, zero)
            for n in range(row, row + m, lanes_of(scratch)):
                bad += load(scratch, n) - load(scratch, n)
        at = hidden_forward(scratch, units, scratch, np.int64(0), theta, layers, stride, m)
        output_forward(scratch, at, n_out, stride, m, code)
        for k in range(n_out):
            for n in range(count):
                value = get(scratch, at + k * stride + n)
                if columns > n_out:
                    put(out, (start + n) * columns, one - value)
                put(out, (start + n) * columns + columns - n_out + k, value)
    return total(bad) == zero


@jit
def predict_few(out, x, theta, layers):
    """predict for a few rows, with scratch on the stack."""
    return predict(out, room(theta, ROOM), x, theta, layers, np.int64(0), x.shape[0], STRIP, STRIP)
