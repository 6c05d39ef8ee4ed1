"""Archives: told by their contents, tar listed as tarfile lists it, members read as the standard library reads them.

With NUMBA_BOUNDSCHECK=1 the same tests notice any index out of bounds as an IndexError.
"""

import os
import tarfile
import zipfile

import numpy as np
import pytest
from archive_files import (
    FORMATS,
    LONG,
    METHODS,
    NAMES,
    add,
    check,
    contents_of,
    expected_of_tar,
    expected_of_zip,
    listed,
    members_of,
    mend,
    patched,
    tidy,
    write_tar,
    write_zip,
)

from fastmlp.images.sources import archives
from fastmlp.images.sources.archive_reading import OpenArchive, open_archive
from fastmlp.images.sources.archives import compression, kind
from fastmlp.kernels.images.archive import ENCRYPTED


def test_archives_are_recognised_by_their_contents(tmp_path):
    for format in FORMATS:
        assert kind(write_tar(tmp_path / "x.png", ["a.png"], format)) == "tar"
    block = bytearray((tmp_path / "x.png").read_bytes()[:512])
    block[257:500] = bytes(243)
    mend(block)
    (tmp_path / "v7").write_bytes(block)
    assert kind(tmp_path / "v7") == "tar"
    assert kind(write_zip(tmp_path / "y.png")) == kind(write_zip(tmp_path / "z.png", [])) == "zip"
    for number, content in enumerate([b"", b"\x89PNG\r\n\x1a\n" + bytes(600), bytes(2000), bytes(block[:-1]), b"x" * 512]):
        (tmp_path / f"{number}.tar").write_bytes(content)
        assert kind(tmp_path / f"{number}.tar") is None
        assert compression(tmp_path / f"{number}.tar") is None
        with pytest.raises(ValueError, match=rf"{number}.tar is neither a tar nor a zip archive$"):
            members_of(tmp_path / f"{number}.tar")


def test_compressed_archives_are_told_by_name(tmp_path):
    for mode, name in [("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")]:
        path = write_tar(tmp_path / "x", mode=mode)
        assert kind(path) is None
        assert compression(path) == name
    assert compression(write_tar(tmp_path / "x")) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_what_is_no_regular_file_is_no_archive_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert kind(tmp_path / "pipe") is kind(tmp_path) is compression(tmp_path / "pipe") is None
    with pytest.raises(FileNotFoundError):
        kind(tmp_path / "nothing")


@pytest.mark.kernels
@pytest.mark.parametrize("format", FORMATS)
def test_a_tar_is_listed_as_tarfile_lists_it(tmp_path, format):
    names = [name for name in NAMES if len(name.encode()) <= 100 or name == LONG + "x.png" or format != "ustar"]
    path = write_tar(tmp_path / "x.tar", names, format)
    check(path, expected_of_tar(path))


@pytest.mark.kernels
@pytest.mark.parametrize("format", ["gnu", "ustar"])
def test_names_that_are_not_utf8_stay_as_they_are(tmp_path, format):
    path = write_tar(tmp_path / "x.tar", ["caf\udce9.png", "\udcff\udcfe.png"], format)
    assert [name for name, _ in listed(members_of(path))] == [b"caf\xe9.png", b"\xff\xfe.png"]
    check(path, expected_of_tar(path))


