"""The first pass over rows that are never in memory together: what there is to know of all of them before any is trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays, checks, labels
from fastmlp.networks.mlp import MLP
from fastmlp.training.data import MeasuredRows
from fastmlp.training.options import Options
from fastmlp.training.passes import HeldOut, SomeRows
from fastmlp.training.scaling import RunningColumns, Scaling, no_rows, scaled

BLOCK = 1 << 15  # numbers that are measured together


class _InBlocks:
    """Columns of rows that are measured so many at a time, however they come: so the bits are the same."""

    def __init__(self, columns: int) -> None:
        self._room = np.empty((max(1, BLOCK // max(1, columns)), columns))
        self._rows, self._known = 0, no_rows(columns)

    def add(self, values: NDArray[Any]) -> None:
        first = 0
        while first < len(values):
            count = min(len(self._room) - self._rows, len(values) - first)
            self._room[self._rows : self._rows + count] = values[first : first + count]
            first, self._rows = first + count, self._rows + count
            if self._rows == len(self._room):
                self._known, self._rows = self.columns(), 0

    def columns(self) -> RunningColumns:
        return self._known.with_rows(self._room[: self._rows]) if self._rows else self._known


class Measured:
    """Rows counted and measured; those that are held out, which are kept.

    Attributes
    ----------
    rows, kept : int
        How many there are, and how many of these are trained on.
    dtype
        What to compute in: float32 if it is wanted or all rows are of it.
    x, y : RunningColumns
        Means and deviations of the columns to train on; y of a regressor.
    classes : array or None
        The sorted labels, for a classifier.
    sums : (2, C)
        For each class the sums of the weights of all its rows, and of those to train on; of a regressor for all.
    targets : array
        Targets like those of all rows: the classes, or the least and the greatest number of each output.
    """

    def __init__(self, options: Options, held_out: HeldOut | None, dtype: Any) -> None:
        self._options, self._held_out, self._wanted = options, held_out, dtype
        self.rows = self.kept = 0
        self.dtype: Any = np.dtype(np.float32) if dtype is None else np.dtype(dtype)
        self._x, self._y = _InBlocks(0), _InBlocks(0)
        self.classes: NDArray[Any] | None = None
        self.sums, self.weighted = np.zeros((2, 0)), False
        self._task: Any = None
        self._kind, self._few = "", np.empty(0)
        self._held: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def see(self, some: SomeRows) -> None:
        """Adds rows to what is known."""
        n, y, name = len(some.x), arrays.as_array(f"y{some.place}", some.y), f"y{some.place}"
        if len(np.atleast_1d(y)) != n or not y.ndim:
            raise ValueError(f"X and {name} must have the same number of rows; got {n} and {y.size if y.ndim < 2 else len(y)}")
        if not self.rows:
            self._begin(some, y)
        inferred = self._options.task is None and isinstance(self._options.init, str)
        if inferred and (y.dtype.kind == "f") != (self._kind == "f"):
            kinds = "floats, and those before labels" if y.dtype.kind == "f" else "labels, and those before floats"
            raise ValueError(f"{name} holds {kinds}: give task='classification' or task='regression'")
        if self._wanted is None and arrays.floating_dtype(some.x) is np.float64:
            self.dtype = np.dtype(np.float64)
        held = np.zeros(n, bool) if self._held_out is None else self._held_out.of(some)
        weights = np.ones(n) if some.weights is None else some.weights
        self.weighted |= some.weights is not None
        self._see_targets(name, y, weights, ~held)
        for block in arrays.blocks(some.x):
            self._x.add(some.x[block][~held[block]].astype(self.dtype, copy=False))
        self.rows += n
        self.kept += n - int(np.count_nonzero(held))
        if held.any():
            self._held.append((some.x[held].astype(self._wanted or arrays.floating_dtype(some.x)), y[held]))
            size = (self.rows - self.kept) * (some.x[0].nbytes + y[0].nbytes)
            checks.enough_memory(f"holding out validation={self._options.validation} of the rows", size)

    def _begin(self, some: SomeRows, y: NDArray[Any]) -> None:
        init = self._options.init
        self._task = labels.task(self._options.task, y, init.classes if isinstance(init, MLP) else False)
        self._kind, self._x = y.dtype.kind, _InBlocks(some.x.shape[1])
        if self._task == "regression":
            k = arrays.columns(f"y{some.place}", y)
            self._y, self.sums = _InBlocks(k), np.zeros((2, 1))
            self.low, self.high = np.full(k, np.inf), np.full(k, -np.inf)

    def _see_targets(self, name: str, y: NDArray[Any], weights: NDArray[np.float64], kept: NDArray[np.bool_]) -> None:
        if self._task == "regression":
            targets = arrays.targets(name, y, len(y), len(self.low), self.dtype)
            self._y.add(targets[kept])
            self.low, self.high = np.minimum(self.low, targets.min(axis=0)), np.maximum(self.high, targets.max(axis=0))
            self._count(np.zeros(len(y), np.intp), weights, kept)
            if len(self._few) <= labels.MOST_NUMBERS:
                self._few = np.union1d(self._few, targets)
            return
        found, places = np.unique(labels.row_labels(name, y), return_inverse=True)
        known = found[:0] if self.classes is None else self.classes
        kinds = {known.dtype.kind, found.dtype.kind}
        if len(known) and len(kinds) > 1 and not kinds.isdisjoint(("U", "S")):
            own = checks.shown(known[:1].tolist()[0])
            raise ValueError(f"{name} must hold labels as those before it, such as {own}; got dtype {found.dtype}")
        self.classes = np.union1d(known, found)
        sums = np.zeros((2, len(self.classes)))
        sums[:, self.classes.searchsorted(known)] = self.sums
        self.sums = sums
        self._count(self.classes.searchsorted(found)[places], weights, kept)

    def _count(self, places: NDArray[np.intp], weights: NDArray[np.float64], kept: NDArray[np.bool_]) -> None:
        """One after the other, so that it is the same how they come."""
        np.add.at(self.sums[0], places, weights)
        np.add.at(self.sums[1], places[kept], weights[kept])

    def check(self) -> None:
        """That there is something to train on."""
        if not self.rows:
            raise ValueError("batches must give at least one row; got none")
        if self._held_out is not None and self.kept in (0, self.rows):
            share, what = self._options.validation, "all" if self.kept == 0 else "none"
            advice = "smaller" if self.kept == 0 else "larger"
            raise ValueError(
                f"validation={share} of {self.rows} rows holds out {what}; give a {advice} fraction, or rows as (X, y)"
            )
        if not self.sums[1].any():
            raise ValueError("sample_weight must not be zero for all rows that are trained on")

    # -- what follows from it -----------------------------------------------------------------------------------------------------

    @property
    def x(self) -> RunningColumns:
        return self._x.columns()

    @property
    def y(self) -> RunningColumns:
        return self._y.columns()

    @property
    def shown_targets(self) -> NDArray[Any]:
        """Targets from which a network takes its outputs, and that are as large as any."""
        return self.classes if self.classes is not None else np.array([self.low, self.high])

    @property
    def few_targets(self) -> NDArray[Any]:
        """All that are different, of a regressor with few of them; of a classifier one for each row."""
        if self.classes is not None:
            return np.broadcast_to(self.classes[:1], self.rows)
        return self._few

    def weights(self, network: MLP, given: Any) -> NDArray[np.float64] | None:
        """What to multiply the weight of a row by, for each class, or for all, so that their mean is 1; None if all weigh alike."""
        if not self.weighted and given is None:
            return None
        sums, factors = self.sums, np.ones(1)
        if network.classes is not None and self.classes is not None:
            sums = np.zeros((2, len(network.classes)))
            sums[:, labels.class_numbers("y", self.classes, network.classes, len(self.classes), np.intp)[:, 0]] = self.sums
            factors = np.ones(len(network.classes))
        if given is not None:
            numbers = np.arange(len(factors))[:, None]
            factors = labels.class_factors(given, network.classes, numbers, sums[0])
        mean = float(factors @ sums[1]) / self.kept
        if not mean > 0:
            raise ValueError("class_weight must not be zero for all classes of rows that count; got 0 for each of them")
        return factors / mean

    def held_out(self, network: MLP, outputs: Scaling | None) -> MeasuredRows | None:
        """The rows to measure."""
        if not self._held:
            return None
        x = np.concatenate([part for part, _ in self._held]).astype(network.dtype, copy=False)
        targets = network.targets(np.concatenate([part for _, part in self._held]), len(x))
        self._held.clear()
        return MeasuredRows(arrays.floating(x), scaled(targets, outputs), np.arange(len(x), dtype=arrays.numbers_of_rows(len(x))))
