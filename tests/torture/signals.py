"""One to five signals at any moment of every command and of calls in scripts: each ends soon, with the exit status and the sentence
that it should, and with nothing torn; or it goes on as if nothing had been."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.torture import attack
from tests.torture.attack import Found
from tests.torture.commands import Ground, Writing, check_told, tenths
from tests.torture.forked import LIMIT, Child, Ended, begun_command
from tests.torture.scripts import SCRIPTS, Outcome, Scripts
from tests.torture.sorting import HOWS, Sorting

ENDED, GOES_ON = (signal.SIGTERM, signal.SIGHUP), (signal.SIGPIPE, signal.SIGTSTP, signal.SIGWINCH)
SOON, SOON_FOR_A_START = 1.0, 3.0  # seconds


class Attack(attack.Base):
    """Commands and scripts that get signals."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self.ground = Ground(scratch)
        self.scripts = Scripts(self.ground)
        self.sorting: dict[str, Sorting] = {}

    def case(self, rng: np.random.Generator) -> Counter[str]:
        """A command or a script."""
        self.ground.clean()
        kind = rng.random()
        if kind < 0.4:
            return self._script(rng)
        if kind < 0.42:
            return self._real_start(rng)
        if kind < 0.5:
            return self._sort(rng)
        return self._command(rng)

    def _command(self, rng: np.random.Generator) -> Counter[str]:
        ground, choice = self.ground, rng.integers(len(self.ground.writing) + len(self.ground.telling))
        writing: Writing | None = None
        if choice < len(ground.writing):
            writing = ground.writing[choice]
        words = ground.telling[choice - len(ground.writing)] if writing is None else writing.words
        _, seconds = ground.undisturbed(words, None if writing is None else writing.output)
        ground.clean()
        child = begun_command(self.scratch, *words)
        number = _send(rng, child, seconds)
        ended = check_told(child.wait(), _allowed(number))
        name = f"{words[0]} {number.name}"
        if writing is not None:
            ground.check_written(writing, ended, before=None, killed=number in ENDED)
            if writing.rows:
                ground.resume(writing)
        told = f"{name}: {'ended' if ended.status not in (0, 1) else 'done'}"
        if ended.status == 130:
            return Counter({told: 1, tenths(ended.seconds, SOON, words): 1})
        return Counter({told: 1})

    def _sort(self, rng: np.random.Generator) -> Counter[str]:
        def disturb(child: Child, seconds: float) -> tuple[str, tuple[int, ...]]:
            number = _send(rng, child, seconds)
            return number.name, _allowed(number)

        how = HOWS[rng.integers(len(HOWS))]
        if how not in self.sorting:
            self.sorting[how] = Sorting(self.ground, how)
        return self.sorting[how].case(rng, disturb)

    def _script(self, rng: np.random.Generator) -> Counter[str]:
        name = SCRIPTS[rng.integers(len(SCRIPTS))]
        child = Child(self.scripts.run(name), self.scratch / "stdout", self.scratch / "stderr")
        _send(rng, child, 0.15, signal.SIGINT)
        ended = child.wait()
        if ended is None:
            raise Found(f"{name} hangs")
        if ended.status not in list(Outcome) or ended.error:
            raise Found(f"{name}: {ended}")
        seconds = max(0.0, float((self.scratch / "stdout").read_text()) - (child.signalled or 0.0))
        return Counter({f"{name}: {Outcome(ended.status).name.lower().replace('_', ' ')}": 1, tenths(seconds, SOON, name): 1})

    def _real_start(self, rng: np.random.Generator) -> Counter[str]:
        """A process from its very beginning to its very end. Before the first line of ours Python answers, in its own way."""
        words = self.ground.telling[rng.integers(3)]
        process = subprocess.Popen(
            [sys.executable, "-m", "fastmlp", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        time.sleep(rng.random() * 1.5)
        began = time.monotonic()
        for _ in range(rng.integers(1, 6)):
            process.send_signal(signal.SIGINT)
            time.sleep(rng.random() ** 2 * 0.05)
        try:
            _, error = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Found(f"{words} hangs") from None
        ended = Ended(process.returncode, time.monotonic() - began, error)
        if ended.status == -signal.SIGINT or (ended.status in (1, 130) and "Traceback" in error and "/fastmlp/" not in error):
            return Counter({"real start: before our first line": 1})
        ended = check_told(ended, (130, 0, 1))
        return Counter({f"real start: {ended.status}": 1, tenths(ended.seconds, SOON_FOR_A_START, words): 1})


def _allowed(number: signal.Signals) -> tuple[int, ...]:
    """How a command may end after a signal, but by being done."""
    ended = (130,) if number == signal.SIGINT else (-number,) if number in ENDED else ()
    return (*ended, 0, 1)


def _send(rng: np.random.Generator, child: Child, seconds: float, number: signal.Signals | None = None) -> signal.Signals:
    """Sends one to five signals of a kind at any moment of so many seconds; which."""
    if number is None:
        number = signal.SIGINT if rng.random() < 0.8 else [*ENDED, *GOES_ON][rng.integers(len(ENDED) + len(GOES_ON))]
    count = int(rng.integers(1, 6)) if rng.random() < 0.6 else 1
    time.sleep(rng.random() * 1.1 * seconds)
    for _ in range(count):
        child.send(number)
        time.sleep(rng.random() ** 3 * 0.03)
        if number == signal.SIGTSTP:
            child.send(signal.SIGCONT)
    return number
