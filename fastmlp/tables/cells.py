"""The cells of a column, as they are taken: as numbers, as days, or as levels; and a table of such columns."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset(("", "NA", "N/A", "NaN", "nan", "null", "NULL"))  # cells that say nothing
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")
EPOCH = datetime(1970, 1, 1)
SECONDS = 86400.0  # of a day
LOGIC = {"true": "True", "false": "False"}  # words of booleans, as Python writes them
MOST_WHOLE = 1 << 53  # up to which a float64 is a whole number exactly


class Levels(NamedTuple):
    """The different texts of a column, and which of them each cell has: -1 where it is missing."""

    texts: list[str]
    codes: NDArray[np.int32]

    def counts(self) -> NDArray[np.int64]:
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))


class Column(ABC):
    """n cells under a name. Of all ways to take them, those that do not fit give None.

    Attributes
    ----------
    numbers, days : (n,) float64 or None
        The cells as numbers; as days since 1970, if they are dates. NaN where they are missing.
    levels : Levels
        The cells as texts.
    """

    numbers: NDArray[np.float64] | None = None
    days: NDArray[np.float64] | None = None
    levels: Levels

    @abstractmethod
    def __len__(self) -> int: ...

    @cached_property
    def is_logical(self) -> bool:
        """Whether all cells are true or false."""
        return self.numbers is None and 0 < len(self.levels.texts) <= 2 and LOGIC.keys() >= set(map(str.lower, self.levels.texts))


class NumberColumn(Column):
    """Cells that are numbers by their type."""

    numbers: NDArray[np.float64]

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def levels(self) -> Levels:  # type: ignore[override]
        return _levels_of(self.numbers, _as_text)


class DayColumn(Column):
    """Cells that are dates by their type."""

    days: NDArray[np.float64]

    def __init__(self, days: NDArray[np.float64]) -> None:
        self.days = days

    def __len__(self) -> int:
        return len(self.days)

    @cached_property
    def levels(self) -> Levels:  # type: ignore[override]
        return _levels_of(self.days, date_of)


class TextColumn(Column):
    """Cells that are texts, of which numbers or dates may come.

    Parameters
    ----------
    decimals : str
        The decimal signs that numbers may have, those of a column all the same one.
    """

    def __init__(self, decimals: str = ".") -> None:
        self.decimals = decimals

    @abstractmethod
    def as_numbers(self, decimal: str) -> NDArray[np.float64] | None:
        """The cells as numbers with that decimal sign, if they are such."""

    @abstractmethod
    def distinct(self) -> tuple[Sequence[str], NDArray[np.integer]]:
        """The different cells, and which of them each one is."""

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:  # type: ignore[override]
        found = (self.as_numbers(decimal) for decimal in self.decimals)
        return next((numbers for numbers in found if numbers is not None), None)

    @cached_property
    def levels(self) -> Levels:  # type: ignore[override]
        """Without the blanks around them; booleans as Python writes them."""
        cells, codes = self.distinct()
        texts = [cell.strip() for cell in cells]
        kept = list(dict.fromkeys(text for text in texts if text not in MISSING))
        if kept and LOGIC.keys() >= set(map(str.lower, kept)):
            texts = [LOGIC.get(text.lower(), "") for text in texts]
            kept = sorted({text for text in texts if text})
        places = {text: place for place, text in enumerate(kept)}
        return Levels(kept, np.array([places.get(text, -1) for text in texts], np.int32)[codes])

    @cached_property
    def days(self) -> NDArray[np.float64] | None:  # type: ignore[override]
        texts, codes = self.levels
        if not all(map(DATE.fullmatch, texts[:1])) or None in (days := [days_of(text) for text in texts]):
            return None
        return np.array([*days, np.nan], np.float64)[codes]  # the last one for those that are missing


class ListedColumn(TextColumn):
    """Texts in a list of Python's."""

    def __init__(self, cells: Sequence[str], decimals: str = ".") -> None:
        super().__init__(decimals)
        self.cells = cells

    def __len__(self) -> int:
        return len(self.cells)

    def as_numbers(self, decimal: str) -> NDArray[np.float64] | None:
        return numbers_of(self.cells, decimal)

    def distinct(self) -> tuple[Sequence[str], NDArray[np.integer]]:
        seen: dict[str, int] = {}
        codes = np.fromiter((seen.setdefault(cell, len(seen)) for cell in self.cells), np.int32, len(self.cells))
        return list(seen), codes


class NumericTextColumn(ListedColumn):
    """Texts that are numbers, and are read when somebody asks for them as they were written."""

    def __init__(self, numbers: NDArray[np.float64], read: Callable[[], Sequence[str]], decimals: str = ".") -> None:
        TextColumn.__init__(self, decimals)
        vars(self).update(numbers=numbers, read=read)

    def __len__(self) -> int:
        return len(vars(self)["numbers"])

    @cached_property
    def cells(self) -> Sequence[str]:  # type: ignore[override]
        return vars(self)["read"]()


@dataclass(frozen=True)
class RawTable:
    """Columns of one length, as they were read.

    Attributes
    ----------
    name : str
        What messages call it.
    columns : dict of str to Column
    rows : int
    place : function
        What messages call a row, which is counted from 0.
    """

    name: str
    columns: dict[str, Column]
    rows: int
    place: Callable[[int], str]


def doubled(names: Sequence[str]) -> str | None:
    """The first name that comes twice."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def numbers_of(cells: Sequence[str], decimal: str) -> NDArray[np.float64] | None:
    """Texts as numbers, NaN where they are missing; None if one is neither."""
    joined = "".join(cells)
    if not joined.isascii() or "_" in joined:  # which Python would read
        return None
    if decimal != ".":
        if "." in joined:
            return None
        cells = [cell.replace(decimal, ".") for cell in cells]
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        pass
    try:
        return np.fromiter((np.nan if cell.strip() in MISSING else float(cell) for cell in cells), np.float64, len(cells))
    except ValueError:
        return None


def days_of(text: str) -> float | None:
    """Days since 1970 of a date, as ISO 8601 writes it, with the time of day if there is one: by Greenwich, or by no zone."""
    if not DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:  # the 30th of February
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - EPOCH).total_seconds() / SECONDS


def date_of(days: float) -> str:
    """The date of a number of days since 1970, with the time of day where there is one."""
    text = str(np.datetime64(round(days * SECONDS * 1e6), "us"))
    return text.removesuffix(".000000").removesuffix("T00:00:00")


def _as_text(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) <= MOST_WHOLE else str(number)


def _levels_of(values: NDArray[np.float64], text_of: Callable[[float], str]) -> Levels:
    distinct, codes = np.unique(values, return_inverse=True)
    finite = int(np.count_nonzero(~np.isnan(distinct)))
    texts = [text_of(value) for value in distinct[:finite].tolist()]
    return Levels(texts, np.where(codes < finite, codes, -1).astype(np.int32))
