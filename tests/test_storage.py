"""A model and its file: exact round trips, and no file that can do harm."""

import json
import os
import pickle
import re
import stat
import zipfile
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import fastmlp
from fastmlp import files, storage
from fastmlp.images.classifier import ImageClassifier
from fastmlp.networks.history import History
from fastmlp.networks.mlp import MLP
from fastmlp.training.many import train_many


def network(layer_sizes=(3, 4, 2), *, dtype=np.float64, bias=True, output="identity", loss="squared_error", **more):
    count = sum((n_in + bias) * n_out for n_in, n_out in pairwise(layer_sizes))
    theta = np.random.default_rng(7).normal(size=count).astype(dtype)
    activations = ("tanh", "relu", "sigmoid")[: len(layer_sizes) - 2]
    return MLP(layer_sizes, theta, activations=activations, output=output, loss_name=loss, bias=bias, **more)


def history(epochs=3, validated=True):
    losses = np.random.default_rng(8).random((2, epochs))
    return History(losses[0], losses[1] if validated else None, epochs, "epochs")


def image_classifier(method):
    if method == "softmax":
        labels = np.array(["circle", "line"])
        networks = (network((3, 5, 2), output="softmax", loss="cross_entropy", classes=labels, history=history()),)
    else:
        networks = tuple(network((3, 3, 1), bias=False, history=history(epochs)) for epochs in (2, 5))
    return ImageClassifier(["circle", "line"], networks, "ink", method)


def same_array(a, b):
    return (a is None and b is None) or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def same_network(a, b):
    named = ("layer_sizes", "activations", "output", "loss_name", "bias", "dtype")
    return (
        all(getattr(a, name) == getattr(b, name) for name in named)
        and same_array(a.theta, b.theta)
        and same_array(a.classes, b.classes)
        and (a.history is None) == (b.history is None)
        and (a.history is None or same_history(a.history, b.history))
    )


def same_history(a, b):
    return (
        same_array(a.loss, b.loss)
        and same_array(a.validation_loss, b.validation_loss)
        and (a.epochs, a.stopped_by) == (b.epochs, b.stopped_by)
    )


def round_trip(model, folder):
    model.save(folder / "m.npz")
    return fastmlp.load(folder / "m.npz")


@pytest.fixture
def saved(tmp_path):
    """A small model's file, its path and its bytes."""
    path = tmp_path / "m.npz"
    network((1, 1), history=history(1, validated=False)).save(path)
    return path, path.read_bytes()


def members_of(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def header_of(path):
    return json.loads(members_of(path)["header"].tobytes())


def rewrite(path, **arrays):
    """The file again, as numpy.savez writes it, with some of its arrays replaced, and without those that are None."""
    members = members_of(path) | arrays
    np.savez(path, **{name: array for name, array in members.items() if array is not None})


def rewrite_header(path, **fields):
    rewrite(path, header=np.frombuffer(json.dumps(header_of(path) | fields).encode(), np.uint8))


def rewrite_entry(path, **fields):
    """The file again, with some fields of its first network's entry replaced."""
    entry, *others = header_of(path)["networks"]
    rewrite_header(path, networks=[entry | fields, *others])


def assert_refused(path, reason="cannot be read"):
    with pytest.raises(ValueError, match=reason) as caught:
        fastmlp.load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and len(message) < 400


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer_sizes", [(1, 1), (3, 3, 1), (5, 4, 3, 2, 7)])
def test_a_network_comes_back_exactly(tmp_path, dtype, bias, layer_sizes):
    model = network(layer_sizes, dtype=dtype, bias=bias)
    assert same_network(round_trip(model, tmp_path), model)


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-3, 8]),
        np.array([0, 255], np.uint8),
        np.array([False, True]),
        np.array(["circle", "line"]),
        np.array(["", "a\udcffb", "日本"]),
        np.array([0.5, 1.5, 2.5]),
        None,
    ],
    ids=["int64", "uint8", "bool", "str", "any characters", "float64", "none"],
)
def test_labels_come_back_exactly(tmp_path, classes):
    outputs = 2 if classes is None else len(classes)
    model = network((3, 4, outputs), output="softmax", loss="cross_entropy", classes=classes)
    assert same_network(round_trip(model, tmp_path), model)


def test_two_labels_of_one_sigmoid_output_come_back(tmp_path):
    model = network((3, 1), output="sigmoid", loss="cross_entropy_bits", classes=np.array([False, True]))
    assert same_network(round_trip(model, tmp_path), model)


