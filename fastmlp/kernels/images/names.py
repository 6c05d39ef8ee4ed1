"""Many names without a Python object for each: they lie one after another in a blob of bytes, and are sorted by where they begin.

A blob (size,) uint8 holds N names, each ended by one NUL byte, so that no name holds one and a blob that is not empty ends in one.
starts (N,) say where names begin, four bytes for each: uint32, or int64 where a blob is so large that it must be. Every loop over a
name ends at its NUL: that keeps all indices within the blob.
"""

import numpy as np

from fastmlp.kernels.compile import jit, jit_part
from fastmlp.kernels.images.bytes import big_endian, copy, eight, four, set_eight

KEY = 7  # bytes of a name that are compared at once: eight would reach the sign of an int64
DIGITS = 256  # values of a byte
SEVENS, HIGHEST = 0x7F7F7F7F7F7F7F, 0x80808080808080  # of each byte of a key all bits but the highest, and that
FEW = 24  # names that are sorted one by one: clearing the counts for more costs less than the comparisons
RUN = 1 << 21  # names that are sorted by themselves; of more, runs are merged. The scratch is 21 bytes for each
LARGE = 2**32  # bytes of a blob; of more, places do not fit into four bytes
AHEAD = 64  # names of a run whose keys are known while it is merged
STEP = 1 << 18  # names that are sorted or merged by one call, or some more: some 0.05 s


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
    while i + 4 <= blob.size:
        octets = four(blob, i)
        ended = (octets - 0x01010101) & ~octets & 0x80808080  # the lowest bit of it is one of the first NUL among four bytes
        if ended != 0:
            if ended & 0xFFFF == 0:
                i, ended = i + 2, ended >> 16
            return i if ended & 0xFF != 0 else i + 1
        i += 4
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
def insertion_sort(starts, blob, depth):
    """Sorts a few names that are alike in so many first bytes."""
    for last in range(1, starts.size):
        start = starts[last]
        i = last
        while i > 0 and is_before(blob, np.int64(start) + depth, np.int64(starts[i - 1]) + depth):
            starts[i] = starts[i - 1]
            i -= 1
        starts[i] = start


@jit_part
def common_prefix(starts, blob, depth):
    """How many first bytes all names have in common; so many are known to be."""
    first = np.int64(starts[0])
    end = end_of(blob, first + depth)
    for start in starts[1:]:
        i, j = first + depth, np.int64(start) + depth
        while i < end and blob[i] == blob[j]:
            i += 1
            j += 1
        end = i
    return end - first


@jit_part
def key_at(blob, i):
    """The bytes of a name from a place on as one number that sorts as they do; after the name's end they are NUL."""
    if i + 8 <= blob.size:
        key = big_endian(blob, i) << 24 | big_endian(blob, i + 4) >> 8
        ended = ~((key & SEVENS) + SEVENS | key | SEVENS)  # the highest bit of each byte that is NUL, and bits above the key
        ended = (ended & HIGHEST) >> 7
        ended |= ended >> 8  # and so the lowest bit of each byte from the first NUL on
        ended |= ended >> 16
        ended |= ended >> 32
        return key & ~(ended * 255)
    key = 0
    for _ in range(KEY):
        byte = np.int64(blob[i])
        key = (key << 8) | byte
        i += min(byte, 1)  # not past the NUL
    return key


@jit_part
def radix_sort(starts, keys, spare_starts, spare_keys, counts):
    """Sorts by the keys, byte by byte from the last one; what is equal keeps its order. counts (KEY, DIGITS)."""
    counts[:] = 0
    for key in keys:
        for digit in range(KEY):
            counts[digit, (key >> (8 * digit)) & 255] += 1
    from_starts, from_keys, to_starts, to_keys = starts, keys, spare_starts, spare_keys
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
            to_starts[place] = from_starts[n]
        from_starts, from_keys, to_starts, to_keys = to_starts, to_keys, from_starts, from_keys
        moved = not moved
    if moved:
        for n in range(keys.size):
            starts[n] = spare_starts[n]
            keys[n] = spare_keys[n]


