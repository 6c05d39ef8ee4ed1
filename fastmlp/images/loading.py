"""load_model: a model of a kind that images and what is below them know, from its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastmlp import checks
from fastmlp.formats.json_record import read_json
from fastmlp.images import classifier_records
from fastmlp.networks import mlp, population
from fastmlp.storage import ModelKind, read_model
from fastmlp.writing import StrPath

KINDS = {"mlp": mlp.KIND, "image-classifier": classifier_records.KIND, "population": population.KIND}  # by the header's "kind"


def load_model(path: StrPath, kinds: Mapping[str, ModelKind] = KINDS) -> Any:
    """The model in a file, of one of these kinds, which `save` wrote, or `export` as .json; see `fastmlp.load`, which knows all."""
    is_json = os.path.splitext(os.fsdecode(checks.path("path", path)))[1].lower() == ".json"
    return read_model(path, kinds, read_json if is_json else None)
