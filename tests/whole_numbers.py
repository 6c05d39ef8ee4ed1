"""Networks in whole numbers, compiled as programs in which undefined behaviour and foreign memory end them."""

import re
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from compilers import C_COMPILER, WARNINGS, compiled

MAIN = """\
#include <stdio.h>
#include "NAME.h"
int main(void)
{
    int32_t inputs[UPPER_INPUTS], outputs[UPPER_OUTPUTS];
    while (fread(inputs, sizeof inputs, 1, stdin) == 1) {
        NAME_predict_outputs(inputs, outputs);
        fwrite(outputs, sizeof outputs, 1, stdout);
    }
    return NAME_self_test();
}
"""


@cache
def sanitizers():
    """Those that the compiler has, if what it makes with them runs here."""
    options = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")
    with TemporaryDirectory() as folder:
        source, run = Path(folder, "t.c"), Path(folder, "t")
        source.write_text("int main(void) { return 0; }")
        for command in ([C_COMPILER, *options, "-o", run, source], [run]):
            if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
                return ()
    return options


def outputs_in_c(source, inputs, n_out, options=("-O0",)):
    """What a program says of rows of inputs; and that its self test is content."""
    main, run = source.with_name("main.c"), source.with_suffix(".run")
    main.write_text(MAIN.replace("NAME", source.stem).replace("UPPER", source.stem.upper()))
    compiled(C_COMPILER, "-std=c99", *WARNINGS, *options, *sanitizers(), "-o", run, source, main)
    process = subprocess.run([run], input=inputs.astype(np.int32).tobytes(), capture_output=True, check=False, timeout=60)
    assert (process.returncode, process.stderr) == (0, b"")
    return np.frombuffer(process.stdout, np.int32).reshape(-1, n_out)


def code_of(text):
    """C without its comments and strings, and without what of a header only constants meet."""
    return re.sub(r'(?s:/\*.*?\*/)|"[^"]*"|^#(?:.*\\\n)*.*$', "", text, flags=re.MULTILINE)
