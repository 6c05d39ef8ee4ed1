"""The commands: the one room that prints, and sets exit codes.

Results go to stdout; messages, and a progress line where that is a terminal, go to stderr. The exit code is 0 when all
went well, 1 when some inputs failed, 2 for wrong usage, a bad file or nothing to do, 130 after Ctrl-C.

Whatever is heavy is imported inside the commands, so that help and usage errors appear at once.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import signal
import sys
import time
import warnings
from argparse import SUPPRESS, Namespace
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain, compress, cycle, islice, takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import fastmlp
from fastmlp.kernels.notice import is_watched, wipe_line
from fastmlp.progress import Progress

if TYPE_CHECKING:
    from fastmlp.commands.rows import Batch
    from fastmlp.commands.tutorials import Answer
    from fastmlp.files import FileKind
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.images.labelled import LabelledImages
    from fastmlp.images.verdicts import Verdicts
    from fastmlp.networks.mlp import MLP
    from fastmlp.networks.population import Population

FINE, SOME_FAILED, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130
TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # a file name may be any bytes
SWEPT = ("hidden", "activation", "batch_size", "learning_rate", "momentum", "l2")  # options of train that take several values
HELD_OUT = 0.2  # of the images of each class, to measure by
SHOWN = 10  # of the best of several networks, and of the pairs of classes that are confused
CONFUSION = 30  # classes up to which the confusion matrix is printed
WRONG = 20  # images that are named

Value = TypeVar("Value")

TRAIN_EPILOG = f"""\
what is measured:
  {HELD_OUT:g} of the images of each class are held out, and measured after each epoch. What is told is of the best epoch: the
  loss, the accuracy, how many epochs it took, and why the training ended. Then a network is trained anew on all images,
  for as many epochs. --no-refit keeps the first one, --validation 0 holds out none.

several networks:
  Several values of --hidden, --activation, --batch-size, --learning-rate, --momentum or --l2 make a network of each
  combination. With --members N, the combinations take turns until there are N networks. The seed of each is one more
  than that of the one before; the first has that of --seed, or one that is drawn. All are measured on the same rows,
  which --data-seed chooses. The best {SHOWN} are printed as a table. The one of the smallest validation loss is saved, or
  with --ensemble all that were not dropped by --halving and have not diverged, trained anew on all images as above: the
  ensemble's scores are the means of their probabilities.

After Ctrl-C, the networks are saved as they were after their last whole epochs, or their best ones if images are held out,
as MODEL.unfinished.npz; MODEL.npz stays as it was. Nothing is written over but a model.

exit code: 0 all is well; 2 wrong usage, a bad file, or training that diverges; 130 interrupted

examples:
  fastmlp train drawings -o shapes.npz
  fastmlp train drawings -o shapes.npz --hidden 8/16/8,8 --learning-rate 0.01,0.03,0.1
  fastmlp train drawings -o shapes.npz --members 256 --learning-rate 0.01,0.03,0.1 --halving 3 --ensemble
"""

CLASSIFY_EPILOG = """\
rows:
  path    within the folder or archive; of several SOURCEs, with the SOURCE before it
  label   the class with the largest score
  score   of each class: a column each in CSV (score_NAME), an object in JSON
  status  ok or failed
  error   why it failed: then there are neither label nor scores
  A file name that is not UTF-8 keeps its bytes in CSV; JSON has \\udcXX for each byte XX that is not.

A PNG is known by its contents, not by its name. Other files are skipped, unless named one by one or with --strict.
A FILE that is there is replaced at the end: until then the rows of verdicts.csv are in verdicts.unfinished.csv.
Ctrl-C ends after a whole row. --resume goes on with verdicts.unfinished.csv if that is there, else with verdicts.csv:
it cuts off what a killed run has torn, and adds the rows that are missing. Give it the same SOURCEs and options, and
the same MODEL: some of the rows are made anew to see whether it is. The page of --report is written at the end, not
after Ctrl-C; with --resume it shows all rows. Nothing is written over but verdicts, and pages of --report. A summary,
and progress on a terminal, go to stderr.

exit code: 0 all is well; 1 some failed; 2 wrong usage, a bad file, or nothing found; 130 interrupted

