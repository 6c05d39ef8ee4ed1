"""A folder of handwritten digits to the features of their strokes, beside OpenCV. Each pair is checked, then timed.

A rival's name tells the bar: the least ratio that fastmlp is to reach where two cores are free and the files are in memory.
"""

from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import fastmlp
from benchmarks.test_images import Task, folder_of
from benchmarks.work import CORES, Side, peer
from fastmlp.kernels.images import files

SIDE, LARGER = 28, 4  # pixels of a page, and how much larger it is drawn
HANDS = 100  # that each digit is written by
LINES = [  # of each digit: points (x, y) on a page from 0 to 6 and 0 to 10, from which lines lead to the next
    [(3, 0), (1, 2), (0, 5), (1, 8), (3, 10), (5, 8), (6, 5), (5, 2), (3, 0)],
    [(1, 3), (4, 0), (4, 10)],
    [(0, 2), (2, 0), (5, 1), (5, 4), (0, 10), (6, 10)],
    [(0, 1), (3, 0), (6, 2), (3, 5), (6, 7), (3, 10), (0, 9)],
    [(5, 10), (5, 0), (0, 7), (6, 7)],
    [(6, 0), (1, 0), (1, 4), (4, 4), (6, 7), (4, 10), (0, 9)],
    [(5, 0), (1, 4), (0, 8), (3, 10), (6, 8), (4, 5), (1, 7)],
    [(0, 0), (6, 0), (2, 10)],
    [(3, 5), (1, 2), (3, 0), (5, 2), (3, 5), (0, 8), (3, 10), (6, 8), (3, 5)],
    [(5, 4), (2, 5), (0, 2), (3, 0), (6, 2), (5, 6), (3, 10)],
]


def written(digit, rng):
    """A page with a digit as a gray PNG, black on white, of a hand that shifts, scales, turns and slants it as it likes."""
    turn, slant, scale = rng.normal(0, 0.1), rng.normal(0, 0.15), rng.uniform(1.4, 2.1)
    points = (np.array(LINES[digit]) - (3, 5) + rng.normal(0, 0.25, (len(LINES[digit]), 2))) * scale
    points = points @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn) - slant, np.cos(turn)]] + SIDE / 2 + rng.normal(0, 0.7, 2)
    page = Image.new("L", (LARGER * SIDE, LARGER * SIDE), 255)
    width = int(LARGER * rng.uniform(1.5, 3))
    ImageDraw.Draw(page).line([tuple(point) for point in (LARGER * points).tolist()], 0, width, "curve")
    out = BytesIO()
    page.resize((SIDE, SIDE), Image.Resampling.BOX).save(out, "png")
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    rng = np.random.default_rng(0)
    contents = [written(number % 10, rng) for number in range(10 * HANDS)]
    with folder_of(contents, 400 if request.config.getoption("--short") else 50_000, tmp_path_factory.getbasetemp()) as folder:
        yield folder


def ours(folder, threads=None):
    return fastmlp.extract_features(folder, "strokes", threads).features


def test_strokes_of_digits(versus, folder):
    paths = sorted(map(str, Path(folder).iterdir()))
    right, units = ours(folder), len(paths)
    assert np.unique(right[: 10 * HANDS], axis=0).shape[0] == min(10 * HANDS, units)

    def opencv():
        """Told the paths, it need not list the folder."""
        read = partial(peer("opencv").strokes_of_files, paths)
        assert np.array_equal(read(CORES), right)
        return [Side(partial(read, n), units, f"threads: {n}") for n in sorted({1, CORES})]

    def one_thread():
        assert np.array_equal(ours(folder, 1), right)
        return [Side(partial(ours, folder, 1), units)]

    rivals = {"OpenCV, bar 1.5x": opencv, "itself, one thread": one_thread}
    if files.POSSIBLE:
        rivals["bare open, read, close"] = Task(folder, None).bare
    versus(f"strokes features of digits {SIDE}x{SIDE}", Side(partial(ours, folder), units), rivals, "file")
