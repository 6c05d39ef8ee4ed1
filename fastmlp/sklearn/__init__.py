"""What takes its place among the estimators of scikit-learn: the one wing that needs it, `pip install 'fastmlp[scikit-learn]'`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastmlp.sklearn.estimators import MLPClassifier, MLPRegressor
    from fastmlp.sklearn.png_features import PNGFeatures
    from fastmlp.sklearn.population_search import PopulationSearchCV

_ROOMS = {
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "PNGFeatures": "png_features",
    "PopulationSearchCV": "population_search",
}

__all__ = ["MLPClassifier", "MLPRegressor", "PNGFeatures", "PopulationSearchCV"]


if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> Any:
        if name not in _ROOMS:
            raise AttributeError(f"module 'fastmlp.sklearn' has no attribute {name!r}")
        try:
            import_module("sklearn")
        except ModuleNotFoundError as error:
            if error.name != "sklearn":
                raise
            message = f"fastmlp.sklearn.{name} needs scikit-learn: pip install 'fastmlp[scikit-learn]'"
            raise ModuleNotFoundError(message, name="sklearn") from error
        value = getattr(import_module(f"fastmlp.sklearn.{_ROOMS[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
