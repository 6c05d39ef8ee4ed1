"""Tar and zip archives, whole and lying: what is listed and read is what the standard library reads, and costs no more than the
archive's size."""

import io
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

from fastmlp.images.sources.archive_reading import OpenArchive, read_member
from fastmlp.images.sources.archives import members
from tests.torture import attack

BATCH = 50  # archives that one becomes
SLOW = 2.0  # seconds of a processor for an archive
FACTOR, ROOM = 20, 1 << 23  # bytes of memory for each of an archive, and beside them
READ = 1 << 16  # of a member, at most
NAMES = ["a.png", "b/c.png", "./d", "/e", "../f", "a//b", ".g", "x" * 99, "y" * 130, "folder/" * 25 + "z", "é.png", "a.png"]
NUMBERS = [0, 1, 2, 7, 30, 45, 46, 255, 511, 512, 513, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
LARGE = [2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
METHODS = [zipfile.ZIP_STORED] * 20 + [zipfile.ZIP_DEFLATED] * 8 + [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
TAR_FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def some_names(rng: np.random.Generator) -> list[str]:
    return [NAMES[k] for k in rng.integers(0, len(NAMES), int(rng.integers(1, 6)))]


def contents(rng: np.random.Generator) -> bytes:
    size = int(rng.choice([0, 1, 20, 511, 512, 513, 3000]))
    return bytes(size) if rng.integers(2) else rng.bytes(size)


# -- zip: APPNOTE 6.3.10 -------------------------------------------------------------------------------------------------------


def zip_of(rng: np.random.Generator) -> bytes:
    """A whole archive: records written field by field, with descriptors, zip64 fields, comments and bytes before it."""
    before = rng.bytes(int(rng.integers(40))) if not rng.integers(6) else b""
    out, directory = bytearray(before), bytearray()
    names = some_names(rng)
    for name in names:
        data, method = contents(rng), int(rng.choice(METHODS))
        packed = _packed(data, method)
        raw, flags = name.encode(), 1 << 11 | 8 * int(rng.integers(2))  # with a descriptor behind the data, perhaps
        large = bool(rng.integers(5) == 0)
        extra = struct.pack("<HHQQ", 1, 16, len(data), len(packed)) if large else b""
        sizes = (2**32 - 1, 2**32 - 1) if large else (len(packed), len(data))
        more = struct.pack("<HH", 0x5455, 5) + bytes(5) if rng.integers(3) == 0 else b""
        header, crc = len(out) - len(before), zlib.crc32(data)
        out += (
            struct.pack("<4s5H3L2H", b"PK\3\4", 45, flags, method, 0, 0, crc, *sizes, len(raw), len(extra + more))
            + raw
            + extra
            + more
        )
        out += packed
        if flags & 8:
            out += struct.pack("<4s3L", b"PK\7\10", crc, len(packed), len(data))
        comment = rng.bytes(int(rng.integers(9)))
        lengths = len(raw), len(extra), len(comment)
        directory += struct.pack("<4s6H3L", b"PK\1\2", 45 | 3 << 8, 45, flags, method, 0, 0, crc, *sizes)
        directory += struct.pack("<3H2H2L", *lengths, 0, 0, 0, header)
        directory += raw + extra + comment
    comment = rng.bytes(int(rng.integers(30)))
    start = len(out) - len(before)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(names), len(names), len(directory), start, len(comment))
    if rng.integers(5) == 0:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(names), len(names), len(directory), start)
        end = record + struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1) + end
    return bytes(out + directory + end + comment)


def _packed(data: bytes, method: int) -> bytes:
    if method == zipfile.ZIP_STORED:
        return data
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x", data)
        info = archive.getinfo("x")
    return file.getvalue()[31 : 31 + info.compress_size]


