"""Whether the files of an output folder are whole: every one is read to its end."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from bumpscope.store.checkpoints import load_tensors
from bumpscope.store.files import FileError
from bumpscope.store.manifest import verify
from bumpscope.store.schemas import IMAGE, TABLES, VECTOR
from bumpscope.store.tables import read_block, read_table


@dataclass(frozen=True)
class Seen:
    """What lies in an output folder after a kill.

    Attributes:
        files: those under a final name, states to resume from among them.
        broken: those of them that are not whole, each with what is wrong.
        leftovers: half-written files under temporary names.
        leftover_bytes: their size.
    """

    files: list[str]
    broken: list[str]
    leftovers: list[str]
    leftover_bytes: int


def look(folder: Path) -> Seen:
    """Read every file of an output folder, and tell which are not whole."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".log"]
    temporary = [path for path in paths if path.name.endswith(".part")]
    final = [path for path in paths if path not in temporary and path.name not in (".lock", "lock", "finished")]
    broken = [told for path in final if (told := _fault(path, folder))]
    names = [[path.relative_to(folder).as_posix() for path in group] for group in (final, temporary)]
    return Seen(names[0], broken, names[1], sum(path.stat().st_size for path in temporary))


def table_at(place: str) -> str:
    """The name of the table that lies at a place under the output folder."""
    for name, table in TABLES.items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(table.path)), place):
            return name
    raise KeyError(place)


def _fault(path: Path, folder: Path) -> str | None:
    """What is wrong with a file, or None where it is whole."""
    try:
        _read(path, path.relative_to(folder).as_posix())
    except (FileError, OSError, ValueError, KeyError, SyntaxError) as error:
        return f"{path.relative_to(folder).as_posix()}: {error or type(error).__name__}"
    return None


def _read(path: Path, place: str) -> None:
    """Read all of a file; an error where it is not whole."""
    verify(path)
    if path.suffix == ".sha256":
        lines = [
            line for line in path.read_text(encoding="ascii").splitlines(keepends=True) if not line.startswith("# ")
        ]
        if not lines or not all(re.fullmatch(r"[0-9a-f]{64}  [^\n]+\n", line) for line in lines):
            raise ValueError("is not in the format of sha256sum")
    elif path.suffix == ".parquet":
        name = table_at(place)
        read_table(name, path)
        for column in TABLES[name].columns:
            if column.kind in (IMAGE, VECTOR):
                # Vectors of layers differ in length; all pages are read before that is found.
                try:
                    read_block(name, path, column.name)
                except FileError as error:
                    if "select one layer" not in str(error):
                        raise
    elif path.suffix == ".safetensors":
        load_tensors(path)
    elif path.suffix in (".png", ".gif"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix in (".csv", ".tsv"):
        text = path.read_text(encoding="utf-8")
        pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
        if not text.endswith("\n"):
            raise ValueError("ends in the middle of a line")
    else:
        ends = {".pdf": b"%%EOF", ".html": b"</html>"}
        if path.suffix not in ends:
            raise ValueError("is of a kind that nobody expects there")
        if not path.read_bytes().rstrip().endswith(ends[path.suffix]):
            raise ValueError("has no end")
