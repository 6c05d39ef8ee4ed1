"""The page of `fastmlp evaluate --report` and of `fastmlp review --report`: which labelled images are taken for another class, how
surely, and how often scores come true."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification.page import (
    PATH_LENGTH,
    TEXT_LENGTH,
    contact_sheet,
    decimal,
    escaped,
    foot,
    head,
    listed,
    percentage,
    plural,
    totals,
)
from fastmlp.commands.classification.report import PAGE
from fastmlp.commands.classification.thumbnails import figure, link_to, picture
from fastmlp.images.reading import reader
from fastmlp.images.reviewing import Review
from fastmlp.images.sources.urls import is_url, is_web_folder
from fastmlp.writing import replacing

SUREST = 48  # images that are most surely taken for another class
PAIRS = 6  # of classes that are confused most often
PAIR = 8  # images of each pair, and so many that are right beside them
CONFUSION = 40  # classes up to which the matrix is shown
FAILURES = 50
BINS = 10  # of scores, in which they are compared with how many are right

OWN_STYLE = """\
.matrix td, .matrix thead th { padding: .35rem .6rem; width: auto; text-align: right; }
.matrix td { background: color-mix(in srgb, var(--tone) var(--share), transparent); }
.pair { margin-bottom: 2.5rem; }
.reliability { max-width: 24rem; height: 24rem; border-left: 1px solid var(--soft); }
.reliability circle { fill: var(--bar); }
.wide { overflow-x: auto; }
section > .lead, .wide { margin: .75rem 0 1.25rem; }
section > h2 + .pair { margin-top: 1.25rem; }
"""


def write_mistakes(path: str, review: Review, title: str, source: str) -> None:
    """Write the page on what a source holds; what stands at `path` is replaced at the end, or not at all.

    Raises
    ------
    OSError, ValueError
        If the page cannot be written; if something else than such a page is there.
    """
    with replacing(path, PAGE, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(_Page(review, title, source, os.path.dirname(os.path.realpath(path))).lines())


class _Page:
    def __init__(self, review: Review, title: str, source: str, folder: str) -> None:
        self.review, self.title, self.source, self.folder = review, title, source, folder  # that it will be in
        self.is_apart = os.path.isfile(source) or is_url(source)  # images are within what is no folder here
        self.read = reader(source if self.is_apart else "")
        self.numbers, self.taken = review.numbers, review.scores.argmax(axis=1)
        self.suspects = review.suspects.tolist()

    def lines(self) -> Iterator[str]:
        review, evaluation = self.review, self.review.evaluation
        n, wrong = len(review.paths), len(self.suspects)
        yield head(self.title, OWN_STYLE) + totals(
            (f"{n:,}", plural(n, "image")),
            (f"{wrong:,}", "taken for another class"),
            (percentage(n - wrong, n), "right"),
            (f"{len(review.errors):,}", "cannot be read"),
        )
        yield "</header>\n<main>\n"
        yield from self._surest()
        yield from self._pairs(evaluation.most_confused(PAIRS))
        if len(review.classes) <= CONFUSION:
            yield from self._matrix(evaluation.confusion)
        yield from self._reliability()
        if review.errors:
            errors = listed(escaped(error, TEXT_LENGTH) for error in review.errors[:FAILURES])
            yield f"<section>\n<h2>Not read</h2>\n{errors}</section>\n"
        yield foot()

    def _surest(self) -> Iterator[str]:
        if not self.suspects:
            yield '<p class="lead">All images are taken for the class of their label.</p>\n'
            return
        yield (
            "<section>\n<h2>Most surely another class</h2>\n"
            '<p class="lead">Either the label is wrong, or there is something to be learned from these.</p>\n<div class="sheet">\n'
        )
        for row in self.suspects[:SUREST]:
            yield self._tile(row)
        yield "</div>\n</section>\n"

    def _pairs(self, pairs: list[tuple[str, str, int]]) -> Iterator[str]:
        if not pairs:
            return
        yield "<section>\n<h2>Most often confused</h2>\n"
        names = {name: number for number, name in enumerate(self.review.classes)}
        for label, other, count in pairs:
            own, taken = names[label], names[other]
            rows = [row for row in self.suspects if self.numbers[row] == own and self.taken[row] == taken]
            title = f"{escaped(label)}, taken for {escaped(other)}: {count:,} {plural(count, 'time')}"
            yield '<div class="pair">\n' + contact_sheet(title, map(self._tile, rows[:PAIR]))
            right = np.flatnonzero((self.numbers == taken) & (self.taken == taken))
            best = right[np.argsort(-self.review.scores[right, taken], kind="stable")[:PAIR]]
            yield contact_sheet(f"{escaped(other)}, as it is known best", map(self._tile, best.tolist())) + "</div>\n"
        yield "</section>\n"

    def _matrix(self, confusion: NDArray[np.number]) -> Iterator[str]:
        """Of each class a row: what its images are taken for."""
        yield '<section>\n<h2>What each class is taken for</h2>\n<div class="wide"><table class="matrix">\n<thead><tr><td></td>'
        yield from (f'<th scope="col">{escaped(name, 24)}</th>' for name in self.review.classes)
        yield "</tr></thead>\n"
        for own, (name, counts) in enumerate(zip(self.review.classes, confusion.tolist(), strict=True)):
            yield f'<tr><th scope="row">{escaped(name)}</th>'
            for taken, count in enumerate(counts):
                share = 60 * count / max(1, sum(counts))
                tone = "bar" if own == taken else "bad"
                yield f'<td style="--tone:var(--{tone});--share:{share:.3g}%">{count:,}</td>' if count else "<td></td>"
            yield "</tr>\n"
        yield "</table></div>\n</section>\n"

    def _reliability(self) -> Iterator[str]:
        """How many are right of those with such a score, as points whose area tells how many there are."""
        best = np.clip(self.review.scores.max(axis=1), 0, 1)
        right = self.taken == self.numbers
        places = np.minimum((best * BINS).astype(np.intp), BINS - 1)
        counts = np.bincount(places, minlength=BINS)
        used = np.flatnonzero(counts)
        said, true = (np.bincount(places, values, BINS)[used] / counts[used] for values in (best, right))
        gap = float(np.abs(said - true) @ counts[used] / counts.sum())
        yield (
            '<section>\n<h2>Whether scores come true</h2>\n<p class="lead">Across: what the best score of an image says. Up: how '
            "many of such images are right. On the line both are the same; below it the scores promise too much. "
            f"On the average they are {decimal(gap)} apart (expected calibration error).</p>\n"
            '<svg class="reliability" viewBox="-2 -2 104 104" role="img" aria-label="Reliability diagram">'
            '<path class="line" d="M0 100L100 0"/>'
        )
        for count, x, y in zip(counts[used].tolist(), (100 * said).tolist(), (100 - 100 * true).tolist(), strict=True):
            text = f"{count:,} {plural(count, 'image')}: said {x / 100:.3f}, right {1 - y / 100:.3f}"
            radius = 1 + 5 * (count / counts.max()) ** 0.5
            yield f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}"><title>{text}</title></circle>'
        yield "</svg>\n</section>\n"

    def _tile(self, row: int) -> str:
        review, path = self.review, self.review.paths[row]
        label, other = (escaped(review.classes[number], 24) for number in (self.numbers[row], self.taken[row]))
        within = path.removeprefix(review.folder).lstrip(os.sep)
        shown = within if self.is_apart else path
        image = picture(self.read, shown, f"{escaped(within, PATH_LENGTH)}, labelled {label}").html
        scores = review.scores[row]
        verdict = f"<b>{other}</b> {decimal(scores.max())}"
        if self.taken[row] != self.numbers[row]:
            verdict += f'<span class="second">label <bdi>{label}</bdi> {decimal(scores[self.numbers[row]])}</span>'
        place = self.source if os.path.isfile(self.source) else path
        is_linked = not is_url(self.source) or is_web_folder(self.source)
        return figure(image, verdict, path, link_to(place, self.folder) if is_linked else None, within)
