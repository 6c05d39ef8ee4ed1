"""Forward and backward over blocks of samples. Lanes are samples: a vector holds the samples of one unit, whatever the widths of
the layers are. Where these are wide, lanes are units: see wide.py.

N samples, D inputs, H units of a layer, K outputs, P parameters, B lanes of a block, of which the first m are in use. Arrays of a
block hold (units, B) numbers, flat, as theta and its gradient are; all are of one floating dtype.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.activations import activate
from fastmlp.kernels.barrier import LAST, look, meet
from fastmlp.kernels.compile import jit, jit_flat, jit_inline, jit_part
from fastmlp.kernels.dense import dense_backward_input, dense_backward_parameters, dense_forward
from fastmlp.kernels.dropout import EPOCH, Dropout, drop, drops, note_keys
from fastmlp.kernels.ends import is_penalized, is_stuck, share_of_penalty
from fastmlp.kernels.layers import layer_of
from fastmlp.kernels.optimizers import clipped, l2_of_loss, move
from fastmlp.kernels.output import block_loss
from fastmlp.kernels.product import Grid
from fastmlp.kernels.simd import lanes_of
from fastmlp.kernels.tiles import Tiles, pack, strips
from fastmlp.kernels.wide import WideScratch, share_of_gradient, wide_chunk


class BatchScratch(NamedTuple):
    """What one worker writes while it works on a block, flat."""

    units: np.ndarray  # (units, B): activations of the hidden layers, a row of ones below each if there are biases; the logits
    slopes: np.ndarray  # (units, B): the derivatives of those activations
    deltas: np.ndarray  # (2 * widest layer, B): dz of a layer and of the one below it, by turns
    spare: np.ndarray  # of dense_backward_parameters


class Worker(NamedTuple):
    """What a worker has for itself: one of two kinds of scratch, as lanes are samples or units."""

    scratch: BatchScratch | WideScratch
    tiles: Tiles
    dropout: Dropout


class Sums(NamedTuple):
    """What comes of chunks of rows."""

    total: np.ndarray  # (P,): the gradient of all of them
    gradients: np.ndarray  # (chunks, P): of each; or none, where none is wanted
    losses: np.ndarray  # (chunks,) float64


class ChunkRange(NamedTuple):
    """Rows start to stop - 1 of an order, in chunks of so many rows; and which of the chunks are meant, from first to last - 1."""

    start: int
    stop: int
    rows: int
    first: int
    last: int


class State(NamedTuple):
    """How far a training has come."""

    theta: np.ndarray  # (P,)
    moments: np.ndarray  # (2, P), or (3, P) with an average of theta: see optimizers.py
    counters: np.ndarray  # (2,) int64: steps, and batches that are done
    history: np.ndarray  # (E,) float64: the sum of the losses of each epoch
    penalties: np.ndarray  # (E,) float64: what l1 and l2 add to their mean, where it is counted
    progress: np.ndarray  # (3,) float64: see ends.py


class Sizes(NamedTuple):
    """Batches first to last - 1, counted over the epochs; how many rows a batch has, and a chunk of it; and whether a batch is one
    chunk, which a team works on together."""

    batch: int
    chunk: int
    together: bool
    first: int
    last: int


class Team(NamedTuple):
    """So many threads call a kernel with the same arrays, each with a worker of its own."""

    me: int
    threads: int
    counter: np.ndarray  # (3,) int64: see barrier.py
    halt: np.ndarray  # (1,) uint8: whether to leave early


# -- a block -------------------------------------------------------------------------------------------------------------------


@jit_flat
def hidden_forward(units, slopes, to, x, theta, layers, m, dropout):
    """Activations of every hidden layer and the logits of the last, below one another from place `to` on, from the inputs x; the
    slopes of the activations likewise, unless there is no such array; without the units that a dropout, if there is one, leaves
    out. Returns where the logits begin."""
    a, last, unit = x, layers.shape[0] - 1, np.int64(0)
    for number in range(last + 1):
        layer = layer_of(layers, number)
        z = Grid(units, to, x.down, x.along)
        dense_forward(z, a, theta, layer, m)
        if number < last:
            activate(units, slopes, to, layer.n_out, x.down, m, layer.activation)
            if dropout is not None:
                if drops(dropout):
                    drop(units, slopes, to, layer.n_out, x.down, m, dropout, number, unit)
                unit += layer.n_out
            to += (layer.n_out + layer.biased) * x.down
        a = z
    return to


@jit_flat
def _backward(g, scratch, at, x, theta, layers, m):
    """Adds to g what the block contributes to the gradient, from the output's dz at the beginning of scratch.deltas."""
    units, deltas, spare, stride = scratch.units, scratch.deltas, scratch.spare, x.down
    here, below = np.int64(0), deltas.size // 2
    for number in range(layers.shape[0] - 1, 0, -1):
        layer = layer_of(layers, number)
        at -= (layer.n_in + layer.biased) * stride
        dz = Grid(deltas, here, stride, x.along)
        dense_backward_parameters(g, Grid(units, at, stride, x.along), dz, layer, m, spare)
        dense_backward_input(Grid(deltas, below, stride, x.along), dz, theta, layer, m, scratch.slopes, at)
        here, below = below, here
    dense_backward_parameters(g, x, Grid(deltas, here, stride, x.along), layer_of(layers, np.int64(0)), m, spare)


