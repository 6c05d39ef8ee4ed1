"""What an object shows of itself fits on a screen, however large it is."""

import numpy as np
import pytest

import fastmlp
from fastmlp.images.folders import Features
from fastmlp.networks.population import Group

CLASSES = [f"{number:05d} {'long ' * 40}" for number in range(1000)]
COUNT = 50_000
LOSSES = np.linspace(1, 0.25, COUNT)


def network():
    return fastmlp.MLP.from_weights([np.zeros((3, len(CLASSES)))], output="softmax", classes=CLASSES)


def verdicts():
    labels = [CLASSES[0]] * 4 + [None] + [CLASSES[number % 1000] for number in range(COUNT)]
    return fastmlp.Verdicts(
        [f"{n}.png" for n in range(len(labels))], labels, np.zeros((len(labels), 1000)), [None] * len(labels), 7
    )


def population_history():
    reasons = ["epochs", "halving", "diverged", "halving"] * (COUNT // 4)
    return fastmlp.PopulationHistory(np.ones((COUNT, 81)), None, np.full(COUNT, 81), reasons)


def population():
    options = {name: np.ones(COUNT, int) for name in ("seed", "learning_rate", "l2", "momentum", "batch_size")}
    one = fastmlp.MLP.from_weights([np.ones((1, 1))])
    group = Group(one, np.arange(COUNT), np.ones((COUNT, 1)))
    return fastmlp.Population([group], population_history(), options, np.ones(COUNT))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (network, "<MLP 3-1000 classifier of 1000, float64>"),
        (
            lambda: fastmlp.History(LOSSES, LOSSES + 1, COUNT, "epochs"),
            "<History of 50000 epochs: loss 0.25, validation loss 1.25; stopped by epochs>",
        ),
        (
            lambda: fastmlp.History(LOSSES, LOSSES + 1, COUNT, "patience", LOSSES + 0.5),
            "<History of 50000 epochs: loss 0.25, validation loss 1.25, validation accuracy 0.75; stopped by patience>",
        ),
        (lambda: fastmlp.History(LOSSES[:0], None, 0, "interrupt"), "<History of 0 epochs: no loss; stopped by interrupt>"),
        (population, "<Population of 50000: 1-1 regressors, float64>"),
        (
            population_history,
            "<PopulationHistory of 50000 members, at most 81 epochs: stopped by epochs 12500, halving 25000, diverged 12500>",
        ),
        (lambda: population().groups[0], "<Group of 50000 like <MLP 1-1 regressor, float64>>"),
        (
            lambda: Features(["a.png"] * COUNT, np.zeros((COUNT, 256)), [("b.png", "b.png is damaged")] * COUNT),
            "<Features of 50000 images: 256 each; 50000 failed>",
        ),
        (
            verdicts,
            "<Verdicts on 50004 images: 00000 long long long lo… 54, 00001 long long long lo… 50, "
            "... and 988 more; 7 skipped, 1 failed>",
        ),
        (
            lambda: fastmlp.ImageClassifier(CLASSES, (network(),), "ink", "softmax"),
            "<ImageClassifier of 00000 long long long lo…, 00001 long long long lo…, ... and 988 more; ink, softmax>",
        ),
        (lambda: population().table, "... and 49980 more"),
    ],
)
def test_what_is_shown_fits_on_a_screen(made, said):
    shown = repr(made())
    lines = shown.splitlines()
    assert sum(-(-len(line) // 80) for line in lines) < 24
    if "..." in said:
        beginning, end = said.split("... and")
        assert shown.startswith(beginning.rstrip()) and shown.endswith(end)
    else:
        assert shown == said


def test_few_classes_are_all_named():
    some = fastmlp.Verdicts(["a", "b", "c"], ["line", None, "circle"], np.zeros((3, 2)), [None, "b is damaged", None])
    assert repr(some) == "<Verdicts on 2 images: line 1, circle 1; 0 skipped, 1 failed>"
    model = fastmlp.MLP.from_weights([np.zeros((3, 2))], output="softmax", classes=["circle", "line"])
    classifier = fastmlp.ImageClassifier(["circle", "line"], (model,), "ink", "softmax")
    assert repr(classifier) == "<ImageClassifier of circle, line; ink, softmax>"
