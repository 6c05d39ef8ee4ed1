"""The whole journey, from folders of PNG files to verdicts: extract_features, train_folder, classify_folder.

The unit of work is a chunk of names. `reading.read_chunk` and `ImageClassifier.verdicts` are plain functions of one that
can be pickled: threads map them here, and any engine can map them over more machines, with the same results.
"""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.images.features import EXTRACTORS
from fastmlp.images.pillow import MAX_PIXELS, ImageError
from fastmlp.images.reading import Rows, read_chunk
from fastmlp.images.sources import CHUNK, Chunk, Chunks, Source, StrPath
from fastmlp.literals import Decision, ExtractorName, Method
from fastmlp.networks.metrics import Evaluation, listing, of_classes, short
from fastmlp.networks.mlp import MLP, Copied, History
from fastmlp.networks.population import Population
from fastmlp.networks.provenance import made_with
from fastmlp.storage import load_model, save_model
from fastmlp.threads import thread_count
from fastmlp.training.many import train_many
from fastmlp.training.train import Streams, TrainOptions, split, train

Item = TypeVar("Item")
Result = TypeVar("Result")

EXTRACTOR: ExtractorName = "pixels"  # unless another is asked for
METHODS: tuple[Method, ...] = get_args(Method)
DECISIONS: tuple[Decision, ...] = get_args(Decision)
NEVER = 1 << 30  # epochs, more than anybody trains for
MEASURED = ("validation", "patience", "target_loss", "halving")  # options that make no sense once the best epoch is known
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
class ImageClassifier(Copied):
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
        What it was trained with, as JSON values: how many "images" there were of each class, its "seed", the "options" of
        `train_folder`, the "versions" of fastmlp, numpy and numba, and under "validation" what was measured on images held out.

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
                raise ValueError(
                    f"the outputs of {network} do not fit the classes {checks.shown(self.classes)} and method {self.method!r}"
                )

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

    @checks.takes_options()
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

    @property
    def histories(self) -> list[History]:
        """How its networks were trained."""
        return [network.history for network in self.networks if network.history is not None]

    def _labels(self, scores: NDArray[np.floating]) -> list[str | None]:
        return [self.classes[best] for best in scores.argmax(axis=1).tolist()]

    @checks.takes_options()
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
        workers = thread_count(threads)
        size = checks.positive_int("batch_size", batch_size)
        done = checks.callback("done", done)
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
            _, _, X, y, *_ = labelled_images(X, self.extractor, fewest=1)
        elif y is None:
            raise ValueError("y must hold a label for each row of features; got None")
        scores = self.scores(arrays.matrix("X", X, columns=EXTRACTORS[self.extractor].size))
        return of_classes(scores, y, np.array(self.classes), probabilities=self.method != "one-vs-rest")

    def save(self, path: StrPath) -> None:
        """Save to an .npz file, which `fastmlp.load` and `classify_folder` read; only a model is written over."""
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
        raise nothing_in(source)


@checks.takes_options()
def extract_features(source: Source, extractor: ExtractorName = "ink", threads: int | None = None) -> Features:
    """Extract the features of all images of a source.

    Parameters
    ----------
    source : path of a folder, of a tar or zip archive, or of one file; or an iterable of paths of files
        See `ImageClassifier.classify`.
    extractor : {"ink", "pixels"}
        See fastmlp/images/features.py for what they are.
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
    paths, features, errors, *_ = _read(source, extractor, threads)
    if not paths and isinstance(source, str | os.PathLike):
        raise nothing_in(source)
    return Features(
        [path for path, error in zip(paths, errors, strict=True) if error is None],
        features[[error is None for error in errors]],
        [(path, error) for path, error in zip(paths, errors, strict=True) if error is not None],
    )


@checks.takes_options(train)
def train_folder(
    folder: StrPath,
    *,
    extractor: ExtractorName = EXTRACTOR,
    method: Method = "softmax",
    refit: bool = False,
    **options: Unpack[TrainOptions],
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
        See fastmlp/images/features.py for what they are.
    method : {"softmax", "one-vs-rest"}
        One network with an output for each class, or for each class a network with one output, trained towards 1 for
        the images of its class and 0 for all others.
    refit : bool
        Whether to begin anew with all images once `validation`, a fraction, has told how many epochs are best, and to train for
        so many, which a schedule of the learning rate then spans; each network of "one-vs-rest" for its own.
    **options
        Those of `train`. With "one-vs-rest" the network of class k has the seed `seed + k`, and `on_epoch` is called with the
        losses (K,) of all networks, as `train_many` does. A fraction of `validation` is held out of each class alike, and the
        weights of the best epoch are kept.

    Returns
    -------
    ImageClassifier
        Its `made_with` has under "validation" what was measured on images held out. After Ctrl-C the network so far, with a
        RuntimeWarning; while it is trained again on all images, the one from before that.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C among the networks of "one-vs-rest", if one has no whole epoch yet.
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ImageError
        If an image cannot be read.
    ValueError
        If the folder has fewer than two classes, a class has no image, an answer file and the images do not match, an
        image has no class or two, or for what `train` rejects.
    """
    checks.one_of("method", method, METHODS)
    data = labelled_images(folder, extractor, options.get("threads"))
    if data.empty:
        raise nothing_in(os.path.join(folder, data.empty[0]))
    return train_labelled(data, extractor, method=method, refit=refit, **options)


