"""What pyarrow reads, where it is installed: text with a line for each row, on all cores; Parquet; and its own tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.tables.cells import Column, DayColumn, ListedColumn, NumberColumn, TextColumn, numbers_of

MICROSECONDS = 86400e6  # of a day
BLOCK = 1 << 22  # bytes that a thread takes
SMALL = 1 << 22  # bytes of a text that the standard library has read before pyarrow is imported
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
        import pyarrow
        from pyarrow import csv
    except ImportError:
        return None
    quoted = b'"' in data
    if quoted:
        data = b"".join([data, b"\n", END.encode(), delimiter.encode() * (width - 1)])
    types = {f"f{number}": pyarrow.string() for number in range(width)}
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(data),
            read_options=csv.ReadOptions(autogenerate_column_names=True, block_size=BLOCK),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    except pyarrow.ArrowInvalid:
        return None
    if table.num_columns != width or (quoted and table.column(0)[-1].as_py() != END):
        return None
    return [ArrowColumn(column.slice(1, len(column) - 1 - quoted), decimals) for column in table.columns]


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
