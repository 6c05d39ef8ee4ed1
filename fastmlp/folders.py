"""The whole journey, from folders of PNG files to verdicts: extract_features, train_folder, classify_folder.

The unit of work is a chunk of paths. `read_chunk` and `ImageClassifier.verdicts` are plain functions of one that can be
pickled: threads map them here, and any engine can map them over more machines, with the same results.
"""

from __future__ import annotations

import csv
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.features import EXTRACTORS, extract
from fastmlp.images import ImageError, Source, StrPath, list_images, read_image
from fastmlp.model import MLP
from fastmlp.storage import load_model, save_model
from fastmlp.training import train

Item = TypeVar("Item")
Result = TypeVar("Result")

METHODS = ("one-vs-rest", "softmax")
CHUNK = 64  # files: some 10 ms of work, or a second with large images, so that Ctrl-C is heard soon
ANSWER_FILE = re.compile(r"correct-outputs-(.+)\.txt")
ANSWER_HEADER = ["file_name", "correct_answer"]


class Features(NamedTuple):
    """The features of a source of images."""

    names: list[str]
    """The n images that could be read: paths within the folder if the source is one, else the paths given."""
    features: NDArray[np.float64]
    """(n, size), a row for each name."""
    errors: list[tuple[str, str]]
    """The name of each image that could not be read, and why."""


class Verdicts(NamedTuple):
    """What a classifier says of n images, in columns; an image that could not be read has an error and no label."""

    paths: list[str]
    labels: list[str | None]
    scores: NDArray[np.float64]
    """(n, K), columns in the order of the classes; NaN where there is an error."""
    errors: list[str | None]


