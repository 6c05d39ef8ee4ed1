"""Who trains one network by itself: the optimizer says it."""

from __future__ import annotations

from fastmlp.kernels.optimizers import CODES, Rule
from fastmlp.networks.history import TrainingState
from fastmlp.networks.layout import Dropped
from fastmlp.networks.mlp import MLP
from fastmlp.training.data import TrainingData
from fastmlp.training.descent import Descent
from fastmlp.training.one_network import OneNetwork, Stopping
from fastmlp.training.solvers.least_squares import MOST_PARAMETERS, LeastSquares
from fastmlp.training.solvers.quasi_newton import QuasiNewton

TRAINERS: dict[int, type[LeastSquares] | type[QuasiNewton]] = {
    CODES["lbfgs"]: QuasiNewton,
    CODES["levenberg-marquardt"]: LeastSquares,
}


def check_solvable(optimizer: str, network: MLP) -> None:
    """Rejects a network that the optimizer is not for."""
    if optimizer != "levenberg-marquardt":
        return
    if network.loss_given != "squared_error":
        came = f"{'the function ' * (network.custom_loss is not None)}{network.loss_name!r}"
        raise ValueError(f"loss must be 'squared_error' for the optimizer {optimizer!r}; got {came}, for which there is 'lbfgs'")
    if network.theta.size > MOST_PARAMETERS:
        raise ValueError(
            f"the optimizer {optimizer!r} is for networks of up to {MOST_PARAMETERS} parameters; this one has {network.theta.size}:"
            " take fewer units, or the optimizer 'lbfgs'"
        )


def trainer_of(
    network: MLP,
    data: TrainingData,
    rule: Rule,
    stopping: Stopping,
    batch_size: int | None,
    threads: int,
    state: TrainingState | None = None,
    dropped: Dropped | None = None,
) -> OneNetwork:
    solver = TRAINERS.get(rule.method.optimizer)
    if solver is None:
        return Descent(network, data, rule, stopping, batch_size, threads, state, dropped)
    return solver(network, data, rule.l2, stopping, threads)
