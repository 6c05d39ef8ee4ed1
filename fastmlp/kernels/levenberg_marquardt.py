"""Levenberg and Marquardt: steps that minimise a sum of squares as if all outputs were linear in the parameters, shortened by a
damping that follows the gain of the step before (Madsen, Nielsen and Tingleff 2004, algorithm 3.16). It is in proportion to the
largest curvature by each parameter so far (Moré 1978): of ten first weights the median one came to a mean squared error of 1e-7 on
sin(10 x) / (10 x) in 109 iterations in the place of 168; elsewhere it made little difference.

The Jacobian J of the residuals r is made for some tiles of rows at a time, [J r]^T [J r] summed up, and forgotten. P parameters; a
row of J and its residual have room in W > P numbers, whole vectors, whose rest is 0. All numbers are float64. What is minimised is
the mean loss with its penalty.
"""

import math
from typing import NamedTuple

import numpy as np

from fastmlp.kernels.barrier import LAST, look, meet
from fastmlp.kernels.batch import ChunkRange, hidden_forward, losses_of_chunks, samples_chunk, sum_of_losses, write_all
from fastmlp.kernels.cholesky import PANEL, add_outer_products, factorize, solve_upper
from fastmlp.kernels.compile import jit, jit_flat, jit_part
from fastmlp.kernels.ends import DIVERGED, DONE, ENDED, GOES_ON, TARGET_LOSS, TOLERANCE, WORK, end_iteration, share_of_penalty
from fastmlp.kernels.jacobian import derivatives_of_output, known_outputs, rows_by_parameters
from fastmlp.kernels.layers import last_layer, layer_of
from fastmlp.kernels.product import Grid
from fastmlp.kernels.simd import get, lanes_of, put
from fastmlp.kernels.tiles import pack, strips

FIRST_DAMPING, MOST_DAMPING = 0.1, 1e30  # beside the curvatures
LEAST_SCALE = 1e-8  # of a parameter, beside that of the largest
UNITS = 64  # of work, for a tile that is summed up
CHUNKS_AT_ONCE = 256  # whose losses are found, until somebody looks whether to halt

# What the counters count, beside what ends.py says of a solver's: what is done next, how many tiles, or chunks, of it are done; and
# losses of all rows.
STAGE, PLACE, LOSSES = range(3, 6)
FIRST, NORMAL, TRIAL = range(3)
# And the numbers: the loss at theta, with its penalty; the damping, and by what it grows; what the step is expected to gain.
LOSS, DAMPING, GROWTH, EXPECTED = range(4)


class NormalState(NamedTuple):
    """How far it has come. Matrices are flat."""

    theta: np.ndarray  # (P,) where it is
    trial: np.ndarray  # (P,) where the loss is to be found next
    step: np.ndarray  # (P,)
    gradient: np.ndarray  # (P,) at theta
    scale: np.ndarray  # (P,): what the damping is multiplied by
    rows: np.ndarray  # (tiles, K, B, W): of the Jacobian
    normal: np.ndarray  # (P, W): the sum of [J r]^T [J r], from the diagonal on
    factor: np.ndarray  # (P, W): of it, damped
    taken: np.ndarray  # see cholesky.py
    width: int  # W
    tiles: int  # whose rows of J are held at once
    numbers: np.ndarray  # (4,)
    counters: np.ndarray  # (6,) int64
    history: np.ndarray  # (E,): the mean loss that each iteration came to
    progress: np.ndarray  # (3,): see ends.py


class Beside(NamedTuple):
    """What a worker has beside its scratch."""

    outputs: np.ndarray  # (2, K, B) and the derivative of each by its logit
    factors: np.ndarray  # (B,) roots of the samples' weights


@jit_flat
def _rows_of_tile(state, slot, worker, beside, data, order, start, network):
    """The rows of J and the residuals of a tile of samples from place `start` of the order on."""
    theta, layers, tiles, scratch = state.theta, network.layers, worker.tiles, worker.scratch
    stride, along, n_out = tiles.stride, lanes_of(theta), last_layer(layers).n_out
    m, tile = min(tiles.lanes, order.shape[0] - start), np.int64(0)
    if tiles.kept:
        tile = start // tiles.lanes
    else:
        pack(tiles, tile, data, order, start, m)
    m = strips(m, theta)
    inputs = tiles.inputs.size // tiles.weights.size
    x = Grid(tiles.inputs, tile * inputs * stride, stride, along)
    at = hidden_forward(scratch.units, scratch.slopes, np.int64(0), x, theta, layers, m, None)
    known_outputs(beside.outputs, Grid(scratch.units, at, stride, along), last_layer(layers), stride, m)
    _take_roots(beside.factors, tiles, tile, m)
    for k in range(n_out):
        first = (slot * n_out + k) * tiles.lanes * state.width
        derivatives_of_output(scratch.deltas, beside.outputs, beside.factors, last_layer(layers), k, stride, m)
        rows_by_parameters(state.rows, first, state.width, scratch, at, x, theta, layers, m)
        _residuals(state, first, beside, tiles, (tile * n_out + k) * stride, k * stride, m)


