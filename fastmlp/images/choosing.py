"""Which extractor serves labelled images best: each trains one network, and the images held out decide."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastmlp import checks
from fastmlp.images.copies import augmentation
from fastmlp.images.fitting import Fitted, train_labelled
from fastmlp.images.labelled import LabelledImages
from fastmlp.images.learnable import Learnable, to_learn_from
from fastmlp.images.samples import holds_features
from fastmlp.literals import AnyExtractor, ExtractorName, FormatName, OnError

AUTO: Final = "auto"
ORDER: tuple[ExtractorName, ...] = ("strokes", "gray", "colour", "pixels", "ink")  # the first of equals is taken
CHOICES: tuple[ExtractorName | Literal["auto"], ...] = (*ORDER, AUTO)
OF_MANY = ("members", "halving", "ensemble", "refit", "keep_state", "on_epoch")  # options that only the training to come takes


class Choice(NamedTuple):
    """An extractor, and the images as it sees them."""

    extractor: AnyExtractor
    data: LabelledImages
    compared: dict[str, dict[str, float]]
    """Of each extractor the accuracy and loss on the images held out, if it was chosen by these."""

    def record(self, fitted: Fitted) -> Fitted:
        """What was trained with it, which remembers why."""
        if self.compared and "validation" in fitted.made_with:
            fitted.made_with["validation"]["extractors"] = self.compared
        return fitted

    def reason(self) -> str:
        """Why it was chosen."""
        most = max(found["accuracy"] for found in self.compared.values())
        losses = [found["loss"] for found in self.compared.values() if found["accuracy"] == most]
        if len(losses) == 1:
            return "the highest accuracy on images held out"
        if losses.count(min(losses)) == 1:
            return f"the smallest loss of the {len(losses)} of the highest accuracy on images held out"
        return "the first of those that are best on images held out"


def choose_extractor(
    extractor: AnyExtractor | Literal["auto"],
    read: Callable[[AnyExtractor], LabelledImages],
    options: Mapping[str, Any],
    tell: Callable[[str], Any] | None = None,
) -> Choice:
    """The extractor, or for "auto" the one whose network is best on images held out: by accuracy, of equals by loss.

    The options, of `train_labelled`, have a seed, so that all are measured on the same images; `tell` hears of each.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, as nothing is chosen yet.
    ValueError
        If there is no such extractor, or none can be chosen, as no fraction of the images is held out.
    """
    if extractor != AUTO:
        return Choice(extractor, read(extractor), {})
    if options.get("validation") is None or isinstance(options["validation"], list | tuple):
        raise ValueError("extractor='auto' needs validation, a fraction of the images to hold out")
    how = {option: value for option, value in options.items() if option not in OF_MANY}
    compared: dict[str, dict[str, float]] = {}
    best: tuple[tuple[float, float], ExtractorName, LabelledImages] | None = None
    for each in ORDER:
        data = read(each)
        if each == "colour" and not _has_colours(data):
            if tell is not None:
                tell("extractor colour: all images are gray")
            continue
        accuracy, loss = _measured_by(data, each, how)
        compared[each] = {"accuracy": accuracy, "loss": loss}
        if tell is not None:
            tell(f"extractor {each}: accuracy {accuracy:.4g}, loss {loss:.4g}")
        if best is None or (accuracy, -loss) > best[0]:
            best = (accuracy, -loss), each, data
    assert best is not None
    choice = Choice(best[1], best[2], compared)
    if tell is not None:
        tell(f"extractor {choice.extractor} is taken: {choice.reason()}")
    return choice


def _has_colours(data: LabelledImages) -> bool:
    """Whether these features of images, those of red, of green and of blue, are of any that is not gray."""
    red, green, blue = np.split(data.features, 3, axis=1)
    return not (np.array_equal(red, green) and np.array_equal(red, blue))


def _measured_by(data: LabelledImages, extractor: ExtractorName, options: dict[str, Any]) -> tuple[float, float]:
    """The accuracy and the loss, of several networks their mean, on images held out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "training .*was interrupted after", RuntimeWarning)
        fitted = train_labelled(data, extractor, **options)
    if any(history.stopped_by == "interrupt" for history in fitted.histories):
        raise KeyboardInterrupt
    found = fitted.made_with["validation"]
    losses = found["loss"] if isinstance(found["loss"], list) else [found["loss"]]
    return found["accuracy"], sum(losses) / len(losses)


def read_first(
    extractor: Any, read: Callable[[AnyExtractor], Learnable]
) -> tuple[Learnable, Callable[[AnyExtractor], LabelledImages]]:
    """The images as the extractor sees them, or for "auto" the first one; and how any sees them, for `choose_extractor`."""
    chosen = extractor if callable(extractor) else checks.one_of("extractor", extractor, CHOICES)
    first: AnyExtractor = ORDER[0] if chosen == AUTO else chosen
    found = read(first)
    return found, lambda name: found.data if name == first else read(name).data


def train_on_images(
    X: Any,
    y: ArrayLike | None,
    extractor: AnyExtractor | Literal["auto"],
    formats: Sequence[FormatName],
    on_error: OnError,
    *,
    balance: bool,
    sample_weight: ArrayLike | None,
    augment: Any = 0,
    **options: Any,
) -> Fitted:
    """Train on images as `ImageClassifier.fit` takes them, with an extractor or "auto"; if balance, as `train_folder` does."""
    options["seed"] = checks.seed("seed", options.get("seed"))
    if extractor == AUTO and holds_features(X):
        raise ValueError("extractor='auto' needs images to choose by; X holds features")
    copies = augmentation(augment, options["seed"], options.get("data_seed"))
    found, read = read_first(extractor, lambda name: to_learn_from(X, y, name, options.get("threads"), formats, on_error, copies))
    found.warn()
    if balance and sample_weight is None and options["method"] == "softmax":
        options["class_weight"] = found.weights_by_default()
    options["sample_weight"] = found.weights_kept(sample_weight)
    choice = choose_extractor(extractor, read, options)
    return choice.record(train_labelled(choice.data, choice.extractor, **options))
