"""Tables of what the instruments made of known truths, kept with the machine they were measured on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import torch

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
# At the end, since the folder's names are not to hide others.
sys.path.append(str(ROOT / "benchmarks"))
from record import read_table, write_table  # noqa: E402
from writing import DOCS, NOT_MEASURED, as_csv, link, markdown, significant, write  # noqa: E402

__all__ = ["DOCS", "NOT_MEASURED", "RESULTS", "ROOT", "as_csv", "frames", "in_parallel", "link", "load"]
__all__ += ["markdown", "measure_families", "save", "significant", "write"]


def save(name: str, frame: pd.DataFrame, folder: Path = RESULTS) -> None:
    """Write ``folder/name.parquet``; float32 is ample for a page and keeps the files small."""
    small = frame.astype(dict.fromkeys(frame.select_dtypes("float64").columns, "float32"))
    write_table(folder / f"{name}.parquet", small, torch.device("cpu"))


def load(name: str, folder: Path = RESULTS) -> tuple[pd.DataFrame, dict[str, str]] | None:
    """A table and the machine it was measured on; None where it was not measured."""
    return read_table(folder / f"{name}.parquet")


def in_parallel(row: Callable[[Any], dict[str, object]], tasks: Sequence[Any], processes: int) -> pd.DataFrame:
    """The row of each task, in the order of the tasks."""
    if processes == 1:
        return pd.DataFrame([row(task) for task in tasks])
    with ProcessPoolExecutor(processes) as pool:
        return pd.DataFrame(pool.map(row, tasks, chunksize=10))


def measure_families(
    about: str, prefix: str, measured: Callable[[str, int, int], pd.DataFrame], families: Sequence[str], clouds: int
) -> None:
    """A command that measures clouds of known truth and writes ``prefix-FAMILY.parquet``.

    Args:
        about: its description.
        measured: from family, number of clouds of each kind and processes to the table.
        clouds: of each kind, unless it is told otherwise.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="+", choices=families, default=families)
    parser.add_argument("--clouds", type=int, default=clouds, help="of each kind")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    for family in chosen.family:
        save(f"{prefix}-{family}", measured(family, chosen.clouds, chosen.processes), chosen.folder)


def frames(*names: str, folder: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Several tables by name.

    Raises:
        FileNotFoundError: where one was not measured.
    """
    found = {name: load(name, folder) for name in names}
    if missing := [name for name, table in found.items() if table is None]:
        raise FileNotFoundError(f"{folder}: not measured yet: {', '.join(missing)}")
    return {name: table[0] for name, table in found.items() if table is not None}
