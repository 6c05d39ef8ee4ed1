"""What a classifier said of a folder, as one page to look at: per class its count, its scores, and its least certain images.

The page needs nothing beside itself: no script, no font, no server. What it costs is bounded, whatever the number of
images: a `Report` keeps counts, and the paths of the few images that the page may show, which are read at the end.
"""

from __future__ import annotations

import html
import os
import struct
import zlib
from base64 import b64encode
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from operator import attrgetter, lt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastmlp
from fastmlp.files import FileKind, replacing
from fastmlp.images.pillow import SIGNATURE, read_image

Read = Callable[[str], bytes]

PAGE = FileKind("a page of --report", (".html", ".htm"), rb'<!doctype html>.*<meta name="generator" content="fastmlp ')

CLASSES_SHOWN = 1000
IMAGES_SHOWN = 400  # on the page
SHEET = 24  # images of a class
CANDIDATES = 10_000  # images kept in mind, of all classes
FAILURES_SHOWN = 50
THUMBNAIL_SIDE = 96  # pixels
THUMBNAIL_BYTES = 1_500_000  # of all of them, as HTML; a thousand classes take as much again at worst

# Probabilities lie in 0..1, and the outputs of "one-vs-rest" around it, as 0 and 1 are what they were trained towards.
LOWEST, HIGHEST, BINS_PER_UNIT = -1, 2, 20
BINS = (HIGHEST - LOWEST) * BINS_PER_UNIT
LARGEST = 1e300  # the difference of two such scores is still a number

