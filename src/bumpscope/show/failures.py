"""Figures that could not be drawn: their files say why, so that the report and the other figures are made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

# The one column of the CSV of such a figure.
COLUMN = "could_not_be_drawn"


def failure(error: Exception) -> pd.DataFrame:
    """What stands in the CSV of a figure in place of its data: the error, on one line."""
    return pd.DataFrame({COLUMN: [" ".join(f"{type(error).__name__}: {error}".split())]})


def why_not_drawn(table: Path) -> str:
    """The error in the CSV of a figure that could not be drawn; empty for any other."""
    with table.open(encoding="utf-8", errors="replace") as file:
        if file.readline().strip() != COLUMN:
            return ""
    return str(pd.read_csv(table, dtype=str)[COLUMN].iloc[0])
