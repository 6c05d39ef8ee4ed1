"""Images: features of one, and folders and archives of PNG files, beside others. Each pair is checked, then timed.

A rival's name tells the bar: the least ratio that fastmlp is to reach where two cores are free and the files are in memory.
"""

import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image, ImageOps

import fastmlp
from benchmarks import reference
from benchmarks.work import CORES, Side, peer
from fastmlp.images import extractors, reading
from fastmlp.kernels.compile import jit_alone
from fastmlp.kernels.images import files

DATA = Path(__file__).parent.parent / "data"
FEW = 2000  # files for a rival that takes long
DRAWINGS = (2, 25)  # rows and columns of drawings.png
CELL = 28  # pixels of a drawing there


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("extractor", ["ink", "pixels", "strokes", "gray", "colour"])
def test_features(versus, short, extractor, size):
    names = sorted((DATA / "train-images").glob("*.png"))
    images = [np.asarray(Image.open(name).convert("L").resize((size, size))) for name in names] * (1 if short else 10)
    one = reference.EXTRACTORS[extractor]

    def plain():
        return np.array([one(image) for image in images])

    def ours():
        return extractors.extract(images, extractor)

    np.testing.assert_allclose(ours(), plain(), rtol=1e-12)
    rivals = {"plain NumPy": lambda: [Side(plain, len(images))]}
    versus(f"{extractor} features, images {size}x{size}", Side(ours, len(images)), rivals, "image")


@jit_alone
def open_read_close(folder, names, starts, room):
    """Bytes in the files whose names begin at starts of names, seen from an open folder."""
    count = 0
    for start in starts:
        file = files._open_at(folder, names, start)
        count += files._read_at(file, room, np.int64(room.shape[0]), np.int64(0))
        files._close(file)
    return count


@dataclass(frozen=True)
class Task:
    """A folder of PNGs that each side classifies alike."""

    folder: Path
    classifier: fastmlp.ImageClassifier

    @cached_property
    def paths(self):
        return sorted(map(str, self.folder.iterdir()))

    @cached_property
    def labels(self):
        verdicts = self.fastmlp(self.folder).function()
        assert [str(self.folder / path) for path in verdicts.paths] == self.paths
        return verdicts.labels

    def fastmlp(self, source, **options):
        return Side(partial(fastmlp.classify_folder, self.classifier, source, **options), len(self.paths))

    # The rivals: they are told the paths, and need not list the folder.

    def pillow(self):
        model = self.classifier.networks[0]
        network = reference.Network(model.layer_sizes, model.activations, model.output, model.loss_name)
        paths = self.paths[:FEW]
        classify = partial(reference.classify_files, paths, network, model.theta, self.classifier.classes)
        assert classify() == self.labels[:FEW]
        return [Side(classify, len(paths))]

    def opencv(self):
        classify = partial(peer("opencv").classify_files, self.paths, self.classifier)
        assert classify(CORES) == self.labels
        return [Side(partial(classify, n), len(self.paths), f"threads: {n}") for n in sorted({1, CORES})]

    def bare(self):
        """No reading of PNGs at all: compiled system calls alone, on all cores."""
        names = np.frombuffer(b"".join(os.fsencode(os.path.basename(path)) + b"\0" for path in self.paths), np.uint8)
        starts = np.array_split(np.concatenate([[0], np.flatnonzero(names == 0)[:-1] + 1]), CORES)
        rooms = [np.empty(1 << 16, np.uint8) for _ in starts]

        def read():
            folder = os.open(self.folder, files.FOLDER_FLAGS)
            try:
                with ThreadPoolExecutor(CORES) as pool:
                    return sum(pool.map(partial(open_read_close, folder, names), starts, rooms))
            finally:
                os.close(folder)

        assert read() == sum(os.path.getsize(path) for path in self.paths)
        return [Side(read, len(self.paths))]

    def one_thread(self):
        side = self.fastmlp(self.folder, threads=1)
        assert side.function().labels == self.labels
        return [side]

    def all_threads(self):
        return [self.fastmlp(self.folder)]


@contextmanager
def folder_of(contents, count, parent):
    """A folder of so many files, with these contents in turn; it is gone afterwards."""
    with TemporaryDirectory(dir=parent) as folder:
        for number, content in zip(range(count), cycle(contents)):
            Path(folder, f"{number:06}.png").write_bytes(content)
        yield Path(folder)


def drawings(side):
    """The drawings of circles and lines as anti-aliased PNGs of side x side pixels, each turned in eight ways."""
    sheet, rng = Image.open(DATA / "drawings.png"), np.random.default_rng(0)
    rows, columns = DRAWINGS
    for number in range(8 * rows * columns):
        row, column = divmod(number % (rows * columns), columns)
        drawing = sheet.crop((CELL * column, CELL * row, CELL * (column + 1), CELL * (row + 1))).resize((4 * CELL, 4 * CELL))
        page = ImageOps.expand(drawing, CELL, fill=255)  # room for what touches the rim
        turned = page.rotate(rng.uniform(0, 360), Image.Resampling.BICUBIC, fillcolor=255)
        out = BytesIO()
        turned.resize((side, side), Image.Resampling.LANCZOS).save(out, "png")
        yield out.getvalue()


@pytest.fixture(scope="module")
def classifier():
    return fastmlp.train_folder(DATA, extractor="ink", seed=0)


@pytest.fixture(scope="module")
def small(classifier, request, tmp_path_factory):
    """The training images, 16x16, many times."""
    images = [path.read_bytes() for path in sorted((DATA / "train-images").glob("*.png"))]
    count = 400 if request.config.getoption("--short") else 50_000
    with folder_of(images, count, tmp_path_factory.getbasetemp()) as folder:
        yield Task(folder, classifier)


@pytest.fixture
def compiled(monkeypatch):
    """Compiled code reads the files, however few they are."""
    monkeypatch.setattr(reading, "FILES_BY_PILLOW", 0)


def test_classify_folder(versus, compiled, small):
    rivals = {
        "Pillow and plain NumPy, bar 15x": small.pillow,
        "OpenCV, bar 2.5x": small.opencv,
        "itself, one thread, bar 1x": small.one_thread,
    }
    if files.POSSIBLE:
        rivals["bare open, read, close, bar 0.35x"] = small.bare
    versus("classify_folder, PNGs 16x16", small.fastmlp(small.folder), rivals, "file")


@pytest.mark.parametrize(("kind", "bar"), [("tar", ", bar 1.5x"), ("stored zip", "")], ids=["tar", "zip"])
def test_classify_archive(versus, compiled, small, tmp_path, kind, bar):
    with TemporaryDirectory(dir=tmp_path) as folder:
        archive = Path(folder, "archive")
        with tarfile.open(archive, "w") if kind == "tar" else zipfile.ZipFile(archive, "w") as out:
            add = out.add if kind == "tar" else out.write
            for path in small.paths:
                add(path, os.path.basename(path))
        ours = small.fastmlp(archive)
        assert ours.function().labels == small.labels
        versus(f"classify_folder, {kind} of PNGs 16x16", ours, {f"itself, folder{bar}": small.all_threads}, "file")


@pytest.mark.parametrize(("side", "bar"), [(28, 8), (64, 3)])
def test_classify_drawings(versus, compiled, short, classifier, tmp_path, side, bar):
    with folder_of(list(drawings(side)), 400 if short else 5000, tmp_path) as folder:
        task = Task(folder, classifier)
        rivals = {f"Pillow and plain NumPy, bar {bar}x": task.pillow, "OpenCV": task.opencv}
        versus(f"classify_folder, drawings {side}x{side}", task.fastmlp(folder), rivals, "file")
