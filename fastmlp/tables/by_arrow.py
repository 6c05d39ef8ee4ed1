"""What pyarrow reads, where it is installed: text with a line for each row, on all cores; Parquet; and its own tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.tables.cells import MISSING, Column, DayColumn, ListedColumn, NumberColumn, NumericTextColumn, TextColumn, numbers_of

MICROSECONDS = 86400e6  # of a day
BLOCK = 1 << 22  # bytes that a thread takes
SMALL = 1 << 22  # bytes of a text that the standard library has read before pyarrow is imported
LARGE = 1 << 22  # bytes of a text whose first ones tell which columns are numbers
LOOKED_AT = 1 << 16  # of these
PARQUET = b"PAR1"
END = "\x1f"  # a row of its own behind all others, unless a quote that is not closed has swallowed it


class ArrowColumn(TextColumn):
    """Texts in an array of pyarrow's."""

    def __init__(self, cells: Any, decimals: str = ".") -> None:
        super().__init__(decimals)
        self.cells = cells

    def __len__(self) -> int:
        return len(self.cells)

    def as_numbers(self, decimal: str) -> NDArray[np.float64] | None:
        """What pyarrow does not read as a number may be one for Python, or missing."""
        import pyarrow

        if decimal == ".":
            try:
                return self.cells.cast(pyarrow.float64()).to_numpy()
            except pyarrow.ArrowInvalid:
                pass
        return numbers_of(self.cells.to_pylist(), decimal)

    def distinct(self) -> tuple[Sequence[str], NDArray[np.integer]]:
        encoded = self.cells.dictionary_encode().unify_dictionaries()
        texts = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
        codes = [chunk.indices.to_numpy() for chunk in encoded.chunks]
        return texts, np.concatenate([np.empty(0, np.int32), *codes])


def delimited_columns(data: bytes, width: int, delimiter: str, decimals: str) -> Sequence[Column] | None:
    """The columns of a text whose first row is a header; None where it must be read in another way."""
    if len(data) < SMALL and "pyarrow" not in sys.modules:
        return None
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return None
    data = data.lstrip(b"\r\n")  # as the first row, which is skipped, may be an empty one
    if decimals[0] == "." and len(data) > LARGE:
        first = _columns(data[: data.rfind(b"\n", 0, LOOKED_AT) + 1], width, delimiter, decimals)
        numbers = [place for place, column in enumerate(first or ()) if len(column) and column.numbers is not None]
        if numbers and (columns := _columns(data, width, delimiter, decimals, numbers)):
            return columns
    return _columns(data, width, delimiter, decimals)


def _columns(data: bytes, width: int, delimiter: str, decimals: str, numbers: Sequence[int] = ()) -> Sequence[TextColumn] | None:
    """The same, where those at some places are read as numbers at once: None if they are none."""
    texts = [place for place in range(width) if place not in numbers]
    quoted = b'"' in data
    if quoted and not texts:  # no cell can hold the mark that tells of a quote which is not closed
        return None
    if quoted:
        before, after = delimiter * texts[0], delimiter * (width - 1 - texts[0])
        data = b"".join([data, f"\n{before}{END}{after}".encode()])
    kinds = ["double" if place in numbers else "string" for place in range(width)]
    table = _read(data, kinds, delimiter, quoted)
    if table is None or (quoted and (not len(table) or table.column(texts[0])[-1].as_py() != END)):
        return None
    columns: list[TextColumn] = []
    for place, cells in enumerate(table.columns):
        own = cells.slice(0, len(cells) - quoted)
        if place in numbers:
            columns.append(NumericTextColumn(own.to_numpy(), partial(_texts_of, data, width, delimiter, quoted, place), decimals))
        else:
            columns.append(ArrowColumn(own, decimals))
    return columns


def _read(data: bytes, kinds: Sequence[str], delimiter: str, quoted: bool, only: int | None = None) -> Any:
    """The rows below the first one, as a table of pyarrow's, of all columns or of one; None where that is not possible."""
    import pyarrow
    from pyarrow import csv

    names = [f"f{place}" for place in range(len(kinds))]
    try:
        return csv.read_csv(
            pyarrow.BufferReader(data),
            read_options=csv.ReadOptions(column_names=names, skip_rows_after_names=1, block_size=BLOCK),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            convert_options=csv.ConvertOptions(
                column_types=dict(zip(names, map(pyarrow.type_for_alias, kinds), strict=True)),
                include_columns=None if only is None else [names[only]],
                strings_can_be_null=False,
                null_values=sorted(MISSING),
            ),
        )
    except pyarrow.ArrowInvalid:
        return None


def _texts_of(data: bytes, width: int, delimiter: str, quoted: bool, place: int) -> list[str]:
    """The cells of a column as they are written, without those of the mark."""
    cells = _read(data, ["string"] * width, delimiter, quoted, place).column(0)
    return cells.slice(0, len(cells) - quoted).to_pylist()


def parquet_table(path: str) -> Any:
    """The table in a Parquet file, of pyarrow's kind."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ValueError(f"{path} is a Parquet file, which pyarrow reads: pip install 'fastmlp[tables]'") from None
    try:
        return parquet.ParquetFile(path).read()
    except ArrowException as error:
        raise ValueError(f"{path} cannot be read: as a Parquet file it is damaged") from error


def column_of(cells: Any) -> Column:
    """A column of pyarrow's table."""
    import pyarrow
    from pyarrow import types

    kind = cells.type
    if types.is_dictionary(kind):
        cells = cells.cast(kind.value_type)
        kind = cells.type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return ArrowColumn(cells.cast(pyarrow.large_string()).fill_null(""))
    if types.is_boolean(kind) or types.is_null(kind):
        return ListedColumn(["" if cell is None else str(cell) for cell in cells.to_pylist()])
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NumberColumn(_floats(cells))
    if types.is_date(kind) or types.is_timestamp(kind):
        return DayColumn(_floats(cells.cast(pyarrow.timestamp("us"), safe=False).cast(pyarrow.int64())) / MICROSECONDS)
    raise ValueError(f"of type {kind}")


def _floats(cells: Any) -> NDArray[np.float64]:
    """NaN where there is none."""
    import pyarrow

    return np.array(cells.cast(pyarrow.float64(), safe=False).to_numpy(), np.float64)
