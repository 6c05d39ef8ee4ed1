"""Ctrl-C: noted while work is under way, raised at a safe place or at the end, and as ever around what the caller gives us."""

import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from command_line import ROOT

from fastmlp import interrupts
from fastmlp.interrupts import forget, noted, raise_noted, raised_at_once


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def handler():
    """Puts in a handler, and what there was before at the end."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda function: signal.signal(signal.SIGINT, function)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("presses", [1, 2, 5])
def test_it_is_raised_at_a_safe_place_once(presses):
    came_to = []
    with pytest.raises(KeyboardInterrupt), noted():
        for _ in range(presses):
            press()
        came_to.append("the safe place")
        raise_noted()
        came_to.append("beyond")
    assert came_to == ["the safe place"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_nobody_has_heard_is_raised_at_the_end_of_the_outermost_block():
    came_to = []
    with pytest.raises(KeyboardInterrupt), noted():
        with noted():
            press()
        came_to.append("the outer block")
    assert came_to == ["the outer block"]


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("when", ["before", "after"])
def test_it_is_not_lost_while_handlers_are_changed(call, when, handler, monkeypatch):
    heard, calls, change = [], [], interrupts._set_handler

    def own(*_):
        heard.append(1)
        raise KeyboardInterrupt

    def changed(*what):
        calls.append(1)
        if len(calls) - 1 == call and when == "before":
            press()
        change(*what)
        if len(calls) - 1 == call and when == "after":
            press()

    handler(own)
    monkeypatch.setattr(interrupts, "_set_handler", changed)
    with pytest.raises(KeyboardInterrupt), noted():
        pass
    assert heard == [1]
    assert signal.getsignal(signal.SIGINT) is own
    with noted():  # of which nothing is left for the next
        raise_noted()


def test_an_error_does_not_lose_it():
    with pytest.raises(KeyboardInterrupt), noted():
        press()
        raise ValueError


def test_who_is_at_work_is_told_at_once_also_of_a_press_before():
    told = []
    with noted(lambda: told.append("outer")):
        press()
        assert told == ["outer"]
        with noted(lambda: told.append("inner")):
            assert told == ["outer", "inner"]
        press()
        assert told == ["outer", "inner", "outer"]
        forget()


def test_what_is_dealt_with_is_not_raised():
    with noted():
        press()
        forget()
        raise_noted()


def test_around_what_the_caller_gives_it_is_raised_at_once_and_noted_again_within():
    came_to = []
    with noted():
        with pytest.raises(KeyboardInterrupt), raised_at_once():
            press()
        with pytest.raises(KeyboardInterrupt), raised_at_once(), noted():
            press()
            came_to.append("the end")
        press()
        forget()
    assert came_to == ["the end"]


def test_what_the_caller_deals_with_is_told_to_nobody_else():
    told = []

    def work():
        interrupts.work_for_main(True)
        raise_noted()
        told.append("a thread")

    with noted(lambda: told.append("outer")):
        with raised_at_once(), suppress(KeyboardInterrupt), noted(lambda: told.append("inner")):
            press()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
        assert told == ["inner", "a thread"]
        press()
        assert told == ["inner", "a thread", "outer"]
        forget()


def test_what_was_noted_is_raised_before_the_caller_is_called():
    came_to = []
    with noted():
        press()
        with pytest.raises(KeyboardInterrupt), raised_at_once():
            came_to.append("the caller")
    assert not came_to


def test_a_handler_of_the_callers_own_is_called_at_once_and_what_it_raises_is_kept(handler):
    class Enough(Exception):
        pass

    heard = []

    def own(number, frame):
        heard.append(number)
        if len(heard) == 2:
            raise Enough

    handler(own)
    with noted():
        press()
        raise_noted()  # it has raised nothing
    with pytest.raises(Enough), noted():
        press()
        assert heard == [signal.SIGINT] * 2
        raise_noted()
    assert signal.getsignal(signal.SIGINT) is own


@pytest.mark.parametrize("kind", [signal.SIG_IGN, signal.SIG_DFL])
def test_where_no_handler_of_python_hears_it_nothing_is_noted(handler, kind):
    handler(kind)
    with noted():
        assert signal.getsignal(signal.SIGINT) is kind


def test_a_handler_that_is_put_in_within_stays(handler):
    with noted():
        handler(signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_hear_nothing_unless_they_work_for_the_main_one():
    heard = {}

    def work(yes):
        interrupts.work_for_main(yes)
        with noted():
            try:
                raise_noted()
            except KeyboardInterrupt:
                heard[yes] = True

    with noted():
        press()
        for yes in (True, False):
            thread = threading.Thread(target=work, args=(yes,))
            thread.start()
            thread.join(60)
        forget()
    assert heard == {True: True}


def test_what_is_put_off_is_raised_at_a_later_safe_place():
    came_to = []
    with pytest.raises(KeyboardInterrupt), noted():
        with interrupts.put_off():
            press()
            raise_noted()
            came_to.append("the end of what would be lost")
        raise_noted()
        came_to.append("beyond")
    assert came_to == ["the end of what would be lost"]
    with pytest.raises(KeyboardInterrupt), interrupts.put_off():
        press()


def test_others_that_work_for_the_main_thread_hear_of_it_while_it_is_on_its_way():
    heard = []

    def work():
        interrupts.work_for_main(True)
        try:
            raise_noted()
        except KeyboardInterrupt:
            heard.append(True)

    with noted():
        press()
        with pytest.raises(KeyboardInterrupt):
            raise_noted()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
        raise_noted()  # once is enough
    assert heard == [True]


IMPORTED = """
import builtins, signal
import fastmlp
whole, pressed = builtins.__import__, []

def importing(name, *how, **more):
    if name.startswith("numba.core") and not pressed:
        pressed.append(signal.raise_signal(signal.SIGINT))
    return whole(name, *how, **more)

signal.signal(signal.SIGINT, signal.default_int_handler)
builtins.__import__ = importing
try:
    fastmlp.train
except KeyboardInterrupt:
    print("interrupted", fastmlp.train([[0.0], [1.0]], [0, 1], epochs=1, seed=0).history.epochs)
"""


def test_ctrl_c_while_numba_is_imported_leaves_it_whole():
    process = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)
    assert (process.stdout, process.stderr) == ("interrupted 1\n", "")


IN_THE_MIDDLE = """
import os, signal
from fastmlp.interrupts import end_process
write = os.write

def pressed(*what):
    signal.raise_signal(signal.SIGINT)
    write(*what)
    signal.raise_signal(signal.SIGINT)

os.write = pressed
signal.signal(signal.SIGINT, end_process)
signal.raise_signal(signal.SIGINT)
"""


def test_a_process_that_is_to_end_hears_of_no_more(handler):
    handler(interrupts.end_process)
    try:
        with pytest.raises(KeyboardInterrupt), noted():
            press()
            raise_noted()
        with noted():  # what is given up meanwhile, perhaps where an error would be told
            press()
        press()
    finally:
        forget()


def test_presses_while_the_sentence_is_written_are_told_once():
    command = [sys.executable, "-c", IN_THE_MIDDLE]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (process.returncode, process.stderr) == (130, "fastmlp: interrupted\n")
