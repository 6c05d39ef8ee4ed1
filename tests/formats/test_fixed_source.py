"""C in whole numbers: to the bit what is simulated, close to the model, and really without fractions."""

import platform
import re
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from compilers import C_COMPILER, CPP_COMPILER, WARNINGS, InC, compiled, needs_c, needs_cpp
from model_files import image_classifier, network
from whole_numbers import code_of, outputs_in_c

import fastmlp
from fastmlp import MLP
from fastmlp.formats.fixed_point import fixed_formula
from fastmlp.formats.fixed_source import ACTIVATIONS
from fastmlp.kernels.activations import TABLE

HIDDEN = tuple(row.name for row in TABLE if row.hidden)
OUTPUTS = tuple(row.name for row in TABLE if row.output)


def assert_to_the_bit(model, rows, path, known=None, **options):
    """And for rows that are far beyond."""
    off = model.export(path, fixed_point=rows)
    fixed = fixed_formula(model._formula(None), rows, known)
    inputs = fixed.whole_inputs(np.vstack([rows, 3 * rows, -1e3 * rows, 1e9 * rows]))
    expected = fixed.whole_outputs(inputs)
    np.testing.assert_array_equal(outputs_in_c(path, inputs, expected.shape[1], **options), expected)
    return off


def with_every_activation(output):
    """A network with a layer of each, and rows for it."""
    rng, units = np.random.default_rng(5), 1 if output == "sigmoid" else 3
    sizes = (3, *[4] * len(HIDDEN), units)
    weights = [rng.normal(size=pair) for pair in pairwise(sizes)]
    biases = [rng.normal(size=size) / 4 for size in sizes[1:]]
    classes = {"softmax": ["a", "b", "c"], "sigmoid": ["a", "b"]}.get(output)
    return MLP.from_weights(weights, biases, activation=HIDDEN, output=output, classes=classes), rng.normal(size=(40, 3))


def test_every_activation_is_there():
    assert ACTIVATIONS.keys() | {"identity", "exp", "softmax"} == {row.name for row in TABLE}


@needs_c
@pytest.mark.parametrize("output", OUTPUTS)
def test_c_gives_to_the_bit_what_was_simulated(output, tmp_path):
    model, X = with_every_activation(output)
    off = assert_to_the_bit(model, X, tmp_path / "m.c")
    assert off.rows == 40 and off.mean <= off.largest and off.of_range < 5e-3 and off.changed in (None, 0)


