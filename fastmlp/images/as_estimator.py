"""What makes an ImageClassifier an estimator: its parameters, and what scikit-learn asks for, imported only then."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, cast

from fastmlp import checks
from fastmlp.images.extractors import DEFAULT_EXTRACTOR, extractor_name
from fastmlp.literals import AnyExtractor, Decision, OnError
from fastmlp.networks.copied import Copied
from fastmlp.networks.mlp import MLP

if TYPE_CHECKING:
    from fastmlp.training.option_types import EstimatorOptions

FITTED = ("classes", "classes_", "networks", "made_with")


class _NotFittedError(ValueError, AttributeError):
    """What scikit-learn's is, where that is not there."""


class AsEstimator(Copied):
    """What an image classifier is before it is fitted: how it is to train."""

    FIXED = frozenset((*FITTED, "extractor", "method"))

    extractor: AnyExtractor
    method: Decision

    def __init__(
        self,
        extractor: AnyExtractor | Literal["auto"],
        method: Decision,
        refit: bool,
        formats: str | Sequence[str] | None,
        on_error: OnError,
        augment: int,
        **options: Unpack[EstimatorOptions],
    ) -> None:
        super().__init__()
        checks.known_options("ImageClassifier", options, default_parameters().keys() if options else set())
        self.extractor, self.method = cast(AnyExtractor, extractor), method  # "auto" only until it is fitted
        self._options: dict[str, Any] = {**options, "refit": refit} if refit else {**options}
        if formats is not None:
            self._options["formats"] = formats
        if on_error != "skip":
            self._options["on_error"] = on_error
        if augment != 0 or isinstance(augment, bool):
            self._options["augment"] = augment

    if not TYPE_CHECKING:  # a type checker would take any attribute for one

        def __getattr__(self, name: str) -> Any:
            if name in FITTED:
                exceptions = sys.modules.get("sklearn.exceptions")
                error = _NotFittedError if exceptions is None else exceptions.NotFittedError
                raise error(f"this ImageClassifier has no {name} yet: call fit with images and their labels")
            raise AttributeError(f"'ImageClassifier' object has no attribute {name!r}")

    # -- parameters ---------------------------------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The extractor, the method, and all options of training, as they were given or by default.

        Of a classifier that was made of networks, or loaded, they are what its networks were trained with, as far as `made_with`
        tells it: on the same images, a clone learns the same. What JSON cannot say, as a network to begin with, stands there as a
        word, which `fit` rejects.
        """
        options = {name: self._options.get(name, default) for name, default in default_parameters().items()}
        return {**options, "extractor": self.extractor, "method": self.method}

    def set_params(self, **parameters: Any) -> Self:
        """Change some of them, for the next `fit`. With another extractor or method the networks are forgotten."""
        try:
            checks.known_options("ImageClassifier", parameters, default_parameters().keys())
        except TypeError as error:  # scikit-learn expects another
            raise ValueError(str(error)) from error
        decisive = {name: parameters.pop(name, getattr(self, name)) for name in ("extractor", "method")}
        if decisive != {name: getattr(self, name) for name in decisive}:
            for name in vars(self).keys() & set(FITTED):
                delattr(self, name)
        vars(self).update(decisive)
        self._options |= parameters
        return self

    # -- what scikit-learn asks for -----------------------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return "networks" in vars(self)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        takes = InputTags(one_d_array=True, three_d_array=True, string=True)
        return Tags("classifier", TargetTags(required=False), None, ClassifierTags(), input_tags=takes, no_validation=True)

    def get_metadata_routing(self) -> Any:
        """Whether `fit` and `score` are given the sample_weight of a pipeline or a search, where scikit-learn routes metadata."""
        from sklearn.utils.metadata_routing import MetadataRequest

        if "_metadata_request" not in vars(self):
            self._metadata_request = MetadataRequest(owner="ImageClassifier")
            for method in (self._metadata_request.fit, self._metadata_request.score):
                method.add_request(param="sample_weight", alias=None)
        return self._metadata_request

    def set_fit_request(self, *, sample_weight: bool | str | None) -> Self:
        """Whether `fit` is given the sample_weight of a pipeline or a search, or under which name, as of scikit-learn's."""
        self.get_metadata_routing().fit.add_request(param="sample_weight", alias=sample_weight)
        return self

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """The same of `score`."""
        self.get_metadata_routing().score.add_request(param="sample_weight", alias=sample_weight)
        return self


@cache
def default_parameters() -> dict[str, Any]:
    """The parameters of an ImageClassifier, each with its default."""
    from fastmlp.training.option_types import EstimatorOptions  # which nobody needs who only classifies
    from fastmlp.training.options import DEFAULTS

    how = {"extractor": DEFAULT_EXTRACTOR, "method": "softmax", "refit": False, "formats": None, "on_error": "skip", "augment": 0}
    return how | {name: DEFAULTS[name] for name in EstimatorOptions.__annotations__}


def changed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not as by default."""
    default = default_parameters()
    return {name: value for name, value in parameters.items() if not isinstance(value, checks.SCALARS) or value != default[name]}


def as_text(parameters: Mapping[str, Any]) -> str:
    """Those as they would be given; a function of one's own by its name."""
    texts = changed(parameters)
    texts = {
        name: extractor_name(value) if name == "extractor" and callable(value) else repr(value) for name, value in texts.items()
    }
    return ", ".join(f"{name}={text}" for name, text in texts.items())


def trained_with(networks: Sequence[MLP], made_with: Mapping[str, Any]) -> dict[str, Any]:
    """The options that networks for images were trained with: what their record tells, and what they are."""
    first, validation = networks[0], made_with.get("validation")
    return {
        **made_with.get("options", {}),
        "hidden": first.layer_sizes[1:-1],
        "activation": first.activations or None,
        "output": first.output,
        "loss": first.loss_function or first.loss_name,
        "huber_delta": None if first.loss_row.parameter is None else first.huber_delta,
        "bias": first.bias,
        "task": "regression" if first.classes is None else "classification",
        "dtype": first.dtype.name,
        "seed": made_with.get("seed"),
        "refit": isinstance(validation, dict) and validation.get("refit") is True,
    }
