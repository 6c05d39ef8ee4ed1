"""Folders, archives and files behind URLs: the same rows and bits as of what lies on a disk, and what can go wrong on the way."""

import asyncio
import builtins
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawings import QUICK, TRUNCATED, bar, same, write_answers, write_bars
from pngs import gray_png

from fastmlp.images.content import ImageError, RetryError
from fastmlp.images.folders import classify_folder, extract_features, train_folder
from fastmlp.images.reading import read_chunk, reader
from fastmlp.images.reviewing import review_folder
from fastmlp.images.sorting.sort_run import sort_folder
from fastmlp.images.sources import fetching, remote_file
from fastmlp.images.sources.archives import SPARSE, TAIL
from fastmlp.images.sources.remote_file import is_missing, url_error
from fastmlp.images.sources.source import Chunks, is_collection
from fastmlp.images.sources.urls import is_url, name_within, without_secrets

fsspec = pytest.importorskip("fsspec")
from fsspec.asyn import AsyncFileSystem  # noqa: E402
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402


class FarFileSystem(AsyncFileSystem):
    """What is in memory, as if it were far away. It counts how much is asked for at a time, and fails where it is told to."""

    protocol = "far"
    fails: dict[str, Exception] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012
    given: list[int] = []  # noqa: RUF012
    at_once = most_at_once = 0

    async def _far(self, path):
        kind = type(self)
        kind.asked.append(path)
        kind.at_once += 1
        kind.most_at_once = max(kind.most_at_once, kind.at_once)
        await asyncio.sleep(0.002)
        kind.at_once -= 1
        if error := kind.fails.get(path.strip("/")):
            raise error

    async def _info(self, path, **_):
        await self._far(path)
        return fsspec.filesystem("memory").info(path)

    async def _ls(self, path, detail=True, **_):
        await self._far(path)
        found = fsspec.filesystem("memory").ls(path, detail=detail)
        return [about | ({"type": "other"} if about["name"].endswith(".socket") else {}) for about in found]

    async def _cat_file(self, path, start=None, end=None, **_):
        await self._far(path)
        found = fsspec.filesystem("memory").cat_file(path, start, end)
        if start is not None and not found:
            raise OSError("The requested range is not satisfiable")
        type(self).given.append(len(found))
        return found


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    for name, value in {"fails": {}, "asked": [], "given": [], "at_once": 0, "most_at_once": 0}.items():
        monkeypatch.setattr(FarFileSystem, name, value)
    fsspec.register_implementation("far", FarFileSystem, clobber=True)
    return fsspec.filesystem("memory")


def copied(folder, name="bars"):
    """All files of a folder, in memory; the name of the folder there."""
    memory = fsspec.filesystem("memory")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            memory.pipe(f"/{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return f"memory://{name}"


@pytest.fixture
def folder(tmp_path):
    """Drawings in folders, one of them damaged, and what is no image or is hidden."""
    folder = tmp_path / "bars"
    for place, upright in ({"b": True, "a": False, "a-b": True, "a/deep": True}).items():
        write_bars(folder / place, upright, range(5))
    (folder / "a" / "torn.png").write_bytes(TRUNCATED)
    (folder / "notes.txt").write_text("no image")
    (folder / "named.png").write_text("no image")
    (folder / "[1]*.png").write_bytes(gray_png(bar(True, 3)))
    (folder / "grün.png").write_bytes(gray_png(bar(False, 3)))
    (folder / ".hidden.png").write_bytes(gray_png(bar(True, 3)))
    (folder / "empty.png").write_bytes(b"")
    return folder


def archived(folder, kind):
    path = folder.parent / f"bars.{kind}"
    if kind == "tar":
        with tarfile.open(path, "w") as tar:
            tar.add(folder, ".")
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "deflated.zip" else zipfile.ZIP_STORED) as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, each.relative_to(folder).as_posix())
    return path


