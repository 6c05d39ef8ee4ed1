"""Encoder: what is remembered of the columns of a table, and what makes rows of inputs of such columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.networks.metrics import listing, short
from fastmlp.tables.cells import Column, ListedColumn, RawTable, TextColumn, date_of
from fastmlp.warning import warn

ColumnKind = Literal["number", "date", "category", "ignored"]
BLOCK = 4096  # rows that are written together
OTHER, GONE = "(other)", "(missing)"  # levels that stand for what is rare, and for no level at all


@dataclass(frozen=True)
class ColumnPlan:
    """What a column is, and what becomes of it.

    Attributes
    ----------
    name : str
    kind : {"number", "date", "category", "ignored"}
    low, high : float
        Of a number or date (in days since 1970): the least and the largest.
    fill : float or None
        What stands for a cell that is missing, if any may be.
    indicator : bool
        Whether one more input says that the cell is missing; of a category, whether that is a level.
    levels : tuple of str
        Of a category: those that have an input of their own.
    other : bool
        Whether all others have one together. Else a level that is new has none: its inputs are all 0.
    rare : tuple of str
        Of a category: the others that there were; none of them if they are too many to be kept.
    note : str
        Why it is ignored.
    """

    name: str
    kind: ColumnKind
    low: float = 0.0
    high: float = 0.0
    fill: float | None = None
    indicator: bool = False
    levels: tuple[str, ...] = ()
    other: bool = False
    rare: tuple[str, ...] = ()
    note: str = ""

    @property
    def inputs(self) -> list[str]:
        """What its inputs are called."""
        if self.kind == "ignored":
            return []
        if self.kind == "category":
            more = [OTHER] * self.other + [GONE] * self.indicator
            return [f"{self.name}={level}" for level in (*self.levels, *more)]
        return [self.name] + [f"{self.name}={GONE}"] * self.indicator

    def as_entry(self) -> dict[str, Any]:
        """As JSON values: what there is of its kind."""
        entry: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind == "ignored":
            return entry | {"note": self.note}
        if self.kind == "category":
            rare = {"rare": list(self.rare)} if self.rare else {}
            return entry | {"levels": list(self.levels), "other": self.other, "indicator": self.indicator} | rare
        filled = {} if self.fill is None else {"fill": self.fill}
        return entry | {"low": self.low, "high": self.high, "indicator": self.indicator} | filled

    def described(self) -> str:
        """What there is to say of it, in a line."""
        if self.kind == "ignored":
            return self.note
        if self.kind == "category":
            words = listing([short(level) for level in self.levels] + ["others"] * self.other)
        else:
            words = " to ".join(date_of(end) if self.kind == "date" else f"{end:.6g}" for end in (self.low, self.high))
        if not self.indicator:
            return words
        filled = "a level" if self.fill is None else date_of(round(self.fill)) if self.kind == "date" else f"{self.fill:.6g}"
        return f"{words}; missing ones as {filled}"


@dataclass(frozen=True)
class Encoder:
    """Columns of a table -> inputs of networks.

    Attributes
    ----------
    plans : tuple of ColumnPlan
        The columns in the order of their inputs, those that are ignored too, without the target.
    target : str
        The name of the column that was to be predicted.
    impute : bool
        Whether cells may be missing.
    """

    plans: tuple[ColumnPlan, ...]
    target: str
    impute: bool

    @property
    def inputs(self) -> list[str]:
        return [name for plan in self.plans for name in plan.inputs]

    def places(self) -> dict[str, slice]:
        """Where the inputs of each column stand that has any."""
        found, first = {}, 0
        for plan in self.plans:
            if plan.kind != "ignored":
                found[plan.name] = slice(first, first := first + len(plan.inputs))
        return found

    def encode(self, table: RawTable) -> NDArray[np.float64]:
        """Rows of inputs (N, D); ValueErrors are as those of `TableModel.predict_table`."""
        used = [plan for plan in self.plans if plan.kind != "ignored"]
        lacking = [plan.name for plan in used if plan.name not in table.columns]
        if lacking:
            several = f"columns {listing(lacking)}" if len(lacking) > 1 else f"column {checks.shown(lacking[0])}"
            raise ValueError(f"{table.name} lacks the {several}, which the model was trained with")
        known = {self.target, *(plan.name for plan in self.plans)}
        surplus = [name for name in table.columns if name not in known]
        if surplus:
            warn(f"{table.name} has columns that the model was not trained with, which are ignored: {listing(surplus)}")
        new = [text for plan in used if plan.kind == "category" and (text := _new_levels(plan, table.columns[plan.name]))]
        if new:
            warn(f"{table.name} has categories that were not in the training, which count as others: {'; '.join(new)}")
        X = np.zeros((table.rows, len(self.inputs)))
        taken: list[tuple[NDArray[Any], NDArray[np.bool_] | None]] = []  # and what the indicator says, if there is one
        for plan in used:
            take = _inputs_of if plan.kind == "category" else _values_of
            cells, gone = take(plan, table.columns[plan.name], table)
            if not self.impute:
                check_missing(gone, plan.name, table, ", and the model was trained without impute")
            taken.append((cells, gone if plan.indicator and plan.kind != "category" else None))
        for first in range(0, table.rows, BLOCK):  # of all columns, as a row of X is one of the cache
            rows = slice(first, first + BLOCK)
            for place, (cells, told) in zip(self.places().values(), taken, strict=True):
                _write(X[rows, place], cells[rows], None if told is None else told[rows])
        return X


def values_of(column: Column, kind: ColumnKind) -> NDArray[np.float64] | None:
    """The cells of a column of numbers or dates."""
    return column.days if kind == "date" else column.numbers


def misfit(column: Column, kind: ColumnKind, table: RawTable) -> str:
    """Where the first cell stands that is no number, or no date, and what it is."""
    texts, codes = column.levels
    row = int(np.flatnonzero((codes >= 0) & ~texts_that_fit(column, kind)[codes])[0])
    return f"{table.place(row)} is {checks.shown(texts[codes[row]])}"


def texts_that_fit(column: Column, kind: ColumnKind, most: int | None = None) -> NDArray[np.bool_]:
    """Of each level, or of so many, whether it is a number, all with the decimal sign that most of them have, or a date."""
    signs = column.decimals if isinstance(column, TextColumn) else "."

    def fits(sign: str) -> NDArray[np.bool_]:
        return np.array([values_of(ListedColumn([text], sign), kind) is not None for text in column.levels.texts[:most]], bool)

    return max(map(fits, signs), key=np.count_nonzero)


def check_missing(gone: NDArray[np.bool_], name: str, table: RawTable, hint: str) -> None:
    """Rejects a column that has a missing cell."""
    if gone.any():
        count = int(gone.sum())
        place = table.place(int(gone.argmax()))
        more = f", as are {count - 1} more" if count > 1 else ""
        raise ValueError(f"{table.name}: column {checks.shown(name)} is missing in {place}{more}{hint}")


def check_finite_cells(values: NDArray[np.float64], name: str, table: RawTable) -> None:
    if np.isinf(values).any():
        place = table.place(int(np.isinf(values).argmax()))
        raise ValueError(f"{table.name}: column {checks.shown(name)} must be finite; {place} is not")


def _values_of(plan: ColumnPlan, column: Column, table: RawTable) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers or dates of a column, and whether they are missing."""
    values = values_of(column, plan.kind)
    if values is None:
        raise ValueError(
            f"{table.name}: column {checks.shown(plan.name)} must hold {plan.kind}s; {misfit(column, plan.kind, table)}"
        )
    check_finite_cells(values, plan.name, table)
    gone = np.isnan(values)
    return values if plan.fill is None else np.where(gone, plan.fill, values), gone


