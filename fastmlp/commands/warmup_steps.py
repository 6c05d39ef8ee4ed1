"""What `fastmlp warmup` does: a little of everything, so that everything is compiled.

What is left is what cannot be known: kernels for large arrays of types other than the one to compute in, which are read as they
are; and what MLP.jit gives, which is compiled anew in each process.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastmlp import checks
from fastmlp.commands.console import nothing_to_keep
from fastmlp.commands.parser import DTYPES
from fastmlp.images import reading
from fastmlp.images.extractors import EXTRACTORS, extract
from fastmlp.images.sources.archive_reading import OpenArchive
from fastmlp.images.sources.archives import members
from fastmlp.kernels.compile import noticed_by
from fastmlp.kernels.images.names import chosen_names, sorted_names
from fastmlp.kernels.notice import EXPECTED, Notice, is_watched, put_line, wipe_line
from fastmlp.training.many import train_many
from fastmlp.training.train import train

ROWS = 2048  # enough to be shared out to threads, with 256 units


class Step(NamedTuple):
    """What makes some kernels compile, and which of them take long."""

    run: Callable[[], Any]
    kernels: tuple[str, ...]


def _data(dtype: str) -> tuple[Any, Any]:
    return np.zeros((ROWS, 3), dtype), np.arange(ROWS) % 2


def _train(dtype: str) -> None:
    X, y = _data(dtype)
    for hidden in 8, 256:  # narrow and wide layers, which have kernels of their own
        model = train(X, y, epochs=1, hidden=hidden, validation=(X, y))
        train(X, y, epochs=1, batch_size=None, init=model)
        model.predict(X)
        model.predict(X[:1])
        model.gradient(X, y)


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
    X, y = _data(dtype)
    model = train(X, y, epochs=1)
    model.jacobian(X)
    model.jvp(X, X)
    model.vjp(X, X[:, 0])


def _many(dtype: str) -> None:
    X, y = _data(dtype)
    train_many(X, y, members=2, epochs=1, validation=(X, y))
    train_many(X, y, members=2, epochs=1, batch_size=1, optimizer="sgd", validation=(X, y))


def _folders() -> None:
    for extractor in EXTRACTORS:
        extract([np.zeros((16, 16), np.uint8)], extractor)
    reading.read_compiled(b"")
    names = np.frombuffer(bytearray(b"b\0a\0"), np.uint8)
    chosen_names(names, *sorted_names(names))


def _archives() -> None:
    for archive in tarfile.TarInfo("x").tobuf(), b"PK\5\6" + bytes(18):  # of one member; a zip of none
        members(OpenArchive("", io.BytesIO(archive)))


def _in_both(run: Callable[[str], None], *kernels: str) -> list[Step]:
    return [Step(partial(run, dtype), kernels) for dtype in DTYPES]


PARTS = {
    "train": _in_both(
        _train,
        "batch.train_by_batches",
        "batch.chunk_losses",
        "batch.train_wide_by_batches",
        "batch.wide_chunk_losses",
        "inference.predict",
        "inference.predict_few",
    ),
    "solvers": _in_both(_solve, "lbfgs.minimize", "lbfgs.minimize_wide", "levenberg_marquardt.fit_least_squares"),
    "update": _in_both(_update, "online.train_by_samples", "online.update_once"),
    "derivatives": _in_both(_differentiate, "jacobian.jacobian_of_rows", "jacobian.forward_products", "jacobian.backward_products"),
    "many": _in_both(_many, "many_batches.train_lanes_by_batches", "many_online.train_lanes_by_samples"),
    "folders": [Step(_folders, ("features.ink_features", "features.pixel_features", "files.read_files", "names.sort_names"))],
    "archives": [Step(_archives, ("tar_headers.walk_tar", "zip_headers.walk_zip"))],
}


class _Warming(Notice):
    """Tells of each kernel when it is compiled; and where somebody looks, what compiles and how long the others will take."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self.say = say
        self.left: list[str] = []
        self.expected = self.took = 1e-9  # seconds, of those that are compiled

    def begin(self, kernel: str, dtype: str | None) -> None:
        if kernel in self.left:
            self.left.remove(kernel)
        if is_watched():
            slower = self.took / self.expected  # than the machine of EXPECTED
            seconds, rest = (slower * sum(map(_seconds, kernels)) for kernels in ([kernel], self.left))
            put_line(f"{_title(kernel, dtype)}: about {seconds:.0f} s; after it {len(self.left)} more, about {rest:.0f} s")

    def end(self, kernel: str, dtype: str | None, seconds: float) -> None:
        if is_watched():
            wipe_line()
        self.expected, self.took = self.expected + _seconds(kernel), self.took + seconds
        self.say(f"{_title(kernel, dtype)}: {seconds:.1f} s")


def _seconds(kernel: str) -> int:
    return EXPECTED.get(kernel, ("", 1))[1]


def _title(kernel: str, dtype: str | None) -> str:
    return f"{kernel} in {dtype}" if dtype else kernel


def warm_up(parts: Iterable[str], say: Callable[[str], Any]) -> None:
    """Compiles what some parts of PARTS need, or all of them, and tells of each kernel."""
    steps = [step for part in parts or PARTS for step in PARTS[checks.one_of("a part", part, PARTS)]]
    warming = _Warming(say)
    with noticed_by(warming), nothing_to_keep():
        for number, step in enumerate(steps):
            warming.left = [kernel for later in steps[number:] for kernel in later.kernels]
            step.run()
