"""A model's file: what stands in it, and no file that can do harm."""

import errno
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from model_files import (
    assert_refused,
    header_of,
    history,
    members_of,
    network,
    rewrite,
    rewrite_entry,
    rewrite_header,
    round_trip,
    same_array,
    same_network,
)

import fastmlp
from fastmlp import storage

pytestmark = pytest.mark.versions


@pytest.fixture
def saved(tmp_path):
    """A small model's file, its path and its bytes."""
    path = tmp_path / "m.npz"
    network((1, 1), history=history(1, validated=False)).save(path)
    return path, path.read_bytes()


def test_a_file_of_the_first_version_is_read(saved):
    path, _ = saved
    rewrite_header(path, version=1)
    assert "made_with" not in header_of(path)["networks"][0]
    assert fastmlp.load(path).made_with == {}


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


@pytest.mark.parametrize(
    "text",
    ["{'descr': '<f8', (", "{[]: 1}", "',,,'", "  {}\n {}", "lambda: 0", "(" * 900, "{'descr': '<U0', 'shape': (2,), }", "\0", ""],
    ids=lambda text: repr(text[:30]),
)
def test_what_stands_for_the_header_of_an_array_is_not_parsed_as_python(saved, text):
    path, _ = saved
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    head = text.encode().ljust(118)
    contents["theta_0.npy"] = b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head + bytes(16)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert_refused(path, "theta_0 is not an array of numbers or strings in the npy format")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_each_version_of_the_npy_format_is_read(saved, version, tmp_path):
    path, _ = saved
    model, members = fastmlp.load(path), members_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, version=version)
    assert same_network(fastmlp.load(path), model)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "k" * 15_000_000},
        {"version": 10**400},
        {"version": -(10**400)},
        {"made_with": {"a": json.loads("[" * 90 + "]" * 90)}},
        {"layer_sizes": [10**400, 1]},
        {"epochs": 10**400, "trained": True, "stopped_by": "epochs", "validation": False},
        {"stopped_by": "a\x1b[31m"},
        {"stopped_by": "e" * 15_000_000},
        {"output": "e" * 15_000_000},
        {"dtype": "\ud800"},
        {"layer_sizes": [1] * 10_000, "activations": ["tanh"] * 9_998},
        {"huber_delta": float("nan")},
        {"huber_delta": float("inf")},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_nothing_in_a_header_is_too_large_to_be_told_in_a_sentence(saved, fields):
    path, _ = saved
    (rewrite_header if fields.keys() <= {"kind", "version"} else rewrite_entry)(path, **fields)
    assert_refused(path)


@pytest.mark.parametrize("text", [b"[" * 10**6, b'{"version": ' + b"1" * 10_000 + b"}"], ids=["nested", "number"])
def test_json_that_python_does_not_read_is_no_header(saved, text):
    path, _ = saved
    rewrite(path, header=np.frombuffer(text, np.uint8))
    assert_refused(path, "its header cannot be read as JSON")


def test_strings_and_booleans_have_values_that_there_are(tmp_path):
    path = tmp_path / "m.npz"
    for classes, bad in ((["a", "b"], np.array([65, 0x110000], np.uint32).view("U1")), ([False, True], np.array([0, 2], np.uint8))):
        network((1, 2), output="softmax", loss="cross_entropy", classes=np.array(classes)).save(path)
        rewrite(path, classes_0=bad.view(bool) if bad.dtype == np.uint8 else bad)
        assert_refused(path, "classes_0 has a value that no")


@pytest.mark.parametrize("classes", [["a", "b"], [b"a", b"b"], [False, True], [1, 2], [0.5, 1.5]], ids=str)
def test_labels_of_every_kind_come_back(classes, tmp_path):
    model = network((1, 2), output="softmax", loss="cross_entropy", classes=np.array(classes))
    assert same_network(round_trip(model, tmp_path), model)


def test_a_disk_that_cannot_be_read_is_no_damage(saved, monkeypatch):
    path, _ = saved

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        fastmlp.load(path)
    assert caught.value.filename == str(path)
