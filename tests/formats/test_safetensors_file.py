"""The numbers of networks as .safetensors, which the library of that name reads."""

import json

import numpy as np
import pytest
from model_files import image_classifier, network

import fastmlp

safetensors = pytest.importorskip("safetensors")


def read(model, path, **options):
    model.export(path, **options)
    with safetensors.safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118, as it is no dict


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_each_layer_has_its_arrays(dtype, bias, tmp_path):
    model = network((3, 5, 2), dtype=dtype, bias=bias)
    tensors, metadata = read(model, tmp_path / "m.safetensors")
    expected = {f"W{i}": w for i, w in enumerate(model.weights)} | {f"b{i}": b for i, b in enumerate(model.biases)}
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        assert tensors[name].dtype == dtype and tensors[name].shape == array.shape and tensors[name].tobytes() == array.tobytes()
    assert json.loads(metadata["activations"]) == [["tanh", "identity"]] and "classes" not in metadata


def test_names_of_classes_are_told(tmp_path):
    model = network((3, 2), output="softmax", loss="cross_entropy", classes=np.array(['a"b', "日本"]))
    assert json.loads(read(model, tmp_path / "m.safetensors")[1]["classes"]) == ['a"b', "日本"]


def test_several_networks_are_numbered(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 3))
    population = fastmlp.train_many(X, X[:, 0], members=2, epochs=1, seed=0)
    tensors, metadata = read(population, tmp_path / "m.safetensors")
    assert np.array_equal(tensors["1.W1"], population[1].weights[1]) and metadata["combined"] == "mean"
    assert read(image_classifier("one-vs-rest"), tmp_path / "m.safetensors")[1]["combined"] == "columns"


def test_a_dtype_may_be_wished_and_equal_models_give_equal_bytes(tmp_path):
    for name in "ab":
        assert read(network(), tmp_path / f"{name}.safetensors", dtype="float32")[0]["W0"].dtype == np.float32
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
