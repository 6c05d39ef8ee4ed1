"""The whole journey, from folders of PNG files to verdicts: extract_features, train_folder, classify_folder.

The unit of work is a chunk of names. `reading.read_chunk` and `ImageClassifier.verdicts` are plain functions of one that
can be pickled: threads map them here, and any engine can map them over more machines, with the same results.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import checks
from fastmlp.features import EXTRACTORS
from fastmlp.images import MAX_PIXELS, ImageError
from fastmlp.literals import Decision, ExtractorName, Method
from fastmlp.many import train_many
from fastmlp.metrics import Evaluation, listing, of_classes, short
from fastmlp.model import MLP
from fastmlp.reading import Rows, read_chunk
from fastmlp.sources import CHUNK, Chunk, Chunks, Source, StrPath
from fastmlp.storage import load_model, save_model
from fastmlp.training import TrainOptions, train

Item = TypeVar("Item")
Result = TypeVar("Result")

METHODS: tuple[Method, ...] = get_args(Method)
DECISIONS: tuple[Decision, ...] = get_args(Decision)
ANSWER_FILE = re.compile(r"correct-outputs-(.+)\.txt")
ANSWER_HEADER = ["file_name", "correct_answer"]


class Features(NamedTuple):
    """The features of a source of images."""

    names: list[str]
    """The n images that could be read: paths within the folder or archive if the source is one, else the paths given."""
    features: NDArray[np.float64]
    """(n, size), a row for each name."""
    errors: list[tuple[str, str]]
    """The name of each image that could not be read, and why."""

    def __repr__(self) -> str:
        return f"<Features of {len(self.names)} images: {self.features.shape[1]} each; {len(self.errors)} failed>"


class Verdicts(NamedTuple):
    """What a classifier says of n images, in columns; an image that could not be read has an error and no label."""

    paths: list[str]
    """Within the folder or archive if the source is one, with "/" between folders; else as given."""
    labels: list[str | None]
    scores: NDArray[np.floating]
    """(n, K), columns in the order of the classes; NaN where there is an error."""
    errors: list[str | None]
    skipped: int = 0
    """How many other files there were, that are no PNG images."""

    def __repr__(self) -> str:
        counts = Counter(label for label in self.labels if label is not None)
        labels = listing([f"{short(label)} {count}" for label, count in counts.most_common()])
        return f"<Verdicts on {counts.total()} images: {labels}; {self.skipped} skipped, {len(self.paths) - counts.total()} failed>"


@dataclass(frozen=True, eq=False)
class ImageClassifier:
    """Networks that tell images apart, and the extractor that they were trained with.

    Attributes
    ----------
    classes : list of str
        The K labels, sorted.
    networks : tuple of MLP
        One for the method "softmax"; one for each class, in their order, for "one-vs-rest"; any number for "ensemble", each as
        that of "softmax".
    extractor : {"ink", "pixels"}
    method : {"ensemble", "one-vs-rest", "softmax"}
    made_with : dict
        What it was trained with, as JSON values.

    Raises
    ------
    ValueError
        If the networks do not fit the classes, the extractor and the method.
    """

    classes: list[str]
    networks: tuple[MLP, ...]
    extractor: ExtractorName
    method: Decision
    made_with: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = EXTRACTORS[checks.one_of("extractor", self.extractor, EXTRACTORS)].size
        counts = {"softmax": 1, "one-vs-rest": len(self.classes), "ensemble": max(1, len(self.networks))}
        count = counts[checks.one_of("method", self.method, DECISIONS)]
        found = [network.layer_sizes[0] for network in self.networks]
        if found != [size] * count:
            raise ValueError(f"networks must be {count} of {size} inputs each; got {len(found)}, of {found} inputs")
        for network in self.networks:
            known = None if network.classes is None else network.classes.tolist()
            if network.layer_sizes[-1] != 1 if self.method == "one-vs-rest" else known != self.classes:
                raise ValueError(f"the outputs of {network} do not fit the classes {self.classes} and method {self.method!r}")

    def __repr__(self) -> str:
        return f"<ImageClassifier of {listing(map(short, self.classes))}; {self.extractor}, {self.method}>"

    def scores(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """The score of each class for rows of features: (n, size) -> (n, K). The largest one decides.

        They are probabilities for "softmax", their mean over the networks for "ensemble", and for "one-vs-rest" each network's own
        output.
        """
        if self.method == "one-vs-rest":
            return np.column_stack([_own_output(network, features) for network in self.networks])
        scores = self.networks[0].predict_proba(features)
        for network in self.networks[1:]:
            scores += network.predict_proba(features)
        scores /= len(self.networks)
        return scores

    def verdicts(self, chunk: Chunk, strict: bool = False, max_pixels: int = MAX_PIXELS, stop: Event | None = None) -> Verdicts:
        """Classify one chunk of files; see reading.read_chunk."""
        paths, features, errors, others, skipped = read_chunk(chunk, self.extractor, strict, max_pixels, stop)
        skipped += len(others)
        if not any(errors):
            scores = self.scores(features)
            return Verdicts(paths, self._labels(scores), scores, errors, skipped)
        good = np.array([error is None for error in errors])
        known = self.scores(features[good])
        scores = np.full((len(paths), len(self.classes)), np.nan, known.dtype)
        scores[good] = known
        labels = iter(self._labels(known))
        return Verdicts(paths, [next(labels) if error is None else None for error in errors], scores, errors, skipped)

    def _labels(self, scores: NDArray[np.floating]) -> list[str | None]:
        return [self.classes[best] for best in scores.argmax(axis=1).tolist()]

    def classify(
        self,
        source: Source,
        threads: int | None = None,
        batch_size: int = CHUNK,
        *,
        ordered: bool = True,
        strict: bool = False,
        max_pixels: int = MAX_PIXELS,
        follow_symlinks: bool = False,
        done: Callable[[list[str]], NDArray[np.bool_]] | None = None,
    ) -> Batches:
        """Classify images, batch by batch.

        Parameters
        ----------
        source : path of a folder, of a tar or zip archive, or of one file; or an iterable of paths of files
            Of a folder all files are read, in all its folders; what begins with a dot is left out. Of a tar or zip archive, the
            same; it must not be shortened meanwhile.
        threads : int, optional
            How many batches are worked on at a time; by default as many as there are cores. Results do not depend on it.
        batch_size : int
            Files in a batch, at most. At most two batches for each thread are held at a time.
        ordered : bool
            Whether batches come in the order of the paths' bytes, or of the list; else as they are done.
        strict : bool
            Whether what is no PNG image becomes a row with an error; else it is skipped. Contents tell, not names. A file that was
            named by itself always becomes a row.
        max_pixels : int
            An image of more pixels is an error, and no memory is taken for it. The default is 2**26.
        follow_symlinks : bool
            Whether links to folders are followed; not those that lead to a folder that they lie in.
        done : function, optional
            Which of a list of paths are left out: paths -> (n,) bool.

        Returns
        -------
        Batches
            An iterator of Verdicts. A file that cannot be read becomes a row with its error, and so does a folder that cannot be
            listed. If a folder or an archive holds no PNG image at all, a ValueError ends it.

        Raises
        ------
        FileNotFoundError
            If the source is a path and nothing is there.
        OSError, ValueError
            If the folder cannot be listed; if the archive is damaged, or compressed as a whole; if an option is wrong.
        """
        max_pixels = checks.positive_int("max_pixels", max_pixels)
        workers = checks.threads(threads)
        size = checks.positive_int("batch_size", batch_size)
        chunks = Chunks(source, ordered=ordered, strict=strict, follow_symlinks=follow_symlinks, size=size)
        work = partial(self.verdicts, strict=strict, max_pixels=max_pixels)
        return Batches(source, chunks, work, workers, ordered, done)

    def score(self, X: ArrayLike | StrPath, y: ArrayLike | None = None) -> float:
        """The accuracy on labelled images: see `evaluate`."""
        return self.evaluate(X, y).score

    def evaluate(self, X: ArrayLike | StrPath, y: ArrayLike | None = None) -> Evaluation:
        """How good the verdicts on labelled images are.

        Parameters
        ----------
        X : path of a folder, or (n, size)
            Images and their labels as `train_folder` takes them; or rows of features, as `extract_features` gives them.
        y : (n,), optional
            The labels of rows of features.

        Returns
        -------
        Evaluation
            As of `MLP.evaluate`. Its log loss is NaN for the method "one-vs-rest", whose scores are no probabilities.

        Raises
        ------
        FileNotFoundError, NotADirectoryError, ImageError
            As `train_folder` does for a folder.
        ValueError
            As `train_folder` does for a folder, and `MLP.evaluate` for rows; if a label is not among the classes.
        """
        if isinstance(X, str | os.PathLike):
            if y is not None:
                raise ValueError("y must be left out where X is a folder, whose images have their labels")
            X, y = labelled_features(X, self.extractor)
        elif y is None:
            raise ValueError("y must hold a label for each row of features; got None")
        scores = self.scores(checks.matrix("X", X, columns=EXTRACTORS[self.extractor].size))
        return of_classes(scores, y, np.array(self.classes), probabilities=self.method != "one-vs-rest")

    def save(self, path: StrPath) -> None:
        """Save to an .npz file, which `fastmlp.load` and `classify_folder` read."""
        save_model(path, self)


class Batches(Iterator[Verdicts]):
    """The verdicts on a source, some thousand at a time.

    Attributes
    ----------
    total : int or None
        How many files there are, once that is known.
    """

    def __init__(
        self,
        source: Source,
        chunks: Chunks,
        work: Callable[..., Verdicts],
        threads: int,
        ordered: bool,
        done: Callable[[list[str]], NDArray[np.bool_]] | None,
    ) -> None:
        self._chunks = chunks
        self._batches = _batches(source, chunks, work, threads, ordered, done)

    @property
    def total(self) -> int | None:
        return self._chunks.total

    def __next__(self) -> Verdicts:
        return next(self._batches)

    def close(self) -> None:
        """End the work; what has begun is awaited."""
        self._batches.close()
        self._chunks.close()


def _batches(
    source: Source,
    every: Chunks,
    work: Callable[..., Verdicts],
    threads: int,
    ordered: bool,
    done: Callable[[list[str]], NDArray[np.bool_]] | None,
) -> Generator[Verdicts]:
    empty = every.within
    chunks: Iterator[Chunk] = every
    if done is not None:
        chunks = (chunk.without(done(chunk.paths())) for chunk in chunks)
        empty = False  # or so it seems, as what is done may be all there is
    for verdicts in _map(work, chunks, threads, ordered):
        empty = empty and not verdicts.paths
        yield verdicts
    if empty:
        raise _nothing_in(source)


def extract_features(source: Source, extractor: ExtractorName = "ink", threads: int | None = None) -> Features:
    """Extract the features of all images of a source.

    Parameters
    ----------
    source : path of a folder, of a tar or zip archive, or of one file; or an iterable of paths of files
        See `ImageClassifier.classify`.
    extractor : {"ink", "pixels"}
        See fastmlp/features.py for what they are.
    threads : int, optional
        By default as many as there are cores. The results do not depend on it.

    Returns
    -------
    Features
        `names`, `features`, and the `errors` of the images that could not be read.

    Raises
    ------
    FileNotFoundError
        If the source is a path and nothing is there.
    OSError, ValueError
        As `classify` does; if the folder or archive holds no PNG image, or no extractor has that name.
    """
    paths, features, errors, _, _ = _read(source, extractor, threads)
    return Features(
        [path for path, error in zip(paths, errors, strict=True) if error is None],
        features[[error is None for error in errors]],
        [(path, error) for path, error in zip(paths, errors, strict=True) if error is not None],
    )


def train_folder(
    folder: StrPath, *, extractor: ExtractorName = "ink", method: Method = "softmax", **options: Unpack[TrainOptions]
) -> ImageClassifier:
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
        Those of `train`. With "one-vs-rest" the network of class k has the seed `seed + k`, and `on_epoch` is called with the
        losses (K,) of all networks, as `train_many` does.

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
    checks.one_of("method", method, METHODS)
    features, labels = labelled_features(folder, extractor, options.get("threads"))
    if method == "softmax":
        options.setdefault("output", "softmax")
        networks = [train(features, labels, **options)]
    else:
        networks = _train_one_vs_rest(features, labels, **options)
    return ImageClassifier(np.unique(labels).tolist(), tuple(networks), extractor, method)


def labelled_features(folder: StrPath, extractor: str, threads: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Read a folder of labelled images of at least two classes.

    Parameters
    ----------
    folder, extractor
        As `train_folder` has them.
    threads : int, optional
        By default as many as there are cores. The results do not depend on it.

    Returns
    -------
    The features (N, size) of the images, and their labels (N,).

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ImageError, ValueError
        As `train_folder` does for the folder and the extractor.
    """
    checks.one_of("extractor", extractor, EXTRACTORS)
    features, labels = _labelled_images(os.fspath(folder), partial(_readable, extractor=extractor, threads=threads))
    if len(classes := sorted(set(labels))) < 2:
        raise ValueError(f"{os.fspath(folder)} must have images of at least two classes; got {classes}")
    return features, np.array(labels)


