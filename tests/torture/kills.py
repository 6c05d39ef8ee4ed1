"""SIGKILL at any moment of every command that writes: what was there before is there, or what is whole; and what was begun can be
gone on with to the same bytes."""

import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np

import fastmlp
from tests.torture import attack
from tests.torture.commands import Ground, check_told
from tests.torture.forked import Child, begun_command
from tests.torture.sorting import HOWS, Sorting


class Attack(attack.Base):
    """Commands that are killed."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self.ground = Ground(scratch)
        self.sorting: dict[str, Sorting] = {}

    def case(self, rng: np.random.Generator) -> Counter[str]:
        """A command is killed up to three times, each time gone on with, and then not disturbed."""
        ground = self.ground
        ground.clean()
        if rng.random() < 0.2:
            return self._save(rng)
        if rng.random() < 0.3:
            return self._sort(rng)
        command = ground.writing[rng.integers(len(ground.writing))]
        name = f"{command.words[0]}{' of many' * ('--members' in command.words)}"
        expected, seconds = ground.undisturbed(command.words, command.output)
        ground.clean()
        counts: Counter[str] = Counter()
        before, words = None, command.words
        if not command.rows and rng.random() < 0.5:
            Path(command.output).write_bytes(expected)
            before = expected
        for _ in range(rng.integers(1, 4)):
            child = begun_command(self.scratch, *words)
            time.sleep(rng.random() ** 2 * 1.2 * seconds)
            child.send(signal.SIGKILL)
            ended = check_told(child.wait(), (-signal.SIGKILL, 0, 1))
            counts[f"{name} {'killed' if ended.status < 0 else 'done'}"] += 1
            ground.check_written(command, ended, before=before, killed=True)
            words = (*command.words, "--resume") if command.rows else command.words
        if command.rows:
            ground.resume(command)
        return counts

    def _sort(self, rng: np.random.Generator) -> Counter[str]:
        """Images are sorted, or that is taken back, until it is killed."""

        def kill(child: Child, seconds: float) -> tuple[str, tuple[int, ...]]:
            time.sleep(rng.random() ** 2 * 1.2 * seconds)
            child.send(signal.SIGKILL)
            return "killed", (-signal.SIGKILL, 0, 1)

        how = HOWS[rng.integers(len(HOWS))]
        if how not in self.sorting:
            self.sorting[how] = Sorting(self.ground, how)
        return self.sorting[how].case(rng, kill)

    def _save(self, rng: np.random.Generator) -> Counter[str]:
        """A model is saved over another, again and again, until it is killed."""
        models = [fastmlp.MLP.from_weights([np.ones((3, n)), np.ones((n, 1))], [np.zeros(n), np.zeros(1)]) for n in (500, 1000)]
        models[0].save("o.npz")

        def save() -> int:
            while True:
                for model in models:
                    model.save("o.npz")

        child = Child(save, self.scratch / "stdout", self.scratch / "stderr")
        time.sleep(rng.random() * 0.1)
        child.send(signal.SIGKILL)
        child.wait()
        if not any(np.array_equal(fastmlp.load("o.npz").theta, model.theta) for model in models):
            raise attack.Found("a model is neither the one nor the other", model=Path("o.npz").read_bytes())
        return Counter({"save killed": 1})
