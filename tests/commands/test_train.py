"""What `fastmlp train` trains, of one network or of many, what it tells, and what it saves."""

import io
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from command_line import CLASSES, IMAGES, TRAINING, assert_one_sentence, classified, some_of_each
from drawings import calibrated
from processes import PATIENCE, at_terminal

import fastmlp
from fastmlp.commands.main import main
from fastmlp.images import fitting
from fastmlp.images.folders import train_folder
from fastmlp.images.labelled import labelled_images


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path, capsys):
    assert main(["features", str(IMAGES), "--extractor", "pixel"]) == 2
    assert_one_sentence(capsys.readouterr(), "pixels")
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m"), "--optimizer", "adm"]) == 2
    assert_one_sentence(capsys.readouterr(), "'adm'", "'adam'")
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m"), "--epochs", "-1"]) == 2
    assert_one_sentence(capsys.readouterr(), "epochs", "-1")
    assert not list(tmp_path.iterdir())


def test_training_that_diverges_ends_in_one_sentence(tmp_path, capsys):
    huge = ["--activation", "identity", "--optimizer", "sgd", "--learning-rate", "1e300", "--method", "one-vs-rest"]
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *huge]) == 2
    assert_one_sentence(capsys.readouterr(), "diverged")
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *huge[:-2], "--members", "2"]) == 2
    assert_one_sentence(capsys.readouterr(), "diverged")
    assert not list(tmp_path.iterdir())


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


def test_train_takes_a_schedule_and_what_is_monitored(tmp_path, capsys):
    path, options = tmp_path / "m.npz", "--schedule exponential --decay 0.8 --warmup 1 --epochs 6 --seed 3 --monitor accuracy"
    assert main(["train", str(TRAINING), "-o", str(path), "--no-refit", *options.split()]) == 0
    told, model = capsys.readouterr().out, fastmlp.load(path)
    (history,) = model.histories
    best = int(history.validation_accuracy.argmax())
    assert model.made_with["validation"]["best_epoch"] == best + 1 and f"loss {history.loss[best]:.6g}" in told
    same = fastmlp.train_folder(
        TRAINING, schedule="exponential", decay=0.8, warmup=1, epochs=6, seed=3, monitor="accuracy", validation=0.2
    )
    assert np.array_equal(same.networks[0].theta, model.networks[0].theta)
    for wrong, sentence in (
        ("--decay 2 --schedule plateau", "decay must be a number between 0 and 1"), ("--decay 0.5", "decay is for the schedules"),
        ("--monitor accuracy --validation 0", "monitor='accuracy' needs validation"), ("--monitor f1", "monitor must be one of"),
    ):  # fmt: skip
        assert main(["train", str(TRAINING), "-o", str(path), *wrong.split()]) == 2
        assert_one_sentence(capsys.readouterr(), sentence)


def test_train_holds_out_a_fifth_and_then_trains_on_all(tmp_path, capsys):
    path = tmp_path / "m.npz"
    assert main(["train", str(TRAINING), "-o", str(path), "--epochs", "5"]) == 0
    captured = capsys.readouterr()
    model = fastmlp.load(path)
    assert captured.err == CLASSES and model.extractor == "strokes"
    found = model.made_with["validation"]
    assert (found["images"], found["epochs"], found["stopped_by"], found["refit"]) == (8, 5, "epochs", True)
    told = f"validation: images 8, accuracy {found['accuracy']:.6g}, loss {found['loss']:.6g}, best_epoch {found['best_epoch']}"
    assert f"{told}, epochs 5, stopped_by epochs, refit yes, temperature {found['temperature']:.6g}\n" in captured.out
    same = train_folder(TRAINING, epochs=found["best_epoch"], seed=model.made_with["seed"])
    assert calibrated(same.networks[0], model).tobytes() == model.networks[0].theta.tobytes()


