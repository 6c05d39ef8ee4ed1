"""MLP.jit(update=True): what predicts and what updates in compiled code share parameters, which Python reads and writes too."""

import functools
import gc
import warnings

import numba
import numpy as np
import pytest
from cases import OUTPUT_LOSSES, labels_of, mlp, network_of, problem

from fastmlp import MLP
from fastmlp.networks.functions import Learner

DTYPES = (np.float32, np.float64)
compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="with the JIT off there are no types")
CLASSIFIER, BINARY = (
    network_of("tanh", "softmax", "cross_entropy", (5,)),
    network_of("relu", "sigmoid", "cross_entropy", (), outputs=1),
)
SEVERAL = network_of("relu", "identity", "squared_error", (9, 4), outputs=2, bias=False)
SINGLE = network_of("tanh", "softplus", "poisson", (5,), outputs=1)


def problem_of(network, dtype=np.float64, rows=30):
    """A model, rows, what MLP.update takes as y, and what the compiled update takes."""
    theta, X, targets = problem(network, rows, dtype)
    y, classes = labels_of(network, targets)
    if classes is not None:
        return mlp(network, theta, np.array([f"class {k}" for k in classes])), X, [f"class {k}" for k in y], y
    return mlp(network, theta), X, y, (y[:, 0] if y.shape[1] == 1 else y)


@functools.cache
def learner_of(network, dtype=np.float64):
    """One for all tests that leave open what it has learnt, as each is compiled anew."""
    return problem_of(network, dtype)[0].jit(update=True)


@pytest.fixture
def single():
    model, X, _, y = problem_of(SINGLE)
    learner = learner_of(SINGLE)
    learner.theta = model.theta
    return model, X, y, learner


# Each is compiled anew, for some seconds: every output and both dtypes.
LEARNERS = [
    (CLASSIFIER, np.float32),
    (CLASSIFIER, np.float64),
    (BINARY, np.float32),
    pytest.param(SINGLE, np.float64, marks=pytest.mark.versions),
    (SEVERAL, np.float64),
]


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("network", "dtype"),
    [(network_of("silu", *pair, (3,)), dtype) for pair in OUTPUT_LOSSES for dtype in DTYPES]
    if numba.config.DISABLE_JIT
    else LEARNERS,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_it_learns_what_the_model_learns_bit_for_bit(network, dtype):
    model, X, labels, y = problem_of(network, dtype)
    predict, update = learner = learner_of(network, dtype)
    learner.theta = model.theta
    assert isinstance(learner, Learner) and (predict, update) == (learner.predict, learner.update)
    frozen = model.jit()
    for n in range(len(X)):
        before = predict(X[n])
        if n == 0:  # where compilers join other operations, a last bit may differ
            np.testing.assert_allclose(before, frozen(X[n]), rtol=8 * np.finfo(dtype).eps)
        assert update(X[n], y[n], 0.01) == model.update(X[n], labels[n], 0.01)
        assert predict(X[n]) != before
    assert learner.theta.dtype == dtype
    assert np.array_equal(learner.theta, model.theta)
    np.testing.assert_allclose(predict(X[0]), model.jit()(X[0]), rtol=8 * np.finfo(dtype).eps)


def test_compiled_loops_learn_and_python_brings_it_home(single):
    model, X, y, _ = single
    learner = model.jit(update=True)
    predict, update = learner

    @numba.njit
    def run(X, y, times):
        last = 0.0
        for _ in range(times):
            last = 0.0
            for n in range(len(X)):
                last += update(X[n], y[n], 0.05)
        return last / len(X), predict(X[0])

    before = model.loss(X, y)
    loss, first = run(X, y, 100)
    assert loss < 0.9 * before
    assert model.loss(X, y) == before, "the model has parameters of its own"
    home = mlp(SINGLE, learner.theta)
    assert home.loss(X, y) < 0.9 * before
    np.testing.assert_allclose(home.predict(X[:1])[0], first, rtol=1e-12)


def test_what_theta_is_set_to_is_what_both_go_on_with(single):
    model, X, y, learner = single
    learner.theta = model.theta
    frozen, other = model.jit(), mlp(SINGLE, 0.5 * model.theta)
    assert learner.predict(X[0]) == frozen(X[0])
    learner.theta = other.theta.tolist()
    assert learner.predict(X[0]) == other.jit()(X[0])
    assert learner.update(X[0], y[0], 0.1) == other.update(X[0], y[0], 0.1)
    assert np.array_equal(learner.theta, other.theta)
    copy = learner.theta
    copy[:] = 0
    assert np.array_equal(learner.theta, other.theta)
    with pytest.raises(ValueError, match=r"^theta must be finite; theta\[0\] is nan$"):
        learner.theta = np.full(copy.size, np.nan)
    with pytest.raises(
        ValueError, match=r"^theta must have shape \(26,\), a number for each parameter of the network; got \(3,\)$"
    ):
        learner.theta = np.zeros(3)


def test_two_learners_of_one_model_share_nothing(single):
    model, X, y, _ = single
    one, other = model.jit(update=True), model.jit(update=True)
    one.update(X[0], y[0], 0.1)
    assert np.array_equal(other.theta, model.theta) and not np.array_equal(one.theta, model.theta)


