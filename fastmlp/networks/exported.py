"""Exportable: what a model is written from for other programs. The wing `formats` knows what they read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays, checks

if TYPE_CHECKING:
    from fastmlp.formats.fixed_point import Deviation, TypicalRows
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

    def _typical_rows(self, given: Any, n_in: int) -> TypicalRows:
        """Inputs as they come, of so many columns."""
        from fastmlp.formats.fixed_point import TypicalRows

        if given is True:
            raise ValueError("fixed_point must be rows of typical inputs; of image classifiers alone their range is known")
        names = getattr(self, "feature_names", None)
        return TypicalRows(arrays.matrix("fixed_point", given, np.float64, columns=n_in, names=names))

    @checks.takes_options()
    def export(self, path: str | os.PathLike[str], *, dtype: Dtype | None = None, fixed_point: Any = None) -> Deviation | None:
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
        fixed_point : (N, D) rows, or a table, or True, optional
            For .c: computes in whole numbers alone, for processors without a floating point unit. Inputs are then int32, and their
            scales powers of two, which the header has, with macros that convert. The rows are typical inputs, by which it is known
            how large numbers become; there is room for twice as much, and beyond that they stay at the largest. A `TableModel`
            takes a table, as `predict_table` does; of an `ImageClassifier` True will do, as features are from 0 to 1.

        Returns
        -------
        Deviation or None
            With fixed_point how far outputs are from those of the model on these rows: `rows`, `largest`, `mean`, `of_range` (the
            largest as a share of the range of its output), `changed` (how many rows are taken for another class, or None). It
            prints as a sentence, which the files have, too.

        Raises
        ------
        ModuleNotFoundError
            If the format needs a library that is not installed: the message says which.
        OSError
            If the file cannot be written; what stood there before is untouched.
        ValueError
            If path has another ending, or a file of another kind is there; if a parameter or an output is not finite; if the rows
            for fixed_point are none, or something grows so large in there that 32 bits are too few.
        """
        from fastmlp.formats.endings import write_as, write_as_fixed  # which nobody needs who does not export

        if fixed_point is not None:
            return write_as_fixed(path, self._formula, partial(self._typical_rows, fixed_point), dtype)
        write_as(path, self._formula, self._record, dtype)
        return None


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
