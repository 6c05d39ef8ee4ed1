"""The derivatives of outputs by inputs and by parameters, for every activation, output and depth, against independent ways."""

import re
import tracemalloc

import autograd
import numba
import numpy as np
import pytest
from cases import (
    COMBINATIONS,
    DEPTHS,
    REGRESSOR,
    SOFTMAX,
    autograd_outputs,
    central_differences,
    mlp,
    network_of,
    one_sentence,
    problem,
)
from inputs import Frame
from pairs import in_pairs

import fastmlp
from benchmarks import reference
from fastmlp import MLP, arrays, checks
from fastmlp.networks import derivatives

KINDS = sorted({(activation, output) for activation, output, _ in COMBINATIONS})
ROWS = (1, 2, 7, 33) if numba.config.DISABLE_JIT else (1, 2, 7, 33, 257, 1000)  # odd ends of lanes and of blocks
ASKS = {
    "jacobian": lambda model, X: model.jacobian(X),
    "parameter_jacobian": lambda model, X: model.parameter_jacobian(X),
    "jvp": lambda model, X: model.jvp(X, np.cos(np.array(X, float))),
    "jvp of parameters": lambda model, X: model.jvp(X, np.cos(model.theta), parameters=True),
    "vjp": lambda model, X: model.vjp(X, weights_of(model, X)),
    "vjp of parameters": lambda model, X: model.vjp(X, weights_of(model, X), parameters=True),
}
BY_ROWS = [ask for ask in ASKS if ask != "vjp of parameters"]


def weights_of(model, X):
    return np.cos(np.outer(np.sum(X, axis=1), np.arange(1, model.layer_sizes[-1] + 1)))


def network(activation, output, hidden, **options):
    loss = "cross_entropy" if output in ("sigmoid", "softmax") else "squared_error"
    return network_of(activation, output, loss, hidden, **options)


def tolerance_of(network, dtype):
    """As tests/kernels/test_gradients.py derives it."""
    return 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))


def by_autograd(network, theta, X):
    """(N, K, D) and (N, K, P)"""
    outputs = autograd_outputs(network)
    by_inputs = [autograd.jacobian(lambda x: outputs(theta, x[None])[0])(x) for x in X]
    return np.array(by_inputs), autograd.jacobian(lambda t: outputs(t, X))(theta)


@pytest.mark.kernels
@pytest.mark.versions(dtype=np.float64)
@in_pairs(kind=KINDS, hidden=DEPTHS, bias=[True, False], dtype=[np.float32, np.float64])
def test_every_derivative_is_that_of_autograd(kind, hidden, bias, dtype):
    net = network(*kind, hidden, bias=bias)
    theta, X, _ = problem(net, 3, dtype)
    model = mlp(net, theta)
    by_inputs, by_parameters = by_autograd(net, theta.astype(float), X.astype(float))
    tolerance = tolerance_of(net, dtype)
    assert model.jacobian(X).dtype == model.parameter_jacobian(X).dtype == dtype
    np.testing.assert_allclose(model.jacobian(X), by_inputs, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(model.parameter_jacobian(X), by_parameters, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("hidden", DEPTHS, ids=str)
@pytest.mark.parametrize("output", ["identity", "exp", "softplus", "sigmoid", "softmax"])
def test_they_are_the_limits_of_differences(output, hidden):
    net = network("tanh", output, hidden)
    theta, X, _ = problem(net, 4)
    model = mlp(net, theta)
    for n, k in np.ndindex(4, 3):
        by_input = central_differences(lambda x, k=k: reference.predict(net, theta, x[None])[0, k], X[n])
        np.testing.assert_allclose(model.jacobian(X)[n, k], by_input.values, rtol=0, atol=by_input.tolerance)
        by_parameter = central_differences(lambda t, n=n, k=k: reference.predict(net, t, X[n : n + 1])[0, k], theta)
        np.testing.assert_allclose(model.parameter_jacobian(X)[n, k], by_parameter.values, rtol=0, atol=by_parameter.tolerance)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(3, (4, 3), 2), (17, (3,), 2), (2, (33, 9), 10), (1, (), 1), (5, (), 3)], ids=str)
