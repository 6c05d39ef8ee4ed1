"""Rows that are gone through again and again, some at a time: batches that somebody makes anew for each pass, or slices of what
does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, sliced
from fastmlp.checks import shown
from fastmlp.training.initial import HELD_OUT

Batches = Callable[[], Iterable[Any]] | Iterable[Any]


class SomeRows(NamedTuple):
    """Rows that come together."""

    place: str  # where they are from, as a message has it after the name of an argument
    first: int  # how many rows of the whole are before them
    x: NDArray[Any]  # (n, D) of finite numbers
    y: ArrayLike  # (n,) or (n, K), as given
    weights: NDArray[np.float64] | None


class RowSource(Protocol):
    """What gives all rows, as often as somebody asks."""

    hint: str  # what to do where all rows are needed at once

    def rows(self, dtype: Any, random: np.random.Generator | None = None) -> Iterator[SomeRows]:
        """All of them, for a network of that dtype if it is known; in an order that is drawn, if they can be had in any."""


class BatchSource:
    """Batches (X, y) or (X, y, sample_weight), of a function that makes them, or of what can be iterated again."""

    hint = ""

    def __init__(self, batches: Any) -> None:
        iterable = not isinstance(batches, type) and (hasattr(batches, "__iter__") or hasattr(batches, "__getitem__"))
        if hasattr(batches, "__next__"):
            raise ValueError(
                f"batches must be a function that makes them for each epoch, or what can be iterated again; got {shown(batches)},"
                " of which nothing would be left for a second epoch: give the function that makes it, without calling it"
            )
        if not (iterable or callable(batches)) or isinstance(batches, str | bytes | np.ndarray):
            raise ValueError(f"batches must be an iterable of (X, y), or a function that gives one; got {shown(batches)}")
        self._batches, self._made = batches, not iterable
        self._passes = 0
        self._columns: int | None = None
        self._names: tuple[str, ...] | None = None

    def rows(self, dtype: Any, random: np.random.Generator | None = None) -> Iterator[SomeRows]:
        first = 0
        self._passes += 1
        later = f" in pass {self._passes}" if self._passes > 1 else ""  # else nothing has gone well before
        for number, batch in enumerate(self._begin()):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise ValueError(f"batches must give (X, y) or (X, y, sample_weight); batch {number}{later} is {shown(batch)}")
            place = f" of batch {number}{later}"
            x = self._matrix(f"X{place}", batch[0], dtype)
            weights = None
            if len(batch) > 2 and batch[2] is not None:
                weights = arrays.weights_of_some(f"sample_weight{place}", batch[2], len(x))
            if len(x):
                yield SomeRows(place, first, x, batch[1], weights)
            first += len(x)

    def _begin(self) -> Iterable[Any]:
        batches = self._batches() if self._made else self._batches
        if self._made and not (hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")):
            raise ValueError(f"batches must be an iterable of (X, y), or a function that gives one; it gives {shown(batches)}")
        return batches

    def _matrix(self, name: str, value: Any, dtype: Any) -> NDArray[Any]:
        found = arrays.column_names(value)
        x = arrays.matrix(name, value, dtype, names=self._names, empty=True)
        if self._columns is None:
            self._columns, self._names = x.shape[1], found
        if x.shape[1] != self._columns:
            raise ValueError(f"{name} must have {self._columns} columns, as that of batch 0; got {x.shape[1]}")
        return x

    @property
    def names(self) -> tuple[str, ...] | None:
        return self._names


class SlicedSource:
    """Slices of X, and of y and the weights, which are arrays or read by slices as well."""

    hint = "; X[:] reads all of X, if it fits into memory"

    def __init__(self, X: Any, y: Any, weights: Any) -> None:
        self.names = arrays.column_names(X)
        n, _ = sliced.matrix_shape("X", X)
        self._x, self._y = X, y if arrays.is_sliced(y) else arrays.as_array("y", y)
        if not self._y.shape:
            raise ValueError(f"y must have a label or a target for each row of X; got {shown(y)}")
        if self._y.shape[0] != n:
            raise ValueError(f"X and y must have the same number of rows; got {n} and {self._y.shape[0]}")
        self._weights = None if weights is None else arrays.unscaled_weights(weights, n)

    def rows(self, dtype: Any, random: np.random.Generator | None = None) -> Iterator[SomeRows]:
        blocks = sliced.row_blocks(self._x)
        wanted = dtype or arrays.floating_dtype(np.empty(0, self._x.dtype))
        for number in range(len(blocks)) if random is None else random.permutation(len(blocks)):
            block = blocks[number]
            place = f"[{block.start}:{block.stop}]"
            x = arrays.matrix(f"X{place}", sliced.read("X", self._x, block), wanted)
            y = sliced.read("y", self._y, block) if arrays.is_sliced(self._y) else self._y[block]
            yield SomeRows(place, block.start, x, y, None if self._weights is None else self._weights[block])


def source_of(X: Any, y: Any, batches: Any, sample_weight: Any) -> BatchSource | SlicedSource:
    """What is given to train on, where it is no array."""
    if batches is None:
        if y is None:
            raise ValueError("y must be given with X, or batches instead of both")
        return SlicedSource(X, y, sample_weight)
    if X is not None or y is not None:
        raise ValueError(f"batches come in place of X and y; got {'X' if y is None else 'y' if X is None else 'X and y'}, too")
    if sample_weight is not None:
        raise ValueError("sample_weight must be the third item of each batch; got it beside batches")
    return BatchSource(batches)


class HeldOut(NamedTuple):
    """Which rows are held out: each by chance, which follows from the seed and its number alone."""

    seed: int
    share: float

    def of(self, some: SomeRows) -> NDArray[np.bool_]:
        draws = np.random.PCG64([self.seed, HELD_OUT])
        return np.random.Generator(draws.advance(some.first)).random(len(some.x)) < self.share
