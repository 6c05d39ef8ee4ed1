"""The page of `fastmlp classify --report`: how sure the classifier is, what it confuses, and of each class images that tell most.

The page needs nothing beside itself: no font, no server, and its one script only for a slider. What it costs is bounded, whatever
the number of images: a `Report` keeps counts, and the paths of the few images that the page may show, which are read at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification import threshold
from fastmlp.commands.classification.gathering import Gathered
from fastmlp.commands.classification.page import (
    BINS_PER_UNIT,
    HIGHEST,
    LOWEST,
    TEXT_LENGTH,
    contact_sheet,
    decimal,
    escaped,
    foot,
    head,
    histogram,
    listed,
    percentage,
    plural,
    totals,
)
from fastmlp.commands.classification.sheets import SHEET, Sheets
from fastmlp.commands.classification.threshold import ClassCounts, threshold_section
from fastmlp.commands.classification.thumbnails import Read, link_to
from fastmlp.writing import FileKind, replacing

PAGE = FileKind("a page of --report", (".html", ".htm"), rb'<!doctype html>.*<meta name="generator" content="fastmlp ')

CLASSES_SHOWN = 1000
PAGE_BYTES = 2_800_000  # and as the titles of images come beside that, less than 3 MB

STYLE = (
    threshold.STYLE
    + """\
