"""The whole journey in one call: folders to features, to a classifier, and by it to verdicts."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from drawings import MANY, QUICK, ROOT, THREADS, TRUNCATED, bar, same
from PIL import Image, ImageDraw
from pngs import gray_png

from fastmlp.images.extractors import extract
from fastmlp.images.folders import classify_folder, extract_features, train_folder
from fastmlp.images.pillow import read_image
from fastmlp.networks.mlp import MLP


def test_features_of_a_folder_have_names_within_it(class_folders):
    names, features, errors = extract_features(class_folders)
    assert names == [f"{label}/{number:03}.png" for label in ("lying", "upright") for number in range(14)]
    assert np.array_equal(features, extract([read_image(class_folders / name) for name in names]))
    assert errors == []


def test_features_of_paths_have_the_paths_for_names(class_folders):
    paths = [class_folders / "upright" / "003.png", str(class_folders / "lying" / "001.png")]
    names, features, _ = extract_features(paths, "pixels")
    assert names == [str(path) for path in paths]
    assert np.array_equal(features, extract([bar(True, 3), bar(False, 1)], "pixels"))
    assert extract_features(paths[0]).names == [str(paths[0])]
    assert extract_features([]).features.shape == (0, 3)


def test_unreadable_images_are_left_out_and_told(flat):
    (flat / "001.png").write_bytes(TRUNCATED)
    names, features, errors = extract_features(flat)
    assert names == ["000.png", "002.png", "003.png"]
    assert np.array_equal(features, extract([bar(True, 0), bar(False, 2), bar(False, 3)]))
    assert errors == [("001.png", f"{flat / '001.png'} is truncated")]


@pytest.mark.parametrize("extractor", ["pixels", "strokes", "gray"])
def test_same_features_for_any_thread_count(many, extractor):
    results = [extract_features(many, extractor, threads) for threads in THREADS]
    for result in results:
        assert result.names == results[0].names
        assert result.features.tobytes() == results[0].features.tobytes()
        assert result.errors == results[0].errors
    assert len(results[0].errors) == len(range(0, MANY, 50))


def test_bad_sources_and_extractors_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        extract_features(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no image file"):
        extract_features(tmp_path)
    with pytest.raises(ValueError, match="did you mean 'ink'"):
        extract_features([], "inc")
    with pytest.raises(ValueError, match="threads must be a positive whole number; got 0"):
        extract_features([], threads=0)


@pytest.mark.parametrize("options", [{"extractor": "inky"}, {"method": "softmix"}, {"activation": "tanb"}])
def test_unknown_names_are_refused_with_a_suggestion(class_folders, options):
    with pytest.raises(ValueError, match="did you mean"):
        train_folder(class_folders, **options)


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_a_classifier_tells_its_training_images_apart(class_folders, method):
    classifier = train_folder(class_folders, extractor="pixels", method=method, **QUICK)
    assert classifier.classes == ["lying", "upright"]
    assert (classifier.extractor, classifier.method) == ("pixels", method)
    verdicts = classify_folder(classifier, class_folders)
    assert verdicts.labels == [Path(path).parent.name for path in verdicts.paths]


def test_train_folder_makes_no_ensemble(class_folders):
    with pytest.raises(ValueError, match="method must be one of 'one-vs-rest', 'softmax'; got 'ensemble'"):
        train_folder(class_folders, method="ensemble")


STROKES = {  # on a grid of 3 columns and 5 rows, as people write digits
    "0": [(0, 0), (2, 0), (2, 4), (0, 4), (0, 0)], "1": [(0, 1), (1, 0), (1, 4)], "2": [(0, 1), (1, 0), (2, 1), (0, 4), (2, 4)],
    "3": [(0, 0), (2, 0), (1, 2), (2, 3), (1, 4), (0, 4)], "4": [(2, 4), (2, 0), (0, 3), (2, 3)],
    "5": [(2, 0), (0, 0), (0, 2), (2, 2), (2, 4), (0, 4)], "6": [(2, 0), (0, 2), (0, 4), (2, 4), (2, 2), (0, 2)],
    "7": [(0, 0), (2, 0), (1, 4)], "8": [(1, 2), (0, 1), (1, 0), (2, 1), (1, 2), (0, 3), (1, 4), (2, 3), (1, 2)],
    "9": [(2, 2), (0, 2), (0, 0), (2, 0), (2, 4)],
}  # fmt: skip


def digit(label, rng):
    """A page of 32 x 32 with a digit by a shaky hand, somewhere, at some size and slant, with some pen."""
    page, size = np.full((32, 32), 255, np.uint8), rng.uniform(3, 5)
    points = np.array(STROKES[label]) + rng.normal(scale=0.12, size=(len(STROKES[label]), 2))
    points[:, 0] += rng.uniform(-0.15, 0.15) * points[:, 1]
    points = points * size + rng.uniform(4, 32 - 5 * size, 2)
    pen = rng.integers(1, 4)
    for start, end in itertools.pairwise(points):
        for x, y in np.linspace(start, end, 40).round().astype(int):
            page[max(y, 0) : y + pen, max(x, 0) : x + pen] = 0
    return page


def write_digits(folder, each, seed):
    rng = np.random.default_rng(seed)
    for label in STROKES:
        (folder / label).mkdir(parents=True)
        for number in range(each):
            (folder / label / f"{number}.png").write_bytes(gray_png(digit(label, rng)))


def test_drawings_of_ten_digits_are_told_apart_by_default(tmp_path):
    write_digits(tmp_path / "train", 20, seed=1)
    write_digits(tmp_path / "test", 10, seed=2)
    classifier = train_folder(tmp_path / "train", seed=0)
    assert classifier.extractor == "strokes" and classifier.score(tmp_path / "test") > 0.9
    by_ink = train_folder(tmp_path / "train", extractor="ink", seed=0)
    assert by_ink.score(tmp_path / "test") < 0.6  # three numbers do not do


def test_copies_help_where_drawings_are_few(tmp_path):
    write_digits(tmp_path / "train", 3, seed=1)
    write_digits(tmp_path / "test", 10, seed=2)
    plain, augmented = (train_folder(tmp_path / "train", extractor="pixels", augment=augment, seed=0) for augment in (0, 8))
    assert augmented.score(tmp_path / "test") > plain.score(tmp_path / "test") + 0.03


def circle_or_line(circle, rng):
    """A page of some size and shape with a circle, not quite round or closed, or a line; with some pen, on some ground."""
    height, width = rng.choice([16, 28, 64, 150]) * rng.uniform(0.8, 1.5, 2)
    least, way = 4 * min(height, width), np.linspace(0, 1, 50)
    if circle:
        angle = 2 * np.pi * rng.uniform(0.92, 1.05) * way + rng.uniform(0, 6)
        radius = (1 + 0.06 * np.cos(2 * angle + rng.uniform(0, 6))) * rng.uniform(0.15, 0.36)
        points = np.stack([radius * np.cos(angle), radius * rng.uniform(0.7, 1) * np.sin(angle)], axis=1)
    else:
        points = np.stack([way - 0.5, 0.1 * rng.uniform(-1, 1) * (way - way**2)], axis=1) * rng.uniform(0.25, 0.85)
    turn, pen = rng.uniform(0, np.pi), max(4, round(rng.uniform(0.02, 0.12) * least))
    points = points @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]] * least + 2 * np.array([width, height])
    ground = rng.choice([255, 230, 200, 60, 0])
    page = Image.new("L", (round(4 * width), round(4 * height)), int(ground))
    ImageDraw.Draw(page).line([*map(tuple, points)], int(ground + rng.uniform(90, 195) * (1 if ground < 128 else -1)), pen, "curve")
    return np.asarray(page.resize((round(width), round(height)), Image.Resampling.BOX if rng.random() < 0.7 else 0))


def test_drawings_of_others_with_other_pens_and_pages_are_told_apart_by_default():
    labels, rng = ["circle", "line"] * 100, np.random.default_rng(0)
    images = [circle_or_line(label == "circle", rng) for label in labels]
    for augment in (0, 4):
        classifier = train_folder(ROOT / "data", augment=augment, seed=0)
        assert classifier.score(images, labels) >= 0.95
        verdicts = classify_folder(classifier, ROOT / "test-images")
        assert [label[0] for label in verdicts.labels] == [path[1] for path in verdicts.paths]


def test_an_unreadable_file_becomes_a_row_with_its_error(classifier, class_folders):
    broken = class_folders / "upright" / "001.png"
    broken.write_bytes(b"")
    paths = [class_folders / "upright" / "000.png", broken, "none.png", class_folders / "lying" / "002.png"]
    verdicts = classify_folder(classifier, paths)
    assert verdicts.paths == [str(path) for path in paths]
    assert verdicts.labels == ["upright", None, None, "lying"]
    assert verdicts.errors == [None, f"{broken} is empty", "none.png cannot be read: No such file or directory", None]
    assert np.isnan(verdicts.scores[1:3]).all()
    assert np.array_equal(verdicts.scores[[0, 3]], classifier.scores(extract([bar(True, 0), bar(False, 2)], "pixels")))


def test_files_none_of_which_can_be_read(classifier):
    verdicts = classify_folder(classifier, ["a.png", "b.png"])
    assert verdicts.labels == [None, None]
    assert np.isnan(verdicts.scores).all()


def test_a_folder_a_list_and_one_path_are_sources(classifier, class_folders):
    everything = classify_folder(classifier, class_folders)
    paths = [os.path.join(class_folders, path) for path in everything.paths]
    same(classify_folder(classifier, paths), everything._replace(paths=paths))
    one = classify_folder(classifier, paths[0])
    assert (one.paths, one.labels) == (paths[:1], everything.labels[:1])
    none = classify_folder(classifier, [])
    assert (none.paths, none.scores.shape) == ([], (0, 2))


def test_a_network_is_no_classifier(classifier, tmp_path):
    network = classifier.networks[0]
    assert isinstance(network, MLP)
    network.save(tmp_path / "network.npz")
    for model in (network, tmp_path / "network.npz"):
        with pytest.raises(ValueError, match="model must be an ImageClassifier, or the path of one; got MLP"):
            classify_folder(model, [])
