"""Rows that are never in memory together: the time of a training beside that on the same rows in an array, and its memory."""

import sys

import numpy as np
import pytest

import fastmlp
from benchmarks.test_cost import PEAK, output
from benchmarks.work import DTYPES, Side, Training, mlp


class Sliced:
    """An array that is read by slices alone."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, rows):
        return self.array[rows].copy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["batches of 1000 rows", "slices"])
@pytest.mark.parametrize("sizes", [(3, 5, 1), (64, 32, 10)], ids=lambda sizes: "-".join(map(str, sizes)))
def test_time(versus, short, sizes, form, dtype):
    work = Training(sizes, "tanh", 3000 if short else 200_000, 5, 32, "adam", 0.001, dtype)
    X, labels, _, theta = work.data
    options = {"init": mlp(work.network, theta), "seed": 0, **work.options}

    def batches():
        return ((X[first : first + 1000], labels[first : first + 1000]) for first in range(0, len(X), 1000))

    def ours():
        if form == "slices":
            return fastmlp.train(Sliced(X), labels, **options).history.loss
        return fastmlp.train(batches=batches, **options).history.loss

    def in_memory():
        return fastmlp.train(X, labels, **options).history.loss

    np.testing.assert_allclose(ours(), in_memory(), rtol=0.05)  # in another order
    rivals = {"itself on an array": lambda: [Side(in_memory, work.units)]}
    versus(f"{form}, {work.shape}, {work.rows} rows, 5 epochs, {dtype}", Side(ours, work.units), rivals, "row and epoch")


STREAM = f"""{PEAK}
def batches(rows):
    for first in range(0, rows, 1000):
        X = np.random.default_rng(first).standard_normal((1000, 32), np.float32)
        yield X, X[:, 0] > 0

class Made:
    "Rows that nobody has: numbers that follow from their places."
    def __init__(self, rows):
        self.shape, self.dtype = (rows, 32), np.dtype(np.float32)

    def __getitem__(self, rows):
        return np.random.default_rng(rows.start).standard_normal((rows.stop - rows.start, 32), np.float32)

def train(rows):
    options = dict(batch_size=256, epochs=1, seed=0, hidden=16)
    if sys.argv[1] == "slices":
        return fastmlp.train(Made(rows), np.arange(rows, dtype=np.uint8) % 2, **options)
    return fastmlp.train(batches=lambda: batches(rows), **options)

print(growth(train, 1000, int(sys.argv[2]))[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("form", ["batches", "slices"])
def test_memory(benchmark, measured, short, form):
    few, many = (10_000, 50_000) if short else (1_000_000, 8_000_000)
    before = output(STREAM, form, few) / 2**20
    most = benchmark.pedantic(output, args=(STREAM, form, many)) / 2**20
    fewer = {"name": f"{few} rows, {few * 128 / 2**20:.0f} MB", "form": "", "figure": f"{before:.1f} MB"}
    measured(f"{form} of {many} x 32, float32, {many * 128 / 2**20:.0f} MB", f"{most:.1f} MB at the peak", [fewer])
