"""MLP.jit: the network as a function for compiled code, which gives the answers that predict and predict_proba give."""

import re
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from cases import DEPTHS, HIDDEN_ACTIVATIONS, OUTPUT_LOSSES, mlp, network_of, problem
from numba.core.runtime import _nrt_python, rtsys

from benchmarks import reference
from benchmarks.reference import Network
from fastmlp import MLP

DTYPES = (np.float32, np.float64)
SOFTMAX = network_of("tanh", "softmax", "cross_entropy", (5,))
ROWS = 40

EVERY = [
    network_of(activation, output, loss, hidden, outputs=outputs)
    for activation in HIDDEN_ACTIVATIONS
    for output, loss in OUTPUT_LOSSES
    for hidden in DEPTHS
    for outputs in (1, 3)
    if loss in ("cross_entropy", "squared_error") and (output, outputs) != ("softmax", 1)
]
# Each is compiled anew: every activation, output and depth once, with and without biases, narrower and wider than a vector.
SOME = [
    Network((3, 1), (), "sigmoid", "cross_entropy"),
    Network((11, 17, 3), ("relu",), "identity", "squared_error", bias=False),
    Network((3, 8, 9, 4), ("sigmoid", "identity"), "softmax", "cross_entropy"),
    Network((1, 3, 7, 2, 1), ("tanh", "relu", "sigmoid"), "identity", "squared_error"),
]


def model_of(network, dtype=np.float64):
    """A model and rows for it; a classifier where there can be one."""
    theta, X, _ = problem(network, ROWS, dtype)
    outputs = network.sizes[-1]
    is_classifier = network.output == "softmax" or (network.output == "sigmoid" and outputs == 1)
    return mlp(network, theta, np.arange(max(2, outputs)) if is_classifier else None), X


def answers_of(model, X):
    """(N, K), of a sigmoid output the probability of the second class alone."""
    if model.classes is None:
        return model.predict(X).reshape(len(X), -1)
    return model.predict_proba(X)[:, -model.layer_sizes[-1] :]


def tolerance_of(network, dtype):
    """As tests/test_gradients.py derives it."""
    return 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))


@pytest.fixture(scope="module")
def frozen():
    """A model, its rows, its function, and the function's answers."""
    model, X = model_of(SOFTMAX)
    f = model.jit()
    return model, X, f, np.array([f(x) for x in X])


@pytest.mark.versions(dtype=np.float64)
@pytest.mark.kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", EVERY if numba.config.DISABLE_JIT else SOME, ids=str)
def test_it_gives_the_answers_of_the_model(network, dtype):
    model, X = model_of(network, dtype)
    f = model.jit()
    answers = [f(x) for x in X]
    assert isinstance(answers[0], tuple) == (network.sizes[-1] > 1)
    tolerance = tolerance_of(network, dtype)
    answers = np.reshape(answers, (ROWS, -1))
    np.testing.assert_allclose(answers, answers_of(model, X), rtol=tolerance, atol=tolerance)
    expected = reference.predict(network, *(array.astype(float) for array in (model.theta, X)))
    np.testing.assert_allclose(answers, expected, rtol=tolerance, atol=tolerance)


def test_inputs_of_every_kind_are_the_same_inputs(frozen):
    _, X, f, answers = frozen
    x, whole = X[0], np.array([1, 0, 3])
    read_only = x.copy()
    read_only.flags.writeable = False
    for kind in (np.repeat(x, 2)[::2], x[::-1].copy()[::-1], read_only, tuple(x.tolist())):
        assert f(kind) == tuple(answers[0])
    for kind in (whole, tuple(whole.tolist()), whole.astype(np.float32)):
        assert f(kind) == f(whole.astype(float))


def test_an_array_for_the_outputs_gets_them_too(frozen):
    _, X, f, answers = frozen
    out, every_other = np.zeros(3), np.zeros(6)
    assert f(X[0], out) == f(X[0], every_other[::2]) == tuple(answers[0])
    assert np.array_equal(out, answers[0])
    assert np.array_equal(every_other.reshape(3, 2), np.stack([answers[0], np.zeros(3)], axis=1))
    for wrong in (2, 4):
        with pytest.raises(ValueError, match=r"^out must hold 3 numbers, one for each output of the network$"):
            f(X[0], np.zeros(wrong))


def test_inputs_of_another_length_are_rejected(frozen):
    _, X, f, _ = frozen

    @numba.njit
    def caller(x):
        return f(x)

    for call in (f, caller):
        for wrong in (X[0, :2], np.zeros(4), np.zeros(0), (1.0, 2.0)):
            with pytest.raises(ValueError, match=r"^x must hold 3 numbers, one for each input of the network$"):
                call(wrong)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="with the JIT off there are no types")
