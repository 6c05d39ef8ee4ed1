"""fastmlp classify: a row for each image as it comes, to a file or to stdout; an interrupted run can be gone on with."""

from __future__ import annotations

import argparse
import os
import sys
from argparse import SUPPRESS, Namespace
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp.commands.cluster import dask_client, declare_dask
from fastmlp.commands.console import (
    FINE,
    PATIENCE,
    SOME_FAILED,
    check_target,
    is_device,
    refuse_input,
    refuse_stdout,
    say,
)
from fastmlp.commands.info import load_image_classifier
from fastmlp.commands.parser import ONE_FOR_EACH_CORE, Parser, either, file_name, formats_read, name_of, positive_whole
from fastmlp.interrupts import noted_for, raise_noted
from fastmlp.progress import Progress

if TYPE_CHECKING:
    from fastmlp.commands.classification.parquet_folder import ParquetFolder
    from fastmlp.commands.classification.row_file import RowFile
    from fastmlp.commands.classification.sources_in_turn import Batch
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.images.verdicts import Verdicts

PARQUET = "parquet"
FORMATS = ("csv", "jsonl", PARQUET)  # those of rows.ROW_FORMATS, and that one

SETTINGS = (
    "strict",
    "follow_symlinks",
    "formats",
    "max_pixels",
    "unordered",
    "retry_failed",
    "resume",
    "threads",
    "dask",
)  # that a page tells

