"""What a table is: where it lies, its columns, and which it has in a world of other factors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from bumpscope.store.names import XY, Names

IMAGE = "image"
VECTOR = "vector"


@dataclass(frozen=True)
class Column:
    """A column: its name, its kind (int, float, text, bool, vector, image), its unit and what it says."""

    name: str
    kind: str
    unit: str
    description: str


@dataclass(frozen=True)
class Table:
    """A table: where it lies under the output folder, what one row is, and its columns."""

    path: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def of(self, names: Names) -> Table:
        """The table in a world with these factors."""
        return self if names == XY or not self.of_factors else _of(self, names)

    @property
    def of_factors(self) -> bool:
        """Whether columns are named after the factors of one world."""
        return "{" in self.path and any(name in ("mu_x", "effect_x", "r2_x") for name in self.names)


@cache
def _of(table: Table, names: Names) -> Table:
    return replace(table, columns=tuple(_columns_of(table, names)))


def _columns_of(table: Table, names: Names) -> Iterator[Column]:
    """A column of x becomes one for each factor, one of x and y one for each pair."""
    instead = {"x": list(names), "y": [], "xy": names.pairs}
    for column in table.columns:
        parts = column.name.split("_")
        if column.name == "outcome" and len(names.groups) > 1:
            yield MISSES
        if not (about := [part for part in parts if part in instead]):
            yield column
            continue
        for name in instead[about[0]]:
            text = re.sub(r"\b[xy]\b", name, column.description)
            unit = "of the factor" if column.unit == "px" else column.unit
            yield Column("_".join(name if part == about[0] else part for part in parts), column.kind, unit, text)


MISSES = Column("misses", "text", "–", "factors in which a misplaced image misses its request, separated by commas")


def columns(text: str) -> tuple[Column, ...]:
    """Read ``name | kind | unit | description`` lines."""
    rows = [tuple(part.strip() for part in line.split("|")) for line in text.strip().splitlines()]
    return tuple(Column(*row) for row in rows)
