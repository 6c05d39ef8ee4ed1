"""What the estimators have beyond scikit-learn's, and what they reject."""

import warnings

import numpy as np
import pytest
from cases import one_sentence
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor
from fastmlp.training.descent import Descent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5))
SIGN = (X[:, 0] + X[:, 1] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.4, 0.4])
SUM = X[:, 0] - 2 * X[:, 1]
QUICK = {"hidden_layer_sizes": 6, "learning_rate_init": 0.02, "max_iter": 40, "random_state": 0}


def fitted(model, *data, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*data, **more)


# -- beyond scikit-learn's -----------------------------------------------------------------------------------------------------


def test_the_network_inside_says_the_same():
    names = np.array(["low", "middle", "high"], object)[THREE]
    model = fitted(MLPClassifier(**QUICK), X, names)
    assert isinstance(model.model_, fastmlp.MLP)
    assert model.predict(X).tolist() == model.model_.predict(X).tolist()
    assert model.classes_.tolist() == ["high", "low", "middle"]


@pytest.mark.parametrize("solver", ["adamw", "nadam", "rmsprop", "momentum", "nesterov"])
def test_every_optimizer_learns(solver):
    model = fitted(MLPClassifier(solver=solver, batch_size=30, **QUICK), X, SIGN)
    assert model.score(X, SIGN) > 0.9
    assert model.loss_curve_[-1] < 0.6 * model.loss_curve_[0]


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_every_loss_of_quantities_learns(loss):
    assert fitted(MLPRegressor(loss=loss, batch_size=30, **QUICK), X, SUM).score(X, SUM) > 0.8


def test_layers_have_activations_of_their_own():
    options = {**QUICK, "hidden_layer_sizes": (6, 4)}
    model = fitted(MLPClassifier(activation=("logistic", "silu"), **options), X, SIGN)
    assert model.model_.activations == ("sigmoid", "silu")


def test_classes_weigh_as_told():
    plain, heavy = (fitted(MLPClassifier(class_weight=w, **QUICK), X, THREE).predict(X) for w in (None, {2: 20.0}))
    assert (heavy == 2).sum() > (plain == 2).sum()
    skewed = np.flatnonzero((SIGN == 0) | (np.arange(300) % 10 == 0))
    balanced = fitted(MLPClassifier(class_weight="balanced", **QUICK), X[skewed], SIGN[skewed]).predict(X)
    assert (balanced == 1).sum() > (fitted(MLPClassifier(**QUICK), X[skewed], SIGN[skewed]).predict(X) == 1).sum()


def test_what_to_compute_in():
    assert fitted(MLPRegressor(dtype="float32", **QUICK), X, SUM).predict(X).dtype == np.float32
    single = fitted(MLPRegressor(**QUICK), X.astype(np.float32), SUM)
    assert (single.model_.dtype, single.coefs_[0].dtype) == (np.float32, np.float32)


def test_any_number_of_threads_gives_the_same_bits():
    options = {**QUICK, "hidden_layer_sizes": 100, "max_iter": 4}
    one, three = (fitted(MLPClassifier(threads=threads, **options), X, THREE) for threads in (1, 3))
    np.testing.assert_array_equal(one.model_.theta, three.model_.theta)


def test_the_best_weights_are_kept():
    model = fitted(MLPClassifier(early_stopping=True, validation_fraction=0.3, **{**QUICK, "max_iter": 60}), X, THREE)
    assert model.best_validation_score_ == max(model.validation_scores_) > 0.8
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    loose = fitted(MLPClassifier(**QUICK), X, THREE)
    assert (loose.validation_scores_, loose.validation_loss_curve_) == (None, None)


# -- its parameters ------------------------------------------------------------------------------------------------------------


def test_writing_to_coefficients_changes_the_network():
    model = fitted(MLPRegressor(**QUICK), X, SUM)
    model.coefs_[0] = np.zeros((5, 6))
    model.intercepts_ = [np.zeros(6), [3.0]]
    np.testing.assert_array_equal(model.predict(X), np.full(300, 3.0))
    assert not hasattr(MLPRegressor(), "coefs_")


