"""PopulationSearchCV: beside scikit-learn's searches over the same estimators, whose numbers it gives."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from functools import partial

import numpy as np
import pytest
import sklearn
from cases import one_sentence
from scipy import sparse
from scipy.stats import uniform
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, HalvingGridSearchCV, RandomizedSearchCV, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor, PopulationSearchCV, candidates
from fastmlp.sklearn.estimator import NetworkEstimator

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, SPECIES = load_iris(return_X_y=True)
X = X - X.mean(axis=0)
X, SPECIES = X[::2], SPECIES[::2]
QUICK = {"hidden_layer_sizes": 4, "learning_rate_init": 0.02, "max_iter": 12, "batch_size": 20, "random_state": 0, "alpha": 0.0}
TARGETS = {
    "three classes": SPECIES,
    "names": np.array(["one", "two", "three"], object)[SPECIES],
    "labels": np.column_stack([SPECIES > 0, X[:, 0] > 0]).astype(int),
    "numbers": X @ [1.0, -2.0, 0.5, 0.0],
    "two outputs": np.column_stack([X[:, 0] * X[:, 1], np.cos(X[:, 2])]),
}


def network(target="three classes", **options):
    kind = MLPRegressor if target in ("numbers", "two outputs") else MLPClassifier
    return kind(**{**QUICK, **options})


def same_results(ours, theirs):
    """Whatever does not tell of time."""
    assert ours.cv_results_.keys() == theirs.cv_results_.keys()
    for name, values in theirs.cv_results_.items():
        if "_test_" in name or "_train_" in name:
            np.testing.assert_allclose(ours.cv_results_[name], values, rtol=1e-6, atol=1e-9, err_msg=name)
        elif "time" not in name:
            np.testing.assert_equal(ours.cv_results_[name], values)
    assert (ours.best_params_, ours.best_index_) == (theirs.best_params_, theirs.best_index_)
    assert getattr(ours, "best_score_", None) == pytest.approx(getattr(theirs, "best_score_", None))
    assert (ours.n_splits_, ours.multimetric_) == (theirs.n_splits_, theirs.multimetric_)


def beside_theirs(estimator, grid, x=X, y=SPECIES, fit=None, cv=3, **options):
    """Ours, after it was compared with theirs."""
    ours, theirs = (kind(estimator, grid, cv=cv, **options).fit(x, y, **(fit or {})) for kind in (PopulationSearchCV, GridSearchCV))
    same_results(ours, theirs)
    return ours


@pytest.fixture
def fits(monkeypatch):
    """The estimators whose fit is called, one by one."""
    called, fit = [], NetworkEstimator.fit

    def counted(self, *data, **more):
        called.append(self)
        return fit(self, *data, **more)

    monkeypatch.setattr(NetworkEstimator, "fit", counted)
    return called


# -- the numbers of scikit-learn's ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_a_candidate_scores_what_it_does_alone(target, fits):
    y, grid = TARGETS[target], {"hidden_layer_sizes": [3, (4, 2)], "learning_rate_init": [0.005, 0.05]}
    ours = PopulationSearchCV(network(target), grid, cv=3, return_train_score=True).fit(X, y)
    assert len(fits) == 1  # of the best on all rows
    same_results(ours, GridSearchCV(network(target), grid, cv=3, return_train_score=True).fit(X, y))
    best = clone(network(target)).set_params(**ours.best_params_).fit(X, y)
    np.testing.assert_array_equal(ours.predict(X), best.predict(X))
    assert ours.score(X, y) == best.score(X, y)
    assert ours.refit_time_ > 0
    assert (ours.cv_results_["mean_fit_time"] > 0).all()


@pytest.mark.parametrize(
    "grid",
    [
        {"solver": ["adam", "sgd", "nadam"], "momentum": [0.5, 0.9]},
        {"solver": ["sgd"], "learning_rate": ["constant", "invscaling", "adaptive"], "tol": [1e-4, 0.05], "max_iter": [12, 40]},
        {"n_iter_no_change": [1, 3, np.inf], "tol": [0.03], "max_iter": [60]},
        {"beta_1": [0.5, 0.9], "epsilon": [1e-8, 0.1], "shuffle": [True, False]},
        {"batch_size": [1, 7, "auto"], "activation": ["logistic", "tanh"], "max_iter": [3]},
        {"alpha": [0.01, 10.0], "tol": [0.0], "n_iter_no_change": [np.inf]},
        {"dtype": ["float64", "float32"], "class_weight": [None, "balanced", {1: 5.0}]},
        {"random_state": [1, np.random.RandomState(3)], "warm_start": [True], "loss": ["log_loss", "cross_entropy_bits"]},
        [{"alpha": [0.0]}, {"solver": ["lbfgs"], "max_iter": [3]}, {"early_stopping": [True], "momentum": [0.5]}],
        [{"solver": ["sgd"], "momentum": [0.9, 1.0]}],
    ],
    ids=str,
)
def test_whatever_candidates_differ_in(grid):
    beside_theirs(network(), grid)


def test_a_regressors_own_parameters():
    grid = [{"loss": ["huber"], "huber_delta": [0.1, 1.0]}, {"loss": ["squared_error", "absolute_error"]}]
    stopping = {"tol": [0.01], "n_iter_no_change": [2], "max_iter": [50], "alpha": [0.0, 10.0]}
    beside_theirs(network("two outputs"), stopping, y=TARGETS["two outputs"])
    beside_theirs(network("numbers"), grid, y=TARGETS["numbers"])
    beside_theirs(network("numbers", loss="poisson"), {"learning_rate_init": [0.01, 0.05]}, y=np.rint(X[:, 0] ** 2))


def test_candidates_are_drawn_as_theirs_are():
    given = {"n_iter": 4, "random_state": 5, "cv": 3}
    drawn = {"learning_rate_init": uniform(0.001, 0.05), "hidden_layer_sizes": [2, 4]}
    ours = PopulationSearchCV(network(), param_distributions=drawn, **given).fit(X, SPECIES)
    same_results(ours, RandomizedSearchCV(network(), drawn, **given).fit(X, SPECIES))


@pytest.mark.parametrize(("count", "factor", "epochs"), [(5, 2, 12), (4, 3, 7), (9, 3, 4)])
def test_halving_is_theirs(count, factor, epochs):
    grid = {"learning_rate_init": np.geomspace(1e-4, 0.1, count)}
    ours = PopulationSearchCV(network(max_iter=epochs), grid, cv=3, halving=factor, scoring="neg_log_loss").fit(X, SPECIES)
    theirs = HalvingGridSearchCV(
        network(), grid, cv=3, factor=factor, resource="max_iter", max_resources=epochs, return_train_score=False,
        scoring="neg_log_loss",
    ).fit(X, SPECIES)  # fmt: skip
    same_results(ours, theirs)
    assert (ours.n_resources_, ours.n_candidates_) == (theirs.n_resources_, theirs.n_candidates_)
    assert ours.best_params_["max_iter"] == ours.n_resources_[-1] == ours.best_estimator_.max_iter
    assert len(ours.n_resources_) > 1


# -- splitters, scorers, weights -----------------------------------------------------------------------------------------------


def test_groups_go_to_the_splitter():
    beside_theirs(network(), {"alpha": [0.0, 1.0]}, cv=GroupKFold(3), fit={"groups": np.arange(len(X)) % 5})


def test_splits_that_are_drawn_anew_each_time_are_drawn_once():
    seen = []

    class Splitter(ShuffleSplit):
        def split(self, *data, **groups):
            seen.append(list(super().split(*data, **groups)))
            return iter(seen[-1])

    search = PopulationSearchCV(network(), {"alpha": [0.0, 1.0, 2.0, 3.0]}, cv=Splitter(3), halving=2, refit=False).fit(X, SPECIES)
    assert len(seen) == 1 < len(search.n_resources_)
    alone = GridSearchCV(network(max_iter=search.n_resources_[0]), {"alpha": [0.0, 1.0, 2.0, 3.0]}, cv=seen[0]).fit(X, SPECIES)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][:4], alone.cv_results_["mean_test_score"])


def test_a_class_may_be_missing_in_a_fold():
    order = np.argsort(SPECIES, kind="stable")
    folds = [(order[:40], order[40:]), (order[30:], order[:30]), (np.flatnonzero(SPECIES == 1), order[:5])]
    beside_theirs(network(), {"learning_rate_init": [0.01, 0.05]}, y=TARGETS["names"], cv=folds)


def test_several_scores():
    scoring = {"accuracy": "accuracy", "loss": "neg_log_loss"}
    grid = {"learning_rate_init": [0.001, 0.05]}
    ours = beside_theirs(network(), grid, scoring=scoring, refit="loss", return_train_score=True)
    assert set(ours.scorer_) == set(scoring)
    halved = PopulationSearchCV(network(), grid, scoring=scoring, refit="loss", halving=2, cv=3).fit(X, SPECIES)
    assert halved.best_params_["learning_rate_init"] == 0.05
    with one_sentence(["halving needs one of several scores", "refit", "got False"]):
        PopulationSearchCV(network(), grid, scoring=scoring, refit=False, halving=2, cv=3).fit(X, SPECIES)


def test_a_scorer_of_ones_own_sees_a_fitted_estimator():
    seen = []

    def scoring(estimator, x, y):
        seen.append(estimator)
        return float(estimator.n_iter_)

    grid = {"tol": [0.02, 0.2], "n_iter_no_change": [2], "max_iter": [50]}
    beside_theirs(network(), grid, scoring=scoring, refit=lambda results: 1)
    ours, theirs = seen[:6], seen[6:]
    assert [(type(one), one.n_iter_, one.t_) for one in ours] == [(type(one), one.n_iter_, one.t_) for one in theirs]
    assert len({one.n_iter_ for one in ours}) > 1
    assert pickle.loads(pickle.dumps(ours[0])).fit(X, SPECIES) is not ours[0]


@pytest.mark.parametrize("target", ["three classes", "labels", "numbers"])
def test_each_fold_has_its_part_of_the_weights(target):
    weights = np.linspace(0.1, 3, len(X))
    grid = {"learning_rate_init": [0.01, 0.05], "alpha": [0.5], "tol": [0.0], "n_iter_no_change": [np.inf]}
    beside_theirs(network(target), grid, y=TARGETS[target], fit={"sample_weight": weights})


def test_metadata_is_routed():
    weights = np.linspace(0.1, 3, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        steps = StandardScaler().set_fit_request(sample_weight=True)
        model = make_pipeline(steps, network().set_fit_request(sample_weight=True))
        scoring = get_scorer("accuracy").set_score_request(sample_weight=True)
        grid = {"mlpclassifier__learning_rate_init": [0.01, 0.05]}
        beside_theirs(model, grid, fit={"sample_weight": weights}, scoring=scoring)


# -- pipelines -----------------------------------------------------------------------------------------------------------------


class Counting(TransformerMixin, BaseEstimator):
    fitted = 0

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, x, y=None):
        type(self).fitted += 1
        if self.factor == 0:
            raise ValueError("the factor is 0")
        return self

    def transform(self, x):
        return sparse.csr_array(x * self.factor)


def test_steps_are_fitted_once_for_a_fold_and_their_own_parameters(monkeypatch):
    monkeypatch.setattr(Counting, "fitted", 0)
    model = make_pipeline(Counting(), network())
    grid = {"counting__factor": [1.0, 0.1], "mlpclassifier__alpha": [0.0, 0.1], "mlpclassifier__hidden_layer_sizes": [2, 3, 4]}
    ours = PopulationSearchCV(model, grid, cv=3).fit(X, SPECIES)
    assert Counting.fitted == 2 * 3 + 1
    same_results(ours, GridSearchCV(model, grid, cv=3).fit(X, SPECIES))


def test_steps_may_be_replaced_and_be_pipelines():
    model = make_pipeline(StandardScaler(), make_pipeline(MinMaxScaler(), network()))
    grid = {"standardscaler": [StandardScaler(), "passthrough"], "pipeline__mlpclassifier__learning_rate_init": [0.01, 0.05]}
    beside_theirs(model, grid)
    beside_theirs(model, [{"pipeline": [network(), DummyClassifier(), make_pipeline(MinMaxScaler(), network())]}])


def test_what_is_no_network_is_searched_one_by_one():
    beside_theirs(DummyClassifier(), {"strategy": ["prior", "constant"], "constant": [2]})


def test_halving_finds_the_epochs_of_a_pipeline():
    model = make_pipeline(StandardScaler(), network(max_iter=8))
    search = PopulationSearchCV(model, {"mlpclassifier__learning_rate_init": [1e-5, 0.05]}, cv=3, halving=2).fit(X, SPECIES)
    assert search.cv_results_["param_mlpclassifier__max_iter"].tolist() == [4, 4, 8]


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, np.ndarray.tolist, np.float32])
def test_rows_of_other_kinds(kind):
    beside_theirs(network(), {"learning_rate_init": [0.01, 0.05]}, x=kind(X))


def test_frames_keep_the_names_of_their_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    assert beside_theirs(network(), {"alpha": [0.0, 0.1]}, x=frame).feature_names_in_.tolist() == list("abcd")
    model = make_pipeline(StandardScaler(), network()).set_output(transform="pandas")
    beside_theirs(model, {"mlpclassifier__alpha": [0.0, 0.1]}, x=frame)


# -- what fails ----------------------------------------------------------------------------------------------------------------


def test_a_candidate_that_diverges_takes_no_other_with_it():
    grid = {"learning_rate_init": [0.02, 1e150], "solver": ["sgd"], "activation": ["identity"]}
    failed = r"3 fits failed out of a total of 6(.|\n)*non-finite"
    with pytest.warns(FitFailedWarning, match=failed) as told, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        ours = PopulationSearchCV(network("numbers"), grid, cv=3).fit(X, TARGETS["numbers"])
    assert len([one for one in told if one.category is FitFailedWarning]) == 1
    assert np.isnan(ours.cv_results_["mean_test_score"]).tolist() == [False, True]
    assert ours.best_params_["learning_rate_init"] == 0.02
    alone = GridSearchCV(network("numbers"), {**grid, "learning_rate_init": [0.02]}, cv=3).fit(X, TARGETS["numbers"])
    assert ours.best_score_ == pytest.approx(alone.best_score_)


def test_what_fails_is_raised_where_that_is_asked_for():
    grid = {"learning_rate_init": [1e150], "solver": ["sgd"]}
    for error_score, message in (("raise", "^Solver produced non-finite"), (np.nan, "All the 3 fits failed")):
        search = PopulationSearchCV(network("numbers"), grid, cv=3, error_score=error_score)
        with pytest.raises(ValueError, match=message):
            search.fit(X, TARGETS["numbers"])
        assert not hasattr(search, "cv_results_")


@pytest.mark.parametrize(
    ("model", "grid"),
    [
        (network(), {"alpha": [-1.0, 0.1]}),
        (network(), {"hidden_layer_sizes": [3, 0]}),
        (make_pipeline(Counting(), network()), {"counting__factor": [1.0, 0.0]}),
    ],
    ids=["alpha", "hidden", "step"],
)
def test_a_value_that_is_rejected_fails_alone(model, grid):
    with pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 6"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        beside = [kind(model, grid, cv=3, error_score=-7.0).fit(X, SPECIES) for kind in (PopulationSearchCV, GridSearchCV)]
    same_results(*beside)
    assert -7.0 in beside[0].cv_results_["mean_test_score"]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({}, ["param_grid or param_distributions", "got neither"]),
        ({"param_grid": {"alpha": [1]}, "param_distributions": {"alpha": [1]}}, ["got both"]),
        ({"param_distributions": {"alpha": [1]}, "n_iter": 0}, ["n_iter", "got 0"]),
        ({"param_grid": {"alpha": [1]}, "halving": 1}, ["halving", "got 1"]),
        ({"param_grid": {"max_iter": [1]}, "halving": 2}, ["halving", "max_iter"]),
        ({"param_grid": {"constant": [1]}, "estimator": DummyClassifier(), "halving": 2}, ["halving", "DummyClassifier"]),
        ({"param_grid": []}, ["param_grid must hold candidates", "got []"]),
        ({"param_grid": {"alpha": uniform(0, 1)}}, ["alpha is a distribution", "give param_distributions"]),
        ({"param_grid": {"alpha": [1]}, "estimator": network("numbers"), "scoring": "neg_log_loss"},
         ["MLPRegressor", "predict_proba"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_rejected_is_so_before_anything_is_trained(options, parts, fits):
    search = PopulationSearchCV(**{"estimator": network(), **options})
    with one_sentence(parts):
        search.fit(X, SPECIES)
    assert not fits


def test_a_parameter_that_the_estimator_has_not_is_named_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(NetworkEstimator, "_begin", None)
    for model, name in ((network(), "alfa"), (make_pipeline(StandardScaler(), network()), "mlpclassifier__alfa")):
        with pytest.raises(ValueError, match="Invalid parameter 'alfa' for estimator MLPClassifier"):
            PopulationSearchCV(model, [{name.replace("alfa", "alpha"): [1.0]}, {name: [1.0]}], error_score=0.0).fit(X, SPECIES)


@pytest.mark.filterwarnings("ignore:training was interrupted:RuntimeWarning")
def test_an_interrupt_ends_the_search(monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(candidates, "train_begun", partial(fastmlp.train_many, on_epoch=pressed))
    search = PopulationSearchCV(network(), {"alpha": [0.0, 1.0]}, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, SPECIES)
    assert not hasattr(search, "cv_results_")


def test_an_interrupt_of_what_is_fitted_alone_ends_the_search_too(monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.training.solvers.quasi_newton.QuasiNewton._iterate", pressed)
    with pytest.raises(KeyboardInterrupt):
        PopulationSearchCV(network(solver="lbfgs"), {"alpha": [0.0, 1.0]}, cv=3).fit(X, SPECIES)


def test_what_has_not_converged_is_told_once():
    grid = {"learning_rate_init": [0.01, 0.05, 0.06]}
    with pytest.warns(ConvergenceWarning, match="9 of 9 trainings") as told:
        PopulationSearchCV(network(), grid, cv=3, refit=False).fit(X, SPECIES)
    assert len(told) == 1


# -- as one of scikit-learn's --------------------------------------------------------------------------------------------------


def test_it_is_copied_and_shown():
    search = PopulationSearchCV(network(), {"alpha": [0.0, 0.1]}, cv=3)
    assert "param_grid={'alpha': [0.0, 0.1]}" in repr(search)
    copies = [clone(search), pickle.loads(pickle.dumps(search))]
    search.fit(X, SPECIES)
    assert type(search.estimator) is MLPClassifier and not hasattr(search.estimator, "model_")
    for other in (*(one.fit(X, SPECIES) for one in copies), pickle.loads(pickle.dumps(search)), clone(search).fit(X, SPECIES)):
        np.testing.assert_array_equal(other.predict_proba(X), search.predict_proba(X))
    assert search.classes_.tolist() == [0, 1, 2]
    assert search.n_features_in_ == 4
    assert search._repr_html_()


# -- Executors -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("halving", [None, 2])
def test_the_workers_of_an_executor_train_to_the_same_bits(halving):
    estimator = make_pipeline(StandardScaler(), network())
    grid = {"mlpclassifier__alpha": [0, 1e-2], "mlpclassifier__learning_rate_init": [0.001, 0.02]}
    alone = PopulationSearchCV(estimator, grid, cv=3, halving=halving).fit(X, SPECIES)
    with ThreadPoolExecutor(2) as executor:
        search = PopulationSearchCV(estimator, grid, cv=3, halving=halving, executor=executor).fit(X, SPECIES)
    for name, values in alone.cv_results_.items():
        if "time" not in name:
            np.testing.assert_equal(search.cv_results_[name], values)
    assert search.best_estimator_[-1].model_.theta.tobytes() == alone.best_estimator_[-1].model_.theta.tobytes()


def test_an_executor_is_shared_by_clones_and_left_out_of_copies():
    with ThreadPoolExecutor(2) as executor:
        search = PopulationSearchCV(network(), {"alpha": [0, 1]}, cv=2, executor=executor)
        assert search.get_params()["executor"] is clone(search).executor is copy(search).executor is executor
        assert clone(make_pipeline(StandardScaler(), search))[-1].executor is executor
        search.fit(X, SPECIES)
        for other in pickle.loads(pickle.dumps(search)), deepcopy(search):
            assert other.executor is None and search.executor is executor
            assert np.array_equal(other.predict(X), search.predict(X))
        scores = cross_val_score(search, X, SPECIES, cv=2)
    assert np.array_equal(scores, cross_val_score(clone(search).set_params(executor=None), X, SPECIES, cv=2))


def test_what_is_no_executor_and_threads_beside_one_are_told():
    with one_sentence(["executor must be", "got 3"], TypeError):
        PopulationSearchCV(network(), {"alpha": [0]}, executor=3).fit(X, SPECIES)
    with ThreadPoolExecutor(1) as executor, one_sentence(["threads", "executor", "got 2"]):
        PopulationSearchCV(network(threads=2), {"alpha": [0]}, executor=executor).fit(X, SPECIES)
