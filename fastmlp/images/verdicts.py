"""What a classifier says of images, in columns: of all of a source at once, or batch by batch while the source is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from fastmlp import interrupts
from fastmlp.images.image_formats import ALL
from fastmlp.images.sources.chunk import Chosen, Chunk
from fastmlp.images.sources.source import Chunks, Source, nothing_in
from fastmlp.labels import short
from fastmlp.literals import FormatName
from fastmlp.networks.html import html_table
from fastmlp.networks.metrics import listing
from fastmlp.threads import InThreads

CLASSES_SHOWN = 24  # in a notebook


class Verdicts(NamedTuple):
    """What a classifier says of n images, in columns; an image that could not be read has an error and no label."""

    paths: list[str]
    """Within the folder or archive if the source is one, with "/" between folders; else as given."""
    labels: list[str | None]
    scores: NDArray[np.floating]
    """(n, K), columns in the order of the classes; NaN where there is an error."""
    errors: list[str | None]
    skipped: int = 0
    """How many other files there were, that are no images."""
    retry: Sequence[int] = ()
    """Which rows have an error that is no fault of the file: memory, descriptors or a disk failed, and another try may go well."""
    classes: Sequence[str] = ()
    """The names of the K classes."""

    def to_arrow(self) -> Any:
        """A table of pyarrow, with the columns that `fastmlp classify -o verdicts.csv` writes: path, label, a score_NAME of each
        class, status ("ok", "failed" or "retry") and error; null is what an image does not have.

        Labels are of a dictionary type, scores as exact as they are. For a byte of a name that is not UTF-8 stands \\udcXX.

        Raises
        ------
        ModuleNotFoundError
            Without pyarrow, which `pip install 'fastmlp[tables]'` brings.
        """
        from fastmlp.images.arrow_rows import arrow_table

        return arrow_table(self, self.classes)

    def __repr__(self) -> str:
        counts = Counter(label for label in self.labels if label is not None)
        labels = listing([f"{short(label)} {count}" for label, count in counts.most_common()])
        return f"<Verdicts on {counts.total()} images: {labels}; {self.skipped} skipped, {len(self.paths) - counts.total()} failed>"

    def _repr_html_(self) -> str:
        counts = Counter(label for label in self.labels if label is not None)
        rows = [[short(label), str(count)] for label, count in counts.most_common(CLASSES_SHOWN)]
        failed, more = [error for error in self.errors if error is not None], len(counts) - len(rows)
        notes = [f"... and {more} more classes"] if more else []
        notes += [f"{self.skipped} skipped, {len(failed)} failed{f', the first: {failed[0]}' if failed else ''}"]
        return html_table(["class", "images"], rows, f"Verdicts on {counts.total()} images", "; ".join(notes))


class ClassifyOptions(TypedDict, total=False):
    """The options of `ImageClassifier.classify`."""

    batch_size: int
    ordered: bool
    strict: bool
    max_pixels: int
    follow_symlinks: bool
    done: Chosen | None
    formats: str | Sequence[str] | None


class Batches(Iterator[Verdicts]):
    """The verdicts on a source, some thousand at a time.

    Attributes
    ----------
    total : int or None
        How many files there are, once that is known.
    """

    def __init__(
        self,
        source: Source,
        chunks: Chunks,
        work: Callable[..., Verdicts],
        threads: int,
        ordered: bool,
        done: Chosen | None,
        formats: Sequence[FormatName] = ALL,
    ) -> None:
        self._chunks = chunks
        self._batches = _batches(source, chunks, work, threads, ordered, done, formats)

    @property
    def total(self) -> int | None:
        return self._chunks.total

    def __next__(self) -> Verdicts:
        return next(self._batches)

    def close(self) -> None:
        """End the work; what has begun is awaited."""
        self._batches.close()
        self._chunks.close()


def _batches(
    source: Source,
    every: Chunks,
    work: Callable[..., Verdicts],
    threads: int,
    ordered: bool,
    done: Chosen | None,
    formats: Sequence[FormatName],
) -> Generator[Verdicts]:
    empty = every.within
    chunks: Iterator[Chunk] = every
    if done is not None:
        chunks = _left_of(every, done)
        empty = False  # or so it seems, as what is done may be all there is
    for verdicts in InThreads(work, chunks, threads, ordered):
        empty = empty and not verdicts.paths
        yield verdicts
    if empty:
        raise nothing_in(source, formats)


def _left_of(chunks: Chunks, done: Chosen) -> Iterator[Chunk]:
    for chunk in chunks:
        paths = chunk.paths()
        with interrupts.raised_at_once():
            left_out = done(paths)
        yield chunk.without(left_out)
