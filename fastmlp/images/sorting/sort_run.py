"""sort_folder: images into folders by their classes; which goes where, batch by batch."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks, interrupts
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.classifier_records import model_digest
from fastmlp.images.loading import load_model
from fastmlp.images.pillow import MAX_PIXELS
from fastmlp.images.sorting.carrying import Carrier, Member, other_file_system
from fastmlp.images.sorting.placing import Folders
from fastmlp.images.sorting.sort_log import LOG_NAME, VERSION, Action, NotPlaced, Outcome, SortLog, log_for, read_log, within
from fastmlp.images.sources.archive_reading import open_archive, read_member
from fastmlp.images.sources.archives import members
from fastmlp.images.sources.source import can_name_a_file, is_collection, nothing_in, path_of
from fastmlp.images.verdicts import Verdicts
from fastmlp.writing import StrPath

How = Literal["copy", "link", "move"]
HOWS: tuple[How, ...] = ("copy", "link", "move")
UNSURE = "unsure"
LONGEST_NAME = 255  # bytes


class Sorted(NamedTuple):
    """What has come of sorting images into folders."""

    counts: dict[str, int]
    """How many images each class has been given, those of earlier runs too."""
    unsure: int
    """How many are in the folder of the unsure."""
    errors: list[tuple[str, str]]
    """The path of each image that stays where it is, and why."""
    skipped: int
    """How many other files there were, that are no images."""
    before: int
    """How many of the images were sorted by earlier runs."""
    log: str
    """The path of the log, which `undo_sort` takes; "" after a dry run."""

    def __repr__(self) -> str:
        images = sum(self.counts.values()) + self.unsure
        return f"<Sorted {images} images, {self.unsure} of them unsure; {self.skipped} skipped, {len(self.errors)} failed>"


@checks.takes_options()
def sort_folder(
    model: ImageClassifier | StrPath,
    source: StrPath,
    dest: StrPath,
    how: How = "copy",
    *,
    threshold: float | None = None,
    unsure: StrPath | None = None,
    dry_run: bool = False,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Sorted:
    """Sort images into a folder for each class.

    `a/1.png` in the source becomes `circle/a/1.png` in `dest`, or `circle/a/1-2.png` if there is such a file: nothing is written
    over. What is no image, or cannot be read, stays. What is done is told by a log in `dest`: the same call goes on after
    whatever has ended one, and `undo_sort` takes all of it back.

    Parameters
    ----------
    model : ImageClassifier or path
    source : path of a folder, or of a tar or zip archive
        Of a folder all images in all its folders; what begins with a dot is left out, and `dest` if that is within. What is in an
        archive can only be copied.
    dest : path
        A folder; it is made if it is not there, in a folder that is.
    how : {"copy", "link", "move"}
        A copy keeps times and permissions. A link is a hard link: one more name of the same file, which takes no space; both have
        to be on one file system. Across file systems what is moved is copied, compared, and then removed;
        folders stay, be they empty.
    threshold : float from 0 to 1, optional
        An image whose best score is lower comes into the folder `unsure`.
    unsure : path, optional
        By default `dest/unsure`.
    dry_run : bool
        Whether nothing is done, but to count.
    threads : int, optional
        By default as many as there are cores. The results do not depend on it.
    max_pixels : int
        As of `ImageClassifier.classify`.

    Returns
    -------
    Sorted
        How many images each class was given, and which could not be sorted.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, between two files.
    FileNotFoundError
        If there is no source, or no folder in which `dest` or `unsure` can be made.
    OSError
        If `dest` cannot be written, or the disk is full: what has been sorted stays, and the same call goes on.
    ValueError
        If the source holds no image; if it was sorted into `dest` with other options; if a class cannot name a folder; if folders
        are within each other so that what is sorted would be sorted again.
    """
    run = SortRun(model, source, dest, how, threshold, unsure, dry_run)
    with interrupts.noted(), closing(run.batches(threads=threads, max_pixels=max_pixels)) as batches:
        for _ in batches:
            pass
    return run.summary()


class SortRun:
    """A run of sorting: `batches` does it; see `sort_folder`."""

    def __init__(
        self,
        model: ImageClassifier | StrPath,
        source: StrPath,
        dest: StrPath,
        how: str = "copy",
        threshold: float | None = None,
        unsure: StrPath | None = None,
        dry_run: bool = False,
    ) -> None:
        how = checks.one_of("how", how, HOWS)
        if threshold is not None:
            checks.from_0_to_1("threshold", threshold)
        elif unsure is not None:
            raise ValueError("unsure needs threshold, below which an image is unsure")
        self._model = load_model(model) if isinstance(model, str | os.PathLike) else model
        if not isinstance(self._model, ImageClassifier):
            raise ValueError(f"model must be an ImageClassifier, or the path of one; got {type(self._model).__name__}")
        self._source, self._dest = os.path.realpath(path_of(source)), os.path.realpath(path_of(dest))
        if not os.path.lexists(self._source):
            raise FileNotFoundError(f"{source} does not exist")
        if not is_collection(self._source):
            raise ValueError(f"{source} must be a folder, or a tar or zip archive")
        self._is_archive = not os.path.isdir(self._source)
        if self._is_archive and how != "copy":
            raise ValueError(f"how={how!r} needs a folder: what is in an archive, {source}, can only be copied")
        if os.path.exists(self._dest) and not os.path.isdir(self._dest):
            raise NotADirectoryError(f"{dest} is not a folder")
        self._how, self._threshold, self._dry = how, threshold, dry_run
        self._unsure = os.path.join(self._dest, UNSURE) if unsure is None else os.path.realpath(path_of(unsure))
        for folder in (self._dest, self._unsure):
            above = os.path.dirname(folder)
            if above != self._dest and not os.path.isdir(above):
                raise FileNotFoundError(f"{folder} cannot be made: there is no folder {above}")
        self._check_classes(by_default=unsure is None)
        self._excluded = () if self._is_archive else self._checked_folders()
        self._check_devices()
        self._counts: Counter[str] = Counter(dict.fromkeys(self._model.classes, 0))
        self._errors: list[tuple[str, str]] = []
        self._skipped = self._before = self._unsure_count = 0
        self.left: int | None = None  # files that follow, if that is known
        self.log, self._older = log_for(self._dest, self._source)
        if self._older is not None:
            self._check_alike(self._older)

    def summary(self) -> Sorted:
        """What has come of it so far."""
        log = "" if self._dry else self.log
        return Sorted(dict(self._counts), self._unsure_count, self._errors, self._skipped, self._before, log)

    def batches(self, **options: Any) -> Generator[Sequence[Action]]:
        """Sort, with further options of `classify`: of some images at a time what was done, or would be."""
        done: set[str] = set()
        carrier: Carrier | None = None
        with ExitStack() as stack:
            if self._older is not None:
                log = None if self._dry else stack.enter_context(closing(SortLog(self.log)))
                older = read_log(self.log)  # now that nobody else writes it
                self._check_alike(older.header)
                if older.undone:
                    raise ValueError(f"{self.log} is being taken back: go on with that, as by fastmlp sort --undo {self.log}")
                self._count(older.placed, [action.target for action in older.placed])
                done.update(action.path for action in older.placed)
                if log is not None:
                    log.cut(older.end)
                    carrier = self._carrier(stack, log, older.header["id"])
                    outcomes, anew = carrier.settle(older.pending, older.copied)
                    settled = [pair for pair in zip(older.pending, outcomes, strict=True) if isinstance(pair[1], str)]
                    self._count([action for action, _ in settled], [outcome for _, outcome in settled])
                    done.update(action.path for action, _ in settled)
                    self._before = sum(self._counts.values()) + self._unsure_count
                    yield from self._carried(carrier, anew)
                    done.update(action.path for action in anew)
                else:
                    self._before = sum(self._counts.values()) + self._unsure_count
            for actions in self._decided(done, **options):
                if self._dry:
                    yield self._count(actions, [action.target for action in actions])
                elif actions:
                    carrier = carrier or self._begun(stack)
                    yield from self._carried(carrier, actions)
                else:
                    yield ()

    def _carried(self, carrier: Carrier, actions: list[Action]) -> Iterator[Sequence[Action]]:
        for some, outcomes in carrier.carry(actions):
            yield self._count(some, outcomes)

    def _count(self, actions: Sequence[Action], outcomes: Sequence[Outcome]) -> Sequence[Action]:
        labels = []
        for action, to in zip(actions, outcomes, strict=True):
            if isinstance(to, NotPlaced):
                self._errors.append((action.path, to.why))
            elif action.unsure:
                self._unsure_count += 1
            else:
                labels.append(to.partition("/")[0])
        self._counts.update(labels)
        return actions

    def place(self, action: Action) -> str:
        """Where an action is to bring a file."""
        return os.path.join(self._unsure if action.unsure else self._dest, action.target)

    def _decided(self, done: set[str], **options: Any) -> Iterator[list[Action]]:
        """Where images are to go, but for those that are done; and those that cannot be read are told."""
        any_there = bool(done)

        def left_out(paths: list[str]) -> NDArray[np.bool_]:
            return np.fromiter((path in done or path.startswith(self._excluded) for path in paths), bool, len(paths))

        passed = left_out if done or self._excluded else None
        with closing(self._model.classify(self._source, done=passed, **options)) as batches:
            seen = 0
            for verdicts in batches:
                seen += len(verdicts.paths) + verdicts.skipped
                self.left = None if batches.total is None else max(batches.total - seen - len(done), 0)
                any_there |= bool(verdicts.paths)
                self._skipped += verdicts.skipped
                yield self._actions(verdicts)
        if not any_there:
            raise nothing_in(self._source)

    def _actions(self, verdicts: Verdicts) -> list[Action]:
        """What is to be done with the images of a batch."""
        sure = np.ones(len(verdicts.paths), bool)
        if self._threshold is not None:
            sure = verdicts.scores.max(axis=1, initial=-np.inf) >= self._threshold
        actions = []
        for path, label, error, is_sure in zip(verdicts.paths, verdicts.labels, verdicts.errors, sure.tolist(), strict=True):
            if error is None and self._is_archive:
                try:
                    within(path)
                except ValueError as reason:
                    error = str(reason)
            if error is None:
                actions.append(Action(path, f"{label}/{path}" if is_sure else path, not is_sure))
            else:
                self._errors.append((path, error))
        return actions

    # -- the log ------------------------------------------------------------------------------------------------------------------

    def _begun(self, stack: ExitStack) -> Carrier:
        """A new log is begun, in a folder that is made if it has to be."""
        made = not os.path.isdir(self._dest)
        if made:
            os.mkdir(self._dest)
        header = {"fastmlp sort": VERSION, "id": secrets.token_hex(8), "source": self._source, "made": made, **self._options()}
        return self._carrier(stack, stack.enter_context(closing(SortLog(self.log, header))), header["id"])

    def _carrier(self, stack: ExitStack, log: SortLog, run: str) -> Carrier:
        source = stack.enter_context(closing(Folders("" if self._is_archive else self._source)))
        targets = (
            stack.enter_context(closing(Folders(self._dest, lambda folder: log.makes(folder, False)))),
            stack.enter_context(closing(Folders(self._unsure, lambda folder: log.makes(folder, True)))),
        )
        member = self._members(stack) if self._is_archive else None
        return Carrier(self._how, source, targets, log, run, member)

    def _members(self, stack: ExitStack) -> Member:
        """What reads the members of the source, an archive."""
        archive = stack.enter_context(open_archive(self._source))
        names, _, places, _ = members(archive)
        by_path = dict(zip(os.fsdecode(names.tobytes()).split("\0"), places, strict=False))
        return lambda path: read_member(archive, by_path[path], path)

    def _options(self) -> dict[str, Any]:
        """What has to be alike where a run goes on."""
        status = os.stat(self._source)
        return {
            "model": model_digest(self._model),
            "dest": self._dest,
            "how": self._how,
            "threshold": self._threshold,
            "unsure": self._unsure,
            "archive": [status.st_size, status.st_mtime_ns] if self._is_archive else None,
        }

    def _check_alike(self, header: dict[str, Any]) -> None:
        for name, own in self._options().items():
            if header.get(name) != own:
                what = "another model" if name == "model" else f"{name}={header.get(name)!r}, and not {own!r}"
                raise ValueError(
                    f"{self._source} was sorted into {self._dest} with {what}: go on with the same options, or "
                    f"take that back first, as by fastmlp sort --undo {self.log}"
                )

    # -- what cannot be -----------------------------------------------------------------------------------------------------------

    def _check_classes(self, by_default: bool) -> None:
        for name in self._model.classes:
            is_name = name not in ("", ".", "..") and "/" not in name and can_name_a_file(name)
            if not is_name or LOG_NAME.fullmatch(name) or len(os.fsencode(name)) > LONGEST_NAME:
                raise ValueError(f"the class {checks.shown(name)} cannot name a folder")
            if name == UNSURE and by_default and self._threshold is not None:
                raise ValueError(f"a class is named {UNSURE!r}: unsure must say where else the unsure are to go")

    def _checked_folders(self) -> tuple[str, ...]:
        """What the paths of files begin with that are not of the source, as they have been sorted."""
        excluded: list[str] = []
        for folder in self._targets():
            if folder == self._source or (folder != self._dest and _is_in(self._source, folder)):
                raise ValueError(
                    f"{self._source} cannot be sorted into {folder}, in which it is: what is sorted would be sorted again"
                )
            if _is_in(folder, self._source):
                excluded.append(os.path.relpath(folder, self._source) + "/")
        return tuple(excluded)

    def _targets(self) -> list[str]:
        classes = [os.path.realpath(os.path.join(self._dest, name)) for name in self._model.classes]
        if self._threshold is None:
            return [self._dest, *classes]
        for folder in classes:
            if folder == self._unsure or _is_in(folder, self._unsure) or _is_in(self._unsure, folder):
                raise ValueError(f"unsure must be a folder apart from those of the classes; got {self._unsure}")
        return [self._dest, *classes, self._unsure]

    def _check_devices(self) -> None:
        if self._how != "link":
            return
        for folder in {self._dest, *([] if self._threshold is None else [self._unsure])}:
            there = folder
            while not os.path.isdir(there):
                there = os.path.dirname(there)
            if os.stat(there).st_dev != os.stat(self._source).st_dev:
                raise other_file_system(self._source, folder)


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))
