"""PNG files of every kind, whole and damaged by structure: what is read is what Pillow reads, pixel for pixel, and compiled code
touches nothing beside the file and its scratch."""

import io
import struct
import time
import warnings
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastmlp import ImageError, read_image
from fastmlp.images import reading
from fastmlp.kernels.images import files
from tests.torture import attack
from tests.torture.deflating import zlib_stream
from tests.torture.guarded import guarded

KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
SIGNATURE = b"\x89PNG\r\n\x1a\n"
BATCH = 100  # files that one picture becomes
MAX_PIXELS = 1 << 20
SLOW = 2.0  # seconds of a processor for a file
ROOM = 1 << 16  # bytes of a file
NAMES = [
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"iCCP",
    b"gAMA",
    b"eXIf",
    b"acTL",
    b"fcTL",
    b"fdAT",
    b"prIv",
    b"CrIT",
    b"bKGD",
    b"tIME",
    b"sBIT",
]

Chunks = list[tuple[bytes, bytes]]


def as_file(chunks: Chunks) -> bytes:
    parts = [SIGNATURE]
    for kind, body in chunks:
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))]
    return b"".join(parts)


def picture(rng: np.random.Generator) -> Chunks:
    """The chunks of a whole file."""
    colour_type, depth = KINDS[rng.integers(len(KINDS))]
    height, width = rng.integers(1, 24, 2).tolist() if rng.integers(8) else rng.integers(1, 90, 2).tolist()
    interlaced, entries = bool(rng.integers(4) == 0), int(rng.integers(1, 2**depth + 1)) if colour_type == 3 else 2**depth
    samples = rng.integers(0, entries, (height, width, CHANNELS[colour_type]))
    if rng.integers(2):  # some of it is even
        samples[: height // 2] = samples[0, 0]
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    lines = b"".join(_filtered(rng, part, depth) for part in passes if part.size)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced))]
    if colour_type == 3 or (colour_type in (2, 6) and not rng.integers(4)):
        chunks.append((b"PLTE", rng.bytes(3 * (entries if colour_type == 3 else int(rng.integers(1, 257))))))
    if colour_type == 3 and rng.integers(2):
        chunks.append((b"tRNS", rng.bytes(int(rng.integers(1, entries + 1)))))
    elif colour_type in (0, 2) and not rng.integers(3):
        chunks.append((b"tRNS", samples[0, 0].astype(">u2").tobytes()))
    own = rng.integers(3) and len(lines) < 3000
    chunks.append((b"IDAT", zlib_stream(rng, lines) if own else zlib.compress(lines, int(rng.integers(10)))))
    return [*chunks, (b"IEND", b"")]


