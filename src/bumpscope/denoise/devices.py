"""Where a computation runs, and that it runs the same way every time."""

from __future__ import annotations

import gc
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


# What may round float32 to TF32.
TF32: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
# Of the free memory of a GPU, what is planned with; the rest is for libraries and for what comes in pieces.
SHARE_OF_MEMORY = 0.85
# What CUDA_VISIBLE_DEVICES holds where a job may use no GPU; SLURM writes the last.
NO_GPUS = ("", "-1", "NoDevFiles")


class DeviceError(RuntimeError):
    """A requested device that is not available."""


@contextmanager
def device(name: str, gpus: int = 1) -> Iterator[torch.device]:
    """Set up ``name`` (auto, cpu or cuda) for repeatable results and hold it for the block.

    The CPU uses one thread: results depend on the number of threads, and parallel runs use the cores better. Several
    GPUs are shared out by a lock file each, since Snakemake does not assign them; all users of a machine share these,
    and the operating system releases a lock however its process ends. If SLURM shows a job a single GPU, it has
    assigned it already. Falling back to the CPU is logged with the reason.

    Args:
        gpus: GPUs granted to this job; 0 means the CPU where ``name`` is auto.

    Raises:
        DeviceError: when cuda is asked for and there is none, for any other name, and when locks cannot be made.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"device: holds {name}; allowed: auto, cpu or cuda")
    torch.use_deterministic_algorithms(True)
    # Otherwise each tensor is filled before it is computed; nothing here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cuda" and available == 0:
        if _slurm_assigned_none():
            raise DeviceError(
                "device: holds cuda, but SLURM assigned this job no GPU; ask for one (resources: gpu=1), or set it to "
                "auto or cpu"
            )
        raise DeviceError(
            "device: holds cuda, but torch sees no GPU here; set it to auto or cpu, or install a CUDA build"
        )
    if name == "cpu" or available == 0 or (name == "auto" and gpus == 0):
        if name == "auto":
            _log_why_the_cpu(available)
        torch.set_num_threads(1)
        yield torch.device("cpu")
        return
    # TF32 rounds the factors of float32 products to ten bits, which the comparison with exact denoisers would show.
    for backend in TF32:
        backend.allow_tf32 = False
    if "SLURM_JOB_ID" in os.environ and available == 1:
        yield torch.device("cuda:0")
        return
    with _slot(available) as index:
        yield torch.device(f"cuda:{index}")


def expected(name: str, gpus: int = 1) -> torch.device:
    """The kind of device that :func:`device` would hold, told without starting CUDA."""
    on_gpu = name == "cuda" or (name == "auto" and gpus > 0 and torch.cuda.is_available())
    return torch.device("cuda" if on_gpu else "cpu")


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """In the block float32 products on a GPU may be rounded to TF32, if ``allowed``."""
    before = [backend.allow_tf32 for backend in TF32]
    for backend in TF32:
        backend.allow_tf32 = allowed or backend.allow_tf32
    try:
        yield
    finally:
        for backend, was in zip(TF32, before, strict=True):
            backend.allow_tf32 = was


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU's memory has run out; CUDA's libraries have messages of their own."""
    text = str(error)
    full = isinstance(error, torch.OutOfMemoryError)
    return full or "CUDA error: out of memory" in text or "_ALLOC_FAILED" in text


def fitting(place: torch.device, trial: Callable[[], object]) -> int:
    """How many of what ``trial`` makes and uses once fit the free memory of a GPU at a time; at least 1.

    Args:
        trial: returns what is to be kept.
    """
    give_back(place)
    before = torch.cuda.memory_reserved(place)
    torch.cuda.reset_peak_memory_stats(place)
    kept = trial()
    torch.cuda.synchronize(place)
    needed = torch.cuda.max_memory_reserved(place) - before
    del kept
    give_back(place)
    return max(1, int(SHARE_OF_MEMORY * torch.cuda.mem_get_info(place)[0] / max(needed, 1)))


def give_back(place: torch.device) -> None:
    """Give memory that nothing uses any more back to the GPU."""
    gc.collect()
    if place.type == "cuda":
        torch.cuda.synchronize(place)
        torch.cuda.empty_cache()


def _slurm_assigned_none() -> bool:
    return "SLURM_JOB_ID" in os.environ and os.environ.get("CUDA_VISIBLE_DEVICES") in NO_GPUS


def _log_why_the_cpu(available: int) -> None:
    assigned = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    build = (
        "a build of torch for the CPU only" if torch.version.cuda is None else f"torch for CUDA {torch.version.cuda}"
    )
    if available:
        log.info("device: the CPU, since this job was granted no GPU (resources: gpu=0)")
    elif _slurm_assigned_none():
        log.info("device: the CPU, since SLURM assigned this job no GPU")
    elif "SLURM_JOB_ID" in os.environ and assigned:
        # It would hold the GPU for hours and leave it idle.
        log.warning(
            "device: the CPU, though SLURM assigned GPU %s: %s sees none; docs/installation.md says how to get "
            "another build",
            assigned,
            build,
        )
    else:
        log.info("device: the CPU, since torch sees no GPU (%s)", build)


@contextmanager
def _slot(count: int) -> Iterator[int]:
    """The index of a GPU that no other process holds. Waits until there is one."""
    waiting = False
    while True:
        for index, path in enumerate(_locks(count)):
            lock = FileLock(path, mode=0o666, fallback_to_soft=False)
            try:
                _make_shared(path.parent)
                lock.acquire(blocking=False)
            except Timeout:
                continue
            except (OSError, NotImplementedError) as error:
                raise DeviceError(
                    f"{path}: cannot be locked ({error}), so that GPUs cannot be handed out; set TMPDIR to a folder "
                    "on a disk of this machine"
                ) from None
            try:
                yield index
                return
            finally:
                lock.release()
        if not waiting:
            log.info("device: all %d GPUs are held by other jobs; waiting for one", count)
            waiting = True
        time.sleep(0.5)


def _make_shared(folder: Path) -> None:
    """Make a folder in which every user of this machine can make and open locks, if it is not there.

    Not sticky: in a sticky folder Linux and filelock refuse the files of other users.
    """
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o777)


def _locks(count: int) -> list[Path]:
    """A lock file for each GPU that torch sees, the same one in all processes that see that GPU.

    CUDA_VISIBLE_DEVICES names the GPUs that torch counts from zero. Inside a SLURM job these names may be local to
    the job.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else []
    if len(names) < count:
        names = [str(index) for index in range(count)]
    job = f"-job{os.environ['SLURM_JOB_ID']}" if visible and "SLURM_JOB_ID" in os.environ else ""
    folder = Path(tempfile.gettempdir()) / f"bumpscope-gpu{job}"
    return [folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name.strip())}.lock" for name in names[:count]]