@jit
def sort_names(starts, groups, waiting, blob, spare, keys, counts, step):
    """Sorts groups of names by their bytes, so many names or all; how many groups still wait. Equal names keep their order.

    groups (N // FEW + 1, 3) int64: those that wait, (first, end, depth), of names that are alike in so many first bytes; at first
    (0, N, 0) alone. Names are sorted by some bytes, then each group of those that are alike so far by the next ones. Groups do not
    overlap and hold more than FEW names each, but for the first, so the room for them is enough. spare (N,) as starts; keys (2, N)
    and counts (KEY, DIGITS) int64 are scratch.
    """
    done = 0
    while waiting > 0 and done < step:
        waiting -= 1
        first, end, depth = groups[waiting, 0], groups[waiting, 1], groups[waiting, 2]
        part, part_keys = starts[first:end], keys[0][first:end]
        done += part.size
        if part.size <= FEW:
            insertion_sort(part, blob, depth)
            continue
        depth = common_prefix(part, blob, depth)
        for n in range(part.size):
            part_keys[n] = key_at(blob, np.int64(part[n]) + depth)
        radix_sort(part, part_keys, spare[first:end], keys[1][first:end], counts)
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
                    insertion_sort(part[i:j], blob, depth + KEY)
            i = j
    return waiting


@jit_part
def prefix_of_runs(runs, count, starts, blob):
    """How many first bytes all names of some runs have in common: those that the first and the last one of each have."""
    first = np.int64(starts[runs[0, 0]])
    end = end_of(blob, first)
    for r in range(count):
        for n in (runs[r, 0], runs[r, 1] - 1):
            i, j = first, np.int64(starts[n])
            while i < end and blob[i] == blob[j]:
                i += 1
                j += 1
            end = i
    return end - first


