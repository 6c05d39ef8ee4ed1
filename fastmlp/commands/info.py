"""fastmlp info: what a model file holds, in words; as fastmlp train and fastmlp demo tell it of the models that they make."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import fastmlp
from fastmlp.commands.console import FINE, tell
from fastmlp.commands.parser import Parser
from fastmlp.commands.table_lines import columns_as_text, headline, measured_as_text

if TYPE_CHECKING:
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.networks.mlp import MLP
    from fastmlp.networks.population import Population
    from fastmlp.tables.table_model import TableModel

LONGEST = 200  # characters of a word or number that are told


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.add_argument("model", metavar="MODEL.npz")
    parser.set_defaults(run=_run)


def _run(args: Namespace) -> int:
    from fastmlp.tables.table_loading import read_any

    model = read_any(args.model)
    if isinstance(model, fastmlp.TableModel):
        tell(columns_as_text(model.encoder))
    print_model(model)
    return FINE


def print_model(model: MLP | ImageClassifier | Population | TableModel) -> None:
    """What a model is, but for the columns of a table, and what it was made with."""
    if isinstance(model, fastmlp.TableModel):
        tell(headline(model))
        print_members(model.networks, len(model.networks) > 1)
        if measured := measured_as_text(model.made_with):
            tell(measured)
    elif isinstance(model, fastmlp.ImageClassifier):
        from fastmlp.images.extractors import extractor_name

        kind = f"extractor {extractor_name(model.extractor)}, method {model.method}"
        tell(f"image classifier of {', '.join(model.classes)}; {kind}")
        print_networks(model)
    elif isinstance(model, fastmlp.Population):
        tell(model)
        tell(model.table)
    else:
        tell("regressor" if model.classes is None else f"classifier of {', '.join(map(str, model.classes))}")
        tell(in_words(model))
    for name, value in model.made_with.items():
        if name == "importance" and isinstance(model, fastmlp.TableModel):  # which has been told
            continue
        tell(f"{_cut(name)}: {_as_text(value)}")


def _as_text(value: Any) -> str:
    """A value of the record of what a model was made with."""
    if isinstance(value, dict):
        said = {name: "full" if name == "batch_size" and part is None else part for name, part in value.items()}
        return ", ".join(f"{_cut(name)} {_as_text(part)}" for name, part in said.items() if part is not None)
    if isinstance(value, list):
        return "/".join(map(_as_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else _cut(str(value))


def _cut(text: str) -> str:
    """Text of a file, whose length may be any."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def print_networks(model: ImageClassifier) -> None:
    """A line for each network; of an ensemble, for each architecture."""
    names = [f"MLP({name}): " for name in model.classes] if len(model.networks) > 1 else [f"{model.method}: "]
    print_members(model.networks, model.method == "ensemble", names)


def print_members(networks: Sequence[MLP], ensemble: bool, names: Sequence[str] = ("",)) -> None:
    """A line for each network, after what it is called; of an ensemble, for each architecture."""
    if ensemble:
        for architecture, count in Counter(map(_architecture, networks)).items():
            tell(f"{count} of {architecture}")
        return
    for name, network in zip(names, networks, strict=True):
        tell(f"{name}{in_words(network)}")


def in_words(network: MLP) -> str:
    """A network's layers, loss and parameters, and how it was trained."""
    from fastmlp.networks.history import best_epoch

    text = _architecture(network)
    if network.history is not None and network.history.epochs:
        epochs, losses, measured = network.history.epochs, network.history.loss, network.history.validation_loss
        kept = epochs
        if measured is not None and network.made_with.get("options", {}).get("patience") is not None:
            kept = best_epoch(network.history) + 1  # by its patience
        text += f"; {epochs} epochs{f', that of epoch {kept}' * (kept < epochs)}, loss {losses[kept - 1]:.6g}"
    return text


def _architecture(network: MLP) -> str:
    sizes = "-".join(map(str, network.layer_sizes))
    layers = ", ".join([*network.activations, f"{network.output} output"])
    return f"{sizes}, {layers}, {network.loss_name}, {len(network.theta)} parameters of {network.theta.dtype}"


def load_image_classifier(path: str) -> ImageClassifier:
    """The image classifier in a file; a ValueError for another model."""
    model = fastmlp.load(path)
    if not isinstance(model, fastmlp.ImageClassifier):
        what = "a model of tables" if isinstance(model, fastmlp.TableModel) else "what is for arrays of features"
        raise ValueError(f"{path} holds {what}, not an image classifier")
    return model


def load_table_model(path: str) -> TableModel:
    """The model of tables in a file; a ValueError for another model."""
    model = fastmlp.load(path)
    if not isinstance(model, fastmlp.TableModel):
        images = isinstance(model, fastmlp.ImageClassifier)
        what = "an image classifier, which fastmlp classify asks," if images else "what is for arrays of features,"
        raise ValueError(f"{path} holds {what} not a model of tables")
    return model
