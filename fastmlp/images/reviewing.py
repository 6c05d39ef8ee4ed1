"""Which labels of images may be wrong: each image is judged by a network that has not learned from it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.images.extractors import DEFAULT_EXTRACTOR
from fastmlp.images.learnable import learnable_images
from fastmlp.literals import AnyExtractor, OnError
from fastmlp.networks.metrics import Evaluation, of_classes
from fastmlp.training.calibration import at_temperature, best_temperature
from fastmlp.training.cross_validation import cross_validate
from fastmlp.training.option_types import TrainOptions
from fastmlp.training.train import train
from fastmlp.writing import FileKind, StrPath, replacing

FIELDS = "path", "label", "suggested", "score_of_label", "score_of_suggested"
SUSPECTS = FileKind("suspects as CSV", (".csv",), rb"path,label,suggested\b")


@dataclass(frozen=True, repr=False)
class Review:
    """Labelled images, and what networks say of them.

    Attributes
    ----------
    folder : str
        Or archive.
    paths : list of n str
        Of the images, with the folder before each.
    labels : (n,) array of str
        That they have.
    classes : list of K str
        The names of the classes, in the order of the columns of scores.
    scores : (n, K)
        Of each class: probabilities, but for networks of "one-vs-rest".
    errors : list of str
        Why some more images could not be read.
    too_few : list of str
        Classes of which no image could be judged, as there is no other one of them.
    left_out : list of str
        Folders that are no classes, those among them, and why.
    """

    folder: str
    paths: list[str]
    labels: NDArray[np.str_]
    classes: list[str]
    scores: NDArray[np.floating]
    errors: list[str]
    too_few: list[str]
    left_out: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"<Review of {len(self.paths)} images: {len(self.suspects)} suspects>"

    @property
    def suggested(self) -> NDArray[np.str_]:
        """(n,) the class of the best score."""
        return np.array(self.classes)[self.scores.argmax(axis=1)]

    @property
    def numbers(self) -> NDArray[np.intp]:
        """(n,) the columns of their labels."""
        return np.searchsorted(self.classes, self.labels)

    @property
    def suspects(self) -> NDArray[np.intp]:
        """Which images are taken for another class than that of their label, the surest first: those whose best score is farthest
        ahead of that of their label."""
        best = self.scores.max(axis=1)
        ahead = best - self.scores[np.arange(len(best)), self.numbers]
        rows = np.flatnonzero(self.scores.argmax(axis=1) != self.numbers)
        return rows[np.argsort(-ahead[rows], kind="stable")]

    @property
    def evaluation(self) -> Evaluation:
        """How often labels and networks agree."""
        return of_classes(self.scores, self.labels, np.array(self.classes))

    def save_suspects(self, path: StrPath) -> None:
        """Write the suspects as CSV: path, label, suggested, score_of_label, score_of_suggested; the surest first.

        Raises
        ------
        OSError, ValueError
            If the file cannot be written; if something else than such a file is there.
        """
        with replacing(path, SUSPECTS, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(self.suspects_as_text())

    def suspects_as_text(self) -> str:
        """The same, as text."""
        text, suggested, numbers = io.StringIO(), self.suggested, self.numbers
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(FIELDS)
        for row in self.suspects.tolist():
            scores = self.scores[row, numbers[row]], self.scores[row].max()
            rows.writerow([self.paths[row], self.labels[row], suggested[row], *(f"{score:.6f}" for score in scores)])
        return text.getvalue()


@checks.takes_options(train)
def review_folder(
    folder: StrPath,
    *,
    extractor: AnyExtractor = DEFAULT_EXTRACTOR,
    cv: int = 5,
    on_error: OnError = "skip",
    **options: Unpack[TrainOptions],
) -> Review:
    """Find images of a folder whose labels may be wrong.

    By cross-validation: the images are dealt out to folds, each class alike; of each fold's images a network speaks that has
    learned all others. Where it is sure of another class than the label, somebody should look. Its probabilities are calibrated on
    the same images.

    Parameters
    ----------
    folder, extractor
        As `train_folder` has them.
    cv : int
        How many folds.
    on_error : {"skip", "raise"}
        Whether images that cannot be read are left out, or are an error.
    **options
        Those of `train`.

    Returns
    -------
    Review
        Whose `suspects` are the images to look at. What cannot be read is among its `errors`, and what else has been left out is
        in `left_out`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ImageError, ValueError
        As `train_folder` does.
    """
    given: dict[str, Any] = {**options}
    if options.get("task") == "regression":
        raise ValueError("task must be classification for images that have classes; got 'regression'")
    found = learnable_images(folder, extractor, options.get("threads"), on_error=on_error)
    data = found.data
    given["seed"] = checks.seed("seed", options.get("seed"))
    said = cross_validate(data.features, data.labels, cv=cv, **{"output": "softmax", **given})
    classes = [str(name) for name in data.counts()]
    temperature = best_temperature([said.predictions], np.searchsorted(classes, data.labels))
    scores = at_temperature(said.predictions, temperature)
    return Review(data.folder, data.paths, data.labels, classes, scores, found.damaged, found.too_few, found.left_out)