@needs_c
@pytest.mark.parametrize("sizes", [(1, 1), (40, 30, 3), (2, 1, 1, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_any_sizes_with_and_without_biases(sizes, bias, tmp_path):
    off = assert_to_the_bit(network(sizes, bias=bias), np.random.default_rng(0).normal(size=(50, sizes[0])), tmp_path / "m.c")
    assert off.of_range < 1e-3
    assert sizes[0] != 40 or "dense64(" in (tmp_path / "m.c").read_text()


@needs_c
def test_units_that_are_hardly_ever_more_than_nothing_and_outputs_of_any_size(tmp_path):
    for activation, output, factor, bias in (("silu", "identity", 1e-40, 0), ("softplus", "exp", 1, 300), ("elu", "exp", 1, -300)):
        weights = [factor * np.array([[1.0, -2.0], [0.5, 0.0]]), np.array([[1.0], [-1.0]])]
        model = MLP.from_weights(weights, [np.zeros(2), np.array([float(bias)])], activation=activation, output=output)
        off = assert_to_the_bit(model, np.random.default_rng(0).normal(size=(9, 2)), tmp_path / f"{activation}.c")
        assert off.of_range < 2e-2 or factor < 1  # e^300, whose logarithm has some bits less


@needs_c
def test_populations_and_image_classifiers(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    for number, y in enumerate((X[:, 0] > 0, np.arange(60) % 3, 1e4 * np.sin(X[:, 0]))):
        population = fastmlp.train_many(X, y, hidden=[4, 4, (5, 3)], epochs=3, seed=range(3))
        off = assert_to_the_bit(population, X, tmp_path / f"p{number}.c")
        assert off.of_range < 1e-3 and off.changed in (None, 0)
        assert "the mean over 3 networks" in (tmp_path / f"p{number}.h").read_text()
    for method in "softmax", "one-vs-rest":
        classifier = image_classifier(method)
        off = assert_to_the_bit(classifier, rng.random((9, 3)), tmp_path / "i.c", (0.0, 1.0))
        assert off.of_range < 1e-3 and off.changed == 0
        assert classifier.export(tmp_path / "i.c", fixed_point=True).largest < 1e-3
        assert outputs_in_c(tmp_path / "i.c", np.zeros((1, 3)), 2).shape == (1, 2)


@needs_c
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the option is that of x86-64")
@pytest.mark.parametrize("output", ["softmax", "exp"])
def test_no_register_for_fractions_and_no_division_is_used(output, tmp_path):
    model, X = with_every_activation(output)
    model.export(tmp_path / "m.c", fixed_point=X)
    compiled(C_COMPILER, "-std=c99", *WARNINGS, "-O2", "-mgeneral-regs-only", "-c", "-o", tmp_path / "m.o", tmp_path / "m.c")
    for ending in "c", "h":
        assert not re.search(r"float|double|\d\.\d|math|[/%]", code_of((tmp_path / f"m.{ending}").read_text()))


@needs_cpp
def test_it_is_cpp_too(tmp_path):
    for output in "softmax", "exp":
        model, X = with_every_activation(output)
        model.export(tmp_path / "m.c", fixed_point=X)
        for standard in "c++98", "c++17":
            compiled(CPP_COMPILER, "-xc++", f"-std={standard}", *WARNINGS, "-c", "-o", tmp_path / "m.o", tmp_path / "m.c")


@needs_c
def test_macros_of_the_header_convert_numbers_when_they_are_compiled(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 2)) * [1e6, 1e-6]
    model = fastmlp.train(X, 1e5 * X[:, 1] + 40, hidden=4, epochs=20, seed=0)
    model.export(tmp_path / "m.c", fixed_point=X)
    numbers = [f"{value:.17g}" for value in X[7]]
    (tmp_path / "main.c").write_text(f"""\
#include <stdio.h>
#include "m.h"
static const int32_t inputs[M_INPUTS] = {{M_INPUT(0, {numbers[0]}), M_INPUT(1, {numbers[1]})}};
static const int32_t far[M_INPUTS] = {{M_INPUT(0, 1e30), M_INPUT(1, -1e30)}};
static const int bits[M_INPUTS] = M_INPUT_BITS;
int main(void)
{{
    int32_t outputs[M_OUTPUTS];
    m_predict_outputs(inputs, outputs);
    printf("%.17g %d %d %d", M_OUTPUT(0, outputs[0]), (int)far[0], (int)far[1], bits[1] - bits[0]);
    return m_self_test();
}}
""")
    compiled(C_COMPILER, "-std=c99", *WARNINGS, "-o", tmp_path / "run", tmp_path / "m.c", tmp_path / "main.c")
    came = subprocess.run([tmp_path / "run"], capture_output=True, text=True, check=True, timeout=60).stdout.split()
    np.testing.assert_allclose(float(came[0]), model.predict(X[7:8])[0], atol=1e-3 * np.ptp(model.predict(X)))
    assert came[1:] == [str(2**31 - 1), str(1 - 2**31), "40"]


@needs_c
def test_predict_gives_the_class_and_the_self_test_notices_another_weight(tmp_path):
    model, X = with_every_activation("softmax")
    model.export(tmp_path / "m.c", fixed_point=X)
    c = InC(tmp_path / "m.c", "m")
    c.dtype = np.int32
    inputs = fixed_formula(model._formula(None), X).whole_inputs(X)
    assert [model.classes[k] for k in c.predict(inputs)] == model.predict(X).tolist()
    path, weights = tmp_path / "m.c", re.compile(r"(weights0\[\d+\] = \{)(-?\d+)")
    path.write_text(weights.sub(lambda match: f"{match[1]}{int(match[2]) // 2}", path.read_text()))
    assert InC(path, "m").self_test() > 0


def test_files_say_how_far_they_are_off(tmp_path):
    model, X = with_every_activation("softmax")
    off = model.export(tmp_path / "m.c", fixed_point=X)
    for ending in "c", "h":
        assert f"In whole numbers: {off}." in (tmp_path / f"m.{ending}").read_text()
    assert str(off).startswith("on 40 rows outputs differ from the model by at most ")
    assert str(off).endswith("; 0 rows are taken for another class")