FIELDS = {  # offset and size of the fields of records that are told by their signature
    b"PK\1\2": [(8, 2), (10, 2), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2), (38, 4), (42, 4)],
    b"PK\3\4": [(6, 2), (8, 2), (18, 4), (22, 4), (26, 2), (28, 2)],
    b"PK\5\6": [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)],
    b"PK\6\6": [(4, 8), (16, 4), (24, 8), (32, 8), (40, 8), (48, 8)],
    b"PK\6\7": [(4, 4), (8, 8), (16, 4)],
}


def lying_zip(rng: np.random.Generator, whole: bytes) -> bytes:
    """With some fields that say something else."""
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        signature = list(FIELDS)[rng.choice(5, p=[0.5, 0.15, 0.2, 0.1, 0.05])]
        found = [k for k in range(len(data) - 4) if data[k : k + 4] == signature] if signature in whole else []
        if not found:
            continue
        offset, size = FIELDS[signature][rng.integers(len(FIELDS[signature]))]
        at = int(rng.choice(found)) + offset
        if at + size > len(data):
            continue
        now = int.from_bytes(data[at : at + size], "little")
        number = [now + int(rng.integers(-40, 41)), int(rng.choice(NUMBERS)), LARGE[rng.integers(5)], int(rng.integers(len(data)))]
        data[at : at + size] = (number[rng.integers(4)] % 2 ** (8 * size)).to_bytes(size, "little")
    return _torn(rng, bytes(data))


def _torn(rng: np.random.Generator, data: bytes) -> bytes:
    """Now and then cut, longer, or with some bytes of any value."""
    what = int(rng.integers(10))
    if what == 0:
        return data[: int(rng.integers(len(data) + 1))]
    if what == 1:
        return data + rng.bytes(int(rng.integers(1, 600)))
    if what == 2 and data:
        changed = bytearray(data)
        for place in rng.integers(0, len(data), int(rng.integers(1, 4))):
            changed[place] = int(rng.integers(256))
        return bytes(changed)
    return data


# -- tar: POSIX.1-2017, pax; GNU tar ---------------------------------------------------------------------------------------------

KINDS = b"0000000\x0012345678gxLKSXVZ"


def tar_of(rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=TAR_FORMATS[rng.integers(3)], errors="surrogateescape") as archive:
        for name in some_names(rng):
            info, data = tarfile.TarInfo(name[:99] if archive.format == tarfile.USTAR_FORMAT else name), contents(rng)
            info.size = len(data)
            if archive.format == tarfile.PAX_FORMAT and rng.integers(3) == 0:
                info.pax_headers = {"size": str(len(data)), "path": name + "p"}
            archive.addfile(info, io.BytesIO(data))
        end = archive.offset
    return file.getvalue()[: end + 1024]


def lying_tar(rng: np.random.Generator, whole: bytes) -> bytes:
    """With some fields of headers, and records, that say something else, under right checksums."""
    data = bytearray(whole)
    headers = [at for at in range(0, len(data) - 511, 512) if data[at + 257 : at + 262] == b"ustar"]
    for _ in range(int(rng.integers(1, 4))):
        at, what = int(rng.choice(headers)), int(rng.integers(7))
        number = int(rng.choice(NUMBERS)) if rng.integers(2) else int(rng.integers(len(data)))
        if what <= 1:
            data[at + 124 : at + 136] = b"%011o\0" % number
        elif what == 2:
            data[at + 124 : at + 136] = bytes([int(rng.choice([128, 255]))]) + (number << 8 * int(rng.integers(4))).to_bytes(
                11, "big"
            )
        elif what == 3:
            data[at + 156] = KINDS[rng.integers(len(KINDS))]
        elif what == 4:
            place = int(rng.choice([0, 99, 257, 263, 345, 482, 499]))
            data[at + place] = int(rng.integers(256))
        elif what == 5:
            data[at + 124 + int(rng.integers(12))] = int(rng.choice(list(b" 0789-x\0\x80")))
        elif at + 1024 <= len(data):  # a record of an extended header, if it is one
            place = at + 512 + int(rng.integers(40))
            data[place] = int(rng.choice(list(b"0123456789 =\n\0\xffpathsize")))
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 155] = b"%06o\0" % sum(data[at : at + 512])
    return _torn(rng, bytes(data))


