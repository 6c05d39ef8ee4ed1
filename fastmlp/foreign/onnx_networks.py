"""from_onnx: an MLP from a file of ONNX that holds a plain one.

Layers are found by following the input. What is between two of them is tried on numbers, and is the activation of which it gives
the values, however that is put together of operators.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import checks
from fastmlp.foreign.assembly import Assembly
from fastmlp.formats.onnx_graph import onnx_library
from fastmlp.kernels.activations import HIDDEN
from fastmlp.networks.mlp import MLP
from fastmlp.writing import StrPath, naming

LAYERS = {"Gemm", "MatMul", "BatchNormalization", "Scaler"}
PASSED = {"Identity", "Flatten", "Dropout", "Cast"}
FLOATS = (1, 11)  # float32 and float64, as ONNX counts types
# What may follow the outputs of a classifier: labels, and the probabilities of two classes from that of one.
LABELS = {
    "ArgMax", "ArrayFeatureExtractor", "Cast", "Concat", "Flatten", "Gather", "Identity", "LabelEncoder", "Reshape", "Squeeze",
    "Sub", "ZipMap",
}  # fmt: skip
TRIED = np.linspace(-9, 9, 37)  # values of units
AGREED = 1e-5  # by which values may differ, relative or absolute


def from_onnx(path: StrPath, *, classes: ArrayLike | None = None) -> MLP:
    """A network that says what a file of ONNX says.

    Parameters
    ----------
    path : path of a file
        A plain MLP: one input, then Gemm, or MatMul and Add, activations of ours in whatever operators, and Softmax, one after the
        other; normalization by BatchNormalization or Scaler is folded in. Such are files that `export` writes of a network, and
        those of PyTorch and of skl2onnx.
    classes : array, optional
        The labels in the order of the outputs, two for a single output; by default those that the file has, if it gives labels.

    Raises
    ------
    ModuleNotFoundError
        If the library is not installed, which `pip install 'fastmlp[onnx]'` brings.
    OSError, ValueError
        If the file cannot be read, is no ONNX, or holds something else: the message names the operator.
    """
    onnx, path = onnx_library(), os.fspath(checks.path("path", path))
    with naming(path), open(path, "rb"):
        pass
    try:
        model = onnx.load(path)
    except Exception as error:  # of many kinds, as the file is damaged, or something else
        raise ValueError(f"{path} cannot be read as ONNX") from error
    if not model.graph.node:
        raise ValueError(f"{path} cannot be read as ONNX")
    try:
        return _Walk(onnx, model).network(classes)
    except ValueError as error:
        raise ValueError(f"{path} does not hold a plain MLP: {error}") from error
    except (TypeError, LookupError, AttributeError, OverflowError) as error:  # as an operator lacks what it must have
        raise ValueError(f"{path} cannot be read as ONNX") from error


class _Reached(NamedTuple):
    """All that follows a value goes through this one, after these operators."""

    value: str
    nodes: list[Any]


class _Walk:
    """The way through a graph, from its input on."""

    def __init__(self, onnx: Any, model: Any) -> None:
        self.onnx, self.model, self.graph = onnx, model, model.graph
        read = onnx.numpy_helper.to_array
        self.constants: dict[str, NDArray[Any]] = {tensor.name: read(tensor) for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant":
                given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
                value = given.get("value")
                array = np.asarray(next(iter(given.values()))) if value is None else read(value)
                self.constants[node.output[0]] = array
            elif node.op_type == "Identity" and node.input[0] in self.constants:
                self.constants[node.output[0]] = self.constants[node.input[0]]
        self.nodes = [node for node in self.graph.node if node.output[0] not in self.constants]
        self.outputs = {value.name for value in self.graph.output}
        self.assembly, self.dtype = Assembly(), np.dtype(np.float32)

    def network(self, classes: ArrayLike | None) -> MLP:
        inputs = [value.name for value in self.graph.input if value.name not in self.constants]
        if len(inputs) != 1:
            raise ValueError(f"it has {len(inputs)} inputs")
        value, units = inputs[0], 0
        while True:
            value = self._past(value)
            node = self._only_taker(value) if self._layer_follows(value) else None
            if node is None:
                break
            if node.op_type not in LAYERS:
                if not units:
                    raise ValueError(f"{_named(node)} comes before the first layer")
                value = self._activation(value, units)
                continue
            value, units = self._layer(node, value, units)
        if not units:
            raise ValueError(f"no layer follows its input{self._then(value)}")
        last = self._output(value, units)
        known = self._classes(last, max(2, units)) if classes is None else classes
        return self.assembly.network("it", known)

    # -- where it goes ------------------------------------------------------------------------------------------------------------

    def _takers(self, value: str) -> list[Any]:
        return [node for node in self.nodes if value in node.input]

    def _then(self, value: str) -> str:
        return "".join(f", but {_named(node)}" for node in self._takers(value)[:1])

    def _past(self, value: str) -> str:
        """The same value after operators that change nothing."""
        while value not in self.outputs and len(takers := self._takers(value)) == 1 and self._changes_nothing(takers[0]):
            value = takers[0].output[0]
        return value

    def _changes_nothing(self, node: Any) -> bool:
        options = {attribute.name: self.onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        return node.op_type in PASSED and options.get("to", 1) in FLOATS and options.get("axis", 1) == 1

    def _layer_follows(self, value: str) -> bool:
        """Whether any layer is to come."""
        reached = {value}
        for node in self.nodes:  # which stand in an order in which they can be computed
            if reached & set(node.input):
                if node.op_type in LAYERS:
                    return True
                reached |= set(node.output)
        return False

    def _only_taker(self, value: str) -> Any:
        """The operator that takes a value: the first, where an activation takes it several times."""
        takers = self._takers(value)
        if len([node for node in takers if node.op_type in LAYERS]) > 1 or (len(takers) > 1 and takers[0].op_type in LAYERS):
            raise ValueError(f"{' and '.join(map(_named, takers[:2]))} take the same values")
        return takers[0]

    # -- layers -------------------------------------------------------------------------------------------------------------------

    def _constant(self, node: Any, name: str) -> NDArray[Any]:
        if name not in self.constants:
            raise ValueError(f"{_named(node)} has a parameter that is no constant")
        return self.constants[name]

    def _layer(self, node: Any, value: str, units: int) -> tuple[str, int]:
        """The value after a layer, and its units."""
        where, out = _named(node), node.output[0]
        options = {attribute.name: self.onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.input[0] != value:
            raise ValueError(f"{where} takes its values as its second factor")
        if node.op_type == "BatchNormalization":
            scale, shift, mean, variance = (self._constant(node, name).astype(np.float64) for name in node.input[1:5])
            factor = scale / np.sqrt(variance + options.get("epsilon", 1e-5))
            self.assembly.scaled(where, factor, shift - mean * factor)
            return out, units
        if node.op_type == "Scaler":
            factor = np.asarray(options["scale"], np.float64)
            self.assembly.scaled(where, factor, -np.asarray(options["offset"], np.float64) * factor)
            return out, units
        weights, biases = self._constant(node, node.input[1]), None
        if node.op_type == "Gemm":
            if options.get("transA"):
                raise ValueError(f"{where} has transA")
            weights = (weights.T if options.get("transB") else weights) * weights.dtype.type(options.get("alpha", 1.0))
            if len(node.input) > 2 and node.input[2]:
                given = self._constant(node, node.input[2])
                biases = given * given.dtype.type(options.get("beta", 1.0))
        elif len(takers := self._takers(out)) == 1 and takers[0].op_type == "Add" and out not in self.outputs:
            other = next((name for name in takers[0].input if name != out), out)
            if other in self.constants:
                biases, out = self.constants[other], takers[0].output[0]
        if weights.ndim != 2:
            raise ValueError(f"{where} has weights of shape {weights.shape}")
        if biases is not None:
            biases = np.broadcast_to(biases.reshape(-1), weights.shape[1:]) if biases.size in (1, weights.shape[1]) else biases
        self.dtype = weights.dtype
        self.assembly.linear(where, weights, biases)
        return out, weights.shape[1]

    # -- activations --------------------------------------------------------------------------------------------------------------

    def _reached(self, value: str) -> Iterator[_Reached]:
        """What all goes through that follows a value, the nearest first, up to the next layer."""
        known, nodes = {value}, []
        for node in self.nodes:
            taken = [name for name in node.input if name and name not in self.constants]
            if not set(taken) & known:
                continue
            if node.op_type in LAYERS or not set(taken) <= known:
                return
            nodes.append(node)
            known |= set(node.output)
            done = {id(one) for one in nodes}
            still = [name for name in known if name in self.outputs or any(id(one) not in done for one in self._takers(name))]
            if still == [node.output[0]] or (not still and node.output[0] in self.outputs):
                yield _Reached(node.output[0], list(nodes))

    def _tried(self, value: str, reached: _Reached, units: int) -> NDArray[Any] | None:
        """What becomes of values of units; None where that cannot be tried."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        names = {name for node in reached.nodes for name in node.input if name in self.constants}
        tensors = [self.onnx.numpy_helper.from_array(self.constants[name], name) for name in sorted(names)]
        ends = [helper.make_tensor_value_info(value, kind, None), helper.make_empty_tensor_value_info(reached.value)]
        part = helper.make_graph(reached.nodes, "part", ends[:1], ends[1:], tensors)
        whole = helper.make_model(part, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        try:
            from onnx.reference import ReferenceEvaluator

            with np.errstate(all="ignore"):
                out = ReferenceEvaluator(whole).run(None, {value: self._rows(units).astype(self.dtype)})
            return np.asarray(next(iter(out)), np.float64)
        except Exception:  # as it has an operator that is not known there, or for other shapes
            return None

    def _rows(self, units: int) -> NDArray[np.float64]:
        return np.stack([np.roll(TRIED, 5 * unit) for unit in range(units)], axis=1)

    def _activation(self, value: str, units: int) -> str:
        """The value after a hidden activation: the last of those that a layer takes."""
        found = [(name, reached) for reached in self._reached(value) if (name := self._name(value, reached, units, False))]
        if not found:
            raise ValueError(f"{_named(self._takers(value)[0])} is, or begins, no activation of an MLP")
        name, reached = found[-1]
        self.assembly.activation(_named(reached.nodes[-1]), name)
        return reached.value

    def _output(self, value: str, units: int) -> str:
        """The value after the activation of the outputs."""
        found = [(name, reached) for reached in self._reached(value) if (name := self._name(value, reached, units, True))]
        last = value
        if found:
            name, reached = found[-1]
            self.assembly.activation(_named(reached.nodes[-1]), name)
            last = reached.value
        following = {last}
        for node in self.nodes:
            if following & set(node.input):
                if node.op_type not in LABELS:
                    raise ValueError(f"{_named(node)} is, or begins, no activation of outputs of an MLP")
                following |= set(node.output)
        return last

    def _name(self, value: str, reached: _Reached, units: int, of_outputs: bool) -> str | None:
        """The activation that gives the same, if there is one."""
        came, rows = self._tried(value, reached, units), self._rows(units)
        if came is None or came.shape != rows.shape:
            return None
        one = np.eye(1)
        for name in HIDDEN:
            if np.allclose(came, _outputs(MLP.from_weights([one, one], activation=name), rows), rtol=AGREED, atol=AGREED):
                return str(name)
        if of_outputs:
            if np.allclose(came, _outputs(MLP.from_weights([one], output="exp"), rows), rtol=AGREED, atol=AGREED):
                return "exp"
            softmax = MLP.from_weights([np.eye(units)], output="softmax").predict(rows).reshape(rows.shape)
            if any(np.allclose(came, values, rtol=AGREED, atol=AGREED) for values in (softmax, np.log(softmax))):
                return "softmax"
        return None

    def _classes(self, value: str, count: int) -> NDArray[Any] | None:
        """The labels that the file gives."""
        following = {value}
        for node in self.nodes:
            if following & set(node.input):
                following |= set(node.output)
                options = {one.name: self.onnx.helper.get_attribute_value(one) for one in node.attribute}
                lists = [self.constants[name].reshape(-1) for name in node.input if name in self.constants]
                lists = lists * (node.op_type in ("Gather", "ArrayFeatureExtractor"))
                lists += [np.array(options[name]) for name in ("classlabels_strings", "classlabels_int64s") if options.get(name)]
                for labels in lists:
                    if len(labels) == count:
                        texts = [one.decode("utf-8", "surrogatepass") if isinstance(one, bytes) else one for one in labels.tolist()]
                        return np.array(texts)
        return None


def _outputs(network: MLP, values: NDArray[np.float64]) -> NDArray[Any]:
    """What a network of one input makes of each number."""
    return network.predict(values.reshape(-1, 1)).reshape(values.shape)


def _named(node: Any) -> str:
    """An operator in messages, whatever stands in its names."""
    name = f" ({checks.shown(node.name)[1:-1]})" if node.name else ""
    return f"the operator {checks.shown(node.op_type)[1:-1]}{name}"
