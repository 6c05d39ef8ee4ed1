"""How good the defaults are: fastmlp.train(X, y) beside scikit-learn's default network, on public data sets, five folds each.

scikit-learn has a StandardScaler before it, for a regression on both sides. The score is accuracy, or R2. What is chosen by this
benchmark is what `train` does where nothing is said: see fastmlp/training/options.py.
"""

import time
import warnings
from contextlib import suppress
from functools import partial

import numpy as np
import pytest

import fastmlp
from benchmarks.tables import times

datasets = pytest.importorskip("sklearn.datasets")

from sklearn.compose import TransformedTargetRegressor  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import KFold, StratifiedKFold  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

FOLDS = 5
SETS = {  # (X, y), whole numbers in y for classes
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "moons": lambda: datasets.make_moons(1000, noise=0.2, random_state=0),
    "classes in 20-D": lambda: datasets.make_classification(2000, 20, n_informative=10, n_classes=4, random_state=0),
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "Friedman 1": lambda: datasets.make_friedman1(1000, noise=1.0, random_state=0),
    "Friedman 2": lambda: datasets.make_friedman2(1000, noise=20.0, random_state=0),
    "Friedman 3": lambda: datasets.make_friedman3(1000, noise=0.1, random_state=0),
    "linear in 20-D": lambda: datasets.make_regression(1000, 20, n_informative=10, noise=20, random_state=0),
    "swiss roll": lambda: datasets.make_swiss_roll(2000, noise=0.2, random_state=0),
}
REGRESSIONS = {
    "diabetes",
    "Friedman 1",
    "Friedman 2",
    "Friedman 3",
    "linear in 20-D",
    "swiss roll",
    "house prices",
    "miles per gallon",
}
SHORT = ("iris", "Friedman 2")

with suppress(ModuleNotFoundError):
    from mlxtend import data as mlxtend

    SETS |= {"house prices": mlxtend.boston_housing_data, "miles per gallon": mlxtend.autompg_data}

with suppress(ModuleNotFoundError):
    from benchmarks import keel

    twice = {"iris", "wine", "wdbc", "optdigits"}  # they have come before
    SETS |= {f"KEEL {name}": partial(keel.load, name) for name in keel.NAMES if name not in twice}


def prepared(name):
    """Whole rows, and classes as numbers."""
    X, y = SETS[name]()
    X = X[:, np.isfinite(X).mean(axis=0) > 0.5]  # some files end in an empty column
    whole = np.isfinite(X).all(axis=1)
    X, y = X[whole], y[whole]
    return X, y if name in REGRESSIONS else np.unique(y, return_inverse=True)[1]


def ours(X, y, task):
    return fastmlp.train(X, y, task=task, seed=0, threads=1)


def theirs(X, y, task):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if task == "classification":
            return make_pipeline(StandardScaler(), MLPClassifier(random_state=0)).fit(X, y)
        scaled = make_pipeline(StandardScaler(), MLPRegressor(random_state=0))
        return TransformedTargetRegressor(scaled, transformer=StandardScaler()).fit(X, y)


def folds_of(X, y, task):
    kind = StratifiedKFold if task == "classification" else KFold
    return kind(FOLDS, shuffle=True, random_state=1).split(X, y)


def compare(X, y, task):
    """(FOLDS, 2, 2): score and seconds of ours and theirs."""
    found = []
    for train, test in folds_of(X, y, task):
        found.append([])
        for fit in (ours, theirs):
            began = time.perf_counter()
            model = fit(X[train], y[train], task)
            seconds = time.perf_counter() - began
            found[-1].append((model.score(X[test], y[test]), seconds))
    return np.array(found)


@pytest.mark.parametrize("name", SETS)
def test_defaults(benchmark, measured, short, name):
    if short and name not in SHORT:
        pytest.skip("not in the short form")
    X, y = prepared(name)
    task = "regression" if name in REGRESSIONS else "classification"
    ours(X, y, task)  # compiled
    scores, seconds = np.moveaxis(benchmark.pedantic(compare, args=(X, y, task)), 2, 0)
    mean, error = scores.mean(axis=0), scores.std(axis=0, ddof=1) / np.sqrt(FOLDS)
    ratios = seconds[:, 1] / seconds[:, 0]
    what = f"{name}, {X.shape[0]} x {X.shape[1]}" + ("" if task == "regression" else f", {len(np.unique(y))} classes")
    rival = {"name": "scikit-learn", "form": f"{mean[1]:.3f} ± {error[1]:.3f}", "figure": times(ratios)}
    measured(what, f"{mean[0]:.3f}", [rival], scores=mean.tolist(), **{"times as fast": float(np.median(ratios))})
    assert np.isfinite(scores).all()
