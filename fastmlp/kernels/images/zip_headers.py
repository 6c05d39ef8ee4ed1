"""The members of a zip archive, found by walking its directory: see archive.py for what goes in and out.

PKWARE, APPNOTE.TXT 6.3.10: 4.3.7 local file header, 4.3.12 central directory, 4.5.3 zip64 extra field.
"""

import numpy as np

from fastmlp.kernels.compile import jit, jit_part
from fastmlp.kernels.images.archive import (
    BAD_ENTRY,
    BAD_PLACE,
    BEYOND,
    ENCRYPTED,
    END,
    FULL,
    LARGEST,
    NO_FILE,
    NOTHING,
    OVERLAP,
    begins_with,
    byte,
    little_endian,
    put_member,
    put_text,
    text,
)

LOCAL_HEADER, ENTRY = text(b"PK\3\4"), text(b"PK\1\2")
UTF8, LOCKED = 1 << 11, 1 | 1 << 6  # flags
UNKNOWN = 2**32 - 1  # the number is in the zip64 field
MODE, REGULAR, UNIX_FOLDER = 0o170000, 0o100000, 0o040000
UNIX = 3

# The UTF-8 bytes of each character of code page 437 from 128 on, which are two or three.
CP437 = np.array([list(bytes([code]).decode("cp437").encode().ljust(3, b"\0")) for code in range(128, 256)], np.uint8)


@jit_part
def put_decoded(names, end, data, start, length):
    """Copies a text, from code page 437 to UTF-8, up to its first NUL; returns where it ends."""
    for i in range(start, start + length):
        code = byte(data, i)
        if code == 0:
            break
        if code < 128:
            names[end] = code
            end += 1
        else:
            end = put_text(names, end, CP437[code - 128], 0, 3)
    return end


@jit_part
def zip64_field(data, start, end):
    """Where the zip64 field begins and ends among the extra fields; (end, end) without one."""
    while end - start >= 4:
        after = start + 4 + little_endian(data, start + 2, 2)
        if after > end:
            break
        if little_endian(data, start, 2) == 1:
            return start + 4, after
        start = after
    return end, end


@jit_part
def take_large(data, number, start, end):
    """The number, or the next one of the zip64 field if it is only there; and where the field goes on."""
    if number == UNKNOWN and end - start >= 8:
        return little_endian(data, start, 8), start + 8
    return number, start


@jit
def walk_zip(places, names, data, size, before, start):
    """Lists the members from the entry on that the window begins with, until it ends, or places or names are full.

    The window is one of the central directory, which is `size` bytes from there on, and begins at `start` in the file. Its offsets
    leave out so many bytes before the archive. Those of places are of the local headers: see pass_local_headers.
    """
    count, used, at = NOTHING, NOTHING, NOTHING
    while at < size:
        if size - at < 46:
            return count, used, at, BAD_ENTRY
        if data.size - at < 46:
            return count, used, at, BEYOND
        if not begins_with(data, at, data.size, ENTRY):
            return count, used, at, BAD_ENTRY
        flags = little_endian(data, at + 8, 2)
        method = little_endian(data, at + 10, 2)
        stored = little_endian(data, at + 20, 4)
        decompressed = little_endian(data, at + 24, 4)
        name_length = little_endian(data, at + 28, 2)
        extra_length = little_endian(data, at + 30, 2)
        header = little_endian(data, at + 42, 4)
        name = at + 46
        extra = name + name_length
        after = extra + extra_length + little_endian(data, at + 32, 2)
        if after > size:
            return count, used, at, BAD_ENTRY
        if after > data.size:
            return count, used, at, BEYOND
        large, large_end = zip64_field(data, extra, extra + extra_length)
        decompressed, large = take_large(data, decompressed, large, large_end)
        stored, large = take_large(data, stored, large, large_end)
        header, large = take_large(data, header, large, large_end)

        if header > start or stored > start or decompressed > LARGEST:
            return count, used, at, BAD_PLACE
        header += before
        if header < 0 or header + 30 + stored > start:
            return count, used, at, BAD_PLACE

        if count == len(places) or 3 * name_length + 1 > names.size - used:
            return count, used, at, FULL
        end = put_text(names, used, data, name, name_length) if flags & UTF8 else put_decoded(names, used, data, name, name_length)
        mode = little_endian(data, at + 40, 2) & MODE if byte(data, at + 5) == UNIX else 0
        if flags & LOCKED:
            method = ENCRYPTED
        if mode != 0 and mode != REGULAR:
            method = NO_FILE
        if mode != UNIX_FOLDER:
            count, used = put_member(places, names, count, used, end, header, stored, method, decompressed)
        at = after
    return count, used, at, END


@jit
def pass_local_headers(places, order, data, base, start, before):
    """Moves the offsets of members, in the order of these, from their local headers to their data.

    All of these must end before `start`, and none begin before the one before it has ended, which is at `before`. It returns how
    many were moved, where the last of them ends, where in the window, or beyond it, it stopped, and why.
    """
    for k in range(order.size):
        place = places[order[k]]
        at = place[0] - base
        if at + 30 > data.size:
            return k, before, at, BEYOND
        if not begins_with(data, at, data.size, LOCAL_HEADER):
            return k, before, at, BAD_PLACE
        offset = place[0] + 30 + little_endian(data, at + 26, 2) + little_endian(data, at + 28, 2)
        if place[1] > start - offset:
            return k, before, at, BAD_PLACE
        if place[0] < before:
            return k, before, at, OVERLAP
        place[0] = offset
        before = offset + place[1]
    return order.size, before, NOTHING, END
