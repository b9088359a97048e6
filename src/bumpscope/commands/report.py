"""Write the page a reader opens first: claims, figures, methods, in one file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.files import atomic_path
from bumpscope.report import build
from bumpscope.results import Results


def report(
    settings: Annotated[str, typer.Option(help="configuration of the experiment as JSON")],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="page to write")],
) -> None:
    """Write the page a reader opens first: claims, figures, methods, in one file."""
    try:
        config = json.loads(settings)
    except ValueError as error:
        raise CommandError(f"--settings: is not JSON ({error})") from None
    page = build(Results(folder), folder / "figures", config)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    execute(report)
