"""Every rejection of an array or an option, with its message: the argument, what was expected, what came."""

from __future__ import annotations

import difflib
import math
import operator
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from decimal import Decimal
from functools import wraps
from inspect import Parameter, signature
from itertools import pairwise
from numbers import Real
from typing import Any, ParamSpec, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.literals import Activation, Loss, Output, Task

Name = TypeVar("Name", bound=str)

ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
OUTPUTS: tuple[Output, ...] = get_args(Output)
LOSSES: tuple[Loss, ...] = get_args(Loss)
TASKS: tuple[Task, ...] = get_args(Task)
BLOCK = 1 << 18  # values looked at together: a large array is never doubled by the look at it
LARGE = 1 << 22  # numbers beyond which an array is converted block by block, where the kernels read it
MOST_CLASSES = 20  # that integers stand for, whatever the number of rows
MOST_NUMBERS = 10  # distinct ones that are rather labels

SHOWN = 60  # characters of a value that a message shows


def shown(value: Any) -> str:
    """A value as a message shows it: what is large, or has a shape, by its kind and size alone, since it may be anybody's data."""
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    value = value.item() if isinstance(value, np.ndarray) else value
    if isinstance(value, Sized) and len(value) > SHOWN:
        return f"{value[:SHOWN]!r}..." if isinstance(value, str) else f"{type(value).__name__} of length {len(value)}"
    if isinstance(value, list | tuple | set | frozenset | Mapping) and not all(isinstance(one, SCALARS) for one in value):
        return f"{type(value).__name__} of length {len(value)}"
    text = " ".join(repr(value).split())
    if len(text) <= SHOWN or isinstance(value, str):
        return text
    return f"{type(value).__name__} of length {len(value)}" if isinstance(value, Sized) else type(value).__name__


P = ParamSpec("P")
R = TypeVar("R")


def takes_options(*others: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function reject an option that neither it knows nor one of the others, to which it hands its options on."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        known = {name for name, option in signature(function).parameters.items() if option.kind in named}
        handed_on = {name: option for other in others for name, option in signature(other).parameters.items()}
        known |= {name for name, option in handed_on.items() if option.default is not Parameter.empty}

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= known:
                strange = next(name for name in kwargs if name not in known)
                nearest = difflib.get_close_matches(strange, known, n=1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(sorted(known - {'self', 'cls'}))}"
                raise TypeError(f"{function.__qualname__} has no option {strange!r} ({hint})")
            return function(*args, **kwargs)

        return checked

    return decorate


SCALARS = (str, int, float, type(None), np.generic)


def one_of(name: str, value: Any, known: Iterable[Name]) -> Name:
    """The value, if it is one of the known names; else a ValueError that lists them and suggests the nearest."""
    names = sorted(known)
    if isinstance(value, str) and value in names:
        return names[names.index(value)]
    nearest = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) else []
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, names))}; got {shown(value)}{hint}")


def positive_int(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name} must be a positive whole number; got {shown(value)}")
    return number


def positive(name: str, value: Any) -> float:
    number = _number(name, value, "a positive number")
    if not number > 0:
        raise ValueError(f"{name} must be a positive number; got {shown(value)}")
    return number


def not_negative(name: str, value: Any) -> float:
    number = _number(name, value, "a number of at least 0")
    if not number >= 0:
        raise ValueError(f"{name} must be a number of at least 0; got {shown(value)}")
    return number


def _number(name: str, value: Any, expected: str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, (bool, str)):
        raise ValueError(f"{name} must be {expected}; got {shown(value)}")
    return number


def places(value: ArrayLike, n: int) -> NDArray[np.intp]:
    """Places from 0 to n - 1, from whole numbers (negative ones count from the end) or from n booleans; at least one."""
    array = _as_given("an index", value)
    if array.ndim != 1 or (array.dtype.kind not in "biu" and array.size):
        expected = "a whole number, a slice, or a 1-D array of whole numbers or booleans"
        raise ValueError(f"an index must be {expected}; got {shown(value)}")
    if array.dtype.kind == "b":
        if len(array) != n:
            raise IndexError(f"an index of booleans must have {n} of them, one for each member; got {len(array)}")
        array = np.flatnonzero(array)
    if not array.size:
        raise ValueError(f"an index must choose at least one of {n} members; got none")
    outside = (array < -n) | (array >= n)
    if outside.any():
        raise IndexError(f"an index must be from {-n} to {n - 1}, for {n} members; got {array[outside][0]}")
    array = array.astype(np.intp)
    return np.where(array < 0, array + n, array)


