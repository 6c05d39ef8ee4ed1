"""How the package is built: imports point down, each file keeps to its subject, and what starts light stays light."""

import ast
import functools
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fastmlp
from fastmlp.commands.main import COMMANDS

PACKAGE = Path(fastmlp.__file__).parent
TESTS = Path(__file__).parent
ROOMS = (
    *("storage", "writing", "progress", "labels", "sliced", "arrays"),
    *("executors", "tasks", "threads", "checks", "literals", "warning"),
)
WINGS = ("commands", "sklearn", "tables", "images", "training", "foreign", "networks", "formats", *ROOMS, "kernels", "interrupts")

DOOR = ("__init__", "__main__")

PUBLIC = [
    "CrossValidation",
    "DivergedError",
    "Evaluation",
    "History",
    "ImageClassifier",
    "ImageError",
    "MLP",
    "Objective",
    "Population",
    "PopulationHistory",
    "Review",
    "Sorted",
    "TableModel",
    "Trainer",
    "Undone",
    "Verdicts",
    "classify_folder",
    "cross_validate",
    "extract_features",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "grid",
    "load",
    "log_csv",
    "log_json",
    "read_image",
    "review_folder",
    "sort_folder",
    "train",
    "train_folder",
    "train_many",
    "train_table",
    "undo_sort",
]


@functools.cache
def sources():
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def wing_of(path):
    return path.split("/")[0].removesuffix(".py")


@functools.cache
def imported_modules(tree):
    """Full names of what a file imports, in functions too; not what it imports for type checkers alone."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            names |= imported_modules(node)
    return names


def outside(path, tree):
    """Packages other than fastmlp and the standard library that a file imports."""
    packages = {name.split(".")[0] for name in imported_modules(tree)}
    return packages - {"fastmlp", "__future__"} - sys.stdlib_module_names


def module_of(path):
    return "fastmlp." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def imports_within(trees):
    """For each file of the package, but those at its door, the files that it imports."""
    paths = {module_of(path): path for path in trees}
    for path, tree in trees.items():
        if wing_of(path) not in DOOR:
            names = {name if name in paths else name.rpartition(".")[0] for name in imported_modules(tree)}
            yield path, {paths[name] for name in names & paths.keys()} - {"__init__.py"}


def test_every_file_has_its_wing():
    assert {wing_of(path) for path in sources()} == {*WINGS, *DOOR}


def test_imports_point_down():
    for path, imported in imports_within(sources()):
        upward = {other for other in imported if WINGS.index(wing_of(other)) < WINGS.index(wing_of(path))}
        assert not upward, f"{path} imports {upward}"


def test_no_files_import_each_other_in_a_circle():
    TopologicalSorter(dict(imports_within(sources()))).prepare()  # raises a CycleError, which names them


def test_every_file_says_what_is_in_it_and_is_short_enough_to_be_read():
    for folder, most in ((PACKAGE, 400), (TESTS, 500)):
        long = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if path.read_text().count("\n") > most}
        assert not long, f"of more than {most} lines"
        for path in folder.rglob("*.py"):
            assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_two_things_have_one_name():
    """Modules, and the classes and functions that they do not keep to themselves."""
    places = defaultdict(set)
    for path, tree in sources().items():
        if path.endswith("__.py"):
            continue
        name = module_of(path).rpartition(".")[2]
        if module_of(path) != f"fastmlp.commands.{name}" or name not in COMMANDS:  # whose files are named as they are called
            places[name].add(path)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(path)
    several = {name for name, paths in places.items() if len(paths) > 1}
    assert several <= {"declare"}  # each command declares its arguments


def test_kernels_import_numba_and_numpy_and_nothing_above_them():
    for path, tree in sources().items():
        if wing_of(path) == "kernels":
            assert outside(path, tree) <= {"numba", "llvmlite", "numpy"}, path  # llvmlite is the part of Numba that builds code
            ours = {name for name in imported_modules(tree) if name.startswith("fastmlp")}
            assert all(name.startswith(("fastmlp.kernels", "fastmlp.interrupts")) for name in ours), path


def test_only_images_knows_pillow_and_only_kernels_know_numba():
    for path, tree in sources().items():
        others = outside(path, tree) - {"numpy"}
        if path not in ("images/pillow.py", "images/png_pictures.py", "images/picture_headers.py", "images/picture_decoders.py"):
            assert "PIL" not in others, path
        if wing_of(path) != "kernels":
            assert "numba" not in others, path


def test_pyarrow_is_known_by_what_reads_and_what_writes_and_other_frames_by_one_file():
    for path, tree in sources().items():
        assert path == "networks/table.py" or not outside(path, tree) & {"pandas", "polars"}, path
        assert path in ("tables/by_arrow.py", "images/arrow_rows.py") or "pyarrow" not in outside(path, tree), path


def test_only_one_file_knows_fsspec():
    for path, tree in sources().items():
        assert path == "images/sources/remote_file.py" or "fsspec" not in outside(path, tree), path


def test_only_its_wing_needs_scikit_learn():
    beside = ("commands/tutorials.py", "images/as_estimator.py")  # the demo has its data; who asks for tags has imported it
    for path, tree in sources().items():
        assert wing_of(path) == "sklearn" or path in beside or not outside(path, tree) & {"sklearn", "scipy"}, path


def test_only_the_commands_print():
    """And estimators that are told to, by verbose, as in scikit-learn."""
    for path, tree in sources().items():
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert wing_of(path) == "commands" or path == "sklearn/stochastic.py" or not called & {"print", "sys.stdout.write"}, path


def test_kernels_neither_raise_nor_draw():
    for path, tree in sources().items():
        if wing_of(path) == "kernels" and path not in ("kernels/apart.py", "kernels/compile.py", "kernels/numba_internals.py"):
            assert path in ("kernels/frozen.py", "kernels/live.py", "kernels/trace.py") or not any(
                isinstance(node, ast.Raise) for node in ast.walk(tree)
            ), path
            assert "np.random" not in ast.unparse(tree), path


def test_public_names_are_those_declared():
    assert sorted(fastmlp.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(fastmlp, name).__doc__, name
    assert set(PUBLIC) <= set(dir(fastmlp))
    assert fastmlp.__version__.count(".") >= 1
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = fastmlp.trian


@pytest.mark.versions
def test_a_python_without_its_lock_is_refused_in_a_sentence():
    code = "import sys; sys._is_gil_enabled = lambda: False; import fastmlp"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("ImportError: fastmlp needs Python's global interpreter lock: ")


@pytest.mark.parametrize("start", ["import fastmlp", "from fastmlp.commands.main import main; main(['--help'])"])
def test_a_light_start_imports_neither_numba_nor_numpy(start):
    code = f"""
import sys
try:
    {start}
except SystemExit:
    pass
heavy = sys.modules.keys() & {{"numba", "numpy", "PIL", "sklearn"}}
sys.exit(f"imports {{heavy}}" if heavy else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (process.returncode, process.stderr) == (0, "")
