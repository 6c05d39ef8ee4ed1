"""fastmlp features: the features of images as CSV, written as they come."""

from __future__ import annotations

from argparse import SUPPRESS, Namespace
from itertools import chain, compress
from typing import Any

from fastmlp.commands.cluster import dask_client, declare_dask
from fastmlp.commands.console import (
    FINE,
    PATIENCE,
    SOME_FAILED,
    check_target,
    for_reader,
    is_device,
    opened_output,
    refuse_stdout,
    say,
)
from fastmlp.commands.parser import Parser, either, file_name, formats_read
from fastmlp.interrupts import noted_for, raise_noted


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.add_argument("source", metavar="SOURCE", help="a folder or an archive of image files, or one image file; or a URL")
    parser.add_argument("--extractor", metavar="NAME", default="ink")
    parser.add_argument("--formats", metavar="A,B", default=SUPPRESS)
    parser.add_argument("-o", "--output", metavar="FILE", type=file_name, help="default: stdout")
    declare_dask(parser)
    parser.set_defaults(run=_run)
    parser.explanations = _explanations


def _explanations() -> dict[str, str]:
    from fastmlp.images.extractors import EXTRACTORS

    return {"extractor": f"{either(EXTRACTORS)}; default: %(default)s", "formats": formats_read()}


def _run(args: Namespace) -> int:
    with dask_client(args) as client:
        return _write(args, client)


def _write(args: Namespace, client: Any) -> int:
    """Rows are written chunk by chunk, and Ctrl-C waits for the end of one."""
    from fastmlp.commands.classification.rows import FEATURES, features_head, features_text
    from fastmlp.images.image_formats import chosen_formats
    from fastmlp.images.reading import read_chunks
    from fastmlp.images.sources.source import nothing_in
    from fastmlp.writing import free_unfinished

    beside, formats = None, chosen_formats(vars(args).get("formats"))
    if args.output is None:
        refuse_stdout([args.source])
    if args.output is not None and not is_device(args.output):
        check_target(args.output, FEATURES, [args.source])
        beside = free_unfinished(args.output)
    parts = (part for part in read_chunks(args.source, args.extractor, None, formats, client) if part.paths)
    first = next(parts, None)  # so that a wrong source is told before anything is written
    if first is None:
        raise nothing_in(args.source, formats)
    errors: list[str] = []
    with noted_for(PATIENCE), opened_output(args.output, beside, "x" if beside else "w") as file:
        file.write(for_reader(file, features_head(args.extractor)))
        for paths, features, reasons, *_ in chain([first], parts):
            fine = [reason is None for reason in reasons]
            file.write(for_reader(file, features_text(list(compress(paths, fine)), features[fine])))
            file.flush()
            raise_noted()
            errors += filter(None, reasons)
    for message in errors:
        say(message)
    return SOME_FAILED if errors else FINE
