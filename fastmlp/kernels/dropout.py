"""Dropout: in each step some hidden units are left out by chance, and the others are multiplied so that sums stay as large as they
are in the mean (Srivastava et al. 2014, "inverted").

Chance is no stream of random numbers here, but a function of seed, epoch, row and unit alone: so it is the same however rows are
cut in chunks, whatever the lanes are, and for any number of threads. A row's key is a hash of 64 bits (the finalizer of SplitMix64,
Steele, Lea and Flood 2014), cut to 32; that of a unit in it mixes 32 bits (two rounds of multiplying and shifting, with constants
by Wellons 2018, "lowbias32").
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from fastmlp.kernels.compile import jit_flat, jit_inline, jit_part
from fastmlp.kernels.simd import compiles, get, lanes_of, load, load_vector, put, store, vector_of
from fastmlp.kernels.trace import filled
from fastmlp.kernels.vectors import Vector

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio
ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)), 31  # of a row: shifts, each before a factor, and the last
UNIT = 0x9E3779B9  # what tells units apart
UNIT_ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B)), 16


EPOCH, SEED, SHARES = range(3)  # places of numbers


class Dropout(NamedTuple):
    """Which units are left out of the rows of a block."""

    numbers: np.ndarray  # (2 + layers,) int64: the epoch under way; the seed, of one network; the shares, times 2^32, or none
    keys: np.ndarray  # (B,) int32, of the rows of a block


# -- hashes ----------------------------------------------------------------------------------------------------------------------


def hashed(x, y):
    """A hash of two whole numbers, as a whole number of 64 bits."""
    bits = (int(x) + int(y) * GOLDEN) % 2**64
    bits = int(_mixed(np.array([bits], np.uint64), *ROUNDS)[0])
    return np.int64(bits - 2**64 if bits >> 63 else bits)


def kept_samples(like, keys, n, unit, limit, factor):
    """The factor in the lanes of the samples in which a unit stays, by keys[n], keys[n + 1], ...; 0 in the others. A vector as
    those of `like`."""
    with_unit = keys[n : n + lanes_of(like)].view(np.uint32) + np.uint32(int(unit) * UNIT % 2**32)
    return _kept(like, with_unit, limit, factor)


def kept_units(like, key, unit, limit, factor):
    """The factor in the lanes of the units unit, unit + 1, ... that stay in a sample of that key; 0 in the others."""
    units = np.arange(int(unit), int(unit) + lanes_of(like), dtype=np.uint64) * np.uint64(UNIT)
    return _kept(like, np.array([key], np.int32).view(np.uint32) + units.astype(np.uint32), limit, factor)


def _mixed(bits, rounds, last):
    for shift, multiplier in rounds:
        bits = (bits ^ (bits >> bits.dtype.type(shift))) * bits.dtype.type(multiplier)
    return bits ^ (bits >> bits.dtype.type(last))


def _kept(like, with_unit, limit, factor):
    return np.where(_mixed(with_unit, *UNIT_ROUNDS) >= limit, factor, 0).astype(like.dtype)


def _every(value, ty):
    """A constant of that LLVM type, in all lanes if it is a vector."""
    return ir.Constant(ty, [value] * ty.count if isinstance(ty, ir.VectorType) else value)


def _mix(builder, bits, rounds, last):
    """The code of _mixed."""
    for shift, multiplier in rounds:
        shifted = builder.lshr(bits, _every(shift, bits.type))
        bits = builder.mul(builder.xor(bits, shifted), _every(multiplier, bits.type))
    return builder.xor(bits, builder.lshr(bits, _every(last, bits.type)))


@compiles(hashed, result=lambda x, y: types.int64, kinds=[(types.Integer, types.Integer)])
def _(context, builder, signature, x, y):
    x, y = (context.cast(builder, value, kind, types.int64) for value, kind in zip((x, y), signature.args, strict=True))
    return _mix(builder, builder.add(x, builder.mul(y, ir.Constant(y.type, GOLDEN))), *ROUNDS)


def _keep(builder, result, with_unit, limit, factor):
    """The code of _kept, for a vector type of Numba."""
    bits = ir.IntType(32)
    limits = filled(builder, builder.trunc(limit, bits), result.lanes)
    stays = builder.icmp_unsigned(">=", _mix(builder, with_unit, *UNIT_ROUNDS), limits)
    factors = filled(builder, factor, result.lanes)
    return builder.select(stays, factors, ir.Constant(factors.type, None))


def _unit(builder, unit):
    return builder.mul(builder.trunc(unit, ir.IntType(32)), ir.IntType(32)(UNIT))


def _of_samples(like, keys, n, unit, limit, factor):
    return vector_of(like)


def _of_units(like, key, unit, limit, factor):
    return vector_of(like)


@compiles(kept_samples, result=_of_samples, kinds=[(types.Array, types.Array, *[types.Integer] * 3, types.Float)])
def _(context, builder, signature, like, keys, n, unit, limit, factor):
    result = signature.return_type
    key = load_vector(context, builder, signature.args[1], keys, n, Vector(types.int32, result.lanes))
    with_unit = builder.add(key, filled(builder, _unit(builder, unit), result.lanes))
    return _keep(builder, result, with_unit, limit, factor)


@compiles(kept_units, result=_of_units, kinds=[(types.Array, *[types.Integer] * 3, types.Float)])
def _(context, builder, signature, like, key, unit, limit, factor):
    result = signature.return_type
    first = filled(builder, builder.add(key, _unit(builder, unit)), result.lanes)
    steps = ir.Constant(first.type, [lane * UNIT % 2**32 for lane in range(result.lanes)])
    return _keep(builder, result, builder.add(first, steps), limit, factor)


# -- of a block ------------------------------------------------------------------------------------------------------------------


@jit_flat
def drops(dropout):
    """Whether anything is left out."""
    return dropout.numbers.shape[0] > SHARES


@jit_part
def note_keys(dropout, order, first, count):
    """Those of rows order[first : first + count]."""
    keys, base = dropout.keys, hashed(dropout.numbers[SEED], dropout.numbers[EPOCH])
    for n in range(count):
        put(keys, n, np.int32(hashed(base, np.int64(get(order, first + n))) >> np.int64(32)))


@jit_part
def note_keys_of_lanes(dropout, seeds, order, slot, first, count):
    """The same with networks as lanes, of as many seeds, whose order (S or 1, E, N) is that of many_batches.LaneData."""
    keys, lanes, epochs, n = dropout.keys, seeds.shape[0], order.shape[1], order.shape[2]
    for lane in range(lanes):
        base = hashed(get(seeds, lane), dropout.numbers[EPOCH])
        at = (min(lane, order.shape[0] - 1) * epochs + slot) * n + first
        for s in range(count):
            put(keys, s * lanes + lane, np.int32(hashed(base, np.int64(get(order, at + s))) >> np.int64(32)))


@jit_inline
def _share(array, dropout, number):
    """Of a hidden layer the share that is left out, times 2^32; and what the others are multiplied by."""
    limit = dropout.numbers[SHARES + number]
    return limit, array.dtype.type(1 / (1 - limit / 2**32))


@jit_part
def drop(units, slopes, at, n_out, stride, m, dropout, number, unit):
    """Leaves units out of a hidden layer of that number, n_out rows of m samples: their activations and slopes become 0, those of
    the others are multiplied by the factor. `unit` is the number of the first, counted over all hidden layers."""
    limit, factor = _share(units, dropout, number)
    if limit == 0:
        return
    for row in range(at, at + n_out * stride, stride):
        for n in range(0, m, lanes_of(units)):
            kept = kept_samples(units, dropout.keys, n, unit, limit, factor)
            store(units, row + n, load(units, row + n) * kept)
            store(slopes, row + n, load(slopes, row + n) * kept)
        unit += 1


@jit_part
def drop_wide(units, slopes, at, stride, count, dropout, number, unit):
    """The same with units as lanes: `count` rows of a layer, whole vectors `stride` numbers long."""
    limit, factor = _share(units, dropout, number)
    if limit == 0:
        return
    for n in range(count):
        row = at + n * stride
        for j in range(0, stride, lanes_of(units)):
            kept = kept_units(units, get(dropout.keys, n), unit + j, limit, factor)
            store(units, row + j, load(units, row + j) * kept)
            store(slopes, row + j, load(slopes, row + j) * kept)
