"""Training on folders and archives as people have them: damaged images, hidden and empty folders, unequal classes."""

import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from drawings import QUICK, ROOT, TRUNCATED, bar, write_bars

import fastmlp
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.folders import train_folder
from fastmlp.images.labelled import labelled_images
from fastmlp.images.learnable import learnable_images

HOW = {"extractor": "ink", "hidden": (2,), "epochs": 2, "seed": 1}


@pytest.fixture
def damaged(class_folders):
    """The second of 28 images is truncated, and another file is no image though its name says so."""
    (class_folders / "lying" / "001.png").write_bytes(TRUNCATED)
    (class_folders / "upright" / "note.png").write_text("a text")
    return class_folders


def archived(folder, path, within=""):
    """A folder as a zip or a tar, all in a folder if one is named."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for one in files:
                file.write(one, f"{within}{one.relative_to(folder)}")
    else:
        with tarfile.open(path, "w") as file:
            for one in files:
                file.add(one, f"{within}{one.relative_to(folder)}")
    return path


def test_images_that_cannot_be_read_are_left_out_and_named(damaged):
    told = r"^2 images that cannot be read are left out: .*001\.png is truncated; .*note\.png is no image file"
    with pytest.warns(UserWarning, match=told):
        classifier = train_folder(damaged, **HOW)
    assert classifier.made_with["images"] == {"lying": 13, "upright": 14}
    for path in (damaged / "lying" / "001.png", damaged / "upright" / "note.png"):
        path.unlink()
    assert train_folder(damaged, **HOW).networks[0].theta.tobytes() == classifier.networks[0].theta.tobytes()


def test_on_error_is_a_parameter(damaged):
    with pytest.raises(fastmlp.ImageError, match=r"001\.png is truncated"):
        train_folder(damaged, on_error="raise", **HOW)
    (damaged / "lying" / "001.png").unlink()
    with pytest.raises(fastmlp.ImageError, match=r"note\.png is no image file"):
        train_folder(damaged, on_error="raise", **HOW)
    with pytest.raises(ValueError, match="on_error must be one of 'raise', 'skip'; got 'ignore'"):
        train_folder(damaged, on_error="ignore", **HOW)
    classifier = ImageClassifier(on_error="raise", **HOW)
    assert classifier.get_params()["on_error"] == "raise" and "on_error='raise'" in repr(classifier)
    with pytest.raises(fastmlp.ImageError, match="note"):
        classifier.fit(damaged)


def test_named_files_that_cannot_be_read_are_left_out_with_their_weights(damaged):
    paths = [damaged / label / f"{number:03}.png" for label in ("lying", "upright") for number in range(14)]
    labels, weights = ["lying"] * 14 + ["upright"] * 14, np.arange(1.0, 29)
    with pytest.warns(UserWarning, match=r"^1 image that cannot be read is left out: .*001\.png"):
        some = ImageClassifier(**HOW).fit(paths, labels, sample_weight=weights)
    del paths[1], labels[1]
    same = ImageClassifier(**HOW).fit(paths, labels, sample_weight=np.delete(weights, 1))
    assert some.networks[0].theta.tobytes() == same.networks[0].theta.tobytes()


def test_a_warning_names_a_few_of_many(class_folders):
    for number in range(7):
        (class_folders / "lying" / f"{number:03}.png").write_bytes(TRUNCATED)
    with pytest.warns(UserWarning, match=r"^7 images .*004\.png is truncated; and 2 more$"):
        train_folder(class_folders, **HOW)


def test_folders_that_are_no_classes_are_left_out_and_named(class_folders):
    for name in ("empty", ".ipynb_checkpoints", "__MACOSX"):
        (class_folders / name).mkdir()
    write_bars(class_folders / "__MACOSX", True, range(5))
    write_bars(class_folders / "alone", True, [1])
    write_bars(class_folders / "broken", True, range(3))
    for path in (class_folders / "broken").iterdir():
        path.write_bytes(TRUNCATED)
    found = learnable_images(class_folders, "ink")
    assert found.left_out == [
        "left out: .ipynb_checkpoints, __MACOSX (hidden)",
        "left out: empty (no image file is in them)",
        "left out: broken (none of their images can be read)",
        "left out: alone (fewer than 2 images)",
    ]
    assert len(found.damaged) == 3 and found.data.counts() == {"lying": 14, "upright": 14}
    assert len(found.kept) == 32 and len(found.data.paths) == len(found.data.features) == found.kept.sum() == 28


def test_too_little_to_learn_from_is_one_sentence(tmp_path):
    write_bars(tmp_path / "a", True, [1])
    write_bars(tmp_path / "b", False, [1])
    with pytest.raises(ValueError, match=r"must have 2 images that can be read of each of two classes at least; got a 1, b 1$"):
        train_folder(tmp_path)
    write_bars(tmp_path / "a", True, range(3))
    write_bars(tmp_path / "b", False, range(3))
    for path in (tmp_path / "b").iterdir():
        path.write_bytes(TRUNCATED)
    with pytest.raises(ValueError, match=r"got a 3, b 0; .*000\.png is truncated$"):
        train_folder(tmp_path)


@pytest.mark.parametrize("name", ["bars.zip", "bars.tar"])
@pytest.mark.parametrize("within", ["", "all of it/"])
def test_an_archive_is_trained_on_as_its_folder(damaged, tmp_path_factory, name, within):
    write_bars(damaged / "lying-b", False, range(3))  # whose files come before those of "lying", by their bytes
    (damaged / "read me.txt").write_text("text")
    path = archived(damaged, tmp_path_factory.mktemp("archive") / name, within)
    one, other = (learnable_images(source, "ink") for source in (damaged, path))
    assert one.data.features.tobytes() == other.data.features.tobytes()
    assert one.data.labels.tolist() == other.data.labels.tolist()
    assert [str(path) for path in one.data.paths] == [one.replace(f"{path}/{within}", f"{damaged}/") for one in other.data.paths]
    assert other.damaged[0] == f"{path}: {within}lying/001.png is truncated"
    assert other.damaged[1].startswith(f"{path}: {within}upright/note.png is no image file")


def test_an_archive_may_hold_what_mac_os_adds(class_folders, tmp_path_factory):
    path = archived(class_folders, tmp_path_factory.mktemp("archive") / "bars.zip", "bars/")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("__MACOSX/bars/lying/000.png", b"no image")
    found = learnable_images(path, "ink")
    assert found.left_out == ["left out: __MACOSX (hidden)"] and not found.damaged
    assert found.data.counts() == {"lying": 14, "upright": 14}


@pytest.mark.parametrize("within", ["", "data/"])
def test_answer_files_may_lie_in_an_archive(tmp_path, within):
    path = archived(ROOT / "data", tmp_path / "data.zip", within)
    one, other = labelled_images(ROOT / "data", "ink"), labelled_images(path, "ink")
    assert one.features.tobytes() == other.features.tobytes() and one.labels.tolist() == other.labels.tolist()
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"{within}train-images/more.png", b"GIF89a")
    with pytest.raises(ValueError, match=rf"{path}: {within}correct-outputs-circle\.txt has no answer for more\.png"):
        labelled_images(path, "ink", strict=False)


def test_archives_that_cannot_be_learned_from_are_one_sentence(tmp_path, class_folders):
    (tmp_path / "text").write_text("a text")
    with pytest.raises(NotADirectoryError, match="text is neither a folder nor a tar or zip archive"):
        train_folder(tmp_path / "text")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as file:
        file.write(class_folders / "lying" / "000.png", "000.png")
    with pytest.raises(ValueError, match=r"flat\.zip has neither a folder for each class nor answer files"):
        train_folder(tmp_path / "flat.zip")
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as file:
        file.write(class_folders / "lying" / "000.png", "lying/000.png")
    with pytest.raises(ValueError, match=r"one\.zip must have images of at least two classes; got \['lying'\]"):
        train_folder(tmp_path / "one.zip")


def test_unequal_classes_weigh_the_same_unless_something_else_is_said(class_folders):
    for number in range(3, 14):
        (class_folders / "lying" / f"{number:03}.png").unlink()
    by_default = train_folder(class_folders, **HOW)
    assert by_default.made_with["options"]["class_weight"] == "balanced"
    for class_weight in (None, {"lying": 2}):
        said = train_folder(class_folders, class_weight=class_weight, **HOW)
        assert said.made_with["options"].get("class_weight") == class_weight
    for how in ({"sample_weight": np.ones(17)}, {"method": "one-vs-rest"}):
        assert train_folder(class_folders, **how, **HOW).made_with["options"].get("class_weight") is None
    assert ImageClassifier(**HOW).fit(class_folders).made_with["options"].get("class_weight") is None
    write_bars(class_folders / "lying", False, [3, 4])
    assert train_folder(class_folders, **HOW).made_with["options"].get("class_weight") is None


def test_features_that_no_memory_holds_are_told_beforehand(class_folders, monkeypatch):
    monkeypatch.setattr("fastmlp.checks.LITTLE", 1)
    monkeypatch.setattr("fastmlp.checks.machine_memory", lambda: 28 * 324 * 8 - 1)
    with pytest.raises(ValueError, match="the features of 28 images would need"):
        train_folder(class_folders)


def test_a_class_may_be_a_link_to_a_folder(class_folders, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "images"
    shutil.move(class_folders / "lying", elsewhere)
    (class_folders / "lying").symlink_to(elsewhere)
    classifier = train_folder(class_folders, **{**HOW, **QUICK, "extractor": "pixels"})
    assert classifier.predict([bar(False, 3), bar(True, 4)]).tolist() == ["lying", "upright"]


def test_evaluating_leaves_out_what_training_does(damaged):
    for path in (damaged / "lying" / "001.png", damaged / "upright" / "note.png"):
        path.rename(damaged / path.name)
    classifier = train_folder(damaged, **HOW)
    whole = classifier.evaluate(damaged)
    (damaged / "001.png").rename(damaged / "lying" / "001.png")
    (damaged / ".hidden").mkdir()
    (damaged / "empty").mkdir()
    with pytest.warns(UserWarning) as told:
        assert classifier.evaluate(damaged).confusion.tolist() == whole.confusion.tolist()
    damage, left_out = (str(warning.message) for warning in told)
    assert damage.endswith("001.png is truncated") and left_out.startswith("left out: .hidden (hidden); left out: empty")
    paths = [damaged / "lying" / f"{number:03}.png" for number in range(3)]
    with pytest.warns(UserWarning, match=r"^1 image that cannot be read is left out: .*001\.png"):
        some = classifier.evaluate(paths, ["lying"] * 3, sample_weight=[1.0, 2.0, 3.0])
    assert some.support.tolist() == [4, 0]
    with pytest.raises(ValueError, match=r"^X has no image that can be read; .*001\.png"):
        classifier.evaluate(paths[1:2], ["lying"])
    with pytest.raises(ValueError, match="X and y must have the same number of rows"):
        classifier.evaluate(paths, ["lying"] * 2)
    classifier.set_params(on_error="raise")
    for source in ((damaged,), (paths, ["lying"] * 3)):
        with pytest.raises(fastmlp.ImageError, match=r"001\.png is truncated"):
            classifier.score(*source)


def test_all_classes_that_a_classifier_does_not_know_are_named(class_folders):
    classifier = train_folder(class_folders, **HOW)
    for name in ("cross", "arc"):
        write_bars(class_folders / name, True, [1])
    with pytest.raises(ValueError, match=r"has images of arc, cross, but the model knows lying, upright$"):
        classifier.evaluate(class_folders)
