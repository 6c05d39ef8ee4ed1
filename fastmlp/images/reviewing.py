"""Which labels of images may be wrong: each image is judged by a network that has not learned from it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.images.extractors import DEFAULT_EXTRACTOR
from fastmlp.images.labelled import labelled_images
from fastmlp.literals import ExtractorName
from fastmlp.networks.metrics import Evaluation, of_classes
from fastmlp.training.calibration import at_temperature, best_temperature
from fastmlp.training.cross_validation import cross_validate
from fastmlp.training.option_types import TrainOptions
from fastmlp.training.train import train
from fastmlp.writing import FileKind, StrPath, replacing

FIELDS = "path", "label", "suggested", "score_of_label", "score_of_suggested"
SUSPECTS = FileKind("suspects as CSV", (".csv",), rb"path,label,suggested\b")
FEWEST = 2  # images of a class, of which one is judged by what the others teach


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
    """

    folder: str
    paths: list[str]
    labels: NDArray[np.str_]
    classes: list[str]
    scores: NDArray[np.floating]
    errors: list[str]
    too_few: list[str]

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
    extractor: ExtractorName = DEFAULT_EXTRACTOR,
    cv: int = 5,
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
    **options
        Those of `train`.

    Returns
    -------
    Review
        Whose `suspects` are the images to look at. What cannot be read is among its `errors`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        As `train_folder` does.
    """
    given: dict[str, Any] = {**options}
    if options.get("task") == "regression":
        raise ValueError("task must be classification for images that have classes; got 'regression'")
    found = labelled_images(folder, extractor, options.get("threads"), strict=False)
    data = found.readable()
    counts = data.counts()
    enough = [name for name, count in counts.items() if count >= FEWEST]
    if len(enough) < FEWEST:
        expected = f"{FEWEST} images of each of {FEWEST} classes at least, to compare"
        raise ValueError(f"{found.folder} must have {expected}; got {counts}")
    kept = np.isin(data.labels, enough)
    X, labels = data.features[kept], data.labels[kept]
    given["seed"] = checks.seed("seed", options.get("seed"))
    said = cross_validate(X, labels, cv=cv, **{"output": "softmax", **given})
    classes, numbers = [str(name) for name in enough], np.searchsorted(enough, labels)
    temperature = best_temperature([said.predictions], numbers)
    return Review(
        data.folder,
        [path for path, is_kept in zip(data.paths, kept.tolist(), strict=True) if is_kept],
        labels,
        classes,
        at_temperature(said.predictions, temperature),
        [error for error in found.errors if error is not None],
        sorted(counts.keys() - set(enough)),
    )
