"""The target: the column that is to be predicted, as numbers or as labels of classes."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.labels import MOST_CLASSES, TASKS
from fastmlp.literals import Task
from fastmlp.networks.metrics import listing
from fastmlp.tables.cells import MOST_WHOLE, Column, RawTable
from fastmlp.tables.encoder import check_finite_cells, check_missing, misfit
from fastmlp.tables.kinds import columns_of, reject_misfits

LEAST_OF_CLASS = 10  # rows, in the mean over the classes, where whole numbers stand for them


def target_column(table: RawTable, name: str) -> Column:
    if name not in table.columns:
        nearest = difflib.get_close_matches(name, table.columns, n=1)
        hint = f" (did you mean {checks.shown(nearest[0])}?)" if nearest else ""
        raise ValueError(f"target must be a column of the table; got {checks.shown(name)}{hint}, {columns_of(table)}")
    return table.columns[name]


def task_and_targets(table: RawTable, name: str, task: Task | None) -> tuple[Task, NDArray[Any]]:
    """What a table asks for, and the targets of its rows.

    Numbers are quantities, unless there are but few whole ones: two, or up to 20 that occur ten times each in the mean.
    """
    column = target_column(table, name)
    if task is not None:
        checks.one_of("task", task, TASKS)
    gone = column.levels.codes < 0 if column.numbers is None else np.isnan(column.numbers)
    check_missing(gone, name, table, "; the target must be known of all rows")
    if task is None and column.numbers is None:
        reject_misfits(name, column, table, "; mend it, or say task classification")
    if task is None:
        task = "regression" if column.numbers is not None and not _few_whole(column.numbers) else "classification"
    targets = quantities(table, name, column) if task == "regression" else labels_of(column)
    if (targets == targets[0]).all():
        raise ValueError(f"{table.name}: the target {checks.shown(name)} must vary; all {table.rows} rows have {targets[0]}")
    if targets.dtype.kind == "U" and 2 * len(column.levels.texts) > max(table.rows, 2 * MOST_CLASSES):
        count = len(column.levels.texts)
        raise ValueError(
            f"{table.name}: the target {checks.shown(name)} has {count} different texts in {table.rows} rows: no classes"
        )
    return task, targets


def _few_whole(numbers: NDArray[np.float64]) -> bool:
    if not _all_whole(numbers):
        return False
    count = len(np.unique(numbers))
    return count == 2 or count <= min(MOST_CLASSES, len(numbers) // LEAST_OF_CLASS)


def _all_whole(numbers: NDArray[np.float64]) -> bool:
    return bool((np.abs(numbers) <= MOST_WHOLE).all() and (numbers == np.rint(numbers)).all())


def quantities(table: RawTable, name: str, column: Column) -> NDArray[np.float64]:
    """The cells of a target as numbers."""
    if column.numbers is None:
        raise ValueError(f"{table.name}: the target {checks.shown(name)} must hold numbers; {misfit(column, 'number', table)}")
    check_finite_cells(column.numbers, name, table)
    return column.numbers


def known_quantities(table: RawTable, name: str, column: Column) -> NDArray[np.float64]:
    """The same of a target of which no cell may be missing."""
    gone = column.levels.codes < 0 if column.numbers is None else np.isnan(column.numbers)
    check_missing(gone, name, table, "; the target must be known of all rows")
    return quantities(table, name, column)


def labels_of(column: Column) -> NDArray[Any]:
    """The cells of a target as labels: booleans, whole numbers, numbers or texts."""
    if column.is_logical:
        return np.array([text == "True" for text in column.levels.texts])[column.levels.codes]
    if column.numbers is None:
        return np.array(column.levels.texts)[column.levels.codes]
    return column.numbers.astype(np.int64) if _all_whole(column.numbers) else column.numbers


def known_labels(table: RawTable, name: str, column: Column, classes: NDArray[Any]) -> NDArray[Any]:
    """The cells of a target as labels that are among the classes."""
    check_missing(column.levels.codes < 0, name, table, "; the target must be known of all rows")
    if column.numbers is not None and classes.dtype.kind in "iuf":
        found, strange = column.numbers, ~np.isin(column.numbers, classes)
    else:
        own = {str(label): place for place, label in enumerate(classes.tolist())}
        places = np.array([own.get(text, -1) for text in column.levels.texts])[column.levels.codes]
        found, strange = classes[places], places < 0
    if strange.any():
        row = int(strange.argmax())
        known, text = listing(map(str, classes.tolist())), column.levels.texts[column.levels.codes[row]]
        raise ValueError(f"{table.name}: {checks.shown(name)} must be one of {known}; {table.place(row)} is {checks.shown(text)}")
    return found.astype(classes.dtype)
