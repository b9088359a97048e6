"""SHA-256 checksums of results, recorded when a file has been written and checked before it is opened.

The checksums of a folder lie in its subfolder ``.sha256``, in the format of ``sha256sum``: a file for each result, so
that jobs which finish at the same time never write the same one, and a single file for all checkpoints of a run.

Pictures and pages cannot say themselves what they were made from, so their records do, in lines that ``sha256sum``
takes for comments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from bumpscope.store.files import CURE, FileError, atomic_path, flush

FOLDER = ".sha256"
COMMENT = "# "


def verify(path: str | Path) -> None:
    """Check a file against its recorded checksum; one without a record passes.

    Raises:
        FileError: when the checksums differ, or the record is damaged.
        OSError: when the file cannot be read.
    """
    recorded = _recorded(Path(path).absolute())
    if recorded is not None and recorded != checksum(path):
        raise FileError(f"{path}: does not match its checksum; {CURE}")


def checksum(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal; computed once per process while the file stays as it is."""
    state = Path(path).stat()
    return _checksum(str(path), state.st_size, state.st_mtime_ns, state.st_ino)


@cache
def _checksum(path: str, *state: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_of(path: str | Path) -> Path:
    """Where the checksum of a file, or those of all files in a folder, are recorded."""
    path = Path(path).absolute()
    return path.parent / FOLDER / f"{path.name}.sha256"


def _recorded(path: Path) -> str | None:
    """The recorded checksum of a file; None without a record, empty where the record is damaged."""
    for record, own in ((record_of(path), path.name), (record_of(path.parent), f"{path.parent.name}/{path.name}")):
        try:
            lines = record.read_text(encoding="ascii").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except UnicodeDecodeError:
            return ""
        parts = (line.partition("  ") for line in lines if not line.startswith(COMMENT))
        checksums = {name: value for value, _, name in parts}
        # The record of a folder need not name each file in it.
        return checksums.get(own, "" if own == path.name else None)
    return None


@contextmanager
def recorded_path(path: str | Path) -> Iterator[Path]:
    """As :func:`atomic_path`, for a result: its checksum is recorded with it."""
    path = Path(path)
    # The record is left last, after the file has got its name.
    with ExitStack() as stack, atomic_path(path) as temporary:
        yield temporary
        flush(temporary)
        stack.enter_context(_new_record(path, {path.name: checksum(temporary)}))


@contextmanager
def described(metadata: Mapping[str, str], *paths: str | Path) -> Iterator[None]:
    """Record what the files that the block writes say of themselves, and their checksums.

    Their old records are removed first, so that a file never has the record of another.
    """
    for path in paths:
        record_of(path).unlink(missing_ok=True)
    yield
    for path in map(Path, paths):
        with _new_record(path, {path.name: checksum(path)}, metadata):
            pass


def description(path: str | Path) -> dict[str, str]:
    """What the record of a file says of it; empty without a record.

    Raises:
        FileError: when the file is not the one of its record.
        OSError: when the file cannot be read.
    """
    Path(path).stat()  # a file that is missing is not one without a record
    verify(path)
    try:
        lines = record_of(path).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return {}
    told = (line.removeprefix(COMMENT).partition(": ") for line in lines if line.startswith(COMMENT))
    return {key: value for key, _, value in told}


@contextmanager
def recorded_folder(folder: str | Path, checksums: Mapping[str, str]) -> Iterator[None]:
    """Record the checksums of the files that the block puts into a folder, by name; all of them in one record."""
    folder = Path(folder)
    with _new_record(folder, {f"{folder.name}/{name}": value for name, value in checksums.items()}):
        yield


@contextmanager
def _new_record(path: Path, checksums: Mapping[str, str], metadata: Mapping[str, str] | None = None) -> Iterator[None]:
    """Replace a record by one that appears when the block ends well.

    The new one is on disk before the old one is removed, and the old one is removed before the block changes a file. A
    kill in between can leave whole files without a record, but never a record of other files.
    """
    record = record_of(path)
    with atomic_path(record) as temporary:
        lines = [f"{COMMENT}{key}: {value}\n" for key, value in (metadata or {}).items()]
        lines += [f"{value}  {name}\n" for name, value in checksums.items()]
        temporary.write_text("".join(lines), encoding="ascii")
        flush(temporary)
        record.unlink(missing_ok=True)
        yield
