"""Small neural networks, trained and run on a CPU at compiled speed.

train(X, y) -> MLP; load(path); train_folder(folder) -> ImageClassifier; classify_folder(model, folder) -> Verdicts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastmlp.folders import ImageClassifier, Verdicts, classify_folder, extract_features, train_folder
    from fastmlp.images import ImageError, read_image
    from fastmlp.many import grid, train_many
    from fastmlp.metrics import Evaluation
    from fastmlp.model import MLP, DivergedError, History
    from fastmlp.population import Population, PopulationHistory
    from fastmlp.storage import load_model as load
    from fastmlp.training import train

__version__ = "0.1.0"

# Public names load on first use: importing NumPy and Numba costs half a second, which `fastmlp --help` need not pay.
_ROOMS = {
    "DivergedError": "model",
    "Evaluation": "metrics",
    "History": "model",
    "ImageClassifier": "folders",
    "ImageError": "images",
    "MLP": "model",
    "Population": "population",
    "PopulationHistory": "population",
    "Verdicts": "folders",
    "classify_folder": "folders",
    "extract_features": "folders",
    "load": "storage",
    "read_image": "images",
    "grid": "many",
    "train": "training",
    "train_folder": "folders",
    "train_many": "many",
}

__all__ = [
    "MLP",
    "DivergedError",
    "Evaluation",
    "History",
    "ImageClassifier",
    "ImageError",
    "Population",
    "PopulationHistory",
    "Verdicts",
    "classify_folder",
    "extract_features",
    "grid",
    "load",
    "read_image",
    "train",
    "train_folder",
    "train_many",
]


if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> Any:
        if name not in _ROOMS:
            raise AttributeError(f"module 'fastmlp' has no attribute {name!r}")
        value = getattr(import_module(f"fastmlp.{_ROOMS[name]}"), "load_model" if name == "load" else name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