# -- chunks and batches --------------------------------------------------------------------------------------------------------


@jit_flat
def samples_chunk(worker, sums, c, data, order, first, last, theta, network, me, threads):
    """The weighted sum of the losses of rows first to last - 1 of the order into sums.losses[c]; their gradient, unscaled, into row
    c of the gradients, if there is one. Lanes are samples; no team works on a chunk together."""
    layers, tiles, scratch = network.layers, worker.tiles, worker.scratch
    stride, along = tiles.stride, lanes_of(theta)
    rows = tiles.inputs.size // tiles.weights.size
    with_gradient = c < sums.gradients.shape[0]
    if with_gradient:
        fill(sums.gradients[c], theta.dtype.type(0))
    loss = 0.0
    for start in range(first, last, tiles.lanes):
        m = min(tiles.lanes, last - start)
        tile = np.int64(0)
        if tiles.kept:
            tile = start // tiles.lanes
        else:
            pack(tiles, tile, data, order, start, m)
        if drops(worker.dropout):
            note_keys(worker.dropout, order, start, m)
        m = strips(m, theta)
        x = Grid(tiles.inputs, tile * rows * stride, stride, along)
        at = hidden_forward(scratch.units, scratch.slopes, np.int64(0), x, theta, layers, m, worker.dropout)
        loss += block_loss(scratch.deltas, Grid(scratch.units, at, stride, along), tiles, tile, m, network)
        if with_gradient:
            _backward(sums.gradients[c], scratch, at, x, theta, layers, m)
    sums.losses[c] = loss


@jit_flat
def losses_of_chunks(chunk, sums, worker, data, order, chunks, theta, network, me, threads):
    for c in range(chunks.first, chunks.last):
        first = chunks.start + c * chunks.rows
        last = min(first + chunks.rows, chunks.stop)
        chunk(worker, sums, c, data, order, first, last, theta, network, me, threads)


@jit
def chunk_losses(sums, worker, data, order, chunks, theta, network):
    """Of each chunk c that is meant, the weighted sum of the losses into sums.losses[c], and unless sums.gradients is empty its
    gradient, unscaled, into sums.gradients[c]."""
    losses_of_chunks(samples_chunk, sums, worker, data, order, chunks, theta, network, np.int64(0), np.int64(1))


@jit
def wide_chunk_losses(sums, worker, data, order, chunks, theta, network):
    """chunk_losses with units as lanes."""
    losses_of_chunks(wide_chunk, sums, worker, data, order, chunks, theta, network, np.int64(0), np.int64(1))


@jit_flat
def no_rest(sums, worker, m, network, me, threads):
    pass


@jit_part
def fill(row, value):
    """Writes the value to all places."""
    for n in range(row.shape[0]):
        row[n] = value


@jit_part
def write_all(out, values):
    """Writes all values to the first places."""
    for n in range(values.shape[0]):
        out[n] = values[n]


@jit
def add_chunks(sums, n_chunks, loss, more):
    """The chunks' gradients come to stand in total, or are added to it if more; the loss so far plus theirs is returned. Chunks are
    added in their order."""
    if not more:
        fill(sums.total, sums.total.dtype.type(0))
    for c in range(min(n_chunks, sums.gradients.shape[0])):
        _add(sums.total, sums.total, sums.gradients[c])
    return sum_of_losses(sums, n_chunks, loss)


@jit_part
def sum_of_losses(sums, n_chunks, loss):
    """The loss so far plus those of the chunks."""
    for c in range(n_chunks):
        loss += sums.losses[c]
    return loss


@jit_part
def _add(out, one, other):
    for i in range(out.shape[0]):
        out[i] = one[i] + other[i]


@jit_flat
def gradient_of(sums, n_chunks, low, high):
    """The gradients of the chunks, added up for the parameters low to high - 1."""
    if n_chunks == 1:
        return sums.gradients[0]
    part = sums.total[low:high]
    _add(part, sums.gradients[0][low:high], sums.gradients[1][low:high])
    for c in range(2, n_chunks):
        _add(part, part, sums.gradients[c][low:high])
    return sums.total


