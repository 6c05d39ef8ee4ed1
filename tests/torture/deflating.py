"""Deflate streams (RFC 1951) of every kind: blocks that are stored, that have the fixed codes, and codes drawn at random."""

import struct
import zlib
from itertools import pairwise

import numpy as np

LENGTHS = [(0, 3 + k) for k in range(8)]  # extra bits, shortest length, of the symbols from 257 on
for bits in range(1, 6):
    LENGTHS += [(bits, LENGTHS[-1][1] + (1 << LENGTHS[-1][0]) + (k << bits)) for k in range(4)]
LENGTHS[-1:] = [(5, 227), (0, 258)]
DISTANCES = [(0, 1), (0, 2)]
for bits in range(14):
    DISTANCES += [(bits, DISTANCES[-1][1] + (1 << DISTANCES[-1][0]) + (k << bits)) for k in range(2)]
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
FIXED = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8


class _Bits:
    def __init__(self) -> None:
        self.value = self.count = 0

    def put(self, value: int, count: int) -> None:
        self.value |= value << self.count
        self.count += count

    def put_word(self, word: tuple[int, int]) -> None:
        """A word of a code, whose first bit is the highest one."""
        value, length = word
        self.put(int(f"{value:0{length}b}"[::-1], 2), length)

    def to_byte(self) -> None:
        self.count += -self.count % 8


def _words(lengths: list[int]) -> dict[int, tuple[int, int]]:
    """The word of each symbol of the canonical code."""
    words, word = {}, 0
    for length in range(1, 16):
        for symbol in (symbol for symbol, own in enumerate(lengths) if own == length):
            words[symbol] = (word, length)
            word += 1
        word <<= 1
    return words


def _random_lengths(rng: np.random.Generator, symbols: list[int], longest: int, size: int) -> list[int]:
    """Lengths of a complete code for some symbols; one bit for a single one."""
    leaves = [1, 1] if len(symbols) > 1 else [1]
    while len(leaves) < len(symbols):
        k = int(rng.integers(len(leaves)))
        if leaves[k] < longest:
            leaves[k] += 1
            leaves.append(leaves[k])
    lengths = [0] * size
    for symbol, length in zip(rng.permutation(symbols).tolist(), leaves, strict=True):
        lengths[symbol] = length
    return lengths


def _symbol(table: list[tuple[int, int]], value: int) -> tuple[int, int, int]:
    """The symbol of a length or distance, its extra bits, and how many these are."""
    symbol = max(k for k, (_, shortest) in enumerate(table) if shortest <= value)
    bits, shortest = table[symbol]
    return symbol, value - shortest, bits


def _tokens(rng: np.random.Generator, data: bytes, start: int, stop: int) -> list[tuple[int, int]]:
    """(literal, 0), or (length, distance), of data[start:stop]."""
    tokens, at = [], start
    while at < stop:
        length = min(int(rng.integers(3, 40)), stop - at, 258)
        before = data.rfind(data[at : at + length], max(0, at - 32768), at + length - 1) if length >= 3 and at else -1
        if 0 <= before < at:
            tokens.append((length, at - before))
            at += length
        else:
            tokens.append((data[at], 0))
            at += 1
    return tokens


def _put_symbols(out: _Bits, tokens: list[tuple[int, int]], literals: list[int], distances: list[int]) -> None:
    of_literals, of_distances = _words(literals), _words(distances)
    for value, distance in tokens:
        if not distance:
            out.put_word(of_literals[value])
            continue
        symbol, extra, bits = _symbol(LENGTHS, value)
        out.put_word(of_literals[257 + symbol])
        out.put(extra, bits)
        symbol, extra, bits = _symbol(DISTANCES, distance)
        out.put_word(of_distances[symbol])
        out.put(extra, bits)
    out.put_word(of_literals[256])


def _put_codes(rng: np.random.Generator, out: _Bits, literals: list[int], distances: list[int]) -> None:
    """The head of a block with codes of its own."""
    n_literals = max(257, 1 + max(k for k, length in enumerate(literals) if length))
    n_distances = max(1, 1 + max((k for k, length in enumerate(distances) if length), default=0))
    runs, both = [], literals[:n_literals] + distances[:n_distances]
    at = 0
    while at < len(both):
        run = 1
        while at + run < len(both) and both[at + run] == both[at]:
            run += 1
        if both[at] == 0 and run >= 3:
            run = min(run, 138 if run > 10 else 10)
            runs.append((18, run - 11, 7) if run > 10 else (17, run - 3, 3))
        elif at and both[at - 1] == both[at] and run >= 3:
            run = min(run, 6)
            runs.append((16, run - 3, 2))
        else:
            run = 1
            runs.append((both[at], 0, 0))
        at += run
    used = sorted({symbol for symbol, _, _ in runs})
    used += [k for k in range(19) if k not in used][: max(0, 2 - len(used))]
    lengths = _random_lengths(rng, used, 7, 19)
    n_lengths = max(4, 1 + max(k for k, symbol in enumerate(ORDER) if lengths[symbol]))
    out.put(n_literals - 257 | n_distances - 1 << 5 | n_lengths - 4 << 10, 14)
    for symbol in ORDER[:n_lengths]:
        out.put(lengths[symbol], 3)
    words = _words(lengths)
    for symbol, extra, bits in runs:
        out.put_word(words[symbol])
        out.put(extra, bits)


def zlib_stream(rng: np.random.Generator, data: bytes) -> bytes:
    """A zlib stream of some data, in one to four blocks of any kind."""
    out = _Bits()
    edges = [0, *sorted(rng.integers(0, len(data) + 1, int(rng.integers(4))).tolist()), len(data)]
    for number, (start, stop) in enumerate(pairwise(edges)):
        kind = int(rng.integers(3))
        out.put(number == len(edges) - 2, 1)
        out.put(kind, 2)
        if kind == 0:
            out.to_byte()
            out.put(stop - start | (stop - start ^ 0xFFFF) << 16, 32)
            out.put(int.from_bytes(data[start:stop], "little"), 8 * (stop - start))
            continue
        tokens = _tokens(rng, data, start, stop)
        literals, distances = FIXED, [5] * 30
        if kind == 2:
            symbols = {256} | {257 + _symbol(LENGTHS, value)[0] if distance else value for value, distance in tokens}
            symbols |= set(rng.integers(0, 286, int(rng.integers(1, 20))).tolist())
            literals = _random_lengths(rng, sorted(symbols), 15, 286)
            used = sorted({_symbol(DISTANCES, distance)[0] for _, distance in tokens if distance})
            distances = _random_lengths(rng, used, 15, 30) if used else [0] * 30
            _put_codes(rng, out, literals, distances)
        _put_symbols(out, tokens, literals, distances)
    out.to_byte()
    return b"\x78\x9c" + out.value.to_bytes(out.count // 8, "little") + struct.pack(">I", zlib.adler32(data))
