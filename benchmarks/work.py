"""What is timed: sides that do the same work, and the trainings, from the same first weights, that each side can do."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from itertools import pairwise
from operator import call
from timeit import Timer
from typing import NamedTuple

import numpy as np

import fastmlp
from benchmarks import reference
from fastmlp.threads import thread_count

CORES = thread_count(None)
SETTLE = 0.03  # seconds: idle threads of OpenMP and BLAS spin for some milliseconds, of OpenBLAS 2^26 clocks, before they sleep
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
        self.function()  # which may compile, and must not tell how long a call lasts
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
def rows(n, sizes, dtype, members=None):
    """Inputs, class numbers, one-hot targets (or 0 and 1 for one output), and a first theta (P,), or (members, P)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, sizes[0]), dtype)
    labels = rng.integers(0, max(2, sizes[-1]), n)
    labels = np.where(rng.random(n) < 0.8, (X[:, 0] > 0) * 1, labels)
    targets = (labels[:, None] if sizes[-1] == 1 else np.eye(sizes[-1])[labels]).astype(dtype)
    several = () if members is None else (members,)
    theta = np.concatenate([rng.standard_normal((*several, a * b + b)) / np.sqrt(a) for a, b in pairwise(sizes)], axis=-1)
    return X, labels, targets, theta.astype(dtype)


def classifier(sizes, activation):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    return reference.Network(sizes, (activation,) * (len(sizes) - 2), output, "cross_entropy")


def mlp(network, theta):
    classes = None if network.output == "identity" else np.arange(max(2, network.sizes[-1]))
    return fastmlp.MLP(
        network.sizes, theta, activations=network.activations, output=network.output, loss_name=network.loss, bias=network.bias,
        classes=classes,
    )  # fmt: skip


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

    @property
    def data(self):
        return rows(self.rows, self.sizes, self.dtype)

    def ours(self, train, init, **options):
        """A function that trains from init with our train, or train_many, and gives the losses of the epochs."""
        X, labels, _, _ = self.data
        options = {"shuffle": False, "standardize": False, "threads": self.threads} | self.options | options
        return lambda: train(X, labels, init=init, **options).history.loss

    def fastmlp(self):
        return Side(self.ours(fastmlp.train, mlp(self.network, self.data[-1])), self.units)

    def checked(self, train, rtol=None):
        """The side of a rival, which is told the work."""
        X, _, targets, theta = self.data
        return self.alike(partial(train, self.network, theta, X, targets, **self.options), rtol or TOLERANCE[self.dtype])

    def alike(self, function, rtol):
        """The side of a function whose losses are those of ours."""
        np.testing.assert_allclose(function(), self.fastmlp().function(), rtol=rtol)
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
        return [self.checked(partial(peer("jax").train, form="columns"))]

    def sklearn(self):
        return [self.checked(peer("sklearn").train, rtol=1)]  # its first weights are its own: the order of the losses is all to ask


@dataclass(frozen=True)
class Trainings(Training):
    """So many trainings, each from first weights of its own, that each side does alike."""

    members: int = 256

    @property
    def units(self):
        return super().units * self.members

    @property
    def data(self):
        return rows(self.rows, self.sizes, self.dtype, self.members)

    def __str__(self):
        return f"{self.members} x {super().__str__()}"

    def fastmlp(self, **options):
        X, labels, _, thetas = self.data
        fewer = self.options | {"epochs": 1}
        first = fastmlp.train_many(X, labels, members=self.members, init=mlp(self.network, thetas[0]), seed=0, **fewer)
        for model, theta in zip(first, thetas, strict=True):
            model.theta[:] = theta
        return Side(self.ours(fastmlp.train_many, first, members=self.members, **options), self.units)

    def jax(self):
        """Of one row at a time, in each form: which is the fastest depends on the network."""
        forms = ("rows", "columns", "sums") if self.batch_size == 1 else ("rows",)
        return [self.checked(partial(peer("jax").train, form=form))._replace(note=form) for form in forms]

    def one_thread(self):
        return [self.alike(replace(self, threads=1).fastmlp().function, rtol=0)]

    def one_by_one(self, threads=1):
        """fastmlp.train for each member; threads share them out, as compiled code holds no lock."""
        trainings = [self.ours(fastmlp.train, mlp(self.network, theta), threads=1) for theta in self.data[-1]]

        def train():
            with ThreadPoolExecutor(threads) as pool:
                return np.array(list(pool.map(call, trainings)))

        return [self.alike(train, TOLERANCE[self.dtype])._replace(note=f"threads: {threads}")]
