"""fastmlp export: a model as other programs read it."""

from __future__ import annotations

import argparse
from argparse import Namespace

import fastmlp
from fastmlp.commands.console import FINE, refuse_input, tell
from fastmlp.commands.parser import DTYPES, Parser, either, file_name, name_of

EPILOG = """\
examples:
  fastmlp export model.npz -o model.c --dtype float32     # and model.h: gcc -O2 -c model.c
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
    parser.set_defaults(run=_run)
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations


def _explanations() -> dict[str, str]:
    from fastmlp.formats.endings import FORMATS

    return {"output": "by its ending: " + "; ".join(f"{row.ending} {row.text}" for row in FORMATS.values())}


def _run(args: Namespace) -> int:
    from fastmlp.formats.endings import format_of

    row = format_of(args.output)  # before anything is read
    refuse_input(args.output, [args.model])
    model = fastmlp.load(args.model)
    try:
        model.export(args.output, dtype=args.dtype)
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
    return FINE
