"""Training on labelled images: some are held out to measure by, and with the epochs that were best for them all are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays, checks
from fastmlp.images.decisions import scores_by
from fastmlp.images.labelled import LabelledImages
from fastmlp.images.own_extractor import function_name
from fastmlp.interrupts import put_off
from fastmlp.literals import AnyExtractor, Decision, Method
from fastmlp.networks.history import History
from fastmlp.networks.metrics import of_classes
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import Population
from fastmlp.networks.provenance import made_with
from fastmlp.training.calibration import best_temperature, set_temperature
from fastmlp.training.many import train_begun, train_many
from fastmlp.training.refitting import best_of, held_out_rows, keeping_best, members_kept, trained_anew
from fastmlp.training.train import train

METHODS: tuple[Method, ...] = get_args(Method)


class Fitted(NamedTuple):
    """What comes of training on labelled images: that of which an ImageClassifier is made."""

    classes: list[Any]
    networks: tuple[MLP, ...]
    extractor: AnyExtractor
    method: Decision
    made_with: dict[str, Any]
    measured: tuple[MLP, ...]
    """The networks that were trained without the images held out: the same, but where there are others that learned all."""

    @property
    def histories(self) -> list[History]:
        return [network.history for network in self.networks if network.history is not None]


def train_labelled(
    data: LabelledImages, extractor: AnyExtractor, *, method: Method = "softmax", refit: bool = False, **options: Any
) -> Fitted:
    """Train on labelled images; see `train_folder`."""
    checks.one_of("method", method, METHODS)
    y = data.labels
    options["seed"] = checks.seed("seed", options.get("seed"))
    targets: NDArray[Any] = y
    if method == "softmax":
        options.setdefault("task", "classification")
    else:
        targets = (y[:, None] == list(data.counts())).astype(np.float64)
        if options.pop("keep_state", False):
            raise ValueError("keep_state is for one network; with method='one-vs-rest' there is one for each class")
        if isinstance(options.get("init", ""), str):
            options.setdefault("task", "regression")
            if options["task"] == "regression" and options.get("monitor") == "accuracy":
                raise ValueError("monitor='accuracy' needs method='softmax'; with 'one-vs-rest', networks are regressors")
    held = held_out_rows(len(y), y, options)
    if refit and held is None:
        raise ValueError("refit=True needs validation, a fraction of the images to hold out")
    how = options if held is None else keeping_best(options)
    if held is not None and method != "softmax":  # a fraction of each class is to be held out, and these targets name none
        trained = _fit(*_without(held, data, targets, how))
    else:
        trained = _fit(*_learned(data, targets, how, held))
    return _measured(data, targets, extractor, method, trained, held, refit, options)


def train_members(
    data: LabelledImages, extractor: AnyExtractor, members: int, *, ensemble: bool = False, refit: bool = False, **options: Any
) -> tuple[Fitted, Population]:
    """Train many networks on labelled images, as `train_many` does: of the best, or of all that are left; and all.

    A KeyboardInterrupt after Ctrl-C so soon that there is nothing to keep."""
    options = {"output": "softmax", **options, "seed": checks.seed("seed", options.get("seed"))}
    options.setdefault("data_seed", options["seed"])
    held = held_out_rows(len(data.labels), data.labels, options)
    how = options if held is None else keeping_best(options)
    X, y, how = _learned(data, data.labels, how, held)
    population = train_begun(X, y, members=members, **how)
    trained = members_kept(population, ensemble)
    if ensemble:
        options["progress"] = False  # of training anew, which is a step for each number of epochs
    refit = refit and "interrupt" not in population.history.stopped_by
    method: Decision = "ensemble" if ensemble else "softmax"
    return _measured(data, data.labels, extractor, method, trained, held, refit, options), population


def _measured(
    data: LabelledImages,
    targets: NDArray[Any],
    extractor: AnyExtractor,
    method: Decision,
    trained: MLP | Population,
    held: NDArray[np.integer] | None,
    refit: bool,
    options: dict[str, Any],
) -> Fitted:
    """Trained networks, with what the images say that were held out; if refit, such that were trained on all."""
    networks = (trained,) if isinstance(trained, MLP) else tuple(trained)
    made = trained.made_with if method == "ensemble" else networks[0].made_with
    own = {"extractor": function_name(extractor)} if callable(extractor) else {}
    fitted = Fitted(list(data.counts()), networks, extractor, method, own | _record(data, made, options), networks)
    if held is None or any(history.epochs == 0 for history in fitted.histories):  # after Ctrl-C
        return fitted
    with put_off():  # or what was trained would be lost
        fitted.made_with["validation"] = _validated(fitted, data.features[held], data.labels[held])
        temperature = _temperature(fitted, data.features[held], data.labels[held], options)
    fitted = _refitted(fitted, trained, *_learned(data, targets, options)) if refit else fitted
    if temperature is not None:
        fitted.made_with["validation"]["temperature"] = temperature
        for network in fitted.networks:
            set_temperature(network, temperature)
    return fitted


Learned = tuple[NDArray[np.floating], NDArray[Any], dict[str, Any]]  # X, targets and options


def _learned(
    data: LabelledImages, targets: NDArray[Any], options: dict[str, Any], held: NDArray[np.integer] | None = None
) -> Learned:
    """What all images teach but those held out, which training holds out by itself unless there are copies."""
    if data.copies is None:
        return data.features, targets, options
    if held is not None:
        return _without(held, data, targets, options)
    return _with_copies(data, targets, options, np.arange(len(targets)))


def _without(held: NDArray[np.integer], data: LabelledImages, targets: NDArray[Any], options: dict[str, Any]) -> Learned:
    """What images teach of which some are held out, as those that the caller has."""
    options = options | {"validation": (data.features[held], targets[held])}
    return _with_copies(data, targets, options, np.delete(np.arange(len(targets)), held))


def _with_copies(data: LabelledImages, targets: NDArray[Any], options: dict[str, Any], rows: NDArray[np.integer]) -> Learned:
    """What these images teach, each with its copies behind it, which count as much as it does."""
    X, weights = data.features[rows], options.get("sample_weight")
    if weights is not None:
        weights = arrays.unscaled_weights(weights, len(targets))[rows]
    if data.copies is not None:
        X = np.concatenate([X[:, None], data.copies[rows]], axis=1)
        each, X = X.shape[1], X.reshape(-1, X.shape[2])
        rows, weights = np.repeat(rows, each), weights if weights is None else np.repeat(weights, each)
    return X, targets[rows], options if weights is None else options | {"sample_weight": weights}


def _temperature(fitted: Fitted, X: NDArray[np.floating], labels: NDArray[Any], options: Mapping[str, Any]) -> float | None:
    """By which the scores become such as come true as often as they say; None where they are no probabilities, or the network is
    to be trained on as it is."""
    if fitted.method == "one-vs-rest" or options.get("keep_state"):
        return None
    scores = [scores_by([network], "softmax", X) for network in fitted.networks]
    return best_temperature(scores, np.searchsorted(fitted.classes, labels))


def _record(data: LabelledImages, made: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What it was made with, from the record of a network, or of a population, and how it was asked to be measured."""
    asked = made_with(len(data.labels), {name: options.get(name) for name in ("validation", "patience")})
    counts = {str(label): count for label, count in data.counts().items()}
    record = {"images": counts, "seed": options["seed"], **made, "rows": asked["rows"]}
    augment = {} if data.copies is None else {"augment": data.copies.shape[1]}
    return record | {"options": made["options"] | asked["options"] | augment}