@pytest.mark.parametrize("output", ["exp", "softmax"])
def test_products_are_those_with_the_matrices(output, sizes, dtype):
    inputs, hidden, outputs = sizes
    if output == "softmax" and outputs == 1:
        return
    net = network("tanh", output, hidden, inputs=inputs, outputs=outputs)
    for rows in ROWS:
        theta, X, _ = problem(net, rows, dtype)
        model, rng = mlp(net, 0.5 * theta), np.random.default_rng(1)
        J, P = model.jacobian(X).astype(float), model.parameter_jacobian(X).astype(float)
        V, v, U = (rng.normal(size=shape).astype(dtype) for shape in (X.shape, theta.shape, (rows, outputs)))
        for product, expected in (
            (model.jvp(X, V), np.einsum("nkd,nd->nk", J, V)),
            (model.jvp(X, v, parameters=True), np.einsum("nkp,p->nk", P, v)),
            (model.vjp(X, U), np.einsum("nkd,nk->nd", J, U)),
            (model.vjp(X, U, parameters=True), np.einsum("nkp,nk->p", P, U)),
        ):
            scale = max(1, np.abs(expected).max()) * np.sqrt(rows)
            np.testing.assert_allclose(product, expected, rtol=0, atol=scale * 10 * tolerance_of(net, dtype))
            assert product.dtype == dtype


def test_the_gradient_of_a_loss_is_a_product():
    theta, X, targets = problem(REGRESSOR, 50)
    model = mlp(REGRESSOR, theta)
    product = model.vjp(X, (model.predict(X) - targets) / len(X), parameters=True)
    np.testing.assert_allclose(product, model.gradient(X, targets), rtol=1e-12, atol=1e-14)