@jit_part
def find_keys_ahead(keys, starts, first, end, blob, depth):
    """The keys of a run's next names, up to a place that AHEAD divides: name n's at n % AHEAD."""
    for n in range(first, min(end, first // AHEAD * AHEAD + AHEAD)):
        keys[n % AHEAD] = key_at(blob, np.int64(starts[n]) + depth)


@jit
def merge_runs(out, runs, count, keys, ahead, starts, blob):
    """The first names of so many sorted runs, as many as out holds; how many runs are left.

    Of equal names that of the earlier run comes first. runs (R, 2) int64: where in starts each goes on, and ends; none is empty, as
    far as they count. keys (R,) and ahead (R, AHEAD) int64 are scratch. Keys are found some at a time: so the processor waits for
    many names at once that are not in its cache.
    """
    depth = prefix_of_runs(runs, count, starts, blob)
    for r in range(count):
        find_keys_ahead(ahead[r], starts, runs[r, 0], runs[r, 1], blob, depth)
        keys[r] = ahead[r, runs[r, 0] % AHEAD]
    for n in range(out.size):
        best = 0
        for r in range(1, count):
            if keys[r] < keys[best] or (
                keys[r] == keys[best]
                and keys[r] & 255 != 0
                and is_before(blob, np.int64(starts[runs[r, 0]]) + depth + KEY, np.int64(starts[runs[best, 0]]) + depth + KEY)
            ):
                best = r
        out[n] = starts[runs[best, 0]]
        first, end = runs[best, 0] + 1, runs[best, 1]
        if first < end:
            runs[best, 0] = first
            if first % AHEAD == 0:
                find_keys_ahead(ahead[best], starts, first, end, blob, depth)
            keys[best] = ahead[best, first % AHEAD]
        else:
            count -= 1
            for r in range(best, count):
                runs[r, 0], runs[r, 1], keys[r] = runs[r + 1, 0], runs[r + 1, 1], keys[r + 1]
                for k in range(AHEAD):
                    ahead[r, k] = ahead[r + 1, k]
    return count


@jit
def keep_last(starts, blob):
    """Of names that are equal, keeps the last one: of the sorted names, the part that is returned in length is left."""
    kept = 0
    for n in range(starts.size):
        if n + 1 == starts.size or is_before(blob, np.int64(starts[n]), np.int64(starts[n + 1])):
            starts[kept] = starts[n]
            kept += 1
    return kept


@jit
def find_lengths(lengths, blob, starts):
    """The bytes of each of some names, its NUL included; and of all of them."""
    size = 0
    for n in range(starts.size):
        start = np.int64(starts[n])
        length = end_of(blob, start) + 1 - start
        lengths[n] = length
        size += length
    return size


@jit
def gather_names(out, blob, starts, lengths):
    """Some names, one after another; out (find_lengths(lengths, blob, starts),)."""
    at = 0
    for n in range(starts.size):
        i, length = np.int64(starts[n]), np.int64(lengths[n])
        if at + length + 8 <= out.size and i + length + 8 <= blob.size:
            for k in range(0, length, 8):  # what is beyond the name the next one overwrites
                set_eight(out, at + k, eight(blob, i + k))
        else:
            copy(out, at, blob, i, length)
        at += length


@jit
def find_ending(places, starts, blob, byte):
    """Which of some names, none of them empty, end with a byte: their places in starts; how many. places: as many, or more."""
    found = 0
    for n in range(starts.size):
        if blob[end_of(blob, np.int64(starts[n])) - 1] == byte:
            places[found] = n
            found += 1
    return found


def starts_of(blob):
    """Where each name of a blob begins, in its order."""
    starts = np.empty(blob.size - np.count_nonzero(blob), np.int64 if blob.size > LARGE else np.uint32)
    find_names(starts, blob)
    return starts


def sorted_starts(blob, pause=lambda: None, run=RUN):
    """Where each name of a blob begins, in the order that Python's `sorted` gives the names. `pause` is called before each step.

    The memory it takes beside them is that of the scratch for a run, and where there are several, of as many starts.
    """
    starts = starts_of(blob)
    _sort_runs(starts, blob, pause, run)
    return starts if starts.size <= run else _merged(starts, blob, pause, run)


def _sort_runs(starts, blob, pause, run):
    most = min(starts.size, run)
    groups, spare = np.empty((most // FEW + 1, 3), np.int64), np.empty(most, starts.dtype)
    keys, counts = np.empty((2, most), np.int64), np.empty((KEY, DIGITS), np.int64)
    for first in range(0, starts.size, run):
        part = starts[first : first + run]
        groups[0], waiting = (0, part.size, 0), 1
        while waiting > 0:
            pause()
            waiting = sort_names(part, groups, waiting, blob, spare, keys, counts, STEP)


def _merged(starts, blob, pause, run):
    firsts = np.arange(0, starts.size, run)
    runs = np.stack((firsts, np.minimum(firsts + run, starts.size)), axis=1)
    merged, count = np.empty_like(starts), len(runs)
    keys, ahead = np.empty(count, np.int64), np.empty((count, AHEAD), np.int64)
    for first in range(0, starts.size, STEP):
        pause()
        count = merge_runs(merged[first : first + STEP], runs, count, keys, ahead, starts, blob)
    return merged


def places_ending(blob, starts, byte, count, pause=lambda: None):
    """Which names, none of them empty, end with a byte: their places in starts. There are so many."""
    places, found = np.empty(count, starts.dtype), 0
    for first in range(0, starts.size, STEP):
        if found == count:
            break
        pause()
        more = find_ending(places[found:], starts[first : first + STEP], blob, byte)
        places[found : found + more] += starts.dtype.type(first)
        found += more
    return places


def chosen_names(blob, starts):
    """A blob of the names that begin there, in that order."""
    lengths = np.empty_like(starts)
    out = np.empty(find_lengths(lengths, blob, starts), np.uint8)
    gather_names(out, blob, starts, lengths)
    return out
