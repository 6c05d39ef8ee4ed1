"""Parameters as options: `train` with these gives the network that the estimator gives."""

import numpy as np
import pytest

import fastmlp
from fastmlp.sklearn import MLPClassifier
from fastmlp.sklearn.translation import InputsAndOutputs, first_network, member_options

X = np.random.default_rng(0).normal(size=(90, 4))
Y = np.digitize(X[:, 0], [-0.4, 0.4])
TO_THE_END = {"max_iter": 5, "n_iter_no_change": np.inf, "random_state": 1, "shuffle": False, "hidden_layer_sizes": (5, 3)}


@pytest.mark.parametrize(
    "options",
    [{}, {"solver": "sgd"}, {"solver": "sgd", "momentum": 0}, {"solver": "sgd", "nesterovs_momentum": False},
     {"solver": "adamw", "alpha": 0.1}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
     {"batch_size": 7, "alpha": 3.0}, {"activation": ("tanh", "logistic")}],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_train_with_these_options_gives_the_same_bits(options):
    model = MLPClassifier(**TO_THE_END, **options).fit(X, Y)
    own, shared = member_options(model, len(X))
    ends = InputsAndOutputs(4, 3, "softmax", np.arange(3), None, X.dtype)
    first = first_network(model, ends, np.random.RandomState(1))
    np.testing.assert_array_equal(fastmlp.train(X, Y, init=first, **own, **shared).theta, model.model_.theta)


@pytest.mark.parametrize(
    "options", [{}, {"alpha": 30.0}, {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2}], ids=str
)
def test_train_with_these_options_ends_after_the_same_epochs(options):
    model = MLPClassifier((5,), tol=0.01, n_iter_no_change=3, random_state=1, shuffle=False, max_iter=3000, **options).fit(X, Y)
    own, shared = member_options(model, len(X))
    first = first_network(model, InputsAndOutputs(4, 3, "softmax", np.arange(3), None, X.dtype), np.random.RandomState(1))
    network = fastmlp.train(X, Y, init=first, **own, **shared)
    assert (network.history.stopped_by, network.history.epochs) == ("tol", model.n_iter_)
    np.testing.assert_array_equal(network.theta, model.model_.theta)
    assert model.loss_curve_[0] > network.history.loss[0], "it has what alpha adds"


def test_alpha_is_shared_out_to_the_weights_of_a_batch():
    own = member_options(MLPClassifier(alpha=6.0, batch_size=20), 90, mean_weight=3.0).own
    assert (own["batch_size"], own["l2"]) == (20, 0.1)
    assert member_options(MLPClassifier(alpha=6.0), 3).own["l2"] == 2.0
    assert member_options(MLPClassifier(alpha=6.0, solver="adamw"), 3).own["l2"] == 6.0
