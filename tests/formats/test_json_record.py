"""Models as JSON: exact round trips, JSON that any program reads, and no file that can do harm."""

import json
from pathlib import Path

import numpy as np
import pytest
from model_files import assert_refused, history, image_classifier, network

import fastmlp

SAVED = sorted((Path(__file__).parents[1] / "saved").glob("*.npz"))
pytestmark = pytest.mark.versions


def refuse(word):
    raise AssertionError(word)


def content(path):
    return json.loads(path.read_text("ascii"), parse_constant=refuse)


def assert_comes_back(model, folder):
    model.export(folder / "m.json")
    again = fastmlp.load(folder / "m.json")
    model.save(folder / "a.npz")
    again.save(folder / "b.npz")
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    assert content(folder / "m.json")["format"] == "fastmlp"
    return again


@pytest.mark.parametrize("path", [path for path in SAVED if path.stem != "expected"], ids=lambda path: path.stem)
def test_a_saved_model_comes_back_to_the_last_bit(path, tmp_path):
    assert_comes_back(fastmlp.load(path), tmp_path)


@pytest.mark.parametrize(
    "classes",
    [["a", "b"], ["", "a\udcffb\n", "日本"], [b"a", b"\xff"], [False, True], [1, 2], [0.5, 1.5], np.array([0, 255], np.uint8)],
    ids=str,
)
def test_labels_of_every_kind_come_back(classes, tmp_path):
    labels = np.array(classes)
    again = assert_comes_back(network((3, len(labels)), output="softmax", loss="cross_entropy", classes=labels), tmp_path)
    assert again.classes.dtype == labels.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_numbers_come_back(dtype, tmp_path):
    model, info = network((2, 2), dtype=dtype), np.finfo(dtype)
    model.theta[:] = [info.max, -info.tiny, info.smallest_subnormal, -0.0, 0.1, -1e-30]
    assert_comes_back(model, tmp_path)


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_an_image_classifier_comes_back(method, tmp_path):
    assert isinstance(assert_comes_back(image_classifier(method), tmp_path), fastmlp.ImageClassifier)


def test_a_training_that_goes_on_and_names_of_features_come_back(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    model = fastmlp.train(X, y, epochs=3, hidden=3, seed=0, keep_state=True, validation=0.2)
    again = assert_comes_back(model, tmp_path)
    assert again.made_with == model.made_with and again.state.steps == model.state.steps


def test_a_network_whose_loss_is_a_function_comes_back_without_it(tmp_path):
    def square(prediction: float, target: float) -> tuple[float, float]:
        return (prediction - target) ** 2, 2 * (prediction - target)

    model = fastmlp.MLP.from_weights([np.eye(2)], loss=square)
    again = assert_comes_back(model, tmp_path)
    assert again.loss_name == "square" and again.loss_function is None


def test_diverged_members_come_back(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 3))
    population = fastmlp.train_many(X, X[:, 0], learning_rate=[0.01, 1e30], optimizer="sgd", epochs=9, seed=0)
    assert population.diverged.tolist() == [False, True]
    population.export(tmp_path / "m.json")
    again = fastmlp.load(tmp_path / "m.json")
    assert again.diverged.tolist() == [False, True] and again.options == population.options
    np.testing.assert_array_equal(again.groups[0].theta, population.groups[0].theta)  # whatever the bits of a nan are
    np.testing.assert_array_equal(again.history.loss, population.history.loss)
    assert "nan" in content(tmp_path / "m.json")["arrays"]["loss"]["values"]


def test_a_number_that_json_does_not_know_is_null_in_what_only_tells(tmp_path):
    model = network(made_with={"loss": [float("nan"), 1.5]})
    model.export(tmp_path / "m.json")
    content(tmp_path / "m.json")
    assert fastmlp.load(tmp_path / "m.json").made_with == {"loss": [None, 1.5]}


