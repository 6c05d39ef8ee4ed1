"""Faults of the system at every write, at reads and new threads, and limits: one sentence, and no file that is half of anything."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.torture.attack import Base, Found
from tests.torture.written import PARQUET, content_of, files_in

ROOT = Path(__file__).parents[2]
WRITES, READS, THREADS = 1, 2, 4  # kinds of calls, as faults.c has them
SHORT = 0  # a write, or read, of fewer bytes than it was asked for
ERRORS = {
    WRITES: (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EINTR, SHORT),
    READS: (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.ESTALE, errno.EINTR, SHORT),
    THREADS: (errno.EAGAIN,),
}
HARMLESS = (errno.EINTR, SHORT)  # are met by trying again
SOME_FAILED, NOTHING_DONE = 1, 2
LIMITS = {
    "RLIMIT_AS": (0, 1 << 27),
    "RLIMIT_NOFILE": (0, 12),
    "RLIMIT_FSIZE": (2000, 40_000),
}  # messages fit


class Scenario(NamedTuple):
    """A command that writes."""

    words: str
    """In which FOLDER stands for the folder of its files, and IMAGES for that of the images."""
    before: tuple[str, ...] = ()
    """Files that are there, each as one of the files made first: "old.csv:verdicts.csv"."""
    grows: tuple[str, ...] = ()
    """Files that are written piece by piece, so that what is there after a fault is a beginning."""


TRAIN = "train IMAGES/classes -o FOLDER/m.npz --epochs 2 --hidden 2 --seed 0 --validation 0 --threads 1"
CLASSIFY = "classify FOLDER/model.npz IMAGES/classes --threads 1 --max-pixels 4096"
SORT = "sort FOLDER/model.npz IMAGES/classes FOLDER/sorted --threads 1 --max-pixels 4096"
SCENARIOS = (
    Scenario(TRAIN),
    Scenario(TRAIN, ("m.npz:other.npz",)),
    Scenario(f"{TRAIN} --members 3 --ensemble", ("m.npz:other.npz",)),
    Scenario(f"{CLASSIFY} -o FOLDER/v.csv", grows=("v.csv",)),
    Scenario(f"{CLASSIFY} -o FOLDER/v.jsonl", grows=("v.jsonl",)),
    Scenario(f"{CLASSIFY} -o FOLDER/v.csv", ("v.csv:other.csv",), ("v.unfinished.csv",)),
    Scenario(f"{CLASSIFY} -o FOLDER/v.csv --resume", ("v.csv:torn.csv",), ("v.csv",)),
    Scenario(f"{CLASSIFY} -o FOLDER/v.csv --retry-failed", ("v.csv:failed.csv",), ("v.csv",)),
    Scenario(f"{CLASSIFY} -o FOLDER/v.csv --report FOLDER/p.html", ("v.csv:other.csv", "p.html:other.html"), ("v.unfinished.csv",)),
    Scenario(CLASSIFY),
    *((Scenario(f"{CLASSIFY} -o FOLDER/v.parquet", grows=("v.parquet",)),) if PARQUET else ()),
    Scenario(f"{SORT} --copy"),
    Scenario(f"{SORT} --link"),
    Scenario("features IMAGES/classes -o FOLDER/f.csv", grows=("f.unfinished.csv",)),
    Scenario("features IMAGES/classes -o FOLDER/f.csv", ("f.csv:other-features.csv",), ("f.unfinished.csv",)),
    Scenario("evaluate FOLDER/model.npz IMAGES/classes"),
    Scenario("info FOLDER/model.npz"),
    Scenario("demo --out FOLDER/demo"),
)


class Outcome(NamedTuple):
    status: int
    calls: int
    messages: str
    files: dict[str, bytes]


class Attack(Base):
    """A scenario, a kind of error, and then each call of the system in turn."""

    LIMIT = 300.0

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self.process = self._template() if shutil.which("cc") else None
        if self.process:
            self._make()
            self.whole = {scenario: self._run(scenario, (WRITES, -1, 0, 0), {}) for scenario in SCENARIOS}

    def case(self, rng: np.random.Generator) -> Counter[str]:
        if not self.process:
            return Counter({"no C compiler": 1})
        scenario = SCENARIOS[rng.integers(len(SCENARIOS))]
        if rng.random() < 0.2:
            name = str(rng.choice(list(LIMITS)))
            return Counter(self._limited(scenario, {name: int(rng.integers(*LIMITS[name]))}) for _ in range(10))
        kind = int(rng.choice([WRITES, READS, THREADS], p=[0.7, 0.25, 0.05]))
        code, lasts = int(rng.choice(ERRORS[kind])), bool(rng.random() < 0.5)
        lasts = lasts and code != errno.EINTR  # which would be tried for ever
        found: Counter[str] = Counter()
        first = 0
        while True:
            outcome = self._run(scenario, (kind, first, code, lasts), {})
            found[self._judged(scenario, outcome, (kind, first, code, lasts))] += 1
            first += 1
            if outcome.calls <= first - 1:
                return found

    # -- judging -------------------------------------------------------------------------------------------------------------------

    def _judged(self, scenario: Scenario, outcome: Outcome, fault: tuple[int, int, int, bool]) -> str:
        kind, first, code, lasts = fault
        name = f"call {first} of {outcome.calls}: {errno.errorcode.get(code, 'short')}{' and all after it' * lasts}"
        whole, what = self.whole[scenario], f"{scenario.words}, {[None, 'writes', 'reads', 0, 'threads'][kind]}, {name}"
        if outcome.status == whole.status and outcome.files == whole.files:
            return "whole"
        if outcome.calls <= first or (code in HARMLESS and not lasts):
            raise self._found(f"{what}: it is not as without a fault", scenario, outcome)
        if kind == READS and outcome.status == SOME_FAILED:
            return "some failed"
        if scenario.words.startswith("sort ") and outcome.status == SOME_FAILED and outcome.files.items() <= whole.files.items():
            return "some failed"
        self._one_sentence(what, scenario, outcome)
        return "refused"

    def _limited(self, scenario: Scenario, limits: dict[str, int]) -> str:
        outcome = self._run(scenario, (0, -1, 0, 0), limits)
        whole = self.whole[scenario]
        if outcome.status == whole.status and outcome.files == whole.files:
            return "whole within limits"
        if outcome.status == SOME_FAILED:
            return "some failed within limits"
        self._one_sentence(f"{scenario.words}, {limits}", scenario, outcome)
        return "refused within limits"

    def _one_sentence(self, what: str, scenario: Scenario, outcome: Outcome) -> None:
        """Status 2, a sentence that names a file, or what was wanted; and no file is half of anything."""
        *others, last = outcome.messages.splitlines() or [""]
        if outcome.status != NOTHING_DONE or not last.startswith("fastmlp: ") or not last.isprintable() or len(last) > 500:
            raise self._found(f"{what}: status {outcome.status}, {outcome.messages!r:.3000}", scenario, outcome)
        if any(not line.startswith("fastmlp: ") for line in others):
            raise self._found(f"{what}: {outcome.messages!r:.3000}", scenario, outcome)
        if not any(word in last for word in (str(self.scratch), "stdout", "memory", "thread")):
            raise self._found(f"{what}: no file is named: {last}", scenario, outcome)
        before, whole = self._files_before(scenario), self.whole[scenario].files
        for name in sorted(before.keys() | whole.keys() | outcome.files.keys()):
            content, old, new = outcome.files.get(name), before.get(name), whole.get(name)
            if content in (old, new) or (name in scenario.grows and self._is_beginning(name, content, old, scenario)):
                continue
            raise self._found(f"{what}: {name} is {content!r:.300}", scenario, outcome)

    def _is_beginning(self, name: str, content: bytes | None, old: bytes | None, scenario: Scenario) -> bool:
        whole = self.whole[scenario].files[name.replace(".unfinished", "")]
        return content is not None and (whole.startswith(content) or bool(old and content == old[: len(content)]))

    def _found(self, what: str, scenario: Scenario, outcome: Outcome) -> Found:
        return Found(f"{what}; messages: {outcome.messages!r:.2000}; files: { {k: len(v) for k, v in outcome.files.items()} }")

    # -- running -------------------------------------------------------------------------------------------------------------------

    def _template(self) -> subprocess.Popen[str]:
        library = self.scratch / "faults.so"
        source = Path(__file__).with_name("faults.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        ours, theirs = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.faulty", str(theirs)], text=True, bufsize=1, cwd=ROOT, pass_fds=[theirs],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ | {"LD_PRELOAD": str(library)},
        )  # fmt: skip
        os.close(theirs)
        self.answers = open(ours)  # noqa: SIM115
        return process

    def _make(self) -> None:
        """The images, a model, and older outputs of each kind."""
        self.images, self.first, self.folder = (self.scratch / name for name in ("images", "first", "folder"))
        for name, letter in {"circle": "c", "line": "l"}.items():
            (self.images / "classes" / name).mkdir(parents=True)
            for number in range(1, 6):
                shutil.copy(ROOT / "test-images" / f"t{letter}-{number}.png", self.images / "classes" / name)
        (self.images / "classes" / "line" / "torn.png").write_bytes((ROOT / "test-images" / "tl-1.png").read_bytes()[:60])
        self.first.mkdir()
        model, train = self.first / "model.npz", TRAIN.replace("IMAGES/classes", str(ROOT / "data"))
        commands = [
            train.replace("FOLDER/m.npz", str(model)),
            train.replace("FOLDER/m.npz", str(self.first / "other.npz")),
            f"classify {model} {ROOT / 'test-images'} -o {self.first / 'other.csv'} --report {self.first / 'other.html'}",
            f"classify {model} {self.images / 'classes'} -o {self.first / 'failed.csv'} --max-pixels 4096",
            f"features {ROOT / 'test-images'} -o {self.first / 'other-features.csv'}",
            f"{train.replace('FOLDER/m.npz', str(self.first / 'more.npz'))} --members 3 --ensemble",
            f"evaluate {model} {ROOT / 'data'}",
            f"demo --out {self.first / 'demo'}",
            f"sort {model} {self.images / 'classes'} {self.first / 'sorted'} --max-pixels 4096",
            *([f"classify {model} {ROOT / 'test-images'} -o {self.first / 'v.parquet'}"] if PARQUET else []),
        ]
        assert self.process and self.process.stdin
        print(json.dumps([command.split() for command in commands]), file=self.process.stdin, flush=True)
        assert self.answers.readline() == "ready\n"
        whole = (self.first / "failed.csv").read_bytes()
        (self.first / "torn.csv").write_bytes(whole[: len(whole) // 2])

    def _files_before(self, scenario: Scenario) -> dict[str, bytes]:
        named = [name.split(":") for name in ("model.npz:model.npz", *scenario.before)]
        return {name: content_of(self.first / source) for name, source in named}

    def _run(self, scenario: Scenario, fault: tuple[int, int, int, bool], limits: dict[str, int]) -> Outcome:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name, content in self._files_before(scenario).items():
            (self.folder / name).write_bytes(content)
        words = scenario.words.replace("FOLDER", str(self.folder)).replace("IMAGES", str(self.images)).split()
        err = self.scratch / "err"
        out = self.folder / "out" if "-o" not in words else self.scratch / "out"
        job = {"words": words, "folder": str(self.folder), "out": str(out), "err": str(err), "fault": fault, "limits": limits}
        assert self.process and self.process.stdin
        print(json.dumps(job), file=self.process.stdin, flush=True)
        status, calls = -1, 0
        while not (line := self.answers.readline()).startswith("ended"):
            status, calls = map(int, line.split())
        if line != "ended 0\n" or status < 0:
            raise Found(f"{scenario.words}, {fault}, {limits}: {line}; {err.read_text(errors='replace')[-3000:]}")
        files = files_in(self.folder)
        files.pop("out", None)
        return Outcome(status, calls, err.read_text(errors="replace"), files)
