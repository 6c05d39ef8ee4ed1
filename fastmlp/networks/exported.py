"""Exportable: what a model is written from for other programs. The wing `formats` knows what they read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks

if TYPE_CHECKING:
    from fastmlp.formats.formula import Formula
    from fastmlp.literals import Dtype
    from fastmlp.networks.layered import Layered
    from fastmlp.storage import Record


class Exportable:
    """A model that can be written for other programs."""

    def _formula(self, dtype: Any) -> Formula:
        """What it computes, in numbers of a dtype, or its own."""
        raise NotImplementedError

    def _record(self) -> Record:
        """All that is known of it."""
        raise NotImplementedError

    @checks.takes_options()
    def export(self, path: str | os.PathLike[str], *, dtype: Dtype | None = None) -> None:
        """Write the model for programs that know nothing of fastmlp; the ending of the file says how.

        A classifier gives probabilities in the order of its classes, of two classes both; a regressor its outputs. A `Population`
        gives the mean over its members that did not diverge, as its `predict` does by default; an `ImageClassifier` takes features,
        and a `TableModel` the numbers that its encoder makes of a row, in the order of `encoder.inputs`.

        Parameters
        ----------
        path : str or path
            .c gives one file of C99, which is C++ too, and a header .h beside it: functions NAME_predict_outputs and, for classes,
            NAME_predict, with a name from that of the file; and NAME_self_test, which is 0 if they give there what they give here.
            .onnx gives what onnxruntime and others run: input "X", and outputs "label" and "probabilities", or "outputs".
            .py gives a module that needs NumPy alone, with functions predict, as the model has it, and predict_outputs (N, K).
            .safetensors gives the arrays W0, b0, W1, b1, ... and in its metadata the activations.
            .json gives all that `save` does, which `fastmlp.load` reads, too; fastmlp/formats/json_record.py says what it means.
        dtype : {"float32", "float64"}, optional
            What numbers are written as, and computed with; by default as in the model. .json is always as the model is.

        Raises
        ------
        ModuleNotFoundError
            If the format needs a library that is not installed: the message says which.
        OSError
            If the file cannot be written; what stood there before is untouched.
        ValueError
            If path has another ending, or a file of another kind is there; if a parameter or an output is not finite.
        """
        from fastmlp.formats.endings import write_as  # which nobody needs who does not export

        write_as(path, self._formula, self._record, dtype)


def formula_of(
    networks: Iterable[tuple[Layered, NDArray[Any]]],
    outputs: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    text: str,
    columns: bool = False,
    classes: NDArray[Any] | None = None,
    dtype: Any,
) -> Formula:
    """What networks with their parameters compute together."""
    from fastmlp.formats.formula import DenseLayer, Formula

    layers = []
    for network, theta in networks:
        like = network.like(np.asarray(theta, dtype))
        biases = like.biases or [None] * len(like.weights)
        layers.append(tuple(map(DenseLayer, like.weights, biases, (*like.activations, like.output))))
    return Formula(tuple(layers), "columns" if columns else "mean", classes, text, outputs)
