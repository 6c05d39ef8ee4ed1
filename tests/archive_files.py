"""Tar and zip files of any kind, and what the standard library lists of them."""

import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from fastmlp.images.content import ImageError
from fastmlp.images.sources.archive_reading import open_archive, read_member
from fastmlp.images.sources.archives import members

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
LONG = "a folder with a long name/" * 5
NAMES = [
    "b.png", "a.png", "a/10.png", "a/2.png", "A.PNG", "a-b/c.png", "./dot.png", "././/twice.png", "/absolute.png", "../up.png",
    "a/../b/c.png", "no ending", "grün/Übung.png", "日本/絵.png", LONG + "x.png", LONG + "é.png", LONG + "y" * 99, "d" * 99,
    "e" * 100, ".hidden.png", ".git/x.png", "a/.b/c.png", "a/..b.png", "a//b.png", "x.png", "zz.png",
]  # fmt: skip


def members_of(path, ordered=True):
    with open_archive(str(path)) as archive:
        return members(archive, ordered)


def contents_of(path):
    """The contents of all members of an archive, by their names."""
    with open_archive(str(path)) as archive:
        return {name: read_member(archive, place) for name, place in listed(members(archive))}


def listed(found):
    """The members as a list: name, and place."""
    names = found.names.tobytes().split(b"\0")[:-1]
    assert [found.names[start:].tobytes().split(b"\0")[0] for start in found.starts] == names
    return list(zip(names, map(tuple, found.places.tolist()), strict=True))


def tidy(name):
    while name.startswith((b"/", b"./")):
        name = name[1:] if name.startswith(b"/") else name[2:]
    return name


def is_hidden(name):
    return any(part.startswith(b".") and part not in (b".", b"..") for part in name.split(b"/"))


def last_of_each(found):
    """The files of (name, place or None) in an archive's order, and how many are skipped."""
    last = {}
    for name, place in found:
        last.pop(tidy(name), None)
        last[tidy(name)] = place
    last = {name: place for name, place in last.items() if not is_hidden(name)}
    files = [(name, place) for name, place in last.items() if place is not None]
    return files, len(last) - len(files)


def expected_of_tar(path):
    with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as tar:
        return last_of_each(
            (
                info.name.encode("utf-8", "surrogateescape"),
                (info.offset_data, info.size, 0, info.size) if info.isreg() and not info.issparse() else None,
            )
            for info in tar
            if not info.isdir()
        )


def data_offset(path, info):
    data = path.read_bytes()
    start = info.header_offset
    return (
        start
        + 30
        + int.from_bytes(data[start + 26 : start + 28], "little")
        + int.from_bytes(data[start + 28 : start + 30], "little")
    )


def expected_of_zip(path):
    with zipfile.ZipFile(path) as archive:
        return last_of_each(
            (
                info.filename.encode(),
                None
                if stat.S_ISLNK(info.external_attr >> 16)
                else (data_offset(path, info), info.compress_size, info.compress_type, info.file_size),
            )
            for info in archive.infolist()
            if not info.is_dir()
        )


def check(path, expected):
    files, skipped = expected
    assert listed(members_of(path, ordered=False)) == files
    assert listed(members_of(path)) == sorted(files)
    assert members_of(path).skipped == members_of(path, ordered=False).skipped == skipped


def add(tar, name, content=b"", **changes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def mend(block, at=0, signed=0):
    """Sets the right checksum of a header; of so many bytes above 127 as if they had a sign."""
    block[at + 148 : at + 156] = b" " * 8
    block[at + 148 : at + 155] = b"%06o\0" % (sum(block[at : at + 512]) - 256 * signed)


def write_tar(path, names=NAMES, format="pax", mode="w", **options):
    rng = np.random.default_rng(len(names))
    with tarfile.open(path, mode, format=FORMATS[format], encoding="utf-8", errors="surrogateescape", **options) as tar:
        for name in names:
            add(tar, name, rng.bytes(rng.integers(1200)))
    return path


def write_zip(path, names=NAMES, method=zipfile.ZIP_STORED, comment=b""):
    rng = np.random.default_rng(len(names))
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, bytes(int(rng.integers(1200))) + rng.bytes(20))
        archive.comment = comment
    return path


def write_zip64(path, monkeypatch, names=NAMES):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 30)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    return write_zip(path, names, zipfile.ZIP_DEFLATED)


def patched(tmp_path, offset, value, method=zipfile.ZIP_STORED):
    """The message on reading the only member of a zip in whose directory one number was replaced."""
    data = bytearray(write_zip(tmp_path / "x.zip", ["a.png"], method).read_bytes())
    entry = data.index(b"PK\1\2")
    data[entry + offset : entry + offset + 2] = value.to_bytes(2, "little")
    (tmp_path / "x.zip").write_bytes(data)
    place = members_of(tmp_path / "x.zip").places[0]
    with open_archive(str(tmp_path / "x.zip")) as archive, pytest.raises(ImageError, match=r"^a\.png is ") as caught:
        read_member(archive, place, "a.png")
    return str(caught.value)
