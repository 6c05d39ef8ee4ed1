"""The demos' images by any name that is typed, and their figures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import IMAGES

import fastmlp
from fastmlp.commands import tutorials
from fastmlp.commands.tutorials import image_named


@pytest.mark.parametrize(
    "typed",
    [
        "IMAGES/tc-1.png", "IMAGES/tc-1", "'IMAGES/tc-1.png'", "tc-1.png", "tc-1", '"tc-1"', "my line.png", r"my\ line.png",
        "my line", "~/my line.png", r"~/my\ line", '"~/my line"', "'~/it'\\''s.png'", "~/it's.png",
    ],
)  # fmt: skip
def test_the_demo_finds_an_image_however_its_name_is_typed(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("my line.png", "it's.png"):
        shutil.copy(IMAGES / "tl-1.png", name)
    found = Path(image_named(typed.replace("IMAGES", str(IMAGES)), IMAGES)).resolve()
    name = next(name for name in ("tc-1", "my line", "it's") if name in typed.replace("\\", "").replace("''", ""))
    assert found.is_file() and found.name == f"{name}.png"


def test_a_name_without_an_image_stays_as_it_was_typed():
    for typed, path in (("nothing", "nothing"), ("'no thing.png", "'no thing.png"), ("'no thing.png'", "no thing.png"), ("/", "/")):
        assert image_named(typed, IMAGES) == path


def test_figures_are_written_over_and_nothing_else_is(tmp_path):
    figure = pytest.importorskip("matplotlib.figure").Figure
    X, y = np.random.default_rng(0).random((20, 3)), np.arange(20) % 2
    toy, model = tutorials.Toy("", X, X, y, y), fastmlp.train(X, y, epochs=2)
    for _ in range(2):
        tutorials.check_figures(tmp_path)
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in tutorials.draw(tmp_path, model, toy))
    figure().savefig(tmp_path / "labels.png")
    before = (tmp_path / "labels.png").read_bytes()
    for write in (tutorials.check_figures, lambda folder: tutorials.draw(folder, model, toy)):
        with pytest.raises(ValueError, match=r"labels\.png cannot be written: it is there and is not a figure of this demo"):
            write(tmp_path)
    assert (tmp_path / "labels.png").read_bytes() == before