def assert_alike(verdicts, others, url, place):
    """Those of a URL are those of a place on the disk, also in what errors call it."""
    errors = [error and error.replace(str(place), url) for error in others.errors]
    same(verdicts, others._replace(errors=errors))
    assert (verdicts.skipped, list(verdicts.retry)) == (others.skipped, list(others.retry))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("protocol", ["memory", "far", "file"])
def test_a_folder_behind_a_url_gives_the_same_rows_and_bits(protocol, strict, threads, folder, classifier):
    url = f"file://{folder}" if protocol == "file" else copied(folder).replace("memory", protocol)
    expected = classify_folder(classifier, folder, strict=strict)
    assert sum(error is None for error in expected.errors) == 22
    assert_alike(classify_folder(classifier, url, threads, strict=strict), expected, url, folder)


@pytest.mark.parametrize("protocol", ["memory", "far"])
@pytest.mark.parametrize("kind", ["zip", "deflated.zip", "tar"])
def test_an_archive_behind_a_url_gives_the_same_rows_and_bits(kind, protocol, folder, classifier, memory):
    path = archived(folder, kind)
    memory.pipe("/archive", path.read_bytes())
    url = f"{protocol}://archive"
    assert_alike(classify_folder(classifier, url), classify_folder(classifier, path), url, path)


def test_an_archive_of_fsspec_is_a_folder_like_others(folder, classifier, memory):
    memory.pipe("/bars.zip", archived(folder, "zip").read_bytes())
    verdicts = classify_folder(classifier, "zip://a::memory://bars.zip")
    same(verdicts, classify_folder(classifier, folder / "a")._replace(errors=verdicts.errors))
    assert [error for error in verdicts.errors if error] == ["zip://a::memory://bars.zip: torn.png is truncated"]


def test_in_a_zip_of_large_members_local_headers_are_fetched_by_themselves(tmp_path, classifier, memory):
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.png", gray_png(bar(number % 2 == 0, number)) + bytes(2 * SPARSE))
    memory.pipe("/large.zip", (tmp_path / "large.zip").read_bytes())
    same(classify_folder(classifier, "far://large.zip"), classify_folder(classifier, tmp_path / "large.zip"))


def test_what_a_file_is_follows_from_its_beginning_and_where_that_tells_nothing_from_its_end(tmp_path, memory):
    picture = gray_png(bar(True, 0)) + bytes(3 * 10**6)
    with tarfile.open(tmp_path / "large.tar", "w") as tar, zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        (tmp_path / "large.png").write_bytes(picture)
        tar.add(tmp_path / "large.png", "large.png")
        archive.write(tmp_path / "large.png", "large.png")
    packed = (tmp_path / "large.zip").read_bytes()
    contents = {"png": picture, "tar": (tmp_path / "large.tar").read_bytes(), "zip": packed, "exe": b"\1" + packed, "empty": b""}
    for name, content in contents.items():
        memory.pipe(f"/large.{name}", content)
        FarFileSystem.given.clear()
        assert is_collection(f"far://large.{name}") == (name in ("tar", "zip", "exe"))
        assert FarFileSystem.given == {"exe": [512, TAIL], "empty": []}.get(name, [512])
    FarFileSystem.given.clear()
    Chunks("far://large.zip")  # lists its directory, and where its member begins
    assert sum(FarFileSystem.given) < 2 * TAIL
    FarFileSystem.given.clear()
    Chunks("far://large.png")
    assert sum(FarFileSystem.given) == 2 * 512


def test_more_files_than_a_chunk_holds_are_read_by_compiled_code_with_the_same_bits(many, monkeypatch):
    monkeypatch.setattr("fastmlp.images.reading.FILES_BY_PILLOW", 0)
    monkeypatch.setattr(fetching, "TOGETHER", 3000)  # some files at a time
    expected, found = extract_features(many, "pixels"), extract_features(copied(many), "pixels")
    assert found.names == expected.names and found.features.tobytes() == expected.features.tobytes()
    assert [name for name, _ in found.errors] == [name for name, _ in expected.errors]


