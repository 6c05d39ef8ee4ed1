"""Frames of pandas, polars and pyarrow, and dicts of columns -> columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.tables import by_arrow
from fastmlp.tables.cells import EPOCH, SECONDS, Column, DayColumn, ListedColumn, NumberColumn, RawTable, doubled

EXPECTED = "the path of a file, a data frame of pandas, polars or pyarrow, or a dict of columns"


def frame_table(frame: Any) -> RawTable:
    """The columns of a frame; a TypeError if it is none."""
    names, cells = _named_cells(frame)
    texts = [str(name) for name in names]
    if twice := doubled(texts):
        raise ValueError(f"the table has two columns of the name {checks.shown(twice)}")
    columns = {}
    for name, given in zip(texts, cells, strict=True):
        try:
            columns[name] = given if isinstance(given, Column) else _column_of(given)
        except ValueError as error:
            raise ValueError(f"column {checks.shown(name)} must hold numbers, dates, booleans or texts; it is {error}") from None
    lengths = {name: len(column) for name, column in columns.items()}
    for name, length in lengths.items():
        if length != (first := next(iter(lengths.values()))):
            raise ValueError(f"all columns must have as many cells; {checks.shown(name)} has {length}, the first one {first}")
    rows = next(iter(lengths.values()), 0)
    if not rows:
        raise ValueError("the table must have at least one column and one row")
    return RawTable("the table", columns, rows, lambda row: f"row {row + 1} (index {row})")


def _named_cells(frame: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """The names of the columns, and what is in each."""
    package = type(frame).__module__.partition(".")[0]
    if isinstance(frame, Mapping):
        return list(frame), list(frame.values())
    if package == "pandas" and hasattr(frame, "columns"):
        return list(frame.columns), [_of_pandas(frame.iloc[:, number]) for number in range(len(frame.columns))]
    if package == "polars" and hasattr(frame, "get_columns"):
        return frame.columns, [_of_polars(series) for series in frame.get_columns()]
    if package == "pyarrow" and hasattr(frame, "column_names"):
        return frame.column_names, _arrow_columns(frame)
    raise TypeError(f"a table must be {EXPECTED}; got {checks.shown(frame)}")


def _arrow_columns(frame: Any) -> list[Column]:
    found = []
    for name, cells in zip(frame.column_names, frame.columns, strict=True):
        try:
            found.append(by_arrow.column_of(cells))
        except ValueError as error:
            raise ValueError(f"column {checks.shown(name)} must hold numbers, dates, booleans or texts; it is {error}") from None
    return found


def _of_pandas(series: Any) -> Any:
    kind = series.dtype
    if isinstance(kind, np.dtype) and kind.kind in "biuf":
        return series.to_numpy()
    if getattr(kind, "kind", "") == "M":  # with a time zone, or without
        return series.to_numpy("datetime64[us]")
    return series.astype(object).where(series.notna(), None).tolist()


def _of_polars(series: Any) -> Any:
    return series.to_numpy() if series.dtype.is_numeric() or str(series.dtype).startswith("Date") else series.to_list()


def _column_of(cells: Any) -> Column:
    """What an array holds, or a list of Python's objects."""
    if isinstance(cells, str | bytes) or not isinstance(cells, Iterable):
        raise ValueError(f"no sequence of cells, {checks.shown(cells)}")
    array = cells if isinstance(cells, np.ndarray) else None
    if array is None and hasattr(cells, "__array__"):
        array = np.asarray(cells)
    if array is not None and array.ndim != 1:
        raise ValueError(f"of shape {array.shape}")
    if array is not None and array.dtype.kind in "iuf":
        return NumberColumn(array.astype(np.float64))
    if array is not None and array.dtype.kind == "M":
        return DayColumn(_days(array))
    return _listed(list(cells) if array is None else array.tolist())


def _listed(cells: list[Any]) -> Column:
    kinds = {type(cell) for cell in cells} - {type(None)}
    missing = [cell is None or (isinstance(cell, float) and cell != cell) for cell in cells]
    if kinds and all(issubclass(kind, Real | Decimal) and not issubclass(kind, bool | np.bool_) for kind in kinds):
        return NumberColumn(np.array([np.nan if gone else float(cell) for cell, gone in zip(cells, missing, strict=True)]))
    if kinds and all(issubclass(kind, date) for kind in kinds):
        return DayColumn(np.array([np.nan if cell is None else _day(cell) for cell in cells]))
    texts = ["" if gone else cell if isinstance(cell, str) else str(cell) for cell, gone in zip(cells, missing, strict=True)]
    if strange := next((kind for kind in kinds if not issubclass(kind, str | Real | Decimal | bool | np.bool_ | date)), None):
        raise ValueError(f"of objects of type {strange.__name__}")
    return ListedColumn(texts)


def _day(cell: date) -> float:
    moment = cell if isinstance(cell, datetime) else datetime(cell.year, cell.month, cell.day)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - EPOCH).total_seconds() / SECONDS


def _days(moments: NDArray[np.datetime64]) -> NDArray[np.float64]:
    whole = moments.astype("datetime64[us]")
    days = whole.astype(np.int64) / (SECONDS * 1e6)
    days[np.isnat(whole)] = np.nan
    return days
