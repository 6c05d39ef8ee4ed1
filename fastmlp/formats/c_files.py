"""What files of C have in common: names, numbers, strings and comments as C reads them; and that both are written, or none."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.writing import FileKind, StrPath, check_writable, replacing

C_FILE = FileKind("C that fastmlp wrote", (".c",), rb"/\* Written by fastmlp")
C_HEADER = FileKind("a C header that fastmlp wrote", (".h",), rb"/\* Written by fastmlp")
LONGEST_NAME = 4000  # bytes of a class: C99 has no longer strings than 4095
PLAIN = (string.ascii_letters + string.digits + " _-.,:()").encode()
WIDTH = 120  # of a line, about
# GCC makes few vectors at -O2, and programs are seldom built with more: 64-32-10 took twice the time. Who wants no speed, or small
# code, gets that.
OPTIMIZED = """\
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC optimize("O3")
#endif
"""
# The place of the class with the largest of the outputs, which are REAL numbers.
PREDICT = """\
int NAME_predict(const REAL inputs[UPPER_INPUTS])
{
    REAL outputs[UPPER_OUTPUTS];
    int best = 0;
    NAME_predict_outputs(inputs, outputs);
    for (int k = 1; k < UPPER_OUTPUTS; k++) best = outputs[k] > outputs[best] ? k : best;
    return best;
}
"""


def write_both(path: StrPath, texts: Callable[[str, str], tuple[str, str]]) -> None:
    """Writes the file and, with the ending .h, its header. What they say is made of the name that all in them begins with, and of
    that of the header."""
    stem, ending = os.path.splitext(os.path.basename(os.fspath(path)))
    if not stem.isprintable() or re.search(r'["\\]|\?\?', stem):
        raise ValueError(f"{os.fspath(path)} cannot be written: C cannot include a header of such a name")
    header = os.path.splitext(os.fspath(path))[0] + (".H" if ending == ".C" else ".h")
    declarations, source = texts(identifier(stem), os.path.basename(header))
    how: dict[str, Any] = {"mode": "w", "encoding": "utf-8", "newline": "\n"}
    check_writable(path, C_FILE)  # before what is told is of the header, which nobody named
    with replacing(header, C_HEADER, **how) as declared, replacing(path, C_FILE, **how) as file:
        declared.write(declarations)
        declared.flush()
        os.fsync(declared.fileno())  # what may fail has been done when the first of them is moved
        file.write(source)


def identifier(stem: str) -> str:
    """What all names in a file begin with; none is that alone, so it may be a word of C's."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")
    return name if re.match("[A-Za-z]", name) else f"network_{name}".strip("_")


def class_declarations(name: str, kind: str) -> str:
    """What headers of classifiers say."""
    upper = name.upper()
    return f"""
/* The names of the classes, in the order of their outputs. */
extern const char *const {name}_classes[{upper}_OUTPUTS];

/* The place in {name}_classes of the class with the largest output, the first of equal ones. */
int {name}_predict(const {kind} inputs[{upper}_INPUTS]);
"""


def class_names(labels: list[str], name: str) -> str:
    strings = ",\n    ".join(map(_string, labels))
    return f"const char *const {name}_classes[{name.upper()}_OUTPUTS] = {{\n    {strings}\n}};\n"


def braced(array: NDArray[Any]) -> str:
    """The numbers of an array, in braces; each reads as exactly what it was."""
    if array.ndim > 1:
        return "{\n" + ",\n".join(braced(part) for part in array) + "}"
    suffix, lines = "f" * (array.dtype == np.float32), [""]
    for text in (f"{value!s}{suffix}" for value in array):
        if len(lines[-1]) + len(text) > WIDTH:
            lines.append("")
        lines[-1] += f"{text}, "
    return "{" + "\n".join(lines).rstrip(" ,") + "}"


def _string(text: str) -> str:
    """A string: all but the plainest characters as octal bytes of UTF-8, so that nothing in it means anything in C."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > LONGEST_NAME:
        raise ValueError(f"the name of a class must have at most {LONGEST_NAME} bytes in C; got {len(data)}")
    return '"' + "".join(chr(byte) if byte in PLAIN else f"\\{byte:03o}" for byte in data) + '"'


def comment(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ,.:;()-]", "_", text)
