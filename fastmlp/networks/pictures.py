"""Pictures of networks and of what they say, for those who have matplotlib: the extra `plot`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.labels import short
from fastmlp.networks.history import best_epoch
from fastmlp.networks.html import html_table
from fastmlp.networks.table import exact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastmlp.networks.metrics import Evaluation
    from fastmlp.networks.mlp import MLP
    from fastmlp.networks.population import Population

FINENESS = 300  # points along each side of the plane that a decision is drawn on
MARGIN = 0.05  # of the span of the points, around them
MOST_DRAWN = 24  # units of a layer, and classes of a confusion whose counts are written
MOST_LINES = 12  # of losses that are named
BEST_SHOWN = 5  # members of a population in a notebook
STEEP = 30  # the least of what it is to the most, from where on an axis is logarithmic


class NetworkPictures:
    """What of an MLP draws. Pictures are drawn on the Axes `ax` of matplotlib, or on new ones of pyplot, and these are returned;
    without matplotlib there is an ImportError."""

    def plot_loss(self, *, ax: Axes | None = None) -> Axes:
        """The losses of the epochs; with rows held out theirs, too, and the best epoch. A ValueError if it was not trained."""
        if self.history is None or not self.history.epochs:  # type: ignore[attr-defined]
            raise ValueError("plot_loss needs a network that was trained: this one has no history")
        return draw_losses({"": self}, ax)  # type: ignore[dict-item]

    def plot_decision(self, X: ArrayLike, y: ArrayLike, *, ax: Axes | None = None) -> Axes:
        """What a network of two inputs says of the plane, and rows X (N, 2) with their labels or targets y (N,): a color for each
        class, the stronger, the surer; or the output of a regressor. A ValueError if it has not two inputs, or several outputs."""
        return _decision(self, X, y, ax)  # type: ignore[arg-type]

    def plot_confusion(self, X: ArrayLike, y: ArrayLike, *, ax: Axes | None = None) -> Axes:
        """How many of the rows X (N, D) of each class, y (N,), a classifier takes for each. A ValueError for a regressor."""
        return self.evaluate(X, y).plot_confusion(ax=ax)  # type: ignore[attr-defined]

    def plot_predictions(self, X: ArrayLike, y: ArrayLike, *, ax: Axes | None = None) -> Axes:
        """What a regressor says of rows X (N, D), over their targets y, (N,) or (N, K). A ValueError for a classifier."""
        return _predictions(self, X, y, ax)  # type: ignore[arg-type]

    def plot_network(self, *, ax: Axes | None = None) -> Axes:
        """Units as circles and weights as lines, the wider, the larger; red above 0, blue below. Of layers of more than 24 units
        the first of them."""
        return _network(self, ax)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        return _network_as_html(self)  # type: ignore[arg-type]


class EvaluationPictures:
    """What of an evaluation draws, likewise."""

    def plot_confusion(self, *, ax: Axes | None = None) -> Axes:
        """How many rows of each class a classifier took for each. A ValueError for a regressor."""
        return _confusion(self, ax)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        return _evaluation_as_html(self)  # type: ignore[arg-type]


class PopulationPictures:
    """What of a population draws, likewise."""

    def plot(self, option: str | None = None, *, ax: Axes | None = None) -> Axes:
        """The scores of the members that did not diverge over an option, by default the first one that differs; colored by another
        one that differs. A ValueError if there is no such option."""
        return _scores(self, option, ax)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        return _population_as_html(self)  # type: ignore[arg-type]


def _axes(ax: Any) -> Axes:
    """Those to draw on: the caller's, or new ones."""
    if ax is not None:
        if not hasattr(ax, "plot"):
            raise ValueError(f"ax must be an Axes of matplotlib, or None; got {checks.shown(ax)}")
        return ax
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("pictures need matplotlib; pip install 'fastmlp[plot]' brings it") from None
    return pyplot.subplots(layout="constrained")[1]


