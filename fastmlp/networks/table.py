"""The members of a population as a table that prints, and turns into CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.networks.history import PopulationHistory
from fastmlp.networks.html import html_table
from fastmlp.writing import FileKind, replacing

if TYPE_CHECKING:
    import pandas
    import polars

TABLE_ROWS = 20  # that are printed
DIGITS = 15  # of an accuracy, behind the point: what its difference from 1 was rounded to is not seen
FILE = FileKind("a table of networks as CSV", (".csv",), rb"member,")


class Table:
    """The members of a population as rows. Printed, it has the first 20 of them, and the options that differ. `table[name]` is a
    column, and iterating gives rows, as dicts.

    Attributes
    ----------
    columns : dict of str to list
        The values of all M members: member (its place), every option, the losses, epochs and stopped_by.
    """

    def __init__(self, columns: Mapping[str, list[Any]], printed: Sequence[str]) -> None:
        self.columns = dict(columns)
        self._printed = tuple(printed)

    def __len__(self) -> int:
        return len(self.columns["member"])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows, each by the names of the columns."""
        return (dict(zip(self.columns, row, strict=True)) for row in zip(*self.columns.values(), strict=True))

    def __getitem__(self, name: str) -> list[Any]:
        """A column."""
        return self.columns[checks.one_of("the name of a column", name, self.columns)]

    def to_pandas(self) -> pandas.DataFrame:
        """All rows and columns as a pandas data frame; an ImportError where pandas is missing."""
        import pandas

        return pandas.DataFrame(self.columns)

    def to_polars(self) -> polars.DataFrame:
        """All rows and columns as a polars data frame, several layers as a list; an ImportError where polars is missing."""
        import polars

        return polars.DataFrame(self.columns)

    def _repr_html_(self) -> str:
        return html_table(self._printed, zip(*(column[1:] for column in self._cells()), strict=True), note=self._more())

    def _cells(self) -> list[list[str]]:
        """The first values of the columns that are printed, each below its name."""
        return [[name, *(_cell(name, value) for value in self.columns[name][:TABLE_ROWS])] for name in self._printed]

    def _more(self) -> str:
        """What is not printed."""
        return f"... and {len(self) - TABLE_ROWS} more" if len(self) > TABLE_ROWS else ""

    def __repr__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in cells]
        cells[-1] = [reason.ljust(widths[-1]) for reason in cells[-1]]
        rows = zip(*cells, strict=True)
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *filter(None, [self._more()])])

    def best(self, n: int = 10) -> Table:
        """At most n of the rows, those with the smallest loss, the validation loss if there is one, or by monitor="accuracy" the
        highest accuracy; none that diverged."""
        losses = np.array(self.columns["validation_loss" if "validation_loss" in self.columns else "loss"])
        if "validation_accuracy" in self.columns:
            losses = -np.array(self.columns["validation_accuracy"])
        going = [reason != "diverged" for reason in self.columns["stopped_by"]]
        rows = np.flatnonzero(going & np.isfinite(losses))
        rows = rows[np.argsort(losses[rows], kind="stable")[: checks.positive_int("n", n)]]
        return Table({name: [values[row] for row in rows.tolist()] for name, values in self.columns.items()}, self._printed)

    def csv(self) -> str:
        """All rows with all options as CSV: a line of names, then a line for each member.

        Numbers are exact. Several hidden layers are joined by "-" (64-32, tanh-relu), none are "none", as is no clip; a full batch
        is "all".
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        columns = ([exact(name, value) for value in values] for name, values in self.columns.items())
        writer.writerows(zip(*columns, strict=True))
        return text.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `csv()` to a file.

        Raises
        ------
        OSError
            If the file cannot be written; what stood there before is untouched.
        ValueError
            If something else than such a table is there.
        """
        with replacing(path, FILE, "w", encoding="utf-8", newline="\n") as file:
            file.write(self.csv())


def member_table(options: Mapping[str, list[Any]], history: PopulationHistory, scores: NDArray[np.float64]) -> Table:
    """The table of a population, with the last loss of each member and, if there are validation rows, its score."""
    count = len(scores)
    last = np.maximum(history.epochs - 1, 0)[:, None]
    losses = np.take_along_axis(history.loss, last, axis=1)[:, 0] if history.loss.size else np.full(count, np.nan)
    ends = {"loss": losses.tolist()}
    if history.validation_accuracy is not None:
        ends["validation_accuracy"] = (1 - scores).round(DIGITS).tolist()
    elif history.validation_loss is not None:
        ends["validation_loss"] = scores.tolist()
    varied = [name for name in options if name == "seed" or len(set(options[name])) > 1]
    return Table(
        {"member": list(range(count)), **options, **ends,
         "epochs": history.epochs.tolist(), "stopped_by": list(history.stopped_by)},
        ("member", *varied, *ends, "epochs", "stopped_by"),
    )  # fmt: skip


def exact(name: str, value: Any) -> str:
    """The value of an option as text."""
    if isinstance(value, tuple):
        return "-".join(map(str, value)) or "none"
    if value is None:
        return "all" if name == "batch_size" else "none"
    return str(value)


def _cell(name: str, value: Any) -> str:
    """A value as it is printed: losses are rounded."""
    return f"{value:.6g}" if name in ("loss", "validation_loss", "validation_accuracy") else exact(name, value)
