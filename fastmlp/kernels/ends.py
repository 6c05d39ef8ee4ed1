"""When a network ends before its last epoch, and what counts its epochs without progress."""

from typing import NamedTuple

from fastmlp.kernels.compile import jit

BEST_LOSS, STALE = range(2)  # rows of what is noted of the losses: the least so far; epochs in a row without progress
LOWER, LEAST_RATE = 5, 1e-6  # what an adaptive learning rate is divided by; no more, once it is so low


class Ends(NamedTuple):
    """When a network ends, apart from its last epoch."""

    target_loss: float
    patience: int  # 0: the validation loss does not decide
    tol: float  # how far below the least loss so far that of an epoch has to be for progress
    n_iter_no_change: float  # epochs in a row without it; more of them end it. Infinity: they never do
    adaptive: bool  # whether the learning rate is lowered then, and the epochs are counted anew


@jit
def is_stuck(progress, lane, lanes, loss, ends):
    """Notes the loss of another epoch in progress, flat (2, lanes); whether too many in a row were without progress."""
    best, stale = BEST_LOSS * lanes + lane, STALE * lanes + lane
    progress[stale] = progress[stale] + 1 if loss > progress[best] - ends.tol else 0.0
    progress[best] = min(progress[best], loss)
    return progress[stale] > ends.n_iter_no_change
