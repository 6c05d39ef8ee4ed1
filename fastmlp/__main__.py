"""python -m fastmlp, and the command `fastmlp`: from here on Ctrl-C ends the process with exit code 130 and a sentence."""

import gc
import os
import signal
import sys

from fastmlp.interrupts import INTERRUPTED, end_process


def main() -> int:
    """Run the command that the process was begun for."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_process)
    from fastmlp.commands.main import main as run

    code = run(sys.argv[1:])
    if signal.getsignal(signal.SIGINT) is end_process:
        _ignore()  # it is at its end
        if code == INTERRUPTED:
            os._exit(code)  # and waits for no compile
    if "pyarrow" in sys.modules:  # whose threads, if they have only just begun, make an abort of the end of the process
        os._exit(code)
    gc.freeze()  # all goes with the process: to look through it for cycles takes 50 ms
    return code


def _ignore() -> None:
    """From here on Ctrl-C does nothing. If it came while the handler is taken away, Python would tell of a race."""
    signal.signal(signal.SIGINT, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
