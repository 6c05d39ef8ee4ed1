"""Text with a line for each row, as CSV (RFC 4180) and its like -> columns: by pyarrow where it is installed, else by the standard
library. What pyarrow refuses goes to the standard library, too, which knows the line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter

from fastmlp import checks
from fastmlp.tables import by_arrow
from fastmlp.tables.cells import Column, ListedColumn, RawTable, numbers_of

DELIMITERS = ("\t", ";", "|", ",")  # of those that fit alike the first is taken: a comma may be that of numbers
GZIP, UTF8_MARK, UTF16_MARKS = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
BEGINNING = 1 << 16  # bytes by which the delimiter is found, and whether this is text
SAMPLE = 50  # rows that a delimiter must fit
CHUNK = 20_000  # rows
LONGEST_CELL = 1 << 24  # characters


def read_delimited(data: bytes, name: str, delimiter: str | None = None, decimal: str | None = None) -> RawTable:
    """The table in the bytes of a file."""
    data = _utf8(data, name)
    beginning = data[:BEGINNING].decode(errors="replace")
    if not beginning.strip():
        raise ValueError(f"{name} is empty")
    delimiter = delimiter or _delimiter_of(beginning, whole=len(data) <= BEGINNING)
    decimals = decimal or (".," if delimiter == ";" else ".")
    names = _names_of(beginning, name, delimiter)
    columns: Sequence[Column] | None = by_arrow.delimited_columns(data, len(names), delimiter, decimals)
    if columns is None:
        columns = [ListedColumn(cells, decimals) for cells in _cells_of(data, name, delimiter, len(names))]
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
    if twice := next((one for number, one in enumerate(names) if one in names[:number]), None):
        raise ValueError(f"{name} has two columns of the name {checks.shown(twice)}")
    return names


def _rows_of(data: bytes, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, the header first, each with the number of its last line."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name} must be text in UTF-8; the byte {data[error.start]:#04x} in line {line} is not") from None
    older, lines = csv.field_size_limit(LONGEST_CELL), chain(io.StringIO(text, newline=""), [by_arrow.END])
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in reader:
            if row and not row[-1].endswith(by_arrow.END):
                yield reader.line_num, row
            elif row and row != [by_arrow.END]:
                first = reader.line_num - "".join(row).count("\n")
                raise ValueError(f"{name} has a quote that is not closed, in the row that begins in line {first}")
    except csv.Error as error:
        raise ValueError(f"{name} cannot be read: {error} (line {reader.line_num})") from None
    finally:
        csv.field_size_limit(older)


def _cells_of(data: bytes, name: str, delimiter: str, width: int) -> list[list[str]]:
    """The cells of each column."""
    rows = islice(_rows_of(data, name, delimiter), 1, None)
    columns: list[list[str]] = [[] for _ in range(width)]
    while chunk := list(islice(rows, CHUNK)):
        for line, row in chunk if set(map(len, map(itemgetter(1), chunk))) != {width} else ():
            if len(row) != width:
                raise ValueError(f"{name} has {width} columns, but {len(row)} cells in line {line}")
        for column, cells in zip(columns, zip(*map(itemgetter(1), chunk), strict=True), strict=True):
            column.extend(cells)
    return columns


def _line_of(data: bytes, name: str, delimiter: str, row: int) -> int:
    return next(islice(_rows_of(data, name, delimiter), row + 1, None))[0]
