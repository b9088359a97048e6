"""A real file system of a few kilobytes that can be filled, enlarged and made read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Unavailable(RuntimeError):
    """No file system can be mounted here; one line that says why."""


class SmallDisk:
    """A tmpfs on ``path``, of ``kilobytes``."""

    def __init__(self, path: Path, kilobytes: int):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._mount("tmpfs", "-o", f"size={kilobytes}k", "tmpfs")

    def _mount(self, kind: str, *arguments: str) -> None:
        try:
            done = subprocess.run(["mount", "-t", kind, *arguments, self.path], capture_output=True, text=True)
        except OSError as error:
            raise Unavailable(f"mount: {error.strerror}") from None
        if done.returncode:
            raise Unavailable(done.stderr.strip().splitlines()[0])

    def enlarge(self, kilobytes: int) -> None:
        self._mount("tmpfs", "-o", f"remount,size={kilobytes}k", "tmpfs")

    def make_read_only(self) -> None:
        self._mount("tmpfs", "-o", "remount,ro", "tmpfs")

    def fill(self, leave: int = 0) -> None:
        """Fill it but for ``leave`` bytes."""
        state = os.statvfs(self.path)
        (self.path / "filler").write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - leave)))

    def end(self) -> None:
        subprocess.run(["umount", "--lazy", self.path], capture_output=True, check=True)


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[SmallDisk]:
    """A small disk mounted on ``path`` until the block ends.

    Raises:
        Unavailable: where nothing can be mounted.
    """
    disk = SmallDisk(path, kilobytes)
    try:
        yield disk
    finally:
        disk.end()
