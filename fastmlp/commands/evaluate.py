"""fastmlp evaluate: how good a classifier is on a folder of labelled images, and which images it takes for another class."""

from __future__ import annotations

from argparse import Namespace

from fastmlp.commands.console import FINE, SOME_FAILED, printable, say, tell
from fastmlp.commands.info import load_image_classifier
from fastmlp.commands.parser import ONE_FOR_EACH_CORE, Parser, positive_whole

CONFUSION = 30  # classes up to which the confusion matrix is printed
PAIRS = 10  # of classes that are confused
WRONG = 20  # images that are named


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.add_argument("model", metavar="MODEL.npz")
    parser.add_argument("folder", metavar="FOLDER", help="with one folder per class, or with answer files, as train takes it")
    parser.add_argument("--all", action="store_true", help=f"name all images that are taken for another class, not {WRONG}")
    parser.add_argument("--threads", metavar="N", type=positive_whole, help=ONE_FOR_EACH_CORE)
    parser.set_defaults(run=_run)


def _run(args: Namespace) -> int:
    from fastmlp.images.labelled import labelled_images

    model = load_image_classifier(args.model)
    found = labelled_images(args.folder, model.extractor, args.threads, fewest=1, strict=False)
    data, errors = found.readable(), [error for error in found.errors if error is not None]
    for message in errors:
        say(message)
    if not data.paths:
        raise ValueError(f"{args.folder} has no image that can be read")
    if strange := data.counts().keys() - set(model.classes):
        raise ValueError(f"{args.folder} has images of {min(strange)}, but the model knows {', '.join(model.classes)}")
    evaluation, scores = model.evaluate(data.features, data.labels), model.scores(data.features)
    tell(evaluation.ratios_as_text())
    if len(model.classes) <= CONFUSION:
        tell(f"\n{evaluation.confusion_as_text()}")
    taken = [model.classes[best] for best in scores.argmax(axis=1).tolist()]
    wrong = [row for row, (label, other) in enumerate(zip(data.labels.tolist(), taken, strict=True)) if label != other]
    if not wrong:
        return SOME_FAILED if errors else FINE
    tell(f"\n{evaluation.most_confused_as_text(PAIRS)}\n\nwrong:")
    shown = wrong if args.all else wrong[:WRONG]
    for row in shown:
        tell(f"  {printable(data.paths[row])}: {taken[row]} {scores[row].max():.3f}, but it is {data.labels[row]}")
    if len(shown) < len(wrong):
        tell(f"  ... and {len(wrong) - len(shown)} more, which --all shows")
    return SOME_FAILED if errors else FINE