examples:
  fastmlp classify shapes.npz drawings > verdicts.csv
  fastmlp classify shapes.npz scans.tar -o verdicts.jsonl --report verdicts.html
  fastmlp classify shapes.npz drawings -o verdicts.csv --resume
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command, the process's own if none is given, and return its exit code."""
    args = _arguments(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**TEXT)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *where: _say(message)
            code = args.run(args)
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough; nor may Python flush the rest into it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error)
        return NOTHING_DONE
    except (ValueError, ArithmeticError) as error:  # a DivergedError is an ArithmeticError
        _say(error)
        return NOTHING_DONE


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("argument "):
            message = message.removeprefix("argument ").replace(": ", " ", 1)
        self.exit(NOTHING_DONE, f"fastmlp: {message}; see {self.prog} --help\n")

    def check(self, words: Iterable[str]) -> None:
        """Reject the first long option that there is not: its value may pass for something else."""
        for option in (word.partition("=")[0] for word in takewhile("--".__ne__, words) if word.startswith("--")):
            if not any(known.startswith(option) for known in self._option_string_actions):
                self.error(f"{self.prog} has no option {option}{_meant(option, self._option_string_actions)}")


def _arguments(words: list[str]) -> Namespace:
    """What is to be done, if that is clear; a SystemExit after help and wrong usage."""
    parser, commands = _parser()
    if not words or words[0] == "help":
        words = [*words[1:2], "--help"]
    if not words[0].startswith("-") and words[0] not in commands:
        parser.error(f"{words[0]!r} is no command{_meant(words[0], commands)}")
    command = commands.get(words[0], parser)
    command.check(words)
    args, left = parser.parse_known_args(words)
    if left:
        command.error(f"{command.prog} does not take {left[0]!r}")
    if "run" not in args:
        parser.error("a command must be named")
    return args


