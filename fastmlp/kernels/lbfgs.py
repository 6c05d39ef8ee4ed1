"""L-BFGS: steps along directions that the last few gradients suggest (Nocedal and Wright 2006, algorithms 7.4 and 7.5), as long as
their algorithms 3.5 and 3.6 find, by the strong conditions of Wolfe.

It asks for the loss at one trial point after the other: `take` takes what was found there, and says where to look next. P
parameters; arrays hold S >= P numbers, whole vectors, whose rest is 0. What is minimised is the mean loss with its penalty.
"""

import math
from typing import NamedTuple

import numpy as np

from fastmlp.kernels.barrier import LAST, look, meet
from fastmlp.kernels.batch import (
    ChunkRange,
    gradient_of,
    losses_of_chunks,
    no_rest,
    samples_chunk,
    sum_of_losses,
    to_mean,
    write_all,
)
from fastmlp.kernels.compile import jit, jit_flat, jit_inline, jit_part
from fastmlp.kernels.ends import DIVERGED, DONE, ENDED, GOES_ON, TARGET_LOSS, TOLERANCE, WORK, end_iteration, share_of_penalty
from fastmlp.kernels.optimizers import add_weights
from fastmlp.kernels.simd import lanes_of, load, total, zeros
from fastmlp.kernels.wide import share_of_gradient, wide_chunk

MEMORY = 10  # steps that are remembered
ENOUGH, FLAT = 1e-4, 0.9  # of Wolfe's conditions: how much the loss has to fall, and how flat it has to become
MOST_TRIALS = 20  # of a line search
FURTHER, LEAST = 4.0, 0.1  # how much further a trial goes where the loss still falls; how near to the ends of an interval
CLOSE = 0.1  # of an interval beside its further end: then the kink of a relu may stand within it, where no slope is flat

# What the counters count, beside what ends.py says of a solver's: what is asked for; steps remembered, and where the next is kept;
# trials of this line search, and whether it is down the gradient itself.
STAGE, HELD, NEXT, TRIALS, STEEPEST = range(3, 8)
FIRST, BRACKET, ZOOM, LAST_TRIAL = range(4)
# And the numbers: the loss at theta, with its penalty, and its slope along the direction; the length of a trial; of the ends of an
# interval, the better one first, length, loss and slope.
LOSS, SLOPE, LENGTH, LOW, LOW_LOSS, LOW_SLOPE, HIGH, HIGH_LOSS, HIGH_SLOPE = range(9)


class LbfgsState(NamedTuple):
    """How far it has come."""

    theta: np.ndarray  # (S,) where it is
    trial: np.ndarray  # (S,) where the loss is to be found next
    gradient: np.ndarray  # (S,) at theta
    found: np.ndarray  # (S,) the gradient at the trial point
    direction: np.ndarray  # (S,)
    steps: np.ndarray  # (MEMORY, S) differences of theta
    changes: np.ndarray  # (MEMORY, S) differences of the gradient
    products: np.ndarray  # (2, MEMORY) float64: of each step and its change, and what the way through them needs
    numbers: np.ndarray  # (9,) float64
    counters: np.ndarray  # (8,) int64
    history: np.ndarray  # (E,) float64: the mean loss that each iteration came to
    progress: np.ndarray  # (3,) float64: see ends.py


@jit_part
def dot(x, y):
    """The sum of the products of two arrays of whole vectors."""
    one = lanes_of(x)
    s, t, last = zeros(x), zeros(x), x.shape[0] - one
    for i in range(0, last, 2 * one):
        s += load(x, i) * load(y, i)
        t += load(x, i + one) * load(y, i + one)
    if last // one % 2 == 0:
        s += load(x, last) * load(y, last)
    return np.float64(total(s + t))


@jit_part
def add_multiple(x, factor, y):
    """x += factor * y"""
    c = x.dtype.type(factor)
    for i in range(x.shape[0]):
        x[i] += c * y[i]


@jit_part
def _largest(x):
    most = 0.0
    for i in range(x.shape[0]):
        most = max(most, abs(np.float64(x[i])))
    return most


@jit_part
def _go(state, length):
    """The trial point at such a length."""
    numbers, c = state.numbers, state.theta.dtype.type(length)
    numbers[LENGTH] = length
    for i in range(state.theta.shape[0]):
        state.trial[i] = state.theta[i] + c * state.direction[i]


@jit_part
def _direction(state):
    """-H g by the two loops over the steps that are remembered, the newest first."""
    d, held, products = state.direction, state.counters[HELD], state.products
    for i in range(d.shape[0]):
        d[i] = -state.gradient[i]
    for age in range(1, held + 1):
        k = (state.counters[NEXT] - age) % MEMORY
        products[1, k] = dot(state.steps[k], d) / products[0, k]
        add_multiple(d, -products[1, k], state.changes[k])
    if held > 0:
        k = (state.counters[NEXT] - 1) % MEMORY
        scale = d.dtype.type(products[0, k] / dot(state.changes[k], state.changes[k]))
        for i in range(d.shape[0]):
            d[i] *= scale
    for age in range(held, 0, -1):
        k = (state.counters[NEXT] - age) % MEMORY
        add_multiple(d, products[1, k] - dot(state.changes[k], d) / products[0, k], state.steps[k])