def draw_losses(networks: Mapping[str, MLP], ax: Any) -> Axes:
    """The losses of the epochs of trained networks, those of rows held out as well, and of a single one the best epoch by these."""
    ax, shown = _axes(ax), []
    for number, (name, network) in enumerate(networks.items()):
        history, color = network.history, f"C{number}"
        assert history is not None
        epochs = np.arange(1, history.epochs + 1)
        ax.plot(epochs, history.loss, color=color, label=f"{name} training".strip())
        shown.append(history.loss)
        if history.validation_loss is None:
            continue
        shown.append(history.validation_loss)
        how = {"color": color, "linestyle": "--"} if len(networks) > 1 else {"color": "C1"}
        ax.plot(epochs, history.validation_loss, label=f"{name} validation".strip(), **how)
        if len(networks) == 1:
            best, by = best_epoch(history), "loss" if history.validation_accuracy is None else "accuracy"
            ax.plot(epochs[best], history.validation_loss[best], "o", color="C1", label=f"best {by}: epoch {best + 1}")
    if 1 < len(ax.lines) <= MOST_LINES:
        ax.legend()
    if shown and _spans_much(np.concatenate(shown)):
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel=next(iter(networks.values())).loss_name.replace("_", " "))
    return ax


def _spans_much(values: NDArray[np.float64]) -> bool:
    """Whether a logarithmic axis shows such values better."""
    return bool(values.min() > 0 and values.max() > STEEP * values.min())


def _decision(network: MLP, X: ArrayLike, y: ArrayLike, ax: Any) -> Axes:
    """What the network says of the plane around the rows, and the rows."""
    if network.layer_sizes[0] != 2:
        raise ValueError(f"plot_decision needs a network of two inputs; this one has {network.layer_sizes[0]}")
    x = arrays.matrix("X", X, network.dtype, columns=2, names=network.feature_names)
    targets = network.targets(y, len(x))
    if targets.shape[1] > 1:
        raise ValueError(f"plot_decision needs a classifier, or a regressor of one output; this one has {targets.shape[1]} outputs")
    ax = _axes(ax)
    low, high = x.min(axis=0), x.max(axis=0)
    margin = MARGIN * np.where(high > low, high - low, 1)
    sides = [np.linspace(low[k] - margin[k], high[k] + margin[k], FINENESS, dtype=network.dtype) for k in range(2)]
    across, up = np.meshgrid(*sides)
    plane = np.column_stack([across.ravel(), up.ravel()])
    if network.classes is None:
        said = network.predict(plane).reshape(across.shape)
        filled = ax.contourf(across, up, said, levels=20, alpha=0.6)
        ax.scatter(*x.T, c=targets[:, 0], s=12, edgecolors="k", linewidths=0.3, cmap=filled.cmap, norm=filled.norm)
        ax.figure.colorbar(filled, ax=ax)
    else:
        colors = _colors(len(network.classes))
        probabilities = network.predict_proba(plane)
        winner = probabilities.argmax(axis=1)
        sureness = (probabilities.max(axis=1) - 1 / len(colors)) / (1 - 1 / len(colors))
        image = 1 - (0.15 + 0.45 * sureness[:, None]) * (1 - colors[winner])
        extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
        ax.imshow(image.reshape(*across.shape, 3), origin="lower", extent=extent, aspect="auto")
        for number, label in enumerate(network.classes.tolist()):
            rows = x[targets[:, 0] == number]
            ax.scatter(*rows.T, color=colors[number], s=12, edgecolors="k", linewidths=0.3, label=short(label))
        ax.legend()
    names = network.feature_names or ("input 1", "input 2")
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def _colors(count: int) -> NDArray[np.float64]:
    """Colors (count, 3) of classes."""
    from matplotlib import colormaps

    chosen = colormaps["tab10"](np.arange(count)) if count <= 10 else colormaps["turbo"](np.linspace(0.05, 0.95, count))
    return np.asarray(chosen)[:, :3]


