"""Compiled kernels are kept from one process to the next; what is stale, damaged, or cannot be kept is compiled anew."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest

from fastmlp.kernels import cache
from fastmlp.kernels.compile import jit

PACKAGE = Path(cache.__file__).parent.parent
X = np.array([1.0, 2.0])

pytestmark = [pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled"), pytest.mark.versions]


def tenfold(x):
    return 10 * x[1]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    folders = [tmp_path / "first", tmp_path / "second"]
    monkeypatch.setattr(cache, "FOLDERS", folders)
    return folders


def is_found(x=X):
    """Whether a kernel that is new to this process comes from the cache; what it gives is right in any case."""
    kernel = jit(tenfold)
    assert kernel(x) == 20
    return bool(kernel.stats.cache_hits)


def kept(folder):
    return sorted(folder.iterdir()) if folder.exists() else []


def test_what_was_compiled_is_found_by_its_types():
    assert not is_found()
    assert is_found()
    assert not is_found(X.astype(np.float32))
    assert is_found(X) and is_found(X.astype(np.float32))


def test_it_is_kept_for_the_processor_the_versions_and_the_settings_it_was_compiled_with(monkeypatch):
    codegen = type(numba.core.registry.cpu_target.target_context.codegen())
    processor = codegen.magic_tuple
    assert not is_found()
    for place, name, other in (
        (cache, "VERSIONS", ("another",)),
        (codegen, "magic_tuple", lambda self: ("another", *processor(self))),
        (numba.config, "BOUNDSCHECK", 1),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, other)
            assert not is_found(), name
            assert is_found(), name
    assert is_found()  # as those of others do not take its place


# An inlined activation as other kernels have it, in a file of its own.
TINY = """
from fastmlp.kernels.activations import hidden_activation
from fastmlp.kernels.compile import jit

@jit
def activated(x, code):
    return hidden_activation(code, x)[0]
"""
CALL = """
from fastmlp.kernels.activations import CODES
from fastmlp.kernels.tiny import activated
print(*(activated(0.5, CODES[name]) for name in ("sigmoid", "tanh")), sum(activated.stats.cache_hits.values()))
"""


def test_a_change_in_another_kernels_file_compiles_anew_and_removes_what_is_stale(tmp_path):
    kernels = tmp_path / "fastmlp" / "kernels"
    shutil.copytree(PACKAGE, kernels.parent, ignore=shutil.ignore_patterns("__pycache__"))
    (kernels / "tiny.py").write_text(TINY)
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def called():
        process = subprocess.run(
            [sys.executable, "-c", CALL], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert process.returncode == 0, process.stderr
        *values, hits = process.stdout.split()
        assert [float(value) for value in values] == pytest.approx([1 / (1 + np.exp(-0.5)), np.tanh(0.5)])
        return int(hits), list((kernels / "__pycache__").glob("tiny.activated-*"))

    (kernels / "__pycache__").mkdir()
    (kernels / "__pycache__" / "tiny.activated-5.py311.nbi").touch()  # as older versions have left it
    hits, first = called()
    assert (hits, len(first)) == (0, 1)
    assert called() == (1, first)
    lines = (kernels / "activations.py").read_text().split("\n")
    one, two = (next(k for k, line in enumerate(lines) if f'Row("{name}"' in line) for name in ("sigmoid", "tanh"))
    lines[one], lines[two] = lines[two], lines[one]
    (kernels / "activations.py").write_text("\n".join(lines))  # where each now has the other's code
    hits, second = called()
    assert (hits, len(second)) == (0, 1) and second != first


# A kernel that Python calls, and then another one that it becomes a part of.
LOADED = """
import sys
import numba, numpy as np
from fastmlp.kernels.compile import jit

@jit
def tenfold(x):
    return 10 * x[1]

@numba.njit
def twice(x):
    return 2 * tenfold(x) + np.zeros(3).sum()

x = np.array([1.0, 2.0])
assert tenfold(x) == 20
print("numba.np.arraymath" in sys.modules)
assert twice(x) == 40
print(sum(tenfold.stats.cache_hits.values()))
"""


def test_what_is_found_runs_before_anything_is_made_ready_to_compile_and_becomes_a_part_of_what_is_compiled(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "NUMBA_CACHE_DIR": str(tmp_path)}

    def told():
        return subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, timeout=120).stdout

    assert told() == "True\n0\n"
    assert told() == "False\n1\n"


DAMAGES = {
    "nothing": lambda data: b"",
    "10 bytes": lambda data: data[:10],
    "half": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(range(256)) * 99,
    "one bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "more": lambda data: data + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_compiled_anew_and_replaced(folders, damage):
    assert not is_found()
    (path,) = kept(folders[0])
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert not is_found()
    assert kept(folders[0]) == [path]
    assert is_found()


def test_where_nothing_can_be_kept_kernels_run_all_the_same(folders, monkeypatch):
    for folder in folders:
        folder.touch()  # a file stands in the place of each, which hinders a superuser too
    assert not is_found()
    assert not is_found()
    for folder in folders:
        folder.unlink()

    def write_half(path, content):
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    assert not is_found()
    assert not kept(folders[0]) and not kept(folders[1])


def test_a_warmed_folder_that_cannot_be_written_is_read_and_the_next_one_is_written(folders, monkeypatch):
    assert not is_found()
    before = kept(folders[0])
    write = cache._write

    def write_elsewhere(path, content):
        if path.parent == folders[0]:
            raise OSError(errno.EROFS, "Read-only file system")
        write(path, content)

    monkeypatch.setattr(cache, "_write", write_elsewhere)
    assert is_found()
    assert not is_found(X.astype(np.float32))
    assert is_found(X.astype(np.float32))
    assert kept(folders[0]) == before and len(kept(folders[1])) == 1


def test_what_others_are_writing_is_left_and_what_was_abandoned_is_removed(folders):
    folders[0].mkdir()
    fresh, abandoned = folders[0] / f"fresh{cache.UNFINISHED}", folders[0] / f"abandoned{cache.UNFINISHED}"
    for path in (fresh, abandoned):
        path.touch()
    os.utime(abandoned, (time.time() - 2 * cache.ABANDONED,) * 2)
    is_found()
    assert fresh.exists() and not abandoned.exists()


def test_what_several_write_at_once_is_always_whole(tmp_path):
    path, contents = tmp_path / "folder" / "x.nbc", [bytes([k]) * 300_000 for k in range(3)]

    def write(content):
        for _ in range(100):
            cache._write(path, content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            seen.add(path.read_bytes())
    assert seen <= set(contents) and path.read_bytes() in contents
    assert kept(path.parent) == [path]


def test_the_folder_is_the_one_named_or_beside_the_sources_or_the_users(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    (named,) = cache._folders()
    assert named.parent == tmp_path
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    beside, users = cache._folders()
    assert beside == PACKAGE / "kernels" / "__pycache__" and PACKAGE not in users.parents
