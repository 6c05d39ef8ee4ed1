"""MLP: a small network and what it can do. Its parameters are one flat vector; weights and biases are views of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels, sliced
from fastmlp.kernels import inference, online
from fastmlp.kernels.custom_loss import CustomLoss
from fastmlp.kernels.layers import rows_of
from fastmlp.kernels.tiles import STRIP
from fastmlp.literals import Activation, Loss, LossFunction, Output
from fastmlp.networks import metrics
from fastmlp.networks.architecture import activation_of_each, default_loss, weights_and_biases
from fastmlp.networks.derivatives import Differentiable
from fastmlp.networks.exported import Exportable, formula_of
from fastmlp.networks.functions import Learner, functions_of
from fastmlp.networks.history import DivergedError, History, TrainingState
from fastmlp.networks.objective import ChunkedLoss, loss_of_rows
from fastmlp.networks.pictures import NetworkPictures
from fastmlp.networks.prediction import empty_outputs, outputs
from fastmlp.networks.records import expected_network, network_arguments, of_networks
from fastmlp.storage import NO_FIELDS, ModelKind, Record, write_model

FEW = int(STRIP)  # rows whose prediction is one kernel call with scratch on the stack


class MLP(Differentiable, Exportable, NetworkPictures):
    """A multilayer perceptron: a[l+1] = f(a[l] @ W[l] + b[l]).

    `fastmlp.train` makes one from data, `MLP.from_weights` from arrays, `fastmlp.load` from a file.

    Attributes
    ----------
    layer_sizes : tuple of int
        (D, H1, ..., K): inputs, hidden units, outputs.
    theta : (P,) float32 or float64
        All parameters: W0, b0, W1, b1, ... Writing to it changes the network. An array that it is set to is copied into it.
    weights, biases : tuples of arrays
        Views of theta of shapes (n_in, n_out) and (n_out,); `biases` is empty for a network without them.
    activations : tuple of str
        One for each hidden layer; see `train` for the names, also of outputs and losses.
    output, loss_name, huber_delta
        The activation of the outputs, and what `loss` measures; see `train`. Of a loss that is a function, its name.
    loss_function : function or None
        The loss, if it is a function. A file leaves it out: a network that comes from one predicts, and may be given it here.
        Whether its gradient is right is found out by the data of a training, and not here, where there are none.
    classes : array or None
        The sorted labels of a classifier.
    history : History or None
        How it was trained.
    made_with : dict
        What it was trained with, as JSON values: its "seed", also one that was drawn; "rows", how many X had; the "options" of
        `train`; the "versions" of fastmlp, numpy and numba. Empty for a network that was not trained.
    state : TrainingState or None
        What `train(keep_state=True)` leaves for a training that goes on from this network.
    feature_names : tuple of str or None
        The names of the columns of the X that it was trained on, if that was a data frame. What it is asked about later must have
        them in the same order, if it has names.

    What its shape follows from cannot be set: layer_sizes, activations, output, loss_name, huber_delta, bias, classes and
    feature_names.

    Threads may ask and update one network side by side: its updates are made one after the other. A copy shares nothing with it.
    """

    history: History | Any  # or None, which `train` never leaves: type checkers need not ask
    made_with: dict[str, Any]
    state: TrainingState | None

    def __init__(
        self,
        layer_sizes: Sequence[int],
        theta: ArrayLike,
        *,
        activations: Sequence[Activation],
        output: Output,
        loss_name: Loss | LossFunction | CustomLoss,
        huber_delta: float = 1.0,
        bias: bool = True,
        classes: ArrayLike | None = None,
        history: History | None = None,
        made_with: Mapping[str, Any] | None = None,
        state: TrainingState | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(layer_sizes, theta, activations, output, loss_name, huber_delta, bias, classes, feature_names)
        vars(self).update(history=history, made_with=dict(made_with or {}), state=state)

    @classmethod
    @checks.takes_options()
    def from_weights(
        cls,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike] | None = None,
        *,
        activation: Activation | Sequence[Activation] = "tanh",
        output: Output = "identity",
        classes: ArrayLike | None = None,
        loss: Loss | LossFunction | None = None,
        huber_delta: float = 1.0,
    ) -> MLP:
        """A network from arrays, which are copied.

        Parameters
        ----------
        weights : sequence of (n_in, n_out) arrays
            One for each layer, the input's first. float32 throughout gives a float32 network, anything else float64.
        biases : sequence of (n_out,) arrays, optional
            One for each layer; None for a network without biases.
        activation : str or sequence of str
            Of the hidden layers, one name or one for each.
        output, loss, huber_delta
            As for `train`, which has the names. The loss is what `loss` and `gradient` measure.
        classes : array, optional
            The labels, in ascending order: two for one sigmoid unit, else one for each output.

        Raises
        ------
        ValueError
            If the shapes do not fit together, a value is not finite, or a name is unknown.
        """
        matrices, vectors = weights_and_biases(weights, biases)
        sizes = (matrices[0].shape[0], *(matrix.shape[1] for matrix in matrices))
        parts = zip(matrices, vectors, strict=True) if vectors else ((matrix,) for matrix in matrices)
        return cls(
            sizes,
            np.concatenate([array.ravel() for part in parts for array in part]),
            activations=activation_of_each(activation, len(sizes) - 2),
            output=output,
            loss_name=default_loss(output) if loss is None else loss,
            huber_delta=huber_delta,
            bias=bool(vectors),
            classes=classes,
        )

    def __repr__(self) -> str:
        kind = "regressor" if self.classes is None else f"classifier of {len(self.classes)}"
        return f"<MLP {'-'.join(map(str, self.layer_sizes))} {kind}, {self.dtype}>"

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each row, or a regressor's outputs.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs; no rows give an empty result.

        Returns
        -------
        (N,) labels of a classifier; (N,) outputs of a regressor with one output, (N, K) with several. Of classes that are equally
        probable the first is taken.

        Raises
        ------
        ValueError
            If X has another number of columns than the network has inputs, or holds NaN or infinity; if an output is not finite, as
            large weights may make it.
        """
        out = self._outputs(X, self.layer_sizes[-1])
        if self.classes is None:
            return out[:, 0] if out.shape[1] == 1 else out
        best = (out[:, 0] > 0.5).astype(np.intp) if out.shape[1] == 1 else out.argmax(axis=1)
        return self.classes[best]

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The probabilities (N, K) of the classes, in the order of `classes`: two columns for two classes.

        Raises
        ------
        ValueError
            As `predict` does, and for a regressor.
        """
        if self.classes is None:
            raise ValueError("predict_proba is for classifiers; this network is a regressor: use predict")
        return self._outputs(X, len(self.classes))

    @checks.takes_options()
    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The accuracy of a classifier, the coefficient of determination R2 of a regressor: see `evaluate`."""
        return self.evaluate(X, y, sample_weight).score

    @checks.takes_options()
    def evaluate(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> metrics.Evaluation:
        """How good the predictions are: accuracy, log loss and figures for each class, or R2 and errors.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs, at least one.
        y : (N,) or (N, K)
            Their labels, or a regressor's targets.
        sample_weight : (N,), optional
            How much each row counts; by default all alike.

        Returns
        -------
        Evaluation
            It prints as a table; its attributes are described there.

        Raises
        ------
        ValueError
            As `loss` does, and if sample_weight is not as described.
        """
        if self.classes is None:
            return metrics.of_numbers(self.predict(X), y, sample_weight)
        return metrics.of_classes(self.predict_proba(X), y, self.classes, sample_weight)

    def loss(self, X: ArrayLike, y: ArrayLike) -> float:
        """The mean loss over the rows.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs.
        y : (N,) or (N, K)
            Their labels, or a regressor's targets.

        Raises
        ------
        ValueError
            As `predict` does, and if y does not fit X or holds a label that is not in `classes`.
        """
        return loss_of_rows(self, X, y, self._kept)[0]

    def gradient(self, X: ArrayLike, y: ArrayLike) -> NDArray[Any]:
        """The gradient (P,) of `loss(X, y)` by `theta`, in its order: W0, b0, W1, b1, ...

        Raises
        ------
        ValueError
            As `loss` does.
        """
        return loss_of_rows(self, X, y, self._kept, gradient=True)[1]

    def update(self, x: ArrayLike, y: Any, learning_rate: float) -> float:
        """One step of stochastic gradient descent from one sample, in place.

        Parameters
        ----------
        x : (D,)
            Its inputs.
        y : label, number, or (K,) numbers
            Its label, or a regressor's target.
        learning_rate : float
            The factor of the gradient.

        Returns
        -------
        The sample's loss before the step.

        Raises
        ------
        ValueError
            As `loss` does.
        DivergedError
            If the loss is not finite, after an earlier step that was too large. The parameters are those that it led to.
        """
        theta = self._theta
        ready = type(x) is np.ndarray and x.dtype == theta.dtype and x.flags.carray and x.shape == (self.layer_sizes[0],)
        row: Any = x if ready else arrays.vector("x", x, theta.dtype, self.layer_sizes[0], self.feature_names)
        try:
            target = self._class_targets[y]
        except (KeyError, TypeError):
            target = self.targets([y], 1)[0]
        ready = type(learning_rate) is float and 0.0 < learning_rate < math.inf
        rate = learning_rate if ready else checks.positive_number("learning_rate", learning_rate)
        with self._updating:
            plan, edges, memory, layers, code, numbers = self._online
            loss: float = online.update_once(theta, plan, edges, memory, row, target, layers, code, numbers, rate)
        if not abs(loss) < math.inf:
            arrays.finite("x", row)
            raise DivergedError(0, loss, rate)
        return loss

    @overload
    def jit(self, *, jacobian: bool = False, update: Literal[False] = False) -> Callable[..., Any]: ...

    @overload
    def jit(self, *, jacobian: bool = False, update: Literal[True]) -> Learner: ...

    @checks.takes_options()
    def jit(self, *, jacobian: bool = False, update: bool = False) -> Any:
        """The network, as it is now, as a function that other Numba code calls with no Python in between.

        Its parameters are constants of the compiled code: later changes of theta do not reach it, and it is not cached on disk. It
        allocates nothing, and may be called with the GIL released and from several threads.

        Parameters
        ----------
        jacobian : bool
            Whether f gives the derivatives by the inputs, too: see `jacobian`.
        update : bool
            Whether the network is to learn there: a pair (predict, update) that shares its parameters, see `Learner`.

        Returns
        -------
        f(x) -> the output for D inputs x, an array, or a tuple of up to 100, of numbers of one type: a number for one output (of
        two classes, the probability of the second), else a tuple of K, which f(x, out) also writes to an array of K numbers. With
        jacobian=True f(x) -> (output, derivatives): D of them for one output, else a tuple of K tuples of D, which f(x, out,
        jacobian) also writes to an array (K, D); for one output f(x, jacobian) to one (D,).

        Raises
        ------
        ValueError
            If the network has more units than fit on a thread's stack or more outputs than a tuple should have, 500, with
            jacobian=True times its inputs, or theta is not finite; f does, if x has not D entries, or is something else than an
            array or a tuple of numbers of one type.
        """
        return functions_of(
            self,
            jacobian=bool(checks.yes_or_no("jacobian", jacobian)),
            update=bool(checks.yes_or_no("update", update)),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the network, its classes and its history to one .npz file; `fastmlp.load` reads it back exactly.

        Raises
        ------
        OSError
            If the file cannot be written; what stood there before is untouched.
        ValueError
            If theta is not finite, or something else than a model is there.
        """
        write_model(path, self._record())

    def _record(self) -> Record:
        return of_networks("mlp", [self])

    def _formula(self, dtype: Any) -> Any:
        like = self.like(np.asarray(self._theta, dtype))
        outputs = like.predict if self.classes is None else like.predict_proba
        return formula_of([(like, like.theta)], outputs, text=repr(self)[1:-1], classes=self.classes, dtype=like.dtype)

    def targets(self, y: ArrayLike, n: int, name: str = "y") -> NDArray[Any]:
        """What the kernels compare the outputs with: class numbers (N, 1) of a classifier, else numbers (N, K)."""
        if self.classes is not None:
            return labels.class_numbers(name, y, self.classes, n, self.dtype)
        targets = arrays.targets(name, y, n, self.layer_sizes[-1], self.dtype)
        labels.in_range(name, targets, self.loss_row, self.output)
        return targets

    def _outputs(self, X: ArrayLike, columns: int) -> NDArray[Any]:
        theta = self._theta
        # An array that needs no conversion, as in a loop: what kernels do not find themselves takes half a microsecond.
        if type(X) is np.ndarray and X.ndim == 2 and X.dtype == theta.dtype and X.flags.carray:
            n, n_in = X.shape
            if n > 0 and n_in == self.layer_sizes[0]:
                if n > FEW or not self._is_small:
                    with suppress(ValueError):
                        return outputs(theta, self.layers, X, columns)
                else:
                    out = np.empty((n, columns), theta.dtype)
                    if inference.predict_few(out, X, theta, self.layers, FEW, FEW):
                        return out
        expected: Any = {"columns": self.layer_sizes[0], "names": self.feature_names}
        if not arrays.is_sliced(X):
            return outputs(theta, self.layers, arrays.matrix("X", X, self.dtype, **expected, empty=True), columns)
        out = empty_outputs(sliced.matrix_shape("X", X, **expected, empty=True)[0], columns, self.dtype)
        for block, x in sliced.matrices("X", X, self.dtype, **expected):
            out[block] = outputs(theta, self.layers, x, columns, block.start)
        return out

    @cached_property
    def _class_targets(self) -> dict[Any, NDArray[Any]]:
        """What the kernels compare the outputs with, for each label of a classifier."""
        if self.classes is None:
            return {}
        return {label: np.array([number], self.dtype) for number, label in enumerate(self.classes.tolist())}

    @cached_property
    def _online(self) -> tuple[Any, ...]:
        """What updates write to, and the network: for whoever holds the lock."""
        layers, code, *numbers = self.network
        return *online.online_memory(self.layers, self.dtype, int(STRIP)), layers, code, np.array(numbers)

    @cached_property
    def _kept(self) -> dict[int, ChunkedLoss]:
        """Memory in which a loss was measured, by its number of rows; empty while one is."""
        return {}

    @cached_property
    def _is_small(self) -> bool:
        """Whether a block of it fits in the stack's room for kernels."""
        return rows_of(self.layers) * FEW <= inference.ROOM


KIND = ModelKind(NO_FIELDS, NO_FIELDS, expected_network, lambda record: MLP(**network_arguments(record)))
