"""Deflate streams written bit by bit (RFC 1951), among them many that zlib never writes, and many that are flawed."""

import contextlib
import itertools
import struct
import zlib

STORED, FIXED, DYNAMIC = range(3)
FLAWS = {  # and the kinds of blocks that can have them
    "over-subscribed": (DYNAMIC,),
    "incomplete": (DYNAMIC,),
    "no end of block": (DYNAMIC,),
    "literal codes beyond 286": (DYNAMIC,),
    "distance codes beyond 30": (DYNAMIC,),
    "a repeat without a length before": (DYNAMIC,),
    "a repeat over the end": (DYNAMIC,),
    "lengths missing": (DYNAMIC,),
    "over-subscribed code lengths": (DYNAMIC,),
    "incomplete code lengths": (DYNAMIC,),
    "no code lengths": (DYNAMIC,),
    "no distance code": (DYNAMIC,),
    "length symbol 286": (FIXED,),
    "distance symbol 30": (FIXED,),
    "a distance before the start": (FIXED, DYNAMIC),
    "a stored length belied": (STORED,),
    "block type 3": (STORED, FIXED, DYNAMIC),
    "it ends early": (STORED, FIXED, DYNAMIC),
    "too much data": (STORED, FIXED, DYNAMIC),
    "too little data": (STORED, FIXED, DYNAMIC),
}
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)  # of the code length codes, by RFC 1951
REVERSED = [int(f"{code:015b}"[::-1], 2) for code in range(2**15)]


def ranges(first, *extra_bits):
    """For symbols in order (first number that one stands for, extra bits that say which)."""
    starts = itertools.accumulate((1 << bits for bits in extra_bits), initial=first)
    return list(zip(starts, extra_bits, strict=False))


LENGTHS = ranges(3, *([0] * 8), *(bits for bits in range(1, 6) for _ in range(4)))  # symbols 257 to 284
LENGTH_SYMBOLS = [next((s for s in reversed(range(28)) if LENGTHS[s][0] <= length), 0) for length in range(259)]
DISTANCES = ranges(1, 0, 0, *(bits for bits in range(14) for _ in range(2)))


