"""What the attacks on processes work on: a folder of images, a model, and what each command makes of them undisturbed."""

import io
import os
import shutil
import struct
import warnings
import zlib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np

import fastmlp
from fastmlp.commands.classification import parquet_folder
from fastmlp.commands.main import main
from tests.torture.attack import Found
from tests.torture.forked import Ended, begun_command
from tests.torture.written import PARQUET, content_of

IMAGES, LABELLED = 1500, 30


class Writing(NamedTuple):
    """A command that writes a file, row by row or as a whole."""

    words: tuple[object, ...]
    output: str
    rows: bool


class Ground:
    """What commands read, and what they write undisturbed."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.work = scratch, scratch / "work"
        self.images, self.labelled, self.model = scratch / "images", scratch / "labelled", scratch / "model.npz"
        rng = np.random.default_rng(0)
        self.images.mkdir()
        self.work.mkdir()
        os.chdir(self.work)
        for number in range(IMAGES):
            content = _png(rng) if number % 50 else b"no image"
            (self.images / f"{number}.png").write_bytes(content)
        for label in "abc":
            (self.labelled / label).mkdir(parents=True)
            for number in range(LABELLED):
                (self.labelled / label / f"{number}.png").write_bytes(_png(rng))
        shutil.make_archive(str(scratch / "archive"), "tar", self.images)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fastmlp.train_folder(self.labelled, epochs=3, seed=0, extractor="ink", hidden=(4,)).save(self.model)
        archive, more = scratch / "archive.tar", ("--epochs", 150, "--seed", 1, "--hidden", 20)
        self.writing = [
            Writing(("classify", self.model, self.images, "-o", "o.csv"), "o.csv", True),
            Writing(("classify", self.model, archive, self.images, "-o", "o.jsonl", "--threads", 2), "o.jsonl", True),
            Writing(("features", self.images, "-o", "o.csv"), "o.csv", False),
            Writing(("train", self.labelled, "-o", "o.npz", *more), "o.npz", False),
            Writing(("train", self.labelled, "-o", "o.npz", *more, "--members", 8, "--ensemble"), "o.npz", False),
        ]
        parquet_folder.PART_ROWS = 200
        if PARQUET:
            self.writing.append(Writing(("classify", self.model, self.images, "-o", "o.parquet"), "o.parquet", True))
        self.telling = [
            ("classify", self.model, self.images),
            ("evaluate", self.model, self.labelled),
            ("info", self.model),
            ("warmup", "folders", "archives"),
            ("demo", "--out", "demo"),
        ]
        self.expected: dict[tuple[object, ...], tuple[bytes, float]] = {}

    def undisturbed(self, words: tuple[object, ...], output: str | None = None) -> tuple[bytes, float]:
        """What a command writes, and how long it takes."""
        if words not in self.expected:
            self.clean()
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # what has to be loaded is loaded, for all
                main([str(word) for word in words])
            self.clean()
            ended = begun_command(self.scratch, *words).wait()
            if ended is None or ended.status not in (0, 1):
                raise Found(f"{words} undisturbed: {ended}")
            content = b"" if output is None else content_of(self.work / output)
            self.expected[words] = content, ended.seconds
        return self.expected[words]

    def clean(self) -> None:
        """The folder that commands work in is empty again."""
        for entry in list(self.work.iterdir()):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def check_written(self, command: Writing, ended: Ended, *, before: bytes | None, killed: bool) -> None:
        """Nothing is torn: rows are a part of those that an undisturbed run writes, a model is whole, and what was there before
        is, unless it has been replaced by what is whole."""
        expected, _ = self.undisturbed(command.words, command.output)
        path = self.work / command.output
        unfinished = path.with_suffix(f".unfinished{path.suffix}")
        for written in path, unfinished:
            if not written.exists():
                continue
            content = content_of(written)
            if path.suffix == ".npz":
                _must(content == before or _loads(written), f"{written.name} is torn", ended)
            elif written == unfinished or command.rows:
                _must(content == before or expected.startswith(content), f"{written.name} has other rows", ended)
                _must(killed or content[-1:] in (b"\n", b""), f"{written.name} ends within a row", ended)
            else:
                _must(content in (before, expected), f"{written.name} is torn", ended)
        if before is not None:
            _must(path.exists(), "what was there before is gone", ended)
        if not killed:
            _must(not list(self.work.rglob(".fastmlp-*")), "a file is left that nobody can name", ended)

    def resume(self, command: Writing) -> None:
        """An interrupted run is gone on with to what an undisturbed one writes."""
        ended = begun_command(self.scratch, *command.words, "--resume").wait()
        expected, _ = self.undisturbed(command.words, command.output)
        written = content_of(self.work / command.output) if (self.work / command.output).exists() else b"nothing"
        _must(ended is not None and written == expected, "--resume does not come to the same", ended)


def check_told(ended: Ended | None, allowed: tuple[int, ...]) -> Ended:
    """It has not hung, and has told in a sentence why it ended."""
    if ended is None:
        raise Found("hangs")
    _must(ended.status in allowed, "a wrong status", ended)
    _must("Traceback" not in ended.error and "Exception ignored" not in ended.error, "a traceback", ended)
    if ended.status == 130:
        last = ended.error.splitlines()[-1:]
        told = ended.error.count("fastmlp: interrupted\n") == 1 or "what has been trained so far is in" in str(last)
        _must(told, "it has not told once that it was interrupted", ended)
    return ended


def _must(is_so: bool, what: str, ended: Ended | None) -> None:
    if not is_so:
        raise Found(f"{what}: {ended}")


def _loads(path: Path) -> bool:
    try:
        fastmlp.load(path)
    except Exception:
        return False
    return True


def _png(rng: np.random.Generator) -> bytes:
    """A picture of 16 x 16 gray pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pixels = np.where(rng.random((16, 16)) < rng.random(), 255, 0).astype(np.uint8)
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def tenths(taken: float, limit: float, what: object) -> str:
    """Within which tenth of a second something ended. What took longer than that is named, but no find, as machines may be busy."""
    if taken > limit:
        return f"{what} took {taken:.1f} s"
    return f"within {np.ceil(10 * taken) / 10:.1f} s"
