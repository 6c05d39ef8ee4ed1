"""The notebooks run in any folder, and come to what they show."""

import sys

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")
import nbformat
from notebooks import METADATA, NOTEBOOKS, executed, text_of
from shown import agree

MOST = 300_000  # bytes of a notebook with its pictures

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each
def test_what_is_kept_was_executed_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert path.stat().st_size < MOST and 25 <= len(notebook.cells) <= 40
    assert notebook.metadata == METADATA
    assert all(cell.metadata.keys() <= {"tags"} for cell in notebook.cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", ()) for output in outputs)
    assert all(output.output_type in ("stream", "display_data") and output.get("name") != "stderr" for output in outputs)


@each
def test_it_runs_in_an_empty_folder_and_comes_to_what_it_shows(path, tmp_path):
    shown, came = code_of(nbformat.read(path, as_version=4)), code_of(executed(path, tmp_path))
    for cell, other in zip(shown, came, strict=True):
        assert "varies" in cell.metadata.get("tags", ()) or agree(text_of(cell), text_of(other)), (
            f"{path.name} shows:\n{text_of(cell)}\nbut there came:\n{text_of(other)}\nfrom:\n{cell.source}"
        )
    assert not any(tmp_path.iterdir())


@each
def test_a_missing_library_is_told_in_the_first_cell(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"this notebook draws with matplotlib: pip install 'fastmlp\[plot\]' brings it"):
        exec(code_of(nbformat.read(path, as_version=4))[0].source, {})