LABEL_LENGTH, PATH_LENGTH, TEXT_LENGTH = 60, 64, 240  # characters; more of a name would be no help


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
        Files that have no row, as they are no PNG; for the caller to count.
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

        title = _text(self.title, TEXT_LENGTH)
        yield HEAD.format(title=title, version=_text(fastmlp.__version__), style=STYLE)
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
                images, share = _plural(counts[index], "image"), _share(counts[index], counts.sum())
                yield (
                    f'<section id="c{index}"{small}>\n<h2>{_text(self.classes[index])}</h2>\n'
                    f'<p class="count"><b>{counts[index]:,}</b> {images}, {share}</p>\n<div class="class">\n'
                )
                yield _histogram(self._histogram[index, first:last], first)
                yield from _contact_sheet(tiles.get(index, []), int(counts[index]))
                yield "</div>\n</section>\n"
        yield "</div>\n"
        yield from self._failures_section()
        yield FOOT

    def _totals(self, classified: int, classes: int) -> Iterator[str]:
        failed = f'<a href="#failed">{self.failed:,}</a>' if self.failed else "0"
        totals = [
            (f"{classified:,}", f"{_plural(classified, 'image')} classified"),
            (failed, "failed"),
            (f"{self.skipped:,}", f"{_plural(self.skipped, 'other file')} skipped"),
            (f"{classes:,}", _plural(classes, "class", "classes")),
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
            name, count = _text(self.classes[index]), counts[index]
            link = f'<a href="#c{index}">{name}</a>' if count else name
            bar = f'<i style="width:{100 * count / most:.3g}%"></i>' if count else ""
            yield f'<tr><th scope="row">{link}</th><td>{count:,}</td><td>{_share(count, total)}</td><td>{bar}</td></tr>\n'
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
            yield f'<p class="note">The first bar of a histogram also counts the scores below {_number(LOWEST, 0)}.</p>\n'
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
        path, label = _text(candidate.path, PATH_LENGTH), _text(self.classes[index])
        try:
            gray = read_image(candidate.read(candidate.path))
        except Exception as error:  # whatever reading raises: the page is more than one of its images
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            picture = f'<div class="gone"><span>{_text(reason)}</span></div>'
        else:
            tiny = ' class="tiny"' if max(gray.shape) < THUMBNAIL_SIDE else ""
            data = b64encode(_png(_thumbnail(gray))).decode()
            picture = f'<img{tiny} alt="{path}, taken for {label}" src="data:image/png;base64,{data}">'
        second = ""
        if candidate.runner_up != index:
            score = _number(candidate.score - candidate.margin)
            second = f'<span class="second"><bdi>{_text(self.classes[candidate.runner_up], 24)}</bdi> {score}</span>'
        return (
            f'<figure title="{_text(candidate.path, TEXT_LENGTH)}">{picture}<figcaption><b>{_number(candidate.score)}</b>{second}'
            f'<span class="path">{path}</span></figcaption></figure>\n'
        )

    def _failures_section(self) -> Iterator[str]:
        if not self.failed:
            return
        first = f"; the first {len(self._failures)} of them" if len(self._failures) < self.failed else ""
        yield (
            f'<section id="failed">\n<h2>Failed</h2>\n'
            f'<p class="count"><b>{self.failed:,}</b> {_plural(self.failed, "image")}{first}</p>\n<ul>\n'
        )
        for path, error in self._failures:
            reason = error.removeprefix(f"{path} ")  # most messages begin with the path
            yield f'<li><span class="path">{_text(path, TEXT_LENGTH)}</span> {_text(reason, TEXT_LENGTH)}</li>\n'
        yield "</ul>\n</section>\n"


def _finite(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.clip(np.nan_to_num(values.astype(np.float64)), -LARGEST, LARGEST)


def _histogram(counts: NDArray[np.int64], first: int) -> str:
    """Bars by SVG, which stretches them to any width; the axes' labels are text beside it, as letters must not stretch.

    Heights are logarithmic, or of a million images nothing would be seen but those that the classifier is sure of.
    """
    most, used, peak = int(counts.max()), np.flatnonzero(counts).tolist(), int(counts.argmax())
    heights = 100 * np.log1p(counts) / np.log1p(most)
    bars = "".join(f"M{place + 0.08:.2f} 100v-{heights[place]:.3g}h.84V100z" for place in used)

    powers = [(10**power, 100 * float(np.log1p(10**power) / np.log1p(most))) for power in range(1, 19)]
    levels = [(most, 100.0), *((count, height) for count, height in powers if height < 88)]  # labels must not overlap
    lines = "".join(f"M0 {100 - height:.3g}h{len(counts)}" for _, height in levels)
    y_labels = "".join(f'<span style="bottom:{height:.3g}%">{_short(count)}</span>' for count, height in [(0, 0.0), *levels])
    edges = (LOWEST + (first + np.arange(len(counts) + 1)) / BINS_PER_UNIT).tolist()
    step = BINS_PER_UNIT // 4 if len(counts) == BINS_PER_UNIT else BINS_PER_UNIT // 2
    x_labels = "".join(f"<span>{_minus(f'{edge:g}')}</span>" for edge in edges[::step])

    def scores(left: int, right: int) -> str:
        return f"from {_number(edges[left], 2)} to {_number(edges[right], 2)}"

    alt = f"Histogram of scores {scores(used[0], used[-1] + 1)}; the most, {most:,}, are {scores(peak, peak + 1)}"
    return (
        f'<div>\n<h3>Images by their best score (logarithmic)</h3>\n<div class="plot" role="img" aria-label="{alt}">\n'
        f'<div class="y">{y_labels}</div>\n<svg viewBox="0 0 {len(counts)} 100" preserveAspectRatio="none">'
        f'<path class="line" d="{lines}"/><path d="{bars}"/></svg>\n<div class="x">{x_labels}</div>\n</div>\n</div>\n'
    )


def _contact_sheet(tiles: list[str], count: int) -> Iterator[str]:
    if tiles:
        number = f"{len(tiles)} " if len(tiles) > 1 else ""
        which = f"The {number}least certain" if len(tiles) < count else "All, from the least certain on" if number else "The image"
        yield f'<div>\n<h3>{which}</h3>\n<div class="sheet">\n'
        yield from tiles
        yield "</div>\n</div>\n"


# -- Texts and numbers -------------------------------------------------------------------------------------------------


def _text(text: str, length: int = LABEL_LENGTH) -> str:
    """Text for HTML, in an attribute too: what cannot be printed as backslash escapes, what is too long with a gap.

    That makes harmless what a file name can hold: bytes that are no UTF-8, line breaks, marks that turn the writing round.
    """
    if len(text) > length:  # the end of a path tells more than its beginning
        text = f"{text[: length // 3]}…{text[-(length - length // 3 - 1) :]}"
    return html.escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def _number(value: float, digits: int = 3) -> str:
    return _minus(f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.3g}")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _short(count: int) -> str:
    """A count as the label of an axis: 12.3k for 12,345."""
    for unit, name in (10**9, "G"), (10**6, "M"), (10**3, "k"):
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + name
    return str(count)


def _share(count: int, total: int) -> str:
    percent = 100 * count / total
    return f"{percent:.1f}\N{NO-BREAK SPACE}%" if percent >= 0.1 or not count else "&lt;0.1\N{NO-BREAK SPACE}%"


def _plural(count: int, one: str, more: str | None = None) -> str:
    return one if count == 1 else more or f"{one}s"


# -- Thumbnails --------------------------------------------------------------------------------------------------------


def _thumbnail(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gray levels (H, W) made small enough, each one the mean over the area that it stands for."""
    levels: NDArray = gray
    if (side := max(gray.shape) // (2 * THUMBNAIL_SIDE)) > 1:  # first by whole blocks, as the product below is of floats
        rows, columns = (np.arange(0, size, side) for size in gray.shape)
        sums = np.add.reduceat(np.add.reduceat(gray, rows, axis=0, dtype=np.uint32), columns, axis=1)
        levels = sums / np.outer(np.diff(rows, append=gray.shape[0]), np.diff(columns, append=gray.shape[1]))
    shrink = max(gray.shape) / THUMBNAIL_SIDE
    if shrink <= 1:
        return gray
    down, across = (_means(max(1, round(size / shrink)), count) for size, count in zip(gray.shape, levels.shape, strict=True))
    return np.rint(down @ levels @ across.T).astype(np.uint8)


def _means(size: int, count: int) -> NDArray[np.float64]:
    """(size, count): row i holds how much of each of `count` values is in the i-th of `size` equal parts of their line."""
    edges = np.linspace(0, count, size + 1)
    value = np.arange(count)
    inside = np.minimum(edges[1:, np.newaxis], value + 1) - np.maximum(edges[:-1, np.newaxis], value)
    return np.maximum(inside, 0) * size / count


def _png(gray: NDArray[np.uint8]) -> bytes:
    height, width = gray.shape
    lines = np.insert(gray, 0, 0, axis=1).tobytes()  # each with its filter, 0: none
    chunks: Iterable[tuple[bytes, bytes]] = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


# -- The page's frame --------------------------------------------------------------------------------------------------

# The policy keeps a browser from running or fetching anything, should a name ever get past `_text`.
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fastmlp {version}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
"""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #f7f6f3; --card: #fff; --ink: #1d1c1a; --soft: #6a665f; --rule: #dedad2; --bar: #2c6e8c; --bad: #a6341b;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #151618; --card: #1e2023; --ink: #e9e7e2; --soft: #a09c94; --rule: #33363b; --bar: #6db1cf; --bad: #f0907a; }
}
* { box-sizing: border-box; }
body {
  max-width: 76rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3.5rem) clamp(1rem, 4vw, 3rem);
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;
}
a { color: inherit; text-decoration-color: var(--bar); text-underline-offset: .2em; }
h1 { margin: 0 0 1.5rem; font-size: clamp(1.6rem, 4vw, 2.4rem); line-height: 1.15; letter-spacing: -.02em; text-wrap: balance; }
h2 { margin: 0; font-size: 1.4rem; line-height: 1.25; letter-spacing: -.01em; unicode-bidi: isolate; }
h3 { margin: 0 0 .6rem; font-size: .8125rem; font-weight: 400; color: var(--soft); }
p { margin: 0; }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 1rem; margin: 0; }
.totals div { display: flex; flex-direction: column-reverse; padding-top: .75rem; border-top: 2px solid var(--ink); }
.totals dt { color: var(--soft); font-size: .875rem; }
.totals dd { margin: 0; font-size: clamp(1.4rem, 3.5vw, 2rem); line-height: 1.2; font-weight: 600; letter-spacing: -.02em; }
.totals .bad { border-color: var(--bad); }
.totals .bad dd { color: var(--bad); }
.totals a { text-decoration-color: currentcolor; text-decoration-thickness: 1px; }
nav { margin-top: 2.5rem; }
summary { cursor: pointer; }
table { width: 100%; border-collapse: collapse; }
thead { color: var(--soft); font-size: .8125rem; }
th, td { padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--rule); }
th, td { text-align: right; font-weight: 400; white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; unicode-bidi: isolate; }
td:last-child { width: 50%; padding-right: 0; }
td i { display: block; min-width: 2px; height: .6rem; border-radius: 1px; background: var(--bar); }
.lead { max-width: 44rem; margin-top: 2rem; }
.note { max-width: 44rem; margin-top: .5rem; color: var(--soft); font-size: .875rem; }
section { margin-top: 3rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
.count { margin-bottom: 1.25rem; color: var(--soft); }
.count b { color: var(--ink); }
.class { display: grid; grid-template-columns: minmax(0, 20rem) minmax(0, 1fr); gap: 1.5rem 3rem; align-items: start; }
.classes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); column-gap: 3rem; }
.classes section { grid-column: 1 / -1; }
.classes .small { grid-column: auto; }
.small .class { grid-template-columns: minmax(0, 20rem) minmax(0, 6.5rem); column-gap: 1.5rem; }
.plot { display: grid; grid-template-columns: auto 1fr; column-gap: .5rem; padding-top: .375rem; }
.plot { color: var(--soft); font-size: .75rem; line-height: 1; white-space: nowrap; }
.y { position: relative; width: 2.5rem; text-align: right; }
.y span { position: absolute; right: 0; transform: translateY(50%); }
svg { display: block; width: 100%; height: 10rem; border-bottom: 1px solid var(--soft); overflow: visible; }
path { fill: var(--bar); }
.line { fill: none; stroke: var(--rule); vector-effect: non-scaling-stroke; }
.x { grid-column: 2; display: flex; justify-content: space-between; margin-top: .5rem; }
.x span { width: 0; display: flex; justify-content: center; }
.x span:first-child { justify-content: start; }
.x span:last-child { justify-content: end; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: 1.25rem .875rem; }
figure { margin: 0; min-width: 0; }
img, .gone { width: 100%; aspect-ratio: 1; border: 1px solid var(--rule); border-radius: 3px; background: var(--card); }
img { display: block; object-fit: contain; }
.tiny { image-rendering: pixelated; }
.gone { display: grid; place-items: center; padding: .5rem; border-style: dashed; }
.gone { color: var(--bad); font-size: .75rem; line-height: 1.3; text-align: center; }
figcaption { margin-top: .35rem; font-size: .8125rem; line-height: 1.35; }
.second { display: block; color: var(--soft); }
.path { display: block; font: .75rem/1.35 ui-monospace, monospace; unicode-bidi: isolate; }
figcaption .path { color: var(--soft); }
ul { margin: 0; padding: 0; list-style: none; }
li { padding: .5rem 0; border-bottom: 1px solid var(--rule); font-size: .875rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .8125rem; }
@media (max-width: 52rem) { .class, .small .class { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 30rem) { .sheet { grid-template-columns: repeat(3, minmax(0, 1fr)); } td:last-child { width: 25%; } }
"""

FOOT = """\
</main>
<footer>Made by fastmlp. Images are shown in gray, as the classifier reads them.</footer>
</body>
</html>
"""
