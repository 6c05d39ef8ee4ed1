"""What `fastmlp evaluate` tells of a classifier, of what is wrong, and of what cannot be read."""

import re
import shutil

import numpy as np
import pytest
from command_line import IMAGES, TRAINING, assert_one_sentence, some_of_each

import fastmlp
from fastmlp.commands.main import main


def test_evaluate_tells_how_good_a_classifier_is_and_where_it_is_wrong(classifier, tmp_path, capsys):
    folder = some_of_each(tmp_path / "some", circle=3, line=25)
    shutil.move(folder / "line" / "0.png", folder / "circle" / "a.png")  # a line that is called a circle
    evaluation = fastmlp.load(classifier).evaluate(folder)
    assert main(["evaluate", str(classifier), str(folder)]) == 0
    captured = capsys.readouterr()
    head, _, rest = captured.out.partition("\n\nmost often taken:\n")
    assert captured.err == "" and head == str(evaluation) and evaluation.accuracy == 27 / 28
    wrong = re.escape(str(folder / "circle" / "a.png"))
    assert re.fullmatch(rf"  circle for line: 1\n\nwrong:\n  {wrong}: line 0\.\d{{3}}, but it is circle\n", rest)

    for number in range(30):
        shutil.copy(IMAGES / "tl-1.png", folder / "circle" / f"b{number:02}.png")
    for options, named in ([], 20), (["--all"], 31):
        assert main(["evaluate", str(classifier), str(folder), *options]) == 0
        printed = capsys.readouterr().out
        assert printed.count(", but it is circle\n") == named
        assert ("... and 11 more, which --all shows" in printed) == (named == 20)


def test_evaluate_tells_of_damaged_images_and_of_names_that_a_terminal_would_obey(classifier, tmp_path, capsys):
    folder = some_of_each(tmp_path / "lab", circle=2, line=2)
    shutil.copy(IMAGES / "tl-1.png", folder / "circle" / "a\rb\x1b[31m.png")
    damaged = folder / "line" / "damaged.png"
    damaged.write_bytes((IMAGES / "tl-1.png").read_bytes()[:-60])
    assert main(["evaluate", str(classifier), str(folder)]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("5 rows  accuracy 0.8  ")
    assert r"a\rb\x1b[31m.png: line" in captured.out and "\x1b" not in captured.out
    assert captured.err.startswith(f"fastmlp: {damaged}") and captured.err.count("\n") == 1
    for path in folder.rglob("*.png"):
        path.write_bytes(damaged.read_bytes())
    assert main(["evaluate", str(classifier), str(folder)]) == 2
    assert_one_sentence(capsys.readouterr(), f"{folder} has no image that can be read; ", "is truncated")


def test_evaluate_names_what_is_no_class_and_may_stop_at_the_first_damaged_image(classifier, tmp_path, capsys):
    folder = some_of_each(tmp_path / "lab", circle=2, line=2)
    for name in ("__MACOSX", "empty"):
        (folder / name).mkdir()
    (folder / "line" / "note.png").write_text("a text")
    for options in [], ["--on-error", "skip"]:
        assert main(["evaluate", str(classifier), str(folder), *options]) == 1
        captured = capsys.readouterr()
        damaged, *left_out = captured.err.splitlines()
        assert captured.out.startswith("4 rows") and damaged.startswith(f"fastmlp: {folder / 'line' / 'note.png'} is no image file")
        left = ["__MACOSX (hidden)", "empty (no image file is in them)"]
        assert left_out == [f"fastmlp: left out: {name}" for name in left]
    assert main(["evaluate", str(classifier), str(folder), "--on-error", "raise"]) == 2
    assert_one_sentence(capsys.readouterr(), "note.png")
    assert main(["evaluate", str(classifier), str(folder), "--on-error", "stop"]) == 2
    assert_one_sentence(capsys.readouterr(), "on_error must be one of 'raise', 'skip'; got 'stop'")
    assert main(["review", str(folder), "--on-error", "raise"]) == 2
    assert_one_sentence(capsys.readouterr(), "note.png")
    assert main(["review", str(folder), "--extractor", "ink", "--cv", "2", "--epochs", "2", "--hidden", "4", "--seed", "0"]) == 1
    assert capsys.readouterr().err.splitlines()[1:-1] == left_out


def test_scores_that_are_no_probabilities_have_no_log_loss(tmp_path, capsys):
    path = tmp_path / "m.npz"
    fastmlp.train_folder(TRAINING, method="one-vs-rest", epochs=3, seed=0).save(path)
    assert main(["evaluate", str(path), str(TRAINING)]) == 0
    assert "log loss" not in capsys.readouterr().out


def test_evaluate_takes_answer_files_and_names_nothing_if_all_is_right(classifier, capsys):
    assert main(["evaluate", str(classifier), str(TRAINING)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out == f"{fastmlp.load(classifier).evaluate(TRAINING)}\n"
    assert captured.out.startswith("40 rows  accuracy 1 ")


def test_evaluate_shows_the_whole_confusion_of_ten_classes(tmp_path, capsys):
    names = [str(number) for number in range(10)]
    network = fastmlp.MLP.from_weights([np.zeros((3, 10))], [np.arange(10.0)], output="softmax", classes=names)
    fastmlp.ImageClassifier(names, (network,), "ink", "softmax").save(tmp_path / "ten.npz")
    folder = some_of_each(tmp_path / "some", **{"3": 2, "9": 1})  # all are taken for 9
    assert main(["evaluate", str(tmp_path / "ten.npz"), str(folder)]) == 0
    matrix, pairs = capsys.readouterr().out.partition("taken for:\n")[2].split("\n\n")[:2]
    assert matrix.splitlines()[4].split() == ["3", *"0000000002"] and len(matrix.splitlines()) == 11
    assert pairs == "most often taken:\n  3 for 9: 2"


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ({}, ["neither a folder for each class nor answer files"]),
        ({"square": 1, "arc": 1, "line": 1}, ["has images of arc, square, but the model knows circle, line"]),
    ],
    ids=["unlabelled", "strange class"],
)
def test_what_cannot_be_evaluated_is_one_sentence(counts, parts, classifier, tmp_path, capsys):
    folder = some_of_each(tmp_path / "some", **counts)
    folder.mkdir(exist_ok=True)
    assert main(["evaluate", str(classifier), str(folder)]) == 2
    assert_one_sentence(capsys.readouterr(), folder, *parts)
