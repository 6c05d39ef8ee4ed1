"""Deflate streams written bit by bit (RFC 1951), among them many that zlib never writes, and many that are flawed."""

import itertools
import struct
import zlib

FLAWS = [  # of Huffman tables
    "over-subscribed",
    "incomplete",
    "no end of block",
    "literal codes beyond 286",
    "distance codes beyond 30",
    "a repeat without a length before",
    "a repeat over the end",
    "lengths missing",
    "over-subscribed code lengths",
    "incomplete code lengths",
    "no code lengths",
    "no distance code",
]
FLAWS += ["length symbol 286", "distance symbol 30", "a distance before the start", "block type 3", "a stored length belied"]
FLAWS += ["it ends early", "too much data", "too little data"]
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


FIXED = codes_of(dict(enumerate([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)))
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


def wrapped(deflated):
    """A zlib stream of deflated data, with the Adler-32 of what they hold, if they hold anything."""
    try:
        checksum = zlib.adler32(zlib.decompress(deflated, -15))
    except zlib.error:
        checksum = 1
    return b"\x78\x9c" + deflated + struct.pack(">I", checksum)


def written(rng, size, flaw):
    """Deflated data of `size` bytes from 0 to 4, so that each will do for a filter; `flaw` shows in the last block."""
    bits, output = Bits(), bytearray()
    if size > 1000:  # far enough for the greatest distance, or one byte short of it
        output += small(rng, 2 * size)[: rng.choice((32767, 32768, size - 300))]
        put_stored(bits, output, final=0)
    while True:
        target = min(size, len(output) + rng.choice((0, 10, 50, 300, size)))
        final = target == size
        now = flaw if final else None
        kind = rng.randrange(3)
        if now in FLAWS[:12]:
            kind = 2
        elif now in FLAWS[12:14]:
            kind = 1
        elif now == "a stored length belied":
            kind = 0
        if now == "block type 3":
            bits.put(6 + final, 3)
        if kind == 0:
            data = small(rng, target - len(output))
            output += data
            put_stored(bits, data, final, rng.getrandbits(16) if now == "a stored length belied" else 0xFFFF)
        else:
            tokens = list(tokens_up_to(rng, output, target))
            if now == "a distance before the start":
                tokens.insert(rng.randrange(len(tokens) + 1), (3, rng.choice((len(output) + 1, 32768, rng.randint(1, 32768)))))
            put_tokens(rng, bits, tokens, final, now, dynamic=kind == 2)
        if final:
            data = bytes(bits)
            return data[: rng.randrange(len(data))] if flaw == "it ends early" else data


def small(rng, size):
    """Bytes from 0 to 4."""
    return rng.randbytes(size).translate((bytes(range(5)) * 52)[:256])


def put_stored(bits, data, final, complement=0xFFFF):
    bits.put(final, 3)
    bits.put_bytes(struct.pack("<HH", len(data), len(data) ^ complement) + data)


def tokens_up_to(rng, output, target):
    """Literals and pairs (length, distance), until the output has `target` bytes."""
    matches = rng.choice((0.1, 0.5, 0.9))
    while len(output) < target:
        longest = min(258, target - len(output))
        if output and longest > 2 and rng.random() < matches:
            length = rng.choice((3, longest, rng.randint(3, longest)))
            farthest = min(32768, len(output))
            distance = rng.choice((1, farthest, rng.randint(1, farthest)))
            period = output[-distance:][:length]
            output += (period * (length // len(period) + 1))[:length]
            yield length, distance
        else:
            value = rng.randrange(5)
            output.append(value)
            yield value


def put_tokens(rng, bits, tokens, final, flaw, dynamic):
    """A block of fixed or dynamic Huffman codes."""
    symbols = [part for token in tokens for part in symbols_of(rng, token)]
    if flaw == "length symbol 286":
        symbols[rng.randrange(len(symbols) + 1) :] = [("literal", rng.choice((286, 287)), 0, 0), ("distance", 0, 0, 0)]
    elif flaw == "distance symbol 30":
        symbols += [("literal", 257, 0, 0), ("distance", rng.choice((30, 31)), 0, 0)]
    symbols.append(("literal", 256, 0, 0))
    bits.put(final + (4 if dynamic else 2), 3)
    codes = {"literal": FIXED, "distance": FIXED_DISTANCES}
    if dynamic:
        used = {alphabet: {symbol for kind, symbol, _, _ in symbols if kind == alphabet} for alphabet in codes}
        if rng.random() < 0.5:  # codes that are never used
            used["literal"] |= {rng.randrange(286) for _ in range(rng.randint(1, 30))}
            used["distance"] |= {rng.randrange(30) for _ in range(rng.randint(0, 3))}
        lengths = {alphabet: random_lengths(rng, sorted(used[alphabet])) for alphabet in codes}
        put_tables(rng, bits, lengths["literal"], lengths["distance"], flaw)
        codes = {alphabet: codes_of(lengths[alphabet]) for alphabet in codes}
    for alphabet, symbol, extra, extra_bits in symbols:
        bits.put(*codes[alphabet].get(symbol, (0, 1)))
        bits.put(extra, extra_bits)


def symbols_of(rng, token):
    """(alphabet, symbol, extra, bits of it) for a token."""
    if not isinstance(token, tuple):
        return [("literal", token, 0, 0)]
    length, distance = token
    symbol = LENGTH_SYMBOLS[length]
    start, extra_bits = LENGTHS[symbol]
    coded = ("literal", 257 + symbol, length - start, extra_bits)
    if length == 258 and rng.random() < 0.8:  # 258 has a symbol of its own; that of 227 to 257 will do, with 31
        coded = ("literal", 285, 0, 0)
    far = next(symbol for symbol in reversed(range(30)) if DISTANCES[symbol][0] <= distance)
    start, extra_bits = DISTANCES[far]
    return [coded, ("distance", far, distance - start, extra_bits)]


def put_tables(rng, bits, literals, distances, flaw):
    """The head of a dynamic block. Flaws of single lengths are left in the dicts, as the codes would follow from them."""
    table = literals if rng.random() < 0.5 or not distances else distances
    some = rng.choice(sorted(table))
    if flaw == "over-subscribed":
        table[some] = max(1, table[some] - 1)
        table[rng.randrange(30)] = rng.randint(1, 3)
    elif flaw == "incomplete":
        table[some] = min(15, table[some] + rng.randint(1, 3))
    elif flaw == "no end of block":
        literals[rng.randrange(257, 286)] = literals.pop(256)
    elif flaw == "literal codes beyond 286":
        literals[rng.choice((286, 287))] = literals.pop(rng.choice(sorted(literals)))
    elif flaw == "distance codes beyond 30":
        distances[rng.choice((30, 31))] = rng.randint(1, 15)
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
        items.insert(0, (16, 0, 2))
    elif flaw == "a repeat over the end":
        items[-1] = rng.choice(((18, 127, 7), (17, 7, 3), (16, 3, 2)))

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
