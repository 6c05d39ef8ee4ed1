"""load_any: a model of any kind from its file. It stands where all kinds are known."""

from __future__ import annotations

from typing import Any

from fastmlp.images.loading import KINDS, load_model
from fastmlp.tables import table_records
from fastmlp.writing import StrPath


def load_any(path: StrPath) -> Any:
    """Load a model that `save` wrote, or `export` as .json, exactly as it was: an MLP, an ImageClassifier, a TableModel or a
    Population.

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
    return load_model(path, {**KINDS, "table-model": table_records.KIND})