# A 3-2-1 network of logistic units with alpha = 0.1, on the row (0.6, 0.8, 0.7) of class 0, by hand: hidden activations
# s(0.75) and s(0.3), output p = s(0.1 h1 + 0.2 h2 + 1); dz = p, and down the weights by h (1 - h) w dz.
def test_one_step_by_hand():
    row, rate, alpha = np.array([[0.6, 0.8, 0.7]]), 0.1, 0.1
    w1, b1 = np.array([[0.1, 0.2], [0.3, 0.1], [0.5, 0.0]]), np.array([0.1, 0.1])
    w2, b2 = np.array([[0.1], [0.2]]), np.array([1.0])
    model = MLPClassifier(2, "logistic", solver="sgd", momentum=0, learning_rate_init=rate, alpha=alpha)
    model.partial_fit(row, [0], classes=[0, 1])
    model.coefs_, model.intercepts_ = [w1, w2], [b1, b2]
    model.partial_fit(row, [0])
    h = 1 / (1 + np.exp(-(row @ w1 + b1)))
    p = 1 / (1 + np.exp(-(h @ w2 + b2)))
    below = h * (1 - h) * w2.T * p
    np.testing.assert_allclose(model.coefs_[0], w1 - rate * (row.T @ below + alpha * w1))
    np.testing.assert_allclose(model.coefs_[1], w2 - rate * (h.T * p + alpha * w2))
    np.testing.assert_allclose(model.intercepts_[1], b2 - rate * p[0])
    assert model.loss_ == pytest.approx(-np.log(1 - p[0, 0]) + alpha / 2 * ((w1**2).sum() + (w2**2).sum()))


# -- rows ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array], ids=lambda kind: kind.__name__)
def test_sparse_rows_are_as_good_as_dense_ones(kind, monkeypatch):
    monkeypatch.setattr("fastmlp.sklearn.checked_rows.BLOCK", 100)  # 20 rows
    rows = np.where(np.abs(X) > 1, X, 0)
    dense, thin = (fitted(MLPClassifier(**QUICK), given, THREE) for given in (rows, kind(rows)))
    np.testing.assert_array_equal(thin.predict_proba(kind(rows)), dense.predict_proba(rows))
    thin.partial_fit(kind(rows), THREE)


