"""Training: fastmlp beside plain NumPy, on the same work from the same first weights. Each pair is checked, then timed."""

from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest

import fastmlp
from benchmarks import reference

DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}  # of the losses: rounding grows over the steps
SIDES = ["numpy", "fastmlp"]


@cache
def rows(n, sizes, dtype):
    """Inputs, class numbers, one-hot targets (or 0 and 1 for one output), and a first network."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, sizes[0])).astype(dtype)
    labels = rng.integers(0, max(2, sizes[-1]), n)
    labels = np.where(rng.random(n) < 0.8, (X[:, 0] > 0) * 1, labels)
    targets = (labels[:, None] if sizes[-1] == 1 else np.eye(sizes[-1])[labels]).astype(dtype)
    theta = 0.3 * rng.standard_normal(sum(a * b + b for a, b in pairwise(sizes))).astype(dtype)
    return X, labels, targets, theta


def network(sizes, activation):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    return reference.Network(sizes, (activation,) * (len(sizes) - 2), output, "cross_entropy")


def train_fastmlp(sizes, activation, n, dtype, epochs, **options):
    X, labels, _, theta = rows(n, sizes, dtype)
    net = network(sizes, activation)
    init = fastmlp.MLP(sizes, theta, activations=net.activations, output=net.output, loss_name=net.loss, classes=np.unique(labels))
    return fastmlp.train(X, labels, init=init, epochs=epochs, shuffle=False, standardize=False, **options).history.loss


def train_numpy(sizes, activation, n, dtype, epochs, *, batch_size, optimizer, learning_rate):
    X, _, targets, theta = rows(n, sizes, dtype)
    orders = [np.arange(n)] * epochs
    return reference.train(
        network(sizes, activation), theta, X, targets, row_orders=orders, batch_size=batch_size, optimizer=optimizer,
        learning_rate=learning_rate,
    )[1]  # fmt: skip


def train_lean(n, dtype, epochs, learning_rate):
    X, _, targets, theta = rows(n, (3, 5, 1), dtype)
    return reference.train_351(theta, X, targets[:, 0], epochs, learning_rate)[1]


def compare(measure, side, group, sides, dtype):
    expected = sides["numpy"]()
    for function in sides.values():
        np.testing.assert_allclose(function(), expected, rtol=TOLERANCE[dtype])
    measure(group, sides[side], rounds=5 if side == "numpy" else 15)


@pytest.mark.parametrize("side", ["numpy", "numpy-lean", "fastmlp"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_full_batch_3_5_1(measure, short, dtype, side):
    epochs = 5 if short else 200
    sizes, n = (3, 5, 1), 8000
    ours = partial(
        train_fastmlp, sizes, "sigmoid", n, dtype, epochs, batch_size=None, optimizer="sgd", learning_rate=1.0, threads=1
    )
    plain = partial(train_numpy, sizes, "sigmoid", n, dtype, epochs, batch_size=None, optimizer="sgd", learning_rate=1.0)
    sides = {"numpy": plain, "numpy-lean": partial(train_lean, n, dtype, epochs, 1.0), "fastmlp": ours}
    compare(measure, side, f"full batch, 3-5-1, {n} rows, {epochs} epochs, {dtype}, one thread", sides, dtype)


WORK = {
    "full batch, 4-32-16-4 tanh, 10000 rows, adam": ((4, 32, 16, 4), "tanh", 10000, 20, None, "adam", 0.01),
    "per-sample SGD, 3-5-1, 8000 rows": ((3, 5, 1), "sigmoid", 8000, 1, 1, "sgd", 0.05),
    "mini-batches of 32, 16-16-2 tanh, 4000 rows, adam": ((16, 16, 2), "tanh", 4000, 2, 32, "adam", 0.001),
    "mini-batches of 32, 64-32-10 tanh, 4000 rows, adam": ((64, 32, 10), "tanh", 4000, 2, 32, "adam", 0.001),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("work", WORK)
def test_training(measure, short, work, dtype, side):
    sizes, activation, n, epochs, batch_size, optimizer, learning_rate = WORK[work]
    n, epochs = (n // 10, 1) if short else (n, epochs)
    options = {"batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate}
    sides = {
        "numpy": partial(train_numpy, sizes, activation, n, dtype, epochs, **options),
        "fastmlp": partial(train_fastmlp, sizes, activation, n, dtype, epochs, **options),
    }
    compare(measure, side, f"{work}, {epochs} epochs, {dtype}", sides, dtype)