def _validated(fitted: Fitted, X: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, Any]:
    """What is known of it by images that were held out; where there is a network for each class, a list."""
    scores = scores_by(fitted.networks, fitted.method, X)
    record: dict[str, Any] = {"images": len(labels), "accuracy": of_classes(scores, labels, np.array(fitted.classes)).accuracy}
    if fitted.method != "ensemble":
        each = [best_of(history) | {"stopped_by": history.stopped_by} for history in fitted.histories]
        record |= {name: [one[name] for one in each] if len(each) > 1 else each[0][name] for name in each[0]}
    return record | {"refit": False}


def _refitted(
    fitted: Fitted,
    trained: MLP | Population,
    X: NDArray[np.floating],
    targets: NDArray[Any],
    options: Mapping[str, Any],
) -> Fitted:
    """With its networks trained anew on all rows, each for as many epochs as were best for it.

    After Ctrl-C it is as it was; its record says so, and a RuntimeWarning. Nor is anything to be done after an earlier one.
    """
    if any(history.stopped_by == "interrupt" for history in fitted.histories):
        return fitted
    softmax = {"output": "softmax"} if isinstance(trained, MLP) else {}
    networks = trained_anew(trained, X, targets, softmax | dict(options), "images")
    fitted.made_with["validation"]["refit"] = "interrupted" if networks is None else True
    return fitted if networks is None else fitted._replace(networks=networks)


def _fit(X: NDArray[np.floating], targets: NDArray[Any], options: dict[str, Any]) -> MLP | Population:
    """One network for labels; for each column of targets one, of which Ctrl-C leaves all or none."""
    if targets.ndim == 1:
        return train(X, targets, **{"output": "softmax", **options})
    for name in ("hidden", "activation", "dropout"):  # a list would have an entry for each network
        if isinstance(options.get(name), list):
            options = options | {name: tuple(options[name])}
    population = train_many(X, targets, members=targets.shape[1], **options)
    if not population.history.epochs.all():  # Ctrl-C came so soon that some have not begun: the others alone decide nothing
        raise KeyboardInterrupt
    return population
