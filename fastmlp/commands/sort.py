"""fastmlp sort: images into a folder for each class, and back."""

from __future__ import annotations

import argparse
import sys
import time
from argparse import SUPPRESS, Namespace
from contextlib import closing

from fastmlp import interrupts
from fastmlp.commands.console import FINE, SOME_FAILED, say, tell
from fastmlp.commands.parser import ONE_FOR_EACH_CORE, Parser, file_name, number, positive_whole
from fastmlp.progress import Progress

EPILOG = """\
a/1.png of SOURCE becomes DEST/circle/a/1.png, or DEST/circle/a/1-2.png if there is such a file: nothing is written over.
An image is known by its contents, not by its name. What is no image, or cannot be read, stays where it is. So does what is in
DEST, where that is within SOURCE. What is in an archive can only be copied.

--copy, the default, keeps times and permissions. --link makes hard links: the file gets one more name, which takes no
space, and what changes it by one name changes it by all; both must be on one file system. --move across file systems
copies, compares, and then removes. A symbolic link is not moved; else what it leads to counts.

DEST/sort-log.jsonl tells what was done. Whatever ends a run, be it SIGKILL, the same command goes on. --undo removes copies
and links, if they and what they were made of are as they were, or moves back, and then removes the log; what cannot be
taken back is named, and left. --dry-run prints where each image would go, and does nothing. A summary goes to stderr.

exit code: 0 all is well; 1 some failed, or were left; 2 wrong usage, a bad file, or nothing found; 130 interrupted

examples:
  fastmlp sort shapes.npz scans sorted --link --threshold 0.9
  fastmlp sort --undo sorted/sort-log.jsonl
"""


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.formatter_class, parser.epilog, parser.explanations = argparse.RawDescriptionHelpFormatter, EPILOG, _explanations
    parser.set_defaults(run=_run, how="copy")
    parser.add_argument("model", metavar="MODEL.npz", nargs="?")
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a folder, which is walked whole, or a .tar or .zip archive")
    parser.add_argument("dest", metavar="DEST", nargs="?", help="a folder, which is made if it is not there")
    hows = parser.add_mutually_exclusive_group()
    for how, text in {"copy": "copy images: the default", "move": "move them", "link": "link them"}.items():
        hows.add_argument(f"--{how}", dest="how", action="store_const", const=how, default=SUPPRESS, help=text)
    below = "an image whose best score is lower is unsure"
    parser.add_argument("--threshold", metavar="SCORE", type=number, help=below)
    parser.add_argument("--unsure", metavar="DIR", type=file_name, help="where it goes then; default: DEST/unsure")
    parser.add_argument("--dry-run", action="store_true", help="only print what would be done")
    parser.add_argument("--undo", metavar="LOG", type=file_name, help="take back what a log tells")
    parser.add_argument("--max-pixels", metavar="N", type=positive_whole, default=SUPPRESS)
    parser.add_argument("--threads", metavar="N", type=positive_whole, default=SUPPRESS, help=ONE_FOR_EACH_CORE)


def _explanations() -> dict[str, str]:
    from fastmlp.images.pillow import MAX_PIXELS

    return {"max_pixels": f"an image of more pixels fails; default: {MAX_PIXELS}"}


def _run(args: Namespace) -> int:
    if args.undo is not None:
        if args.model is not None:
            raise ValueError(f"--undo takes a log, and nothing beside but --dry-run; got {args.model}")
        return _undo(args)
    if args.dest is None:
        raise ValueError("fastmlp sort needs MODEL.npz, SOURCE and DEST, or --undo LOG; see fastmlp sort --help")
    return _sort(args)


def _sort(args: Namespace) -> int:
    from fastmlp.commands.info import load_image_classifier
    from fastmlp.images.sorting.sort_run import SortRun

    model = load_image_classifier(args.model)
    run = SortRun(model, args.source, args.dest, args.how, args.threshold, args.unsure, args.dry_run)
    options = {name: vars(args)[name] for name in ("threads", "max_pixels") if name in args}
    began = time.monotonic()
    count = 0

    def words() -> tuple[str, float]:
        done = count + len(run.summary().errors)
        total = "" if run.left is None else f" of {done + run.left}"
        return f"{done}{total} images", 0.0 if run.left is None else done / max(1, done + run.left)

    line = Progress(sys.stderr.isatty() and not args.dry_run)
    try:
        with interrupts.noted(), closing(run.batches(**options)) as batches, line.of(words, stays=False) as show:
            for actions in batches:
                count += len(actions)
                if args.dry_run and actions:
                    tell("\n".join(f"{action.path} -> {run.place(action)}" for action in actions))
                show()
    except (KeyboardInterrupt, OSError):
        _name(run.summary().errors)
        if not args.dry_run:
            say("what has been sorted is in its place; the same command goes on")
        raise
    result = run.summary()
    _name(result.errors)
    if result.log:
        say(f"fastmlp sort --undo {result.log} takes it back")
    seconds = time.monotonic() - began
    labels = ", ".join(f"{label} {images}" for label, images in result.counts.items())
    unsure = f", unsure {result.unsure}" if args.threshold is not None else ""
    earlier = f"; {result.before} of these were sorted before" if result.before else ""
    say(
        f"{sum(result.counts.values()) + result.unsure} images: {labels}{unsure}; {result.skipped} skipped, "
        f"{len(result.errors)} failed{earlier}; {seconds:.1f} s, {count / max(seconds, 1e-3):.0f} files/s"
    )
    return SOME_FAILED if result.errors else FINE


def _undo(args: Namespace) -> int:
    from fastmlp.images.sorting.undoing import undo_sort

    try:
        undone = undo_sort(args.undo, dry_run=args.dry_run)
    except KeyboardInterrupt:
        say("the same command goes on")
        raise
    _name(undone.left)
    kept = f", and so is {args.undo}" if undone.left and not args.dry_run else ""
    images = f"{undone.images} image{'s' * (undone.images != 1)}"
    gone = f"; {undone.gone} no longer there" if undone.gone else ""
    say(f"{images} {'would be ' * args.dry_run}taken back; {len(undone.left)} left as they are{kept}{gone}")
    return SOME_FAILED if undone.left else FINE


def _name(failures: list[tuple[str, str]]) -> None:
    for _, why in failures:
        say(why)
