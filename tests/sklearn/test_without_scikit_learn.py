"""Without scikit-learn all else works, and what needs it says what to install."""

import subprocess
import sys

import pytest

import fastmlp.sklearn

HIDDEN = "import sys; sys.modules['sklearn'] = sys.modules['scipy'] = None; "


def run(code):
    return subprocess.run([sys.executable, "-c", HIDDEN + code], capture_output=True, text=True, check=False)


@pytest.mark.versions
def test_every_other_room_can_be_imported():
    code = """
from importlib import import_module
from pkgutil import walk_packages
import fastmlp
names = [room.name for room in walk_packages(fastmlp.__path__, "fastmlp.") if not room.name.startswith("fastmlp.sklearn.")]
for name in names:
    import_module(name)
print(len(names))
"""
    process = run(code)
    assert process.stderr == "" and int(process.stdout) > 100


@pytest.mark.parametrize("name", fastmlp.sklearn.__all__)
def test_a_sentence_says_what_to_install(name):
    process = run(f"import fastmlp.sklearn; fastmlp.sklearn.{name}")
    message = f"ModuleNotFoundError: fastmlp.sklearn.{name} needs scikit-learn: pip install 'fastmlp[scikit-learn]'"
    assert process.stderr.splitlines()[-1] == message
