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


@pytest.mark.parametrize("kind", ["npy", "csv", "tsv"])
def test_whole_numbers_are_off_by_what_is_told(kind, saved, tmp_path, capsys):
    X, file = np.random.default_rng(0).normal(size=(20, 3)), str(tmp_path / f"rows.{kind}")
    if kind == "npy":
        np.save(file, X)
    else:
        delimiter = "," if kind == "csv" else "\t"
        rows = [["a", "b", "name", "c"]] + [[f"{row[0]!r}", f"{row[1]!r}", "x", f"{row[2]!r}"] for row in X.tolist()]
        (tmp_path / f"rows.{kind}").write_text("".join(delimiter.join(row) + "\n" for row in rows))
    assert main(["export", str(saved), "-o", str(tmp_path / "m.c"), "--fixed-point", file]) == 0
    captured = capsys.readouterr()
    told = captured.out.splitlines()[-1]
    assert captured.err == ("" if kind == "npy" else f"fastmlp: {file}: columns that are no numbers are left out: name\n")
    assert told == f"fixed point: {fastmlp.load(saved).export(tmp_path / 'n.c', fixed_point=X)}" and "on 20 rows" in told


def test_features_of_images_need_no_rows(classifier, tmp_path, capsys):
    assert main(["export", str(classifier), "-o", str(tmp_path / "m.c"), "--fixed-point"]) == 0
    assert "; 0 rows are taken for another class" in capsys.readouterr().out


def test_a_model_of_a_table_is_written_for_whole_numbers_by_a_table(tmp_path, capsys):
    rng = np.random.default_rng(0)
    table = tmp_path / "t.csv"
    table.write_text(
        "a,b,y\n" + "".join(f"{a:.3f},{b},{a + (b == 'u'):.3f}\n" for a, b in zip(rng.normal(size=40), "uv" * 20, strict=True))
    )
    fastmlp.train_table(table, "y", hidden=2, epochs=1, seed=0).save(tmp_path / "m.npz")
    assert main(["export", str(tmp_path / "m.npz"), "-o", str(tmp_path / "m.c"), "--fixed-point", str(table)]) == 0
    assert "fixed point: on 40 rows" in capsys.readouterr().out


def test_columns_are_found_by_the_names_of_training(tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["a", "b"])
    fastmlp.train(frame, frame["a"] > 0, hidden=2, epochs=1, seed=0).save(tmp_path / "m.npz")
    words = ["export", str(tmp_path / "m.npz"), "-o", str(tmp_path / "m.c"), "--fixed-point"]
    for columns, code in ((["b", "a"], 0), (["b"], 2)):
        frame.assign(more=1)[["more", *columns]].to_csv(tmp_path / "t.csv")
        assert main([*words, str(tmp_path / "t.csv")]) == code
        told = capsys.readouterr()
        if code:
            assert_one_sentence(told, "must have a column of numbers for each input; 'a' is not in it")


def test_rows_that_do_not_fit_are_one_sentence(saved, tmp_path, capsys):
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    (tmp_path / "gap.csv").write_text("a,b,c\n1,2,3\n1,,3\n")
    (tmp_path / "texts.csv").write_text("a\nx\n")
    (tmp_path / "text.npy").write_text("x")
    np.save(tmp_path / "fine.npy", np.ones((2, 3)))
    for rows, part in (
        ("two.csv", "must have 3 columns"), ("gap.csv", "fixed_point[1, 1] is nan"), ("texts.csv", "has no column of numbers"),
        ("text.npy", "cannot be read as an array"), ("none.csv", "No such file"), (None, "must be rows of typical inputs"),
    ):  # fmt: skip
        words = ["export", str(saved), "-o", str(tmp_path / "m.c"), "--fixed-point"]
        assert main(words + ([] if rows is None else [str(tmp_path / rows)])) == 2
        assert_one_sentence(capsys.readouterr(), part)
    for more in ["m.py"], ["m.c", "--dtype", "float32"]:
        path, *options = more
        words = ["export", str(saved), "-o", str(tmp_path / path), *options, "--fixed-point", str(tmp_path / "fine.npy")]
        assert main(words) == 2
        assert_one_sentence(capsys.readouterr(), "fixed_point")
    assert not list(tmp_path.glob("m.[cph]*"))


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
