"""PNGFeatures: from images to features, as a step of a pipeline."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from fastmlp import checks
from fastmlp.images.extractors import DEFAULT_EXTRACTOR, extractor_of, feature_columns, of_size
from fastmlp.images.samples import features_of
from fastmlp.literals import AnyExtractor

ERRORS = ("nan", "raise")


class PNGFeatures(TransformerMixin, BaseEstimator):
    """Images, or the paths of image files, to rows of features.

    It learns nothing: `transform` may be called without `fit`. In a ColumnTransformer it takes the column that holds the paths.

    Parameters
    ----------
    extractor : {"ink", "pixels", "strokes", "gray", "colour"} or function
        3, 256, 324 or 972 features for each image; fastmlp/images/extractors.py says what they are, and `fastmlp.train_folder`
        what a function is given. How many that gives is known once it has transformed something.
    errors : {"raise", "nan"}
        Whether a file that cannot be read is an ImageError that names it, or a row of NaN, for an imputer or an estimator that
        takes them.
    threads : int, optional
        How many threads read files; by default one for each core. The features do not depend on it.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from fastmlp.sklearn import PNGFeatures
    >>> model = make_pipeline(PNGFeatures(), LogisticRegression())
    >>> paths = [f"test-images/{name}-{number}.png" for name in ("tc", "tl") for number in range(1, 6)]
    >>> model.fit(paths, ["circle"] * 5 + ["line"] * 5).predict(["test-images/tl-1.png"]).tolist()
    ['line']
    """

    def __init__(
        self,
        extractor: AnyExtractor = DEFAULT_EXTRACTOR,
        *,
        errors: Literal["raise", "nan"] = "raise",
        threads: int | None = None,
    ) -> None:
        self.extractor = extractor
        self.errors = errors
        self.threads = threads

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters; no image is read."""
        extractor_of(self.extractor)
        checks.one_of("errors", self.errors, ERRORS)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """The features of images.

        Parameters
        ----------
        X : (n,) or (n, 1) paths; or n images (H, W) of uint8 gray levels, or for "colour" (H, W, 3), whose sizes may differ
            Lists, arrays or data frames. For all files of a folder see `fastmlp.extract_features`.

        Returns
        -------
        (n, size) float64 array
            In the order of X; size is 3 for "ink", 256 for "pixels", 324 for "strokes" and "gray", and 972 for "colour".

        Raises
        ------
        ImageError
            If a file cannot be read, unless errors="nan".
        ValueError, TypeError
            If X is a single path, or neither paths nor images; if a parameter is wrong.
        """
        self.fit(X)
        extractor = of_size(self.extractor, self._known_size())
        features = features_of(X, extractor, threads=self.threads, strict=self.errors == "raise")
        self._sized = self.extractor, features.shape[1]
        return features

    def _known_size(self) -> int:
        """How many features there are, of a function as it has given them; 0 while nobody knows."""
        extractor, size = vars(self).get("_sized", (None, 0))
        return extractor_of(self.extractor).size or (size if extractor is self.extractor else 0)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The names of the features, "feature1" and so on, as a features CSV has them; `input_features` is left aside."""
        if not (size := self._known_size()):
            raise ValueError("how many features a function gives is known after transform")
        return np.array(feature_columns(size), object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
