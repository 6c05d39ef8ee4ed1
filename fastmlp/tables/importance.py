"""How good networks are on rows of a table, and how much of that is due to each of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.networks import metrics
from fastmlp.networks.metrics import Evaluation
from fastmlp.networks.mlp import MLP

SHUFFLES = 5  # of each column, of which the mean is taken; fewer where there are many rows
MOST_ROWS = 10_000  # by which that is measured, with those of all shuffles


def outputs_by(networks: Sequence[MLP], X: NDArray[np.floating]) -> NDArray[np.floating]:
    """What networks say of rows, in the mean: probabilities (N, K), or outputs (N,)."""

    def said(network: MLP) -> NDArray[np.floating]:
        return network.predict(X) if network.classes is None else network.predict_proba(X)

    total = said(networks[0])
    for network in networks[1:]:
        total += said(network)
    total /= len(networks)
    return total


def evaluation_by(networks: Sequence[MLP], X: NDArray[np.floating], y: NDArray[Any]) -> Evaluation:
    """How good they are together."""
    return evaluation_of(outputs_by(networks, X), y, networks[0].classes)


def evaluation_of(outputs: NDArray[np.floating], y: NDArray[Any], classes: NDArray[Any] | None) -> Evaluation:
    """How good such outputs are, of a classifier or a regressor."""
    return metrics.of_numbers(outputs, y) if classes is None else metrics.of_classes(outputs, y, classes)


def permutation_importance(
    networks: Sequence[MLP], X: NDArray[np.floating], y: NDArray[Any], places: Mapping[str, slice], seed: int
) -> dict[str, float]:
    """By how much the accuracy, or R2, drops where the cells of a column stand in rows of others (Breiman 2001).

    Parameters
    ----------
    networks : sequence of MLP
        That have not learned from these rows.
    X, y : (N, D), (N,)
        Rows; of many the first ones of a random order.
    places : dict of str to slice
        The inputs of each column.
    seed : int
        Of the orders.
    """
    draws = np.random.default_rng(seed)
    rows = draws.permutation(len(X))[:MOST_ROWS]
    X, y = X[rows], y[rows]
    whole = evaluation_by(networks, X, y).score
    found = {}
    for name, place in places.items():
        own, drops = X[:, place].copy(), []
        for _ in range(max(1, min(SHUFFLES, MOST_ROWS // len(X)))):
            X[:, place] = own[draws.permutation(len(X))]
            drops.append(whole - evaluation_by(networks, X, y).score)
        X[:, place] = own
        found[name] = float(np.mean(drops))
    return found