def test_an_extractor_of_ones_own_is_given_the_same_images(folder, monkeypatch):
    monkeypatch.setattr(fetching, "TOGETHER", 200)
    expected = extract_features(folder, lambda gray: gray.mean(axis=0))
    found = extract_features(copied(folder), lambda gray: gray.mean(axis=0))
    assert found.names == expected.names and found.features.tobytes() == expected.features.tobytes()


def test_large_files_are_read_no_further_than_somebody_wants_to_see(folder, classifier, monkeypatch, memory):
    monkeypatch.setattr(fetching, "WHOLE", 100)
    monkeypatch.setattr(fetching, "UNKNOWN", 50)
    memory.pipe("/archive", archived(folder, "zip").read_bytes())
    expected = classify_folder(classifier, folder)
    for url in (copied(folder), "memory://archive"):
        same(classify_folder(classifier, url)._replace(errors=expected.errors), expected)
    files = ["memory://bars/a/000.png", "memory://bars/b/000.png"]
    assert classify_folder(classifier, files).labels == ["lying", "upright"]


def test_an_empty_file_of_which_no_part_is_given_is_no_image(classifier, memory):
    memory.pipe("/empty.png", b"")
    assert classify_folder(classifier, ["far://empty.png"]).errors == ["far://empty.png is empty"]


def test_names_are_in_the_order_of_their_bytes_and_chunks_can_be_sent(folder, classifier):
    chunks = list(Chunks(copied(folder), size=4))
    names = [name for chunk in chunks for name in chunk.paths()]
    assert names == sorted(names, key=str.encode) == [name for chunk in Chunks(folder) for name in chunk.paths()]
    for chunk in pickle.loads(pickle.dumps(chunks)):
        sizes = [(folder / name).stat().st_size for name in chunk.paths()]
        assert chunk.remote and chunk.sizes.tolist() == sizes
        read_chunk(chunk, "ink", strict=False, max_pixels=100)
    left_out = chunks[0].without([True, False, True, False])
    assert left_out.sizes.tolist() == chunks[0].sizes[[1, 3]].tolist()


def test_files_and_folders_far_away_are_asked_for_at_the_same_time(folder):
    list(Chunks(copied(folder).replace("memory", "far")))
    assert FarFileSystem.most_at_once > 1  # folders
    FarFileSystem.most_at_once = 0
    extract_features("far://bars/a/deep", threads=1)
    assert FarFileSystem.most_at_once == 5


def test_what_is_no_file_is_counted_where_it_is_met_though_folders_are_listed_ahead(memory):
    for number in range(3):
        memory.pipe(f"/some/{number}/a.png", b"")
        for other in range(number + 1):
            memory.pipe(f"/some/{number}/{other}.socket", b"")
    assert [chunk.skipped for chunk in Chunks("far://some", size=1)] == [1, 2, 3]


def test_paths_and_urls_may_be_in_one_list(folder, classifier):
    url = copied(folder)
    files = [f"{url}/a/000.png", folder / "b" / "000.png", "far://bars/b/001.png", f"{url}/a", f"{url}/gone.png"]
    verdicts = classify_folder(classifier, files)
    assert verdicts.paths == list(map(str, files))
    assert verdicts.labels == ["lying", "upright", "upright", None, None]
    assert verdicts.errors[4] == f"{url}/gone.png cannot be read: No such file or directory"
    assert classify_folder(classifier, files[2]).labels == ["upright"]
    assert classifier.predict(files[:3]).tolist() == verdicts.labels[:3]


def test_what_has_a_path_is_no_url(tmp_path, monkeypatch, classifier):
    monkeypatch.chdir(tmp_path)
    write_bars(Path("memory:/bars"), True, [1])
    assert not is_url("memory://bars")
    assert classify_folder(classifier, "memory://bars").paths == ["001.png"]