class ClassifyOptions(TypedDict, total=False):
    """The options of `ImageClassifier.classify`."""

    batch_size: int
    ordered: bool
    strict: bool
    max_pixels: int
    follow_symlinks: bool
    done: Callable[[list[str]], NDArray[np.bool_]] | None


def classify_folder(
    model: ImageClassifier | StrPath, source: Source, threads: int | None = None, **options: Unpack[ClassifyOptions]
) -> Verdicts:
    """Classify all images of a source with a classifier, or the path of a saved one; see `ImageClassifier.classify`."""
    classifier = load_model(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(classifier, ImageClassifier):
        raise ValueError(f"model must be an ImageClassifier, or the path of one; got {type(classifier).__name__}")
    batches = list(classifier.classify(source, threads, **options))
    return Verdicts(
        [path for batch in batches for path in batch.paths],
        [label for batch in batches for label in batch.labels],
        np.concatenate([np.empty((0, len(classifier.classes))), *(batch.scores for batch in batches)]),
        [error for batch in batches for error in batch.errors],
        sum(batch.skipped for batch in batches),
    )


# -- Reading images in bulk --------------------------------------------------------------------------------------------


def _map(function: Callable[..., Result], items: Iterable[Item], threads: int, ordered: bool = True) -> Generator[Result]:
    """function(item, stop) for all items by threads, with at most two items for each thread under way; if not ordered, as they are
    done. `stop` is set when nobody waits for results any more."""
    stop = Event()
    if threads == 1:
        for item in items:
            yield function(item, stop=stop)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        jobs: list[Future[Result]] = []
        for item in items:
            jobs.append(pool.submit(function, item, stop=stop))
            while len(jobs) == 2 * threads or (jobs and jobs[0].done()):
                yield _next_done(jobs, ordered)
        while jobs:
            yield _next_done(jobs, ordered)
    finally:  # also when the caller stops, or Ctrl-C comes
        stop.set()
        pool.shutdown(cancel_futures=True)


def _next_done(jobs: list[Future[Result]], ordered: bool) -> Result:
    if not ordered:
        wait(jobs, return_when=FIRST_COMPLETED)
    return jobs.pop(0 if ordered else next(k for k, job in enumerate(jobs) if job.done())).result()


def _read(source: Source, extractor: str, threads: int | None) -> Rows:
    """All rows of a source, in one."""
    size = EXTRACTORS[checks.one_of("extractor", extractor, EXTRACTORS)].size
    workers = checks.threads(threads)
    chunks = Chunks(source)
    read = partial(read_chunk, extractor=extractor, strict=False, max_pixels=MAX_PIXELS)
    parts = list(_map(read, chunks, workers))
    if chunks.within and not any(part.paths for part in parts):
        raise _nothing_in(source)
    return Rows(
        [path for part in parts for path in part.paths],
        np.concatenate([np.empty((0, size)), *(part.features for part in parts)]),
        [error for part in parts for error in part.errors],
        [path for part in parts for path in part.others],
        sum(part.skipped for part in parts),
    )


def _nothing_in(source: Any) -> ValueError:
    return ValueError(f"{os.fspath(source)} holds no PNG file")


# -- Training ----------------------------------------------------------------------------------------------------------


def _train_one_vs_rest(features: NDArray[np.float64], labels: NDArray[np.str_], **options: Any) -> list[MLP]:
    for name in ("hidden", "activation"):  # a list would have an entry for each network
        if isinstance(options.get(name), list):
            options[name] = tuple(options[name])
    targets = (labels[:, None] == np.unique(labels)).astype(np.float64)
    population = train_many(features, targets, members=targets.shape[1], **options)
    if "interrupt" in population.history.stopped_by:  # some of the networks alone decide nothing
        raise KeyboardInterrupt
    return list(population)


def _own_output(network: MLP, features: NDArray[np.floating]) -> NDArray[np.floating]:
    """The output (n,) of a network that says yes or no."""
    return network.predict(features) if network.classes is None else network.predict_proba(features)[:, 1]


# -- Labels ------------------------------------------------------------------------------------------------------------


def _readable(folder: str, extractor: str, threads: int | None) -> tuple[list[str], NDArray[np.float64]]:
    """The names and features of all images of a folder; an ImageError for one that cannot be read."""
    paths, features, errors, others, _ = _read(folder, extractor, threads)
    for error in filter(None, errors):
        raise ImageError(error)
    for path in others:
        if path.lower().endswith(".png"):
            raise ImageError(f"{os.path.join(folder, path)} is not a PNG file")
    return paths, features


def _labelled_images(
    folder: str, read: Callable[[str], tuple[list[str], NDArray[np.float64]]]
) -> tuple[NDArray[np.float64], list[str]]:
    """The features of the images of a training folder, and their labels."""
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
        return _answered_images(folder, answer_files, read)
    if not classes:
        raise ValueError(f"{folder} has neither a folder for each class nor answer files (correct-outputs-<class>.txt)")
    features, labels = [], []
    for name in sorted(classes):
        paths, rows = read(os.path.join(folder, name))
        features.append(rows)
        labels += [name] * len(paths)
    return np.concatenate(features), labels


def _answered_images(
    folder: str, answer_files: dict[str, str], read: Callable[[str], tuple[list[str], NDArray[np.float64]]]
) -> tuple[NDArray[np.float64], list[str]]:
    """The features and labels of images whose classes stand in answer files, a file for each class."""
    images = os.path.join(folder, "train-images")
    if not os.path.isdir(images):
        images = folder
    answers = {label: _read_answers(file) for label, file in sorted(answer_files.items())}
    paths, features = read(images)
    rows = {path: row for row, path in enumerate(paths)}
    for label, answered in answers.items():
        if lacking := rows.keys() - answered.keys():
            raise ValueError(f"{answer_files[label]} has no answer for {min(lacking)}, which is in {images}")
        if unknown := answered.keys() - rows.keys():
            raise ValueError(f"{answer_files[label]} has an answer for {min(unknown)}, which is not in {images}")
    names = list(answers[min(answers)])
    labels = []
    for name in names:
        own = [label for label, answered in answers.items() if answered[name]]
        if len(own) != 1:
            raise ValueError(f"{name} must have the answer 1 for one class; in {folder} it has it for {own}")
        labels += own
    return features[[rows[name] for name in names]], labels


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
