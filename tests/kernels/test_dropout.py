"""Which units are left out: as the reference has it, whatever the lanes are, and as often as it should be."""

import numpy as np
import pytest
from cases import network_of

from benchmarks import reference
from fastmlp.kernels import compile as compiling
from fastmlp.kernels import dropout
from fastmlp.networks.layout import Dropped, dropout_memory

pytestmark = pytest.mark.kernels
by_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SEEDS = (0, 1, 2**63, 2**64 - 1)


@compiling.jit
def _drop(units, slopes, at, n_out, stride, m, given, order, first, layer, unit):
    dropout.note_keys(given, order, first, m)
    dropout.drop(units, slopes, at, n_out, stride, m, given, layer, unit)


@compiling.jit
def _drop_wide(units, slopes, at, stride, count, given, order, first, layer, unit):
    dropout.note_keys(given, order, first, count)
    dropout.drop_wide(units, slopes, at, stride, count, given, layer, unit)


@compiling.jit
def _drop_lanes(units, slopes, n_out, m, given, seeds, order, slot, first, layer, unit):
    dropout.note_keys_of_lanes(given, seeds, order, slot, first, m)
    dropout.drop(units, slopes, np.int64(0), n_out, m * seeds.shape[0], m * seeds.shape[0], given, layer, unit)


def expected(shares, widths, seed, epoch, rows):
    return reference.dropout_factors(network_of("tanh", "identity", "squared_error", widths), shares, seed, epoch, rows)


@by_dtype
@pytest.mark.parametrize("seed", SEEDS)
def test_with_samples_as_lanes(seed, dtype):
    lanes = 64 // np.dtype(dtype).itemsize
    shares, widths, m = (0.25, 0.6), (3, 5), 2 * lanes
    order = np.random.default_rng(0).permutation(1000)[: m + 3].astype(np.int32)
    given = dropout_memory(m, Dropped(shares, [seed]))
    given.numbers[dropout.EPOCH] = 7
    for layer, unit in ((0, 0), (1, 3)):
        units, slopes = np.full(9 * m, 2, dtype), np.full(9 * m, 3, dtype)
        _drop(units, slopes, m, widths[layer], m, m, given, order, 3, layer, unit)
        factors = expected(shares, widths, seed, 7, order[3:])[layer].T
        for array, value in ((units, 2), (slopes, 3)):
            rows = array.reshape(9, m)
            np.testing.assert_allclose(rows[1 : 1 + widths[layer]], value * factors, rtol=1e-6)
            assert (rows[0] == value).all() and (rows[1 + widths[layer] :] == value).all()


@by_dtype
@pytest.mark.parametrize("seed", SEEDS)
def test_with_units_as_lanes(seed, dtype):
    lanes = 64 // np.dtype(dtype).itemsize
    shares, widths, count = (0.25, 0.6), (lanes + 1, lanes - 1), 5
    order = np.arange(100, 200, 7)
    given = dropout_memory(count, Dropped(shares, [seed]))
    for layer, unit in ((0, 0), (1, lanes + 1)):
        stride = 2 * lanes if layer == 0 else lanes
        units, slopes = np.full((count + 2) * stride, 2, dtype), np.full((count + 2) * stride, 3, dtype)
        _drop_wide(units, slopes, stride, stride, count, given, order, 2, layer, unit)
        factors = expected(shares, widths, seed, 0, order[2 : 2 + count])[layer]
        for array, value in ((units, 2), (slopes, 3)):
            rows = array.reshape(-1, stride)
            np.testing.assert_allclose(rows[1:-1, : widths[layer]], value * factors, rtol=1e-6)
            assert (rows[0] == value).all() and (rows[-1] == value).all()


@by_dtype
@pytest.mark.parametrize("own_order", [True, False])
def test_with_networks_as_lanes(own_order, dtype):
    lanes = 64 // np.dtype(dtype).itemsize
    shares, widths, m, slot, first = (0.5,), (4,), 3, 1, 2
    rng = np.random.default_rng(0)
    order = np.array([[rng.permutation(9) for _ in range(2)] for _ in range(lanes if own_order else 1)])
    seeds = [2**64 - 1 - lane for lane in range(lanes)]
    given = dropout_memory(m * lanes, Dropped(shares, seeds))
    given.numbers[dropout.EPOCH] = 3
    units = np.ones(4 * m * lanes, dtype)
    _drop_lanes(units, units.copy(), 4, m, given, Dropped(shares, seeds).signed_seeds, order, slot, first, 0, 0)
    for lane, seed in enumerate(seeds):
        rows = order[lane if own_order else 0, slot, first : first + m]
        factors = expected(shares, widths, seed, 3, rows)[0].T
        np.testing.assert_allclose(units.reshape(4, m, lanes)[:, :, lane], factors, rtol=1e-6)


@by_dtype
def test_a_layer_that_loses_nothing_is_left_alone(dtype):
    given = dropout_memory(32, Dropped((0.0, 0.5), [1]))
    units = np.random.default_rng(0).normal(size=96).astype(dtype)
    before = units.copy()
    _drop(units, units.copy(), 0, 3, 32, 32, given, np.arange(40), 0, 0, 0)
    assert np.array_equal(units, before)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
def test_units_are_left_out_as_often_as_the_share_says_and_independently(share):
    network = network_of("tanh", "identity", "squared_error", (64,))
    kept = np.array([reference.dropout_factors(network, (share,), seed, epoch, np.arange(500))[0] > 0
                     for seed in (0, 1) for epoch in (0, 1)])  # fmt: skip
    deviation = np.sqrt(share * (1 - share))
    assert abs(kept.mean() - (1 - share)) < 5 * deviation / np.sqrt(kept.size)
    standard = (kept - (1 - share)) / deviation
    ones = [  # two of a kind that should have nothing to do with each other
        (standard[0], standard[2]), (standard[0], standard[1]), (standard[:, :, :-1], standard[:, :, 1:]),
        (standard[:, :-1], standard[:, 1:]), (standard[:, :-1, :-1], standard[:, 1:, 1:]),
    ]  # fmt: skip
    for one, other in ones:
        assert abs((one * other).mean()) < 5 / np.sqrt(one.size)


def test_hashes_are_those_of_splitmix():
    assert [int(dropout.hashed(0, k)) % 2**64 for k in (1, 2)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
    ]  # as published, from seed 0
