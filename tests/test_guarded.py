"""Guarded memory: all of it can be used, and not one byte beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pages are protected otherwise there")
ROOT = Path(__file__).parents[1]
USED = """
import ctypes
from tests.torture.guarded import guarded, guarded_before

a = {made}
a[:] = 7
print(a.sum())
ctypes.c_ubyte.from_address({place}).value
"""


def status(made, place):
    command = [sys.executable, "-c", USED.format(made=made, place=place)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)


@pytest.mark.parametrize("size", [1, 4097])
def test_the_byte_beside_it_ends_the_process(size):
    for made, within, beside in [
        (f"guarded({size})", "a.ctypes.data + a.size - 1", "a.ctypes.data + a.size"),
        (f"guarded_before({size})", "a.ctypes.data", "a.ctypes.data - 1"),
    ]:
        assert status(made, within).returncode == 0
        dead = status(made, beside)
        assert dead.stdout == b"%d\n" % (7 * size)
        assert dead.returncode < 0
