"""fastmlp review: which images of a folder may have a wrong label."""

from __future__ import annotations

import argparse
import sys
from argparse import SUPPRESS, Namespace

import fastmlp
from fastmlp.commands.console import FINE, SOME_FAILED, check_target, for_reader, opened_output, refuse_stdout, say
from fastmlp.commands.parser import (
    ON_ERROR,
    ONE_FOR_EACH_CORE,
    Parser,
    either,
    file_name,
    layer_sizes,
    number,
    positive_whole,
    whole,
)

EPILOG = """\
Each image is judged by a network that has learned from the others, not from itself. Those that it takes for another class than that
of their folder, or answer file, are listed: path, label, suggested, score_of_label, score_of_suggested; the surest first.

exit code: 0 all is well; 1 some images cannot be read; 2 wrong usage, or a bad file; 130 interrupted

examples:
  fastmlp review drawings -o suspects.csv
  fastmlp review drawings -o suspects.csv --report suspects.html
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations
    parser.add_argument(
        "source", metavar="FOLDER", help="or an archive; with one folder per class, or with answer files, as train takes it"
    )
    parser.add_argument("-o", "--output", metavar="FILE.csv", type=file_name, help="default: stdout")
    parser.add_argument("--report", metavar="PAGE.html", type=file_name, help="a page that shows them")
    parser.add_argument("--extractor", metavar="NAME", default=SUPPRESS)
    parser.add_argument("--on-error", metavar="HOW", default=SUPPRESS, help=ON_ERROR)
    parser.add_argument("--cv", metavar="N", type=whole, default=SUPPRESS, help="how many networks share the work; default: 5")
    parser.add_argument("--hidden", metavar="8,8", type=layer_sizes, default=SUPPRESS)
    parser.add_argument("--l2", metavar="L2", type=number, default=SUPPRESS)
    parser.add_argument("--epochs", metavar="N", type=whole, default=SUPPRESS)
    parser.add_argument("--seed", metavar="N", type=whole, default=SUPPRESS)
    parser.add_argument("--threads", metavar="N", type=positive_whole, default=SUPPRESS, help=ONE_FOR_EACH_CORE)
    parser.set_defaults(run=_run)


def _explanations() -> dict[str, str]:
    from fastmlp.images.extractors import DEFAULT_EXTRACTOR, EXTRACTORS
    from fastmlp.training.options import explanation

    texts = {name: explanation(name) for name in ("hidden", "l2", "epochs", "seed")}
    return {"extractor": f"{either(EXTRACTORS)}; default: {DEFAULT_EXTRACTOR}", **texts}


def _run(args: Namespace) -> int:
    from fastmlp.commands.classification.mistakes import write_mistakes
    from fastmlp.commands.classification.report import PAGE
    from fastmlp.commands.console import nothing_to_keep
    from fastmlp.images.reviewing import SUSPECTS

    if args.report is not None:
        check_target(args.report, PAGE, [args.source, *filter(None, [args.output])])
    if args.output is None:
        refuse_stdout([args.source])
    else:
        check_target(args.output, SUSPECTS, [args.source])
    options = {name: value for name, value in vars(args).items() if name not in ("run", "source", "output", "report")}
    with nothing_to_keep():
        review = fastmlp.review_folder(args.source, progress=sys.stderr.isatty(), **options)
    for message in (*review.errors, *review.left_out):
        say(message)
    if args.output is None:
        with opened_output(None) as file:
            file.write(for_reader(file, review.suspects_as_text()))
    else:
        review.save_suspects(args.output)
    if args.report is not None:
        write_mistakes(args.report, review, f"Labels that may be wrong: {args.source}")
    say(f"{len(review.suspects)} of {len(review.paths)} images are taken for another class than that of their label")
    return SOME_FAILED if review.errors else FINE
