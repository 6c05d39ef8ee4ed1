"""The whole journey: folders to features, labelled folders to a classifier, a classifier and a source to verdicts."""

import csv
import itertools
import os
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pngs import gray_png

from fastmlp import DivergedError
from fastmlp.images import fitting
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.features import extract
from fastmlp.images.folders import classify_folder, extract_features, train_folder
from fastmlp.images.labelled import labelled_images
from fastmlp.images.pillow import ImageError, read_image
from fastmlp.images.reading import read_chunk
from fastmlp.images.sources import Chunks
from fastmlp.networks.mlp import MLP
from fastmlp.training.data import split
from fastmlp.training.many import train_many
from fastmlp.training.train import train

ROOT = Path(__file__).parents[2]
QUICK = {"hidden": (4,), "epochs": 60, "learning_rate": 0.05, "seed": 3}
THREADS = [1, 2, 3]
MANY = 178
TRUNCATED = gray_png(np.zeros((4, 4), np.uint8))[:-19]


def bar(upright, number):
    """A page with an upright bar, at one of many places, or one that lies."""
    page = np.full((16, 16), 255, np.uint8)
    page[2:14, 1 + number % 14] = number % 60
    return page if upright else page.T


def write_bars(folder, upright, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:03}.png").write_bytes(gray_png(bar(upright, number)))


@pytest.fixture
def class_folders(tmp_path):
    write_bars(tmp_path / "upright", True, range(14))
    write_bars(tmp_path / "lying", False, range(14))
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    """Images 000 to 003 beside the answer files, whose order is 2, 0, 3, 1."""
    write_bars(tmp_path, True, [0, 1])
    write_bars(tmp_path, False, [2, 3])
    write_answers(tmp_path, "upright", {"002.png": 0, "000.png": 1, "003.png": 0, "001.png": 1})
    write_answers(tmp_path, "lying", {"002.png": 1, "000.png": 0, "003.png": 1, "001.png": 0})
    return tmp_path


def write_answers(folder, label, answers, head="file_name,correct_answer\n", encoding="utf-8"):
    lines = "".join(f"{name},{answer}\n" for name, answer in answers.items())
    (folder / f"correct-outputs-{label}.txt").write_text(head + lines, encoding=encoding)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    write_bars(folder / "upright", True, range(14))
    write_bars(folder / "lying", False, range(14))
    return train_folder(folder, extractor="pixels", **QUICK)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """More files than two chunks hold, of which every fiftieth cannot be read."""
    folder = tmp_path_factory.mktemp("many")
    write_bars(folder, True, range(MANY))
    for number in range(0, MANY, 50):
        (folder / f"{number:03}.png").write_bytes(TRUNCATED)
    return folder


def same(verdicts, others):
    assert verdicts.paths == others.paths
    assert verdicts.labels == others.labels
    assert verdicts.scores.tobytes() == others.scores.tobytes()
    assert verdicts.errors == others.errors


# -- extract_features --------------------------------------------------------------------------------------------------


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


def test_same_features_for_any_thread_count(many):
    results = [extract_features(many, "pixels", threads) for threads in THREADS]
    for result in results:
        assert result.names == results[0].names
        assert result.features.tobytes() == results[0].features.tobytes()
        assert result.errors == results[0].errors
    assert len(results[0].errors) == len(range(0, MANY, 50))


def test_bad_sources_and_extractors_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        extract_features(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no PNG file"):
        extract_features(tmp_path)
    with pytest.raises(ValueError, match="did you mean 'ink'"):
        extract_features([], "inc")
    with pytest.raises(ValueError, match="threads must be a positive whole number; got 0"):
        extract_features([], threads=0)


# -- train_folder: what it learns from ---------------------------------------------------------------------------------


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
    assert labelled_images(class_folders).features.shape == (28, 256)


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
        "no PNG file is in docs", "images lie in folders within sorted", "most files are no PNG files in src",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="docs holds no PNG file"):
        train_folder(class_folders)


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
    with pytest.raises(ValueError, match="upright holds no PNG file"):
        train_folder(tmp_path)
    write_bars(tmp_path / "upright", True, range(3))
    with pytest.raises(ValueError, match=r"must have images of at least two classes; got \['upright'\]"):
        train_folder(tmp_path)