@pytest.mark.parametrize("training", [None, history(0), history(200, validated=False), history(200)])
def test_the_history_comes_back_exactly(tmp_path, training):
    model = network(history=training)
    assert same_network(round_trip(model, tmp_path), model)


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_an_image_classifier_comes_back_exactly(tmp_path, method):
    model = image_classifier(method)
    again = round_trip(model, tmp_path)
    assert (again.classes, again.extractor, again.method) == (model.classes, model.extractor, model.method)
    assert all(map(same_network, again.networks, model.networks)) and len(again.networks) == len(model.networks)


MADE_WITH = {"seed": 2**64 - 1, "rows": 40, "options": {"l2": 0.1, "batch_size": None}, "versions": {"numpy": "2"}}


def test_what_a_model_was_made_with_comes_back_exactly(tmp_path):
    model = image_classifier("one-vs-rest")
    made = replace(model, made_with=MADE_WITH | {"images": {"circle": 20, "日本": 20}, "validation": {"loss": [0.1, None]}})
    model.networks[1].made_with = MADE_WITH
    again = round_trip(made, tmp_path)
    assert again.made_with == made.made_with
    assert [network.made_with for network in again.networks] == [{}, MADE_WITH]
    assert round_trip(network(made_with=MADE_WITH), tmp_path).made_with == MADE_WITH

    X = np.random.default_rng(0).normal(size=(9, 2))
    population = train_many(X, X[:, 0], members=2, hidden=1, epochs=1)
    again = round_trip(population, tmp_path)
    assert again.made_with == population.made_with and again[1].made_with == population[1].made_with


def test_a_file_of_the_first_version_is_read(saved):
    path, _ = saved
    rewrite_header(path, version=1)
    assert "made_with" not in header_of(path)["networks"][0]
    assert fastmlp.load(path).made_with == {}


def test_a_classifier_of_the_first_version_and_its_ink_is_read_with_a_warning(tmp_path):
    path, model = tmp_path / "m.npz", image_classifier("softmax")
    model.save(path)
    assert same_network(fastmlp.load(path).networks[0], model.networks[0])
    rewrite_header(path, version=1)
    with pytest.warns(
        UserWarning, match=r"m\.npz comes from an earlier version, to whose 'ink' a thick stroke was more than a line"
    ):
        again = fastmlp.load(path)
    assert again.extractor == "ink"
    assert same_network(again.networks[0], model.networks[0])


def test_extreme_parameters_come_back_exactly(tmp_path):
    model = network((2, 2))
    model.theta[:] = [np.finfo(float).max, -np.finfo(float).tiny, 5e-324, -0.0, 0.1, -1e308]
    assert same_network(round_trip(model, tmp_path), model)


def test_a_loaded_model_can_be_changed(tmp_path):
    model = round_trip(network(), tmp_path)
    model.theta[0] = 5.0
    assert model.weights[0][0, 0] == 5.0


def test_equal_models_give_equal_bytes(tmp_path):
    for name in "ab":
        network(history=history()).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_numpy_reads_the_file_too(tmp_path):
    model = network(history=history())
    model.save(tmp_path / "m.npz")
    members = members_of(tmp_path / "m.npz")
    assert members.keys() == {"header", "theta_0", "loss_0", "validation_loss_0"}
    assert same_array(members["theta_0"], model.theta)


def test_a_model_from_a_machine_of_the_other_byte_order_is_read(saved):
    path, _ = saved
    model, members = fastmlp.load(path), members_of(path)
    rewrite(path, theta_0=members["theta_0"].astype(members["theta_0"].dtype.newbyteorder()))
    assert same_network(fastmlp.load(path), model)


