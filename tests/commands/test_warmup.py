"""Nothing is left to compile after `fastmlp warmup`, and what else compiles is told."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import contextmanager

import numba
import pytest
from command_line import IMAGES, ROOT, TRAINING
from processes import PATIENCE, at_terminal, begun, run

from fastmlp.commands.main import main


def test_warmup_can_be_interrupted(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.threads.thread_count", lambda _: 1)
    monkeypatch.setattr("fastmlp.training.descent.Descent._advance", interrupted)
    assert main(["warmup", "train"]) == 130
    assert capsys.readouterr().err == "fastmlp: interrupted\n"


# -- Side by side ----------------------------------------------------------------------------------------------------------------

# Steps of the parts that a test makes, in processes of its own; a file tells of each that has begun.
STEPS = """
import os, sys, time
from functools import partial
from pathlib import Path
from fastmlp.commands import warmup_steps as warmup
from fastmlp.commands import warmup_processes as processes

def step(what, name):
    (FOLDER / f"{what} {os.getpid()} {name}").touch()
    if what == "fails":
        raise ValueError(f"nothing comes of {name}")
    if what == "dies":
        os._exit(3)
    time.sleep(LONG if what == "sleeps" else 0.05)

FOLDER, LONG = Path(%r), 300
KINDS = "works", "fails", "dies", "sleeps"
warmup.PARTS = {kind: [warmup.Step(partial(step, kind, number), ()) for number in range(6)] for kind in KINDS}
"""
SIDE_BY_SIDE = """
processes._PROGRAM = f"import sys; sys.path[:] = {{path}}\\n{STEPS}processes.serve()"
processes.warm_up_side_by_side([%r], print, 3)
"""


@contextmanager
def steps_side_by_side(what, folder, **how):
    """A process whose steps are done by three others."""
    steps = STEPS.replace("%r", repr(str(folder)))
    quoted = steps.replace("{", "{{").replace("}", "}}")
    program = f"{steps}\nSTEPS = {quoted!r}\n{SIDE_BY_SIDE % what}"
    with begun("-c", program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        yield process


def begun_steps(folder, count=1):
    """Of each step that has begun the process and the number, once they are so many."""
    until = time.monotonic() + PATIENCE
    while len(names := os.listdir(folder)) < count and time.monotonic() < until:
        time.sleep(0.01)
    return [name.split()[1:] for name in names]


def test_each_step_is_done_once_by_one_of_several_processes(tmp_path):
    with steps_side_by_side("works", tmp_path) as process:
        out, err = process.communicate(timeout=PATIENCE)
    done = begun_steps(tmp_path)
    assert (out, err, process.returncode) == (b"", b"", 0)
    assert sorted(number for _, number in done) == list("012345")
    assert len({each for each, _ in done}) > 1 and str(process.pid) not in {each for each, _ in done}


@pytest.mark.parametrize(
    ("what", "told"), [("fails", rb"ValueError: nothing comes of \d"), ("dies", rb"ChildProcessError: a process .* status 3")]
)
def test_what_fails_in_a_process_is_told_and_ends_the_others(what, told, tmp_path):
    with steps_side_by_side(what, tmp_path) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and out == b""
    assert re.search(told, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_it_is_ended_so_are_those_that_work_for_it(number, tmp_path):
    with steps_side_by_side("sleeps", tmp_path) as process:
        assert len(begun_steps(tmp_path, 3)) == 3
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)  # which ends when nobody can write to its stderr any more
    assert process.returncode == -number if number != signal.SIGINT else err.endswith(b"KeyboardInterrupt\n")


# Two steps whose kernels are soon compiled, in place of all; and what a process does then.
QUICK = """
import numpy as np
from fastmlp.commands import warmup_steps as warmup
from fastmlp.commands import warmup_processes as processes
from fastmlp.kernels.images.names import sorted_starts

def sort():
    sorted_starts(np.frombuffer(bytearray(b"b\\0a\\0"), np.uint8))

warmup.PARTS = {"archives": warmup.PARTS["archives"], "names": [warmup.Step(sort, ())]}
"""
PROGRAM = QUICK.replace("{", "{{").replace("}", "}}") + "import sys; sys.path[:] = {path}; processes.serve()"


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_processes_compile_each_kernel_once_and_keep_it(tmp_path):
    code = f"{QUICK}processes._PROGRAM = {PROGRAM!r}\nprocesses.warm_up_side_by_side([], print, 2)"

    def told():
        with begun("-c", code, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, b"")
        return [line.partition(":")[0] for line in out.decode().splitlines()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
        kernels = told()
        assert {"zip_headers.walk_zip", "names.sort_names"} < set(kernels) and len(set(kernels)) == len(kernels)
        assert told() == []


# -- What is left ----------------------------------------------------------------------------------------------------------------

AFTER_WARMUP = """
import sys
import warnings
import numpy as np
import fastmlp
from fastmlp.kernels.compile import noticed_by
from fastmlp.kernels.notice import Notice
from fastmlp.sklearn import MLPClassifier

