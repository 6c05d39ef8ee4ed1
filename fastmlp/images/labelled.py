"""Images whose classes are known: in a folder for each class, or by answer files that name the images of each; also in archives."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.executors import Engine, threads_or_engine
from fastmlp.images.content import ImageError
from fastmlp.images.copies import Augmentation
from fastmlp.images.extractors import DEFAULT_EXTRACTOR, GivenExtractor, extractor_of
from fastmlp.images.image_formats import ALL, suffix_format, wanted
from fastmlp.images.reading import read_listed
from fastmlp.images.rows_of_features import full_name, only_rows
from fastmlp.images.sources.archive_reading import open_archive, read_member
from fastmlp.images.sources.chunk import Chunk
from fastmlp.images.sources.fetching import content_at
from fastmlp.images.sources.source import Chunks, nothing_in
from fastmlp.images.sources.urls import is_url, without_secrets
from fastmlp.literals import FormatName
from fastmlp.writing import StrPath

ANSWER_FILE = re.compile(r"correct-outputs-(.+)\.txt")
ANSWER_HEADER = ["file_name", "correct_answer"]
ANSWER_BYTES = 1 << 28  # of a file in an archive, at most
WITH_ANSWERS = "train-images/"  # a folder that images may lie in, beside answer files
HIDDEN = (".", "__MACOSX")  # what the names of folders begin with that are no classes


class LabelledImages(NamedTuple):
    """Images and their labels, n of them, as a folder has them."""

    folder: str
    """Or archive; of a URL what may be told."""
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
    misnamed: Sequence[str] = ()
    """Why some more files are no images, though their names say so."""
    hidden: Sequence[str] = ()
    """Folders whose names say that they are no classes."""
    copies: NDArray[np.floating] | None = None
    """(n, copies, size), of the copies of each, where some are asked for."""

    def only(self, kept: NDArray[np.bool_]) -> LabelledImages:
        """Those of the images, all of which can be read."""
        if kept.all():
            return self
        paths = [path for path, is_kept in zip(self.paths, kept.tolist(), strict=False) if is_kept]
        copies, labels = None if self.copies is None else only_rows(self.copies, kept), self.labels[kept]
        return self._replace(
            paths=paths, features=only_rows(self.features, kept), labels=labels, errors=[None] * len(labels), copies=copies
        )

    def counts(self) -> dict[Any, int]:
        """How many images there are of each class."""
        classes, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def labelled_images(
    folder: StrPath,
    extractor: GivenExtractor = DEFAULT_EXTRACTOR,
    threads: int | None = None,
    fewest: int = 2,
    strict: bool = True,
    formats: Sequence[FormatName] = ALL,
    augmentation: Augmentation | None = None,
    executor: Any = None,
) -> LabelledImages:
    """Read a folder of labelled images, or an archive, also behind a URL.

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
    augmentation : Augmentation, optional
        Which copies of each image are made.
    executor : Executor or Dask client, optional
        Whose workers read the images, in place of threads.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ImageError, ValueError
        As `train_folder` does for the folder and the extractor.
    """
    chosen, workers = extractor_of(extractor), threads_or_engine(threads, executor)
    path = os.fsdecode(checks.path("folder", folder))
    if is_url(path):
        listing, path = _listed_whole(path), without_secrets(path)
    elif not os.path.exists(path):
        raise FileNotFoundError(f"{path} does not exist")
    else:
        listing = _listed_whole(path) if os.path.isfile(path) else _listed_folder(path)
    if not listing.answers and not listing.classes:
        raise ValueError(f"{path} has neither a folder for each class nor answer files (correct-outputs-<class>.txt)")
    images = _read(listing, chosen, workers, formats, augmentation)
    for error in filter(None, (*images.errors, *images.misnamed.values()) if strict else ()):
        raise ImageError(error)
    data = (_answered_images if listing.answers else _images_in_classes)(path, listing, images, formats)
    if len(classes := list(data.counts())) < fewest:
        if data.empty:
            raise nothing_in(os.path.join(path, data.empty[0]), formats)
        raise ValueError(f"{path} must have images of at least two classes; got {classes}")
    return data


class _Listing(NamedTuple):
    """What a training folder or archive holds; paths are within it."""

    base: str
    """The folder that the paths of images are named from, ended by "/", or "" for the whole."""
    answers: dict[str, tuple[str, bytes]]
    """The name and the contents of the answer file of each class."""
    classes: list[str]
    hidden: list[str]
    chunks: list[tuple[str, Chunk]]
    """Each with what its names lack at their beginning."""


def _listed_folder(folder: str) -> _Listing:
    answers: dict[str, tuple[str, bytes]] = {}
    classes: list[str] = []
    hidden: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            match = ANSWER_FILE.fullmatch(entry.name)
            if match and entry.is_file():
                with open(entry.path, "rb") as file:
                    answers[match[1]] = entry.path, file.read()
            elif entry.is_dir():
                (hidden if entry.name.startswith(HIDDEN) else classes).append(entry.name)
    classes.sort()  # and each is listed by itself, as it may be a link
    base = WITH_ANSWERS if answers and os.path.isdir(os.path.join(folder, WITH_ANSWERS)) else ""
    leads = [base] if answers else [f"{name}/" for name in classes]
    chunks = [(lead, chunk) for lead in leads for chunk in Chunks(os.path.join(folder, lead) if lead else folder)]
    return _Listing(base, answers, classes, sorted(hidden), chunks)


def _listed_whole(path: str) -> _Listing:
    """The same of an archive, or of a URL, whose folders may all be in one."""
    every = Chunks(path)
    if not every.within:
        raise NotADirectoryError(f"{without_secrets(path)} is neither a folder nor a tar or zip archive")
    chunks = list(every)
    tops: set[str] = set()
    deep = False  # whether there are folders within folders, or answer files
    for chunk in chunks:
        for name in chunk.paths():
            first, *rest = name.split("/", 2)
            if rest and not first.startswith(HIDDEN):
                tops.add(first)
                deep = deep or len(rest) > 1 or ANSWER_FILE.fullmatch(rest[0]) is not None
            elif ANSWER_FILE.fullmatch(first):
                tops.add("")  # which is no name of a folder
    base = f"{min(tops)}/" if len(tops) == 1 and deep else ""
    answers: dict[str, tuple[str, bytes]] = {}
    classes: set[str] = set()
    hidden: set[str] = set()
    for chunk in chunks:
        for row, name in enumerate(chunk.paths()):
            own = name.removeprefix(base)
            first, slash, _ = own.partition("/")
            if name.startswith(HIDDEN):
                hidden.add(name.partition("/")[0])
            elif not name.startswith(base):
                continue
            elif slash:
                (hidden if first.startswith(HIDDEN) else classes).add(first)
            elif match := ANSWER_FILE.fullmatch(own):
                told = full_name(chunk, name)
                answers[match[1]] = told, _contents(chunk, row, told)
    if answers and WITH_ANSWERS[:-1] in classes:
        base += WITH_ANSWERS
    chosen = [chunk.without([_is_left_out(name, base, not answers) for name in chunk.paths()]) for chunk in chunks]
    return _Listing(base, answers, sorted(classes), sorted(hidden), [("", chunk) for chunk in chosen])


def _is_left_out(name: str, base: str, is_in_class: bool) -> bool:
    own = name.removeprefix(base)
    return not name.startswith(base) or name.startswith(HIDDEN) or own.startswith(HIDDEN) or (is_in_class and "/" not in own)


def _contents(chunk: Chunk, row: int, name: str) -> bytes:
    """What a member of an archive holds, or a file behind a URL, which is no image."""
    if chunk.members is None:
        content = content_at(chunk, row)
        if content.size > ANSWER_BYTES:
            raise ValueError(f"{name} has {content.size} bytes; at most {ANSWER_BYTES} are read")
        return content.first(content.size)
    place = chunk.members[row]
    if place[3] > ANSWER_BYTES:
        raise ValueError(f"{name} has {place[3]} bytes; at most {ANSWER_BYTES} are read")
    with open_archive(chunk.place, chunk.version) as archive:
        return read_member(archive, place, name)


class _Images(NamedTuple):
    """What there is in a training folder; paths are within `base`."""

    paths: list[str]
    features: NDArray[np.floating]
    errors: list[str | None]
    others: list[str]
    misnamed: dict[str, str]
    """Why some of the others are no images, though their names say so."""
    skipped: Counter[str]
    """How many things of each class were no files at all, where that is known."""
    copies: NDArray[np.floating] | None


def _read(
    listing: _Listing,
    extractor: GivenExtractor,
    workers: int | Engine,
    formats: Sequence[FormatName],
    augmentation: Augmentation | None,
) -> _Images:
    features, copies, parts = read_listed([chunk for _, chunk in listing.chunks], extractor, workers, formats, augmentation)
    images = _Images([], features, [], [], {}, Counter(), copies)
    parts.reverse()
    for lead, chunk in listing.chunks:
        part = parts.pop()  # its names become others, and are not kept beside them
        images.paths.extend((lead + path).removeprefix(listing.base) for path in part.paths)
        images.errors.extend(part.errors)
        images.skipped[lead[:-1]] += part.skipped
        for path in part.others:
            own = (lead + path).removeprefix(listing.base)
            images.others.append(own)
            if suffix_format(path) in formats:
                images.misnamed[own] = f"{full_name(chunk, path)} is no {wanted(formats)}"
    return images


def _images_in_classes(folder: str, listing: _Listing, images: _Images, formats: Sequence[FormatName]) -> LabelledImages:
    """Images that lie in a folder for each class, class by class."""
    own = [sys.intern(path.partition("/")[0]) for path in images.paths]  # a name for each class, not for each image
    paths, errors, features, copies = images.paths, images.errors, images.features, images.copies
    if own != sorted(own):  # as "a-b/" comes before "a/"
        order = sorted(range(len(own)), key=own.__getitem__)
        own, paths, errors = [own[row] for row in order], [paths[row] for row in order], [errors[row] for row in order]
        features, copies = features[order], None if copies is None else copies[order]
    counts, others = Counter(own), images.skipped + Counter(path.partition("/")[0] for path in images.others)
    within = {path.partition("/")[0] for path in paths if path.count("/") > 1}
    mixed = [name for name in listing.classes if 0 < counts[name] < others[name]]
    doubts = {"images lie in folders within": sorted(within), "most files are no image files in": mixed}
    return LabelledImages(
        folder,
        [os.path.join(folder, listing.base + path) for path in paths],
        features,
        np.array(own, str),
        [name for name in listing.classes if not counts[name]],
        [f"{what} {', '.join(names)}" for what, names in doubts.items() if names],
        errors,
        list(images.misnamed.values()),
        listing.hidden,
        copies,
    )


def _answered_images(folder: str, listing: _Listing, images: _Images, formats: Sequence[FormatName]) -> LabelledImages:
    """Images whose classes stand in answer files, a file for each class."""
    place = os.path.join(folder, listing.base[:-1]) if listing.base else folder
    answers = {label: _read_answers(*file) for label, file in sorted(listing.answers.items())}
    if not images.paths:
        raise nothing_in(place, formats)
    rows = {path: row for row, path in enumerate(images.paths)}
    for label, answered in answers.items():
        if lacking := rows.keys() - answered.keys():
            raise ValueError(f"{listing.answers[label][0]} has no answer for {min(lacking)}, which is in {place}")
        if unknown := answered.keys() - rows.keys() - images.misnamed.keys():
            raise ValueError(f"{listing.answers[label][0]} has an answer for {min(unknown)}, which is not in {place}")
    names = [name for name in answers[min(answers)] if name in rows]
    classes = []
    for name in names:
        own = [label for label, answered in answers.items() if answered[name]]
        if len(own) != 1:
            raise ValueError(f"{name} must have the answer 1 for one class; in {folder} it has it for {own}")
        classes += own
    order = [rows[name] for name in names]
    return LabelledImages(
        folder,
        [os.path.join(folder, listing.base + name) for name in names],
        images.features[order],
        np.array(classes, str),
        errors=[images.errors[row] for row in order],
        misnamed=list(images.misnamed.values()),
        copies=None if images.copies is None else images.copies[order],
    )


def _read_answers(path: str, contents: bytes) -> dict[str, bool]:
    """The answer for each name, in the order of the file."""
    answers: dict[str, bool] = {}
    try:
        text = io.StringIO(contents.decode("utf-8-sig"), newline="")
        rows = [[field.strip() for field in row] for row in csv.reader(text) if row]
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