@jit_part
def _begin_search(state, limits):
    """The first trial of a line search, unless there is no way down from here that is worth it."""
    numbers, counters = state.numbers, state.counters
    if _largest(state.gradient) <= limits.tolerance:
        counters[ENDED] = TOLERANCE
        return
    _direction(state)
    slope = dot(state.direction, state.gradient)
    if not slope < 0 and counters[HELD] > 0:
        counters[HELD] = 0
        _direction(state)
        slope = dot(state.direction, state.gradient)
    counters[STEEPEST] = counters[HELD] == 0
    if not slope < 0:
        counters[ENDED] = TOLERANCE
        return
    numbers[SLOPE] = slope
    numbers[LOW], numbers[LOW_LOSS], numbers[LOW_SLOPE] = 0.0, numbers[LOSS], slope
    counters[STAGE], counters[TRIALS] = BRACKET, 0
    # Without a memory the gradient says nothing of the length: it is one, as in SciPy; shorter ones led to worse valleys.
    _go(state, 1.0 if counters[HELD] > 0 else 1.0 / math.sqrt(-slope))


@jit_part
def _forget(state, limits):
    """What is remembered has led nowhere, as at the kink of a relu: the next search is down the gradient itself, unless this one
    was."""
    if state.counters[STEEPEST]:
        state.counters[ENDED] = TOLERANCE
    else:
        state.counters[HELD] = 0
        _begin_search(state, limits)


@jit_part
def _end_search(state, loss, own, limits, ends):
    """Goes to the trial point, whose loss with its penalty, and its own, are known."""
    numbers, counters, k = state.numbers, state.counters, state.counters[NEXT]
    step, change = state.steps[k], state.changes[k]
    for i in range(step.shape[0]):
        step[i] = state.trial[i] - state.theta[i]
        change[i] = state.found[i] - state.gradient[i]
        state.theta[i], state.gradient[i] = state.trial[i], state.found[i]
    numbers[LOSS] = loss
    product = dot(step, change)
    if product > 0 and product < math.inf:
        state.products[0, k] = product
        counters[NEXT] = (k + 1) % MEMORY
        counters[HELD] = min(counters[HELD] + 1, MEMORY)
    end_iteration(counters, state.history, state.progress, own, loss, ends)
    if counters[ENDED] != GOES_ON:
        return
    if dot(step, step) > limits.tolerance**2 * dot(state.theta, state.theta):
        _begin_search(state, limits)
    else:
        _forget(state, limits)


@jit_inline
def _between(a, f, slope, b, g, other):
    """Where the cubic with these two values and slopes is least; a number that is none where it has no such place."""
    d = slope + other - 3 * (f - g) / (a - b)
    root = d * d - slope * other
    root = math.copysign(math.sqrt(root), b - a) if root >= 0 else math.nan
    return b - (b - a) * (other + root - d) / (other - slope + 2 * root)


@jit_part
def _zoom(state, own, loss, limits, ends):
    """The next trial within the interval; or where little can be gained any more, its better end. That may be the trial
    point, whose loss is known, without and with its penalty."""
    numbers, counters = state.numbers, state.counters
    low, high = numbers[LOW], numbers[HIGH]
    width = abs(high - low)
    counters[STAGE] = ZOOM
    given_up = counters[TRIALS] >= MOST_TRIALS or width * _largest(state.direction) <= limits.rounding * _largest(state.theta)
    if low > 0 and (given_up or width <= CLOSE * max(low, high)):
        if numbers[LENGTH] == low:
            _end_search(state, loss, own, limits, ends)
        else:
            counters[STAGE] = LAST_TRIAL
            _go(state, low)
        return
    if given_up:
        _forget(state, limits)
        return
    length = low + 0.5 * (high - low)
    if numbers[HIGH_LOSS] < math.inf:
        found = _between(low, numbers[LOW_LOSS], numbers[LOW_SLOPE], high, numbers[HIGH_LOSS], numbers[HIGH_SLOPE])
        least, most = min(low, high) + LEAST * width, max(low, high) - LEAST * width
        if least <= found <= most:
            length = found
        elif found < least:
            length = least
        elif found > most:
            length = most
    else:
        length = low + LEAST * (high - low)
    _go(state, length)


@jit_inline
def _note_end(numbers, end, length, loss, slope):
    numbers[end], numbers[end + 1], numbers[end + 2] = length, loss, slope


