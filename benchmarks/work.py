"""What is timed: sides that do the same work, and the trainings, from the same first weights, that each side can do."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from itertools import pairwise
from timeit import Timer
from typing import NamedTuple

import numpy as np

import fastmlp
from benchmarks import reference
from fastmlp import checks

CORES = checks.threads(None)
SETTLE = 0.01  # seconds: idle threads of OpenMP and BLAS spin for some milliseconds before they sleep
DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}  # of the losses: rounding grows over the steps


def nothing():
    pass


class Side(NamedTuple):
    """A function, how many units of work a call of it does, what to say of it, and what to call before it is timed."""

    function: Callable[[], object]
    units: float = 1
    note: str = ""
    before: Callable[[], object] = nothing

    def lasting(self, least):
        """The side, called again and again for at least so many seconds."""
        self.before()
        calls, taken = Timer(self.function).autorange()
        calls = math.ceil(least * calls / taken)
        return self._replace(function=partial(repeat, self.function, calls), units=self.units * calls)

    def prepare(self):
        self.before()
        time.sleep(SETTLE)

    def seconds(self):
        """For a unit of work."""
        began = time.perf_counter()
        self.function()
        return (time.perf_counter() - began) / self.units


def repeat(function, calls):
    for _ in range(calls):
        function()


def peer(name):
    """The module for a peer's library; ModuleNotFoundError where that is not installed."""
    return import_module(f"benchmarks.{name}_peer")


def on_torch_threads(side):
    """The side with one thread, which suits small networks, and with one for each core."""
    set_threads = peer("torch").set_threads
    return [side._replace(note=f"threads: {n}", before=partial(set_threads, n)) for n in sorted({1, CORES})]


@lru_cache(2)
def rows(n, sizes, dtype):
    """Inputs, class numbers, one-hot targets (or 0 and 1 for one output), and a first theta."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, sizes[0]), dtype)
    labels = rng.integers(0, max(2, sizes[-1]), n)
    labels = np.where(rng.random(n) < 0.8, (X[:, 0] > 0) * 1, labels)
    targets = (labels[:, None] if sizes[-1] == 1 else np.eye(sizes[-1])[labels]).astype(dtype)
    theta = np.concatenate([rng.standard_normal(a * b + b) / np.sqrt(a) for a, b in pairwise(sizes)])
    return X, labels, targets, theta.astype(dtype)


def classifier(sizes, activation):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    return reference.Network(sizes, (activation,) * (len(sizes) - 2), output, "cross_entropy")


def mlp(network, theta):
    classes = np.arange(max(2, network.sizes[-1]))
    return fastmlp.MLP(
        network.sizes, theta, activations=network.activations, output=network.output, loss_name=network.loss, classes=classes
    )


@dataclass(frozen=True)
class Training:
    """A training, whole, that each side does alike; for the peers, `rows` are whole batches."""

    sizes: tuple
    activation: str
    rows: int
    epochs: int
    batch_size: int | None
    optimizer: str
    learning_rate: float
    dtype: str = "float32"
    threads: int | None = None  # of fastmlp

    @property
    def units(self):
        return self.rows * self.epochs

    @property
    def parameters(self):
        return sum(a * b + b for a, b in pairwise(self.sizes))

    @property
    def shape(self):
        return "-".join(map(str, self.sizes))

    @property
    def network(self):
        return classifier(self.sizes, self.activation)

    @property
    def options(self):
        return {name: getattr(self, name) for name in ("epochs", "batch_size", "optimizer", "learning_rate")}

    def __str__(self):
        return f"{self.shape} {self.activation}, {self.rows} rows, {self.dtype}"

    def fastmlp(self):
        X, labels, _, theta = rows(self.rows, self.sizes, self.dtype)
        init = mlp(self.network, theta)

        def train():
            model = fastmlp.train(X, labels, init=init, shuffle=False, standardize=False, threads=self.threads, **self.options)
            return model.history.loss

        return Side(train, self.units)

    def checked(self, train, rtol=None):
        """The side of a rival, whose losses are those of ours."""
        X, _, targets, theta = rows(self.rows, self.sizes, self.dtype)
        function = partial(train, self.network, theta, X, targets, **self.options)
        np.testing.assert_allclose(function(), self.fastmlp().function(), rtol=rtol or TOLERANCE[self.dtype])
        return Side(function, self.units)

    # The rivals: each gives the forms it may take, and the fastest is the one that counts.

    def numpy(self):
        def train(network, theta, X, targets, epochs, **options):
            return reference.train(network, theta, X, targets, row_orders=[np.arange(len(X))] * epochs, **options)[1]

        return [self.checked(train)]

    def lean_numpy(self):
        def train(network, theta, X, targets, epochs, learning_rate, **options):
            return reference.train_351(theta, X, targets[:, 0], epochs, learning_rate)[1]

        return [self.checked(train)]

    def torch(self):
        return on_torch_threads(self.checked(peer("torch").train))

    def jax(self):
        return [self.checked(peer("jax").train)]

    def jax_columns(self):
        return [self.checked(partial(peer("jax").train, columns=True))]

    def sklearn(self):
        return [self.checked(peer("sklearn").train, rtol=1)]  # its first weights are its own: the order of the losses is all to ask
