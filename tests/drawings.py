"""Folders of small drawings that the tests of images learn from, and what is compared of verdicts on them."""

from pathlib import Path

import numpy as np
from pngs import gray_png

from fastmlp.training.calibration import set_temperature

ROOT = Path(__file__).parents[1]
QUICK = {"hidden": (4,), "epochs": 60, "learning_rate": 0.05, "seed": 3}
THREADS = [1, 2, 3]
MANY = 178
TRUNCATED = gray_png(np.zeros((4, 4), np.uint8))[:-19]


def bar(upright, number):
    """A page with an upright bar, at one of many places, or one that lies."""
    page = np.full((16, 16), 255, np.uint8)
    page[2:14, 1 + number % 14] = number % 60
    return page if upright else page.T


def write_bars(folder, upright, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:03}.png").write_bytes(gray_png(bar(upright, number)))


def write_answers(folder, label, answers, head="file_name,correct_answer\n", encoding="utf-8"):
    lines = "".join(f"{name},{answer}\n" for name, answer in answers.items())
    (folder / f"correct-outputs-{label}.txt").write_text(head + lines, encoding=encoding)


def same(verdicts, others):
    assert verdicts.paths == others.paths
    assert verdicts.labels == others.labels
    assert verdicts.scores.tobytes() == others.scores.tobytes()
    assert verdicts.errors == others.errors


def calibrated(network, classifier):
    """The parameters of a network as they are in a classifier that was measured on images held out."""
    same = network.like(network.theta.copy())
    set_temperature(same, classifier.made_with["validation"]["temperature"])
    return same.theta
