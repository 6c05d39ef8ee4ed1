"""Nothing is left to compile after `fastmlp warmup`, and what else compiles is told."""

import os
import subprocess
import sys
import tarfile
import zipfile

import pytest
from command_line import IMAGES, ROOT, TRAINING
from processes import PATIENCE, at_terminal, run

from fastmlp.commands.main import main


def test_warmup_can_be_interrupted(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.training.descent.Descent._advance", interrupted)
    assert main(["warmup", "train"]) == 130
    assert capsys.readouterr().err == "fastmlp: interrupted\n"


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
        classifier = fastmlp.train_folder(TRAINING, extractor=extractor, method=method, epochs=2)
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
