"""Which tables a command really reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bumpscope.store import tables
from whole_files import table_at


@contextmanager
def recorded(folder: Path) -> Iterator[tuple[set[str], set[str]]]:
    """Names of the tables under a folder that are read, and of those that are written, while the block runs."""
    read, written = set[str](), set[str]()
    schema_of, start = tables._schema_of, tables.TableWriter.__init__

    def noted_schema(path):
        read.add(table_at(Path(path).relative_to(folder).as_posix()))
        return schema_of(path)

    def noted_start(self, name, *arguments):
        written.add(name)
        start(self, name, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tables, "_schema_of", noted_schema)
        patched.setattr(tables.TableWriter, "__init__", noted_start)
        yield read, written