@pytest.mark.parametrize("options", [[], ["--members", "4", "--halving", "2", "--ensemble", "--learning-rate", "0.01,0.03"]])
def test_auto_tells_what_each_extractor_came_to_and_which_is_taken(options, tmp_path, capsys):
    path, how = tmp_path / "m.npz", ["--hidden", "4", "--epochs", "8", "--seed", "1", *options]
    assert main(["train", str(TRAINING), "-o", str(path), "--extractor", "auto", *how]) == 0
    lines, model = capsys.readouterr().err.removeprefix(CLASSES).splitlines(), fastmlp.load(path)
    compared = model.made_with["validation"]["extractors"]
    assert lines[: len(compared)] == [
        f"fastmlp: extractor {name}: accuracy {found['accuracy']:.4g}, loss {found['loss']:.4g}" for name, found in compared.items()
    ]
    assert lines[len(compared)].startswith(f"fastmlp: extractor {model.extractor} is taken: the ")
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "same.npz"), "--extractor", model.extractor, *how]) == 0
    same = fastmlp.load(tmp_path / "same.npz")
    assert [one.theta.tobytes() for one in same.networks] == [one.theta.tobytes() for one in model.networks]
    capsys.readouterr()
    assert main(["train", str(TRAINING), "-o", str(path), "--extractor", "auto", "--validation", "0"]) == 2
    assert "extractor='auto' needs validation" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["lbfgs"], ["lbfgs", "--members", "4", "--halving", "2"], ["levenberg-marquardt", "--loss", "squared_error", "--hidden", "4"]],
    ids=" ".join,
)
def test_solvers_learn_images(options, tmp_path, capsys):
    path = tmp_path / "m.npz"
    assert main(["train", str(TRAINING), "-o", str(path), "--seed", "0", "--tolerance", "0.0001", "--optimizer", *options]) == 0
    model = fastmlp.load(path)
    assert model.made_with["validation"]["accuracy"] == 1
    assert model.made_with["options"]["optimizer"] == options[0] and model.made_with["options"]["learning_rate"] == 1
    assert f"optimizer {options[0]}" in capsys.readouterr().out


@pytest.mark.filterwarnings("always:training on all images was interrupted:RuntimeWarning")
@pytest.mark.parametrize(("options", "trainer"), [([], "train"), (["--members", "2"], "train_many")])
def test_ctrl_c_while_all_images_are_trained_on_keeps_what_was_trained_before(options, trainer, tmp_path, monkeypatch, capsys):
    real = getattr(fastmlp, trainer)

    def interrupted(*arrays, **how):
        if how.get("validation") is None:
            raise KeyboardInterrupt
        return real(*arrays, **how)

    monkeypatch.setattr(f"fastmlp.training.refitting.{trainer}", interrupted)
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), "--epochs", "3", "--seed", "1", *options]) == 130
    assert "fastmlp: training on all images was interrupted; " in capsys.readouterr().err
    (path,) = tmp_path.iterdir()
    kept = fastmlp.load(path)
    assert kept.made_with["validation"]["refit"] == "interrupted" and kept.networks[0].history.validation_loss is not None


def test_without_validation_all_images_are_trained_on_once(tmp_path, capsys):
    for options in ([], ["--members", "2"]):
        path = tmp_path / "m.npz"
        assert main(["train", str(TRAINING), "-o", str(path), "--epochs", "2", "--validation", "0", *options]) == 0
        assert "validation" not in capsys.readouterr().out
        (network,) = fastmlp.load(path).networks
        assert network.history.epochs == 2 and network.history.validation_loss is None


def test_classes_too_small_to_hold_out_from_are_told(tmp_path, capsys):
    few = some_of_each(tmp_path / "few", circle=2, line=5)
    assert main(["train", str(few), "-o", str(tmp_path / "m.npz"), "--epochs", "2"]) == 0
    assert capsys.readouterr().err == "fastmlp: 7 images: circle 2, line 5\nfastmlp: too few images to hold any out: circle\n"
    assert fastmlp.load(tmp_path / "m.npz").made_with["validation"]["images"] == 1
    fewer = some_of_each(tmp_path / "fewer", circle=2, line=2)
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
    left_out = "fastmlp: left out: tests (no image file is in them)\n"
    weighted = "fastmlp: the classes are unequal, and are made to weigh the same; --class-weight none leaves them as they are\n"
    found = f"{left_out}fastmlp: 51 images: data 41, test-images 10\n"
    doubt = "fastmlp: the folders in . may be no classes: images lie in folders within data"
    assert main(list(map(str, command))) == 2
    assert capsys.readouterr() == ("", f"{found}{doubt}; give --yes to train all the same\n")
    assert not command[3].exists()
    assert main([*map(str, command), "--yes"]) == 0
    assert capsys.readouterr().err == f"{found}{doubt}\n{weighted}"
    assert fastmlp.load(command[3]).classes == ["data", "test-images"]


@pytest.mark.usefixtures("compiled")
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
    assert "MLP(circle): 324-3-1" in printed and "MLP(line): 324-3-1" in printed


@pytest.fixture
def trained(tmp_path, monkeypatch, capsys):
    """What `fastmlp train` does with options: those that train_begun is given, what comes of it, and what is printed."""

    def run_train(text):
        seen, train_begun = [], fitting.train_begun

        def watched(*arrays, **options):
            seen.append((options, train_begun(*arrays, **options)))
            return seen[-1][1]

        monkeypatch.setattr("fastmlp.images.fitting.train_begun", watched)
        assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *text.split()]) == 0
        (options, population), *_ = seen
        return options, population, fastmlp.load(tmp_path / "m.npz"), capsys.readouterr()

    return run_train


