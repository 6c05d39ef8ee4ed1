"""cross_validate: networks that each learn all folds but one and are measured on that one, trained as one population."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.networks import metrics
from fastmlp.networks.html import html_table
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import Population
from fastmlp.training.initial import FOLDS, stream
from fastmlp.training.many import train_many
from fastmlp.training.option_types import TrainOptions
from fastmlp.training.train import train

FOLDS_SHOWN = 20  # in a notebook

Split = tuple[NDArray[np.intp], NDArray[np.intp]]  # row numbers: to learn from, and to measure


@dataclass(frozen=True)
class CrossValidation:
    """How good networks are on rows that they did not learn from.

    Attributes
    ----------
    scores : (F,) float64
        Of each fold the accuracy, or of a regressor R2, on the rows that its network did not learn from; NaN if it diverged.
    predictions : (N, K), or of a regressor (N,) or (N, K)
        What the network that did not learn from a row says of it: a classifier the probability of each class, 0 for one that is not
        among those it learned. The mean where several did not; NaN where all learned from the row, or diverged.
    classes : (K,) array or None
        The labels of all rows, in the order of the columns; None for a regressor.
    members : Population
        The networks, in the order of the folds.
    splits : list of (train, test)
        The numbers of the rows that each network learned from, and of those that it was measured on.
    """

    scores: NDArray[np.float64]
    predictions: NDArray[Any]
    classes: NDArray[Any] | None
    members: Population
    splits: list[Split]

    def __repr__(self) -> str:
        measured = self.scores[~np.isnan(self.scores)]
        name, count = "R2" if self.classes is None else "accuracy", len(self.scores)
        found = f"{name} {measured.mean():.4g}, deviation {measured.std().round(9):.2g}" if len(measured) else f"no {name}"
        return f"<CrossValidation of {count} folds: {found}>"

    def _repr_html_(self) -> str:
        rows = [
            [str(number), str(len(learned)), str(len(held)), f"{score:.4g}"]
            for number, ((learned, held), score) in enumerate(zip(self.splits, self.scores.tolist(), strict=True), 1)
        ]
        more = f"... and {len(rows) - FOLDS_SHOWN} more" if len(rows) > FOLDS_SHOWN else ""
        score = "R2" if self.classes is None else "accuracy"
        return html_table(["fold", "learned from", "measured on", score], rows[:FOLDS_SHOWN], repr(self).strip("<>"), more)


@checks.takes_options(train)
def cross_validate(
    X: ArrayLike,
    y: ArrayLike,
    *,
    cv: int | Iterable[tuple[ArrayLike, ArrayLike]] = 5,
    executor: Any = None,
    **options: Unpack[TrainOptions],
) -> CrossValidation:
    """Train a network for each fold on the rows of all others, and measure it on those of the fold.

    All are members of one population: each becomes what `fastmlp.train` makes of its rows alone, with the same seed.

    Parameters
    ----------
    X : (N, D)
        Rows of inputs.
    y : (N,) or (N, K)
        Targets, as for `train`.
    cv : int or iterable of (train, test)
        How many folds: the rows are shuffled by `data_seed`, or else by `seed`, and each class is spread over all folds. Or for
        each fold the rows to learn from and those to measure, as row numbers or as masks of N booleans.
    executor : concurrent.futures.Executor or dask.distributed.Client
        Who trains the networks, as for `train_many`; small ones of several folds take no longer than one, and are sent together.
    **options
        Those of `train`. `on_epoch` is called as by `train_many`.

    Returns
    -------
    CrossValidation
        The scores, the predictions for rows that were not learned from, and the networks.

    Raises
    ------
    ValueError
        If cv is not as described, or as `train` does.
    IndexError
        If cv names rows that X does not have.
    DivergedError
        If all networks diverge.
    RuntimeError, TypeError
        As `train_many` does, of an executor.
    """
    x = arrays.matrix("X", X, checks.dtype(options.get("dtype")))
    targets = arrays.as_array("y", y)
    arrays.same_length("y", np.atleast_1d(targets), len(x))
    init, seed = options.get("init"), checks.seed("seed", options.get("seed"))
    task = labels.task(options.get("task"), targets, init.classes if isinstance(init, MLP) else False)
    classes = labels.classes_of(targets, len(x)) if task == "classification" else None
    numbers = None if classes is None else labels.class_numbers("y", targets, classes, len(x), np.intp)[:, 0]
    data_seed = options.get("data_seed")
    splits = _splits(cv, len(x), numbers, seed if data_seed is None else data_seed)
    many: dict[str, Any] = {**options, "seed": seed, "rows": [rows for rows, _ in splits], "executor": executor}
    if isinstance(many.get("validation"), tuple | list) and len(many["validation"]) == 2:
        beside, answers = many["validation"]
        many["validation"] = beside, _of_every_member(arrays.as_array("validation[1]", answers))
    members = train_many(X, _of_every_member(targets), **many)
    return _measured(members, x, targets, classes, splits)


def _of_every_member(y: NDArray[Any]) -> NDArray[Any]:
    """Targets of several outputs as train_many takes them, where all members have the same."""
    return y[:, None] if y.ndim == 2 and y.shape[1] > 1 else y


def _splits(cv: Any, n: int, numbers: NDArray[np.intp] | None, seed: int) -> list[Split]:
    """Which of n rows, of these classes, are learned from and which are measured."""
    if isinstance(cv, Iterable) and not isinstance(cv, str):
        return _given_splits(list(cv), n)
    if not hasattr(cv, "__index__"):
        known = "a whole number of at least 2, or (train, test) rows for each fold, as KFold(5).split(X) gives them"
        raise ValueError(f"cv must be {known}; got {checks.shown(cv)}")
    count, rng = checks.ways("cv", cv), stream(seed, FOLDS)
    checks.at_most("cv", count, n, "for as many rows")
    groups = [np.arange(n)] if numbers is None else [np.flatnonzero(numbers == one) for one in range(numbers.max() + 1)]
    fold = np.empty(n, np.intp)
    fold[np.concatenate([rng.permutation(group) for group in groups])] = np.arange(n) % count
    return [(np.flatnonzero(fold != one), np.flatnonzero(fold == one)) for one in range(count)]


def _given_splits(pairs: Sequence[Any], n: int) -> list[Split]:
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"cv must hold (train, test) for each fold; cv[{number}] is {checks.shown(pair)}")
    if not pairs:
        raise ValueError("cv must hold (train, test) for at least one fold; got none")
    return [
        (arrays.places(rows, n, f"cv[{number}][0]", "row"), arrays.places(held, n, f"cv[{number}][1]", "row"))
        for number, (rows, held) in enumerate(pairs)
    ]


def _measured(
    members: Population, x: NDArray[Any], y: NDArray[Any], classes: NDArray[Any] | None, splits: list[Split]
) -> CrossValidation:
    """What members say of the rows that they did not learn from, and how good that is."""
    shape = y.shape if classes is None else (len(x), len(classes))
    said, asked, scores = np.zeros(shape, members.dtype), np.zeros(len(x), np.intp), np.full(len(splits), np.nan)
    for number, (_, held) in enumerate(splits):
        if members.diverged[number]:
            continue
        member = members[number]
        if classes is None or member.classes is None:
            outputs = member.predict(x[held]).reshape(len(held), *shape[1:])
            scores[number] = metrics.of_numbers(outputs, y[held]).r2
        else:
            outputs = np.zeros((len(held), len(classes)), members.dtype)
            outputs[:, np.searchsorted(classes, member.classes)] = member.predict_proba(x[held])
            scores[number] = np.mean(classes[outputs.argmax(axis=1)] == y[held].reshape(-1))
        np.add.at(said, held, outputs)
        np.add.at(asked, held, 1)
    counts = asked.reshape(-1, *[1] * (said.ndim - 1))
    predictions = np.where(counts > 0, said / np.maximum(counts, 1).astype(said.dtype), np.nan).astype(said.dtype)
    return CrossValidation(scores, predictions, classes, members, splits)
