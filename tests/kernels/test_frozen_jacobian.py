"""MLP.jit(jacobian=True): the outputs, and their derivatives by the inputs, for compiled code."""

import numba
import numpy as np
import pytest
from cases import DEPTHS, HIDDEN_ACTIVATIONS, mlp, network_of, problem

from benchmarks.reference import Network
from fastmlp import MLP

DTYPES = (np.float32, np.float64)
ROWS = 12
OUTPUTS = [("identity", "squared_error"), ("softplus", "squared_error"), ("sigmoid", "cross_entropy"), ("softmax", "cross_entropy")]
EVERY = [
    network_of(activation, output, loss, hidden, outputs=outputs)
    for activation in HIDDEN_ACTIVATIONS
    for output, loss in OUTPUTS
    for hidden in DEPTHS
    for outputs in (1, 3)
    if (output, outputs) != ("softmax", 1)
]
# Each is compiled anew: every output and depth, with and without biases, narrower and wider than a vector.
SOME = [
    Network((3, 1), (), "sigmoid", "cross_entropy"),
    Network((2, 9), (), "softmax", "cross_entropy"),
    Network((11, 17, 3), ("relu",), "identity", "squared_error", bias=False),
    Network((3, 8, 9, 4), ("gelu", "identity"), "softmax", "cross_entropy"),
    Network((1, 3, 7, 2, 1), ("tanh", "silu", "sigmoid"), "exp", "squared_error"),
]
SOFTMAX, SINGLE = (
    network_of("tanh", "softmax", "cross_entropy", (5,)),
    network_of("tanh", "identity", "squared_error", (5,), outputs=1),
)


def asked(network, dtype=np.float64):
    theta, X, _ = problem(network, ROWS, dtype)
    model = mlp(network, theta)
    return model, X, model.jit(jacobian=True)


@pytest.fixture(scope="module")
def softmax():
    return asked(SOFTMAX)


@pytest.fixture(scope="module")
def single():
    return asked(SINGLE)


@pytest.mark.versions(dtype=np.float64)
@pytest.mark.kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", EVERY if numba.config.DISABLE_JIT else SOME, ids=str)
def test_it_gives_the_answers_of_the_model(network, dtype):
    model, X, f = asked(network, dtype)
    outputs, derivatives = zip(*[f(x) for x in X], strict=True)
    tolerance = 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))
    expected = model.predict(X).reshape(ROWS, -1)
    np.testing.assert_allclose(np.reshape(outputs, expected.shape), expected, rtol=tolerance, atol=tolerance)
    expected = model.jacobian(X)
    np.testing.assert_allclose(np.reshape(derivatives, expected.shape), expected, rtol=tolerance, atol=tolerance)
    assert np.shape(derivatives[0]) == (model.jacobian(X).shape[1:] if network.sizes[-1] > 1 else (network.sizes[0],))


def test_arrays_get_them_too(softmax, single):
    _, X, f = softmax
    outputs, derivatives = f(X[0])
    out, jacobian = np.zeros(3), np.zeros((3, 3), np.float32)
    assert f(X[0], out, jacobian) == f(X[0], None, jacobian) == f(X[0], out) == (outputs, derivatives)
    assert f(X[0], jacobian=np.zeros((6, 6))[::2, ::2]) == (outputs, derivatives)
    assert np.array_equal(out, outputs) and np.array_equal(jacobian, np.float32(derivatives))
    _, X, f = single
    gradient = np.zeros(3)
    assert f(X[0], gradient) == f(X[0])
    assert np.array_equal(gradient, f(X[0])[1])


def test_arrays_of_another_shape_are_rejected(softmax, single):
    for shape in ((2, 3), (3, 2), (0, 3)):
        with pytest.raises(ValueError, match=r"^jacobian must have shape \(3, 3\)$"):
            softmax[2](np.zeros(3), None, np.zeros(shape))
    with pytest.raises(ValueError, match=r"^jacobian must have shape \(3,\)$"):
        single[2](np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match=r"^out must hold 3 numbers, one for each output of the network$"):
        softmax[2](np.zeros(3), np.zeros(4), np.zeros((3, 3)))
    for f in (softmax[2], single[2]):
        with pytest.raises(ValueError, match=r"^x must hold 3 numbers, one for each input of the network$"):
            f(np.zeros(4))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="with the JIT off there are no types")
def test_what_it_cannot_take_is_told_in_a_sentence(softmax, single):
    with pytest.raises(ValueError, match=r"^jacobian must be a writable array of shape \(3, 3\); got float64 of shape \(9,\)$"):
        softmax[2](np.zeros(3), None, np.zeros(9))
    with pytest.raises(ValueError, match=r"^jacobian must be a writable array of shape \(3,\); got list$"):
        single[2](np.zeros(3), [0.0] * 3)

    f = single[2]

    @numba.njit
    def caller(x, jacobian):
        return f(x, jacobian)

    with pytest.raises(numba.TypingError, match=r"\njacobian must be a writable array of shape \(3,\); got array"):
        caller(np.zeros(3), np.zeros((3, 1)))


def test_newtons_method_in_compiled_code_finds_where_the_output_is(single):
    model, X, f = single
    goal = model.predict(X[:1])[0]

    @numba.njit
    def solve(x, goal):
        x = x.copy()
        for _ in range(50):
            y, slopes = f(x)
            length = slopes[0] ** 2 + slopes[1] ** 2 + slopes[2] ** 2
            for d in range(3):
                x[d] -= (y - goal) * slopes[d] / length
        return x

    found = solve(X[0] + 0.1, goal)
    np.testing.assert_allclose(model.predict(found[None]), goal, rtol=1e-12)
    assert not np.allclose(found, X[0])


def test_more_than_a_tuple_should_have_is_rejected():
    model = MLP.from_weights([np.zeros((30, 17))])
    with pytest.raises(
        ValueError, match=r"^the network's outputs times its inputs must be at most 500 to be returned as tuples; got 510$"
    ):
        model.jit(jacobian=True)
    model.jit()
    with pytest.raises(ValueError, match=r"^jacobian must be True or False; got 'yes'$"):
        model.jit(jacobian="yes")
