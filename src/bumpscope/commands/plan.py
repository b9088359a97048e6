"""Estimate what an experiment will cost, in core-minutes."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.config.loading import load
from bumpscope.config.plan import describe, notes
from bumpscope.denoise.examine import examined

READS = ()
WRITES = ()


def plan(
    config: Annotated[list[Path] | None, typer.Option(help="configuration file, then presets")] = None,
) -> None:
    """Estimate what an experiment will cost, in core-minutes."""
    chosen = load(*(config or [Path("config.yaml")]))
    print("\n".join([*notes(chosen), describe(chosen, examined(chosen))]))


if __name__ == "__main__":
    execute(plan)
