"""The commands, as processes where signals, pipes and terminals matter, else as calls of main."""

import csv
import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np
import pytest

import fastmlp
from fastmlp.commands import tutorials
from fastmlp.commands.main import main
from fastmlp.commands.tutorials import image_named
from fastmlp.images import fitting
from fastmlp.images.folders import train_folder
from fastmlp.images.labelled import labelled_images

pty = pytest.importorskip("pty")
resource = pytest.importorskip("resource")

ROOT = Path(__file__).resolve().parents[2]
TRAINING, IMAGES = ROOT / "data", ROOT / "test-images"
PATIENCE = 120  # seconds until a process is taken to hang; a cold compile is in it


@contextmanager
def started(*args, start=None, **how):
    """A command's process, which finds the package from any folder."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fastmlp", *map(os.fspath, args)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        bufsize=0,  # so that what has been read of its output by lines is no more than those lines
        preexec_fn=start,
        **how,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def run(*args, **how):
    with started(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Terminal:
    """A person at the other end of a process's terminal."""

    def __init__(self, master):
        self.master, self.text = master, ""

    def wait_for(self, pattern):
        """Read on until the pattern is found in what has not been waited for yet."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, self.text[-1000:]
            if select.select([self.master], [], [], 1)[0]:
                self.text += os.read(self.master, 4096).decode()
        self.text = self.text[match.end() :]

    def rest(self):
        """What is to be read yet."""
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 4096).decode()
        return self.text

    def type(self, text):
        os.write(self.master, text.encode())


@contextmanager
def at_terminal(*args, streams=("stdin", "stdout", "stderr"), **how):
    """A command's process with a terminal for some of its streams, and the person there."""
    master, slave = pty.openpty()
    try:
        with started(*args, **dict.fromkeys(streams, slave), **how) as process:
            yield process, Terminal(master)
    finally:
        os.close(master)
        os.close(slave)


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Nothing is left to compile, which terminals would be told."""
    assert main(["warmup"]) == 0


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.npz"
    fastmlp.train_folder(TRAINING, extractor="ink", hidden=(4,), epochs=50, seed=0).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three images; the second is damaged, and the name of the third is not UTF-8."""
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(IMAGES / "tc-1.png", folder / "a.png")
    (folder / "b.png").write_bytes((IMAGES / "tc-2.png").read_bytes()[:60])
    shutil.copy(IMAGES / "tl-1.png", os.fsencode(folder) + b'/c\xff, "c".png')
    return folder


@pytest.fixture
def many(tmp_path):
    """A folder of so many images that their rows do not fit into a pipe."""
    folder = tmp_path / "many"
    folder.mkdir()
    image = shutil.copy(IMAGES / "tc-1.png", tmp_path)
    for index in range(3000):
        os.link(image, folder / f"{index:04}.png")
    return folder


def rows_of(data):
    return list(csv.reader(io.StringIO(data.decode(errors="surrogateescape"), newline="")))


CLASSES = "fastmlp: 40 images: circle 20, line 20\n"  # what train says first, of the tutorial's data


def assert_one_sentence(captured, *parts):
    sentence = captured.err.removeprefix(CLASSES)
    assert captured.out == ""
    assert sentence.startswith("fastmlp: ") and sentence.count("\n") == 1
    for part in parts:
        assert str(part) in sentence


# Usage


def test_help_names_the_commands():
    process = run("--help")
    assert (process.returncode, process.stderr) == (0, b"")
    for command in (b"demo", b"features", b"train", b"classify", b"evaluate", b"info", b"warmup"):
        assert command in process.stdout
    assert run("--version").stdout.decode().split() == ["fastmlp", fastmlp.__version__]


def exits(args, capsys):
    """What argparse ends a command with: its code, and what it printed."""
    with pytest.raises(SystemExit) as caught:
        main(args.split())
    return caught.value.code, capsys.readouterr()


@pytest.mark.parametrize("args", ["", "help"])
def test_without_a_command_the_help_is_shown(args, capsys):
    assert exits(args, capsys) == exits("--help", capsys)


@pytest.mark.parametrize("command", ["demo", "features", "train", "classify", "evaluate", "info", "warmup"])
def test_help_of_a_command_is_shown_in_two_ways(command, capsys):
    code, captured = exits(f"help {command}", capsys)
    assert (code, captured) == exits(f"{command} --help", capsys)
    assert code == 0 and captured.err == "" and f"usage: fastmlp {command}" in captured.out


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ("trian", ["'trian'", "did you mean train?"]),
        ("help trian", ["'trian'", "did you mean train?"]),
        ("--verison", ["--verison", "did you mean --version?"]),
        ("train folder", ["-o/--output"]),
        ("train folder -o m --sed 3", ["--sed", "did you mean --seed?", "fastmlp train --help"]),
        ("train --sed=3 -o m folder", ["--sed", "did you mean --seed?"]),
        ("demo --sed 3", ["--sed", "did you mean --seed?"]),
        ("features folder --extracter ink", ["--extracter", "did you mean --extractor?"]),
        ("classify m folder --unorderd", ["--unorderd", "did you mean --unordered?"]),
        ("evaluate m folder --threds 2", ["--threds", "did you mean --threads?"]),
        ("info m --verbose", ["fastmlp info has no option --verbose"]),
        ("warmup --quick", ["fastmlp warmup has no option --quick"]),
        ("info a b", ["fastmlp info does not take 'b'"]),
        ("info a -x", ["fastmlp info does not take '-x'"]),
        ("train folder -o m --hidden abc", ["--hidden", "such as 16 or 16,8", "'abc'"]),
        ("train folder -o m --hidden 8,x", ["--hidden", "such as 16 or 16,8", "'8,x'"]),
        ("train folder -o m --hidden 8//4", ["--hidden", "''"]),
        ("train folder -o m --hidden", ["--hidden", "expected one argument"]),
        ("train folder -o m --learning-rate 0.1,x", ["--learning-rate must be a number; got 'x'"]),
        ("train folder -o m --batch-size 1,", ["--batch-size must be a whole number or full; got ''"]),
        ("train folder -o m --members 0", ["--members must be a positive whole number; got '0'"]),
        ("train folder -o m --seed 1.5", ["--seed must be a whole number; got '1.5'"]),
        ("train folder -o m --validation some", ["--validation must be a number; got 'some'"]),
        ("train folder -o m --dtype float23", ["--dtype must be float32 or float64; got 'float23' (did you mean float32?)"]),
        ("classify m folder --format jsnl", ["--format must be csv or jsonl; got 'jsnl' (did you mean jsonl?)"]),
        ("demo circle", ["TASK must be circles or toy; got 'circle' (did you mean circles?)"]),
        ("demo --seed x", ["--seed must be a whole number; got 'x'"]),
    ],
)
def test_wrong_usage_is_one_sentence_and_exits_with_2(args, parts, capsys):
    code, captured = exits(args, capsys)
    assert code == 2
    assert_one_sentence(captured, *parts, "--help")


# features


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


