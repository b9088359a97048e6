"""Trainings to their end, which can be killed at any moment and resumed bit for bit.

The state of a training is written atomically at every logged step that is a checkpoint, and at the first logged step
after every half minute, or more where writing it takes long. Several trainings can share a device; each has its own
folder and ends by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bumpscope.config.training import Training
from bumpscope.denoise.together import Steps
from bumpscope.denoise.trainer import LossLog, Trainer, TrainingError
from bumpscope.store.checkpoints import load_tensors, save_tensors
from bumpscope.store.files import CURE, FileError

log = logging.getLogger(__name__)
SECONDS_BETWEEN_STATES = 30.0
# Of the time of all trainings that share a device, what their states may take, checkpoints aside; but however slow the
# disk is, there are no more seconds between two.
SHARE_OF_STATES, MOST_BETWEEN_STATES = 0.05, 600.0
SECONDS_BETWEEN_REPORTS = 5.0
Report = Callable[[str], None]


@dataclass
class Course:
    """A training and where its files go.

    Attributes:
        folder: for this run with exactly these settings, code and data; the train command makes its name. Checkpoints
            are written to it as ``step=S.safetensors``, with raw and averaged weights under ``raw.`` and ``ema.``.
        metadata: stored in every checkpoint together with its step.
        report: called with a line of progress every few seconds.
        together: how many trainings share the device.
        error: what ended the training early; None while it goes on and where it came to its end.
    """

    trainer: Trainer
    folder: Path
    metadata: Mapping[str, str]
    report: Report = log.info
    together: int = 1
    error: TrainingError | FileError | None = None

    def begin(self) -> None:
        """Resume from the last state in the folder if there is one, or keep the untrained weights where asked for."""
        path, trainer = _state_path(self.folder), self.trainer
        if path.exists():
            try:
                trainer.restore(_state_of(path, self.metadata))
                self.report(f"resumed at step {trainer.step} of {trainer.training.steps}")
            except FileError as error:
                self.report(f"{error} (starting again from step 0)")
        if trainer.step == 0 and 0 in trainer.training.checkpoints:
            self._save_checkpoint()
        self._first_step, self._started = trainer.step, time.monotonic()
        self._reported = self._saved = self._started
        self._between_states = SECONDS_BETWEEN_STATES

    @property
    def ended(self) -> bool:
        return self.error is not None or self.trainer.step >= self.trainer.training.steps

    def after_step(self) -> None:
        """Write and report what is due."""
        trainer, now = self.trainer, time.monotonic()
        checkpoint = trainer.step in trainer.training.checkpoints
        if checkpoint:
            self._save_checkpoint()
        # Saved only where loss and weights were just found finite, so that the last state is always good.
        if trainer.log.steps[-1:] != [trainer.step]:
            return
        last = trainer.step == trainer.training.steps
        if checkpoint or last or now - self._saved >= self._between_states:
            self._save_state()
        if last or now - self._reported >= SECONDS_BETWEEN_REPORTS:
            rate = (trainer.step - self._first_step) / (now - self._started)
            left = (trainer.training.steps - trainer.step) / rate
            self.report(
                f"step {trainer.step} of {trainer.training.steps}, loss {trainer.log.losses[-1]:.4g}, "
                f"{rate:.1f} steps/s, {_duration(left)} left"
            )
            self._reported = now

    def last_good(self) -> str:
        try:
            step = int(load_tensors(_state_path(self.folder))[0]["step"])
        except FileError:
            return "no state was saved before"
        return f"the last good state, of step {step}, is kept in {_state_path(self.folder)}"

    def _save_state(self) -> None:
        started = time.monotonic()
        save_tensors(_state_path(self.folder), self.trainer.state(), self.metadata)
        self._saved = time.monotonic()
        # While one is written the others wait.
        long_enough = self.together * (self._saved - started) / SHARE_OF_STATES
        self._between_states = min(max(SECONDS_BETWEEN_STATES, long_enough), MOST_BETWEEN_STATES)

    def _save_checkpoint(self) -> None:
        step = self.trainer.step
        save_tensors(
            self.folder / f"step={step}.safetensors", self.trainer.weights(), {**self.metadata, "step": str(step)}
        )


def train(trainer: Trainer, state_folder: Path, metadata: Mapping[str, str], report: Report = log.info) -> LossLog:
    """Train to the end, from the last state in ``state_folder`` if there is one; see :class:`Course`.

    Raises:
        TrainingError: when the loss or a weight is not finite. The last good state is kept.
        FileError: when the state cannot be written.
    """
    course = Course(trainer, state_folder, metadata, report)
    train_together([course])
    if course.error is not None:
        raise course.error
    return trainer.log


def train_together(courses: Iterable[Course], ended: Callable[[Course], None] = lambda _: None) -> None:
    """Take trainings on one device to their end, a step of each in turn.

    Each is what it would be alone. One that fails ends by itself, with its ``error`` set, and the others go on.

    Args:
        ended: called with each as soon as it has ended.
    """
    waiting = list(courses)
    if not waiting:
        return
    steps = Steps.on(waiting[0].trainer.device)
    for course in waiting:
        course.together = len(waiting)
        _guarded(course, course.begin)
    while True:
        for course in [course for course in waiting if course.ended]:
            waiting.remove(course)
            ended(course)
        if not waiting:
            return
        errors = steps.advance([course.trainer for course in waiting])
        for course, error in zip(waiting, errors, strict=True):
            if error is None:
                _guarded(course, course.after_step)
            else:
                course.error = TrainingError(f"{error}; {course.last_good()}")


def finished(folder: Path, metadata: Mapping[str, str], training: Training) -> LossLog | None:
    """The losses of a training that has come to its end; None where it has not, or its state cannot be read."""
    try:
        tensors = _state_of(_state_path(folder), metadata)
    except FileError:
        return None
    if int(tensors["step"]) < training.steps:
        return None
    return LossLog(tensors["log.steps"].tolist(), tensors["log.losses"].tolist())


def _guarded(course: Course, call: Callable[[], None]) -> None:
    try:
        call()
    except FileError as error:
        course.error = error


def _state_path(folder: Path) -> Path:
    return folder / "state.safetensors"


def _state_of(path: Path, metadata: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a state, after checking that it belongs to this training."""
    tensors, found = load_tensors(path)
    for key in ("run", "settings"):
        if found.get(key) != metadata.get(key):
            raise FileError(f"{path}: is of another training ({key} {found.get(key)}, not {metadata.get(key)}); {CURE}")
    return tensors


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
