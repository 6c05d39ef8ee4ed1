"""What options are where nobody gave them, and which of them fit an optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp import checks
from fastmlp.kernels.optimizers import OPTIMIZERS, SOLVERS
from fastmlp.networks.mlp import MLP

MOST_OF_ADAM = 0.06
STEEP = 16  # units, beyond which the loss is so steep that plain gradient descent has to take shorter steps
HIDDEN, BATCH_SIZE = (100,), 32
OF_STEPS = ("learning_rate", "momentum", "beta1", "beta2", "epsilon", "schedule", "power_t", "decay", "warmup")
OF_BATCHES = ("l1", "dropout", "clip", "average")
DECAYING = ("exponential", "plateau")  # schedules that take `decay`
FULL_STEP = {"learning_rate": (1.0,)}  # as the options of a population tell it
TOLERANCE = {"float32": 1e-5, "float64": 1e-8}  # of solvers, by default


def defaults_of(optimizer: str, own_rate: bool, steady: bool, rows: int, columns: int) -> dict[str, Any]:
    """Those for so many rows of inputs, where a learning rate is given or not. benchmarks/test_quality.py measures how good they
    are."""
    if optimizer in SOLVERS:
        return {"l2": min(2 / rows, 0.01), "schedule": "constant", "epochs": OPTIMIZERS[optimizer].iterations}
    if not OPTIMIZERS[optimizer].adaptive:
        return {"l2": 0.0, "schedule": "constant", "epochs": 200}
    enough = 30 * (1000 / rows) ** (1 / 8) * math.sqrt(min(1.0, 64 / columns))
    fewest = min(200, math.ceil(200 * BATCH_SIZE / rows))
    return {
        "l2": 0.0 if own_rate else 0.01 if OPTIMIZERS[optimizer].decoupled else min(2 / rows, 0.01),
        "schedule": "constant" if own_rate or steady else "cosine",
        "epochs": max(6, fewest, round(enough)),
    }


def wanted_dtype(optimizer: Any, dtype: Any) -> Any:
    """What is to be computed in, or None if X says it. Squares of a Jacobian need float64."""
    wanted = checks.dtype(dtype)
    if not (isinstance(optimizer, str) and optimizer == "levenberg-marquardt"):
        return wanted
    if wanted == np.float32:
        raise ValueError(f"dtype must be 'float64', or left out, for the optimizer {optimizer!r}; got 'float32'")
    return np.dtype(np.float64)


def default_rate(optimizer: str, network: MLP) -> float:
    """The learning rate for a network. Adam's steps are as long as the rate whatever the gradient is: it is higher where fewer
    units share the way. Those of the others grow with the gradient, as that does with the units: it is lower where there are
    many."""
    hidden, rate = network.layer_sizes[1:-1] or (1,), OPTIMIZERS[optimizer].learning_rate
    if optimizer in SOLVERS:
        return rate
    if OPTIMIZERS[optimizer].adaptive:
        return min(MOST_OF_ADAM, rate * math.sqrt(max(1.0, HIDDEN[0] / min(hidden))))
    return rate * min(1.0, STEEP / max(hidden))


def check_takes_batches(optimizer: Any, hint: str = "") -> None:
    """Rejects a solver, where rows come bit by bit."""
    if isinstance(optimizer, str) and optimizer in SOLVERS:
        raise ValueError(f"optimizer must be one that takes steps from batches; {optimizer!r} needs all rows{hint}")


def check_fitting(values: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Rejects options that mean nothing to the optimizer; a solver's batch is all rows."""
    optimizer = values["optimizer"]
    if optimizer not in SOLVERS:
        if values["tolerance"] is not None:
            raise ValueError(f"tolerance is for the optimizers {' and '.join(map(repr, SOLVERS))}; the optimizer is {optimizer!r}")
        return
    for name in OF_STEPS:
        if not _are_among(values[name], (defaults[name], *FULL_STEP.get(name, ()))):
            raise ValueError(f"{name} must be left out for the optimizer {optimizer!r}, which finds the length of its steps itself")
    for name in OF_BATCHES:
        if not _are_among(values[name], (defaults[name],)):
            raise ValueError(f"{name} must be left out for the optimizer {optimizer!r}, which needs one smooth loss of all rows")
    if not _are_among(values["batch_size"], (None, BATCH_SIZE)):
        got = checks.shown(values["batch_size"])
        raise ValueError(
            f"batch_size must be None, or left out, for the optimizer {optimizer!r}, which sees all rows at once; got {got}"
        )
    if values["keep_state"]:
        raise ValueError(f"keep_state must be left out for the optimizer {optimizer!r}, of which nothing is kept")
    values["batch_size"] = None


def _are_among(value: Any, allowed: tuple[Any, ...]) -> bool:
    """Whether an option, or that of each member, is one of these."""
    return all(one in allowed for one in (value if checks.is_many(value) else [value]))
