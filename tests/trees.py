"""Folders of files, some of them odd, and what is said of the chunks of their names."""

import os
from pathlib import Path

from fastmlp.images.sources.source import Chunks

ROOT = Path(__file__).parents[1]
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


def make(folder, *names):
    for name in names:
        path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def paths_of(source, **options):
    return [path for chunk in Chunks(source, **options) for path in checked(chunk).paths()]


def checked(chunk):
    """A chunk whose parts agree about how many names there are."""
    names = chunk.names.split(b"\0")
    assert names.pop() == b""
    assert chunk.length == len(names) == len(chunk.paths())
    assert chunk.members is None or chunk.members.shape == (chunk.length, 4)
    for failure in chunk.failed:
        assert chunk.paths()[failure.row] == failure.name
        assert failure.why
    return chunk


def failures(source, **options):
    return {failure.name: failure.why for chunk in Chunks(source, **options) for failure in checked(chunk).failed}


def skipped(source, **options):
    return sum(chunk.skipped for chunk in Chunks(source, **options))


def sorted_walk(folder):
    """The files that are not hidden, by os.walk and sorted."""
    found = []
    for place, folders, files in os.walk(os.fsencode(folder)):
        folders[:] = [name for name in folders if not name.startswith(b".")]
        place = os.path.relpath(place, os.fsencode(folder))
        found += [os.path.normpath(os.path.join(place, name)) for name in files if not name.startswith(b".")]
    return [os.fsdecode(name) for name in sorted(found)]


ODD_NAMES = [b"caf\xe9.png", b"\xff\xfe", b"new\nline.png", b" ", b"tab\t.png", b"a\\b.png", b'"quoted",.png', "絵/絵.png".encode()]
NAMES = ["b.png", "a/2.PNG", "a/10.png", "a.png", "a-b/c.png", "z/y/x.png", "notes.txt", "no ending", "A.png"]


def checked_or_empty(chunk):
    assert (chunk.length, chunk.names) == (0, b"")
    return chunk.paths()
