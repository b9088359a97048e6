"""What every benchmark shares: repeated, interleaved timing, and a table that says on what it was measured."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bumpscope.files import atomic_path

RESULTS = Path(__file__).parent / "results"


def paired_seconds(contenders: dict[str, Callable[[], None]], rounds: int, warm_up: int = 2) -> pd.DataFrame:
    """Time contenders in turn (A, B, C, A, B, C, …), so that what else the machine does meets all of them alike.

    Returns:
        A row a contender: name, median, low and high quartile of its seconds, and the median over rounds of its
        seconds over those of the first contender in the same round.
    """
    for call in contenders.values():
        for _ in range(warm_up):
            call()
    seconds = np.array([[_timed(call) for call in contenders.values()] for _ in range(rounds)])
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0)
    ratio = np.median(seconds / seconds[:, :1], axis=0)
    return pd.DataFrame(
        {"name": list(contenders), "seconds": median, "low": low, "high": high, "ratio": ratio, "rounds": rounds}
    )


def _timed(call: Callable[[], None]) -> float:
    synchronise()
    started = time.perf_counter()
    call()
    synchronise()
    return time.perf_counter() - started


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def hardware(device: torch.device) -> dict[str, str]:
    """Processor, cores in use, GPU, versions and date, as text."""
    facts = {
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return ", ".join(sorted(names)) or platform.machine()


def save(name: str, frame: pd.DataFrame, device: torch.device, folder: Path = RESULTS) -> Path:
    """Write ``folder/name-device.parquet``, whole or not at all, with the hardware in its metadata."""
    path = folder / f"{name}-{device.type}.parquet"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({"hardware": json.dumps(hardware(device))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    print(frame.to_string(index=False))
    print(f"written: {path.name}")
    return path


def load(name: str, device: str, folder: Path = RESULTS) -> tuple[pd.DataFrame, dict[str, str]] | None:
    """A benchmark's table and the hardware it was measured on; None where it was not measured."""
    path = folder / f"{name}-{device}.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path)
    return table.to_pandas(), json.loads(table.schema.metadata[b"hardware"])
