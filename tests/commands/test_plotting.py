"""--plot: what is drawn of trainings and of what models say, and what is told before anything is trained."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from command_line import IMAGES, TRAINING, assert_one_sentence

import fastmlp
from fastmlp.commands.main import main

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

FOLDER = ["train", str(TRAINING), "--epochs", "4", "--hidden", "4", "--seed", "0"]


@pytest.fixture
def drawn(monkeypatch):
    """The axes of the figures that are saved."""
    figures, savefig = [], Figure.savefig

    def noted(self, *args, **options):
        figures.append(self.axes)
        savefig(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", noted)
    return figures


@pytest.fixture
def table(tmp_path):
    draws = np.random.default_rng(0)
    with open(tmp_path / "houses.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["area", "town", "price"])
        rows.writerows([[area, ["Ulm", "Kiel"][area % 2], 3 * area + 0.5 * (area % 2)] for area in draws.permutation(60).tolist()])
    return str(tmp_path / "houses.csv")


def losses(axes):
    return [line.get_ydata() for line in axes.get_lines()]


def test_the_curves_are_those_of_the_training_that_was_measured(drawn, tmp_path, capsys):
    for anew in (["--no-refit"], []):
        assert main([*FOLDER, "-o", str(tmp_path / "m.npz"), "--plot", str(tmp_path / "loss.png"), *anew]) == 0
        (axes,) = drawn.pop()
        if anew:
            history = fastmlp.load(tmp_path / "m.npz").networks[0].history
        training, validation, best = losses(axes)
        assert np.array_equal(training, history.loss) and np.array_equal(validation, history.validation_loss)
        assert best == history.validation_loss.min() and bool(axes.get_title()) != bool(anew)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG") and "loss" in capsys.readouterr().out


def test_of_several_networks_each_has_its_curves_or_what_was_tried_is_shown(drawn, tmp_path):
    where = ["-o", str(tmp_path / "m.npz"), "--plot", str(tmp_path / "p.svg")]
    for options, labels in (
        (["--method", "one-vs-rest"], ["circle training", "circle validation", "line training", "line validation"]),
        (["--members", "2", "--ensemble"], [f"network {n} {what}" for n in (1, 2) for what in ("training", "validation")]),
        (["--members", "2"], ["training", "validation"]),
    ):
        assert main([*FOLDER, *where, *options]) == 0
        ((axes,),) = drawn
        drawn.clear()
        assert [line.get_label() for line in axes.get_lines()][: len(labels)] == labels
    assert main([*FOLDER, *where, "--learning-rate", "0.001,0.1"]) == 0
    assert drawn[0][0].get_xlabel() == "learning_rate" and len(drawn[0][0].collections[0].get_offsets()) == 2


def test_a_table_and_what_its_model_says(drawn, table, tmp_path):
    model, plot = str(tmp_path / "m.npz"), ["--plot", str(tmp_path / "p.pdf")]
    assert main(["train", table, "--target", "price", "-o", model, "--epochs", "5", "--seed", "0", *plot]) == 0
    assert len(losses(drawn.pop()[0])) == 3
    assert main(["train", table, "--target", "price", "-o", model, "--epochs", "5", "--cv", "3", *plot]) == 0
    assert len(losses(drawn.pop()[0])) == 1
    assert main(["evaluate", model, table, *plot]) == 0
    points, found = drawn.pop()[0].collections[0].get_offsets(), fastmlp.load(model)
    X, y = found.rows_of(table)
    np.testing.assert_allclose(points, np.column_stack([y, found.networks[0].predict(X)]))
    assert main(["train", table, "--target", "town", "-o", model, "--epochs", "5", *plot]) == 0
    assert main(["evaluate", model, table, *plot]) == 0
    assert drawn[-1][0].get_ylabel() == "class"


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_of_pictures_only_ours_are_drawn_over(ending, classifier, tmp_path, capsys):
    path = tmp_path / f"p.{ending}"
    for _ in range(2):
        assert main(["evaluate", str(classifier), str(TRAINING), "--plot", str(path)]) == 0
    path.write_bytes((IMAGES / "tl-1.png").read_bytes())
    capsys.readouterr()
    assert main(["evaluate", str(classifier), str(TRAINING), "--plot", str(path)]) == 2
    assert_one_sentence(capsys.readouterr(), path, "is there and is not a picture that fastmlp drew")
    assert path.read_bytes() == (IMAGES / "tl-1.png").read_bytes() and len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_drawn_is_told_before_the_training(tmp_path, capsys, monkeypatch):
    model, other = str(tmp_path / "m.npz"), str(tmp_path / "m.png")
    for plot, output, message in (
        ("p.jpg", model, "--plot must name a file that ends in .png, .svg or .pdf; got"), ("p", model, "that ends in .png"),
        ("none/p.png", model, "there is no folder"), ("m.png", other, "the name of a fastmlp model ends in .npz"),
    ):  # fmt: skip
        assert main([*FOLDER, "-o", output, "--plot", str(tmp_path / plot)]) == 2
        assert_one_sentence(capsys.readouterr(), message)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main([*FOLDER, "-o", model, "--plot", str(tmp_path / "p.png")]) == 2
    assert_one_sentence(capsys.readouterr(), "--plot needs matplotlib; pip install 'fastmlp[plot]' brings it")
    assert not list(tmp_path.iterdir())


def test_nobody_who_draws_nothing_waits_for_matplotlib(classifier):
    program = f"""
import sys
from fastmlp.commands.main import main
main(["evaluate", {str(classifier)!r}, {str(TRAINING)!r}])
sys.exit("matplotlib" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
