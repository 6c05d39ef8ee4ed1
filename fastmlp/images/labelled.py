"""Images whose classes are known: in a folder for each class, by answer files that name the images of each, or by labels beside."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.images.content import ImageError
from fastmlp.images.extractors import DEFAULT_EXTRACTOR, EXTRACTORS
from fastmlp.images.image_formats import ALL, SUFFIXES, wanted
from fastmlp.images.reading import FeatureRows, read_source
from fastmlp.images.samples import feature_rows
from fastmlp.images.sources.source import can_name_a_file, nothing_in
from fastmlp.literals import FormatName
from fastmlp.writing import StrPath

ANSWER_FILE = re.compile(r"correct-outputs-(.+)\.txt")
ANSWER_HEADER = ["file_name", "correct_answer"]


class LabelledImages(NamedTuple):
    """Images and their labels, n of them, as a folder has them."""

    folder: str
    paths: list[str]
    """Each with the folder before it."""
    features: NDArray[np.floating]
    """(n, size)"""
    labels: NDArray[Any]
    """(n,)"""
    empty: Sequence[str] = ()
    """Folders that hold no image."""
    doubts: Sequence[str] = ()
    """Why the folders of the classes may not have been meant as such."""
    errors: Sequence[str | None] = ()
    """(n,) why an image cannot be read"""

    def readable(self) -> LabelledImages:
        """Without the images that cannot be read."""
        fine = [error is None for error in self.errors]
        paths = [path for path, kept in zip(self.paths, fine, strict=True) if kept]
        return self._replace(paths=paths, features=self.features[fine], labels=self.labels[fine], errors=[None] * len(paths))

    def counts(self) -> dict[Any, int]:
        """How many images there are of each class."""
        classes, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def labelled_images(
    folder: StrPath,
    extractor: str = DEFAULT_EXTRACTOR,
    threads: int | None = None,
    fewest: int = 2,
    strict: bool = True,
    formats: Sequence[FormatName] = ALL,
) -> LabelledImages:
    """Read a folder of labelled images.

    Parameters
    ----------
    folder, extractor
        As `train_folder` has them.
    threads : int, optional
        By default as many as there are cores. The results do not depend on it.
    fewest : int
        Of how many classes there must be images.
    strict : bool
        Whether an image that cannot be read is an error, or one of `errors`.
    formats : sequence of str
        Those of images that are read; files of others are no images.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ImageError, ValueError
        As `train_folder` does for the folder and the extractor.
    """
    checks.one_of("extractor", extractor, EXTRACTORS)
    read = partial(_rows, extractor=extractor, threads=threads, strict=strict, formats=formats)
    data = _labelled_images(os.fsdecode(checks.path("folder", folder)), read, formats)
    if len(classes := list(data.counts())) < fewest:
        if data.empty:
            raise nothing_in(os.path.join(folder, data.empty[0]), formats)
        raise ValueError(f"{data.folder} must have images of at least two classes; got {classes}")
    return data


def with_labels(
    X: Any, y: ArrayLike | None, extractor: str, threads: int | None, formats: Sequence[FormatName] = ALL, fewest: int = 1
) -> LabelledImages:
    """Images with their labels beside them, or the path of a folder that has both; see `ImageClassifier.fit`."""
    if isinstance(X, str | os.PathLike):
        if y is not None:
            raise ValueError("y must be left out where X is a folder, whose images have their labels")
        return labelled_images(X, extractor, threads, fewest, formats=formats)
    if y is None:
        raise ValueError("y must hold a label for each image, or row of features; got None")
    return LabelledImages("", [], feature_rows(X, extractor, threads, formats), arrays.as_array("y", y))


def to_learn_from(
    X: Any, y: ArrayLike | None, extractor: str, threads: int | None, formats: Sequence[FormatName] = ALL
) -> LabelledImages:
    """The same, with labels (n,) of two classes at least, which can name folders."""
    data = with_labels(X, y, extractor, threads, formats, fewest=2)
    if data.empty:
        raise nothing_in(os.path.join(data.folder, data.empty[0]), formats)
    n = len(data.features)
    known = labels.classes_of(data.labels, n)
    for name in map(str, known.tolist()):
        if not can_name_a_file(name):  # as rows can then be written with it
            raise ValueError(f"y must hold labels that can name a folder; got {checks.shown(name)}")
    return data._replace(labels=known[labels.class_numbers("y", data.labels, known, n, np.intp)[:, 0]])


def _rows(folder: str, extractor: str, threads: int | None, strict: bool, formats: Sequence[FormatName]) -> FeatureRows:
    """The rows of all images of a folder; if strict, an ImageError for one that cannot be read, or is none, other than its name."""
    rows = read_source(folder, extractor, threads, formats)
    if not strict:
        return rows
    for error in filter(None, rows.errors):
        raise ImageError(error)
    for path in rows.others:
        if SUFFIXES.get(os.path.splitext(path)[1].lower()) in formats:
            raise ImageError(f"{os.path.join(folder, path)} is no {wanted(formats)}")
    return rows


def _labelled_images(folder: str, read: Callable[[str], FeatureRows], formats: Sequence[FormatName]) -> LabelledImages:
    """The images of a training folder, and their labels."""
    if not os.path.exists(folder):
        raise FileNotFoundError(f"{folder} does not exist")
    answer_files, classes = {}, []
    with os.scandir(folder) as entries:
        for entry in entries:
            match = ANSWER_FILE.fullmatch(entry.name)
            if match and entry.is_file():
                answer_files[match[1]] = entry.path
            elif entry.is_dir() and not entry.name.startswith("."):
                classes.append(entry.name)
    if answer_files:
        return _answered_images(folder, answer_files, read, formats)
    if not classes:
        raise ValueError(f"{folder} has neither a folder for each class nor answer files (correct-outputs-<class>.txt)")
    rows = {name: read(os.path.join(folder, name)) for name in sorted(classes)}
    empty = [name for name in rows if not rows[name].paths]
    within = [name for name in rows if any("/" in path for path in rows[name].paths)]
    mixed = [name for name in rows if 0 < len(rows[name].paths) < len(rows[name].others) + rows[name].skipped]
    doubts = {"no image file is in": empty, "images lie in folders within": within, "most files are no image files in": mixed}
    return LabelledImages(
        folder,
        [os.path.join(folder, name, path) for name in rows for path in rows[name].paths],
        np.concatenate([part.features for part in rows.values()]),
        np.array([name for name in rows for _ in rows[name].paths], str),
        empty,
        [f"{what} {', '.join(names)}" for what, names in doubts.items() if names],
        [error for part in rows.values() for error in part.errors],
    )


def _answered_images(
    folder: str, answer_files: dict[str, str], read: Callable[[str], FeatureRows], formats: Sequence[FormatName]
) -> LabelledImages:
    """Images whose classes stand in answer files, a file for each class."""
    images = os.path.join(folder, "train-images")
    if not os.path.isdir(images):
        images = folder
    answers = {label: _read_answers(file) for label, file in sorted(answer_files.items())}
    paths, features, errors, *_ = read(images)
    if not paths:
        raise nothing_in(images, formats)
    rows = {path: row for row, path in enumerate(paths)}
    for label, answered in answers.items():
        if lacking := rows.keys() - answered.keys():
            raise ValueError(f"{answer_files[label]} has no answer for {min(lacking)}, which is in {images}")
        if unknown := answered.keys() - rows.keys():
            raise ValueError(f"{answer_files[label]} has an answer for {min(unknown)}, which is not in {images}")
    names = list(answers[min(answers)])
    classes = []
    for name in names:
        own = [label for label, answered in answers.items() if answered[name]]
        if len(own) != 1:
            raise ValueError(f"{name} must have the answer 1 for one class; in {folder} it has it for {own}")
        classes += own
    order = [rows[name] for name in names]
    paths, errors = [os.path.join(images, name) for name in names], [errors[row] for row in order]
    return LabelledImages(folder, paths, features[order], np.array(classes), errors=errors)


def _read_answers(path: str) -> dict[str, bool]:
    """The answer for each name, in the order of the file."""
    answers: dict[str, bool] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [[field.strip() for field in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as CSV: {error}") from error
    for row in rows[1:] if rows[:1] == [ANSWER_HEADER] else rows:
        if len(row) != 2 or row[1] not in ("0", "1"):
            raise ValueError(f"{path} must have lines of a file name and 1 or 0; got {checks.shown(','.join(row))}")
        name, answer = row
        if name in answers:
            raise ValueError(f"{path} has two answers for {name}")
        answers[name] = answer == "1"
    return answers
