"""The two tutorials as notebooks, which lie in the package and run in any folder: `fastmlp demo --notebook` copies them out."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from fastmlp.commands.console import FINE, ask, tell
from fastmlp.writing import FileKind, check_writable, replacing

PLACE = Path(__file__).resolve().parent.parent / "_demo"
NOTEBOOK = FileKind("a notebook", (".ipynb",), rb'\s*\{\s*"(cells|metadata|nbformat)')
NEEDED = {"jupyterlab": "jupyterlab", "matplotlib": "'fastmlp[plot]'"}  # to open and to run them, and what brings it


def copy_notebooks(folder: Path) -> int:
    """Copy them into a folder, tell where they are and what to do next, and return the exit code.

    One that is there and differs stays, unless somebody at a terminal says that it may go; where nobody can be asked that is a
    ValueError, before anything is written.
    """
    texts = {folder / source.name: source.read_bytes() for source in sorted(PLACE.glob("*.ipynb"))}
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder to write notebooks into")
    folder.mkdir(parents=True, exist_ok=True)
    for path in texts:
        check_writable(path, NOTEBOOK)
    kept = [path for path, text in texts.items() if _differs(path, text) and not _may_go(path)]
    for path, text in texts.items():
        if path not in kept:
            with replacing(path, NOTEBOOK) as file:
                file.write(text)
        tell(f"{path}{' stays as it is' if path in kept else ''}")
    missing = [package for name, package in NEEDED.items() if find_spec(name) is None]
    install = f"pip install {' '.join(missing)} && " if missing else ""
    tell(f"Next: {install}jupyter lab {shlex.quote(str(next(iter(texts))))}")
    return FINE


def _differs(path: Path, text: bytes) -> bool:
    return path.exists() and path.read_bytes() not in (b"", text)


def _may_go(path: Path) -> bool:
    if not sys.stdin.isatty():
        raise ValueError(f"{path} cannot be written: it is there and differs; move it away, or name another folder")
    return ask(f"{path} is there and differs. Write over it? (y or n) ").lower() in ("y", "yes")