def test_of_each_combination_a_network_is_trained_and_the_best_is_saved(trained, tmp_path, capsys):
    text = "--hidden 4/3,2 --learning-rate 0.01,0.1 --epochs 5 --seed 3 --extractor pixels --dtype float32"
    _, population, saved, printed = trained(text)
    data = labelled_images(TRAINING, "pixels")
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
    assert np.array_equal(network.theta, calibrated(again[0], saved))
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
    assert [network.theta.tobytes() for network in saved.networks] == [calibrated(network, saved).tobytes() for network in kept]

    assert main(["info", str(tmp_path / "m.npz")]) == 0
    told = capsys.readouterr().out
    assert printed.out.endswith(told) and "method ensemble" in told
    for size in {network.layer_sizes[1] for network in kept}:
        count = sum(network.layer_sizes[1] == size for network in kept)
        assert f"\n{count} of 324-{size}-2, relu, softmax output" in told
    assert classified(tmp_path / "m.npz", IMAGES) == 0


def test_an_ensemble_is_trained_on_all_images_too(trained):
    _, population, saved, _ = trained("--members 4 --hidden 3 --epochs 12 --seed 0 --learning-rate 2 --extractor ink --ensemble")
    best = population.history.validation_loss.argmin(axis=1) + 1
    assert len(set(best.tolist())) > 1 and saved.made_with["validation"]["refit"] is True
    data = labelled_images(TRAINING, "ink")
    for place, network in enumerate(saved.networks):
        options = {"data_seed": 0, "output": "softmax", "hidden": 3, "learning_rate": 2}
        same = fastmlp.train_many(data.features, data.labels, seed=[place], epochs=int(best[place]), **options)[0]
        assert network.theta.tobytes() == calibrated(same, saved).tobytes()
    assert saved.made_with["seed"] == 0 and saved.networks[2].made_with["seed"] == 2


def test_networks_that_diverge_are_counted_and_left_out(trained):
    # A step of the first multiplies its weights by some 1e9, so that they become infinite only after many epochs.
    text = "--l2 1e10,0,0.001 --learning-rate 0.1 --optimizer sgd --batch-size full --epochs 50 --seed 0 --ensemble --no-refit"
    _, population, saved, printed = trained(text)
    assert population.history.stopped_by[0] == "diverged" and population.history.epochs[0] > 1
    assert printed.err == f"{CLASSES}fastmlp: 1 of 3 networks diverged\n"
    assert printed.out.startswith(f"{population.table.best(2)}\n")
    assert np.array_equal(saved.networks[0].theta, calibrated(population[1], saved)) and len(saved.networks) == 2


def test_an_ensemble_without_survivors_of_halving_is_the_best_network(trained, monkeypatch):
    train_many = fastmlp.train_many

    def dropped(*arrays, **options):
        population = train_many(*arrays, **options)
        population.history.stopped_by[:] = ["halving"] * len(population)
        return population

    monkeypatch.setattr("fastmlp.images.fitting.train_begun", dropped)
    _, _, saved, _ = trained("--members 2 --epochs 1 --halving 2 --ensemble")
    assert len(saved.networks) == 1 and saved.method == "ensemble"


def test_an_interrupt_before_any_network_has_begun_saves_nothing(tmp_path, monkeypatch, capsys):
    train_many = fastmlp.train_many

    def interrupted(*arrays, **options):
        population = train_many(*arrays, **options)
        population.history.epochs[:] = 0
        population.history.stopped_by[:] = ["interrupt"] * len(population)
        return population

    monkeypatch.setattr("fastmlp.images.fitting.train_begun", interrupted)
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


def test_the_network_that_is_kept_is_the_one_that_is_told(tmp_path, capsys):
    path = tmp_path / "m.npz"
    command = ["train", str(TRAINING), "-o", str(path), "--epochs", "60", "--learning-rate", "0.03", "--no-refit", "--seed", "0"]
    assert main(command) == 0
    (history,) = (network.history for network in fastmlp.load(path).networks)
    best = int(history.validation_loss.argmin()) + 1
    assert best < 60 and f"; 60 epochs, that of epoch {best}, loss {history.loss[best - 1]:.6g}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("options", [[], ["--method", "one-vs-rest"], ["--members", "3"]], ids=lambda options: "".join(options[:1]))
def test_an_interrupted_training_keeps_the_networks_so_far_beside_the_older_ones(options, classifier, tmp_path):
    path, before = Path(shutil.copy(classifier, tmp_path / "m.npz")), classifier.read_bytes()
    for number in ("", "-2") if not options else ("",):  # what is named does not depend on the options
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

    monkeypatch.setattr("fastmlp.training.descent.Descent._advance", interrupted)
    monkeypatch.setattr("fastmlp.training.lanes.many_batches.train_lanes_by_batches", interrupted)
    assert main(["train", str(TRAINING), "-o", str(tmp_path / "m.npz"), *options]) == 130
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.endswith("fastmlp: interrupted\n") and "so far" not in captured.err
    assert not list(tmp_path.iterdir())
