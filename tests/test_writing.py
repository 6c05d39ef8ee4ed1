"""Files that are written: beside their place, over nothing but their like, whole or not at all."""

import errno
import os
import re
import stat

import numpy as np
import pytest
from model_files import assert_refused, image_classifier, network, round_trip, same_network

import fastmlp
from fastmlp import writing


@pytest.mark.parametrize("moment", ["write_array", "fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, moment, failure):
    path = tmp_path / "m.npz"
    network((1, 1)).save(path)
    before = path.read_bytes()

    def fail(*args, **options):
        raise failure

    monkeypatch.setattr(np.lib.format if moment == "write_array" else os, moment, fail)
    with pytest.raises(type(failure)) as caught:
        network().save(path)
    assert isinstance(failure, KeyboardInterrupt) or caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_names_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def refuse(path, *args, **options):
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(writing, "open", refuse, raising=False)
    with pytest.raises(OSError, match="Read-only") as caught:
        network().save(tmp_path / "m.npz")
    assert caught.value.filename == str(tmp_path / "m.npz")


def test_a_saved_file_has_usual_permissions_or_those_of_the_one_that_it_replaces(tmp_path):
    path = tmp_path / "m.npz"
    network((1, 1)).save(path)
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    path.chmod(0o600)
    network().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert same_network(fastmlp.load(path), network())


def test_a_file_that_replaces_a_private_one_is_never_open_to_others(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    network((1, 1)).save(path)
    path.chmod(0o600)
    modes, fsync = [], os.fsync

    def look(descriptor):
        modes.extend(stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    network().save(path)
    assert set(modes) == {0o600} and len(modes) == 3  # two files, and then one


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_replaces_another_keeps_its_owner(tmp_path):
    path = tmp_path / "m.npz"
    network((1, 1)).save(path)
    os.chown(path, 1234, 4321)
    network().save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_the_folder_is_synced_once_a_file_is_in_its_place(tmp_path, monkeypatch):
    path, synced = tmp_path / "m.npz", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_ino, path.exists())))
    network().save(path)
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_folder_of_a_kind_that_is_never_synced_is_written_all_the_same(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    network().save(tmp_path / "m.npz")
    assert same_network(fastmlp.load(tmp_path / "m.npz"), network())


def array_file(path):
    np.savez(path, header=np.arange(3.0), theta_0=np.zeros(5))


@pytest.mark.parametrize(
    "write",
    [lambda path: path.write_bytes(b"notes"), array_file, lambda path: path.write_bytes(b"PK\3\4 and so on")],
    ids=["text", "arrays", "zip"],
)
@pytest.mark.parametrize("linked", [False, True])
def test_nothing_but_a_model_is_written_over(write, linked, tmp_path):
    path = tmp_path / "m.npz"
    write(path)
    before = path.read_bytes()
    name = tmp_path / "link.npz" if linked else path
    if linked:
        name.symlink_to(path)
    with pytest.raises(ValueError, match=f"{re.escape(str(name))} cannot be written: it is there and is not a fastmlp model$"):
        network().save(name)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1 + linked


@pytest.mark.parametrize(
    "model", [network(), image_classifier("softmax"), image_classifier("one-vs-rest")], ids=["network", "1", "2"]
)
def test_any_model_and_an_empty_file_are_written_over(model, tmp_path):
    (tmp_path / "m.npz").touch()
    round_trip(model, tmp_path)
    assert same_network(round_trip(network(), tmp_path), network())
    round_trip(model, tmp_path)


def test_what_is_not_whole_has_a_name_of_its_own_beside_the_file(tmp_path):
    assert writing.unfinished("folder/a.b.csv") == "folder/a.b.unfinished.csv"
    assert writing.unfinished("a", 3) == "a.unfinished-3"
    (tmp_path / "other").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "other" / "a.csv")
    assert writing.unfinished(tmp_path / "link.csv") == str(tmp_path / "other" / "a.unfinished.csv")
    for name in ("a.unfinished.csv", "a.unfinished-2.csv", "a.unfinished-3.csv"):
        assert writing.free_unfinished(tmp_path / "a.csv") == str(tmp_path / name)
        (tmp_path / name).touch()


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "m.npz")
    network().save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink() and (tmp_path / "m.npz").is_file()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "no" / "m.npz"))):
        network().save(tmp_path / "no" / "m.npz")
    with pytest.raises(ValueError, match="not a regular file"):
        network().save(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_device_is_neither_replaced_nor_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="not a regular file"):
        network().save(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert_refused(pipe, "not a regular file")
