"""`fastmlp export`: what is written, what is told, and what is refused."""

import numpy as np
import pytest
from command_line import assert_one_sentence, exits
from model_files import network

import fastmlp
from fastmlp.commands.main import main
from fastmlp.formats.endings import FORMATS


@pytest.fixture
def saved(tmp_path):
    network((3, 2), output="softmax", loss="cross_entropy", classes=np.array(["no", "yes"])).save(tmp_path / "m.npz")
    return tmp_path / "m.npz"


def test_a_model_is_written_and_its_classes_are_told(saved, tmp_path, capsys):
    assert main(["export", str(saved), "-o", str(tmp_path / "m.c"), "--dtype", "float32"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'm.c'}: a C99 file, with a header beside it; 3 inputs\noutputs: no, yes\n"
    assert "float" in (tmp_path / "m.c").read_text() and "double" not in (tmp_path / "m.c").read_text()


def test_an_image_classifier_is_written_for_features(classifier, tmp_path, capsys):
    assert main(["export", str(classifier), "-o", str(tmp_path / "m.c")]) == 0
    assert capsys.readouterr().out.endswith("3 inputs\noutputs: circle, line\n")


def test_a_population_is_written_as_an_ensemble(tmp_path, capsys):
    X = np.random.default_rng(0).normal(size=(20, 3))
    fastmlp.train_many(X, X[:, 0] > 0, members=2, epochs=1, seed=0).save(tmp_path / "p.npz")
    assert main(["export", str(tmp_path / "p.npz"), "-o", str(tmp_path / "p.c")]) == 0
    assert capsys.readouterr().out.endswith("outputs: False, True\n")
    assert "the mean over 2 networks" in (tmp_path / "p.h").read_text()


def test_json_is_a_model_for_other_commands(saved, tmp_path, capsys):
    assert main(["export", str(saved), "-o", str(tmp_path / "m.json")]) == 0
    capsys.readouterr()
    for name in "m.npz", "m.json":
        assert main(["info", str(tmp_path / name)]) == 0
    told = capsys.readouterr().out
    assert told == 2 * told[: len(told) // 2]


def test_help_names_the_formats(capsys):
    text = " ".join(exits("export --help", capsys)[1].out.split())
    assert all(f"{row.ending} {row.text}" in text for row in FORMATS.values())
    assert "examples: fastmlp export model.npz -o model.c" in text and "exit code: 0" in text


def test_what_is_wrong_is_one_sentence(saved, tmp_path, capsys):
    for output, part in (("m.txt", "must end in .c"), ("no/m.c", "there is no folder"), ("m.npz", "must end in .c")):
        assert main(["export", str(saved), "-o", str(tmp_path / output)]) == 2
        assert_one_sentence(capsys.readouterr(), part)
    assert main(["export", str(tmp_path / "none.npz"), "-o", str(tmp_path / "m.c")]) == 2
    assert_one_sentence(capsys.readouterr(), "none.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]
