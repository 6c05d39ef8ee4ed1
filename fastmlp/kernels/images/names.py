"""Many names without a Python object for each: they lie one after another in a blob of bytes, and are sorted where they lie.

A blob (size,) uint8 holds N names, each ended by one NUL byte, so that no name holds one and a blob that is not empty ends in one.
starts (N,) int64 says where each begins. Every loop over a name ends at its NUL: that keeps all indices within the blob.
"""

import numpy as np

from fastmlp.kernels.compile import jit, jit_part

KEY = 7  # bytes of a name that are compared at once: eight would reach the sign of an int64
DIGITS = 256  # values of a byte
FEW = 24  # names that are sorted one by one: clearing the counts for more costs less than the comparisons


@jit
def find_names(starts, blob):
    """Where each name begins."""
    name, start = 0, 0
    for i in range(blob.size):
        if blob[i] == 0:
            starts[name] = start
            name += 1
            start = i + 1


@jit_part
def end_of(blob, i):
    """The place of the NUL that ends the name which place i belongs to."""
    while blob[i] != 0:
        i += 1
    return i


@jit_part
def is_before(blob, i, j):
    """Whether the name from place i on comes before the one from place j on."""
    while blob[i] == blob[j] and blob[i] != 0:
        i += 1
        j += 1
    return blob[i] < blob[j]


@jit_part
def insertion_sort(order, blob, starts, depth):
    """Sorts a few names that are alike in so many first bytes."""
    for last in range(1, order.size):
        name = order[last]
        i = last
        while i > 0 and is_before(blob, starts[name] + depth, starts[order[i - 1]] + depth):
            order[i] = order[i - 1]
            i -= 1
        order[i] = name


@jit_part
def common_prefix(order, blob, starts, depth):
    """How many first bytes all names have in common; so many are known to be."""
    first = starts[order[0]]
    end = end_of(blob, first + depth)
    for name in order[1:]:
        i, j = first + depth, starts[name] + depth
        while i < end and blob[i] == blob[j]:
            i += 1
            j += 1
        end = i
    return end - first


@jit_part
def find_keys(keys, order, blob, starts, depth):
    """The bytes of each name from a depth on as one number that sorts as they do; after the name's end they are NUL."""
    for n in range(order.size):
        i = starts[order[n]] + depth
        key = 0
        for _ in range(KEY):
            byte = np.int64(blob[i])
            key = (key << 8) | byte
            i += min(byte, 1)  # not past the NUL
        keys[n] = key


@jit_part
def radix_sort(order, keys, spare_order, spare_keys, counts):
    """Sorts by the keys, byte by byte from the last one; what is equal keeps its order. counts (KEY, DIGITS)."""
    counts[:] = 0
    for key in keys:
        for digit in range(KEY):
            counts[digit, (key >> (8 * digit)) & 255] += 1
    from_order, from_keys, to_order, to_keys = order, keys, spare_order, spare_keys
    moved = False
    for digit in range(KEY):
        places = counts[digit]
        if places[(keys[0] >> (8 * digit)) & 255] == keys.size:  # all have the same byte
            continue
        total = 0
        for value in range(DIGITS):
            count = places[value]
            places[value] = total
            total += count
        for n in range(keys.size):
            key = from_keys[n]
            value = (key >> (8 * digit)) & 255
            place = places[value]
            places[value] = place + 1
            to_keys[place] = key
            to_order[place] = from_order[n]
        from_order, from_keys, to_order, to_keys = to_order, to_keys, from_order, from_keys
        moved = not moved
    if moved:
        for n in range(keys.size):
            order[n] = spare_order[n]
            keys[n] = spare_keys[n]


@jit
def sort_names(order, blob, starts, spare_order, keys, counts, groups):
    """The stable order of the names by their bytes: `starts[order]` begins with the first name as `sorted` gives them.

    order, spare_order (N,) of one integer type; keys (2, N), counts (KEY, DIGITS) and groups (N // FEW + 1, 3) int64 are scratch.
    Names are sorted by a few bytes, then each group of those that are alike so far by the next ones: groups (first, end, depth)
    wait for that. They do not overlap and hold more than FEW names each, so the room for them is enough.
    """
    for n in range(order.size):
        order[n] = n
    groups[0, 0], groups[0, 1], groups[0, 2] = 0, order.size, 0
    waiting = 1 if order.size > FEW else 0
    if waiting == 0:
        insertion_sort(order, blob, starts, groups[0, 2])
    while waiting > 0:
        waiting -= 1
        first, end, depth = groups[waiting, 0], groups[waiting, 1], groups[waiting, 2]
        part, part_keys = order[first:end], keys[0][first:end]
        depth = common_prefix(part, blob, starts, depth)
        find_keys(part_keys, part, blob, starts, depth)
        radix_sort(part, part_keys, spare_order[first:end], keys[1][first:end], counts)
        i = 0
        while i < part.size:
            key = part_keys[i]
            j = i + 1
            while j < part.size and part_keys[j] == key:
                j += 1
            if key & 255 != 0:  # else these names have ended, and are equal
                if j - i > FEW:
                    groups[waiting, 0], groups[waiting, 1], groups[waiting, 2] = first + i, first + j, depth + KEY
                    waiting += 1
                elif j - i > 1:
                    insertion_sort(part[i:j], blob, starts, depth + KEY)
            i = j


@jit
def keep_last(order, blob, starts):
    """Of names that are equal, keeps the last one: of the sorted order, the part that is returned in length is left."""
    kept = 0
    for n in range(order.size):
        if n + 1 == order.size or is_before(blob, starts[order[n]], starts[order[n + 1]]):
            order[kept] = order[n]
            kept += 1
    return kept


@jit_part
def next_start(blob, starts, name):
    """Where the name after this one begins, or would begin."""
    return starts[name + 1] if name + 1 < starts.size else blob.size


@jit
def names_size(blob, starts, chosen):
    """The bytes that the chosen names fill, their NULs included."""
    size = 0
    for name in chosen:
        size += next_start(blob, starts, name) - starts[name]
    return size


@jit
def gather_names(out, blob, starts, chosen):
    """The chosen names, one after another; out (names_size(blob, starts, chosen),)."""
    i = 0
    for name in chosen:
        start = starts[name]
        length = next_start(blob, starts, name) - start
        source, target = blob[start : start + length], out[i : i + length]
        for j in range(length):
            target[j] = source[j]
        i += length


def starts_of(blob):
    """Where each name of a blob begins: starts (N,) int64."""
    starts = np.empty(blob.size - np.count_nonzero(blob), np.int64)
    find_names(starts, blob)
    return starts


def sorted_names(blob):
    """Where each name of a blob begins, starts (N,) int64, and the order that sorts them, (N,) int32, or int64 where it must be."""
    starts = starts_of(blob)
    order, spare_order = np.empty((2, starts.size), np.int32 if starts.size < 2**31 else np.int64)
    keys, counts = np.empty((2, starts.size), np.int64), np.empty((KEY, DIGITS), np.int64)
    sort_names(order, blob, starts, spare_order, keys, counts, np.empty((starts.size // FEW + 1, 3), np.int64))
    return starts, order


def chosen_names(blob, starts, chosen):
    """A blob of the chosen names, in their order."""
    out = np.empty(names_size(blob, starts, chosen), np.uint8)
    gather_names(out, blob, starts, chosen)
    return out