def test_of_two_classes_they_are_those_of_the_second():
    net = network("tanh", "sigmoid", (4,), outputs=1)
    theta, X, _ = problem(net, 5)
    model = mlp(net, theta, classes=np.array(["no", "yes"]))
    assert model.jacobian(X).shape == (5, 1, 3)
    step = 1e-6 * np.eye(3)[1]
    change = (model.predict_proba(X + step) - model.predict_proba(X - step))[:, 1] / 2e-6
    np.testing.assert_allclose(model.jacobian(X)[:, 0, 1], change, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(model.vjp(X, np.ones(5)), model.vjp(X, np.ones((5, 1))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ask", BY_ROWS)
def test_a_row_has_the_same_bits_whatever_rows_are_beside_it(ask, dtype):
    theta, X, _ = problem(SOFTMAX, 100, dtype)
    model = mlp(SOFTMAX, theta)
    whole = ASKS[ask](model, X)
    for part in (slice(0, 1), slice(31, 34), slice(40, 99)):
        assert np.array_equal(ASKS[ask](model, X[part]), whole[part])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ask", ASKS)
def test_the_same_bits_for_any_thread_count(ask, dtype, monkeypatch):
    theta, X, _ = problem(SOFTMAX, 20_000, dtype)
    model, results = mlp(SOFTMAX, theta), []
    monkeypatch.setattr("fastmlp.threads.THREADS_PAY", 0)
    monkeypatch.setattr(derivatives, "CHUNK_WORK", 200_000)
    for threads in (1, 2, 3):
        monkeypatch.setattr("fastmlp.threads.thread_count", lambda value, threads=threads: threads)
        results.append(ASKS[ask](model, X))
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


@pytest.mark.parametrize("ask", ASKS)
def test_no_rows_have_none(ask):
    theta, X, _ = problem(SOFTMAX, 1)
    model, none = mlp(SOFTMAX, theta), X[:0]
    shapes = {"jacobian": (0, 3, 3), "parameter_jacobian": (0, 3, theta.size), "vjp of parameters": (theta.size,)}
    assert ASKS[ask](model, none).shape == shapes.get(ask, (0, 3))
    if ask == "vjp of parameters":
        assert not ASKS[ask](model, none).any()


@pytest.mark.parametrize("ask", ASKS)
def test_rows_of_every_kind_are_the_same_rows(ask, monkeypatch):
    theta, X, _ = problem(SOFTMAX, 9)
    X = np.round(3 * X)
    model = mlp(SOFTMAX, theta)
    expected = ASKS[ask](model, X)
    read_only = X.copy()
    read_only.flags.writeable = False
    for rows in (X.tolist(), X.astype(int), np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], read_only, X.astype(np.float32)):
        assert np.array_equal(ASKS[ask](model, rows), expected)
    monkeypatch.setattr(arrays, "LARGE", 0)  # from then on arrays keep their type until they are worked on
    assert np.array_equal(model.jacobian(X.astype(np.int16)), model.jacobian(X))
    assert np.array_equal(model.jvp(X.astype(np.int16), X.astype(np.int8)), model.jvp(X, X))


def test_rows_are_checked_as_those_to_predict():
    theta, X, _ = problem(SOFTMAX, 4)
    model = mlp(SOFTMAX, theta)
    bad = X.copy()
    bad[2, 1] = np.nan
    for ask in ASKS.values():
        for rows, told in (
            (X[:, :2], "X must have 3 columns, one for each input of the network; got 2"),
            (X[0], "X must be 2-D (rows, columns); got shape (3,)"),
            (bad, "X must be finite; X[2, 1] is nan"),
        ):
            with one_sentence([told]):
                ask(model, rows) if np.ndim(rows) == 2 else model.jacobian(rows)
    named = fastmlp.train(Frame(X, ["a", "b", "c"]), X[:, 0], epochs=1, seed=0, hidden=2)
    with one_sentence(["X must have its columns in the order of training"]):
        named.jacobian(Frame(X, ["b", "a", "c"]))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m, X: m.jvp(X, X[:, :2]), "V must have 3 columns, one for each input of the network; got 2"),
        (lambda m, X: m.jvp(X, X[:2]), "X and V must have the same number of rows; got 4 and 2"),
        (lambda m, X: m.jvp(X, X / 0), "V must be finite; V[0, 0] is "),
        (
            lambda m, X: m.jvp(X, X, parameters=True),
            "V must have shape (77,), a number for each parameter of the network; got",
        ),
        (lambda m, X: m.jvp(X, [np.inf] * 77, parameters=True), "V must be finite; V[0] is inf"),
        (lambda m, X: m.jvp(X, X, parameters="yes"), "parameters must be True or False; got 'yes'"),
        (lambda m, X: m.vjp(X, X[:, :2]), "U must have shape (N, 3), a column for each output; got (4, 2)"),
        (lambda m, X: m.vjp(X, X[:2]), "X and U must have the same number of rows; got 4 and 2"),
        (lambda m, X: m.vjp(X, X * np.inf, parameters=True), "U must be finite; U[0, 0] is "),
        (lambda m, X: m.vjp(X, ["a"] * 4), "U must hold real numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_is_wrong_with_the_other_factor_is_told_in_a_sentence(call, told):
    theta, X, _ = problem(SOFTMAX, 4)
    with one_sentence([told]):
        call(mlp(SOFTMAX, theta), X)
    with pytest.raises(TypeError, match=r"^MLP\.jvp has no option 'parameter' \(did you mean 'parameters'\?\)$"):
        mlp(SOFTMAX, theta).jvp(X, X, parameter=True)


@pytest.mark.parametrize("ask", ASKS)
def test_what_would_not_be_finite_is_told(ask):
    model = MLP.from_weights([np.full((2, 3), 1e200), np.full((3, 2), 1e200)], activation="identity")
    X = np.zeros((70, 2))
    with one_sentence(["derivatives must be finite; "]):
        model.jacobian(X)
    with one_sentence(["derivatives must be finite; one for X[0] is not: "]):
        model.jvp(X, X + 1)
    X[66] = 1
    with one_sentence(["outputs must be finite; that for X[66] is inf: the weights are too large for such rows"]):
        ASKS[ask](model, X)
    small = MLP.from_weights([np.ones((2, 1))])
    assert np.array_equal(small.vjp([[0, 0]], [1e308]), [[1e308, 1e308]])
    with one_sentence(["derivatives must be finite; their sum over the rows of X is not"]):
        small.vjp([[2, 2]], [1e308], parameters=True)


def test_what_would_need_more_memory_than_there_is_is_told(monkeypatch):
    theta, X, _ = problem(SOFTMAX, 4)
    model, many = mlp(SOFTMAX, theta), np.broadcast_to(X[:1], (1_000_000, 3))
    monkeypatch.setattr(checks, "machine_memory", lambda: 1e9)
    told = r"the derivatives by parameters (1000000, 3, 77) would need 1.8 GB of memory; this machine has 1.0 GB"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        model.parameter_jacobian(many)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="too many rows to be interpreted")
@pytest.mark.parametrize("ask", ["jvp", "vjp", "jvp of parameters", "vjp of parameters"])
def test_a_product_takes_no_memory_but_a_block_and_the_result(ask):
    theta, X, _ = problem(SOFTMAX, 300_000)
    model, V, v, U = mlp(SOFTMAX, theta), np.ones((300_000, 3)), np.ones(theta.size), np.ones((300_000, 3))
    calls = {
        "jvp": lambda X, V, U: model.jvp(X, V),
        "vjp": lambda X, V, U: model.vjp(X, U),
        "jvp of parameters": lambda X, V, U: model.jvp(X, v, parameters=True),
        "vjp of parameters": lambda X, V, U: model.vjp(X, U, parameters=True),
    }
    calls[ask](X[:100], V[:100], U[:100])
    tracemalloc.start()
    try:
        result = calls[ask](X, V, U)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < result.nbytes + (4 << 20)
