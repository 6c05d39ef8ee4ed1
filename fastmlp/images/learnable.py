"""Labelled images that can be learned from: what is damaged, hidden, empty or alone in its class is left out, and named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.images.content import ImageError
from fastmlp.images.copies import Augmentation
from fastmlp.images.image_formats import ALL
from fastmlp.images.labelled import LabelledImages, labelled_images
from fastmlp.images.samples import feature_rows, rows_or_errors
from fastmlp.images.sources.source import can_name_a_file
from fastmlp.literals import FormatName, OnError
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

    def warn(self) -> None:
        """Tell of all that has been left out, in one warning."""
        if self.damaged:
            more = f"; and {len(self.damaged) - NAMED} more" if len(self.damaged) > NAMED else ""
            many = "image that cannot be read is" if len(self.damaged) == 1 else "images that cannot be read are"
            warn(f"{len(self.damaged)} {many} left out: {'; '.join(self.damaged[:NAMED])}{more}")
        if self.left_out:
            warn("; ".join(self.left_out))

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
    extractor: str,
    threads: int | None = None,
    formats: Sequence[FormatName] = ALL,
    on_error: Any = "skip",
    augmentation: Augmentation | None = None,
) -> Learnable:
    """Those of a folder or an archive, as `train_folder` takes them: of two classes at least, FEWEST of each."""
    strict = checks.one_of("on_error", on_error, ON_ERROR) == "raise"
    found = labelled_images(folder, extractor, threads, strict=strict, formats=formats, augmentation=augmentation)
    damaged = [*filter(None, found.errors), *found.misnamed]
    readable = np.array([error is None for error in found.errors], bool)
    before, after = found.counts(), dict.fromkeys(found.counts(), 0)
    names, counts = np.unique(found.labels[readable], return_counts=True)
    after |= dict(zip(names.tolist(), counts.tolist(), strict=True))
    enough = [name for name, count in after.items() if count >= FEWEST]
    if len(enough) < 2:
        expected = f"must have {FEWEST} images that can be read of each of two classes at least"
        because = f"; {damaged[0]}" if damaged else ""
        raise ValueError(f"{found.folder} {expected}; got {_listed(after)}{because}")
    kept = readable & np.isin(found.labels, enough)
    reasons = {
        "hidden": found.hidden,
        "no image file is in them": found.empty,
        "none of their images can be read": [name for name in before if not after[name]],
        f"fewer than {FEWEST} images": [name for name, count in after.items() if 0 < count < FEWEST],
    }
    left_out = [f"left out: {', '.join(names)} ({why})" for why, names in reasons.items() if names]
    return Learnable(found.only(kept), kept, damaged, left_out)


def to_learn_from(
    X: Any,
    y: ArrayLike | None,
    extractor: str,
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
    checks.one_of("on_error", on_error, ON_ERROR)
    features, errors, copies = rows_or_errors(X, extractor, threads, formats, augmentation)
    damaged = [error for error in errors if error is not None]
    if damaged and on_error == "raise":
        raise ImageError(damaged[0])
    n, own = len(features), arrays.as_array("y", y)
    known = labels.classes_of(own, n)
    own = known[labels.class_numbers("y", own, known, n, np.intp)[:, 0]]
    _check_names(known)
    kept = np.array([error is None for error in errors], bool)
    data = LabelledImages("", [], features, own, copies=copies).only(kept)
    if damaged and len(data.counts()) < 2:
        raise ValueError(f"X must have images that can be read of at least two classes; {damaged[0]}")
    return Learnable(data, kept, damaged, [])


def with_labels(X: Any, y: ArrayLike | None, extractor: str, threads: int | None, formats: Sequence[FormatName]) -> LabelledImages:
    """The same, to be evaluated: of any class, and every image has to be read."""
    if _is_folder(X, y):
        return labelled_images(X, extractor, threads, fewest=1, formats=formats)
    return LabelledImages("", [], feature_rows(X, extractor, threads, formats), arrays.as_array("y", y))


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
