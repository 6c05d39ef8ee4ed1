"""Commands on images of several formats: --formats restricts them, and reports, resumed runs and evaluation know them all."""

import re
import shutil
from pathlib import Path

import pytest
from command_line import TRAINING, rows_of
from PIL import Image

import fastmlp
from fastmlp.commands.main import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.npz"
    fastmlp.train_folder(TRAINING, extractor="ink", seed=0, epochs=50).save(path)
    return path


@pytest.fixture
def mixed(tmp_path):
    """Drawings of two classes, as PNG, JPEG and BMP, and a text."""
    images = sorted((TRAINING / "train-images").glob("*.png"))[:12]
    for number, path in enumerate(images):
        folder = tmp_path / "mixed" / ("circle", "line")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.open(path).convert("L").resize((300, 300), Image.Resampling.NEAREST)
        image.save(folder / f"{number}{('.png', '.jpg', '.bmp')[number % 3]}")
    (tmp_path / "mixed" / "circle" / "notes.txt").write_text("text")
    return tmp_path / "mixed"


def test_rows_reports_and_resumed_runs_have_all_formats(model, mixed, tmp_path, capsys):
    output, page = tmp_path / "v.csv", tmp_path / "v.html"
    words = ["classify", str(model), str(mixed), "-o", str(output)]
    assert main([*words, "--report", str(page)]) == 0
    assert "12 images: circle" in capsys.readouterr().err
    assert page.read_text().count("data:image/png") == 12
    rows = output.read_bytes()
    assert {Path(row[0]).suffix for row in rows_of(rows)[1:]} == {".png", ".jpg", ".bmp"}
    output.write_bytes(b"".join(rows.splitlines(keepends=True)[:8]))
    assert main([*words, "--resume"]) == 0  # which compares rows with what the model says of their images now
    assert output.read_bytes() == rows


def test_classify_reads_the_formats_that_are_wanted(model, mixed, capsys):
    assert main(["classify", str(model), str(mixed), "--formats", "png,jpg"]) == 0
    captured = capsys.readouterr()
    assert len(rows_of(captured.out.encode())) == 9 and "5 skipped" in captured.err
    assert main(["classify", str(model), str(mixed), "--formats", "png", "--strict"]) == 1
    assert len(re.findall(r"\.(?:bmp|jpg|txt),,,,failed,.*is no image file \(PNG\)", capsys.readouterr().out)) == 9


def test_train_evaluate_and_features_read_the_formats_that_are_wanted(mixed, tmp_path, capsys):
    words = ["train", str(mixed), "-o", str(tmp_path / "m.npz"), "--extractor", "ink", "--hidden", "2", "--epochs", "2", "--yes"]
    assert main([*words, "--formats", "png,bmp"]) == 0
    assert "8 images: circle 4, line 4" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "m.npz"), str(mixed), "--formats", "jpeg"]) == 0
    capsys.readouterr()
    assert main(["features", str(mixed), "--formats", "jpeg"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_wrong_formats_are_told_in_a_sentence(model, mixed, tmp_path, capsys):
    other = shutil.copytree(mixed, tmp_path / "other")
    for words in (
        ["classify", str(model), str(mixed), str(other)],
        ["evaluate", str(model), str(mixed)],
        ["features", str(mixed)],
        ["train", str(mixed), "-o", str(tmp_path / "n.npz")],
    ):
        assert main([*words, "--formats", "pgn"]) == 2
        assert capsys.readouterr().err.startswith(
            "fastmlp: formats must be one of 'bmp', 'gif', 'jpeg', 'png', 'ppm', 'tiff', 'webp'"
        )
    assert main(["classify", str(model), str(mixed), "--formats", "gif"]) == 2
    told = "mixed holds no image file (GIF); it holds 4 .bmp, 4 .jpg, 4 .png, 1 .txt\n"
    assert capsys.readouterr().err.endswith(told)
    for command in ("train", "classify", "evaluate", "features"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "png, jpeg, bmp, gif, webp, tiff, ppm" in " ".join(capsys.readouterr().out.split())
