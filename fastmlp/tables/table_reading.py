"""read_table: a table of columns from a path, or from what is one already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.tables import by_arrow
from fastmlp.tables.cells import RawTable
from fastmlp.tables.delimited import read_delimited
from fastmlp.tables.frames import frame_table
from fastmlp.writing import naming

TAB = ("tab", r"\t")  # words for what is hard to type


def numbers_of_table(table: Any, names: Sequence[str] | None = None) -> tuple[NDArray[np.float64], list[str]]:
    """The columns of these names, or all that hold numbers, as rows, with NaN where a cell is missing; and those left out."""
    raw = read_table(table)
    chosen = {name: column for name, column in raw.columns.items() if column.numbers is not None}
    if names is not None:
        for name in names:
            if name not in chosen:
                what = "no numbers" if name in raw.columns else "not in it"
                raise ValueError(f"{raw.name} must have a column of numbers for each input; {checks.shown(name)} is {what}")
        chosen = {name: chosen[name] for name in names}
    others = [] if names is not None else [name for name in raw.columns if name not in chosen]
    if not chosen:
        raise ValueError(f"{raw.name} has no column of numbers")
    return np.column_stack([column.numbers for column in chosen.values() if column.numbers is not None]), others


def read_table(table: Any, delimiter: str | None = None, decimal: str | None = None) -> RawTable:
    """The columns of a file (CSV and its like, also packed by gzip, or Parquet), of a frame, or of a dict.

    Parameters
    ----------
    table : path, data frame of pandas, polars or pyarrow, or dict of columns
    delimiter : str, optional
        What stands between the cells of a file, "tab" for a tab; found by its first rows otherwise.
    decimal : {".", ","}, optional
        The decimal sign of its numbers. Otherwise a comma is taken for one where the delimiter is ";" and all of a column have it.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or is no table.
    TypeError
        If it is neither.
    """
    if delimiter is not None:
        delimiter = "\t" if delimiter in TAB else delimiter
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise ValueError(f"delimiter must be one character, or tab; got {checks.shown(delimiter)}")
    if decimal is not None:
        checks.one_of("decimal", decimal, (".", ","))
        if decimal == delimiter:
            raise ValueError(f"decimal and delimiter must differ; both are {decimal!r}")
    if not isinstance(table, str | os.PathLike):
        if delimiter or decimal:
            raise ValueError("delimiter and decimal are for files; this table is none")
        return frame_table(table)
    name = os.fspath(table)
    if os.path.isdir(name):
        raise ValueError(f"{name} is a folder, not a table")
    with naming(name), open(name, "rb") as file:
        data = file.read()
    if not data.startswith(by_arrow.PARQUET):
        return read_delimited(data, name, delimiter, decimal)
    read = frame_table(by_arrow.parquet_table(name))
    return RawTable(name, read.columns, read.rows, lambda row: f"row {row + 1}")
