"""Attacks on the package, by generators that share nothing with it: python -m tests.torture [--minutes 60] [--seed N] [names]

A case follows from its seed and its number, by which it is told. The exit status is 1 if anything was found.
"""

import argparse
import sys
import time
from collections import Counter

from tests.torture.running import outcomes

NAMES = ("pngs", "archives", "models", "networks", "kills", "signals", "faults", "threads")
ENOUGH = 20  # finds, after which an attack ends


def attack(name: str, seed: int, first: int, seconds: float, cases: int | None = None) -> int:
    """Runs an attack for so long, or for so many cases and says what came; how much was found."""
    counts: Counter[str] = Counter()
    finds, number, until = 0, first, time.monotonic() + seconds
    running = outcomes(f"tests.torture.{name}", seed, first)
    try:
        for number, outcome in enumerate(running, first):
            counts += outcome.counts
            if outcome.found:
                finds += 1
                print(f"{name}: FOUND by --seed {seed} --case {number}: {outcome.found}", flush=True)
            if sys.stderr.isatty():
                print(f"\r{name}: {counts.total():,}, {finds} found", end="", file=sys.stderr)
            if time.monotonic() > until or finds == ENOUGH or number + 1 - first == cases:
                break
    finally:
        running.close()
        told = ", ".join(f"{what} {count:,}" for what, count in counts.most_common())
        print(f"{name}: {counts.total():,} tried, {finds} found ({told}; cases {first} to {number} of seed {seed})", flush=True)
    return finds


def main() -> int:
    """Runs attacks, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="Attacks on the package.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which attacks; by default all: {', '.join(NAMES)}")
    parser.add_argument("--minutes", type=float, default=60, help="for all together (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="another one gives other cases (default: 1)")
    parser.add_argument("--case", type=int, help="run this case alone")
    parser.add_argument("--first", type=int, default=0, help="begin with this case, to go on with an earlier run (default: 0)")
    arguments = parser.parse_args()
    names = arguments.names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no attack is named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    first, cases = (arguments.first, None) if arguments.case is None else (arguments.case, 1)
    seconds = 60 * arguments.minutes / len(names)
    finds = [attack(name, arguments.seed, first, seconds, cases) for name in names]
    return int(sum(finds) > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
