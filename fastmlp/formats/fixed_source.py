"""A network as one C99 file and its header, which are C++ too, in whole numbers alone: neither float nor double, no division, no
library but stdint.h, no allocation. Right shifts are of numbers that are not negative, as C leaves open what others give."""

from __future__ import annotations

import re

from fastmlp.formats.c_files import PREDICT, braced, class_declarations, class_names, comment, write_both
from fastmlp.formats.fixed_functions import SUM_BITS, Whole, reach, table_of
from fastmlp.formats.fixed_point import (
    Deviation,
    FixedFormula,
    FixedLayer,
    TypicalRows,
    deviation_on,
    fixed_formula,
    rows_within,
    tried_rows,
)
from fastmlp.formats.formula import Formula
from fastmlp.writing import StrPath

MOVED = """\
static int32_t NAME_moved(int64_t value, int places)  /* value 2^-places, rounded, within int32 */
{
    const int64_t most = 2147483647;
    if (places > 0) {
        value += (int64_t)1 << (places - 1);
        value = value < 0 ? ~(~value >> places) : value >> places;
    } else {
        const int64_t limit = most >> -places;
        value = value > limit ? most : value < -limit ? -most : value * ((int64_t)1 << -places);
    }
    return (int32_t)(value > most ? most : value < -most ? -most : value);
}
"""
SHORT = """\
static int16_t NAME_as_short(int64_t value, int places)
{
    const int32_t whole = NAME_moved(value, places);
    return (int16_t)(whole > 32767 ? 32767 : whole < -32767 ? -32767 : whole);
}
"""
DENSE = """\
static void NAME_denseSIZE(const int16_t *a, int n_in, const int16_t *weights, const intSIZE_t *biases, const signed char *places,
                       int32_t *z, int n_out)
{
    for (int j = 0; j < n_out; j++, weights += n_in) {
        intSIZE_t sum = biases[j];
        for (int i = 0; i < n_in; i++) sum += (int32_t)a[i] * weights[i];
        z[j] = NAME_moved(sum, places[j]);
    }
}
"""
BETWEEN = """\
static int32_t NAME_between(const uint16_t *table, uint32_t last, uint32_t place)  /* place counts 2^-15 steps */
{
    const uint32_t step = place >> 15, rest = place & 32767;
    if (step >= last) return table[last];
    return (int32_t)((table[step] * (32768 - rest) + table[step + 1] * rest + 16384) >> 15);
}
"""
AT = """\
static int32_t NAME_at(const uint16_t *table, uint32_t reach, int32_t z, int bits)  /* for |z|, with steps of 1/64 */
{
    const uint32_t u = (uint32_t)(z < 0 ? -z : z);
    if (u >> bits >= reach) return table[64 * reach];
    return NAME_between(table, 64 * reach, bits > 21 ? u >> (bits - 21) : u << (21 - bits));
}
"""
POWER = """\
static uint32_t NAME_power(uint32_t d, int bits)  /* 2^-d with 24 bits */
{
    const uint32_t mask = ((uint32_t)1 << bits) - 1, f = (0 - d) & mask;
    const int n = (int)((d + mask) >> bits);
    uint32_t m;
    if (d >> bits >= 31) return 0;
    m = (uint32_t)(65536 + NAME_between(NAME_table_exp2, 256, bits > 23 ? f >> (bits - 23) : f << (23 - bits))) << 8;
    return (m + (n > 0 ? (uint32_t)1 << (n - 1) : 0)) >> n;
}
"""
SOFTMAX = """\
static void NAME_softmax(int32_t *z, int count, int bits)  /* 2^z / sum 2^z: 2 to the power of z less the logarithm of the sum */
{
    int32_t top = z[0];
    uint64_t sum = 0;
    uint32_t logarithm = 0;
    for (int k = 1; k < count; k++) top = z[k] > top ? z[k] : top;
    for (int k = 0; k < count; k++) {
        const uint32_t d = (uint32_t)top - (uint32_t)z[k];
        sum += NAME_power(d > 2147483648u ? 2147483648u : d, bits);
    }
    for (; sum >> 25; sum >>= 1) logarithm += 65536;
    logarithm += (uint32_t)NAME_between(NAME_table_log2, 256, (uint32_t)(sum - 16777216) >> 1);
    for (int k = 0; k < count; k++) {
        const uint32_t d = (uint32_t)top - (uint32_t)z[k];
        z[k] = (int32_t)NAME_power((d > 2147483648u ? 2147483648u : d) + (logarithm << (bits - 16)), bits);
    }
}
"""
EXP = """\
static int32_t NAME_exp(int32_t z)  /* 2^z of z with 25 bits */
{
    const int32_t n = z < 0 ? ~(~z >> 25) : z >> 25, places = 16 - n;
    const int32_t m = 65536 + NAME_between(NAME_table_exp2, 256, ((uint32_t)z & 33554431) >> 2);
    return places > 40 ? 0 : places < -30 ? 2147483647 : NAME_moved(m, places);
}
"""
ACTIVATIONS = {  # of z with so many bits; those with tables have it from NAME_at as g
    "relu": "z < 0 ? 0 : z",
    "leaky_relu": "z < 0 ? (int32_t)-((-(int64_t)z * 42949673 + ((int64_t)1 << 31)) >> 32) : z",
    "sigmoid": "32768 + (z < 0 ? -g : g)",
    "tanh": "z < 0 ? -g : g",
    "softplus": "(z < 0 ? 0 : z) + NAME_moved(g, 16 - bits)",
    "elu": "z < 0 ? -NAME_moved(g, 16 - bits) : z",
    "gelu": "(z < 0 ? 0 : z) - NAME_moved(g, 16 - bits)",
    "gelu_tanh": "(z < 0 ? 0 : z) - NAME_moved(g, 16 - bits)",
    "silu": "(z < 0 ? 0 : z) - NAME_moved(g, 16 - bits)",
}
SELF_TEST = """\
int NAME_self_test(void)
{
    for (int n = 0; n < ROWS; n++) {
        int32_t outputs[UPPER_OUTPUTS];
        NAME_predict_outputs(NAME_test_inputs[n], outputs);
        for (int k = 0; k < UPPER_OUTPUTS; k++)
            if (outputs[k] != NAME_test_outputs[n][k]) return n + 1;
    }
    return 0;
}
"""


