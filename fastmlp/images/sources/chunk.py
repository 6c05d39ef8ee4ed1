"""Chunk: names of some files of a source, as the compiled reader takes them. It can be sent elsewhere.

The names are bytes, one after another, each ended by a zero byte: a million of them are no million objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import chain, count, islice, repeat, takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.images.image_formats import SUFFIXES
from fastmlp.images.sources.urls import without_secrets

_SUFFIXES = b"|".join(suffix[1:].encode() for suffix, name in SUFFIXES.items() if name != "png")
SLOW = re.compile(rb"\.(?:%s)\0" % _SUFFIXES, re.IGNORECASE)  # the ends of names that no compiled code reads

Chosen = Callable[[list[str]], NDArray[np.bool_]]  # says which of some paths are meant: paths -> (n,)

LONG_WORK = 16  # files in a chunk, at most, that are slow to read, as far as names tell: some 10 ms of work with photographs
SMALLEST_CHUNK = 64  # names of the first chunk; each further one has twice as many, so that threads share what takes long,
LARGEST_CHUNK = 4096  # up to this, some 10 ms of work with small images


class Failure(NamedTuple):
    """What cannot be read, as was found while listing."""

    row: int
    """Its place among the names of a chunk."""
    name: str
    why: str
    retry: bool = False
    """Whether another try may go well."""


class Chunk(NamedTuple):
    """Some files of a source."""

    place: str
    """The folder that the names are relative to, or the archive that they are in; "" for paths as they were given."""
    names: bytes
    """Each ended by a zero byte, as the system writes them."""
    length: int
    members: NDArray[np.int64] | None = None
    """(length, 4) where the members of an archive are: see archives.Members."""
    version: tuple[int, int] | None = None
    """Size and time of change of the archive, when it was listed."""
    failed: tuple[Failure, ...] = ()
    skipped: int = 0
    """How many things there were beside them that are no regular files."""
    known: int = 0
    """How many files the source is known to have, at least."""
    remote: bool = False
    """Whether the place is a URL; or where there is none, each name."""
    sizes: NDArray[np.int64] | None = None
    """(length,) of files in a folder behind a URL: how many bytes they have, -1 where that is not known."""
    base: str = ""
    """The folder that the place and the names are relative to, if they are; "" for that of the process."""

    def paths(self) -> list[str]:
        """The names as text, with "/" between folders; of URLs without what is secret in them."""
        names = os.fsdecode(self.names).split("\0")[:-1]
        if self.remote and not self.place:
            names = [without_secrets(name) for name in names]
        for failure in self.failed:
            names[failure.row] = failure.name
        return names

    def without(self, done: ArrayLike) -> Chunk:
        """The chunk without some of its names."""
        left = np.flatnonzero(np.logical_not(done)).tolist()
        names = self.names.split(b"\0")
        places = {old: new for new, old in enumerate(left)}
        return self._replace(
            names=b"".join(names[k] + b"\0" for k in left),
            length=len(left),
            members=None if self.members is None else self.members[left],
            sizes=None if self.sizes is None else self.sizes[left],
            failed=tuple(failure._replace(row=places[failure.row]) for failure in self.failed if failure.row in places),
        )


def ends_of_slow(names: bytes, length: int) -> list[int]:
    """Where those of some names end that seem to be slow to read, LONG_WORK of them at most; of PNGs none does.

    Only what is done together follows from it, and when it is done; what comes of each file does not.
    """
    if names.count(b".png\0") == length:
        return []
    return [match.end() for match in islice(SLOW.finditer(names), LONG_WORK)]


def names_that_fit(names: bytes, length: int) -> int:
    """How many of some names may be in one chunk: all, or up to the last of LONG_WORK that seem to be slow to read."""
    slow = ends_of_slow(names, length)
    return names.count(b"\0", 0, slow[-1]) if len(slow) == LONG_WORK else length


def chunk_sizes(size: int) -> Iterator[int]:
    """How many names there are in the first chunk, the second, and so on: in the end so many as are given."""
    return chain(takewhile(lambda small: small < size, (SMALLEST_CHUNK << k for k in count())), repeat(size))