def test_names_that_are_not_utf8_in_extended_headers(tmp_path):
    path = write_tar(tmp_path / "x.tar", ["caf\udce9.png", LONG + "\udcff.png"], "pax")
    check(path, expected_of_tar(path))


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_no_regular_file_is_skipped(tmp_path, format):
    with tarfile.open(tmp_path / "x.tar", "w", format=FORMATS[format]) as tar:
        add(tar, "folder", type=tarfile.DIRTYPE)
        add(tar, "old folder/", type=tarfile.AREGTYPE)
        add(tar, "folder/a.png", b"a")
        add(tar, "folder/old.png", b"old", type=tarfile.AREGTYPE)
        add(tar, "contiguous.png", b"c", type=tarfile.CONTTYPE)
        for name, type in [("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("f", tarfile.FIFOTYPE), ("c", tarfile.CHRTYPE)]:
            add(tar, f"{name}.png", type=type, linkname="folder/a.png" if format == "ustar" else LONG)
        add(tar, ".hidden link", type=tarfile.SYMTYPE)
        link = tarfile.TarInfo("with a size.png")
        link.type, link.linkname, link.size = tarfile.LNKTYPE, "folder/a.png", 700
        tar.addfile(link)  # without data
        add(tar, "of no known type", bytes(600), type=b"Z")
        add(tar, "b.png", b"b")
    check(tmp_path / "x.tar", expected_of_tar(tmp_path / "x.tar"))
    assert members_of(tmp_path / "x.tar").skipped == 6


def sparse_header(name, size, extended):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[482] = extended
    block[483:494] = b"%011o" % 2**20
    mend(block)
    return bytes(block)


def test_sparse_members_are_skipped(tmp_path):
    more, last = b"\1".rjust(505, b"\0").ljust(512, b"\0"), bytes(512)
    parts = [sparse_header("a", 600, 0), bytes(1024), sparse_header("b", 600, 1), more, last, bytes(1024)]
    path = write_tar(tmp_path / "x.tar", ["c.png"])
    path.write_bytes(b"".join(parts) + path.read_bytes())
    check(path, expected_of_tar(path))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "GNUSparseFile.0/d", b"d" * 600, pax_headers={"GNU.sparse.map": "0,600", "GNU.sparse.size": "600"})
        add(tar, "c.png", b"c")
    check(path, expected_of_tar(path))
    assert members_of(path).skipped == 1


def test_of_the_same_name_the_last_counts(tmp_path):
    path = write_tar(tmp_path / "x.tar", ["b.png", "a.png", "./b.png", "c.png", "a.png"])
    write_tar(path, ["c.png", "d.png"], mode="a")
    check(path, expected_of_tar(path))
    with tarfile.open(path, "a") as tar:
        add(tar, "d.png", type=tarfile.SYMTYPE, linkname="a.png")
    check(path, expected_of_tar(path))
    assert members_of(path).skipped == 1
    write_tar(path, ["d.png"], mode="a")
    check(path, expected_of_tar(path))
    assert members_of(path).skipped == 0


def test_headers_for_all_members_and_several_before_one(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "0123"}) as tar:
        add(tar, "a.png", b"a" * 700, pax_headers={"size": "700", "path": "other.png", "mtime": "1.5"})
        tar.fileobj.write(tarfile.TarInfo._create_gnu_long_header("first.png", tarfile.GNUTYPE_LONGNAME, "utf-8", "strict"))
        add(tar, "b.png", b"b", pax_headers={"path": "second.png"})
    check(tmp_path / "x.tar", expected_of_tar(tmp_path / "x.tar"))
    assert [name for name, _ in listed(members_of(tmp_path / "x.tar"))] == [b"first.png", b"other.png"]


def test_the_size_of_an_extended_header_replaces_that_of_the_member(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "a.png", b"a" * 700, pax_headers={"size": "700"})
        add(tar, "b.png", b"b")
    block = bytearray(path.read_bytes())
    at = block.index(b"a.png")
    block[at + 124 : at + 135] = b"0" * 11
    mend(block, at)
    path.write_bytes(block)
    check(path, expected_of_tar(path))
    assert members_of(path).places[:, 1].tolist() == [700, 1]


def test_sizes_in_base_256(tmp_path):
    path = write_tar(tmp_path / "x.tar", ["a.png"])
    block = bytearray(path.read_bytes())
    size = int(block[124:135], 8)
    block[124:136] = b"\x80" + size.to_bytes(11, "big")
    mend(block)
    path.write_bytes(block)
    check(path, expected_of_tar(path))


