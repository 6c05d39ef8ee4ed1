"""Labels of classes: what they are, their numbers, the weights of their rows; and whether y holds labels at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.checks import shown
from fastmlp.kernels.losses import LossRow
from fastmlp.literals import Task
from fastmlp.warning import warn

TASKS: tuple[Task, ...] = get_args(Task)
MOST_CLASSES = 20  # that integers stand for, whatever the number of rows
FEW = 200  # labels that Python sorts sooner
MOST_NUMBERS = 10  # distinct ones that are rather labels
NAME_PRINTED = 24  # characters of a class's name


def row_labels(name: str, value: ArrayLike) -> NDArray[Any]:
    """A 1-D array of labels: booleans, numbers or strings."""
    array = arrays.as_array(name, value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, one label for each row; got shape {array.shape}")
    if array.dtype.kind not in "biufUS":
        raise ValueError(f"{name} must hold labels (integers, booleans or strings); got dtype {array.dtype}")
    return arrays.finite(name, array) if array.dtype.kind == "f" else array


def in_range(name: str, array: NDArray[Any], loss: LossRow, output: str) -> None:
    """Rejects targets that a loss cannot take."""
    low, high = loss.targets
    if low == -np.inf and high == np.inf:
        return
    if array.min(initial=low) < low or array.max(initial=high) > high:
        expected = f"lie between {low} and {high}" if high < np.inf else f"be at least {low}"
        raise ValueError(f"{name} must {expected} for the loss {loss.name!r}; got {array.min()} to {array.max()}")
    if (low, high) == (0, 1) and output == "softmax" and np.abs(array.sum(axis=1) - 1).max(initial=0) > 1e-3:
        raise ValueError(f"the rows of {name} must sum to 1 for a softmax output")


def class_numbers(name: str, value: ArrayLike, known: NDArray[Any], n: int, dtype: Any) -> NDArray[Any]:
    """The place of each label among the sorted classes, as (N, 1) numbers of the dtype."""
    array = row_labels(name, value)
    arrays.same_length(name, array, n)
    if array.dtype.kind != known.dtype.kind and not {"U", "S"}.isdisjoint((array.dtype.kind, known.dtype.kind)):
        own = shown(known[:1].tolist()[0])
        raise ValueError(f"{name} must hold labels as the classes are, such as {own}; got dtype {array.dtype}")
    numbers = np.empty((n, 1), dtype=dtype)
    for block in arrays.blocks(array):
        places, wrong = _places(known, array[block])
        if np.count_nonzero(wrong):
            row = block.start + int(np.argmax(wrong))
            label = shown(array[row : row + 1].tolist()[0])
            raise ValueError(f"{name} holds a label that the network does not know: {arrays.place_in(name, [row])} is {label}")
        numbers[block, 0] = places
    return numbers


def _places(known: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The place of each label among the sorted classes, and whether it is none of them."""
    if known.dtype.kind in "iu" and known.dtype == labels.dtype and int(known[-1]) - int(known[0]) < len(known):  # without a gap
        places = labels - known[0] if known[0] else labels
        return places, places.view(f"u{places.itemsize}") >= len(known)  # a difference that overflows has the right bits
    places = known.searchsorted(labels)
    return places, known.take(places, mode="clip") != labels


def classes_of(y: ArrayLike, n: int) -> NDArray[Any]:
    """The sorted labels of y."""
    array = row_labels("y", y)
    arrays.same_length("y", array, n)
    if len(array) <= FEW:  # a few times as fast as np.unique
        found = np.array(sorted(set(array.tolist())), array.dtype)
    else:
        found = array[:0]
        low, high = (array.min(), array.max()) if array.dtype.kind in "iu" else (0, 0)
        if 0 < (span := int(high) - int(low)) < arrays.BLOCK:  # ten times as fast as sorting
            present = np.zeros(span + 1, dtype=bool)
            for block in arrays.blocks(array):
                present[(array[block] - low).view(f"u{array.itemsize}")] = True  # a difference that overflows has the right bits
            return np.flatnonzero(present).astype(array.dtype) + low
        for block in arrays.blocks(array):
            found = np.union1d(found, array[block])
    if len(found) < 2:
        raise ValueError(f"y must hold at least two classes; got only {shown(found.tolist()[0])}")
    return found


