"""A process in which calls of the system fail: it has loaded all that commands need, and each job is run by a fork of it."""

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

SECONDS = 60  # after which a job ends by a signal


def serve(answers: int) -> None:
    """Reads jobs from stdin, a line each; the first has commands that are run in this process, so that forks have all they need.

    Of each other one come its exit status and how many calls were counted, if it came so far; and the status of its process.
    """
    import fastmlp.images.folders
    import fastmlp.training.many  # noqa: F401
    from fastmlp.commands.main import main

    for words in json.loads(sys.stdin.readline()):
        main(words)
    os.write(answers, b"ready\n")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                os.write(answers, ("{} {}\n".format(*_run(**json.loads(line)))).encode())
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(answers, f"ended {status}\n".encode())


def _run(words: list[str], folder: str, out: str, err: str, fault: list[int], limits: dict[str, int]) -> tuple[int, int]:
    """A command, with a fault for files in the folder: the kinds of calls, which one, the error, and whether it lasts."""
    from fastmlp.commands.main import main

    signal.alarm(SECONDS)
    for number, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    faults = ctypes.CDLL(None)
    if out.startswith(folder):
        faults.fault_own(1)
    for name, more in limits.items():
        used = {
            "RLIMIT_AS": int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE"),
            "RLIMIT_NOFILE": len(os.listdir("/proc/self/fd")) - 1,
        }
        most = used.get(name, 0) + more
        resource.setrlimit(getattr(resource, name), (most, most))
    kinds, first, code, lasts = fault
    faults.fault_arm(os.fsencode(folder), kinds, ctypes.c_long(first), code, lasts)
    try:
        status = main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    calls = faults.fault_calls()
    faults.fault_arm(b"", 0, ctypes.c_long(-1), 0, 0)
    return status, calls


if __name__ == "__main__":
    serve(int(sys.argv[1]))
