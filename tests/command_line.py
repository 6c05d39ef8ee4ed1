"""What the tests of the commands share: calls of them in this process, what they write, and folders to work on."""

import csv
import io
import re
import shutil
import sys
from pathlib import Path

import pytest

from fastmlp.commands.main import main

ROOT = Path(__file__).resolve().parents[1]
TRAINING, IMAGES = ROOT / "data", ROOT / "test-images"


def rows_of(data):
    return list(csv.reader(io.StringIO(data.decode(errors="surrogateescape"), newline="")))


CLASSES = "fastmlp: 40 images: circle 20, line 20\n"  # what train says first, of the tutorial's data


def assert_one_sentence(captured, *parts):
    sentence = captured.err.removeprefix(CLASSES)
    assert captured.out == ""
    assert sentence.startswith("fastmlp: ") and sentence.count("\n") == 1
    for part in parts:
        assert str(part) in sentence


def exits(args, capsys):
    """What argparse ends a command with: its code, and what it printed."""
    with pytest.raises(SystemExit) as caught:
        main(args.split())
    return caught.value.code, capsys.readouterr()


def some_of_each(folder, **counts):
    """A labelled folder of so many images of each class."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shutil.copy(IMAGES / f"t{'lc'[name == 'circle']}-1.png", folder / name / f"{number}.png")
    return folder


def classified(*args):
    """The exit code of `fastmlp classify`, in this process."""
    return main(["classify", *map(str, args)])


def summary_of(text):
    """What the line of a summary says: images, skipped, failed, and how many rows were there before."""
    match = re.search(r"(\d+) images: .*; (\d+) skipped, (\d+) failed(?:; (\d+) of .* before)?; [\d.]+ s, \d+ files/s\n", text)
    return tuple(int(number or 0) for number in match.groups())


def interrupt_after(monkeypatch, function, calls, error):
    """The next call after so many raises an error."""
    room, name = function.rsplit(".", 1)
    left, target = iter(range(calls)), None
    for part in room.split("."):
        target = sys.modules[part] if target is None else getattr(target, part)
    whole = getattr(target, name)

    def failing(*args):
        if next(left, None) is None:
            raise error
        return whole(*args)

    monkeypatch.setattr(function, failing)


ERRORS = pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["Ctrl-C", "full disk"]
)
