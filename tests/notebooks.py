"""The notebooks of the package, executed: `python -m tests.notebooks --write` does it in place, after an edit.

What differs from one execution to the next, or from one computer to another, is left out of the files: when cells ran, which Python
it was. Cells whose text differs all the same, as they tell times or figures that hang on the last digit, have the tag "varies".
"""

import argparse
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "fastmlp" / "_demo").glob("*.ipynb"))
PATIENCE = 300  # seconds for a cell, in which kernels may have to be compiled
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def executed(path, folder):
    """The notebook as it is after all of its cells have run, in that folder; an error if one fails."""
    notebook = nbformat.read(path, as_version=4)
    how = {"timeout": PATIENCE, "record_timing": False, "coalesce_streams": True}
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **how)
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({name: value for name, value in cell.metadata.items() if name == "tags"})
    return notebook


def text_of(cell):
    """What a cell has printed and shown as text; not its pictures, nor what goes to stderr, where libraries tell that they make
    something ready."""
    shown = [output for output in cell.outputs if output.get("name") != "stderr" and "image/png" not in output.get("data", ())]
    return "".join(output.text if output.output_type == "stream" else output.data["text/plain"] for output in shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="execute the notebooks in place")
    parser.parse_args()
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, folder)
        nbformat.write(notebook, path)
        print(f"{path.name}: {len(notebook.cells)} cells, {path.stat().st_size // 1000} KB")


if __name__ == "__main__":
    main()
