"""ImageClassifier: networks and the extractor that they were trained with, which give a source of images its verdicts."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypedDict, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.images.extractors import EXTRACTORS
from fastmlp.images.labelled import labelled_images
from fastmlp.images.pillow import MAX_PIXELS
from fastmlp.images.reading import read_chunk
from fastmlp.images.sources.chunk import LARGEST_CHUNK, Chosen, Chunk
from fastmlp.images.sources.source import Chunks, Source, can_name_a_file
from fastmlp.images.verdicts import Batches, Verdicts
from fastmlp.literals import Decision, ExtractorName
from fastmlp.networks import records
from fastmlp.networks.copied import Copied
from fastmlp.networks.history import History
from fastmlp.networks.metrics import Evaluation, listing, of_classes, short
from fastmlp.networks.mlp import MLP
from fastmlp.storage import Expected, ModelKind, Record, check_type, write_model
from fastmlp.threads import Stop, thread_count
from fastmlp.writing import StrPath

DECISIONS: tuple[Decision, ...] = get_args(Decision)


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
            raise ValueError(f"networks must be {count} of {size} inputs each; got {len(found)}, of {checks.shown(found)} inputs")
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

    def _scores_or_nan(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """The same, but NaN for rows for which some are not finite."""
        try:
            return self.scores(features)
        except ValueError:  # of the first of them
            if len(features) == 1:
                return np.full((1, len(self.classes)), np.nan, self.networks[0].dtype)
            half = len(features) // 2
            return np.concatenate([self._scores_or_nan(part) for part in (features[:half], features[half:])])

    @checks.takes_options()
    def verdicts(self, chunk: Chunk, strict: bool = False, max_pixels: int = MAX_PIXELS, stop: Stop | None = None) -> Verdicts:
        """Classify one chunk of files; see reading.read_chunk."""
        paths, features, errors, others, skipped, retry = read_chunk(chunk, self.extractor, strict, max_pixels, stop)
        skipped += len(others)
        fine = np.array([error is None for error in errors], bool)
        known = self._scores_or_nan(features if fine.all() else features[fine])
        if not np.isfinite(known).all():
            finite = np.isfinite(known).all(axis=1)
            for row in np.flatnonzero(fine)[~finite].tolist():
                errors[row] = f"{paths[row]} has scores that are not finite"
            fine[fine], known = finite, known[finite]
        if fine.all():
            return Verdicts(paths, self._labels(known), known, errors, skipped, retry)
        scores = np.full((len(paths), len(self.classes)), np.nan, known.dtype)
        scores[fine] = known
        labels = iter(self._labels(known))
        return Verdicts(paths, [next(labels) if error is None else None for error in errors], scores, errors, skipped, retry)

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
        batch_size: int = LARGEST_CHUNK,
        *,
        ordered: bool = True,
        strict: bool = False,
        max_pixels: int = MAX_PIXELS,
        follow_symlinks: bool = False,
        done: Chosen | None = None,
    ) -> Batches:
        """Classify images, batch by batch.

        Parameters
        ----------
        source : path of a folder, of a tar or zip archive, or of one file; or an iterable of paths of files
            Of a folder all files are read, in all its folders; what begins with a dot is left out. Of a tar or zip archive, the
            same; what of it is gone or changed by the time that it is read becomes rows with an error.
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
        own = {"classes": self.classes, "extractor": self.extractor, "method": self.method, **records.made_with_entry(self)}
        write_model(path, records.of_networks("image-classifier", self.networks, **own))


class ClassifyOptions(TypedDict, total=False):
    """The options of `ImageClassifier.classify`."""

    batch_size: int
    ordered: bool
    strict: bool
    max_pixels: int
    follow_symlinks: bool
    done: Chosen | None


def _own_output(network: MLP, features: NDArray[np.floating]) -> NDArray[np.floating]:
    """The output (n,) of a network that says yes or no."""
    return network.predict(features) if network.classes is None else network.predict_proba(features)[:, 1]


# -- from a file ------------------------------------------------------------------------------------------------------------------


def _expected(header: dict[str, Any]) -> dict[str, Expected]:
    records.check_made_with(header)
    for name in header["classes"]:
        check_type("a class in its header", name, str)
        if not can_name_a_file(name):  # as rows can then be written with it
            raise ValueError(f"a class in its header must be the name of a folder; got {checks.shown(name)}")
    return records.expected_networks(header)


def _of_record(record: Record) -> ImageClassifier:
    header = record.header
    if header["version"] == 1 and header["extractor"] == "ink":
        warnings.warn(
            f"{record.path} comes from an earlier version, to whose 'ink' a thick stroke was more than a line: where strokes are"
            " thicker than a cell of 16 x 16 its verdicts may differ; train it again",
            UserWarning,
            stacklevel=4,
        )
    networks = tuple(MLP(**records.network_arguments(record, index)) for index in range(len(header["networks"])))
    return ImageClassifier(header["classes"], networks, header["extractor"], header["method"], header.get("made_with", {}))


KIND = ModelKind({"classes": list, "extractor": str, "method": str}, records.MADE_WITH_FIELDS, _expected, _of_record)
