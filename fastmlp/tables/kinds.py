"""What the columns of a table are, found out or said: numbers, dates, categories; or ignored."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from fastmlp import checks
from fastmlp.networks.metrics import listing
from fastmlp.tables.cells import Column, RawTable, TextColumn
from fastmlp.tables.encoder import (
    ColumnKind,
    ColumnPlan,
    Encoder,
    check_finite_cells,
    check_missing,
    misfit,
    texts_that_fit,
    values_of,
)

MOST_LEVELS = 50  # that have an input of their own, of a category
LEAST_ROWS, LEAST_SHARE = 2, 0.001  # in which such a level occurs
MOST_DISTINCT = 10_000  # levels of a column that is said to be a category; and rare ones that are remembered
FEW_MISFITS = 0.01  # of the cells of a column that is meant to hold numbers
LOOKED_AT = 1000  # different cells by which that is found out


def encoder_of(table: RawTable, target: str, categories: Collection[str], ignore: Collection[str], impute: bool) -> Encoder:
    """How the columns of a table become inputs, all but the target."""
    for option, names in ("categories", categories), ("ignore", ignore):
        for name in names:
            if name not in table.columns or name == target:
                raise ValueError(f"{option} must name columns beside the target; got {checks.shown(name)}, {columns_of(table)}")
    if both := sorted(set(categories) & set(ignore)):
        raise ValueError(f"a column is a category or ignored; {checks.shown(both[0])} is said to be both")
    plans = []
    for name, column in table.columns.items():
        if name == target:
            continue
        plans.append(_ignored(name, "as said") if name in ignore else _plan(name, column, table, name in categories, impute))
    if all(plan.kind == "ignored" for plan in plans):
        raise ValueError(f"{table.name} has no column to learn from, beside the target {checks.shown(target)}")
    return Encoder(tuple(plans), target, impute)


def columns_of(table: RawTable) -> str:
    return f"and {table.name} has {listing(table.columns)}"


def _ignored(name: str, note: str) -> ColumnPlan:
    return ColumnPlan(name, "ignored", note=note)


def _plan(name: str, column: Column, table: RawTable, is_category: bool, impute: bool) -> ColumnPlan:
    kinds: tuple[ColumnKind, ...] = ("number", "date")
    for kind in () if is_category else kinds:
        values = values_of(column, kind)
        if values is None:
            continue
        check_finite_cells(values, name, table)
        gone = np.isnan(values)
        if gone.all():
            return _ignored(name, "all cells are missing")
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        if low == high and not gone.any():
            return _ignored(name, "all cells are the same")
        _reject_missing(gone, name, table, impute)
        fill = float(np.nanmedian(values)) if impute else None
        return ColumnPlan(name, kind, low=low, high=high, fill=fill, indicator=bool(gone.any()))
    if not is_category:
        reject_misfits(name, column, table, "; mend it, or say that the column is one of the categories")
    return _category(name, column, table, is_category, impute)


def reject_misfits(name: str, column: Column, table: RawTable, hint: str = "") -> None:
    """Rejects a column of texts that are numbers, or dates, but for very few."""
    kinds: tuple[ColumnKind, ...] = ("number", "date")
    for kind in kinds:
        if not isinstance(column, TextColumn) or texts_that_fit(column, kind, LOOKED_AT).mean() < 0.5:
            continue
        counts = column.levels.counts()
        odd = int(counts[~texts_that_fit(column, kind)].sum())
        if odd <= max(1, FEW_MISFITS * counts.sum()) < counts.sum() - odd:
            but = "one cell" if odd == 1 else f"{odd} cells"
            place = misfit(column, kind, table)
            raise ValueError(f"{table.name}: column {checks.shown(name)} is {kind}s but for {but}: {place}{hint}")


def _category(name: str, column: Column, table: RawTable, is_category: bool, impute: bool) -> ColumnPlan:
    texts, codes = column.levels
    counts = column.levels.counts()
    rows, gone = int(counts.sum()), codes < 0
    if is_category and len(texts) > MOST_DISTINCT:
        raise ValueError(
            f"{table.name}: column {checks.shown(name)} must have at most {MOST_DISTINCT} categories; it has {len(texts)}"
        )
    if not rows:
        return _ignored(name, "all cells are missing")
    if len(texts) == 1 and not gone.any():
        return _ignored(name, "all cells are the same")
    if not is_category and 2 * len(texts) > rows:
        return _ignored(name, "all texts are different" if len(texts) == rows else f"{len(texts)} different texts in {rows} rows")
    frequent = counts >= max(LEAST_ROWS, LEAST_SHARE * rows)
    order = sorted(np.flatnonzero(frequent).tolist(), key=lambda level: (-counts[level], texts[level]))[:MOST_LEVELS]
    if not order:
        return _ignored(name, f"{len(texts)} categories, all of them rare")
    _reject_missing(gone, name, table, impute)
    levels = tuple(texts[level] for level in order)
    rare = tuple(sorted(set(texts) - set(levels)))
    kept = rare if len(rare) <= MOST_DISTINCT else ()
    return ColumnPlan(name, "category", levels=levels, other=len(rare) > 0, rare=kept, indicator=bool(gone.any()))


def _reject_missing(gone: np.ndarray, name: str, table: RawTable, impute: bool) -> None:
    if not impute:
        check_missing(gone, name, table, "; impute median fills such cells, ignore leaves the column out")
