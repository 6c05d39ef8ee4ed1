"""Arrays as the kernels take them, and every rejection of one: its name, what was expected, what came."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.checks import enough_memory, shown

BLOCK = 1 << 18  # values looked at together: a large array is never doubled by the look at it
LARGE = 1 << 22  # numbers beyond which an array is converted block by block, where the kernels read it
SHORT_NUMBERS = np.iinfo(np.int32).max  # rows up to which their numbers have four bytes


def places(value: ArrayLike, n: int, name: str = "an index", thing: str = "member") -> NDArray[np.intp]:
    """Places from 0 to n - 1, from whole numbers (negative ones count from the end) or from n booleans; at least one."""
    array = _as_given(name, value)
    if array.ndim != 1 or (array.dtype.kind not in "biu" and array.size):
        several = "a 1-D array of whole numbers or booleans"
        expected = several if thing == "row" else f"a whole number, a slice, or {several}"
        raise ValueError(f"{name} must be {expected}; got {shown(value)}")
    if array.dtype.kind == "b":
        if len(array) != n:
            raise IndexError(f"{name} of booleans must have {n} of them, one for each {thing}; got {len(array)}")
        array = np.flatnonzero(array)
    if not array.size:
        raise ValueError(f"{name} must choose at least one of {n} {thing}s; got none")
    outside = (array < -n) | (array >= n)
    if outside.any():
        raise IndexError(f"{name} must be from {-n} to {n - 1}, for {n} {thing}s; got {array[outside][0]}")
    array = array.astype(np.intp)
    return np.where(array < 0, array + n, array)


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
    return unlocked(array) if as_it_is else floating(array, dtype)


def numbers(name: str, value: ArrayLike) -> NDArray[Any]:
    """An array of booleans, integers or real numbers."""
    array = _as_given(name, value)
    if array.dtype.kind == "O":  # a table of mixed columns, say
        odd = _first(array, lambda kind: _family(kind) != "numbers")
        if odd is not None:
            names = column_names(value)
            column = f"column {names[odd[1]]!r} of {name}" if names and len(odd) == 2 else name
            raise ValueError(f"{column} must hold real numbers; {place_in(name, odd)} is {shown(array[odd])}")
        array = _as_floats(name, array)
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
        places = " and ".join(f"{place_in(name, place)} is {shown(array[place])}" for place in dict.fromkeys((origin, odd)))
        raise ValueError(f"{name} must hold numbers alone, strings alone or bytes alone; {places}")
    if family != "numbers":
        end = "\0" if family == "strings" else b"\0"
        for place, text in np.ndenumerate(array):
            if text.endswith(end):
                where = f"{place_in(name, place)} is {shown(text)}"
                raise ValueError(f"{name} must not hold strings that end in NUL, which NumPy would drop; {where}")
    found = np.array(array.tolist())
    if found.dtype.kind != "O":
        return found
    if _first(array, lambda kind: issubclass(kind, int)) is not None:
        raise ValueError(f"{name} must hold whole numbers that fit in 64 bits; got {shown(array.min())} to {shown(array.max())}")
    return _as_floats(name, array)


def _as_floats(name: str, array: NDArray[Any]) -> NDArray[np.float64]:
    """Objects that are numbers, as such."""
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} must be finite; it holds a number too large for float64") from error


def _as_given(name: str, value: Any) -> NDArray[Any]:
    """The value as an array, of Python's objects where it is not sure what NumPy would make of them."""
    if type(value) is np.ndarray and value.dtype.kind != "T":
        return value
    rows = value if type(value) in (list, tuple) else ()
    if "numpy.ma" in sys.modules and _is_masked(value, rows):  # no array is, else, and importing it takes 10 ms
        raise ValueError(f"{name} must not be a masked array; fill what is masked, or leave those rows out")
    if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
        raise ValueError(f"{name} must not be sparse; got {shown(value)}: give {name}.toarray()")
    if is_sliced(value):
        return _whole(name, value)
    try:
        array = np.asarray(value)
        if array.dtype.kind in "US" and not hasattr(value, "dtype"):  # of numbers and strings NumPy makes strings
            array = np.asarray(value, object)
    except ValueError as error:
        raise ValueError(f"{name} must be rectangular; its rows differ in length") from error
    return array.astype(object) if array.dtype.kind == "T" else array


