"""The page of `fastmlp classify --report`: of each class its count, its scores, and its least certain images.

The page needs nothing beside itself: no script, no font, no server. What it costs is bounded, whatever the number of
images: a `Report` keeps counts, and the paths of the few images that the page may show, which are read at the end.
"""

from __future__ import annotations

import os
from bisect import insort
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import attrgetter, lt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastmlp
from fastmlp.commands.classification.page import (
    BINS_PER_UNIT,
    FOOT,
    HEAD,
    HIGHEST,
    LOWEST,
    PATH_LENGTH,
    STYLE,
    TEXT_LENGTH,
    contact_sheet,
    decimal,
    escaped,
    histogram,
    percentage,
    plural,
)
from fastmlp.commands.classification.thumbnails import Read, picture
from fastmlp.writing import FileKind, replacing

PAGE = FileKind("a page of --report", (".html", ".htm"), rb'<!doctype html>.*<meta name="generator" content="fastmlp ')

CLASSES_SHOWN = 1000
IMAGES_SHOWN = 400  # on the page
SHEET = 24  # images of a class
CANDIDATES = 10_000  # images kept in mind, of all classes
FAILURES_SHOWN = 50
THUMBNAIL_BYTES = 1_500_000  # of all of them, as HTML; a thousand classes take as much again at worst

BINS = (HIGHEST - LOWEST) * BINS_PER_UNIT
LARGEST_SCORE = 1e300  # the difference of two such scores is still a number


class Candidate(NamedTuple):
    """An image that the page may show."""

    margin: float
    """How far its best score is ahead of the second."""
    path: str
    score: float
    runner_up: int
    """The class of the second score; with one class only, that class."""
    read: Read


least_certain_first = attrgetter("margin", "path")