def test_checksums_summed_with_a_sign(tmp_path):
    path = write_tar(tmp_path / "x.tar", ["é.png"], "gnu")
    block = bytearray(path.read_bytes())
    mend(block, signed=2)
    path.write_bytes(block)
    check(path, expected_of_tar(path))


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_many_members_and_names_that_need_more_room(tmp_path, write, monkeypatch):
    monkeypatch.setattr(archives, "STEP", 7)
    monkeypatch.setattr(archives, "NAME_ROOM", 70_000)
    monkeypatch.setattr(archives, "LARGE_WINDOW", 1 << 12)
    rng = np.random.default_rng(0)
    names = [f"{'x' * int(rng.integers(100)) ** 2}/{n}.png" for n in rng.permutation(200)]
    path = write(tmp_path / "x", names)
    check(path, (expected_of_tar if write is write_tar else expected_of_zip)(path))


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_ctrl_c_ends_the_list(tmp_path, write, monkeypatch):
    def raise_noted():
        raise KeyboardInterrupt

    path = write(tmp_path / "archive", NAMES)
    monkeypatch.setattr(archives, "raise_noted", raise_noted)
    with pytest.raises(KeyboardInterrupt):
        members_of(path)


@pytest.mark.parametrize("method", METHODS)
def test_members_of_a_zip_are_read_as_zipfile_reads_them(tmp_path, method):
    path = write_zip(tmp_path / "x.zip", [*NAMES, "empty.png"], method)
    with zipfile.ZipFile(path) as archive:
        contents = {tidy(name.encode()): archive.read(name) for name in archive.namelist()}
    read = contents_of(path)
    assert read
    assert read.items() <= contents.items()


def test_members_of_a_tar_are_read(tmp_path):
    path = write_tar(tmp_path / "x.tar")
    with tarfile.open(path) as tar:
        contents = {tidy(info.name.encode()): tar.extractfile(info).read() for info in tar if info.isreg()}
    read = contents_of(path)
    assert read
    assert read.items() <= contents.items()


def test_members_that_cannot_be_read_are_refused_in_a_sentence(tmp_path):
    assert patched(tmp_path, 8, 1) == "a.png is encrypted"
    assert members_of(tmp_path / "x.zip").places[0, 2] == ENCRYPTED
    assert patched(tmp_path, 10, 97) == "a.png is compressed by method 97, which is not read"
    for method in METHODS:
        assert "is damaged: it must have 5 bytes, and has more" in patched(tmp_path, 24, 5, method)
        assert "is damaged: it must have 60000 bytes, and has " in patched(tmp_path, 24, 60000, method)
    for method in METHODS[1:]:
        assert patched(tmp_path, 10, method).startswith("a.png is damaged: ")


def test_members_of_any_size_are_found_and_their_data_not_looked_at(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for number, size in enumerate(rng.integers(0, [10, 10**6] * 40)):
            add(tar, "x" * 150 + str(number), bytes(int(size)))
    check(path, expected_of_tar(path))
    read = []
    with open_archive(str(path)) as archive:
        archive.read = lambda at, count: read.append(count) or OpenArchive.read(archive, at, count)
        archives.members(archive)
    assert sum(read) < path.stat().st_size / 4


def test_a_header_or_a_name_without_end_is_refused_and_costs_no_memory(tmp_path):
    path = tmp_path / "x.tar"
    for type, size, said in [(b"L", 2**16, "the extended header"), (b"x", 2**30, "has no end"), (b"L", 2**33, "has no end")]:
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
            add(tar, "name", type=type)
        block = bytearray(path.read_bytes()[:512])
        block[124:136] = b"\x80" + size.to_bytes(11, "big")
        mend(block)
        path.write_bytes(block + b"n" * (2**16 + 512))
        os.truncate(path, size + 2**20)
        with pytest.raises(ValueError, match=rf"^{path} is damaged: .*{said}"):
            members_of(path)
