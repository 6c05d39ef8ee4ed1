"""fastmlp train: an image classifier of one network, or of the best of many, from a folder of labelled images."""

from __future__ import annotations

import argparse
import math
import os
import sys
from argparse import SUPPRESS, Namespace
from collections.abc import Callable
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import fastmlp
from fastmlp.commands.console import FINE, as_private_as, ask, check_target, say, tell
from fastmlp.commands.info import print_model
from fastmlp.commands.parser import (
    DTYPES,
    Parser,
    batch_size,
    either,
    file_name,
    layer_sizes,
    name_of,
    number,
    positive_whole,
    several,
    whole,
)
from fastmlp.interrupts import INTERRUPTED, noted

if TYPE_CHECKING:
    from fastmlp.images.labelled import LabelledImages
    from fastmlp.literals import ExtractorName

# Options of train and train_many: what their values are called, and what reads them. The first ones take several values.
SWEPT: dict[str, tuple[str, Callable[[str], Any]]] = {
    "hidden": ("8,8[/...]", several(layer_sizes, "/")),
    "activation": ("NAME[,...]", several(str)),
    "batch_size": ("N|full[,...]", several(batch_size)),
    "learning_rate": ("RATE[,...]", several(number)),
    "momentum": ("SHARE[,...]", several(number)),
    "l2": ("L2[,...]", several(number)),
    "l1": ("L1[,...]", several(number)),
    "dropout": ("SHARE[,...]", several(number)),
    "clip": ("LENGTH[,...]", several(number)),
    "average": ("SHARE[,...]", several(number)),
}
SINGLE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "optimizer": ("NAME", str),
    "loss": ("NAME", str),
    "tolerance": ("T", number),
    "schedule": ("NAME", str),
    "decay": ("D", number),
    "warmup": ("EPOCHS", number),
    "epochs": ("N", whole),
    "patience": ("N", whole),
    "monitor": ("NAME", str),
    "seed": ("N", whole),
    "data_seed": ("N", whole),
    "members": ("N", positive_whole),
    "halving": ("H", whole),
    "dtype": ("NAME", name_of(DTYPES)),
    "threads": ("N", whole),
}
HELD_OUT = 0.2  # of the images of each class, to measure by
BEST_SHOWN = 10  # of the best of several networks

