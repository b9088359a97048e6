"""Predictions of a denoiser that is asked many times for the same number of images."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bumpscope.denoise.denoiser import Denoiser
from bumpscope.denoise.recorder import WARM_UP, Call, CudaRecorder, Recorder, cause
from bumpscope.store.files import first_line

log = logging.getLogger(__name__)


@dataclass
class _Form:
    """Memory that stays where it is: what a prediction is given and what it gives; and what repeats it."""

    given: tuple[Tensor, ...]
    taps: dict[str, Tensor] = field(default_factory=dict)
    answers: list[Tensor] = field(default_factory=list)
    asked: int = 0
    repeat: Call | None = None


class RepeatedPredictions:
    """A denoiser whose predictions are recorded once for each number of images, and repeated.

    It is called as :meth:`Denoiser.forward` is, without ``keep``. What it returns, activations included, holds until it
    is called again. Weights may change in between where they stay in the same memory, as ``load_state_dict`` leaves
    them.

    Args:
        network: in evaluation mode; called in inference mode alone.
    """

    def __init__(self, network: Denoiser, recorder: Recorder):
        self.network, self.image_size, self.layers = network, network.image_size, network.layers
        self._recorder: Recorder | None = recorder
        self._forms: dict[tuple[torch.Size, bool], _Form] = {}

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor, taps: dict[str, Tensor] | None = None) -> Tensor:
        if self._recorder is None:
            return self.network(x, t, labels, taps=taps)
        given = (x, t, labels)
        form = self._forms.get((x.shape, taps is None))
        if form is None:
            form = self._forms[x.shape, taps is None] = _Form(tuple(torch.empty_like(one) for one in given))
        for place, one in zip(form.given, given, strict=True):
            place.copy_(one)

        def predict() -> None:
            form.answers[:] = [self.network(*form.given, taps=None if taps is None else form.taps)]

        self._ask(self._recorder, form, predict)
        if taps is not None:
            taps.update(form.taps)
        return form.answers[0]

    def _ask(self, recorder: Recorder, form: _Form, predict: Call) -> None:
        if form.repeat is None and form.asked >= WARM_UP:
            try:
                form.repeat = recorder.record([predict])
            except RuntimeError as error:
                why = first_line(cause(error))
                log.warning("predictions cannot be recorded as a CUDA graph, so each is launched anew: %s", why)
                self._recorder = None
        form.asked += 1
        if form.repeat is None:
            recorder.run([predict])
        else:
            form.repeat()


def repeated(network: Denoiser, device: torch.device) -> Denoiser | RepeatedPredictions:
    """``network`` as probes ask it: as it is on a CPU; on a GPU its predictions are recorded and repeated."""
    return RepeatedPredictions(network, CudaRecorder(device)) if device.type == "cuda" else network
