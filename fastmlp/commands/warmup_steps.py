"""What `fastmlp warmup` does: a little of everything, so that everything is compiled.

What is left is what cannot be known: kernels for large arrays of types other than the one to compute in, which are read as they
are; and what MLP.jit gives, which is compiled anew in each process.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastmlp import checks
from fastmlp.commands.console import nothing_to_keep
from fastmlp.commands.parser import DTYPES
from fastmlp.images import reading
from fastmlp.images.copies import Augmentation, features_of_copies
from fastmlp.images.extractors import EXTRACTORS, extract
from fastmlp.images.sources.archive_reading import OpenArchive
from fastmlp.images.sources.archives import members
from fastmlp.images.sources.walk import listed_compiled
from fastmlp.kernels.compile import noticed_by
from fastmlp.kernels.images.names import chosen_names, places_ending, sorted_starts
from fastmlp.kernels.notice import EXPECTED, Notice, is_watched, put_line, wipe_line
from fastmlp.networks.mlp import MLP
from fastmlp.training.many import train_many
from fastmlp.training.train import train

ROWS = 2048  # enough to be shared out to threads, with 256 units


class Step(NamedTuple):
    """What makes some kernels compile, which of them take long, and the family of steps whose kernels have parts in common."""

    run: Callable[[], Any]
    kernels: tuple[str, ...]
    family: str = ""


def _data(dtype: str) -> tuple[Any, Any]:
    return np.zeros((ROWS, 3), dtype), np.arange(ROWS) % 2


def _train(dtype: str) -> None:
    X, y = _data(dtype)
    model = _descend(X, y, hidden=8)
    model.predict(X)
    model.predict(X[:1])


def _train_wide(dtype: str) -> None:
    X, y = _data(dtype)
    _descend(X, y, hidden=256).predict(X)  # by kernels of its own


def _descend(X: Any, y: Any, hidden: int) -> MLP:
    model = train(X, y, epochs=1, hidden=hidden, validation=(X, y))
    train(X, y, epochs=1, batch_size=None, init=model)
    model.gradient(X, y)
    return model


def _solve(dtype: str) -> None:
    X, y = _data(dtype)
    for hidden in 8, 256:
        train(X, y, epochs=1, hidden=hidden, optimizer="lbfgs")
    if dtype == "float64":  # the only one
        train(X, y, epochs=1, hidden=8, optimizer="levenberg-marquardt", loss="squared_error")


def _update(dtype: str) -> None:
    X, y = _data(dtype)
    model = train(X, y, epochs=1, batch_size=1, optimizer="sgd")
    model.update(X[0], 1, 0.1)
    model.jit(update=True).update(X[0], 1, 0.1)


def _differentiate(dtype: str) -> None:
    X, _ = _data(dtype)
    model = MLP.from_weights([np.zeros((3, 8), dtype), np.zeros((8, 1), dtype)])
    model.jacobian(X)
    model.jvp(X, X)
    model.vjp(X, X[:, 0])


def _many(dtype: str) -> None:
    X, y = _data(dtype)
    train_many(X, y, members=2, epochs=1, validation=(X, y))
    train_many(X, y, members=2, epochs=1, batch_size=1, optimizer="sgd", validation=(X, y))


def _folders() -> None:
    for extractor in EXTRACTORS.values():
        extract([np.zeros((16, 16), np.uint8)], extractor)
    features_of_copies(np.zeros((16, 16), np.uint8), EXTRACTORS["ink"], Augmentation(1, 0), 3)
    reading.read_compiled(b"")
    names = np.frombuffer(bytearray(b"b\0a\0"), np.uint8)
    starts = sorted_starts(names, run=1)
    places_ending(names, starts, ord("b"), 1)
    chosen_names(names, starts)
    listed_compiled(os.curdir)


def _archives() -> None:
    for archive in tarfile.TarInfo("x").tobuf(), b"PK\5\6" + bytes(18):  # of one member; a zip of none
        members(OpenArchive("", io.BytesIO(archive)))


def _in_both(run: Callable[[str], None], *kernels: str) -> list[Step]:
    return [Step(partial(run, dtype), kernels, dtype) for dtype in DTYPES]


PARTS = {
    "train": _in_both(
        _train,
        "batch.train_by_batches",
        "batch.chunk_losses",
        "inference.predict",
        "inference.predict_few",
    )
    + _in_both(_train_wide, "batch.train_wide_by_batches", "batch.wide_chunk_losses"),
    "solvers": _in_both(_solve, "lbfgs.minimize", "lbfgs.minimize_wide", "levenberg_marquardt.fit_least_squares"),
    "update": _in_both(_update, "online.train_by_samples", "online.update_once"),
    "derivatives": _in_both(_differentiate, "jacobian.jacobian_of_rows", "jacobian.forward_products", "jacobian.backward_products"),
    "many": _in_both(_many, "many_batches.train_lanes_by_batches", "many_online.train_lanes_by_samples"),
    "folders": [
        Step(
            _folders,
            (
                "features.ink_features",
                "features.pixel_features",
                "strokes.stroke_features",
                "gray.gray_features",
                "distort.distort",
                "files.read_files",
                "names.sort_names",
            ),
            "images",
        )
    ],
    "archives": [Step(_archives, ("tar_headers.walk_tar", "zip_headers.walk_zip"), "images")],
}


class Warming(Notice):
    """Tells of each kernel when it is compiled; and where somebody looks, what compiles and how long the others will take."""

    def __init__(self, say: Callable[[str], Any], steps: list[Step]) -> None:
        self.say = say
        self.left = {number: list(step.kernels) for number, step in enumerate(steps)}
        self.number = 0  # of the step that is heard of
        self.compiling: list[tuple[str, str | None]] = []
        self.expected = self.took = 1e-9  # seconds, of those that are compiled

    def hear(self, number: int, event: str, *values: Any) -> None:
        """What comes of a step while others are under way: the name of one of the next three, and what they take."""
        self.number = number
        getattr(self, event)(*values)

    def begin(self, kernel: str, dtype: str | None) -> None:
        left = self.left[self.number]
        if kernel in left:
            left.remove(kernel)
        self.compiling.append((kernel, dtype))
        self._show()

    def end(self, kernel: str, dtype: str | None, seconds: float) -> None:
        if is_watched():
            wipe_line()
        self.compiling.remove((kernel, dtype))
        self.expected, self.took = self.expected + _seconds(kernel), self.took + seconds
        self.say(f"{_title(kernel, dtype)}: {seconds:.1f} s")
        self._show()

    def over(self) -> None:
        del self.left[self.number]

    def _show(self) -> None:
        if not self.compiling or not is_watched():
            return
        slower = self.took / self.expected  # than the machine of EXPECTED
        left = [kernel for kernels in self.left.values() for kernel in kernels]
        seconds = slower * max(_seconds(kernel) for kernel, _ in self.compiling)
        rest = slower * sum(map(_seconds, left)) / len(self.compiling)
        these, them = " and ".join(_title(*one) for one in self.compiling), "it" if len(self.compiling) == 1 else "them"
        put_line(f"{these}: about {seconds:.0f} s; after {them} {len(left)} more, about {rest:.0f} s")


def _seconds(kernel: str) -> int:
    return EXPECTED.get(kernel, ("", 1))[1]


def _title(kernel: str, dtype: str | None) -> str:
    return f"{kernel} in {dtype}" if dtype else kernel


def steps_of(parts: Iterable[str]) -> list[Step]:
    """Those of some parts of PARTS, or of all."""
    return [step for part in parts or PARTS for step in PARTS[checks.one_of("a part", part, PARTS)]]


def warm_up(parts: Iterable[str], say: Callable[[str], Any]) -> None:
    """Compiles what some parts of PARTS need, or all of them, and tells of each kernel."""
    steps = steps_of(parts)
    warming = Warming(say, steps)
    with noticed_by(warming), nothing_to_keep():
        for warming.number, step in enumerate(steps):
            step.run()
            warming.over()
