"""Orders of rows are permutations, all as likely, and the same in however many calls."""

import numpy as np
import pytest

from fastmlp.kernels.tiles import shuffle
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
