"""What `fastmlp classify` reads and writes: several sources in turn, rows as CSV or as JSON lines, and what they are in sum.

Every row ends in a newline. So whatever ended a run, its output is whole rows and at most one torn one, which is cut off before
the next run appends the rows that are missing. Where there is no file yet, or an empty one, that output is the file itself; an
older one is replaced at the end by `unfinished(file)`, with which --resume goes on if it is there. All rows of an output are of
one model: before it goes on, some of the rows that are there are made anew.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from heapq import nsmallest
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.files import FileKind
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.features import EXTRACTORS, extract
from fastmlp.images.pillow import MAX_PIXELS, read_image
from fastmlp.images.reading import reader
from fastmlp.images.sources import Chosen, is_collection
from fastmlp.images.verdicts import Verdicts

ENCODING = ("utf-8", "surrogateescape")  # a file name may be any bytes
BLOCK = 2**16  # bytes of an older output that are read at a time; with more, what is made of them leaves the cache
COMPARED = 16  # rows of an older output that are made anew: the first, and as many of the least certain
LISTED = 10  # classes that a summary tells one by one
FIELDS = ("path", "label", "scores", "status", "error")
FEATURES = FileKind("features as CSV", (".csv",), rb"file_name,feature1\b")

Batch = tuple[Verdicts, int | None]  # and the number of files that come after it, if that is known

# Path, label, scores (n, K), status and error of each row.
Columns = tuple[Sequence[str], Sequence[str | None], NDArray[np.float64], Sequence[str], Sequence[str | None]]

_json = json.JSONEncoder().encode  # json.dumps looks for options first, which takes twice as long


class Rows:
    """How verdicts of the given classes become text, and are read from it again.

    Attributes
    ----------
    head : str
        What stands before the first row.
    start : str
        What every row begins with.
    kind : FileKind
        What a file of such rows is.
    """

    head = start = ""
    kind: FileKind

    def __init__(self, classes: list[str], fine: str, failed: str) -> None:
        self.classes = classes
        self._fine, self._failed = fine, failed  # formats of (path, label, *scores) and of (path, error)
        self._labels: dict[str | None, str] = dict(zip(classes, self._quoted(classes), strict=True))

    def text(self, verdicts: Verdicts) -> str:
        """The rows of a batch."""
        paths = self._quoted(verdicts.paths)
        labels = map(self._labels.get, verdicts.labels)
        rows = list(map(self._fine.__mod__, zip(paths, labels, *map(decimals, verdicts.scores.T), strict=True)))
        for index, error in enumerate(verdicts.errors):
            if error is not None:
                rows[index] = self._failed % (paths[index], *self._quoted([error]))
        return "".join(rows)

    def end(self, data: bytes) -> int:
        """Where the last whole row of `data`, which begins with a row, ends: 0 if none is whole."""
        raise NotImplementedError

    def verdicts(self, text: str) -> Verdicts:
        """What some whole rows say; for text that is something else, an exception of many a kind."""
        paths, labels, scores, statuses, errors = self._columns(text)
        fine = [status == "ok" for status in statuses]
        of_fine = {label for label, ok in zip(labels, fine, strict=True) if ok}
        if not set(statuses) <= {"ok", "failed"} or not of_fine <= self._labels.keys() or scores.shape[1] != len(self.classes):
            raise ValueError("a row does not fit the classes")
        return Verdicts(
            list(paths),
            [label if ok else None for label, ok in zip(labels, fine, strict=True)],
            scores,
            [None if ok else error for error, ok in zip(errors, fine, strict=True)],
        )

    def _quoted(self, texts: list[str]) -> list[str]:
        raise NotImplementedError

    def _columns(self, text: str) -> Columns:
        raise NotImplementedError


class CsvRows(Rows):
    """A row for each image below a header; what has a comma, a quote or a line end in it stands in quotes."""

    kind = FileKind("verdicts as CSV", (".csv",), rb'path,label,"?score_')

    def __init__(self, classes: list[str]) -> None:
        columns = "%s," * len(classes)
        super().__init__(classes, f"%s,%s,{columns}ok,\n", f"%s,,{',' * len(classes)}failed,%s\n")
        self.head = ",".join(self._quoted(["path", "label", *(f"score_{name}" for name in classes), "status", "error"])) + "\n"

    def end(self, data: bytes) -> int:
        characters = np.frombuffer(data, np.uint8)
        quotes = np.cumsum(characters == ord('"'), dtype=np.uint8)  # it may overflow: what counts is whether it is odd
        ends = np.flatnonzero((characters == ord("\n")) & (quotes % 2 == 0))
        return int(ends[-1]) + 1 if len(ends) else 0

    def _quoted(self, texts: list[str]) -> list[str]:
        return quoted(texts)

    def _columns(self, text: str) -> Columns:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        paths, labels, *scores, statuses, errors = zip(*rows, strict=True)
        return paths, labels, np.array([[float(score or "nan") for score in column] for column in scores]).T, statuses, errors


class JsonRows(Rows):
    """An object for each image, on a line of its own, in ASCII."""

    start = '{"path": "'
    kind = FileKind("verdicts as JSON lines", (".jsonl",), start.encode())

    def __init__(self, classes: list[str]) -> None:
        scores = ", ".join(f"{_json(name).replace('%', '%%')}: %s" for name in classes)
        super().__init__(
            classes,
            '{"path": %s, "label": %s, "scores": {' + scores + '}, "status": "ok", "error": null}\n',
            '{"path": %s, "label": null, "scores": null, "status": "failed", "error": %s}\n',
        )

    def end(self, data: bytes) -> int:
        return data.rfind(b"\n") + 1

    def _quoted(self, texts: list[str]) -> list[str]:
        return list(map(_json, texts))

    def _columns(self, text: str) -> Columns:
        records = json.loads("[" + text[:-1].replace("\n", ",") + "]")
        paths, labels, scores, statuses, errors = zip(*map(itemgetter(*FIELDS), records), strict=True)
        unknown = dict.fromkeys(self.classes, np.nan)
        by_class = [unknown if row is None else row for row in scores]
        if any(list(row) != self.classes for row in by_class):
            raise ValueError("the scores are of other classes")
        return paths, labels, np.array([list(row.values()) for row in by_class], np.float64), statuses, errors


def features_head(extractor: str) -> str:
    """What stands before the first row of a file of features."""
    return ",".join(["file_name", *EXTRACTORS[extractor].columns]) + "\n"


def features_text(names: list[str], features: NDArray[np.float64]) -> str:
    """The rows of a file of features, as exact as they are."""
    return "".join(f"{name},{','.join(map(repr, row))}\n" for name, row in zip(quoted(names), features.tolist(), strict=True))


def quoted(texts: list[str]) -> list[str]:
    """The texts as fields of CSV."""
    if not _special("".join(texts)):  # most often, and 50 times as fast as to look at one after another
        return texts
    return ['"' + text.replace('"', '""') + '"' if _special(text) else text for text in texts]


def _special(text: str) -> bool:
    """Whether CSV needs quotes around it. The csv module leaves them out where a "\\r" alone is in it, and cannot read that."""
    return "," in text or '"' in text or "\n" in text or "\r" in text


def decimals(scores: NDArray[np.floating]) -> list[str]:
    """Scores (n,) as text, with six decimals from 0 to 10, where all probabilities are, and six digits elsewhere.

    The digits of a whole column are found at once, four times as fast as by `"%.6f" % score` for each.
    """
    scores = scores.astype(np.float64, copy=False)  # in which six decimals of a float32 are exact enough to be rounded
    usual = (scores >= 0) & (scores < 9.999999)
    rest = np.rint(np.where(usual, scores, 0) * 1e6).astype(np.uint32)
    characters = np.full((len(scores), len("0.000000")), ord("."), np.uint32)
    for place in (7, 6, 5, 4, 3, 2, 0):
        tens = rest // 10
        characters[:, place] = rest - 10 * tens + ord("0")
        rest = tens
    texts = characters.view(f"U{characters.shape[1]}")[:, 0].tolist()
    for index in np.flatnonzero(~usual):
        texts[index] = f"{scores[index]:.6g}"
    return texts


def as_written(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scores from 0 to 10 as they are read again from their decimals; larger and negative ones may differ in the last digit."""
    return scores.astype(np.float64, copy=False).round(6)


