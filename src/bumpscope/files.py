"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class FileError(RuntimeError):
    """A file that is missing, broken or cannot be written; one line that names it and the cure."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left behind of earlier attempts to write ``path``."""
    for leftover in path.parent.glob(f".{path.name}.*.part"):
        pid = leftover.name.split(".")[-2]
        try:
            os.kill(int(pid), 0)
        except (ProcessLookupError, ValueError):
            leftover.unlink(missing_ok=True)
        except PermissionError:
            continue


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that becomes ``path`` when the block ends well, and else vanishes."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        cure = "free some space" if error.errno == errno.ENOSPC else "check the folder and its permissions"
        raise FileError(f"{path}: cannot be written ({error.strerror or error}); {cure} and run again") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