@pytest.mark.parametrize(
    ("x", "got"),
    [
        ([1.0, 2.0, 3.0], "list"),
        ((1, 2.0, 3), "tuple of int and float"),
        ((), "tuple"),
        (None, "NoneType"),
        ("abc", "str"),
        (np.zeros((1, 3)), "float64 of shape (1, 3)"),
        (np.zeros(3, np.float16), "float16 of shape (3,)"),
        (np.array(["a", "b", "c"]), "<U1 of shape (3,)"),
        (object(), "object"),
    ],
    ids=str,
)
def test_what_it_cannot_take_is_told_in_a_sentence(x, got, frozen):
    f = frozen[2]
    for call in (lambda: f(x), lambda: f(x=x), lambda: f(x, np.zeros(3))):
        with pytest.raises(ValueError, match=rf"^x must be an array, or a tuple, of 3 numbers of one type; got {re.escape(got)}$"):
            call()
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    for out in ([0.0] * 3, np.zeros((3, 1)), read_only):
        with pytest.raises(ValueError, match=r"^out must be a writable array of 3 numbers; got (list|float64 of shape \(.*\))$"):
            f(np.zeros(3), out)
    with pytest.raises(TypeError):
        f()
    assert f(np.zeros(3)) == f(np.zeros(3), None) == f((0.0, 0.0, 0.0))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="with the JIT off there are no types")
def test_compiled_callers_are_told_the_same_sentence(frozen):
    f = frozen[2]

    @numba.njit
    def caller(x):
        return f(x)

    with pytest.raises(numba.TypingError, match=r"\nx must be an array, or a tuple, of 3 numbers of one type; got Tuple"):
        caller((1, 2.0, 3))


def test_nan_among_the_inputs_is_nan_in_the_output():
    for hidden in ("relu", "tanh"):
        model, _ = model_of(network_of(hidden, "softmax", "cross_entropy", (5,)))
        assert np.isnan(model.jit()(np.array([1.0, np.nan, 2.0]))).all()


def test_it_is_called_by_compiled_loops_serial_and_parallel(frozen):
    _, X, f, answers = frozen

    def loop(out, X):
        for n in numba.prange(len(X)):
            f(X[n], out[n])

    for options in ({}, {"nogil": True}, {"parallel": True}):
        out = np.empty_like(answers)
        numba.njit(**options)(loop)(out, X)
        assert np.array_equal(out, answers)


def test_threads_call_it_side_by_side(frozen):
    _, X, f, answers = frozen

    @numba.njit(nogil=True)
    def loop(X, times):
        out = np.empty((len(X), 3))
        for _ in range(times):
            for n in range(len(X)):
                f(X[n], out[n])
        return out

    parts = [slice(start, start + 10) for start in range(0, ROWS, 10)]
    with ThreadPoolExecutor(len(parts)) as pool:
        for part, out in zip(parts, pool.map(lambda part: loop(X[part], 1000), parts), strict=True):
            assert np.array_equal(out, answers[part])
        assert list(pool.map(f, X)) == [tuple(answer) for answer in answers]


def test_it_allocates_nothing_and_a_long_loop_needs_no_more_stack_than_a_short_one(frozen):
    _, X, f, answers = frozen

    @numba.njit
    def sum_of(X, times):
        result = 0.0
        for n in range(times):
            result += f(X[n % len(X)])[0]
        return result

    def allocations(times):
        before = rtsys.get_allocation_stats()
        sum_of(X, times)
        after = rtsys.get_allocation_stats()
        return after.alloc - before.alloc, after.mi_alloc - before.mi_alloc

    np.testing.assert_allclose(sum_of(X, ROWS), answers[:, 0].sum(), rtol=ROWS * np.finfo(float).eps)
    _nrt_python.memsys_enable_stats()
    try:
        assert allocations(100_000) == allocations(1)  # together they would need more than any stack
    finally:
        _nrt_python.memsys_disable_stats()


def test_later_changes_of_theta_do_not_reach_it(frozen):
    _, X, _, answers = frozen
    model, _ = model_of(SOFTMAX)
    f = model.jit()
    model.theta *= 2
    assert f(X[0]) == tuple(answers[0])
    model.theta *= 2
    assert f(X[0]) == tuple(answers[0])


def test_a_network_too_large_for_the_stack_is_rejected():
    network = network_of("tanh", "softmax", "cross_entropy", (5000,))
    model, _ = model_of(network)
    with pytest.raises(ValueError, match=r"^the network's units must be at most 4096 to run on the stack; got \d+$"):
        model.jit()


def test_parameters_that_are_not_finite_are_rejected():
    model, _ = model_of(SOFTMAX)
    model.theta[7] = np.nan
    with pytest.raises(ValueError, match=r"^theta must be finite; theta\[7\] is nan$"):
        model.jit()


def test_a_tuple_that_would_not_be_compiled_within_seconds_is_rejected():
    many, wide = MLP.from_weights([np.zeros((3, 501))]), MLP.from_weights([np.ones((101, 1))])
    with pytest.raises(ValueError, match=r"^the network's outputs must be at most 500 to be returned as a tuple; got 501$"):
        many.jit()
    f = wide.jit()
    with pytest.raises(ValueError, match=r"^x must be an array of 101 numbers of one type; got tuple of length 101$"):
        f((1.0,) * 101)
    assert f(np.ones(101)) == 101
