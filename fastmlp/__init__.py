"""Small neural networks, trained and run on a CPU at compiled speed.

train(X, y) -> MLP; train_table(table, target) -> TableModel; train_folder(folder) -> ImageClassifier;
classify_folder(model, folder) -> Verdicts; load(path).
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled():  # threads share iterators, and Numba makes no promise
    raise ImportError("fastmlp needs Python's global interpreter lock: set PYTHON_GIL=1, or take another build of Python")

if TYPE_CHECKING:
    from fastmlp.foreign.onnx_networks import from_onnx
    from fastmlp.foreign.sklearn_networks import from_sklearn
    from fastmlp.foreign.torch_networks import from_torch
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.images.content import ImageError
    from fastmlp.images.folders import classify_folder, extract_features, train_folder
    from fastmlp.images.pillow import read_image
    from fastmlp.images.reviewing import Review, review_folder
    from fastmlp.images.sorting.sort_run import Sorted, sort_folder
    from fastmlp.images.sorting.undoing import Undone, undo_sort
    from fastmlp.images.verdicts import Verdicts
    from fastmlp.networks.history import DivergedError, History, PopulationHistory
    from fastmlp.networks.metrics import Evaluation
    from fastmlp.networks.mlp import MLP
    from fastmlp.networks.objective import Objective
    from fastmlp.networks.population import Population
    from fastmlp.tables.table_loading import load_any as load
    from fastmlp.tables.table_model import TableModel
    from fastmlp.tables.table_training import train_table
    from fastmlp.training.combinations import grid
    from fastmlp.training.cross_validation import CrossValidation, cross_validate
    from fastmlp.training.epoch_log import log_csv, log_json
    from fastmlp.training.incremental import Trainer
    from fastmlp.training.many import train_many
    from fastmlp.training.train import train

__version__ = "0.2.0"

# Public names load on first use: importing NumPy and Numba costs half a second, which `fastmlp --help` need not pay.
_ROOMS = {
    "CrossValidation": "training.cross_validation",
    "DivergedError": "networks.history",
    "Evaluation": "networks.metrics",
    "History": "networks.history",
    "ImageClassifier": "images.classifier",
    "ImageError": "images.content",
    "MLP": "networks.mlp",
    "Objective": "networks.objective",
    "Population": "networks.population",
    "PopulationHistory": "networks.history",
    "Sorted": "images.sorting.sort_run",
    "TableModel": "tables.table_model",
    "Trainer": "training.incremental",
    "Undone": "images.sorting.undoing",
    "Verdicts": "images.verdicts",
    "classify_folder": "images.folders",
    "cross_validate": "training.cross_validation",
    "extract_features": "images.folders",
    "load": "tables.table_loading",
    "read_image": "images.pillow",
    "Review": "images.reviewing",
    "review_folder": "images.reviewing",
    "from_onnx": "foreign.onnx_networks",
    "from_sklearn": "foreign.sklearn_networks",
    "from_torch": "foreign.torch_networks",
    "grid": "training.combinations",
    "log_csv": "training.epoch_log",
    "log_json": "training.epoch_log",
    "sort_folder": "images.sorting.sort_run",
    "train": "training.train",
    "train_folder": "images.folders",
    "train_many": "training.many",
    "train_table": "tables.table_training",
    "undo_sort": "images.sorting.undoing",
}

__all__ = [
    "MLP",
    "CrossValidation",
    "DivergedError",
    "Evaluation",
    "History",
    "ImageClassifier",
    "ImageError",
    "Objective",
    "Population",
    "PopulationHistory",
    "Review",
    "Sorted",
    "TableModel",
    "Trainer",
    "Undone",
    "Verdicts",
    "classify_folder",
    "cross_validate",
    "extract_features",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "grid",
    "load",
    "log_csv",
    "log_json",
    "read_image",
    "review_folder",
    "sort_folder",
    "train",
    "train_folder",
    "train_many",
    "train_table",
    "undo_sort",
]


if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> Any:
        if name not in _ROOMS and name != "sklearn":
            raise AttributeError(f"module 'fastmlp' has no attribute {name!r}")
        from fastmlp.interrupts import noted

        with noted():  # Ctrl-C within it would leave Numba in pieces, for as long as the process lives
            room = import_module(f"fastmlp.{_ROOMS.get(name, name)}")
        if name not in _ROOMS:  # the wing that needs scikit-learn
            return room
        value = getattr(room, "load_any" if name == "load" else name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
