"""Actions of sorting, carried out: some at a time, between what the log tells of them before and after."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from fastmlp.images.sorting.placing import (
    Folders,
    copy_file,
    find_placed,
    identity,
    in_free_place,
    move_file,
    remove,
    write_new,
)
from fastmlp.images.sorting.sort_log import Action, Identity, NotPlaced, Outcome, SortLog
from fastmlp.interrupts import raise_noted

# What no other file would fare better with.
HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
AT_ONCE = {"link": 4096, "move": 512, "copy": 64}  # actions between two lines of the log
NOT_YET = "it is not done yet"
PAST = {"link": "linked", "move": "moved", "copy": "copied"}

# The bytes of a member of an archive, by its path.
Member = Callable[[str], bytes]


class Carrier:
    """Brings files from a source to the folders of the classes and of the unsure."""

    def __init__(self, how: str, source: Folders, targets: tuple[Folders, Folders], log: SortLog, run: str, member: Member | None):
        self._how, self._source, self._targets, self._log, self._run, self._member = how, source, targets, log, run, member

    def carry(self, actions: Sequence[Action]) -> Iterator[tuple[Sequence[Action], list[Outcome]]]:
        """Carry out all of them, some at a time. Ctrl-C ends it between two files, and what is done then is told by the log."""
        step = AT_ONCE["copy" if self._how == "move" and self._is_elsewhere() else self._how]
        for first in range(0, len(actions), step):
            some = actions[first : first + step]
            yield some, self._some(some)
            raise_noted()

    def settle(self, actions: Sequence[Action], copied: dict[int, Identity]) -> tuple[list[Outcome], list[Action]]:
        """What came of actions that a killed run had begun, which end now, or are as never begun: those are given, too."""
        found = [self._settled(place, action, copied.get(place)) for place, action in enumerate(actions)]
        outcomes = [outcome or NotPlaced(NOT_YET) for outcome in found]
        if actions:
            self._log.done(actions, outcomes)
        return outcomes, [action for action, outcome in zip(actions, found, strict=True) if outcome is None]

    def beside(self, place: int) -> str:
        """What a copy is called that is not in its place yet."""
        return f".fastmlp-{self._run}-{place}"

    def _is_elsewhere(self) -> bool:
        device = os.fstat(self._source[""]).st_dev
        return any(os.path.isdir(part.root) and os.stat(part.root).st_dev != device for part in self._targets)

    def _some(self, actions: Sequence[Action]) -> list[Outcome]:
        if self._how == "move":
            known = list(map(self._known, actions))
            actions = [action._replace(file=file) for action, file in zip(actions, known, strict=True)]
        self._log.begin(actions)
        if self._how == "move":
            self._log.sync()
        outcomes: list[Outcome] = []
        if self._how == "copy":
            return self._copied(actions, list(range(len(actions))), outcomes)
        later: list[int] = []
        try:
            if self._how == "link":
                self._links(actions, outcomes)
            else:
                self._moves(actions, outcomes, later)
        except BaseException:
            self._log.done(actions, outcomes)
            raise
        if later:
            return self._copied(actions, later, outcomes)
        self._log.done(actions, outcomes)
        return outcomes

    def _known(self, action: Action) -> Identity | None:
        with suppress(OSError):
            folder, name = self._source.of(action.path)
            return identity(os.stat(name, dir_fd=folder, follow_symlinks=False))
        return None

    def _links(self, actions: Sequence[Action], outcomes: list[Outcome]) -> None:
        """The fast way: what is done for each file takes little beside the system's call."""
        before: tuple[str, str, bool] | None = None  # folders, which most often are those of the file before
        for action in actions:
            folder, _, name = action.path.rpartition("/")
            new_folder, _, new = action.target.rpartition("/")
            try:
                if (folder, new_folder, action.unsure) != before:
                    before = None  # to open others may close those
                    source, target = self._source[folder], self._targets[action.unsure][new_folder]
                    before = folder, new_folder, action.unsure
                try:
                    os.link(name, new, src_dir_fd=source, dst_dir_fd=target)
                    outcomes.append(action.target)
                except FileExistsError:
                    put = partial(_link, name, source, target)
                    outcomes.append(in_free_place(put, action.target))
            except OSError as error:
                outcomes.append(self._failed(action, error))

    def _moves(self, actions: Sequence[Action], outcomes: list[Outcome], later: list[int]) -> None:
        for action in actions:
            try:
                outcomes.append(self._move(action))
            except OSError as error:
                if error.errno == errno.EXDEV:
                    later.append(len(outcomes))
                    outcomes.append(NotPlaced(NOT_YET))
                else:
                    outcomes.append(self._failed(action, error))

    def _move(self, action: Action) -> str:
        folder, name = self._source.of(action.path)
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, "it is a symbolic link", name)
        target, _ = self._targets[action.unsure].of(action.target)
        return in_free_place(partial(move_file, folder, name, target), action.target)

    def _copied(self, actions: Sequence[Action], places: list[int], outcomes: list[Outcome]) -> list[Outcome]:
        """Carry out those at some places by copies, which come into their places when all are whole."""
        outcomes += [NotPlaced(NOT_YET)] * (len(actions) - len(outcomes))
        files: dict[int, Identity] = {}
        hopeless = None
        try:
            for place in places:
                raise_noted()
                try:
                    files[place] = self._copy(actions[place], self.beside(place))
                except (OSError, ValueError) as error:
                    outcomes[place] = self._failed(actions[place], error)
            self._log.copied(files)
            if self._how == "move":
                self._log.sync()
        except BaseException:
            self._drop(actions, files)
            self._log.done(actions, outcomes)
            raise
        for place in files:
            try:
                outcomes[place] = self._in_place(actions[place], self.beside(place))
            except OSError as error:
                hopeless = error
                break
        if self._how == "move":
            self._take_away(actions, files, outcomes)
        self._drop(actions, [place for place in files if not isinstance(outcomes[place], str)])
        self._log.done(actions, outcomes)
        if hopeless:
            raise hopeless
        return outcomes

    def _copy(self, action: Action, beside: str) -> Identity:
        target, _ = self._targets[action.unsure].of(action.target)
        if self._member is not None:
            return write_new(self._member(action.path), target, beside)
        folder, name = self._source.of(action.path)
        if self._how == "move" and not os.access(os.path.dirname(self._source.full(action.path)), os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, "no permission to take it out of its folder", name)
        return copy_file(folder, name, target, beside, sure=self._how == "move")

    def _in_place(self, action: Action, beside: str) -> Outcome:
        try:
            target, _ = self._targets[action.unsure].of(action.target)
            return in_free_place(partial(move_file, target, beside, target), action.target)
        except OSError as error:
            return self._failed(action, error)

    def _take_away(self, actions: Sequence[Action], files: Iterable[int], outcomes: list[Outcome]) -> None:
        """Remove what has been copied, once that would outlive a loss of power."""
        placed = [(place, actions[place], to) for place in files if isinstance(to := outcomes[place], str)]
        for unsure, folder in {(action.unsure, to.rpartition("/")[0]) for _, action, to in placed}:
            with suppress(OSError):  # some are never synced
                os.fsync(self._targets[unsure][folder])
        for place, action, to in placed:
            try:
                self._remove_source(action)
            except OSError as error:
                target, name = self._targets[action.unsure].of(to)
                remove(name, target)
                outcomes[place] = self._why(action, error)

    def _remove_source(self, action: Action) -> None:
        folder, name = self._source.of(action.path)
        if identity(os.stat(name, dir_fd=folder, follow_symlinks=False)) != action.file:
            raise OSError(errno.EIO, "it was changed while it was copied", name)
        os.unlink(name, dir_fd=folder)

    def _drop(self, actions: Sequence[Action], places: Iterable[int]) -> None:
        for place in places:
            with suppress(OSError):
                target, _ = self._targets[actions[place].unsure].of(actions[place].target)
                remove(self.beside(place), target)

    def _failed(self, action: Action, error: Exception) -> Outcome:
        """Why nothing came of an action; an error if nothing will come of any other."""
        if isinstance(error, OSError):
            if self._how == "link" and error.errno == errno.EXDEV:
                raise other_file_system(self._source.root, self._targets[action.unsure].root) from error
            if error.errno in HOPELESS:
                raise OSError(error.errno, error.strerror, self._targets[action.unsure].full(action.target)) from error
        return self._why(action, error)

    def _why(self, action: Action, error: Exception) -> Outcome:
        path, target = self._source.full(action.path), self._targets[action.unsure].full(action.target)
        return NotPlaced(f"{path} cannot be {PAST[self._how]} to {target}: {getattr(error, 'strerror', None) or error}")

    def _settled(self, place: int, action: Action, copied: Identity | None) -> Outcome | None:
        """What came of an action; None if nothing did, and it can be done anew."""
        targets = self._targets[action.unsure]
        try:
            target, _ = targets.of(action.target)
        except OSError:
            return None
        placed = copied and find_placed(targets, action.target, lambda status: identity(status) == copied)
        there = self._status(action)
        if self._how == "link":
            placed = there and find_placed(targets, action.target, partial(os.path.samestat, there))
        elif self._how == "move" and there is not None and identity(there) == action.file:
            placed = placed or find_placed(targets, action.target, partial(os.path.samestat, there))
            if placed:
                try:
                    self._remove_source(action)
                except OSError as error:
                    folder, name = targets.of(placed)
                    remove(name, folder)
                    return self._why(action, error)
        elif self._how == "move" and not placed:
            placed = find_placed(targets, action.target, lambda status: identity(status) == action.file)
            if not placed:
                return NotPlaced(f"{self._source.full(action.path)} was changed meanwhile, or is gone")
        if placed:
            return placed
        remove(self.beside(place), target)
        return None

    def _status(self, action: Action) -> os.stat_result | None:
        with suppress(OSError):
            folder, name = self._source.of(action.path)
            return os.stat(name, dir_fd=folder, follow_symlinks=self._how == "link")
        return None


def _link(name: str, source: int, target: int, new: str) -> None:
    os.link(name, new, src_dir_fd=source, dst_dir_fd=target)


def other_file_system(source: str, target: str) -> ValueError:
    return ValueError(f"how='link' needs {source} and {target} on one file system; they are on two, where 'copy' and 'move' work")
