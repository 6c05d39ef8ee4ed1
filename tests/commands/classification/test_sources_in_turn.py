"""Folders, archives and files one after another: their paths, their bytes, and what is left of them."""

import tarfile
from array import array

import numpy as np
import pytest
from command_line import IMAGES

import fastmlp
from fastmlp.commands.classification.resuming import among
from fastmlp.commands.classification.sources_in_turn import SourcesInTurn


@pytest.fixture(scope="module")
def model():
    network = fastmlp.MLP.from_weights([np.ones((3, 2))], [np.zeros(2)], output="softmax", classes=["a", "b"])
    return fastmlp.ImageClassifier(["a", "b"], (network,), "ink", "softmax")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A folder, a tar, and two files, one of them missing."""
    monkeypatch.chdir(tmp_path)
    data = (IMAGES / "tc-1.png").read_bytes()
    for name in ("folder/sub/x.png", "folder/y.png", "z.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with tarfile.open("images.tar", "w") as tar:
        tar.add("folder/y.png", "in/t.png")
    return ["folder", "images.tar", "z.png", "missing.png"]


def paths_of(batches):
    return [path for verdicts, _ in batches for path in verdicts.paths]


def test_paths_are_within_a_source_that_stands_alone_and_below_each_of_several(model, sources):
    assert paths_of(SourcesInTurn(sources[:1]).batches(model, None)) == ["sub/x.png", "y.png"]
    assert paths_of(SourcesInTurn(sources[1:2]).batches(model, None)) == ["in/t.png"]
    assert paths_of(SourcesInTurn(sources[2:3]).batches(model, None)) == ["z.png"]
    expected = ["folder/sub/x.png", "folder/y.png", "images.tar/in/t.png", "z.png", "missing.png"]
    assert paths_of(SourcesInTurn(sources).batches(model, None)) == expected
    assert paths_of(SourcesInTurn(["folder/"] * 2).batches(model, None)) == expected[:2] * 2


def test_every_path_can_be_read_and_left_out(model, sources):
    for some in (sources[:1], sources[1:2], sources[2:3], sources[:3]):
        paths = paths_of(SourcesInTurn(some).batches(model, None))
        for path in paths:
            assert SourcesInTurn(some).read(path).startswith(b"\x89PNG")
            rest = SourcesInTurn(some).batches(model, among(array("q", [hash(path)])))
            assert paths_of(rest) == [other for other in paths if other != path]


def test_of_several_sources_one_without_images_is_a_row_that_failed(model, sources, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no image file"):
        list(SourcesInTurn(["empty"]).batches(model, None))
    verdicts = [verdicts for verdicts, _ in SourcesInTurn(["empty", "z.png"]).batches(model, None) if verdicts.paths]
    assert [each.paths for each in verdicts] == [["empty"], ["z.png"]]
    assert verdicts[0].errors == ["empty holds no image file"] and verdicts[0].labels == [None]
    assert paths_of(SourcesInTurn(["empty", "z.png"]).batches(model, among(array("q", [hash("empty")])))) == ["z.png"]


def test_what_is_left_is_known_for_the_last_source(model, sources):
    files = ["z.png"] * 3
    assert [left for _, left in SourcesInTurn(files).batches(model, None)][-1] == 0
    assert next(left for _, left in SourcesInTurn([*files, "folder"]).batches(model, None)) is None


def test_names_of_files_within_a_folder_are_those_of_its_rows(sources):
    assert list(SourcesInTurn(["folder"]).names_of(["folder/sub/x.png"])) == ["sub/x.png"]
    assert "folder/sub/x.png" in SourcesInTurn(sources).names_of(["folder/sub/x.png"])
    assert list(SourcesInTurn(["z.png"]).names_of(["folder/sub/x.png"])) == []


def test_an_image_has_a_place_unless_it_is_in_an_archive(sources):
    several = SourcesInTurn(sources)
    assert [several.place(path) for path in ("folder/sub/x.png", "images.tar/in/t.png", "z.png")] == [
        "folder/sub/x.png",
        None,
        "z.png",
    ]
    assert [SourcesInTurn(sources[part : part + 1]).place("y.png") for part in (0, 1)] == ["folder/y.png", None]
