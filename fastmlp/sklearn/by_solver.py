"""Estimators trained by a solver, from all rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp import interrupts
from fastmlp.kernels.optimizers import CODES
from fastmlp.kernels.simd import readable
from fastmlp.kernels.tiles import Data
from fastmlp.networks.objective import every_row
from fastmlp.sklearn.checked_rows import Rows
from fastmlp.sklearn.stochastic import INTERRUPTED, LossTerms, check_weights, penalty_of
from fastmlp.threads import Stop, Workers, thread_count
from fastmlp.training.data import Parts, TrainingData
from fastmlp.training.one_network import Stopping
from fastmlp.training.trainers import TRAINERS, check_solvable
from fastmlp.warning import warn

LEAST_GAIN = 1e7 * float(np.finfo(np.float64).eps)  # of an iteration that is no end, as SciPy has it


def solve(estimator: Any, rows: Rows) -> None:
    """Trains estimator.model_ up to max_iter iterations, or max_fun losses of all rows."""
    network, n, halt = estimator.model_, len(rows.x), Stop()
    check_solvable(estimator.solver, network)
    l2 = estimator.alpha / (n * rows.mean_weight)
    data = Data(readable(rows.x), rows.targets, rows.weights, *network.unscaled)
    learned = TrainingData(data, every_row(n), None, None, None, Parts(*[None] * 5))
    stopping = Stopping(estimator.max_iter, -np.inf, None, LEAST_GAIN, 0.0, tolerance=float(estimator.tol))
    solver = TRAINERS[CODES[estimator.solver]](network, learned, l2, stopping, thread_count(estimator.threads))
    solver.most_losses = estimator.max_fun
    with interrupts.noted(halt.set), Workers(solver.workers) as threads:
        try:
            solver.advance(estimator.max_iter, threads, halt)
            interrupts.raise_noted()
        except KeyboardInterrupt:
            solver.stopped_by = "interrupt"
            interrupts.forget()
    check_weights(network, solver.stopped_by == "diverged")
    estimator.n_iter_, penalty = solver.epochs, penalty_of(network, l2)
    terms = LossTerms.of(network, rows.targets, rows.weights)
    estimator.loss_ = terms.factor * (solver.loss - penalty) + terms.summand + penalty
    if solver.stopped_by == "interrupt":
        warn(f"{INTERRUPTED} after {solver.epochs} iterations; this is the network so far")
    elif solver.stopped_by not in ("tolerance", "tol"):
        message = f"{estimator.solver} failed to converge after {solver.epochs} iterations. Raise max_iter, or scale X"
        warn(message, ConvergenceWarning)
