"""Processes that train, classify, save and load the same files while others do, and while they are forked; threads of one process
that do so; and systems that let few threads be begun: all come to the same bits, and none hangs."""

import os
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp import threads
from fastmlp.training import pace
from tests.torture import attack
from tests.torture.attack import Found
from tests.torture.commands import Ground
from tests.torture.forked import Child

OPTIONS = (
    {"batch_size": None, "hidden": (60,)}, {"batch_size": 700, "hidden": (60, 20)}, {"hidden": (8,)},
    {"batch_size": 1, "optimizer": "sgd", "hidden": (5,)}, {"batch_size": None, "hidden": (60,), "validation": 0.2},
)  # fmt: skip


class Attack(attack.Base):
    """Cases of all kinds."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        ground = self.ground = Ground(scratch)
        rng = np.random.default_rng(1)
        self.X = rng.normal(size=(3000, 12))
        self.y = (self.X[:, 0] * self.X[:, 1] > 0).astype(int)
        self.large = np.tile(self.X, (30, 1))
        self.thetas = [self._train(number, 1).theta.tobytes() for number in range(len(OPTIONS))]
        self.many = fastmlp.train_many(self.X, self.y, members=5, epochs=2, seed=0)
        self.model = self._train(0, 1)
        self.model.save(scratch / "shared.npz")
        self.predicted = self.model.predict_proba(self.large)
        self.gradient = fastmlp.Objective(self.model, self.X, self.y, threads=1).gradient()
        self.verdicts = fastmlp.classify_folder(ground.model, ground.images, 1)
        self.works: tuple[Callable[[np.random.Generator], bool], ...] = (
            self._trains, self._trains, self._trains_many, self._predicts, self._differentiates, self._classifies, self._saves,
        )  # fmt: skip

    def case(self, rng: np.random.Generator) -> Counter[str]:
        """One of the kinds."""
        kinds = self._processes, self._threads, self._few_threads, self._forks
        return kinds[rng.integers(len(kinds))](rng)

    # -- what is done, and whether it comes to what it should -------------------------------------------------------------------

    def _train(self, number: int, count: int) -> fastmlp.MLP:
        options = {"schedule": "constant", "epochs": 4, "seed": 2, **OPTIONS[number]}
        return fastmlp.train(self.X, self.y, threads=count, **options)  # type: ignore[arg-type]

    def _trains(self, rng: np.random.Generator) -> bool:
        number = int(rng.integers(len(OPTIONS)))
        return self._train(number, int(rng.integers(1, 5))).theta.tobytes() == self.thetas[number]

    def _trains_many(self, rng: np.random.Generator) -> bool:
        again = fastmlp.train_many(self.X, self.y, members=5, epochs=2, seed=0, threads=int(rng.integers(1, 5)))
        return all(np.array_equal(one.theta, other.theta) for one, other in zip(again, self.many, strict=True))

    def _predicts(self, _: np.random.Generator) -> bool:
        return np.array_equal(self.model.predict_proba(self.large), self.predicted)

    def _differentiates(self, rng: np.random.Generator) -> bool:
        objective = fastmlp.Objective(self.model, self.X, self.y, threads=int(rng.integers(1, 5)))
        return all(np.array_equal(objective.gradient(), self.gradient) for _ in range(3))

    def _classifies(self, rng: np.random.Generator) -> bool:
        size = int(rng.integers(50, 2000))
        again = fastmlp.classify_folder(self.ground.model, self.ground.images, int(rng.integers(1, 5)), batch_size=size)
        return again.paths == self.verdicts.paths and again.labels == self.verdicts.labels

    def _saves(self, _: np.random.Generator) -> bool:
        path = self.scratch / "shared.npz"
        self.model.save(path)
        return np.array_equal(fastmlp.load(path).theta, self.model.theta)

    def _some(self, seed: int, count: int) -> int:
        """Does some of it; the number of the first that comes to something else, from 1 on."""
        rng = np.random.default_rng(seed)
        for _ in range(count):
            number = int(rng.integers(len(self.works)))
            if not self.works[number](rng):
                return 1 + number
        return 0

    # -- the kinds --------------------------------------------------------------------------------------------------------------

    def _begun(self, function: Callable[[], int], number: int) -> Child:
        return Child(function, self.scratch / f"stdout{number}", self.scratch / f"stderr{number}")

    def _await(self, children: list[Child], kind: str) -> Counter[str]:
        for child in children:
            ended = child.wait(60)
            if ended is None or ended.status or ended.error:
                for other in children:
                    if other is not child:
                        other.send(signal.SIGKILL)
                raise Found(f"{kind}: {'hangs' if ended is None else ended}")
        return Counter({kind: len(children)})

    def _processes(self, rng: np.random.Generator) -> Counter[str]:
        """Processes side by side, some of which are killed."""
        seeds = rng.integers(1 << 30, size=4).tolist()
        children = [self._begun(lambda seed=seed: self._some(seed, 4), number) for number, seed in enumerate(seeds)]
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.2)
            killed = children.pop()
            killed.send(signal.SIGKILL)
            killed.wait()
        return self._await(children, "processes side by side")

    def _threads(self, rng: np.random.Generator) -> Counter[str]:
        """Threads of one process."""
        seeds = rng.integers(1 << 30, size=4).tolist()

        def run() -> int:
            codes: list[int] = []
            begun = [threading.Thread(target=lambda seed=seed: codes.append(self._some(seed, 3))) for seed in seeds]
            for thread in begun:
                thread.start()
            for thread in begun:
                thread.join()
            return max(codes) if len(codes) == len(seeds) else 99

        return self._await([self._begun(run, 0)], "threads side by side")

    def _few_threads(self, rng: np.random.Generator) -> Counter[str]:
        """No further thread can be begun after so many."""
        seed, allowed = int(rng.integers(1 << 30)), int(rng.integers(0, 4))

        class Scarce(threading.Thread):
            begun = 0

            def start(self) -> None:
                if Scarce.begun >= allowed:
                    raise RuntimeError("can't start new thread")
                Scarce.begun += 1
                super().start()

        def run() -> int:
            threads.Thread = Scarce  # type: ignore[misc]
            pace.FIRST_CALL = 1  # so that teams are tried
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "only . of . threads could be begun", RuntimeWarning)
                return self._some(seed, 4)

        return self._await([self._begun(run, 0)], "few threads")

    def _forks(self, rng: np.random.Generator) -> Counter[str]:
        """A process forks, again and again, while its threads are at work; its children work, too."""
        seed, count = int(rng.integers(1 << 30)), int(rng.integers(1, 4))

        def run() -> int:
            warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads, which the child is without
            codes: list[int] = []
            thread = threading.Thread(target=lambda: codes.append(self._some(seed, 4)))
            thread.start()
            for number in range(count):
                child = os.fork()
                if not child:
                    try:
                        os._exit(self._some(seed + number + 1, 2))
                    finally:
                        os._exit(98)
                codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            thread.join()
            return max(codes)

        return self._await([self._begun(run, 0)], "forked while threads work")
