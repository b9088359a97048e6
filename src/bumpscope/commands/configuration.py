"""Write the configuration in force, with every default written out, as JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.config.experiment import Config
from bumpscope.config.loading import load
from bumpscope.store.files import atomic_path

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
    with atomic_path(output) as temporary:
        temporary.write_text(in_force(load(first, *others)), encoding="utf-8")


def in_force(config: Config) -> str:
    """A configuration as JSON, without what the report does not show: where and on what it runs, and `sensitivity`."""
    return config.model_dump_json(
        indent=2, exclude={"output", "device", "runs_per_job", "sensitivity"}, exclude_none=True
    )


if __name__ == "__main__":
    execute(configuration)
