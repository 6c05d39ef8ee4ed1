"""How `fastmlp classify --resume` goes on with the output of a run that has ended, by whatever.

Every row ends in a newline. So whatever ended a run, its output is whole rows and at most one torn one, which is cut off before
the next run appends the rows that are missing. Where there is no file yet, or an empty one, that output is the file itself; an
older one is replaced at the end by `unfinished(file)`, with which --resume goes on if it is there. All rows of an output are of
one model: before it goes on, some of the rows that are there are made anew. No row holds a NUL: where one is, a loss of power has
left a page without its contents, and all from there on is torn. Rows that are to be tried again are first taken out.
"""

from __future__ import annotations

import csv
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest
from operator import attrgetter
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown
from fastmlp.commands.classification.rows import RowFormat, as_written, decimals
from fastmlp.commands.console import TEXT
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.extractors import extract
from fastmlp.images.pillow import MAX_PIXELS, read_image
from fastmlp.images.sources.chunk import Chosen
from fastmlp.images.verdicts import Verdicts
from fastmlp.writing import naming, replacing

ENCODING = ("utf-8", "surrogateescape")  # a file name may be any bytes
BLOCK = 2**16  # bytes of an older output that are read at a time; with more, what is made of them leaves the cache
COMPARED = 16  # rows of an older output that are made anew: the first, and as many of the least certain


def read_rows(path: str, rows: RowFormat) -> Iterator[tuple[int, Verdicts]]:
    """Read the whole rows of an output, some thousands at a time, each time with the place in the file where they end.

    Of a missing or empty file, or one that was torn before its first row was whole, nothing comes.

    Raises
    ------
    ValueError
        If the file is something else than the output of a run with the same classes in the same format.
    """
    if not os.path.exists(path):
        return
    if not os.path.isfile(path):
        raise ValueError(f"{path} cannot be continued: it is not a regular file")
    head = rows.head.encode(*ENCODING)
    with naming(path), open(path, "rb") as file:
        first = file.read(len(head))
        if not head.startswith(first):
            first += file.readline(len(head))
            raise ValueError(f"{path} cannot be continued: it must begin with {_shown(head)}; it begins with {_shown(first)}")
        end, parts, quoted = len(head), list[bytes](), False
        for block in _blocks(file):
            size, quoted = rows.end(block, quoted)
            parts.append(block[:size] if size else block)
            if size:
                whole = b"".join(parts)
                try:
                    verdicts = rows.verdicts(whole.decode(*ENCODING))
                except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error):
                    span = f"bytes {end} to {end + len(whole)}"
                    raise ValueError(
                        f"{path} cannot be continued: {span} must be rows of the classes {shown(rows.classes)}; "
                        f"they begin with {_shown(whole)}"
                    ) from None
                end, parts = end + len(whole), [block[size:]]
                yield end, verdicts
        torn = b"".join(parts)
        if end == 0 and not torn.startswith(rows.start.encode()[: len(torn)]):
            raise ValueError(f"{path} cannot be continued: it must begin with {rows.start!r}; it begins with {_shown(torn)}")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a file up to the first NUL."""
    while block := file.read(BLOCK):
        before, nul, _ = block.partition(b"\0")
        if before:
            yield before
        if nul:
            return


def settled(verdicts: Verdicts, retry_failed: bool) -> Verdicts:
    """The rows that are not tried again: those with an error that is no fault of the file are, and if so wished all that failed."""
    again = (
        [error is not None for error in verdicts.errors]
        if retry_failed
        else np.isin(np.arange(len(verdicts.paths)), verdicts.retry)
    )
    if not np.any(again):
        return verdicts
    left = np.flatnonzero(np.logical_not(again)).tolist()
    paths, labels, scores, errors, *_ = verdicts
    return Verdicts([paths[k] for k in left], [labels[k] for k in left], scores[left], [errors[k] for k in left])


def take_out(path: str, rows: RowFormat, retry_failed: bool) -> int:
    """Leave only settled rows in an output, which is replaced by one without the others, or stays as it is; where it ends then."""
    with replacing(path, rows.kind, "w", **TEXT) as file:
        file.write(rows.head)
        for _, verdicts in read_rows(path, rows):
            file.write(rows.text(settled(verdicts, retry_failed)))
    return os.path.getsize(path)


def _shown(data: bytes) -> str:
    """The first line, or as much of it as is enough to know it by."""
    return repr(data[:80].partition(b"\n")[0].decode(errors="replace"))


class _Row(NamedTuple):
    certainty: float
    """How far the best score is ahead of the second."""
    path: str
    scores: NDArray[np.floating]


class Samples:
    """Rows of an output by which its model is known: the first, and those that depend on it the most, the least certain."""

    def __init__(self) -> None:
        self._first: list[_Row] = []
        self._least_certain: list[_Row] = []

    def add(self, verdicts: Verdicts) -> None:
        """Keep some of these rows, if they are among the first or the least certain."""
        good = np.flatnonzero([error is None for error in verdicts.errors])
        scores = verdicts.scores[good]
        ordered = np.sort(np.abs(scores) if scores.shape[1] == 1 else scores, axis=1)
        certainty = ordered[:, -1] - (ordered[:, -2] if scores.shape[1] > 1 else 0)
        some = set(np.argsort(certainty, kind="stable")[:COMPARED].tolist()) | set(range(min(COMPARED, len(good))))
        rows = [_Row(float(certainty[k]), verdicts.paths[good[k]], scores[k]) for k in sorted(some)]
        self._first += rows[: COMPARED - len(self._first)]
        self._least_certain = nsmallest(COMPARED, [*self._least_certain, *rows], key=attrgetter("certainty"))

    def check(self, path: str, model: ImageClassifier, read: Callable[[str], bytes], max_pixels: int = MAX_PIXELS) -> None:
        """A ValueError if the model says something else of these images, as far as they are still there, than their rows do."""
        for _, name, written in (*self._first, *self._least_certain):
            try:
                image = read_image(read(name), max_pixels, reduced=True)
            except (OSError, ValueError):
                continue
            scores = as_written(model.scores(extract([image], model.extractor))[0])
            # The last digit may differ, should another processor have written the row.
            digit = np.where((written >= 0) & (written < 10), 1e-6, 1e-5 * np.abs(written) + 1e-300)
            excess = np.abs(scores - written) / digit
            worst = int(excess.argmax())
            if excess[worst] > 1.5:
                before, now = decimals(written)[worst], decimals(scores)[worst]
                raise ValueError(
                    f"{path} cannot be continued: another model has written it, or the images have changed; "
                    f"its row of {name!r} gives {model.classes[worst]!r} the score {before}, and this model {now}"
                )


def among(hashes: array[int], folders: Sequence[str] = ()) -> Chosen:
    """A function that says which of some paths have one of these 64-bit hashes, or lie in one of these folders.

    A million paths are 8 MB. That one of another million is taken for one of them has a chance of 1 to ten million.
    """
    known = np.asarray(hashes)
    known.sort()
    beginnings = tuple(f"{folder}/" for folder in folders)

    def are_known(paths: list[str]) -> NDArray[np.bool_]:
        own = np.fromiter(map(hash, paths), np.int64, len(paths))
        found = np.searchsorted(known, own, "left") < np.searchsorted(known, own, "right")
        if beginnings:
            found |= np.fromiter((path.startswith(beginnings) for path in paths), bool, len(paths))
        return found

    return are_known
