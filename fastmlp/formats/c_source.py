"""A network as one C99 file and its header, which are C++ too: they need math.h alone, and allocate nothing.

What is summed is summed over the inputs, with the units in the inner loop: so a compiler makes vectors of it without being allowed
to change the order of sums.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import numpy as np

from fastmlp.formats.c_files import OPTIMIZED, PREDICT, braced, class_declarations, class_names, comment, write_both
from fastmlp.formats.formula import DenseLayer, Formula
from fastmlp.formats.spellings import SPELLINGS
from fastmlp.writing import StrPath

FUNCTIONS = re.compile(r"\b(exp|expm1|log1p|tanh|erfc|fabs|copysign)(?=\()")
FRACTION = re.compile(r"\b\d+\.\d+(e-?\d+)?")


def write_c(path: StrPath, formula: Formula) -> None:
    """Writes the file and, with the ending .h, its header: both or none."""
    write_both(path, lambda name, header: (header_text(formula, name), source_text(formula, name, header)))


def header_text(formula: Formula, name: str) -> str:
    """The header: what programs call."""
    real, upper = _real(formula), name.upper()
    what = "the probabilities of the classes" if formula.classes is not None and formula.combined == "mean" else "the outputs"
    return f"""\
/* Written by fastmlp: {comment(formula.text)}. */
#ifndef {upper}_H
#define {upper}_H

#define {upper}_INPUTS {formula.n_in}
#define {upper}_OUTPUTS {formula.n_out}

#ifdef __cplusplus
extern "C" {{
#endif

/* Writes {what}{f", the mean over {len(formula.networks)} networks" * (_is_mean(formula))}. */
void {name}_predict_outputs(const {real} inputs[{upper}_INPUTS], {real} outputs[{upper}_OUTPUTS]);
{"" if formula.classes is None else class_declarations(name, real)}
/* 0 if {name}_predict_outputs gives what the network gave that this was written from, else the number of the row that differs. */
int {name}_self_test(void);

#ifdef __cplusplus
}}
#endif

#endif
"""


def source_text(formula: Formula, name: str, header: str) -> str:
    """The file: numbers, the functions of each architecture, and what puts them together."""
    real = _real(formula)
    included = f'#include <math.h>\n#include <stdint.h>\n\n#include "{header}"\n'
    parts = [f"/* Written by fastmlp: {comment(formula.text)}. */\n{included}", OPTIMIZED]
    functions = _functions((layer for network in formula.networks for layer in network), real)
    parts += [_filled(text, name, real) for text in functions]
    groups = [list(group) for _, group in groupby(formula.networks, _architecture)]
    for number, group in enumerate(groups):
        parts += _network(group, f"{name}_network{number if len(groups) > 1 else ''}", name, real)
    parts.append(_together(formula, groups, name, real))
    if formula.classes is not None:
        parts.append(class_names(formula.labels, name))
        parts.append(_filled(PREDICT, name, real))
    parts.append(_self_test(formula, name, real))
    return "\n".join(parts)


# e^x - less, for |x| < MOST: e^x = 2^n e^r with |r| <= log(2) / 2. A sum that rounds to a whole number has n in its last bits. It
# has no branches, so that compilers make vectors of it, as of no exp of math.h, if what is limited is limited in loops of its own:
# 64-32-10 with tanh takes 360 ns instead of 880, in float32 by gcc 12 -O3.
EXP_LESS = """\
static inline REAL NAME_exp_less(REAL x, REAL less)
{
    union { REAL number; BITS bits; } sum, power;
    sum.number = x * 1.4426950408889634 + SHIFT;
    const REAL n = sum.number - SHIFT, r = (x - n * LOG2_HIGH) - n * LOG2_LOW, s = r * r;
    const REAL even = EVEN;
    const REAL odd = ODD;
    const REAL more = r + s * (even + r * odd);
    power.bits = (sum.bits + BIAS) << PLACES;
    return power.number * more + (power.number - less);
}
"""
LIMIT = """\
static inline void NAME_limit(REAL *z, int n, REAL most)
{
    for (int k = 0; k < n; k++) z[k] = z[k] < -most ? -most : z[k];
    for (int k = 0; k < n; k++) z[k] = z[k] > most ? most : z[k];
}
"""
WORDS = {
    "double": {
        "MOST": "708.0", "BITS": "uint64_t", "SHIFT": "6755399441055744.0", "BIAS": "1023", "PLACES": "52",
        "LOG2_HIGH": "0.6931471803691238", "LOG2_LOW": "1.9082149292705877e-10",
    },
    "float": {
        "MOST": "87.0", "BITS": "uint32_t", "SHIFT": "12582912.0", "BIAS": "127", "PLACES": "23",
        "LOG2_HIGH": "0.693359375", "LOG2_LOW": "-0.00021219444005469057",
    },
}  # fmt: skip
MOST_POWERS = {"double": 13, "float": 7}  # of r: the next one would be less than half an ulp
ARRAYS = {  # what is worth vectors: functions of n units at once
    "exp_less": EXP_LESS,
    "limit": LIMIT,
    "softmax": """\
