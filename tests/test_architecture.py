"""The house keeps its plan: imports point down, each room keeps to its trade, and a light start stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent
ROOMS = ("storage", "files", "progress", "labels", "arrays", "threads", "checks", "literals")
WINGS = ("commands", "images", "training", "networks", *ROOMS, "kernels")

PUBLIC = [
    "DivergedError",
    "Evaluation",
    "History",
    "ImageClassifier",
    "ImageError",
    "MLP",
    "Objective",
    "Population",
    "PopulationHistory",
    "Verdicts",
    "classify_folder",
    "extract_features",
    "grid",
    "load",
    "read_image",
    "train",
    "train_folder",
    "train_many",
]


def sources():
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def wing_of(path):
    return path.split("/")[0].removesuffix(".py")


def imported_modules(tree):
    """Full names of what a file imports, in functions too; not what it imports for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imported_modules(node)


def outside(path, tree):
    """Packages other than fastmlp and the standard library that a file imports."""
    packages = {name.split(".")[0] for name in imported_modules(tree)}
    return packages - {"fastmlp", "__future__"} - sys.stdlib_module_names


def test_every_file_has_its_wing():
    assert {wing_of(path) for path in sources()} == {*WINGS, "__init__", "__main__"}


def test_imports_point_down():
    upward = set()
    for path, tree in sources().items():
        wing = wing_of(path)
        if wing in ("__init__", "__main__"):
            continue
        for name in imported_modules(tree):
            package, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if package == "fastmlp" and target in WINGS and WINGS.index(target) < WINGS.index(wing):
                upward.add((wing, target))
    assert not upward


def test_kernels_import_numba_and_numpy_and_nothing_above_them():
    for path, tree in sources().items():
        if wing_of(path) == "kernels":
            assert outside(path, tree) <= {"numba", "llvmlite", "numpy"}, path  # llvmlite is the part of Numba that builds code
            ours = {name for name in imported_modules(tree) if name.startswith("fastmlp")}
            assert all(name.startswith("fastmlp.kernels") for name in ours), path


def test_only_images_knows_pillow_and_only_kernels_know_numba():
    for path, tree in sources().items():
        others = outside(path, tree) - {"numpy"}
        if path != "images/pillow.py":
            assert "PIL" not in others, path
        if wing_of(path) != "kernels":
            assert "numba" not in others, path


def test_only_the_commands_print():
    for path, tree in sources().items():
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert wing_of(path) == "commands" or not called & {"print", "sys.stdout.write"}, path


def test_kernels_neither_raise_nor_draw():
    for path, tree in sources().items():
        if wing_of(path) == "kernels" and path != "kernels/compile.py":
            assert path == "kernels/frozen.py" or not any(isinstance(node, ast.Raise) for node in ast.walk(tree)), path
            assert "np.random" not in ast.unparse(tree), path


def test_public_names_are_those_declared():
    assert sorted(fastmlp.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(fastmlp, name).__doc__, name
    assert set(PUBLIC) <= set(dir(fastmlp))
    assert fastmlp.__version__.count(".") >= 1
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = fastmlp.trian


@pytest.mark.parametrize("start", ["import fastmlp", "from fastmlp.commands.main import main; main(['--help'])"])
def test_a_light_start_imports_neither_numba_nor_numpy(start):
    code = f"""
import sys
try:
    {start}
except SystemExit:
    pass
heavy = sys.modules.keys() & {{"numba", "numpy", "PIL"}}
sys.exit(f"imports {{heavy}}" if heavy else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
