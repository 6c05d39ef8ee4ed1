"""Files of ONNX as MLPs: those that we write, and those of PyTorch and skl2onnx; and what is no plain MLP."""

import sys

import numpy as np
import pytest
from exports import PAIRS, case, outputs_of
from model_files import network

import fastmlp

onnx = pytest.importorskip("onnx")
helper = onnx.helper
rng = np.random.default_rng(0)
X = rng.normal(size=(30, 3)).astype(np.float32)
W, B, V, C = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), 5, (5, 2), 2))
HIDDEN = np.tanh(X @ W + B)


def written(path, nodes, *, outputs=("y",), constants=(), domains=("",), inputs=("x",)):
    """A file of these nodes, which are (operator, inputs, outputs, attributes)."""
    given = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 3]) for name in inputs]
    ends = [helper.make_empty_tensor_value_info(name) for name in outputs]
    made = [helper.make_node(kind, taken, out, **more) for kind, taken, out, more in nodes]
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()]
    graph = helper.make_graph(made, "g", given, ends, tensors)
    imports = [helper.make_opsetid(domain, 1 if domain else 13) for domain in domains]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=7), path)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("activation", "output"), PAIRS)
def test_what_we_write_comes_back(activation, output, dtype, tmp_path):
    model, rows = case(activation, output, dtype)
    if (activation, dtype) == ("gelu", np.float64):
        return  # which is not written
    model.export(tmp_path / "m.onnx")
    again = fastmlp.from_onnx(tmp_path / "m.onnx")
    assert (again.activations, again.output) == (model.activations, model.output)
    assert again.theta.tobytes() == model.theta.tobytes() and again.dtype == dtype
    assert (again.classes is None) == (model.classes is None)
    assert np.array_equal(outputs_of(again, rows), outputs_of(model, rows))


@pytest.mark.parametrize("classes", [["a", "日本"], [-5, 7]], ids=str)
@pytest.mark.parametrize("outputs", [1, 2])
def test_labels_come_back(classes, outputs, tmp_path):
    output = "sigmoid" if outputs == 1 else "softmax"
    network((3, 4, outputs), output=output, loss="cross_entropy", classes=np.array(classes)).export(tmp_path / "m.onnx")
    assert fastmlp.from_onnx(tmp_path / "m.onnx").classes.tolist() == classes
    assert fastmlp.from_onnx(tmp_path / "m.onnx", classes=["x", "y"]).classes.tolist() == ["x", "y"]


def test_a_network_without_biases_and_one_without_hidden_layers(tmp_path):
    for sizes in (3, 4, 2), (3, 2):
        model = network(sizes, bias=False)
        model.export(tmp_path / "m.onnx")
        again = fastmlp.from_onnx(tmp_path / "m.onnx")
        assert again.layer_sizes == sizes and again.theta.tobytes() == model.theta.tobytes() and not again.bias


def test_what_skl2onnx_writes_of_a_classifier_of_two(tmp_path):
    nodes = [
        ("Cast", ["x"], ["x1"], {"to": 1}),
        ("MatMul", ["x1", "w"], ["m"], {}), ("Add", ["m", "b"], ["a"], {}), ("Tanh", ["a"], ["t"], {}),
        ("MatMul", ["t", "v"], ["m2"], {}), ("Add", ["m2", "c"], ["a2"], {}), ("Sigmoid", ["a2"], ["p"], {}),
        ("Sub", ["one", "p"], ["q"], {}), ("Concat", ["q", "p"], ["y"], {"axis": 1}),
        ("ArgMax", ["y"], ["k"], {"axis": 1}),
        ("ArrayFeatureExtractor", ["classes", "k"], ["l"], {"domain": "ai.onnx.ml"}),
        ("Reshape", ["l", "shape"], ["label"], {}),
    ]  # fmt: skip
    constants = {
        "w": W, "b": B[None], "v": V[:, :1], "c": C[:1], "one": np.float32(1), "classes": np.array([3, 8]), "shape": np.array([-1]),
    }  # fmt: skip
    path = written(tmp_path / "m.onnx", nodes, outputs=("label", "y"), constants=constants, domains=("", "ai.onnx.ml"))
    model = fastmlp.from_onnx(path)
    assert model.activations == ("tanh",) and model.output == "sigmoid" and model.classes.tolist() == [3, 8]
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-(HIDDEN @ V[:, 0] + C[0]))), atol=1e-6)


@pytest.mark.parametrize("normal", [True, False])
def test_scaling_is_folded_in(normal, tmp_path):
    mean, variance, scale, shift = (rng.random(3).astype(np.float32) + 0.5 for _ in range(4))
    if normal:
        first = ("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], ["n"], {})
        scaled = (X - mean) / np.sqrt(variance + 1e-5) * scale + shift
    else:
        first = ("Scaler", ["x"], ["n"], {"offset": mean, "scale": scale, "domain": "ai.onnx.ml"})
        scaled = (X - mean) * scale
    nodes = [first, ("Gemm", ["n", "w", "b"], ["h"], {}), ("Relu", ["h"], ["r"], {}), ("Gemm", ["r", "v"], ["y"], {"alpha": 0.5})]
    constants = {"w": W, "b": B, "v": V, "mean": mean, "variance": variance, "scale": scale, "shift": shift}
    constants = constants if normal else {name: constants[name] for name in "wbv"}
    model = fastmlp.from_onnx(written(tmp_path / "m.onnx", nodes, constants=constants, domains=("", "ai.onnx.ml")))
    np.testing.assert_allclose(model.predict(X), np.maximum(scaled @ W + B, 0) @ V / 2, atol=1e-5)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "ReLU", "LeakyReLU", "ELU", "Softplus", "GELU", "SiLU", "Identity"])
