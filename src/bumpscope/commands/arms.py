"""Count what the denoisers of the factorisation benchmark compute, and list what they are told."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.config.steps import Arm, Arms
from bumpscope.denoise.examine import counted
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.told import told
from bumpscope.store.provenance import with_worlds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import provenance, write_table

READS = ()
WRITES = ("arms",)


def arms(settings: SettingsOption, output: Annotated[Path, typer.Option(help="table to write")]) -> None:
    """Count what the denoisers of the factorisation benchmark compute, and list what they are told."""
    chosen = read_settings(settings, Arms)
    networks = sorted({arm.denoiser.path for arm in chosen.arms})
    worlds = {arm.lattice.world.path for arm in chosen.arms}
    metadata = provenance(chosen.plain, code=with_worlds(("commands.arms", *networks), worlds))
    rows = [row for arm in chosen.arms for row in _rows(arm)]
    write_table("arms", output, pd.DataFrame(rows, columns=TABLES["arms"].names), metadata)


def _rows(arm: Arm) -> list[tuple[str, str, int, int, int]]:
    """A row for each dataset of an arm."""
    network = new_denoiser(arm.lattice, arm.model, arm.diffusion, 0, arm.denoiser)
    found = counted(network, arm.denoiser.kind, arm.diffusion)
    said = told(arm.denoiser, network)
    return [(dataset, said, found.parameters, found.forward, found.trained) for dataset in arm.datasets]


if __name__ == "__main__":
    execute(arms)
