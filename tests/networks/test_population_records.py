"""Populations and their files: exact round trips, and files that do not fit together."""

import json
import os

import numpy as np
import pytest
from model_files import assert_refused, header_of, members_of, rewrite, rewrite_entry, rewrite_header, same_array
from populations import KINDS, SIGMOID, SOFTMAX, X, mixed, network, parts_of, population_of, same_member, same_population

import fastmlp
from fastmlp import DivergedError, Population, PopulationHistory


def fails(*args):
    raise OSError(28, "No space left on device")


def assert_comes_back(members, folder):
    members.save(folder / "p.npz")
    again = fastmlp.load(folder / "p.npz")
    assert isinstance(again, Population) and repr(again) == repr(members)
    assert same_population(again, members)
    return again


@KINDS
@pytest.mark.parametrize("validated", [True, False])
def test_a_population_comes_back_exactly(tmp_path, template, validated):
    single = network(template.layer_sizes, output=template.output, classes=template.classes, dtype=np.float32)
    again = assert_comes_back(population_of(template, single, template, validated=validated, same_targets=False), tmp_path)
    assert same_array(again.predict_members(X), population_of(template, single, template).predict_members(X))


def test_accuracies_that_were_monitored_come_back_exactly(tmp_path):
    members = mixed(diverged=(0, 4))
    members.history.validation_accuracy = 1 - members.history.validation_loss
    again = assert_comes_back(members, tmp_path)
    assert again.table.csv() == members.table.csv() and ",validation_accuracy," in again.table.csv()
    assert again[3].history.validation_accuracy.shape == again[3].history.loss.shape
    assert same_array(again[:3].history.validation_accuracy, members.history.validation_accuracy[:3])


def test_several_architectures_with_diverged_members_come_back_exactly(tmp_path):
    members = mixed(diverged=(0, 4))
    members.groups[0].theta[0, :3] = [np.inf, -np.inf, 1e308]
    members.history.stopped_by[1:4] = ["halving", "on_epoch", "patience"]
    again = assert_comes_back(members, tmp_path)
    assert np.array_equal(again.predict(X), members.predict(X)) and np.array_equal(again.spread(X), members.spread(X))
    assert again.table.csv() == members.table.csv()


def test_extreme_options_come_back_exactly(tmp_path):
    members = population_of(*[SIGMOID] * 4)
    members.options["seed"][:] = [0, 2**64, 2**128 - 1, 7]
    members.options["learning_rate"][:] = [5e-324, 0.1 + 0.2, 1e308, 1 / 3]
    members.scores[:] = [-0.0, np.inf, np.nan, 1e-300]
    assert_comes_back(members, tmp_path)
    assert_comes_back(members.best(), tmp_path)


def test_a_population_without_epochs_comes_back_and_has_a_table(tmp_path):
    parts = parts_of(population_of(SOFTMAX, SOFTMAX))
    parts["history"] = PopulationHistory(np.empty((2, 0)), None, np.zeros(2, np.int64), ["interrupt", "diverged"])
    parts["scores"] = np.full(2, np.nan)
    again = assert_comes_back(Population(**parts), tmp_path)
    assert again.table.columns["loss"] == pytest.approx([np.nan, np.nan], nan_ok=True)
    with pytest.raises(DivergedError, match="epoch 0"):
        again[1]


def test_a_loaded_population_can_be_changed(tmp_path):
    again = assert_comes_back(mixed(), tmp_path)
    again[3].theta[0] = 5
    assert again[3].weights[0][0, 0] == 5


def test_equal_populations_give_equal_bytes(tmp_path):
    for name in "ab":
        mixed().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_member_of_a_population_can_be_saved_alone(tmp_path):
    mixed()[4].save(tmp_path / "m.npz")
    assert same_member(fastmlp.load(tmp_path / "m.npz"), mixed()[4])


def test_weights_that_are_not_finite_are_not_saved_but_for_diverged_members(tmp_path):
    members = mixed(diverged=(2,))
    members[4].theta[3] = np.inf
    with pytest.raises(ValueError, match="theta of member 4 has a value that is not finite"):
        members.save(tmp_path / "p.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, moment):
    path = tmp_path / "p.npz"
    mixed()[:2].save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, moment, fails)
    with pytest.raises(OSError, match="No space left"):
        mixed().save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        mixed().save(tmp_path / "no" / "p.npz")


@pytest.fixture
def saved(tmp_path):
    """A population of two groups in a file: one member that diverged in the first, one in the second."""
    path = tmp_path / "p.npz"
    tiny = network((1, 1), output="sigmoid", classes=np.array([0, 1]))
    deep = network((1, 1, 1), output="sigmoid", classes=np.array([0, 1]))
    population_of(tiny, deep, tiny, diverged=(2,), epochs=2).save(path)
    return path


def test_a_file_truncated_at_any_byte_is_refused(saved):
    for length in range(saved.stat().st_size - 1, -1, -7):
        os.truncate(saved, length)
        assert_refused(saved)