@jit_part
def _take_roots(factors, tiles, tile, m):
    for n in range(m):
        factors[n] = math.sqrt(get(tiles.weights, tile * tiles.stride + n))


@jit_part
def _residuals(state, first, beside, tiles, target, output, m):
    """Of an output, behind the rows of J."""
    place = first + state.theta.shape[0]
    for n in range(m):
        residual = get(beside.outputs, output + n) - get(tiles.targets, target + n)
        put(state.rows, place + n * state.width, beside.factors[n] * residual)


@jit_part
def _sum_up(state, place, count, n, n_out, lanes, me, threads):
    """Adds the rows of J of so many tiles from that one on: every so manieth panel of the sum."""
    size, width = state.theta.shape[0], state.width
    for slot in range(count):
        depth = strips(min(lanes, n - (place + slot) * lanes), state.rows)
        for k in range(n_out):
            rows = Grid(state.rows, (slot * n_out + k) * lanes * width, width, np.int64(1))
            begins = place + slot + k == 0
            for i in range(me * PANEL, size, threads * PANEL):
                add_outer_products(state.normal, width, size + 1, i, min(PANEL, size - i), width, rows, rows, depth, begins)


@jit_part
def _damped(state, n, network, limits):
    """The curvature of the mean loss with its penalty, and the damping, into state.factor; with the gradient behind."""
    size, width, scale, damping, one = state.theta.shape[0], state.width, 1 / n, state.numbers[DAMPING], lanes_of(state.factor)
    for i in range(size):
        for j in range(i * width + i // one * one, i * width + size):
            state.factor[j] = scale * state.normal[j]
        state.factor[i * width + i] += damping * state.scale[i]
        state.factor[i * width + size] = state.gradient[i]
    for number in range(network.layers.shape[0]):
        layer = layer_of(network.layers, number)
        for i in range(layer.weights, layer.biases):
            state.factor[i * width + i] += limits.l2


@jit_part
def _try_step(state, n, network, limits):
    """The next trial point, unless there is none that is worth it."""
    numbers, counters, size = state.numbers, state.counters, state.theta.shape[0]
    of_tile = state.rows.shape[0] // (state.tiles * state.width)  # rows of J
    while True:
        counters[WORK] += 2 * UNITS * size // (3 * of_tile)
        _damped(state, n, network, limits)
        if factorize(state.factor, state.width, size + 1, size, state.taken):
            break
        numbers[DAMPING] *= numbers[GROWTH]
        numbers[GROWTH] *= 2
        if not numbers[DAMPING] < MOST_DAMPING:
            counters[ENDED] = TOLERANCE
            return
    solve_upper(state.step, state.factor, state.width, size, size)
    expected, length, whole = 0.0, 0.0, 0.0
    for i in range(size):
        h = state.step[i]
        expected += 0.5 * h * (numbers[DAMPING] * state.scale[i] * h - state.gradient[i])
        length += h * h
        whole += state.theta[i] * state.theta[i]
        state.trial[i] = state.theta[i] + h
    numbers[EXPECTED] = expected
    if not math.sqrt(length) > limits.tolerance * (math.sqrt(whole) + limits.tolerance):
        counters[ENDED] = TOLERANCE
    counters[STAGE] = TRIAL


@jit_part
def _begin_iteration(state, n, network, limits):
    """When all rows of J are summed up."""
    size, width, numbers, most, steepest = state.theta.shape[0], state.width, state.numbers, 0.0, 0.0
    for i in range(size):
        state.gradient[i] = state.normal[i * width + size] / n
        state.scale[i] = max(state.scale[i], state.normal[i * width + i] / n)
        most = max(most, state.scale[i])
    for number in range(network.layers.shape[0]):
        layer = layer_of(network.layers, number)
        for i in range(layer.weights, layer.biases):
            state.gradient[i] += limits.l2 * state.theta[i]
    for i in range(size):
        steepest = max(steepest, abs(state.gradient[i]))
        state.scale[i] = max(state.scale[i], LEAST_SCALE * most)
    if not steepest > limits.tolerance:
        state.counters[ENDED] = TOLERANCE
        return
    if numbers[DAMPING] == 0:
        numbers[DAMPING], numbers[GROWTH] = FIRST_DAMPING, 2.0
    _try_step(state, n, network, limits)


@jit_part
def _judge(state, loss, n, network, limits, ends):
    """Goes to the trial point, or tries another one, nearer; the weighted sum of the losses there is known."""
    numbers, counters = state.numbers, state.counters
    own = loss * network.loss_scale / n
    loss = own + share_of_penalty(state.trial, network.layers, 0.0, limits.l2, 0, n, n)
    if counters[STAGE] == FIRST:
        numbers[LOSS] = loss
        counters[STAGE] = NORMAL
        if not loss < math.inf:
            counters[ENDED] = DIVERGED
        elif own <= ends.target_loss:
            counters[ENDED] = TARGET_LOSS
        return
    gain = (numbers[LOSS] - loss) / numbers[EXPECTED]
    if loss < numbers[LOSS] and gain > 0:
        numbers[LOSS], numbers[GROWTH] = loss, 2.0
        numbers[DAMPING] *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
        write_all(state.theta, state.trial)
        counters[STAGE] = NORMAL
        end_iteration(counters, state.history, state.progress, own, loss, ends)
        return
    numbers[DAMPING] *= numbers[GROWTH]
    numbers[GROWTH] *= 2
    if numbers[DAMPING] < MOST_DAMPING:
        _try_step(state, n, network, limits)
    else:
        counters[ENDED] = TOLERANCE


@jit
def fit_least_squares(state, sums, worker, beside, data, order, sizes, network, limits, ends, team):
    """Goes on until sizes.last iterations are done, or a reason to end comes up, or sizes.first units of work. Each thread of
    the team works on a share of the tiles, of their sum, and of the chunks; one solves the equations. Beside the P^2 / 2 products
    for a row of J, the losses of a row count as 4 P, and a solution as P^3 / 3."""
    n, me, threads, arrivals, begun = order.shape[0], team.me, team.threads, 0, state.counters[WORK]
    counters, lanes, n_out = state.counters, worker.tiles.lanes, last_layer(network.layers).n_out
    n_chunks, n_tiles = (n + sizes.chunk - 1) // sizes.chunk, (n + lanes - 1) // lanes
    while counters[WORK] - begun < sizes.first:
        sums_up, place = counters[STAGE] == NORMAL, counters[PLACE]
        if sums_up:
            count = min(state.tiles, n_tiles - place)
            for slot in range(me, count, threads):
                _rows_of_tile(state, slot, worker, beside, data, order, (place + slot) * lanes, network)
            done = UNITS * count
        else:
            count = min(np.int64(CHUNKS_AT_ONCE), n_chunks - place)
            mine = ChunkRange(0, n, sizes.chunk, place + count * me // threads, place + count * (me + 1) // threads)
            losses_of_chunks(
                samples_chunk, sums, worker, data, order, mine, state.trial, network, np.int64(0), np.int64(1)
            )  # fmt: skip
            done = 1 + 8 * UNITS * count * sizes.chunk // (lanes * n_out * state.theta.shape[0])
        arrivals += threads
        if threads > 1 and not meet(team.counter, arrivals):
            return
        if sums_up:
            _sum_up(state, place, count, n, n_out, lanes, me, threads)
            arrivals += threads
            if threads > 1 and not meet(team.counter, arrivals):
                return
        if me == 0:
            counters[WORK] += done
            counters[PLACE] = place + count
            if sums_up and counters[PLACE] == n_tiles:
                counters[PLACE] = 0
                _begin_iteration(state, n, network, limits)
            elif not sums_up and counters[PLACE] == n_chunks:
                counters[PLACE] = 0
                counters[LOSSES] += 1
                _judge(state, sum_of_losses(sums, n_chunks, 0.0), n, network, limits, ends)
            if counters[ENDED] != GOES_ON or counters[DONE] >= sizes.last or look(team.halt, np.int64(0)) != 0:
                team.counter[LAST] = 1
        arrivals += threads
        if threads > 1 and not meet(team.counter, arrivals):
            return
        if look(team.counter, np.int64(LAST)) != 0:
            return
