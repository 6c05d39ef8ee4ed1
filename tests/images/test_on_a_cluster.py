"""A cluster of Dask on this machine, of which workers are killed, come late, or have no scheduler any more."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np
import pytest
from command_line import classified, interrupt_after
from drawings import same, write_bars

import fastmlp
from fastmlp import executors
from fastmlp.commands import cluster as cluster_of_command
from fastmlp.commands.main import main
from fastmlp.images import sharing_out

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

# Dask leaves sockets and loops to be collected, and tells of busy machines.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:distributed"),
]
CONFIG = {
    "distributed.scheduler.allowed-failures": 1000,
    "distributed.comm.timeouts.connect": "2s",
    "distributed.admin.tick.limit": "1h",
    "logging.distributed": "critical",
}
WORKERS, FILES, KILLS, PATIENCE = 4, 400, 10, 60
BIG = 1 << 20
NET = f"10.213.{os.getpid() >> 6 & 255}."  # of which each process has four addresses
NET1, NET2 = (f"{NET}{(os.getpid() & 63) * 4 + end}" for end in (1, 2))


@pytest.fixture(scope="module")
def cluster():
    how = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with dask.config.set(CONFIG), distributed.LocalCluster(n_workers=WORKERS, **how) as local:
        yield local


@pytest.fixture(scope="module")
def client(cluster):
    with distributed.Client(cluster, set_as_default=False) as one:
        yield one


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("many")
    write_bars(path, True, range(FILES))
    return path


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    monkeypatch.setattr(sharing_out, "FILES", 1)  # a chunk, that is


@contextmanager
def killing(cluster, times):
    """Workers are killed at random moments, so many times within it at least."""
    enough, ended = Event(), Event()

    def kill():
        draw, done = random.Random(0), 0
        while not ended.is_set():
            time.sleep(draw.uniform(0.05, 0.4))
            alive = [nanny.process.pid for nanny in list(cluster.workers.values()) if nanny.process and nanny.process.pid]
            if alive:
                with suppress(ProcessLookupError):
                    os.kill(draw.choice(alive), signal.SIGKILL)
                    done += 1
            if done == times:
                enough.set()
                return

    killer = Thread(target=kill)
    killer.start()
    try:
        yield enough
    finally:
        ended.set()
        killer.join()


def test_same_bits_as_of_one_thread(classifier, folder, client):
    expected = fastmlp.classify_folder(classifier, folder, threads=1)
    for executor in client, client.get_executor():
        same(fastmlp.classify_folder(classifier, folder, executor=executor), expected)
    features, found = fastmlp.extract_features(folder, threads=1), fastmlp.extract_features(folder, executor=client)
    assert features.names == found.names and features.features.tobytes() == found.features.tobytes()


def test_nothing_is_lost_or_doubled_when_workers_are_killed(classifier, folder, cluster, client, monkeypatch):
    expected, runs = fastmlp.classify_folder(classifier, folder, threads=1, batch_size=20), 0
    end = time.monotonic() + PATIENCE
    with killing(cluster, KILLS) as enough:
        while not enough.is_set() or not runs:
            assert time.monotonic() < end
            monkeypatch.setattr(executors, "WITH_EACH", runs % 2 * BIG)
            same(fastmlp.classify_folder(classifier, folder, executor=client, batch_size=20), expected)
            runs += 1


def test_what_all_workers_had_is_made_again_when_all_are_killed(classifier, folder, cluster, client, monkeypatch):
    monkeypatch.setattr(executors, "WITH_EACH", 0)
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    batches = classifier.classify(folder, batch_size=10, executor=client)
    found = [next(batches)]
    for nanny in cluster.workers.values():
        os.kill(nanny.process.pid, signal.SIGKILL)
    found += batches
    assert [path for batch in found for path in batch.paths] == sorted(path.name for path in folder.iterdir())


def test_a_worker_that_comes_late_takes_its_share(classifier, folder, cluster, client):
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    expected = fastmlp.classify_folder(classifier, folder, threads=1, batch_size=10)
    batches = classifier.classify(folder, batch_size=10, executor=client)
    found = [next(batches)]
    cluster.scale(WORKERS + 1)
    client.wait_for_workers(WORKERS + 1, timeout=PATIENCE)
    found += batches
    assert [path for batch in found for path in batch.paths] == expected.paths
    assert np.concatenate([batch.scores for batch in found]).tobytes() == expected.scores.tobytes()
    assert min(client.run(lambda dask_worker: dask_worker.state.executed_count).values()) > 0
    cluster.scale(WORKERS)


def test_the_commands_write_the_same(classifier, folder, cluster, client, tmp_path, capsys):
    model, one, two = tmp_path / "model.npz", tmp_path / "one.csv", tmp_path / "two.csv"
    classifier.save(model)
    address = ["--dask", cluster.scheduler_address]
    assert classified(model, folder, "-o", one) == classified(model, folder, "-o", two, *address) == 0
    assert one.read_bytes() == two.read_bytes()
    whole = two.read_bytes()
    two.write_bytes(whole[: len(whole) // 2])
    assert classified(model, folder, "-o", two, "--resume", *address) == 0
    assert two.read_bytes() == whole
    for path, more in ((one, []), (two, address)):
        path.unlink()
        assert main(["features", str(folder), "-o", str(path), *more]) == 0
    assert one.read_bytes() == two.read_bytes()
    capsys.readouterr()


def test_images_to_train_on_are_read_by_workers(class_folders, cluster, client, tmp_path_factory, capsys):
    models = [tmp_path_factory.mktemp("models") / name for name in ("one.npz", "two.npz")]
    for model, more in zip(models, ([], ["--dask", cluster.scheduler_address, "--threads", "1"]), strict=True):
        train = ["train", str(class_folders), "-o", str(model), "--hidden", "4", "--epochs", "3", "--seed", "1", *more]
        assert main(train) == 0
    one, two = map(fastmlp.load, models)
    assert one.networks[0].theta.tobytes() == two.networks[0].theta.tobytes()
    capsys.readouterr()


@pytest.mark.parametrize("options", [["--members", "4"], ["--learning-rate", "0.01,0.1", "--halving", "2"], ["--cv", "3"]])
def test_several_networks_are_trained_by_workers(options, class_folders, cluster, client, tmp_path, capsys):
    table, address = tmp_path / "t.csv", ["--dask", cluster.scheduler_address]
    rows = np.random.default_rng(0).normal(size=(60, 2)).round(3)
    table.write_text("a,b,y\n" + "".join(f"{a},{b},{'u' if a > b else 'v'}\n" for a, b in rows.tolist()))
    how = ["--hidden", "4", "--epochs", "4", "--seed", "1", *options]
    for source in [[table, "--target", "y"]] + ([[class_folders]] if "--cv" not in options else []):
        for model, more in (("one.npz", []), ("two.npz", address)):
            assert main(["train", *map(str, source), "-o", str(tmp_path / model), *how, *more]) == 0
        one, two = (fastmlp.load(tmp_path / model).networks for model in ("one.npz", "two.npz"))
        assert [network.theta.tobytes() for network in one] == [network.theta.tobytes() for network in two]
    capsys.readouterr()
    assert main(["train", str(table), "--target", "y", "-o", str(tmp_path / "m.npz"), *address]) == 2
    assert "--dask trains several networks on a table: give it with --members, --halving or --cv" in capsys.readouterr().err


def test_ctrl_c_leaves_whole_rows_and_cancels_what_is_under_way(classifier, folder, cluster, client, tmp_path, capsys, monkeypatch):
    model, one, two = tmp_path / "model.npz", tmp_path / "one.csv", tmp_path / "two.csv"
    classifier.save(model)
    assert classified(model, folder, "-o", one) == 0
    more = [model, folder, "-o", two, "--dask", cluster.scheduler_address]
    with monkeypatch.context() as patch:
        interrupt_after(patch, "fastmlp.commands.classification.rows.CsvRows.text", 2, KeyboardInterrupt())
        assert classified(*more) == 130
    part = two.read_bytes()
    assert one.read_bytes().startswith(part) and part.endswith(b"\n") and part.count(b"\n") == 1 + 64 + 128
    deadline = time.monotonic() + PATIENCE
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert classified(*more, "--resume") == 0
    assert two.read_bytes() == one.read_bytes()
    assert "--resume goes on with" in capsys.readouterr().err


def said(capsys, *words):
    assert main([*map(str, words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_a_scheduler_that_is_not_there_is_told_in_a_sentence(folder, capsys, monkeypatch):
    monkeypatch.setattr(cluster_of_command, "ANSWER", 0.3)
    for address, why in [
        ("127.0.0.1:9", "Timed out trying to connect"),
        ("somewhere", "missing port number in address"),
        ("odd://127.0.0.1:9", "unknown address scheme"),
        ("tls://127.0.0.1:9", "TLS expects"),
    ]:
        assert f"--dask {address}: no scheduler of Dask answers there: {why}" in said(capsys, "features", folder, "--dask", address)


def test_who_answers_in_place_of_a_scheduler_is_told_in_a_sentence(folder, capsys, monkeypatch):
    monkeypatch.setattr(cluster_of_command, "ANSWER", 1)
    monkeypatch.setattr(BaseHTTPRequestHandler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        assert f"--dask {address}: no scheduler of Dask answers there: " in said(capsys, "features", folder, "--dask", address)
        server.shutdown()


HERE = f"__import__('os').getpid() == {os.getpid()}"  # where the scheduler is, and no worker


@pytest.mark.parametrize(("has", "who"), [("False", "scheduler"), (HERE, "worker tcp://")])
def test_who_has_no_fastmlp_is_told_in_a_sentence(has, who, folder, cluster, client, capsys, monkeypatch):
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    monkeypatch.setattr(cluster_of_command, "HAS_FASTMLP", has)
    assert f"fastmlp is not installed for the {who}" in said(capsys, "features", folder, "--dask", cluster.scheduler_address)


def test_other_versions_of_workers_are_told(folder, cluster, capsys, monkeypatch):
    class Client(distributed.Client):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            warnings.warn("Mismatched versions found\n\n| numpy |", distributed.versions.VersionMismatchWarning, stacklevel=2)

    monkeypatch.setattr(distributed, "Client", Client)
    assert main(["features", str(folder), "--dask", cluster.scheduler_address]) == 0
    told = f"fastmlp: {cluster.scheduler_address} has workers with other versions of Python or of packages than are here\n"
    assert told in capsys.readouterr().err


def test_threads_and_a_cluster_exclude_each_other(folder, capsys):
    assert "--threads" in said(capsys, "classify", "model.npz", folder, "--dask", "127.0.0.1:9", "--threads", 2)


def test_dask_that_is_not_installed_is_told(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'fastmlp[dask]'" in said(capsys, "features", folder, "--dask", "127.0.0.1:9")


@contextmanager
def scheduler_and_worker(host="127.0.0.1", within=()):
    """A scheduler of its own with one worker, which may be within something: the process of the first, and its address."""
    quiet = os.environ | {"DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h"}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", host, "--port", "0", "--no-dashboard"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=quiet) as scheduler:
        try:
            found = next(filter(None, (re.search(r"Scheduler at:\s+(\S+)", line) for line in scheduler.stderr)), None)
            assert found, "the scheduler has ended"
            worker = [*within, sys.executable, "-m", "distributed.cli.dask_worker", found[1], "--nthreads", "1", "--no-nanny"]
            with subprocess.Popen([*worker, "--no-dashboard"], stderr=subprocess.DEVNULL) as process:
                try:
                    yield scheduler, found[1]
                finally:
                    process.kill()
        finally:
            scheduler.kill()


@pytest.fixture
def name_space():
    """A network of its own, at NET2 alone, which sees this machine at NET1 alone; what runs in it begins so."""
    name, here, there = (f"fastmlp{os.getpid()}{end}" for end in "nab")
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("to make a network needs root, and ip")
    try:
        for words in (
            f"netns add {name}",
            f"link add {here} type veth peer name {there} netns {name}",
            f"addr add {NET1}/30 dev {here}",
            f"link set {here} up",
            f"-n {name} addr add {NET2}/30 dev {there}",
            f"-n {name} link set {there} up",
        ):
            if subprocess.run(["ip", *words.split()], stderr=subprocess.DEVNULL).returncode:
                pytest.skip(f"the system does not let us: ip {words}")
        yield ["ip", "netns", "exec", name]
    finally:
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


def test_a_worker_with_a_network_of_its_own(classifier, folder, name_space):
    how = {"timeout": PATIENCE, "set_as_default": False}
    with scheduler_and_worker(NET1, name_space) as (_, address), distributed.Client(address, **how) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        assert [name.startswith(f"tcp://{NET2}:") for name in client.nthreads()] == [True]
        same(fastmlp.classify_folder(classifier, folder, executor=client), fastmlp.classify_folder(classifier, folder, threads=1))


def test_a_scheduler_that_goes_is_told_in_a_sentence(classifier, folder):
    with (
        dask.config.set(CONFIG),
        scheduler_and_worker() as (scheduler, address),
        distributed.Client(address, timeout=2, set_as_default=False) as client,
    ):
        client.wait_for_workers(1, timeout=PATIENCE)
        batches = classifier.classify(folder, batch_size=2, executor=client)
        next(batches)
        scheduler.kill()
        scheduler.wait()
        with pytest.raises(RuntimeError, match="the executor has lost the work that it was given, and gives no more results"):
            list(batches)