EPILOG = f"""\
what is measured:
  {HELD_OUT:g} of the images of each class are held out, and measured after each epoch. What is told is of the best epoch: the
  loss, the accuracy, how many epochs it took, and why the training ended. Then a network is trained anew on all images,
  for as many epochs. --no-refit keeps the first one, --validation 0 holds out none.

several networks:
  Several values of an option that takes them, see [,...] and [/...] above, make a network of each combination. With
  --members N, the combinations take turns until there are N networks. The seed of each is one more than that of the one
  before; the first has that of --seed, or one that is drawn. All are measured on the same rows, which --data-seed
  chooses. The best {BEST_SHOWN} are printed as a table. The one of the smallest validation loss is saved, by --monitor
  accuracy that of the highest accuracy, or with --ensemble all that were not dropped by --halving and have not diverged,
  trained anew on all images as above: the ensemble's scores are the means of their probabilities.

After Ctrl-C, the networks are saved as they were after their last whole epochs, or their best ones if images are held out,
as MODEL.unfinished.npz; MODEL.npz stays as it was. Nothing is written over but a model.

exit code: 0 all is well; 2 wrong usage, a bad file, or training that diverges; 130 interrupted

examples:
  fastmlp train drawings -o shapes.npz
  fastmlp train drawings -o shapes.npz --hidden 8/16/8,8 --learning-rate 0.01,0.03,0.1
  fastmlp train drawings -o shapes.npz --members 256 --learning-rate 0.01,0.03,0.1 --halving 3 --ensemble
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations
    parser.set_defaults(run=_run)
    parser.add_argument("folder", metavar="FOLDER", help="with one folder per class, or with answer files")
    parser.add_argument("-o", "--output", metavar="MODEL.npz", type=file_name, required=True)
    parser.add_argument("--extractor", metavar="NAME", default=SUPPRESS)
    parser.add_argument("--method", metavar="NAME", default=SUPPRESS)
    for name, (metavar, kind) in {**SWEPT, **SINGLE}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, type=kind, default=SUPPRESS)
    parser.add_argument("--bootstrap", action="store_true", default=SUPPRESS)
    validation = f"of each class, to hold out and to measure by; 0 for none; default: {HELD_OUT:g}"
    parser.add_argument("--validation", metavar="FRACTION", type=number, default=HELD_OUT, help=validation)
    no_refit = "keep what was trained without the images held out, instead of training anew with all"
    parser.add_argument("--no-refit", dest="refit", action="store_false", help=no_refit)
    ensemble = "save all networks that are not dropped on the way, instead of the best"
    parser.add_argument("--ensemble", action="store_true", default=SUPPRESS, help=ensemble)
    parser.add_argument("--yes", action="store_true", help="do not ask whether the classes found are those that were meant")


def _explanations() -> dict[str, str]:
    from fastmlp.images.extractors import DEFAULT_EXTRACTOR, EXTRACTORS
    from fastmlp.images.fitting import METHODS
    from fastmlp.training.options import explanation

    texts = {name: explanation(name) for name in (*SWEPT, *SINGLE, "bootstrap")}
    texts["hidden"] = 'units of each hidden layer, by default 100; "/" between alternatives'
    texts["members"] += "; by default one for each combination of values"
    return {"extractor": f"{either(EXTRACTORS)}; default: {DEFAULT_EXTRACTOR}", "method": either(METHODS), **texts}


def _run(args: Namespace) -> int:
    from fastmlp.images.extractors import DEFAULT_EXTRACTOR
    from fastmlp.images.labelled import labelled_images
    from fastmlp.storage import MODEL

    options = {name: value for name, value in vars(args).items() if name not in ("run", "folder", "output", "refit", "yes")}
    check_target(args.output, MODEL, [args.folder])  # before the training, not after it
    swept = {name: options.pop(name) for name in SWEPT if name in options}
    members = _members(options, math.prod(map(len, swept.values())))
    extractor = options.pop("extractor", DEFAULT_EXTRACTOR)
    data = labelled_images(args.folder, extractor, options.get("threads"))
    _confirm(data, args.yes)
    options["validation"] = _validation(data, options["validation"])
    options |= {"refit": args.refit and options["validation"] is not None, "progress": sys.stderr.isatty()}
    with noted():
        return _train(args.output, data, extractor, options, swept, members)


def _train(
    output: str, data: LabelledImages, extractor: ExtractorName, options: dict[str, Any], swept: dict[str, Any], members: int | None
) -> int:
    """After Ctrl-C, what has been trained so far is saved under another name."""
    from fastmlp.images.fitting import train_labelled, train_members
    from fastmlp.writing import free_unfinished

    if members is None:
        options |= {name: value for name, (value,) in swept.items()}
        model, population = fastmlp.ImageClassifier(*train_labelled(data, extractor, **options)), None
        stopped_by = [history.stopped_by for history in model.histories]
        if any(history.epochs == 0 for history in model.histories):
            raise KeyboardInterrupt  # that came too soon: there is nothing to keep
    else:
        options.pop("method", None)
        values = fastmlp.grid(**swept) if swept else {}
        options |= {name: list(islice(cycle(each), members)) for name, each in values.items()}
        fitted, population = train_members(data, extractor, members, **options)
        model = fastmlp.ImageClassifier(*fitted)
        stopped_by = population.history.stopped_by
        if "diverged" in stopped_by:
            say(f"{stopped_by.count('diverged')} of {members} networks diverged")
    interrupted = "interrupt" in stopped_by or model.made_with.get("validation", {}).get("refit") == "interrupted"
    path = free_unfinished(output) if interrupted else output
    with as_private_as(output):
        model.save(path)
    if population is not None:
        tell(population.table.best(BEST_SHOWN))
    print_model(model)
    if interrupted:
        older = f"; {output} is as it was" if os.path.exists(output) else ""
        say(f"what has been trained so far is in {path}{older}")
    return INTERRUPTED if interrupted else FINE


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


def _members(options: dict[str, Any], combinations: int) -> int | None:
    """How many networks are to be compared, if any are; contradictions are rejected."""
    many = combinations > 1 or "members" in options
    members = options.pop("members", combinations)
    if many and options.get("method", "softmax") != "softmax":
        raise ValueError(f"--method {options['method']} takes neither --members nor several values of an option")
    if members < combinations:
        raise ValueError(f"--members must be at least {combinations}, one for each combination of values; got {members}")
    for name in ("halving", "ensemble"):
        if name in options and members == 1:
            raise ValueError(f"--{name} needs several networks: give --members, or several values of an option")
    return members if many else None
