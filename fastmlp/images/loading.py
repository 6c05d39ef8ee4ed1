"""load_model: a model of a kind that images and what is below them know, from its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastmlp import checks
from fastmlp.formats.json_record import read_json
from fastmlp.images import classifier_records
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.own_extractor import NotInFile, function_name
from fastmlp.networks import mlp, population
from fastmlp.storage import ModelKind, read_model
from fastmlp.writing import StrPath

KINDS = {"mlp": mlp.KIND, "image-classifier": classifier_records.KIND, "population": population.KIND}  # by the header's "kind"


def load_model(path: StrPath) -> Any:
    """The model in a file, which `save` wrote, or `export` as .json; see `fastmlp.load`, which knows all kinds."""
    return with_extractor(path, model_of_file(path), None)


def with_extractor(path: StrPath, model: Any, extractor: Any) -> Any:
    """The model of that file with the function that it was trained with, if it was; then that must be given, and only then."""
    name = os.fsdecode(path)
    if not (isinstance(model, ImageClassifier) and isinstance(model.extractor, NotInFile)):
        if extractor is not None:
            raise ValueError(f"extractor is for image classifiers that were trained with a function of one's own; {name} is none")
        return model
    if extractor is None:
        function = checks.shown(function_name(model.extractor)).strip("'")
        give = f"give it in Python: fastmlp.load({name!r}, extractor={function.rpartition('.')[2].rpartition(':')[2]})"
        raise ValueError(f"{name} was trained with an extractor of one's own, {function}; {give}")
    if not callable(extractor):
        raise ValueError(f"extractor must be a function from gray levels (H, W) to a vector; got {checks.shown(extractor)}")
    return ImageClassifier(model.classes_.tolist(), model.networks, extractor, model.method, model.made_with)


def model_of_file(path: StrPath, kinds: Mapping[str, ModelKind] = KINDS) -> Any:
    """The model in a file, of one of these kinds; a function that it was trained with is a NotInFile."""
    is_json = os.path.splitext(os.fsdecode(checks.path("path", path)))[1].lower() == ".json"
    return read_model(path, kinds, read_json if is_json else None)
