"""A zlib stream to its bytes (RFC 1950, RFC 1951).

Whatever the bytes are, nothing outside `data[:stop]` is read and nothing outside `out[:limit + SLACK]` is written. What the
formats do not allow, or allow and hardly anybody writes, ends with a refusal: then zlib itself has to say what it is.
"""

from functools import cache

import numpy as np

from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.images.bytes import copy, eight, four, item, set_byte, set_eight
from fastmlp.kernels.images.checksums import adler32
from fastmlp.kernels.simd import get, put

SLACK = 16  # bytes behind the end of `out` that copies of eight bytes may touch
REFUSED = -1

# A code's table is looked up with the next LITERAL_BITS or DISTANCE_BITS bits. An entry is
#     what << 16 | run << 11 | kind << 9 | extra << 5 | total
# for a symbol that takes `total` bits, the last `extra` of which are added to `what` (or to `run`, in the code for lengths).
# Where it is 0 the word is longer than that, or there is none.
LITERAL_BITS, DISTANCE_BITS, LENGTHS_BITS = 9, 8, 7
LONGEST = 15  # bits of a code
LITERAL, MATCH, END, WRONG = range(4)  # kinds; `what` is the byte, or the shortest length or distance of the symbol

LENGTHS_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])


def _entries(shortest, extra, kind):
    return [what << 16 | kind << 9 | bits << 5 | bits for what, bits in zip(shortest, extra, strict=True)]


def _literal_entries():
    extra = [0] * 8 + [bits for bits in range(1, 6) for _ in range(4)] + [0]
    lengths = [3 + sum(1 << bits for bits in extra[:symbol]) for symbol in range(28)] + [258]
    literals = _entries(range(256), [0] * 256, LITERAL)
    return np.array([*literals, END << 9, *_entries(lengths, extra, MATCH), WRONG << 9, WRONG << 9], np.int32)


def _distance_entries():
    extra = [0, 0] + [bits for bits in range(14) for _ in range(2)]
    distances = [1 + sum(1 << bits for bits in extra[:symbol]) for symbol in range(30)]
    return np.array([*_entries(distances, extra, MATCH), WRONG << 9, WRONG << 9], np.int32)


def _lengths_entries():
    """Those of the code for lengths: `what` is a length, or 16 for the one before, `run` how often it comes, at least."""
    runs = [(length, 1, 0) for length in range(16)] + [(16, 3, 2), (0, 3, 3), (0, 11, 7)]
    return np.array([length << 16 | run << 11 | bits << 5 | bits for length, run, bits in runs], np.int32)


END_OF_BLOCK = 256


# Scratch for the codes of a block is one array, int32, as each array that is passed on costs seven words. It also holds the codes
# that the format fixes, which `codes()` puts there.
LITERALS, DISTANCES, LENGTHS, FIXED_LITERALS, FIXED_DISTANCES = range(5)
BITS = (LITERAL_BITS, DISTANCE_BITS, LENGTHS_BITS, LITERAL_BITS, DISTANCE_BITS)
TABLES = (0, 512, 768, 1024, 1536)  # where the table of each code begins
MASKS = 1792  # the bits that each table is looked up with
COUNTS = MASKS + 5  # how many words of each code there are of each length: 16 places for a code
NEXT = COUNTS + 3 * 16  # where the next symbol of each length goes, while they are sorted
USED = NEXT + 16  # symbol << 4 | length of the symbols in use, as they are read, of one code or two
SYMBOLS = USED + 320  # those of each code by length, and then by number: RUN places for a code
RUN = 320
SIZE = SYMBOLS + 3 * RUN

ENTRIES = np.concatenate([_literal_entries(), _distance_entries(), _lengths_entries()])
FIRST_ENTRIES = (0, 288, 320)  # where those of a code's symbols begin, without the symbols' lengths


