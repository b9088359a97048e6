"""What the benchmarks share: interleaved timing, and tables that record their hardware."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.stats import linregress

from bumpscope.store.files import atomic_path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
# Runs a command and prints its peak memory in KiB, in a process of its own: a child starts with its parent's peak.
WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


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


def watched(command: Sequence[str]) -> tuple[float, float]:
    """Seconds that a command takes in the project's folder, on one thread, and its peak memory in MiB.

    Raises:
        RuntimeError: with what it printed, when it fails.
    """
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": str(ROOT / "src")}
    started = time.perf_counter()
    watch = [sys.executable, "-c", WATCH, *command]
    done = subprocess.run(watch, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: failed\n{done.stderr}")
    return time.perf_counter() - started, int(done.stdout) / 1024


def with_slopes(rows: pd.DataFrame | list[dict[str, object]]) -> pd.DataFrame:
    """The rows with the slope of log time over log n of their curve, and its standard error."""
    frame = pd.DataFrame(rows)
    parts = []
    for _, curve in frame.groupby(["cost", "against"], sort=False):
        fit = linregress(np.log(curve.n), np.log(curve.seconds))
        parts.append(curve.assign(slope=fit.slope, slope_error=fit.stderr))
    return pd.concat(parts, ignore_index=True)


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


def write_table(path: Path, frame: pd.DataFrame, device: torch.device, told: bool = True) -> None:
    """Write a Parquet file, whole or not at all, with the hardware in its metadata."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({"hardware": json.dumps(hardware(device))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    if told:
        print(f"written: {path.name}, {len(frame)} rows")


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, str]] | None:
    """A table and the hardware it was measured on; None where it was not measured."""
    if not path.exists():
        return None
    table = pq.read_table(path)
    return table.to_pandas(), json.loads(table.schema.metadata[b"hardware"])


def save(name: str, frame: pd.DataFrame, device: torch.device, folder: Path = RESULTS) -> None:
    print(frame.to_string(index=False))
    write_table(folder / f"{name}-{device.type}.parquet", frame, device)


def load(name: str, device: str, folder: Path = RESULTS) -> tuple[pd.DataFrame, dict[str, str]] | None:
    return read_table(folder / f"{name}-{device}.parquet")