class Bits:
    """Bits are written from the lowest of each byte upward."""

    def __init__(self):
        self.value = self.count = 0

    def put(self, value, count):
        self.value |= value << self.count
        self.count += count

    def put_bytes(self, data):
        self.count += -self.count % 8
        self.put(int.from_bytes(data, "little"), 8 * len(data))

    def __bytes__(self):
        return self.value.to_bytes((self.count + 7) // 8, "little")


def codes_of(lengths):
    """The canonical codes {symbol: (code, length)} of lengths {symbol: length}, bits in the order in which they are written."""
    codes, code, last = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code <<= length - last
        codes[symbol] = (REVERSED[code % 2**length] >> (15 - length), length)
        code, last = code + 1, length
    return codes


FIXED_LITERALS = codes_of(dict(enumerate([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)))
FIXED_DISTANCES = codes_of(dict.fromkeys(range(32), 5))


def random_lengths(rng, symbols, longest=15):
    """The lengths of a random code in which no bit string is left unused; of one symbol alone, half a code."""
    symbols = list(symbols)
    leaves = [1, 1] if len(symbols) > 1 else [1][: len(symbols)]
    deep = rng.random() < 0.5  # codes as long as can be
    while len(leaves) < len(symbols):
        place = -1 if deep and leaves[-1] < longest else rng.randrange(len(leaves))
        if leaves[place] < longest:
            leaves[place] += 1
            leaves.append(leaves[place])
    rng.shuffle(symbols)
    return dict(zip(symbols, leaves, strict=True))


def written(rng, size, flaw=None):
    """A zlib stream of `size` bytes from 0 to 4, each of which will do for a filter; `flaw` shows in the last block.

    Its Adler-32 is that of what zlib inflates or, where zlib refuses, of what a reader that overlooks the flaw would get.
    """
    bits, output = Bits(), bytearray()
    if size > 1000:  # far enough for the greatest distance, or one byte short of it
        output += small(rng, 2 * size)[: rng.choice((32767, 32768, size - 300))]
        bits.put(STORED << 1, 3)
        put_stored(bits, output)
    final = False
    while not final:
        target = min(size, len(output) + rng.choice((0, 10, 50, 300, size)))
        final = target == size
        put_block(rng, bits, output, target, final, flaw if final else None)
    deflated = bytes(bits)
    if flaw == "it ends early":
        deflated = deflated[: rng.randrange(len(deflated))]
    with contextlib.suppress(zlib.error):
        output = zlib.decompress(deflated, -15)
    return b"\x78\x9c" + deflated + struct.pack(">I", zlib.adler32(output))


def put_block(rng, bits, output, target, final, flaw):
    """A block, after which the output has `target` bytes."""
    kind = rng.choice(FLAWS.get(flaw, (STORED, FIXED, DYNAMIC)))
    bits.put(final | (3 if flaw == "block type 3" else kind) << 1, 3)
    if kind == STORED:
        data = small(rng, target - len(output))
        output += data
        put_stored(bits, data, rng.getrandbits(16) if flaw == "a stored length belied" else 0xFFFF)
        return
    symbols = []
    if flaw == "a distance before the start":
        farther = min(32768, len(output) + rng.choice((1, 2, rng.randint(1, 32768))))
        repeat(output, 3, farther)
        symbols += symbols_of(rng, 3, farther)
    elif flaw == "distance symbol 30":
        output += bytes(3)
        symbols += [("literal", 257, 0, 0), ("distance", rng.choice((30, 31)), 0, 0)]
    values = (3, 4) if flaw == "a repeat without a length before" else range(5)
    symbols += random_symbols(rng, output, target, values)
    symbols.append(("literal", rng.choice((286, 287)) if flaw == "length symbol 286" else 256, 0, 0))
    put_symbols(rng, bits, symbols, flaw, kind == DYNAMIC)


def small(rng, size):
    """Bytes from 0 to 4."""
    return rng.randbytes(size).translate((bytes(range(5)) * 52)[:256])


def put_stored(bits, data, complement=0xFFFF):
    bits.put_bytes(struct.pack("<HH", len(data), len(data) ^ complement) + data)


def repeat(output, length, distance):
    """What a match adds to the output, before which there are zeros."""
    period = (bytes(max(0, distance - len(output))) + output[-distance:])[:length]
    output += (period * (length // len(period) + 1))[:length]


def random_symbols(rng, output, target, values):
    """Literals and matches, until the output has `target` bytes: (alphabet, symbol, extra, bits of it) of each symbol."""
    symbols, matches = [], rng.choice((0.1, 0.5, 0.9))
    while len(output) < target:
        longest = min(258, target - len(output))
        if output and longest > 2 and rng.random() < matches:
            length = rng.choice((3, longest, rng.randint(3, longest)))
            farthest = min(32768, len(output))
            distance = rng.choice((1, farthest, rng.randint(1, farthest)))
            repeat(output, length, distance)
            symbols += symbols_of(rng, length, distance)
        else:
            value = rng.choice(values)
            output.append(value)
            symbols.append(("literal", value, 0, 0))
    return symbols


def symbols_of(rng, length, distance):
    symbol = LENGTH_SYMBOLS[length]
    start, extra_bits = LENGTHS[symbol]
    coded = ("literal", 257 + symbol, length - start, extra_bits)
    if length == 258 and rng.random() < 0.8:  # 258 has a symbol of its own; that of 227 to 257 will do, with 31
        coded = ("literal", 285, 0, 0)
    far = next(symbol for symbol in reversed(range(30)) if DISTANCES[symbol][0] <= distance)
    start, extra_bits = DISTANCES[far]
    return [coded, ("distance", far, distance - start, extra_bits)]


def put_symbols(rng, bits, symbols, flaw, dynamic):
    codes = {"literal": FIXED_LITERALS, "distance": FIXED_DISTANCES}
    if dynamic:
        used = {alphabet: {symbol for kind, symbol, _, _ in symbols if kind == alphabet} for alphabet in codes}
        if rng.random() < 0.5:  # codes that are never used
            used["literal"] |= {rng.randrange(3, 286) for _ in range(rng.randint(1, 30))}
            used["distance"] |= {rng.randrange(30) for _ in range(rng.randint(0, 3))}
        if flaw == "literal codes beyond 286":
            used["literal"].add(rng.choice((286, 287)))
        elif flaw == "distance codes beyond 30":
            used["distance"].add(rng.choice((30, 31)))
        lengths = {alphabet: random_lengths(rng, sorted(used[alphabet])) for alphabet in codes}
        put_tables(rng, bits, lengths["literal"], lengths["distance"], flaw)
        codes = {alphabet: codes_of(lengths[alphabet]) for alphabet in codes}
    for alphabet, symbol, extra, extra_bits in symbols:
        bits.put(*codes[alphabet].get(symbol, (0, 1)))
        bits.put(extra, extra_bits)


def put_tables(rng, bits, literals, distances, flaw):
    """The head of a dynamic block. Flaws of single lengths are left in the dicts, as the codes would follow from them."""
    table = literals if rng.random() < 0.5 or not distances else distances
    some = rng.choice(sorted(table))
    if flaw == "over-subscribed":
        if rng.random() < 0.5:
            table[some] = max(1, table[some] - 1)
        table.setdefault(rng.randrange(5, 30), rng.choice((1, 2, 15)))
    elif flaw == "incomplete":
        table[some] = min(15, table[some] + rng.randint(1, 3))
    elif flaw == "no end of block":
        literals[rng.randrange(257, 286)] = literals.pop(256)
    elif flaw == "no distance code":
        distances.clear()
    literal_count = max(257, *(1 + symbol for symbol in literals), rng.choice((0, 0, 286)))
    distance_count = max([1, *(1 + symbol for symbol in distances), rng.choice((0, 0, 30))])
    declared = [literals.get(symbol, 0) for symbol in range(literal_count)]
    declared += [distances.get(symbol, 0) for symbol in range(distance_count)]
    if flaw == "lengths missing":
        del declared[rng.randrange(len(declared)) :]
    items = list(runs(rng, declared))
    if flaw == "a repeat without a length before":
        if items[0] == (17, 0, 3):  # then a reader that takes the length before for 0 reads on rightly
            items[0] = (16, 0, 2)
        else:
            items.insert(0, (16, 0, 2))
    elif flaw == "a repeat over the end":
        if items[-1][0] < 16:
            distance_count += 1
            items.append(None)
        items[-1] = rng.choice(((18, 127, 7), (17, 7, 3)))

    lengths = random_lengths(rng, {symbol for symbol, _, _ in items} | {0, rng.randrange(19)}, 7)
    if flaw == "over-subscribed code lengths":
        lengths[rng.choice(sorted(lengths))] = 1
        lengths[rng.randrange(19)] = 1
    elif flaw == "incomplete code lengths":
        lengths[rng.choice(sorted(lengths))] = 7
    elif flaw == "no code lengths":
        lengths = {}
    shown = max([4, *(1 + place for place, symbol in enumerate(ORDER) if symbol in lengths), rng.choice((0, 19))])
    for value, count in ((literal_count - 257, 5), (distance_count - 1, 5), (shown - 4, 4)):
        bits.put(value, count)
    for symbol in ORDER[:shown]:
        bits.put(lengths.get(symbol, 0), 3)
    codes = codes_of(lengths)
    for symbol, extra, extra_bits in items:
        bits.put(*codes.get(symbol, (0, 1)))
        bits.put(extra, extra_bits)


def runs(rng, lengths):
    """Code lengths as (symbol, extra, bits of it), with repeats, of which a long run may leave some out."""
    lavish = rng.random() < 0.1
    for length, group in itertools.groupby(lengths):
        left = len(list(group))
        if length:
            yield length, 0, 0
            left -= 1
        while left:
            if length == 0 and left >= 11 and not (lavish and rng.random() < 0.5):
                some = min(left, 138)
                yield 18, some - 11, 7
            elif length == 0 and 3 <= left <= 10:
                some = left
                yield 17, some - 3, 3
            elif length and left >= 3 and not lavish:
                some = min(left, 6)
                yield 16, some - 3, 2
            else:
                some = 1
                yield length, 0, 0
            left -= some
