"""Sorting images into folders, beside classifying them alone, and beside what a script would do after that.

A rival's name tells the bar: the least ratio that fastmlp is to reach where two cores are free and the files are in memory.
"""

import os
import shutil
import subprocess
import sys
from functools import partial
from itertools import count
from pathlib import Path

import pytest

import fastmlp
from benchmarks.test_images import DATA, folder_of
from benchmarks.work import Side
from fastmlp.images import reading


class Work:
    """A folder of PNGs, which each call sorts into a new folder."""

    def __init__(self, source, model, room):
        self.source, self.model, self.room, self.numbers = source, model, room, count()
        self.units = len(os.listdir(source))

    def new(self):
        return self.room / str(next(self.numbers))

    def tidy(self):
        for folder in self.room.iterdir():
            shutil.rmtree(folder)

    def side(self, function):
        return Side(function, self.units, before=self.tidy)

    def sort(self, how):
        result = fastmlp.sort_folder(self.model, self.source, self.new(), how)
        assert sum(result.counts.values()) == self.units

    def classify(self):
        return fastmlp.classify_folder(self.model, self.source)

    def by_script(self, put):
        """What is not written over here is what is not there; and what has ended it, nobody knows."""
        verdicts, dest = self.classify(), self.new()
        for label in set(verdicts.labels):
            (dest / label).mkdir(parents=True)
        for path, label in zip(verdicts.paths, verdicts.labels, strict=True):
            put(self.source / path, dest / label / path)

    def command(self, *words):
        command = [sys.executable, "-m", "fastmlp", *map(str, words)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(DATA.parent)})


@pytest.fixture(scope="module", params=[50_000])
def work(request, tmp_path_factory):
    classifier = fastmlp.train_folder(DATA, extractor="ink", seed=0)
    images = [path.read_bytes() for path in sorted((DATA / "train-images").glob("*.png"))]
    size = 400 if request.config.getoption("--short") else request.param
    with folder_of(images, size, tmp_path_factory.getbasetemp()) as folder:
        yield Work(folder, classifier, tmp_path_factory.mktemp("sorted"))


@pytest.fixture
def compiled(monkeypatch):
    """Compiled code reads the files, however few they are."""
    monkeypatch.setattr(reading, "FILES_BY_PILLOW", 0)


@pytest.mark.parametrize(("work", "how"), [(50_000, "link"), (5000, "copy")], ids=["link", "copy"], indirect=["work"])
def test_sort_folder(versus, compiled, work, how):
    put, name = {"link": (os.link, "os.link"), "copy": (shutil.copy2, "shutil.copy2")}[how]
    rivals = {
        "itself, classify_folder": lambda: [work.side(work.classify)],
        f"that, and then {name} for each": lambda: [work.side(partial(work.by_script, put))],
    }
    versus(f"sort_folder, how={how!r}, PNGs 16x16", work.side(partial(work.sort, how)), rivals, "file")


def test_command(versus, work, tmp_path):
    """As a process, whose beginning counts."""
    model, rows = tmp_path / "m.npz", Path(tmp_path, "rows.csv")
    work.model.save(model)

    def sort():
        work.command("sort", model, work.source, work.new(), "--link")

    def classify():
        rows.unlink(missing_ok=True)
        work.command("classify", model, work.source, "-o", rows)

    rivals = {"fastmlp classify, bar 0.5x": lambda: [work.side(classify)]}
    versus("fastmlp sort --link, PNGs 16x16", work.side(sort), rivals, "file")
