"""fastmlp train with a table: its options, and the way from the file to the model."""

from __future__ import annotations

import os
import time
from argparse import SUPPRESS
from typing import Any

from fastmlp.commands.console import FINE, say, tell
from fastmlp.commands.parser import Parser, several, whole
from fastmlp.commands.plotting import plot_training
from fastmlp.commands.table_lines import columns_as_text
from fastmlp.commands.trained import save_trained
from fastmlp.commands.training_options import each_of_members
from fastmlp.interrupts import noted

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")  # be they damaged or not
OF_READING = ("categories", "ignore", "impute", "task", "delimiter", "decimal")
OF_TABLES = ("target", *OF_READING, "cv")


def declare_options(parser: Parser) -> None:
    """Those that are of tables alone."""
    group = parser.add_argument_group("tables")
    group.add_argument("--target", metavar="COLUMN", default=SUPPRESS, help="the column to predict")
    task = "classification or regression, where the target does not tell"
    group.add_argument("--task", metavar="NAME", default=SUPPRESS, help=task)
    categories = "columns to take for categories, such as codes that are numbers"
    group.add_argument("--categories", metavar="A,B", type=several(str), default=SUPPRESS, help=categories)
    group.add_argument("--ignore", metavar="A,B", type=several(str), default=SUPPRESS, help="columns to leave out")
    impute = "median: that stands for missing numbers and dates, and a level for missing categories; by default they are an error"
    group.add_argument("--impute", metavar="HOW", default=SUPPRESS, help=impute)
    cv = "measure by so many folds, each by a network that learned from the others, and train on all rows"
    group.add_argument("--cv", metavar="N", type=whole, default=SUPPRESS, help=cv)
    declare_signs(group)


def declare_signs(parser: Any) -> None:
    """The options of all commands that read tables."""
    delimiter = "what stands between the cells of a file: one character, or tab; found out by default"
    parser.add_argument("--delimiter", metavar="SIGN", default=SUPPRESS, help=delimiter)
    decimal = "the decimal sign, . or ,; by default . and where the delimiter is ; also a comma that all of a column have"
    parser.add_argument("--decimal", metavar="SIGN", default=SUPPRESS, help=decimal)


def is_table(source: str) -> bool:
    """Whether it is neither a folder nor an archive, or is called as a table where there is nothing."""
    from fastmlp.images.sources.source import is_collection

    if not os.path.exists(source):
        return source.lower().endswith(SUFFIXES)
    return not source.lower().endswith(ARCHIVES) and not is_collection(source)


def train_and_save(
    output: str, plot: str | None, source: str, options: dict[str, Any], swept: dict[str, list[Any]], members: int | None
) -> int:
    """The whole way; gives the exit code."""
    from fastmlp.networks.metrics import listing
    from fastmlp.tables.table_reading import read_table
    from fastmlp.tables.table_training import fit_table, table_task

    reading = {name: options.pop(name) for name in OF_READING if name in options}
    if "target" not in options:
        signs = {name: reading[name] for name in ("delimiter", "decimal") if name in reading}
        names = listing(read_table(source, **signs).columns)
        raise ValueError(f"--target must name the column to predict: one of {names}")
    began = time.monotonic()
    data = table_task(source, options.pop("target"), **reading)
    say(f"{len(data.X)} rows, {len(data.encoder.plans) + 1} columns, read in {time.monotonic() - began:.1f} s")
    tell(columns_as_text(data.encoder, data.y, data.task))
    if members is None:
        options |= {name: value for name, (value,) in swept.items()}
    else:
        options |= {"members": members, **each_of_members(swept, members)}
    began = time.monotonic()
    with noted():
        model, population, measured = fit_table(data, **options)
        seconds = time.monotonic() - began
        code = save_trained(output, model, population)
        if plot is not None and code == FINE:
            plot_training(plot, model, measured, population)
    say(f"trained in {seconds:.1f} s")
    return code
