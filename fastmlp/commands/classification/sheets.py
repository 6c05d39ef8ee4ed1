"""Which images a report shows, and how they look: as many as there is room for, near-duplicates folded together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification.gathering import CLOSE, Candidate, Gathered
from fastmlp.commands.classification.near_duplicates import appearance, are_alike
from fastmlp.commands.classification.page import PATH_LENGTH, decimal, escaped, plural
from fastmlp.commands.classification.thumbnails import figure, picture

IMAGES_SHOWN = 400  # on the page
IMAGES_READ = 800  # for it, as near-duplicates are found out by reading them
PAIRS, PAIR = 6, 4  # pairs of classes that are confused most often, and images of each
SHEET = 24  # images of a class
ROUND = ("least_certain", "most_typical", "least_certain", "random")  # who is next on the sheet of a class
FOLDED = 64  # bytes of what is said of near-duplicates


@dataclass
class Tile:
    """An image on the page."""

    candidate: Candidate
    image: str
    appearance: NDArray[np.float64] | None
    """None of an image that cannot be read."""
    alike: int = 0
    """How many others are nearly the same."""


@dataclass
class Sheet:
    """The images that are shown of a class, or of a pair of classes."""

    waiting: dict[str, deque[Candidate]]
    tiles: dict[str, list[Tile]] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        return sum(map(len, self.tiles.values()))


class Sheets:
    """The images of a report.

    Attributes
    ----------
    of_class : dict of int to Sheet
        For each class that is shown.
    of_pair : list of (best, second, count, Sheet)
        The most frequent pairs.
    """

    def __init__(self, gathered: Gathered, classes: Sequence[str], shown: Sequence[int], link: Callable[[str], str | None]) -> None:
        self._classes, self._link = classes, link
        kinds = {kind: getattr(gathered, kind).by_class() for kind in ("least_certain", "most_typical", "random")}
        counts = gathered.steps.sum(axis=1)
        self.of_class = {
            index: Sheet(
                {kind: deque(found[index]) for kind, found in kinds.items() if counts[index] > SHEET or kind == "least_certain"}
            )
            for index in shown
            if counts[index]
        }
        self.of_pair = []
        for best, second, count in gathered.confused(PAIRS):
            close = (c for c in kinds["least_certain"][best] if c.runner_up == second and c.margin < CLOSE)
            self.of_pair.append((best, second, count, Sheet({"least_certain": deque(close)})))

    @property
    def size(self) -> int:
        return sum(sheet.size for sheet in self.of_class.values())

    def fill(self, room: int) -> None:
        """Read and show images, as long as their HTML needs no more than so many bytes."""
        self._room, self._left, self._reads = room, IMAGES_SHOWN, IMAGES_READ
        for _ in range(PAIR):
            for *_, sheet in self.of_pair:
                self._show_next(sheet, "least_certain")
        least_certain_first = sorted(self.of_class.items(), key=lambda item: (item[1].waiting["least_certain"][0].margin, item[0]))
        for place in range(SHEET):
            for _, sheet in least_certain_first:
                kind = ROUND[place % len(ROUND)]
                self._show_next(sheet, kind if kind in sheet.waiting else "least_certain")

    def _show_next(self, sheet: Sheet, kind: str) -> None:
        waiting, tiles = sheet.waiting[kind], sheet.tiles.setdefault(kind, [])
        while waiting and self._left and self._reads and self._room > 0:
            candidate = waiting.popleft()
            if candidate.path in sheet.paths:
                continue
            sheet.paths.add(candidate.path)
            self._reads -= 1
            shown = picture(candidate.read, candidate.path, self._alt(candidate))
            tile = Tile(candidate, shown.html, None if shown.small is None else appearance(shown.small))
            if (older := _like(tile, sheet)) is not None:
                older.alike += 1
                continue
            self._room -= len(self.html(tile).encode()) + FOLDED
            if self._room > 0:
                tiles.append(tile)
                self._left -= 1
            return

    def _alt(self, candidate: Candidate) -> str:
        return f"{escaped(candidate.path, PATH_LENGTH)}, taken for {escaped(self._classes[candidate.label])}"

    def html(self, tile: Tile) -> str:
        """The image with its scores, its path, and a link to it."""
        candidate, second = tile.candidate, ""
        if candidate.runner_up != candidate.label:
            score = decimal(candidate.score - candidate.margin)
            second = f'<span class="second"><bdi>{escaped(self._classes[candidate.runner_up], 24)}</bdi> {score}</span>'
        if tile.alike:
            second += f'<span class="second">and {tile.alike} {plural(tile.alike, "near-duplicate")}</span>'
        return figure(tile.image, f"<b>{decimal(candidate.score)}</b>{second}", candidate.path, self._link(candidate.path))

    def lines(self, sheet: Sheet, kind: str) -> Iterator[str]:
        """The images of a kind, as HTML."""
        return map(self.html, sheet.tiles.get(kind, []))


def _like(tile: Tile, sheet: Sheet) -> Tile | None:
    """What is shown already, and looks nearly the same."""
    if tile.appearance is not None:
        for shown in sheet.tiles.values():
            for other in shown:
                if other.appearance is not None and are_alike(other.appearance, tile.appearance):
                    return other
    return None
