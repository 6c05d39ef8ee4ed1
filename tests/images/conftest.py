"""Folders of drawings, a classifier of them, and folders of odd things."""

import os
import socket
import stat
import subprocess

import pytest
from drawings import MANY, QUICK, TRUNCATED, write_answers, write_bars
from trees import NAMES, make

from fastmlp.images.folders import train_folder


@pytest.fixture
def class_folders(tmp_path):
    write_bars(tmp_path / "upright", True, range(14))
    write_bars(tmp_path / "lying", False, range(14))
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    """Images 000 to 003 beside the answer files, whose order is 2, 0, 3, 1."""
    write_bars(tmp_path, True, [0, 1])
    write_bars(tmp_path, False, [2, 3])
    write_answers(tmp_path, "upright", {"002.png": 0, "000.png": 1, "003.png": 0, "001.png": 1})
    write_answers(tmp_path, "lying", {"002.png": 1, "000.png": 0, "003.png": 1, "001.png": 0})
    return tmp_path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    write_bars(folder / "upright", True, range(14))
    write_bars(folder / "lying", False, range(14))
    return train_folder(folder, extractor="pixels", **QUICK)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """More files than two chunks hold, of which every fiftieth cannot be read."""
    folder = tmp_path_factory.mktemp("many")
    write_bars(folder, True, range(MANY))
    for number in range(0, MANY, 50):
        (folder / f"{number:03}.png").write_bytes(TRUNCATED)
    return folder


@pytest.fixture
def tree(tmp_path):
    make(tmp_path, *NAMES, ".hidden.png", ".git/d.png", "a/.b/c.png", "a/.c.png")
    return tmp_path


@pytest.fixture
def odd_things(tree, monkeypatch):
    """A folder with a pipe, a socket, links to them and, if may be, a device."""
    os.mkfifo(tree / "pipe.png")
    os.mkfifo(tree / ".hidden pipe")
    os.symlink("pipe.png", tree / "to-pipe.png")
    os.symlink("/dev/null", tree / "to-null.png")
    things = ["pipe.png", "to-pipe.png", "to-null.png", "a/socket.png"]
    monkeypatch.chdir(tree / "a")  # the address of a socket has to be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.png")
    try:
        os.mknod(tree / "null.png", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pass
    else:
        things.append("null.png")
    return tree, things


@pytest.fixture
def deep(tmp_path):
    """A function that makes so many folders in one another, with a file in each; however long the path becomes."""

    def dig(depth, name):
        place = os.open(tmp_path, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir(name, dir_fd=place)
            inner = os.open(name, os.O_RDONLY, dir_fd=place)
            os.close(os.open("f", os.O_CREAT, dir_fd=inner))
            os.close(place)
            place = inner
        os.close(place)
        return tmp_path

    yield dig
    subprocess.run(["rm", "-rf", tmp_path], check=True)  # shutil.rmtree is recursive