@cache
def _fixed_codes():
    """Scratch with the tables of the codes that the format fixes (RFC 1951, 3.2.6), and their masks."""
    made = np.zeros(SIZE, np.int32)
    lengths = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
    for code, kind, fixed in (FIXED_LITERALS, LITERALS, lengths), (FIXED_DISTANCES, DISTANCES, [5] * 32):
        entries, first, bits, word = ENTRIES[FIRST_ENTRIES[kind] :], TABLES[code], BITS[code], 0
        made[MASKS + code] = (1 << bits) - 1
        for length in range(1, LONGEST + 1):
            for symbol in (number for number, own in enumerate(fixed) if own == length):
                reverse = int(f"{word:0{length}b}"[::-1], 2)
                made[first + reverse : first + (1 << bits) : 1 << length] = entries[symbol] + length
                word += 1
            word <<= 1
    return made


def codes():
    return _fixed_codes().copy()


@jit_inline
def _refill(data, stop, at, bits, count):
    """At least 32 bits in store, or all there are: (at, bits, count). A count below 0 tells that more was used than there was."""
    if count <= 30:
        if at + 4 <= stop:
            bits |= four(data, at) << count
            at += 4
            count += 32
        else:
            while at < stop and 0 <= count <= 54:
                bits |= item(data, at) << count
                at += 1
                count += 8
    return at, bits, count


@jit_inline
def _extra(entry, bits):
    """The number in the extra bits at the end of a symbol."""
    total, extra = entry & 31, entry >> 5 & 15
    return bits >> total - extra & ((np.int64(1) << extra) - 1)


@jit_part
def _make_table(codes, code, start, stop, number):
    """The table of a code from its part of USED, where symbols are counted from `number`; whether they make one (RFC 1951,
    3.2.2).

    A code that leaves words without a symbol is refused, but for two that zlib makes for distances: none, and one of one bit.
    """
    own, places, first = COUNTS + code * 16, SYMBOLS + code * RUN, TABLES[code]
    for length in range(16):
        put(codes, own + length, np.int32(0))
    for k in range(start, stop):
        length = item(codes, USED + k) & 15
        put(codes, own + length, np.int32(item(codes, own + length) + 1))
    words, place, longest = np.int64(0), np.int64(0), np.int64(0)
    for length in range(1, LONGEST + 1):
        count = item(codes, own + length)
        put(codes, NEXT + length, np.int32(place))
        place += count
        words += count << (LONGEST - length)
        longest = length if count > 0 else longest
    if words != 1 << LONGEST and not (code == DISTANCES and longest <= 1 and stop - start <= 1):
        return False

    # Sorted by length, symbols are in the order of their words.
    for k in range(start, stop):
        entry = item(codes, USED + k)
        length = entry & 15
        place = item(codes, NEXT + length)
        put(codes, places + place, np.int32((entry >> 4) - number))
        put(codes, NEXT + length, np.int32(place + 1))

    # Words of one length count up; from each length to the next the table so far, of 2^length entries, is doubled. A table is
    # looked up by words whose first bit is the lowest, so the words count up in reversed bits.
    word, filled, place = np.int64(0), np.int64(1), np.int64(0)
    put(codes, first, np.int32(0))
    for length in range(1, min(longest, BITS[code]) + 1):
        for i in range(first, first + filled):
            put(codes, i + filled, get(codes, i))
        filled *= 2
        for _ in range(item(codes, own + length)):
            entry = item(ENTRIES, FIRST_ENTRIES[code] + item(codes, places + place))
            put(codes, first + word, np.int32(entry + length))
            place += 1
            bit = filled >> 1
            while word & bit:
                word ^= bit
                bit >>= 1
            word |= bit
    put(codes, MASKS + code, np.int32(filled - 1))
    return True


