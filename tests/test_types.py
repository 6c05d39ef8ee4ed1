"""What `mypy --strict` says of programs that use fastmlp: nothing of right ones, and which line is wrong of others."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from test_readme import blocks

import fastmlp
from fastmlp import labels, literals
from fastmlp.images import decisions, extractors, fitting
from fastmlp.images import verdicts as image_verdicts
from fastmlp.kernels import activations, losses, optimizers, schedules
from fastmlp.networks import population
from fastmlp.training import initial, options

START = """\
import numpy as np

import fastmlp

X, y = np.ones((3, 2)), np.array([0, 1, 0])
"""

RIGHT = """\
first = fastmlp.train(X, y, hidden=[8, 8], activation=["tanh", "relu"], dtype=np.float32, validation=(X, y), class_weight={0: 2})
fastmlp.train(X, y, dtype=X.dtype, init=first, activation=first.activations, output=first.output, loss=first.loss_name)
first.history.loss[-1] + first.update(X[0], y[0], 0.1)
if first.history is not None:
    print(first.history.epochs)

sizes = [(8,), (8, 8)]
rates = np.geomspace(0.01, 0.1, 2)
population = fastmlp.train_many(
    X, y, hidden=[8, (8, 8)], activation=["tanh", ("relu", "relu")], batch_size=[None, 32], seed=range(2), learning_rate=rates
)
fastmlp.train_many(X, y, init=population)
fastmlp.train_many(X, y, init=[first, first], l2=[0, 1e-3])
fastmlp.train_many(X, y, **fastmlp.grid(hidden=sizes, learning_rate=rates, seed=range(3), batch_size=[32, None]), epochs=3)
best: fastmlp.MLP = population.best()[0]
for member in population[:2]:
    print(member.history.loss, population.table.best(5))

loaded: fastmlp.MLP = fastmlp.load("model.npz")
fastmlp.load("model.npz").predict(X)
print(f"{loaded.evaluate(X, y).accuracy:.3f}", loaded.score(X, y) > 0.9, loaded.evaluate(X, y).confusion[0, 0])


def show(epoch: int, loss: float, validation_loss: float | None) -> bool:
    return loss < 0.1


fastmlp.train(X, y, on_epoch=show)


def half_square(prediction: float, target: float) -> tuple[float, float]:
    return (prediction - target) ** 2 / 2, prediction - target


