"""fastmlp warmup: compiles all that can be compiled, and tells of each kernel, so that nothing later waits for it."""

from __future__ import annotations

import time
from argparse import Namespace

from fastmlp.commands.console import FINE, tell
from fastmlp.commands.parser import Parser, either


def declare(parser: Parser) -> None:
    """The arguments, and what runs."""
    parser.add_argument("parts", metavar="NAME", nargs="*")
    parser.set_defaults(run=_run)
    parser.explanations = _explanations


def _explanations() -> dict[str, str]:
    from fastmlp.commands.warmup_steps import PARTS

    return {"parts": f"{either(PARTS)}; default: all"}


def _run(args: Namespace) -> int:
    from fastmlp.commands.warmup_processes import warm_up_side_by_side
    from fastmlp.threads import thread_count

    start = time.perf_counter()
    warm_up_side_by_side(args.parts, tell, thread_count(None))
    tell(f"compiled, or found compiled, in {time.perf_counter() - start:.1f} s")
    return FINE
