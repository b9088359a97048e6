"""Estimate what an experiment will cost: time, and room on disk."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.config.loading import load
from bumpscope.config.plan import describe, notes, nvidia_cards

READS = ()
WRITES = ()


def plan(
    config: Annotated[list[Path] | None, typer.Option(help="configuration file, then presets")] = None,
    gpu: Annotated[bool, typer.Option(help="tell GPU-hours too")] = False,
) -> None:
    """Estimate what an experiment will cost: time, and room on disk."""
    chosen = load(*(config or [Path("config.yaml")]))
    if chosen.other_worlds():
        import_module("bumpscope.worlds.examine").examined(chosen)
    # Imported by name, since torch takes seconds to import and is needed only where a denoiser must be tried.
    own = chosen.unknown_denoisers()
    counted = import_module("bumpscope.denoise.examine").examined(chosen) if own else {}
    print("\n".join([*notes(chosen), describe(chosen, gpu, counted, nvidia_cards())]))


if __name__ == "__main__":
    execute(plan)
