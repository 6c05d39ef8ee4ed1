"""The rig that attacks the package tells what it finds: here a case that fails, one that dies, one that hangs."""

import os
import signal
import time
from collections import Counter

from tests.torture.attack import Base, Found
from tests.torture.running import outcomes


class Attack(Base):
    LIMIT = 3.0

    def case(self, rng):
        match rng.bit_generator.seed_seq.entropy:
            case [7, 0]:
                return Counter(read=2)
            case [7, 1]:
                raise Found("a wrong pixel", file=b"abc")
            case [7, 2]:
                raise ZeroDivisionError
            case [7, 3]:
                os.kill(os.getpid(), signal.SIGKILL)
            case [7, 4]:
                time.sleep(60)
        assert not list(self.scratch.iterdir())
        return Counter(refused=1)


def test_what_is_found_is_told_by_its_case_and_the_next_one_goes_on():
    came = outcomes("test_torture", seed=7, first=0)
    assert next(came) == (Counter(read=2), "")
    assert next(came) == (Counter(), "a wrong pixel\n  file: YWJj")
    assert next(came).found.endswith("ZeroDivisionError\n")
    assert next(came) == (Counter(), "the process ended with status -9")
    assert next(came) == (Counter(), "hangs: no answer in 3 s")
    assert next(came) == (Counter(refused=1), "")
    came.close()