def read_rows(path: str, rows: Rows) -> Iterator[tuple[int, Verdicts]]:
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
    with open(path, "rb") as file:
        first = file.read(len(head))
        if not head.startswith(first):
            first += file.readline(len(head))
            raise ValueError(f"{path} cannot be continued: it must begin with {rows.head!r}; it begins with {_shown(first)}")
        end, torn = len(head), b""
        while block := file.read(BLOCK):
            torn += block
            size = rows.end(torn)
            if size:
                try:
                    verdicts = rows.verdicts(torn[:size].decode(*ENCODING))
                except (ValueError, LookupError, TypeError, AttributeError, csv.Error):
                    span = f"bytes {end} to {end + size}"
                    raise ValueError(
                        f"{path} cannot be continued: {span} must be rows of the classes {rows.classes}; "
                        f"they begin with {_shown(torn)}"
                    ) from None
                end, torn = end + size, torn[size:]
                yield end, verdicts
        if end == 0 and not torn.startswith(rows.start.encode()[: len(torn)]):
            raise ValueError(f"{path} cannot be continued: it must begin with {rows.start!r}; it begins with {_shown(torn)}")


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
                image = read_image(read(name), max_pixels)
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


def among(hashes: array[int]) -> Chosen:
    """A function that says which of some paths have one of these 64-bit hashes.

    A million paths are 8 MB. That one of another million is taken for one of them has a chance of 1 to ten million.
    """
    known = np.asarray(hashes)
    known.sort()

    def are_known(paths: list[str]) -> NDArray[np.bool_]:
        own = np.fromiter(map(hash, paths), np.int64, len(paths))
        return np.searchsorted(known, own, "left") < np.searchsorted(known, own, "right")

    return are_known