# Bad input and output


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path, capsys):
    assert main(["features", str(IMAGES), "--extractor", "pixel"]) == 2
    assert_one_sentence(capsys.readouterr(), "pixels")
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m"), "--optimizer", "adm"]) == 2
    assert_one_sentence(capsys.readouterr(), "'adm'", "'adam'")
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m"), "--epochs", "-1"]) == 2
    assert_one_sentence(capsys.readouterr(), "epochs", "-1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["features"], ["train", "-o", "m.npz"], ["classify", "MODEL"]], ids=lambda c: c[0])
@pytest.mark.parametrize("kind", ["missing", "empty", "without images"])
def test_a_folder_with_nothing_to_do_is_named(command, kind, classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if kind != "missing":
        (tmp_path / "folder").mkdir()
    if kind == "without images":
        (tmp_path / "folder" / "a.txt").touch()
    assert main([str(classifier) if word == "MODEL" else word for word in [*command, "folder"]]) == 2
    assert_one_sentence(capsys.readouterr(), "folder")
    assert not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize(
    "command", [["features", "IMAGES"], ["train", "TRAINING"], ["classify", "MODEL", "IMAGES"]], ids=lambda c: c[0]
)
@pytest.mark.parametrize("output", ["no/such/folder", "."])
def test_an_output_that_cannot_be_written_is_named(command, output, classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = {"IMAGES": str(IMAGES), "TRAINING": str(TRAINING), "MODEL": str(classifier)}
    assert main([*(paths.get(word, word) for word in command), "-o", output]) == 2
    assert_one_sentence(capsys.readouterr(), output)
    assert not list(tmp_path.iterdir())


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


def test_training_that_diverges_ends_in_one_sentence(tmp_path, capsys):
    huge = ["--activation", "identity", "--optimizer", "sgd", "--learning-rate", "1e300", "--method", "one-vs-rest"]
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *huge]) == 2
    assert_one_sentence(capsys.readouterr(), "diverged")
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *huge[:-2], "--members", "2"]) == 2
    assert_one_sentence(capsys.readouterr(), "diverged")
    assert not list(tmp_path.iterdir())


# train and info


def test_train_saves_what_its_options_say(tmp_path, capsys):
    path = tmp_path / "m.npz"
    options = "--hidden 8,4 --activation relu --epochs 7 --batch-size full --dtype float32 --seed 3 --validation 0.2"
    options += " --extractor pixels --optimizer nesterov --l2 0.001 --learning-rate 0.01 --patience 50 --threads 1"
    options += " --momentum 0.8 --data-seed 5 --bootstrap --no-refit"
    assert main(["train", str(TRAINING), "-o", str(path), *options.split()]) == 0
    captured = capsys.readouterr()
    assert captured.err == CLASSES and "256-8-4-2" in captured.out
    model = fastmlp.load(path)
    (network,) = model.networks
    assert (model.classes, model.extractor, model.method) == (["circle", "line"], "pixels", "softmax")
    assert network.activations == ("relu", "relu") and network.dtype == np.float32 and network.history.epochs == 7
    same = fastmlp.train_folder(
        TRAINING, extractor="pixels", hidden=(8, 4), activation="relu", epochs=7, batch_size=None, dtype=np.float32,
        seed=3, validation=0.2, optimizer="nesterov", l2=0.001, learning_rate=0.01, patience=50,
        momentum=0.8, data_seed=5, bootstrap=True,
    )  # fmt: skip
    assert np.array_equal(same.networks[0].theta, network.theta)

    assert main(["info", str(path)]) == 0
    assert capsys.readouterr() == (captured.out, "")


def test_train_holds_out_a_fifth_and_then_trains_on_all(tmp_path, capsys):
    path = tmp_path / "m.npz"
    assert main(["train", str(TRAINING), "-o", str(path), "--epochs", "5"]) == 0
    captured = capsys.readouterr()
    model = fastmlp.load(path)
    assert captured.err == CLASSES and model.extractor == "pixels"
    found = model.made_with["validation"]
    assert (found["images"], found["epochs"], found["stopped_by"], found["refit"]) == (8, 5, "epochs", True)
    told = f"validation: images 8, accuracy {found['accuracy']:.6g}, loss {found['loss']:.6g}, best_epoch {found['best_epoch']}"
    assert f"{told}, epochs 5, stopped_by epochs, refit yes\n" in captured.out
    same = train_folder(TRAINING, epochs=found["best_epoch"], seed=model.made_with["seed"])
    assert same.networks[0].theta.tobytes() == model.networks[0].theta.tobytes()


@pytest.mark.filterwarnings("always:training on all images was interrupted:RuntimeWarning")
@pytest.mark.parametrize(("options", "trainer"), [([], "train"), (["--members", "2"], "train_many")])
def test_ctrl_c_while_all_images_are_trained_on_keeps_what_was_trained_before(options, trainer, tmp_path, monkeypatch, capsys):
    real = getattr(fastmlp, trainer)

    def interrupted(*arrays, **how):
        if how.get("validation") is None:
            raise KeyboardInterrupt
        return real(*arrays, **how)

    monkeypatch.setattr(f"fastmlp.images.fitting.{trainer}", interrupted)
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), "--epochs", "3", "--seed", "1", *options]) == 130
    assert "fastmlp: training on all images was interrupted; " in capsys.readouterr().err
    (path,) = tmp_path.iterdir()
    kept = fastmlp.load(path)
    assert kept.made_with["validation"]["refit"] == "interrupted" and kept.networks[0].history.validation_loss is not None


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


def test_without_validation_all_images_are_trained_on_once(tmp_path, capsys):
    for options in ([], ["--members", "2"]):
        path = tmp_path / "m.npz"
        assert main(["train", str(TRAINING), "-o", str(path), "--epochs", "2", "--validation", "0", *options]) == 0
        assert "validation" not in capsys.readouterr().out
        (network,) = fastmlp.load(path).networks
        assert network.history.epochs == 2 and network.history.validation_loss is None


def some_of_each(folder, **counts):
    """A labelled folder of so many images of each class."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shutil.copy(IMAGES / f"t{'lc'[name == 'circle']}-1.png", folder / name / f"{number}.png")
    return folder


def test_classes_too_small_to_hold_out_from_are_told(tmp_path, capsys):
    few = some_of_each(tmp_path / "few", circle=2, line=5)
    assert main(["train", str(few), "-o", str(tmp_path / "m.npz"), "--epochs", "2"]) == 0
    assert capsys.readouterr().err == "fastmlp: 7 images: circle 2, line 5\nfastmlp: too few images to hold any out: circle\n"
    assert fastmlp.load(tmp_path / "m.npz").made_with["validation"]["images"] == 1
    fewer = some_of_each(tmp_path / "fewer", circle=1, line=2)
    assert main(["train", str(fewer), "-o", str(tmp_path / "m.npz"), "--epochs", "2"]) == 0
    assert capsys.readouterr().err.endswith("fastmlp: too few images to hold any out: circle, line\n")
    assert "validation" not in fastmlp.load(tmp_path / "m.npz").made_with


@pytest.fixture
def project(tmp_path):
    """A folder as this project's clone is one, and a command that would train on it."""
    shutil.copytree(TRAINING, tmp_path / "clone" / "data")
    shutil.copytree(IMAGES, tmp_path / "clone" / "test-images")
    (tmp_path / "clone" / "tests").mkdir()
    (tmp_path / "clone" / "tests" / "test_it.py").touch()
    return tmp_path / "clone", ["train", ".", "-o", tmp_path / "m.npz", "--epochs", "1"]


def test_a_folder_that_does_not_look_like_classes_needs_a_yes(project, monkeypatch, capsys):
    folder, command = project
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # which is no terminal
    found = "fastmlp: 51 images: data 41, test-images 10\n"
    doubt = "fastmlp: the folders in . may be no classes: no PNG file is in tests; images lie in folders within data"
    assert main(list(map(str, command))) == 2
    assert capsys.readouterr() == ("", f"{found}{doubt}; give --yes to train all the same\n")
    assert not command[3].exists()
    assert main([*map(str, command), "--yes"]) == 0
    assert capsys.readouterr().err == f"{found}{doubt}\n"
    assert fastmlp.load(command[3]).classes == ["data", "test-images"]


