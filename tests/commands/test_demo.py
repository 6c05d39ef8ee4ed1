"""Both demos: what they tell, and what they ask at a terminal."""

import re
import shutil

import pytest
from command_line import IMAGES, TRAINING
from processes import PATIENCE, at_terminal, run


@pytest.mark.usefixtures("compiled")
def test_the_demo_asks_on_a_terminal_until_an_empty_line(tmp_path):
    replies = {
        "tc-1.png": r"tc-1\.png: This image is a CIRCLE",
        str(IMAGES / "tl-3.png"): r"tl-3\.png: This image is a LINE",
        "nothing.png": r"fastmlp: nothing\.png",
        "tc-2": r"tc-2\.png: This image is a CIRCLE",
        f"'{tmp_path}/two words.png' ": r"two words\.png: This image is a LINE",
    }
    shutil.copy(IMAGES / "tl-1.png", tmp_path / "two words.png")
    with at_terminal("demo", cwd=tmp_path) as (process, person):
        for answer, reply in replies.items():
            person.wait_for("empty line ends")
            person.type(f"{answer}\n")
            person.wait_for(reply)
        person.wait_for("empty line ends")
        person.type("\n")
        assert process.wait(PATIENCE) == 0


@pytest.mark.versions
def test_the_demo_gets_ten_of_ten_right_from_any_folder(tmp_path):
    process = run("demo", cwd=tmp_path)
    assert (process.returncode, process.stderr) == (0, b"")
    lines = process.stdout.decode().splitlines()
    for kind, word in (("tc", "CIRCLE"), ("tl", "LINE")):
        for number in range(1, 6):
            assert f"{kind}-{number}.png: This image is a {word}" in lines
    assert "The larger output: 10 of 10 right" in lines and "The softmax network: 10 of 10 right" in lines
    expected = (TRAINING / "features.csv").read_text().splitlines()
    assert sorted((tmp_path / "fastmlp-demo" / "features.csv").read_text().splitlines()) == sorted(expected)


def test_the_toy_demo_learns_both_tasks(tmp_path):
    process = run("demo", "toy", "--out", tmp_path / "toy")
    assert process.returncode == 0
    text = process.stdout.decode()
    assert "The data were made by" in text and "MSE" in text
    accuracy, f1 = map(float, re.search(r"accuracy ([\d.]+), F1 ([\d.]+)", text).groups())
    assert min(accuracy, f1) > 0.9
    drawn = sorted(path.name for path in (tmp_path / "toy").iterdir())
    assert drawn == ["features.png", "labels.png", "loss.png"] or (not drawn and b"matplotlib" in process.stderr)