static inline void NAME_softmax(REAL *z, int n)
{
    REAL top = z[0], sum = 0;
    for (int k = 1; k < n; k++) top = z[k] > top ? z[k] : top;
    for (int k = 0; k < n; k++) z[k] -= top;
    NAME_limit(z, n, MOST);
    for (int k = 0; k < n; k++) z[k] = NAME_exp_less(z[k], 0);
    for (int k = 0; k < n; k++) sum += z[k];
    for (int k = 0; k < n; k++) z[k] /= sum;
}
""",
    "sigmoid": """\
static inline void NAME_sigmoid(REAL *z, int n)
{
    NAME_limit(z, n, MOST);
    for (int k = 0; k < n; k++) z[k] = 1 / (1 + NAME_exp_less(-z[k], 0));
}
""",
    "tanh": """\
static inline void NAME_tanh(REAL *z, int n)
{
    NAME_limit(z, n, 20);
    for (int k = 0; k < n; k++) {
        const REAL less = NAME_exp_less(-2 * fabs(z[k]), 1);
        z[k] = copysign(less / (less + 2), z[k]);
    }
}
""",
}
FEWEST = 4  # units that are worth one


def _is_mean(formula: Formula) -> bool:
    return formula.combined == "mean" and len(formula.networks) > 1


def _architecture(network: tuple[DenseLayer, ...]) -> Any:
    return [(layer.weights.shape, layer.biases is None, layer.activation) for layer in network]


def _functions(layers: Iterable[DenseLayer], real: str) -> list[str]:
    """The functions that layers call, after those that these call."""
    found: dict[str, str] = {}

    def add(name: str) -> None:
        text = ARRAYS.get(name) or f"static REAL NAME_{name}(REAL z) {{ return {SPELLINGS[name.removeprefix('one_')].c}; }}\n"
        for other in re.findall(r"NAME_(\w+)\(", text):
            if other != name:
                add(other)
        found.setdefault(name, text)

    for layer in layers:
        if layer.activation != "identity":
            add(_called(layer))
    powers = [repr(1 / math.factorial(k)) for k in range(2, MOST_POWERS[real] + 1)]
    words = {**WORDS[real], "EVEN": _horner(powers[::2]), "ODD": _horner(powers[1::2])}
    return [re.sub("|".join(words), lambda match: words[match[0]], text) for text in found.values()]


def _horner(factors: list[str]) -> str:
    """A polynomial in s."""
    text = factors[-1]
    for factor in factors[-2::-1]:
        text = f"{factor} + s * {f'({text})' if ' ' in text else text}"
    return text


def _called(layer: DenseLayer) -> str:
    """The name of the function of a layer's activation: of its units at once, or of one."""
    name = layer.activation
    if name not in ARRAYS or (name != "softmax" and layer.weights.shape[1] < FEWEST):
        return f"one_{name}" if name in ARRAYS else name
    return name


def _filled(text: str, name: str, real: str) -> str:
    """A text with its names; what it says for double, for float if that is the type."""
    if real == "float":
        text = FRACTION.sub(r"\g<0>f", FUNCTIONS.sub(r"\1f", text))
    words = {"NAME": name, "UPPER": name.upper(), "REAL": real}
    return re.sub("|".join(words), lambda match: words[match[0]], text)


