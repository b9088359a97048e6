"""How many runs share a job."""

from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError

# Runs that share a GPU. With more of them the card itself is the limit (docs/benchmarks.md).
RUNS_PER_GPU = 8

RunsPerJobOption = Annotated[
    str,
    typer.Option(
        envvar="BUMPSCOPE_RUNS_PER_JOB",
        help=f"runs that share a job, this one and planned others; auto: {RUNS_PER_GPU} on a GPU, 1 on a CPU; auto:N: "
        "N on a GPU where that is less",
    ),
]


def runs_in_a_job(text: str, on_gpu: bool) -> int:
    """The number of runs that ``--runs-per-job`` stands for.

    Raises:
        CommandError: when it stands for none.
    """
    most = str(RUNS_PER_GPU) if text == "auto" else text.removeprefix("auto:")
    if not most.isdecimal() or int(most) == 0:
        raise CommandError(f"--runs-per-job: holds {text}; allowed: auto or a number from 1")
    if not text.startswith("auto"):
        return int(most)
    return min(RUNS_PER_GPU, int(most)) if on_gpu else 1