@pytest.mark.filterwarnings("ignore")
def test_what_pytorch_writes(name, tmp_path):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(3, 5), nn.BatchNorm1d(5), getattr(nn, name)(), nn.Dropout(), nn.Linear(5, 4), nn.Softmax(1)
    ).eval()
    example = torch.from_numpy(X)
    torch.onnx.export(module, (example,), str(tmp_path / "m.onnx"), dynamo=False)
    model = fastmlp.from_onnx(tmp_path / "m.onnx")
    with torch.no_grad():
        np.testing.assert_allclose(model.predict(X), module(example).numpy(), atol=1e-6)


LAYER, LAST = ("Gemm", ["x", "w", "b"], ["h"], {}), ("Gemm", ["t", "v", "c"], ["y"], {})


@pytest.mark.parametrize(
    ("nodes", "part"),
    [
        ([LAYER, ("Sin", ["h"], ["t"], {}), LAST], "Sin"),
        ([LAYER, ("Elu", ["h"], ["t"], {"alpha": 0.5}), LAST], "Elu"),
        ([LAYER, ("Tanh", ["h"], ["y"], {})], "tanh as activation of its outputs"),
        ([LAYER, ("Sin", ["h"], ["y"], {})], "Sin"),
        ([("Tanh", ["x"], ["y"], {})], "no layer follows its input, but the operator Tanh"),
        ([("Tanh", ["x"], ["t0"], {}), ("Gemm", ["t0", "w", "b"], ["y"], {})], "Tanh comes before the first layer"),
        ([LAYER, ("Tanh", ["h"], ["t"], {}), (*LAST[:2], ["z"], {}), ("Add", ["z", "z"], ["y"], {})], "Add"),
        ([LAYER, ("Gemm", ["x", "w", "b"], ["g"], {}), ("Add", ["h", "g"], ["y"], {})], "Gemm and the operator Gemm take the same"),
        ([("Gemm", ["x", "w", "b"], ["y"], {"transA": 1})], "transA"),
        ([LAYER, ("Cast", ["h"], ["t"], {"to": 7}), LAST], "Cast"),
        ([("Flatten", ["x"], ["t"], {"axis": 0}), LAST], "Flatten comes before the first layer"),
        ([("MatMul", ["w3", "x"], ["y"], {})], "second factor"),
        ([("MatMul", ["x", "x"], ["y"], {})], "no constant"),
        ([("Gemm", ["x", "v", "c"], ["y"], {}), ("Gemm", ["y", "v", "c"], ["z"], {})], "does not fit"),
    ],
    ids=range(14),
)
def test_what_is_no_plain_mlp_is_named(nodes, part, tmp_path):
    constants = {"w": W, "b": B, "v": V, "c": C, "w3": W[:, :3]}
    path = written(tmp_path / "m.onnx", nodes, constants=constants)
    with pytest.raises(ValueError) as caught:
        fastmlp.from_onnx(path)
    message = str(caught.value)
    assert part in message and str(path) in message and "\n" not in message, message


def test_an_ensemble_is_no_plain_mlp(tmp_path):
    fastmlp.train_many(X, X[:, 0], members=2, epochs=1, seed=0).export(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"the operator Gemm .* and the operator Gemm .* take the same values"):
        fastmlp.from_onnx(tmp_path / "m.onnx")


def test_what_is_no_onnx_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastmlp.from_onnx(tmp_path / "none.onnx")
    with pytest.raises(IsADirectoryError):
        fastmlp.from_onnx(tmp_path)
    for content in (b"", b"not ONNX", bytes(100)):
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(ValueError, match=r"m\.onnx cannot be read as ONNX$"):
            fastmlp.from_onnx(tmp_path / "m.onnx")


def test_whatever_is_damaged_is_told_in_a_sentence(tmp_path):
    path, draws = tmp_path / "m.onnx", np.random.default_rng(0)
    network((3, 4, 2), output="softmax", loss="cross_entropy", classes=np.array(["a", "b"])).export(path)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(300):
        damaged = data.copy()
        damaged[draws.integers(len(data), size=2)] = draws.integers(256, size=2)
        path.write_bytes(damaged.tobytes())
        try:
            fastmlp.from_onnx(path)
        except ValueError as error:
            assert "\n" not in str(error) and str(path) in str(error)


def test_without_the_library_a_sentence_says_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fastmlp\[onnx\]'"):
        fastmlp.from_onnx(tmp_path / "m.onnx")
