"""Images that workers of executors read: the same as threads make of them."""

import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from drawings import MANY, TRUNCATED, same, write_bars

import fastmlp
from fastmlp.executors import engine_of
from fastmlp.images import extractors, sharing_out
from fastmlp.images.sharing_out import each_chunk
from fastmlp.images.sources.source import Chunks
from fastmlp.kernels.notice import Notice


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Two processes that are in another folder."""
    with ProcessPoolExecutor(2, get_context("spawn"), os.chdir, (tmp_path_factory.mktemp("elsewhere"),)) as executor:
        yield executor


@pytest.fixture
def small_tasks(monkeypatch):
    monkeypatch.setattr(sharing_out, "FILES", 100)


def in_order(verdicts):
    order = np.argsort(verdicts.paths)
    rows = [(verdicts.paths[row], verdicts.labels[row], verdicts.scores[row].tobytes(), verdicts.errors[row]) for row in order]
    return rows, verdicts.skipped


def test_same_verdicts_as_of_one_thread(classifier, many, pool, small_tasks):
    expected = fastmlp.classify_folder(classifier, many, threads=1)
    with ThreadPoolExecutor(2) as threads:
        for executor in pool, threads:
            same(fastmlp.classify_folder(classifier, many, executor=executor), expected)
    loose = fastmlp.classify_folder(classifier, many, executor=pool, ordered=False, batch_size=30)
    assert in_order(loose) == in_order(expected)


def test_same_verdicts_by_loky(classifier, many, small_tasks):
    loky = pytest.importorskip("loky")
    with loky.ProcessPoolExecutor(1) as executor:
        same(fastmlp.classify_folder(classifier, many, executor=executor), fastmlp.classify_folder(classifier, many, threads=1))


def test_batches_and_their_total_are_those_of_threads(classifier, many, pool, small_tasks):
    batches = classifier.classify(many, batch_size=100, executor=pool)
    lengths = [len(batch.paths) for batch in batches]
    assert lengths == [len(batch.paths) for batch in classifier.classify(many, 1, 100)]
    assert batches.total == MANY == sum(lengths)


def test_same_options(classifier, many, tmp_path, pool, small_tasks):
    for name in ("a.png", "b.png"):
        shutil.copy(many / "001.png", tmp_path / name)
    (tmp_path / "c.txt").write_text("no image")
    (tmp_path / "d.png").write_bytes(TRUNCATED)
    for options in (
        {"strict": True},
        {"max_pixels": 5},
        {"formats": "png"},
        {"done": lambda paths: np.array([path == "a.png" for path in paths])},
    ):
        expected = fastmlp.classify_folder(classifier, tmp_path, threads=1, **options)
        same(fastmlp.classify_folder(classifier, tmp_path, executor=pool, **options), expected)


def test_relative_names_are_those_of_the_caller(classifier, class_folders, pool, monkeypatch):
    monkeypatch.chdir(class_folders)
    shutil.make_archive("both", "zip", ".", "upright")
    (class_folders / "upright" / "damaged.png").write_bytes(TRUNCATED)
    for source in ("upright", "both.zip", ["upright/001.png", "lying/no.png", str(class_folders / "lying" / "002.png")]):
        expected = fastmlp.classify_folder(classifier, source, threads=1)
        same(fastmlp.classify_folder(classifier, source, executor=pool), expected)


def test_an_archive_that_was_changed_is_told_by_its_name(classifier, class_folders, pool, monkeypatch):
    monkeypatch.chdir(class_folders)
    shutil.make_archive("one", "tar", ".", "upright")
    batches = classifier.classify("one.tar", executor=pool)
    shutil.make_archive("one", "tar", ".", "lying")
    (found,) = batches
    assert set(found.errors) == {"one.tar was changed after it was listed"} and len(found.retry) == 14


def test_urls_are_read_by_workers(classifier, class_folders, pool):
    pytest.importorskip("fsspec")
    for source in f"file://{class_folders}", [f"file://{path}" for path in sorted(class_folders.rglob("*.*"))]:
        expected = fastmlp.classify_folder(classifier, source)
        assert len(expected.paths) == 28
        same(fastmlp.classify_folder(classifier, source, executor=pool), expected)


def test_a_source_that_workers_do_not_see_is_an_error(classifier, class_folders, pool):
    archive = shutil.make_archive(str(class_folders / "one"), "tar", class_folders, "upright")
    batches = classifier.classify(archive, executor=pool)
    os.remove(archive)
    with pytest.raises(FileNotFoundError, match=r"one.tar is not there for a worker on .+: all workers must see the source"):
        next(batches)


def test_a_folder_that_is_another_one_for_workers_is_an_error(classifier, tmp_path, pool, monkeypatch):
    monkeypatch.setattr(sharing_out, "FILES", 5)
    write_bars(folder := tmp_path / "bars", True, range(100))
    batches = classifier.classify(folder, executor=pool, batch_size=5)
    next(batches)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"bars is not there for a worker on .+: all workers must see the source"):
        list(batches)


def test_what_one_process_has_in_memory_is_not_there_for_others(classifier, many, pool):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.put(f"{many}/", "/sharing-out/", recursive=True)
    try:
        with ThreadPoolExecutor(1) as threads:
            assert len(fastmlp.classify_folder(classifier, "memory://sharing-out", executor=threads).paths) == MANY
        with pytest.raises(FileNotFoundError, match=r"memory://sharing-out is not there for a worker on .+: all workers must see"):
            fastmlp.classify_folder(classifier, "memory://sharing-out", executor=pool)
    finally:
        memory.rm("/sharing-out", recursive=True)


def test_same_features(many, pool, small_tasks):
    expected, found = fastmlp.extract_features(many, "pixels", threads=1), fastmlp.extract_features(many, "pixels", executor=pool)
    assert (found.names, found.errors) == (expected.names, expected.errors)
    assert found.features.tobytes() == expected.features.tobytes()


def test_threads_and_an_executor_exclude_each_other(classifier, many, pool):
    for call in (classifier.classify, lambda *args, **options: fastmlp.extract_features(args[0], **options)):
        with pytest.raises(ValueError, match="threads must be left out where executor is given"):
            call(many, threads=2, executor=pool)
        with pytest.raises(TypeError, match="executor must be"):
            call(many, executor=4)


class Noting(ThreadPoolExecutor):
    """What it is given to do, as lists of chunks."""

    def submit(self, function, *args):
        self.tasks = [*getattr(self, "tasks", ()), next(arg for arg in args if isinstance(arg, list))]
        return super().submit(function, *args)


def test_tasks_are_large():
    for ending, count, sizes in [("png", 50_000, [24_512, 25_488]), ("jpg", 2500, [1008, 1008, 484])]:
        with Noting(1) as executor:
            names = [f"{number}.{ending}" for number in range(count)]
            found = sum(each_chunk(lambda chunk: chunk.length, Chunks(names), engine_of(executor)))
        assert found == count
        assert [sum(chunk.length for chunk in task) for task in executor.tasks] == sizes


def test_tasks_of_many_small_folders_of_which_few_are_known_ahead_are_no_larger(tmp_path, monkeypatch):
    monkeypatch.setattr(sharing_out, "FILES", 20)
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        for name in "abc":
            (tmp_path / str(folder) / name).touch()
    with Noting(16) as executor:
        assert sum(each_chunk(lambda chunk: chunk.length, Chunks(tmp_path, size=5), engine_of(executor))) == 300
    assert max(sum(chunk.length for chunk in task) for task in executor.tasks) <= 3 * 20


def compile_something(*_):
    Notice().begin("names.sort_names", None)
    return os.getpid()


def test_a_worker_tells_what_it_compiles(tmp_path, capfd):
    write_bars(tmp_path, True, [1])
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        (worker,) = each_chunk(compile_something, Chunks(tmp_path), engine_of(executor))
    assert worker != os.getpid()
    assert capfd.readouterr().err == "fastmlp: compiling sorting of names, once: ~3 s\n"
    with ThreadPoolExecutor(1) as executor:  # which is of the caller's process, that may have asked or not
        list(each_chunk(compile_something, Chunks(tmp_path), engine_of(executor)))
    assert capfd.readouterr().err == ""


def darkest(image):
    return [float(image.min()), float(image.mean())]


def test_functions_that_can_be_sent_extract_features_too(many, pool, small_tasks):
    expected, found = fastmlp.extract_features(many, darkest, threads=1), fastmlp.extract_features(many, darkest, executor=pool)
    assert found.names == expected.names and found.features.tobytes() == expected.features.tobytes()
    with pytest.raises(ValueError, match="what is given to an executor must be such as can be sent to workers: "):
        fastmlp.extract_features(many, lambda image: [1.0], executor=pool)


def test_compiled_code_is_never_sent(classifier):
    for extractor in extractors.EXTRACTORS.values():
        pickled = pickle.dumps(extractor)
        assert b"numba.core" not in pickled and pickle.loads(pickled) is extractor
    assert b"numba.core" not in pickle.dumps(classifier)
