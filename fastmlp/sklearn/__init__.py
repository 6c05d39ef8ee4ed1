"""Estimators of scikit-learn's kind, trained at compiled speed: MLPClassifier and MLPRegressor, in the place of its own.

This is the one wing that needs scikit-learn, and with it SciPy: `pip install 'fastmlp[scikit-learn]'`.
"""

try:
    import sklearn as _  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    message = "fastmlp.sklearn needs scikit-learn: pip install 'fastmlp[scikit-learn]'"
    raise ModuleNotFoundError(message, name="sklearn") from error

from fastmlp.sklearn.estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
