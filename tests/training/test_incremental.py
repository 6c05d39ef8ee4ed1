"""Trainer: rows as they come are learned as those of an epoch are."""

import numpy as np
import pytest
from cases import toy

import fastmlp

X, Y = toy(rows=60)
WORDS = np.where(Y == 1, "yes", "no")
NUMBERS = X @ np.arange(1.0, 1 + X.shape[1]) + 5
OWN = {"hidden": 5, "learning_rate": 0.005, "shuffle": False, "seed": 3}


@pytest.mark.parametrize("more", [{}, {"dropout": 0.3, "l1": 0.01, "clip": 0.1, "average": 0.6, "l2": 0.02}])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("y", [Y, WORDS, NUMBERS], ids=["numbers", "words", "targets"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "nesterov"])
def test_the_first_rows_are_an_epoch_of_training(optimizer, y, standardize, more):
    options = OWN | {"optimizer": optimizer, "standardize": standardize, "batch_size": 7} | more
    model = fastmlp.Trainer(**options).partial_fit(X, y).finish()
    trained = fastmlp.train(X, y, epochs=1, schedule="constant", **{"l2": 0, **options})
    np.testing.assert_allclose(model.theta, trained.theta, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.history.loss, trained.history.loss, rtol=1e-10)
    assert model.classes is None or model.classes.tolist() == trained.classes.tolist()


def test_rows_in_parts_are_those_in_one_where_nothing_is_scaled():
    options = OWN | {"standardize": False, "batch_size": 10}
    parts, whole = fastmlp.Trainer(**options), fastmlp.Trainer(**options)
    for first in range(0, 60, 20):
        parts.partial_fit(X[first : first + 20], Y[first : first + 20])
    whole.partial_fit(X, Y)
    assert np.array_equal(parts.finish().theta, whole.finish().theta)
    assert parts.rows == whole.rows == 60 and len(parts.losses) == 3
    assert np.mean(parts.losses) == pytest.approx(whole.losses[0])


