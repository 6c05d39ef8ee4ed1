"""Commands as processes of their own, where signals, pipes and terminals matter."""

import os
import re
import select
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from command_line import ROOT

pty = pytest.importorskip("pty")
PATIENCE = 120  # seconds until a process is taken to hang; a cold compile is in it


@contextmanager
def begun(*args, start=None, **how):
    """A process of Python, which finds the package from any folder."""
    process = subprocess.Popen(
        [sys.executable, *map(os.fspath, args)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        bufsize=0,  # so that what has been read of its output by lines is no more than those lines
        preexec_fn=start,
        **how,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def started(*args, **how):
    """A command's process."""
    return begun("-m", "fastmlp", *args, **how)


def line_of(process):
    """The next line of its output."""
    assert select.select([process.stdout], [], [], PATIENCE)[0]
    return process.stdout.readline()


def run(*args, **how):
    with started(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Terminal:
    """A person at the other end of a process's terminal."""

    def __init__(self, master):
        self.master, self.text = master, ""

    def wait_for(self, pattern):
        """Read on until the pattern is found in what has not been waited for yet."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, self.text[-1000:]
            if select.select([self.master], [], [], 1)[0]:
                self.text += os.read(self.master, 4096).decode()
        self.text = self.text[match.end() :]

    def rest(self):
        """What is to be read yet."""
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 4096).decode()
        return self.text

    def type(self, text):
        os.write(self.master, text.encode())


@contextmanager
def at_terminal(*args, streams=("stdin", "stdout", "stderr"), **how):
    """A command's process with a terminal for some of its streams, and the person there."""
    master, slave = pty.openpty()
    try:
        with started(*args, **dict.fromkeys(streams, slave), **how) as process:
            yield process, Terminal(master)
    finally:
        os.close(master)
        os.close(slave)
