"""Ctrl-C in the process of a command, whenever and however often: exit code 130 and one sentence."""

import signal
import subprocess
import sys
import time

import pytest
from command_line import IMAGES, ROOT, TRAINING
from processes import PATIENCE, at_terminal, line_of, started

import fastmlp


def press(process, times):
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)


def heard():
    """For a child: nobody has told it to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


WHILE = """
import builtins, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
whole, (room, *words) = builtins.__import__, sys.argv[1:]

def importing(name, *how, **more):
    if name == room:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
    return whole(name, *how, **more)

builtins.__import__ = importing
sys.argv = ["fastmlp", *words]
from fastmlp.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("room", ["argparse", "numpy", "numba", "fastmlp.images.reading"])
def test_while_something_is_imported(room):
    command = [sys.executable, "-c", WHILE, room, "features", IMAGES]
    process = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=ROOT)
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "fastmlp: interrupted\n")


@pytest.mark.parametrize("times", [1, 5])
def test_a_training_is_saved_however_often_it_is_pressed(times, tmp_path):
    command = ["train", TRAINING, "-o", tmp_path / "m.npz", "--epochs", "10000000", "--hidden", "4"]
    with at_terminal(*command, start=heard, streams=["stderr"]) as (process, person):
        person.wait_for(r"\repoch [1-9]")
        press(process, times)
        person.wait_for("so far is in .*m.unfinished.npz")
        assert process.wait(PATIENCE) == 130
        assert "Traceback" not in person.rest()
    assert fastmlp.load(tmp_path / "m.unfinished.npz").histories[0].stopped_by == "interrupt"


def test_rows_that_nobody_reads_do_not_keep_a_command_from_its_end(wide, many):
    with started("classify", wide, many, start=heard, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        line_of(process)
        time.sleep(0.5)  # by then it waits for room in the pipe
        began = time.monotonic()
        press(process, 2)
        assert process.wait(PATIENCE) == 130
        assert time.monotonic() - began < 5
        assert process.stderr.read() == b"fastmlp: interrupted\n"


DEMO = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from fastmlp.__main__ import main
from fastmlp.training.epochs import Training
advance = Training._advance

def pressed(*how):
    os.kill(os.getpid(), signal.SIGINT)
    advance(*how)

Training._advance = pressed
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["fastmlp", "demo", "--out", "demo"]
sys.exit(main())
"""


def test_a_demo_of_which_a_training_is_interrupted_ends(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", DEMO, ROOT], capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path
    )
    assert process.returncode == 130 and process.stderr == "fastmlp: interrupted\n"
