"""load_model: a model of any kind from its file. It stands where all kinds are known."""

from __future__ import annotations

import os
from typing import Any

from fastmlp import checks
from fastmlp.formats.json_record import read_json
from fastmlp.images import classifier_records
from fastmlp.networks import mlp, population
from fastmlp.storage import read_model
from fastmlp.writing import StrPath

KINDS = {"mlp": mlp.KIND, "image-classifier": classifier_records.KIND, "population": population.KIND}  # by the header's "kind"


def load_model(path: StrPath) -> Any:
    """Load a model that `save` wrote, or `export` as .json, exactly as it was: an MLP, an ImageClassifier or a Population.

    Which one, the file alone knows; to a type checker it is Any, or what a variable is declared as.

    Nothing in the file is executed, and nothing is allocated before its declared size has been checked against the
    file's own.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not a model, is damaged, or was written by a newer fastmlp.
    """
    is_json = os.path.splitext(os.fsdecode(checks.path("path", path)))[1].lower() == ".json"
    return read_model(path, KINDS, read_json if is_json else None)