.pairs { margin-top: 1.25rem; }
"""
)


class Report:
    """Gathers the rows of a run, batch by batch, and writes the page at the end.

    How the rows are cut in batches does not change the page.

    Parameters
    ----------
    classes : list of str
    title : str
    about : sequence of (str, str)
        What the page says of the run: names and values.
    place : function, optional
        Gives the path of the file of an image, or None if it is in no file of its own. Images become links to these.

    Attributes
    ----------
    skipped : int
        Files that have no row, as they are no images; for the caller to count.
    """

    def __init__(
        self,
        classes: Sequence[str],
        title: str = "Classification report",
        about: Sequence[tuple[str, str]] = (),
        place: Callable[[str], str | None] | None = None,
    ):
        self.classes = list(classes)
        self.title, self.about = title, about
        self.skipped = 0
        self._place = place
        self._gathered = Gathered(self.classes)

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
        self._gathered.add(paths, labels, scores, errors, read)

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
            file.writelines(self._page(os.path.dirname(os.path.realpath(path))))

    # -- The page ----------------------------------------------------------------------------------------------------------

    def _page(self, folder: str) -> Iterator[str]:
        def link(path: str) -> str | None:
            place = None if self._place is None else self._place(path)
            return None if place is None else link_to(place, folder)

        counts = self._gathered.steps.sum(axis=1)
        by_count = np.argsort(-counts, kind="stable")
        shown = sorted(by_count[:CLASSES_SHOWN].tolist())
        sheets = Sheets(self._gathered, self.classes, shown, link)
        sheets.fill(PAGE_BYTES - sum(len(part.encode()) for part in self._lines(shown, sheets)))  # what there is without images
        return self._lines(shown, sheets)

    def _lines(self, shown: list[int], sheets: Sheets) -> Iterator[str]:
        steps = self._gathered.steps
        counts = steps.sum(axis=1)
        script = threshold.SCRIPT if counts.any() else ""
        yield head(self.title, STYLE, script)
        yield from self._about()
        yield self._totals(int(counts.sum()))
        yield "</header>\n<main>\n"
        if counts.any():
            yield from threshold_section(
                [ClassCounts(self.classes[index], index, steps[index]) for index in shown], steps.sum(axis=0)
            )
            yield from self._confused(sheets)
            yield from self._legend(shown, sheets)
        else:
            yield '<p class="lead">No image was classified.</p>\n'
        yield '<div class="classes">\n'
        for index in shown:
            if counts[index]:
                yield from self._class(index, int(counts[index]), int(counts.sum()), sheets)
        yield "</div>\n"
        yield from self._failures()
        yield foot(script)

    def _about(self) -> Iterator[str]:
        if self.about:
            yield '<dl class="about">\n'
            for name, value in self.about:
                yield f"<dt>{escaped(name)}</dt><dd>{escaped(value, 2 * TEXT_LENGTH)}</dd>\n"
            yield "</dl>\n"

    def _totals(self, classified: int) -> str:
        failed, classes = self._gathered.failed, len(self.classes)
        return totals(
            (f"{classified:,}", f"{plural(classified, 'image')} classified"),
            (f'<a href="#failed">{failed:,}</a>' if failed else "0", "failed"),
            (f"{self.skipped:,}", f"{plural(self.skipped, 'other file')} skipped"),
            (f"{classes:,}", plural(classes, "class", "classes")),
            bad="failed" if failed else "",
        )

    def _confused(self, sheets: Sheets) -> Iterator[str]:
        """Pairs of classes, with images."""
        if not sheets.of_pair:
            return
        yield (
            '<section>\n<h2>Often between two classes</h2>\n<p class="count">Images whose best score is less than 0.2 ahead of the '
            'second best; the most frequent pairs.</p>\n<div class="pair pairs">\n'
        )
        for best, second, count, sheet in sheets.of_pair:
            names = f"{escaped(self.classes[best], 24)}, nearly {escaped(self.classes[second], 24)}"
            title = f"{names}: {count:,} {plural(count, 'image')}"
            yield contact_sheet(title, sheets.lines(sheet, "least_certain")) or f"<div>\n<h3>{title}</h3>\n</div>\n"
        yield "</div>\n</section>\n"

    def _legend(self, shown: list[int], sheets: Sheets) -> Iterator[str]:
        yield (
            '<p class="lead">An image belongs to the class of its best score. The less that score is ahead of the second best, '
            "the less certain it is. What looks nearly the same is shown once.</p>\n"
        )
        histograms, counts = self._gathered.histogram, self._gathered.steps.sum(axis=1)
        if len(shown) < len(self.classes):
            yield f'<p class="note">Shown are the {len(shown):,} most frequent of {len(self.classes):,} classes.</p>\n'
        if any(sheets.of_class[index].size == 0 for index in shown if counts[index]):
            yield (
                f'<p class="note">To stay small, this page shows {sheets.size:,} images in all; some classes show fewer than '
                "others, or none.</p>\n"
            )
        if histograms[:, 0].any():
            yield f'<p class="note">The first bar of a histogram also counts the scores below {decimal(LOWEST, 0)}.</p>\n'
        if histograms[:, -1].any():
            yield f'<p class="note">The last bar of a histogram also counts the scores above {HIGHEST}.</p>\n'

    def _class(self, index: int, count: int, total: int, sheets: Sheets) -> Iterator[str]:
        sheet = sheets.of_class[index]
        small = ' class="small"' if sheet.size < 2 else ""
        first, last = self._shown_bins()
        yield (
            f'<section id="c{index}"{small}>\n<h2>{escaped(self.classes[index])}</h2>\n'
            f'<p class="count"><b>{count:,}</b> {plural(count, "image")}, {percentage(count, total)}</p>\n<div class="class">\n'
        )
        yield histogram(self._gathered.histogram[index, first:last], first)
        number = {kind: f"{len(tiles)} " if len(tiles) > 1 else "" for kind, tiles in sheet.tiles.items()}
        least = f"The {number.get('least_certain', '')}least certain"
        if count <= SHEET and len(sheet.paths) == count:
            least = "All, from the least certain on" if count > 1 else "The image"
        yield '<div class="sheets">\n'
        yield contact_sheet(f"The {number.get('most_typical', '')}surest", sheets.lines(sheet, "most_typical"))
        yield contact_sheet(f"{number.get('random') or 'One '}at random", sheets.lines(sheet, "random"))
        yield contact_sheet(least, sheets.lines(sheet, "least_certain"))
        yield "</div>\n</div>\n</section>\n"

    def _shown_bins(self) -> tuple[int, int]:
        """From 0 to 1, or in steps of a half as far as there are scores outside."""
        half = BINS_PER_UNIT // 2
        used = np.flatnonzero(self._gathered.histogram.any(axis=0).reshape(-1, half).any(axis=1)).tolist() or [2]
        return min(used[0], 2) * half, (max(used[-1], 3) + 1) * half

    def _failures(self) -> Iterator[str]:
        failed, failures = self._gathered.failed, self._gathered.failures
        if not failed:
            return
        first = f"; the first {len(failures)} of them" if len(failures) < failed else ""
        yield (f'<section id="failed">\n<h2>Failed</h2>\n<p class="count"><b>{failed:,}</b> {plural(failed, "image")}{first}</p>\n')
        reasons = ((path, error.removeprefix(f"{path} ")) for path, error in failures)  # most messages begin with the path
        yield listed(
            f'<span class="path">{escaped(path, TEXT_LENGTH)}</span> {escaped(reason, TEXT_LENGTH)}' for path, reason in reasons
        )
        yield "</section>\n"
