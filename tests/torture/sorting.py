"""`fastmlp sort` and its --undo, ended at any moment, again and again: each image is in one place at least, whole; and what was
begun goes on to what an undisturbed run makes, or is taken back to what was before."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.torture.attack import Found
from tests.torture.commands import Ground, check_told
from tests.torture.forked import Child, begun_command
from tests.torture.written import SORT_LOG, files_in

SORTED = 300  # images
HOWS = ("--copy", "--link", "--move", "archive")


class Sorting:
    """A folder of images, and one that they are sorted into, one way."""

    def __init__(self, ground: Ground, how: str) -> None:
        self._ground, self._how = ground, how
        self._source, self._dest = ground.work / "source", ground.work / "sorted"
        source, more = (ground.scratch / "archive.tar", ("--threads", 2)) if how == "archive" else (self._source, (how,))
        self._sort = ("sort", ground.model, source, self._dest, *more)
        self._undo = ("sort", "--undo", self._dest / SORT_LOG)
        self._begin()
        self._before = self._files()
        self._seconds = self._whole(self._sort)
        self._after = self._files()
        self._whole(self._undo)
        self._must(self._files() == self._before, "--undo does not come to what was before")
        self._begin()

    def case(self, rng: np.random.Generator, disturb: Callable[[Child, float], tuple[str, tuple[int, ...]]]) -> Counter[str]:
        """Runs that are disturbed, up to three, of which some take back; then one that is not. `disturb` says what it did, and
        how a command may end after it."""
        counts: Counter[str] = Counter()
        self._begin()
        for _ in range(rng.integers(1, 4)):
            undo = self._has_log() and (self._is_undoing() or bool(rng.random() < 0.4))
            child = begun_command(self._ground.scratch, *(self._undo if undo else self._sort))
            did, allowed = disturb(child, self._seconds)
            ended = check_told(child.wait(), allowed)
            counts[f"sort {self._how}{' --undo' * undo} {did}: {'done' if ended.status in (0, 1) else 'ended'}"] += 1
            self._check_whole()
        undo = self._has_log() and (self._is_undoing() or bool(rng.random() < 0.5))
        self._whole(self._undo if undo else self._sort)
        self._must(self._files() == (self._before if undo else self._after), f"{'--undo' * undo} does not come to the same")
        return counts

    def _begin(self) -> None:
        for folder in self._source, self._dest:
            shutil.rmtree(folder, ignore_errors=True)
        self._source.mkdir()
        for path in sorted(self._ground.images.iterdir())[:SORTED]:
            place = self._source / path.name[0]
            place.mkdir(exist_ok=True)
            os.link(path, place / path.name)

    def _files(self) -> tuple[dict[str, bytes], dict[str, bytes], bool]:
        return files_in(self._source), files_in(self._dest), self._dest.exists()

    def _whole(self, words: tuple[object, ...]) -> float:
        """A run that nobody disturbs; how long it takes."""
        return check_told(begun_command(self._ground.scratch, *words).wait(), (0, 1)).seconds

    def _has_log(self) -> bool:
        """Whether there is a log with its first line."""
        log = self._dest / SORT_LOG
        return log.exists() and b"\n" in log.read_bytes()

    def _is_undoing(self) -> bool:
        lines = (self._dest / SORT_LOG).read_bytes().splitlines(keepends=True)
        return any(line.endswith(b"\n") and "undo" in json.loads(line) for line in lines)

    def _check_whole(self) -> None:
        source, dest, _ = self._files()
        placed = {name: content for name, content in dest.items() if not Path(name).name.startswith(".fastmlp-")}
        self._must(placed.items() <= self._after[1].items(), "something else is among what is sorted")
        self._must(source.items() <= self._before[0].items(), "something else is in the source")
        there = source.keys() | {name.partition("/")[2] for name in placed}
        self._must(self._before[0].keys() <= there, "an image is gone")

    def _must(self, is_so: bool, what: str) -> None:
        if not is_so:
            error = (self._ground.scratch / "stderr").read_text(errors="replace")
            raise Found(f"sort {self._how}: {what}; {error[-2000:]}")