def _confusion(evaluation: Evaluation, ax: Any) -> Axes:
    """How many rows of each class were taken for each."""
    if "confusion" not in vars(evaluation):
        raise ValueError("plot_confusion needs a classifier; of a regressor there is plot_predictions")
    confusion, names = evaluation.confusion, [short(label) for label in evaluation.classes.tolist()]
    ax, places = _axes(ax), np.arange(len(names))
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1e-300)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= MOST_DRAWN:
        ax.set_xticks(places, names, rotation=45 if max(map(len, names)) > 3 else 0)
        ax.set_yticks(places, names)
        for row in places:
            for column in places:
                color = "white" if shares[row, column] > 0.5 else "black"
                ax.text(column, row, f"{confusion[row, column]:.4g}", ha="center", va="center", color=color)
    ax.set(xlabel="taken for", ylabel="class", title=f"accuracy {evaluation.accuracy:.4g} of {evaluation.rows} rows")
    return ax


def _predictions(network: MLP, X: ArrayLike, y: ArrayLike, ax: Any) -> Axes:
    """What a regressor says of rows, beside their targets."""
    if network.classes is not None:
        raise ValueError("plot_predictions needs a regressor; this is a classifier: see plot_confusion")
    said = network.predict(X)
    return draw_predictions(said, network.targets(y, len(said)), network.evaluate(X, y).r2, ax)


def draw_predictions(said: NDArray[Any], targets: NDArray[Any], r2: float, ax: Any) -> Axes:
    """Outputs over targets, (N,) or (N, K) both."""
    outputs, targets = (values.reshape(len(said), -1) for values in (said, targets))
    ax = _axes(ax)
    for k in range(outputs.shape[1]):
        label = f"output {k + 1}" if outputs.shape[1] > 1 else None
        ax.scatter(targets[:, k], outputs[:, k], s=10, alpha=min(1.0, max(0.1, 500 / len(said))), label=label)
    ends = [min(targets.min(), outputs.min()), max(targets.max(), outputs.max())]
    ax.plot(ends, ends, color="gray", linewidth=1, zorder=0)
    if outputs.shape[1] > 1:
        ax.legend()
    ax.set(xlabel="target", ylabel="prediction", title=f"R2 {r2:.4g} of {len(said)} rows")
    return ax