# -- judges ------------------------------------------------------------------------------------------------------------------------


def by_zipfile(data: bytes) -> list[bytes] | None:
    """The beginnings of members that the standard library reads, in any order; None if it refuses one of them."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sorted(_beginning(archive, info) for info in archive.infolist() if not info.is_dir())
    except Exception:
        return None


def _beginning(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return file.read(READ)


def by_tarfile(data: bytes) -> list[bytes] | None:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape") as archive:
            found = list(islice(archive, 100))  # some it reads for ever
            ends_early = data[archive.offset : archive.offset + 512].strip(b"\0")  # at a header that it cannot read
            if ends_early or archive.pax_headers or any(info.issparse() for info in found):
                return None  # headers for all members do not count for us
            files = [info for info in found if info.isreg()]
            return sorted(data[info.offset_data :][: min(info.size, READ)] for info in files)
    except Exception:
        return None


class Attack(attack.Base):
    """Some archives that follow from one are a case."""

    LIMIT = 180.0  # as code may have to be compiled first

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        for write in (tar_of, zip_of):  # so that it is
            members(OpenArchive("x", io.BytesIO(write(np.random.default_rng(0)))))

    def case(self, rng: np.random.Generator) -> Counter[str]:
        counts: Counter[str] = Counter()
        is_zip = bool(rng.integers(2))
        whole = (zip_of if is_zip else tar_of)(rng)
        self.judge(whole, is_zip, counts, whole=True)
        for number in range(BATCH - 1):
            data = (lying_zip if is_zip else lying_tar)(rng, whole)
            self.judge(data, is_zip, counts, measured=number == 0)
        return counts

    def judge(self, data: bytes, is_zip: bool, counts: Counter[str], whole: bool = False, measured: bool = False) -> None:
        began = time.process_time()
        if measured:
            tracemalloc.start()
        archive = OpenArchive("x", io.BytesIO(data))
        said, found = "", []
        try:
            listed = members(archive, ordered=False)
            for place in listed.places:
                offset, stored, _, size = place.tolist()
                if not 0 <= offset <= offset + stored <= len(data) or size < 0:
                    raise attack.Found("a member lies outside the archive", archive=data)
                found.append(self.read(archive, place, data, counts))
        except ValueError as error:
            said = str(error)
            if not said.startswith(("x is damaged: ", "x is truncated", "x is neither ")) or "\n" in said:
                raise attack.Found(f"no sentence: {said}", archive=data) from error
        except attack.Found:
            raise
        except Exception as error:
            raise attack.Found(f"an error that is not ours: {error!r}", archive=data) from error
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        if peak > FACTOR * len(data) + ROOM:
            raise attack.Found(f"takes {peak} bytes of memory", archive=data)
        if time.process_time() - began > SLOW:
            raise attack.Found(f"takes {time.process_time() - began:.1f} s", archive=data)
        if whole and (said or None in found):
            raise attack.Found(f"a whole archive is refused: {said}", archive=data)
        counts["refused" if said else "listed"] += 1
        expected = None if said else (by_zipfile if is_zip else by_tarfile)(data)
        if expected is not None:
            missing = Counter(one for one in found if one is not None) - Counter(expected)
            if missing:
                raise attack.Found(f"{missing.total()} members are not as the standard library reads them", archive=data)

    def read(self, archive: OpenArchive, place: np.ndarray, data: bytes, counts: Counter[str]) -> bytes | None:
        try:
            return read_member(archive, place, count=READ)
        except ValueError as error:
            if not str(error).startswith("the member is "):
                raise attack.Found(f"no sentence: {error}", archive=data) from error
            return None
