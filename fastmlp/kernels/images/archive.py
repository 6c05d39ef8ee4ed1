"""The members of a tar or zip archive, found by walking its headers where they lie.

data (size,) uint8 is the whole file. Nothing that it says is believed: what is read is first compared with the file's size, what
is written with the room for it, and a number is refused, or cut, where sums with it could overflow.

A member becomes a name, ended by NUL, in names (any size) uint8, and a row of places (M, 4) int64: offset of the data, stored size,
method, and size when decompressed. A walk is called again and again, with `at` where it stopped. It returns how many members it
wrote, how many bytes of names, where it stopped, and why.
"""

import numpy as np

from fastmlp.kernels.compile import jit, jit_inline, jit_part

# Why a walk stopped: at the end, or because places or names are full; else the file is damaged.
END, FULL, TRUNCATED, BAD_HEADER, BAD_NUMBER, BAD_RECORD, BAD_ENTRY, BAD_PLACE = range(8)

STORED = 0  # methods; those above are of zip
ENCRYPTED = -1
NO_FILE = -2  # a link, a device: what counts as skipped, unless a later member has its name

LARGEST = 2**53  # no file is larger
TOO_LARGE = 2**62  # stands for all numbers above
NOTHING, NOT_GIVEN = np.int64(0), np.int64(-1)  # typed: what is called with a literal is compiled once more, for it
BLOCK = 512
SLASH, DOT, SPACE, NEWLINE, EQUALS, ZERO, SEVEN, NINE = b"/. \n=079"

# Kinds of tar headers
LONG_NAME, LONG_LINK, EXTENDED, EXTENDED_SOLARIS, EXTENDED_ALL, SPARSE, CONTIGUOUS = b"LKxXgS7"
HARD_LINK, FOLDER, PIPE = b"156"
BEFORE_A_MEMBER = (LONG_NAME, LONG_LINK, EXTENDED, EXTENDED_SOLARIS, EXTENDED_ALL)


def _text(characters):
    return np.frombuffer(characters, np.uint8)


PATH, SIZE, SPARSE_RECORD, USTAR = _text(b"path"), _text(b"size"), _text(b"GNU.sparse."), _text(b"ustar\0")
LOCAL_HEADER, ENTRY = _text(b"PK\3\4"), _text(b"PK\1\2")

# -- bytes, and names ----------------------------------------------------------------------------------------------------------


@jit_inline
def byte(data, i):
    return np.int64(data[i])


@jit_part
def begins_with(data, start, end, text):
    """Whether the text is what begins at a place and ends before another one."""
    if end - start < text.size:
        return False
    i = 0
    while i < text.size and data[start + i] == text[i]:
        i += 1
    return i == text.size


@jit_part
def little_endian(data, start, count):
    """A number of up to eight bytes."""
    if count == 8 and byte(data, start + 7) >= 64:
        return TOO_LARGE
    value = 0
    for i in range(count):
        value |= byte(data, start + i) << (8 * i)
    return value


@jit_part
def put_text(names, end, data, start, length):
    """Copies a text, up to its first NUL; returns where it ends."""
    for i in range(start, start + length):
        if data[i] == 0:
            break
        names[end] = data[i]
        end += 1
    return end


@jit_part
def tidy_name(names, start, end):
    """Takes off what leads to the archive's own folder, "/" and "./"; returns where the name ends, and whether it is hidden."""
    first = start
    while first < end and (names[first] == SLASH or (names[first] == DOT and first + 1 < end and names[first + 1] == SLASH)):
        first += 1
    end -= first - start
    for i in range(start, end):
        names[i] = names[i + first - start]
    hidden = False
    i = start
    while i < end:
        after = i
        while after < end and names[after] != SLASH:
            after += 1
        dots = after - i <= 2 and names[i] == DOT and names[after - 1] == DOT  # "." and ".."
        if names[i] == DOT and not dots:
            hidden = True
        i = after + 1
    return end, hidden


@jit_part
def put_member(places, names, count, used, end, offset, stored, method, size):
    """Adds a member whose name has been written from `used` to `end`, if it counts; returns their new number and end."""
    end, hidden = tidy_name(names, used, end)
    if hidden or (end > used and names[end - 1] == SLASH):
        return count, used
    names[end] = 0
    place = places[count]
    place[0], place[1], place[2], place[3] = offset, stored, method if end > used else NO_FILE, size
    return count + 1, end + 1


# -- tar -----------------------------------------------------------------------------------------------------------------------
# POSIX.1-2017, pax: "ustar Interchange Format", "pax Header Block"; GNU tar manual: "Basic Tar Format".


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
def walk_tar(places, names, data, at):
    """Lists the members from a place on, until places or names are full.

    Of several extended headers before a member the first that has a name or size counts, as for Python's tarfile; those for all
    members do not. `at` is 0, or where the last call stopped.
    """
    size = data.size
    count, used = NOTHING, NOTHING
    while True:
        member = at
        path, path_length, own_size, sparse = NOTHING, NOT_GIVEN, NOT_GIVEN, False
        while True:
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
            at = body + (length + BLOCK - 1) // BLOCK * BLOCK

        if own_size >= 0:
            length = own_size
        if kind == SPARSE:
            more = data[at + 482] != 0
            while more:  # blocks with the rest of its map
                if body + BLOCK > size:
                    return count, used, at, TRUNCATED
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
            count, used = put_member(places, names, count, used, end, body, length, method, length)
        at = body + (length + BLOCK - 1) // BLOCK * BLOCK


# -- zip -----------------------------------------------------------------------------------------------------------------------
# PKWARE, APPNOTE.TXT 6.3.10: 4.3.7 local file header, 4.3.12 central directory, 4.5.3 zip64 extra field.

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
def walk_zip(places, names, data, at, directory_end, before):
    """Lists the members from an entry of the central directory on, until places or names are full.

    `at` is where the directory begins, or where the last call stopped; it ends within the data. Its offsets leave out so many
    bytes before the archive.
    """
    size = data.size
    count, used = NOTHING, NOTHING
    while at < directory_end:
        if not begins_with(data, at, directory_end, ENTRY) or directory_end - at < 46:
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
        if after > directory_end:
            return count, used, at, BAD_ENTRY
        large, large_end = zip64_field(data, extra, extra + extra_length)
        decompressed, large = take_large(data, decompressed, large, large_end)
        stored, large = take_large(data, stored, large, large_end)
        header, large = take_large(data, header, large, large_end)

        if header > size or decompressed > LARGEST:
            return count, used, at, BAD_PLACE
        header += before
        if header < 0 or header + 30 > size or not begins_with(data, header, size, LOCAL_HEADER):
            return count, used, at, BAD_PLACE
        offset = header + 30 + little_endian(data, header + 26, 2) + little_endian(data, header + 28, 2)
        if offset > size or stored > size - offset:
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
            count, used = put_member(places, names, count, used, end, offset, stored, method, decompressed)
        at = after
    return count, used, at, END
