"""Folders that images are sorted into, and what is there before and after."""

import os
from pathlib import Path

from drawings import bar
from pngs import gray_png

UPRIGHT, LYING = ["a/1.png", "b.png", "c/d/1.png"], ["a/2.png", "1.png"]
OTHERS = ["notes.txt", ".hidden.png", "a/broken.png"]
IMAGES = {f"upright/{name}" for name in UPRIGHT} | {f"lying/{name}" for name in LYING}


def make_source(folder):
    """Five images, whose times are of long ago; a text, a hidden image, and one that is torn."""
    for number, name in enumerate(UPRIGHT + LYING):
        write(folder / name, gray_png(bar(name in UPRIGHT, number)), number)
    write(folder / "notes.txt", b"text", 7)
    write(folder / ".hidden.png", gray_png(bar(True, 3)), 8)
    write(folder / "a/broken.png", gray_png(bar(True, 3))[:50], 9)
    return folder


def write(path, data, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18 + number))


def files_in(folder):
    """The bytes, the time and the permissions of every file."""
    found = {}
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            status = path.lstat()
            found[path.relative_to(folder).as_posix()] = (path.read_bytes(), status.st_mtime_ns, status.st_mode)
    return found


def folders_in(folder):
    return {os.path.relpath(place, folder) for place, _, _ in os.walk(folder)}
