"""What networks learn from: which rows are held out, how much each counts, and in which order they come."""

import numpy as np
import pytest
from cases import SOFTMAX, labels_of, mlp, problem, toy

import fastmlp
from fastmlp.training.data import Dataset
from fastmlp.training.initial import untrained
from fastmlp.training.options import Options


def kept_rows(y, **options):
    """The numbers of the rows that are trained on: with a column for each row, those whose weights move, and how far they do."""
    classes = None if y.dtype.kind == "f" else np.unique(y)
    zeros = [np.zeros((len(y), 1))]
    start = fastmlp.MLP.from_weights(zeros, output="identity" if classes is None else "sigmoid", classes=classes)
    model = fastmlp.train(np.eye(len(y)), y, init=start, epochs=1, optimizer="sgd", **options)
    return np.flatnonzero(model.theta), model.theta[model.theta != 0]


def drawn(rows, **options):
    """How often each of so many rows comes up: from zero weights, a row's weight moves by its factor times the learning rate."""
    kept, moved = kept_rows(np.ones(rows), bootstrap=True, batch_size=1, learning_rate=0.5, **options)
    times = np.zeros(rows)
    times[kept] = moved / 0.5
    return times


# -- Rows that are held out ----------------------------------------------------------------------------------------------------


def test_a_fraction_for_validation_is_held_out():
    X, y = toy()
    model = fastmlp.train(X, y, epochs=5, seed=0, validation=0.25)
    again = fastmlp.train(X, y, epochs=5, seed=0, validation=0.25)
    assert len(model.history.validation_loss) == 5
    assert np.array_equal(model.theta, again.theta)
    assert not np.array_equal(model.theta, fastmlp.train(X, y, epochs=5, seed=0).theta)


def test_of_each_class_the_same_share_is_held_out():
    y = np.arange(100) % 4 // 3  # a quarter are 1
    kept, _ = kept_rows(y, validation=0.2, seed=0)
    assert np.bincount(y[kept]).tolist() == [60, 20]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_holding_rows_out_is_training_on_the_others(batch_size, dtype):
    X, _ = toy()
    X = X.astype(dtype)
    y = X[:, 0] - X[:, 1]
    kept, _ = kept_rows(y, validation=0.3, seed=5)
    held = np.setdiff1d(np.arange(60), kept)
    assert len(held) == 18
    options = {"batch_size": batch_size, "optimizer": "sgd", "epochs": 4, "seed": 5}
    model = fastmlp.train(X, y, validation=0.3, **options)
    other = fastmlp.train(X[kept], y[kept], validation=(X[held], y[held]), **options)
    assert np.array_equal(model.theta, other.theta)
    assert np.array_equal(model.history.loss, other.history.loss)
    assert np.array_equal(model.history.validation_loss, other.history.validation_loss)


# -- Weights of samples and classes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, None])
def test_the_weights_of_the_rows_that_are_kept_have_a_mean_of_one(batch_size):
    X, _ = toy()
    y, weight = X[:, 0] - X[:, 1], 1 + np.arange(60.0) ** 2
    ones = np.ones(60)  # from zero weights, a row's weight moves by its factor times the learning rate
    kept, moved = kept_rows(ones, validation=0.3, seed=5, sample_weight=weight, batch_size=batch_size, learning_rate=0.5)
    factors = moved / 0.5 * (len(kept) if batch_size is None else 1)
    np.testing.assert_allclose(factors, weight[kept] / weight[kept].mean(), rtol=1e-14)
    options = {"batch_size": batch_size, "optimizer": "sgd", "learning_rate": 0.01, "epochs": 4, "seed": 5}
    model = fastmlp.train(X, y, validation=0.3, sample_weight=weight, **options)
    other = fastmlp.train(X[kept], y[kept], sample_weight=weight[kept], **options)
    np.testing.assert_allclose(model.theta, other.theta, rtol=1e-9)
    np.testing.assert_allclose(model.history.loss, other.history.loss, rtol=1e-12)


def test_a_whole_weight_is_a_row_repeated_as_often():
    theta, X, targets = problem(SOFTMAX, rows=30)
    y, classes = labels_of(SOFTMAX, targets)
    times = np.arange(30) % 4
    options = {"batch_size": None, "optimizer": "adam", "learning_rate": 0.01, "epochs": 20, "standardize": False}
    weighted = fastmlp.train(X, y, init=mlp(SOFTMAX, theta, classes), sample_weight=times, **options)
    repeated = fastmlp.train(np.repeat(X, times, 0), np.repeat(y, times), init=mlp(SOFTMAX, theta, classes), **options)
    np.testing.assert_allclose(weighted.theta, repeated.theta, rtol=1e-9)
    np.testing.assert_allclose(weighted.history.loss, repeated.history.loss, rtol=1e-11)


