"""Archives: listed as tarfile and zipfile list them, read as they read them, and refused in a sentence when damaged.

With NUMBA_BOUNDSCHECK=1 the same tests notice any index out of bounds as an IndexError.
"""

import io
import os
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from fastmlp.images import archives
from fastmlp.images.archives import compression, kind, mapped, members, read_member
from fastmlp.kernels.images.archive import ENCRYPTED

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]

LONG = "a folder with a long name/" * 5
NAMES = [
    "b.png", "a.png", "a/10.png", "a/2.png", "A.PNG", "a-b/c.png", "./dot.png", "././/twice.png", "/absolute.png", "../up.png",
    "a/../b/c.png", "no ending", "grün/Übung.png", "日本/絵.png", LONG + "x.png", LONG + "é.png", LONG + "y" * 99, "d" * 99,
    "e" * 100, ".hidden.png", ".git/x.png", "a/.b/c.png", "a/..b.png", "a//b.png", "x.png", "zz.png",
]  # fmt: skip


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
    assert listed(members(path, ordered=False)) == files
    assert listed(members(path)) == sorted(files)
    assert members(path).skipped == members(path, ordered=False).skipped == skipped


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


# -- Telling what a file is --------------------------------------------------------------------------------------------


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
            members(tmp_path / f"{number}.tar")


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


def test_mapped_is_the_whole_file(tmp_path):
    (tmp_path / "x").write_bytes(b"some bytes")
    data = mapped(tmp_path / "x")
    assert data.tobytes() == b"some bytes"
    assert data.dtype == np.uint8
    assert data.flags.writeable  # the kernels' type
    (tmp_path / "x").write_bytes(b"")
    assert mapped(tmp_path / "x").size == 0


# -- tar ---------------------------------------------------------------------------------------------------------------


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
    assert [name for name, _ in listed(members(path))] == [b"caf\xe9.png", b"\xff\xfe.png"]
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
    assert members(tmp_path / "x.tar").skipped == 6


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
    assert members(path).skipped == 1


def test_of_the_same_name_the_last_counts(tmp_path):
    path = write_tar(tmp_path / "x.tar", ["b.png", "a.png", "./b.png", "c.png", "a.png"])
    write_tar(path, ["c.png", "d.png"], mode="a")
    check(path, expected_of_tar(path))
    with tarfile.open(path, "a") as tar:
        add(tar, "d.png", type=tarfile.SYMTYPE, linkname="a.png")
    check(path, expected_of_tar(path))
    assert members(path).skipped == 1
    write_tar(path, ["d.png"], mode="a")
    check(path, expected_of_tar(path))
    assert members(path).skipped == 0


def test_headers_for_all_members_and_several_before_one(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "0123"}) as tar:
        add(tar, "a.png", b"a" * 700, pax_headers={"size": "700", "path": "other.png", "mtime": "1.5"})
        tar.fileobj.write(tarfile.TarInfo._create_gnu_long_header("first.png", tarfile.GNUTYPE_LONGNAME, "utf-8", "strict"))
        add(tar, "b.png", b"b", pax_headers={"path": "second.png"})
    check(tmp_path / "x.tar", expected_of_tar(tmp_path / "x.tar"))
    assert [name for name, _ in listed(members(tmp_path / "x.tar"))] == [b"first.png", b"other.png"]


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
    assert members(path).places[:, 1].tolist() == [700, 1]


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
    monkeypatch.setattr(archives, "NAME_ROOM", 80)
    rng = np.random.default_rng(0)
    names = [f"{'x' * int(rng.integers(100)) ** 2}/{n}.png" for n in rng.permutation(200)]
    path = write(tmp_path / "x", names)
    check(path, (expected_of_tar if write is write_tar else expected_of_zip)(path))


# -- zip ---------------------------------------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("method", METHODS)
def test_a_zip_is_listed_as_zipfile_lists_it(tmp_path, method):
    path = write_zip(tmp_path / "x.zip", [*NAMES, "folder/"], method)
    check(path, expected_of_zip(path))