def write_fixed(path: StrPath, formula: Formula, typical: TypicalRows) -> Deviation:
    """Writes the file and its header, with room for typical rows, or for inputs within a known range; what it is off by."""
    tried = rows_within(formula, *typical.known or (0.0, 1.0)) if typical.rows is None else typical.rows
    fixed = fixed_formula(formula, tried, typical.known)
    off, tests = deviation_on(fixed, tried), tried_rows(fixed, tried)
    write_both(path, lambda name, header: (_header(fixed, off, name), _source(fixed, off, tests, name, header)))
    return off


def _head(fixed: FixedFormula, off: Deviation) -> str:
    return f"/* Written by fastmlp: {comment(fixed.formula.text)}.\n   In whole numbers: {comment(str(off))}. */\n"


def _header(fixed: FixedFormula, off: Deviation, name: str) -> str:
    formula, upper = fixed.formula, name.upper()
    what = "the probabilities of the classes" if formula.classes is not None and formula.combined == "mean" else "the outputs"
    mean = f", the mean over {len(formula.networks)} networks" * (formula.combined == "mean" and len(formula.networks) > 1)
    classes = "" if formula.classes is None else class_declarations(name, "int32_t")
    return f"""\
{_head(fixed, off)}#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#define {upper}_INPUTS {formula.n_in}
#define {upper}_OUTPUTS {formula.n_out}

/* Numbers are whole: input or output k is {upper}_INPUT_SCALE_k or {upper}_OUTPUT_SCALE_k times as large as what it stands for,
   2 to the power of its bits, of which {upper}_INPUT_BITS and {upper}_OUTPUT_BITS have a list for an array of int.
   {upper}_INPUT(k, value) is input k for a real number, which a compiler computes if that is a constant; {upper}_OUTPUT(k, whole)
   is the real number that output k stands for. */
{_scales(upper, "INPUT", fixed.input_bits)}{_scales(upper, "OUTPUT", fixed.output_bits)}\
#define {upper}_INPUT(k, value) {upper}_WHOLE((value) * {upper}_INPUT_SCALE_##k)
#define {upper}_OUTPUT(k, whole) ((whole) / {upper}_OUTPUT_SCALE_##k)
#define {upper}_WHOLE(x) \\
    ((x) >= 2147483647.0 ? 2147483647 : (x) <= -2147483647.0 ? -2147483647 : (int32_t)((x) + ((x) < 0 ? -0.5 : 0.5)))

#ifdef __cplusplus
extern "C" {{
#endif

/* Writes {what}{mean}. */
void {name}_predict_outputs(const int32_t inputs[{upper}_INPUTS], int32_t outputs[{upper}_OUTPUTS]);
{classes}
/* 0 if {name}_predict_outputs gives, to the bit, what it is to give, else the number of the row that differs. */
int {name}_self_test(void);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _scales(upper: str, what: str, bits: Whole) -> str:
    several = f"#define {upper}_{what}_BITS {{{', '.join(map(str, bits.tolist()))}}}\n"
    return several + "".join(f"#define {upper}_{what}_SCALE_{k} {2.0**value!r}\n" for k, value in enumerate(bits.tolist()))


def _source(fixed: FixedFormula, off: Deviation, tests: tuple[Whole, Whole], name: str, header: str) -> str:
    formula, upper = fixed.formula, name.upper()
    parts = [f'{_head(fixed, off)}#include <stdint.h>\n\n#include "{header}"\n']
    layers = [layer for network in fixed.networks for layer in network]
    parts += [MOVED, SHORT, *(DENSE.replace("SIZE", size) for size in ("32", "64") if size in map(_size, layers))]
    names = dict.fromkeys(layer.activation for layer in layers if layer.activation != "identity")
    parts += _functions(list(names))
    several = len(fixed.networks) > 1
    for number, network in enumerate(fixed.networks):
        parts += _network(network, f"NAME_network{number if several else ''}")
    parts += [f"static const int32_t NAME_centres[UPPER_INPUTS] = {braced(fixed.centres)};\n"]
    parts += [f"static const signed char NAME_input_places[UPPER_INPUTS] = {braced(fixed.input_places)};\n", _together(fixed)]
    if formula.classes is not None:
        parts += [class_names(formula.labels, name), PREDICT.replace("REAL", "int32_t")]
    for what, values in zip(("inputs", "outputs"), tests, strict=True):
        parts.append(f"static const int32_t NAME_test_{what}[{len(values)}][UPPER_{what.upper()}] = {braced(values)};\n")
    parts.append(SELF_TEST.replace("ROWS", str(len(tests[0]))))
    words = {"NAME": name, "UPPER": upper}
    return "\n".join(part if "_classes[" in part else re.sub("NAME|UPPER", lambda match: words[match[0]], part) for part in parts)


def _size(layer: FixedLayer) -> str:
    return "64" if layer.is_wide else "32"


def _functions(names: list[str]) -> list[str]:
    """Those of activations, after the tables and functions that they need."""
    tables = {"softmax": ["exp2", "log2"], "exp": ["exp2"]}
    needed = dict.fromkeys(one for name in names for one in tables.get(name, [name]))
    parts = []
    for name in needed:
        if (table := table_of(name)) is not None:
            parts.append(f"static const uint16_t NAME_table_{name}[{len(table)}] = {braced(table)};\n")
    if parts:
        parts.append(BETWEEN)
    if any(name in ACTIVATIONS and table_of(name) is not None for name in names):
        parts.append(AT)
    for name in names:
        if name == "softmax":
            parts += [POWER, SOFTMAX]
        elif name == "exp":
            parts.append(EXP)
        elif table_of(name) is None:
            parts.append(f"static int32_t NAME_{name}(int32_t z) {{ return {ACTIVATIONS[name]}; }}\n")
        else:
            g = f"    const int32_t g = NAME_at(NAME_table_{name}, {reach(name)}, z, bits);\n"
            parts.append(f"static int32_t NAME_{name}(int32_t z, int bits)\n{{\n{g}    return {ACTIVATIONS[name]};\n}}\n")
    return parts


def _network(layers: tuple[FixedLayer, ...], function: str) -> list[str]:
    tables, body, before = [], [], "x"
    for number, layer in enumerate(layers):
        n_out, n_in = layer.weights.shape
        size, is_last, name = _size(layer), number == len(layers) - 1, layer.activation
        for kind, what, values in (
            ("int16_t", "weights", layer.weights.ravel()),
            (f"int{size}_t", "biases", layer.biases),
            ("signed char", "sum_places", layer.sum_places),
            ("signed char", "places", layer.value_places),
        ):
            if what != "places" or _has_places(layer):
                tables.append(f"static const {kind} {function}_{what}{number}[{len(values)}] = {braced(values)};\n")
        z, units = "out" if is_last else f"z{number}", f"for (int j = 0; j < {n_out}; j++)"
        body += [] if is_last else [f"int32_t z{number}[{n_out}];", f"int16_t a{number}[{n_out}];"]
        own = f"{function}_weights{number}, {function}_biases{number}, {function}_sum_places{number}"
        body.append(f"NAME_dense{size}({before}, {n_in}, {own}, {z}, {n_out});")
        value = f"{z}[j]"
        if name == "softmax":
            body.append(f"NAME_softmax({z}, {n_out}, {layer.bits});")
        elif name == "exp":
            body.append(f"{units} {z}[j] = NAME_exp({value});")
        else:
            if name != "identity":
                value = f"NAME_{name}({value}{'' if table_of(name) is None else f', {layer.bits}'})"
            places = f"{function}_places{number}[j]" if _has_places(layer) else str(layer.value_places[0])
            if not is_last:
                body.append(f"{units} a{number}[j] = NAME_as_short({value}, {places});")
            elif layer.value_places.any():
                body.append(f"{units} {z}[j] = NAME_moved({value}, {places});")
            elif name != "identity":
                body.append(f"{units} {z}[j] = {value};")
        before = f"a{number}"
    lines = "\n    ".join(body)
    return [*tables, f"static void {function}(const int16_t *x, int32_t *out)\n{{\n    {lines}\n}}\n"]


def _has_places(layer: FixedLayer) -> bool:
    """Whether units differ in how their values are moved."""
    return bool((layer.value_places != layer.value_places[0]).any())


def _together(fixed: FixedFormula) -> str:
    """The function that programs call."""
    formula, count = fixed.formula, len(fixed.networks)
    body = ["int16_t x[UPPER_INPUTS];"]
    move = (
        "for (int i = 0; i < UPPER_INPUTS; i++) x[i] = NAME_as_short((int64_t)inputs[i] - NAME_centres[i], NAME_input_places[i]);"
    )
    if count == 1:
        body += [move, "NAME_network(x, outputs);"]
        said = "outputs[0]"
    elif formula.combined == "columns":
        body += [move, *(f"NAME_network{number}(x, outputs + {number});" for number in range(count))]
        said = ""
    else:
        units = len(fixed.networks[0][-1].biases)
        add = f"for (int k = 0; k < {units}; k++) sums[k] += out[k];"
        body += [f"int32_t out[{units}];", f"int64_t sums[{units}] = {{0}};", move]
        for number in range(count):
            body += [f"NAME_network{number}(x, out);", add]
        said = f"NAME_moved(sums[{'0' if formula.has_rest else 'k'}] * {fixed.reciprocal}, 31)"
        if not formula.has_rest:
            body.append(f"for (int k = 0; k < {units}; k++) outputs[k] = {said};")
    if formula.has_rest:
        body += [f"outputs[1] = {said};", f"outputs[0] = {1 << SUM_BITS} - outputs[1];"]
    lines = "\n    ".join(body)
    return f"void NAME_predict_outputs(const int32_t inputs[UPPER_INPUTS], int32_t outputs[UPPER_OUTPUTS])\n{{\n    {lines}\n}}\n"
