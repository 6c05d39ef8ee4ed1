"""The estimators where scikit-learn's users put them: pipelines, searches, ensembles, copies."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, SPECIES = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": 8, "learning_rate_init": 0.02, "max_iter": 60, "random_state": 0}


def test_a_pipeline_is_searched():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**QUICK))
    search = GridSearchCV(pipeline, {"mlpclassifier__learning_rate_init": [1e-6, 0.02]}, cv=3).fit(X, SPECIES)
    assert search.best_params_ == {"mlpclassifier__learning_rate_init": 0.02}
    assert search.best_score_ > 0.9 > 0.8 > search.cv_results_["mean_test_score"][0]


def test_regressors_are_cross_validated():
    inputs, target = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPRegressor(**QUICK))
    assert cross_val_score(model, inputs, (target - target.mean()) / target.std(), cv=3).mean() > 0.3


@pytest.mark.parametrize(
    "around",
    [
        lambda model: CalibratedClassifierCV(model, cv=3),
        lambda model: BaggingClassifier(model, n_estimators=3, random_state=0),
        lambda model: make_pipeline(StandardScaler(), model),
    ],
    ids=["calibrated", "bagged", "scaled"],
)
def test_what_is_around_it_learns(around):
    model = around(MLPClassifier(**QUICK)).fit(X, SPECIES)
    assert model.score(X, SPECIES) > 0.9
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_one_for_each_output():
    targets = np.column_stack([SPECIES, SPECIES > 0])
    assert MultiOutputClassifier(MLPClassifier(**QUICK)).fit(X, targets).predict(X).shape == targets.shape


def test_the_important_column_is_found():
    inputs = np.random.default_rng(0).normal(size=(120, 3))
    model = MLPRegressor(**QUICK).fit(inputs, 2 * inputs[:, 1])
    assert permutation_importance(model, inputs, 2 * inputs[:, 1], n_repeats=2, random_state=0).importances_mean.argmax() == 1


def test_columns_of_a_frame_keep_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"length": X[:, 2], "width": X[:, 3], "field": np.resize(["north", "south"], len(X))})
    columns = ColumnTransformer(
        [("scaled", StandardScaler(), ["length", "width"]), ("one hot", OneHotEncoder(sparse_output=False), ["field"])],
        verbose_feature_names_out=False,
    )
    model = make_pipeline(columns, MLPClassifier(**QUICK)).set_output(transform="pandas").fit(frame, SPECIES)
    assert model[-1].feature_names_in_.tolist() == ["length", "width", "field_north", "field_south"]
    assert model[-1].model_.feature_names == ("length", "width", "field_north", "field_south")
    assert model.score(frame, SPECIES) > 0.9
    with pytest.raises(ValueError, match="feature names should match"):
        model[-1].predict(model[:-1].transform(frame).iloc[:, ::-1])


@pytest.mark.versions
def test_weights_of_rows_are_routed():
    weights = (SPECIES > 0).astype(float)  # the first class does not count
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        model = make_pipeline(scaler, MLPClassifier(**QUICK).set_fit_request(sample_weight=True))
        routed = model.fit(X, SPECIES, sample_weight=weights)
    assert not (routed.predict(X) == 0).any()


@pytest.mark.parametrize("copied", [clone, lambda model: pickle.loads(pickle.dumps(model))], ids=["cloned", "pickled"])
def test_a_copy_trains_as_the_first_one(copied):
    model = MLPClassifier(**QUICK).fit(X, SPECIES)
    other = copied(model)
    if hasattr(other, "model_"):
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(other.fit(X, SPECIES).predict_proba(X), model.predict_proba(X))


def test_a_pickled_one_goes_on_by_itself():
    model = MLPClassifier(**QUICK)
    for _ in range(3):
        model.partial_fit(X, SPECIES, classes=[0, 1, 2])
    other = pickle.loads(pickle.dumps(model))
    before = model.predict_proba(X)
    other.partial_fit(X, SPECIES)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    np.testing.assert_array_equal(model.partial_fit(X, SPECIES).predict_proba(X), other.predict_proba(X))
