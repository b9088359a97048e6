"""Say what an experiment will cost, in core-minutes, before it runs."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.config.experiment import load
from bumpscope.config.plan import describe

READS = ()
WRITES = ()


def plan(
    config: Annotated[list[Path] | None, typer.Option(help="configuration, then presets laid over it")] = None,
) -> None:
    """Say what an experiment will cost, in core-minutes, before it runs."""
    files = config or [Path("config.yaml")]
    print(describe(load(files[0], *files[1:])))


if __name__ == "__main__":
    execute(plan)
