"""Compiles in threads of their own, where Ctrl-C never comes.

Numba is of no use to a process any more once a compile was cut short at a place of no choice: names as `range` are unknown to it in
all that follow. LLVM works for seconds without a look at anything else. So who waits for a compile is interrupted at once, and the
compile ends where its next pass begins, which does no harm.
"""

from functools import wraps
from queue import SimpleQueue
from threading import Thread, current_thread

from fastmlp.interrupts import next_of, noted, raise_noted, work_for_main, works_for_main
from fastmlp.kernels.numba_internals import is_compiling, uncollected


class _Compile(Thread):
    """One of them."""

    def __init__(self, function, arguments):
        super().__init__()
        self.function, self.arguments, self.for_main = function, arguments, works_for_main()
        self.result = self.error = None
        self.over = self.abandoned = False
        self.news = SimpleQueue()  # that it is over, or that somebody has pressed Ctrl-C

    def run(self):
        work_for_main(self.for_main)
        try:
            self.result = self.function(*self.arguments)
        except BaseException as error:
            self.error = error
        self.over = True
        self.news.put(None)


def in_own_thread(function):
    """Makes a function that compiles, or loads what was compiled, do so in a thread of its own."""

    @wraps(function)
    def compiled(*arguments):
        if is_compiling():
            return function(*arguments)
        compiling = _Compile(uncollected(function), arguments)
        with noted(lambda: compiling.news.put(None)):
            try:
                compiling.start()
            except RuntimeError:  # no further thread can be begun
                return function(*arguments)
            try:
                while not compiling.over:
                    next_of(compiling.news)
                    raise_noted()
            except BaseException:
                compiling.abandoned = True
                raise
        compiling.join()
        if compiling.error is not None:
            raise compiling.error
        return compiling.result

    return compiled


def end_if_nobody_waits():
    """A safe place within a compile."""
    thread = current_thread()
    if isinstance(thread, _Compile) and thread.abandoned:
        raise KeyboardInterrupt
    raise_noted()
