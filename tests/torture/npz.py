"""Zip files of arrays as bytes, from the specifications of zip (APPNOTE 6.3) and of npy: whole, or damaged in any field."""

import struct
import zlib
from typing import Any

import numpy as np

# The fields of a member's own record, of its entry in the directory, and of the end, by their bytes, after the signature.
LOCAL, CENTRAL, END = "HHHHHIIIHH", "HHHHHHIIIHHHHHII", "HHHHIIH"
NUMBERS = (0, 1, 2, 3, 8, 9, 12, 14, 20, 45, 99, 127, 255, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

WHOLE = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}"
HEADERS = (  # of arrays, which no program writes
    "{'descr': '<f8', (", "{[]: 1}", ",,,", "  {'descr': '<f8'}\n {", "", "{", "}", "()", "None", "{'descr': '<f8'}", "\x00", "\\",
    *(WHOLE.format("<f8", "False", shape) for shape in ("(3L,)", "(-3,)", "3", "()", "(2, 2)", f"({9**30},)", "(3,), 'more': 1")),
    *(WHOLE.format(kind, "False", "(3,)") for kind in ("|O", "<f3", "<U0", "<U9999999", "<M8[s]", ">c16", "<f16", "', '")),
    WHOLE.format("<f8", "1", "(3,)"), "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }", "{'shape': (3,)}",
    "{'descr': '<f8', 'shape': (1e9,)}", "__import__('os').abort()", "[" * 900, "(" * 900, "1" * 5000, "'" * 3, '"""', "lambda: 0",
    "{**{}}", "f'{1}'", "\n\n  x\n y", "{'descr': b'<f8'}", "{'descr': '\\x3cf8'}",
)  # fmt: skip
KINDS = ("f8", "f4", "f2", "f16", "u1", "i8", "b1", "U1", "S3", "O8", "V8", "M8", "c8")


def npy(array: np.ndarray, rng: np.random.Generator | None = None) -> bytes:
    """An array in the npy format; with a generator, damaged."""
    text, version, data = (
        f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': {array.shape}, }}",
        (1, 0),
        array.tobytes(),
    )
    length = None
    match -1 if rng is None else rng.integers(8):
        case 0 | 1:
            text = HEADERS[rng.integers(len(HEADERS))]
        case 2:
            version = int(rng.integers(6)), int(rng.integers(3))
        case 3:
            length = int(rng.choice(NUMBERS)) & 0xFFFF
        case 4:
            text = damaged(text.encode(), rng).decode("latin-1")
        case 5:
            text = text.replace(f"({array.size},)", f"({rng.choice(NUMBERS)},)")
        case 6:
            text = text.replace(array.dtype.str[1:], str(rng.choice(KINDS)), 1)
        case 7:
            data = damaged(data, rng)
    head = text.encode("latin-1")
    head += b" " * (-len(head) % 64) + b"\n"
    size = struct.pack("<I" if version[0] > 1 else "<H", len(head) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + head + data


def zipped(members: dict[str, bytes], rng: np.random.Generator | None = None) -> bytes:
    """Members stored in a zip file; with a generator, some fields of its records have other numbers, or a member is there twice."""
    names = list(members)
    if rng is not None and rng.random() < 0.2:
        names.insert(
            int(rng.integers(len(names) + 1)), str(rng.choice([*names, "x.npy", "../header.npy", "header.npy\0x", "é.npy"]))
        )
    fields: list[tuple[str, list[Any]]] = []
    for name in names:
        content, length = members.get(name, b""), len(name.encode())
        common = [0, 0, 0, 33, zlib.crc32(content), len(content), len(content), length, 0]
        fields += [(LOCAL, [20, *common]), (CENTRAL, [20, 20, *common, 0, 0, 0, 0, None])]
    fields.append((END, [0, 0, len(names), len(names), None, None, 0]))
    changed: dict[tuple[int, int], int] = {}
    for _ in range(0 if rng is None else rng.integers(1, 4)):
        record = int(rng.integers(len(fields)))
        changed[record, int(rng.integers(len(fields[record][1])))] = int(rng.choice(NUMBERS))

    def packed(signature: bytes, record: int) -> bytes:
        codes, values = fields[record]
        limits = [0xFFFF if code == "H" else 0xFFFFFFFF for code in codes]
        own = [changed.get((record, place), value) & limit for place, (value, limit) in enumerate(zip(values, limits, strict=True))]
        return signature + struct.pack(f"<{codes}", *own)

    body = directory = b""
    for number, name in enumerate(names):
        fields[2 * number + 1][1][-1] = len(body)
        body += packed(b"PK\3\4", 2 * number) + name.encode() + members.get(name, b"")
        directory += packed(b"PK\1\2", 2 * number + 1) + name.encode()
    fields[-1][1][4:6] = len(directory), len(body)
    return body + directory + packed(b"PK\5\6", len(fields) - 1)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of which some are changed, left out, put in, zeroed or repeated."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(content) + 1))
        to = min(len(content), at + int(rng.choice([1, 1, 2, 4, 16, 512])))
        match rng.integers(6):
            case 0:
                del content[at:]
            case 1:
                del content[at:to]
            case 2:
                content[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 3:
                content[at:to] = bytes(to - at)
            case 4:
                content[at:at] = content[at:to]
            case 5:
                content[at:to] = bytes(byte ^ 1 << int(rng.integers(8)) for byte in content[at:to])
    return bytes(content)
