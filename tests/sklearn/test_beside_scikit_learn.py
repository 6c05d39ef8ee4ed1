"""Beside scikit-learn's own estimators: the same parameters, the same meaning, and where nothing is drawn the same numbers."""

import inspect

import numpy as np
import pytest
from sklearn import neural_network as theirs
from sklearn.datasets import load_iris

from fastmlp import sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, SPECIES = load_iris(return_X_y=True)
X = X - X.mean(axis=0)
COUNTS = np.rint(np.exp(0.4 * X[:, 0]) * 3)
TARGETS = {
    "three classes": SPECIES,
    "two classes": np.array(["no", "yes"])[(SPECIES == 1).astype(int)],
    "labels": np.column_stack([SPECIES > 0, X[:, 0] > 0]).astype(int),
    "one class": np.full(len(X), 7),
    "numbers": X @ [1.0, -2.0, 0.5, 0.0] + np.sin(3 * X[:, 1]),
    "two outputs": np.column_stack([X[:, 0] * X[:, 1], np.cos(X[:, 2])]),
    "counts": COUNTS,
}
NUMERIC = ("numbers", "two outputs", "counts")
WEIGHTS = np.linspace(0.5, 3, len(X))


def pair(target, **options):
    """Theirs and ours."""
    kind = "MLPRegressor" if target in NUMERIC else "MLPClassifier"
    loss = {"loss": "poisson"} if target == "counts" else {}
    return [getattr(module, kind)(**loss, **options) for module in (theirs, ours)]


def same_fit(their, our, places=1e-9, of_losses=1e-6):
    """Whatever they know of a training."""
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(getattr(their, name), getattr(our, name), strict=True):
            np.testing.assert_allclose(other, one, rtol=places, atol=places)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(their, name) == getattr(our, name), name
    np.testing.assert_allclose(our.loss_, their.loss_, rtol=of_losses)


SGD = {"solver": "sgd", "learning_rate_init": 0.05, "max_iter": 15, "hidden_layer_sizes": (6, 4), "random_state": 3}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0},
        {"nesterovs_momentum": False, "momentum": 0.5},
        {"activation": "logistic", "hidden_layer_sizes": 5},
        {"activation": "tanh", "alpha": 2.0},
        {"activation": "identity"},
        {"learning_rate": "invscaling", "power_t": 0.2},
        {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1, "max_iter": 60},
        {"tol": 0.01, "n_iter_no_change": 3, "max_iter": 200},
        {"batch_size": 50, "shuffle": False},
        {"batch_size": 1, "shuffle": False, "max_iter": 2, "momentum": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("target", TARGETS)
def test_sgd_gives_the_same_numbers(target, options):
    their, our = (model.fit(X, TARGETS[target]) for model in pair(target, **{**SGD, **options}))
    # The penalty of several batches is taken to change evenly within an epoch; for one it is exact.
    places = 1e-3 if "batch_size" in options else 1e-5
    same_fit(their, our, of_losses=places)
    np.testing.assert_allclose(our.loss_curve_, their.loss_curve_, rtol=places)
    assert our.best_loss_ == min(our.loss_curve_)
    assert our._optimizer.learning_rate == pytest.approx(their._optimizer.learning_rate)


@pytest.mark.parametrize("options", [{}, {"beta_1": 0.5, "beta_2": 0.9}, {"activation": "tanh", "alpha": 1.0}], ids=str)
@pytest.mark.parametrize("target", ["three classes", "numbers"])
def test_adam_gives_the_same_numbers(target, options):
    """Theirs adds epsilon before the bias of the second moment is taken away: one that is next to nothing is added by both."""
    adam = {"max_iter": 15, "random_state": 0, "hidden_layer_sizes": 7, "epsilon": 1e-300}
    same_fit(*(model.fit(X, TARGETS[target]) for model in pair(target, **{**adam, **options})), places=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("target", [name for name in TARGETS if name != "one class"])
def test_lbfgs_comes_to_as_low_a_loss(target, weights):
    """From the same weights, by other line searches, into the same valley where the penalty leaves but few; of several outputs
    theirs has the mean for a loss, and the sum for its gradient."""
    options = {"solver": "lbfgs", "max_iter": 2000, "tol": 1e-6, "alpha": 3.0, "activation": "tanh", "random_state": 0}
    their, our = (model.fit(X, TARGETS[target], weights) for model in pair(target, hidden_layer_sizes=4, **options))
    if target == "two outputs":
        assert our.score(X, TARGETS[target]) > their.score(X, TARGETS[target]) - 0.01
    else:
        assert our.loss_ <= 1.01 * their.loss_


@pytest.mark.parametrize("target", ["three classes", "numbers", "counts"])
def test_weights_of_rows_give_the_same_numbers(target):
    options = {"solver": "sgd", "max_iter": 5, "random_state": 0, "hidden_layer_sizes": 4, "alpha": 0.5}
    same_fit(*(model.fit(X, TARGETS[target], sample_weight=WEIGHTS) for model in pair(target, **options)), places=1e-6)


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"learning_rate": "invscaling"}], ids=str)
@pytest.mark.parametrize("target", [name for name in TARGETS if name != "one class"])
def test_partial_fit_gives_the_same_numbers(target, options):
    known = {"classes": [0, 1]} if target == "labels" else {} if target in NUMERIC else {"classes": np.unique(TARGETS[target])}
    models = pair(target, **{**SGD, **options})
    for model in models:
        for first, last in ((0, 1), (1, 2), (2, 50), (50, 150)):
            model.partial_fit(X[first:last], TARGETS[target][first:last], **known)
    same_fit(*models)
    assert len(models[1].loss_curve_) == 4


