"""The notebooks are copied out, and nothing of anybody's is written over without a word."""

from pathlib import Path

import pytest
from command_line import ROOT, assert_one_sentence
from processes import PATIENCE, at_terminal

from fastmlp.commands import notebooks
from fastmlp.commands.main import main

SOURCES = {path.name: path.read_bytes() for path in (ROOT / "fastmlp" / "_demo").glob("*.ipynb")}


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_both_are_copied_and_what_to_do_next_is_told(tmp_path, monkeypatch, capsys):
    for _ in range(2):  # the same files may be there
        monkeypatch.setattr(notebooks, "find_spec", lambda name: object())
        assert main(["demo", "--notebook", str(tmp_path / "new folder")]) == 0
        assert files_in(tmp_path / "new folder") == SOURCES
        *_, last = capsys.readouterr().out.splitlines()
        assert last == f"Next: jupyter lab '{tmp_path}/new folder/circles_and_lines.ipynb'"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notebooks, "find_spec", lambda name: None)
    assert main(["demo", "--notebook"]) == 0
    told = ["circles_and_lines.ipynb", "mlp351.ipynb"]
    told.append("Next: pip install jupyterlab 'fastmlp[plot]' && jupyter lab circles_and_lines.ipynb")
    assert capsys.readouterr().out.splitlines() == told


@pytest.mark.parametrize(
    ("text", "words"), [('{"cells": []}', "it is there and differs; move it away"), ("all that I have", "is not a notebook")]
)
def test_what_is_there_is_not_written_over(text, words, tmp_path, capsys):
    (tmp_path / "mlp351.ipynb").write_text(text)
    assert main(["demo", "--notebook", str(tmp_path)]) == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "mlp351.ipynb", words)
    assert files_in(tmp_path) == {"mlp351.ipynb": text.encode()}


@pytest.mark.parametrize(("words", "told"), [(["--notebook", "file"], "file is no folder"), (["toy", "--notebook"], "without toy")])
def test_what_is_no_folder_and_one_tutorial_alone_are_told(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("text")
    assert main(["demo", *words]) == 2
    assert_one_sentence(capsys.readouterr(), "--notebook" if "toy" in words else "file", told)
    assert list(files_in(tmp_path)) == ["file"]


def test_at_a_terminal_it_is_asked_for(tmp_path):
    changed = b'{"cells": []}'
    for name in SOURCES:
        (tmp_path / name).write_bytes(changed)
    with at_terminal("demo", "--notebook", tmp_path) as (process, person):
        for name, answer in (("circles_and_lines", "y"), ("mlp351", "")):
            person.wait_for(rf"{name}\.ipynb is there and differs\. Write over it\? \(y or n\) ")
            person.type(f"{answer}\n")
        person.wait_for(r"mlp351\.ipynb stays as it is")
        person.wait_for("Next: ")
        assert process.wait(PATIENCE) == 0
    assert files_in(tmp_path) == SOURCES | {"mlp351.ipynb": changed}