def test_at_a_terminal_somebody_is_asked_whether_the_classes_are_meant(project):
    folder, command = project
    for answer, code in ("n", 2), ("yes", 0):
        with at_terminal(*command, cwd=folder) as (process, person):
            person.wait_for(r"Train all the same\? \[y/N\] ")
            person.type(f"{answer}\n")
            assert process.wait(PATIENCE) == code
        assert command[3].exists() == (code == 0)


def test_train_makes_one_network_for_each_class(tmp_path, capsys):
    options = ["--method", "one-vs-rest", "--hidden", "3", "--epochs", "5"]
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *options]) == 0
    printed = capsys.readouterr().out
    assert "MLP(circle): 256-3-1" in printed and "MLP(line): 256-3-1" in printed


# train, of several networks


@pytest.fixture
def trained(tmp_path, monkeypatch, capsys):
    """What `fastmlp train` does with options: the options that it gives to train_many, what comes of it, and what is printed."""

    def run_train(text):
        seen, train_many = [], fitting.train_many

        def watched(*arrays, **options):
            seen.append((options, train_many(*arrays, **options)))
            return seen[-1][1]

        monkeypatch.setattr("fastmlp.images.fitting.train_many", watched)
        assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *text.split()]) == 0
        (options, population), *_ = seen
        return options, population, fastmlp.load(tmp_path / "m.npz"), capsys.readouterr()

    return run_train


def test_of_each_combination_a_network_is_trained_and_the_best_is_saved(trained, tmp_path, capsys):
    text = "--hidden 4/3,2 --learning-rate 0.01,0.1 --epochs 5 --seed 3 --extractor pixels --dtype float32"
    _, population, saved, printed = trained(text)
    data = labelled_images(TRAINING)
    common = {"data_seed": 3, "output": "softmax", "dtype": "float32"}
    expected = fastmlp.train_many(
        data.features, data.labels, hidden=[(4,), (4,), (3, 2), (3, 2)], learning_rate=[0.01, 0.1, 0.01, 0.1], members=4, seed=3,
        validation=0.2, patience=5, epochs=5, **common,
    )  # fmt: skip
    assert [network.layer_sizes[1:-1] for network in population] == [(4,), (4,), (3, 2), (3, 2)]
    for network, same in zip(population, expected, strict=True):
        assert np.array_equal(network.theta, same.theta)
    (network,) = saved.networks
    assert (saved.classes, saved.extractor, saved.method) == (["circle", "line"], "pixels", "softmax")
    (best,) = expected.best()
    options = {name: values[0] for name, values in expected.best().options.items()}
    epochs = int(best.history.validation_loss.argmin()) + 1
    again = fastmlp.train_many(data.features, data.labels, members=1, epochs=epochs, **options, **common)
    assert np.array_equal(network.theta, again[0].theta)
    assert saved.made_with["seed"] == options["seed"] and saved.made_with["options"]["learning_rate"] == options["learning_rate"]

    table = f"{expected.table.best(4)}\n"
    assert printed.err == CLASSES and printed.out.startswith(table)
    assert main(["info", str(tmp_path / "m.npz")]) == 0
    assert capsys.readouterr().out == printed.out.removeprefix(table)


def test_combinations_take_turns_until_there_are_so_many_networks(trained):
    options, population, _, _ = trained("--members 5 --l2 0,0.01 --batch-size 8,full --activation relu --epochs 1")
    assert options["batch_size"] == [8, 8, None, None, 8]
    assert options["l2"] == [0.0, 0.01, 0.0, 0.01, 0.0]
    assert options["activation"] == ["relu"] * 5 and len(population) == 5


def test_members_have_different_seeds_and_the_same_rows_held_out(trained):
    for text, data_seed in ("--seed 7", 7), ("--seed 7 --data-seed 2", 2):
        options, population, _, _ = trained(f"--members 3 --epochs 1 {text}")
        assert list(population.options["seed"]) == [7, 8, 9]
        assert (options["data_seed"], options["validation"]) == (data_seed, 0.2)
    options, population, _, _ = trained("--members 2 --epochs 1 --validation 0.4")
    first, second = population.options["seed"]
    assert (second, options["data_seed"], options["validation"]) == (first + 1, first, 0.4)
    assert trained("--members 2 --epochs 1")[1].options["seed"][0] != first  # but for once in some billion times


def test_of_many_networks_the_best_ten_are_printed(trained):
    _, population, _, printed = trained("--members 12 --epochs 2 --seed 0 --hidden 2")
    assert printed.out.startswith(f"{population.table.best(10)}\nimage classifier of circle, line")


def test_an_ensemble_is_of_the_networks_that_halving_has_not_dropped(trained, tmp_path, capsys):
    text = "--members 9 --hidden 2/3 --halving 3 --epochs 9 --seed 0 --bootstrap --ensemble --no-refit"
    options, population, saved, printed = trained(text)
    assert (options["halving"], options["bootstrap"]) == (3, True)
    kept = [population[n] for n, reason in enumerate(population.history.stopped_by) if reason != "halving"]
    assert saved.method == "ensemble" and 0 < len(kept) < 9
    assert [network.theta.tobytes() for network in saved.networks] == [network.theta.tobytes() for network in kept]

    assert main(["info", str(tmp_path / "m.npz")]) == 0
    told = capsys.readouterr().out
    assert printed.out.endswith(told) and "method ensemble" in told
    for size in {network.layer_sizes[1] for network in kept}:
        count = sum(network.layer_sizes[1] == size for network in kept)
        assert f"\n{count} of 256-{size}-2, relu, softmax output" in told
    assert classified(tmp_path / "m.npz", IMAGES) == 0


def test_an_ensemble_is_trained_on_all_images_too(trained):
    _, population, saved, _ = trained("--members 4 --hidden 3 --epochs 12 --seed 0 --learning-rate 2 --extractor ink --ensemble")
    best = population.history.validation_loss.argmin(axis=1) + 1
    assert len(set(best.tolist())) > 1 and saved.made_with["validation"]["refit"] is True
    data = labelled_images(TRAINING, "ink")
    for place, network in enumerate(saved.networks):
        options = {"data_seed": 0, "output": "softmax", "hidden": 3, "learning_rate": 2}
        same = fastmlp.train_many(data.features, data.labels, seeds=[place], epochs=int(best[place]), **options)[0]
        assert network.theta.tobytes() == same.theta.tobytes()
    assert saved.made_with["seed"] == 0 and saved.networks[2].made_with["seed"] == 2


def test_networks_that_diverge_are_counted_and_left_out(trained):
    # A step of the first multiplies its weights by some 1e9, so that they become infinite only after many epochs.
    text = "--l2 1e10,0,0.001 --learning-rate 0.1 --optimizer sgd --batch-size full --epochs 50 --seed 0 --ensemble --no-refit"
    _, population, saved, printed = trained(text)
    assert population.history.stopped_by[0] == "diverged" and population.history.epochs[0] > 1
    assert printed.err == f"{CLASSES}fastmlp: 1 of 3 networks diverged\n"
    assert printed.out.startswith(f"{population.table.best(2)}\n")
    assert np.array_equal(saved.networks[0].theta, population[1].theta) and len(saved.networks) == 2


