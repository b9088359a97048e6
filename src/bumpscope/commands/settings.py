"""Print the settings that a step of a run depends on, as its --settings option takes them."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.config.experiment import STEP_KEYS, load, step_settings
from bumpscope.config.settings import canonical_json

READS = ()
WRITES = ()


def settings(
    step: Annotated[str, typer.Argument(help=f"one of {', '.join(STEP_KEYS)}")],
    run: Annotated[str, typer.Argument(help="run id, such as balanced-seed0")],
    config: Annotated[list[Path] | None, typer.Option(help="configuration, then presets laid over it")] = None,
) -> None:
    """Print the settings that a step of a run depends on, as its --settings option takes them."""
    files = config or [Path("config.yaml")]
    runs = {one.id: one for one in load(files[0], *files[1:]).runs()}
    if run not in runs:
        raise CommandError(f"run: holds {run}; allowed: one of {', '.join(runs)}")
    if step not in STEP_KEYS:
        raise CommandError(f"step: holds {step}; allowed: one of {', '.join(STEP_KEYS)}")
    print(canonical_json(step_settings(runs[run], step)))


if __name__ == "__main__":
    execute(settings)
