"""Print the settings that a step of a run depends on, as its --settings option takes them."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.config.loading import load
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import STEPS

READS = ()
WRITES = ()


def settings(
    step: Annotated[str, typer.Argument(help=f"one of {', '.join(STEPS)}")],
    run: Annotated[str, typer.Argument(help="name of the run, such as balanced-seed0")],
    config: Annotated[list[Path] | None, typer.Option(help="configuration file, then presets")] = None,
) -> None:
    """Print the settings that a step of a run depends on, as its --settings option takes them."""
    runs = {one.id: one for one in load(*(config or [Path("config.yaml")])).runs()}
    if run not in runs:
        raise CommandError(f"run: holds {run}; allowed: one of {', '.join(runs)}")
    if step not in STEPS:
        raise CommandError(f"step: holds {step}; allowed: one of {', '.join(STEPS)}")
    print(canonical_json(STEPS[step].of(runs[run]).plain))


if __name__ == "__main__":
    execute(settings)
