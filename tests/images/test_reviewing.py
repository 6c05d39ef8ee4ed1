"""Labels that may be wrong: found, the surest first; and what cannot be judged."""

import csv
import shutil

import numpy as np
import pytest
from drawings import QUICK, TRUNCATED, write_bars

import fastmlp

HOW = {"extractor": "pixels", "hidden": (4,), "seed": 3, "epochs": 60, "learning_rate": 0.05}


@pytest.fixture
def mislabelled(class_folders):
    """Two of 28 bars lie in the folder of the other class."""
    shutil.move(class_folders / "upright" / "003.png", class_folders / "lying" / "upright 3.png")
    shutil.move(class_folders / "lying" / "005.png", class_folders / "upright" / "lying 5.png")
    return class_folders


def test_wrong_labels_are_found(mislabelled, tmp_path):
    review = fastmlp.review_folder(mislabelled, **HOW)
    suspects = review.suspects.tolist()
    first = {review.paths[row].rpartition("/")[2] for row in suspects[:2]}
    assert first == {"upright 3.png", "lying 5.png"}
    ahead = [review.scores[row].max() - review.scores[row, review.numbers[row]] for row in suspects]
    assert ahead == sorted(ahead, reverse=True) and min(ahead) > 0
    assert review.scores.shape == (28, 2) and review.classes == ["lying", "upright"]
    np.testing.assert_allclose(review.scores.sum(axis=1), 1)
    assert review.evaluation.accuracy == 1 - len(suspects) / 28 and f"{len(suspects)} suspects" in repr(review)

    path = tmp_path / "suspects.csv"
    review.save_suspects(path)
    review.save_suspects(path)  # which may be written over
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["path", "label", "suggested", "score_of_label", "score_of_suggested"]
    assert [row[0] for row in rows] == [review.paths[row] for row in suspects]
    assert all(row[1] != row[2] and float(row[3]) < float(row[4]) for row in rows)


def test_the_same_seed_finds_the_same_for_any_number_of_threads(mislabelled):
    first, second = (fastmlp.review_folder(mislabelled, cv=3, threads=threads, **HOW) for threads in (1, 2))
    assert first.scores.tobytes() == second.scores.tobytes()


def test_an_image_is_judged_by_networks_that_have_not_learned_it(class_folders):
    review = fastmlp.review_folder(class_folders, **HOW)
    features = fastmlp.extract_features(review.paths, "pixels").features
    options = {name: value for name, value in HOW.items() if name != "extractor"}
    said = fastmlp.cross_validate(features, review.labels, output="softmax", **options)
    assert np.array_equal(said.predictions.argmax(axis=1), review.scores.argmax(axis=1))


def test_what_cannot_be_read_or_compared_is_told(class_folders):
    (class_folders / "lying" / "999.png").write_bytes(TRUNCATED)
    write_bars(class_folders / "alone", True, [3])
    review = fastmlp.review_folder(class_folders, **HOW)
    assert len(review.errors) == 1 and "999.png" in review.errors[0]
    assert review.too_few == ["alone"] and len(review.paths) == 28
    (class_folders / ".hidden").mkdir()
    (class_folders / "empty").mkdir()
    assert list(fastmlp.review_folder(class_folders, **HOW).left_out) == [
        "left out: .hidden (hidden)",
        "left out: empty (no image file is in them)",
        "left out: alone (fewer than 2 images)",
    ]
    with pytest.raises(fastmlp.ImageError, match="999"):
        fastmlp.review_folder(class_folders, on_error="raise", **HOW)


def test_bad_folders_and_options_are_one_sentence(tmp_path, class_folders):
    with pytest.raises(FileNotFoundError):
        fastmlp.review_folder(tmp_path / "none")
    for name in ("one", "two"):
        write_bars(tmp_path / "few" / name, True, [1])
    with pytest.raises(ValueError, match=r"must have 2 images that can be read of each of two classes at least; got one 1, two 1$"):
        fastmlp.review_folder(tmp_path / "few", **QUICK)
    with pytest.raises(ValueError, match="task must be classification"):
        fastmlp.review_folder(class_folders, task="regression")
    with pytest.raises(ValueError, match="cv must be"):
        fastmlp.review_folder(class_folders, cv=1, **HOW)
    with pytest.raises(TypeError, match="did you mean"):
        fastmlp.review_folder(class_folders, epoch=1)
