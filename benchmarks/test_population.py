"""Many networks at once: beside JAX's vmap, scikit-learn's grid search, and one training after another.

A rival's name tells the bar: the least ratio that fastmlp is to reach on two cores.
"""

from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from benchmarks import reference
from benchmarks.work import CORES, DTYPES, Side, Trainings, classifier, peer, rows

DATA = Path(__file__).parent.parent / "data"
UNIT = "row, epoch and member"
PER_SAMPLE = Trainings((3, 5, 1), "sigmoid", 1000, 20, 1, "sgd", 0.05)
MINI_BATCHES = Trainings((16, 16, 2), "tanh", 1024, 10, 32, "adam", 0.001)
DIGITS = classifier((64, 32, 10), "relu")
TRAINED_ON = 0.75  # of the digits


@dataclass(frozen=True)
class Circles(Trainings):
    """Networks that know circles, as in tutorial A, whose loss is twice ours; the unit of work is all of them."""

    units = 1

    @property
    def network(self):
        return reference.Network(self.sizes, (self.activation,), "identity", "squared_error", bias=False)

    @property
    def data(self):
        X = np.loadtxt(DATA / "features.csv", self.dtype, delimiter=",", skiprows=1, usecols=(1, 2, 3))
        answers = np.loadtxt(DATA / "correct-outputs-circle.txt", self.dtype, delimiter=",", skiprows=1, usecols=1)
        thetas = np.random.default_rng(0).random((self.members, 12), self.dtype)
        return X, answers, answers[:, None], thetas


@dataclass(frozen=True)
class FromSeeds(Trainings):
    """Networks that begin as their seeds say."""

    @property
    def data(self):
        return rows(self.rows, self.sizes, self.dtype)

    def fastmlp(self, **options):
        shape = {"hidden": self.sizes[1:-1], "activation": self.activation, "seed": 0}
        return Side(self.ours(fastmlp.train_many, "glorot", members=self.members, **shape, **options), self.units)


TUTORIAL_A = Circles((3, 3, 1), "sigmoid", 40, 100, 1, "sgd", 0.4, members=1000)


def sized(work, short):
    return replace(work, rows=min(work.rows, 64), epochs=2, members=20) if short else work


@pytest.mark.parametrize("dtype", DTYPES)
def test_per_sample(versus, short, dtype):
    jax_bar, train_bar = (", bar 10x", ", bar 12x") if dtype == "float32" else ("", "")
    work = sized(replace(PER_SAMPLE, dtype=dtype), short)
    rivals = {
        f"JAX jit+vmap+scan{jax_bar}": work.jax,
        f"train for each, one by one{train_bar}": work.one_by_one,
        "itself, one thread": work.one_thread,
    }
    versus(f"per-sample SGD {work}", work.fastmlp(), rivals, UNIT)


@pytest.mark.parametrize("dtype", DTYPES)
def test_mini_batches(versus, short, dtype):
    work = sized(replace(MINI_BATCHES, dtype=dtype), short)
    rivals = {
        "JAX jit+vmap+scan": work.jax,
        "train for each, all cores, bar 2x": partial(work.one_by_one, CORES),
        "itself, one thread": work.one_thread,
    }
    versus(f"batches of {work.batch_size}, Adam, {work}", work.fastmlp(), rivals, UNIT)


@pytest.mark.parametrize("work", [PER_SAMPLE, MINI_BATCHES], ids=["per-sample", "mini-batches"])
def test_shuffling(versus, short, work):
    """What it costs that each member has an order of its own."""
    work = sized(work, short)
    own_orders, one_order = (work.fastmlp(shuffle=True, seed=0, data_seed=seed) for seed in (None, 0))
    rivals = {"itself, one order for all (data_seed=0)": lambda: [one_order], "itself, not shuffled": lambda: [work.fastmlp()]}
    versus(f"an order for each, batches of {work.batch_size}, {work}", own_orders, rivals, UNIT)


def test_tutorial_a(versus, short):
    work = sized(TUTORIAL_A, short)
    versus(f"tutorial A, {work}", work.fastmlp(), {"JAX jit+vmap+scan, bar 10x": work.jax}, "population")


def test_sweep(versus, short):
    X, labels = peer("sklearn").digits() if find_spec("sklearn") else rows(1797, DIGITS.sizes, "float32")[:2]
    X, held_out = X.astype("float32"), np.random.default_rng(0).permutation(len(X)) >= int(TRAINED_ON * len(X))
    train, test = (X[~held_out], labels[~held_out]), (X[held_out], labels[held_out])
    points = 2 if short else 8
    options = {"learning_rate": np.geomspace(0.001, 0.03, points).tolist(), "l2": np.geomspace(1e-5, 1e-2, points).tolist()}
    fixed = {"epochs": 20, "batch_size": 32, "optimizer": "adam"}

    def ours():
        population = fastmlp.train_many(
            *train, **fastmlp.grid(**options), **fixed, hidden=DIGITS.sizes[1:-1], activation=DIGITS.activations,
            validation=test, standardize=False, seed=0,
        )  # fmt: skip
        return (population.best()[0].predict(test[0]) == test[1]).mean()

    def grid_search():
        search = partial(peer("sklearn").search, DIGITS, X, labels, held_out, **options, **fixed, processes=CORES)
        # Each finds some 97 of 100; three standard deviations of the difference of two such shares
        np.testing.assert_allclose(search(), ours(), atol=3 * np.sqrt(2 * 0.97 * 0.03 / len(test[0])))
        return [Side(search, points**2, f"n_jobs: {CORES}")]

    rival = {"scikit-learn GridSearchCV, bar 30x": grid_search}
    versus(f"sweep of {points**2} points, {len(train[0])} digits, 64-32-10 relu, float32", Side(ours, points**2), rival, "point")
