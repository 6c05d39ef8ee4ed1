"""A loss that a caller brings: kernels call it for each output, in its own precision, and nothing that it does goes unnoticed."""

import copy
import pickle
import re

import numba
import numpy as np
import pytest
from cases import HIDDEN_ACTIVATIONS, central_differences, labels_of, mlp, network_of, problem

from benchmarks import reference
from fastmlp.kernels import losses
from fastmlp.kernels.activations import CODES, OUTPUTS
from fastmlp.kernels.custom_loss import CustomLoss
from fastmlp.kernels.simd import get, lanes_of, load, put, store

pytestmark = [pytest.mark.kernels, pytest.mark.versions(dtype=np.float64)]

compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
ROWS = (1, 33) if numba.config.DISABLE_JIT else (1, 33, 1000)


def half_square(prediction, target):
    """What squared_error is."""
    e = prediction - target
    return e * e / 2, e


def log_cosh(prediction, target):
    """log cosh(e), smooth and like nothing of ours."""
    e = prediction - target
    return abs(e) + np.log1p(np.exp(-2 * abs(e))) - np.log(2.0), np.tanh(e)


@numba.njit
def _by_code(out, code, activation, z, t, w):
    n, one = z.size, z.dtype.type(1)
    for k in range(0, n, lanes_of(z)):
        e, d = losses.of_any_logit(code, activation, load(z, k), load(t, k), one, load(w, k))
        store(out, k, e)
        store(out, n + k, d)
    for k in range(n):
        e, d = losses.of_any_logit(code, activation, get(z, k), get(t, k), one, get(w, k))
        put(out, 2 * n + k, e)
        put(out, 3 * n + k, d)


def by_code(code, activation, *arrays):
    out = np.empty((4, arrays[0].size), arrays[0].dtype)
    _by_code(out.reshape(-1), np.int64(code), np.int64(CODES[activation]), *arrays)
    assert np.array_equal(out[:2], out[2:], equal_nan=True), "vectors and numbers come to the same"
    return out[:2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", [name for name in OUTPUTS if name != "softmax"])
def test_vectors_and_numbers_are_handed_to_it(activation, dtype):
    rng = np.random.default_rng(0)
    z, t, w = (rng.normal(size=64).astype(dtype) for _ in range(3))
    w = np.abs(w)
    own = by_code(CustomLoss("half_square", half_square).found.address, activation, z, t, w)
    ours = by_code(losses.CODES["squared_error"], activation, z, t, w)
    np.testing.assert_allclose(own, ours, rtol=0, atol=8 * np.finfo(dtype).eps * np.abs(ours).max())


def test_an_error_is_no_number_and_what_weighs_nothing_is_nothing():
    def picky(prediction, target):
        if prediction > target:
            raise ValueError("too much")
        return target - prediction, -1.0

    z, t, w = np.linspace(-2, 2, 16), np.zeros(16), (np.arange(16) % 3).astype(float)
    found = by_code(CustomLoss("picky", picky).found.address, "identity", z, t, w)
    bad = (z > 0) & (w > 0)
    assert np.isnan(found[:, bad]).all()
    assert np.array_equal(found[:, ~bad], np.where(w > 0, [-z, -np.ones(16)], 0)[:, ~bad])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(), (4, 3), (64,)], ids=str)
@pytest.mark.parametrize("output", OUTPUTS)
def test_loss_and_gradient_are_those_of_the_reference(output, hidden, dtype):
    """With tolerances as in test_gradients.py."""
    network = network_of("tanh", output, log_cosh, hidden)
    for rows in ROWS:
        theta, X, targets = problem(network, rows, dtype)
        wide = [array.astype(float) for array in (theta, X, targets)]
        tolerance = 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))
        model = mlp(network, theta)
        gradient, loss = model.gradient(X, targets), model.loss(X, targets)
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, reference.backward(network, *wide), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(loss, reference.loss(network, *wide), rtol=tolerance, atol=tolerance)


@compiled_only
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_gradient_is_the_derivative_of_the_loss(activation):
    network = network_of(activation, "softplus", log_cosh, (4, 3))
    theta, X, targets = problem(network, rows=7)
    gradient = mlp(network, theta).gradient(X, targets)
    differences = central_differences(lambda t: mlp(network, t).loss(X, targets), theta)
    np.testing.assert_allclose(gradient, differences.values, rtol=0, atol=differences.tolerance)


def test_an_update_is_a_step_down_its_gradient():
    for output in OUTPUTS:
        network = network_of("tanh", output, log_cosh, (4,))
        theta, X, targets = problem(network, rows=1)
        y, classes = labels_of(network, targets)
        model = mlp(network, theta, classes)
        loss = model.update(X[0], y[0], 0.1)
        np.testing.assert_allclose(loss, reference.loss(network, theta, X, targets), rtol=1e-12)
        np.testing.assert_allclose(model.theta, theta - 0.1 * reference.backward(network, theta, X, targets), rtol=1e-12)


def test_a_function_is_compiled_once_and_anew_for_other_numbers_around_it():
    def scaled(factor):
        return lambda prediction, target: (factor * (prediction - target), factor)

    one = scaled(2.0)
    first = CustomLoss("scaled", one).found
    assert CustomLoss("scaled", one).found is first
    factor = 3.0

    def around(prediction, target):
        return factor * prediction, factor

    before = CustomLoss("around", around).found
    factor = 5.0
    assert CustomLoss("around", around).found is not before
    assert CustomLoss("around", around).each(np.ones(1), np.ones(1)).tolist() == [[5.0], [5.0]]


@compiled_only
@pytest.mark.parametrize("how", [lambda function: function, numba.njit], ids=["plain", "njit"])
def test_it_is_pickled_with_its_function_wherever_that_stands(how):
    custom = CustomLoss("shifted", how(lambda prediction, target: (prediction - target, 1.0)))
    other = pickle.loads(pickle.dumps(custom))
    assert other.name == "shifted"
    assert other.each(np.array([3.0]), np.array([1.0])).tolist() == [[2.0], [1.0]]
    assert copy.deepcopy(custom) is custom


@compiled_only
@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda prediction, target: prediction - target, "must give a pair of numbers, .*; it gives float64"),
        (lambda prediction, target: (prediction, "a"), "must give a pair of numbers, .*; it gives Tuple.float64, .*"),
        (lambda prediction, target: (prediction, 1j), "must give a pair of numbers, .*"),
        (lambda prediction, target: (unknown(prediction), 1.0), "does not compile: NameError: name 'unknown' is not defined"),  # noqa: F821
        (
            lambda prediction, target: (prediction + "a", 1.0),
            r"does not compile: No implementation .* for signature: .*add.*",
        ),
        (lambda prediction, target: (prediction.x, 1.0), "does not compile: Unknown attribute 'x' of type float64"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(function, said):
    found = CustomLoss("wrong", function).found
    assert isinstance(found, str) and re.fullmatch(said, found), found
