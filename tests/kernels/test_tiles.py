"""Rows are packed in their order, which is a permutation, all as likely, and the same in however many calls."""

import numpy as np
import pytest

from fastmlp.kernels.tiles import Data, Tiles, pack, shuffle
from fastmlp.training.data import RowOrders

pytestmark = pytest.mark.kernels


def test_shuffled_rows_are_a_permutation_whatever_the_draws():
    rows = np.array([3, 3, 8, 1, 90, 7, 5], np.int32)
    for bits in (0, 1, 2**31, 2**32 - 1):
        orders = np.tile(rows, (2, 1))
        shuffle(orders, np.full((2, 8), bits, np.uint32))
        assert (np.sort(orders) == np.sort(rows)).all()
    orders = RowOrders(np.arange(101, dtype=np.int32), 0).next(20)
    assert (np.sort(orders) == np.arange(101)).all()
    assert len({order.tobytes() for order in orders}) == 20


def test_every_permutation_is_as_likely_as_any_other():
    # Chi-square of 5! kinds: k = 119 degrees of freedom. It exceeds k + 2 sqrt(k t) + 2 t with a chance below exp(-t)
    # (Laurent and Massart 2000, lemma 1), and k - 2 sqrt(k t) falls short of it with one below that too: t = ln 10^6.
    epochs = 120 * 100
    orders = RowOrders(np.arange(5, dtype=np.int32), 3).next(epochs)
    counts = np.bincount(orders @ 5 ** np.arange(5))
    counts = counts[counts > 0]
    assert len(counts) == 120
    k, t = 119, np.log(1e6)
    assert k - 2 * np.sqrt(k * t) <= ((counts - epochs / 120) ** 2).sum() / (epochs / 120) <= k + 2 * np.sqrt(k * t) + 2 * t


@pytest.mark.parametrize("rows", [1, 2, 7, 8])
def test_orders_are_the_same_in_however_many_chunks(rows):
    order = np.arange(10, 10 + rows, dtype=np.int32)
    whole = RowOrders(order, 5).next(9)
    parts = RowOrders(order, 5)
    assert np.array_equal(whole, np.concatenate([parts.next(count) for count in (1, 5, 2, 1)]))
    assert np.array_equal(order, np.arange(10, 10 + rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 32, 33])
def test_rows_become_lanes_and_class_numbers_one_hot(rows, one_hot, dtype):
    rng, lanes, stride = np.random.default_rng(0), 64, 80
    x, labels, weight = rng.normal(size=(50, 3)).astype(dtype), rng.integers(0, 4, 50), rng.random(50).astype(dtype)
    shift, scale = rng.normal(size=3).astype(dtype), rng.random(3).astype(dtype)
    shares = np.eye(4, dtype=dtype)[labels]
    order, strip = rng.permutation(50).astype(np.int32), 128 // np.dtype(dtype).itemsize
    end = -(-rows // strip) * strip
    arrays = (np.full(2 * units * stride, -7, dtype) for units in (3, 4, 1))
    tiles = Tiles(*arrays, stride, lanes, kept=True)
    pack(tiles, 1, Data(x, labels[:, None].astype(dtype) if one_hot else shares, weight, shift, scale), order, 7, rows)
    taken = order[7 : 7 + rows]
    inputs, targets, weights = (array.reshape(2, -1, stride) for array in tiles[:3])
    np.testing.assert_allclose(inputs[1, :, :rows], ((x - shift) * scale)[taken].T, rtol=4 * np.finfo(dtype).eps, atol=1e-6)
    assert np.array_equal(inputs[1, :, rows:end], np.repeat(inputs[1, :, rows - 1 : rows], end - rows, axis=1))
    assert np.array_equal(targets[1, :, :rows], shares[taken].T)
    assert np.array_equal(weights[1, 0, :rows], weight[taken])
    assert (weights[1, 0, rows:end] == 0).all()
    assert all((array.reshape(2, -1, stride)[0] == -7).all() for array in tiles[:3])
