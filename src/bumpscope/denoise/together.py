"""Steps of several trainings on one device.

On a GPU one step of all trainings is recorded as a single CUDA graph, with a stream for each, and then repeated by one
launch. Every training issues just the kernels that it would issue alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from bumpscope.denoise.devices import out_of_memory
from bumpscope.denoise.recorder import WARM_UP, Call, CudaRecorder, Recorder, cause
from bumpscope.denoise.trainer import Trainer, TrainingError
from bumpscope.store.files import first_line

log = logging.getLogger(__name__)


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

        Raises:
            RuntimeError: among others when the memory does not hold all trainings at a time.
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
            if self._repeat is not None:
                recorder.wait()
            self._repeat, self._recorded, self._taken = None, wanted, 0
        if self._repeat is None and self._taken >= WARM_UP:
            try:
                self._repeat = recorder.record(calls)
            except RuntimeError as error:
                why = cause(error)
                if len(calls) > 1 and out_of_memory(why):
                    raise
                log.warning("steps cannot be recorded as a CUDA graph, so each is launched anew: %s", first_line(why))
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