def test_what_a_missing_file_is_laid_to_decides_whether_it_is_missing():
    def told(cause):
        error = FileNotFoundError("far://a")
        error.__cause__ = cause
        return is_missing(error), repr(url_error("far://a", error))

    missing = True, "ImageError('far://a cannot be read: No such file or directory')"
    assert told(None) == told(KeyError("a")) == told(ValueError("NoSuchKey")) == missing
    assert told(ConnectionError("no route")) == (False, "RetryError('far://a cannot be read: no route')")
    for status, kind in ((403, "ImageError"), (404, ""), (429, "RetryError"), (503, "RetryError")):
        answer = Exception("answer")
        answer.status = status
        assert told(answer) == ((False, f"{kind}('far://a cannot be read: answer')") if kind else missing)


@pytest.mark.parametrize("error, retry", [(PermissionError("not yours"), []), (TimeoutError(), [1]), (OSError("reset"), [1])])
def test_a_file_that_cannot_be_read_is_a_row_with_an_error_and_another_try_where_that_may_help(error, retry, folder, classifier):
    url = copied(folder).replace("memory", "far")
    FarFileSystem.fails = {"bars/b/001.png": error}
    verdicts = classify_folder(classifier, f"{url}/b")
    assert verdicts.errors[1] == f"{url}/b/001.png cannot be read: {str(error) or 'it took too long'}"
    assert [error is None for error in verdicts.errors] == [True, False, True, True, True]
    assert list(verdicts.retry) == retry


def test_what_vanishes_or_changes_after_it_was_listed_is_a_row_with_an_error(folder, classifier, memory):
    url = copied(folder / "b")
    (chunk,) = Chunks(url)
    memory.rm("/bars/002.png")
    verdicts = classifier.verdicts(chunk)
    assert verdicts.errors[2] == f"{url}/002.png cannot be read: No such file or directory" and not verdicts.retry
    memory.pipe("/archive", archived(folder, "tar").read_bytes())
    (chunk,) = Chunks("memory://archive")
    memory.pipe("/archive", b"another")
    verdicts = classifier.verdicts(chunk)
    assert set(verdicts.errors) == {"memory://archive was changed after it was listed"}
    assert len(verdicts.retry) == len(verdicts.paths)


def test_a_folder_that_cannot_be_listed_is_a_row_or_if_it_is_the_source_an_error(folder, classifier):
    url = copied(folder).replace("memory", "far")
    FarFileSystem.fails = {"bars/a": PermissionError("not yours")}
    verdicts = classify_folder(classifier, url)
    assert verdicts.errors[verdicts.paths.index("a/")] == f"{url}/a cannot be listed: not yours"
    assert sum(error is None for error in verdicts.errors) == 12
    with pytest.raises(ImageError, match=r"^far://bars/a cannot be read: not yours$"):
        classify_folder(classifier, f"{url}/a")
    FarFileSystem.fails = {"bars": ConnectionError("no network")}
    with pytest.raises(RetryError, match=r"^far://bars cannot be read: no network$"):
        classify_folder(classifier, url)


def test_a_server_that_gives_no_parts_is_told(folder, classifier, monkeypatch, memory):
    (folder / "large.txt").write_bytes(bytes(10**5))
    memory.pipe("/bars.tar", archived(folder, "tar").read_bytes())
    monkeypatch.setattr(remote_file, "AHEAD", 1000)
    whole = MemoryFileSystem.cat_file
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda self, path, *_, **__: whole(self, path))
    with pytest.raises(ImageError, match=r"^memory://bars\.tar cannot be read: its server does not give parts of files$"):
        classify_folder(classifier, "memory://bars.tar")


def test_where_nothing_is_or_nobody_knows_the_protocol_a_sentence_says_so(classifier, memory):
    with pytest.raises(FileNotFoundError, match=r"^memory://nowhere does not exist$"):
        classify_folder(classifier, "memory://nowhere")
    with pytest.raises(ImageError, match=r"^nobody://host/a cannot be read: Protocol not known: nobody$"):
        classify_folder(classifier, "nobody://me:secret@host/a")
    memory.mkdir("/empty")
    with pytest.raises(ValueError, match=r"^memory://empty holds no image file$"):
        classify_folder(classifier, "memory://empty")
    memory.pipe("/notes.txt", b"no image")
    assert not is_collection("memory://notes.txt") and not is_collection("memory://nowhere")
    with pytest.raises(NotADirectoryError, match=r"^memory://notes\.txt is neither a folder nor a tar or zip archive$"):
        train_folder("memory://notes.txt")
    memory.pipe("/packed.gz", b"\x1f\x8b" + bytes(600))
    with pytest.raises(ValueError, match=r"^memory://packed\.gz is compressed by gzip; decompress it first$"):
        classify_folder(classifier, "memory://packed.gz")


