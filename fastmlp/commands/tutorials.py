"""The two tutorials, computed: `fastmlp demo` tells what comes of them.

Circles and lines: two 3-3-1 networks, of which the larger output decides, and the 3-3-2 softmax network of the sequel.
Toy data: a 3-5-1 classifier and a 3-5-2 regressor, both by full-batch gradient descent.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.content import ImageError
from fastmlp.images.folders import classify_folder, train_folder
from fastmlp.images.sources.source import Source
from fastmlp.networks.mlp import MLP
from fastmlp.training.train import train
from fastmlp.writing import FileKind, check_writable, replacing

# (t - y)^2 with the rate 0.2 is half of it with 0.4; a summed error of 2 over 40 images is a mean half of 0.025.
PAIR: dict[str, Any] = {
    "extractor": "ink", "method": "one-vs-rest", "hidden": (3,), "activation": "sigmoid", "output": "identity",
    "loss": "squared_error", "bias": False, "init": "uniform", "batch_size": 1, "shuffle": False, "optimizer": "sgd",
    "learning_rate": 0.4, "epochs": 100, "target_loss": 0.025,
}  # fmt: skip
SOFTMAX: dict[str, Any] = {
    "extractor": "ink", "method": "softmax", "hidden": (3,), "activation": "sigmoid", "output": "softmax", "batch_size": 1,
    "learning_rate": 0.01, "epochs": 200,
}  # fmt: skip
CLASSIFIER: dict[str, Any] = {
    "hidden": (5,), "activation": "sigmoid", "output": "sigmoid", "loss": "cross_entropy_bits", "init": "normal",
    "standardize": False, "batch_size": None, "optimizer": "sgd", "learning_rate": 1.0, "epochs": 2000,
}  # fmt: skip
REGRESSOR = CLASSIFIER | {"output": "identity", "loss": "squared_error", "learning_rate": 0.01, "epochs": 1500}

FIGURE = FileKind("a figure of this demo", (".png",), rb"\x89PNG.*fastmlp demo")  # which the text in it says
FIGURES = ("loss.png", "features.png", "labels.png")

TRUTH = {"tc": "circle", "tl": "line"}  # what the names of the test images begin with


class Answer(NamedTuple):
    """What the networks say of one image: both outputs and the class of the larger, then the softmax network's."""

    name: str
    outputs: dict[str, float]
    label: str
    probabilities: dict[str, float]
    softmax_label: str


class Toy(NamedTuple):
    """Toy data, split 80/20, and who made it."""

    maker: str
    X_train: NDArray
    X_test: NDArray
    y_train: NDArray
    y_test: NDArray


def find_folder() -> Path:
    """The folder of data/ and test-images/: the current one, that in the wheel, or the clone that the package is in."""
    package = Path(__file__).resolve().parent.parent
    for folder in (Path(), package / "_demo", package.parent):
        if (folder / "data" / "correct-outputs-circle.txt").is_file() and (folder / "test-images").is_dir():
            return folder
    raise FileNotFoundError("the demo's folders data and test-images are neither here nor in the installed package")


def training_images(data: Path) -> list[Path]:
    """The training images by their numbers: 2.png before 10.png."""
    return sorted((data / "train-images").glob("*.png"), key=lambda path: (len(path.name), path.name))


def image_named(typed: str, folder: Path) -> str:
    """The image that is meant by a name in the folder, or by a path; if there is none, what was typed.

    People quote, escape spaces or do not, begin with "~", leave out ".png".
    """
    names = [typed]
    with suppress(ValueError):  # a quotation that is not closed
        names.append(" ".join(shlex.split(typed)))
    for name in names:
        path = os.path.expanduser(name)
        for candidate in (folder / path, path, folder / f"{path}.png", f"{path}.png"):
            if os.path.isfile(candidate):
                return os.fspath(candidate)
    return names[-1]


def train_pair(data: Path, seed: int) -> ImageClassifier:
    """MLP(circle) and MLP(line), as in the tutorial."""
    return train_folder(data, seed=seed, **PAIR)


