"""Training on scaled columns: as on standardised rows, of any scale, and folded into the network."""

import numpy as np
import pytest
from cases import r2, toy

import fastmlp

TARGETS = {
    "large": lambda x: 1e6 * x,
    "larger than 1": lambda x: 1e3 * x,
    "far from 0": lambda x: x + 1000,
    "small": lambda x: 1e-4 * x,
    "of very different scales": lambda x: np.column_stack([x, 1e6 * x]),
    "house prices": lambda x: 3e5 + 8e4 * np.tanh(x),
}


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_standardize_is_training_on_standardised_rows(batch_size):
    X, y = toy()
    X = X * [1.0, 100.0, 0.01] + [0.0, 5000.0, 1.0]
    standardised = (X - X.mean(axis=0)) / X.std(axis=0)
    options = {"epochs": 10, "seed": 0, "batch_size": batch_size}
    folded = fastmlp.train(X, y, standardize=True, **options)
    plain = fastmlp.train(standardised, y, standardize=False, **options)
    np.testing.assert_allclose(folded.history.loss, plain.history.loss, rtol=1e-9)
    np.testing.assert_allclose(folded.predict_proba(X), plain.predict_proba(standardised), rtol=1e-9)
    assert np.array_equal(folded.theta, fastmlp.train(X, y, **options).theta), "it is the default"


@pytest.mark.parametrize("targets", TARGETS)
def test_targets_of_any_scale_are_learnt(targets):
    X = np.random.default_rng(0).normal(size=(300, 1))
    y = TARGETS[targets](X[:, 0])
    assert r2(fastmlp.train(X, y, seed=0), X, y) > 0.99
    both = fastmlp.train_many(X, y, members=2, seed=0) if y.ndim == 1 else fastmlp.train_many(X, y[:, None], members=2, seed=0)
    assert min(r2(member, X, y) for member in both) > 0.99


def test_counting_is_learnt_in_float32():
    x = np.arange(1, 500, dtype=np.float32)
    assert r2(fastmlp.train(x[:, None], x + 1, seed=0), x[:, None], x + 1) > 0.99


@pytest.mark.parametrize("factor", [1e-170, 1e170])
def test_columns_whose_squares_leave_the_range_of_floats_vary(factor):
    X = np.random.default_rng(0).normal(size=(300, 1))
    assert r2(fastmlp.train(X * factor, X[:, 0], seed=0), X * factor, X[:, 0]) > 0.99
    standardised = (X - X.mean()) / X.std()
    deviation = X.std() * factor
    predicted = fastmlp.train(X, X[:, 0] * factor, seed=0).predict(X) / deviation
    assert np.abs(predicted - standardised[:, 0] - X.mean() / X.std()).max() < 0.3


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("hidden", [(), (4,)], ids=str)
def test_targets_are_standardised_and_the_scaling_is_folded_into_the_last_layer(batch_size, hidden):
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    y = np.column_stack([1e4 * X[:, 0] - 5e5, 1e-3 * X[:, 1]]) + noise * [1e3, 1e-4]
    mean, deviation = y.mean(axis=0), y.std(axis=0)
    options = {"epochs": 10, "seed": 0, "batch_size": batch_size, "hidden": hidden, "optimizer": "sgd", "learning_rate": 0.1}
    options["validation"] = (X[:9], y[:9])
    folded = fastmlp.train(X, y, **options)
    options |= {"standardize": False, "validation": ((X[:9] - X.mean(axis=0)) / X.std(axis=0), (y[:9] - mean) / deviation)}
    plain = fastmlp.train((X - X.mean(axis=0)) / X.std(axis=0), (y - mean) / deviation, **options)
    np.testing.assert_allclose(folded.history.loss, plain.history.loss, rtol=1e-9)  # what was minimised
    np.testing.assert_allclose(folded.history.validation_loss, plain.history.validation_loss, rtol=1e-9)
    expected = plain.predict((X - X.mean(axis=0)) / X.std(axis=0)) * deviation + mean
    np.testing.assert_allclose(folded.predict(X), expected, atol=1e-9 * deviation.max())


def test_targets_are_scaled_by_the_rows_that_are_trained_on():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = 100 * X[:, 0] + 7
    y[30:] *= 1e3
    few = fastmlp.train(X[:30], y[:30], epochs=5, seed=0, shuffle=False)
    same = fastmlp.train(X[:30], y[:30], epochs=5, seed=0, shuffle=False, validation=(X[30:], y[30:]))
    assert np.array_equal(few.theta, same.theta)


def test_nothing_is_scaled_but_the_targets_of_a_regressor_with_biases():
    X, y = toy()
    still = {"epochs": 1, "batch_size": None, "seed": 0, "optimizer": "sgd", "learning_rate": 1e-300, "task": "regression"}
    for options in ({"standardize": False}, {"bias": False}, {"output": "sigmoid", "loss": "squared_error"}):
        model = fastmlp.train(X, y / 2, **still, **options)
        np.testing.assert_allclose(model.history.loss[0], model.loss(X, y / 2), rtol=1e-12)  # in the units of y


def test_a_constant_target_is_predicted():
    X = toy()[0]
    assert np.abs(fastmlp.train(X, np.full(60, 2.5e6), seed=0).predict(X) - 2.5e6).max() < 1e5


def test_a_constant_column_is_no_trouble():
    X, y = toy()
    X[:, 1] = 7.0
    model = fastmlp.train(X, y, epochs=100, seed=0, standardize=True)
    assert np.isfinite(model.theta).all()
    assert (model.predict(X) == y).mean() > 0.8


def test_without_biases_nothing_can_be_standardised():
    X, y = toy()
    assert fastmlp.train(X, y, bias=False, epochs=1).biases == ()
    with pytest.raises(ValueError, match=r"standardize.*bias"):
        fastmlp.train(X, y, bias=False, standardize=True)
