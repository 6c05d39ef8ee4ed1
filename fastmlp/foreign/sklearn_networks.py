"""from_sklearn: an MLP from a fitted network of scikit-learn's, with scalers before it folded into its first layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.foreign.assembly import Assembly, kinds_of
from fastmlp.networks.mlp import MLP

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax", "exp": "exp"}
NETWORKS = {"MLPClassifier", "MLPRegressor"}


def from_sklearn(estimator: Any) -> MLP:
    """A network that says what a fitted network of scikit-learn's says.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, a Pipeline that ends in one, or a search with such a `best_estimator_`
        Also those of `fastmlp.sklearn`. In a pipeline a StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler may stand before
        it; the network then takes what the pipeline takes.

    Returns
    -------
    MLP
        Its classes are those of the estimator, its feature_names the estimator's `feature_names_in_`. Where there are several
        labels for a row, its outputs are the probabilities of each.

    Raises
    ------
    TypeError, ValueError
        If it is something else, is not fitted, or has a step or an activation that an MLP has not.
    """
    if hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    assembly, last = Assembly(), estimator
    if "Pipeline" in kinds_of(estimator):
        *steps, (_, last) = estimator.steps
        for name, step in steps:
            if step is not None and step != "passthrough":
                _fold(assembly, f"the step {name!r}, {type(step).__name__},", step)
    kind = type(last).__name__
    if not kinds_of(last) & NETWORKS:
        raise TypeError(f"estimator must be a fitted MLPClassifier or MLPRegressor, or a Pipeline that ends in one; got {kind}")
    if not hasattr(last, "coefs_"):
        raise ValueError(f"estimator must be fitted; this {kind} is not")
    if hasattr(last, "model_"):  # those of fastmlp.sklearn
        hidden, output = last.model_.activations, last.model_.output
    else:
        hidden, output = [last.activation] * (len(last.coefs_) - 1), last.out_activation_
    several_labels = ACTIVATIONS.get(output, output) == "sigmoid" and len(last.intercepts_[-1]) > 1
    classes = None if several_labels else getattr(last, "classes_", None)
    for number, (weights, biases) in enumerate(zip(last.coefs_, last.intercepts_, strict=True)):
        assembly.linear(f"layer {number}", weights, biases)
        name = [*hidden, output][number]
        assembly.activation(f"layer {number}", ACTIVATIONS.get(name, name))
    names = getattr(estimator, "feature_names_in_", None)
    return assembly.network(kind, classes, None if names is None else list(map(str, names)))


def _fold(assembly: Assembly, where: str, step: Any) -> None:
    """A scaler, as a factor and what is added."""
    kinds = kinds_of(step)
    if not hasattr(step, "n_features_in_"):
        raise ValueError(f"estimator must be fitted; {where} is not")
    if kinds & {"StandardScaler", "RobustScaler"}:
        center = step.mean_ if "StandardScaler" in kinds else step.center_
        centered = step.with_mean if "StandardScaler" in kinds else step.with_centering
        scale = np.ones(step.n_features_in_) if step.scale_ is None else np.asarray(step.scale_)
        assembly.scaled(where, 1 / scale, -center / scale if centered else np.zeros_like(scale))
    elif "MinMaxScaler" in kinds and not step.clip:
        assembly.scaled(where, step.scale_, step.min_)
    elif "MaxAbsScaler" in kinds and not getattr(step, "clip", False):
        assembly.scaled(where, 1 / step.scale_, np.zeros_like(step.scale_))
    else:
        raise ValueError(f"{where} cannot be folded into a layer, as a scaler can")