def sample_weights(
    sample_weight: ArrayLike | None,
    class_weight: Mapping[Any, float] | str | None,
    known: NDArray[Any] | None,
    y: NDArray[Any],
    dtype: Any,
) -> NDArray[Any]:
    """A weight for each row, their mean 1, or a single 1 for all of them; y holds class numbers where classes are known."""
    n = len(y)
    if sample_weight is None and class_weight is None:
        return np.ones(1, dtype)
    weights = np.ones(n) if sample_weight is None else arrays.unscaled_weights(sample_weight, n)
    if class_weight is not None:
        weights = weights * class_factors(class_weight, known, y, weights)[y[:, 0].astype(np.intp)]
        if not weights.any():
            raise ValueError("class_weight must not be zero for all classes of rows that count; got 0 for each of them")
    weights = weights / weights.max()  # so that the sum cannot overflow
    return (weights / weights.mean()).astype(dtype)


def class_factors(
    class_weight: Mapping[Any, float] | str, known: NDArray[Any] | None, y: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.float64]:
    if known is None:
        raise ValueError("class_weight is for classifiers; y makes a regressor")
    if isinstance(class_weight, Mapping):
        strange = [label for label in class_weight if label not in known.tolist()]
        if strange:
            raise ValueError(f"class_weight names {shown(strange[0])}, which is not among the classes {shown(known.tolist())}")
        return np.array([checks.not_negative("class_weight", class_weight.get(label, 1.0)) for label in known.tolist()])
    if not isinstance(class_weight, str) or class_weight != "balanced":
        raise ValueError(f"class_weight must be a mapping from classes to factors, or 'balanced'; got {shown(class_weight)}")
    sums = np.bincount(y[:, 0].astype(np.intp), weights, len(known))
    return np.divide(1.0, sums, out=np.zeros(len(known)), where=sums > 0)


def task(value: Task | None, y: ArrayLike, given: NDArray[Any] | bool | None) -> Task:
    """Classification or regression: as said, as the network to go on from (its classes; False for none), or as y is."""
    if given is not False:
        own: Task = "regression" if given is None else "classification"
        if value not in (None, own):
            raise ValueError(f"task={shown(value)} contradicts init, a network for {own}")
        return own
    if value is not None:
        return checks.one_of("task", value, TASKS)
    return "regression" if arrays.as_array("y", y).dtype.kind == "f" else "classification"


def ask_for_task(y: ArrayLike, classes: NDArray[Any] | None) -> None:
    """Warns where y may be meant in another way than it is taken: as these classes, or as a quantity."""
    array = np.asarray(y)
    if classes is not None:
        if classes.dtype.kind in "iu" and len(classes) > MOST_CLASSES and 2 * len(classes) > len(array):
            taken = f"{len(classes)} different integers in {len(array)} rows, and is taken for labels; if they are quantities"
            warn(f"y holds {taken}, give task='regression' (or floats), else task='classification'")
        return
    few = array[:0]
    for part in (slice(0, 100), *arrays.blocks(array)):
        few = np.union1d(few, array[part])
        if len(few) > MOST_NUMBERS or (few != np.rint(few)).any():
            return
    if len(few) > 1:
        taken = f"only {len(few)} different whole numbers, and is taken for quantities; if they are labels"
        warn(f"y holds floats, but {taken}, give task='classification' (or integers), else task='regression'")


def ascending_classes(value: ArrayLike) -> NDArray[Any]:
    """Labels in ascending order, at least two."""
    array = row_labels("classes", value)
    if len(array) < 2 or np.count_nonzero(array[:-1] < array[1:]) < len(array) - 1:
        raise ValueError(f"classes must be at least two different labels in ascending order; got {shown(array.tolist())}")
    return array


def short(label: Any) -> str:
    """A label as it is printed."""
    text = str(label)
    return text if len(text) <= NAME_PRINTED else f"{text[: NAME_PRINTED - 1]}…"