def test_a_flipped_bit_is_noticed_or_changes_nothing(saved):
    members, data, refused = fastmlp.load(saved), saved.read_bytes(), 0
    stored = sum(array.nbytes for array in members_of(saved).values())
    for place in range(0, len(data), 3):
        saved.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        try:
            assert same_population(fastmlp.load(saved), members), f"byte {place}"
        except ValueError as error:
            assert str(saved) in str(error)
            refused += 1
    assert refused > stored // 3  # as in test_storage: what goes unnoticed are dates and the like


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "mlp"}, {"kind": "image-classifier"}, {"kind": ["population"]}, {"kind": "populations"}, {"version": 3},
        {"networks": []}, {"networks": [None]}, {"epochs": 3}, {"epochs": -2}, {"epochs": 10**30}, {"epochs": "2"},
        {"epochs": None}, {"validation": False}, {"validation": 1}, {"same_targets": None}, {"surplus": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_of_the_wrong_form_is_refused(saved, fields):
    rewrite_header(saved, **fields)
    assert_refused(saved)


@pytest.mark.parametrize(
    "fields",
    [
        {"members": 1}, {"members": 3}, {"members": 0}, {"members": -2}, {"members": 10**30}, {"members": True}, {"members": "2"},
        {"layer_sizes": [2, 1]}, {"layer_sizes": [10**30, 10**30]}, {"layer_sizes": [1, 2]}, {"dtype": "float32"}, {"bias": False},
        {"classes": False}, {"activations": ["tanh"]}, {"output": "softmax"}, {"loss_name": "hinge"}, {"trained": False},
        {"surplus": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_group_that_does_not_fit_its_arrays_is_refused(saved, fields):
    rewrite_entry(saved, **fields)
    assert_refused(saved)


def test_a_header_without_a_field_is_refused(saved):
    header = header_of(saved)
    for missing in header:
        fields = {name: value for name, value in header.items() if name != missing}
        rewrite(saved, header=np.frombuffer(json.dumps(fields).encode(), np.uint8))
        assert_refused(saved)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"theta_0": np.zeros(3)}, "theta_0 has"),
        ({"theta_0": np.zeros(4, np.int64)}, "dtype"),
        ({"theta_0": np.full(4, np.nan)}, "theta of member 0 has a value that is not finite"),
        ({"theta_1": np.full(4, np.inf)}, "theta of member 1 has a value that is not finite"),
        ({"theta_1": None}, "not those that its header declares"),
        ({"theta_2": np.zeros(2)}, "not those that its header declares"),
        ({"classes_0": np.array([0, 1, 2])}, "classes_0"),
        ({"classes_0": np.array(["no", "yes"])}, "classifiers by strings"),
        ({"members_0": np.array([0, 1])}, "must be in one group"),
        ({"members_0": np.array([2, 0])}, "ascending"),
        ({"members_0": np.array([0, 3])}, "must be in one group"),
        ({"members_0": np.array([-1, 0])}, "must be in one group"),
        ({"members_0": np.array([0.0, 2.0])}, "dtype"),
        ({"members_0": np.array([0])}, "members_0"),
        ({"scores": np.zeros(2)}, "scores"),
        ({"scores": np.zeros(3, np.float32)}, "scores"),
        ({"scores": None}, "not those that its header declares"),
        ({"epochs": np.array([1, 3, 1])}, "epochs must be from 0 to 2"),
        ({"epochs": np.array([1, -1, 1])}, "epochs must be from 0 to 2"),
        ({"stopped_by": np.array([1, 2, 3])}, "stopped_by text"),
        ({"stopped_by": np.array(["epochs", "diverged"])}, "stopped_by"),
        ({"stopped_by": np.array(["epochs"] * 3)}, "theta of member 2 has a value that is not finite"),
        ({"seed": np.array([1, 2, 3])}, "decimal digits"),
        ({"seed": np.array(["1", "-2", "3"])}, "decimal digits"),
        ({"seed": np.array(["1", "", "3"])}, "decimal digits"),
        ({"seed": np.array(["9" * 5000, "1", "3"])}, "cannot be read"),
        ({"learning_rate": np.array([0.1, np.nan, 0.1])}, "learning_rate has a value that is not finite"),
        ({"l2": np.array([0.1, 0.1, np.inf])}, "l2 has a value that is not finite"),
        ({"momentum": None}, "not those that its header declares"),
        ({"batch_size": np.array([1, -1, 1])}, "batch_size has a negative value"),
        ({"batch_size": np.array([1.0, 1.0, 1.0])}, "batch_size"),
        ({"loss": np.zeros((3, 2))}, "loss has shape"),
        ({"loss": np.zeros(5)}, "loss has"),
        ({"validation_loss": None}, "not those that its header declares"),
    ],
    ids=lambda value: f"{next(iter(value))}: {str(next(iter(value.values())))[:30]}" if isinstance(value, dict) else None,
)
def test_arrays_that_do_not_fit_are_refused(saved, arrays, reason):
    rewrite(saved, **arrays)
    assert_refused(saved, reason)


def test_a_population_of_too_many_architectures_for_the_header_is_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.storage.HEADER_LIMIT", 1500)
    with pytest.raises(ValueError, match="its 3 architectures are too many for one file"):
        mixed().save(tmp_path / "p.npz")
    assert not list(tmp_path.iterdir())


def test_a_group_of_nobody_is_told_as_such(saved):
    rewrite_entry(saved, members=0)
    assert_refused(saved, "a group in its header must have members; got 0")
