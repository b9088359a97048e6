"""Give each probed checkpoint its latent phase and its behaviour phase."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import SettingsOption, execute, read_settings
from bumpscope.phases import phases as judge
from bumpscope.tables import provenance, read_table, write_table


def phases(
    settings: SettingsOption,
    geometry: Annotated[Path, typer.Option(help="table of geometry")],
    behaviour: Annotated[Path, typer.Option(help="table of behaviour")],
    output: Annotated[Path, typer.Option(help="table to write")],
) -> None:
    """Give each probed checkpoint its latent phase and its behaviour phase."""
    chosen, plain = read_settings(settings)
    verdicts = judge(read_table("geometry", geometry), read_table("behaviour", behaviour))
    write_table("phases", output, verdicts, provenance(plain, geometry, behaviour, run=chosen.run or ""))


if __name__ == "__main__":
    execute(phases)
