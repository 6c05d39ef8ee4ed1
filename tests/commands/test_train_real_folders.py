"""`fastmlp train`, `evaluate` and `review` on folders as people have them, and on archives."""

import shutil

import pytest
from command_line import TRAINING, assert_one_sentence, some_of_each

import fastmlp
from fastmlp.commands.main import main
from fastmlp.commands.train_on_table import is_table

HOW = ["--extractor", "ink", "--hidden", "2", "--epochs", "2", "--seed", "0"]


@pytest.fixture
def zipped(tmp_path):
    return shutil.make_archive(str(tmp_path / "drawings"), "zip", TRAINING.parent, "data")


def test_damaged_images_are_named_and_left_out(tmp_path, capsys):
    folder = some_of_each(tmp_path / "drawings", circle=3, line=3)
    (folder / "line" / "0.png").write_bytes(b"")
    (folder / "nothing").mkdir()
    command = ["train", str(folder), "-o", str(tmp_path / "m.npz"), *HOW]
    assert main([*command, "--on-error", "raise"]) == 2
    assert_one_sentence(capsys.readouterr(), "0.png", "no image file")
    assert main(command) == 0
    first, second, third, *_ = capsys.readouterr().err.splitlines()
    assert "0.png" in first and second == "fastmlp: left out: nothing (no image file is in them)"
    assert third == "fastmlp: 5 images: circle 3, line 2"
    assert main([*command, "--on-error", "ignore"]) == 2
    assert_one_sentence(capsys.readouterr(), "on_error must be one of 'raise', 'skip'")


def test_copies_are_learned_from_as_by_train_folder(tmp_path, capsys):
    folder, model = some_of_each(tmp_path / "drawings", circle=4, line=4), tmp_path / "m.npz"
    command = ["train", str(folder), "-o", str(model), "--validation", "0.25", *HOW]
    for own in [], ["--augment", "3"]:
        assert main([*command, *own]) == 0
        trained = fastmlp.load(model)
        options = {"extractor": "ink", "hidden": 2, "epochs": 2, "seed": 0, "validation": 0.25, "refit": True}
        same = fastmlp.train_folder(folder, augment=3 if own else 0, **options)
        assert trained.networks[0].theta.tobytes() == same.networks[0].theta.tobytes()
        assert trained.made_with["options"].get("augment") == (3 if own else None)
    best = [["--members", "2"], ["--members", "2", "--ensemble"], ["--method", "one-vs-rest"], ["--extractor", "auto"]]
    for own in best:
        assert main([*command, "--augment", "2", *own]) == 0
        found = fastmlp.load(model).made_with
        assert found["options"]["augment"] == 2 and found["rows"] == 8 and found["validation"]["images"] == 2
    capsys.readouterr()
    assert main([*command, "--augment", "-1"]) == 2
    assert_one_sentence(capsys.readouterr(), "augment must be a whole number from 0 to 2**53; got -1")
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n")
    assert main(["train", str(table), "-o", str(model), "--target", "b", "--augment", "1"]) == 2
    assert_one_sentence(capsys.readouterr(), "--augment is for folders of images")


def test_unequal_classes_are_told_once(tmp_path, capsys):
    folder = some_of_each(tmp_path / "drawings", circle=2, line=7)
    command = ["train", str(folder), "-o", str(tmp_path / "m.npz"), *HOW]
    for own, expected in ([], "balanced"), (["--class-weight", "none"], None), (["--members", "2"], "balanced"):
        assert main([*command, *own]) == 0
        assert capsys.readouterr().err.count("weigh the same") == (expected is not None)
        assert fastmlp.load(tmp_path / "m.npz").made_with["options"].get("class_weight") == expected


def test_archives_are_trained_on_evaluated_and_reviewed(zipped, tmp_path, capsys):
    model, page = tmp_path / "m.npz", tmp_path / "page.html"
    assert main(["train", zipped, "-o", str(model), *HOW]) == 0
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "same.npz"), *HOW]) == 0
    one, other = fastmlp.load(model), fastmlp.load(tmp_path / "same.npz")
    assert one.networks[0].theta.tobytes() == other.networks[0].theta.tobytes()
    capsys.readouterr()
    assert main(["evaluate", str(model), zipped, "--report", str(page)]) == 0
    told = capsys.readouterr()
    assert "accuracy" in told.out and told.err == ""
    text = page.read_text()
    assert 'class="gone"' not in text and "<img" in text and 'href="drawings.zip"' in text
    assert main(["review", zipped, "--extractor", "ink", "--epochs", "2", "--seed", "0"]) == 0
    assert "of 40 images" in capsys.readouterr().err


def test_an_archive_is_no_table(zipped, tmp_path, capsys):
    assert not is_table(zipped) and not is_table("none.zip") and is_table("none.csv")
    (tmp_path / "damaged.zip").write_text("a,b")
    assert main(["train", str(tmp_path / "damaged.zip"), "-o", str(tmp_path / "m.npz")]) == 2
    assert_one_sentence(capsys.readouterr(), "damaged.zip is neither a folder nor a tar or zip archive")
    assert main(["train", zipped, "--target", "a", "-o", str(tmp_path / "m.npz")]) == 2
    assert_one_sentence(capsys.readouterr(), "--target is for tables")
