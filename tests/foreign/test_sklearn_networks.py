"""Networks of scikit-learn's as MLPs: the same predictions, and what cannot become one."""

import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import fastmlp
from fastmlp import sklearn as ours

rng = np.random.default_rng(0)
X = 5 + 3 * rng.normal(size=(60, 3)) * [1, 10, 0.1]
TWO, THREE, NUMBERS = np.where(X[:, 0] > 5, "yes", "no"), np.arange(60) % 3 - 1, np.column_stack([X[:, 0], np.sin(X[:, 1])])
SMALL = {"hidden_layer_sizes": (5, 4), "max_iter": 5, "random_state": 0}


def fitted(estimator, X=X, y=TWO):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five epochs are few
        return estimator.fit(X, y)


def assert_same(network, estimator, X=X, tolerance=1e-12):
    assert (
        network.predict(X).tolist() == pytest.approx(estimator.predict(X).tolist())
        if network.classes is None
        else (network.predict(X).tolist() == estimator.predict(X).tolist())
    )
    if network.classes is not None:
        assert network.classes.tolist() == estimator.classes_.tolist()
        np.testing.assert_allclose(network.predict_proba(X), estimator.predict_proba(X), atol=tolerance)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("y", [TWO, THREE, THREE > 0, TWO.astype(object)], ids=lambda y: str(y.dtype))
def test_a_classifier_gives_the_same_probabilities(activation, y):
    estimator = fitted(MLPClassifier(activation=activation, **SMALL), y=y)
    assert_same(fastmlp.from_sklearn(estimator), estimator)


@pytest.mark.parametrize("y", [NUMBERS[:, 0], NUMBERS])
def test_a_regressor_gives_the_same_outputs(y):
    estimator = fitted(MLPRegressor(**SMALL), y=y)
    network = fastmlp.from_sklearn(estimator)
    np.testing.assert_allclose(network.predict(X), estimator.predict(X), rtol=1e-12)


def test_several_labels_of_a_row_are_outputs():
    estimator = fitted(MLPClassifier(**SMALL), y=np.column_stack([THREE > 0, X[:, 0] > 5]).astype(int))
    network = fastmlp.from_sklearn(estimator)
    assert network.classes is None and network.output == "sigmoid"
    np.testing.assert_allclose(network.predict(X), estimator.predict_proba(X), atol=1e-12)


def test_float32_stays_float32():
    estimator = fitted(MLPClassifier(**SMALL), X.astype(np.float32))
    network = fastmlp.from_sklearn(estimator)
    assert network.dtype == np.float32
    np.testing.assert_allclose(network.predict_proba(X), estimator.predict_proba(X.astype(np.float32)), atol=1e-5)


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()], [StandardScaler(with_mean=False)], [StandardScaler(with_std=False)], [MinMaxScaler((-1, 2))],
        [MaxAbsScaler()], [RobustScaler()], [RobustScaler(with_centering=False)], ["passthrough"],
        [MinMaxScaler(), StandardScaler()],
    ],
    ids=str,
)  # fmt: skip
def test_scalers_are_folded_into_the_first_layer(steps):
    estimator = fitted(make_pipeline(*steps, MLPClassifier(**SMALL)))
    assert_same(fastmlp.from_sklearn(estimator), estimator, tolerance=1e-9)


def test_what_a_search_has_found_is_taken():
    search = fitted(GridSearchCV(make_pipeline(StandardScaler(), MLPClassifier(**SMALL)), {"mlpclassifier__alpha": [0.1, 1]}, cv=2))
    assert_same(fastmlp.from_sklearn(search), search, tolerance=1e-9)


def test_those_of_fastmlp_are_taken_with_all_their_activations():
    estimator = fitted(make_pipeline(StandardScaler(), ours.MLPClassifier(activation=["gelu", "silu"], **SMALL)), y=THREE)
    network = fastmlp.from_sklearn(estimator)
    assert network.activations == ("gelu", "silu")
    assert_same(network, estimator, tolerance=1e-9)


def test_names_of_features_come_along():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    assert fastmlp.from_sklearn(fitted(MLPClassifier(**SMALL), frame)).feature_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("estimator", "error", "part"),
    [
        (MLPClassifier(), ValueError, "must be fitted; this MLPClassifier is not"),
        (make_pipeline(StandardScaler(), MLPClassifier()), ValueError, "'standardscaler', StandardScaler, is not"),
        (StandardScaler(), TypeError, "got StandardScaler"),
        (fitted(make_pipeline(PCA(2), MLPClassifier(**SMALL))), ValueError, "the step 'pca', PCA, cannot be folded"),
        (fitted(make_pipeline(MinMaxScaler(clip=True), MLPClassifier(**SMALL))), ValueError, "MinMaxScaler, cannot be folded"),
        (3, TypeError, "got int"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_such_network_is_told(estimator, error, part):
    with pytest.raises(error) as caught:
        fastmlp.from_sklearn(estimator)
    assert part in str(caught.value) and "\n" not in str(caught.value)