def test_it_gives_derivatives_too():
    model, X, _, y = problem_of(SEVERAL)
    predict, update = learner = model.jit(jacobian=True, update=True)
    update(X[0], y[0], 0.1)
    now = mlp(SEVERAL, learner.theta)
    outputs, jacobian = predict(X[0])
    np.testing.assert_allclose(outputs, now.predict(X[:1])[0], rtol=1e-12)
    np.testing.assert_allclose(jacobian, now.jacobian(X[:1])[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("network", "x", "y", "rate", "told"),
    [
        (SINGLE, [0.0] * 2, 1.0, 0.1, "x must hold 3 numbers, one for each input of the network"),
        (SINGLE, [0.0] * 3, -1.0, 0.1, "y must be at least 0 for the loss of the network"),
        (SINGLE, [0.0] * 3, 1.0, 0.0, "learning_rate must be a positive number"),
        (SINGLE, [0.0] * 3, 1.0, np.nan, "learning_rate must be a positive number"),
        (SINGLE, [0.0] * 3, 1.0, np.inf, "learning_rate must be a positive number"),
        (CLASSIFIER, [0.0] * 3, 3, 0.1, "y must be a class number, a whole number from 0 to 2"),
        (CLASSIFIER, [0.0] * 3, -1, 0.1, "y must be a class number, a whole number from 0 to 2"),
        (CLASSIFIER, [0.0] * 3, 0.5, 0.1, "y must be a class number, a whole number from 0 to 2"),
        (CLASSIFIER, [0.0] * 3, np.nan, 0.1, "y must be a class number, a whole number from 0 to 2"),
        (SEVERAL, [0.0] * 3, np.zeros(3), 0.1, "y must hold 2 numbers, one for each output of the network"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_learnt(network, x, y, rate, told):
    learner = learner_of(network)
    before = learner.theta
    with pytest.raises(ValueError, match=f"^{told}$"):
        learner.update(np.array(x), y, rate)
    assert np.array_equal(learner.theta, before)


def test_targets_of_a_softmax_regressor_sum_to_1():
    model = MLP.from_weights([np.zeros((2, 2))], output="softmax")
    learner = model.jit(update=True)
    assert learner.update((1.0, 2.0), (0.25, 0.75), 0.1) > 0
    with pytest.raises(ValueError, match=r"^y must sum to 1 for a softmax output$"):
        learner.update((1.0, 2.0), (0.25, 0.25), 0.1)
    with pytest.raises(ValueError, match=r"^y must lie between 0 and 1 for the loss of the network$"):
        learner.update((1.0, 2.0), (-0.25, 1.25), 0.1)


def test_nothing_is_learnt_from_what_is_not_finite(single):
    _, X, y, learner = single
    before = learner.theta
    for x, target in ((np.array([0, np.nan, 0]), y[0]), (np.array([0, np.inf, 0]), y[0]), (X[0], np.nan), (X[0], np.inf)):
        assert np.isnan(learner.update(x, target, 0.1))
    assert np.array_equal(learner.theta, before)


@compiled_only
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (([0.0] * 3, 1.0, 0.1), r"x must be an array, or a tuple, of 3 numbers of one type; got list"),
        ((np.zeros(3), np.zeros(1), 0.1), r"y must be a number; got float64 of shape \(1,\)"),
        ((np.zeros(3), "yes", 0.1), r"y must be a number; got str"),
        ((np.zeros(3), 1.0, None), r"learning_rate must be a number; got NoneType"),
    ],
)
def test_what_it_cannot_take_is_told_in_a_sentence(arguments, told, single):
    with pytest.raises(ValueError, match=f"^{told}$"):
        single[3].update(*arguments)


@compiled_only
def test_what_several_outputs_cannot_take_is_told_in_a_sentence():
    _, update = learner = learner_of(SEVERAL)
    learner.theta = problem_of(SEVERAL)[0].theta

    @numba.njit
    def caller(x, y):
        return update(x, y, 0.1)

    with pytest.raises(ValueError, match=r"^y must be an array, or a tuple, of 2 numbers of one type; got float$"):
        update(np.zeros(3), 1.0, 0.1)
    with pytest.raises(numba.TypingError, match=r"\ny must be an array, or a tuple, of 2 numbers of one type; got float64"):
        caller(np.zeros(3), 1.0)
    assert caller(np.zeros(3), (1, 2)) == 2.5


@compiled_only
def test_code_that_calls_them_keeps_their_parameters():
    model, X, _, y = problem_of(SINGLE)

    def caller_of(model):
        predict, update = model.jit(update=True)

        @numba.njit
        def caller(x, y):
            update(x, y, 0.1)
            return predict(x)

        caller(X[0], y[0])
        return caller.overloads[next(iter(caller.overloads))].entry_point  # without the functions themselves

    call = caller_of(model)
    gc.collect()
    held = [np.full(200, np.nan) for _ in range(1000)]  # where memory that nobody keeps would be taken from
    model.update(X[0], y[0], 0.1)
    model.update(X[0], y[0], 0.1)
    assert call(X[0], y[0]) == model.jit()(X[0])
    del held


@compiled_only
def test_code_that_calls_them_is_not_cached_on_disk(tmp_path, monkeypatch):
    """As it would look for the parameters where they were in another process."""
    predict, _ = problem_of(SINGLE)[0].jit(update=True)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def caller(x):
        return predict(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numba.NumbaWarning)
        numba.njit(cache=True)(caller)(np.zeros(3))
    assert not list(tmp_path.rglob("*.nbi"))


def test_parameters_that_are_not_finite_are_rejected():
    model, *_ = problem_of(SINGLE)
    model.theta[7] = np.nan
    with pytest.raises(ValueError, match=r"^theta must be finite; theta\[7\] is nan$"):
        model.jit(update=True)
    with pytest.raises(ValueError, match=r"^update must be True or False; got 'yes'$"):
        model.jit(update="yes")
