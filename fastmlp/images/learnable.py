"""Labelled images to learn from, or to judge by: what is damaged, hidden, empty or alone in its class is left out, and named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.images.content import ImageError
from fastmlp.images.copies import Augmentation
from fastmlp.images.extractors import GivenExtractor
from fastmlp.images.image_formats import ALL
from fastmlp.images.labelled import LabelledImages, labelled_images
from fastmlp.images.samples import ImageRows, rows_or_errors
from fastmlp.images.sources.source import can_name_a_file
from fastmlp.literals import FormatName, OnError
from fastmlp.networks.metrics import listing
from fastmlp.warning import warn

ON_ERROR: tuple[OnError, ...] = get_args(OnError)
FEWEST = 2  # images of a class: one to learn from teaches nothing of how others of its class differ
UNEQUAL = 3  # times as many images as another class has, from which on classes are weighted by default
NAMED = 5  # of what is left out, in a warning


class Learnable(NamedTuple):
    """Labelled images, and what has been left out of them."""

    data: LabelledImages
    kept: NDArray[np.bool_]
    """Of all images that there were, which are still there."""
    damaged: list[str]
    """Why images cannot be read: a sentence for each, which names it."""
    left_out: list[str]
    """Folders that are no classes, and why."""
    too_few: list[str]
    """Those that have images, but fewer than are wanted."""

    def warn(self) -> None:
        """Tell of all that has been left out, in one warning."""
        if self.damaged:
            more = f"; and {len(self.damaged) - NAMED} more" if len(self.damaged) > NAMED else ""
            many = "image that cannot be read is" if len(self.damaged) == 1 else "images that cannot be read are"
            warn(f"{len(self.damaged)} {many} left out: {'; '.join(self.damaged[:NAMED])}{more}")
        if self.left_out:
            warn("; ".join(self.left_out))

    def check_classes(self, known: Sequence[str]) -> None:
        """A ValueError that names the classes of a folder which are none of those."""
        strange = sorted(set(self.data.labels.tolist()) - set(known)) if self.data.folder else []
        if strange:
            raise ValueError(f"{self.data.folder} has images of {', '.join(strange)}, but the model knows {listing(known)}")

    def weights_kept(self, sample_weight: ArrayLike | None) -> ArrayLike | None:
        """Those of the images that are still there, of weights for all."""
        if sample_weight is None or self.kept.all():
            return sample_weight
        return arrays.unscaled_weights(sample_weight, len(self.kept))[self.kept]

    def weights_by_default(self) -> str | None:
        """The class_weight of those who give none: "balanced" where a class has more than UNEQUAL times the images of another."""
        counts = self.data.counts().values()
        return "balanced" if max(counts) > UNEQUAL * min(counts) else None


def learnable_images(
    folder: Any,
    extractor: GivenExtractor,
    threads: int | None = None,
    formats: Sequence[FormatName] = ALL,
    on_error: Any = "skip",
    augmentation: Augmentation | None = None,
    fewest: int = FEWEST,
    classes: int = 2,
    executor: Any = None,
) -> Learnable:
    """Those of a folder or an archive, as `train_folder` takes them: of so many classes at least, so many of each."""
    strict = checks.one_of("on_error", on_error, ON_ERROR) == "raise"
    found = labelled_images(folder, extractor, threads, classes, strict, formats, augmentation, executor)
    damaged = [*filter(None, found.errors), *found.misnamed]
    readable = np.array([error is None for error in found.errors], bool)
    before, after = found.counts(), dict.fromkeys(found.counts(), 0)
    names, counts = np.unique(found.labels[readable], return_counts=True)
    after |= dict(zip(names.tolist(), counts.tolist(), strict=True))
    enough = [name for name, count in after.items() if count >= fewest]
    too_few = [name for name, count in after.items() if 0 < count < fewest]
    if len(enough) < classes:
        expected = f"must have {fewest} images that can be read of each of two classes at least; got {_listed(after)}"
        because = f"; {damaged[0]}" if damaged else ""
        raise ValueError(f"{found.folder} {expected if classes > 1 else 'has no image that can be read'}{because}")
    kept = readable & np.isin(found.labels, enough)
    reasons = {
        "hidden": found.hidden,
        "no image file is in them": found.empty,
        "none of their images can be read": [name for name in before if not after[name]],
        f"fewer than {fewest} images": too_few,
    }
    left_out = [f"left out: {', '.join(names)} ({why})" for why, names in reasons.items() if names]
    return Learnable(found.only(kept), kept, damaged, left_out, too_few)


def to_learn_from(
    X: Any,
    y: ArrayLike | None,
    extractor: GivenExtractor,
    threads: int | None,
    formats: Sequence[FormatName],
    on_error: Any,
    augmentation: Augmentation | None = None,
) -> Learnable:
    """Images with their labels beside them, or a folder or archive that has both: labels (n,) of two classes at least, which can
    name folders."""
    if _is_folder(X, y):
        found = learnable_images(X, extractor, threads, formats, on_error, augmentation)
        _check_names(found.data.labels)
        return found
    rows = _rows_of(X, extractor, threads, formats, on_error, augmentation)
    n, own = len(rows.features), arrays.as_array("y", y)
    known = labels.classes_of(own, n)
    own = known[labels.class_numbers("y", own, known, n, np.intp)[:, 0]]
    _check_names(known)
    found = _with_labels(rows, own)
    if found.damaged and len(found.data.counts()) < 2:
        raise ValueError(f"X must have images that can be read of at least two classes; {found.damaged[0]}")
    return found


def to_judge(
    X: Any, y: ArrayLike | None, extractor: GivenExtractor, threads: int | None, formats: Sequence[FormatName], on_error: Any
) -> Learnable:
    """The same, to be evaluated: one image at least, of any class."""
    if _is_folder(X, y):
        return learnable_images(X, extractor, threads, formats, on_error, fewest=1, classes=1)
    rows = _rows_of(X, extractor, threads, formats, on_error)
    own = labels.row_labels("y", arrays.as_array("y", y))
    arrays.same_length("y", own, len(rows.features))
    found = _with_labels(rows, own)
    if found.damaged and not len(found.data.labels):
        raise ValueError(f"X has no image that can be read; {found.damaged[0]}")
    return found


def _rows_of(
    X: Any,
    extractor: GivenExtractor,
    threads: int | None,
    formats: Sequence[FormatName],
    on_error: Any,
    augmentation: Augmentation | None = None,
) -> ImageRows:
    """Rows of features, and why images cannot be read, of which one is an ImageError with on_error="raise"."""
    strict = checks.one_of("on_error", on_error, ON_ERROR) == "raise"
    rows = rows_or_errors(X, extractor, threads, formats, augmentation)
    for error in filter(None, rows.errors if strict else ()):
        raise ImageError(error)
    return rows


def _with_labels(rows: ImageRows, own: NDArray[Any]) -> Learnable:
    """Rows of features with their labels, without those of images that cannot be read."""
    damaged = [error for error in rows.errors if error is not None]
    kept = np.array([error is None for error in rows.errors], bool)
    return Learnable(LabelledImages("", [], rows.features, own, copies=rows.copies).only(kept), kept, damaged, [], [])


def _is_folder(X: Any, y: ArrayLike | None) -> bool:
    """Whether X is the path of a folder or an archive, which has its labels; else y must have them."""
    if isinstance(X, str | os.PathLike):
        if y is not None:
            raise ValueError("y must be left out where X is a folder, whose images have their labels")
        return True
    if y is None:
        raise ValueError("y must hold a label for each image, or row of features; got None")
    return False


def _check_names(names: NDArray[Any]) -> None:
    for name in map(str, np.unique(names).tolist()):
        if not can_name_a_file(name):  # as rows can then be written with it
            raise ValueError(f"y must hold labels that can name a folder; got {checks.shown(name)}")


def _listed(counts: dict[Any, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
