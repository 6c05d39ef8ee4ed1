"""The images, answers and features that are committed in data/ and test-images/."""

import csv
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastmlp

ROOT = Path(__file__).resolve().parent.parent
TRAIN = [f"data/train-images/{number}.png" for number in range(1, 41)]
TEST = [f"test-images/t{kind}-{number}.png" for kind in "cl" for number in range(1, 6)]
NAMES = [Path(path).name for path in TRAIN]


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "data" / "make_images.py"))


def read_rows(name):
    with open(ROOT / "data" / name, newline="") as file:
        return list(csv.reader(file))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_forty_training_and_ten_test_images():
    assert {path.name for path in (ROOT / "data" / "train-images").iterdir()} == set(NAMES)
    assert {f"test-images/{path.name}" for path in (ROOT / "test-images").iterdir()} == set(TEST)


@pytest.mark.parametrize("path", TRAIN + TEST)
def test_an_image_is_16x16_rgb_with_one_colour_on_white(path):
    with Image.open(ROOT / path) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (16, 16))
        (_, white), (inked, _) = sorted(image.getcolors(), key=lambda entry: -entry[0])
    assert white == (255, 255, 255)
    assert 8 <= inked <= 40


def test_no_two_images_are_equal():
    assert len({pixels(ROOT / path).tobytes() for path in TRAIN + TEST}) == 50


def test_answers_are_complete_and_complementary():
    circle, line = read_rows("correct-outputs-circle.txt"), read_rows("correct-outputs-line.txt")
    assert circle[0] == line[0] == ["file_name", "correct_answer"]
    assert [name for name, _ in circle[1:]] == [name for name, _ in line[1:]] == NAMES
    assert [answer for _, answer in circle[1:]] == ["1", "0"] * 20
    assert [answer for _, answer in line[1:]] == ["0", "1"] * 20


def test_features_csv_is_what_extraction_gives():
    header, *rows = read_rows("features.csv")
    assert header == ["file_name", "feature1", "feature2", "feature3"]
    assert [row[0] for row in rows] == NAMES
    extracted = fastmlp.extract_features([ROOT / path for path in TRAIN])
    assert np.array_equal([[float(value) for value in row[1:]] for row in rows], extracted.features)


@pytest.mark.parametrize("path", TRAIN + TEST)
def test_the_features_of_an_image_are_its_shares_of_coloured_pixels(path):
    coloured = (pixels(ROOT / path) != 255).any(axis=-1)
    shares = coloured.sum() / 256, coloured[6:10, 6:10].sum() / 16, (coloured.sum() - coloured[3:13, 3:13].sum()) / 156
    assert fastmlp.extract_features([ROOT / path]).features.tolist() == [list(shares)]


def test_training_and_test_drawings_are_different_and_clear(script):
    for kind, unclear in (("circle", {13, 14}), ("line", {25})):
        train, test = ([place.drawing for place in script[table][kind]] for table in ("TRAIN", "TEST"))
        assert (len(train), len(test), len(set(test))) == (20, 5, 5)
        assert not set(train) & set(test)
        assert set(train) | set(test) == set(range(1, 26)) - unclear


def test_the_script_makes_the_committed_files_again(script, tmp_path):
    script["make"](tmp_path)
    for path in TRAIN + TEST:
        assert np.array_equal(pixels(tmp_path / path), pixels(ROOT / path)), path
    for name in ("features.csv", "correct-outputs-circle.txt", "correct-outputs-line.txt"):
        assert (tmp_path / "data" / name).read_text() == (ROOT / "data" / name).read_text()
