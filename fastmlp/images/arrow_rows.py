"""Verdicts as tables of pyarrow, where it is installed, and such tables as Parquet: all that knows it of what is written.

Texts of Arrow are UTF-8, and a file name may be any bytes. For a byte that is not UTF-8 stands \\udcXX, as in JSON; where a name
has such a text of its own, \\udc5c stands for its backslash, so that every name is read again as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from fastmlp.images.verdicts import Verdicts

STATUS = ("ok", "failed", "retry")
_OWN = re.compile(r"\\(?=udc(?:5c|[89a-f][0-9a-f]))")
_ESCAPE = re.compile(r"\\udc(5c|[89a-f][0-9a-f])")


def need_pyarrow(what: str) -> None:
    """A ModuleNotFoundError, which tells how to get it, where it is not installed; an ImportError where it cannot be loaded."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{what} needs pyarrow: pip install 'fastmlp[tables]'", name="pyarrow") from error
    except ImportError as error:  # for want of memory, or it does not fit what else is installed
        raise ImportError(f"{what} needs pyarrow, which cannot be loaded: {error}") from error


def as_unicode(texts: Sequence[str]) -> Sequence[str]:
    """Texts as UTF-8 can say them."""
    together = "\n".join(texts)
    if together.isascii() and r"\udc" not in together:
        return texts
    return [_OWN.sub(r"\\udc5c", text).encode("utf-8", "backslashreplace").decode() for text in texts]


def from_unicode(texts: Sequence[str]) -> Sequence[str]:
    """The texts that `as_unicode` has made these of."""
    return [_ESCAPE.sub(_byte, text) for text in texts] if any(r"\udc" in text for text in texts) else texts


def _byte(escape: re.Match[str]) -> str:
    number = int(escape[1], 16)
    return chr(number if number < 128 else 0xDC00 + number)


def score_columns(classes: Sequence[str]) -> list[str]:
    """The names of the columns of scores."""
    return [f"score_{name}" for name in as_unicode(classes)]


def arrow_table(verdicts: Verdicts, classes: Sequence[str], dtype: DTypeLike | None = None) -> Any:
    """A row for each image, with the columns of the CSV; scores of some other dtype if so wished."""
    need_pyarrow("a table of Arrow")
    import pyarrow

    if len(classes) != verdicts.scores.shape[1]:
        raise ValueError(f"verdicts must have a score for each of their classes; got {verdicts.scores.shape[1]} of {len(classes)}")
    failed = np.fromiter((error is not None for error in verdicts.errors), bool, len(verdicts.errors))
    places: dict[str | None, int] = {None: 0, **{name: k for k, name in enumerate(classes)}}
    labels = np.fromiter(map(places.__getitem__, verdicts.labels), np.int32, len(failed))
    statuses = failed.astype(np.int8)
    statuses[list(verdicts.retry)] = STATUS.index("retry")
    scores = np.asfortranarray(verdicts.scores, dtype)
    errors = [None if error is None else as_unicode([error])[0] for error in verdicts.errors]
    columns = {
        "path": pyarrow.array(as_unicode(verdicts.paths), pyarrow.string()),
        "label": _dictionary(pyarrow.array(labels, mask=failed), as_unicode(classes)),
        **{name: pyarrow.array(scores[:, k], mask=failed) for k, name in enumerate(score_columns(classes))},
        "status": _dictionary(pyarrow.array(statuses), STATUS),
        "error": pyarrow.array(errors, pyarrow.string()),
    }
    return pyarrow.table(list(columns.values()), names=list(columns))


def _dictionary(codes: Any, texts: Sequence[str]) -> Any:
    import pyarrow

    return pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(texts, pyarrow.string()))


def write_parquet(file: IO[bytes], tables: Sequence[Any]) -> int:
    """Write tables as one Parquet file; how many rows that are."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.concat_tables(tables)
    parquet.write_table(table, file, compression="zstd", use_dictionary=["label", "status"], row_group_size=max(1, len(table)))
    return len(table)


def read_parquet(data: bytes, classes: Sequence[str]) -> tuple[list[Any], list[Any], NDArray[np.float64], list[Any], list[Any]]:
    """Path, label, scores (n, K), status and error of each row; a ValueError for what is no table of this kind."""
    import pyarrow
    from pyarrow import parquet

    table = parquet.ParquetFile(pyarrow.BufferReader(data)).read()
    names = ["path", "label", *score_columns(classes), "status", "error"]
    if table.column_names != names:
        raise ValueError("its columns are others")
    paths, label, *scores, status, errors = table.columns
    by_name = dict(zip(as_unicode(classes), classes, strict=True))
    return (
        list(from_unicode(paths.to_pylist())),
        [by_name.get(text, text) for text in label.to_pylist()],
        np.column_stack([column.cast(pyarrow.float64()).to_numpy() for column in scores]),
        status.to_pylist(),
        [None if text is None else from_unicode([text])[0] for text in errors.to_pylist()],
    )
