"""One thread, as in the workflow (results depend on the number of threads), repeatable property tests, and one tiny run
for all tests of the workflow (those of the group ``workflow``, which run in one process)."""

import os
import resource
from pathlib import Path

import pytest
from hypothesis import settings

from workflow import copy_project, snakemake

# Before numpy and torch are imported, which read them once.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

# The same examples at every run, and no deadline, since a busy machine is not a fault.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A copy of the project in which the tiny preset has been run, and the core-seconds it took."""
    project = copy_project(tmp_path_factory.mktemp("experiment"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = snakemake(project)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0, done.stdout + done.stderr
    return project, seconds


@pytest.fixture
def project(experiment: tuple[Path, float]) -> Path:
    return experiment[0]
