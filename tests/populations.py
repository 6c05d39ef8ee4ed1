"""What tests of populations share: populations that were made by hand, and whether two are the same."""

from itertools import pairwise

import numpy as np
import pytest
from model_files import same_array

from fastmlp import MLP, Population, PopulationHistory
from fastmlp.networks.ensemble import Group

RNG = np.random.default_rng(5)
X = RNG.normal(size=(23, 3))
ABC = np.array(["a", "b", "c"])


def network(sizes=(3, 4, 3), *, output="softmax", classes=ABC, dtype=np.float64, activation="tanh", loss=None):
    count = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    return MLP(
        sizes, np.zeros(count, dtype), activations=(activation,) * (len(sizes) - 2), output=output,
        loss_name=loss or ("squared_error" if output == "identity" else "cross_entropy"), classes=classes,
    )  # fmt: skip


SOFTMAX = network()
SIGMOID = network((3, 5, 1), output="sigmoid", classes=np.array([0, 1]))
ONE = network((3, 5, 1), output="identity", classes=None)
TWO = network((3, 4, 2), output="identity", classes=None)
KINDS = pytest.mark.parametrize("template", [SOFTMAX, SIGMOID, ONE, TWO], ids=["softmax", "sigmoid", "one output", "two outputs"])


def population_of(*templates, scores=None, diverged=(), validated=True, epochs=4, same_targets=True, seed=1):
    """Member i has the architecture of templates[i] and weights of its own; it ran for one epoch more than the one before it."""
    count, rng = len(templates), np.random.default_rng(seed)
    groups = []
    for template in dict.fromkeys(templates):
        members = np.array([place for place, other in enumerate(templates) if other is template])
        theta = rng.normal(size=(len(members), template.theta.size)).astype(template.dtype)
        theta[np.isin(members, diverged)] = np.nan
        groups.append(Group(template, members, theta))
    done = 1 + np.arange(count) % epochs
    losses = np.where(np.arange(epochs) < done[:, None], rng.random((2, count, epochs)), np.nan)
    for place in diverged:
        losses[0, place, done[place] - 1] = np.inf
    scores = losses[1, np.arange(count), done - 1] if scores is None else np.array(scores, float)
    options = {
        "seed": list(range(100, 100 + count)),
        "learning_rate": [0.1 / (1 + place) for place in range(count)],
        "l2": [0.0] * count,
        "momentum": [0.9] * count,
        "batch_size": [None if place % 2 else 32 for place in range(count)],
    }
    history = PopulationHistory(
        losses[0], losses[1] if validated else None, done, ["diverged" if place in diverged else "epochs" for place in range(count)]
    )
    scores[list(diverged)] = np.nan
    return Population(groups, history, options, scores, same_targets=same_targets)


def mixed(**more):
    """Nine members in three architectures, which take turns."""
    deep, linear = network((3, 6, 2, 3), activation="relu"), network((3, 3))
    return population_of(*[SOFTMAX, deep, linear] * 3, **more)


def probabilities(models, rows=X):
    return np.stack([model.predict_proba(rows) for model in models])


def same_member(a, b):
    return (
        (a.layer_sizes, a.activations, a.output, a.loss_name, a.bias)
        == (b.layer_sizes, b.activations, b.output, b.loss_name, b.bias)
        and same_array(a.theta, b.theta)
        and same_array(a.classes, b.classes)
        and same_array(a.history.loss, b.history.loss)
        and same_array(a.history.validation_loss, b.history.validation_loss)
        and same_array(a.history.validation_accuracy, b.history.validation_accuracy)
        and (a.history.epochs, a.history.stopped_by) == (b.history.epochs, b.history.stopped_by)
    )


def same_population(a, b):
    return (
        len(a.groups) == len(b.groups)
        and all(
            same_array(one.theta, other.theta) and np.array_equal(one.members, other.members)
            for one, other in zip(a.groups, b.groups, strict=True)
        )
        and a.options == b.options
        and same_array(a.scores, b.scores)
        and a.same_targets == b.same_targets
        and same_array(a.history.loss, b.history.loss)
        and same_array(a.history.validation_loss, b.history.validation_loss)
        and same_array(a.history.validation_accuracy, b.history.validation_accuracy)
        and same_array(a.history.epochs, b.history.epochs)
        and a.history.stopped_by == b.history.stopped_by
        and all(same_member(a[place], b[place]) for place in np.flatnonzero(~a.diverged).tolist())
    )


def parts_of(members):
    return {
        "groups": list(members.groups), "history": members.history, "scores": members.scores,
        "options": {name: values for name, values in members.options.items() if name not in ("hidden", "activation")},
    }  # fmt: skip