class Report:
    """Gathers the rows of a run, batch by batch, and writes the page at the end.

    How the rows are cut in batches does not change the page.

    Attributes
    ----------
    skipped : int
        Files that have no row, as they are no images; for the caller to count.
    """

    def __init__(self, classes: Sequence[str], title: str = "Classification report"):
        self.classes = list(classes)
        self.title = title
        self.skipped = 0
        self.failed = 0
        self._failures: list[tuple[str, str]] = []
        self._index: dict[str | None, int] = {None: -1, **{name: index for index, name in enumerate(self.classes)}}
        self._histogram = np.zeros((len(self.classes), BINS), np.int64)
        self._sheets: list[list[Candidate]] = [[] for _ in self.classes]
        self._sheet_size = max(1, min(SHEET, CANDIDATES // max(1, len(self.classes))))
        # What an image must come before to get on a sheet: the margin and path of the last one there, if the sheet is full.
        self._last: list[tuple[float, str]] = [(np.inf, "")] * len(self.classes)
        self._limits = np.full(len(self.classes), np.inf)  # the margins alone

    def add_rows(
        self, paths: list[str], labels: list[str | None], scores: NDArray[np.floating], errors: list[str | None], read: Read
    ) -> None:
        """Count a batch of n verdicts.

        Parameters
        ----------
        paths, labels, scores, errors
            As in `Verdicts`: scores (n, K), and no label where there is an error.
        read : function
            Gives the bytes of the file at a path. It is called by `write`, for the images that the page shows.
        """
        index = np.fromiter(map(self._index.__getitem__, labels), np.intp, len(labels))
        rows = np.flatnonzero(index >= 0)
        if len(rows) < len(labels):
            self._add_failures(paths, errors, np.flatnonzero(index < 0))
            index, scores = index[rows], scores[rows]

        score = _finite(scores[np.arange(len(rows)), index])
        others = np.array(scores.T, np.float64, order="C")  # (K, n), as that is faster to look through
        if len(others) == 1:
            others[:] = 0.0  # there is no second score: the lowest score is the least certain
        else:
            others[index, np.arange(len(rows))] = -np.inf
        margin = score - _finite(others.max(axis=0))

        # Bins are open below and closed above, so that a probability of 1, a rounding error more at times, is in the bin up to 1.
        bins = np.ceil((score - LOWEST) * BINS_PER_UNIT - 1e-5) - 1
        np.add.at(self._histogram.reshape(-1), index * BINS + np.clip(bins, 0, BINS - 1).astype(np.intp), 1)

        entering = np.flatnonzero(margin <= self._limits[index])
        keys = zip(margin[entering].tolist(), map(paths.__getitem__, rows[entering].tolist()), strict=True)
        lasts = map(self._last.__getitem__, index[entering].tolist())
        for place in compress(entering.tolist(), map(lt, keys, lasts)):  # one by one, as those that enter change the lasts
            runner_up = int(others[:, place].argmax())
            candidate = Candidate(float(margin[place]), paths[rows[place]], float(score[place]), runner_up, read)
            self._enter(int(index[place]), candidate)

    def _enter(self, index: int, candidate: Candidate) -> None:
        sheet = self._sheets[index]
        insort(sheet, candidate, key=least_certain_first)
        del sheet[self._sheet_size :]
        if len(sheet) == self._sheet_size:
            self._last[index] = least_certain_first(sheet[-1])
            self._limits[index] = sheet[-1].margin

    def _add_failures(self, paths: list[str], errors: list[str | None], rows: NDArray[np.intp]) -> None:
        self.failed += len(rows)
        for row in rows[: FAILURES_SHOWN - len(self._failures)].tolist():
            self._failures.append((paths[row], errors[row] or "It has no label."))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page; what stands at `path` is replaced at the end, or not at all.

        Raises
        ------
        OSError
            If the page cannot be written. An image that cannot be read is no error: its place says why.
        ValueError
            If something else than such a page is there.
        """
        with replacing(path, PAGE, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(self._page())

    # -- The page ----------------------------------------------------------------------------------------------------------

    def _page(self) -> Iterator[str]:
        counts = self._histogram.sum(axis=1)
        by_count = np.argsort(-counts, kind="stable")
        listed = sorted(by_count[:CLASSES_SHOWN].tolist())
        tiles = self._tiles(listed)
        shown = sum(map(len, tiles.values()))

        title = escaped(self.title, TEXT_LENGTH)
        yield HEAD.format(title=title, version=escaped(fastmlp.__version__), style=STYLE)
        yield f"<header>\n<h1>{title}</h1>\n"
        yield from self._totals(int(counts.sum()), len(self.classes))
        yield "</header>\n<main>\n"
        if counts.any():
            yield from self._overview(listed, counts)
            yield from self._legend(listed, shown)
        else:
            yield '<p class="lead">No image was classified.</p>\n'
        first, last = self._shown_bins()
        yield '<div class="classes">\n'
        for index in listed:
            if counts[index]:
                small = ' class="small"' if len(tiles.get(index, [])) < 2 else ""
                images, share = plural(counts[index], "image"), percentage(counts[index], counts.sum())
                yield (
                    f'<section id="c{index}"{small}>\n<h2>{escaped(self.classes[index])}</h2>\n'
                    f'<p class="count"><b>{counts[index]:,}</b> {images}, {share}</p>\n<div class="class">\n'
                )
                yield histogram(self._histogram[index, first:last], first)
                yield from contact_sheet(tiles.get(index, []), int(counts[index]))
                yield "</div>\n</section>\n"
        yield "</div>\n"
        yield from self._failures_section()
        yield FOOT

    def _totals(self, classified: int, classes: int) -> Iterator[str]:
        failed = f'<a href="#failed">{self.failed:,}</a>' if self.failed else "0"
        totals = [
            (f"{classified:,}", f"{plural(classified, 'image')} classified"),
            (failed, "failed"),
            (f"{self.skipped:,}", f"{plural(self.skipped, 'other file')} skipped"),
            (f"{classes:,}", plural(classes, "class", "classes")),
        ]
        yield '<dl class="totals">\n'
        for number, name in totals:
            bad = ' class="bad"' if name == "failed" and self.failed else ""
            yield f"<div{bad}><dt>{name}</dt><dd>{number}</dd></div>\n"
        yield "</dl>\n"

    def _overview(self, listed: list[int], counts: NDArray[np.int64]) -> Iterator[str]:
        """A table of the classes, folded where it is long."""
        few = len(listed) <= SHEET
        yield "<nav>\n" if few else f"<nav>\n<details>\n<summary>The counts of {len(listed):,} classes</summary>\n"
        heads = "".join(f'<th scope="col">{name}</th>' for name in ("Class", "Images", "Share"))
        yield f"<table>\n<thead><tr>{heads}<td></td></tr></thead>\n"
        total, most = counts.sum(), counts.max()
        for index in listed:
            name, count = escaped(self.classes[index]), counts[index]
            link = f'<a href="#c{index}">{name}</a>' if count else name
            bar = f'<i style="width:{100 * count / most:.3g}%"></i>' if count else ""
            yield f'<tr><th scope="row">{link}</th><td>{count:,}</td><td>{percentage(count, total)}</td><td>{bar}</td></tr>\n'
        yield "</table>\n" if few else "</table>\n</details>\n"
        yield "</nav>\n"

    def _legend(self, listed: list[int], shown: int) -> Iterator[str]:
        yield (
            '<p class="lead">An image belongs to the class of its best score. The less that score is ahead of the second best, '
            "the less certain it is; each class shows its least certain images first.</p>\n"
        )
        if len(listed) < len(self.classes):
            yield f'<p class="note">Shown are the {len(listed):,} most frequent of {len(self.classes):,} classes.</p>\n'
        if shown < sum(min(SHEET, int(self._histogram[index].sum())) for index in listed):
            yield (
                f'<p class="note">To stay small, this page shows {shown:,} images in all; some classes show fewer than '
                "others, or none.</p>\n"
            )
        if self._histogram[:, 0].any():
            yield f'<p class="note">The first bar of a histogram also counts the scores below {decimal(LOWEST, 0)}.</p>\n'
        if self._histogram[:, -1].any():
            yield f'<p class="note">The last bar of a histogram also counts the scores above {HIGHEST}.</p>\n'

    def _shown_bins(self) -> tuple[int, int]:
        """From 0 to 1, or in steps of a half as far as there are scores outside."""
        half = BINS_PER_UNIT // 2
        used = np.flatnonzero(self._histogram.any(axis=0).reshape(-1, half).any(axis=1)).tolist() or [2]
        return min(used[0], 2) * half, (max(used[-1], 3) + 1) * half

    def _tiles(self, listed: list[int]) -> dict[int, list[str]]:
        """The images on each class's contact sheet, as HTML: the least certain one of each class, then the second, and so on."""
        ranked = [
            (rank, candidate.margin, candidate.path, index)
            for index in listed
            for rank, candidate in enumerate(self._sheets[index])
        ]
        tiles: dict[int, list[str]] = {}
        size = 0
        for rank, _, _, index in sorted(ranked)[:IMAGES_SHOWN]:
            tile = self._tile(index, self._sheets[index][rank])
            size += len(tile)
            if size > THUMBNAIL_BYTES:
                break
            tiles.setdefault(index, []).append(tile)
        return tiles

    def _tile(self, index: int, candidate: Candidate) -> str:
        path, label = escaped(candidate.path, PATH_LENGTH), escaped(self.classes[index])
        shown = picture(candidate.read, candidate.path, f"{path}, taken for {label}")
        second = ""
        if candidate.runner_up != index:
            score = decimal(candidate.score - candidate.margin)
            second = f'<span class="second"><bdi>{escaped(self.classes[candidate.runner_up], 24)}</bdi> {score}</span>'
        return (
            f'<figure title="{escaped(candidate.path, TEXT_LENGTH)}">{shown}<figcaption><b>{decimal(candidate.score)}</b>{second}'
            f'<span class="path">{path}</span></figcaption></figure>\n'
        )

    def _failures_section(self) -> Iterator[str]:
        if not self.failed:
            return
        first = f"; the first {len(self._failures)} of them" if len(self._failures) < self.failed else ""
        yield (
            f'<section id="failed">\n<h2>Failed</h2>\n'
            f'<p class="count"><b>{self.failed:,}</b> {plural(self.failed, "image")}{first}</p>\n<ul>\n'
        )
        for path, error in self._failures:
            reason = error.removeprefix(f"{path} ")  # most messages begin with the path
            yield f'<li><span class="path">{escaped(path, TEXT_LENGTH)}</span> {escaped(reason, TEXT_LENGTH)}</li>\n'
        yield "</ul>\n</section>\n"


def _finite(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.clip(np.nan_to_num(values.astype(np.float64)), -LARGEST_SCORE, LARGEST_SCORE)