def test_large_parts_go_the_way_of_fit():
    """Where threads may pay, and somebody may want to interrupt."""
    few, many = (MLPRegressor(hidden_layer_sizes=40, solver="sgd", shuffle=False, random_state=0) for _ in range(2))
    few.partial_fit(X, SUM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastmlp.sklearn.estimator.SMALL", 0)
        many.partial_fit(X, SUM)
    np.testing.assert_array_equal(few.model_.theta, many.model_.theta)
    many.partial_fit(X, SUM), few.partial_fit(X, SUM)
    np.testing.assert_array_equal(few.model_.theta, many.model_.theta)
    assert few.t_ == many.t_ == 600


# -- ends ----------------------------------------------------------------------------------------------------------------------


def test_ctrl_c_keeps_the_network_so_far(monkeypatch):
    calls, advance = [], Descent.advance

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        advance(self, *args)

    monkeypatch.setattr(Descent, "advance", interrupted)
    model = MLPClassifier(early_stopping=True, **QUICK)
    with pytest.warns(UserWarning, match="interrupted by Ctrl-C after 2 epochs"):
        model.fit(X, THREE)
    assert model.n_iter_ == len(model.loss_curve_) == 2
    assert model.score(X, THREE) == accuracy_score(THREE, model.predict(X))


def test_ctrl_c_keeps_what_lbfgs_has_found(monkeypatch):
    from fastmlp.training.solvers.quasi_newton import QuasiNewton

    calls, iterate = [], QuasiNewton._iterate

    def interrupted(self, last, work, *rest):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return iterate(self, last, 1, *rest)

    monkeypatch.setattr(QuasiNewton, "_iterate", interrupted)
    model = MLPRegressor(solver="lbfgs", random_state=0)
    with pytest.warns(UserWarning, match="interrupted by Ctrl-C after"):
        model.fit(X, SUM)
    assert model.n_iter_ > 3
    assert model.score(X, SUM) > 0.5


def test_it_is_told_whether_it_has_converged():
    with pytest.warns(ConvergenceWarning, match="max_iter=3 epochs"):
        MLPClassifier(max_iter=3).fit(X, SIGN)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 2 iterations"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(X, SIGN)


def test_a_network_that_diverges_is_rejected():
    model = MLPRegressor(solver="sgd", activation="identity", learning_rate_init=100.0, random_state=0)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.fit(X, SUM)
    model.set_params(early_stopping=True)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, SUM)
    assert np.isnan(model.validation_scores_[-1])
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        ({"activation": "rleu"}, ["activation", "'relu'", "rleu"]),
        ({"solver": "adm"}, ["solver", "'adam'", "'lbfgs'", "adm"]),
        ({"alpha": -1}, ["alpha", "at least 0", "-1"]),
        ({"batch_size": 0}, ["batch_size", "positive whole number", "0"]),
        ({"hidden_layer_sizes": (3, -1)}, ["hidden_layer_sizes", "positive whole number", "-1"]),
        ({"learning_rate": "cosine"}, ["learning_rate", "'invscaling'", "cosine"]),
        ({"momentum": 1.5}, ["momentum", "0 to 1", "1.5"]),
        ({"shuffle": None}, ["shuffle", "True or False", "None"]),
        ({"n_iter_no_change": 0}, ["n_iter_no_change", "positive whole number", "0"]),
        ({"verbose": "yes"}, ["verbose", "True, False or a whole number", "yes"]),
        ({"dtype": "int"}, ["dtype", "float32", "int"]),
        ({"loss": "poisson"}, ["loss", "'log_loss'", "poisson"]),
        ({"loss": "logistic"}, ["loss", "'log_loss'", "logistic"]),
        ({"activation": 3}, ["activation", "a name, or a sequence of names", "3"]),
        ({"activation": None}, ["activation", "a name, or a sequence of names", "None"]),
        ({"validation_fraction": 0.0}, ["validation_fraction must be between 0 and 1", "got 0.0"]),
    ],
    ids=str,
)
def test_a_parameter_is_rejected_by_name(options, fragments):
    with one_sentence(fragments):
        MLPClassifier(**options).fit(X, SIGN)


def test_losses_are_those_of_the_kind():
    with pytest.raises(ValueError, match=r"'squared_error'.* got 'log_loss'") as told:
        MLPRegressor(loss="log_loss").fit(X, X[:, 0])
    assert "cross_entropy" not in str(told.value)


def test_class_weight_needs_a_label_for_each_row():
    with one_sentence(["class_weight is for rows with a label each"]):
        MLPClassifier(class_weight="balanced", **QUICK).fit(X, np.column_stack([SIGN, 1 - SIGN]))


def test_partial_fit_tells_what_it_cannot_do():
    for options, fragment in ({"early_stopping": True}, "early_stopping"), ({"class_weight": "balanced"}, "balanced"):
        with pytest.raises(ValueError, match=fragment):
            MLPClassifier(**options).partial_fit(X, SIGN, classes=[0, 1])
    model = MLPClassifier(**QUICK)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, SIGN)
    model.partial_fit(X, SIGN, classes=[0, 1])
    with pytest.raises(ValueError, match="not the same as on the first call"):
        model.partial_fit(X, SIGN, classes=[0, 2])
    with pytest.raises(ValueError, match="not among classes_"):
        model.partial_fit(X[:1], np.array([2]))
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")
