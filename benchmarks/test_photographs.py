"""A folder of JPEG photographs to features, beside a loop of Pillow, OpenCV and processes. Each pair is checked, then timed.

A rival's name tells the bar: the least ratio that fastmlp is to reach where two cores are free and the files are in memory.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

import fastmlp
from benchmarks.work import CORES, Side, peer
from fastmlp.images import extractors
from fastmlp.images.reading import read_source

WIDTH, HEIGHT = 640, 480
JOB = 16  # files that a process is given at a time
SAME = 0.05  # of features: pictures of half the size are not the same, but alike


def photograph(rng):
    """A JPEG that is about as hard to decode as a photograph: light that changes over it, things with soft edges, grain."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    across, down = (x / WIDTH)[..., None], (y / HEIGHT)[..., None]
    corners = rng.uniform(40, 215, (4, 3)).astype(np.float32)
    page = (1 - down) * ((1 - across) * corners[0] + across * corners[1]) + down * ((1 - across) * corners[2] + across * corners[3])
    for _ in range(12):
        distance = np.hypot(x - rng.uniform(0, WIDTH), y - rng.uniform(0, HEIGHT)) - rng.uniform(20, 150)
        cover = rng.uniform(0.3, 1) / (1 + np.exp(np.clip(distance / rng.uniform(0.5, 8), -30, 30)))
        page += cover[..., None] * (rng.uniform(0, 255, 3).astype(np.float32) - page)
    texture = Image.fromarray(rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4), dtype=np.uint8)).resize((WIDTH, HEIGHT))
    page += 0.15 * (np.asarray(texture, np.float32)[..., None] - 128) + rng.normal(0, 4, page.shape)
    file = BytesIO()
    Image.fromarray(np.clip(page, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    count = 40 if request.config.getoption("--short") else 5000
    contents = cycle([photograph(np.random.default_rng(seed)) for seed in range(min(count, 50))])
    with TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as name:
        for number in range(count):
            Path(name, f"{number:05}.jpg").write_bytes(next(contents))
        yield Path(name)


def by_pillow(paths, extractor):
    """As one would write it: the whole picture, and of it the gray levels."""
    return np.concatenate([extractors.extract([np.asarray(Image.open(path).convert("L"))], extractor) for path in paths])


def ours(source, extractor, threads=None):
    return fastmlp.extract_features(source, extractor, threads).features


def of_some(paths, extractor):
    return read_source(paths, extractor, 1).features


@pytest.mark.parametrize("extractor", ["pixels"])
def test_photographs(versus, folder, extractor):
    paths = sorted(map(str, folder.iterdir()))
    right, units = ours(folder, extractor), len(paths)

    def pillow():
        assert np.abs(by_pillow(paths[:50], extractor) - right[:50]).mean() < SAME
        return [Side(partial(by_pillow, paths, extractor), units)]

    def opencv():
        features_of_files = partial(peer("opencv").features_of_files, paths, extractor)
        assert np.abs(features_of_files(CORES) - right).mean() < SAME
        return [Side(partial(features_of_files, n), units, f"threads: {n}") for n in sorted({1, CORES})]

    def one_thread():
        assert np.array_equal(ours(folder, extractor, 1), right)
        return [Side(partial(ours, folder, extractor, 1), units)]

    def processes():
        """The same by processes, which stand ready: what each costs in the beginning is not counted."""
        jobs = [paths[first : first + JOB] for first in range(0, units, JOB)]

        def read():
            return np.concatenate(list(pool.map(of_some, jobs, [extractor] * len(jobs))))

        assert np.array_equal(read(), right)
        return [Side(read, units)]

    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as pool:
        rivals = {
            "Pillow in one process, bar 2x": pillow,
            "OpenCV, at half the size": opencv,
            "itself, one thread": one_thread,
            "itself, processes": processes,
        }
        versus(
            f"{extractor} features of photographs {WIDTH}x{HEIGHT}", Side(partial(ours, folder, extractor), units), rivals, "file"
        )
