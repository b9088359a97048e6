"""What all commands share: reading settings, logging, and how errors end."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from bumpscope.config.steps import Step
from bumpscope.store.files import NO_ROOM, FileError, first_line, unwritable

S = TypeVar("S", bound=Step)
log = logging.getLogger("bumpscope")
SECONDS_BETWEEN_LOOKS = 0.5

SettingsOption = Annotated[
    str,
    typer.Option(help="the keys this step depends on, as JSON or the path of a JSON file (see: bumpscope settings)"),
]
DeviceOption = Annotated[str, typer.Option(envvar="BUMPSCOPE_DEVICE", help="auto, cpu or cuda")]
GpusOption = Annotated[int, typer.Option(min=0, help="GPUs granted to this job; with device auto, 0 means the CPU")]


# Keys on which the memory of a command depends; other commands are treated as train.
KEYS_OF_MEMORY = {
    "train": "training.batch_size, model.base_width or image_size",
    "generate": "probe.samples, model.base_width or image_size",
    "vary": "probe.samples, model.base_width or image_size",
    "effects": "probe.effect_samples, model.base_width or image_size",
    "interventions": "model.base_width or image_size",
    "behaviour": "probe.samples or image_size",
    "geometry": "probe.samples or model.base_width",
    "topology": "probe.samples or model.base_width",
}
CURES_OF_MEMORY = {"GPU": "set device to cpu", "machine": "give the job more (mem_mb)"}


class CommandError(RuntimeError):
    """An error that the user can fix; printed on one line."""


def read_settings(text: str, step: type[S]) -> S:
    """The settings of a step from its ``--settings`` option."""
    try:
        plain = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"--settings: is neither JSON nor the path of a JSON file ({error})") from None
    try:
        return step.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise CommandError(f"--settings: {where}: {first['msg']}") from None


def leave_with_workflow() -> None:
    """End this process soon after the workflow that started it was killed.

    Otherwise a step could overwrite results of the next workflow. The workflow gives its process id in the environment;
    without one nothing is watched.
    """
    workflow = os.environ.get("BUMPSCOPE_WORKFLOW_PID", "")
    if not workflow.isdecimal():
        return

    def watch() -> None:
        while True:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                os.kill(int(workflow), 0)
            except ProcessLookupError:
                log.error("the workflow that started this step is gone; leaving")
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _timed(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which also logs how long it ran, and how long imports took before."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        starting, started = time.process_time(), time.monotonic()
        command(*arguments, **options)
        log.debug("%s: worked %.2f s after %.2f s of starting", command.__name__, time.monotonic() - started, starting)

    return run


def _out_of(error: Exception) -> str | None:
    """Whose memory has run out, the GPU's or the machine's; None for any other error."""
    text = str(error)
    # CUDA's libraries have messages of their own; on the machine's memory torch raises a plain error.
    if type(error).__name__ == "OutOfMemoryError" or "CUDA error: out of memory" in text or "_ALLOC_FAILED" in text:
        return "GPU"
    return "machine" if isinstance(error, MemoryError) or "can't allocate memory" in text else None


def execute(command: Callable[..., None]) -> None:
    """Run a command's function on the command line; an error that a user can fix is one line and exit status 1."""
    # Compared by name, since importing the modules of these errors takes seconds.
    fixable = {"CommandError", "ConfigError", "DenoiserError", "DeviceError", "TrainingError"}
    try:
        app = typer.Typer(add_completion=False)
        app.command()(_timed(command))
        app(prog_name=f"bumpscope {command.__name__}")
    except Exception as error:
        if isinstance(error, FileError) or type(error).__name__ in fixable:
            message = str(error)
        elif re.search(r"\bC(\+\+)? compiler\b", str(error)):
            message = (
                "training.compile: needs a C and a C++ compiler; install them, name them in CC and CXX, or leave out "
                "training.compile"
            )
        elif isinstance(error, OSError) and error.errno in NO_ROOM and error.filename:
            message = str(unwritable(error.filename, error))
        elif (memory := _out_of(error)) is not None:
            keys = KEYS_OF_MEMORY.get(command.__name__, KEYS_OF_MEMORY["train"])
            if (command.__name__, memory) == ("train", "GPU"):
                keys = f"runs_per_job, {keys}"
            message = f"the {memory} is out of memory: lower {keys}, or {CURES_OF_MEMORY[memory]} ({first_line(error)})"
        else:
            log.exception("unexpected error")
            sys.exit(1)
        log.error("error: %s", message)
        sys.exit(1)
