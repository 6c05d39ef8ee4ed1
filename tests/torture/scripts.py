"""Calls of the package as scripts make them, which Ctrl-C comes into: what each has to be afterwards."""

import enum
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np

import fastmlp
from fastmlp.commands.warmup_steps import warm_up
from tests.at_work import threads_at_work
from tests.torture.commands import Ground
from tests.torture.forked import ignore, listen

SCRIPTS = (
    "train", "train one by one", "train full batches", "train wide", "train_many", "train_many with large batches", "on_epoch",
    "predict", "objective", "classify", "extract_features", "train_folder", "save",
)  # fmt: skip


class Outcome(enum.IntEnum):
    """How a script ends."""

    DONE = 0
    RAISED = 10
    NETWORK_SO_FAR = 11


class Wrong(Exception):
    """What must not be."""


class Scripts:
    """Each is a call that goes on for long, and a look at what it leaves."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.ended = ground, 0.0
        rng = np.random.default_rng(1)
        self.X = rng.normal(size=(6000, 20)).astype(np.float32)
        self.y = (self.X[:, 0] * self.X[:, 1] > 0).astype(int)
        self.large = np.tile(self.X, (100, 1))
        warm_up((), lambda _: None)
        self.network = fastmlp.train(self.X, self.y, hidden=(40,), epochs=2, seed=0)
        self.classifier = fastmlp.load(ground.model)
        self.predicted = self.network.predict_proba(self.large)
        self.gradient = fastmlp.Objective(self.network, self.X, self.y, threads=2).gradient()
        self.features = fastmlp.extract_features(ground.images, threads=2)
        self.after = fastmlp.train(self.X[:500], self.y[:500], epochs=3, batch_size=None, hidden=(40,), seed=5, threads=2)

    def run(self, name: str) -> Callable[[], int]:
        """What a child runs; it prints when the call ended, and its exit status is an Outcome."""

        pressed = False

        def press(_: int, frame: FrameType | None) -> None:
            nonlocal pressed
            if not pressed or frame is None or frame.f_code is not go.__code__:  # whose own lines are to go on
                pressed = True
                raise KeyboardInterrupt

        def go() -> int:
            outcome = None
            signal.signal(signal.SIGINT, press)
            while True:
                try:
                    if outcome is None:
                        listen()
                        outcome = getattr(self, f"_{name.replace(' ', '_')}")()
                    ignore()
                    break
                except KeyboardInterrupt:  # also one of several that comes as another is handled
                    outcome = outcome or Outcome.RAISED
            print(self.ended or time.monotonic())
            until = time.monotonic() + 5  # a compile ends soon
            while threads_at_work() > 1 and time.monotonic() < until:
                time.sleep(0.001)
            if threads_at_work() > 1:
                raise Wrong(f"{threads_at_work() - 1} threads are left")
            again = fastmlp.train(self.X[:500], self.y[:500], epochs=3, batch_size=None, hidden=(40,), seed=5, threads=2)
            if again.theta.tobytes() != self.after.theta.tobytes():
                raise Wrong("a later training comes to something else")
            return int(outcome)

        return go

    def _trained(self, **options: object) -> Outcome:
        options = {"hidden": (40,), "seed": 3, "schedule": "constant", **options}
        with warnings.catch_warnings(record=True, action="always") as caught:
            model = fastmlp.train(self.X, self.y, epochs=1_000_000, **options)  # type: ignore[arg-type]
        self.ended = time.monotonic()
        history = model.history
        assert history is not None
        if history.stopped_by != "interrupt" or len(caught) != 1 or f"after {history.epochs} of" not in str(caught[0].message):
            raise Wrong(f"{history}, {[str(one.message) for one in caught]}")
        if 0 < history.epochs < 6:
            options.pop("on_epoch", None)
            ignore()
            again = fastmlp.train(self.X, self.y, epochs=history.epochs, **options)  # type: ignore[arg-type]
            if again.theta.tobytes() != model.theta.tobytes():
                raise Wrong(f"after {history.epochs} epochs it is another network")
        return Outcome.NETWORK_SO_FAR

    def _train(self) -> Outcome:
        return self._trained(threads=1)

    def _train_one_by_one(self) -> Outcome:
        return self._trained(batch_size=1, optimizer="sgd", hidden=(5,))

    def _train_full_batches(self) -> Outcome:
        return self._trained(batch_size=None, threads=2, validation=0.2)

    def _train_wide(self) -> Outcome:
        return self._trained(batch_size=None, threads=2, hidden=(1000,))

    def _on_epoch(self) -> Outcome:
        return self._trained(threads=2, on_epoch=lambda *_: sum(range(1000)) < 0)

    def _many(self, **options: object) -> Outcome:
        with warnings.catch_warnings(record=True, action="always") as caught:
            population = fastmlp.train_many(self.X, self.y, members=20, seed=0, epochs=100_000, threads=2, **options)  # type: ignore[arg-type]
        if "interrupt" not in population.history.stopped_by or len(caught) != 1:
            raise Wrong(f"{population.history.stopped_by}, {[str(one.message) for one in caught]}")
        return Outcome.NETWORK_SO_FAR

    def _train_many(self) -> Outcome:
        return self._many()

    def _train_many_with_large_batches(self) -> Outcome:
        return self._many(batch_size=None, hidden=(40,))

    def _predict(self) -> Outcome:
        while np.array_equal(self.network.predict_proba(self.large), self.predicted):
            pass
        raise Wrong("other predictions")

    def _objective(self) -> Outcome:
        objective = fastmlp.Objective(self.network, self.X, self.y, threads=2)
        try:
            while np.array_equal(objective.gradient(), self.gradient):
                pass
            raise Wrong("another gradient")
        except KeyboardInterrupt:
            if not np.array_equal(objective.gradient(), self.gradient):
                raise Wrong("another gradient after Ctrl-C") from None
            raise

    def _classify(self) -> Outcome:
        while True:
            for _ in self.classifier.classify(self.ground.images, 2, batch_size=100):
                pass

    def _extract_features(self) -> Outcome:
        while fastmlp.extract_features(self.ground.images, threads=2).names == self.features.names:
            pass
        raise Wrong("other names")

    def _train_folder(self) -> Outcome:
        with warnings.catch_warnings(record=True, action="always"):
            model = fastmlp.train_folder(self.ground.labelled, epochs=1_000_000, seed=0)
        if model.histories[0].stopped_by != "interrupt":
            raise Wrong(str(model.histories))
        return Outcome.NETWORK_SO_FAR

    def _save(self) -> Outcome:
        path = Path("saved.npz")
        try:
            while True:
                self.network.save(path)
        except KeyboardInterrupt:
            if path.exists() and not np.array_equal(fastmlp.load(path).theta, self.network.theta):
                raise Wrong("another network was saved") from None
            if list(Path().glob(".fastmlp-*")):
                raise Wrong("a file is left") from None
            raise
