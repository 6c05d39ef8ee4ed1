"""A folder is listed by compiled code as the system lists it, and what that cannot say is told."""

import os
import socket

import numpy as np
import pytest

from fastmlp.kernels.images import entries
from fastmlp.kernels.images.entries import END, MORE, OTHER

pytestmark = pytest.mark.skipif(not entries.POSSIBLE, reason="the system has no getdents64")


def listed(folder):
    """All names, and why each call of the kernel ended."""
    names, records = np.empty(entries.BLOCKS * entries.BLOCK, np.uint8), np.empty(entries.BLOCK, np.uint8)
    found, states = b"", [MORE]
    file = os.open(folder, entries.FLAGS)
    try:
        while states[-1] == MORE:
            size, state = entries.list_entries(names, records, file)
            found += names[:size].tobytes()
            states.append(state)
    finally:
        os.close(file)
    return found.split(b"\0")[:-1], states[1:]


def expected(folder):
    with os.scandir(os.fsencode(folder)) as found:
        return sorted(entry.name + b"/" * entry.is_dir() for entry in found if not entry.name.startswith(b"."))


def test_an_empty_folder_has_no_names(tmp_path):
    assert listed(tmp_path) == ([], [END])
    (tmp_path / ".hidden").touch()
    (tmp_path / ".folder").mkdir()
    os.symlink(".hidden", tmp_path / ".link")
    assert listed(tmp_path) == ([], [END])


def test_files_and_folders_with_names_of_any_bytes(tmp_path):
    for length in (1, 2, 5, 6, 7, 8, 254, 255):
        os.mkdir(os.path.join(os.fsencode(tmp_path), b"\xff" * length))
        with open(os.path.join(os.fsencode(tmp_path), b"\n" * length), "wb"):
            pass
    names, states = listed(tmp_path)
    assert sorted(names) == expected(tmp_path) and len(names) == 16
    assert states == [END]


def test_more_names_than_fit_in_a_block_and_in_all_blocks(tmp_path):
    for number in range(1100):
        (tmp_path / f"{number:0255}").touch()
    names, states = listed(tmp_path)
    assert sorted(names) == expected(tmp_path) and len(names) == 1100
    assert states == [MORE] * (len(states) - 1) + [END] and len(states) > 1  # 300 KiB of records


@pytest.mark.parametrize("kind", ["link", "pipe", "socket"])
def test_what_is_neither_a_file_nor_a_folder_ends_it(tmp_path, kind, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.chdir(tmp_path)
    if kind == "link":
        os.symlink("a", "x")
    elif kind == "pipe":
        os.mkfifo("x")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("x")
    names, states = listed(tmp_path)
    assert set(names) <= {b"a"} and states == [OTHER]


def test_what_is_no_open_folder_ends_it(tmp_path):
    (tmp_path / "a").touch()
    names, records = np.empty(entries.BLOCKS * entries.BLOCK, np.uint8), np.empty(entries.BLOCK, np.uint8)
    file = os.open(tmp_path / "a", os.O_RDONLY)
    try:
        assert entries.list_entries(names, records, file) == (0, OTHER)
    finally:
        os.close(file)
    assert entries.list_entries(names, records, -1) == (0, OTHER)
