"""Write config.yaml, its JSON schema and the reference pages from the package's own definitions."""

from pathlib import Path
from typing import Annotated

import typer

from bumpscope.commands.interface import execute
from bumpscope.reference import PAGES


def reference(
    folder: Annotated[Path, typer.Option(help="root of the project")] = Path(),
) -> None:
    """Write config.yaml, its JSON schema and the reference pages from the package's own definitions."""
    for name, page in PAGES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    execute(reference)