def threads(value: int | None) -> int:
    """The number of worker threads: as given, or one for each core that this process may use."""
    if value is not None:
        return positive_int("threads", value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory(what: str, needed: int) -> None:
    """Rejects what would need more bytes than the machine has, where that is known."""
    try:
        has = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if needed > has:
        raise ValueError(f"{what} would need {needed / 1e9:.1f} GB of memory; this machine has {has / 1e9:.1f} GB")


def gray_image(name: str, value: Any) -> NDArray[np.uint8]:
    """The image as the one kind of array that the kernels are compiled for: contiguous, writable."""
    image = np.asarray(value)
    if image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        raise ValueError(f"{name} must be an array (H, W) of uint8 gray levels; got {image.dtype} {image.shape}")
    return np.require(image, requirements=["C", "W"])


# -- arrays ---------------------------------------------------------------------------------------------------------------------


def matrix(
    name: str,
    value: ArrayLike,
    dtype: Any = None,
    *,
    columns: int | None = None,
    names: tuple[str, ...] | None = None,
    empty: bool = False,
) -> NDArray[Any]:
    """A C-contiguous 2-D array of finite numbers, as the kernels take it: see `floating`. A large one may keep its own type.

    If so many columns are expected, and in it they have names, then those names.
    """
    array = numbers(name, value)
    if empty and array.size == 0 and array.ndim == 1 and columns is not None:
        array = array.reshape(0, columns)
    if array.ndim != 2:
        hint = f"; a single row is {name}.reshape(1, -1)" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be 2-D (rows, columns); got shape {array.shape}{hint}")
    if array.shape[1] == 0 or (array.shape[0] == 0 and not empty):
        raise ValueError(f"{name} must have at least one row and one column; got shape {array.shape}")
    if columns is not None and array.shape[1] != columns:
        raise ValueError(f"{name} must have {columns} columns, one for each input of the network; got {array.shape[1]}")
    same_columns(name, column_names(value), names)
    dtype = dtype or floating_dtype(array)
    as_it_is = array.size > LARGE and array.itemsize <= 8 and array.flags.c_contiguous and array.flags.aligned
    finite(name, array, dtype)
    return _unlocked(array) if as_it_is else floating(array, dtype)


def numbers(name: str, value: ArrayLike) -> NDArray[Any]:
    """An array of booleans, integers or real numbers."""
    array = _as_given(name, value)
    if array.dtype.kind == "O":  # a table of mixed columns, say
        odd = _first(array, lambda kind: _family(kind) != "numbers")
        if odd is not None:
            names = column_names(value)
            column = f"column {names[odd[1]]!r} of {name}" if names and len(odd) == 2 else name
            raise ValueError(f"{column} must hold real numbers; {_place(name, odd)} is {shown(array[odd])}")
        array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers; got dtype {array.dtype}")
    return array


def as_array(name: str, value: Any) -> NDArray[Any]:
    """An array of numbers, strings or bytes, if objects hold these; what NumPy would lose or make alike is rejected."""
    array = _as_given(name, value)
    if array.dtype.kind != "O":
        return array
    if not array.size:
        return array.astype(np.float64)
    origin = (0,) * array.ndim
    family = _family(type(array[origin]))
    odd = _first(array, lambda kind: family is None or _family(kind) != family)
    if odd is not None:
        places = " and ".join(f"{_place(name, place)} is {shown(array[place])}" for place in dict.fromkeys((origin, odd)))
        raise ValueError(f"{name} must hold numbers alone, strings alone or bytes alone; {places}")
    if family != "numbers":
        end = "\0" if family == "strings" else b"\0"
        for place, text in np.ndenumerate(array):
            if text.endswith(end):
                where = f"{_place(name, place)} is {shown(text)}"
                raise ValueError(f"{name} must not hold strings that end in NUL, which NumPy would drop; {where}")
    found = np.array(array.tolist())
    if found.dtype.kind != "O":
        return found
    if _first(array, lambda kind: issubclass(kind, int)) is not None:
        raise ValueError(f"{name} must hold whole numbers that fit in 64 bits; got {shown(array.min())} to {shown(array.max())}")
    return array.astype(np.float64)


def _as_given(name: str, value: Any) -> NDArray[Any]:
    """The value as an array, of Python's objects where it is not sure what NumPy would make of them."""
    rows = value if type(value) in (list, tuple) else ()
    if isinstance(value, np.ma.MaskedArray) or not MASKED.isdisjoint(map(type, rows)):
        raise ValueError(f"{name} must not be a masked array; fill what is masked, or leave those rows out")
    if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
        raise ValueError(f"{name} must not be sparse; got {shown(value)}: give {name}.toarray()")
    try:
        array = np.asarray(value)
        if array.dtype.kind in "US" and not hasattr(value, "dtype"):  # of numbers and strings NumPy makes strings
            array = np.asarray(value, object)
    except ValueError as error:
        raise ValueError(f"{name} must be rectangular; its rows differ in length") from error
    return array.astype(object) if array.dtype.kind == "T" else array


MASKED = {np.ma.MaskedArray, type(np.ma.masked)}
FAMILIES = {"strings": (str,), "bytes": (bytes,), "numbers": (bool, np.bool_, Real, Decimal)}


def _family(kind: type) -> str | None:
    """What objects of that type are."""
    return next((family for family, kinds in FAMILIES.items() if issubclass(kind, kinds)), None)


def _first(array: NDArray[Any], is_meant: Callable[[type], bool]) -> tuple[int, ...] | None:
    """The place of the first object whose type is meant."""
    meant = {kind for kind in set(map(type, array.flat)) if is_meant(kind)}
    return next((place for place, one in np.ndenumerate(array) if type(one) in meant), None) if meant else None


def _place(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, place))}]" if place else name


