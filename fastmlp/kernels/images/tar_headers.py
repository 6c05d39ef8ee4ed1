"""The members of a tar archive, found by walking its headers: see archive.py for what goes in and out.

POSIX.1-2017, pax: "ustar Interchange Format", "pax Header Block"; GNU tar manual: "Basic Tar Format".
"""

from fastmlp.kernels.compile import jit, jit_part
from fastmlp.kernels.images.archive import (
    BAD_HEADER,
    BAD_NUMBER,
    BAD_RECORD,
    BEYOND,
    END,
    FULL,
    LARGEST,
    LONGEST_NAME,
    NO_FILE,
    NOT_GIVEN,
    NOTHING,
    SLASH,
    STORED,
    TRUNCATED,
    begins_with,
    byte,
    put_member,
    put_text,
    text,
)

BLOCK = 512
SPACE, NEWLINE, EQUALS, ZERO, SEVEN, NINE = b" \n=079"

# Kinds of headers
LONG_NAME, LONG_LINK, EXTENDED, EXTENDED_SOLARIS, EXTENDED_ALL, SPARSE, CONTIGUOUS = b"LKxXgS7"
HARD_LINK, FOLDER, PIPE = b"156"
BEFORE_A_MEMBER = (LONG_NAME, LONG_LINK, EXTENDED, EXTENDED_SOLARIS, EXTENDED_ALL)

PATH, SIZE, SPARSE_RECORD, USTAR = text(b"path"), text(b"size"), text(b"GNU.sparse."), text(b"ustar\0")


@jit_part
def tar_number(data, start, count):
    """A number in octal digits, or GNU's in base 256; -1 for one that is negative, too large, or none."""
    if byte(data, start) >= 128:
        value = 0 if byte(data, start) == 128 else LARGEST
        for i in range(start + 1, start + count):
            value = min(256 * value + byte(data, i), LARGEST)
        return value if value < LARGEST else -1
    i, end = start, start + count
    while i < end and data[i] == SPACE:
        i += 1
    value = 0
    while i < end and ZERO <= data[i] <= SEVEN:
        value = 8 * value + byte(data, i) - ZERO
        i += 1
    while i < end and data[i] == SPACE:
        i += 1
    return value if i == end or data[i] == 0 else -1


@jit_part
def only_zeros(data, start, end):
    while start < end and data[start] == 0:
        start += 1
    return start >= end


@jit
def header_is_right(data, at):
    """Whether the checksum of a block is that of a header; the block lies within the data."""
    block = data[at : at + BLOCK]
    total = 0
    for i in range(BLOCK):
        total += byte(block, i)
    for i in range(148, 156):  # the checksum itself counts as spaces
        total += SPACE - byte(block, i)
    checksum = tar_number(data, at + 148, 8)
    if checksum == total:
        return True
    for i in range(BLOCK):  # some have summed bytes with a sign
        if block[i] >= 128 and not 148 <= i < 156:
            total -= 256
    return checksum == total


@jit_part
def read_records(data, start, end):
    """The records of an extended header, "length key=value\\n": where the path is, its length, the size, whether they say sparse.

    Lengths and sizes are -1 where there is none; the path's place is -1 if a record cannot be read.
    """
    path, path_length, size, sparse = 0, -1, -1, False
    at = start
    while at < end and data[at] != 0:
        length, i = 0, at
        while i < end and ZERO <= data[i] <= NINE:
            length = min(10 * length + byte(data, i) - ZERO, LARGEST)
            i += 1
        after = at + length
        key = i + 1
        if i == at or after > end or key >= after or data[i] != SPACE or data[after - 1] != NEWLINE:
            return -1, -1, -1, False
        value = key
        while value < after and data[value] != EQUALS:
            value += 1
        value += 1
        if value >= after:
            return -1, -1, -1, False
        if begins_with(data, key, value - 1, SPARSE_RECORD):
            sparse = True
        elif value - 1 - key == PATH.size and begins_with(data, key, value - 1, PATH):
            path, path_length = value, after - 1 - value
        elif value - 1 - key == SIZE.size and begins_with(data, key, value - 1, SIZE):
            size = 0
            for i in range(value, after - 1):
                if not ZERO <= data[i] <= NINE:
                    return -1, -1, -1, False
                size = min(10 * size + byte(data, i) - ZERO, LARGEST)
        at = after
    return path, path_length, size, sparse


@jit
def walk_tar(places, names, data, base, size):
    """Lists the members from the window's beginning on, until it ends, or places or names are full.

    Of several extended headers before a member the first that has a name or size counts, as for Python's tarfile; those for all
    members do not. Where the window ends before all headers of the first member it is to be longer.
    """
    count, used, at = NOTHING, NOTHING, NOTHING
    while True:
        member = at
        path, path_length, own_size, sparse = NOTHING, NOT_GIVEN, NOT_GIVEN, False
        while True:
            if min(at + BLOCK, size) > data.size:
                return count, used, member, BEYOND
            if at == member and only_zeros(data, at, min(at + BLOCK, size)):  # the end, or what is there of it
                return count, used, at, END
            if at + BLOCK > size:
                return count, used, at, TRUNCATED
            if not header_is_right(data, at):
                return count, used, at, BAD_HEADER
            length = tar_number(data, at + 124, 12)
            if length < 0:
                return count, used, at, BAD_NUMBER
            kind = data[at + 156]
            body = at + BLOCK
            if kind not in BEFORE_A_MEMBER:
                break
            if length > size - body:
                return count, used, at, TRUNCATED
            if length > data.size - body:
                return count, used, member, BEYOND
            if kind == LONG_NAME and path_length < 0:
                path, path_length = body, length
            elif kind in (EXTENDED, EXTENDED_SOLARIS):
                first, first_length, first_size, is_sparse = read_records(data, body, body + length)
                if first < 0:
                    return count, used, at, BAD_RECORD
                sparse = sparse or is_sparse
                if path_length < 0:
                    path, path_length = first, first_length
                if own_size < 0:
                    own_size = first_size
            if path_length > LONGEST_NAME:
                return count, used, at, BAD_RECORD
            at = body + (length + BLOCK - 1) // BLOCK * BLOCK

        if own_size >= 0:
            length = own_size
        if kind == SPARSE:
            more = data[at + 482] != 0
            while more:  # blocks with the rest of its map
                if body + BLOCK > size:
                    return count, used, at, TRUNCATED
                if body + BLOCK > data.size:
                    return count, used, member, BEYOND
                more = data[body + 504] != 0
                body += BLOCK
        if HARD_LINK <= kind <= PIPE:  # no data follow, whatever the header says
            length = 0
        if length > size - body:
            return count, used, at, TRUNCATED
        if kind != FOLDER:
            room = max(path_length, BLOCK) + 1
            if count == len(places) or room > names.size - used:
                return count, used, member, FULL
            end = used
            if path_length >= 0:
                end = put_text(names, end, data, path, path_length)
            else:
                if data[at + 345] != 0 and begins_with(data, at + 257, at + 263, USTAR):
                    end = put_text(names, end, data, at + 345, 155)
                    names[end] = SLASH
                    end += 1
                end = put_text(names, end, data, at, 100)
            regular = kind in (0, ZERO, CONTIGUOUS) and not sparse
            method = STORED if regular else NO_FILE
            count, used = put_member(places, names, count, used, end, base + body, length, method, length)
        at = body + (length + BLOCK - 1) // BLOCK * BLOCK
