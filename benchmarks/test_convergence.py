"""How soon the optimizers come to three levels of loss, on problems of different kinds: epochs, and time.

All minimise squared errors in float64, from the same first weights, without a penalty. A level is a share of the way that is still
left from the first loss to the least one that any of them found.
"""

import time

import numpy as np
import pytest

import fastmlp

LEFT = (0.1, 0.01, 0.001)
EPOCHS = {"momentum": 1000, "adam": 1000, "lbfgs": 1000, "levenberg-marquardt": 100}
rng = np.random.default_rng


def spirals():
    turn = np.sqrt(np.linspace(0.05, 1, 200)) * 3 * np.pi
    arm = np.column_stack([np.cos(turn), np.sin(turn)]) * turn[:, None]
    return np.concatenate([arm, -arm]), np.repeat([0, 1], 200), (16,)


def parity():
    x = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return x.astype(float), x.sum(axis=1) % 2, (16,)


def sine():
    x = np.linspace(-1, 1, 2000).reshape(-1, 1)
    return x, np.sinc(10 * x[:, 0] / np.pi), (20,)


def friedman():
    x = rng(0).uniform(size=(1000, 5))
    return x, 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4], (12,)


def diabetes():
    return *pytest.importorskip("sklearn.datasets").load_diabetes(return_X_y=True), (6,)


def iris():
    return *pytest.importorskip("sklearn.datasets").load_iris(return_X_y=True), (6,)


def digits():
    x, labels = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    return x[:, x.std(axis=0) > 0], labels, (10,)


def chaos():
    """The equation of Mackey and Glass, in steps of one; six steps ahead from four values that are six steps apart."""
    values = [1.2] * 18
    while len(values) < 1200:
        values.append(0.9 * values[-1] + 0.2 * values[-18] / (1 + values[-18] ** 10))
    series = np.array(values[200:])
    return np.column_stack([series[k : k - 24] for k in (0, 6, 12, 18)]), series[24:], (10,)


PROBLEMS = {
    "two spirals": spirals, "parity of 8 bits": parity, "sin(10 x) / (10 x)": sine, "friedman1": friedman, "diabetes": diabetes,
    "iris": iris, "digits": digits, "Mackey-Glass": chaos,
}  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_convergence(benchmark, measured, short, problem):
    x, y, hidden = PROBLEMS[problem]()
    options = {"hidden": hidden, "activation": "tanh", "loss": "squared_error", "dtype": "float64", "l2": 0.0, "seed": 1}
    if short:
        x, y = x[::10], y[::10]
    losses, seconds = {}, {}

    def train(optimizer, epochs):
        more = {} if optimizer in ("lbfgs", "levenberg-marquardt") else {"schedule": "constant"}
        return fastmlp.train(x, y, optimizer=optimizer, epochs=epochs, tolerance=None, **options, **more).history.loss

    def all_of_them():
        for optimizer, epochs in EPOCHS.items():
            train(optimizer, 1)  # which may compile
            began = time.perf_counter()
            losses[optimizer] = train(optimizer, 3 if short else epochs)
            seconds[optimizer] = (time.perf_counter() - began) / len(losses[optimizer])

    benchmark.pedantic(all_of_them)
    first, least = losses["adam"][0], min(found.min() for found in losses.values())
    reached = {}
    for optimizer, found in losses.items():
        ways = [np.flatnonzero(found <= least + left * (first - least)) for left in LEFT]
        epochs = [int(way[0]) + 1 if len(way) else None for way in ways]
        reached[optimizer] = [(count, count and count * seconds[optimizer]) for count in epochs]
    classes = len(set(y)) if y.dtype.kind == "i" else 0
    measured(f"{problem}, {x.shape[1]}-{hidden[0]}-{classes if classes > 2 else 1}, {len(x)} rows", "", reached=reached)