def test_an_empty_zip(tmp_path):
    assert listed(members(write_zip(tmp_path / "x.zip", []))) == []


@pytest.mark.parametrize("comment", [b"a comment", b"c" * 65535, b"with PK\5\6 in it", b"PK\5\6" + b"\1" * 40])
def test_a_zip_with_a_comment(tmp_path, comment):
    plain, path = write_zip(tmp_path / "a.zip"), write_zip(tmp_path / "b.zip", comment=comment)
    assert listed(members(path)) == listed(members(plain))


def test_a_zip_behind_another_one(tmp_path):
    first, path = write_zip(tmp_path / "a.zip", ["1.png"]), write_zip(tmp_path / "b.zip")
    path.write_bytes(first.read_bytes() + path.read_bytes())
    check(path, expected_of_zip(path))


PROGRAMS = {
    "short": b"x",
    "script": b"#!/bin/sh\nexit\n",
    "program": b"MZ" + bytes(range(256)) * 300,
    "with an end of its own": b"MZ PK\5\6" + bytes(18) + b"PK\1\2 PK\3\4",
    "photo": b"\xff\xd8\xff\xe0" + bytes(1000),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("comment", [b"", b"c" * 65535])
def test_a_zip_behind_a_program_that_unpacks_it(tmp_path, monkeypatch, program, comment):
    path = write_zip(tmp_path / "x.exe", comment=comment)
    plain = path.read_bytes()
    path.write_bytes(PROGRAMS[program] + plain)
    assert kind(path) == "zip"
    check(path, expected_of_zip(path))
    data = mapped(path)
    with zipfile.ZipFile(path) as archive:
        contents = {tidy(name.encode()): archive.read(name) for name in archive.namelist()}
    assert {name: read_member(data, place) for name, place in listed(members(path))}.items() <= contents.items()
    write_zip64(path, monkeypatch)
    path.write_bytes(PROGRAMS[program] + path.read_bytes())
    check(path, expected_of_zip(path))
    path.write_bytes(PROGRAMS[program] + write_zip(path, [], comment=comment).read_bytes())
    assert kind(path) == "zip"
    assert listed(members(path)) == []


def test_a_zip_whose_offsets_count_from_the_start_of_its_program(tmp_path):
    path = tmp_path / "x.exe"
    path.write_bytes(PROGRAMS["script"])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a.png", b"content")
    assert path.read_bytes().startswith(PROGRAMS["script"])
    check(path, expected_of_zip(path))


def test_what_begins_as_something_else_that_is_read_is_no_zip(tmp_path):
    behind = write_zip(tmp_path / "x.zip").read_bytes()
    for beginning, expected in [
        (b"\x89PNG\r\n\x1a\n" + bytes(600), None),
        (b"\x1f\x8b" + bytes(600), None),
        (write_tar(tmp_path / "x.tar").read_bytes(), "tar"),
    ]:
        (tmp_path / "x").write_bytes(beginning + behind)
        assert kind(tmp_path / "x") == expected
    (tmp_path / "x").write_bytes(b"MZ" + behind[:-1])  # and one without its end is no zip either
    assert kind(tmp_path / "x") is None


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_the_same_name_in_a_zip_the_last_counts(tmp_path):
    path = write_zip(tmp_path / "x.zip", ["b.png", "a.png", "b.png"])
    check(path, expected_of_zip(path))


def test_links_in_a_zip_are_skipped(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"a")
        for name, mode in [("b.png", 0o120777), ("c.png", 0o100644), ("d.png", 0)]:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, b"a.png")
    check(tmp_path / "x.zip", expected_of_zip(tmp_path / "x.zip"))
    assert members(tmp_path / "x.zip").skipped == 1


def write_zip64(path, monkeypatch, names=NAMES):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 30)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    return write_zip(path, names, zipfile.ZIP_DEFLATED)