def test_another_program_finds_the_weights_where_the_text_says(tmp_path):
    model = network((3, 4, 2))
    model.export(tmp_path / "m.json")
    theta = content(tmp_path / "m.json")["arrays"]["theta_0"]["values"]
    assert np.array_equal(np.reshape(theta[:12], (3, 4)), model.weights[0]) and theta[12:16] == model.biases[0].tolist()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.json"
    network((1, 1), history=history(1, validated=False)).export(path)
    return path, content(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "other"}, {"version": 0}, {"version": True}, {"kind": "population"}, {"kind": []}, {"networks": []},
        {"networks": [None]}, {"made_with": {}}, {"surplus": 1}, {"arrays": None}, {"arrays": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_of_the_wrong_form_is_refused(saved, fields):
    path, header = saved
    path.write_text(json.dumps(header | fields))
    assert_refused(path)


@pytest.mark.parametrize(
    "entry",
    [
        None, [], {"dtype": "float64"}, {"dtype": "float64", "values": [1.0, 2.0], "more": 1},
        {"dtype": "float32", "values": [1.0, 2.0]}, {"dtype": "object", "values": [1.0, 2.0]},
        {"dtype": "float64", "values": [1.0]},
        {"dtype": "float64", "values": [1.0, 2.0, 3.0]}, {"dtype": "float64", "values": "12"},
        {"dtype": "float64", "values": [1.0, None]}, {"dtype": "float64", "values": [1.0, True]},
        {"dtype": "float64", "values": [1.0, "2"]}, {"dtype": "float64", "values": [1.0, [2.0]]},
        {"dtype": "float64", "values": [1.0, "nan"]}, {"dtype": "float64", "values": [1.0, 10**400]},
    ],
    ids=lambda entry: str(entry)[:60],
)  # fmt: skip
def test_arrays_that_are_not_as_declared_are_refused(saved, entry):
    path, header = saved
    header["arrays"]["theta_0"] = entry
    path.write_text(json.dumps(header))
    assert_refused(path)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_number_that_is_not_finite_must_be_said_in_words(saved, number):
    path, header = saved
    header["arrays"]["theta_0"]["values"] = [0.25, 0.5]
    path.write_text(json.dumps(header).replace("0.25", number))
    assert_refused(path)


def test_a_number_that_float32_has_not_is_refused(tmp_path):
    network((1, 1), dtype=np.float32).export(tmp_path / "m.json")
    header = content(tmp_path / "m.json")
    header["arrays"]["theta_0"]["values"] = [1e300, 1.0]
    (tmp_path / "m.json").write_text(json.dumps(header))
    assert_refused(tmp_path / "m.json", "theta_0 has a value that no float32 has")


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "str", "bytes"])
def test_labels_that_are_no_such_values_are_refused(dtype, tmp_path):
    network((1, 2), output="softmax", loss="cross_entropy", classes=np.array([1, 2])).export(tmp_path / "m.json")
    header = content(tmp_path / "m.json")
    header["arrays"]["classes_0"] = {"dtype": dtype, "values": [-300, 300]}
    (tmp_path / "m.json").write_text(json.dumps(header))
    assert_refused(tmp_path / "m.json")


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "[" * 10**5, '{"version": ' + "1" * 10_000 + "}", "\xff"], ids=lambda text: text[:9]
)
def test_what_is_no_such_json_is_refused(text, tmp_path):
    (tmp_path / "m.json").write_text(text, "latin1")
    assert_refused(tmp_path / "m.json")


def test_a_file_cut_anywhere_is_refused(saved):
    path, _ = saved
    data = path.read_bytes()
    for length in range(len(data) - 2):
        path.write_bytes(data[:length])
        assert_refused(path)


def test_a_newer_format_is_told_as_such(saved):
    path, header = saved
    path.write_text(json.dumps(header | {"version": 3, "novelty": 1}))
    assert_refused(path, r"written by a newer fastmlp \(format 3; this one reads up to 2\)")


def test_no_dtype_can_be_wished(tmp_path):
    with pytest.raises(ValueError, match=r"dtype cannot be said of \.json"):
        network().export(tmp_path / "m.json", dtype="float32")
    assert not list(tmp_path.iterdir())
