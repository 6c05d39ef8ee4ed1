"""Rows of text: verdicts as CSV or as JSON lines, which are read again by the same class; and features as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from fastmlp.images.extractors import EXTRACTORS
from fastmlp.images.verdicts import Verdicts
from fastmlp.writing import FileKind

FIELDS = ("path", "label", "scores", "status", "error")
EXACT = 1e9  # scores below it have six decimals
STATUSES = {"ok", "failed", "retry"}
FEATURES = FileKind("features as CSV", (".csv",), rb"file_name,feature1\b")

# Path, label, scores (n, K), status and error of each row.
Columns = tuple[Sequence[str], Sequence[str | None], NDArray[np.float64], Sequence[str], Sequence[str | None]]

_json = json.JSONEncoder().encode  # json.dumps looks for options first, which takes twice as long


class RowFormat:
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
        self._fine, self._failed = fine, failed  # formats of (path, label, *scores) and of (path, status, error)
        self._labels: dict[str | None, str] = dict(zip(classes, self._quoted(classes), strict=True))

    def text(self, verdicts: Verdicts) -> str:
        """The rows of a batch."""
        paths = self._quoted(verdicts.paths)
        labels = map(self._labels.get, verdicts.labels)
        rows = list(map(self._fine.__mod__, zip(paths, labels, *map(decimals, verdicts.scores.T), strict=True)))
        again = set(verdicts.retry)
        for index, error in enumerate(verdicts.errors):
            if error is not None:
                status = "retry" if index in again else "failed"
                rows[index] = self._failed % (paths[index], status, *self._quoted([error]))
        return "".join(rows)

    def end(self, data: bytes, quoted: bool) -> tuple[int, bool]:
        """Where the last whole row in `data` ends, 0 if none does, and whether `data` ends within quotes, as it may begin."""
        raise NotImplementedError

    def verdicts(self, text: str) -> Verdicts:
        """What some whole rows say; for text that is something else, an exception of many a kind."""
        return read_again(self._columns(text), self.classes)

    def _quoted(self, texts: list[str]) -> list[str]:
        raise NotImplementedError

    def _columns(self, text: str) -> Columns:
        raise NotImplementedError


class CsvRows(RowFormat):
    """A row for each image below a header; what has a comma, a quote or a line end in it stands in quotes."""

    kind = FileKind("verdicts as CSV", (".csv",), rb'path,label,"?score_')

    def __init__(self, classes: list[str]) -> None:
        columns = "%s," * len(classes)
        super().__init__(classes, f"%s,%s,{columns}ok,\n", f"%s,,{',' * len(classes)}%s,%s\n")
        self.head = ",".join(self._quoted(["path", "label", *(f"score_{name}" for name in classes), "status", "error"])) + "\n"

    def end(self, data: bytes, quoted: bool) -> tuple[int, bool]:
        characters = np.frombuffer(data, np.uint8)
        quotes = np.cumsum(characters == ord('"'), dtype=np.uint8) + quoted  # it may overflow: what counts is whether it is odd
        ends = np.flatnonzero((characters == ord("\n")) & (quotes % 2 == 0))
        return int(ends[-1]) + 1 if len(ends) else 0, bool(quotes[-1] % 2)

    def _quoted(self, texts: list[str]) -> list[str]:
        return quoted(texts)

    def _columns(self, text: str) -> Columns:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        paths, labels, *scores, statuses, errors = zip(*rows, strict=True)
        return paths, labels, np.array([[float(score or "nan") for score in column] for column in scores]).T, statuses, errors


class JsonRows(RowFormat):
    """An object for each image, on a line of its own, in ASCII."""

    start = '{"path": "'
    kind = FileKind("verdicts as JSON lines", (".jsonl",), start.encode())

    def __init__(self, classes: list[str]) -> None:
        scores = ", ".join(f"{_json(name).replace('%', '%%')}: %s" for name in classes)
        super().__init__(
            classes,
            '{"path": %s, "label": %s, "scores": {' + scores + '}, "status": "ok", "error": null}\n',
            '{"path": %s, "label": null, "scores": null, "status": "%s", "error": %s}\n',
        )

    def end(self, data: bytes, quoted: bool) -> tuple[int, bool]:
        return data.rfind(b"\n") + 1, False

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


ROW_FORMATS: dict[str, type[CsvRows] | type[JsonRows]] = {"csv": CsvRows, "jsonl": JsonRows}  # by the endings of files


def read_again(columns: Columns, classes: list[str]) -> Verdicts:
    """What some rows say; a ValueError if they are no verdicts of these classes."""
    paths, labels, scores, statuses, errors = columns
    fine = [status == "ok" for status in statuses]
    of_fine = {label for label, ok in zip(labels, fine, strict=True) if ok}
    words = {*map(type, paths), *(type(error) for error, ok in zip(errors, fine, strict=True) if not ok)}
    if words != {str} or not set(statuses) <= STATUSES:
        raise ValueError("a row has other words")
    if not of_fine <= set(classes) or scores.shape[1] != len(classes):
        raise ValueError("a row does not fit the classes")
    if not np.isfinite(scores[fine]).all():
        raise ValueError("a row lacks scores")
    return Verdicts(
        list(paths),
        [label if ok else None for label, ok in zip(labels, fine, strict=True)],
        scores,
        [None if ok else error for error, ok in zip(errors, fine, strict=True)],
        retry=[index for index, status in enumerate(statuses) if status == "retry"],
    )


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
    usual = (scores >= 0) & (scores < 9.9999995)
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
    exact = scores.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        return np.where(np.abs(exact) < EXACT, exact.round(6), exact)
