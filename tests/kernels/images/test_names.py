"""Names in a blob of bytes: sorted, chosen and gathered as Python does it with a list of them."""

from itertools import accumulate

import numba
import numpy as np
import pytest

from fastmlp.kernels.images import names as packed
from fastmlp.kernels.images.names import AHEAD, FEW, KEY, chosen_names, keep_last, places_ending, sorted_starts, starts_of

pytestmark = pytest.mark.kernels


def blob_of(names):
    return np.frombuffer(bytearray(b"".join(name + b"\0" for name in names) or b"\0"), np.uint8)[: None if names else 0]


def names_in(blob):
    return blob.tobytes().split(b"\0")[:-1]


def random_names(seed, count, alphabet, longest):
    rng = np.random.default_rng(seed)
    return [bytes(rng.choice(alphabet, rng.integers(longest + 1)).tolist()) for _ in range(count)]


def first_bytes(names):
    """Where each begins."""
    return list(accumulate((len(name) + 1 for name in names[:-1]), initial=0)) if names else []


def expected_starts(names):
    starts = first_bytes(names)
    return [starts[n] for n in sorted(range(len(names)), key=names.__getitem__)]


def check_order(names, runs=(packed.RUN, AHEAD + 1, 10)):
    blob = blob_of(names)
    assert starts_of(blob).tolist() == first_bytes(names)
    for run in runs:
        assert sorted_starts(blob, run=run).tolist() == expected_starts(names)


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


@pytest.mark.parametrize("seed", range(8))
def test_any_names_in_any_runs(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 100 if numba.config.DISABLE_JIT else 5000))
    alphabet = rng.permutation(np.arange(1, 256))[: rng.integers(1, 256)]
    names = [b"prefix"[: rng.integers(7)] + name for name in random_names(seed, count, alphabet, int(rng.integers(1, 40)))]
    check_order(names + names[: count // 3], runs=(packed.RUN, 1 + count // 2, 1 + count // 9))


@pytest.mark.parametrize("run", [1, 5, 3 * AHEAD])
def test_runs_of_equal_names_are_merged_in_their_order(run):
    check_order([b"b", b"a", b"", b"a long name in more than one run"] * AHEAD, runs=[run])


def test_runs_that_end_one_after_another():
    check_order([b"%04d" % n for n in range(10 * AHEAD)], runs=[AHEAD, 2 * AHEAD + 1])
    check_order([b"%04d" % -n for n in range(10 * AHEAD)], runs=[AHEAD, 2 * AHEAD + 1])


@pytest.mark.parametrize("step", [1, 30, 1000])
def test_so_many_names_in_a_step(step, monkeypatch):
    names = random_names(4, 700, list(b"abc"), 12)
    monkeypatch.setattr(packed, "STEP", step)
    pauses = []
    assert sorted_starts(blob_of(names), lambda: pauses.append(1), run=200).tolist() == expected_starts(names)
    assert len(pauses) >= 4 + 700 / step  # in the four runs one each, at least


def test_sorting_ends_in_a_pause():
    def pause():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sorted_starts(blob_of([b"b", b"a"]), pause)


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="would be compiled once more")
def test_where_names_begin_may_take_eight_bytes(monkeypatch):
    monkeypatch.setattr(packed, "LARGE", 100)
    names = random_names(5, 90, list(b"ab"), 9)
    assert sorted_starts(blob_of(names)).dtype == np.int64
    check_order(names)


def test_of_equal_names_the_last_is_kept():
    names = random_names(1, 300, list(b"abc"), 3)
    starts = sorted_starts(blob_of(names))
    kept = starts[: keep_last(starts, blob_of(names))]
    last = dict(zip(names, first_bytes(names), strict=True))
    assert kept.tolist() == [last[name] for name in sorted(last)]
    assert keep_last(starts[:0], blob_of(names)) == 0


@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
@pytest.mark.parametrize("longest", [3, 12, 70])
def test_chosen_names_are_gathered_in_their_order(dtype, longest):
    names = random_names(2, 50, list(range(1, 256)), longest)
    chosen = np.random.default_rng(3).integers(0, 50, 80)
    chosen[0], chosen[-1] = 49, 49
    blob = blob_of(names)
    starts = starts_of(blob).astype(dtype)
    assert names_in(chosen_names(blob, starts[chosen])) == [names[n] for n in chosen]
    assert chosen_names(blob, starts[:0]).size == 0


@pytest.mark.parametrize("length", range(12))
def test_the_end_of_a_name_is_found_beside_any_bytes(length):
    for around in b"\x01", b"\x7f", b"\x80", b"\x81", b"\xff":
        names = [around * length, around, b"", around * 3]
        blob = blob_of(names)
        assert names_in(chosen_names(blob, starts_of(blob))) == names


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_names_that_end_with_a_byte_are_found(step, monkeypatch):
    monkeypatch.setattr(packed, "STEP", step)
    names = [b"x" + name for name in random_names(6, 60, list(b"ab/"), 6)]
    blob, count = blob_of(names), sum(name.endswith(b"/") for name in names)
    expected = [n for n, name in enumerate(names) if name.endswith(b"/")]
    assert places_ending(blob, starts_of(blob), ord("/"), count).tolist() == expected
    assert places_ending(blob, starts_of(blob), ord("c"), 0).size == 0
