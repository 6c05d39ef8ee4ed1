"""Chunks of names, shared out: to threads one by one, or many at a time as tasks for the workers of an executor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from fastmlp.executors import Engine, InTasks
from fastmlp.images.sources.chunk import Chunk, ends_of_slow
from fastmlp.images.sources.remote import is_in_memory_elsewhere
from fastmlp.images.sources.urls import without_secrets
from fastmlp.threads import InThreads

Result = TypeVar("Result")

FILES = 20_000  # of a task, at least: some tenths of a second with small images
MOST_FILES = 80_000  # where there are many tasks: a second of them, beside which what Dask does for a task is little
SHARES = 4  # tasks of each worker, so that none waits long for the others at the end
SLOW_FILES = 1000  # of a task, about, that are slow to read: a second with photographs


def each_chunk(
    work: Callable[..., Result], chunks: Iterable[Chunk], workers: int | Engine, ordered: bool = True
) -> Iterator[Result]:
    """work(chunk) for all chunks, by so many threads, or by the workers of an executor; if not ordered, as they are done.

    What an executor is to do can be sent: a function that can be imported, with what it is given beforehand by `partial`.
    """
    return _in_tasks(work, chunks, workers, ordered) if isinstance(workers, Engine) else InThreads(work, chunks, workers, ordered)


def _in_tasks(work: Callable[..., Result], chunks: Iterable[Chunk], engine: Engine, ordered: bool) -> Generator[Result]:
    tasks = InTasks(engine, _one_task, joined(chunks, engine), work, ordered)
    try:
        for results in tasks:
            yield from results
    finally:
        tasks.close()


def joined(chunks: Iterable[Chunk], engine: Engine) -> Iterator[list[Chunk]]:
    """The chunks of each task. A worker may be in another folder: they tell which one their names are relative to."""
    base = ""
    with suppress(FileNotFoundError):  # it is gone; then the names have to do without
        base = os.getcwd()
    task, files, slow, before = list[Chunk](), 0, 0, 0
    for chunk in chunks:
        task.append(chunk._replace(base=base))
        files, slow = files + chunk.length, slow + len(ends_of_slow(chunk.names, chunk.length))
        known = max(chunk.known, before + files)
        size, left = _size_of_task(known, engine.workers()), known - before - files
        takes_the_rest = 0 < left < 1.5 * size - files  # of the files that are known so far: there may be more
        is_full = files >= FILES and files + chunk.length // 2 >= size and not takes_the_rest
        if is_full or slow >= SLOW_FILES:
            yield task
            task, files, slow, before = [], 0, 0, before + files
    if task:
        yield task


def _size_of_task(known: int, workers: int) -> float:
    """How many files a task has, about, where so many are known: so that all workers have as many tasks of one size."""
    count = max(1, known // min(max(FILES, known // (SHARES * workers)), MOST_FILES))
    count -= count % workers if count > workers else 0
    return known / count


def _one_task(work: Callable[[Chunk], Result], chunks: list[Chunk]) -> list[Any]:
    """By a worker, who must see what the caller has listed."""
    named = [chunk for chunk in chunks if chunk.place and chunk.length]
    for place in dict.fromkeys(chunk.place for chunk in named):
        _check_is_seen([chunk for chunk in named if chunk.place == place])
    return [work(chunk) for chunk in chunks]


def _check_is_seen(chunks: list[Chunk]) -> None:
    """A FileNotFoundError if an archive is not there, or neither the first nor the last of files: the folder is another one."""
    first, last = chunks[0], chunks[-1]
    place = first.place if first.remote else os.path.join(first.base, first.place)
    if first.remote:
        is_seen = not is_in_memory_elsewhere(place)
    elif first.members is not None:
        is_seen = os.path.exists(place)
    else:
        is_seen = any(os.path.lexists(os.path.join(place, name)) for name in (first.paths()[0], last.paths()[-1]))
    if not is_seen:
        told = without_secrets(place)
        raise FileNotFoundError(f"{told} is not there for a worker on {socket.gethostname()}: all workers must see the source")
