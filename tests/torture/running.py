"""Cases, run in a process of their own: where that dies or hangs, this is what came of the case, and another process goes on."""

import base64
import multiprocessing
import os
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.torture.attack import Found

PRINTED = 4096  # bytes of a file, at most
SET_UP = 600.0  # seconds for what an attack makes before its first case, kernels perhaps


class Outcome(NamedTuple):
    """What came of a case."""

    counts: Counter[str]
    found: str = ""


def outcomes(name: str, seed: int, first: int) -> Iterator[Outcome]:
    """What comes of the cases of an attack, one after the other, without end."""
    limit, context = import_module(name).Attack.LIMIT, multiprocessing.get_context("spawn")
    while True:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run_cases, args=(name, seed, first, theirs))
        process.start()
        theirs.close()
        try:
            seconds = SET_UP
            while ours.poll(seconds):
                if answer := ours.recv():
                    yield answer
                    first += 1
                seconds = limit
            died = f"hangs: no answer in {seconds:g} s"
        except EOFError:
            process.join(limit)
            died = f"the process ended with status {process.exitcode}"
        finally:
            _end(process)
        yield Outcome(Counter(), died)
        first += 1


def _run_cases(name: str, seed: int, first: int, answers: Connection) -> None:
    """Runs cases until it is killed; None is its answer when it is ready for them."""
    os.setsid()  # so that it can be killed with all that it begins
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is for the process that began it
    with tempfile.TemporaryDirectory() as scratch:
        attack = import_module(name).Attack(Path(scratch))
        answers.send(None)
        while True:
            try:
                answers.send(Outcome(attack.case(np.random.default_rng([seed, first]))))
            except Found as found:
                files = "".join(f"\n  {key}: {_printed(content)}" for key, content in found.files.items())
                answers.send(Outcome(Counter(), f"{found}{files}"))
            except BrokenPipeError:
                return
            except Exception:
                answers.send(Outcome(Counter(), traceback.format_exc()))
            first += 1


def _printed(content: bytes) -> str:
    more = "" if len(content) <= PRINTED else f"... ({len(content)} bytes)"
    return base64.b64encode(content[:PRINTED]).decode() + more


def _end(process: BaseProcess) -> None:
    if process.pid is not None and process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