def test_zip64(tmp_path, monkeypatch):
    path = write_zip64(tmp_path / "x.zip", monkeypatch)
    data = path.read_bytes()
    assert b"PK\6\6" in data
    assert data[data.index(b"PK\1\2") :].count(b"\xff" * 8) > 20  # sizes that are only in the extra fields
    check(path, expected_of_zip(path))
    path.write_bytes(b"PK\3\4 before" + data)
    check(path, expected_of_zip(path))
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive, archive.open("a.png", "w", force_zip64=True) as file:
        file.write(b"content")
    check(tmp_path / "y.zip", expected_of_zip(tmp_path / "y.zip"))


def test_names_in_code_page_437(tmp_path):
    path = write_zip(tmp_path / "x.zip", ["XYZ.png", "after.png"])
    for code in range(128, 256):
        path.write_bytes(write_zip(path, ["XYZ.png", "after.png"]).read_bytes().replace(b"XYZ", bytes([code, 65, 255 - code // 2])))
        check(path, expected_of_zip(path))


def test_names_in_a_zip_end_at_nul(tmp_path):
    path = write_zip(tmp_path / "x.zip", ["a.pngXYZ", "\u00e9.pngXYZ"])
    path.write_bytes(path.read_bytes().replace(b"XYZ", b"\0YZ"))
    assert [name for name, _ in listed(members(path))] == [b"a.png", "\u00e9.png".encode()]
    check(path, expected_of_zip(path))


# -- Reading members ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_members_of_a_zip_are_read_as_zipfile_reads_them(tmp_path, method):
    path = write_zip(tmp_path / "x.zip", [*NAMES, "empty.png"], method)
    data = mapped(path)
    with zipfile.ZipFile(path) as archive:
        contents = {tidy(name.encode()): archive.read(name) for name in archive.namelist()}
    for name, place in listed(members(path, data=data)):
        assert read_member(data, place) == contents[name]


def test_members_of_a_tar_are_read(tmp_path):
    path = write_tar(tmp_path / "x.tar")
    data, found = mapped(path), members(path)
    with tarfile.open(path) as tar:
        contents = {tidy(info.name.encode()): tar.extractfile(info).read() for info in tar if info.isreg()}
    for (name, _), place in zip(listed(found), found.places, strict=True):
        assert read_member(data, place) == contents[name]


def patched(tmp_path, offset, value, method=zipfile.ZIP_STORED):
    """The message on reading the only member of a zip in whose directory one number was replaced."""
    data = bytearray(write_zip(tmp_path / "x.zip", ["a.png"], method).read_bytes())
    entry = data.index(b"PK\1\2")
    data[entry + offset : entry + offset + 2] = value.to_bytes(2, "little")
    (tmp_path / "x.zip").write_bytes(data)
    data = mapped(tmp_path / "x.zip")
    with pytest.raises(ValueError, match=r"^a\.png is ") as caught:
        read_member(data, members(tmp_path / "x.zip").places[0], "a.png")
    return str(caught.value)


def test_members_that_cannot_be_read_are_refused_in_a_sentence(tmp_path):
    assert patched(tmp_path, 8, 1) == "a.png is encrypted"
    assert members(tmp_path / "x.zip").places[0, 2] == ENCRYPTED
    assert patched(tmp_path, 10, 97) == "a.png is compressed by method 97, which is not read"
    for method in METHODS:
        assert "is damaged: it must have 5 bytes, and has more" in patched(tmp_path, 24, 5, method)
        assert "is damaged: it must have 60000 bytes, and has " in patched(tmp_path, 24, 60000, method)
    for method in METHODS[1:]:
        assert patched(tmp_path, 10, method).startswith("a.png is damaged: ")


# -- Damaged archives --------------------------------------------------------------------------------------------------


def look(data):
    """What comes of a damaged archive: a sentence, or members that lie within it and are read or refused."""
    data = np.frombuffer(bytearray(data), np.uint8)
    try:
        found = members("x", ordered=False, data=data)
    except ValueError as error:
        assert str(error).startswith(("x is damaged: ", "x is truncated", "x is neither "))
        return str(error)
    for _, place in listed(found):
        offset, stored, _, size = place
        assert 0 <= offset <= offset + stored <= data.size
        assert size >= 0
        try:
            read_member(data, place)
        except ValueError as error:
            assert str(error).startswith("the member is ")
    return None


def small_tar(tmp_path):
    """A small archive that has every kind of header."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        add(tar, LONG + "a.png", b"a" * 10)
        tar.format = tarfile.PAX_FORMAT
        add(tar, LONG + "b.png", b"b" * 600, pax_headers={"size": "600"})
        tar.format = tarfile.USTAR_FORMAT
        add(tar, LONG + "c.png", b"c")
        add(tar, "link", type=tarfile.SYMTYPE, linkname="x")
    data = path.read_bytes().rstrip(b"\0")
    return data.ljust((len(data) + 511) // 512 * 512, b"\0") + sparse_header("s", 10, 1) + bytes(1024) + bytes(1024)


def small_zip(tmp_path, monkeypatch):
    parts = []
    for method in METHODS:
        parts.append(write_zip(tmp_path / "x.zip", ["a.png", "grün.png"], method, b"comment").read_bytes())
    parts.append(write_zip64(tmp_path / "x.zip", monkeypatch, ["a.png", "grün.png"]).read_bytes())
    return parts


def test_harm_to_a_tar_at_any_byte_is_noticed_or_harmless(tmp_path):
    data = small_tar(tmp_path)
    assert look(data) is None
    whole = len(data) - 1024
    for length in range(len(data)):
        said = look(data[:length])
        assert said is None if length >= whole else said is None or said == "x is truncated" or length < 512
    for i in range(len(data)):
        for change in (0xFF, 0x01):
            look(data[:i] + bytes([data[i] ^ change]) + data[i + 1 :])


def test_harm_under_right_checksums_of_a_tar_is_noticed_or_harmless(tmp_path):
    data, rng = small_tar(tmp_path), np.random.default_rng(0)
    headers = [at for at in range(0, len(data), 512) if data[at + 148 : at + 154].isdigit()]
    for number in range(2000):
        block = bytearray(data)
        at = headers[number % len(headers)]
        for place in rng.integers(0, 512, 1 + number % 3):
            block[at + int(rng.choice([place, 124 + place % 12, 156, 482, 345]))] = int(
                rng.choice([0, 32, 48, 55, 57, 120, 128, 255])
            )
        mend(block, at)
        records = bytes(block).index(b" path=")
        block[records - 3 + int(rng.integers(12))] = int(rng.choice(list(b"0123456789 =\n\0path\xff")))
        look(block)


def test_harm_to_a_zip_at_any_byte_is_noticed_or_harmless(tmp_path, monkeypatch):
    for data in small_zip(tmp_path, monkeypatch):
        assert look(data) is None
        for length in range(len(data)):
            assert look(data[:length]) is not None
        for i in range(len(data)):
            for change in (0xFF, 0x01):
                look(data[:i] + bytes([data[i] ^ change]) + data[i + 1 :])


def test_harm_to_the_directory_of_a_zip_is_noticed_or_harmless(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for data in small_zip(tmp_path, monkeypatch):
        start = data.index(b"PK\1\2")
        for _ in range(500):
            block = bytearray(data)
            for place in rng.integers(start, len(data), 1 + rng.integers(4)):
                block[place] = int(rng.choice([0, 1, 46, 127, 128, 255]))
            look(block)


def test_a_truncated_tar_and_a_bad_header_are_named(tmp_path):
    data = write_tar(tmp_path / "x.tar", ["a.png", "b.png"], "ustar").read_bytes()
    second = data.index(b"b.png")
    assert look(data[: second + 512]) == "x is truncated"
    assert look(data[: second + 100]) == "x is truncated"
    assert look(data[:second]) is None
    assert look(data[:second] + b"B" + data[second + 1 :]) == f"x is damaged: there is no right header at byte {second}"


def test_a_zip_without_its_end_is_refused(tmp_path):
    data = write_zip(tmp_path / "x.zip").read_bytes()
    assert look(data[:-1]) == "x is truncated or damaged: it has no end of a directory"