def _network(network: MLP, ax: Any) -> Axes:
    """Units as circles, layer by layer, and weights as lines between them: the wider, the larger; red those above 0, blue those
    below. Of large layers the first units are drawn."""
    ax = _axes(ax)
    from matplotlib.collections import LineCollection

    sizes = [min(size, MOST_DRAWN) for size in network.layer_sizes]
    tallest = max(sizes)
    places = [
        [(float(layer), tallest / 2 - (unit + 0.5) * tallest / size) for unit in range(size)] for layer, size in enumerate(sizes)
    ]
    for (left, right), weights in zip(pairwise(places), network.weights, strict=True):
        shown = weights[: len(left), : len(right)].astype(float)
        strengths = (shown / (np.abs(weights).max() or 1)).ravel()
        order = np.argsort(np.abs(strengths))  # the strongest on top
        lines = [(left[k // len(right)], right[k % len(right)]) for k in order.tolist()]
        colors = ["tab:red" if strengths[k] > 0 else "tab:blue" for k in order.tolist()]
        alphas = 0.1 + 0.9 * np.abs(strengths[order])
        ax.add_collection(LineCollection(lines, colors=colors, linewidths=4 * np.abs(strengths[order]), alpha=alphas, zorder=1))
    for units, size in zip(places, network.layer_sizes, strict=True):
        ax.scatter(*zip(*units, strict=True), s=min(300.0, 6000 / tallest), color="white", edgecolors="black", zorder=2)
        if size > len(units):
            ax.text(units[-1][0], -tallest / 2 - 0.5, f"and {size - len(units)} more", ha="center", va="top")
    for labels, layer, shift, side in ((network.feature_names, 0, -0.12, "right"), (_names_of_outputs(network), -1, 0.12, "left")):
        for (x, height), label in zip(places[layer], labels or (), strict=False):
            ax.text(x + shift, height, short(label), ha=side, va="center")
    titles = ["inputs", *network.activations, network.output]
    ax.set_xticks(range(len(sizes)), [f"{size} {title}" for size, title in zip(network.layer_sizes, titles, strict=True)])
    ax.set(yticks=[], xlim=(-0.6, len(sizes) - 0.4), ylim=(-tallest / 2 - 1.5, tallest / 2 + 0.5))
    ax.spines[:].set_visible(False)
    return ax


def _names_of_outputs(network: MLP) -> list[str] | None:
    if network.classes is None:
        return None
    labels = [str(label) for label in network.classes.tolist()]
    return labels if network.layer_sizes[-1] > 1 else labels[1:]


def _scores(population: Population, option: str | None, ax: Any) -> Axes:
    """The scores of the members over an option that differs, colored by another one."""
    varied = [name for name, values in population.options.items() if name != "seed" and len(set(values)) > 1]
    known = [*varied, "seed"]
    name = known[0] if option is None else checks.one_of("option", option, population.options)
    other = next((one for one in varied if one != name), None)
    ax, usable = _axes(ax), ~population.diverged & np.isfinite(population.scores)
    values, names = _positions(name, population.options[name])
    colors, other_names = (None, []) if other is None else _positions(other, population.options[other])
    dots = ax.scatter(values[usable], population.scores[usable], c=None if colors is None else colors[usable], s=16)
    if names:
        ax.set_xticks(range(len(names)), names)
    elif _spans_much(values):
        ax.set_xscale("log")
    if other is not None:
        bar = ax.figure.colorbar(dots, ax=ax, label=other)
        if other_names:
            bar.set_ticks(range(len(other_names)), labels=other_names)
    if usable.any() and _spans_much(population.scores[usable]):
        ax.set_yscale("log")
    history = population.history
    of_validation = "1 - accuracy" if history.validation_accuracy is not None else "validation loss"
    ax.set(xlabel=name, ylabel="loss" if history.validation_loss is None else of_validation)
    return ax


def _positions(name: str, values: list[Any]) -> tuple[NDArray[np.float64], list[str]]:
    """Where the values of an option stand on an axis: themselves, if they are numbers, or by their order, and then their names."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, float), []
    told = [exact(name, value) for value in values]
    names = list(dict.fromkeys(told))
    return np.array([names.index(text) for text in told], float), names


# -- in notebooks -----------------------------------------------------------------------------------------------------------------


def _network_as_html(network: MLP) -> str:
    """Its layers, and how it was trained."""
    names = (*network.activations, network.output)
    rows = [
        [str(number), f"{n_in} to {n_out}", name, str((n_in + network.bias) * n_out)]
        for number, ((n_in, n_out), name) in enumerate(zip(pairwise(network.layer_sizes), names, strict=True), 1)
    ]
    history = "" if network.history is None else repr(network.history).strip("<>")
    return html_table(["layer", "units", "activation", "parameters"], rows, repr(network).strip("<>"), history)


def _population_as_html(population: Population) -> str:
    """Its best members."""
    best: str = population.table.best(BEST_SHOWN)._repr_html_()
    return html_table((), (), f"{repr(population).strip('<>')}; the best of them:") + best


def _evaluation_as_html(evaluation: Evaluation) -> str:
    """The figures of all rows, and those of each class."""
    head = repr(evaluation).strip("<>")
    if "classes" not in vars(evaluation):
        return html_table((), (), head)
    labels = [short(label) for label in evaluation.classes.tolist()[:MOST_DRAWN]]
    ratios = [evaluation.precision, evaluation.recall, evaluation.f1]
    rows = [[label, *(f"{ratio[k]:.3f}" for ratio in ratios), f"{evaluation.support[k]:.6g}"] for k, label in enumerate(labels)]
    more = len(evaluation.classes) - len(rows)
    return html_table(["class", "precision", "recall", "f1", "support"], rows, head, f"... and {more} more" if more else "")
