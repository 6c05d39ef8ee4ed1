"""The two checksums that PNG files carry: Adler-32 of what a zlib stream holds, and CRC-32 of a chunk."""

import numpy as np

from fastmlp.kernels.compile import jit_part
from fastmlp.kernels.images.bytes import eight, four, item


@jit_part
def adler32(data, size):
    """Adler-32 of data[:size] (RFC 1950, 8.2), as its high and low half.

    low = 1 + sum of d[i]; high = sum of all values that low takes. Over n bytes high grows by n * low + sum of (n - i) * d[i].
    Eight bytes are taken as four even and four odd ones, in 16 bits each; the top 16 bits of their product with four factors are
    the sum of products, the first byte with the last factor.
    """
    low, high = np.int64(1), np.int64(0)
    whole = size // 8 * 8
    for start in range(0, whole, 4096):
        for at in range(start, min(start + 4096, whole), 8):
            word = eight(data, at)
            even, odd = word & 0x00FF00FF00FF00FF, word >> 8 & 0x00FF00FF00FF00FF
            weighted = even * 0x0008000600040002 + odd * 0x0007000500030001
            high += 8 * low + (weighted >> 48 & 0xFFFF)
            low += (even + odd) * 0x0001000100010001 >> 48 & 0xFFFF
        high %= 65521
        low %= 65521
    for at in range(whole, size):
        low += item(data, at)
        high += low
    return high % 65521, low % 65521


def _crc_tables():
    """tables[0][b] is the checksum's change by a byte b; tables[k][b] that of a byte with k more behind it."""
    tables = np.zeros((8, 256), np.uint32)
    tables[0] = np.arange(256)
    for _ in range(8):
        tables[0] = np.where(tables[0] & 1, tables[0] >> 1 ^ 0xEDB88320, tables[0] >> 1)
    for k in range(1, 8):
        tables[k] = tables[k - 1] >> 8 ^ tables[0][tables[k - 1] & 255]
    return tables.reshape(-1)


CRC_TABLES = _crc_tables()


@jit_part
def crc32(data, start, stop):
    """CRC-32 of data[start:stop] (ISO 3309), eight bytes at a time (Kounavis and Berry, 2005)."""
    crc, at = np.int64(0xFFFFFFFF), start
    while at + 8 <= stop:
        low, high = crc ^ four(data, at), four(data, at + 4)
        crc = (
            item(CRC_TABLES, 7 * 256 + (low & 255))
            ^ item(CRC_TABLES, 6 * 256 + (low >> 8 & 255))
            ^ item(CRC_TABLES, 5 * 256 + (low >> 16 & 255))
            ^ item(CRC_TABLES, 4 * 256 + (low >> 24))
            ^ item(CRC_TABLES, 3 * 256 + (high & 255))
            ^ item(CRC_TABLES, 2 * 256 + (high >> 8 & 255))
            ^ item(CRC_TABLES, 1 * 256 + (high >> 16 & 255))
            ^ item(CRC_TABLES, high >> 24)
        )
        at += 8
    while at < stop:
        crc = crc >> 8 ^ item(CRC_TABLES, (crc ^ item(data, at)) & 255)
        at += 1
    return crc ^ 0xFFFFFFFF
