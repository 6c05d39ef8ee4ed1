"""A network as ONNX: opset 13, which every runtime of the last years reads, of operators that onnxruntime has for both dtypes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np

import fastmlp
from fastmlp.formats.formula import DenseLayer, Formula
from fastmlp.writing import FileKind, StrPath, replacing

ONNX = FileKind("ONNX that fastmlp wrote", (".onnx",), rb"\x08.\x12\x07fastmlp")
OPSET, IR_VERSION = 13, 7


def onnx_library() -> Any:
    """The library, or a sentence on what brings it."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise ModuleNotFoundError("ONNX needs its library: pip install 'fastmlp[onnx]'", name="onnx") from error
    return onnx


def write_onnx(path: StrPath, formula: Formula) -> None:
    """Writes it, once the library's checker has found it right."""
    onnx = onnx_library()
    model = onnx_model(formula)
    onnx.checker.check_model(model, full_check=True)
    with replacing(path, ONNX) as file:
        file.write(model.SerializeToString(deterministic=True))


def onnx_model(formula: Formula) -> Any:
    """Input "X" (N, D); of a classifier outputs "label" (N,) and "probabilities" (N, K), else "outputs" (N, K)."""
    onnx = onnx_library()
    graph = _Graph(onnx, formula.dtype)
    said = [graph.network(layers) for layers in formula.networks]
    if formula.combined == "columns":
        out = graph.add("Concat", *said, axis=1)
    else:
        out = reduce(partial(graph.add, "Add"), said)  # of Mean and Sum onnxruntime has no float64
        out = out if len(said) == 1 else graph.add("Div", out, graph.number(len(said)))
    if formula.has_rest:
        out = graph.add("Concat", graph.add("Sub", graph.number(1), out), out, axis=1)
    real, k = onnx.helper.np_dtype_to_tensor_dtype(formula.dtype), formula.n_out
    name = "outputs" if formula.classes is None else "probabilities"
    graph.add("Identity", out, name=name)
    outputs = [onnx.helper.make_tensor_value_info(name, real, ["N", k])]
    if formula.classes is not None:
        classes = graph.constant(_labels(formula.classes))
        graph.add("Gather", classes, graph.add("ArgMax", name, axis=1, keepdims=0), name="label")
        kind = graph.initializers[-1].data_type
        outputs.insert(0, onnx.helper.make_tensor_value_info("label", kind, ["N"]))
    inputs = [onnx.helper.make_tensor_value_info("X", real, ["N", formula.n_in])]
    return onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "network", inputs, outputs, graph.initializers),
        producer_name="fastmlp",
        producer_version=fastmlp.__version__,
        doc_string=ascii(formula.text)[1:-1],
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


def _labels(classes: Any) -> Any:
    """Classes as ONNX has them: whole numbers as int64, strings as bytes of UTF-8."""
    if classes.dtype.kind == "U":
        return np.array([name.encode("utf-8", "surrogatepass") for name in classes.tolist()], object)
    if classes.dtype.kind == "S":
        return np.array(classes.tolist(), object)
    return classes.astype(np.int64 if classes.dtype.kind in "biu" else np.float64)


class _Graph:
    """Nodes and constants that are added one after the other; what is added is named by its output."""

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._numbers: dict[float, str] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        out = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [out], name=f"{operator}_{len(self.nodes)}", **attributes))
        return out

    def constant(self, array: Any) -> str:
        name, helper = f"constant_{len(self.initializers)}", self.onnx.helper
        if array.dtype == object:
            tensor = helper.make_tensor(name, self.onnx.TensorProto.STRING, array.shape, array.tolist())
        else:
            tensor = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        self.initializers.append(tensor)
        return name

    def number(self, value: float) -> str:
        if value not in self._numbers:
            self._numbers[value] = self.constant(np.array(value, self.dtype))
        return self._numbers[value]

    def network(self, layers: tuple[DenseLayer, ...]) -> str:
        a = "X"
        for weights, biases, activation in layers:
            matrix = self.constant(weights)
            z = self.add("MatMul", a, matrix) if biases is None else self.add("Gemm", a, matrix, self.constant(biases))
            a = ACTIVATIONS[activation](self, z)
        return a


def _scaled(graph: _Graph, factor: float, *parts: str) -> str:
    product = graph.number(factor)
    for part in parts:
        product = graph.add("Mul", product, part)
    return product


def _more(graph: _Graph, z: str, value: float = 1) -> str:
    return graph.add("Add", z, graph.number(value))


def _elu(graph: _Graph, z: str) -> str:
    zero = graph.number(0)
    below = graph.add("Sub", graph.add("Exp", graph.add("Min", z, zero)), graph.number(1))
    return graph.add("Add", graph.add("Max", z, zero), below)


def _softplus(graph: _Graph, z: str) -> str:
    falling = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    return graph.add("Add", graph.add("Max", z, graph.number(0)), graph.add("Log", _more(graph, falling)))


def _gelu(graph: _Graph, z: str) -> str:
    if graph.dtype != np.float32:
        raise ValueError("onnxruntime has no gelu of float64; say dtype='float32', or gelu_tanh in training")
    return _scaled(graph, 0.5, z, _more(graph, graph.add("Erf", _scaled(graph, 0.5**0.5, z))))


def _gelu_tanh(graph: _Graph, z: str) -> str:
    square = graph.add("Min", graph.add("Mul", z, z), graph.number(100))
    tanh = graph.add("Tanh", _scaled(graph, 0.7978845608028654, z, _more(graph, _scaled(graph, 0.044715, square))))
    return _scaled(graph, 0.5, z, _more(graph, tanh))


ACTIVATIONS: dict[str, Callable[[_Graph, str], str]] = {
    "identity": lambda graph, z: z,
    "sigmoid": lambda graph, z: graph.add("Sigmoid", z),
    "tanh": lambda graph, z: graph.add("Tanh", z),
    "relu": lambda graph, z: graph.add("Relu", z),
    "leaky_relu": lambda graph, z: graph.add("Max", z, _scaled(graph, 0.01, z)),
    "elu": _elu,
    "softplus": _softplus,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda graph, z: graph.add("Mul", z, graph.add("Sigmoid", z)),
    "exp": lambda graph, z: graph.add("Exp", z),
    "softmax": lambda graph, z: graph.add("Softmax", z, axis=1),
}
