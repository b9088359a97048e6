"""Dry runs of Snakemake that share one import of it, which is half of the time that a dry run takes.

A process of its own imports Snakemake and what the package imports of others. Each dry run is a fork of it, so that it
imports the package from the project that it plans and sees nothing of other dry runs.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path

# Modules that a dry run imports, without those of the package.
SHARED = ("numpy", "pandas", "pydantic", "smart_open", "snakemake_executor_plugin_slurm", "yaml")


def dry_run(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``snakemake --dry-run`` with these arguments, in a folder."""
    command = ["snakemake", "--dry-run", *arguments]
    with tempfile.TemporaryDirectory() as streams:
        paths = [str(Path(streams, name)) for name in ("out", "err")]
        server = _server()
        assert server.stdin and server.stdout
        print(json.dumps([command, str(folder), environment, *paths]), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, *(Path(path).read_text(encoding="utf-8") for path in paths))


@cache
def _server() -> subprocess.Popen[str]:
    """The process that has imported Snakemake. It ends with this one."""
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    started = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=outside
    )
    atexit.register(started.communicate)
    return started


def _serve() -> None:
    for name in SHARED:
        import_module(name)
    # Imports all plugins.
    import_module("snakemake.cli").get_argument_parser()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _plan(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _plan(command: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    """Be ``python -m snakemake`` in a folder, and end."""
    code: object = 1
    try:
        for descriptor, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
            os.dup2(os.open(path, flags | os.O_CREAT), descriptor)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv, sys.path[0] = command, folder
        assert "bumpscope" not in sys.modules
        import_module("snakemake.cli").main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve()
