"""Names in a blob of bytes: sorted, chosen and gathered as Python does it with a list of them."""

import numpy as np
import pytest

from fastmlp.kernels.images.names import FEW, KEY, chosen_names, keep_last, sorted_names, starts_of

pytestmark = pytest.mark.kernels


def blob_of(names):
    return np.frombuffer(bytearray(b"".join(name + b"\0" for name in names) or b"\0"), np.uint8)[: None if names else 0]


def names_in(blob):
    return blob.tobytes().split(b"\0")[:-1]


def random_names(seed, count, alphabet, longest):
    rng = np.random.default_rng(seed)
    return [bytes(rng.choice(alphabet, rng.integers(longest + 1)).tolist()) for _ in range(count)]


def expected_order(names):
    return sorted(range(len(names)), key=names.__getitem__)


def check_order(names):
    starts, order = sorted_names(blob_of(names))
    assert starts.tolist() == [sum(len(name) + 1 for name in names[:n]) for n in range(len(names))]
    assert order.tolist() == expected_order(names)


@pytest.mark.parametrize("count", [0, 1, 2, FEW, FEW + 1, 3 * FEW, 400])
@pytest.mark.parametrize(("alphabet", "longest"), [(range(1, 256), 3 * KEY), (b"\x01\x7f\x80\xff", 6), (b"a", 5 * KEY), (b"ab", 2)])
def test_the_order_is_that_of_sorted_bytes(count, alphabet, longest):
    check_order(random_names(count, count, list(alphabet), longest))


def test_equal_names_keep_their_order():
    check_order([b"b", b"a", b"b", b""] * FEW)
    check_order([b"the same long name in all places"] * 3 * FEW)


@pytest.mark.parametrize("length", [0, 1, KEY - 1, KEY, KEY + 1, 5 * KEY])
def test_long_beginnings_in_common(length):
    names = [b"x" * length + name for name in random_names(length, 100, list(b"ab/"), 20)]
    check_order([*names, b"x" * length, b"x" * (length // 2)])


def test_groups_within_groups():
    rng = np.random.default_rng(0)
    names = [b"folder %d/inner folder %d/picture %04d.png" % (n % 2, n % 3, n) for n in range(12 * FEW)]
    check_order([names[n] for n in rng.permutation(len(names))])


def test_as_many_groups_wait_as_there_is_room_for():
    names = [b"%07d and more" % (n % 20) + b"%d" % n for n in range(20 * (FEW + 1))]
    check_order(names)


def test_of_equal_names_the_last_is_kept():
    names = random_names(1, 300, list(b"abc"), 3)
    starts, order = sorted_names(blob_of(names))
    kept = order[: keep_last(order, blob_of(names), starts)]
    last = {name: n for n, name in enumerate(names)}
    assert kept.tolist() == [last[name] for name in sorted(last)]
    assert keep_last(order[:0], blob_of(names), starts) == 0


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_chosen_names_are_gathered_in_their_order(dtype):
    names = random_names(2, 50, list(range(1, 256)), 12)
    chosen = np.random.default_rng(3).integers(0, 50, 80).astype(dtype)
    chosen[0], chosen[-1] = 49, 49
    blob = blob_of(names)
    assert names_in(chosen_names(blob, starts_of(blob), chosen)) == [names[n] for n in chosen]
    assert chosen_names(blob, starts_of(blob), chosen[:0]).size == 0