def _meant(word: str, names: Iterable[str]) -> str:
    import difflib

    nearest = difflib.get_close_matches(word, names, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    """The parser of all, and that of each command."""
    epilog = "fastmlp help COMMAND shows what a command takes."
    parser = _Parser(prog="fastmlp", description="Small neural networks at compiled speed.", epilog=epilog)
    parser.add_argument("--version", action="version", version=f"fastmlp {fastmlp.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(run: Callable[[Namespace], int], help: str) -> _Parser:
        parser = commands.add_parser(run.__name__.strip("_"), help=help, description=help)
        parser.set_defaults(run=run)
        return parser

    demo = command(_demo, "tell circles from lines, or train on toy data: the two tutorials")
    demo.add_argument("task", metavar="TASK", nargs="?", type=one_of("circles", "toy"), default="circles", help="circles or toy")
    demo.add_argument("--out", metavar="DIR", type=Path, default=Path("fastmlp-demo"), help="default: %(default)s")
    demo.add_argument("--seed", metavar="N", type=whole, default=0, help="default: %(default)s")

    features = command(_features, "write the features of images as CSV")
    features.add_argument("source", metavar="SOURCE", help="a folder of PNG files, or one PNG file")
    features.add_argument("--extractor", metavar="NAME", default="ink", help="ink or pixels; default: %(default)s")
    features.add_argument("-o", "--output", metavar="FILE", help="default: stdout")

    train = command(_train, "train an image classifier on a folder")
    train.formatter_class, train.epilog = argparse.RawDescriptionHelpFormatter, TRAIN_EPILOG
    train.add_argument("folder", metavar="FOLDER", help="with one folder per class, or with answer files")
    train.add_argument("-o", "--output", metavar="MODEL.npz", required=True)
    train.add_argument("--extractor", metavar="NAME", default=SUPPRESS, help="pixels (the default) or ink")
    train.add_argument("--method", metavar="NAME", default=SUPPRESS, help="softmax or one-vs-rest")
    hidden = 'units of the hidden layers; "/" between alternatives'
    train.add_argument("--hidden", metavar="8,8[/...]", type=several(layer_sizes, "/"), default=SUPPRESS, help=hidden)
    activation = "sigmoid, tanh, relu or identity"
    train.add_argument("--activation", metavar="NAME[,...]", type=several(str), default=SUPPRESS, help=activation)
    train.add_argument("--epochs", metavar="N", type=whole, default=SUPPRESS)
    train.add_argument("--batch-size", metavar="N|full[,...]", type=several(batch_size), default=SUPPRESS)
    train.add_argument("--learning-rate", metavar="RATE[,...]", type=several(number), default=SUPPRESS)
    train.add_argument("--optimizer", metavar="NAME", default=SUPPRESS, help="sgd, momentum, nesterov or adam")
    momentum = "of the optimizers momentum and nesterov"
    train.add_argument("--momentum", metavar="SHARE[,...]", type=several(number), default=SUPPRESS, help=momentum)
    train.add_argument("--l2", metavar="L2[,...]", type=several(number), default=SUPPRESS)
    schedule = "how the learning rate falls: cosine, linear or constant"
    train.add_argument("--schedule", metavar="NAME", default=SUPPRESS, help=schedule)
    rise = "in which the learning rate first rises"
    train.add_argument("--warmup", metavar="EPOCHS", type=number, default=SUPPRESS, help=rise)
    validation = f"of each class, to hold out and to measure by; 0 for none; default: {HELD_OUT:g}"
    train.add_argument("--validation", metavar="FRACTION", type=number, default=HELD_OUT, help=validation)
    train.add_argument("--patience", metavar="N", type=whole, default=SUPPRESS, help="epochs to wait for a better loss")
    no_refit = "keep what was trained without the images held out, instead of training anew with all"
    train.add_argument("--no-refit", dest="refit", action="store_false", help=no_refit)
    train.add_argument("--seed", metavar="N", type=whole, default=SUPPRESS)
    data_seed = "of the held-out rows and of the order; default: that of --seed"
    train.add_argument("--data-seed", metavar="N", type=whole, default=SUPPRESS, help=data_seed)
    bootstrap = "draw the rows of each network with replacement"
    train.add_argument("--bootstrap", action="store_true", default=SUPPRESS, help=bootstrap)
    members = "how many networks to train; default: one for each combination of values"
    train.add_argument("--members", metavar="N", type=positive, default=SUPPRESS, help=members)
    halving = "from time to time, only the best of H networks goes on"
    train.add_argument("--halving", metavar="H", type=whole, default=SUPPRESS, help=halving)
    ensemble = "save all networks that are not dropped on the way, instead of the best"
    train.add_argument("--ensemble", action="store_true", default=SUPPRESS, help=ensemble)
    dtypes = ("float32", "float64")
    train.add_argument("--dtype", metavar="NAME", type=one_of(*dtypes), default=SUPPRESS, help=" or ".join(dtypes))
    train.add_argument("--threads", metavar="N", type=whole, default=SUPPRESS)
    train.add_argument("--yes", action="store_true", help="do not ask whether the classes found are those that were meant")

    classify = command(_classify, "classify images, one row for each, as they come")
    classify.formatter_class, classify.epilog = argparse.RawDescriptionHelpFormatter, CLASSIFY_EPILOG
    classify.add_argument("model", metavar="MODEL.npz")
    sources = "a folder, which is walked whole, a .tar or .zip archive, or a PNG file"
    classify.add_argument("sources", metavar="SOURCE", nargs="+", help=sources)
    classify.add_argument("-o", "--output", metavar="FILE", help="default: stdout")
    formats = "csv or jsonl; default: as FILE ends, or csv"
    classify.add_argument("--format", metavar="NAME", type=one_of("csv", "jsonl"), help=formats)
    classify.add_argument("--resume", action="store_true", help="go on with FILE, as an interrupted run has left it")
    classify.add_argument("--report", metavar="PAGE.html", help="draw each class: its scores, and its least certain images")
    classify.add_argument("--strict", action="store_true", help="what is no PNG fails, instead of being skipped")
    classify.add_argument("--unordered", action="store_true", help="rows come as they get ready, not in the order of names")
    classify.add_argument("--follow-symlinks", action="store_true", help="walk links to folders too")
    pixels = "an image of more pixels fails; default: 67108864"
    classify.add_argument("--max-pixels", metavar="N", type=positive, default=SUPPRESS, help=pixels)
    threads = "default: one for each core that it may use"
    classify.add_argument("--threads", metavar="N", type=positive, default=SUPPRESS, help=threads)

    evaluate = command(_evaluate, "say how good a classifier is on a folder of labelled images")
    evaluate.add_argument("model", metavar="MODEL.npz")
    evaluate.add_argument("folder", metavar="FOLDER", help="with one folder per class, or with answer files, as train takes it")
    evaluate.add_argument("--all", action="store_true", help=f"name all images that are taken for another class, not {WRONG}")
    evaluate.add_argument("--threads", metavar="N", type=positive, help=threads)

    info = command(_info, "say what a model file holds")
    info.add_argument("model", metavar="MODEL.npz")

    warmup = command(_warmup, "compile all that can be compiled, so that nothing later waits for it")
    parts = "train, update, many, folders or archives; default: all"
    warmup.add_argument("parts", metavar="NAME", nargs="*", help=parts)
    return parser, commands.choices


def reading(kind: Callable[[str], Value], expected: str) -> Callable[[str], Value]:
    """What reads a value, or says what was expected."""

    def read(text: str) -> Value:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {expected}; got {text!r}") from None

    return read


def several(kind: Callable[[str], Value], separator: str = ",") -> Callable[[str], list[Value]]:
    """What reads one value or more."""
    return lambda text: [kind(part) for part in text.split(separator)]


def one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be {' or '.join(names)}; got {text!r}{_meant(text, names)}")
        return text

    return read


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError
    return int(text)


whole = reading(int, "a whole number")
positive = reading(_positive, "a positive whole number")
number = reading(float, "a number")
layer_sizes = reading(lambda text: tuple(map(int, text.split(","))), "units of each layer, such as 16 or 16,8")
batch_size = reading(lambda text: None if text == "full" else int(text), "a whole number or full")


def _demo(args: Namespace) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    return _demo_toy(args) if args.task == "toy" else _demo_circles(args)


def _demo_circles(args: Namespace) -> int:
    from fastmlp.commands import tutorials
    from fastmlp.commands.rows import FEATURES, features_head, features_text
    from fastmlp.files import check_writable, replacing

    folder = tutorials.find_folder()
    check_writable(args.out / "features.csv", FEATURES)
    names, features, _ = fastmlp.extract_features(tutorials.training_images(folder / "data"))
    with replacing(args.out / "features.csv", FEATURES, "w", **TEXT) as file:
        file.write(features_head("ink") + features_text([Path(name).name for name in names], features))
    print(f"{len(names)} training images; their features are in {args.out / 'features.csv'}")
    pair, softmax = tutorials.train_pair(folder / "data", args.seed), tutorials.train_softmax(folder / "data", args.seed)
    _print_networks(pair)
    _print_networks(softmax)

    answers = tutorials.answers(pair, softmax, folder / "test-images")
    for answer in answers:
        _print_answer(answer)
    truth = [tutorials.TRUTH[answer.name[:2]] for answer in answers]
    by_pair, by_softmax = [answer.label for answer in answers], [answer.softmax_label for answer in answers]
    for who, labels in ("The larger output", by_pair), ("The softmax network", by_softmax):
        print(f"{who}: {sum(map(str.__eq__, labels, truth))} of {len(truth)} right")

    while sys.stdin.isatty() and (name := _ask("Name of an image in test-images, or its path (an empty line ends): ")):
        try:
            _print_answer(*tutorials.answers(pair, softmax, [tutorials.image_named(name, folder / "test-images")]))
        except fastmlp.ImageError as error:
            _say(error)
    return FINE


def _print_answer(answer: Answer) -> None:
    outputs = "  ".join(f"MLP({label}) {output:6.3f}" for label, output in answer.outputs.items())
    softmax = "  ".join(f"{label} {probability:.3f}" for label, probability in answer.probabilities.items())
    print(f"{answer.name}: {outputs}    softmax: {softmax}")
    print(f"{answer.name}: This image is a {answer.label.upper()}")


def _ask(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        print()
        return ""


def _demo_toy(args: Namespace) -> int:
    from fastmlp.commands import tutorials

    tutorials.check_figures(args.out)
    toy = tutorials.classification()
    print(f"The data were made by {toy.maker}.")
    classifier = tutorials.train_classifier(toy, args.seed)
    print(f"classifier: {_describe(classifier)}")
    print("accuracy {:.3f}, F1 {:.3f}".format(*tutorials.accuracy_and_f1(classifier, toy)))
    try:
        print(f"drawn: {', '.join(map(str, tutorials.draw(args.out, classifier, toy)))}")
    except ImportError:
        _say("nothing is drawn, as matplotlib is not installed; pip install 'fastmlp[plot]' brings it")
    toy = tutorials.regression()
    regressor = tutorials.train_regressor(toy, args.seed)
    print(f"regressor: {_describe(regressor)}")
    print("MSE {:.2f}, MAE {:.2f}".format(*tutorials.squared_and_absolute_error(regressor, toy)))
    return FINE


def _features(args: Namespace) -> int:
    """Rows are written chunk by chunk."""
    from fastmlp.commands.rows import FEATURES, features_head, features_text
    from fastmlp.files import free_unfinished
    from fastmlp.images.reading import read_chunks
    from fastmlp.images.sources import nothing_in

    beside = None
    if args.output is not None and not _is_device(args.output):
        _check_target(args.output, FEATURES, [args.source])
        beside = free_unfinished(args.output)
    parts = (part for part in read_chunks(args.source, args.extractor) if part.paths)
    first = next(parts, None)  # so that a wrong source is told before anything is written
    if first is None:
        raise nothing_in(args.source)
    errors: list[str] = []
    with _output(args.output, beside, "x" if beside else "w") as file:
        file.write(features_head(args.extractor))
        for paths, features, reasons, _, _ in chain([first], parts):
            fine = [reason is None for reason in reasons]
            with _interrupt_later():
                file.write(features_text(list(compress(paths, fine)), features[fine]))
                file.flush()
            errors += filter(None, reasons)
    for message in errors:
        _say(message)
    return SOME_FAILED if errors else FINE


def _check_target(path: str, kind: FileKind, inputs: Sequence[str]) -> None:
    """Reject a file that a command is not to write: one that it reads, or one of another kind by its name or by what is in it."""
    from fastmlp.files import check_writable

    _refuse_input(path, inputs)
    if Path(path).suffix.lower() not in ("", *kind.suffixes):
        raise ValueError(f"{path} cannot be written: the name of {kind.name} ends in {kind.suffixes[0]}")
    check_writable(path, kind)


def _is_device(path: str) -> bool:
    """Whether it is there and is neither a file nor a folder, as /dev/null, and so written to as it is."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _refuse_input(path: str, inputs: Sequence[str]) -> None:
    if any(_same_file(path, other) for other in inputs):
        raise ValueError(f"{path} cannot be written: it is one of the files that are read, or the other output")


def _same_file(path: str, other: str) -> bool:
    """By whatever names, links and folders they are called."""
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there
        return os.path.realpath(path) == os.path.realpath(other)


@contextmanager
def _output(path: str | None, beside: str | None = None, mode: str = "w", then: str = "") -> Iterator[IO[str]]:
    """The file at `path`, or stdout; an error of writing names it.

    Where there is a name `beside`, that file is moved to `path` when it is whole; else a message says where it is, and what then.
    """
    from fastmlp.files import replace

    name = beside or path
    try:
        with _stdout() if name is None else open(name, mode, **TEXT) as file:
            yield file
            if beside:
                file.flush()
                os.fsync(file.fileno())
        if beside and path:
            replace(beside, path)
    except BaseException as error:
        if beside and path and os.path.exists(beside) and not isinstance(error, FileExistsError):  # of another run
            older = f"; {path} is as it was" if os.path.exists(path) else ""
            _say(f"what has been written so far is in {beside}{then}{older}")
        if isinstance(error, OSError) and error.filename is None:
            error.filename = "stdout" if name is None else name
        raise


def _stdout() -> AbstractContextManager[IO[str]]:
    """With a buffer, as under PYTHONUNBUFFERED it loses what an interrupted write leaves."""
    try:
        return open(sys.stdout.fileno(), "w", closefd=False, **TEXT)
    except OSError:  # whoever called main has put something else in its place
        return nullcontext(sys.stdout)


def _train(args: Namespace) -> int:
    """After Ctrl-C, what has been trained so far is saved under another name."""
    from fastmlp.files import free_unfinished
    from fastmlp.images.features import DEFAULT_EXTRACTOR
    from fastmlp.images.fitting import train_labelled, train_members
    from fastmlp.images.labelled import labelled_images
    from fastmlp.storage import MODEL

    options = {name: value for name, value in vars(args).items() if name not in ("run", "folder", "output", "refit", "yes")}
    _check_target(args.output, MODEL, [args.folder])  # before the training, not after it
    swept = {name: options.pop(name) for name in SWEPT if name in options}
    members = _members(options, math.prod(map(len, swept.values())))
    extractor = options.pop("extractor", DEFAULT_EXTRACTOR)
    data = labelled_images(args.folder, extractor, options.get("threads"))
    _confirm(data, args.yes)
    options["validation"] = _validation(data, options["validation"])
    options |= {"refit": args.refit and options["validation"] is not None, "progress": sys.stderr.isatty()}
    if members is None:
        options |= {name: value for name, (value,) in swept.items()}
        model, population = train_labelled(data, extractor, **options), None
        stopped_by = [history.stopped_by for history in model.histories]
        if any(history.epochs == 0 for history in model.histories):
            raise KeyboardInterrupt  # that came too soon: there is nothing to keep
    else:
        options.pop("method", None)
        values = fastmlp.grid(**swept) if swept else {}
        options |= {name: list(islice(cycle(each), members)) for name, each in values.items()}
        model, population = train_members(data, extractor, members, **options)
        stopped_by = population.history.stopped_by
        if "diverged" in stopped_by:
            _say(f"{stopped_by.count('diverged')} of {members} networks diverged")
    interrupted = "interrupt" in stopped_by or model.made_with.get("validation", {}).get("refit") == "interrupted"
    path = free_unfinished(args.output) if interrupted else args.output
    model.save(path)
    if population is not None:
        print(population.table.best(SHOWN))
    _print_model(model)
    if interrupted:
        older = f"; {args.output} is as it was" if os.path.exists(args.output) else ""
        _say(f"what has been trained so far is in {path}{older}")
    return INTERRUPTED if interrupted else FINE


def _confirm(data: LabelledImages, yes: bool) -> None:
    """Say what the classes are; where they may not have been meant as such, somebody must say yes."""
    _say(f"{len(data.labels)} images: {', '.join(f'{name} {count}' for name, count in data.counts().items())}")
    if not data.doubts:
        return
    doubt = f"the folders in {data.folder} may be no classes: {'; '.join(data.doubts)}"
    if not yes and not sys.stdin.isatty():
        raise ValueError(f"{doubt}; give --yes to train all the same")
    _say(doubt)
    if not yes and _ask("Train all the same? [y/N] ").lower() not in ("y", "yes"):
        raise ValueError("nothing was trained")


def _validation(data: LabelledImages, share: float) -> float | None:
    """The share to hold out, if any is; classes that are too small for it are told."""
    from fastmlp import checks
    from fastmlp.training.train import held_of

    if share == 0:
        return None
    checks.share("validation", share)
    small = [name for name, count in data.counts().items() if not held_of(count, share)]
    if small:
        _say(f"too few images to hold any out: {', '.join(small)}")
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


def _classify(args: Namespace) -> int:
    """Rows are written batch by batch, and Ctrl-C waits for the end of one: what an interrupted run wrote is whole."""
    from fastmlp.commands.report import Report
    from fastmlp.commands.rows import CsvRows, JsonRows, Samples, Sources, Tally, among, as_written, read_rows
    from fastmlp.images.pillow import MAX_PIXELS

    model = _classifier(args.model)
    as_json = (args.format or Path(args.output or "").suffix.lower()) in ("jsonl", ".jsonl")
    rows = (JsonRows if as_json else CsvRows)(model.classes)
    targets, beside = _targets(args, rows.kind)
    sources, tally = Sources(args.sources), Tally(model.classes)
    report = Report(model.classes) if args.report is not None else None

    def count(verdicts: Verdicts) -> None:
        tally.add(verdicts)
        if report is not None and verdicts.paths:
            scores = as_written(verdicts.scores)  # so that the page is the same after a resumed run
            report.add_rows(verdicts.paths, verdicts.labels, scores, verdicts.errors, sources.read)

    options = {name: vars(args)[name] for name in ("threads", "strict", "max_pixels", "follow_symlinks") if name in args}
    end, done, samples = 0, array("q"), Samples()
    if args.resume:
        for end, verdicts in read_rows(beside or args.output, rows):  # noqa: B007, as the last end counts
            done.extend(map(hash, verdicts.paths))
            count(verdicts)
            samples.add(verdicts)
        samples.check(beside or args.output, model, sources.read, options.get("max_pixels", MAX_PIXELS))
    if args.strict:  # our own files in a folder of images are no images that fail
        done.extend(map(hash, sources.names_of(targets)))
    tally.begin()
    batches = sources.batches(model, among(done) if done else None, ordered=not args.unordered, **options)
    try:
        batches = _begun(batches, may_be_empty=end > 0)  # so that a wrong source is told before anything is written
        mode = "a" if end else "x" if beside and not args.resume else "w"
        kept = ", and --resume goes on with it"
        line = Progress(sys.stderr.isatty())
        with _output(args.output, beside, mode, kept) as file, line.of(tally.progress, stays=False) as show:
            if end:
                file.truncate(end)
            else:
                file.write(rows.head)
            for verdicts, tally.left in batches:
                with _interrupt_later():
                    file.write(rows.text(verdicts))
                    file.flush()
                    count(verdicts)
                if not file.isatty():
                    show()
    except KeyboardInterrupt:
        _say(tally.summary())
        if args.output is not None and beside is None and os.path.isfile(args.output):
            _say(f"--resume goes on with {args.output}")
        raise
    _say(tally.summary())
    if report is not None:
        report.skipped = tally.skipped
        report.write(args.report)
    return SOME_FAILED if tally.failed else FINE


def _classifier(path: str) -> ImageClassifier:
    model = fastmlp.load(path)
    if not isinstance(model, fastmlp.ImageClassifier):
        raise ValueError(f"{path} holds what is for arrays of features, not an image classifier")
    return model


def _targets(args: Namespace, kind: FileKind) -> tuple[list[str], str | None]:
    """The files that classify is to write; and what that of -o is called until it is whole, if not so from the beginning."""
    from fastmlp.commands.report import PAGE
    from fastmlp.files import check_writable, unfinished

    output, inputs, beside = args.output, [args.model, *args.sources], None
    if args.resume and output is None:
        raise ValueError("--resume goes on with a file, which -o must name")
    if args.report is not None:
        _check_target(args.report, PAGE, inputs if output is None else [*inputs, output])
    if output is not None and not _is_device(output):
        _refuse_input(output, inputs)
        if args.format is None and Path(output).suffix.lower() not in ("", ".csv", ".jsonl"):
            raise ValueError(f"{output} cannot be written: its name must end in .csv or .jsonl, or --format say what it is to hold")
        left = unfinished(output)
        if os.path.lexists(left):
            if not args.resume:
                raise ValueError(f"{left} is there, which an interrupted run has left: go on with it by --resume, or remove it")
            beside = left
        elif os.path.exists(output) and os.path.getsize(output) and not args.resume:
            beside = left
        if beside or not args.resume:  # else what is there has to be rows of the same classes
            check_writable(output, kind)
    return [path for path in (output, beside, args.report) if path is not None], beside


def _begun(batches: Iterator[Batch], may_be_empty: bool) -> Iterator[Batch]:
    """The same batches, after the first one with a row has come."""
    first = []
    for verdicts, left in batches:
        first.append((verdicts, left))
        if verdicts.paths:
            return chain(first, batches)
    if not may_be_empty:
        raise ValueError("there is nothing to classify")
    return iter(first)


@contextmanager
def _interrupt_later() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block; a second one does not wait."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = False

    def remember(*_: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt


def _evaluate(args: Namespace) -> int:
    from fastmlp.images.labelled import labelled_images

    model = _classifier(args.model)
    found = labelled_images(args.folder, model.extractor, args.threads, fewest=1, strict=False)
    data, errors = found.readable(), [error for error in found.errors if error is not None]
    for message in errors:
        _say(_printable(message))
    if not data.paths:
        raise ValueError(f"{args.folder} has no image that can be read")
    if strange := data.counts().keys() - set(model.classes):
        raise ValueError(f"{args.folder} has images of {min(strange)}, but the model knows {', '.join(model.classes)}")
    evaluation, scores = model.evaluate(data.features, data.labels), model.scores(data.features)
    print(evaluation.ratios_as_text())
    if len(model.classes) <= CONFUSION:
        print(f"\n{evaluation.confusion_as_text()}")
    taken = [model.classes[best] for best in scores.argmax(axis=1).tolist()]
    wrong = [row for row, (label, other) in enumerate(zip(data.labels.tolist(), taken, strict=True)) if label != other]
    if not wrong:
        return SOME_FAILED if errors else FINE
    print(f"\n{evaluation.most_confused_as_text(SHOWN)}\n\nwrong:")
    shown = wrong if args.all else wrong[:WRONG]
    for row in shown:
        print(f"  {_printable(data.paths[row])}: {taken[row]} {scores[row].max():.3f}, but it is {data.labels[row]}")
    if len(shown) < len(wrong):
        print(f"  ... and {len(wrong) - len(shown)} more, which --all shows")
    return SOME_FAILED if errors else FINE


def _printable(text: str) -> str:
    """The text, with control characters, which a terminal would obey, as Python writes them."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _info(args: Namespace) -> int:
    _print_model(fastmlp.load(args.model))
    return FINE


def _print_model(model: MLP | ImageClassifier | Population) -> None:
    if isinstance(model, fastmlp.ImageClassifier):
        print(f"image classifier of {', '.join(model.classes)}; extractor {model.extractor}, method {model.method}")
        _print_networks(model)
    elif isinstance(model, fastmlp.Population):
        print(model)
        print(model.table)
    else:
        print("regressor" if model.classes is None else f"classifier of {', '.join(map(str, model.classes))}")
        print(_describe(model))
    for name, value in model.made_with.items():
        print(f"{name}: {_as_text(value)}")


def _as_text(value: Any) -> str:
    """A value of the record of what a model was made with."""
    if isinstance(value, dict):
        said = {name: "full" if name == "batch_size" and part is None else part for name, part in value.items()}
        return ", ".join(f"{name} {_as_text(part)}" for name, part in said.items() if part is not None)
    if isinstance(value, list):
        return "/".join(map(_as_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_networks(model: ImageClassifier) -> None:
    """A line for each network; of an ensemble, for each architecture."""
    if model.method == "ensemble":
        for architecture, count in Counter(map(_architecture, model.networks)).items():
            print(f"{count} of {architecture}")
        return
    names = [f"MLP({name})" for name in model.classes] if len(model.networks) > 1 else [model.method]
    for name, network in zip(names, model.networks, strict=True):
        print(f"{name}: {_describe(network)}")


def _describe(network: MLP) -> str:
    text = _architecture(network)
    if network.history is not None and network.history.epochs:
        epochs, losses, measured = network.history.epochs, network.history.loss, network.history.validation_loss
        kept = epochs
        if measured is not None and network.made_with.get("options", {}).get("patience") is not None:
            kept = int(measured.argmin()) + 1  # by its patience
        text += f"; {epochs} epochs{f', that of epoch {kept}' * (kept < epochs)}, loss {losses[kept - 1]:.6g}"
    return text


def _architecture(network: MLP) -> str:
    sizes = "-".join(map(str, network.layer_sizes))
    layers = ", ".join([*network.activations, f"{network.output} output"])
    return f"{sizes}, {layers}, {network.loss_name}, {len(network.theta)} parameters of {network.theta.dtype}"


def _warmup(args: Namespace) -> int:
    from fastmlp.commands.warmup import warm_up

    start = time.perf_counter()
    warm_up(args.parts, print)
    print(f"compiled, or found compiled, in {time.perf_counter() - start:.1f} s")
    return FINE


def _say(message: object) -> None:
    if is_watched():
        wipe_line()
    print(f"fastmlp: {message}", file=sys.stderr, flush=True)