EPILOG = """\
rows:
  path    within the folder or archive; of several SOURCEs, with the SOURCE before it
  label   the class with the largest score
  score   of each class: a column each in CSV (score_NAME), an object in JSON
  status  ok, failed, or retry: failed by want of memory or the like, and tried again by --resume
  error   why it failed: then there are neither label nor scores
  A file name that is not UTF-8 keeps its bytes in CSV; JSON and Parquet have \\udcXX for each byte XX that is not.
  verdicts.parquet is a folder of the same columns, exact: a part for each 100,000 rows, or minute, and _manifest.json, which
  readers pass over (polars those of verdicts.parquet/*.parquet). What a killed run has not brought into a part is made
  anew by --resume. It needs pip install 'fastmlp[tables]'.

An image is known by its contents, not by its name. Other files are skipped, unless named one by one or with --strict.
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
  fastmlp classify shapes.npz scans.zip -o verdicts.parquet
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations
    parser.set_defaults(run=_run)
    parser.add_argument("model", metavar="MODEL.npz")
    sources = "a folder, which is walked whole, a .tar or .zip archive, or an image file; or a URL of such, as s3://bucket/scans"
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help=sources)
    parser.add_argument("-o", "--output", metavar="FILE", type=file_name, help="default: stdout")
    formats = f"{either(FORMATS)}; default: as FILE ends, or {FORMATS[0]}"
    parser.add_argument("--format", metavar="NAME", type=name_of(FORMATS), help=formats)
    parser.add_argument("--resume", action="store_true", help="go on with FILE, as an interrupted run has left it")
    retry = "as --resume, and try again what has failed"
    parser.add_argument("--retry-failed", action="store_true", help=retry)
    parser.add_argument(
        "--report", metavar="PAGE.html", type=file_name, help="draw each class: its scores, typical and uncertain images"
    )
    parser.add_argument("--strict", action="store_true", help="what is no image fails, instead of being skipped")
    parser.add_argument("--unordered", action="store_true", help="rows come as they get ready, not in the order of names")
    parser.add_argument("--follow-symlinks", action="store_true", help="walk links to folders too")
    parser.add_argument("--formats", metavar="A,B", default=SUPPRESS)
    parser.add_argument("--max-pixels", metavar="N", type=positive_whole, default=SUPPRESS)
    parser.add_argument("--threads", metavar="N", type=positive_whole, default=SUPPRESS, help=ONE_FOR_EACH_CORE)
    declare_dask(parser)


def _explanations() -> dict[str, str]:
    from fastmlp.images.pillow import MAX_PIXELS

    return {"max_pixels": f"an image of more pixels fails; default: {MAX_PIXELS}", "formats": formats_read()}


def _run(args: Namespace) -> int:
    if "dask" in args and "threads" in args:
        raise ValueError("--threads is for this machine alone; with --dask it must be left out")
    with dask_client(args) as client:
        return _classify(args, client)


def _classify(args: Namespace, client: Any) -> int:
    """Rows are written batch by batch, and Ctrl-C waits for the end of one: what an interrupted run wrote is whole."""
    from fastmlp.commands.classification.report import Report
    from fastmlp.commands.classification.resuming import Samples, among, settled
    from fastmlp.commands.classification.rows import as_written
    from fastmlp.commands.classification.sources_in_turn import SourcesInTurn
    from fastmlp.commands.classification.tally import Tally
    from fastmlp.executors import LostWorkError
    from fastmlp.images.image_formats import chosen_formats
    from fastmlp.images.pillow import MAX_PIXELS

    args.resume |= args.retry_failed
    if "formats" in args:
        args.formats = chosen_formats(args.formats)
    _check_parquet(args)
    model = load_image_classifier(args.model)
    targets, output = _output(args, model)
    sources, tally = SourcesInTurn(args.sources), Tally(model.classes)
    report = Report(model.classes, about=_about(args, model), place=sources.place) if args.report is not None else None

    def count(verdicts: Verdicts) -> None:
        tally.add(verdicts)
        if report is not None and verdicts.paths:
            scores = as_written(verdicts.scores)  # so that the page is the same after a resumed run
            report.add_rows(verdicts.paths, verdicts.labels, scores, verdicts.errors, sources.read)

    options = {name: vars(args)[name] for name in ("threads", "strict", "max_pixels", "follow_symlinks", "formats") if name in args}
    options["executor"] = client
    done, samples = array("q"), Samples()
    if args.resume:
        again = False
        for verdicts in output.read():
            whole = settled(verdicts, args.retry_failed)
            again |= len(whole.paths) < len(verdicts.paths)
            done.extend(map(hash, whole.paths))
            count(whole)
            samples.add(whole)
        samples.check(output.older, model, sources.read, options.get("max_pixels", MAX_PIXELS))
        if again:
            output.take_out(args.retry_failed)
    own = list(sources.names_of(targets)) if args.strict else []  # in a folder of images they are no images that fail
    done.extend(map(hash, own))
    tally.begin()
    batches = sources.batches(model, among(done, own) if done else None, ordered=not args.unordered, **options)
    try:
        batches = _begun(batches, may_be_empty=output.has_rows)  # so that a wrong source is told before anything is written
        line = Progress(sys.stderr.isatty())
        with noted_for(PATIENCE), output.opened(args.resume) as add, line.of(tally.progress, stays=False) as show:
            for verdicts, tally.left in batches:
                on_terminal = add(verdicts)
                count(verdicts)
                if not on_terminal:
                    show()
                raise_noted()
    except (KeyboardInterrupt, LostWorkError):
        say(tally.summary())
        if args.output is not None and output.beside is None and os.path.exists(args.output) and not is_device(args.output):
            say(f"--resume goes on with {args.output}")
        raise
    say(tally.summary())
    if report is not None:
        report.skipped = tally.skipped
        report.write(args.report)
    return SOME_FAILED if tally.failed else FINE


def _about(args: Namespace, model: ImageClassifier) -> list[tuple[str, str]]:
    """What a page says of the run: the model, the sources, when and how."""
    from datetime import datetime

    from fastmlp.images.sources.urls import without_secrets

    images = model.made_with.get("images")
    trained = f"; trained on {sum(images.values()):,} images" if isinstance(images, dict) else ""
    accuracy = model.made_with.get("validation", {}).get("accuracy")
    held_out = f", {100 * accuracy:.1f} % right of those held out" if isinstance(accuracy, float) else ""
    how = []
    for name, value in vars(args).items():
        if name in SETTINGS and value:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            how.append(f"--{name.replace('_', '-')}" + f" {text}" * (value is not True))
    return [
        ("Model", f"{args.model}: extractor {model.extractor}, method {model.method}{trained}{held_out}"),
        ("Source", ", ".join(map(without_secrets, args.sources))),
        ("Made", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")),
        ("Settings", " ".join(how) or "as they are by default"),
    ]


def _check_parquet(args: Namespace) -> None:
    """Of a folder of Parquet, that there is a name for it, and what writes it; before anything is read."""
    args.format = args.format or _ending(args.output or "")
    if args.format == PARQUET:
        from fastmlp.images.arrow_rows import need_pyarrow

        if args.output is None:
            raise ValueError("Parquet is written to a folder, which -o must name")
        args.output = args.output.rstrip(os.sep) or os.sep
        try:
            need_pyarrow(args.output)
        except ImportError as error:
            raise ValueError(str(error)) from None


def _output(args: Namespace, model: ImageClassifier) -> tuple[list[str], RowFile | ParquetFolder]:
    """The files and folders that classify is to write, and where it adds rows."""
    from fastmlp.commands.classification.row_file import RowFile
    from fastmlp.commands.classification.rows import ROW_FORMATS, CsvRows
    from fastmlp.writing import check_writable

    if args.format == PARQUET:
        from fastmlp.commands.classification.parquet_folder import ParquetFolder, check_folder, holds_verdicts

        beside = _beside(args, holds_verdicts, check_folder)
        output: RowFile | ParquetFolder = ParquetFolder(args.output, beside, model, args.model, args.sources)
    else:
        rows = ROW_FORMATS.get(args.format, CsvRows)(model.classes)
        beside = _beside(args, _holds_bytes, lambda path: check_writable(path, rows.kind))
        output = RowFile(args.output, beside, rows)
    return [path for path in (args.output, beside, args.report) if path is not None], output


def _beside(args: Namespace, in_use: Callable[[str], bool], check: Callable[[str], None]) -> str | None:
    """What the output is called until it is whole, if not so from the beginning; an error if it cannot be written."""
    from fastmlp.commands.classification.report import PAGE
    from fastmlp.images.image_formats import SUFFIXES
    from fastmlp.images.labelled import ANSWER_FILE
    from fastmlp.writing import unfinished

    output, inputs, beside = args.output, [args.model, *args.sources], None
    if args.resume and output is None:
        raise ValueError(f"{'--retry-failed' if args.retry_failed else '--resume'} goes on with a file, which -o must name")
    if args.report is not None:
        check_target(args.report, PAGE, inputs if output is None else [*inputs, output])
    if output is None:
        refuse_stdout(inputs)
    elif args.format == PARQUET or not is_device(output):
        refuse_input(output, inputs)
        if f".{_ending(output)}" in SUFFIXES or ANSWER_FILE.fullmatch(os.path.basename(output)):
            raise ValueError(f"{output} cannot be written: its name is that of an image, or of an answer file")
        if args.format not in ("", *FORMATS):
            endings = either(f".{name}" for name in FORMATS)
            raise ValueError(f"{output} cannot be written: its name must end in {endings}, or --format say what it is to hold")
        left = unfinished(output)
        if os.path.lexists(left):
            if not args.resume:
                raise ValueError(f"{left} is there, which an interrupted run has left: go on with it by --resume, or remove it")
            beside = left
        elif not args.resume and in_use(output):
            beside = left
        if beside or not args.resume:  # else what is there has to be rows of the same classes
            check(output)
    return beside


def _holds_bytes(path: str) -> bool:
    """Whether there is a file that is not written to as it is; one that has another name is not, be it empty."""
    return os.path.exists(path) and (os.path.getsize(path) > 0 or os.stat(path).st_nlink > 1)


def _ending(path: str) -> str:
    return Path(path).suffix.lower().removeprefix(".")


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
