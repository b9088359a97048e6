"""Tables of what the instruments made of known truths, kept with the machine they were measured on."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import torch

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
# At the end, since the folder's names are not to hide others.
sys.path.append(str(ROOT / "benchmarks"))
from record import read_table, write_table  # noqa: E402
from writing import DOCS, NOT_MEASURED, as_csv, link, markdown, significant, write  # noqa: E402

__all__ = ["DOCS", "NOT_MEASURED", "RESULTS", "ROOT", "as_csv", "frames", "link", "load", "markdown", "save"]
__all__ += ["significant", "write"]


def save(name: str, frame: pd.DataFrame, folder: Path = RESULTS) -> None:
    """Write ``folder/name.parquet``; float32 is ample for a page and keeps the files small."""
    small = frame.astype(dict.fromkeys(frame.select_dtypes("float64").columns, "float32"))
    write_table(folder / f"{name}.parquet", small, torch.device("cpu"))


def load(name: str, folder: Path = RESULTS) -> tuple[pd.DataFrame, dict[str, str]] | None:
    """A table and the machine it was measured on; None where it was not measured."""
    return read_table(folder / f"{name}.parquet")


def frames(*names: str, folder: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Several tables by name.

    Raises:
        FileNotFoundError: where one was not measured.
    """
    found = {name: load(name, folder) for name in names}
    if missing := [name for name, table in found.items() if table is None]:
        raise FileNotFoundError(f"{folder}: not measured yet: {', '.join(missing)}")
    return {name: table[0] for name, table in found.items() if table is not None}