@jit
def to_mean(total, n_rows, network):
    """The gradient of the mean loss, from that of the sum."""
    _scale(total, total.dtype.type(network.loss_scale / n_rows))


@jit_part
def _scale(array, factor):
    for i in range(array.shape[0]):
        array[i] *= factor


@jit
def end_batch(state, total, factor, network, rule, epoch, step, low, high):
    """Ends a batch, the step of that number: moves the parameters low to high - 1 down the gradient, the total times a factor."""
    _scale(total[low:high], total.dtype.type(factor))
    move(state.theta, state.moments, total, network.layers, rule, epoch, step, low, high)


@jit_inline
def _edge(size, part, parts):
    """Where a share of so many parameters begins. The numbers that a loop's vectors leave over at its end may be rounded in another
    way, and have to be the same ones for any number of shares."""
    return size if part == parts else size * part // parts // 128 * 128


@jit_flat
def _train(chunk, end_chunk, state, sums, worker, data, order, sizes, network, rule, ends, team):
    theta, n, me, threads = state.theta, order.shape[1], team.me, team.threads
    batches = (n + sizes.batch - 1) // sizes.batch
    low, high = _edge(theta.shape[0], me, threads), _edge(theta.shape[0], me + 1, threads)
    # This thread's share of the chunks of a batch, and of each of its chunks.
    part, parts, share, shares = (0, 1, me, threads) if sizes.together else (me, threads, 0, 1)
    l1, l2 = rule.method.l1, l2_of_loss(rule)
    steps, arrivals, counts_penalty = state.counters[0], 0, me == 0 and is_penalized(l1, l2, ends)
    for b in range(sizes.first, sizes.last):
        epoch = b // batches
        rows = order[min(epoch - sizes.first // batches, order.shape[0] - 1)]
        start = (b - epoch * batches) * sizes.batch
        stop = min(start + sizes.batch, n)
        n_chunks = (stop - start + sizes.chunk - 1) // sizes.chunk
        mine = ChunkRange(start, stop, sizes.chunk, n_chunks * part // parts, n_chunks * (part + 1) // parts)
        worker.dropout.numbers[EPOCH] = rule.method.schedule.before + epoch
        losses_of_chunks(chunk, sums, worker, data, rows, mine, theta, network, share, shares)
        if counts_penalty:
            state.penalties[epoch] += share_of_penalty(theta, network.layers, l1, l2, start, stop, n)
        arrivals += threads
        if threads > 1 and not meet(team.counter, arrivals):
            return
        if shares > 1:
            end_chunk(sums, worker, stop - start, network, share, shares)
            arrivals += threads
            if not meet(team.counter, arrivals):
                return
        steps += 1
        total, factor = gradient_of(sums, n_chunks, low, high), network.loss_scale / (stop - start)
        if rule.method.clip < np.inf:  # by the length of the whole gradient, which nobody is to change meanwhile
            arrivals += threads
            if threads > 1 and not meet(team.counter, arrivals):
                return
            factor = clipped(total, factor, rule.method.clip)
            arrivals += threads
            if threads > 1 and not meet(team.counter, arrivals):
                return
        end_batch(state, total, factor, network, rule, epoch, steps, low, high)
        if me == 0:
            state.history[epoch] += sum_of_losses(sums, n_chunks, 0.0) * network.loss_scale
            state.counters[0], state.counters[1] = steps, b + 1
            if look(team.halt, np.int64(0)) != 0 and (stop == n or epoch == sizes.first // batches):
                team.counter[LAST] = 1
            if stop == n and is_stuck(state.progress, 0, 1, state.history[epoch] / n + state.penalties[epoch], ends):
                team.counter[LAST] = 1
        arrivals += threads
        if threads > 1 and not meet(team.counter, arrivals):
            return
        if look(team.counter, np.int64(LAST)) != 0 or (stop == n and not ends.target_loss < state.history[epoch] / n < np.inf):
            return


@jit
def train_by_batches(state, sums, worker, data, order, sizes, network, rule, ends, team):
    """Batches one after the other, each with a step of the rule down the gradient of its mean loss.

    order has a row for each epoch that is touched, or one for all. After an epoch whose mean loss is not finite, or a reason
    to end, it stops; where it is to halt, after a batch of the first epoch, or after a later epoch. Each thread of the team works
    on a share of the chunks, and when all have met, on a share of the parameters.
    """
    _train(samples_chunk, no_rest, state, sums, worker, data, order, sizes, network, rule, ends, team)


@jit
def train_wide_by_batches(state, sums, worker, data, order, sizes, network, rule, ends, team):
    """train_by_batches with units as lanes."""
    _train(wide_chunk, share_of_gradient, state, sums, worker, data, order, sizes, network, rule, ends, team)
