"""Zip archives of any kind, listed as zipfile lists them.

With NUMBA_BOUNDSCHECK=1 the same tests notice any index out of bounds as an IndexError.
"""

import zipfile

import numpy as np
import pytest
from archive_files import (
    METHODS,
    NAMES,
    check,
    contents_of,
    expected_of_zip,
    listed,
    members_of,
    tidy,
    write_tar,
    write_zip,
    write_zip64,
)

from fastmlp.images.sources.archives import kind


@pytest.mark.kernels
@pytest.mark.parametrize("method", METHODS)
def test_a_zip_is_listed_as_zipfile_lists_it(tmp_path, method):
    path = write_zip(tmp_path / "x.zip", [*NAMES, "folder/"], method)
    check(path, expected_of_zip(path))


def test_an_empty_zip(tmp_path):
    assert listed(members_of(write_zip(tmp_path / "x.zip", []))) == []


@pytest.mark.parametrize("comment", [b"a comment", b"c" * 65535, b"with PK\5\6 in it", b"PK\5\6" + b"\1" * 40])
def test_a_zip_with_a_comment(tmp_path, comment):
    plain, path = write_zip(tmp_path / "a.zip"), write_zip(tmp_path / "b.zip", comment=comment)
    assert listed(members_of(path)) == listed(members_of(plain))


def test_a_zip_behind_another_one(tmp_path):
    first, path = write_zip(tmp_path / "a.zip", ["1.png"]), write_zip(tmp_path / "b.zip")
    path.write_bytes(first.read_bytes() + path.read_bytes())
    check(path, expected_of_zip(path))


PROGRAMS = {
    "short": b"x",
    "script": b"#!/bin/sh\nexit\n",
    "program": b"MZ" + bytes(range(256)) * 300,
    "with an end of its own": b"MZ PK\5\6" + bytes(18) + b"PK\1\2 PK\3\4",
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("comment", [b"", b"c" * 65535])
def test_a_zip_behind_a_program_that_unpacks_it(tmp_path, monkeypatch, program, comment):
    path = write_zip(tmp_path / "x.exe", comment=comment)
    plain = path.read_bytes()
    path.write_bytes(PROGRAMS[program] + plain)
    assert kind(path) == "zip"
    check(path, expected_of_zip(path))
    with zipfile.ZipFile(path) as archive:
        contents = {tidy(name.encode()): archive.read(name) for name in archive.namelist()}
    assert contents_of(path).items() <= contents.items()
    write_zip64(path, monkeypatch)
    path.write_bytes(PROGRAMS[program] + path.read_bytes())
    check(path, expected_of_zip(path))
    path.write_bytes(PROGRAMS[program] + write_zip(path, [], comment=comment).read_bytes())
    assert kind(path) == "zip"
    assert listed(members_of(path)) == []


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
        (b"\xff\xd8\xff\xe0" + bytes(600), None),
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
    assert members_of(tmp_path / "x.zip").skipped == 1


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
    assert [name for name, _ in listed(members_of(path))] == [b"a.png", "\u00e9.png".encode()]
    check(path, expected_of_zip(path))


def entries_of(data):
    """Where the entries of a zip's directory begin."""
    return [at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2"]


def refusal(path):
    with pytest.raises(ValueError, match=rf"^{path} is damaged: ") as caught:
        members_of(path)
    return str(caught.value)


@pytest.mark.parametrize("stored", [1, 5000, 200_000])
def test_members_that_share_bytes_are_refused(tmp_path, stored):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.png", "b.png", "c.png"):
            archive.writestr(name, bytes(stored))
    whole = path.read_bytes()
    first, second, _ = entries_of(whole)
    for field, value in ((42, 0), (20, stored + 1 + 30 + 5), (42, 1)):  # the second where the first is; the first too long; nowhere
        data = bytearray(whole)
        entry = first if field == 20 else second
        data[entry + field : entry + field + 4] = value.to_bytes(4, "little")
        path.write_bytes(data)
        assert ("begins within another one" if value != 1 else "leads to no member") in refusal(path)
    path.write_bytes(whole)
    assert len(listed(members_of(path))) == 3


def test_a_member_does_not_reach_into_the_directory(tmp_path):
    path = write_zip(tmp_path / "x.zip", ["a.png"])
    data = bytearray(path.read_bytes())
    (entry,) = entries_of(data)
    stored = int.from_bytes(data[entry + 20 : entry + 24], "little")
    data[entry + 20 : entry + 24] = (stored + 1).to_bytes(4, "little")
    path.write_bytes(data)
    assert "leads to no member" in refusal(path)


def test_members_that_lie_anywhere_in_any_order_are_found(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, size in enumerate(rng.integers(0, [10, 10**6] * 40)):
            archive.writestr(f"{number}.png", bytes(int(size)))
        rng.shuffle(archive.filelist)
    check(path, expected_of_zip(path))
