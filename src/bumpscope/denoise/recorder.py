"""Work that is recorded once and repeated.

A step, or a prediction, of a small network is hundreds of launches of kernels, each of which takes a GPU less time than
the processor needs to launch it. A CUDA graph repeats all of them by one launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

Call = Callable[[], None]
# Calls made one by one before one is recorded, in which libraries choose kernels and allocate what they keep.
WARM_UP = 3


class Recorder(Protocol):
    """Runs calls side by side, and records them to run them again."""

    def run(self, calls: Sequence[Call]) -> None: ...

    def record(self, calls: Sequence[Call]) -> Call:
        """What repeats all calls, in the memory that they use now. They are made once, but nothing is computed yet.

        Raises:
            RuntimeError: when they cannot be recorded.
        """
        ...

    def wait(self) -> None:
        """Wait until all that was launched is computed, so that a recording and its memory can be given back."""
        ...


class CudaRecorder:
    """CUDA graphs in which each call has a stream of its own."""

    def __init__(self, device: torch.device):
        self.device = device
        self._streams: list[torch.cuda.Stream] = []

    def run(self, calls: Sequence[Call]) -> None:
        with torch.cuda.device(self.device):
            self._launch(calls)

    def record(self, calls: Sequence[Call]) -> Call:
        with torch.cuda.device(self.device):
            graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
            try:
                with torch.cuda.graph(graph):
                    self._launch(calls)
            finally:
                # Where a recording fails, torch leaves its stream in force.
                torch.cuda.set_stream(before)
        return graph.replay

    def wait(self) -> None:
        torch.cuda.synchronize(self.device)

    def _launch(self, calls: Sequence[Call]) -> None:
        while len(self._streams) < len(calls):
            self._streams.append(torch.cuda.Stream(self.device))
        current = torch.cuda.current_stream()
        begun = []
        try:
            for stream, call in zip(self._streams, calls, strict=False):
                stream.wait_stream(current)
                begun.append(stream)
                with torch.cuda.stream(stream):
                    call()
        finally:
            # Also where a call fails, since a recording can only end once its streams have joined.
            for stream in begun:
                current.wait_stream(stream)


def cause(error: BaseException) -> BaseException:
    """The first of a chain of errors: one while recording makes torch raise another as the recording ends."""
    while error.__context__ is not None:
        error = error.__context__
    return error
