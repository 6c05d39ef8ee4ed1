"""What walks through the headers of tar and zip archives have in common: windows, bytes, and names.

data (any size,) uint8 is a window: some bytes of the archive from `base` on, of which there are `size` up to the end, most of them
perhaps beyond the window. Nothing that they say is believed: what is read is first compared with the window, what is told with
the archive's size, what is written with the room for it, and a number is refused, or cut, where sums with it could overflow.

A member becomes a name, ended by NUL, in names (any size) uint8, and a row of places (M, 4) int64: offset of the data, stored size,
method, and size when decompressed. A walk is called again and again, with a window from where it stopped. It returns how many
members it wrote, how many bytes of names, where in the window, or beyond it, it stopped, and why.
"""

import numpy as np

from fastmlp.kernels.compile import jit_inline, jit_part

# Why a walk stopped: at the end, because places or names are full, or as the window ends; else the archive is damaged.
END, FULL, BEYOND, TRUNCATED, BAD_HEADER, BAD_NUMBER, BAD_RECORD, BAD_ENTRY, BAD_PLACE, OVERLAP = range(10)

STORED = 0  # methods; those above are of zip
ENCRYPTED = -1
NO_FILE = -2  # a link, a device: what counts as skipped, unless a later member has its name

LONGEST_NAME = 2**16 - 1  # bytes
LARGEST = 2**53  # no file is larger
TOO_LARGE = 2**62  # stands for all numbers above
NOTHING, NOT_GIVEN = np.int64(0), np.int64(-1)  # typed: what is called with a literal is compiled once more, for it
SLASH, DOT = b"/."


def text(characters):
    """Bytes as kernels compare them with others."""
    return np.frombuffer(characters, np.uint8)


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
