"""A loss that is a function trains like one of ours, in every trainer; and a gradient that is none is found in time."""

import numpy as np
import pytest
from cases import one_sentence, toy
from pairs import in_pairs

import fastmlp
from fastmlp.kernels import batch, inference

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4))
Y = np.sin(X[:, :2]) + 0.1 * RNG.normal(size=(150, 2))
CLASSES = RNG.integers(0, 3, 150)


def half_square(prediction, target):
    """What squared_error is."""
    e = prediction - target
    return e * e / 2, e


def pinball(prediction, target):
    """Of the quantile 0.8, with a kink at 0."""
    e = target - prediction
    return (0.8 * e, -0.8) if e > 0 else (-0.2 * e, 0.2)


TRAINERS = {
    "batches": {"batch_size": 32},
    "full batch": {"batch_size": None, "optimizer": "momentum"},
    "wide": {"hidden": (160, 90), "batch_size": 16, "epochs": 3},
    "samples": {"batch_size": 1, "optimizer": "sgd", "learning_rate": 0.01},
    "L-BFGS": {"optimizer": "lbfgs"},
}
TARGETS = {
    "numbers": (Y, {}),
    "one number": (Y[:, 0], {}),
    "positive": (np.exp(Y[:, 0]), {"output": "exp"}),
    "softplus": (np.exp(Y[:, 0]), {"output": "softplus"}),
    "two classes": (CLASSES > 0, {}),
    "three classes": (CLASSES, {}),
}


@in_pairs(trainer=TRAINERS, targets=TARGETS, dtype=["float32", "float64"])
def test_it_trains_like_a_loss_of_ours(trainer, targets, dtype):
    """Sums round once for each term. Adam, whose steps are as long for any gradient, and solvers that search make more of that: it
    is compared after a few epochs."""
    y, of = TARGETS[targets]
    options = (
        {"hidden": (6,), "activation": "tanh", "epochs": 4, "seed": 0, "dtype": dtype, "validation": 0.2} | of | TRAINERS[trainer]
    )
    own = fastmlp.train(X, y, loss=half_square, threads=1, **options)
    ours = fastmlp.train(X, y, loss="squared_error", **options)
    tolerance = 1e-3 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(own.history.loss, ours.history.loss, rtol=tolerance)
    np.testing.assert_allclose(own.history.validation_loss, ours.history.validation_loss, rtol=tolerance)
    np.testing.assert_allclose(own.theta, ours.theta, rtol=0, atol=tolerance * np.abs(ours.theta).max())
    assert np.array_equal(own.theta, fastmlp.train(X, y, loss=half_square, threads=2, **options).theta)
    assert (own.loss_name, own.output, own.loss_function) == ("half_square", ours.output, half_square)


@pytest.mark.parametrize("targets", ["numbers", "two classes", "three classes"])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_member_is_what_train_makes(trainer, targets):
    y, _ = TARGETS[targets]
    options = {"hidden": (6,), "activation": "tanh", "epochs": 4, "loss": pinball} | TRAINERS[trainer]
    population = fastmlp.train_many(X, y[:, None] if y.ndim == 2 else y, seed=range(3), **options)
    for seed, member in enumerate(population):
        alone = fastmlp.train(X, y, seed=seed, **options)
        np.testing.assert_allclose(member.history.loss, alone.history.loss, rtol=1e-9)
        np.testing.assert_allclose(member.theta, alone.theta, rtol=0, atol=1e-9 * np.abs(alone.theta).max())
        assert member.loss_function is pinball


def test_no_kernel_is_compiled_anew_for_a_function():
    def square(prediction, target):
        return (prediction - target) ** 2, 2 * (prediction - target)

    counts = []
    for loss in ("huber", half_square, square):
        fastmlp.train(X, Y, loss=loss, hidden=6, epochs=1, seed=0)
        counts.append([len(kernel.signatures) for kernel in (batch.train_by_batches, inference.predict_few)])
    assert counts[0][0] and counts[1:] == [counts[1]] * 2 and counts[1][0] == counts[0][0]


def test_large_batches_have_the_same_bits_for_any_number_of_threads():
    x = np.random.default_rng(1).normal(size=(20_000, 8))
    first, second = (
        fastmlp.train(x, np.sin(x[:, 0]), loss=pinball, hidden=32, batch_size=None, epochs=3, seed=0, threads=threads)
        for threads in (1, 2)
    )
    assert np.array_equal(first.theta, second.theta)


def test_a_quantile_is_learnt():
    x = np.random.default_rng(0).uniform(-1, 1, size=(4000, 1))
    y = x[:, 0] + np.random.default_rng(1).normal(size=4000)
    model = fastmlp.train(x, y, loss=pinball, hidden=8, seed=0)
    below = np.mean(y <= model.predict(x))
    assert abs(below - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 4000)


