"""Where a computation runs, and that it runs the same way every time."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout


class DeviceError(RuntimeError):
    """A device that was asked for and is not there."""


@contextmanager
def device(name: str, gpus: int = 1) -> Iterator[torch.device]:
    """Set up ``name`` (auto, cpu or cuda) for repeatable results and hold it for the block.

    On the CPU one thread is used, since results depend on the number of threads and runs side by side use the
    cores better. On a machine with several GPUs a lock file for each hands them out, because a workflow manager
    does not; the operating system releases a lock however its process ends. Where SLURM shows a job just one,
    the scheduler has assigned it already.

    Args:
        gpus: GPUs granted to this job; 0 means the CPU where ``name`` is auto.

    Raises:
        DeviceError: when cuda is asked for and there is none, and for any other name.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"device: holds {name}; allowed: auto, cpu or cuda")
    torch.use_deterministic_algorithms(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cuda" and available == 0:
        raise DeviceError(
            "device: holds cuda, but torch sees no GPU here; set it to auto or cpu, or install a CUDA build"
        )
    if name == "cpu" or available == 0 or (name == "auto" and gpus == 0):
        torch.set_num_threads(1)
        yield torch.device("cpu")
        return
    # TF32 rounds float32 products to ten bits; the exact yardsticks would see it.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if "SLURM_JOB_ID" in os.environ and available == 1:
        yield torch.device("cuda:0")
        return
    with _slot(available) as index:
        yield torch.device(f"cuda:{index}")


@contextmanager
def _slot(count: int) -> Iterator[int]:
    """The index of a GPU that no other process of this user holds; waits until there is one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace("/", "_")
    folder = Path(tempfile.gettempdir()) / f"bumpscope-gpu-{os.getuid()}-{visible}"
    folder.mkdir(exist_ok=True)
    while True:
        for index in range(count):
            lock = FileLock(folder / f"{index}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield index
                return
            finally:
                lock.release()
        time.sleep(0.5)