def test_an_ensemble_without_survivors_of_halving_is_the_best_network(trained, monkeypatch):
    train_many = fastmlp.train_many

    def dropped(*arrays, **options):
        population = train_many(*arrays, **options)
        population.history.stopped_by[:] = ["halving"] * len(population)
        return population

    monkeypatch.setattr("fastmlp.images.fitting.train_many", dropped)
    _, _, saved, _ = trained("--members 2 --epochs 1 --halving 2 --ensemble")
    assert len(saved.networks) == 1 and saved.method == "ensemble"


def test_an_interrupt_before_any_network_has_begun_saves_nothing(tmp_path, monkeypatch, capsys):
    train_many = fastmlp.train_many

    def interrupted(*arrays, **options):
        population = train_many(*arrays, **options)
        population.history.epochs[:] = 0
        population.history.stopped_by[:] = ["interrupt"] * len(population)
        return population

    monkeypatch.setattr("fastmlp.images.fitting.train_many", interrupted)
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), "--members", "2", "--epochs", "1"]) == 130
    assert_one_sentence(capsys.readouterr(), "interrupted")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--method one-vs-rest --members 2", ["--method one-vs-rest", "--members"]),
        ("--method one-vs-rest --members 1", ["--method one-vs-rest", "--members"]),
        ("--method one-vs-rest --l2 0,1", ["--method one-vs-rest", "several values"]),
        ("--ensemble", ["--ensemble needs several networks"]),
        ("--ensemble --members 1", ["--ensemble needs several networks"]),
        ("--halving 2 --hidden 8,8", ["--halving needs several networks"]),
        ("--members 2 --hidden 4/8/16", ["--members must be at least 3", "got 2"]),
        ("--method ensemble", ["method must be one of", "'ensemble'"]),
        ("--members 3 --halving 1", ["halving", "1"]),
    ],
)
def test_options_of_several_networks_that_contradict_each_other_are_one_sentence(options, parts, tmp_path, capsys):
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *options.split()]) == 2
    assert_one_sentence(capsys.readouterr(), *parts)
    assert not list(tmp_path.iterdir())


def test_info_shows_a_population(tmp_path, capsys):
    X = np.random.default_rng(0).normal(size=(20, 3))
    population = fastmlp.train_many(X, X[:, 0] > 0, learning_rate=[0.01, 0.1], epochs=3, seed=0)
    population.save(tmp_path / "p.npz")
    assert main(["info", str(tmp_path / "p.npz")]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.startswith(f"{population!r}\n{population.table}\nrows: 20\noptions: ")
    assert classified(tmp_path / "p.npz", IMAGES) == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "p.npz", "not an image classifier")


# evaluate


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
    assert capsys.readouterr().err.endswith(f"fastmlp: {folder} has no image that can be read\n")


def test_scores_that_are_no_probabilities_have_no_log_loss(tmp_path, capsys):
    path = tmp_path / "m.npz"
    fastmlp.train_folder(TRAINING, method="one-vs-rest", epochs=3, seed=0).save(path)
    assert main(["evaluate", str(path), str(TRAINING)]) == 0
    assert "log loss" not in capsys.readouterr().out


def test_the_network_that_is_kept_is_the_one_that_is_told(tmp_path, capsys):
    path = tmp_path / "m.npz"
    command = ["train", str(TRAINING), "-o", str(path), "--epochs", "60", "--learning-rate", "0.03", "--no-refit", "--seed", "0"]
    assert main(command) == 0
    (history,) = (network.history for network in fastmlp.load(path).networks)
    best = int(history.validation_loss.argmin()) + 1
    assert best < 60 and f"; 60 epochs, that of epoch {best}, loss {history.loss[best - 1]:.6g}\n" in capsys.readouterr().out


def test_warmup_can_be_interrupted(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.training.descent.Run._advance", interrupted)
    assert main(["warmup", "train"]) == 130
    assert capsys.readouterr().err == "fastmlp: interrupted\n"


def test_devices_are_written_to_as_they_are(tmp_path):
    for command in (["features", IMAGES, "-o", "/dev/null"],):
        assert main(list(map(str, command))) == 0


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
    [({}, ["neither a folder for each class nor answer files"]), ({"square": 1, "line": 1}, ["square", "circle, line"])],
    ids=["unlabelled", "strange class"],
)
def test_what_cannot_be_evaluated_is_one_sentence(counts, parts, classifier, tmp_path, capsys):
    folder = some_of_each(tmp_path / "some", **counts)
    folder.mkdir(exist_ok=True)
    assert main(["evaluate", str(classifier), str(folder)]) == 2
    assert_one_sentence(capsys.readouterr(), folder, *parts)


# classify


def classified(*args):
    """The exit code of `fastmlp classify`, in this process."""
    return main(["classify", *map(str, args)])


def summary_of(text):
    """What the line of a summary says: images, skipped, failed, and how many rows were there before."""
    match = re.search(r"(\d+) images: .*; (\d+) skipped, (\d+) failed(?:; (\d+) of .* before)?; [\d.]+ s, \d+ files/s\n", text)
    return tuple(int(number or 0) for number in match.groups())


def test_classify_help_says_all(capsys):
    with pytest.raises(SystemExit):
        main(["classify", "--help"])
    text = capsys.readouterr().out
    for word in ("--resume", "--strict", "--unordered", "--max-pixels", "--follow-symlinks", "--report", "--threads", "--format"):
        assert word in text
    for word in ("path", "label", "score_", "status", "error", "130", "examples:"):
        assert word in text


def test_rows_of_csv_are_those_of_classify(classifier, folder):
    process = run("classify", classifier, folder)
    header, *rows = rows_of(process.stdout)
    assert process.returncode == 1
    assert process.stderr.startswith(b"fastmlp: 2 images: circle 1, line 1; 0 skipped, 1 failed; ")
    assert header == ["path", "label", "score_circle", "score_line", "status", "error"]
    expected = fastmlp.classify_folder(classifier, folder)
    assert [row[0] for row in rows] == expected.paths and expected.paths[2] == 'c\udcff, "c".png'
    assert [row[1] or None for row in rows] == expected.labels
    assert [row[4] for row in rows] == ["ok", "failed", "ok"]
    assert [row[5] or None for row in rows] == expected.errors and rows[1][2:4] == ["", ""]
    readable = [0, 2]
    scores = np.array([rows[index][2:4] for index in readable], float)
    assert np.allclose(scores, expected.scores[readable], rtol=0, atol=0.51e-6)
    assert b'"c\xff, ""c"".png",' in process.stdout  # the bytes that the name has on the disk


@pytest.mark.parametrize("options", [["--format", "jsonl"], ["-o", "out.jsonl"]], ids=" ".join)
def test_json_lines_are_those_of_classify(options, classifier, folder, tmp_path):
    process = run("classify", classifier, folder, *options, cwd=tmp_path)
    assert process.returncode == 1
    data = (tmp_path / "out.jsonl").read_bytes() if "-o" in options else process.stdout
    records = [json.loads(line) for line in data.splitlines()]
    expected = fastmlp.classify_folder(classifier, folder)
    assert [record["path"] for record in records] == expected.paths
    assert [record["label"] for record in records] == expected.labels
    assert [record["status"] for record in records] == ["ok", "failed", "ok"]
    assert [record["error"] for record in records] == expected.errors
    assert records[1]["scores"] is None and list(records[0]["scores"]) == ["circle", "line"]
    assert np.allclose(list(records[0]["scores"].values()), expected.scores[0], rtol=0, atol=0.51e-6)
    for record in records:
        assert os.path.exists(os.fsencode(folder) + b"/" + os.fsencode(record["path"]))


