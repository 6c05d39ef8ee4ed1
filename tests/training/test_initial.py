"""What a training begins with: the network that y and the options ask for, first weights, or a network to go on from."""

import warnings
from functools import partial

import numpy as np
import pytest
from cases import RATES, toy

import fastmlp


def initial_theta(X, y, **options):
    """What training starts from: the step is too small to change anything."""
    return fastmlp.train(X, y, epochs=1, optimizer="sgd", learning_rate=1e-300, standardize=False, **options).theta


# -- The network ---------------------------------------------------------------------------------------------------------------


def test_float32_stays_float32_and_everything_else_is_float64():
    X, y = toy()
    for dtype, expected in [("f4", "f4"), ("f8", "f8"), ("i4", "f8"), ("f2", "f8"), ("?", "f8")]:
        model = fastmlp.train(X.astype(dtype), y, epochs=1)
        assert model.dtype == model.theta.dtype == expected
        assert model.predict_proba(X.astype(dtype)).dtype == expected
        assert model.history.loss.dtype == np.float64
    assert fastmlp.train(X, y, epochs=1, dtype="float32").dtype == np.float32
    assert fastmlp.train(X.astype(np.float32), y, epochs=1, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="dtype"):
        fastmlp.train(X, y, dtype=int)


@pytest.mark.parametrize("train", [fastmlp.train, partial(fastmlp.train_many, members=2)], ids=["train", "train_many"])
def test_what_is_meant_is_asked_for_where_y_may_mean_both(train):
    X = np.arange(50.0)[:, None]
    quantities, halves, labels = np.arange(50) * 7, np.arange(50) % 25, (np.arange(50) % 10).astype(float)
    with pytest.warns(UserWarning, match=r"y holds 50 different integers in 50 rows.*task='regression'") as warned:
        train(X, quantities, epochs=1)
    assert warned[0].filename == __file__  # it points to the call
    with pytest.warns(UserWarning, match=r"y holds floats, but only 10 different whole numbers.*task='classification'"):
        train(X, labels, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (halves, labels + 0.5, np.arange(50) * 1.0, np.arange(50) % 20, np.zeros(50), labels.astype(int), list("ab" * 25)):
            train(X, y, epochs=1)
        train(X, quantities, task="regression", epochs=1)
        train(X, quantities, task="classification", epochs=1)
        train(X, labels, task="regression", epochs=1)
        train(X, labels, task="classification", epochs=1)
        train(X, labels % 2, output="sigmoid", epochs=1)
        train(X, labels, init=fastmlp.train(X, labels, task="regression", epochs=1), epochs=1)


def test_y_says_whether_to_classify():
    X, y = toy()
    assert fastmlp.train(X, y, epochs=1).output == "sigmoid"
    assert fastmlp.train(X, y + 0.5, epochs=1).classes is None
    assert fastmlp.train(X, y.astype(float), task="classification", epochs=1).classes.tolist() == [0.0, 1.0]
    assert fastmlp.train(X, y, task="regression", epochs=1).output == "identity"
    assert fastmlp.train(X, np.arange(60) % 4, epochs=1).layer_sizes[-1] == 4
    assert fastmlp.train(X, X[:, :2], epochs=1).layer_sizes[-1] == 2
    assert fastmlp.train(X, y.tolist(), epochs=1).output == "sigmoid"
    assert fastmlp.train(X, ["a", "b"] * 30, epochs=1).classes.tolist() == ["a", "b"]


def test_the_delta_of_huber_stays_with_the_network(tmp_path):
    X, _ = toy()
    options = {"loss": "huber", "epochs": 1, "hidden": 2}
    assert fastmlp.train(X, X[:, 0], **options).huber_delta == 1
    model = fastmlp.train(X, X[:, 0], huber_delta=0.25, **options)
    population = fastmlp.train_many(X, X[:, 0], huber_delta=0.25, members=2, **options)
    error = np.abs(model.predict(X) - X[:, 0])
    np.testing.assert_allclose(
        model.loss(X, X[:, 0]), np.where(error < 0.25, error**2 / 2, 0.25 * (error - 0.125)).mean(), rtol=1e-12
    )
    for one in (model, population):
        one.save(tmp_path / "model.npz")
    assert [member.huber_delta for member in fastmlp.load(tmp_path / "model.npz")] == [0.25, 0.25]
    model.save(tmp_path / "model.npz")
    loaded = fastmlp.load(tmp_path / "model.npz")
    assert loaded.loss(X, X[:, 0]) == model.loss(X, X[:, 0])
    assert fastmlp.train(X, X[:, 0], init=loaded, epochs=1).huber_delta == 0.25
    assert fastmlp.train(X, X[:, 0], init=loaded, epochs=1, huber_delta=2).huber_delta == 2
    with pytest.raises(ValueError, match="huber_delta must be a positive number; got 0"):
        fastmlp.MLP.from_weights([np.eye(3)], loss="huber", huber_delta=0)


def test_a_delta_of_huber_that_no_network_has_a_use_for_is_told():
    X, _ = toy()
    y, options = X[:, 0], {"epochs": 1, "hidden": 2, "seed": 0}
    huber = fastmlp.train(X, y, loss="huber", **options)
    squared = fastmlp.train(X, y, **options)
    for train in (
        lambda **more: fastmlp.train(X, y, huber_delta=2, epochs=1, **more),
        lambda **more: fastmlp.train_many(X, y, huber_delta=2, epochs=1, members=2, **more),
        lambda **more: fastmlp.Trainer(huber_delta=2, **more).partial_fit(X, y),
    ):
        told = r"^huber_delta is for loss='huber'; got huber_delta=2 with the loss 'squared_error'$"
        for how in ({}, {"loss": "squared_error"}, {"init": squared}, {"init": huber, "loss": "squared_error"}):
            with pytest.raises(ValueError, match=told):
                train(**how)
        train(init=huber)
    members = fastmlp.train_many(X, y, init=[squared, huber], huber_delta=2, epochs=1)  # of which one has
    assert [member.loss_name for member in members] == ["squared_error", "huber"] and members[1].huber_delta == 2


# -- The first weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["glorot", "he", "normal", "uniform"])
def test_inits_have_their_distributions(init):
    X, y = np.random.default_rng(0).normal(size=(4, 300)), np.array([0.0, 1.0, 2.0, 3.0])
    theta = initial_theta(X, y, hidden=(400,), init=init, seed=0, task="regression")
    n = 300 * 400
    w, b = theta[:n], theta[n : n + 400]
    low, high = {"glorot": (-1, 1), "uniform": (0, 1)}.get(init, (-np.inf, np.inf))
    if init == "glorot":  # U[-r, r) with r = sqrt(6 / (300 + 400))
        spread = np.sqrt(6 / 700)
        low, high, mean, deviation = -spread, spread, 0, spread / np.sqrt(3)
    elif init == "uniform":
        mean, deviation = 0.5, np.sqrt(1 / 12)
    else:
        mean, deviation = 0, 0.1 if init == "normal" else np.sqrt(2 / 300)
    assert low <= w.min() and w.max() < high
    assert abs(w.mean() - mean) < 5 * deviation / np.sqrt(n)
    assert abs(w.std() - deviation) < 5 * deviation / np.sqrt(2 * n)
    if init in ("glorot", "he"):
        assert np.abs(b).max() < 1e-290  # 0, but for the one step
    else:
        assert abs(b.mean() - mean) < 5 * deviation / np.sqrt(400) and b.std() > deviation / 2


@pytest.mark.parametrize("init", ["glorot", "he", "normal", "uniform"])
def test_data_seed_leaves_the_initial_weights_to_seed(init):
    X, y = toy()
    options = {"init": init, "batch_size": None}  # one step, in which no order matters
    theta = initial_theta(X, y, **options, seed=1, data_seed=5)
    assert np.array_equal(theta, initial_theta(X, y, **options, seed=1, data_seed=6))
    assert np.array_equal(theta, initial_theta(X, y, **options, seed=1))
    assert not np.array_equal(theta, initial_theta(X, y, **options, seed=2, data_seed=5))


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_the_same_seed_gives_the_same_bits(batch_size):
    X, y = toy()
    one, same, other = (fastmlp.train(X, y, epochs=5, batch_size=batch_size, seed=s).theta for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_without_a_seed_every_run_is_its_own():
    X, y = toy()
    assert not np.array_equal(fastmlp.train(X, y, epochs=1).theta, fastmlp.train(X, y, epochs=1).theta)


def test_training_draws_nothing_from_the_global_generator():
    before = np.random.get_state()[1].copy()
    fastmlp.train(*toy(), epochs=2)
    assert np.array_equal(np.random.get_state()[1], before)


# -- A network to go on from ---------------------------------------------------------------------------------------------------


def test_a_warm_start_goes_on_where_it_was():
    X, y = toy()
    options = {"batch_size": 7, "optimizer": "sgd", "learning_rate": 0.1, "shuffle": False, "standardize": False}
    whole = fastmlp.train(X, y, hidden=(5, 4), activation=("relu", "tanh"), epochs=10, seed=0, **options)
    half = fastmlp.train(X, y, hidden=(5, 4), activation=("relu", "tanh"), epochs=5, seed=0, **options)
    before = half.theta.copy()
    rest = fastmlp.train(X, y, init=half, epochs=5, **options)
    assert np.array_equal(half.theta, before), "the network that it starts from stays as it is"
    assert rest.layer_sizes == (3, 5, 4, 1) and rest.activations == ("relu", "tanh")
    np.testing.assert_allclose(rest.theta, whole.theta, rtol=1e-12)
    np.testing.assert_allclose(rest.history.loss, whole.history.loss[5:], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_five_and_five_epochs_with_the_state_are_ten(batch_size, optimizer, dtype, tmp_path):
    X, y = toy()
    X, targets = (10 * X + 3).astype(dtype), (1e3 * X[:, :2]).astype(dtype)
    for answers in (y, targets):
        options = {"batch_size": batch_size, "optimizer": optimizer, "hidden": 4, "keep_state": True, "validation": 0.2}
        ten = fastmlp.train(X, answers, epochs=10, seed=3, **options)
        five = fastmlp.train(X, answers, epochs=5, seed=3, **options)
        begun = five.theta.copy()
        five.save(tmp_path / "five.npz")
        for first in (five, fastmlp.load(tmp_path / "five.npz")):
            rest = fastmlp.train(X, answers, init=first, epochs=5, **options)
            assert np.array_equal(rest.theta, ten.theta)
            assert np.array_equal(rest.history.loss, ten.history.loss[5:])
            assert np.array_equal(rest.history.validation_loss, ten.history.validation_loss[5:])
            assert rest.state.epochs == 10 and rest.state.seed == 3
        assert np.array_equal(five.theta, begun) and five.state.epochs == 5, "what it goes on from stays as it is"


@pytest.mark.parametrize(
    "options", [{"data_seed": 9, "validation": 0.2, "bootstrap": True}, {"warmup": 3}, {"warmup": 7.5}, {"shuffle": False}], ids=str
)
def test_five_and_five_are_ten_with_any_option_that_goes_on(options):
    X, y = toy()
    options = {"hidden": 4, "keep_state": True, "batch_size": 7, **options}
    ten = fastmlp.train(X, y, epochs=10, seed=3, **options)
    five = fastmlp.train(X, y, epochs=5, seed=3, **{**options, "warmup": min(options.get("warmup", 0), 4.9)})
    if options.get("warmup", 0) < 5:
        assert np.array_equal(fastmlp.train(X, y, epochs=5, init=five, **options).theta, ten.theta)
    else:
        with pytest.raises(ValueError, match=r"warmup must be fewer epochs than epochs=5; got 7\.5"):
            fastmlp.train(X, y, epochs=5, seed=3, **options)


def test_a_state_is_used_where_it_fits():
    X, y = toy()
    options = {"hidden": 4, "seed": 0, "batch_size": None}
    first = fastmlp.train(X, y, epochs=5, keep_state=True, **options)
    assert fastmlp.train(X, y, epochs=5, init=first, **options).state is None
    plain = fastmlp.train(X, y, epochs=5, optimizer="sgd", init=first, **options)
    first.state, kept = None, first.state
    assert np.array_equal(plain.theta, fastmlp.train(X, y, epochs=5, optimizer="sgd", init=first, **options).theta)
    first.state = kept
    first.theta *= 1.01  # the network was changed since: it is what the training begins with, not what the state has
    changed = fastmlp.train(X, y, epochs=1, init=first, learning_rate=1e-300, **options)
    np.testing.assert_allclose(changed.theta, first.theta, rtol=1e-12)
    other = fastmlp.train(X + 1, y, epochs=1, init=first, learning_rate=1e-300, **options)  # scaled in another way
    np.testing.assert_allclose(other.predict_proba(X), first.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("standardize", [True, False])
def test_a_warm_start_begins_with_the_same_answers(standardize):
    X, y = toy()
    X = 10 * X + 100
    first = fastmlp.train(X, y, epochs=20, seed=0)
    second = fastmlp.train(X, y, init=first, epochs=1, optimizer="sgd", learning_rate=1e-300, standardize=standardize)
    np.testing.assert_allclose(second.predict_proba(X), first.predict_proba(X), rtol=1e-10)


@pytest.mark.parametrize(
    ("option", "fragment"),
    [
        ({"hidden": (7,)}, "hidden"),
        ({"activation": "tanh"}, "activation"),
        ({"output": "softmax"}, "output"),
        ({"bias": False}, "bias"),
    ],
    ids=str,
)
def test_options_that_contradict_the_warm_start_are_rejected(option, fragment):
    X, y = toy()
    model = fastmlp.train(X, y, hidden=(5,), epochs=1)
    fastmlp.train(X, y, init=model, hidden=(5,), activation="relu", output="sigmoid", loss="cross_entropy", epochs=1)
    with pytest.raises(ValueError, match=fragment):
        fastmlp.train(X, y, init=model, **option)


def test_a_warm_start_needs_the_same_features_and_classes():
    X, y = toy()
    model = fastmlp.train(X, y, epochs=1)
    with pytest.raises(ValueError, match="3"):
        fastmlp.train(X[:, :2], y, init=model)
    with pytest.raises(ValueError, match=r"y\[1\] is 2"):
        fastmlp.train(X, y + 1, init=model)
