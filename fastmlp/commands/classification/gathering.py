"""What a report keeps in mind of the rows of a run: counts, and the few images that its page may show. It is bounded, whatever the
number of rows, and the same however they are cut in batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import nsmallest
from itertools import repeat
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification.page import BINS_PER_UNIT, HIGHEST, LOWEST
from fastmlp.commands.classification.thumbnails import Read

CANDIDATES = 10_000  # images kept in mind, of all classes
LEAST_CERTAIN, OTHERS = 32, 12  # of a class; more than the page shows, as near-duplicates are folded together
FAILURES_SHOWN = 50
BINS = (HIGHEST - LOWEST) * BINS_PER_UNIT
CLOSE = 0.2  # the best and the second best score of an image that could be of either class are less apart
LARGEST_SCORE = 1e300  # the difference of two such scores is still a number
WAITING = 128  # candidates that may come before those that are left behind are dropped
MARGIN = 16  # bytes around paths, so that words of 8 bytes may begin before and end behind them

# What a threshold may be: in steps of 0.01, and finer at the end, where a good classifier has most of its scores.
THRESHOLDS = np.concatenate([np.arange(100) / 100, np.arange(991, 1000) / 1000, [1.0]])
STEPS = np.append(0, np.searchsorted(THRESHOLDS, np.arange(1001) / 1000, side="right"))  # of scores below 0, and of each 0.001


class Candidate(NamedTuple):
    """An image that the page may show."""

    label: int
    """Its class."""
    margin: float
    """How far its best score is ahead of the second."""
    score: float
    runner_up: int
    """The class of the second score; with one class only, that class."""
    path: str
    read: Read


class Keys(NamedTuple):
    """What n candidates are put in order by."""

    label: NDArray[np.intp]
    """Their classes."""
    key: NDArray[np.float64]
    tie: NDArray[np.uint32]
    """What decides where keys are the same."""

    def at(self, rows: NDArray[np.intp]) -> Keys:
        """Those of some rows."""
        return Keys(self.label[rows], self.key[rows], self.tie[rows])


class FirstOfEach:
    """Of each class the candidates with the lowest keys, of any number that are added; where keys are the same, by another one."""

    def __init__(self, classes: int, size: int) -> None:
        self._size, self._most = size, classes * size
        # What a candidate must come before to be kept: the last one, where there are as many as are kept.
        self._last_keys, self._last_ties = np.full(classes, np.inf), np.zeros(classes, np.uint32)
        self._parts: list[Keys] = []
        self._candidates: list[Candidate] = []

    def entering(
        self, label: NDArray[np.intp], key: NDArray[np.float64], ties: Callable[[NDArray[np.intp]], NDArray[np.uint32]]
    ) -> tuple[NDArray[np.intp], Keys]:
        """Which of some candidates must be added, and their keys; `ties` gives the second ones of some rows."""
        rows = np.flatnonzero(key <= self._last_keys[label])
        keys = Keys(label[rows], key[rows], ties(rows))
        enters = np.flatnonzero((keys.key < self._last_keys[keys.label]) | (keys.tie < self._last_ties[keys.label]))
        if len(enters) > self._most + WAITING:
            enters = enters[self._first(keys.at(enters))]
        return rows[enters], keys.at(enters)

    def add(self, keys: Keys, candidates: Iterable[Candidate]) -> None:
        """Keep candidates in mind, as long as they are among the first of their class."""
        self._parts.append(keys)
        self._candidates += candidates
        if len(self._candidates) > self._most + WAITING:
            self._settle()

    def _settle(self) -> list[Candidate]:
        """Drop all but the first of each class; they are in order, class by class."""
        if self._parts:
            keys = Keys(*map(np.concatenate, zip(*self._parts, strict=True)))
            first = self._first(keys)
            keys = keys.at(first)
            self._parts, self._candidates = [keys], [self._candidates[place] for place in first.tolist()]
        return self._candidates

    def by_class(self) -> list[list[Candidate]]:
        """The first of each class, in order."""
        found: list[list[Candidate]] = [[] for _ in self._last_keys]
        for candidate in self._settle():
            found[candidate.label].append(candidate)
        return found

    def _first(self, keys: Keys) -> NDArray[np.intp]:
        """Where the first of each class are; what else is to enter must come before the last of them."""
        order = np.lexsort((keys.tie, keys.key, keys.label))
        label = keys.label[order]
        rank = np.arange(len(order)) - np.searchsorted(label, label)
        label, last = label[rank == self._size - 1], order[rank == self._size - 1]
        self._last_keys[label], self._last_ties[label] = keys.key[last], keys.tie[last]
        return order[rank < self._size]


class Gathered:
    """Counts of the rows of a run, and candidates for its page.

    Attributes
    ----------
    histogram : (K, BINS) int64
        How many images of each class have such a best score.
    steps : (K, T + 1) int64
        How many of each class have a best score below the first threshold, between it and the second, ..., from the last one on.
    least_certain, most_typical, random : FirstOfEach
        Images of each class: with the least margins, the largest margins, and by a hash of the path.
    failed, failures : int, list of (path, error)
        How many have no label, and the first of them.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        count = len(classes)
        self._index: dict[str | None, int] = {None: -1, **{name: index for index, name in enumerate(classes)}}
        self.histogram = np.zeros((count, BINS), np.int64)
        self.steps = np.zeros((count, len(THRESHOLDS) + 1), np.int64)
        half = CANDIDATES // 2 // max(1, count)
        self.least_certain = FirstOfEach(count, max(1, min(LEAST_CERTAIN, half)))
        self.most_typical, self.random = (FirstOfEach(count, max(1, min(OTHERS, half // 2))) for _ in range(2))
        self.failed, self.failures = 0, list[tuple[str, str]]()
        self._pairs: Counter[int] = Counter()
        self._memory = np.empty(0)

    def add(
        self, paths: list[str], labels: list[str | None], scores: NDArray[np.floating], errors: list[str | None], read: Read
    ) -> None:
        """Count a batch of verdicts, as `Report.add_rows` is given it."""
        label = np.fromiter(map(self._index.__getitem__, labels), np.intp, len(labels))
        if (label < 0).any():
            self._add_failures(paths, errors, np.flatnonzero(label < 0))
            rows = np.flatnonzero(label >= 0)
            label, scores, paths = label[rows], scores[rows], [paths[row] for row in rows.tolist()]
        if not paths:
            return

        if self._memory.size < scores.size:
            self._memory = np.empty(scores.size)
        flat = self._memory[: scores.size]  # memory anew for each batch takes longer than to fill it
        others: NDArray[np.float64] = flat.reshape(scores.shape)
        others[:] = scores
        starts = np.arange(0, others.size, others.shape[1])
        score = _finite(flat[starts + label])
        flat[starts + label] = -np.inf
        if others.shape[1] == 1:
            others[:] = 0.0  # there is no second score: the lowest score is the least certain
        runner_up = others.argmax(axis=1)
        margin = score - _finite(flat[starts + runner_up])

        # Bins are open below and closed above, so that a probability of 1, a rounding error more at times, is in the bin up to 1.
        bins = np.ceil((score - LOWEST) * BINS_PER_UNIT - 1e-5) - 1
        np.add.at(self.histogram.reshape(-1), label * BINS + np.clip(bins, 0, BINS - 1).astype(np.intp), 1)
        thousandths = np.clip(np.floor(score * 1000 + 1e-6), -1, 1000).astype(np.intp)
        np.add.at(self.steps.reshape(-1), label * self.steps.shape[1] + STEPS[thousandths + 1], 1)
        close = np.flatnonzero((margin < CLOSE) & (runner_up != label))
        pairs, times = np.unique(label[close] * len(self.steps) + runner_up[close], return_counts=True)
        self._pairs.update(dict(zip(pairs.tolist(), times.tolist(), strict=True)))

        shuffled = _shuffled(paths)
        for kind, key, ties in (
            (self.least_certain, margin, shuffled.__getitem__),
            (self.most_typical, -margin, shuffled.__getitem__),
            (self.random, shuffled.astype(np.float64), partial(_checksums, paths)),
        ):
            entering, keys = kind.entering(label, key, ties)
            if len(entering):
                columns = (label[entering], margin[entering], score[entering], runner_up[entering])
                own = [paths[row] for row in entering.tolist()]
                kind.add(keys, map(Candidate, *(column.tolist() for column in columns), own, repeat(read)))

    def confused(self, most: int) -> list[tuple[int, int, int]]:
        """Pairs of classes that are best and second best with scores close to each other, and how often; the most frequent ones."""
        first = nsmallest(most, self._pairs.items(), key=lambda item: (-item[1], item[0]))
        return [(*divmod(pair, len(self.steps)), count) for pair, count in first]

    def _add_failures(self, paths: list[str], errors: list[str | None], rows: NDArray[np.intp]) -> None:
        self.failed += len(rows)
        for row in rows[: FAILURES_SHOWN - len(self.failures)].tolist():
            self.failures.append((paths[row], errors[row] or "It has no label."))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.abs(values).max() < LARGEST_SCORE:  # of a NaN it is none
        return values
    return np.clip(np.nan_to_num(values), -LARGEST_SCORE, LARGEST_SCORE)


def _shuffled(paths: list[str]) -> NDArray[np.uint32]:
    """A number for each path that looks random and is always the same.

    It is made of the 8 bytes before the last 4, which most often are ".png": whole paths would take longer than all the rest.
    """
    nothing = "\0" * MARGIN
    text = "\0".join([nothing, *paths, nothing]).encode("utf-8", "surrogatepass")  # some are no UTF-8
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0)[MARGIN:-MARGIN]  # the first one is where the first path begins
    if len(ends) != 1 + len(paths):  # one holds a NUL, which a file cannot
        return np.concatenate([_shuffled([path.replace("\0", "/")]) for path in paths])
    data, first = np.frombuffer(text, "<u8", len(text) // 8), ends[1:] - 12
    bits = (8 * (first & 7)).astype(np.uint64)
    word = (data[first >> 3] >> bits) | (data[(first >> 3) + 1] << (np.uint64(64) - bits))  # by 64 a word is shifted to 0
    short = np.maximum(13 - np.diff(ends), 0)  # so many bytes of it are of the path before
    word >>= (8 * short).astype(np.uint64)
    word *= np.uint64(0x9E3779B97F4A7C15)  # mixed as in SplitMix64
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return (word >> np.uint64(32)).astype(np.uint32)


def _checksums(paths: list[str], rows: NDArray[np.intp]) -> NDArray[np.uint32]:
    """Numbers made of whole paths."""
    own = (paths[row].encode("utf-8", "surrogatepass") for row in rows.tolist())
    return np.fromiter(map(crc32, own), np.uint32, len(rows))
