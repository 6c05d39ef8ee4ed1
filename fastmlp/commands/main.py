"""The command line: which commands there are, how one is run, and with which exit code it ends.

Results go to stdout; messages, and a progress line where that is a terminal, go to stderr. The exit code is 0 when all
went well, 1 when some inputs failed, 2 for wrong usage, a bad file or nothing to do, 130 after Ctrl-C.

Each command is a file in this folder, named as the command is, whose `declare` says which arguments it takes and what runs it.
Only that of the command in question is imported, and what is heavy not before it runs: help and usage errors appear at once.
"""

from __future__ import annotations

import io
import sys
import warnings
from argparse import Namespace
from importlib import import_module

import fastmlp
from fastmlp.commands.console import FINE, NOTHING_DONE, TEXT, let_go, open_missing_streams, say
from fastmlp.commands.parser import Parser, meant
from fastmlp.interrupts import INTERRUPTED

COMMANDS = {
    "demo": "tell circles from lines, or train on toy data: the two tutorials",
    "features": "write the features of images as CSV",
    "train": "train an image classifier on a folder, or a model on a table",
    "predict": "predict a column of a table, one row for each",
    "classify": "classify images, one row for each, as they come",
    "sort": "sort images into a folder for each class, and take it back",
    "evaluate": "say how good a model is on a folder of labelled images, or on a table",
    "review": "say which images of a folder may have a wrong label",
    "export": "write a model for other programs: as C, ONNX, Python, JSON",
    "info": "say what a model file holds",
    "warmup": "compile all that can be compiled, so that nothing later waits for it",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command, the process's own if none is given, and return its exit code."""
    open_missing_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**TEXT)
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        return FINE
    except OSError as error:
        say(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error)
        return NOTHING_DONE
    except MemoryError:
        say("there is not enough memory")
        return NOTHING_DONE
    except (ValueError, ArithmeticError) as error:  # a DivergedError is an ArithmeticError
        say(error)
        return NOTHING_DONE
    finally:
        let_go()


def _run(words: list[str]) -> int:
    """Run a command; what it has printed is written, or an error names stdout."""
    args = _arguments(words)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where: say(message)
        code: int = args.run(args)
    from fastmlp.writing import naming

    with naming("stdout"):
        sys.stdout.flush()
    return code


def _arguments(words: list[str]) -> Namespace:
    """What is to be done, if that is clear; a SystemExit after help and wrong usage."""
    parser, commands = _parsers()
    if not words or words[0] == "help":
        words = [*words[1:2], "--help"]
    if not words[0].startswith("-") and words[0] not in commands:
        parser.error(f"{words[0]!r} is no command{meant(words[0], commands)}")
    command = commands.get(words[0], parser)
    if command is not parser:
        import_module(f"fastmlp.commands.{words[0]}").declare(command)
    command.check(words)
    args, left = parser.parse_known_args(words)
    if left:
        command.error(f"{command.prog} does not take {left[0]!r}")
    if "run" not in args:
        parser.error("a command must be named")
    return args


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    """The parser of all, and that of each command, which knows no arguments yet."""
    epilog = "fastmlp help COMMAND shows what a command takes."
    parser = Parser(prog="fastmlp", description="Small neural networks at compiled speed.", epilog=epilog)
    parser.add_argument("--version", action="version", version=f"fastmlp {fastmlp.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    return parser, {name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()}