fastmlp.train(batches=[(X, y)])
fastmlp.train(batches=lambda: ((X, y, part) for part in (None, X[:, 0])), seed=0)
own: fastmlp.MLP = fastmlp.train(X, y, loss=half_square)
fastmlp.train_many(X, y, loss=half_square, init=own)[0].loss_function = half_square
fastmlp.MLP.from_weights([X], loss=half_square)
objective = fastmlp.Objective(loaded, X, y, sample_weight=[1, 2, 1], threads=2)
print(objective.value(loaded.theta) < 0.1, loaded.theta - 0.1 * objective.gradient(loaded.theta))
derivatives = loaded.jacobian(X) @ loaded.jvp(X, X).T + loaded.vjp(X, y, parameters=True)
learner = loaded.jit(update=True)
predict, update = learner
loss: float = update(X[0], 1, 0.1) + learner.update(X[0], 1, learning_rate=0.1)
output, slopes = loaded.jit(jacobian=True)(X[0])
loaded.theta = learner.theta
classifier = fastmlp.train_folder("data", extractor="pixels", method="one-vs-rest", epochs=30, on_epoch=lambda *losses: None)
evaluation: fastmlp.Evaluation = classifier.evaluate("data")
verdicts = fastmlp.classify_folder(classifier, ["a.png"], ordered=False, max_pixels=100)
"""

WRONG = """\
fastmlp.trian(X, y)
fastmlp.train(X, y, hiden=8)
fastmlp.train(batches=3)
fastmlp.train(X, y, activation="sigmod")
fastmlp.train(X, y, activation=("tanh", "rely"))
fastmlp.train(X, y, output="sofmax")
fastmlp.train(X, y, loss="mse")
fastmlp.train(X, y, loss=lambda prediction, target: prediction - target)
fastmlp.train(X, y).loss_function = "squared_error"
fastmlp.train(X, y, optimizer="Adam")
fastmlp.train(X, y, init="xavier")
fastmlp.train(X, y, task="classify")
fastmlp.train(X, y, class_weight="balance")
fastmlp.train(X, y, dtype="float16")
fastmlp.train(X, y, epochs="many")
fastmlp.train(X, y, learning_rate=[0.1, 0.2])
fastmlp.train(X, y).history.losses
fastmlp.train(X, y).predict_probability(X)
fastmlp.train(X, y).evaluate(X, y).acuracy
fastmlp.train(X, y).jacobian(X, y)
fastmlp.train(X, y).jvp(X, X, by="parameters")
fastmlp.train(X, y).jit(updates=True)
fastmlp.train(X, y).jit(update=True).thetas
fastmlp.train(X, y).jit(jacobian=True).theta
fastmlp.MLP.from_weights([X], activation="sigmod")
fastmlp.Objective(X, y)
fastmlp.Objective(fastmlp.train(X, y), X, y).gradients
fastmlp.train_many(X, y, member=3)
fastmlp.train_many(X, y, learning_rate="fast")
fastmlp.train_many(X, y, activation=["tanh", "rely"])
fastmlp.train_many(X, y, activation=["tanh", ("tanh", "rely")])
fastmlp.train_many(X, y).predict(X, vote="most")
fastmlp.train_many(X, y).history.losses
fastmlp.train_many(X, y)[0].history.losses
fastmlp.grid(learnin_rate=[0.1])
fastmlp.grid(learning_rate=0.1)
fastmlp.grid(activation=["tanh", "rely"])
fastmlp.grid(warmup=[1, 2])
fastmlp.train_folder("data", extractor="inks")
fastmlp.train_folder("data", method="one-vs-all")
fastmlp.train_folder("data", epoch=3)
fastmlp.train_folder("data", optimizer="Adam")
fastmlp.train_folder("data").methods
fastmlp.ImageClassifier(hiden=8)
fastmlp.ImageClassifier().lables
fastmlp.extract_features("data", extractor="pixel")
fastmlp.classify_folder("m.npz", "data", treads=2)
fastmlp.classify_folder("m.npz", "data").label
fastmlp.sort_folder("m.npz", "data", "sorted", how="mv")
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """For each program, what was reported of each of its lines, counted from 1."""
    folder = tmp_path_factory.mktemp("types")
    programs = {"readme": "\n".join(block.text for block in blocks("python")), "right": START + RIGHT, "wrong": START + WRONG}
    for name, text in programs.items():
        (folder / f"{name}.py").write_text(text)
    options = ["--strict", "--config-file=", "--follow-imports=silent", "--disable-error-code=import-untyped"]  # scikit-learn
    command = [sys.executable, "-m", "mypy", *options]
    process = subprocess.run(
        [*command, *(f"{name}.py" for name in programs)],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(Path(fastmlp.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not process.stderr
    found = {name: {} for name in programs}
    for name, line, message in re.findall(r"^(\w+)\.py:(\d+): error: (.*)$", process.stdout, re.MULTILINE):
        found[name].setdefault(int(line), message)
    assert sum(map(len, found.values())) == len(WRONG.splitlines()), process.stdout
    return found


def test_every_idiom_of_the_readme_is_accepted(reported):
    assert reported["readme"] == {}


def test_what_is_right_is_accepted(reported):
    assert reported["right"] == {}


@pytest.mark.parametrize("statement", WRONG.splitlines())
def test_what_is_wrong_is_found(statement, reported):
    assert (START + WRONG).splitlines().index(statement) + 1 in reported["wrong"]


def test_types_name_what_the_tables_hold():
    for names, *tables in (
        (literals.Activation, activations.HIDDEN),
        (literals.Output, activations.OUTPUTS),
        (literals.Loss, losses.LOSSES, losses.CODES),
        (literals.Task, labels.TASKS),
        (literals.Optimizer, optimizers.OPTIMIZERS, optimizers.CODES),
        (literals.Schedule, schedules.CODES),
        (literals.Monitor, options.MONITORS),
        (literals.Init, options.INITS, initial.BIAS_SPREAD),
        (literals.Vote, population.VOTES),
        (literals.ExtractorName, extractors.EXTRACTORS),
        (literals.Method, fitting.METHODS),
        (literals.Decision, decisions.DECISIONS),
    ):
        for table in tables:
            assert set(get_args(names)) == set(table), names


def options_of(function):
    """The types of what a function takes by name alone."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: hints[parameter.name] for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def test_options_that_are_handed_on_have_the_types_of_those_who_take_them():
    own = options_of(fastmlp.ImageClassifier.classify)
    assert {"batch_size": int, **own} == get_type_hints(image_verdicts.ClassifyOptions)
