"""--dask: a cluster that somebody else runs, whose workers read the images for a command, or train its networks."""

from __future__ import annotations

import logging
import warnings
from argparse import SUPPRESS, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastmlp.commands.console import say
from fastmlp.commands.parser import Parser

ANSWER = 8  # seconds that a scheduler has to answer
HAS_FASTMLP = "__import__('importlib.util').util.find_spec('fastmlp') is not None"  # in words that all of them know


def declare_dask(parser: Parser, more: str = "") -> None:
    """The argument, and what else they do."""
    text = "the workers of a Dask cluster read the images, which all of them must see{}; needs pip install 'fastmlp[dask]'"
    parser.add_argument("--dask", metavar="HOST:PORT", default=SUPPRESS, help=text.format(more))


@contextmanager
def dask_client(args: Namespace) -> Iterator[Any]:
    """Within it a client of the scheduler that a command was given; None without one."""
    from fastmlp.executors import LostWorkError

    address = vars(args).get("dask")
    if address is None:
        yield None
        return
    try:
        import distributed
    except ImportError:
        raise ValueError("--dask needs Dask: pip install 'fastmlp[dask]'") from None
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what is lost is told in a sentence
    try:
        _reach(address)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            client = distributed.Client(address, timeout=ANSWER, set_as_default=False)
        with client:
            have = {"scheduler": client.run_on_scheduler(eval, HAS_FASTMLP)}
            have |= {f"worker {name}": found for name, found in client.run(eval, HAS_FASTMLP, on_error="return").items()}
            if without := [who for who, found in have.items() if found is False]:
                raise ValueError(f"--dask {address}: fastmlp is not installed for the {without[0]}")
            if len(have) == 1:
                say(f"{address} has no workers yet; it is waited for some")
            if any(issubclass(warning.category, distributed.versions.VersionMismatchWarning) for warning in told):
                say(f"{address} has workers with other versions of Python or of packages than are here")
            try:
                yield client
            except LostWorkError as error:
                raise ValueError(f"--dask {address}: {error}") from error
    finally:
        logging.disable(before)


def _reach(address: str) -> None:
    """A ValueError unless a scheduler answers there. A Client that none answers leaves threads that go on asking."""
    import asyncio

    from distributed.comm import connect
    from distributed.security import Security

    async def reach() -> None:
        how = Security().get_connection_args("client")
        (await asyncio.wait_for(connect(address, timeout=ANSWER, **how), ANSWER + 1)).abort()

    try:
        asyncio.run(reach())
    except (OSError, ValueError, TypeError, MemoryError) as error:  # TypeError: there are no certificates for TLS
        raise ValueError(f"--dask {address}: no scheduler of Dask answers there: {str(error) or 'timed out'}") from error
