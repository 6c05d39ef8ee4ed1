"""Whole numbers instead of fractions: how near they come, whatever the scales are, and what is refused."""

import numpy as np
import pytest
from exports import PAIRS, case
from model_files import image_classifier, network

import fastmlp
from fastmlp.formats.fixed_functions import between, exp_values, hidden_values, moved, softmax_values, table_of
from fastmlp.formats.fixed_point import TypicalRows, deviation_on, fixed_formula
from fastmlp.kernels.activations import TABLE


@pytest.mark.parametrize("activation", [row.name for row in TABLE if row.hidden])
@pytest.mark.parametrize("bits", [10, 20, 21, 24, 26])
def test_activations_are_near_the_functions(activation, bits):
    z = np.concatenate([np.linspace(-31, 31, 9999), [0, -8, 8, -16, 16]])
    whole = np.rint(np.ldexp(z, bits)).astype(np.int64)
    z = np.ldexp(whole.astype(float), -bits)
    values = hidden_values(activation, whole, bits)
    expected = next(row for row in TABLE if row.name == activation).function(z)[0]
    own = 16 if activation in ("sigmoid", "tanh") else bits
    assert abs(np.ldexp(values.astype(float), -own) - expected).max() < 5e-5 + 2.0**-own


def test_softmax_and_exp_are_near_the_functions():
    z = np.random.default_rng(0).normal(size=(500, 300)) * 8
    z[0], z[1, 0] = 0, 31
    powers = np.exp2(z - z.max(axis=1, keepdims=True))
    for bits in 16, 23, 26:
        came = np.ldexp(softmax_values(np.rint(np.ldexp(z, bits)).astype(np.int64), bits).astype(float), -24)
        assert abs(came - powers / powers.sum(axis=1, keepdims=True)).max() < 4e-5
    z = np.linspace(-40, 60, 5001)
    came, expected = exp_values(np.rint(np.ldexp(z, 25)).astype(np.int64)), np.minimum(np.exp2(z), 2**31 - 1)
    assert (abs(came - expected) <= 1 + 3e-5 * expected).all()


def test_numbers_are_moved_and_rounded_and_stay_within_32_bits():
    most = 2**31 - 1
    for value, places, expected in [(5, 1, 3), (-5, 1, -2), (-6, 2, -1), (7, 0, 7), (2**40, 3, most), (-(2**40), 3, -most)]:
        assert moved(np.array(value), places) == expected
    for value, places, expected in [(3, -2, 12), (2**30, -1, most), (2**30 - 1, -1, most - 1), (1, -31, most)]:
        assert moved(np.array(value), places) == expected
    for value, places, expected in [(-(2**62), -31, -most), (-(2**62), 61, -2), (-(2**62), 0, -most)]:
        assert moved(np.array(value), places) == expected
    table = table_of("tanh")
    np.testing.assert_array_equal(between(table, np.arange(0, len(table)) << 15), table)


@pytest.mark.parametrize(("activation", "output"), PAIRS)
def test_every_activation_and_output_comes_near_the_model(activation, output):
    model, X = case(activation, output, np.float64)
    X = X / (1000 if abs(X).max() > 100 else 1)
    off = deviation_on(fixed_formula(model._formula(None), X), X)
    assert off.of_range < 2e-3 and off.largest < 5e-4 and off.changed in (None, 0)


@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus"])
def test_inputs_and_targets_of_wildly_different_scales(activation):
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(400, 4))
    X = draws * [1e6, 1e-6, 1, 300] + [5e6, 0, 2000, -40]
    y = np.column_stack([1e6 * draws[:, 0] + 1e8, 1e-6 * draws[:, 1], draws[:, 2] * draws[:, 3]])
    model = fastmlp.train(X, y, hidden=8, activation=activation, epochs=20, seed=0)
    off = deviation_on(fixed_formula(model._formula(None), X), X)
    assert off.of_range < 5e-4 and off.changed is None
    assert str(off).endswith(" of the range of an output")


def test_a_constant_column_and_one_row_are_typical_enough():
    model = network((3, 4, 2))
    X = np.random.default_rng(0).normal(size=(30, 3))
    X[:, 1], X[:, 2] = 0, 7
    assert deviation_on(fixed_formula(model._formula(None), X), X).largest < 1e-3
    assert deviation_on(fixed_formula(model._formula(None), X[:1]), X[:1]).largest < 1e-3


def test_differences_are_those_of_all_rows_whatever_blocks_they_come_in(monkeypatch):
    model, X = network((3, 4, 2)), np.random.default_rng(0).normal(size=(30, 3))
    whole = deviation_on(fixed_formula(model._formula(None), X), X)
    monkeypatch.setattr("fastmlp.formats.fixed_point.BLOCK", 21)
    blocks = deviation_on(fixed_formula(model._formula(None), X), X)
    np.testing.assert_allclose(blocks[:4], whole[:4])


def refused(model, path, *parts, error=ValueError, **options):
    with pytest.raises(error) as caught:
        model.export(path, **options)
    message = str(caught.value)
    assert "\n" not in message and all(part in message for part in parts), message
    assert not list(path.parent.iterdir())


def test_what_is_wrong_is_told_and_nothing_is_written(tmp_path):
    model, X, path = network((3, 4, 2)), np.ones((5, 3)), tmp_path / "m.c"
    refused(model, path, "must have 3 columns", "got 4", fixed_point=np.ones((5, 4)))
    X[2, 1] = np.nan
    refused(model, path, "fixed_point must be finite; fixed_point[2, 1] is nan", fixed_point=X)
    refused(model, path, "at least one row", fixed_point=X[:0])
    refused(model, path, "must be rows of typical inputs", fixed_point=True)
    refused(model, path, "at most 1e+30", fixed_point=np.full((1, 3), 1e31))
    refused(model, path, "real numbers", fixed_point="rows.csv")
    refused(model, path, "dtype cannot be said", fixed_point=np.ones((5, 3)), dtype="float32")
    for name in "m.py", "m.json", "m.onnx":
        refused(model, tmp_path / name, f"fixed_point is for .c; got {name!r}", fixed_point=np.ones((5, 3)))
    refused(image_classifier("softmax"), path, "features, from 0 to 1; got 0 to 2", fixed_point=[[0, 1, 2]])
    steep = fastmlp.MLP.from_weights([np.full((3, 2), 1e12), np.ones((2, 1))], activation="softplus")
    refused(
        steep,
        path,
        "cannot be exported in fixed point: the sums of a layer of softplus are as large as 3e+12",
        fixed_point=[[1] * 3],
    )


def test_a_model_of_a_table_takes_a_table(tmp_path):
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=50), "b": rng.choice(["x", "y"], 50)}
    model = fastmlp.train_table(table | {"y": table["a"] + (table["b"] == "x")}, "y", hidden=3, epochs=5, seed=0)
    assert model.export(tmp_path / "m.c", fixed_point=table).of_range < 1e-3
    with pytest.raises(ValueError, match="lacks the column"):
        model.export(tmp_path / "m.c", fixed_point={"a": [1.0]})
    assert model._typical_rows(table, 3).rows.shape == (50, len(model.encoder.inputs))
    assert isinstance(model._typical_rows(table, len(model.encoder.inputs)), TypicalRows)