class Sources:
    """Folders, archives and files, one after another.

    One that stands alone must be there, and the paths in it are as it gives them. Of several, the paths in a folder or archive get
    its own before them, and one that cannot be read, or holds no image, is a row that failed.
    """

    def __init__(self, paths: list[str]) -> None:
        self._alone = len(paths) == 1
        self._reader = cache(reader)
        self._parts: list[tuple[str | list[str], str | None]] = []  # with what stands before its paths; None for single files
        for are_collections, group in groupby(paths, is_collection):
            if are_collections:
                self._parts += [(path, "" if self._alone else os.path.join(path, "")) for path in group]
            else:
                self._parts.append((paths[0] if self._alone else list(group), None))

    def batches(self, model: ImageClassifier, done: Chosen | None, **options: Any) -> Iterator[Batch]:
        """Classify all images but those done, with further options of `ImageClassifier.classify`."""
        for index, (source, prefix) in enumerate(self._parts):
            is_last = index == len(self._parts) - 1
            try:
                for verdicts, left in _batches(model, source, prefix or "", done, **options):
                    yield verdicts, left if is_last else None
            except (OSError, ValueError) as error:
                if self._alone or not isinstance(source, str):
                    raise
                if done is None or not done([source])[0]:
                    reason = f"{source} cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
                    yield Verdicts([source], [None], np.full((1, len(model.classes)), np.nan), [reason]), None

    def read(self, path: str) -> bytes:
        """The bytes of an image, by its path as a batch gives it."""
        for source, prefix in self._parts:
            if isinstance(source, str) and prefix is not None and path.startswith(prefix):
                return self._reader(source)(path.removeprefix(prefix))
        return self._reader("")(path)

    def names_of(self, files: list[str]) -> Iterator[str]:
        """The paths that a batch would give some files, if they lie in one of the folders."""
        for source, prefix in self._parts:
            if isinstance(source, str) and prefix is not None:
                for file in files:
                    yield prefix + os.path.relpath(os.path.realpath(file), os.path.realpath(source)).replace(os.sep, "/")


def _batches(model: ImageClassifier, source: str | list[str], prefix: str, done: Chosen | None, **options: Any) -> Iterator[Batch]:
    passed = 0
    if done is not None:

        def leave_out(paths: list[str]) -> NDArray[np.bool_]:
            nonlocal passed
            left_out = done([prefix + path for path in paths])
            passed += int(left_out.sum())
            return left_out

        options["done"] = leave_out
    batches = model.classify(source, **options)
    for verdicts in batches:
        passed += len(verdicts.paths) + verdicts.skipped
        left = None if batches.total is None else max(batches.total - passed, 0)
        yield verdicts._replace(paths=[prefix + path for path in verdicts.paths]), left


class Tally:
    """What the rows of an output say in sum, and how fast they come."""

    def __init__(self, classes: list[str]) -> None:
        self._labels: Counter[str | None] = Counter(dict.fromkeys(classes, 0))
        self._start = time.monotonic()
        self.skipped = self._before = 0
        self.left: int | None = None  # files that follow, if that is known

    def add(self, verdicts: Verdicts) -> None:
        self._labels.update(verdicts.labels)
        self.skipped += verdicts.skipped

    def begin(self) -> None:
        """What has been added up to now was done before."""
        self._start, self._before = time.monotonic(), self.rows

    @property
    def rows(self) -> int:
        return self._labels.total()

    @property
    def failed(self) -> int:
        return self._labels[None]

    @property
    def _files(self) -> int:
        return self.rows - self._before + self.skipped

    def progress(self) -> tuple[str, float]:
        """In words how far it has come, and as a share, 0 if that is not known."""
        done = self.rows + self.skipped
        total = "" if self.left is None else f" of {done + self.left}"
        words = f"{done}{total} files, {self._files / max(time.monotonic() - self._start, 1e-3):.0f} files/s, {self.failed} failed"
        return words, 0.0 if self.left is None else done / max(1, done + self.left)

    def summary(self) -> str:
        seconds = time.monotonic() - self._start
        counts = [(label, count) for label, count in self._labels.items() if label is not None]
        if len(counts) > LISTED:
            counts = sorted(counts, key=lambda pair: -pair[1])[:LISTED]
            counts.append(("others", self.rows - self.failed - sum(count for _, count in counts)))
        labels = ", ".join(f"{label} {count}" for label, count in counts)
        before = f"; {self._before} of these rows were there before" if self._before else ""
        return (
            f"{self.rows - self.failed} images: {labels}; {self.skipped} skipped, {self.failed} failed{before}; "
            f"{seconds:.1f} s, {self._files / max(seconds, 1e-3):.0f} files/s"
        )