@jit_part
def _long_word(codes, code, bits):
    """The entry of a word that is longer than its table's bits, found bit by bit; 0 if there is none."""
    word, first, place = np.int64(0), np.int64(0), SYMBOLS + code * RUN
    for length in range(1, LONGEST + 1):
        word |= bits & 1
        bits >>= 1
        count = item(codes, COUNTS + code * 16 + length)
        if word < first + count:
            return item(ENTRIES, FIRST_ENTRIES[code] + item(codes, place + word - first)) + length
        place += count
        first = (first + count) << 1
        word <<= 1
    return np.int64(0)


@jit_part
def _read_head(codes, data, stop, at, bits, count):
    """The code for lengths at the head of a block (RFC 1951, 3.2.7), to USED: (literals, distances, used, at, bits, count)."""
    at, bits, count = _refill(data, stop, at, bits, count)
    n_literals, n_distances, n_lengths = (bits & 31) + 257, (bits >> 5 & 31) + 1, (bits >> 10 & 15) + 4
    bits >>= 14
    count -= 14
    lengths = np.int64(0)  # of the code for lengths, three bits each, by symbol
    for k in range(n_lengths):
        at, bits, count = _refill(data, stop, at, bits, count)
        lengths |= (bits & 7) << 3 * item(LENGTHS_ORDER, k)
        bits >>= 3
        count -= 3
    n_used = np.int64(0)
    for symbol in range(19):  # without a branch on what is as good as random
        length = lengths >> 3 * symbol & 7
        put(codes, USED + n_used, np.int32(symbol << 4 | length))
        n_used += length > 0
    return n_literals, n_distances, n_used, at, bits, count


@jit_part
def _read_lengths(codes, n_literals, n_both, data, stop, at, bits, count):
    """The lengths of a block's two codes, to USED: (how many in use are of the first, how many in all, at, bits, count).

    None in all tells that they are wrong; there always is one for the end of the block.
    """
    mask = item(codes, MASKS + LENGTHS)
    k, length, n_used = np.int64(0), np.int64(-1), np.int64(0)
    while k < n_both:
        at, bits, count = _refill(data, stop, at, bits, count)
        entry = item(codes, TABLES[LENGTHS] + (bits & mask))
        run = (entry >> 11 & 15) + _extra(entry, bits)
        bits >>= entry & 31
        count -= entry & 31
        length = length if entry >> 16 == 16 else entry >> 16  # 16: once more the one before
        if count < 0 or length < 0 or k + run > n_both:
            return np.int64(0), np.int64(0), at, bits, count
        put(codes, USED + n_used, np.int32(k << 4 | length))
        n_used += length > 0
        if run > 1 and length > 0:
            for number in range(k + 1, k + run):
                put(codes, USED + n_used, np.int32(number << 4 | length))
                n_used += 1
        k += run
    n_first, ends = np.int64(0), np.int64(0)
    for k in range(n_used):
        number = item(codes, USED + k) >> 4
        n_first += number < n_literals
        ends += number == END_OF_BLOCK
    return n_first, n_used * ends, at, bits, count


@jit_inline
def _copy_match(out, filled, distance, length):
    """Repeats what stands `distance` bytes before, where SLACK bytes behind the end may be overwritten."""
    end = filled + length
    if distance >= 8:
        while filled < end:
            set_eight(out, filled, eight(out, filled - distance))
            filled += 8
        return
    word = eight(out, filled - distance) & ((np.int64(1) << 8 * distance) - 1)
    word |= word << 8 * distance
    word |= word << (16 * distance if distance < 4 else 0)
    word |= word << (32 if distance == 1 else 0)
    step = distance if distance > 4 else 6 if distance == 3 else 8
    while filled < end:
        set_eight(out, filled, word)
        filled += step


