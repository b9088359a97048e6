"""Tables of what the instruments made of known truths: written whole or not at all, with the machine they ran on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bumpscope.store.files import atomic_path

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
# At the end, since the folder's names are not to hide others.
sys.path.append(str(ROOT / "benchmarks"))
from page import markdown, significant  # noqa: E402
from record import hardware  # noqa: E402

__all__ = ["RESULTS", "ROOT", "load", "markdown", "save", "significant"]


def save(name: str, frame: pd.DataFrame, folder: Path = RESULTS) -> Path:
    """Write ``folder/name.parquet``; numbers as float32, which is ample for a page and keeps the files small."""
    path = folder / f"{name}.parquet"
    small = frame.astype(dict.fromkeys(frame.select_dtypes("float64").columns, "float32"))
    table = pa.Table.from_pandas(small, preserve_index=False)
    table = table.replace_schema_metadata({"hardware": json.dumps(hardware(torch.device("cpu")))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    print(f"written: {path.name}, {len(frame)} rows")
    return path


def load(name: str, folder: Path = RESULTS) -> tuple[pd.DataFrame, dict[str, str]] | None:
    """A table and the machine it was measured on; None where it was not measured."""
    path = folder / f"{name}.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path)
    return table.to_pandas(), json.loads(table.schema.metadata[b"hardware"])
