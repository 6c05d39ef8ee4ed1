"""Children of this process that are killed before a step, or after some time."""

import os
import signal
import threading
import time
import warnings


def came_through(function, prepare=None, seconds=None):
    """Whether a child came through a function and was not killed; it may prepare for that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads, which the child is without
        child = os.fork()
    if not child:
        status = 1
        try:
            if prepare is not None:
                prepare()
            function()
            status = 0
        finally:
            os._exit(status)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended == 0


def kill_before(step, names):
    """Count the calls of some functions of os by the main thread, and kill it before one; what counts those of another, too."""
    left, main = iter(range(step)), threading.current_thread()

    def counted(function):
        def call(*args, **more):
            if threading.current_thread() is main and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **more)

        return call

    for name in names:
        setattr(os, name, counted(getattr(os, name)))
    return counted
