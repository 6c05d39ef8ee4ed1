"""What a training takes is counted beforehand, and told in a sentence where the machine has less."""

import tracemalloc

import numpy as np
import pytest
from cases import one_sentence, toy

import fastmlp
from fastmlp import arrays, checks
from fastmlp.networks.metrics import of_classes

X, Y = toy(60)
MANY, LABELS = toy(200_000)
WIDE = {"hidden": (700, 700), "epochs": 2}


@pytest.fixture
def counted(monkeypatch):
    """The bytes that trainings are said to need."""
    found = []

    def note(what, needed):
        if what.startswith("training"):
            found.append(needed)

    monkeypatch.setattr(checks, "enough_memory", note)
    return found


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (60, WIDE),
        (60, WIDE | {"dtype": "float32"}),
        (60, WIDE | {"batch_size": None, "threads": 3}),
        (60, WIDE | {"keep_state": True}),
        (60, WIDE | {"batch_size": 1, "optimizer": "sgd", "learning_rate": 1e-4}),
        (200_000, {"hidden": 2, "epochs": 1}),
        (200_000, {"hidden": 2, "epochs": 1, "validation": 0.3, "bootstrap": True}),
        (200_000, {"hidden": 2, "epochs": 1, "batch_size": None}),
    ],
    ids=str,
)
def test_what_is_counted_is_what_is_taken(rows, options, counted):
    fastmlp.train(X, Y, seed=0, **options | {"epochs": 1})  # compiles
    tracemalloc.start()
    try:
        fastmlp.train(MANY[:rows], LABELS[:rows], seed=0, **options)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    blocks = 3 * 8 * arrays.BLOCK  # of rows that are looked at
    assert 0.9 * (taken - blocks) < counted[-1] < 2 * taken + blocks


@pytest.mark.parametrize("train", [fastmlp.train, fastmlp.train_many])
@pytest.mark.parametrize("hidden", [(50_000, 50_000), (2**31,) * 2, (2**53,) * 3, (2**53,) * 999])
def test_a_network_larger_than_memory_is_told_before_anything_is_taken(hidden, train, monkeypatch):
    monkeypatch.setattr(checks, "machine_memory", lambda: 64e9)
    tracemalloc.start()
    try:
        with one_sentence(["training a network of ", " on 60 rows would need ", " GB of memory; this machine has 64.0 GB"]):
            train(X, Y, hidden=hidden)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_a_network_to_go_on_from_is_counted_too(monkeypatch):
    model = fastmlp.train(X, Y, hidden=2000, epochs=1)
    monkeypatch.setattr(checks, "LITTLE", 0)
    monkeypatch.setattr(checks, "machine_memory", lambda: 1e5)
    with one_sentence(["training a network of 10001 parameters"]):
        fastmlp.train(X, Y, init=model)


def test_members_that_go_side_by_side_need_more_than_a_few_at_a_time(monkeypatch):
    """And those whose rows come in orders of their own more than those who see one order."""

    def stop_at_a_population(what, needed):
        if what == "a population of 200":
            raise MemoryError(needed)

    monkeypatch.setattr(checks, "enough_memory", stop_at_a_population)

    def bytes_for(**options):
        with pytest.raises(MemoryError) as told:
            fastmlp.train_many(X, Y, members=200, hidden=10_000, epochs=2, seed=0, **options)
        return told.value.args[0]

    few = bytes_for()
    assert bytes_for(halving=2) == bytes_for(on_epoch=print) > 2 * few
    assert bytes_for(data_seed=1) < few < bytes_for(bootstrap=True)


def test_a_copy_of_rows_that_are_not_contiguous_is_counted(monkeypatch):
    monkeypatch.setattr(checks, "machine_memory", lambda: 64e9)
    rows = np.broadcast_to(np.zeros(3), (2**33, 3))
    monkeypatch.setattr("fastmlp.arrays.finite", lambda name, array, dtype=None: array)  # which would look at each of them
    with one_sentence(["a copy of ndarray of shape (8589934592, 3) for the kernels would need 206.2 GB of memory"]):
        fastmlp.train(rows, Y)


def test_more_classes_than_a_confusion_matrix_can_hold_are_told(monkeypatch):
    monkeypatch.setattr(checks, "LITTLE", 0)
    monkeypatch.setattr(checks, "machine_memory", lambda: 31)
    with one_sentence(["the confusion matrix of 2 classes would need"]):
        of_classes(np.zeros((60, 2)), Y, np.array([0, 1]))


def test_more_answers_than_fit_in_memory_are_told(monkeypatch):
    many = fastmlp.train_many(X, Y, members=5, hidden=1, epochs=1)
    monkeypatch.setattr(checks, "LITTLE", 0)
    monkeypatch.setattr(checks, "machine_memory", lambda: 2000)
    for ask, shape in ((many.predict_proba_members, "(5, 60, 2)"), (many.predict_members, "(5, 60)")):
        with one_sentence([f"what members say, of shape {shape}, would need "]):
            ask(X)
