"""When a network ends before its last epoch, and what counts its epochs without progress."""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit, jit_part
from fastmlp.kernels.layers import layer_of
from fastmlp.kernels.simd import lanes_of, load, total, zeros
from fastmlp.kernels.trace import magnitude

# Rows of what is noted of the losses: the least so far; epochs in a row without progress; what penalties add to that of an epoch.
BEST_LOSS, STALE, PENALTY = range(3)
# What a solver counts: iterations, why it ended, and the work that it has done.
DONE, ENDED, WORK = range(3)
GOES_ON, TOLERANCE, TARGET_LOSS, TOL, DIVERGED = range(5)
LOWER, LEAST_RATE = 5, 1e-6  # what an adaptive learning rate is divided by; no rate is lowered more, once it is so low


class Limits(NamedTuple):
    """Of a solver: where it ends, what is minimised beside the loss, and what cannot be told apart."""

    tolerance: float  # of the largest part of the gradient; and of a step, beside the parameters
    l2: float
    rounding: float  # of a loss, beside itself


class Ends(NamedTuple):
    """When a network ends, apart from its last epoch."""

    target_loss: float
    patience: int  # 0: the validation loss does not decide
    tol: float  # how far below the least loss so far that of an epoch has to be for progress; both with their penalties
    n_iter_no_change: float  # epochs in a row without it; more of them end it. Infinity: they never do
    divisor: float  # of the learning rate then, if it is lowered instead, and the epochs are counted anew; or 0
    plateau: bool  # whether that never ends it, and what only equals the least is no progress
    by_measured: bool  # whether what is measured of the rows held out has to fall instead of the loss


@jit
def is_stuck(progress, lane, lanes, loss, ends):
    """Notes the loss of another epoch, with its penalties; whether too many in a row were without progress. Where that is
    measured, another one notes it."""
    return not ends.by_measured and notes_no_progress(progress, lane, lanes, loss, ends)


@jit
def notes_no_progress(progress, lane, lanes, value, ends):
    """Notes the value of another epoch in progress, flat (3, lanes); whether too many in a row were without progress."""
    best, stale = BEST_LOSS * lanes + lane, STALE * lanes + lane
    least = progress[best] - ends.tol
    progress[stale] = progress[stale] + 1 if value > least or (ends.plateau and value == least) else 0.0
    progress[best] = min(progress[best], value)
    return progress[stale] > ends.n_iter_no_change


@jit
def is_penalized(l1, l2, ends):
    """Whether what l1 and l2 add to the loss of an epoch is to be known."""
    return ends.n_iter_no_change < np.inf and l1 + l2 > 0


@jit
def share_of_penalty(theta, layers, l1, l2, start, stop, n):
    """What the weights add to the mean penalty of an epoch before the step from rows start to stop - 1 of n: half of their penalty,
    l1 times the sum of their magnitudes and l2 / 2 times that of their squares, at the first step, and at the last one. Between
    these it changes nearly evenly."""
    if start > 0 and stop < n:
        return 0.0
    squares, rest, lanes = zeros(theta), theta.dtype.type(0), lanes_of(theta)
    magnitudes, rest_of_these = zeros(theta), theta.dtype.type(0)
    for k in range(layers.shape[0]):
        layer = layer_of(layers, k)
        i, end = layer.weights, layer.biases
        while i <= end - lanes:
            w = load(theta, i)
            squares += w * w
            magnitudes += magnitude(w)
            i += lanes
        while i < end:
            rest += theta[i] * theta[i]
            rest_of_these += magnitude(theta[i])
            i += 1
    halves = (start == 0) + (stop == n)
    of_squares = 0.25 * halves * l2 * np.float64(total(squares) + rest)
    return of_squares + 0.5 * halves * l1 * np.float64(total(magnitudes) + rest_of_these)


@jit_part
def end_iteration(counters, history, progress, own, loss, ends):
    """Notes the loss that an iteration of a solver came to, its own and with its penalties; and whether that ends it."""
    history[counters[DONE]] = own
    counters[DONE] += 1
    if own <= ends.target_loss:
        counters[ENDED] = TARGET_LOSS
    elif is_stuck(progress, 0, 1, loss, ends):
        counters[ENDED] = TOL
