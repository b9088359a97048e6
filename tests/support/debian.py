"""Packages of Debian and Ubuntu that tests stand on, installed with apt where that can be done."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

# One for all that installs, since apt waits for another apt only in part.
LOCK = Path("/var/lib/bumpscope-apt.lock")


class Unavailable(RuntimeError):
    """Why what a test stands on cannot be had on this machine, in one line."""


def obstacle() -> str | None:
    """Why nothing can be installed on this machine, or None where nothing is known to be in the way."""
    if os.geteuid() != 0:
        return "installing it needs root"
    if shutil.which("apt-get") is None:
        return "it is not installed and there is no apt-get to install it with"
    return None


def install(packages: Sequence[str], seconds: float, installed: Callable[[], object]) -> None:
    """Install packages, unless another process has done so meanwhile.

    Args:
        seconds: after which it is given up.
        installed: whether there is nothing left to do.

    Raises:
        Unavailable: when that fails or takes too long.
    """
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    deadline = time.monotonic() + seconds
    options = ["-qq", "-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=1"]
    try:
        with FileLock(LOCK, timeout=seconds):
            for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
                if installed():
                    return
                subprocess.run(
                    ["apt-get", *options, *command],
                    **{"env": environment, "check": True, "capture_output": True, "text": True},
                    timeout=max(1.0, deadline - time.monotonic()),
                )
    except (subprocess.TimeoutExpired, Timeout):
        raise Unavailable(f"installing it took more than {seconds:.0f} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or error.stdout.strip() or "no message").splitlines()[-1]
        raise Unavailable(f"apt-get {command[0]} failed ({last})") from None
