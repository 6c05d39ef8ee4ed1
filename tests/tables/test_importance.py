"""Permutation importance: of columns that decide, and of those that do not."""

import numpy as np

import fastmlp
from fastmlp.tables.importance import evaluation_by, outputs_by, permutation_importance

DRAWS = np.random.default_rng(0)
PLACES = {"sum": slice(0, 2), "nothing": slice(2, 3)}


def test_a_column_matters_as_far_as_the_network_hangs_on_it():
    X = DRAWS.normal(size=(5000, 3))
    network = fastmlp.MLP.from_weights([np.array([[1.0], [2], [0]])], [np.zeros(1)])
    found = permutation_importance([network], X, X @ [1, 2, 0], PLACES, seed=0)
    # Of y - y' with y' in another row, independent: the variance is twice that of y, and so R2 is -1.
    assert found["nothing"] == 0 and abs(found["sum"] - 2) < 0.1
    assert found == permutation_importance([network], X, X @ [1, 2, 0], PLACES, seed=0)


def test_rows_are_left_as_they_are():
    X = DRAWS.normal(size=(50, 3))
    network = fastmlp.MLP.from_weights([np.ones((3, 2))], [np.zeros(2)], output="softmax", classes=["a", "b"])
    before = X.copy()
    permutation_importance([network], X, np.array(["a", "b"] * 25), PLACES, seed=0)
    assert X.tobytes() == before.tobytes()


def test_several_networks_are_their_mean():
    X = DRAWS.normal(size=(20, 2))
    networks = [fastmlp.MLP.from_weights([np.full((2, 1), w)], [np.zeros(1)]) for w in (1.0, 3.0)]
    np.testing.assert_allclose(outputs_by(networks, X), X @ [2, 2])
    assert evaluation_by(networks, X, X @ [2, 2]).r2 == 1
