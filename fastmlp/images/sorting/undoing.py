"""undo_sort: what a log of sorting tells is taken back."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import NamedTuple

from fastmlp import checks, interrupts
from fastmlp.images.sorting.carrying import Carrier
from fastmlp.images.sorting.placing import Folders, copy_file, identity, move_file, remove, same_files
from fastmlp.images.sorting.sort_log import Action, LogContents, SortLog, header_of, read_log
from fastmlp.images.sources.source import path_of
from fastmlp.writing import StrPath


class Undone(NamedTuple):
    """What has come of taking back."""

    images: int
    """How many copies and links were removed, or files moved back."""
    left: list[tuple[str, str]]
    """The path of each file that was left as it is, and why. Then the log is left, too."""
    gone: int = 0
    """How many were no longer there: removed or renamed by somebody, or taken back before."""

    def __repr__(self) -> str:
        gone = f"; {self.gone} no longer there" if self.gone else ""
        return f"<Undone {self.images} images; {len(self.left)} left as they are{gone}>"


@checks.takes_options()
def undo_sort(log: StrPath, *, dry_run: bool = False) -> Undone:
    """Take back what `sort_folder` has done.

    Copies and links are removed if they still are what was made, and what they were made of is still there; what was moved is moved
    back, where nothing is there by now. Then the folders that were made are removed, if they are empty, and the log. Whatever ends
    it, the same call goes on.

    Parameters
    ----------
    log : path
        That of the log, in the folder of the classes.
    dry_run : bool
        Whether nothing is done, but to count.

    Returns
    -------
    Undone
        How many images were taken back, which were left as they are, and why, and how many were no longer there.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, between two files.
    OSError, ValueError
        If the log cannot be read or is damaged, does not lie where it was written, or is at work.
    """
    path = os.path.realpath(path_of(log))
    if header_of(path) is None:
        raise ValueError(f"{os.fspath(log)} is no log of fastmlp sort")
    with interrupts.noted(), ExitStack() as stack:
        written = None if dry_run else stack.enter_context(closing(SortLog(path)))
        contents = read_log(path)
        if contents.header["dest"] != os.path.dirname(path):
            raise ValueError(f"{path} cannot be taken back: it was written in {contents.header['dest']}")
        if written is not None:
            written.cut(contents.end)
            if not contents.undone:
                written.undo()
        taken = _Taking(stack, contents, written)
        count, gone, left = 0, 0, []
        for action in taken.actions():
            interrupts.raise_noted()
            try:
                was_there = taken.back(action)
                count, gone = count + was_there, gone + (not was_there)
            except OSError as error:
                place = taken.targets[action.unsure].full(action.target)
                left.append((place, f"{place} is left as it is: {error.strerror or error}"))
        if written is not None:
            taken.close()
            taken.remove_folders()
            if not left:
                os.unlink(path)
                if contents.header.get("made") is True:
                    with suppress(OSError):
                        os.rmdir(contents.header["dest"])
        return Undone(count, left, gone)


class _Taking:
    """What a log tells, taken back; or only looked at, if the log is not written."""

    def __init__(self, stack: ExitStack, contents: LogContents, log: SortLog | None) -> None:
        header = contents.header
        self._contents, self._log, self._how = contents, log, header["how"]
        self._source_path = header["source"]
        is_archive = self._archive = header.get("archive")
        source = "" if is_archive else header["source"]
        self._source = stack.enter_context(closing(Folders(source, (lambda folder: None) if self._how == "move" else None)))
        folders = (header["dest"], header["unsure"])
        self.targets = (
            stack.enter_context(closing(Folders(folders[0]))),
            stack.enter_context(closing(Folders(folders[1]))),
        )

    def actions(self) -> Iterator[Action]:
        """What was done, the last first."""
        contents, log = self._contents, self._log
        if log is not None and contents.pending:
            carrier = Carrier(self._how, self._source, self.targets, log, contents.header["id"], None)
            outcomes, _ = carrier.settle(contents.pending, contents.copied)
            for place, (action, to) in enumerate(zip(contents.pending, outcomes, strict=True)):
                if isinstance(to, str):
                    yield action._replace(target=to, file=contents.copied.get(place, action.file))
        yield from reversed(contents.placed)

    def back(self, action: Action) -> bool:
        """Take back one action; whether there was anything to do. An OSError says why it cannot be."""
        try:
            target, name = self.targets[action.unsure].of(action.target)
            status = os.stat(name, dir_fd=target, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            if self._how == "move" and not os.path.lexists(self._source.full(action.path)):
                raise OSError(errno.ENOENT, "it is gone, and so is what it was before") from None
            return False
        if self._how == "move":
            return self._move_back(action, target, name, status)
        if self._how == "link":
            folder, own = self._of_source(action)
            if not os.path.samestat(os.stat(own, dir_fd=folder), status):
                raise OSError(errno.EINVAL, "it is no longer the link that was made")
        elif self._archive:
            there = os.stat(self._source_path)
            if [there.st_size, there.st_mtime_ns] != self._archive:
                raise OSError(errno.EINVAL, "the archive that it was copied from was changed")
        else:
            folder, own = self._of_source(action)
            if not action.file or os.stat(own, dir_fd=folder).st_size != action.file.size:
                raise OSError(errno.EINVAL, "what it was copied from was changed")
        if self._how == "copy" and (not action.file or identity(status)[1:] != action.file[1:]):
            raise OSError(errno.EINVAL, "it was changed")
        if self._log is not None:
            remove(name, target)
        return True

    def _of_source(self, action: Action) -> tuple[int, str]:
        try:
            folder, name = self._source.of(action.path)
            os.stat(name, dir_fd=folder)
        except OSError:
            raise OSError(errno.ENOENT, "what it was made of is gone") from None
        return folder, name

    def _move_back(self, action: Action, target: int, name: str, status: os.stat_result) -> bool:
        path = self._source.full(action.path)
        if self._log is None:
            if os.path.lexists(path):
                raise OSError(errno.EEXIST, f"{path} is there again")
            return True
        self._make_folders(os.path.dirname(action.path))
        folder, own = self._source.of(action.path)
        beside = f".fastmlp-{self._contents.header['id']}-back"
        try:
            try:
                move_file(target, name, folder, own)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                copy_file(target, name, folder, beside, sure=True)
                try:
                    move_file(folder, beside, folder, own)
                finally:
                    remove(beside, folder)
                with suppress(OSError):
                    os.fsync(folder)
                remove(name, target)
        except FileExistsError:
            there = os.stat(own, dir_fd=folder, follow_symlinks=False)  # by this call, before it was killed
            if identity(there)[1:] != identity(status)[1:] or not same_files(folder, own, target, name):
                raise OSError(errno.EEXIST, f"{path} is there again") from None
            remove(name, target)
        return True

    def _make_folders(self, folder: str) -> None:
        with suppress(FileExistsError):
            os.makedirs(os.path.join(self._source.root, folder), exist_ok=True)

    def close(self) -> None:
        for folders in self.targets:
            folders.close()

    def remove_folders(self) -> None:
        """Those that were made, if they are empty."""
        for folder, unsure in reversed(self._contents.made):
            with suppress(OSError):
                os.rmdir(self.targets[unsure].full(folder) if folder else self.targets[unsure].root)