class Heard(Notice):
    def begin(self, kernel, dtype):
        print(kernel, dtype)

TRAINING, IMAGES, *sources = sys.argv[1:]
warnings.simplefilter("ignore")  # that scikit-learn would go on
rng = np.random.default_rng(0)
with noticed_by(Heard()):
    for dtype in np.float32, np.float64:
        X = rng.normal(size=(300, 3)).astype(dtype)
        fixed = X.copy()
        fixed.flags.writeable = False
        for y in X[:, 0] > 0, np.arange(300) % 3, X[:, :2]:
            for options in (
                {"batch_size": 1, "optimizer": "sgd", "bootstrap": True},
                {"optimizer": "momentum", "validation": 0.2, "patience": 1, "activation": "relu", "hidden": 100},
                {"hidden": 5},
                {"batch_size": None, "hidden": (4, 6), "optimizer": "sgd", "validation": 0.2},
                {"optimizer": "lbfgs", "validation": 0.2},
                {"optimizer": "lbfgs", "hidden": (4, 6)},
                {"batch_size": None, "hidden": (300, 30), "l2": 0.1, "sample_weight": abs(X[:, 1]) + 1, "validation": 0.2},
            ):
                model = fastmlp.train(fixed, y, epochs=2, **options)
                targets = y if y.ndim == 1 else y[:, None]
                population = fastmlp.train_many(fixed, targets, members=3, epochs=4, halving=2, **options)
            if y.ndim == 1:
                model.update(X[0], y[0], 0.1)
                MLPClassifier(5, max_iter=2, n_iter_no_change=2, dtype=dtype).fit(X, y)
            model.jit(jacobian=True), model.jit(update=True).theta
            weights = np.ones((300, model.layer_sizes[-1]), dtype)
            model.jacobian(X), model.parameter_jacobian(X[:5]), model.jvp(X, X), model.vjp(X, weights)
            model.jvp(X[:5], model.theta, parameters=True), model.vjp(X, weights, parameters=True)
            fastmlp.train(X.tolist(), y, init=model, epochs=1, dtype=dtype)
            for rows in X, X[:1], X[::2], np.asfortranarray(X), X.tolist():
                model.predict(rows)
                population.predict_members(rows)
            fastmlp.train(X, y, epochs=2, hidden=5, optimizer="levenberg-marquardt", loss="squared_error", dtype="float64")
            model.loss(X, y), model.gradient(X, y), population.spread(X), population.best()[0].predict(X)
    for extractor, method in ("ink", "softmax"), ("pixels", "one-vs-rest"):
        classifier = fastmlp.train_folder(TRAINING, extractor=extractor, method=method, epochs=2, augment=1)
        for source in IMAGES, *sources:
            fastmlp.classify_folder(classifier, source, done=lambda paths: np.array([path.endswith("1.png") for path in paths]))
            fastmlp.extract_features(source, extractor)
"""


@pytest.mark.usefixtures("compiled")
def test_after_warmup_nothing_is_left_to_compile(many, tmp_path):
    with tarfile.open(tmp_path / "many.tar", "w") as file:
        file.add(many, "many")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for path in many.iterdir():
            file.write(path, path.name)
    command = [sys.executable, "-c", AFTER_WARMUP, TRAINING, IMAGES, many, tmp_path / "many.tar", tmp_path / "many.zip"]
    process = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300)
    assert (process.returncode, process.stderr, process.stdout) == (0, "", "")


def test_a_cold_compile_is_told_on_a_terminal_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "first"))
    with at_terminal("features", IMAGES, "-o", tmp_path / "f.csv", streams=["stderr"]) as (process, person):
        person.wait_for(r"\rfastmlp: compiling features of images \(float64\), once: ~\d s +\r {99}\r")
        assert process.wait(PATIENCE) == 0
        assert not person.rest()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "second"))
    process = run("features", IMAGES)
    assert process.stderr == b"" and process.stdout == (tmp_path / "f.csv").read_bytes()