# Saving


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
    model = network()
    model.theta[3] = np.nan
    with pytest.raises(ValueError, match="theta has a value that is not finite"):
        model.save(tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["write_array", "fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, moment, failure):
    path = tmp_path / "m.npz"
    network((1, 1)).save(path)
    before = path.read_bytes()

    def fail(*args, **options):
        raise failure

    monkeypatch.setattr(np.lib.format if moment == "write_array" else os, moment, fail)
    with pytest.raises(type(failure)):
        network().save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_names_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def refuse(path, *args, **options):
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(files, "open", refuse, raising=False)
    with pytest.raises(OSError, match="Read-only") as caught:
        network().save(tmp_path / "m.npz")
    assert caught.value.filename == str(tmp_path / "m.npz")


def test_a_saved_file_has_usual_permissions_or_those_of_the_one_that_it_replaces(tmp_path):
    path = tmp_path / "m.npz"
    network((1, 1)).save(path)
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    path.chmod(0o600)
    network().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert same_network(fastmlp.load(path), network())


def array_file(path):
    np.savez(path, header=np.arange(3.0), theta_0=np.zeros(5))


@pytest.mark.parametrize(
    "write",
    [lambda path: path.write_bytes(b"notes"), array_file, lambda path: path.write_bytes(b"PK\3\4 and so on")],
    ids=["text", "arrays", "zip"],
)
@pytest.mark.parametrize("linked", [False, True])
def test_nothing_but_a_model_is_written_over(write, linked, tmp_path):
    path = tmp_path / "m.npz"
    write(path)
    before = path.read_bytes()
    name = tmp_path / "link.npz" if linked else path
    if linked:
        name.symlink_to(path)
    with pytest.raises(ValueError, match=f"{re.escape(str(name))} cannot be written: it is there and is not a fastmlp model$"):
        network().save(name)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1 + linked


@pytest.mark.parametrize(
    "model", [network(), image_classifier("softmax"), image_classifier("one-vs-rest")], ids=["network", "1", "2"]
)
def test_any_model_and_an_empty_file_are_written_over(model, tmp_path):
    (tmp_path / "m.npz").touch()
    round_trip(model, tmp_path)
    assert same_network(round_trip(network(), tmp_path), network())
    round_trip(model, tmp_path)


def test_what_is_not_whole_has_a_name_of_its_own_beside_the_file(tmp_path):
    assert files.unfinished("folder/a.b.csv") == "folder/a.b.unfinished.csv"
    assert files.unfinished("a", 3) == "a.unfinished-3"
    (tmp_path / "other").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "other" / "a.csv")
    assert files.unfinished(tmp_path / "link.csv") == str(tmp_path / "other" / "a.unfinished.csv")
    for name in ("a.unfinished.csv", "a.unfinished-2.csv", "a.unfinished-3.csv"):
        assert files.free_unfinished(tmp_path / "a.csv") == str(tmp_path / name)
        (tmp_path / name).touch()


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "m.npz")
    network().save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink() and (tmp_path / "m.npz").is_file()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "no" / "m.npz"))):
        network().save(tmp_path / "no" / "m.npz")
    with pytest.raises(ValueError, match="not a regular file"):
        network().save(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_device_is_neither_replaced_nor_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="not a regular file"):
        network().save(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert_refused(pipe, "not a regular file")


# Loading


def test_a_missing_file_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "m.npz"))):
        fastmlp.load(tmp_path / "m.npz")
    assert_refused(tmp_path, "not a regular file")


def test_a_file_truncated_at_any_byte_is_refused(saved):
    path, data = saved
    for length in reversed(range(len(data))):
        os.truncate(path, length)
        assert_refused(path)


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path, model, refused = tmp_path / "m.npz", network((1, 1)), 0
    model.save(path)
    with open(path, "r+b", buffering=0) as file:
        for place, byte in enumerate(path.read_bytes()):
            for bit in range(8):
                file.seek(place)
                file.write(bytes([byte ^ 1 << bit]))
                try:
                    assert same_network(fastmlp.load(path), model), f"bit {bit} of byte {place}"
                except ValueError as error:
                    assert str(path) in str(error)
                    refused += 1
            file.seek(place)
            file.write(bytes([byte]))
    # A checksum covers all that is data; what goes unnoticed are dates and the like in the zip format's own records.
    assert refused > 8 * sum(array.nbytes for array in members_of(path).values())


def test_a_newer_format_is_told_as_such(saved):
    path, _ = saved
    rewrite_header(path, version=3, novelty="unheard of")
    assert_refused(path, r"written by a newer fastmlp \(format 3; this one reads up to 2\)")


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_nothing_in_a_file_is_executed(saved, tmp_path, monkeypatch):
    path, _ = saved
    monkeypatch.chdir(tmp_path)
    path.write_bytes(pickle.dumps(Harm()))
    assert_refused(path, "something else than a model")
    path.unlink()
    network((1, 1)).save(path)
    rewrite(path, theta_0=np.array([Harm()], object))
    assert_refused(path)
    assert not (tmp_path / "harm").exists()


