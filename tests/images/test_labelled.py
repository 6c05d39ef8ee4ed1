"""Folders of labelled images: folders for classes, answer files, and what is neither."""

import csv
import os

import numpy as np
import pytest
from drawings import ROOT, THREADS, bar, write_answers, write_bars

from fastmlp.images import fitting
from fastmlp.images.content import ImageError
from fastmlp.images.extractors import extract
from fastmlp.images.folders import extract_features, train_folder
from fastmlp.images.labelled import labelled_images
from fastmlp.training.train import train


def trained_on(monkeypatch, folder, **options):
    """The features and labels that train_folder gives to train, of the extractor "ink" unless another is asked for."""
    seen = []

    def watched(X, y, **options):
        seen.append((X, y))
        return train(X, y, **options)

    monkeypatch.setattr(fitting, "train", watched)
    train_folder(folder, epochs=1, **{"extractor": "ink", **options})
    return seen[0]


def test_folders_are_classes(class_folders, monkeypatch):
    (class_folders / "notes.txt").write_text("no answers")
    (class_folders / ".cache").mkdir()
    with pytest.warns(UserWarning, match=r"^left out: \.cache \(hidden\)$"):
        features, labels = trained_on(monkeypatch, class_folders)
    assert labels.tolist() == ["lying"] * 14 + ["upright"] * 14
    assert np.array_equal(features, extract_features(class_folders).features)


def test_answer_files_give_labels_and_order(flat, monkeypatch):
    features, labels = trained_on(monkeypatch, flat)
    assert labels.tolist() == ["lying", "upright", "lying", "upright"]
    assert np.array_equal(features, extract([bar(False, 2), bar(True, 0), bar(False, 3), bar(True, 1)]))


def test_images_may_lie_in_train_images(flat, monkeypatch):
    expected = trained_on(monkeypatch, flat)
    (flat / "train-images").mkdir()
    for path in flat.glob("*.png"):
        path.rename(flat / "train-images" / path.name)
    for found, wanted in zip(trained_on(monkeypatch, flat), expected, strict=True):
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("style", ["bare", "spaced", "marked"])
def test_answer_files_of_several_styles(flat, monkeypatch, style):
    head = {"bare": "", "spaced": "file_name, correct_answer\n\n", "marked": "file_name,correct_answer\n"}[style]
    encoding = "utf-8-sig" if style == "marked" else "utf-8"  # the mark is that of the byte order
    for label, numbers in [("upright", (0, 1)), ("lying", (2, 3))]:
        answers = {f"00{number}.png": f" {int(number in numbers)}" for number in range(4)}
        write_answers(flat, label, answers, head, encoding)
    assert trained_on(monkeypatch, flat)[1].tolist() == ["upright", "upright", "lying", "lying"]


def test_the_data_of_the_tutorial_train_in_the_order_of_the_answers(monkeypatch):
    features, labels = trained_on(monkeypatch, ROOT / "data")
    assert labels.tolist() == ["circle", "line"] * 20
    with open(ROOT / "data" / "features.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert np.array_equal(features, np.array([row[1:] for row in rows], float))


@pytest.mark.parametrize("threads", THREADS)
def test_labelled_images_are_what_a_network_is_trained_on(class_folders, monkeypatch, threads):
    expected, expected_labels = trained_on(monkeypatch, class_folders)
    data = labelled_images(class_folders, "ink", threads)
    assert data.features.tobytes() == expected.tobytes()
    assert data.labels.tolist() == expected_labels.tolist()
    assert data.paths == [os.path.join(class_folders, name) for name in extract_features(class_folders).names]
    assert data.counts() == {"lying": 14, "upright": 14} and not data.doubts
    assert labelled_images(class_folders).features.shape == (28, 324)


def test_paths_of_answered_images_are_in_the_order_of_the_answers(flat):
    data = labelled_images(flat)
    assert [os.path.relpath(path, flat) for path in data.paths] == ["002.png", "000.png", "003.png", "001.png"]
    assert data.labels.tolist() == ["lying", "upright", "lying", "upright"] and not data.doubts


def test_folders_that_do_not_look_like_classes_are_doubted(class_folders):
    (class_folders / "docs").mkdir()
    (class_folders / "docs" / "notes.txt").touch()
    write_bars(class_folders / "sorted" / "upright", True, range(2))
    write_bars(class_folders / "src", True, range(1))
    for name in "ab":
        (class_folders / "src" / f"{name}.py").touch()
    (class_folders / "lying" / "labels.csv").touch()  # as may well be
    data = labelled_images(class_folders)
    assert data.empty == ["docs"] and data.counts() == {"lying": 14, "sorted": 2, "src": 1, "upright": 14}
    assert data.doubts == [
        "images lie in folders within sorted", "most files are no image files in src",
    ]  # fmt: skip


ALL_ZERO = dict.fromkeys(["000.png", "001.png", "002.png", "003.png"], 0)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"000.png": 1}, "upright.txt has no answer for 001.png, which is in "),
        (ALL_ZERO | {"9.png": 0}, "upright.txt has an answer for 9.png, which is not in "),
        (ALL_ZERO | {"000.png": 1}, "001.png must have the answer 1 for one class; in .* it has it for \\[\\]"),
        (dict.fromkeys(ALL_ZERO, 1), "002.png must have the answer 1 for one class; .*'lying', 'upright'"),
        ({"000.png": "yes"}, "lines of a file name and 1 or 0; got '000.png,yes'"),
        ({"000.png": "1,1"}, "lines of a file name and 1 or 0; got '000.png,1,1'"),
        ({"000.png": "1\n000.png,0"}, "upright.txt has two answers for 000.png"),
    ],
)
def test_answers_that_do_not_fit_the_images_are_refused(flat, answers, message):
    write_answers(flat, "upright", answers)
    with pytest.raises(ValueError, match=message):
        train_folder(flat)


def test_answers_that_are_no_text_are_refused(flat):
    (flat / "correct-outputs-lying.txt").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match=r"correct-outputs-lying\.txt cannot be read as CSV"):
        train_folder(flat)


def test_folders_that_cannot_be_learnt_from_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        train_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="has neither a folder for each class nor answer files"):
        train_folder(tmp_path)
    (tmp_path / "upright").mkdir()
    with pytest.raises(ValueError, match="upright holds no image file"):
        train_folder(tmp_path)
    write_bars(tmp_path / "upright", True, range(3))
    with pytest.raises(ValueError, match=r"must have images of at least two classes; got \['upright'\]"):
        train_folder(tmp_path)


@pytest.mark.parametrize("content, message", [(b"text", "no image file"), (b"\x89PNG", "truncated")])
def test_an_unreadable_training_image_is_an_error_that_names_it(content, message, class_folders):
    (class_folders / "lying" / "007.png").write_bytes(content)
    with pytest.raises(ImageError, match=rf"007\.png is {message}"):
        train_folder(class_folders, on_error="raise")
