"""Give each probed checkpoint its latent phase and its behaviour phase."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.config import steps
from bumpscope.measure.as_read import phases_as_read
from bumpscope.measure.phases import PLACE, no_verdict
from bumpscope.measure.phases import phases as judge
from bumpscope.store.provenance import with_worlds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import provenance, read_table, write_table
from bumpscope.worlds.named import world_of

READS = ("geometry", "behaviour", "topology")
WRITES = ("phases",)


def phases(
    settings: SettingsOption,
    geometry: Annotated[Path, typer.Option(help="table of geometry")],
    behaviour: Annotated[Path, typer.Option(help="table of behaviour")],
    output: Annotated[Path, typer.Option(help="table to write")],
    topology: Annotated[
        Path | None, typer.Option(help="table of persistent homology; without it a thick circle may pass for a sheet")
    ] = None,
) -> None:
    """Give each probed checkpoint its latent phase and its behaviour phase."""
    chosen = read_settings(settings, steps.Phases)
    holes = None if topology is None else read_table("topology", topology)
    read = [path for path in (geometry, behaviour, topology) if path is not None]
    code = with_worlds(["commands.phases"], [chosen.lattice.world.path])
    metadata = provenance(chosen.plain, *read, run=chosen.run, code=code)
    numbers, refused = read_table("geometry", geometry), no_verdict(world_of(chosen.lattice).factors)
    verdicts = judge(numbers, read_table("behaviour", behaviour), holes, refused)
    as_read = phases_as_read(numbers)
    if refused:
        as_read["latent_phase_umap"] = as_read["latent_phase_umap"].where(as_read["latent_phase_umap"].isna(), "?")
    verdicts = verdicts.merge(as_read, how="left", on=["step", *PLACE])
    write_table("phases", output, verdicts[TABLES["phases"].names], metadata)


if __name__ == "__main__":
    execute(phases)
