"""The sources of `fastmlp classify`, folders, archives and files, also behind URLs, one after another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.content import RetryError, not_read
from fastmlp.images.reading import reader
from fastmlp.images.sources.chunk import Chosen
from fastmlp.images.sources.source import is_collection
from fastmlp.images.sources.urls import is_url, is_web, is_web_folder, name_within, without_secrets
from fastmlp.images.verdicts import Verdicts

Batch = tuple[Verdicts, int | None]  # and the number of files that come after it, if that is known


class SourcesInTurn:
    """Folders, archives and files, one after another.

    One that stands alone must be there, and the paths in it are as it gives them. Of several, the paths in a folder or archive get
    its own before them, and one that cannot be read, or holds no image, is a row that failed. Of a URL that is what may be told.
    """

    def __init__(self, paths: list[str]) -> None:
        self._alone = len(paths) == 1
        self._reader = cache(reader)
        self._urls = {without_secrets(path): path for path in paths if is_url(path)}
        self._parts: list[tuple[str | list[str], str | None]] = []  # with what stands before its paths; None for single files
        for are_collections, group in groupby(paths, is_collection):
            if are_collections:
                self._parts += [(path, "" if self._alone else os.path.join(without_secrets(path), "")) for path in group]
            else:
                self._parts.append((paths[0] if self._alone else list(group), None))

    def batches(self, model: ImageClassifier, done: Chosen | None, **options: Any) -> Iterator[Batch]:
        """Classify all images but those done, with further options of `ImageClassifier.classify`."""
        for index, (source, prefix) in enumerate(self._parts):
            is_last = index == len(self._parts) - 1
            try:
                for verdicts, left in _batches(model, source, prefix or "", done, **options):
                    yield verdicts, left if is_last else None
            except (OSError, ValueError) as error:
                if self._alone or not isinstance(source, str):
                    raise
                row = [without_secrets(source)]
                if done is None or not done(row)[0]:
                    failed = not_read(row[0], error) if isinstance(error, OSError) else error
                    retry = [0] * isinstance(failed, RetryError)
                    yield Verdicts(row, [None], np.full((1, len(model.classes)), np.nan), [str(failed)], retry=retry), None

    def read(self, path: str) -> bytes:
        """The bytes of an image, by its path as a batch gives it."""
        source, name = self._found(path)
        return self._reader(source)(name if source else self._urls.get(name, name))

    def place(self, path: str) -> str | None:
        """The file of an image, or its URL if a browser may know it, by its path as a batch gives it; None of a member of an
        archive."""
        source, name = self._found(path)
        if is_url(source):
            return name_within(source, name) if is_web_folder(source) else None
        if name in self._urls:
            return name if is_web(name) else None
        return os.path.join(source, name) if not source or os.path.isdir(source) else None

    def _found(self, path: str) -> tuple[str, str]:
        """The folder or archive that an image is in, and its path there; "" if it was named by itself."""
        for source, prefix in self._parts:
            if isinstance(source, str) and prefix is not None and path.startswith(prefix):
                return source, path.removeprefix(prefix)
        return "", path

    def names_of(self, files: list[str]) -> Iterator[str]:
        """The paths that a batch would give some files, if they lie in one of the folders."""
        for source, prefix in self._parts:
            if isinstance(source, str) and prefix is not None and not is_url(source):
                for file in files:
                    yield prefix + os.path.relpath(os.path.realpath(file), os.path.realpath(source)).replace(os.sep, "/")


def _batches(model: ImageClassifier, source: str | list[str], prefix: str, done: Chosen | None, **options: Any) -> Iterator[Batch]:
    passed = 0
    if done is not None:

        def leave_out(paths: list[str]) -> NDArray[np.bool_]:
            nonlocal passed
            left_out = done([prefix + path for path in paths])
            passed += int(left_out.sum())
            return left_out

        options["done"] = leave_out
    batches = model.classify(source, **options)
    for verdicts in batches:
        passed += len(verdicts.paths) + verdicts.skipped
        left = None if batches.total is None else max(batches.total - passed, 0)
        yield verdicts._replace(paths=[prefix + path for path in verdicts.paths]), left
