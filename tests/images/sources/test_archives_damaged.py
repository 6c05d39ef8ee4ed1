"""Archives that are damaged at any byte: refused in a sentence, or as if they were whole.

With NUMBA_BOUNDSCHECK=1 the same tests notice any index out of bounds as an IndexError.
"""

import io
import tarfile

import numpy as np
from archive_files import LONG, METHODS, add, listed, mend, write_tar, write_zip, write_zip64

from fastmlp.images.sources.archive_reading import OpenArchive, read_member
from fastmlp.images.sources.archives import members


def sparse_header(name, size, extended):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[482] = extended
    block[483:494] = b"%011o" % 2**20
    mend(block)
    return bytes(block)


def look(data):
    """What comes of a damaged archive: a sentence, or members that lie within it and are read or refused."""
    archive = OpenArchive("x", io.BytesIO(data))
    try:
        found = members(archive, ordered=False)
    except ValueError as error:
        assert str(error).startswith(("x is damaged: ", "x is truncated", "x is neither "))
        return str(error)
    for _, place in listed(found):
        offset, stored, _, size = place
        assert 0 <= offset <= offset + stored <= len(data)
        assert size >= 0
        try:
            read_member(archive, place)
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
