"""Steps of several trainings on one device.

A step of a small network is over a thousand launches of kernels, each of which takes a GPU less time than the processor
needs to launch it. So on a GPU one step of all trainings is recorded as a single CUDA graph, with a stream for each,
and then repeated by one launch. Every training issues just the kernels that it would issue alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from bumpscope.denoise.trainer import Trainer, TrainingError
from bumpscope.store.files import first_line

log = logging.getLogger(__name__)
Call = Callable[[], None]
# Steps taken one by one before one is recorded, in which libraries choose kernels and allocate what they keep.
WARM_UP = 3


class Recorder(Protocol):
    """Runs calls side by side, and records them to run them again."""

    def run(self, calls: Sequence[Call]) -> None: ...

    def record(self, calls: Sequence[Call]) -> Call:
        """What repeats all calls. The calls are made once, but nothing is computed yet.

        Raises:
            RuntimeError: when they cannot be recorded.
        """
        ...


class CudaRecorder:
    """CUDA graphs in which each call has a stream of its own."""

    def __init__(self, device: torch.device):
        self.device = device
        self._streams: list[torch.cuda.Stream] = []
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, calls: Sequence[Call]) -> None:
        with torch.cuda.device(self.device):
            self._launch(calls)

    def record(self, calls: Sequence[Call]) -> Call:
        with torch.cuda.device(self.device):
            # The graph before may still run, and its memory is needed.
            torch.cuda.synchronize()
            self._graph = graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._launch(calls)
        return graph.replay

    def _launch(self, calls: Sequence[Call]) -> None:
        while len(self._streams) < len(calls):
            self._streams.append(torch.cuda.Stream(self.device))
        current = torch.cuda.current_stream()
        used = self._streams[: len(calls)]
        for stream, call in zip(used, calls, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                call()
        for stream in used:
            current.wait_stream(stream)


class Steps:
    """The next steps of trainings on one device.

    Args:
        recorder: None takes each step by itself, as on a CPU.
    """

    def __init__(self, recorder: Recorder | None):
        self._recorder = recorder
        self._repeat: Call | None = None
        self._recorded: list[tuple[Trainer, tuple[bool, int]]] = []
        self._taken = 0

    @classmethod
    def on(cls, device: torch.device) -> Steps:
        return cls(CudaRecorder(device) if device.type == "cuda" else None)

    def advance(self, trainers: Sequence[Trainer]) -> list[TrainingError | None]:
        """One step of each training.

        Args:
            trainers: on the same device; they may change from call to call, which costs a recording.

        Returns:
            For each training what ended it, or None.
        """
        if self._recorder is None:
            return [_error(trainer.advance) for trainer in trainers]
        for trainer in trainers:
            trainer.draw()
        self._compute(self._recorder, trainers)
        return [_error(trainer.finish) for trainer in trainers]

    def _compute(self, recorder: Recorder, trainers: Sequence[Trainer]) -> None:
        calls = [trainer.compute for trainer in trainers]
        wanted = [(trainer, trainer.form) for trainer in trainers]
        if wanted != self._recorded:
            self._repeat, self._recorded, self._taken = None, wanted, 0
        if self._repeat is None and self._taken >= WARM_UP:
            try:
                self._repeat = recorder.record(calls)
            except RuntimeError as error:
                log.warning("steps cannot be recorded as a CUDA graph, so each is launched anew: %s", first_line(error))
                self._recorder = None
        if self._repeat is None:
            recorder.run(calls)
        else:
            self._repeat()
        self._taken += 1


def _error(step: Call) -> TrainingError | None:
    try:
        step()
    except TrainingError as error:
        return error
    return None
