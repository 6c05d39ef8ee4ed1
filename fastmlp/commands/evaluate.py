"""fastmlp evaluate: how good a model is on a table, or on a folder of labelled images, and which it takes for another class."""

from __future__ import annotations

import argparse
from argparse import SUPPRESS, Namespace
from functools import partial
from typing import TYPE_CHECKING

import fastmlp
from fastmlp.commands.console import FINE, SOME_FAILED, check_target, printable, say, tell
from fastmlp.commands.info import load_image_classifier
from fastmlp.commands.parser import ON_ERROR, ONE_FOR_EACH_CORE, Parser, file_name, formats_read, positive_whole
from fastmlp.commands.plotting import check_plot, declare_plot, save_plot
from fastmlp.commands.train_on_table import declare_signs

if TYPE_CHECKING:
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.tables.table_model import TableModel

CONFUSION = 30  # classes up to which the confusion matrix is printed
PAIRS = 10  # of classes that are confused
WRONG = 20  # images that are named


EPILOG = """\
What the model is decides: an image classifier takes a folder or an archive of labelled images, a model of tables a table with the
column that it predicts.

exit code: 0 all is well; 1 some images cannot be read; 2 wrong usage, or a bad file; 130 interrupted

examples:
  fastmlp evaluate shapes.npz drawings --all
  fastmlp evaluate shapes.npz drawings --report page.html --plot confusion.svg
  fastmlp evaluate prices.npz sold.csv
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations
    parser.add_argument("model", metavar="MODEL.npz")
    source = "a folder or an archive with one folder per class, or with answer files, as train takes it; or a table"
    parser.add_argument("source", metavar="SOURCE", help=source)
    every = f"name all images that are taken for another class, not {WRONG}"
    parser.add_argument("--all", action="store_true", default=SUPPRESS, help=every)
    report = "for images: a page with those most surely wrong, the classes that are confused, and whether scores come true"
    parser.add_argument("--report", metavar="PAGE.html", type=file_name, default=SUPPRESS, help=report)
    parser.add_argument("--threads", metavar="N", type=positive_whole, default=SUPPRESS, help=f"for images; {ONE_FOR_EACH_CORE}")
    parser.add_argument("--formats", metavar="A,B", default=SUPPRESS)
    parser.add_argument("--on-error", metavar="HOW", default=SUPPRESS, help=ON_ERROR)
    declare_plot(parser, "how many of each class are taken for which, or predictions over targets")
    declare_signs(parser)
    parser.set_defaults(run=_run)


def _explanations() -> dict[str, str]:
    return {"formats": formats_read()}


def _run(args: Namespace) -> int:
    if args.plot is not None:
        check_plot(args.plot, [args.model, args.source])
    model = fastmlp.load(args.model)
    is_table = isinstance(model, fastmlp.TableModel)
    options = {name: value for name, value in vars(args).items() if name not in ("run", "model", "source", "plot")}
    for name in ("all", "report", "threads", "formats", "on_error") if is_table else ("delimiter", "decimal"):
        if name in options:
            kinds = ("image classifiers", "of tables") if is_table else ("models of tables", "an image classifier")
            raise ValueError(f"--{name.replace('_', '-')} is for {kinds[0]}; {args.model} is {'one ' * is_table}{kinds[1]}")
    if is_table:
        return _evaluate_table(model, args.source, args.plot, **options)
    return _evaluate_images(load_image_classifier(args.model), args.source, args.plot, **options)


def _evaluate_table(model: TableModel, path: str, plot: str | None, **signs: str) -> int:
    from fastmlp.networks.pictures import draw_predictions
    from fastmlp.tables.importance import evaluation_of, outputs_by

    X, y = model.rows_of(path, **signs)
    outputs = outputs_by(model.networks, X)
    evaluation = evaluation_of(outputs, y, model.classes)
    tell(evaluation)
    if plot is not None:
        save_plot(
            plot, evaluation.plot_confusion if model.classes is not None else partial(draw_predictions, outputs, y, evaluation.r2)
        )
    return FINE


def _evaluate_images(
    model: ImageClassifier,
    folder: str,
    plot: str | None,
    all: bool = False,
    report: str | None = None,
    threads: int | None = None,
    formats: str | None = None,
    on_error: str = "skip",
) -> int:
    from fastmlp.commands.classification.mistakes import write_mistakes
    from fastmlp.commands.classification.report import PAGE
    from fastmlp.images.image_formats import chosen_formats
    from fastmlp.images.learnable import learnable_images
    from fastmlp.images.reviewing import Review

    if report is not None:
        check_target(report, PAGE, [folder])
    chosen = chosen_formats(formats)
    found = learnable_images(folder, model.extractor, threads, chosen, on_error, fewest=1, classes=1)
    found.check_classes(model.classes)
    data, errors = found.data, found.damaged
    for message in (*errors, *found.left_out):
        say(message)
    evaluation, scores = model.evaluate(data.features, data.labels), model.scores(data.features)
    if report is not None:
        judged = Review(data.folder, data.paths, data.labels, model.classes, scores, errors, [])
        write_mistakes(report, judged, f"How good it is on {folder}")
    tell(evaluation.ratios_as_text())
    if len(model.classes) <= CONFUSION:
        tell(f"\n{evaluation.confusion_as_text()}")
    if plot is not None:
        save_plot(plot, evaluation.plot_confusion)
    taken = [model.classes[best] for best in scores.argmax(axis=1).tolist()]
    wrong = [row for row, (label, other) in enumerate(zip(data.labels.tolist(), taken, strict=True)) if label != other]
    if not wrong:
        return SOME_FAILED if errors else FINE
    tell(f"\n{evaluation.most_confused_as_text(PAIRS)}\n\nwrong:")
    shown = wrong if all else wrong[:WRONG]
    for row in shown:
        tell(f"  {printable(data.paths[row])}: {taken[row]} {scores[row].max():.3f}, but it is {data.labels[row]}")
    if len(shown) < len(wrong):
        tell(f"  ... and {len(wrong) - len(shown)} more, which --all shows")
    return SOME_FAILED if errors else FINE
