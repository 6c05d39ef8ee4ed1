"""What is common to trainings that hold rows out to measure by, and then train anew on all, for as many epochs as were best."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.networks.history import History, best_epoch
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import Population
from fastmlp.training.data import split
from fastmlp.training.many import train_many
from fastmlp.training.train import train
from fastmlp.warning import warn

NEVER = 1 << 30  # epochs, more than anybody trains for
# Options that make no sense once the best epoch is known.
MEASURED = ("validation", "patience", "monitor", "target_loss", "halving", "members")


def held_out_rows(n: int, labels: NDArray[Any] | None, options: Mapping[str, Any]) -> NDArray[np.integer] | None:
    """The rows that training with these options holds out, if it is to hold out a fraction: of each class alike, where there are
    labels."""
    share = options.get("validation")
    if share is None or isinstance(share, list | tuple):
        return None
    seed = options["seed"] if options.get("data_seed") is None else options["data_seed"]
    return split(n, labels, checks.share("validation", share), seed)[1]


def keeping_best(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with some patience: by that the weights of the best epoch are kept."""
    return options if options.get("patience") is not None else options | {"patience": NEVER}


def members_kept(population: Population, ensemble: bool) -> Population:
    """The best member, or as an ensemble all that halving has not dropped and that have not diverged.

    A KeyboardInterrupt where Ctrl-C came so soon that there is none."""
    stopped_by = np.array(population.history.stopped_by)
    usable = (population.history.epochs > 0) & (stopped_by != "diverged")
    if not usable.any():
        raise KeyboardInterrupt
    kept = usable & (stopped_by != "halving")
    return population[kept] if ensemble and kept.any() else population[usable].best()  # all that halving kept may have diverged


def trained_anew(
    trained: MLP | Population, X: NDArray[np.floating], targets: NDArray[Any], options: Mapping[str, Any], what: str
) -> tuple[MLP, ...] | None:
    """Networks like those that were trained, from all rows, each for as many epochs as were best for it.

    None after Ctrl-C, with a RuntimeWarning that says what all these rows are."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "training .*was interrupted after", RuntimeWarning)
            return _fit_again(trained, X, targets, {name: options[name] for name in options if name not in MEASURED})
    except KeyboardInterrupt:
        warn(f"training on all {what} was interrupted; this is what was trained without those held out", RuntimeWarning)
        return None


def _fit_again(
    trained: MLP | Population, X: NDArray[np.floating], targets: NDArray[Any], options: dict[str, Any]
) -> tuple[MLP, ...]:
    """A KeyboardInterrupt unless all are whole."""
    if isinstance(trained, MLP):
        here = {name: value for name, value in options.items() if name != "executor"}
        return _whole([train(X, targets, **{**here, "epochs": _best_epoch(trained)})])
    fitted: dict[int, MLP] = {}
    best = np.array([_best_epoch(network) for network in trained])
    for epochs in np.unique(best).tolist():
        which = np.flatnonzero(best == epochs).tolist()
        own = {name: [values[place] for place in which] for name, values in trained.options.items()}
        columns = targets if targets.ndim == 1 else targets[:, which]
        again = train_many(X, columns, **{**options, **own, "epochs": epochs})
        fitted |= zip(which, _whole(list(again)), strict=True)
    return tuple(fitted[place] for place in sorted(fitted))


def _whole(networks: list[MLP]) -> tuple[MLP, ...]:
    if any(network.history is None or network.history.stopped_by == "interrupt" for network in networks):
        raise KeyboardInterrupt
    return tuple(networks)


def _best_epoch(network: MLP) -> int:
    assert network.history is not None
    return best_of(network.history)["best_epoch"]


def best_of(history: History) -> dict[str, Any]:
    """The loss on rows held out that the best epoch came to, how many epochs it took, and how many there were."""
    losses = history.validation_loss
    if losses is None or not len(losses):
        return {"loss": None, "best_epoch": 0, "epochs": 0}
    best = best_epoch(history)
    return {"loss": float(losses[best]), "best_epoch": best + 1, "epochs": history.epochs}