def test_several_sources_are_classified_in_their_order(classifier, folder, tmp_path, capsys):
    some = [IMAGES / "tl-2.png", IMAGES / "tc-2.png", folder / "b.png", tmp_path / "missing.png"]
    last = IMAGES / "tc-3.png"
    assert classified(classifier, *some, IMAGES, last, "-o", tmp_path / "o.csv") == 1
    rows = rows_of((tmp_path / "o.csv").read_bytes())[1:]
    assert [row[0] for row in rows] == [*map(str, some), *map(str, sorted(IMAGES.iterdir())), str(last)]
    assert [index for index, row in enumerate(rows) if row[-1]] == [2, 3]
    assert summary_of(capsys.readouterr().err) == (13, 0, 2, 0)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_has_the_rows_of_its_folder(kind, classifier, tmp_path, capsys):
    shutil.make_archive(tmp_path / "a", kind, IMAGES)
    assert classified(classifier, IMAGES) == 0
    expected = capsys.readouterr().out
    assert classified(classifier, tmp_path / f"a.{kind}") == 0
    found = capsys.readouterr().out
    assert sorted(line.removeprefix("./") for line in found.splitlines()) == sorted(expected.splitlines())


def test_unordered_rows_are_the_same_in_any_order(classifier, many, tmp_path, capsys):
    assert classified(classifier, many, "-o", tmp_path / "a.csv") == 0
    assert classified(classifier, many, "-o", tmp_path / "b.csv", "--unordered") == 0
    one, other = ((tmp_path / name).read_bytes().splitlines() for name in ("a.csv", "b.csv"))
    assert len(one) == 3001 and sorted(one) == sorted(other)


def test_what_is_no_image_is_skipped_and_fails_with_strict(classifier, folder, capsys):
    (folder / "z.txt").write_text("notes")
    output = folder / "out.csv"  # which is no image either, and never fails for that
    assert classified(classifier, folder, "-o", output) == 1
    assert summary_of(capsys.readouterr().err) == (2, 1, 1, 0)
    without = rows_of(output.read_bytes())
    for _ in range(2):
        assert classified(classifier, folder, "-o", output, "--strict") == 1
        assert summary_of(capsys.readouterr().err) == (2, 0, 2, 0)
        rows = rows_of(output.read_bytes())
        assert rows[:-1] == without and rows[-1][0] == "z.txt" and rows[-1][-2] == "failed"
    before = output.read_bytes()
    assert classified(classifier, folder, "-o", output, "--strict", "--resume") == 1
    assert output.read_bytes() == before


def test_an_image_of_too_many_pixels_fails(classifier, capsys):
    assert classified(classifier, IMAGES, "--max-pixels", 255) == 1
    captured = capsys.readouterr()
    assert summary_of(captured.err) == (0, 0, 10, 0) and captured.out.count("255") == 10
    assert classified(classifier, IMAGES, "--max-pixels", 256, "--threads", 2) == 0


