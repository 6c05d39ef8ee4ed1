"""What `fastmlp info` tells of a file, and what is no model."""

import numba
import numpy as np
import pytest
from command_line import IMAGES, TRAINING, assert_one_sentence, classified

import fastmlp
from fastmlp.commands.main import main


@pytest.mark.parametrize("command", ["info", "classify"])
def test_a_file_that_is_no_image_classifier_is_named(command, tmp_path, capsys):
    rest = [str(IMAGES)] if command == "classify" else []
    assert main([command, str(tmp_path / "m.npz"), *rest]) == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "m.npz")
    (tmp_path / "m.npz").write_bytes(b"PK\3\4 and so on")
    assert main([command, str(tmp_path / "m.npz"), *rest]) == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "m.npz")


def test_a_network_for_arrays_classifies_no_images(tmp_path, capsys):
    fastmlp.MLP.from_weights([np.eye(3)], [np.zeros(3)]).save(tmp_path / "m.npz")
    assert main(["classify", str(tmp_path / "m.npz"), str(IMAGES)]) == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "m.npz", "not an image classifier")
    assert main(["info", str(tmp_path / "m.npz")]) == 0
    assert "3-3" in capsys.readouterr().out


@pytest.mark.parametrize("options", ["", "--members 2"])
def test_info_tells_seed_options_rows_figures_and_versions(options, tmp_path, capsys):
    path = tmp_path / "m.npz"
    assert main(["train", str(TRAINING), "-o", str(path), "--epochs", "2", "--batch-size", "full", *options.split()]) == 0
    printed = capsys.readouterr().out
    assert main(["info", str(path)]) == 0
    told = capsys.readouterr().out
    assert printed.endswith(told)
    made_with = fastmlp.load(path).made_with
    for line in ("images: circle 20, line 20", f"seed: {made_with['seed']}", "rows: 40", "validation: images 8, accuracy "):
        assert f"\n{line}" in told
    for part in ("optimizer adam", "learning_rate 0.0", "batch_size full", "epochs 2", "validation 0.2"):
        assert part in told
    assert f"numba {numba.__version__}\n" in told
    assert "patience" not in told


def test_info_shows_a_population(tmp_path, capsys):
    X = np.random.default_rng(0).normal(size=(20, 3))
    population = fastmlp.train_many(X, X[:, 0] > 0, learning_rate=[0.01, 0.1], epochs=3, seed=0)
    population.save(tmp_path / "p.npz")
    assert main(["info", str(tmp_path / "p.npz")]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.startswith(f"{population!r}\n{population.table}\nrows: 20\noptions: ")
    assert classified(tmp_path / "p.npz", IMAGES) == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "p.npz", "not an image classifier")


def test_a_model_with_an_extractor_of_ones_own_is_told_of_and_exported_and_left_to_python(tmp_path, capsys):
    path, module = tmp_path / "m.npz", tmp_path / "m.py"
    fastmlp.train_folder(TRAINING, extractor=len_of, hidden=(2,), epochs=2, seed=0).save(path)
    assert main(["info", str(path)]) == 0
    name = f"{__name__}:len_of"
    assert f"extractor {name}, method softmax" in capsys.readouterr().out
    assert main(["export", str(path), "-o", str(module)]) == 0
    assert "2 inputs" in capsys.readouterr().out and module.exists()
    for command in (["classify"], ["evaluate"], ["sort", "--dry-run"]):
        to = [str(tmp_path / "sorted")] if command[0] == "sort" else []
        assert main([*command, str(path), str(TRAINING), *to]) == 2
        assert_one_sentence(capsys.readouterr(), path, "an extractor of one's own", name, "give it in Python: fastmlp.load")


def len_of(image):
    return image.shape
