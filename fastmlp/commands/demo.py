"""fastmlp demo: the two tutorials, told as they are computed; circles and lines, or toy data. Or both as notebooks."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import fastmlp
from fastmlp.commands.console import FINE, TEXT, ask, nothing_to_keep, say, tell
from fastmlp.commands.info import in_words, print_networks
from fastmlp.commands.parser import Parser, either, name_of, whole

if TYPE_CHECKING:
    from fastmlp.commands.tutorials import Answer

DEMOS = ("circles", "toy")


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.add_argument("task", metavar="TASK", nargs="?", type=name_of(DEMOS), help=f"{either(DEMOS)}; default: {DEMOS[0]}")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("fastmlp-demo"), help="default: %(default)s")
    parser.add_argument("--seed", metavar="N", type=whole, default=0, help="default: %(default)s")
    notebooks = "write both as notebooks, to read, run and change, into a folder, by default this one; and nothing else"
    parser.add_argument("--notebook", metavar="FOLDER", nargs="?", type=Path, const=Path(), help=notebooks)
    parser.set_defaults(run=_run)


def _run(args: Namespace) -> int:
    if args.notebook is not None:
        if args.task is not None:
            raise ValueError(f"--notebook writes both tutorials; give it without {args.task}")
        from fastmlp.commands.notebooks import copy_notebooks

        return copy_notebooks(args.notebook)
    args.out.mkdir(parents=True, exist_ok=True)
    with nothing_to_keep():
        return _toy(args) if args.task == "toy" else _circles(args)


def _circles(args: Namespace) -> int:
    from fastmlp.commands import tutorials
    from fastmlp.commands.classification.rows import FEATURES, features_head, features_text
    from fastmlp.writing import check_writable, replacing

    folder = tutorials.find_folder()
    check_writable(args.out / "features.csv", FEATURES)
    names, features, _ = fastmlp.extract_features(tutorials.training_images(folder / "data"))
    with replacing(args.out / "features.csv", FEATURES, "w", **TEXT) as file:
        file.write(features_head("ink") + features_text([Path(name).name for name in names], features))
    tell(f"{len(names)} training images; their features are in {args.out / 'features.csv'}")
    pair, softmax = tutorials.train_pair(folder / "data", args.seed), tutorials.train_softmax(folder / "data", args.seed)
    print_networks(pair)
    print_networks(softmax)

    answers = tutorials.answers(pair, softmax, folder / "test-images")
    for answer in answers:
        _print_answer(answer)
    truth = [tutorials.TRUTH[answer.name[:2]] for answer in answers]
    by_pair, by_softmax = [answer.label for answer in answers], [answer.softmax_label for answer in answers]
    for who, labels in ("The larger output", by_pair), ("The softmax network", by_softmax):
        tell(f"{who}: {sum(map(str.__eq__, labels, truth))} of {len(truth)} right")

    while sys.stdin.isatty() and (name := ask("Name of an image in test-images, or its path (an empty line ends): ")):
        try:
            _print_answer(*tutorials.answers(pair, softmax, [tutorials.image_named(name, folder / "test-images")]))
        except fastmlp.ImageError as error:
            say(error)
    return FINE


def _print_answer(answer: Answer) -> None:
    outputs = "  ".join(f"MLP({label}) {output:6.3f}" for label, output in answer.outputs.items())
    softmax = "  ".join(f"{label} {probability:.3f}" for label, probability in answer.probabilities.items())
    tell(f"{answer.name}: {outputs}    softmax: {softmax}")
    tell(f"{answer.name}: This image is a {answer.label.upper()}")


def _toy(args: Namespace) -> int:
    from fastmlp.commands import tutorials

    tutorials.check_figures(args.out)
    toy = tutorials.classification()
    tell(f"The data were made by {toy.maker}.")
    classifier = tutorials.train_classifier(toy, args.seed)
    tell(f"classifier: {in_words(classifier)}")
    found = classifier.evaluate(toy.X_test, toy.y_test)
    tell(f"accuracy {found.accuracy:.3f}, F1 {found.f1[1]:.3f}")
    try:
        tell(f"drawn: {', '.join(map(str, tutorials.draw(args.out, classifier, toy)))}")
    except ImportError:
        say("nothing is drawn, as matplotlib is not installed; pip install 'fastmlp[plot]' brings it")
    toy = tutorials.regression()
    regressor = tutorials.train_regressor(toy, args.seed)
    tell(f"regressor: {in_words(regressor)}")
    found = regressor.evaluate(toy.X_test, toy.y_test)
    tell(f"MSE {found.mse:.2f}, MAE {found.mae:.2f}")
    return FINE
