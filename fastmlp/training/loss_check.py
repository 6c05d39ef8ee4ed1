"""Whether the gradient of a loss that is a function is the derivative of its loss, where a training begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.kernels.custom_loss import CustomLoss
from fastmlp.networks.mlp import MLP
from fastmlp.networks.prediction import outputs
from fastmlp.training.data import TrainingData

MOST_ROWS = 256
STEP = float(np.finfo(float).eps ** (1 / 3))  # of central differences: truncation and rounding are about alike
RELATIVE = 1e-3  # a gradient that is wrong is so by more
ROUNDING = 200 * float(np.finfo(float).eps) / STEP  # of a difference, for a loss that is good to a hundred units of its last place


def check_custom_loss(network: MLP, theta: NDArray[Any], x: NDArray[Any], data: TrainingData) -> None:
    """Compares them for the outputs of a network that is to learn these data, with its first parameters: for rows from first to
    last, as y may be sorted."""
    custom = network.custom_loss
    if custom is None:
        return
    checks.loss_address(custom)
    weight, rows = data.arrays.weight, data.rows
    if len(weight) > 1:
        rows = rows[weight[rows] > 0]
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(np.intp)]
    n_out, targets = network.layer_sizes[-1], data.arrays.y[rows]
    if targets.shape[1] < n_out:
        targets = targets == np.arange(n_out)
    with np.errstate(all="ignore"):
        inputs = (x[rows].astype(theta.dtype) - data.arrays.shift) * data.arrays.scale
    try:
        predictions = outputs(theta, network.layers, inputs, n_out)
    except ValueError:  # which the first epoch ends by
        return
    standardized = "" if data.outputs is None else " (targets are standardised)"
    _compare(custom, predictions.ravel().astype(float), targets.ravel().astype(float), standardized)


def _compare(custom: CustomLoss, p: NDArray[np.float64], t: NDArray[np.float64], standardized: str) -> None:
    """At a kink any slope between those of its two sides will do; at the end of where a loss is known, that of one side."""
    step = STEP * np.maximum(1, np.abs(p))
    before, after = p - step, p + step
    with np.errstate(all="ignore"):
        (loss, gradient), (low, _), (high, _) = (custom.each(at, t) for at in (p, before, after))
        left, right = (loss - low) / (p - before), (high - loss) / (after - p)
        sides = np.array([np.where(np.isfinite(left), left, right), np.where(np.isfinite(right), right, left)])
        least, most = sides.min(axis=0), sides.max(axis=0)
        size = np.abs([loss, np.nan_to_num(low), np.nan_to_num(high)]).max(axis=0)
        slack = RELATIVE * np.abs(sides).max(axis=0) + ROUNDING * size
        wrong = (gradient < least - slack) | (gradient > most + slack)
    for k in np.flatnonzero(~(np.isfinite(loss) & np.isfinite(gradient)))[:1]:
        raise ValueError(
            f"the loss function {custom.name!r} must give finite numbers and raise no error; for the prediction {p[k]:g} and the"
            f" target {t[k]:g}{standardized} it gives the loss {loss[k]:g} and the gradient {gradient[k]:g}"
        )
    for k in np.flatnonzero(wrong)[:1]:
        raise ValueError(
            f"the gradient of the loss function {custom.name!r} must be its derivative by the prediction; for the prediction"
            f" {p[k]:g} and the target {t[k]:g}{standardized} it gives {gradient[k]:g}, and differences of the loss"
            f" give {sides[:, k].mean():g}"
        )
