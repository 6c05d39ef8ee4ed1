"""What is read by slices, as data sets of HDF5 and Zarr are: block by block, never whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
from fastmlp.checks import shown

BLOCK_BYTES = 1 << 21  # that are read at once, about, counted as numbers of eight bytes
MOST_CHUNKS = 8  # blocks that a chunk of the file may be as large as, to be read whole: else it is unpacked again and again


def matrix_shape(
    name: str, value: Any, *, columns: int | None = None, names: tuple[str, ...] | None = None, empty: bool = False
) -> tuple[int, int]:
    """Rows and columns, if there are so many columns, and in them, if it has names, those."""
    shape = value.shape
    if not all(isinstance(length, int | np.integer) for length in shape):
        raise ValueError(f"{name} must know how many rows it has; got shape {shape}: an array of Dask has compute_chunk_sizes()")
    if len(shape) != 2:
        raise ValueError(f"{name} must be 2-D (rows, columns); got shape {shape}")
    if shape[1] == 0 or (shape[0] == 0 and not empty):
        raise ValueError(f"{name} must have at least one row and one column; got shape {shape}")
    if columns is not None and shape[1] != columns:
        raise ValueError(f"{name} must have {columns} columns, one for each input of the network; got {shape[1]}")
    arrays.same_columns(name, arrays.column_names(value), names)
    return int(shape[0]), int(shape[1])


def row_blocks(value: Any) -> list[slice]:
    """The rows to read at once: of whole chunks, where what is read has these."""
    rows, columns = value.shape
    most = max(1, BLOCK_BYTES // (8 * columns))
    chunks = getattr(value, "chunks", None) or (0,)
    chunk = chunks[0][0] if isinstance(chunks[0], tuple) else chunks[0]  # Dask has the rows of each
    if isinstance(chunk, int) and 0 < chunk <= MOST_CHUNKS * most:
        most = chunk * max(1, most // chunk)
    return [slice(first, min(first + most, rows)) for first in range(0, rows, most)]


def read(name: str, value: Any, block: slice) -> NDArray[Any]:
    """Some rows as an array."""
    found = arrays.as_array(name, value[block])  # which may be masked, as those of netCDF4
    expected = (block.stop - block.start, *value.shape[1:])
    if found.shape != expected:
        raise ValueError(f"{name} must give the rows of a slice; {shown(value)} gives shape {found.shape} for {expected}")
    return found


def matrices(
    name: str, value: Any, dtype: Any = None, *, columns: int | None = None, names: tuple[str, ...] | None = None
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Some rows after the other, as `arrays.matrix` has them."""
    for block in row_blocks(value):
        place = f"{name}[{block.start}:{block.stop}]"
        yield block, arrays.matrix(place, read(place, value, block), dtype, columns=columns, names=names)
