"""What a network says, for any number of inputs; it is finite, or told: where outputs overflow, or inputs are not."""

import re

import numpy as np
import pytest
from cases import mlp, one_sentence, problem, toy
from populations import population_of

import fastmlp
from benchmarks import reference
from fastmlp import MLP

X, Y = toy(40)
ROWS = [0, 37, 63, 64, 99, 2999]  # of the first, of whole vectors, of what is left of a block


def network(output, dtype, classes=None):
    """One that overflows where a row reaches 100; others are given finite numbers."""
    largest = float(np.finfo(dtype).max) / 50
    w = np.full((2, 3 if classes is not None and len(classes) > 2 else 1), largest, dtype)
    return MLP.from_weights([w], output=output, classes=classes)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS)
def test_the_first_row_whose_output_overflows_is_named(row, dtype):
    model, rows = network("identity", dtype), np.zeros((3000, 2), dtype)
    assert np.array_equal(model.predict(rows), np.zeros(3000))
    rows[[row, -1]] = 100
    with pytest.raises(
        ValueError, match=rf"^outputs must be finite; that for X\[{row}\] is inf: the weights are too large for such rows$"
    ):
        model.predict(rows)
    few = rows[row : row + 5]
    for rows in (few, few.tolist(), np.asfortranarray(few)):
        with pytest.raises(ValueError, match=re.escape("that for X[0] is inf")):
            model.predict(rows)


@pytest.mark.parametrize(
    ("output", "classes"), [("softmax", [0, 1, 2]), ("exp", None), ("softplus", None), ("identity", None)], ids=str
)  # fmt: skip
def test_no_output_that_is_none_is_taken_for_an_answer(output, classes):
    model = network(output, np.float64, classes)
    with one_sentence(["outputs must be finite; that for X[1] is "]):
        model.predict([[0, 0], [100, 100]])
    with one_sentence(["outputs must be finite; that for X[1] is "]):
        model.evaluate([[0, 0], [100, 100]], [0, 1])


def test_a_sigmoid_of_what_overflows_is_a_probability():
    model = network("sigmoid", np.float64, [0, 1])
    assert model.predict_proba([[100, 100], [-100, -100]]).tolist() == [[0, 1], [1, 0]]


def test_the_lanes_past_the_last_row_do_not_count():
    """Their inputs are 0, for which this network overflows."""
    model = MLP.from_weights([[[-1e308], [0]], [[2.0]]], [[1.7e308], [0.0]], activation="identity")
    assert np.isfinite(model.predict([[1.0, 0.0]])).all()


def test_a_population_says_so_too():
    many = population_of(*[network("identity", np.float64)] * 3)
    many.groups[0].theta[:] = 1e307
    assert np.isfinite(many.predict([[1, 1]])).all()
    for ask in (many.predict, many.predict_members, many.spread):
        with one_sentence(["outputs must be finite; that for X[1] is inf"]):
            ask([[1, 1], [100, 100]])


@pytest.mark.parametrize("batch_size", [1, 32, None])
def test_a_scaling_that_no_weight_can_make_up_for_is_a_divergence(batch_size):
    rows = X.astype(np.float32)
    rows[:, 0] *= 1e-37  # whose deviation divides the weights
    options = {"hidden": (), "epochs": 2, "batch_size": batch_size, "optimizer": "sgd", "learning_rate": 0.01, "seed": 0}
    with pytest.raises(fastmlp.DivergedError, match=r"the weights are no longer finite; try .*, or scale X and y"):
        fastmlp.train(rows, 1e6 * Y, task="regression", **options)
    with pytest.raises(fastmlp.DivergedError):
        fastmlp.train_many(rows, 1e6 * Y, task="regression", members=2, **options)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 32, 33, 99])
def test_what_is_not_finite_is_found_though_the_outputs_are(rows, wrong, dtype):
    """As tanh makes 1 of infinity."""
    model = MLP.from_weights([np.ones((3, 4), dtype), np.ones((4, 2), dtype)], activation="tanh")
    X = np.zeros((rows, 3), dtype)
    X[rows // 2, 1] = wrong
    with pytest.raises(ValueError, match=rf"^X must be finite; X\[{rows // 2}, 1\] is {wrong}$"):
        model.predict(X)
    X[rows // 2, 1] = 0
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("inputs", range(1, 8))
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
def test_any_number_of_inputs(output, inputs, dtype):
    sizes = (inputs, 6, 1 if output == "sigmoid" else 3)
    network = reference.Network(sizes, ("tanh",), output, "squared_error" if output == "identity" else "cross_entropy")
    theta, X, _ = problem(network, 77, dtype)
    model = mlp(network, theta, classes=None if output == "identity" else np.arange(max(2, sizes[-1])))
    expected = reference.predict(network, theta.astype(float), X.astype(float))
    out = model.predict(X) if output == "identity" else model.predict_proba(X)[:, -sizes[-1] :]
    np.testing.assert_allclose(out, expected, rtol=0, atol=100 * np.finfo(dtype).eps)
    if output == "sigmoid":
        assert np.array_equal(model.predict_proba(X)[:, 0], 1 - out[:, 0])
