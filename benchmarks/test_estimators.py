"""Our estimators beside scikit-learn's own, with the same parameters: fit, one row at a time, and cross-validated scores.

A rival's name tells the bar: the least ratio that fastmlp is to reach on two cores.
"""

from contextlib import suppress
from functools import partial

import numpy as np
import pytest

from benchmarks.work import CORES, Side

sklearn = pytest.importorskip("sklearn")

from sklearn import datasets, neural_network  # noqa: E402
from sklearn.model_selection import cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler, scale  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from fastmlp import sklearn as ours  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = 200  # rows in the short form


def pixels():
    X, labels = datasets.load_digits(return_X_y=True)
    return X / 16, labels


def iris():
    return datasets.load_iris(return_X_y=True)


def three_columns():
    return datasets.make_classification(10_000, 3, n_informative=2, n_redundant=1, random_state=42)


def letters():
    return datasets.make_classification(20_000, 16, n_informative=12, n_classes=26, n_clusters_per_class=1, random_state=0)


FITS = {
    "digits, defaults": (pixels, {}, 3),
    "digits, (32,), batches of 32": (pixels, {"hidden_layer_sizes": (32,), "batch_size": 32}, 8),
    "iris, defaults": (iris, {}, 12),
    "10000 x 3, (5,)": (three_columns, {"hidden_layer_sizes": (5,)}, 15),
    "20000 x 16, 26 classes, 20 epochs": (letters, {"max_iter": 20}, 5),  # of defaults; a whole fit of theirs takes minutes
}


def on_blas_threads(function):
    """Sides with one thread of BLAS, which suits small networks, and with one for each core."""
    return [Side(function, note=f"BLAS threads: {n}", before=partial(threadpool_limits, n)) for n in sorted({1, CORES})]


def both(**options):
    """Theirs and ours."""
    return [module.MLPClassifier(random_state=0, **options) for module in (neural_network, ours)]


@pytest.mark.parametrize("work", FITS)
def test_fit(versus, short, work):
    make, options, bar = FITS[work]
    X, labels = make()
    if short:
        X, labels, options = X[:SMALL], labels[:SMALL], {**options, "max_iter": 2}
    their, our = both(**options)
    versus(
        f"fit, {work}",
        Side(partial(our.fit, X, labels)),
        {f"scikit-learn, bar {bar}x": lambda: on_blas_threads(partial(their.fit, X, labels))},
    )


@pytest.mark.parametrize(("asked", "bar"), [("predict_proba", 10), ("partial_fit", 20)])
@pytest.mark.parametrize("make", [iris, pixels], ids=lambda make: make.__name__)
def test_one_row(versus, make, asked, bar):
    X, labels = make()
    data = (X[:1].copy(), labels[:1].copy())[: 1 + (asked == "partial_fit")]
    their, our = (partial(getattr(model.fit(X, labels), asked), *data) for model in both(max_iter=2))
    versus(f"{asked} of a row, {make.__name__}", Side(our), {f"scikit-learn, bar {bar}x": lambda: on_blas_threads(their)})


SETS = {
    "iris": iris,
    "digits": partial(datasets.load_digits, return_X_y=True),
    "wine": partial(datasets.load_wine, return_X_y=True),
    "breast cancer": partial(datasets.load_breast_cancer, return_X_y=True),
    "diabetes": partial(datasets.load_diabetes, return_X_y=True),
}

with suppress(ModuleNotFoundError):
    from benchmarks import keel

    SETS |= {f"KEEL {name}": partial(keel.load, name) for name in ("pima", "segment", "vehicle")}


@pytest.mark.parametrize("name", SETS)
def test_scores(benchmark, measured, short, name):
    """Of five folds, their mean and its standard error."""
    X, y = SETS[name]()
    kind, y = ("MLPRegressor", scale(y)) if name == "diabetes" else ("MLPClassifier", y)
    options = {"random_state": 0, **({"max_iter": 2} if short else {})}
    models = [make_pipeline(StandardScaler(), getattr(module, kind)(**options)) for module in (neural_network, ours)]
    their = cross_val_score(models[0], X, y, cv=5)
    our = benchmark.pedantic(cross_val_score, (models[1], X, y), {"cv": 5})
    texts = [f"{scores.mean():.4f} ± {scores.std(ddof=1) / np.sqrt(len(scores)):.4f}" for scores in (our, their)]
    rival = {"name": "scikit-learn", "bar": "", "form": "", "figure": texts[1]}
    measured(f"score in five folds, {name}", texts[0], [rival])
    if not short:
        assert abs(our.mean() - their.mean()) <= their.std(ddof=1) / np.sqrt(5)