def train_softmax(data: Path, seed: int) -> ImageClassifier:
    """The one network that the sequel merges them into."""
    return train_folder(data, seed=seed, **SOFTMAX)


def answers(pair: ImageClassifier, softmax: ImageClassifier, source: Source) -> list[Answer]:
    """What the networks say of each image; an ImageError for the first that cannot be read."""
    ours, theirs = classify_folder(pair, source), classify_folder(softmax, source)
    found = []
    for index, (path, label, softmax_label) in enumerate(zip(ours.paths, ours.labels, theirs.labels, strict=True)):
        if label is None or softmax_label is None:
            raise ImageError(ours.errors[index])
        outputs = dict(zip(pair.classes, ours.scores[index], strict=True))
        probabilities = dict(zip(softmax.classes, theirs.scores[index], strict=True))
        found.append(Answer(Path(path).name, outputs, label, probabilities, softmax_label))
    return found


def classification() -> Toy:
    """10000 samples of 3 features, the third of them redundant, in 2 classes."""
    try:
        from sklearn.datasets import make_classification
        from sklearn.model_selection import train_test_split
    except ImportError:
        rng = np.random.default_rng(42)
        corners = rng.integers(2, size=(10000, 2))  # of a square; two clusters for each class
        X = 2.0 * corners - 1.0 + rng.normal(scale=0.65, size=corners.shape)
        y = corners[:, 0] ^ (rng.random(len(X)) < 0.01)  # one label in a hundred is wrong
        return _split_here(np.column_stack([X, X @ [0.6, -0.8]]), y)
    X, y = make_classification(n_samples=10000, n_features=3, n_informative=2, n_redundant=1, random_state=42)
    return Toy("scikit-learn", *train_test_split(X, y, test_size=0.2, random_state=42))


def regression() -> Toy:
    """10000 samples of 3 features, and 2 targets that are linear in them but for some noise."""
    try:
        from sklearn.datasets import make_regression
        from sklearn.model_selection import train_test_split
    except ImportError:
        rng = np.random.default_rng(42)
        X = rng.normal(size=(10000, 3))
        return _split_here(X, X @ rng.uniform(0, 100, (3, 2)) + rng.normal(size=(len(X), 2)))
    X, y = make_regression(n_samples=10000, n_features=3, n_targets=2, noise=1, random_state=42)
    return Toy("scikit-learn", *train_test_split(X, y, test_size=0.2, random_state=42))


def _split_here(X: NDArray, y: NDArray) -> Toy:
    return Toy("NumPy, as scikit-learn is not installed", X[:8000], X[8000:], y[:8000], y[8000:])


def train_classifier(toy: Toy, seed: int) -> MLP:
    """The MLP351Classifier."""
    return train(toy.X_train, toy.y_train, seed=seed, **CLASSIFIER)


def train_regressor(toy: Toy, seed: int) -> MLP:
    """Its sibling with two linear outputs."""
    return train(toy.X_train, toy.y_train, seed=seed, **REGRESSOR)


def draw(folder: Path, model: MLP, toy: Toy) -> list[Path]:
    """A loss curve, a box plot of the features and a histogram of the labels; an ImportError without matplotlib."""
    from matplotlib.figure import Figure

    assert model.history is not None
    loss, features, labels = (Figure(figsize=(6, 4)) for _ in range(3))
    loss.subplots().plot(model.history.loss)
    loss.axes[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy, bits")
    features.subplots().boxplot(toy.X_train)
    features.axes[0].set(title="Features", xlabel="feature", ylabel="value")
    labels.subplots().hist(toy.y_train, bins=[-0.5, 0.5, 1.5], rwidth=0.8)
    labels.axes[0].set(title="Labels", xlabel="label", ylabel="samples", xticks=[0, 1])
    paths = [folder / name for name in FIGURES]
    for path, figure in zip(paths, (loss, features, labels), strict=True):
        with replacing(path, FIGURE) as file:
            figure.savefig(file, format="png", metadata={"Title": "fastmlp demo"})
    return paths


def check_figures(folder: Path) -> None:
    """An error if `draw` could not write there."""
    for name in FIGURES:
        check_writable(folder / name, FIGURE)