def test_rows_that_weigh_nothing_are_not_looked_at():
    def relative(prediction, target):
        e = prediction / target - 1
        return e * e / 2, e / target

    y = np.exp(Y[:, 0])
    y[::3] = 0.0
    weights = (y > 0).astype(float)
    for more in ({"batch_size": 32}, {"batch_size": 1, "optimizer": "sgd", "learning_rate": 1e-3}):
        model = fastmlp.train(X, y, sample_weight=weights, loss=relative, output="exp", hidden=3, epochs=5, seed=0, **more)
        assert np.isfinite(model.history.loss).all()


def _wrong(prediction, target):
    return (prediction - target) ** 2, prediction - target


def _infinite(prediction, target):
    return np.log(-1.0 - prediction**2), 1.0


def _raising(prediction, target):
    if target < 100:
        raise ValueError("nothing to say")
    return prediction, 1.0


def _one(prediction):
    return prediction, 1.0


def _single(prediction, target):
    return prediction - target


def _strange(prediction, target):
    return unknown(prediction), 1.0  # noqa: F821


@pytest.mark.parametrize(
    ("loss", "fragments"),
    [
        (
            _wrong,
            ["gradient of the loss function '_wrong'", "for the prediction ", "and the target ", "differences of the loss give "],
        ),
        (_infinite, ["the loss function '_infinite' must give finite numbers", "gives the loss nan and the gradient 1"]),
        (_raising, ["the loss function '_raising' must give finite numbers and raise no error", "loss nan"]),
        (_one, ["loss must be a function of two numbers, the prediction and the target; '_one' is not"]),
        (_single, ["the loss function '_single' must give a pair of numbers", "it gives float64"]),
        (_strange, ["the loss function '_strange' does not compile: NameError: name 'unknown' is not defined"]),
        (3, ["loss must be a name, or a function (prediction, target) -> (loss, gradient); got 3"]),
        (len, ["loss must be a name, or a function"]),
        ("pinball", ["loss must be one of 'absolute_error', ", "got 'pinball'"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_with_it_is_a_sentence(loss, fragments):
    for train in (fastmlp.train, fastmlp.train_many):
        with one_sentence(fragments):
            train(X, Y[:, 0], loss=loss, hidden=3, epochs=2, seed=0)


def test_a_gradient_is_compared_for_classes_that_stand_one_after_the_other():
    """y is sorted, and only the target 1 finds what is wrong."""
    x, y = toy(600)
    order = np.argsort(y, kind="stable")

    def wrong(prediction, target):
        return (prediction - target) ** 2, 2 * (prediction - target) * (1 + target)

    with one_sentence(["the loss function 'wrong'", "the target 1 "]):
        fastmlp.train(x[order], y[order], loss=wrong, epochs=1, batch_size=8, seed=0)


def test_kinks_and_ends_of_what_is_known_are_no_mistakes():
    def kinked(prediction, target):  # at the first prediction of all rows
        return abs(prediction), (1.0 if prediction > 0 else -1.0)

    def root(prediction, target):
        return np.sqrt(prediction + 1.0) if prediction >= 0 else np.nan, 0.5 / np.sqrt(prediction + 1.0)

    zero = fastmlp.MLP.from_weights([np.zeros((4, 1))], [np.zeros(1)])
    for loss in (kinked, root):
        fastmlp.train(X, np.zeros(len(X)), init=zero, loss=loss, batch_size=None, optimizer="sgd", epochs=1, seed=0)

    def beyond(prediction, target):
        return abs(prediction), 1.1

    with one_sentence(["the loss function 'beyond'", "gives 1.1"]):
        fastmlp.train(X, np.zeros(len(X)), init=zero, loss=beyond, epochs=1, seed=0)


def test_what_is_no_number_later_ends_as_divergence():
    def short(prediction, target):
        if abs(prediction) > 30:
            raise ValueError("too far")
        return -prediction, -1.0

    for more in ({"optimizer": "sgd", "batch_size": 1}, {"optimizer": "sgd", "batch_size": 10}, {}):
        with pytest.raises(fastmlp.DivergedError):
            fastmlp.train(X, Y[:, 0], loss=short, learning_rate=0.5, hidden=3, epochs=100, seed=0, **more)


def test_levenberg_marquardt_is_for_squares():
    with one_sentence(["loss must be 'squared_error' for the optimizer 'levenberg-marquardt'; got the function 'squared_error'"]):

        def squared_error(prediction, target):
            return prediction - target, 1.0

        fastmlp.train(X, Y[:, 0], loss=squared_error, optimizer="levenberg-marquardt")


def test_what_numba_does_not_know_at_all_is_a_sentence():
    def imports(prediction, target):
        import math

        return math.cosh(prediction - target), math.sinh(prediction - target)

    with pytest.raises(ValueError, match="the loss function 'imports' does not compile"):
        fastmlp.train(np.ones((9, 1)), np.arange(9) / 2, loss=imports)