class Labelled(NamedTuple):
    """The images of a labelled folder, n of them."""

    folder: str
    paths: list[str]
    """Each with the folder before it."""
    features: NDArray[np.float64]
    """(n, size)"""
    labels: NDArray[np.str_]
    """(n,)"""
    empty: Sequence[str] = ()
    """Folders that hold no image."""
    doubts: Sequence[str] = ()
    """Why the folders of the classes may not have been meant as such."""
    errors: Sequence[str | None] = ()
    """(n,) why an image cannot be read"""

    def readable(self) -> Labelled:
        """Without the images that cannot be read."""
        fine = [error is None for error in self.errors]
        paths = [path for path, kept in zip(self.paths, fine, strict=True) if kept]
        return self._replace(paths=paths, features=self.features[fine], labels=self.labels[fine], errors=[None] * len(paths))

    def counts(self) -> dict[str, int]:
        """How many images there are of each class."""
        classes, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def labelled_images(
    folder: StrPath, extractor: str = EXTRACTOR, threads: int | None = None, fewest: int = 2, strict: bool = True
) -> Labelled:
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

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ImageError, ValueError
        As `train_folder` does for the folder and the extractor.
    """
    checks.one_of("extractor", extractor, EXTRACTORS)
    data = _labelled_images(
        os.fsdecode(checks.path("folder", folder)), partial(_rows, extractor=extractor, threads=threads, strict=strict)
    )
    if len(classes := list(data.counts())) < fewest:
        if data.empty:
            raise nothing_in(os.path.join(folder, data.empty[0]))
        raise ValueError(f"{data.folder} must have images of at least two classes; got {classes}")
    return data


def train_labelled(
    data: Labelled, extractor: ExtractorName, *, method: Method = "softmax", refit: bool = False, **options: Any
) -> ImageClassifier:
    """Train a classifier on labelled images; see `train_folder`."""
    checks.one_of("method", method, METHODS)
    X, y, classes = data.features, data.labels, list(data.counts())
    options["seed"] = checks.seed("seed", options.get("seed"))
    targets: NDArray[Any] = y
    if method == "one-vs-rest":
        targets = (y[:, None] == classes).astype(np.float64)
        if options.pop("keep_state", False):
            raise ValueError("keep_state is for one network; with method='one-vs-rest' there is one for each class")
        if isinstance(options.get("init", ""), str):
            options.setdefault("task", "regression")
    held = held_out(y, options)
    if refit and held is None:
        raise ValueError("refit=True needs validation, a fraction of the images to hold out")
    how = options if held is None else keeping_best(options)
    if held is None or method == "softmax":
        trained = _fit(X, targets, how)
    else:  # a fraction of each class is to be held out, and these targets name none
        kept = np.delete(np.arange(len(y)), held)
        trained = _fit(X[kept], targets[kept], how | {"validation": (X[held], targets[held])})
    networks = (trained,) if isinstance(trained, MLP) else tuple(trained)
    classifier = ImageClassifier(classes, networks, extractor, method, record_of(data, networks[0].made_with, options))
    if held is None or any(history.epochs == 0 for history in classifier.histories):  # after Ctrl-C
        return classifier
    classifier.made_with["validation"] = validated(classifier, X[held], y[held])
    return refitted(classifier, trained, X, targets, options) if refit else classifier


def held_out(labels: NDArray[np.str_], options: Mapping[str, Any]) -> NDArray[np.int32] | None:
    """The rows that training with these options holds out, if it is to hold out a fraction."""
    share = options.get("validation")
    if share is None or isinstance(share, list | tuple):
        return None
    return split(len(labels), labels, checks.share("validation", share), Streams(options["seed"], options.get("data_seed")))[1]


def keeping_best(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with some patience: by that the weights of the best epoch are kept."""
    return options if options.get("patience") is not None else options | {"patience": NEVER}


