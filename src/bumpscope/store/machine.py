"""What a computation ran on and with: of all this only a machine and its software tell, and of nothing else.

Names of hosts and users, and times, are no part of it: the same run on the same machine is described the same.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import torch

PROCESSORS, DRIVER = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/version")


def described(place: torch.device) -> dict[str, str]:
    """Hardware, threads and versions, as text, empty where something is not there or not known.

    Args:
        place: where the computation runs, set up already (:func:`bumpscope.denoise.devices.device`).
    """
    on_gpu = place.type == "cuda"
    gpu = torch.cuda.get_device_name(place) if on_gpu else ""
    return {
        "device": f"{place.type} ({gpu or processor()})",
        "processor": processor(),
        # Of the processor's instructions those that torch chooses from; results differ between them.
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
        "cuda": f"{torch.version.cuda}, driver {_driver() or 'unknown'}" if on_gpu else "",
        "threads": str(torch.get_num_threads()),
        "system": " ".join(filter(None, [platform.system(), platform.machine(), *platform.libc_ver()])),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }


def processor() -> str:
    """Model of the processor, or its kind where the system does not tell."""
    try:
        lines = PROCESSORS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return ", ".join(sorted(models)) or platform.processor() or platform.machine()


def _driver() -> str:
    try:
        told = DRIVER.read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)", told)
    return found[1] if found else ""
