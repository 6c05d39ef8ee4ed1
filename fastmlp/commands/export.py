"""fastmlp export: a model as other programs read it."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any

import fastmlp
from fastmlp.commands.console import FINE, refuse_input, say, tell
from fastmlp.commands.parser import DTYPES, Parser, either, file_name, name_of

EPILOG = """\
examples:
  fastmlp export model.npz -o model.c --dtype float32     # and model.h: gcc -O2 -c model.c
  fastmlp export model.npz -o model.c --fixed-point typical.csv     # whole numbers alone, and how far they are off
  fastmlp export model.npz -o model.onnx                  # needs pip install 'fastmlp[onnx]'
  fastmlp export model.npz -o model.py
  fastmlp export model.npz -o model.json                  # which the other commands read, too

exit code: 0 all is well; 2 wrong usage, or a file that cannot be read or written
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a file that fastmlp wrote; of images and tables what takes the features, or the inputs that columns become",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=file_name, required=True)
    parser.add_argument("--dtype", metavar="NAME", type=name_of(DTYPES), help=f"{either(DTYPES)}; default: as in the model")
    fixed = (
        ".c in whole numbers alone, for processors without a floating point unit, with room for inputs like those in FILE, a table"
        " or .npy with a column for each, or for a model of tables a table that it reads; a model of images needs no FILE"
    )
    parser.add_argument("--fixed-point", metavar="FILE", nargs="?", const=True, help=fixed)
    parser.set_defaults(run=_run)
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations


def _explanations() -> dict[str, str]:
    from fastmlp.formats.endings import FORMATS

    return {"output": "by its ending: " + "; ".join(f"{row.ending} {row.text}" for row in FORMATS.values())}


def _run(args: Namespace) -> int:
    from fastmlp.formats.endings import format_of
    from fastmlp.tables.table_loading import read_any

    row = format_of(args.output)  # before anything is read
    refuse_input(args.output, [args.model, *(file for file in [args.fixed_point] if isinstance(file, str))])
    model, options = read_any(args.model), {}
    if args.fixed_point is not None:
        options["fixed_point"] = _typical(args.fixed_point, model)
    try:
        off = model.export(args.output, dtype=args.dtype, **options)
    except ModuleNotFoundError as error:
        raise ValueError(error) from None
    if isinstance(model, fastmlp.Population):
        network = model.groups[0].network
        classes = network.classes
    else:
        network, classes = getattr(model, "networks", (model,))[0], model.classes
    tell(f"{args.output}: {row.text}; {network.layer_sizes[0]} inputs")
    if classes is not None:
        tell(f"outputs: {', '.join(map(str, classes))}")
    if off is not None:
        tell(f"fixed point: {off}")
    return FINE


def _typical(given: str | bool, model: Any) -> Any:
    """What `export` takes as fixed_point."""
    if isinstance(given, bool) or isinstance(model, fastmlp.TableModel):
        return given
    import numpy as np

    from fastmlp.tables.table_reading import numbers_of_table

    if given.lower().endswith(".npy"):
        try:
            return np.load(given, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{given} cannot be read as an array: {error}") from None
    rows, others = numbers_of_table(given, getattr(model, "feature_names", None))
    if others:
        say(f"{given}: columns that are no numbers are left out: {', '.join(others)}")
    return rows