@pytest.mark.parametrize("missing, told", [("fsspec", r"pip install 'fastmlp\[cloud\]'"), ("s3fs", "cannot be read: Install s3fs")])
def test_a_missing_package_is_told(missing, told, classifier, monkeypatch):
    real = builtins.__import__

    def lacking(name, *rest):
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(ImageError, match=f"^s3://bucket/scans .*{told}"):
        classify_folder(classifier, "s3://bucket/scans")


def test_secrets_are_not_told():
    assert without_secrets("ftp://me:p@ss@host/a@b") == "ftp://host/a@b"
    assert (
        without_secrets("https://me:pw@host/x?id=1&X-Amz-Signature=abc&sig=d") == "https://host/x?id=1&X-Amz-Signature=...&sig=..."
    )
    assert without_secrets("zip://a::https://me@host/a.zip") == "zip://a::https://host/a.zip"
    assert name_within("s3://bucket", "a.png") == name_within("s3://bucket/", "a.png") == "s3://bucket/a.png"
    assert name_within("memory://", "a.png") == "memory://a.png"


def test_training_reviewing_and_reading_by_path_are_as_of_a_folder(class_folders, memory):
    url = copied(class_folders)
    one, other = train_folder(class_folders, extractor="pixels", **QUICK), train_folder(url, extractor="pixels", **QUICK)
    assert one.networks[0].theta.tobytes() == other.networks[0].theta.tobytes()
    assert other.evaluate(url).score == one.evaluate(class_folders).score
    options = {"extractor": "pixels", "cv": 2, **QUICK}
    review, expected = review_folder(url, **options), review_folder(class_folders, **options)
    assert review.scores.tobytes() == expected.scores.tobytes()
    assert review.paths[0] == "memory://bars/lying/000.png"
    content = (class_folders / "lying" / "000.png").read_bytes()
    memory.pipe("/bars.zip", archived(class_folders, "zip").read_bytes())
    for source in (url, "memory://bars.zip"):
        assert reader(source)("lying/000.png") == content
        with pytest.raises(ImageError, match=r"gone\.png"):
            reader(source)("gone.png")
    assert reader("")(f"{url}/lying/000.png") == content


def test_answer_files_behind_a_url_are_read(flat):
    (flat / "train-images").mkdir()
    for path in flat.glob("*.png"):
        path.rename(flat / "train-images" / path.name)
    url = copied(flat)
    one, other = train_folder(flat, extractor="pixels", **QUICK), train_folder(url, extractor="pixels", **QUICK)
    assert one.networks[0].theta.tobytes() == other.networks[0].theta.tobytes()
    write_answers(flat, "lying", {"000.png": 0})
    copied(flat)
    with pytest.raises(
        ValueError, match=r"^memory://bars/correct-outputs-lying\.txt has no answer for 001\.png, which is in memory://"
    ):
        train_folder(url)


def test_what_is_behind_a_url_cannot_be_sorted(classifier, tmp_path):
    with pytest.raises(ValueError, match=r"^memory://bars must be a folder or an archive on this machine, and is a URL$"):
        sort_folder(classifier, "memory://bars", tmp_path)


def test_it_is_read_where_parts_of_an_archive_are_near_each_other_in_one():
    starts, ends = fetching._runs(np.array([0, 50, 10**6]), np.array([40, 90, 10**6 + 5]))
    assert (starts, ends) == ([0, 10**6], [90, 10**6 + 5])