def test_weights_have_no_scale():
    X, y = toy()
    weight = np.arange(60) % 3
    once = fastmlp.train(X, y, sample_weight=weight, epochs=5, seed=0)
    scaled = fastmlp.train(X, y, sample_weight=1024 * weight, epochs=5, seed=0)
    assert np.array_equal(once.theta, scaled.theta)
    np.testing.assert_allclose(
        fastmlp.train(X, y, sample_weight=np.full(60, 7.0), epochs=5, seed=0).theta,
        fastmlp.train(X, y, epochs=5, seed=0).theta,
        rtol=1e-12,
    )


def test_class_weight_weighs_the_rows_of_a_class():
    X, y = toy()
    y = np.where(np.arange(60) < 10, "rare", "common")
    common = {"epochs": 5, "seed": 0, "batch_size": 7}
    by_class = fastmlp.train(X, y, class_weight={"rare": 3.0, "common": 0.5}, **common)
    by_row = fastmlp.train(X, y, sample_weight=np.where(y == "rare", 3.0, 0.5), **common)
    np.testing.assert_allclose(by_class.theta, by_row.theta, rtol=1e-12)
    balanced = fastmlp.train(X, y, class_weight="balanced", **common)
    by_row = fastmlp.train(X, y, sample_weight=np.where(y == "rare", 1 / 10, 1 / 50), **common)
    np.testing.assert_allclose(balanced.theta, by_row.theta, rtol=1e-12)


# -- Bootstrap -----------------------------------------------------------------------------------------------------------------


def test_bootstrap_counts_rows_as_often_as_they_are_drawn():
    rows = 1000
    times = drawn(rows, seed=0)
    np.testing.assert_allclose(times, np.round(times), atol=1e-12 * rows)
    assert round(times.sum()) == rows
    # A row's count is nearly Poisson of mean 1; the number of rows that come up k times varies less than if they were independent.
    for k, share in enumerate(np.exp(-1) / np.array([1, 1, 2, 6])):
        assert abs((np.round(times) == k).sum() - share * rows) < 5 * np.sqrt(rows * share * (1 - share))


def test_bootstrap_is_drawn_by_seed_alone():
    times = drawn(50, seed=1)
    assert np.array_equal(times, drawn(50, seed=1))
    assert np.array_equal(times, drawn(50, seed=1, data_seed=2))
    assert not np.array_equal(times, drawn(50, seed=2))
    assert not np.array_equal(drawn(50, seed=2, data_seed=1), drawn(50, seed=1, data_seed=1))


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("weight", [None, 1 + np.arange(60.0) % 3], ids=["alike", "weighted"])
def test_bootstrap_changes_the_weights_of_rows_and_nothing_else(weight, batch_size):
    X, y = toy()
    times = drawn(60, seed=3)
    options = {"epochs": 4, "seed": 3, "batch_size": batch_size}
    model = fastmlp.train(X, y, bootstrap=True, sample_weight=weight, **options)
    weighted = fastmlp.train(X, y, sample_weight=times if weight is None else times * weight, **options)
    np.testing.assert_allclose(model.theta, weighted.theta, rtol=1e-9)
    np.testing.assert_allclose(model.history.loss, weighted.history.loss, rtol=1e-11)
    assert not np.array_equal(model.theta, fastmlp.train(X, y, sample_weight=weight, **options).theta)


def test_what_is_held_out_is_not_drawn():
    rows = 60
    kept, _ = kept_rows(np.ones(rows), validation=0.3, seed=5)
    times = drawn(rows, validation=0.3, seed=5)
    assert not times[np.setdiff1d(np.arange(rows), kept)].any()
    assert round(times.sum()) == len(kept)
    X, _ = toy()
    model = fastmlp.train(X, X[:, 0], validation=0.3, seed=5, bootstrap=True, epochs=1, standardize=False)
    held = np.setdiff1d(np.arange(rows), kept)
    np.testing.assert_allclose(model.loss(X[held], X[held, 0]), model.history.validation_loss[-1], rtol=1e-12)


# -- Order, and the seed of both -----------------------------------------------------------------------------------------------