def test_links_to_folders_are_followed_when_asked_to(classifier, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(IMAGES / "tc-1.png", folder)
    (folder / "more").symlink_to(IMAGES)
    assert classified(classifier, folder) == 0
    assert summary_of(capsys.readouterr().err)[0] == 1
    assert classified(classifier, folder, "--follow-symlinks") == 0
    assert summary_of(capsys.readouterr().err)[0] == 11


@pytest.mark.parametrize("options", ["--max-pixels 0", "--max-pixels -1", "--max-pixels many", "--threads 0"])
def test_a_number_that_must_be_positive_is_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as caught:
        classified("m.npz", IMAGES, *options.split())
    assert caught.value.code == 2 and "must be a positive whole number" in capsys.readouterr().err


def test_resume_needs_an_output(classifier, capsys):
    assert classified(classifier, IMAGES, "--resume") == 2
    assert_one_sentence(capsys.readouterr(), "--resume", "-o")


REFUSED = [
    ("train data -o notes.txt", "the name of a fastmlp model ends in .npz"),
    ("train data -o new.txt", "the name of a fastmlp model ends in .npz"),
    ("train data -o notes", "is not a fastmlp model"),
    ("train data -o arrays.npz", "is not a fastmlp model"),
    ("train data -o data/correct-outputs-circle.txt", ".npz"),
    ("train data -o verdicts", "is not a fastmlp model"),
    ("features images -o images/tc-1.png", "the name of features as CSV ends in .csv"),
    ("features images -o hard", "is not features as CSV"),
    ("features images -o symbolic.csv", "is not features as CSV"),
    ("features images -o answers.csv", "is not features as CSV"),
    ("features images -o verdicts", "is not features as CSV"),
    ("features hard -o images/tc-1.png", "it is one of the files that are read, or the other output"),
    ("classify M images -o M", "it is one of the files that are read, or the other output"),
    ("classify M images -o sub/../M", "it is one of the files that are read, or the other output"),
    ("classify M hard -o images/tc-1.png", "it is one of the files that are read, or the other output"),
    ("classify M hard -o y --report y", "it is one of the files that are read, or the other output"),
    ("classify M hard --report hard", "it is one of the files that are read, or the other output"),
    ("classify M images verdicts -o verdicts", "it is one of the files that are read, or the other output"),
    ("classify M images -o v.parquet", "its name must end in .csv or .jsonl, or --format say"),
    ("classify M images -o v.ndjson --resume", "its name must end in .csv or .jsonl, or --format say"),
    ("classify M images -o notes.txt --format csv", "is not verdicts as CSV"),
    ("classify M images -o answers.csv", "is not verdicts as CSV"),
    ("classify M images -o labels.csv", "is not verdicts as CSV"),
    ("classify M images -o verdicts --format jsonl", "is not verdicts as JSON lines"),
    ("classify M images -o notes.txt --format jsonl", "is not verdicts as JSON lines"),
    ("classify M images --report page.txt", "the name of a page of --report ends in .html"),
    ("classify M images --report page.html", "is not a page of --report"),
    ("demo --out demo", "is not features as CSV"),
    ("demo toy --out demo", "is not a figure of this demo"),
]


@pytest.mark.parametrize(("command", "reason"), REFUSED, ids=[command for command, _ in REFUSED])
def test_no_command_writes_over_its_inputs_or_over_files_of_another_kind(
    command, reason, classifier, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(classifier, "M")
    for name in ("sub", "demo", "data", "images"):
        os.mkdir(name)
    shutil.copytree(TRAINING, "data", dirs_exist_ok=True)
    shutil.copy(IMAGES / "tc-1.png", "images")
    shutil.copy(IMAGES / "tc-1.png", "demo/loss.png")
    os.link("images/tc-1.png", "hard")
    os.symlink("images/tc-1.png", "symbolic.csv")
    np.savez("arrays", np.arange(3))
    Path("verdicts").write_text("path,label,score_circle,score_line,status,error\n")
    for name, text in {
        "notes": "mine", "notes.txt": "mine", "answers.csv": "file_name,correct_answer\n", "labels.csv": "path,label\n",
        "page.html": "<!doctype html>mine", "demo/features.csv": "file_name,height\n",
    }.items():  # fmt: skip
        Path(name).write_text(text)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    assert main(command.split()) == 2
    assert_one_sentence(capsys.readouterr(), "cannot be written", reason)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_what_a_command_has_written_it_writes_over(classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (
        f"features {IMAGES} -o f.csv", f"train {TRAINING} -o m.npz --epochs 1 --seed 0",
        f"classify {classifier} {IMAGES} -o v.csv --report p.html", f"classify {classifier} {IMAGES} -o V.JSONL",
        f"classify {classifier} {IMAGES} -o v.txt --format jsonl",
    ):  # fmt: skip
        written = []
        for _ in range(2):
            assert main(command.split()) == 0
            written.append({path: path.read_bytes() for path in tmp_path.iterdir()})
        assert written[0] == written[1]
    assert Path("V.JSONL").read_bytes() == Path("v.txt").read_bytes() and Path("v.txt").read_text().startswith('{"path": "')
    assert len(written[1]) == 6


def interrupt_after(monkeypatch, function, calls, error):
    """The next call after so many raises an error."""
    room, name = function.rsplit(".", 1)
    left, target = iter(range(calls)), None
    for part in room.split("."):
        target = sys.modules[part] if target is None else getattr(target, part)
    whole = getattr(target, name)

    def failing(*args):
        if next(left, None) is None:
            raise error
        return whole(*args)

    monkeypatch.setattr(function, failing)


ERRORS = pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["Ctrl-C", "full disk"]
)


@ERRORS
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ""])
def test_an_older_output_is_replaced_when_the_new_one_is_whole(suffix, error, classifier, many, tmp_path, monkeypatch, capsys):
    output, left = tmp_path / f"o{suffix}", tmp_path / f"o.unfinished{suffix}"
    options = [classifier, many, "-o", output, "--threads", "1"]
    assert classified(*options) == 0
    whole = output.read_bytes()
    older = whole[: whole.index(b"\n", len(whole) // 2) + 1]
    output.write_bytes(older)
    output.chmod(0o600)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "fastmlp.commands.rows.Tally.add", 2, error)
        capsys.readouterr()
        assert classified(*options) == (130 if isinstance(error, KeyboardInterrupt) else 2)
    kept = left.read_bytes()
    assert output.read_bytes() == older and whole.startswith(kept) and 100 < kept.count(b"\n") < 3000
    messages = capsys.readouterr().err
    assert f"so far is in {left}, and --resume goes on with it; {output} is as it was\n" in messages

    assert classified(*options) == 2  # or what was kept would be lost
    assert_one_sentence(capsys.readouterr(), left, "--resume")
    assert (output.read_bytes(), left.read_bytes()) == (older, kept)
    left.write_bytes(kept + b"torn")
    assert classified(*options, "--resume") == 0
    assert output.read_bytes() == whole and output.stat().st_mode & 0o777 == 0o600 and not left.exists()
    assert summary_of(capsys.readouterr().err)[3] == kept.count(b"\n") - (suffix != ".jsonl")


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
            interrupt_after(patch, "fastmlp.commands.rows.features_text", 2, error)
            assert main(["features", str(many), "-o", str(output)]) == (130 if isinstance(error, KeyboardInterrupt) else 2)
        assert f"so far is in {tmp_path / name}" in capsys.readouterr().err
        kept = (tmp_path / name).read_bytes()
        assert whole.startswith(kept) and 100 < kept.count(b"\n") < 3000
        assert output.read_bytes() == older if is_there else not output.exists()
    assert main(["features", str(many), "-o", str(output)]) == 0
    assert output.read_bytes() == whole and len(list(tmp_path.glob("*.csv"))) == 3


def test_a_new_output_that_is_interrupted_says_how_to_go_on(classifier, many, tmp_path, monkeypatch, capsys):
    output = tmp_path / "o.csv"
    interrupt_after(monkeypatch, "fastmlp.commands.rows.Tally.add", 2, KeyboardInterrupt())
    assert classified(classifier, many, "-o", output, "--threads", "1") == 130
    assert f"fastmlp: --resume goes on with {output}\n" in capsys.readouterr().err
    assert list(tmp_path.glob("*.csv")) == [output]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_output_of_another_model_of_the_same_classes_is_not_resumed(kind, classifier, tmp_path, capsys):
    other, output = tmp_path / "other.npz", tmp_path / f"o.{kind}"
    fastmlp.train_folder(TRAINING, hidden=(4,), epochs=50, seed=1).save(other)
    shutil.make_archive(tmp_path / "a", "tar", IMAGES)
    for sources in ([IMAGES], [tmp_path / "a.tar"], sorted(IMAGES.iterdir()), [IMAGES, tmp_path / "a.tar"]):
        assert classified(classifier, *sources, "-o", output) == 0
        whole = output.read_bytes()
        output.write_bytes(whole[: len(whole) // 2])
        capsys.readouterr()
        assert classified(other, *sources, "-o", output, "--resume") == 2
        assert_one_sentence(capsys.readouterr(), output, "cannot be continued: another model has written it")
        assert output.read_bytes() == whole[: len(whole) // 2]
        assert classified(classifier, *sources, "-o", output, "--resume") == 0
        assert output.read_bytes() == whole


def test_a_wrong_source_leaves_the_older_output(classifier, tmp_path, capsys):
    older = "path,label,score_a,status,error\nas it was\n"
    (tmp_path / "o.csv").write_text(older)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    for name in ("missing", "empty"):
        assert classified(classifier, tmp_path / name, "-o", tmp_path / "o.csv") == 2
        assert_one_sentence(capsys.readouterr(), tmp_path / name)
    (tmp_path / "o.csv").rename(tmp_path / "empty" / "o.csv")
    (tmp_path / "empty" / "a.txt").unlink()
    assert classified(classifier, tmp_path / "empty", "-o", tmp_path / "empty" / "o.csv", "--strict") == 2
    assert_one_sentence(capsys.readouterr(), "nothing to classify")
    assert (tmp_path / "empty" / "o.csv").read_text() == older
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["o.csv"]


def test_an_output_of_other_classes_is_not_resumed(classifier, tmp_path, capsys):
    for text in ("path,label,score_a,score_b,status,error\n", "notes"):
        (tmp_path / "o.csv").write_text(text)
        assert classified(classifier, IMAGES, "-o", tmp_path / "o.csv", "--resume") == 2
        assert_one_sentence(capsys.readouterr(), tmp_path / "o.csv", "cannot be continued")
        assert (tmp_path / "o.csv").read_text() == text


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_resumed_output_is_that_of_an_undisturbed_run(kind, classifier, folder, tmp_path, capsys):
    output = tmp_path / f"o.{kind}"
    assert classified(classifier, folder, "-o", output) == 1
    whole = output.read_bytes()
    capsys.readouterr()
    for size in (0, 3, len(whole) // 3, 2 * len(whole) // 3, len(whole) - 1, len(whole)):
        output.write_bytes(whole[:size])
        assert classified(classifier, folder, "-o", output, "--resume") == 1  # for what failed before, too
        assert output.read_bytes() == whole
        before = max(whole[:size].count(b"\n") - (kind == "csv"), 0)
        assert summary_of(capsys.readouterr().err) == (2, 0, 1, before)
    output.unlink()
    assert classified(classifier, folder, "-o", output, "--resume") == 1
    assert output.read_bytes() == whole


@pytest.fixture
def wide(tmp_path):
    """A model of so many classes that each row has 3 KB, and that to write the rows takes the most time."""
    classes = [f"class {number:03}" for number in range(300)]
    network = fastmlp.MLP.from_weights([np.zeros((3, 300))], [np.zeros(300)], output="softmax", classes=classes)
    fastmlp.ImageClassifier(classes, (network,), "ink", "softmax").save(tmp_path / "wide.npz")
    return tmp_path / "wide.npz"


def test_runs_that_are_killed_and_resumed_lose_nothing_and_repeat_nothing(wide, many, tmp_path):
    """Signals come when the output has some share of its rows; a run that is done before is as good a test of the next one."""
    output, sources = tmp_path / "o.csv", [tmp_path / f"folder {number}" for number in range(10)]
    for number, image in enumerate(sorted(many.iterdir())):
        folder = sources[number * len(sources) // 3000]
        folder.mkdir(exist_ok=True)
        os.link(image, folder / image.name)
    assert classified(wide, *sources, "-o", output) == 0
    whole = output.read_bytes()
    output.unlink()
    for share, number in ((0.1, signal.SIGKILL), (0.3, signal.SIGINT), (0.5, signal.SIGKILL)):
        with started("classify", wide, *sources, "-o", output, "--resume", stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None and not (output.exists() and output.stat().st_size > share * len(whole)):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            process.send_signal(number)
            messages = process.communicate(timeout=PATIENCE)[1].decode()
        data = output.read_bytes()
        assert whole.startswith(data) and len(data) > share * len(whole)
        assert process.returncode in ((0, -9) if number == signal.SIGKILL else (0, 130))
        if process.returncode != -9:
            assert data.endswith(b"\n") and summary_of(messages)[0] == data.count(b"\n") - 1
    assert classified(wide, *sources, "-o", output, "--resume") == 0
    assert output.read_bytes() == whole


def test_a_disk_that_is_full_at_any_byte_is_one_sentence_and_the_run_can_be_resumed(wide, many, tmp_path, capsys):
    output = tmp_path / "o.csv"
    assert classified(wide, many, "-o", output) == 0
    whole = output.read_bytes()
    for size in (20_000, 1_234_567):
        output.unlink()

        def limit(size=size):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        process = run("classify", wide, many, "-o", output, start=limit)
        assert process.returncode == 2
        assert process.stderr.decode() == f"fastmlp: {output}: File too large\n"
        assert output.read_bytes() == whole[:size]
        assert classified(wide, many, "-o", output, "--resume") == 0
        assert output.read_bytes() == whole


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_sentence(classifier, tmp_path):
    process = run("classify", classifier, IMAGES, "-o", "/dev/full")
    assert (process.returncode, process.stderr) == (2, b"fastmlp: /dev/full: No space left on device\n")
    for command in (["classify", classifier, IMAGES], ["features", IMAGES]):
        with open("/dev/full", "w") as full, started(*command, stdout=full, stderr=subprocess.PIPE) as process:
            assert process.communicate(timeout=PATIENCE)[1] == b"fastmlp: stdout: No space left on device\n"
        assert process.returncode == 2


def test_rows_come_while_classify_goes_on_and_are_whole_after_an_interrupt(wide, many):
    with started("classify", wide, many, many, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = process.stdout.readline() + process.stdout.readline()
        time.sleep(0.5)  # by then it waits, in the middle of a row, for room in the pipe
        process.send_signal(signal.SIGINT)
        rest, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and messages.endswith(b" files/s\nfastmlp: interrupted\n")
    rows = rows_of(first + rest)
    assert 2 < len(rows) < 6001 and (first + rest).endswith(b"\n")
    assert {len(row) for row in rows} == {304}
    assert summary_of(messages.decode())[0] == len(rows) - 1


def test_a_reader_that_leaves_ends_classify_quietly(classifier, many):
    with started("classify", classifier, many, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 0


PAGE = '<!doctype html>\n<meta name="generator" content="fastmlp 0">'


class RecordedReport:
    """Stands in for a report, and remembers what it was given."""

    made = ()

    def __init__(self, classes):
        self.classes, self.rows, self.scores = classes, [], []
        RecordedReport.made = (*RecordedReport.made, self)

    def add_rows(self, paths, labels, scores, errors, read):
        data = [b"" if error else read(path) for path, error in zip(paths, errors, strict=True)]
        self.rows += zip(paths, labels, data, strict=True)
        self.scores += scores.tolist()

    def write(self, path):
        Path(path).write_text(PAGE)


def test_a_report_is_given_all_rows_and_their_images_also_when_resumed(classifier, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.commands.report.Report", RecordedReport)
    output, page, sources = tmp_path / "o.csv", tmp_path / "page.html", [folder, IMAGES, IMAGES / "tc-1.png"]
    assert classified(classifier, *sources, "-o", output, "--report", page) == 1
    assert page.read_text() == PAGE
    output.write_bytes(output.read_bytes()[:300])
    assert classified(classifier, *sources, "-o", output, "--report", page, "--resume") == 1
    one, resumed = RecordedReport.made
    assert one.classes == ["circle", "line"] and one.rows == resumed.rows
    assert np.array_equal(one.scores, resumed.scores, equal_nan=True)
    assert [row[0] for row in one.rows] == [row[0] for row in rows_of(output.read_bytes())[1:]]
    assert one.rows[0][2] == (folder / "a.png").read_bytes()


def test_a_report_that_cannot_be_written_is_told_before_the_work(classifier, tmp_path, capsys):
    output = tmp_path / "o.csv"
    assert classified(classifier, IMAGES, "-o", output, "--report", tmp_path / "no" / "page.html") == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "no" / "page.html")
    assert not output.exists()


# Terminals


def test_progress_is_shown_on_a_terminal_and_wiped_off(classifier, many, tmp_path):
    command = ["classify", classifier, *sorted(many.iterdir()), "-o", tmp_path / "o.csv"]
    with at_terminal(*command, streams=["stderr"]) as (process, person):
        person.wait_for(r"\r\d+ of 3000 files, \d+ files/s, 0 failed(  \d:\d\d:\d\d left)? +\r")
        person.wait_for(r"\r {99}\rfastmlp: 3000 images: ")
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("options", [[], ["--method", "one-vs-rest"], ["--members", "3"]], ids=lambda options: "".join(options[:1]))
def test_an_interrupted_training_keeps_the_networks_so_far_beside_the_older_ones(options, classifier, tmp_path):
    path, before = Path(shutil.copy(classifier, tmp_path / "m.npz")), classifier.read_bytes()
    for number in ("", "-2"):
        command = ["train", TRAINING, "-o", path, "--epochs", "10000000", "--hidden", "4", *options]
        with at_terminal(*command, streams=["stderr"]) as (process, person):
            person.wait_for(r"\repoch [1-9]")
            process.send_signal(signal.SIGINT)
            person.wait_for("fastmlp: training was interrupted after ")
            person.wait_for(" of 10000000 epochs; ")
            person.wait_for(rf"so far is in \S+m\.unfinished{number}\.npz; \S+m\.npz is as it was")
            assert process.wait(PATIENCE) == 130
        assert path.read_bytes() == before
        for network in fastmlp.load(tmp_path / f"m.unfinished{number}.npz").networks:
            assert network.history.stopped_by == "interrupt" and network.history.epochs > 0


@pytest.mark.filterwarnings("always::RuntimeWarning")  # which main shows as a message
@pytest.mark.parametrize("options", [[], ["--method", "one-vs-rest"], ["--members", "3"]], ids=lambda options: "".join(options[:1]))
def test_an_interrupt_before_the_first_epoch_has_ended_keeps_nothing(options, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.training.descent.Run._advance", interrupted)
    monkeypatch.setattr("fastmlp.training.crews.population.descend", interrupted)
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *options]) == 130
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.endswith("fastmlp: interrupted\n") and "so far" not in captured.err
    assert not list(tmp_path.iterdir())


def test_the_demo_asks_on_a_terminal_until_an_empty_line(tmp_path):
    replies = {
        "tc-1.png": r"tc-1\.png: This image is a CIRCLE",
        str(IMAGES / "tl-3.png"): r"tl-3\.png: This image is a LINE",
        "nothing.png": r"fastmlp: nothing\.png",
        "tc-2": r"tc-2\.png: This image is a CIRCLE",
        f"'{tmp_path}/two words.png' ": r"two words\.png: This image is a LINE",
    }
    shutil.copy(IMAGES / "tl-1.png", tmp_path / "two words.png")
    with at_terminal("demo", cwd=tmp_path) as (process, person):
        for answer, reply in replies.items():
            person.wait_for("empty line ends")
            person.type(f"{answer}\n")
            person.wait_for(reply)
        person.wait_for("empty line ends")
        person.type("\n")
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "typed",
    [
        "IMAGES/tc-1.png", "IMAGES/tc-1", "'IMAGES/tc-1.png'", "tc-1.png", "tc-1", '"tc-1"', "my line.png", r"my\ line.png",
        "my line", "~/my line.png", r"~/my\ line", '"~/my line"', "'~/it'\\''s.png'", "~/it's.png",
    ],
)  # fmt: skip
def test_the_demo_finds_an_image_however_its_name_is_typed(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("my line.png", "it's.png"):
        shutil.copy(IMAGES / "tl-1.png", name)
    found = Path(image_named(typed.replace("IMAGES", str(IMAGES)), IMAGES)).resolve()
    name = next(name for name in ("tc-1", "my line", "it's") if name in typed.replace("\\", "").replace("''", ""))
    assert found.is_file() and found.name == f"{name}.png"


def test_a_name_without_an_image_stays_as_it_was_typed():
    for typed, path in (("nothing", "nothing"), ("'no thing.png", "'no thing.png"), ("'no thing.png'", "no thing.png"), ("/", "/")):
        assert image_named(typed, IMAGES) == path


# demo and warmup


def test_the_demo_gets_ten_of_ten_right_from_any_folder(tmp_path):
    process = run("demo", cwd=tmp_path)
    assert (process.returncode, process.stderr) == (0, b"")
    lines = process.stdout.decode().splitlines()
    for kind, word in (("tc", "CIRCLE"), ("tl", "LINE")):
        for number in range(1, 6):
            assert f"{kind}-{number}.png: This image is a {word}" in lines
    assert "The larger output: 10 of 10 right" in lines and "The softmax network: 10 of 10 right" in lines
    expected = (TRAINING / "features.csv").read_text().splitlines()
    assert sorted((tmp_path / "fastmlp-demo" / "features.csv").read_text().splitlines()) == sorted(expected)


def test_the_toy_demo_learns_both_tasks(tmp_path):
    process = run("demo", "toy", "--out", tmp_path / "toy")
    assert process.returncode == 0
    text = process.stdout.decode()
    assert "The data were made by" in text and "MSE" in text
    accuracy, f1 = map(float, re.search(r"accuracy ([\d.]+), F1 ([\d.]+)", text).groups())
    assert min(accuracy, f1) > 0.9
    drawn = sorted(path.name for path in (tmp_path / "toy").iterdir())
    assert drawn == ["features.png", "labels.png", "loss.png"] or (not drawn and b"matplotlib" in process.stderr)


def test_figures_are_written_over_and_nothing_else_is(tmp_path):
    figure = pytest.importorskip("matplotlib.figure").Figure
    X, y = np.random.default_rng(0).random((20, 3)), np.arange(20) % 2
    toy, model = tutorials.Toy("", X, X, y, y), fastmlp.train(X, y, epochs=2)
    for _ in range(2):
        tutorials.check_figures(tmp_path)
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in tutorials.draw(tmp_path, model, toy))
    figure().savefig(tmp_path / "labels.png")
    before = (tmp_path / "labels.png").read_bytes()
    for write in (tutorials.check_figures, lambda folder: tutorials.draw(folder, model, toy)):
        with pytest.raises(ValueError, match=r"labels\.png cannot be written: it is there and is not a figure of this demo"):
            write(tmp_path)
    assert (tmp_path / "labels.png").read_bytes() == before


AFTER_WARMUP = """
import sys
import numpy as np
import fastmlp
from fastmlp.kernels.compile import noticed_by
from fastmlp.kernels.notice import Notice

class Heard(Notice):
    def begin(self, kernel, dtype):
        print(kernel, dtype)

TRAINING, IMAGES, *sources = sys.argv[1:]
rng = np.random.default_rng(0)
with noticed_by(Heard()):
    for dtype in np.float32, np.float64:
        X = rng.normal(size=(300, 3)).astype(dtype)
        fixed = X.copy()
        fixed.flags.writeable = False
        for y in X[:, 0] > 0, np.arange(300) % 3, X[:, :2]:
            for options in (
                {"batch_size": 1, "optimizer": "sgd", "bootstrap": True},
                {"optimizer": "momentum", "validation": 0.2, "patience": 1, "activation": "relu"},
                {"batch_size": None, "hidden": (300, 30), "l2": 0.1, "sample_weight": abs(X[:, 1]) + 1, "validation": 0.2},
            ):
                model = fastmlp.train(fixed, y, epochs=2, **options)
                targets = y if y.ndim == 1 else y[:, None]
                population = fastmlp.train_many(fixed, targets, members=3, epochs=4, halving=2, **options)
            if y.ndim == 1:
                model.update(X[0], y[0], 0.1)
            model.jit()
            fastmlp.train(X.tolist(), y, init=model, epochs=1, dtype=dtype)
            for rows in X, X[:1], X[::2], np.asfortranarray(X), X.tolist():
                model.predict(rows)
                population.predict_members(rows)
            model.loss(X, y), model.gradient(X, y), population.spread(X), population.best()[0].predict(X)
    for extractor, method in ("ink", "softmax"), ("pixels", "one-vs-rest"):
        classifier = fastmlp.train_folder(TRAINING, extractor=extractor, method=method, epochs=2)
        for source in IMAGES, *sources:
            fastmlp.classify_folder(classifier, source, done=lambda paths: np.array([path.endswith("1.png") for path in paths]))
            fastmlp.extract_features(source, extractor)
"""


def test_after_warmup_nothing_is_left_to_compile(many, tmp_path):
    with tarfile.open(tmp_path / "many.tar", "w") as file:
        file.add(many, "many")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for path in many.iterdir():
            file.write(path, path.name)
    command = [sys.executable, "-c", AFTER_WARMUP, TRAINING, IMAGES, many, tmp_path / "many.tar", tmp_path / "many.zip"]
    process = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (process.returncode, process.stderr, process.stdout) == (0, "", "")


def test_a_cold_compile_is_told_on_a_terminal_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "first"))
    with at_terminal("features", IMAGES, "-o", tmp_path / "f.csv", streams=["stderr"]) as (process, person):
        person.wait_for(r"\rfastmlp: compiling features of images \(float64\), once: ~\d s; Ctrl-C waits +\r {99}\r")
        assert process.wait(PATIENCE) == 0
        assert not person.rest()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "second"))
    process = run("features", IMAGES)
    assert process.stderr == b"" and process.stdout == (tmp_path / "f.csv").read_bytes()
