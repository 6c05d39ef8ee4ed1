"""scikit-learn's parameters of networks: checked, and told as options of our trainings; and the networks that these begin with."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.kernels.activations import OUTPUTS
from fastmlp.kernels.losses import LOSSES
from fastmlp.kernels.optimizers import OPTIMIZERS
from fastmlp.literals import Loss, Output
from fastmlp.networks.architecture import activation_of_each, parameter_count
from fastmlp.networks.mlp import MLP

AUTO_BATCH = 200  # rows of a batch, at most, where batch_size is "auto"
MOST_SEEDS = np.iinfo(np.int32).max
OUR_NAMES = {"logistic": "sigmoid", "log_loss": "cross_entropy"}  # of activations and losses that scikit-learn names otherwise
THEIR_NAMES = {ours: theirs for theirs, ours in OUR_NAMES.items()}
SCHEDULED = ("sgd", "momentum", "nesterov")  # solvers whose rate changes as learning_rate says


# -- checks ---------------------------------------------------------------------------------------------------------------------


def _yes_or_no(name: str, value: Any) -> None:
    if checks.yes_or_no(name, value) is None:
        raise ValueError(f"{name} must be True or False; got None")


def _one_of(*known: str) -> Callable[[str, Any], Any]:
    return lambda name, value: checks.one_of(name, value, known)


def _up_to_one(name: str, value: Any) -> None:
    if checks.not_negative(name, value) > 1:
        raise ValueError(f"{name} must be from 0 to 1; got {checks.shown(value)}")


def _between(name: str, value: Any) -> None:
    if not 0 < checks.not_negative(name, value) < 1:
        raise ValueError(f"{name} must be between 0 and 1; got {checks.shown(value)}")


def _epochs_or_inf(name: str, value: Any) -> None:
    if value != math.inf:
        checks.positive_int(name, value)


def _batch_size(name: str, value: Any) -> None:
    if value != "auto":
        checks.positive_int(name, value)


def _verbose(name: str, value: Any) -> None:
    try:
        operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be True, False or a whole number; got {checks.shown(value)}") from None


def _anything(name: str, value: Any) -> None:
    """What is checked beside the data that it belongs to."""


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "hidden_layer_sizes": checks.hidden_sizes,
    "activation": lambda name, value: _our_activations(value),
    "solver": _one_of(*OPTIMIZERS),
    "alpha": checks.not_negative,
    "batch_size": _batch_size,
    "learning_rate": _one_of("constant", "invscaling", "adaptive"),
    "learning_rate_init": checks.positive_number,
    "power_t": checks.not_negative,
    "max_iter": checks.positive_int,
    "shuffle": _yes_or_no,
    "random_state": _anything,
    "tol": checks.not_negative,
    "verbose": _verbose,
    "warm_start": _yes_or_no,
    "momentum": _up_to_one,
    "nesterovs_momentum": _yes_or_no,
    "early_stopping": _yes_or_no,
    "validation_fraction": _between,
    "beta_1": checks.fraction,
    "beta_2": checks.fraction,
    "epsilon": checks.positive_number,
    "n_iter_no_change": _epochs_or_inf,
    "max_fun": checks.positive_int,
    "class_weight": _anything,
    "huber_delta": checks.positive_number,
    "dtype": lambda name, value: checks.dtype(value),
    "threads": lambda name, value: value is None or checks.positive_int(name, value),
}


def check_estimator(estimator: Any) -> None:
    """Rejects a parameter that is not as described, by a ValueError that names it."""
    for name, value in vars(estimator).items():
        if name in CHECKS:
            CHECKS[name](name, value)
    checks.one_of("loss", estimator.loss, _losses(hasattr(estimator, "predict_proba")))


def _losses(of_classes: bool) -> list[str]:
    """The names of those that fit outputs which are probabilities of classes, or other ones."""
    ours = [loss.name for loss in LOSSES.values() if any((OUTPUTS[one] == "probabilities") == of_classes for one in loss.outputs)]
    return [*(THEIR_NAMES[name] for name in ours if name in THEIR_NAMES), *ours]


# -- as options -----------------------------------------------------------------------------------------------------------------


class MemberOptions(NamedTuple):
    """Options of `train_many`: those that each member may have for itself, and those that all have in common."""

    own: dict[str, Any]
    shared: dict[str, Any]


def member_options(estimator: Any, n_rows: int, mean_weight: float = 1.0) -> MemberOptions:
    """How an estimator trains on so many rows, of such a mean sample_weight; its parameters are checked.

    What networks begin with is told by `first_network`, and the seed by `drawn_seed`.
    """
    solver = estimator.solver
    if solver == "sgd" and estimator.momentum > 0:
        solver = "nesterov" if estimator.nesterovs_momentum else "momentum"
    batch_size = rows_of_batch(estimator, n_rows)
    schedule, never_ends = estimator.learning_rate, estimator.n_iter_no_change == math.inf
    if solver not in SCHEDULED or (schedule == "adaptive" and never_ends):
        schedule = "constant"
    own = {
        "hidden": checks.hidden_sizes("hidden_layer_sizes", estimator.hidden_layer_sizes),
        "activation": _our_activations(estimator.activation),
        "batch_size": batch_size,
        "learning_rate": float(estimator.learning_rate_init),
        "l2": l2_of(estimator, batch_size * mean_weight),
        "momentum": float(estimator.momentum),
    }
    shared = {
        "optimizer": solver,
        "schedule": schedule,
        "power_t": float(estimator.power_t),
        "beta1": float(estimator.beta_1),
        "beta2": float(estimator.beta_2),
        "epsilon": float(estimator.epsilon),
        "epochs": estimator.max_iter,
        "shuffle": bool(estimator.shuffle),
        "tol": None if never_ends else float(estimator.tol),
        "n_iter_no_change": 1 if never_ends else estimator.n_iter_no_change,
        "standardize": False,
        "threads": estimator.threads,
    }
    return MemberOptions(own, shared)


def rows_of_batch(estimator: Any, n_rows: int) -> int:
    return min(AUTO_BATCH if estimator.batch_size == "auto" else estimator.batch_size, n_rows)


def l2_of(estimator: Any, batch_weight: float) -> float:
    """alpha divided by the sum of the weights of a batch, as in scikit-learn: l2 stands beside a mean. The decay of adamw, which is
    in no loss, is alpha itself."""
    decoupled = OPTIMIZERS[estimator.solver].decoupled
    return float(estimator.alpha) / (1.0 if decoupled else batch_weight)


def _our_activations(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return checks.activation_names("activation", tuple(_our_name(name) for name in value))
    return checks.activation_names("activation", _our_name(value))


def _our_name(value: Any) -> Any:
    return OUR_NAMES.get(value, value) if isinstance(value, str) else value


# -- the network ----------------------------------------------------------------------------------------------------------------


class InputsAndOutputs(NamedTuple):
    """What the data say of a network."""

    inputs: int
    outputs: int
    output: Output
    classes: NDArray[Any] | None  # of a classifier, unless rows have several labels, or all the same one
    feature_names: Sequence[str] | None
    dtype: np.dtype[Any]


def first_network(estimator: Any, ends: InputsAndOutputs, random: np.random.RandomState) -> MLP:
    """A network with the weights, and the biases, that scikit-learn would draw: uniform, up to sqrt(6 / (n_in + n_out)), with
    logistic units sqrt(2 / (n_in + n_out))."""
    hidden = checks.hidden_sizes("hidden_layer_sizes", estimator.hidden_layer_sizes)
    activations = activation_of_each(_our_activations(estimator.activation), len(hidden))
    sizes = (ends.inputs, *hidden, ends.outputs)
    theta, at = np.empty(parameter_count(sizes, bias=True), ends.dtype), 0
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        logistic = activations and activations[min(layer, len(hidden) - 1)] == "sigmoid"
        bound = math.sqrt((2 if logistic else 6) / (n_in + n_out))
        end = at + (n_in + 1) * n_out
        theta[at:end] = random.uniform(-bound, bound, end - at)
        at = end
    return MLP(
        sizes, theta, activations=activations, output=ends.output, loss_name=our_loss(estimator.loss), classes=ends.classes,
        huber_delta=getattr(estimator, "huber_delta", 1.0), feature_names=ends.feature_names,
    )  # fmt: skip


def our_loss(name: str) -> Loss:
    return OUR_NAMES.get(name, name)  # type: ignore[return-value]


def drawn_seed(random: np.random.RandomState) -> int:
    """Of the order of the rows."""
    return int(random.randint(MOST_SEEDS))
