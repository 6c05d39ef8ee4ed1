"""load_any: a model of any kind from its file. It stands where all kinds are known."""

from __future__ import annotations

from typing import Any

from fastmlp.images.loading import KINDS, model_of_file, with_extractor
from fastmlp.literals import ExtractorFunction
from fastmlp.tables import table_records
from fastmlp.writing import StrPath


def load_any(path: StrPath, *, extractor: ExtractorFunction | None = None) -> Any:
    """Load a model that `save` wrote, or `export` as .json, exactly as it was: an MLP, an ImageClassifier, a TableModel or a
    Population.

    Which one, the file alone knows; to a type checker it is Any, or what a variable is declared as.

    Nothing in the file is executed, and nothing is allocated before its declared size has been checked against the
    file's own.

    Parameters
    ----------
    path
        Of the file.
    extractor : function, optional
        That which an ImageClassifier was trained with, if it was one of one's own: the file has no more than its name. Any
        function is taken that gives as many numbers.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not a model, is damaged, or was written by a newer fastmlp; an extractor is needed and not given, or given
        and not needed.
    """
    return with_extractor(path, read_any(path), extractor)


def read_any(path: StrPath) -> Any:
    """The same, but an extractor of one's own is a function of that name that cannot be called."""
    return model_of_file(path, {**KINDS, "table-model": table_records.KIND})