def test_an_unreadable_training_image_is_an_error_that_names_it(class_folders):
    (class_folders / "lying" / "007.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"007\.png is not a PNG file"):
        train_folder(class_folders)


@pytest.mark.parametrize("options", [{"extractor": "inky"}, {"method": "softmix"}, {"activation": "tanb"}])
def test_unknown_names_are_refused_with_a_suggestion(class_folders, options):
    with pytest.raises(ValueError, match="did you mean"):
        train_folder(class_folders, **options)


# -- train_folder: what comes of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_a_classifier_tells_its_training_images_apart(class_folders, method):
    classifier = train_folder(class_folders, extractor="pixels", method=method, **QUICK)
    assert classifier.classes == ["lying", "upright"]
    assert (classifier.extractor, classifier.method) == ("pixels", method)
    verdicts = classify_folder(classifier, class_folders)
    assert verdicts.labels == [Path(path).parent.name for path in verdicts.paths]


def test_softmax_is_one_network_with_an_output_for_each_class(classifier):
    assert [network.layer_sizes for network in classifier.networks] == [(256, 4, 2)]
    scores = classifier.scores(extract([bar(True, 3), bar(False, 4)], "pixels"))
    assert np.allclose(scores.sum(axis=1), 1)


def test_one_vs_rest_trains_each_class_towards_one(flat):
    classifier = train_folder(flat, extractor="ink", method="one-vs-rest", **QUICK)
    features = extract([bar(False, 2), bar(True, 0), bar(False, 3), bar(True, 1)])
    for index, targets in enumerate([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]):
        own = train(features, np.array(targets), task="regression", **QUICK | {"seed": QUICK["seed"] + index})
        # Side by side, sums may be rounded otherwise: train_many promises 1e-9 for a short training in float64.
        np.testing.assert_allclose(classifier.networks[index].theta, own.theta, rtol=1e-9)
        np.testing.assert_allclose(classifier.scores(features)[:, index], own.predict(features), rtol=0, atol=1e-9)


def test_a_list_describes_the_layers_of_each_network_of_one_vs_rest(flat):
    options = {"hidden": [4, 3], "activation": ["tanh", "relu"], "epochs": 1}
    for network in train_folder(flat, method="one-vs-rest", **options).networks:
        assert (network.layer_sizes, network.activations) == ((256, 4, 3, 1), ("tanh", "relu"))


def test_a_network_of_one_vs_rest_that_diverges_is_an_error(flat):
    rates = {"optimizer": "sgd", "activation": "identity", "learning_rate": [0.01, 1e300]}
    with pytest.raises(DivergedError):
        train_folder(flat, method="one-vs-rest", seed=0, epochs=5, **rates)


def test_one_vs_rest_also_takes_networks_that_classify(class_folders):
    classifier = train_folder(class_folders, extractor="pixels", method="one-vs-rest", task="classification", **QUICK)
    scores = classifier.scores(extract([bar(False, 2), bar(True, 5)], "pixels"))
    assert scores.shape == (2, 2)
    assert scores.argmax(axis=1).tolist() == [0, 1]
    assert ((scores > 0) & (scores < 1)).all()


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_ctrl_c_leaves_the_classifier_of_the_whole_epochs(class_folders, method):
    def interrupt(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted after 3 of 60 epochs"):
        classifier = train_folder(class_folders, method=method, on_epoch=interrupt, **QUICK)
    whole = train_folder(class_folders, method=method, **QUICK | {"epochs": 3})
    for network, same in zip(classifier.networks, whole.networks, strict=True):
        assert (network.history.stopped_by, network.history.epochs) == ("interrupt", 3)
        assert np.array_equal(network.theta, same.theta)


@pytest.mark.parametrize("index", [0, 1])
def test_ctrl_c_among_the_networks_of_one_vs_rest_leaves_no_half_classifier(class_folders, monkeypatch, index):
    def interrupted(*arguments, **options):
        population = train_many(*arguments, **options)
        population.history.stopped_by[index] = "interrupt"
        population.history.epochs[index] = 0
        return population

    monkeypatch.setattr(fitting, "train_many", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_folder(class_folders, method="one-vs-rest", epochs=1)
    assert isinstance(train_folder(class_folders, epochs=1), ImageClassifier)


def test_networks_must_fit_the_extractor_and_the_method(classifier):
    for change in [{"extractor": "ink"}, {"method": "one-vs-rest"}, {"networks": ()}]:
        with pytest.raises(ValueError, match=r"^networks must be "):
            replace(classifier, **change)
    with pytest.raises(ValueError, match="method must be one of 'ensemble', 'one-vs-rest', 'softmax'"):
        replace(classifier, method="vote")


def test_an_ensemble_gives_the_mean_of_its_networks_probabilities(class_folders, classifier, tmp_path):
    others = [train_folder(class_folders, extractor="pixels", hidden=hidden, epochs=2, seed=1) for hidden in (3, (2, 2))]
    networks = tuple(network for one in (classifier, *others) for network in one.networks)
    ensemble = replace(classifier, networks=networks, method="ensemble")
    features = extract([bar(False, 2), bar(True, 5)], "pixels")
    expected = sum(network.predict_proba(features) for network in networks) / 3
    np.testing.assert_allclose(ensemble.scores(features), expected, rtol=1e-14)
    assert np.array_equal(replace(classifier, method="ensemble").scores(features), classifier.scores(features))

    ensemble.save(tmp_path / "ensemble.npz")
    same(classify_folder(tmp_path / "ensemble.npz", class_folders), classify_folder(ensemble, class_folders))


def test_an_ensemble_is_of_networks_for_its_classes(classifier, class_folders):
    (network,), (of_ink,) = classifier.networks, train_folder(class_folders, extractor="ink", epochs=1).networks
    one_vs_rest = train_folder(class_folders, extractor="pixels", method="one-vs-rest", epochs=1).networks
    for networks, message in [
        ((), "networks must be 1 of 256 inputs each; got 0"),
        ((network, of_ink), r"networks must be 2 of 256 inputs each; got 2, of \[256, 3\]"),
        ((network, one_vs_rest[0]), "do not fit the classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(classifier, networks=networks, method="ensemble")


def test_train_folder_makes_no_ensemble(class_folders):
    with pytest.raises(ValueError, match="method must be one of 'one-vs-rest', 'softmax'; got 'ensemble'"):
        train_folder(class_folders, method="ensemble")


# -- train_folder: what is held out, and what is kept of a training ----------------------------------------------------------------


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
    assert classifier.extractor == "pixels" and classifier.score(tmp_path / "test") > 0.9
    by_ink = train_folder(tmp_path / "train", extractor="ink", seed=0)
    assert by_ink.score(tmp_path / "test") < 0.6  # three numbers do not do


LIVELY = {"hidden": 4, "learning_rate": 0.3, "epochs": 12, "seed": 3}  # whose last epoch is not the best one


def test_of_a_fraction_held_out_the_best_weights_are_kept_and_their_figures_told(class_folders):
    classifier = train_folder(class_folders, extractor="ink", validation=0.25, **LIVELY)
    data = labelled_images(class_folders, "ink")
    network = train(data.features, data.labels, output="softmax", validation=0.25, patience=12, **LIVELY)
    assert np.array_equal(classifier.networks[0].theta, network.theta)
    _, held = split(28, data.labels, 0.25, 3)
    losses = network.history.validation_loss
    assert len(held) == 8 and 0 < losses.argmin() < 11
    assert classifier.made_with["validation"] == {
        "images": 8, "accuracy": np.mean(network.predict(data.features[held]) == data.labels[held]), "loss": losses.min(),
        "best_epoch": losses.argmin() + 1, "epochs": 12, "stopped_by": "epochs", "refit": False,
    }  # fmt: skip


def test_refit_trains_on_all_images_for_as_many_epochs_as_were_best(class_folders):
    data = labelled_images(class_folders, "ink")
    first = train_folder(class_folders, extractor="ink", validation=0.25, **LIVELY)
    again = train_folder(class_folders, extractor="ink", validation=0.25, patience=9, refit=True, **LIVELY)
    best = first.made_with["validation"]["best_epoch"]
    network = train(data.features, data.labels, output="softmax", **LIVELY | {"epochs": best})
    assert again.networks[0].theta.tobytes() == network.theta.tobytes()
    assert again.made_with["validation"] == first.made_with["validation"] | {"refit": True}
    assert again.made_with["options"]["epochs"] == 12 and again.made_with["options"]["patience"] == 9


def test_refit_trains_each_network_of_one_vs_rest_for_its_own_epochs(class_folders):
    write_bars(class_folders / "both", True, range(0, 14, 2))
    write_bars(class_folders / "both", False, range(1, 14, 2))
    data = labelled_images(class_folders, "ink")
    classifier = train_folder(class_folders, extractor="ink", method="one-vs-rest", validation=0.25, refit=True, **LIVELY)
    found = classifier.made_with["validation"]
    assert found["images"] == 12 and found["refit"] and len(set(found["best_epoch"])) > 1
    for index, (label, epochs) in enumerate(zip(classifier.classes, found["best_epoch"], strict=True)):
        options = LIVELY | {"seed": 3 + index, "epochs": epochs}
        alone = train_many(data.features, (data.labels == label) * 1.0, members=1, task="regression", **options)[0]
        assert classifier.networks[index].theta.tobytes() == alone.theta.tobytes()


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_ctrl_c_while_training_on_all_images_leaves_what_was_trained_before(class_folders, method):
    def interrupt(epoch, loss, validation_loss):
        if validation_loss is None:
            raise KeyboardInterrupt

    options = {"method": method, "validation": 0.25, **LIVELY}
    with pytest.warns(RuntimeWarning, match="training on all images was interrupted"):
        classifier = train_folder(class_folders, refit=True, on_epoch=interrupt, **options)
    before = train_folder(class_folders, **options)
    assert classifier.made_with["validation"] == before.made_with["validation"] | {"refit": "interrupted"}
    for network, same in zip(classifier.networks, before.networks, strict=True):
        assert network.theta.tobytes() == same.theta.tobytes() and network.history.stopped_by == "epochs"


def test_after_ctrl_c_nothing_is_trained_on_all_images(class_folders):
    def interrupt(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="training was interrupted"):
        classifier = train_folder(class_folders, refit=True, on_epoch=interrupt, validation=0.25, **LIVELY)
    assert classifier.networks[0].history.stopped_by == "interrupt"
    assert classifier.made_with["validation"]["refit"] is False


def test_refit_without_images_held_out_is_refused(class_folders):
    for options in {}, {"validation": (np.zeros((2, 256)), ["lying", "upright"])}:
        with pytest.raises(ValueError, match="refit=True needs validation, a fraction"):
            train_folder(class_folders, refit=True, **options)


def test_a_classifier_tells_what_it_was_made_with(class_folders, tmp_path):
    first = train_folder(class_folders, epochs=2, l2=0.01)
    assert first.made_with["images"] == {"lying": 14, "upright": 14} and first.made_with["rows"] == 28
    assert first.made_with["options"]["optimizer"] == "adam" and first.made_with["options"]["l2"] == 0.01
    again = train_folder(class_folders, epochs=2, l2=0.01, seed=first.made_with["seed"])
    assert again.networks[0].theta.tobytes() == first.networks[0].theta.tobytes()
    assert again.made_with == first.made_with


# -- classify ----------------------------------------------------------------------------------------------------------


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


def test_same_verdicts_for_any_thread_count_and_batch_size(classifier, many):
    expected = classify_folder(classifier, many, threads=1)
    assert len(expected.paths) == MANY
    for threads in THREADS:
        same(classify_folder(classifier, many, threads), expected)
        batches = list(classifier.classify(many, threads, batch_size=100))
        assert [len(batch.paths) for batch in batches] == [64, 100, MANY - 164]
        assert [label for batch in batches for label in batch.labels] == expected.labels
        assert np.concatenate([batch.scores for batch in batches]).tobytes() == expected.scores.tobytes()


@pytest.mark.parametrize("threads", THREADS)
def test_names_are_streamed_and_work_ends_with_its_reader(classifier, threads):
    taken = itertools.count()
    endless = (f"none-{next(taken)}.png" for _ in itertools.count())
    before = threading.active_count()
    batches = classifier.classify(endless, threads, batch_size=10)
    first, second = next(batches), next(batches)
    assert first.paths[0] == "none-0.png"
    assert second.paths[-1] == "none-19.png"
    batches.close()
    assert next(taken) <= 10 * (2 * threads + 2)
    assert threading.active_count() == before


def test_bad_arguments_are_refused_before_the_first_batch(classifier, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        classifier.classify(tmp_path / "none")
    with pytest.raises(ValueError, match="max_pixels"):
        classifier.classify([], max_pixels=0)
    with pytest.raises(ValueError, match="batch_size"):
        classifier.classify([], batch_size=0)
    with pytest.raises(ValueError, match="threads"):
        classifier.classify([], threads=-1)


def test_a_chunk_of_work_can_be_sent_elsewhere(classifier, class_folders):
    (chunk,) = Chunks(class_folders)
    work, sent = pickle.loads(pickle.dumps((classifier.verdicts, chunk)))
    same(work(sent), classifier.verdicts(chunk))
    assert pickle.loads(pickle.dumps(read_chunk)) is read_chunk


# -- Saved classifiers -------------------------------------------------------------------------------------------------


def test_a_saved_classifier_gives_the_same_verdicts(classifier, many, tmp_path):
    classifier.save(tmp_path / "bars.npz")
    same(classify_folder(tmp_path / "bars.npz", many), classify_folder(classifier, many))


def test_a_network_is_no_classifier(classifier, tmp_path):
    network = classifier.networks[0]
    assert isinstance(network, MLP)
    network.save(tmp_path / "network.npz")
    for model in (network, tmp_path / "network.npz"):
        with pytest.raises(ValueError, match="model must be an ImageClassifier, or the path of one; got MLP"):
            classify_folder(model, [])