@pytest.mark.parametrize("more", [{}, {"dropout": 0.3, "average": 0.9, "optimizer": "nesterov"}])
def test_who_asks_in_between_changes_no_bit_of_what_comes(more):
    """Wide layers stay as kernels hold them from call to call, until somebody asks, columns are scaled anew, or rows are few."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 9)) * np.linspace(1, 3, 600)[:, None]
    labels = rng.integers(3, 7, 600)
    options = OWN | {"hidden": 40, "classes": range(3, 7), "shuffle": True} | more
    asked, left = fastmlp.Trainer(**options), fastmlp.Trainer(**options)
    for part, own in zip(*(np.split(one, [100, 150, 153, 300, 310, 500]) for one in (rows, labels)), strict=True):
        left.partial_fit(part, own)
        asked.partial_fit(part, own).finish()
    assert np.array_equal(asked.finish().theta, left.finish().theta) and asked.losses == left.losses


@pytest.mark.parametrize("y", [Y, NUMBERS], ids=["classes", "numbers"])
def test_scaling_anew_leaves_the_network_the_function_that_it_is(y):
    options = OWN | {"classes": [0, 1]} if y is Y else OWN
    trainer = fastmlp.Trainer(**{**options, "learning_rate": 1e-300})
    before = trainer.partial_fit(X[:9], y[:9]).finish()
    said = before.predict_proba if y is Y else before.predict
    expected = said(X)
    for factor in (1, 30, 1e6):
        trainer.partial_fit(factor * X + factor, y if y is Y else factor * y)
    after = trainer.finish()
    np.testing.assert_allclose((after.predict_proba if y is Y else after.predict)(X), expected, rtol=1e-6)


def test_means_and_deviations_are_those_of_all_rows():
    rng = np.random.default_rng(0)
    rows = 1000 + 3 * rng.normal(size=(500, 4))
    trainer = fastmlp.Trainer(hidden=3, seed=0)
    for part in np.array_split(rows, [1, 5, 6, 100, 333]):
        trainer.partial_fit(part, part[:, 0])
    scaling = trainer._state._x.scaling(np.float64)
    np.testing.assert_allclose(scaling.shift, rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(1 / scaling.scale, rows.std(axis=0), rtol=1e-10)


def test_a_stream_is_learned():
    rng = np.random.default_rng(0)
    trainer = fastmlp.Trainer(hidden=16, classes=["in", "out"], seed=0, average=0.99)
    for _ in range(200):
        part = 5 + 2 * rng.normal(size=(64, 2))
        trainer.partial_fit(part, np.where(((part - 5) ** 2).sum(axis=1) < 4, "in", "out"))
    rows = 5 + 2 * rng.normal(size=(1000, 2))
    assert trainer.finish().score(rows, np.where(((rows - 5) ** 2).sum(axis=1) < 4, "in", "out")) > 0.95
    assert trainer.rows == 200 * 64 and repr(trainer) == "<Trainer of <MLP 2-16-1 classifier of 2, float64> after 12800 rows>"


def test_large_networks_are_trained_block_by_block():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(300, 200)).astype(np.float32), rng.integers(0, 10, 300)
    options = {"hidden": 300, "learning_rate": 0.01, "shuffle": False, "seed": 0, "classes": np.arange(10)}
    trainer = fastmlp.Trainer(**options).partial_fit(rows, labels)
    trained = fastmlp.train(rows, labels, epochs=1, l2=0, schedule="constant", **{k: options[k] for k in options if k != "classes"})
    np.testing.assert_allclose(trainer.finish().theta, trained.theta, atol=2e-4)


def test_it_goes_on_from_a_network_and_after_its_end():
    first = fastmlp.train(X, NUMBERS, hidden=5, epochs=20, seed=0)
    trainer = fastmlp.Trainer(init=first, learning_rate=1e-300, seed=0)
    model = trainer.partial_fit(X, NUMBERS).finish()
    np.testing.assert_allclose(model.predict(X), first.predict(X), rtol=1e-9)
    trainer.partial_fit(X, NUMBERS)
    assert len(trainer.finish().history.loss) == 2 and len(model.history.loss) == 1


def test_rows_weigh_what_they_weigh():
    options = OWN | {"standardize": False, "batch_size": 60}
    twice = fastmlp.Trainer(**options).partial_fit(X, Y, sample_weight=np.full(60, 2.0))
    once = fastmlp.Trainer(**options).partial_fit(X, Y)
    assert twice.losses[0] == pytest.approx(2 * once.losses[0])
    by_class = fastmlp.Trainer(**options, class_weight={0: 0.0, 1: 2.0}).partial_fit(X, Y)
    own = fastmlp.Trainer(**options).partial_fit(X, Y, sample_weight=2.0 * (Y == 1))
    assert np.array_equal(by_class.finish().theta, own.finish().theta)


def test_what_makes_no_sense_is_told_and_changes_nothing():
    with pytest.raises(ValueError, match="finish needs rows"):
        fastmlp.Trainer().finish()
    for options, message in (
        ({"optimizer": "lbfgs"}, "'lbfgs' needs all rows"),
        ({"batch_size": None}, "batch_size must be a positive whole number"),
        ({"class_weight": "balanced"}, "class_weight must be a mapping"),
        ({"dropout": 1}, "dropout must be from 0 to below 1"),
        ({"hidden": 0}, "hidden"),
    ):
        with pytest.raises(ValueError, match=message):
            fastmlp.Trainer(**options)
    with pytest.raises(TypeError, match="epochs"):
        fastmlp.Trainer(epochs=3)
    trainer = fastmlp.Trainer(**OWN).partial_fit(X, WORDS)
    theta = trainer.finish().theta
    for x, y, message in (
        (X[:, 1:], WORDS, "columns"),
        (X, np.full(60, "perhaps"), "perhaps"),
        (np.where(X[3, 1] == X, np.nan, X), WORDS, r"X\[3, 1\] is nan"),
        (X, WORDS[1:], "y must"),
        (X[:0], WORDS[:0], "X must"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer.partial_fit(x, y)
    assert np.array_equal(trainer.finish().theta, theta) and trainer.rows == 60


def test_a_loss_that_is_not_finite_is_told():
    trainer = fastmlp.Trainer(hidden=5, learning_rate=1e200, optimizer="sgd", seed=0)
    with pytest.raises(fastmlp.DivergedError):
        for _ in range(9):
            trainer.partial_fit(X, NUMBERS)


@pytest.mark.parametrize("classes", ["ab", 2, [], ["a"], ["a", None], [["a"], ["b"]]])
def test_classes_must_be_labels(classes):
    with pytest.raises(ValueError, match=r"^classes "):
        fastmlp.Trainer(classes=classes)


def test_classes_are_any_labels_for_a_classifier_alone():
    assert fastmlp.Trainer(classes={"yes", "no"}, **OWN).partial_fit(X, WORDS).finish().classes.tolist() == ["no", "yes"]
    with pytest.raises(ValueError, match="classes are for classification"):
        fastmlp.Trainer(classes=[0, 1], task="regression")


def test_rows_that_are_too_large_to_be_scaled_change_nothing():
    large = np.where(np.arange(60)[:, None] % 2, 1e200, -1e200) * np.ones_like(X)
    trainer = fastmlp.Trainer(**OWN)
    with pytest.raises(ValueError, match="too large to be standardized"):
        trainer.partial_fit(large, Y)
    assert repr(trainer) == "<Trainer before its first rows>"
    theta = trainer.partial_fit(X, WORDS).finish().theta
    with pytest.raises(ValueError, match="too large to be standardized"):
        trainer.partial_fit(large, WORDS)
    assert np.array_equal(trainer.finish().theta, theta) and trainer.rows == 60
