"""load_model: a model of a kind that images and what is below them know, from its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastmlp.images import classifier_records
from fastmlp.networks import mlp, population
from fastmlp.storage import ModelKind, read_model
from fastmlp.writing import StrPath

KINDS = {"mlp": mlp.KIND, "image-classifier": classifier_records.KIND, "population": population.KIND}  # by the header's "kind"


def load_model(path: StrPath, kinds: Mapping[str, ModelKind] = KINDS) -> Any:
    """The model in a file, of one of these kinds; see `fastmlp.load`, which knows all."""
    return read_model(path, kinds)