def test_shuffle_changes_the_order_of_rows_and_nothing_else():
    X, y = toy()
    options = {"hidden": (4,), "seed": 0, "batch_size": 7, "epochs": 3}
    shuffled, ordered = (fastmlp.train(X, y, shuffle=shuffle, **options) for shuffle in (True, False))
    assert not np.array_equal(shuffled.theta, ordered.theta)
    # In one full batch the order of rows is nothing but rounding.
    options["batch_size"] = None
    shuffled, ordered = (fastmlp.train(X, y, shuffle=shuffle, **options) for shuffle in (True, False))
    np.testing.assert_allclose(shuffled.theta, ordered.theta, rtol=1e-10)


def test_an_epoch_sees_every_row_once():
    # With a rate too small to matter, the losses that an epoch saw add up to the loss of the whole.
    X, y = toy(rows=61)
    model = fastmlp.train(X, y, optimizer="sgd", learning_rate=1e-300, batch_size=7, epochs=3, seed=0)
    np.testing.assert_allclose(model.history.loss, model.loss(X, y), rtol=1e-12)


def test_data_seed_draws_the_held_out_rows():
    ones = np.ones(60)
    kept, _ = kept_rows(ones, validation=0.3, seed=1, data_seed=5)
    assert np.array_equal(kept, kept_rows(ones, validation=0.3, seed=2, data_seed=5)[0])
    assert np.array_equal(kept, kept_rows(ones, validation=0.3, data_seed=5)[0])
    assert not np.array_equal(kept, kept_rows(ones, validation=0.3, seed=1, data_seed=6)[0])
    assert not np.array_equal(kept, kept_rows(ones, validation=0.3, seed=1)[0])


@pytest.mark.parametrize("batch_size", [1, 7])
def test_data_seed_draws_the_order(batch_size):
    X, y = toy()
    init = fastmlp.train(X, y, epochs=1, seed=0)
    one, same, other = (
        fastmlp.train(X, y, init=init, epochs=3, batch_size=batch_size, seed=seed, data_seed=data_seed).theta
        for seed, data_seed in [(1, 5), (2, 5), (1, 6)]
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


# -- What members share ------------------------------------------------------------------------------------------------

LABELS, QUANTITIES = toy()[1], toy()[0][:, 0]


@pytest.mark.parametrize(
    ("y", "options", "own"),
    [
        (LABELS, {}, {"order"}),
        (LABELS, {"shuffle": False}, set()),
        (LABELS, {"data_seed": 5, "validation": 0.3}, set()),
        (LABELS, {"validation": 0.3}, {"rows", "order", "inputs"}),
        (QUANTITIES, {"validation": 0.3}, {"rows", "order", "inputs", "targets"}),
        (QUANTITIES, {"validation": 0.3, "standardize": False}, {"rows", "order", "inputs"}),
        (LABELS, {"bootstrap": True, "data_seed": 5}, {"weights"}),
        (LABELS, {"validation": 0.3, "class_weight": "balanced"}, {"rows", "order", "inputs", "weights"}),
        (np.column_stack([QUANTITIES] * 3), {"shuffle": False}, {"targets"}),
        (np.column_stack([LABELS] * 3), {"data_seed": 5, "validation": 0.3}, {"targets", "rows", "inputs"}),
    ],
    ids=str,
)
def test_members_share_what_they_do_not_have_for_themselves(y, options, own):
    X, _ = toy()
    options = Options.checked({**options, "seed": [7, 8, 7]}, X, members=True)
    dataset = Dataset(X, y, None, options, options.seed, by_member=True)
    network = untrained(X.shape, float, dataset.targets_of(0), options, "glorot", None)
    each = dataset.own(range(3))
    assert len(each) == (3 if own else 1)
    one, other, alike = (dataset.learned(network, 7, own) for own in (each if own else each * 3))
    assert {part for part in one.parts._fields if getattr(one.parts, part) != getattr(other.parts, part)} == own
    assert y.ndim > 1 or one.parts == alike.parts, "which has the seed of the first"
    for part, array_of in {
        "rows": lambda data: data.rows,
        "inputs": lambda data: data.arrays.scale,
        "targets": lambda data: data.arrays.y,
        "weights": lambda data: data.arrays.weight,
    }.items():
        assert np.shares_memory(array_of(one), array_of(other)) == (part not in own), part


def test_as_many_rows_are_left_as_each_member_is_trained_on():
    X, _ = toy()
    for y in (QUANTITIES, LABELS, np.arange(60) % 7, np.arange(60) == 3):
        options = Options.checked({"validation": 0.3}, X)
        dataset = Dataset(X, y, None, options, [0], by_member=False)
        network = untrained(X.shape, float, y, options, "glorot", None)
        assert dataset.rows_left(network, 0)[1] == len(dataset.learned(network, 7, *dataset.own([0])).rows)
