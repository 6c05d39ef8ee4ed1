"""--plot: pictures of trainings and of what models say, as files; matplotlib is imported where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastmlp
from fastmlp.commands.console import check_target
from fastmlp.commands.parser import either, file_name

if TYPE_CHECKING:
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.networks.mlp import MLP
    from fastmlp.networks.population import Population
    from fastmlp.tables.table_model import TableModel
    from fastmlp.writing import FileKind

# By the ending: what a file of ours begins with, so that no picture by anybody else is written over, and what marks it as ours.
BEGINNINGS = {
    ".png": rb"\x89PNG\r\n\x1a\n.*tEXtSoftware\x00fastmlp",
    ".svg": rb"<\?xml.*<dc:title>fastmlp</dc:title>",
    ".pdf": rb"%PDF-[\d.]+\n%\xac\xdc \xab\xba\n",  # as matplotlib begins them: they have their marks at their end
}
MARKS = {".png": {"Software": "fastmlp"}, ".svg": {"Creator": "fastmlp", "Date": None}, ".pdf": {"Creator": "fastmlp"}}
DPI = 150


def declare_plot(parser: Any, what: str) -> None:
    """The option, of a command or of a group of its options."""
    text = f"{what}, drawn to a file: {either(BEGINNINGS)} by its ending; needs pip install 'fastmlp[plot]'"
    parser.add_argument("--plot", metavar="FILE", type=file_name, help=text)


def check_plot(path: str, inputs: Sequence[str]) -> None:
    """Reject, before anything is done, a picture that could not be drawn or written, or that is one of the other files."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ValueError("--plot needs matplotlib; pip install 'fastmlp[plot]' brings it") from None
    if _ending(path) not in BEGINNINGS:
        raise ValueError(f"--plot must name a file that ends in {either(BEGINNINGS)}; got {path}")
    check_target(path, _kind(path), inputs)


def _ending(path: str) -> str:
    return Path(path).suffix.lower()


def _kind(path: str) -> FileKind:
    from fastmlp.writing import FileKind

    ending = _ending(path)
    return FileKind("a picture that fastmlp drew", (ending,), BEGINNINGS[ending])


def save_plot(path: str, draw: Callable[..., Any]) -> None:
    """Write what is drawn by a function of Axes, whole or not at all."""
    from matplotlib.figure import Figure

    from fastmlp.writing import replacing

    figure, ending = Figure(layout="constrained"), _ending(path)
    draw(ax=figure.subplots())
    with replacing(path, _kind(path)) as file:
        figure.savefig(file, format=ending[1:], dpi=DPI, metadata=MARKS[ending])


def plot_training(path: str, model: ImageClassifier | TableModel, measured: Sequence[MLP], population: Population | None) -> None:
    """The losses of the networks by which the training of a model was measured; or, where several values of options were tried,
    what each came to."""
    from fastmlp.networks.pictures import draw_losses

    if population is not None and any(name != "seed" and len(set(each)) > 1 for name, each in population.options.items()):
        return save_plot(path, population.plot)
    names: Sequence[str] = [f"network {number}" for number in range(1, len(measured) + 1)]
    if isinstance(model, fastmlp.ImageClassifier) and model.method == "one-vs-rest":
        names = model.classes

    def draw(ax: Any) -> None:
        draw_losses(dict(zip(names, measured, strict=True)) if len(measured) > 1 else {"": measured[0]}, ax)
        if model.made_with.get("validation", {}).get("refit"):
            ax.set_title("with rows held out, before training anew on all")

    return save_plot(path, draw)
