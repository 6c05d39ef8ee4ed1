"""Verdicts of hostile names and classes, and how the rows of an output are read again."""

from itertools import compress

import numpy as np
import pytest

from fastmlp.commands.classification.resuming import read_rows
from fastmlp.commands.classification.rows import CsvRows, JsonRows
from fastmlp.images.verdicts import Verdicts

CLASSES = ["100 %", 'a "b", c', "multi\nline", "été"]
PATHS = ["a.png", 'b,"b".png', "c\nc\n\n.png", "d\r.png", "e\r\n\udcff\udc80.png", "", '"', "été/日本.png", "%s.png", "last.png"]
FORMATS = pytest.mark.parametrize("kind", [CsvRows, JsonRows])


def verdicts_of(paths, classes=CLASSES):
    """Verdicts of which every third one is an error."""
    scores = np.random.default_rng(len(paths)).random((len(paths), len(classes)))
    labels = [classes[best] for best in scores.argmax(axis=1)]
    errors = [None] * len(paths)
    for index in range(2, len(paths), 3):
        scores[index], labels[index], errors[index] = np.nan, None, f"{paths[index]} is damaged, as\nit seems"
    return Verdicts(list(paths), labels, scores, errors)


def only(verdicts, chosen):
    """The rows that are chosen."""
    paths, labels, scores, errors, *_ = verdicts
    paths, labels, errors = (list(compress(column, chosen)) for column in (paths, labels, errors))
    return Verdicts(paths, labels, scores[np.asarray(chosen)], errors)


def encoded(text):
    return text.encode("utf-8", "surrogateescape")


def read(path, rows):
    """Where the whole rows end, and what they say."""
    end, parts = 0, []
    for end, verdicts in read_rows(str(path), rows):  # noqa: B007
        parts.append(verdicts)
    return end, parts


def same(parts, expected):
    """Whether parts of verdicts say what others do, to the digits that are written."""
    assert [path for part in parts for path in part.paths] == expected.paths
    assert [label for part in parts for label in part.labels] == expected.labels
    assert [error for part in parts for error in part.errors] == expected.errors
    scores = np.concatenate([np.empty((0, expected.scores.shape[1])), *(part.scores for part in parts)])
    assert np.allclose(scores, expected.scores, rtol=0, atol=0.51e-6, equal_nan=True)
