"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class FileError(RuntimeError):
    """A file that is missing, broken or cannot be written; one line that names it and the cure."""


def normal_path(path: str) -> str:
    """A path in the one spelling that stands for it: without dots, and relative where it lies in the working folder."""
    # Not resolved: a link is a name that its owner chose.
    whole = Path(os.path.abspath(path))  # noqa: PTH100
    inside = whole.is_relative_to(Path.cwd()) and whole != Path.cwd()
    return str(whole.relative_to(Path.cwd()) if inside else whole)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


CURE = "delete it and run the workflow again"
# What file systems answer that know no locks. filelock would make a file stand for one, which outlives a kill.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
# No room on the disk, or none of what this user may fill.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def unwritable(path: str | Path, error: OSError) -> FileError:
    """The error of a file that could not be written: why, how much room is left where that is why, and the cure."""
    why, space = error.strerror or str(error), _space(Path(path))
    if error.errno not in NO_ROOM:
        return FileError(f"{path}: cannot be written ({why}); check the folder and its permissions and run again")
    if space is None:
        return FileError(f"{path}: cannot be written ({why}); free some space and run again")
    if space.f_files and not space.f_favail:
        return FileError(
            f"{path}: cannot be written ({why}; no more files can be made there); free some space and run again"
        )
    free = space.f_bavail * space.f_frsize / 2**20
    return FileError(
        f"{path}: cannot be written ({why}; the {free:.1f} MiB that are free do not suffice); "
        "free some space and run again"
    )


def knows_no_locks(error: BaseException) -> bool:
    """Whether a lock could not be taken because there are none on this file system."""
    return isinstance(error, NotImplementedError) or (isinstance(error, OSError) and error.errno in _NO_LOCKS)


def _space(path: Path) -> os.statvfs_result | None:
    """The room on the file system of a path; None where it cannot be told."""
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), None)
    with suppress(OSError):
        return os.statvfs(folder) if folder else None
    return None


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


def flush(path: Path) -> None:
    """Wait until a file is on disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def publish(source: Path, target: Path) -> None:
    """Give a finished file another name, without a copy where the file system can."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that becomes ``path`` when the block ends well, and else vanishes."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield temporary
        flush(temporary)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