def _filtered(rng: np.random.Generator, samples: np.ndarray, depth: int) -> bytes:
    """Lines as the format packs them, each behind a filter that is drawn: what undoing that makes of them is as good a picture."""
    lines = samples.reshape(len(samples), -1)
    if depth == 16:
        packed = lines.astype(">u2").view(np.uint8)
    else:
        bits = lines[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
        packed = np.packbits(bits.reshape(len(lines), -1).astype(np.uint8), axis=1)
    few = depth < 8  # of a palette the index must be one, whatever the filter makes of it
    kinds = rng.integers(0, 1 if few and rng.integers(2) else 5, len(packed))
    return b"".join(bytes([kind]) + line.tobytes() for kind, line in zip(kinds.tolist(), packed, strict=True))


def split(rng: np.random.Generator, chunks: Chunks) -> Chunks:
    """With the stream cut into several chunks, some of them empty perhaps."""
    out: Chunks = []
    for kind, body in chunks:
        if kind == b"IDAT":
            edges = [0, *sorted(rng.integers(0, len(body) + 1, int(rng.integers(1, 6))).tolist()), len(body)]
            out += [(kind, body[a:b]) for a, b in pairwise(edges)]
        else:
            out.append((kind, body))
    return out


def damaged(rng: np.random.Generator, chunks: Chunks) -> bytes:
    """The file with one thing, or a few, that are not as they were."""
    chunks = list(chunks)
    for _ in range(int(rng.integers(1, 4))):
        k, what = int(rng.integers(len(chunks))), int(rng.integers(14))
        if what <= 3:  # the stream, more often than others
            k = next((k for k, (kind, _) in enumerate(chunks) if kind == b"IDAT"), k)
        kind, body = chunks[k]
        place = int(rng.integers(len(body) + 1))
        if what in (0, 1, 2, 12) and place < len(body):
            body = body[:place] + bytes([body[place] ^ 1 << int(rng.integers(8))]) + body[place + 1 :]
        elif what == 3:
            body = body[:place] + rng.bytes(int(rng.integers(1, 9))) + body[place + int(rng.integers(9)) :]
        elif what == 4:
            body = body[:place]
        elif what == 5:
            body += rng.bytes(int(rng.integers(1, 30)))
        elif what == 6:
            chunks = split(rng, chunks)
            continue
        elif what == 7:
            chunks.insert(k, (kind, body))
        elif what == 8 and len(chunks) > 1:
            del chunks[k]
            continue
        elif what == 9:
            chunks[k], chunks[k - 1] = chunks[k - 1], chunks[k]
            continue
        elif what == 10:
            chunks.insert(k, (NAMES[rng.integers(len(NAMES))], rng.bytes(int(rng.integers(40)))))
            continue
        elif what == 11 and len(chunks[0][1]) == 13:
            head = bytearray(chunks[0][1])
            field = int(rng.integers(13))
            head[field] = int(rng.choice([0, 1, 2, 3, 4, 6, 7, 8, 16, 255])) if field > 1 else int(rng.integers(2))
            k, kind, body = 0, *(chunks[0][0], bytes(head))
        elif what == 13:
            kind = bytes([kind[0] ^ 32, *kind[1:]]) if rng.integers(2) else rng.bytes(4)
        chunks[k] = kind, body
    data = as_file(chunks)
    last = int(rng.integers(10))
    if last == 0:
        return data[: int(rng.integers(len(data) + 1))]
    if last == 1:
        return data + rng.bytes(int(rng.integers(1, 30)))
    if last <= 3:  # without a right checksum
        changed = bytearray(data)
        changed[rng.integers(len(data))] = rng.integers(256)
        return bytes(changed)
    return data


def by_pillow(data: bytes) -> np.ndarray | None:
    """The gray levels as Pillow alone reads them; None if it does not, or goes by something else than the standard."""
    if data.count(b"IHDR") != 1:
        return None  # of several headers it takes the last one
    with warnings.catch_warnings(action="ignore"):
        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except Exception:
            return None
        if "transparency" in image.info and image.mode not in ("P", "L", "RGB"):
            return None
        depth, colour_type = data[24], data[25]
        if colour_type in (0, 2) and "transparency" in image.info and depth != 8:
            return None  # which it compares with samples of 8 bits
        if image.mode.startswith("I"):
            return (np.asarray(image) >> 8).astype(np.uint8)
        if image.mode in ("P", "LA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            page = Image.new("RGBA", image.size, "white")
            page.paste(image, mask=image)
            image = page.convert("RGB")
        return np.asarray(image.convert("L"))


def _guarded_like(array: np.ndarray) -> np.ndarray:
    copy = guarded(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Attack(attack.Base):
    """Some files that follow from one picture are a case."""

    LIMIT = 180.0  # as code may have to be compiled first

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        made = files.file_scratch()
        self.file_scratch = made._replace(
            png=made.png._replace(**{name: _guarded_like(value) for name, value in made.png._asdict().items()}),
            features=made.features._replace(**{name: _guarded_like(value) for name, value in made.features._asdict().items()}),
        )
        self.room = guarded(ROOM)
        self.features, self.outcomes = guarded(3 * 8).view(float).reshape(1, 3), guarded(1)
        self.compiled(b"")  # so that it is

    def compiled(self, data: bytes) -> Any:
        """The gray levels that compiled code reads from memory which ends where the file does; None if it leaves that to Pillow."""
        place = self.room[-len(data) :] if data else self.room[:0]
        place[:] = np.frombuffer(data, np.uint8)
        at = files.AtPlaces(-1, place, np.array([[0, len(data), 0, len(data)]]))
        files.read_files(self.features, self.outcomes, self.file_scratch, reading.NEVER, reading.NO_FOLDER, at, 0, MAX_PIXELS)
        if self.outcomes[0] != files.READ:
            return None
        height, width = self.file_scratch.shape
        return self.file_scratch.png.gray[: height * width].reshape(height, width).copy()

    def case(self, rng: np.random.Generator) -> Counter[str]:
        counts: Counter[str] = Counter()
        chunks = picture(rng)
        self.judge(as_file(chunks), counts, whole=True)
        self.judge(as_file(split(rng, chunks)), counts, whole=True)
        for _ in range(BATCH - 2):
            data = damaged(rng, chunks)
            if len(data) <= ROOM:
                self.judge(data, counts, whole=False)
        return counts

    def judge(self, data: bytes, counts: Counter[str], whole: bool) -> None:
        began = time.process_time()
        fast = self.compiled(data)
        try:
            gray = read_image(data, MAX_PIXELS)
        except ImageError as error:
            if fast is not None:
                raise attack.Found(f"compiled code reads what is refused: {error}", png=data) from error
            if not str(error).startswith("the image ") or "\n" in str(error):
                raise attack.Found(f"no sentence: {error}", png=data) from error
            gray = None
        except Exception as error:
            raise attack.Found(f"an error that is not ours: {error!r}", png=data) from error
        if time.process_time() - began > SLOW:
            raise attack.Found(f"takes {time.process_time() - began:.1f} s", png=data)
        if fast is not None and not np.array_equal(fast, gray):
            raise attack.Found("compiled code reads other pixels", png=data)
        expected = by_pillow(data) if gray is not None or whole else None
        if gray is None:
            if expected is not None:
                raise attack.Found("a whole file is refused", png=data)
        elif expected is not None and not np.array_equal(gray, expected):
            raise attack.Found("other pixels than Pillow reads", png=data)
        counts["refused" if gray is None else "by Pillow" if fast is None else "compiled"] += 1