@jit_part
def _judge(state, own, penalty, limits, ends):
    """Takes the mean loss at the trial point, without and with its penalty; its gradient stands in state.found."""
    numbers, counters, loss = state.numbers, state.counters, own + penalty
    if counters[STAGE] == FIRST:
        numbers[LOSS] = loss
        write_all(state.gradient, state.found)
        if not abs(loss) < math.inf:
            counters[ENDED] = DIVERGED
        elif own <= ends.target_loss:
            counters[ENDED] = TARGET_LOSS
        else:
            _begin_search(state, limits)
        return
    counters[TRIALS] += 1
    length, slope = numbers[LENGTH], dot(state.direction, state.found)
    if not (abs(loss) < math.inf and abs(slope) < math.inf):
        loss, slope = math.inf, 0.0
    allowed = numbers[LOSS] + ENOUGH * length * numbers[SLOPE] + limits.rounding * abs(numbers[LOSS])
    too_high = loss > allowed
    if counters[STAGE] == LAST_TRIAL or (not too_high and abs(slope) <= -FLAT * numbers[SLOPE]):
        _end_search(state, loss, own, limits, ends)
        return
    if counters[STAGE] == BRACKET:
        if too_high or (counters[TRIALS] > 1 and loss >= numbers[LOW_LOSS]):
            _note_end(numbers, HIGH, length, loss, slope)
        elif slope >= 0:
            _note_end(numbers, HIGH, numbers[LOW], numbers[LOW_LOSS], numbers[LOW_SLOPE])
            _note_end(numbers, LOW, length, loss, slope)
        else:
            _note_end(numbers, LOW, length, loss, slope)
            if counters[TRIALS] < MOST_TRIALS:
                _go(state, FURTHER * length)
                return
            counters[STAGE] = LAST_TRIAL
            _go(state, length)
            return
    elif too_high or loss >= numbers[LOW_LOSS]:
        _note_end(numbers, HIGH, length, loss, slope)
    else:
        if slope * (numbers[HIGH] - numbers[LOW]) >= 0:
            _note_end(numbers, HIGH, numbers[LOW], numbers[LOW_LOSS], numbers[LOW_SLOPE])
        _note_end(numbers, LOW, length, loss, slope)
    _zoom(state, own, loss, limits, ends)


@jit
def take(state, gradient, loss, n, network, limits, ends):
    """Takes the weighted sum of the losses of n rows at the trial point, and its gradient, both unscaled."""
    found, size = state.found, gradient.shape[0]
    write_all(found, gradient)
    to_mean(found, n, network)
    add_weights(found, state.trial, network.layers, limits.l2, 0, size)
    penalty = share_of_penalty(state.trial, network.layers, 0.0, limits.l2, 0, n, n)
    state.counters[WORK] += 1
    _judge(state, loss * network.loss_scale / n, penalty, limits, ends)


@jit_flat
def _minimize(chunk, end_chunk, state, sums, worker, data, order, sizes, network, limits, ends, team):
    n, me, threads, arrivals = order.shape[0], team.me, team.threads, 0
    n_chunks = (n + sizes.chunk - 1) // sizes.chunk
    part, parts, share, shares = (0, 1, me, threads) if sizes.together else (me, threads, 0, 1)
    mine = ChunkRange(0, n, sizes.chunk, n_chunks * part // parts, n_chunks * (part + 1) // parts)
    for _ in range(sizes.first):
        losses_of_chunks(chunk, sums, worker, data, order, mine, state.trial, network, share, shares)
        arrivals += threads
        if threads > 1 and not meet(team.counter, arrivals):
            return
        if shares > 1:
            end_chunk(sums, worker, n, network, share, shares)
            arrivals += threads
            if not meet(team.counter, arrivals):
                return
        if me == 0:
            gradient = gradient_of(sums, n_chunks, 0, sums.total.shape[0])
            take(state, gradient, sum_of_losses(sums, n_chunks, 0.0), n, network, limits, ends)
            if state.counters[ENDED] != GOES_ON or state.counters[DONE] >= sizes.last or look(team.halt, np.int64(0)) != 0:
                team.counter[LAST] = 1
        arrivals += threads
        if threads > 1 and not meet(team.counter, arrivals):
            return
        if look(team.counter, np.int64(LAST)) != 0:
            return


@jit
def minimize(state, sums, worker, data, order, sizes, network, limits, ends, team):
    """Goes on until sizes.last iterations are done, or a reason to end comes up, or sizes.first trial points have been tried. Each
    thread of the team works on a share of the chunks."""
    _minimize(samples_chunk, no_rest, state, sums, worker, data, order, sizes, network, limits, ends, team)


@jit
def minimize_wide(state, sums, worker, data, order, sizes, network, limits, ends, team):
    """minimize with units as lanes."""
    _minimize(wide_chunk, share_of_gradient, state, sums, worker, data, order, sizes, network, limits, ends, team)
