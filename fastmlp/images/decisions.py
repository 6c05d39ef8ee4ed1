"""How networks decide between the classes of images: the methods, which networks each takes, and the scores of rows of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.images.extractors import extractor_of
from fastmlp.literals import AnyExtractor, Decision
from fastmlp.networks.mlp import MLP

DECISIONS: tuple[Decision, ...] = get_args(Decision)


def check_networks(classes: list[Any], networks: Sequence[MLP], extractor: AnyExtractor, method: Decision) -> None:
    """A ValueError if the networks do not fit the classes, the extractor and the method."""
    size = extractor_of(extractor).size or (networks[0].layer_sizes[0] if networks else 0)  # whatever one's own gives
    counts = {"softmax": 1, "one-vs-rest": len(classes), "ensemble": max(1, len(networks))}
    count = counts[checks.one_of("method", method, DECISIONS)]
    found = [network.layer_sizes[0] for network in networks]
    if found != [size] * count:
        raise ValueError(f"networks must be {count} of {size} inputs each; got {len(found)}, of {checks.shown(found)} inputs")
    for network in networks:
        known = None if network.classes is None else network.classes.tolist()
        if network.layer_sizes[-1] != 1 if method == "one-vs-rest" else known != classes:
            raise ValueError(f"the outputs of {network} do not fit the classes {checks.shown(classes)} and method {method!r}")


def scores_by(networks: Sequence[MLP], method: Decision, features: NDArray[np.floating]) -> NDArray[np.floating]:
    """The score of each class for rows of features; see `ImageClassifier.scores`."""
    if method == "one-vs-rest":
        return np.column_stack([_own_output(network, features) for network in networks])
    scores = networks[0].predict_proba(features)
    for network in networks[1:]:
        scores += network.predict_proba(features)
    scores /= len(networks)
    return scores


def _own_output(network: MLP, features: NDArray[np.floating]) -> NDArray[np.floating]:
    """The output (n,) of a network that says yes or no."""
    return network.predict(features) if network.classes is None else network.predict_proba(features)[:, 1]