def test_a_zip_bomb_is_refused_unread(saved):
    path, _ = saved
    members = members_of(path)
    rewrite_entry(path, layer_sizes=[10**6, 1])
    header = members_of(path)["header"]
    np.savez_compressed(path, **(members | {"header": header, "theta_0": np.zeros(10**6 + 1)}))
    assert path.stat().st_size < 20_000
    assert_refused(path, "compressed member")


def test_members_that_claim_more_than_the_file_has_are_refused(saved):
    path, data = saved
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("theta_0.npy").file_size
    central = data.rindex(b"theta_0.npy") - 46  # the directory's entry, in which both sizes stand at 20 and 24
    assert data[central + 20 : central + 28] == 2 * size.to_bytes(4, "little")
    path.write_bytes(data[: central + 20] + 2 * (2**31).to_bytes(4, "little") + data[central + 28 :])
    assert_refused(path, "more bytes than the file has")


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "other"},
        {"version": 0},
        {"version": "1"},
        {"version": True},
        {"kind": "population"},
        {"kind": None},
        {"networks": []},
        {"networks": {}},
        {"networks": [None]},
        {"kind": "image-classifier"},
        {"made_with": {}},
        {"surplus": 1},
    ],
    ids=str,
)
def test_a_header_of_the_wrong_form_is_refused(saved, fields):
    path, _ = saved
    rewrite_header(path, **fields)
    assert_refused(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"layer_sizes": [10**30, 10**30]},
        {"layer_sizes": [-1, -1]},
        {"layer_sizes": [0, 1]},
        {"layer_sizes": [1]},
        {"layer_sizes": [1.0, 1]},
        {"layer_sizes": [2, 1]},
        {"layer_sizes": [1, True]},
        {"layer_sizes": "11"},
        {"activations": ["tanh"]},
        {"activations": [1]},
        {"layer_sizes": [1, 1, 1], "activations": ["tanh"]},
        {"output": "tan"},
        {"loss_name": "hinge"},
        {"bias": False},
        {"bias": 1},
        {"dtype": "float32"},
        {"dtype": "object"},
        {"dtype": "float16"},
        {"classes": True},
        {"trained": False},
        {"epochs": 2},
        {"epochs": -1},
        {"epochs": 10**30},
        {"validation": True},
        {"stopped_by": None},
        {"made_with": 1},
        {"made_with": {"options": []}},
        {"surplus": 1},
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_its_arrays_is_refused(saved, fields):
    path, _ = saved
    rewrite_entry(path, **fields)
    assert_refused(path)


def test_an_unknown_activation_is_named(tmp_path):
    path = tmp_path / "m.npz"
    network((2, 3, 1)).save(path)
    rewrite_entry(path, activations=["softsign"])
    assert_refused(path, "softsign")


@pytest.mark.parametrize(
    "arrays",
    [
        {"theta_0": np.array([1.0, np.nan])},
        {"theta_0": np.array([np.inf, 1.0])},
        {"theta_0": np.array([1, 2])},
        {"theta_0": np.array([[1.0, 2.0]])},
        {"theta_0": np.array([1.0, 2.0, 3.0])},
        {"theta_0": np.array(["1", "2"])},
        {"theta_0": None},
        {"loss_0": None},
        {"theta_1": np.array([1.0, 2.0])},
        {"header": None},
        {"header": np.array(5, np.uint8)},
        {"header": np.frombuffer(b"[]", np.uint8)},
        {"header": np.frombuffer(b"{", np.uint8)},
        {"header": np.frombuffer(b"\xff\xfe", np.uint8)},
        {"header": np.frombuffer(b"[" * 100_000, np.uint8)},
        {"header": np.zeros(storage.HEADER_LIMIT + 1, np.uint8)},
    ],
    ids=lambda arrays: f"{next(iter(arrays))}: {str(next(iter(arrays.values())))[:30]}",
)
def test_arrays_that_are_not_as_declared_are_refused(saved, arrays):
    path, _ = saved
    rewrite(path, **arrays)
    assert_refused(path)


def test_an_array_that_declares_more_than_it_has_is_refused_before_it_is_allocated(saved):
    path, _ = saved
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["theta_0.npy"] = contents["theta_0.npy"].replace(b"(2,), }         ", b"(2000000000,), }")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert_refused(path, "theta_0 has shape")
