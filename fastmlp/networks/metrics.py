"""How good predictions are: accuracy and its kin for classes, R2 and errors for numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.labels import short
from fastmlp.networks.pictures import EvaluationPictures

CLASSES_PRINTED = 12  # of a table, so that it stays under a screenful
CONFUSION_PRINTED = 8  # classes up to which the whole confusion matrix is printed
PAIRS_PRINTED = 5


class Evaluation(EvaluationPictures):
    """How good predictions are. Printed, it is a table.

    Conventions are those of scikit-learn: a ratio of nothing, as the precision of a class that was never predicted, is 0; R2 of
    constant targets is 1 if they are met exactly, else 0, and of a single row NaN; of several outputs the mean is taken.
    With `sample_weight` sums of weights stand where else there are numbers of rows.

    Attributes
    ----------
    rows : int
        N, how many there were.
    classes : (K,) array
        Of a classifier, as all down to `log_loss`: its labels, in their order, those that do not occur in y too.
    confusion : (K, K)
        How many rows of each class (row) were taken for each (column).
    support, precision, recall, f1 : (K,)
        For each class: how many rows there are; which share of those taken for it are right; which share of its rows is found; and
        the harmonic mean of both.
    accuracy : float
        The share of rows that are right.
    log_loss : float
        The mean of -log of the probability of the right class, in nats; probabilities are kept an epsilon of their dtype away from
        0 and 1. NaN where the scores are no probabilities: with one network for each class.
    r2 : float
        Of a regressor, as all below: the coefficient of determination, 1 - sum (y - prediction)^2 / sum (y - mean of y)^2.
    mse, mae : float
        The means of the squared and of the absolute errors.
    """

    rows: int
    classes: NDArray[Any]
    confusion: NDArray[Any]
    support: NDArray[Any]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    accuracy: float
    log_loss: float
    r2: float
    mse: float
    mae: float

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> NoReturn:
            kind = "classifier" if "accuracy" in self.__dict__ else "regressor"
            raise AttributeError(f"the evaluation of a {kind} has no {name!r}; it has {', '.join(self.__dict__)}")

    @property
    def score(self) -> float:
        """The accuracy of a classifier, R2 of a regressor."""
        return self.accuracy if "accuracy" in self.__dict__ else self.r2

    def most_confused(self, n: int = 10) -> list[tuple[Any, Any, Any]]:
        """At most n of the pairs (class, what it was taken for, how many times), the most frequent first.

        Raises
        ------
        ValueError
            If n is no positive whole number.
        """
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        pairs = np.argsort(-wrong, axis=None, kind="stable")[: checks.positive_int("n", n)]
        labels = self.classes.tolist()
        found = zip(*np.unravel_index(pairs, wrong.shape), strict=True)
        return [(labels[true], labels[taken], wrong[true, taken].item()) for true, taken in found if wrong[true, taken]]

    def __repr__(self) -> str:
        return f"<Evaluation of {self.rows} rows: {self._numbers(', ')}>"

    def __str__(self) -> str:
        if "accuracy" not in self.__dict__:
            return self._head()
        if len(self.classes) <= CONFUSION_PRINTED:
            return f"{self.ratios_as_text()}\n\n{self.confusion_as_text()}"
        return "\n\n".join(filter(None, [self.ratios_as_text(), self.most_confused_as_text(PAIRS_PRINTED)]))

    def _head(self) -> str:
        return f"{self.rows} rows  {self._numbers('  ')}"

    def ratios_as_text(self) -> str:
        """The accuracy, and a line for each class, of many for the first ones."""
        names = [short(label) for label in self.classes.tolist()]
        ratios = [[name, *(f"{value:.3f}" for value in getattr(self, name))] for name in ("precision", "recall", "f1")]
        support = ["support", *map(_count, self.support.tolist())]
        return "\n".join([self._head(), "", *_lines(["", *names], [*ratios, support], CLASSES_PRINTED)])

    def confusion_as_text(self) -> str:
        """The whole confusion matrix."""
        names = [short(label) for label in self.classes.tolist()]
        cells = [[name, *map(_count, values)] for name, values in zip(names, self.confusion.T.tolist(), strict=True)]
        return "\n".join(["rows of each class by what they were taken for:", *_lines(["", *names], cells)])

    def most_confused_as_text(self, n: int) -> str:
        """At most n of the pairs that are confused most often; nothing if there is none."""
        pairs = [f"  {short(true)} for {short(taken)}: {_count(count)}" for true, taken, count in self.most_confused(n)]
        return "\n".join(["most often taken:", *pairs] if pairs else [])

    def _numbers(self, between: str) -> str:
        names = {"accuracy": "accuracy", "log_loss": "log loss", "r2": "R2", "mse": "MSE", "mae": "MAE"}
        known = {said: self.__dict__[name] for name, said in names.items() if name in self.__dict__}
        known = {said: value for said, value in known.items() if said != "log loss" or value == value}  # of no probabilities
        return between.join(f"{said} {value:.6g}" for said, value in known.items())


def of_classes(
    scores: NDArray[Any], y: ArrayLike, classes: NDArray[Any], sample_weight: ArrayLike | None = None, *, probabilities: bool = True
) -> Evaluation:
    """The evaluation of a classifier by its scores (N, K), of which the largest one decides, for rows whose labels are y (N,)."""
    n, k = scores.shape
    weights = _weights(sample_weight, n)
    checks.enough_memory(f"the confusion matrix of {k} classes", 8 * k * k)
    true = labels.class_numbers("y", y, classes, n, np.intp)[:, 0]
    confusion = np.bincount(true * k + scores.argmax(axis=1), weights, k * k).reshape(k, k)
    right, support, taken = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    log_loss = np.nan
    if probabilities:
        epsilon = np.finfo(scores.dtype).eps
        chances = np.clip(np.take_along_axis(scores, true[:, None], axis=1)[:, 0], epsilon, 1 - epsilon)
        log_loss = -float(np.average(np.log(chances, dtype=np.float64), weights=weights))
    return Evaluation(
        rows=n,
        accuracy=float(right.sum() / support.sum()),
        log_loss=log_loss,
        classes=classes,
        confusion=confusion,
        support=support,
        precision=_ratio(right, taken),
        recall=_ratio(right, support),
        f1=_ratio(2 * right, support + taken),
    )


def of_numbers(outputs: NDArray[Any], y: ArrayLike, sample_weight: ArrayLike | None = None) -> Evaluation:
    """The evaluation of a regressor by its outputs, (N,) or (N, K), for rows whose targets are y."""
    n = len(outputs)
    weights = _weights(sample_weight, n)
    k = outputs[:1].size
    targets = arrays.targets("y", y, n, k, np.float64)
    errors = outputs.reshape(n, k) - targets
    deviations = targets - np.average(targets, axis=0, weights=weights)
    deviations[:, np.ptp(targets, axis=0) == 0] = 0  # the mean is rounded
    unit = np.abs(deviations).max(axis=0)
    unit[unit == 0] = 1  # and so that no square underflows, or overflows
    missed, varied = (np.average(np.square(part / unit), axis=0, weights=weights) for part in (errors, deviations))
    constant = varied == 0
    r2 = np.where(constant, missed == 0, 1 - missed / np.where(constant, 1, varied))
    with np.errstate(over="ignore"):  # what overflows is infinite
        mse = float(np.average(np.square(errors), axis=0, weights=weights).mean())
    mae = float(np.average(np.abs(errors), axis=0, weights=weights).mean())
    return Evaluation(rows=n, r2=float(r2.mean()) if n > 1 else np.nan, mse=mse, mae=mae)


def _weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    if not n:
        raise ValueError("X must have at least one row to measure; got none")
    if sample_weight is None:
        return None
    weights = arrays.unscaled_weights(sample_weight, n)
    with np.errstate(over="ignore"):
        if not np.isfinite(weights.sum()):
            raise ValueError(f"sample_weight must have a finite sum; its weights go up to {weights.max():g}")
    return weights


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def listing(texts: Iterable[str]) -> str:
    """Texts with commas between them: of many the first ones."""
    shown = list(texts)
    more = len(shown) - CLASSES_PRINTED
    return ", ".join(shown if more <= 0 else [*shown[:CLASSES_PRINTED], f"... and {more} more"])


def _count(value: float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _lines(names: list[str], columns: list[list[str]], most: int | None = None) -> list[str]:
    """A table of columns, each below its head; of many rows the first ones alone."""
    cells = [column[: most and most + 1] for column in (names, *columns)]
    widths = [max(map(len, column)) for column in cells]
    rows = zip(*cells, strict=True)
    lines = [f"{row[0]:<{widths[0]}}  {'  '.join(f'{c:>{w}}' for c, w in zip(row[1:], widths[1:], strict=True))}" for row in rows]
    return [*lines, f"... and {len(names) - len(lines)} more"] if len(lines) < len(names) else lines
