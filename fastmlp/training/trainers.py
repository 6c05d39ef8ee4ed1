"""Who trains one network by itself: the optimizer says it."""

from __future__ import annotations

from fastmlp.kernels.optimizers import CODES, Rule
from fastmlp.networks.history import TrainingState
from fastmlp.networks.mlp import MLP
from fastmlp.training.data import TrainingData
from fastmlp.training.descent import Descent
from fastmlp.training.one_network import OneNetwork, Stopping
from fastmlp.training.solvers.least_squares import LeastSquares
from fastmlp.training.solvers.quasi_newton import QuasiNewton

SOLVERS = {CODES["lbfgs"]: QuasiNewton, CODES["levenberg-marquardt"]: LeastSquares}


def trainer_of(
    network: MLP,
    data: TrainingData,
    rule: Rule,
    stopping: Stopping,
    batch_size: int | None,
    threads: int,
    state: TrainingState | None = None,
) -> OneNetwork:
    solver = SOLVERS.get(rule.method.optimizer)
    if solver is None:
        return Descent(network, data, rule, stopping, batch_size, threads, state)
    return solver(network, data, rule.l2, stopping, threads)
