"""Estimators trained by L-BFGS: SciPy's, with our loss and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from fastmlp.networks.objective import Objective
from fastmlp.sklearn.checked_rows import Rows
from fastmlp.sklearn.stochastic import INTERRUPTED, LossTerms, check_weights, penalty_of
from fastmlp.sklearn.translation import member_options
from fastmlp.warning import warn


def minimize_by_lbfgs(estimator: Any, rows: Rows) -> None:
    """Trains estimator.model_ up to max_iter iterations, or max_fun evaluations of the loss."""
    network, n = estimator.model_, len(rows.x)
    options = member_options(estimator, n, rows.mean_weight)
    l2 = estimator.alpha / (n * rows.mean_weight)
    y = rows.targets if network.classes is None else network.classes[rows.targets[:, 0].astype(np.intp)]
    objective = Objective(network, rows.x, y, None if len(rows.weights) == 1 else rows.weights, options.shared["threads"])
    theta, penalized = network.theta.copy(), network.like(np.zeros_like(network.theta))
    for weights in penalized.weights:
        weights[:] = l2
    factors = penalized.theta.astype(np.float64)

    def loss_and_gradient(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, gradient = objective.value_and_gradient(parameters)
        slopes = factors * parameters
        return loss + 0.5 * float(slopes @ parameters), gradient + slopes

    def keep(parameters: NDArray[np.float64]) -> None:
        theta[:] = parameters
        estimator.n_iter_ += 1

    estimator.n_iter_ = 0
    limits = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    try:
        start = theta.astype(np.float64)
        result = minimize(loss_and_gradient, start, method="L-BFGS-B", jac=True, options=limits, callback=keep)
    except KeyboardInterrupt:
        message = f"{INTERRUPTED} after {estimator.n_iter_} iterations; this is the network so far"
        warn(message)
    else:
        theta[:] = result.x
        estimator.n_iter_ = min(int(result.nit), estimator.max_iter)
        if result.status:
            message = f"lbfgs failed to converge after {result.nit} iterations: {result.message}. Raise max_iter, or scale X"
            warn(message, ConvergenceWarning)
    network.theta[:] = theta
    check_weights(network)
    terms = LossTerms.of(network, rows.targets, rows.weights)
    estimator.loss_ = terms.factor * objective.value() + terms.summand + penalty_of(network, l2)