def record_of(data: Labelled, made: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a classifier was made with, from the record of a network, or of a population, and how it was asked to be measured."""
    asked = made_with(len(data.labels), {name: options.get(name) for name in ("validation", "patience")})
    record = {"images": data.counts(), "seed": options["seed"], **made, "rows": asked["rows"]}
    return record | {"options": made["options"] | asked["options"]}


def validated(classifier: ImageClassifier, X: NDArray[np.float64], labels: NDArray[np.str_]) -> dict[str, Any]:
    """What is known of a classifier by images that were held out; where there is a network for each class, a list."""
    record: dict[str, Any] = {"images": len(labels), "accuracy": classifier.score(X, labels)}
    if classifier.method != "ensemble":
        each = [_best(history) | {"stopped_by": history.stopped_by} for history in classifier.histories]
        record |= {name: [one[name] for one in each] if len(each) > 1 else each[0][name] for name in each[0]}
    return record | {"refit": False}


def refitted(
    classifier: ImageClassifier,
    trained: MLP | Population,
    X: NDArray[np.float64],
    targets: NDArray[Any],
    options: Mapping[str, Any],
) -> ImageClassifier:
    """The classifier with its networks trained anew on all rows, each for as many epochs as were best for it.

    After Ctrl-C it is as it was; its record says so, and a RuntimeWarning. Nor is anything to be done after an earlier one.
    """
    if any(history.stopped_by == "interrupt" for history in classifier.histories):
        return classifier
    record = classifier.made_with["validation"]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "training was interrupted", RuntimeWarning)
            networks = _fit_again(trained, X, targets, {name: options[name] for name in options if name not in MEASURED})
    except KeyboardInterrupt:
        record["refit"] = "interrupted"
        message = "training on all images was interrupted; this is what was trained without those held out"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return classifier
    record["refit"] = True
    return replace(classifier, networks=networks)


class ClassifyOptions(TypedDict, total=False):
    """The options of `ImageClassifier.classify`."""

    batch_size: int
    ordered: bool
    strict: bool
    max_pixels: int
    follow_symlinks: bool
    done: Callable[[list[str]], NDArray[np.bool_]] | None


@checks.takes_options(ImageClassifier.classify)
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


def read_parts(source: Source, extractor: str, threads: int | None = None) -> Iterator[Rows]:
    """The rows of a source, chunk by chunk."""
    checks.one_of("extractor", extractor, EXTRACTORS)
    read = partial(read_chunk, extractor=extractor, strict=False, max_pixels=MAX_PIXELS)
    return _map(read, Chunks(source), thread_count(threads))


def _read(source: Source, extractor: str, threads: int | None) -> Rows:
    """All rows of a source, in one."""
    parts = list(read_parts(source, extractor, threads))
    size = EXTRACTORS[extractor].size
    return Rows(
        [path for part in parts for path in part.paths],
        np.concatenate([np.empty((0, size)), *(part.features for part in parts)]),
        [error for part in parts for error in part.errors],
        [path for part in parts for path in part.others],
        sum(part.skipped for part in parts),
    )


def nothing_in(source: Any) -> ValueError:
    return ValueError(f"{os.fspath(source)} holds no PNG file")


# -- Training ----------------------------------------------------------------------------------------------------------


def _fit(X: NDArray[np.float64], targets: NDArray[Any], options: dict[str, Any]) -> MLP | Population:
    """One network for labels; for each column of targets one, of which Ctrl-C leaves all or none."""
    if targets.ndim == 1:
        return train(X, targets, **{"output": "softmax", **options})
    for name in ("hidden", "activation"):  # a list would have an entry for each network
        if isinstance(options.get(name), list):
            options = options | {name: tuple(options[name])}
    population = train_many(X, targets, members=targets.shape[1], **options)
    if not population.history.epochs.all():  # Ctrl-C came so soon that some have not begun: the others alone decide nothing
        raise KeyboardInterrupt
    return population


def _fit_again(
    trained: MLP | Population, X: NDArray[np.float64], targets: NDArray[Any], options: dict[str, Any]
) -> tuple[MLP, ...]:
    """Networks like those that were trained, for as many epochs as were best; a KeyboardInterrupt unless all are whole."""
    if isinstance(trained, MLP):
        return _whole([train(X, targets, **{"output": "softmax", **options, "epochs": _best_epoch(trained)})])
    fitted: dict[int, MLP] = {}
    best = np.array([_best_epoch(network) for network in trained])
    for epochs in np.unique(best).tolist():
        which = np.flatnonzero(best == epochs).tolist()
        own = {name: [values[place] for place in which] for name, values in trained.options.items()}
        columns = targets if targets.ndim == 1 else targets[:, which]
        again = train_many(X, columns, **{**options, **own, "epochs": epochs})
        fitted |= zip(which, _whole(list(again)), strict=True)
    return tuple(fitted[place] for place in sorted(fitted))


def _whole(networks: list[MLP]) -> tuple[MLP, ...]:
    if any(network.history is None or network.history.stopped_by == "interrupt" for network in networks):
        raise KeyboardInterrupt
    return tuple(networks)


def _best_epoch(network: MLP) -> int:
    assert network.history is not None
    return _best(network.history)["best_epoch"]


def _best(history: History) -> dict[str, Any]:
    """The smallest loss on rows held out, how many epochs it took, and how many there were."""
    losses = history.validation_loss
    if losses is None or not len(losses):
        return {"loss": None, "best_epoch": 0, "epochs": 0}
    best = int(losses.argmin())
    return {"loss": float(losses[best]), "best_epoch": best + 1, "epochs": history.epochs}


def _own_output(network: MLP, features: NDArray[np.floating]) -> NDArray[np.floating]:
    """The output (n,) of a network that says yes or no."""
    return network.predict(features) if network.classes is None else network.predict_proba(features)[:, 1]


# -- Labels ------------------------------------------------------------------------------------------------------------


def _rows(folder: str, extractor: str, threads: int | None, strict: bool) -> Rows:
    """The rows of all images of a folder; if strict, an ImageError for one that cannot be read."""
    rows = _read(folder, extractor, threads)
    if not strict:
        return rows
    for error in filter(None, rows.errors):
        raise ImageError(error)
    for path in rows.others:
        if path.lower().endswith(".png"):
            raise ImageError(f"{os.path.join(folder, path)} is not a PNG file")
    return rows


def _labelled_images(folder: str, read: Callable[[str], Rows]) -> Labelled:
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
        return _answered_images(folder, answer_files, read)
    if not classes:
        raise ValueError(f"{folder} has neither a folder for each class nor answer files (correct-outputs-<class>.txt)")
    rows = {name: read(os.path.join(folder, name)) for name in sorted(classes)}
    empty = [name for name in rows if not rows[name].paths]
    within = [name for name in rows if any("/" in path for path in rows[name].paths)]
    mixed = [name for name in rows if 0 < len(rows[name].paths) < len(rows[name].others) + rows[name].skipped]
    doubts = {"no PNG file is in": empty, "images lie in folders within": within, "most files are no PNG files in": mixed}
    return Labelled(
        folder,
        [os.path.join(folder, name, path) for name in rows for path in rows[name].paths],
        np.concatenate([part.features for part in rows.values()]),
        np.array([name for name in rows for _ in rows[name].paths], str),
        empty,
        [f"{what} {', '.join(names)}" for what, names in doubts.items() if names],
        [error for part in rows.values() for error in part.errors],
    )


def _answered_images(folder: str, answer_files: dict[str, str], read: Callable[[str], Rows]) -> Labelled:
    """Images whose classes stand in answer files, a file for each class."""
    images = os.path.join(folder, "train-images")
    if not os.path.isdir(images):
        images = folder
    answers = {label: _read_answers(file) for label, file in sorted(answer_files.items())}
    paths, features, errors, *_ = read(images)
    if not paths:
        raise nothing_in(images)
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
    order = [rows[name] for name in names]
    paths, errors = [os.path.join(images, name) for name in names], [errors[row] for row in order]
    return Labelled(folder, paths, features[order], np.array(labels), errors=errors)


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
