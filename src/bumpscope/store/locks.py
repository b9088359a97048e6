"""Locks between processes, which the operating system releases however a process ends."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout

from bumpscope.store.files import knows_no_locks, unwritable

log = logging.getLogger(__name__)


def hold(state: Path, run: str, wait: bool = True) -> FileLock | None:
    """Keep other processes from doing the same. None where files cannot be locked.

    Args:
        state: the folder that is held.
        run: named in messages.
        wait: wait for a process that holds it.

    Raises:
        Timeout: when another process holds it and ``wait`` is false.
        FileError: when the folder cannot be written.
    """
    lock = FileLock(state / "lock", fallback_to_soft=False)
    try:
        state.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if not wait:
                raise
            log.info("%s: another process is at this; waiting for it", run)
            lock.acquire()
    except (NotImplementedError, OSError) as error:
        if isinstance(error, Timeout):
            raise
        if not knows_no_locks(error):
            raise unwritable(state, cast("OSError", error)) from None
        log.warning("%s: %s cannot be locked; make sure that no other workflow uses this folder", run, state)
        return None
    return lock