def _new_levels(plan: ColumnPlan, column: Column) -> str:
    """In how many cells of a category there are levels that the training did not have, and one of them; "" if there are none, or
    nobody knows which are new."""
    if plan.other and not plan.rare:
        return ""
    known, counts = {*plan.levels, *plan.rare}, column.levels.counts()
    new = [place for place, text in enumerate(column.levels.texts) if text not in known and counts[place]]
    if not new:
        return ""
    cells, example = int(counts[new].sum()), checks.shown(column.levels.texts[new[0]])
    return f"column {checks.shown(plan.name)} in {cells} cell{'s' * (cells > 1)}, such as {example}"


def _inputs_of(plan: ColumnPlan, column: Column, table: RawTable) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """For each cell of a category the number of its input, -1 where it has none; and whether it is missing."""
    texts, codes = column.levels
    other = len(plan.levels) if plan.other else -1
    own = {level: place for place, level in enumerate(plan.levels)}
    gone = len(plan.levels) + plan.other if plan.indicator else other
    return np.array([*(own.get(text, other) for text in texts), gone], np.int32)[codes], codes < 0


def _write(X: NDArray[np.float64], cells: NDArray[Any], gone: NDArray[np.bool_] | None) -> None:
    """Writes the inputs of some cells of a column."""
    if cells.dtype.kind == "i":
        rows = np.flatnonzero(cells >= 0)
        X[rows, cells[rows]] = 1
        return
    X[:, 0] = cells
    if gone is not None:
        X[:, 1] = gone
