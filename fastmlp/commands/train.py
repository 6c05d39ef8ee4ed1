"""fastmlp train: a model of one network, or of the best of many, from a folder of labelled images or from a table."""

from __future__ import annotations

import argparse
import math
import sys
from argparse import SUPPRESS, Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

import fastmlp
from fastmlp.commands import train_on_table
from fastmlp.commands.cluster import dask_client, declare_dask
from fastmlp.commands.console import FINE, ask, check_target, say
from fastmlp.commands.parser import ON_ERROR, Parser, either, file_name, formats_read, number, whole
from fastmlp.commands.plotting import check_plot, declare_plot, plot_training
from fastmlp.commands.trained import BEST_SHOWN, save_trained
from fastmlp.commands.training_options import SINGLE, SWEPT, each_of_members, member_count_of
from fastmlp.interrupts import noted

if TYPE_CHECKING:
    from fastmlp.images.choosing import Choice
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.images.fitting import Fitted
    from fastmlp.images.labelled import LabelledImages

HELD_OUT = 0.2  # of the images of each class, to measure by
OF_IMAGES = ("augment", "extractor", "formats", "method", "on_error", "yes")  # options that tables do not know

EPILOG = f"""\
what it trains on:
  A folder of images, or a tar or zip archive of such, makes an image classifier. Images that cannot be read are named and left out,
  as are hidden folders, and classes without two images. Where a class has more than three times the images of another, all classes
  weigh the same, as by --class-weight balanced. Any other file is a table, of which --target names the column to predict: CSV and
  its like, also packed by gzip, whose first line names the columns; or Parquet. Texts, booleans and few whole numbers are classes,
  other numbers are quantities. What the other columns are is found out and told: numbers, dates, categories; and columns that are
  ignored, as all cells are the same, or most texts are different. pip install 'fastmlp[tables]' reads it several times as fast.

what is measured:
  {HELD_OUT:g} of the images or rows, of each class alike, are held out, and measured after each epoch. What is told is of the best
  epoch: the loss, the accuracy, how many epochs it took, and why the training ended. Then a network is trained anew on all,
  for as many epochs. --no-refit keeps the first one, --validation 0 holds out none. Of a table it is also told how good the most
  frequent class or the mean would have been, and by how much the accuracy or R2 drops where the cells of a column are shuffled.

extractors:
  --extractor auto trains one network by each, with the given options, of several values the first ones, and takes that of the
  highest accuracy on the images held out, of equals that of the smallest loss. What is trained then is as if it had been given.

several networks:
  Several values of an option that takes them, see [,...] and [/...] above, make a network of each combination. With
  --members N, the combinations take turns until there are N networks. The seed of each is one more than that of the one
  before; the first has that of --seed, or one that is drawn. All are measured on the same rows, which --data-seed
  chooses. The best {BEST_SHOWN} are printed as a table. The one of the smallest validation loss is saved, by --monitor
  accuracy that of the highest accuracy, or with --ensemble all that were not dropped by --halving and have not diverged,
  trained anew as above: what the ensemble says is the mean of their probabilities or outputs.

After Ctrl-C, the networks are saved as they were after their last whole epochs, or their best ones if some are held out,
as MODEL.unfinished.npz; MODEL.npz stays as it was, and nothing is drawn. Nothing is written over but a model, and by --plot a
picture that fastmlp drew.

exit code: 0 all is well; 2 wrong usage, a bad file, or training that diverges; 130 interrupted

examples:
  fastmlp train drawings -o shapes.npz
  fastmlp train drawings -o shapes.npz --hidden 8/16/8,8 --learning-rate 0.01,0.03,0.1
  fastmlp train drawings -o shapes.npz --members 256 --learning-rate 0.01,0.03,0.1 --halving 3 --ensemble
  fastmlp train houses.csv --target price -o prices.npz --plot losses.png
  fastmlp train houses.csv --target price -o prices.npz --categories zip --ignore id,name --impute median --cv 5
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations
    parser.set_defaults(run=_run)
    source = "a folder or an archive with one folder per class, or with answer files, or a URL of such; or a table"
    parser.add_argument("source", metavar="SOURCE", help=source)
    parser.add_argument("-o", "--output", metavar="MODEL.npz", type=file_name, required=True)
    parser.add_argument("--extractor", metavar="NAME", default=SUPPRESS)
    parser.add_argument("--method", metavar="NAME", default=SUPPRESS)
    parser.add_argument("--formats", metavar="A,B", default=SUPPRESS)
    parser.add_argument("--on-error", metavar="HOW", default=SUPPRESS, help=ON_ERROR)
    augment = "copies of each image to learn from besides: turned, scaled, shifted, thickened; none of images held out; default: 0"
    parser.add_argument("--augment", metavar="N", type=whole, default=SUPPRESS, help=augment)
    for name, (metavar, kind) in {**SWEPT, **SINGLE}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, type=kind, default=SUPPRESS)
    parser.add_argument("--bootstrap", action="store_true", default=SUPPRESS)
    validation = f"of each class, to hold out and to measure by; 0 for none; default: {HELD_OUT:g}"
    parser.add_argument("--validation", metavar="FRACTION", type=number, default=SUPPRESS, help=validation)
    no_refit = "keep what was trained without those held out, instead of training anew with all"
    parser.add_argument("--no-refit", dest="refit", action="store_false", help=no_refit)
    ensemble = "save all networks that are not dropped on the way, instead of the best"
    parser.add_argument("--ensemble", action="store_true", default=SUPPRESS, help=ensemble)
    yes = "do not ask whether the classes found are those that were meant"
    parser.add_argument("--yes", action="store_true", default=SUPPRESS, help=yes)
    declare_plot(parser, "the losses of the epochs, or of several networks what each value came to")
    declare_dask(parser, ", and train, if there are several networks")
    train_on_table.declare_options(parser)


def _explanations() -> dict[str, str]:
    from fastmlp.images.choosing import AUTO
    from fastmlp.images.extractors import DEFAULT_EXTRACTOR, EXTRACTORS
    from fastmlp.images.fitting import METHODS
    from fastmlp.kernels.activations import HIDDEN
    from fastmlp.training.options import explanation

    texts = {name: explanation(name) for name in (*SWEPT, *SINGLE, "bootstrap")}
    texts["hidden"] = 'units of each hidden layer, by default 100; "/" between alternatives'
    texts["dropout"] = "share of the units of each hidden layer that rows are trained without"
    texts["activation"] = f"of all hidden layers: {either(HIDDEN)}"
    texts["class_weight"] += "; here balanced, by which all classes weigh the same, or none"
    texts["members"] += "; by default one for each combination of values"
    return {
        "extractor": f"{either(EXTRACTORS)}; default: {DEFAULT_EXTRACTOR}; {AUTO} takes the best on images held out",
        "method": either(METHODS),
        "formats": formats_read(),
        **texts,
    }


def _run(args: Namespace) -> int:
    with dask_client(args) as client:
        return _read_and_train(args, client)


def _read_and_train(args: Namespace, client: Any) -> int:
    from fastmlp import checks
    from fastmlp.images.choosing import choose_extractor, read_first
    from fastmlp.images.copies import augmentation
    from fastmlp.images.extractors import DEFAULT_EXTRACTOR
    from fastmlp.images.image_formats import chosen_formats
    from fastmlp.images.learnable import learnable_images
    from fastmlp.storage import MODEL

    options = {name: value for name, value in vars(args).items() if name not in ("run", "source", "output", "plot")}
    is_table = train_on_table.is_table(args.source)
    for name in OF_IMAGES if is_table else train_on_table.OF_TABLES:
        if name in options:
            what, other = ("folders of images", "a table") if is_table else ("tables", "none")
            raise ValueError(f"--{name.replace('_', '-')} is for {what}; {args.source} is {other}")
    if "cv" in options and "validation" in options:
        raise ValueError("--cv measures by folds, and holds out no rows beside them; give it without --validation")
    options.setdefault("validation", HELD_OUT)
    check_target(args.output, MODEL, [args.source])  # before the training, not after it
    if args.plot is not None:
        check_plot(args.plot, [args.source, args.output])
    swept = {name: options.pop(name) for name in SWEPT if name in options}
    members = member_count_of(options, math.prod(map(len, swept.values())))
    options["progress"] = sys.stderr.isatty()
    options.pop("dask", None)
    if client is not None and "threads" in options and (members is not None or "cv" in options):
        raise ValueError("--threads is of this machine; with --dask several networks are trained by workers, on one thread each")
    if is_table:
        if client is not None:
            if members is None and "cv" not in options:
                raise ValueError("--dask trains several networks on a table: give it with --members, --halving or --cv")
            options["executor"] = client
        return train_on_table.train_and_save(args.output, args.plot, args.source, options, swept, members)
    extractor, yes = options.pop("extractor", DEFAULT_EXTRACTOR), options.pop("yes", False)
    formats = chosen_formats(options.pop("formats", None))
    threads = options.get("threads") if client is None else None  # or they only train
    options["seed"] = checks.seed("seed", options.get("seed"))
    read = partial(
        learnable_images,
        args.source,
        threads=threads,
        formats=formats,
        on_error=options.pop("on_error", "skip"),
        augmentation=augmentation(options.pop("augment", 0), options["seed"], options.get("data_seed")),
        executor=client,
    )
    found, read_by = read_first(extractor, read)
    for message in (*found.damaged, *found.left_out):
        say(message)
    data = found.data
    _confirm(data, yes)
    is_open = "class_weight" not in options and options.get("method", "softmax") == "softmax"
    if is_open and (balanced := found.weights_by_default()) is not None:
        options["class_weight"] = balanced
        say("the classes are unequal, and are made to weigh the same; --class-weight none leaves them as they are")
    options["validation"] = _validation(data, options["validation"])
    options["refit"] = args.refit and options["validation"] is not None
    with noted():
        choice = choose_extractor(extractor, read_by, options | {name: values[0] for name, values in swept.items()}, say)
        return _train(args.output, args.plot, choice, options, swept, members, client)


def _train(
    output: str,
    plot: str | None,
    choice: Choice,
    options: dict[str, Any],
    swept: dict[str, Any],
    members: int | None,
    client: Any,
) -> int:
    """After Ctrl-C, what has been trained so far is saved under another name."""
    from fastmlp.images.fitting import train_labelled, train_members

    data, extractor, population = choice.data, choice.extractor, None
    if members is None:
        options |= {name: value for name, (value,) in swept.items()}
        fitted = choice.record(train_labelled(data, extractor, **options))
        model = _classifier(fitted)
        if any(history.epochs == 0 for history in model.histories):
            raise KeyboardInterrupt  # that came too soon: there is nothing to keep
    else:
        options.pop("method", None)
        options |= each_of_members(swept, members)
        fitted, population = train_members(data, extractor, members, executor=client, **options)
        model = _classifier(choice.record(fitted))
    code = save_trained(output, model, population)
    if plot is not None and code == FINE:
        plot_training(plot, model, fitted.measured, population)
    return code


def _classifier(fitted: Fitted) -> ImageClassifier:
    return fastmlp.ImageClassifier(fitted.classes, fitted.networks, fitted.extractor, fitted.method, fitted.made_with)


def _confirm(data: LabelledImages, yes: bool) -> None:
    """Say what the classes are; where they may not have been meant as such, somebody must say yes."""
    say(f"{len(data.labels)} images: {', '.join(f'{name} {count}' for name, count in data.counts().items())}")
    if not data.doubts:
        return
    doubt = f"the folders in {data.folder} may be no classes: {'; '.join(data.doubts)}"
    if not yes and not sys.stdin.isatty():
        raise ValueError(f"{doubt}; give --yes to train all the same")
    say(doubt)
    if not yes and ask("Train all the same? [y/N] ").lower() not in ("y", "yes"):
        raise ValueError("nothing was trained")


def _validation(data: LabelledImages, share: float) -> float | None:
    """The share to hold out, if any is; classes that are too small for it are told."""
    from fastmlp import checks
    from fastmlp.training.data import held_of

    if share == 0:
        return None
    checks.share("validation", share)
    small = [name for name, count in data.counts().items() if not held_of(count, share)]
    if small:
        say(f"too few images to hold any out: {', '.join(small)}")
    return None if len(small) == len(data.counts()) else share
