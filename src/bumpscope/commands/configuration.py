"""Write the configuration in force, with every default written out, as JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.config.loading import load
from bumpscope.store.files import atomic_path
from bumpscope.store.lineage import configuration_digest
from bumpscope.store.manifest import described
from bumpscope.store.tables import provenance

READS = ()
WRITES = ()


def configuration(
    sources: Annotated[
        str,
        typer.Option(envvar="BUMPSCOPE_SOURCES", help="JSON list: a file, then files or mappings of keys laid over it"),
    ],
    output: Annotated[Path, typer.Option(help="file to write")],
) -> None:
    """Write the configuration in force, with every default written out, as JSON."""
    try:
        first, *others = json.loads(sources)
    except ValueError as error:
        raise CommandError(f"--sources: is not a JSON list with a file ({error})") from None
    config = load(first, *others)
    metadata = provenance({"configuration": configuration_digest(config)}, code=("commands.configuration",))
    with described(metadata, output), atomic_path(output) as temporary:
        temporary.write_text(config.in_force(), encoding="utf-8")


if __name__ == "__main__":
    execute(configuration)
