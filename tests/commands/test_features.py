"""The rows that `fastmlp features` writes, whole or beside their place."""

import shutil

import numpy as np
import pytest
from command_line import ERRORS, IMAGES, TRAINING, interrupt_after, rows_of
from processes import run

import fastmlp
from fastmlp.commands.main import main


def test_features_are_those_of_the_data_folder(capsys):
    assert main(["features", str(TRAINING / "train-images")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    expected = (TRAINING / "features.csv").read_text().splitlines()
    found = captured.out.splitlines()
    assert found[0] == expected[0] == "file_name,feature1,feature2,feature3"
    assert sorted(found) == sorted(expected)


def test_features_of_the_readable_images_are_written_and_the_others_named(folder):
    process = run("features", folder)
    assert process.returncode == 1
    assert [row[0] for row in rows_of(process.stdout)] == ["file_name", "a.png", 'c\udcff, "c".png']
    assert b"b.png" in process.stderr and process.stderr.count(b"\n") == 1


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b.png', " a .png", "a,b.png", "'.png"], ids=ascii)
def test_features_of_a_file_of_any_name_are_one_row_that_the_csv_module_reads(name, tmp_path, capsys):
    shutil.copy(IMAGES / "tc-1.png", tmp_path / name)
    assert main(["features", str(tmp_path), "-o", str(tmp_path / "f.csv")]) == 0
    _, row = rows_of((tmp_path / "f.csv").read_bytes())
    assert row[0] == name and len(row) == 4


def test_features_go_to_a_file(tmp_path, capsys):
    path = tmp_path / "f.csv"
    assert main(["features", str(IMAGES), "--extractor", "pixels", "-o", str(path)]) == 0
    assert capsys.readouterr().out == ""
    rows = rows_of(path.read_bytes())
    assert rows[0] == ["file_name", *(f"feature{number}" for number in range(1, 257))]
    names, features, _ = fastmlp.extract_features(IMAGES, extractor="pixels")
    assert [row[0] for row in rows[1:]] == names
    assert np.array_equal(np.array([row[1:] for row in rows[1:]], float), features)


@ERRORS
@pytest.mark.parametrize("is_there", [False, True])
def test_features_are_whole_or_beside_their_place(is_there, error, many, tmp_path, monkeypatch, capsys):
    output = tmp_path / "f.csv"
    assert main(["features", str(many), "-o", str(output)]) == 0
    whole = output.read_bytes()
    older = b"file_name,feature1\nolder,1\n"
    output.write_bytes(older) if is_there else output.unlink()
    for name in ("f.unfinished.csv", "f.unfinished-2.csv"):
        with monkeypatch.context() as patch:
            interrupt_after(patch, "fastmlp.commands.classification.rows.features_text", 2, error)
            assert main(["features", str(many), "-o", str(output)]) == (130 if isinstance(error, KeyboardInterrupt) else 2)
        assert f"so far is in {tmp_path / name}" in capsys.readouterr().err
        kept = (tmp_path / name).read_bytes()
        assert whole.startswith(kept) and 100 < kept.count(b"\n") < 3000
        assert output.read_bytes() == older if is_there else not output.exists()
    assert main(["features", str(many), "-o", str(output)]) == 0
    assert output.read_bytes() == whole and len(list(tmp_path.glob("*.csv"))) == 3
