"""One thread, as in the workflow (results depend on the number of threads), repeatable property tests, a run of the
tiny preset that several modules look at, and a browser."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

from fenced_blocks import write_blocks
from workflow import copy_project, snakemake

if TYPE_CHECKING:
    from browser import Browser, Visit

# Before numpy and torch are imported, which read them once.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

# The same examples at every run, and no deadline, since a busy machine is not a fault.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A copy of the project in which the tiny preset has been run, and the core-seconds it took.

    It runs once, whatever the number of workers; each has a copy of its own.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    finished, seconds = shared / "finished", shared / "seconds"
    with FileLock(shared / "finished.lock"):
        if not seconds.exists():
            copy_project(finished)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = snakemake(finished)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert done.returncode == 0, done.stdout + done.stderr
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            seconds.write_text(f"{spent}", encoding="utf-8")
    project = shutil.copytree(finished, tmp_path_factory.mktemp("experiment") / "project")
    return Path(project), float(seconds.read_text(encoding="utf-8"))


@pytest.fixture
def folder_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Starts in a folder outside the repository, with files of the pages: ``folder_outside("my_package/net.py")``."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
            del sys.modules[name]

    def started(*files: str) -> Path:
        write_blocks(tmp_path, *files)
        monkeypatch.chdir(tmp_path)
        # Before folders of other tests that have such a package.
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        forget()
        return tmp_path

    yield started
    forget()


@pytest.fixture
def project(experiment: tuple[Path, float]) -> Path:
    return experiment[0]


@pytest.hookimpl(trylast=True)  # after tests are left out by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that look at the tiny run come last, but for the first, so that no worker waits while another makes it.

    Of these the last, on all pages, is the longest and begins, so that both workers end at about the same time.
    """
    looking = list(dict.fromkeys(item.path for item in items if "experiment" in getattr(item, "fixturenames", ())))
    rank = {path: place for place, path in enumerate(reversed(looking[1:]), start=1)}
    items.sort(key=lambda item: rank.get(item.path, 0))


def pytest_sessionstart(session: pytest.Session) -> None:
    """A new log of what is driven in the browser; a worker of xdist adds to it."""
    if not hasattr(session.config, "workerinput"):
        import browser

        browser.LOG.unlink(missing_ok=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a browser where there is none; from one place, so that the summary has one line for them all."""
    if "chromium" in getattr(item, "fixturenames", ()) and (reason := _no_browser()):
        pytest.skip(f"no test in a browser: {reason}")


@cache
def _no_browser() -> str | None:
    import browser

    try:
        browser.chromium()
    except browser.Unavailable as reason:
        return str(reason)
    return None


@pytest.fixture(scope="module")  # not longer: while it runs, no other test of this process can run an event loop
def chromium() -> Iterator[Browser]:
    """A browser without a window or a network."""
    import browser

    with browser.browser(browser.chromium()) as started:
        yield started


@pytest.fixture
def visit(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visit]]:
    """Opens a file in the browser, ``visit(path, size="laptop", scheme="light", fragment="")``; the test fails if a
    page that it opened wrote an error to the console, or asked for anything but itself. ``fragment`` (#...) ends the
    address."""
    from browser import Visit

    visits = []

    def opened(file: Path, size: str | tuple[int, int] = "laptop", scheme: str = "light", fragment: str = "") -> Visit:
        visits.append(Visit(chromium, file, request.node.name, size, scheme, fragment))
        return visits[-1]

    yield opened
    for one in visits:
        one.close()
