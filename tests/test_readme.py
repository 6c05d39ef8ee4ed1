"""The READMEs are programs: their blocks run in order, from an empty folder with the images, and come to what they show."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
from shown import agree

import fastmlp
from fastmlp import literals

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "fastmlp/README.md", "benchmarks/README.md", "data/README.md")
LONG = re.compile("take minutes|takes an hour")  # in the paragraph before: not for tests
SHOWN = re.compile(r"<.*?>|\[.*?\]|\([\d, ]*\)|-?\d[\d.]*")  # a result, at the beginning of a comment


class Block(NamedTuple):
    """A block of a README: its kind, its text, the number of its first line, and the paragraph before it."""

    kind: str
    text: str
    line: int
    before: str


def blocks(*kinds, readme="README.md"):
    text = (ROOT / readme).read_text()
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if match[1] in kinds:
            before = text[: match.start()]
            yield Block(match[1], match[2], before.count("\n") + 2, before.rstrip().rpartition("\n\n")[2])


def assert_shown(shown, came):
    assert agree(shown, came), f"the README shows:\n{shown}\nbut there came:\n{came}"


def assert_output(shown, came):
    """A line of three points stands for any number of lines."""
    *parts, last = [part.splitlines() for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]
    lines, place = came.splitlines(), 0
    for number, part in enumerate(parts):
        places = range(place, len(lines)) if number else [0]
        found = [i for i in places if agree("\n".join(part), "\n".join(lines[i : i + len(part)]))]
        assert found, f"the README shows:\n{shown}\nbut there came:\n{came}"
        place = found[0] + len(part)
    rest = lines[place:]
    assert_shown("\n".join(last), "\n".join(rest[len(rest) - len(last) :] if parts else rest))


def run_python(block, names):
    for node in ast.parse(block.text).body:
        comment = block.text.splitlines()[node.end_lineno - 1][node.end_col_offset :].partition("# ")[2]
        ast.increment_lineno(node, block.line - 1)
        if not isinstance(node, ast.Expr):
            exec(compile(ast.Module([node], []), "README.md", "exec"), names)
            continue
        value = eval(compile(ast.Expression(node.value), "README.md", "eval"), names)
        if shown := SHOWN.match(comment):
            assert_shown(shown[0], str(value.shape if shown[0].startswith("(") else value))


def run_commands(block):
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        command = command.removeprefix("pip install . && ")  # it is, or there were no tests
        script = f'fastmlp() {{ {sys.executable} -m fastmlp "$@"; }}\n{command}'
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        process = subprocess.run(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
            check=False,
        )
        assert process.returncode == 0, f"{command}\n{process.stderr}"
        if shown.startswith("fastmlp: "):
            assert_shown(shown, process.stderr.splitlines()[-1])
        elif shown:
            assert_output(shown, process.stdout)


@pytest.mark.parametrize("readme", READMES)
def test_every_block_runs_and_comes_to_what_is_shown(readme, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("data", "test-images"):
        shutil.copytree(ROOT / name, name)
    names, printed = {}, None
    for block in blocks("python", "console", "text", readme=readme):
        if block.kind == "python":
            run_python(block, names)
            printed = capsys.readouterr().out
        elif block.kind == "console" and not LONG.search(block.before):
            run_commands(block)
        elif block.before.endswith("```") and printed:
            assert_output(block.text, printed)


@pytest.mark.parametrize("readme", READMES)
def test_every_link_leads_to_a_file(readme):
    path = ROOT / readme
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_the_readme_names_all_that_train_takes():
    told = set(re.findall(r"[\w-]+", " ".join(re.findall("`(.+?)`", (ROOT / "README.md").read_text()))))
    vocabulary = (literals.Activation, literals.Output, literals.Loss, literals.Optimizer, literals.Schedule, literals.Init)
    names = {name for kind in vocabulary for name in get_args(kind)}
    assert names | inspect.signature(fastmlp.train).parameters.keys() <= told


def test_the_house_has_the_rooms_that_are_told_of():
    rooms, folder = set(), []
    for line in next(blocks("text", readme="fastmlp/README.md")).text.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        folder[depth:] = [name]
        rooms |= {"".join(folder)} if name.endswith(".py") else set()
    package = ROOT / "fastmlp"
    files = {path.relative_to(package) for path in package.rglob("*.py")}
    assert rooms == {path.as_posix() for path in files if path.name != "__init__.py" or path.parent == Path()}