@dataclass(frozen=True, eq=False)
class ImageClassifier:
    """Networks that tell images apart, and the extractor that they were trained with.

    Attributes
    ----------
    classes : list of str
        The K labels, sorted.
    networks : tuple of MLP
        One for the method "softmax"; one for each class, in their order, for "one-vs-rest".
    extractor : {"ink", "pixels"}
    method : {"one-vs-rest", "softmax"}
    """

    classes: list[str]
    networks: tuple[MLP, ...]
    extractor: str
    method: str

    def __post_init__(self) -> None:
        size = EXTRACTORS[checks.one_of("extractor", self.extractor, EXTRACTORS)].size
        count = 1 if checks.one_of("method", self.method, METHODS) == "softmax" else len(self.classes)
        found = [network.layer_sizes[0] for network in self.networks]
        if found != [size] * count:
            raise ValueError(f"networks must be {count} of {size} inputs each; got {len(found)}, of {found} inputs")
        for network in self.networks:
            known = None if network.classes is None else network.classes.tolist()
            if known != self.classes if self.method == "softmax" else network.layer_sizes[-1] != 1:
                raise ValueError(f"the outputs of {network} do not fit the classes {self.classes} and method {self.method!r}")

    def scores(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """The score of each class for rows of features: (n, size) -> (n, K). The largest one decides.

        They are probabilities for "softmax", and for "one-vs-rest" each network's own output.
        """
        if self.method == "softmax":
            return self.networks[0].predict_proba(features)
        return np.column_stack([_own_output(network, features) for network in self.networks])

    def verdicts(self, paths: Sequence[str]) -> Verdicts:
        """Classify one chunk of files."""
        features, errors = read_chunk(paths, self.extractor)
        readable = np.array([error is None for error in errors], bool)
        scores = np.full((len(paths), len(self.classes)), np.nan)
        scores[readable] = self.scores(features[readable])
        labels = [self.classes[best] if ok else None for ok, best in zip(readable, scores.argmax(axis=1), strict=True)]
        return Verdicts(list(paths), labels, scores, errors)

    def classify(self, source: Source, threads: int | None = None, batch_size: int = CHUNK) -> Iterator[Verdicts]:
        """Classify images, batch by batch.

        Parameters
        ----------
        source : path of a folder, list of paths, or path of one file
            See `list_images` for what a folder gives, and in which order.
        threads : int, optional
            How many batches are worked on at a time: 1 unless given. More pay for images larger than about 64x64. Results do
            not depend on it.
        batch_size : int
            Images in a batch. At most two batches for each thread are held at a time.

        Returns
        -------
        iterator of Verdicts
            In the order of the source. A file that cannot be read becomes a row with its error.

        Raises
        ------
        FileNotFoundError
            If the source is a path and nothing is there.
        ValueError
            If the source is a folder without a PNG file.
        """
        chunks = _chunks(list_images(source), checks.positive_int("batch_size", batch_size))
        return _map_in_order(self.verdicts, chunks, _threads(threads))

    def save(self, path: StrPath) -> None:
        """Save to an .npz file, which `fastmlp.load` and `classify_folder` read."""
        save_model(path, self)


def extract_features(source: Source, extractor: str = "ink", threads: int | None = None) -> Features:
    """Extract the features of all images of a source.

    Parameters
    ----------
    source : path of a folder, list of paths, or path of one file
        See `list_images` for what a folder gives, and in which order.
    extractor : {"ink", "pixels"}
        See fastmlp/features.py for what they are.
    threads : int, optional
        1 unless given; more pay for images larger than about 64x64. The results do not depend on it.

    Returns
    -------
    Features
        `names`, `features`, and the `errors` of the images that could not be read.

    Raises
    ------
    FileNotFoundError
        If the source is a path and nothing is there.
    ValueError
        If the source is a folder without a PNG file, or no extractor has that name.
    """
    paths = list(list_images(source))
    features, errors = _read(paths, extractor, threads)
    names = _names(paths, source) if isinstance(source, str | os.PathLike) and os.path.isdir(source) else paths
    return Features(
        [name for name, error in zip(names, errors, strict=True) if error is None],
        features[[error is None for error in errors]],
        [(name, error) for name, error in zip(names, errors, strict=True) if error is not None],
    )


def train_folder(folder: StrPath, *, extractor: str = "ink", method: str = "softmax", **options: Any) -> ImageClassifier:
    """Train a classifier on a folder of labelled images.

    Parameters
    ----------
    folder : path
        Either with a folder of PNG files for each class, named as the class; or with an answer file
        `correct-outputs-<class>.txt` for each class, and the PNG files beside them or in `train-images/`. A line of an
        answer file is `name,1` or `name,0`, after an optional header `file_name,correct_answer`. Where there are answer
        files they decide, and the first one's order is the order of the samples.
    extractor : {"ink", "pixels"}
        See fastmlp/features.py for what they are.
    method : {"softmax", "one-vs-rest"}
        One network with an output for each class, or for each class a network with one output, trained towards 1 for
        the images of its class and 0 for all others.
    **options
        Those of `train`. With "one-vs-rest" the network of class k has the seed `seed + k`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ImageError
        If an image cannot be read.
    ValueError
        If the folder has fewer than two classes, a class has no image, an answer file and the images do not match, an
        image has no class or two, or for what `train` rejects.
    """
    checks.one_of("extractor", extractor, EXTRACTORS)
    checks.one_of("method", method, METHODS)
    paths, labels = _labelled_images(os.fspath(folder))
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise ValueError(f"{os.fspath(folder)} must have images of at least two classes; got {classes}")
    features, errors = _read(paths, extractor, options.get("threads"))
    for error in filter(None, errors):
        raise ImageError(error)
    if method == "softmax":
        networks = [train(features, np.array(labels), **{"output": "softmax", **options})]
    else:
        networks = _train_one_vs_rest(features, np.array(labels), classes, **options)
    return ImageClassifier(classes, tuple(networks), extractor, method)


def classify_folder(model: ImageClassifier | StrPath, source: Source, threads: int | None = None) -> Verdicts:
    """Classify all images of a source with a classifier, or the path of a saved one; see `ImageClassifier.classify`."""
    classifier = load_model(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(classifier, ImageClassifier):
        raise ValueError(f"model must be an ImageClassifier, or the path of one; got {type(classifier).__name__}")
    batches = list(classifier.classify(source, threads))
    return Verdicts(
        [path for batch in batches for path in batch.paths],
        [label for batch in batches for label in batch.labels],
        np.concatenate([np.empty((0, len(classifier.classes))), *(batch.scores for batch in batches)]),
        [error for batch in batches for error in batch.errors],
    )


# -- Reading images in bulk --------------------------------------------------------------------------------------------


def _threads(value: int | None) -> int:
    """One thread unless asked for more: Pillow holds Python's lock, so that with small images two are slower than one."""
    return 1 if value is None else checks.threads(value)


def read_chunk(paths: Sequence[str], extractor: str) -> tuple[NDArray[np.float64], list[str | None]]:
    """The features (n, size) of a chunk of files, with NaN and a message for each one that cannot be read."""
    features = np.full((len(paths), EXTRACTORS[extractor].size), np.nan)
    errors: list[str | None] = [None] * len(paths)
    for index, path in enumerate(paths):
        try:
            features[index] = extract([read_image(path)], extractor)[0]
        except ImageError as error:
            errors[index] = str(error)
    return features, errors


def _read(paths: list[str], extractor: str, threads: int | None) -> tuple[NDArray[np.float64], list[str | None]]:
    """read_chunk for any number of files."""
    size = EXTRACTORS[checks.one_of("extractor", extractor, EXTRACTORS)].size
    read = partial(read_chunk, extractor=extractor)
    features: list[NDArray[np.float64]] = [np.empty((0, size))]
    errors: list[str | None] = []
    for chunk_features, chunk_errors in _map_in_order(read, _chunks(paths, CHUNK), _threads(threads)):
        features.append(chunk_features)
        errors += chunk_errors
    return np.concatenate(features), errors


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _map_in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """map(function, items) by threads, with at most two items for each thread under way."""
    if threads == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        jobs: deque[Future[Result]] = deque()
        for item in items:
            jobs.append(pool.submit(function, item))
            if len(jobs) == 2 * threads:
                yield jobs.popleft().result()
        while jobs:
            yield jobs.popleft().result()
    finally:  # also when the caller stops, or Ctrl-C comes: what has begun is awaited, what has not is dropped
        pool.shutdown(cancel_futures=True)


def _names(paths: Iterable[str], folder: StrPath) -> list[str]:
    """Paths that a walk of the folder gave, as they are within it."""
    start = len(os.path.join(folder, ""))
    return [path[start:].replace(os.sep, "/") for path in paths]


# -- Training ----------------------------------------------------------------------------------------------------------


def _train_one_vs_rest(
    features: NDArray[np.float64], labels: NDArray[np.str_], classes: list[str], seed: int | None = None, **options: Any
) -> list[MLP]:
    networks = []
    for index, name in enumerate(classes):
        own_seed = None if seed is None else seed + index
        network = train(features, (labels == name).astype(np.float64), seed=own_seed, **options)
        networks.append(network)
        interrupted = network.history is not None and network.history.stopped_by == "interrupt"
        if interrupted and len(networks) < len(classes):  # some of the networks alone decide nothing
            raise KeyboardInterrupt
    return networks


def _own_output(network: MLP, features: NDArray[np.floating]) -> NDArray[np.floating]:
    """The output (n,) of a network that says yes or no."""
    return network.predict(features) if network.classes is None else network.predict_proba(features)[:, 1]


# -- Labels ------------------------------------------------------------------------------------------------------------


def _labelled_images(folder: str) -> tuple[list[str], list[str]]:
    """The paths of a training folder, and their labels."""
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
        return _answered_images(folder, answer_files)
    if not classes:
        raise ValueError(f"{folder} has neither a folder for each class nor answer files (correct-outputs-<class>.txt)")
    pairs = [(path, name) for name in sorted(classes) for path in list_images(os.path.join(folder, name))]
    return [path for path, _ in pairs], [label for _, label in pairs]


def _answered_images(folder: str, answer_files: dict[str, str]) -> tuple[list[str], list[str]]:
    """The paths and labels of images whose classes stand in answer files, a file for each class."""
    images = os.path.join(folder, "train-images")
    if not os.path.isdir(images):
        images = folder
    listed = list(list_images(images))
    paths = dict(zip(_names(listed, images), listed, strict=True))
    answers = {label: _read_answers(file) for label, file in sorted(answer_files.items())}
    for label, answered in answers.items():
        if lacking := paths.keys() - answered.keys():
            raise ValueError(f"{answer_files[label]} has no answer for {min(lacking)}, which is in {images}")
        if unknown := answered.keys() - paths.keys():
            raise ValueError(f"{answer_files[label]} has an answer for {min(unknown)}, which is not in {images}")
    names = list(answers[min(answers)])
    labels = []
    for name in names:
        own = [label for label, answered in answers.items() if answered[name]]
        if len(own) != 1:
            raise ValueError(f"{name} must have the answer 1 for one class; in {folder} it has it for {own}")
        labels += own
    return [paths[name] for name in names], labels


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
            raise ValueError(f"{path} must have lines of a file name and 1 or 0; got {','.join(row)!r}")
        name, answer = row
        if name in answers:
            raise ValueError(f"{path} has two answers for {name}")
        answers[name] = answer == "1"
    return answers