IN_MEMORY = ("__array_interface__", "__dlpack__", "to_numpy", "toarray")  # what shows that a value is there already


def is_sliced(value: Any) -> bool:
    """Whether it is no array, but is read by slices as one is: a data set of HDF5 or Zarr, an array of Dask, or the like."""
    if isinstance(value, (np.ndarray, list, tuple)) or not (hasattr(value, "__getitem__") and hasattr(value, "dtype")):
        return False
    shape = getattr(value, "shape", None)
    if not (isinstance(shape, tuple) and shape) or any(hasattr(value, name) for name in IN_MEMORY):
        return False
    try:
        return isinstance(np.dtype(value.dtype), np.dtype)
    except TypeError:
        return False


def _whole(name: str, value: Any) -> NDArray[Any]:
    """All of what is read by slices, where it has to be an array."""
    counts = [count for count in value.shape if isinstance(count, int)]  # Dask may not know one
    enough_memory(f"{name}, which has to be read whole here,", math.prod(counts) * np.dtype(value.dtype).itemsize)
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array here; {shown(value)} does not become one: {error}") from error


def _is_masked(value: Any, rows: Iterable[Any]) -> bool:
    masked = {np.ma.MaskedArray, type(np.ma.masked)}
    return isinstance(value, np.ma.MaskedArray) or not masked.isdisjoint(map(type, rows))


FAMILIES = {"strings": (str,), "bytes": (bytes,), "numbers": (bool, np.bool_, Real, Decimal)}


def _family(kind: type) -> str | None:
    """What objects of that type are."""
    return next((family for family, kinds in FAMILIES.items() if issubclass(kind, kinds)), None)


def _first(array: NDArray[Any], is_meant: Callable[[type], bool]) -> tuple[int, ...] | None:
    """The place of the first object whose type is meant."""
    meant = {kind for kind in set(map(type, array.flat)) if is_meant(kind)}
    return next((place for place, one in np.ndenumerate(array) if type(one) in meant), None) if meant else None


def place_in(name: str, place: Iterable[int]) -> str:
    """A place in an array as messages call it: "X[3, 1] of batch 2" in "X of batch 2"."""
    own, of, whole = name.partition(" of ")
    where = ", ".join(map(str, place))
    return f"{own}[{where}]{of}{whole}" if where else name


def column_names(value: Any) -> tuple[str, ...] | None:
    """The names of a data frame's columns, or of the entries of one of its rows; None where there are none, or no text among
    them."""
    names = getattr(value, "columns", getattr(value, "index", None))
    found = tuple(names) if names is not None and isinstance(names, Iterable) else ()
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
    contiguous = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
    enough_memory(f"a copy of {shown(array)} for the kernels", 0 if contiguous else array.size * np.dtype(dtype).itemsize)
    with np.errstate(over="ignore"):  # what overflows float32 becomes infinite, and is found as such
        return unlocked(np.require(array, dtype, ["C", "A"]))


def parameters(name: str, value: ArrayLike, dtype: Any, count: int) -> NDArray[Any]:
    """As many parameters as a network has, as the kernels write to them: contiguous, writable and of the dtype; a copy only if need
    be. They may be infinite, as those of a network that diverged."""
    array = value if isinstance(value, np.ndarray) and value.dtype == dtype else numbers(name, value)
    if array.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), a number for each parameter of the network; got {array.shape}")
    if type(array) is np.ndarray and array.dtype == dtype and array.flags.carray:
        return array
    with np.errstate(over="ignore"):
        return np.require(array, dtype, ["C", "A", "W", "E"])


