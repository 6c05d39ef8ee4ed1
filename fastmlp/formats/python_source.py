"""A network as a Python module that needs NumPy alone."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fastmlp.formats.formula import Formula
from fastmlp.formats.spellings import SPELLINGS
from fastmlp.writing import FileKind, StrPath, replacing

PYTHON = FileKind("a module that fastmlp wrote", (".py",), rb'"""Written by fastmlp')
WIDTH = 120  # of a line, about
SOFTMAX = """\
def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
"""
OUTPUTS = """\
def outputs_of(layers, a):
    for weights, biases, activation in layers:
        a = activation(a @ weights + biases)
    return a
"""


def write_python(path: StrPath, formula: Formula) -> None:
    with replacing(path, PYTHON, "w", encoding="ascii", newline="\n") as file:
        file.write(python_text(formula))


def python_text(formula: Formula) -> str:
    """The module."""
    several, what = len(formula.networks) > 1, "outputs"
    if formula.classes is not None:
        what = f"{'probabilities' if formula.combined == 'mean' else 'outputs'}, in the order of CLASSES"
    mean = " by the mean of several networks" if several and formula.combined == "mean" else ""
    used = dict.fromkeys(layer.activation for network in formula.networks for layer in network)
    imports = ("import math\n\n" if "gelu" in used else "") + "import numpy as np"
    text = ascii(formula.text)[1:-1].replace('"', "'")  # so that no name of a class ends the docstring
    shapes = f"For rows X (N, {formula.n_in}) predict_outputs(X) gives {what}{mean}: (N, {formula.n_out});\n"
    shape = "numbers: (N,)" if formula.n_out == 1 else f"numbers: (N, {formula.n_out})"
    shapes += f"predict(X) {'labels: (N,)' if formula.classes is not None else shape}."
    parts = [f'"""Written by fastmlp: {text}.\n\n{shapes}\n"""\n\n{imports}\n']
    parts += [SOFTMAX if name == "softmax" else f"def {name}(z):\n    return {SPELLINGS[name].numpy}\n" for name in used]
    parts += [OUTPUTS, _predict_outputs(formula)]
    said = "predict_outputs(X)" + "[:, 0]" * (formula.n_out == 1)
    if (classes := formula.classes) is not None:
        said = "CLASSES[predict_outputs(X).argmax(axis=1)]"
    parts.append(f"def predict(X):\n    return {said}\n")
    if classes is not None:
        parts.append(f"CLASSES = np.array({classes.tolist()!a}, {classes.dtype.str!r})")
    parts.append(
        f"NETWORKS = [  # layers of each: weights (n_in, n_out), biases, activation\n{''.join(map(_network, formula.networks))}]"
    )
    return "\n\n".join(parts).replace(")\n\n\nNETWORKS", ")\nNETWORKS") + "\n"


def _predict_outputs(formula: Formula) -> str:
    several, columns = len(formula.networks) > 1, formula.combined == "columns"
    said = "[outputs_of(layers, X) for layers in NETWORKS]" if several or columns else "outputs_of(NETWORKS[0], X)"
    if columns:
        said = f"np.hstack({said})"
    elif several:
        said = f"np.mean({said}, axis=0)"
    lines = [f"X = np.asarray(X, np.{formula.dtype.name}).reshape(-1, {formula.n_in})"]
    lines += [f"p = {said}", "return np.hstack([1 - p, p])"] if formula.has_rest else [f"return {said}"]
    return "def predict_outputs(X):\n    " + "\n    ".join(lines) + "\n"


def _network(layers: Any) -> str:
    text = "".join(f"    ({_array(w)},\n     {'0' if b is None else _array(b)},\n     {name}),\n" for w, b, name in layers)
    return f"  [\n{text}  ],\n"


def _array(array: NDArray[Any]) -> str:
    rows = array if array.ndim > 1 else array[None]
    text = ",\n      ".join(map(_row, rows))
    return f"np.array([\n      {text}], np.{array.dtype.name})" if array.ndim > 1 else f"np.array({text}, np.{array.dtype.name})"


def _row(values: NDArray[Any]) -> str:
    lines = [""]
    for text in map(_number, values):
        if len(lines[-1]) + len(text) > WIDTH:
            lines.append("       ")
        lines[-1] += f"{text}, "
    return "[" + "\n".join(line.rstrip() for line in lines).rstrip(",") + "]"


def _number(value: Any) -> str:
    """The shortest that reads as exactly this number, by way of float64."""
    text = str(value)
    return text if value.dtype.type(float(text)) == value else repr(float(value))
