"""What the rows of `fastmlp classify` are in sum, and how fast they come."""

from __future__ import annotations

import time
from collections import Counter

from fastmlp.images.verdicts import Verdicts

LISTED = 10  # classes that a summary tells one by one


class Tally:
    """What the rows of an output say in sum, and how fast they come."""

    def __init__(self, classes: list[str]) -> None:
        self._labels: Counter[str | None] = Counter(dict.fromkeys(classes, 0))
        self._start = time.monotonic()
        self.skipped = self.retry = self._before = 0
        self.left: int | None = None  # files that follow, if that is known

    def add(self, verdicts: Verdicts) -> None:
        """Count some rows."""
        self._labels.update(verdicts.labels)
        self.skipped += verdicts.skipped
        self.retry += len(verdicts.retry)

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
        """What there was of each class, and how fast it came."""
        seconds = time.monotonic() - self._start
        counts = [(label, count) for label, count in self._labels.items() if label is not None]
        if len(counts) > LISTED:
            counts = sorted(counts, key=lambda pair: -pair[1])[:LISTED]
            counts.append(("others", self.rows - self.failed - sum(count for _, count in counts)))
        labels = ", ".join(f"{label} {count}" for label, count in counts)
        retry = f", {self.retry} of them for want of memory or the like" if self.retry else ""
        before = f"; {self._before} of these rows were there before" if self._before else ""
        return (
            f"{self.rows - self.failed} images: {labels}; {self.skipped} skipped, {self.failed} failed{retry}{before}; "
            f"{seconds:.1f} s, {self._files / max(seconds, 1e-3):.0f} files/s"
        )
