"""fastmlp predict: what a model says of each row of a table, as CSV."""

from __future__ import annotations

import argparse
from argparse import Namespace

from fastmlp.commands.console import FINE, PATIENCE, check_target, for_reader, is_device, opened_output, refuse_stdout
from fastmlp.commands.info import load_table_model
from fastmlp.commands.parser import Parser
from fastmlp.commands.train_on_table import declare_signs
from fastmlp.interrupts import noted_for, raise_noted

STDOUT = "-"

EPILOG = """\
The rows are in the order of those of the table: the class that is predicted and the probability of each, or the number. The
table has the columns of the one that the model was trained on, in any order; the target may be among them. Columns that it was
not trained with are ignored, with a message.

exit code: 0 all is well; 2 wrong usage, or a bad file; 130 interrupted

examples:
  fastmlp predict prices.npz new.csv -o out.csv
  fastmlp predict prices.npz new.csv | head
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EPILOG
    parser.set_defaults(run=_run)
    parser.add_argument("model", metavar="MODEL.npz")
    parser.add_argument("table", metavar="TABLE", help="CSV and its like, also packed by gzip; or Parquet")
    parser.add_argument("-o", "--output", metavar="FILE.csv", default=STDOUT, help="default: -, for stdout")
    declare_signs(parser)


def _run(args: Namespace) -> int:
    from fastmlp.tables.predictions import PREDICTIONS, predictions_as_csv
    from fastmlp.writing import free_unfinished

    output, beside = None if args.output == STDOUT else args.output, None
    if output is None:
        refuse_stdout([args.model, args.table])
    elif not is_device(output):
        check_target(output, PREDICTIONS, [args.model, args.table])
        beside = free_unfinished(output)
    model = load_table_model(args.model)
    signs = {name: value for name, value in vars(args).items() if name in ("delimiter", "decimal")}
    parts = predictions_as_csv(model, args.table, **signs)  # they are made before anything is written
    with noted_for(PATIENCE), opened_output(output, beside, "x" if beside else "w") as file:
        for text in parts:
            file.write(for_reader(file, text))
            raise_noted()
    return FINE
