"""Work that is handed to the processes of an MPI, where mpi4py and one of these are installed."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from command_line import ROOT
from drawings import write_bars

pytest.importorskip("mpi4py.futures")
PATIENCE = 300  # a cold compile is in it
# Open MPI has to be told that root may begin processes, and more of them than there are cores. The others do not read this.
ALLOWED = {
    "PRTE_ALLOW_RUN_AS_ROOT": "1",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
SCRIPT = """
import json, os, sys
import numpy as np
from mpi4py.futures import MPIPoolExecutor
import fastmlp
from fastmlp.executors import engine_of
from fastmlp.images import sharing_out
from fastmlp.training import population_tasks

def fails(image):
    raise ValueError("the image is upright")

def features_and_parameters(folder, **who):
    read = fastmlp.extract_features(folder, "pixels", **who)
    rows = np.random.default_rng(0).normal(size=(60, 3))
    how = {"hidden": 4, "epochs": 4, "members": 50, "task": "classification", "seed": 0}
    trained = fastmlp.train_many(rows, (rows[:, 0] > rows[:, 1]).astype(int), **how, **who)
    return [read.names, read.features.tobytes().hex(), *(network.theta.tobytes().hex() for network in trained)]

if __name__ == "__main__":
    sharing_out.FILES, population_tasks.SECOND = 1, 20_000
    with MPIPoolExecutor() as executor:
        processes = {executor.submit(os.getpid).result() for _ in range(8)} | {os.getpid()}
        same = features_and_parameters(sys.argv[1], executor=executor) == features_and_parameters(sys.argv[1], threads=1)
        try:
            fastmlp.extract_features(sys.argv[1], fails, executor=executor)
        except ValueError as error:
            failed = str(error)
        print(json.dumps({"processes": len(processes), "workers": engine_of(executor).workers(), "same": same, "failed": failed}))
"""


@pytest.fixture
def over_mpi(tmp_path):
    """A function that runs Python in so many processes, and returns its output."""
    beside = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    command = shutil.which("mpiexec", path=beside)
    if command is None:
        pytest.skip("no mpiexec is installed")
    env = os.environ | ALLOWED | {"PYTHONPATH": str(ROOT), "TMPDIR": "/tmp"}  # where sockets are, whose paths have to be short

    def run(count, *words):
        command_line = [command, "-n", str(count), sys.executable, *map(str, words)]
        return subprocess.run(command_line, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)

    if run(2, "-c", "from mpi4py import MPI; print(MPI.COMM_WORLD.size)").stdout.split() not in (["2", "2"], ["22"]):
        pytest.skip("mpiexec begins no processes that mpi4py finds to be of one group")
    return run


def test_same_bits_as_of_one_thread(over_mpi, tmp_path):
    script, folder = tmp_path / "script.py", tmp_path / "bars"
    script.write_text(SCRIPT)
    write_bars(folder, True, range(150))
    done = over_mpi(3, "-m", "mpi4py.futures", script, folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"processes": 3, "workers": 2, "same": True, "failed": "the image is upright"}