@jit_part
def _read_block(out, filled, limit, codes, fixed, window, data, stop, store):
    """The symbols of a block up to its end: (how far out is filled, or REFUSED, at, bits, count); `store` is (at, bits, count)."""
    at, bits, count = store
    literals, literals_mask = TABLES[LITERALS], item(codes, MASKS + LITERALS)
    distances, distances_mask = TABLES[DISTANCES], item(codes, MASKS + DISTANCES)
    if fixed:
        literals, literals_mask = TABLES[FIXED_LITERALS], item(codes, MASKS + FIXED_LITERALS)
        distances, distances_mask = TABLES[FIXED_DISTANCES], item(codes, MASKS + FIXED_DISTANCES)
    while True:
        at, bits, count = _refill(data, stop, at, bits, count)
        entry = item(codes, literals + (bits & literals_mask))
        if entry & 31 == 0:
            entry = _long_word(codes, np.int64(LITERALS), bits)
        before = bits
        bits >>= entry & 31
        count -= entry & 31
        kind = entry >> 9 & 3
        if kind == LITERAL:
            if filled >= limit or entry == 0 or count < 0:
                return REFUSED, at, bits, count
            set_byte(out, filled, entry >> 16)
            filled += 1
            continue
        if kind != MATCH:
            if kind == WRONG or count < 0:
                filled = np.int64(REFUSED)
            return filled, at, bits, count
        length = (entry >> 16) + _extra(entry, before)
        at, bits, count = _refill(data, stop, at, bits, count)
        entry = item(codes, distances + (bits & distances_mask))
        if entry & 31 == 0:
            entry = _long_word(codes, np.int64(DISTANCES), bits)
        distance = (entry >> 16) + _extra(entry, bits)
        bits >>= entry & 31
        count -= entry & 31
        if entry >> 9 & 3 != MATCH or distance > min(filled, window) or filled + length > limit or count < 0:
            return REFUSED, at, bits, count
        _copy_match(out, filled, distance, length)
        filled += length


@jit_part
def inflate(out, limit, codes, data, stop):
    """Fills out[:limit] from the zlib stream data[:stop]; whether just that came of it, and the stream ends there."""
    if stop < 8:
        return False
    method, flags = item(data, 0), item(data, 1)
    if method & 15 != 8 or method >> 4 > 7 or flags & 32 or (method << 8 | flags) % 31:
        return False
    window = np.int64(1) << ((method >> 4) + 8)
    at, bits, count, filled, last = np.int64(2), np.int64(0), np.int64(0), np.int64(0), False
    while not last:
        at, bits, count = _refill(data, stop, at, bits, count)
        last, kind = bits & 1 == 1, bits >> 1 & 3
        bits >>= 3
        count -= 3
        if count < 0 or kind == 3:
            return False
        if kind == 0:
            at -= count >> 3  # whole bytes go back, the rest of one is passed over
            bits, count = np.int64(0), np.int64(0)
            if at + 4 > stop:
                return False
            size = item(data, at) | item(data, at + 1) << 8
            check = item(data, at + 2) | item(data, at + 3) << 8
            at += 4
            if size ^ check != 0xFFFF or at + size > stop or filled + size > limit:
                return False
            copy(out, filled, data, at, size)
            at += size
            filled += size
            continue
        if kind == 2:
            zero = np.int64(0)
            n_literals, n_distances, n_used, at, bits, count = _read_head(codes, data, stop, at, bits, count)
            if n_literals > 286 or n_distances > 30 or not _make_table(codes, np.int64(LENGTHS), zero, n_used, zero):
                return False
            n_both = n_literals + n_distances
            n_first, n_used, at, bits, count = _read_lengths(codes, n_literals, n_both, data, stop, at, bits, count)
            if n_used == 0 or not _make_table(codes, np.int64(LITERALS), zero, n_first, zero):
                return False
            if not _make_table(codes, np.int64(DISTANCES), n_first, n_used, n_literals):
                return False
        filled, at, bits, count = _read_block(out, filled, limit, codes, kind == 1, window, data, stop, (at, bits, count))
        if filled < 0:
            return False
    at -= count >> 3
    if filled != limit or at + 4 != stop:
        return False
    high, low = adler32(out, limit)
    return (
        item(data, at) == high >> 8
        and item(data, at + 1) == high & 255
        and item(data, at + 2) == low >> 8
        and item(data, at + 3) == low & 255
    )