def _network(group: list[tuple[DenseLayer, ...]], function: str, name: str, real: str) -> list[str]:
    """The numbers of networks of one architecture, and the function that computes one of them, or number m."""
    several = len(group) > 1
    place, count, taken = ("[m]", f"[{len(group)}]", "int m, ") if several else ("", "", "")
    tables, body, before = [], [], "x"
    for number, layers in enumerate(zip(*group, strict=True)):
        (n_in, n_out), last = layers[0].weights.shape, number == len(group[0]) - 1
        for what, values in (("weights", [layer.weights for layer in layers]), ("biases", [layer.biases for layer in layers])):
            if values[0] is not None:
                numbers = braced(np.array(values) if several else values[0])
                shape = f"[{n_in}][{n_out}]" if what == "weights" else f"[{n_out}]"
                tables.append(f"static const {real} {function}_{what}{number}{count}{shape} = {numbers};\n")
        after, units = f"a{number}", f"for (int j = 0; j < {n_out}; j++)"
        weights = f"{function}_weights{number}{place}"
        first = "0" if layers[0].biases is None else f"{function}_biases{number}{place}[j]"
        body += [
            f"{real} {after}[{n_out}];",
            f"{units} {after}[j] = {first};",
            f"for (int i = 0; i < {n_in}; i++) {units} {after}[j] += {before}[i] * {weights}[i][j];",
        ]
        called = _called(layers[0])
        if called in ARRAYS:
            body.append(f"{name}_{called}({after}, {n_out});")
        elif called != "identity":
            body.append(f"{units} {after}[j] = {name}_{called}({after}[j]);")
        before = after
        if last:
            body.append(f"{units} out[j] = {after}[j];")
    lines = "\n    ".join(body)
    return [*tables, f"static void {function}({taken}const {real} *x, {real} *out)\n{{\n    {lines}\n}}\n"]


def _together(formula: Formula, groups: list[list[tuple[DenseLayer, ...]]], name: str, real: str) -> str:
    """The function that programs call."""
    upper, units = name.upper(), formula.networks[0][-1].weights.shape[1]
    calls = []
    for number, group in enumerate(groups):
        function = f"{name}_network{number if len(groups) > 1 else ''}"
        calls.append(
            (f"for (int m = 0; m < {len(group)}; m++) ", f"{function}(m, inputs, ")
            if len(group) > 1
            else ("", f"{function}(inputs, ")
        )
    if _is_mean(formula):
        body = [f"double sums[{units}] = {{0}};", f"{real} out[{units}];"]
        add = f"for (int k = 0; k < {units}; k++) sums[k] += out[k];"
        body += [f"{loop}{{\n        {call}out);\n        {add}\n    }}" for loop, call in calls]
        count = len(formula.networks)
        said = f"({real})(sums[{'0' if formula.has_rest else 'k'}] / {count})"
        if not formula.has_rest:
            body.append(f"for (int k = 0; k < {units}; k++) outputs[k] = {said};")
    elif formula.combined == "columns" and len(formula.networks) > 1:
        body, first = [], 0
        for (loop, call), group in zip(calls, groups, strict=True):
            body.append(f"{loop}{call}outputs + {f'{first} + m' if loop else first});")
            first += len(group)
        said = ""
    else:
        body, said = [f"{calls[0][1]}outputs);"], "outputs[0]"
    if formula.has_rest:
        body += [f"outputs[1] = {said};", "outputs[0] = 1 - outputs[1];"]
    lines = "\n    ".join(body)
    return (
        f"void {name}_predict_outputs(const {real} inputs[{upper}_INPUTS], {real} outputs[{upper}_OUTPUTS])\n{{\n    {lines}\n}}\n"
    )


def _self_test(formula: Formula, name: str, real: str) -> str:
    """The test vector, and what compares. The tolerance leaves room for another math.h, and for sums that are rounded otherwise."""
    rows, expected = formula.test_rows()
    sizes = [abs(expected).max()]
    for *_, (weights, biases, _) in formula.networks if formula.classes is None else ():
        sizes.append((abs(weights).sum(axis=0) + (0 if biases is None else abs(biases))).max())
    upper, tolerance = name.upper(), f"{(1e-5 if real == 'float' else 1e-12) * (1 + float(max(sizes))):.1e}"
    tolerance += "f" if real == "float" else ""
    return f"""\
static const {real} {name}_test_inputs[{len(rows)}][{upper}_INPUTS] = {braced(rows)};

static const {real} {name}_test_outputs[{len(rows)}][{upper}_OUTPUTS] = {braced(expected)};

int {name}_self_test(void)
{{
    for (int n = 0; n < {len(rows)}; n++) {{
        {real} outputs[{upper}_OUTPUTS];
        {name}_predict_outputs({name}_test_inputs[n], outputs);
        for (int k = 0; k < {upper}_OUTPUTS; k++) {{
            const {real} difference = outputs[k] - {name}_test_outputs[n][k];
            if (!(difference <= {tolerance} && -difference <= {tolerance})) return n + 1;
        }}
    }}
    return 0;
}}
"""


def _real(formula: Formula) -> str:
    return "float" if formula.dtype == np.float32 else "double"
