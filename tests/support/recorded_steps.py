"""A stand-in for CUDA graphs on a CPU: operations are recorded once and repeated in the same memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

# What reads a number back from the device, and what brings one there: a recorded step can do neither.
READ_BACK = {"aten._local_scalar_dense.default", "aten.item.default", "aten.nonzero.default"}
BROUGHT = {"aten.lift_fresh.default"}


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func) in READ_BACK:
            raise RuntimeError(f"{func} reads from the device while a step is recorded")
        if str(func) in BROUGHT:
            raise RuntimeError(f"{func} copies to the device while a step is recorded")
        result = func(*args, **(kwargs or {}))
        self.seen.append((func, args, kwargs or {}, result))
        return result


def operations(call: Callable[[], None]) -> list[tuple[Any, Any, Any, Any]]:
    """The operations that a call makes, with their arguments and results.

    Raises:
        RuntimeError: when one of them reads a number back, or makes a tensor of numbers of the processor.
    """
    with _Operations() as made:
        call()
    return made.seen


class CpuRecorder:
    """As :class:`bumpscope.denoise.together.Recorder`.

    Where a graph's recording computes nothing, this one's does; so what it changes is put back.

    Args:
        memory: all tensors that calls change.
    """

    def __init__(self, memory: Callable[[], Sequence[torch.Tensor]]):
        self.memory, self.recordings, self.runs = memory, 0, 0
        self.repeats = self.waits = 0

    def run(self, calls: Sequence[Callable[[], None]]) -> None:
        self.runs += 1
        for call in calls:
            call()

    def record(self, calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
        self.recordings += 1
        tensors = self.memory()
        before = [tensor.detach().clone() for tensor in tensors]
        seen = [one for call in calls for one in operations(call)]
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)

        def repeat() -> None:
            self.repeats += 1
            with torch.no_grad():
                for func, args, kwargs, result in seen:
                    _write(result, func(*args, **kwargs))

        return repeat

    def wait(self) -> None:
        self.waits += 1


def _write(kept: Any, new: Any) -> None:
    """Put new results where the recording had them; views and tensors changed in place are there already."""
    for old, value in zip(tree_flatten(kept)[0], tree_flatten(new)[0], strict=True):
        if isinstance(old, torch.Tensor) and old.data_ptr() != value.data_ptr():
            old.copy_(value)
