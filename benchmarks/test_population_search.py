"""A search of 64 candidates in five folds: PopulationSearchCV beside GridSearchCV, of scikit-learn's networks and of ours.

A rival's name tells the bar: the least ratio that fastmlp is to reach on two cores.
"""

import numpy as np
import pytest

from benchmarks.work import CORES, Side

sklearn = pytest.importorskip("sklearn")

from sklearn import neural_network  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

from fastmlp import sklearn as ours  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EPOCHS = 20  # of each network: with the default, 200, theirs takes a quarter of an hour
NETWORKS = {
    "defaults": {},
    "(32,), batches of 32": {"hidden_layer_sizes": (32,), "batch_size": 32},
    "(8,), batches of 32": {"hidden_layer_sizes": (8,), "batch_size": 32},
}


@pytest.mark.parametrize("work", NETWORKS)
def test_search(versus, short, work):
    X, labels = load_digits(return_X_y=True)
    rows, ways, folds, epochs = (200, 2, 2, 2) if short else (len(X), 8, 5, EPOCHS)
    grid = {"learning_rate_init": np.geomspace(5e-4, 2e-2, ways), "alpha": np.geomspace(1e-5, 0.1, ways)}
    options = {"max_iter": epochs, "random_state": 0, **NETWORKS[work]}
    scores = {}

    def side(kind, module, **more):
        def search():
            found = kind(module.MLPClassifier(**options), grid, cv=folds, refit=False, **more).fit(X[:rows] / 16, labels[:rows])
            scores[kind, module] = found.cv_results_["mean_test_score"]

        return Side(search)

    versus(
        f"{ways**2} candidates in {folds} folds, digits, {work}, {epochs} epochs",
        side(ours.PopulationSearchCV, ours),
        {
            "GridSearchCV of scikit-learn's, bar 30x": lambda: [side(GridSearchCV, neural_network, n_jobs=CORES)],
            "GridSearchCV of ours, bar 4x": lambda: [side(GridSearchCV, ours)],
        },
    )
    np.testing.assert_allclose(scores[ours.PopulationSearchCV, ours], scores[GridSearchCV, ours], atol=3 / rows)