def test_partial_fit_goes_on_from_fit():
    models = pair("three classes", **SGD)
    for model in models:
        model.fit(X, SPECIES)
        for row in range(0, 150, 30):
            model.partial_fit(X[row : row + 1], SPECIES[row : row + 1])
    same_fit(*models)


@pytest.mark.parametrize("target", ["two classes", "numbers", "labels"])
def test_early_stopping_sees_the_same_scores(target):
    options = {**SGD, "early_stopping": True, "validation_fraction": 0.2, "max_iter": 60, "shuffle": False, "n_iter_no_change": 4}
    their, our = (model.fit(X, TARGETS[target]) for model in pair(target, **options))
    same_fit(their, our)
    np.testing.assert_allclose(our.validation_scores_, their.validation_scores_)
    assert our.best_validation_score_ == pytest.approx(their.best_validation_score_)
    assert (our.best_loss_, len(our.validation_loss_curve_)) == (None, our.n_iter_)


def test_warm_start_goes_on_in_the_same_way():
    models = pair("three classes", **SGD, warm_start=True)
    for model in models:
        for _ in range(3):
            model.fit(X, SPECIES)
    same_fit(*models)
    assert len(models[1].loss_curve_) == 45


@pytest.mark.versions
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_parameters_are_theirs_in_their_order_and_ours_follow_by_keyword(name):
    their, our = (list(inspect.signature(getattr(module, name)).parameters.values()) for module in (theirs, ours))
    assert [(p.name, p.default, p.kind) for p in our[: len(their)]] == [(p.name, p.default, p.kind) for p in their]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in our[len(their) :])


@pytest.mark.parametrize(
    "options", [pytest.param({}, marks=pytest.mark.versions), {"early_stopping": True}, {"solver": "lbfgs"}], ids=str
)
@pytest.mark.parametrize("target", ["three classes", "numbers"])
def test_attributes_are_theirs(target, options):
    their, our = (model.fit(X, TARGETS[target]) for model in pair(target, max_iter=3, **options))
    public = [name for name in vars(their) if name.endswith("_") and not name.startswith("_")]
    assert len(public) > 8
    for name in public:
        kind = next(kind for kind in (float, int, str, list, object) if isinstance(getattr(their, name), kind))
        assert isinstance(getattr(our, name), kind), name


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "two outputs"])
def test_predictions_are_of_the_same_shape_and_type(target):
    their, our = (model.fit(X, TARGETS[target]) for model in pair(target, **SGD))
    asked = ["predict"] if target in NUMERIC else ["predict", "predict_proba", "predict_log_proba"]
    for name in asked:
        one, other = getattr(their, name)(X), getattr(our, name)(X)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        if name == "predict_proba" or target in NUMERIC:
            np.testing.assert_allclose(other, one, rtol=1e-7)
    assert our.score(X, TARGETS[target]) == pytest.approx(their.score(X, TARGETS[target]))
