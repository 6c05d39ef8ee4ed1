"""Extractors of one's own: functions from gray levels (H, W) to vectors. Files of models have their names, never their code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.literals import ExtractorFunction


def function_name(function: Any) -> str:
    """What a function is called, as "module:function"; of a method, a partial or an object that can be called, what it is of."""
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def is_function_name(name: str) -> bool:
    """Whether it is one of those, which no extractor of ours has."""
    return ":" in name


class NotInFile:
    """Stands for the function that a model was trained with, of which its file has no more than the name."""

    def __init__(self, name: str) -> None:
        self.__module__, _, self.__qualname__ = name.partition(":")

    def __call__(self, image: NDArray[np.uint8]) -> Any:
        raise ValueError(f"the extractor {function_name(self)} is not in the file of its model")


@dataclass(frozen=True)
class OwnExtractor:
    """Such a function, and what is known of it."""

    function: ExtractorFunction
    size: int = 0
    """Of its vectors; 0 while nobody knows."""

    @property
    def name(self) -> str:
        return function_name(self.function)

    def vector(self, image: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
        """The vector of an image, which the function may change. What it raises goes through, with a note that names the image."""
        try:
            given = self.function(image)
        except Exception as error:
            error.add_note(f"raised by the extractor {self.name}, given {name}")
            raise
        try:
            vector = np.array(given)
        except ValueError:  # lists of several lengths
            vector = np.empty((0, 0))
        if vector.ndim != 1 or not vector.size or vector.dtype.kind not in "biuf":
            raise ValueError(f"the extractor {self.name} must give a vector of numbers; of {name} it gave {checks.shown(given)}")
        vector = vector.astype(np.float64)
        if not np.isfinite(vector).all():
            place = int(np.flatnonzero(~np.isfinite(vector))[0])
            raise ValueError(f"the extractor {self.name} must give finite numbers; of {name} it gave {vector[place]} at {place}")
        return vector

    def put(self, features: NDArray[np.float64], rows: int | slice, given: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """The features (n, size) with one vector or some in their rows; of size 0, they become as long, and all else is NaN."""
        length = given.shape[-1]
        if not features.shape[1]:
            checks.enough_memory(f"the features of {len(features)} images", len(features) * length * features.itemsize)
            features = np.full((len(features), length), np.nan)
        if length != features.shape[1]:
            expected = f"must give as many numbers for each image, {features.shape[1]}"
            raise ValueError(f"the extractor {self.name} {expected}; of {name} it gave {length}")
        features[rows] = given
        return features

    def features(self, images: Sequence[NDArray[np.uint8]], name: str) -> NDArray[np.float64]:
        """The vectors (n, size) of images that somebody holds: the function is given copies."""
        features = np.empty((len(images), self.size))
        for index, image in enumerate(images):
            each = f"{name}[{index}]"
            features = self.put(features, index, self.vector(image.copy(), each), each)
        return features