def numbers_of_rows(n: int) -> Any:
    """The type of the numbers of n rows: half as long where that will do, as there are arrays of them."""
    return np.int32 if n <= SHORT_NUMBERS else np.int64


def unlocked(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a read-only one seen as writable: Numba would compile every kernel once more for such arrays.

    Nobody may write to it. No kernel does: tests/test_mapped.py has memory where that would end the process.
    """
    return np.asarray(array) if array.flags.writeable else np.asarray(_Unlocked(array))


class _Unlocked:
    """What an array says of itself to NumPy, with the word that it is writable."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array  # whose memory is held as long as there is an array of this
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def blocks(array: NDArray[Any]) -> Iterator[slice]:
    """The rows of an array, a block at a time."""
    if array.size <= BLOCK:
        return iter((slice(0, len(array)),))
    rows = max(1, BLOCK * len(array) // max(1, array.size))
    return (slice(start, start + rows) for start in range(0, len(array), rows))


def finite(name: str, array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """The array, unless it holds NaN or infinity, or would in the dtype; else a ValueError that names the first place."""
    if array.dtype.kind in "biu":
        return array
    converted = dtype is not None and array.dtype != dtype
    for block in blocks(array):
        part = array[block]
        if converted:
            with np.errstate(over="ignore"):
                part = part.astype(dtype)
        if not all_finite(part):
            place = np.argwhere(~np.isfinite(part))[0]
            place[0] += block.start
            value = array[tuple(place)]
            reason = f", too large for {np.dtype(dtype)}" if np.isfinite(value) else ""
            raise ValueError(f"{name} must be finite; {place_in(name, place)} is {value}{reason}")
    return array


def all_finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are; of few, it takes half as long as `np.isfinite(array).all()`."""
    return np.count_nonzero(np.isfinite(array)) == array.size


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


def columns(name: str, value: ArrayLike) -> int:
    """How many numbers each row of a regressor's targets has."""
    array = numbers(name, value)
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (N,), or (N, K) for K outputs, at least one; got {array.shape}")
    return array.shape[1] if array.ndim == 2 else 1


def unscaled_weights(sample_weight: ArrayLike, n: int) -> NDArray[np.float64]:
    """A weight for each row, as given."""
    weights = weights_of_some("sample_weight", sample_weight, n)
    if not weights.any():
        raise ValueError("sample_weight must not be zero for all rows")
    return weights


def weights_of_some(name: str, value: ArrayLike, n: int) -> NDArray[np.float64]:
    """A weight for each of some rows, which all may be 0."""
    weights = numbers(name, value)
    if weights.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), a weight for each row; got {weights.shape}")
    weights = finite(name, weights, np.float64).astype(np.float64)
    if weights.min(initial=0) < 0:
        row = int(np.argmax(weights < 0))
        raise ValueError(f"{name} must not be negative; {place_in(name, [row])} is {weights[row]}")
    return weights


def rows_by_member(value: Any, n: int) -> list[NDArray[np.integer]]:
    """The numbers of the rows that each member learns from, of n."""
    if not isinstance(value, list | tuple | np.ndarray) or getattr(value, "ndim", 1) == 0 or not len(value):
        raise ValueError(f"rows must be a sequence with row numbers, or a mask, for each member; got {shown(value)}")
    return [places(one, n, f"rows[{member}]", "row").astype(numbers_of_rows(n)) for member, one in enumerate(value)]


def by_member(name: str, value: ArrayLike, outputs: bool = False) -> NDArray[Any]:
    """An array with a row for each sample, and the members along its second axis; without that axis if it is the same for all."""
    array = as_array(name, value)
    if array.ndim not in ((1, 2, 3) if outputs else (1, 2)) or 0 in array.shape:
        shapes = "(N,), (N, members) or (N, members, outputs)" if outputs else "(N,) or (N, members)"
        raise ValueError(f"{name} must have shape {shapes}; got {array.shape}")
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
