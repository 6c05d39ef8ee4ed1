"""Text with a line for each row, as CSV (RFC 4180) and its like -> columns: by pyarrow where it is installed, else by the standard
library. What pyarrow refuses goes to the standard library, too, which knows the line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.tables import by_arrow
from fastmlp.tables.cells import Column, ListedColumn, NumericTextColumn, RawTable, TextColumn, doubled, numbers_of

DELIMITERS = ("\t", ";", "|", ",")  # of those that fit alike the first is taken: a comma may be that of numbers
GZIP, UTF8_MARK, UTF16_MARKS = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
BEGINNING = 1 << 16  # bytes by which the delimiter is found, and whether this is text
SAMPLE = 50  # rows that a delimiter must fit
CHUNK = 1000  # rows that are in the cache together; and as few lists as this, Python's garbage collector looks through at once
LONGEST_CELL = 1 << 24  # characters


@contextmanager
def _long_cells() -> Iterator[None]:
    """Within it, and in a function that it decorates, cells may be as long as `LONGEST_CELL`."""
    older = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(older)


@_long_cells()
def read_delimited(data: bytes, name: str, delimiter: str | None = None, decimal: str | None = None) -> RawTable:
    """The table in the bytes of a file."""
    data = _utf8(data, name)
    beginning = data[: max(BEGINNING, data.find(b"\n") + 1)].decode(errors="replace")
    if not beginning.strip():
        raise ValueError(f"{name} is empty")
    delimiter = delimiter or _delimiter_of(beginning, whole=len(data) <= BEGINNING)
    decimals = decimal or (".," if delimiter == ";" else ".")
    names = _names_of(beginning, name, delimiter)
    columns: Sequence[Column] | None = by_arrow.delimited_columns(data, len(names), delimiter, decimals)
    if columns is None:
        columns = _columns_of(data, name, delimiter, decimals, len(names))
    if not len(columns[0]):
        raise ValueError(f"{name} has a header alone, and no rows")

    def place(row: int) -> str:
        return f"row {row + 1} (line {_line_of(data, name, delimiter, row)})"

    return RawTable(name, dict(zip(names, columns, strict=True)), len(columns[0]), place)


def _utf8(data: bytes, name: str) -> bytes:
    """The bytes of the text, as far as a look at the first ones can tell that there is one."""
    if data.startswith(GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{name} cannot be read: as a gzip file it is damaged") from error
    beginning = data[:BEGINNING]
    evenly = max(beginning[0::2].count(0), beginning[1::2].count(0)) > len(beginning) // 4  # every other byte
    if beginning.startswith(UTF16_MARKS) or evenly:
        raise ValueError(f"{name} seems to be in UTF-16: save it as UTF-8")
    if b"\0" in beginning:
        raise ValueError(f"{name} cannot be read: it is no text; save it as CSV in UTF-8")
    return data[len(UTF8_MARK) :] if data.startswith(UTF8_MARK) else data


def _delimiter_of(beginning: str, *, whole: bool) -> str:
    """The one that cuts the header and the first rows into most cells, all into as many."""
    best, most = ",", 1
    for delimiter in DELIMITERS:
        rows = [row for row in islice(csv.reader(io.StringIO(beginning, newline=""), delimiter=delimiter), SAMPLE) if row]
        widths = set(map(len, rows if whole or len(rows) == SAMPLE else rows[:-1]))
        if len(widths) == 1 and max(widths) > most:
            best, most = delimiter, max(widths)
    if most == 1:  # none fits: that of the header, so that the first row that does not fit is told
        counts = {delimiter: beginning.splitlines()[0].count(delimiter) for delimiter in (",", *DELIMITERS)}
        best = max(counts, key=lambda delimiter: counts[delimiter])
    return best


def _names_of(beginning: str, name: str, delimiter: str) -> list[str]:
    header = next(filter(None, csv.reader(io.StringIO(beginning, newline=""), delimiter=delimiter)))
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(header, 1)]
    if numbers_of(header, ".") is not None and any(cell.strip() for cell in header):
        raise ValueError(f"{name} must begin with a line that names its columns; got {checks.shown(delimiter.join(header))}")
    if twice := doubled(names):
        raise ValueError(f"{name} has two columns of the name {checks.shown(twice)}")
    return names


def _rows_of(data: bytes, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, the header first, each with the number of its last line."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name} must be text in UTF-8; the byte {data[error.start]:#04x} in line {line} is not") from None
    reader = csv.reader(chain(io.StringIO(text, newline=""), [by_arrow.END]), delimiter=delimiter)
    try:
        for row in reader:
            if row and not row[-1].endswith(by_arrow.END):
                yield reader.line_num, row
            elif row and row != [by_arrow.END]:
                first = reader.line_num - "".join(row).count("\n")
                raise ValueError(f"{name} has a quote that is not closed, in the row that begins in line {first}")
    except csv.Error as error:
        raise ValueError(f"{name} cannot be read: {error} (line {reader.line_num})") from None


def _columns_of(data: bytes, name: str, delimiter: str, decimals: str, width: int) -> list[TextColumn]:
    """All columns. Cells that are numbers become such while they are at hand; where their texts are asked for, or others of the
    column are no numbers, they are read again."""
    texts: dict[int, list[str]] = {}
    numbers: list[list[NDArray[np.float64]]] = [[] for _ in range(width)]
    again: list[int] = []
    for chunk in _chunks_of(data, name, delimiter, width):
        for place, cells in enumerate(zip(*chunk, strict=True)):
            if place in texts:
                texts[place].extend(cells)
            elif (values := numbers_of(cells, decimals[0])) is not None:
                numbers[place].append(values)
            else:
                texts[place] = list(cells)
                again += [place] if numbers[place] else []
    columns: list[TextColumn] = []
    for place in range(width):
        read = partial(_texts_of, data, name, delimiter, width, place)
        if place in texts:
            columns.append(ListedColumn(read() if place in again else texts[place], decimals))
        else:
            columns.append(NumericTextColumn(np.concatenate([np.empty(0), *numbers[place]]), read, decimals))
    return columns


@_long_cells()
def _texts_of(data: bytes, name: str, delimiter: str, width: int, place: int) -> list[str]:
    """The cells of one column."""
    return [row[place] for chunk in _chunks_of(data, name, delimiter, width) for row in chunk]


def _chunks_of(data: bytes, name: str, delimiter: str, width: int) -> Iterator[list[list[str]]]:
    """The rows below the header, all of one width: without the care of `_rows_of`, to which goes what needs it."""
    try:
        with io.StringIO(data.decode(), newline="") as lines:
            reader = csv.reader(chain(lines, [by_arrow.END]), delimiter=delimiter)
            next(filter(None, reader))
            while chunk := list(filter(None, islice(reader, CHUNK))):
                if chunk[-1] == [by_arrow.END]:
                    chunk.pop()
                elif chunk[-1][-1].endswith(by_arrow.END):
                    raise csv.Error
                if chunk and set(map(len, chunk)) != {width}:
                    raise csv.Error
                yield chunk
    except (csv.Error, UnicodeDecodeError):
        for line, row in _rows_of(data, name, delimiter):
            if len(row) != width:
                raise ValueError(f"{name} has {width} columns, but {len(row)} cells in line {line}") from None
        raise


@_long_cells()
def _line_of(data: bytes, name: str, delimiter: str, row: int) -> int:
    return next(islice(_rows_of(data, name, delimiter), row + 1, None))[0]