def column_names(value: Any) -> tuple[str, ...] | None:
    """The names of a data frame's columns, or of the entries of one of its rows; None where there are none, or no text among
    them."""
    names = getattr(value, "columns", getattr(value, "index", None))
    found = tuple(names) if isinstance(names, Iterable) else ()
    return tuple(map(str, found)) if any(isinstance(name, str) for name in found) else None


def same_columns(name: str, given: tuple[str, ...] | None, known: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The names of the columns, as far as there are any: those given must be those that are known, in their order."""
    if given is None or known is None:
        return known or given
    for place, (one, own) in enumerate(zip(given, known, strict=False)):
        if one != own:
            raise ValueError(f"{name} must have its columns in the order of training; column {place} must be {own!r}; got {one!r}")
    return known


def floating_dtype(array: NDArray[Any]) -> Any:
    """What is computed in, unless something else is wished: float32 for float32, else float64."""
    return np.float32 if array.dtype.type is np.float32 else np.float64


def floating(array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """The array as the kernels take it: C-contiguous, aligned, of the dtype (float32 or float64); a copy only if need be."""
    dtype = dtype or floating_dtype(array)
    if array.dtype == dtype and array.flags.carray:
        return array
    with np.errstate(over="ignore"):  # what overflows float32 becomes infinite, and is found as such
        return _unlocked(np.require(array, dtype, ["C", "A"]))


def _unlocked(array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(array) if array.flags.writeable else np.asarray(_Unlocked(array))


class _Unlocked:
    """A read-only array, seen as a writable one: Numba would compile every kernel again for it. No kernel writes to its inputs."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def blocks(array: NDArray[Any]) -> Iterator[slice]:
    """The rows of an array, a block at a time."""
    rows = max(1, BLOCK // max(1, array[:1].size))
    return (slice(start, start + rows) for start in range(0, len(array), rows))


def finite(name: str, array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """The array, unless it holds NaN or infinity, or would in the dtype; else a ValueError that names the first place."""
    for block in blocks(array):
        with np.errstate(over="ignore"):
            good = np.isfinite(array[block].astype(dtype or array.dtype, copy=False))
        if not good.all():
            place = np.argwhere(~good)[0]
            place[0] += block.start
            where = ", ".join(str(i) for i in place)
            value = array[tuple(place)]
            reason = f", too large for {np.dtype(dtype)}" if np.isfinite(value) else ""
            raise ValueError(f"{name} must be finite; {name}[{where}] is {value}{reason}")
    return array


def labels(name: str, value: ArrayLike) -> NDArray[Any]:
    """A 1-D array of labels: booleans, numbers or strings."""
    array = as_array(name, value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, one label for each row; got shape {array.shape}")
    if array.dtype.kind not in "biufUS":
        raise ValueError(f"{name} must hold labels (integers, booleans or strings); got dtype {array.dtype}")
    return finite(name, array) if array.dtype.kind == "f" else array


def same_length(name: str, array: NDArray[Any], n: int) -> None:
    if len(array) != n:
        rows = "validation[0]" if name == "validation[1]" else "X"
        raise ValueError(f"{rows} and {name} must have the same number of rows; got {n} and {len(array)}")


def vector(name: str, value: ArrayLike, dtype: Any, length: int, names: tuple[str, ...] | None = None) -> NDArray[Any]:
    """One sample's inputs."""
    array = numbers(name, value)
    if array.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), a number for each input of the network; got {array.shape}")
    same_columns(name, column_names(value), names)
    return finite(name, floating(array, dtype))


def targets(name: str, value: ArrayLike, n: int, n_out: int, dtype: Any) -> NDArray[Any]:
    """A regressor's targets as (N, K) numbers."""
    array = numbers(name, value)
    if array.shape != (len(array) if array.ndim else 0, n_out) and not (n_out == 1 and array.ndim == 1):
        expected = "(N,)" if n_out == 1 else f"(N, {n_out})"
        raise ValueError(f"{name} must have shape {expected}, a column for each output; got {array.shape}")
    same_length(name, array, n)
    return finite(name, floating(array, dtype)).reshape(n, n_out)


def probabilities(name: str, array: NDArray[Any], output: str) -> None:
    """Rejects targets that cross-entropy cannot take."""
    if array.min(initial=0) < 0 or array.max(initial=1) > 1:
        raise ValueError(f"{name} must lie between 0 and 1 for cross-entropy; got {array.min()} to {array.max()}")
    if output == "softmax" and np.abs(array.sum(axis=1) - 1).max(initial=0) > 1e-3:
        raise ValueError(f"the rows of {name} must sum to 1 for a softmax output")


def class_numbers(name: str, value: ArrayLike, known: NDArray[Any], n: int, dtype: Any) -> NDArray[Any]:
    """The place of each label among the sorted classes, as (N, 1) numbers of the dtype."""
    array = labels(name, value)
    same_length(name, array, n)
    if any(kind in (array.dtype.kind, known.dtype.kind) for kind in "US") and array.dtype.kind != known.dtype.kind:
        own = shown(known[:1].tolist()[0])
        raise ValueError(f"{name} must hold labels as the classes are, such as {own}; got dtype {array.dtype}")
    numbers = np.empty((n, 1), dtype=dtype)
    for block in blocks(array):
        places = np.searchsorted(known, array[block])
        wrong = known[np.minimum(places, len(known) - 1)] != array[block]
        if wrong.any():
            row = block.start + int(np.argmax(wrong))
            raise ValueError(
                f"{name} holds a label that the network does not know: {name}[{row}] is {shown(array[row : row + 1].tolist()[0])}"
            )
        numbers[block, 0] = places
    return numbers


def classes_of(y: ArrayLike, n: int) -> NDArray[Any]:
    """The sorted labels of y."""
    array = labels("y", y)
    same_length("y", array, n)
    span = int(array.max()) - int(array.min()) if array.dtype.kind in "iu" else 0
    if 0 < span < BLOCK:  # ten times as fast as sorting
        low, present = array.min(), np.zeros(span + 1, dtype=bool)
        for block in blocks(array):
            present[(array[block] - low).view(f"u{array.itemsize}")] = True  # a difference that overflows has the right bits
        return (np.flatnonzero(present).astype(array.dtype) + low).astype(array.dtype)
    found = array[:0]
    for block in blocks(array):
        found = np.union1d(found, array[block])
    if len(found) < 2:
        raise ValueError(f"y must hold at least two classes; got only {shown(found.tolist()[0])}")
    return found


def columns(name: str, value: ArrayLike) -> int:
    """How many numbers each row of a regressor's targets has."""
    array = numbers(name, value)
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (N,), or (N, K) for K outputs, at least one; got {array.shape}")
    return array.shape[1] if array.ndim == 2 else 1


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
    weights = np.ones(n) if sample_weight is None else unscaled_weights(sample_weight, n)
    if class_weight is not None:
        weights = weights * _class_factors(class_weight, known, y, weights)[y[:, 0].astype(np.intp)]
        if not weights.any():
            raise ValueError("class_weight must not be zero for all classes of rows that count; got 0 for each of them")
    weights = weights / weights.max()  # so that the sum cannot overflow
    return (weights / weights.mean()).astype(dtype)


def unscaled_weights(sample_weight: ArrayLike, n: int) -> NDArray[np.float64]:
    """A weight for each row, as given."""
    weights = numbers("sample_weight", sample_weight).astype(np.float64)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), a weight for each row; got {weights.shape}")
    finite("sample_weight", weights)
    if weights.min() < 0:
        row = int(np.argmax(weights < 0))
        raise ValueError(f"sample_weight must not be negative; sample_weight[{row}] is {weights[row]}")
    if not weights.any():
        raise ValueError("sample_weight must not be zero for all rows")
    return weights


def _class_factors(
    class_weight: Mapping[Any, float] | str, known: NDArray[Any] | None, y: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.float64]:
    if known is None:
        raise ValueError("class_weight is for classifiers; y makes a regressor")
    if isinstance(class_weight, Mapping):
        strange = [label for label in class_weight if label not in known.tolist()]
        if strange:
            raise ValueError(f"class_weight names {shown(strange[0])}, which is not among the classes {shown(known.tolist())}")
        return np.array([not_negative("class_weight", class_weight.get(label, 1.0)) for label in known.tolist()])
    if not isinstance(class_weight, str) or class_weight != "balanced":
        raise ValueError(f"class_weight must be a mapping from classes to factors, or 'balanced'; got {shown(class_weight)}")
    sums = np.bincount(y[:, 0].astype(np.intp), weights, len(known))
    return np.divide(1.0, sums, out=np.zeros(len(known)), where=sums > 0)


# -- options of train -----------------------------------------------------------------------------------------------------------


def dtype(value: Any) -> Any:
    """float32 or float64, or None if nothing is said."""
    if value is None:
        return None
    try:
        kind = np.dtype(value)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype must be 'float32' or 'float64'; got {shown(value)}")
    return kind.newbyteorder("=")


def task(value: Task | None, y: ArrayLike, given: NDArray[Any] | bool | None) -> Task:
    """Classification or regression: as said, as the network to go on from (its classes; False for none), or as y is."""
    if given is not False:
        own: Task = "regression" if given is None else "classification"
        if value not in (None, own):
            raise ValueError(f"task={shown(value)} contradicts init, a network for {own}")
        return own
    if value is not None:
        return one_of("task", value, TASKS)
    return "regression" if as_array("y", y).dtype.kind == "f" else "classification"


def ask_for_task(y: ArrayLike, classes: NDArray[Any] | None) -> None:
    """Warns where y may be meant in another way than it is taken: as these classes, or as a quantity."""
    array = np.asarray(y)
    if classes is not None:
        if classes.dtype.kind in "iu" and len(classes) > MOST_CLASSES and 2 * len(classes) > len(array):
            taken = f"{len(classes)} different integers in {len(array)} rows, and is taken for labels; if they are quantities"
            _ask(f"y holds {taken}, give task='regression' (or floats), else task='classification'")
        return
    few = array[:0]
    for part in (slice(0, 100), *blocks(array)):
        few = np.union1d(few, array[part])
        if len(few) > MOST_NUMBERS or (few != np.rint(few)).any():
            return
    if len(few) > 1:
        taken = f"only {len(few)} different whole numbers, and is taken for quantities; if they are labels"
        _ask(f"y holds floats, but {taken}, give task='classification' (or integers), else task='regression'")


def _ask(question: str) -> None:
    warnings.warn(question, UserWarning, stacklevel=6)


def hidden(value: Any) -> tuple[int, ...]:
    many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    sizes = tuple(value) if many or (isinstance(value, np.ndarray) and value.ndim == 1) else (value,)
    return tuple(positive_int("hidden", size) for size in sizes)


def at_most(name: str, value: int, limit: int, purpose: str) -> None:
    if value > limit:
        raise ValueError(f"{name} must be at most {limit} {purpose}; got {value}")


def fraction(name: str, value: Any) -> float:
    number = not_negative(name, value)
    if number >= 1:
        raise ValueError(f"{name} must be from 0 to below 1; got {shown(value)}")
    return number


def share(name: str, value: Any) -> float:
    number = _number(name, value, "a fraction between 0 and 1, or (X, y)")
    if not 0 < number < 1:
        raise ValueError(f"{name} must be a fraction between 0 and 1, or (X, y); got {shown(value)}")
    return number


def rows_beside(value: Any) -> Any:
    """Rows for validation as (X, y), or a fraction of the rows."""
    if not isinstance(value, list | tuple):
        return value if value is None else share("validation", value)
    if len(value) != 2:
        raise ValueError(f"validation must be a fraction or (X, y); got {shown(value)}")
    return tuple(value)


def yes_or_no(**options: Any) -> None:
    """Rejects what is neither true nor false; nor None, for what is then inferred."""
    for name, value in options.items():
        if value is not None and not isinstance(value, bool | np.bool_) and not (type(value) is int and value in (0, 1)):
            raise ValueError(f"{name} must be True or False; got {shown(value)}")


def callback(name: str, value: Any) -> Any:
    """A function to call, or None."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} must be a function, or None; got {shown(value)}")
    return value


def path(name: str, value: Any) -> Any:
    """A path as the system takes it."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"{name} must be a str or an os.PathLike; got {shown(value)}")
    return os.fspath(value)


def seed(name: str, value: int | None) -> int:
    """The seed as given, or a fresh one."""
    if value is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 1 << 64:
        raise ValueError(f"{name} must be a whole number from 0 to below 2**64, or None; got {shown(value)}")
    return int(value)


def same(name: str, value: Any, own: Any) -> None:
    """Rejects an option that contradicts the network to go on from."""
    if value != own:
        raise ValueError(f"{name}={shown(value)} contradicts init, a network with {name}={shown(own)}")


# -- options of train_many ------------------------------------------------------------------------------------------------------


def is_many(value: Any) -> bool:
    """Whether it is a sequence of values, or one."""
    return (isinstance(value, Sequence) and not isinstance(value, str)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def by_member(name: str, value: ArrayLike, outputs: bool = False) -> NDArray[Any]:
    """An array with a row for each sample, and the members along its second axis; without that axis if it is the same for all."""
    array = as_array(name, value)
    if array.ndim not in ((1, 2, 3) if outputs else (1, 2)) or 0 in array.shape:
        shapes = "(N,), (N, members) or (N, members, outputs)" if outputs else "(N,) or (N, members)"
        raise ValueError(f"{name} must have shape {shapes}; got {array.shape}")
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def member_count(members: int | None, each: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | None]) -> int:
    """How many members there are, by all that says so: a number, sequences of values, and columns."""
    lengths = {} if members is None else {"members": positive_int("members", members)}
    lengths |= {name: len(value) for name, value in each.items() if is_many(value)}
    lengths |= {name: array.shape[1] for name, array in arrays.items() if array is not None and array.shape[1:2] > (1,)}
    for (first, count), (name, other) in pairwise(lengths.items()):
        if other != count:
            by = f"members={count}" if first == "members" else f"{count}, for which {first} has values"
            hint = "; the layers of one network are a tuple" if name in ("hidden", "activation") else ""
            raise ValueError(f"{name} must have one value for each member, {by}; got {other}{hint}")
    first, count = next(iter(lengths.items()), ("members", 1))
    if count < 1:
        raise ValueError(f"{first} must have one value for each member; got none")
    return count


def ways(halving: Any) -> int | None:
    if halving is None or positive_int("halving", halving) > 1:
        return halving
    raise ValueError(f"halving must be a whole number of at least 2; got {shown(halving)}")


def seed_or_seeds(seed: Any, seeds: Any) -> Any:
    if seed is not None and seeds is not None:
        raise ValueError("seeds and seed contradict each other; give one of them")
    return seed if seeds is None else seeds


def values(name: str, value: Any) -> list[Any]:
    """The values of an option that a grid is made of."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{name} must be a sequence of values for grid; got {shown(value)}")
    found = value.tolist() if isinstance(value, np.ndarray) else list(value)
    if not found:
        raise ValueError(f"{name} must have at least one value for grid; got none")
    return found


def seeds(value: Any) -> list[int]:
    """A seed for each member."""
    found = value.tolist() if isinstance(value, np.ndarray) else list(value)
    if None in found:
        raise ValueError("seeds must be whole numbers from 0 to below 2**64; got None")
    return [seed("seeds", one) for one in found]


# -- networks -------------------------------------------------------------------------------------------------------------------


def activations(value: Activation | Sequence[Activation], hidden_layers: int) -> tuple[Activation, ...]:
    """One activation for each hidden layer."""
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"activation must be a name, or a sequence of names; got {shown(value)}")
    names = (value,) * hidden_layers if isinstance(value, str) else tuple(value)
    if isinstance(value, str):
        one_of("activation", value, ACTIVATIONS)
    if len(names) != hidden_layers:
        raise ValueError(f"activation must be one name, or one for each of {hidden_layers} hidden layers; got {len(names)}")
    return tuple(one_of("activation", name, ACTIVATIONS) for name in names)


def network(
    layer_sizes: tuple[int, ...], names: tuple[Activation, ...], output: Output, loss: Loss, known: NDArray[Any] | None
) -> None:
    """Rejects what does not make a network."""
    if len(layer_sizes) < 2:
        raise ValueError(f"layer_sizes must name inputs and outputs at least; got {layer_sizes}")
    for size in layer_sizes:
        positive_int("layer_sizes", size)
    activations(names, len(layer_sizes) - 2)
    one_of("output", output, OUTPUTS)
    one_of("loss", loss, LOSSES)
    if loss != "squared_error" and output == "identity":
        raise ValueError(f"the loss {loss!r} is for sigmoid and softmax outputs; output is 'identity'")
    if known is None:
        return
    n_out = layer_sizes[-1]
    if output == "identity":
        raise ValueError("output must be 'sigmoid' or 'softmax' for a classifier; got 'identity'")
    if output == "sigmoid" and (n_out != 1 or len(known) != 2):
        raise ValueError(f"a sigmoid output is for two classes and one unit; got {len(known)} classes and {n_out} units")
    if output == "softmax" and n_out != len(known):
        raise ValueError(f"a softmax output has a unit for each class; got {len(known)} classes and {n_out} units")


def feature_names(value: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    """A name for each input, or None."""
    names = None if value is None else tuple(value)
    if names is not None and (len(names) != count or not all(isinstance(name, str) for name in names)):
        raise ValueError(f"feature_names must be {count} strings, one for each input; got {shown(value)}")
    return names


def classes(value: ArrayLike) -> NDArray[Any]:
    """Labels in ascending order, at least two."""
    array = labels("classes", value)
    if len(array) < 2 or not np.array_equal(np.unique(array), array):
        raise ValueError(f"classes must be at least two different labels in ascending order; got {shown(array.tolist())}")
    return array


def parameters(weights: Sequence[ArrayLike], biases: Sequence[ArrayLike] | None) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Matrices and vectors, of one dtype, that fit one another."""
    if len(weights) == 0:
        raise ValueError("weights must hold a matrix for each layer; got none")
    matrices = [matrix(f"weights[{i}]", w) for i, w in enumerate(weights)]
    vectors = [] if biases is None else [numbers(f"biases[{i}]", b) for i, b in enumerate(biases)]
    if biases is not None and len(vectors) != len(matrices):
        raise ValueError(f"biases must have one vector for each of {len(matrices)} layers; got {len(vectors)}")
    for i, (before, after) in enumerate(pairwise(matrices)):
        if before.shape[1] != after.shape[0]:
            raise ValueError(
                f"weights[{i + 1}] must have {before.shape[1]} rows, one for each unit before it; got shape {after.shape}"
            )
    for i, (w, b) in enumerate(zip(matrices, vectors, strict=False)):
        if b.shape != (w.shape[1],):
            raise ValueError(f"biases[{i}] must have shape ({w.shape[1]},); got {b.shape}")
    single = all(array.dtype == np.float32 for array in (*matrices, *vectors))
    dtype = np.float32 if single else np.float64
    return (
        [floating(w, dtype) for w in matrices],
        [finite(f"biases[{i}]", floating(b, dtype)) for i, b in enumerate(vectors)],
    )
