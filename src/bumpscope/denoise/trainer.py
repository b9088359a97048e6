"""Training that can be killed at any moment and resumed bit for bit.

Everything random in step s comes from (run seed, purpose, s). So a resumed run needs the weights, their moving average,
the optimiser's moments, the losses logged so far and s. This state is written atomically at every logged step that is a
checkpoint, and at the first logged step after every half minute.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.training import Training
from bumpscope.denoise.denoiser import Batch, Denoiser
from bumpscope.denoise.flat import flatten_parameters, slices
from bumpscope.denoise.process import Process
from bumpscope.seeding import derived_seed
from bumpscope.store.checkpoints import load_tensors, save_tensors
from bumpscope.store.files import CURE, FileError

log = logging.getLogger(__name__)
SECONDS_BETWEEN_STATES = 30.0
SECONDS_BETWEEN_REPORTS = 5.0


class TrainingError(RuntimeError):
    """A training that cannot continue; its one-line message says why and what to change."""


@dataclass
class TrainingData:
    """What training draws from: images (K, 1, N, N) in [-1, 1], labels (K, 2) in px (x, y), probability (K,)."""

    images: Tensor
    labels: Tensor
    probability: Tensor

    def to(self, device: torch.device) -> TrainingData:
        return TrainingData(self.images.to(device), self.labels.to(device), self.probability.to(device))

    def with_permuted_labels(self, seed: int) -> TrainingData:
        """The same images, each with the label of another; a control. The permutation depends only on ``seed``.

        It is one cycle through all images, so that none keeps its own label.
        """
        draw = torch.Generator().manual_seed(derived_seed(seed, "permuted labels"))
        order = torch.randperm(len(self.labels), generator=draw)
        labels = torch.empty_like(self.labels)
        labels[order] = self.labels[order.roll(1)]
        return TrainingData(self.images, labels, self.probability)


@dataclass
class LossLog:
    """Rows of the loss table; each loss is the mean since the row before."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def learning_rate(step: int, training: Training) -> float:
    """Learning rate of optimiser step ``step`` (from 1): a linear warm-up, then constant or a cosine to zero."""
    if step <= training.warmup_steps:
        return training.learning_rate * step / training.warmup_steps
    if training.learning_rate_schedule == "constant":
        return training.learning_rate
    progress = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class Trainer:
    """One run's training state and its optimiser step.

    Args:
        seed: seed of the run.
        data: on ``device`` already.
        network: untrained; trained in place.
    """

    def __init__(
        self,
        seed: int,
        data: TrainingData,
        network: Denoiser,
        diffusion: Diffusion,
        training: Training,
        device: torch.device,
    ):
        self.seed, self.data, self.training, self.device = seed, data, training, device
        self.process = Process.from_config(diffusion, device)
        self.network = network.to(device)
        self.average = copy.deepcopy(self.network)
        # Channels last is faster for the backward pass of convolutions on a CPU, and for half precision on a GPU.
        channels_last = device.type == "cpu" or training.precision == "bfloat16"
        self.weights_flat, self.average_flat = (
            flatten_parameters(network, channels_last) for network in (self.network, self.average)
        )
        self._parts = slices(self.weights_flat, self.network.parts())
        if training.compile:
            self.network.compile(dynamic=False)
        self.optimizer = torch.optim.AdamW(
            [self.weights_flat], lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        self.cumulative = data.probability.double().cumsum(0)
        self._draw = torch.Generator(device)
        self.step = 0
        self.log = LossLog()
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)

    def batch(self, step: int) -> Batch:
        """What optimiser step ``step`` draws; timesteps are drawn uniformly."""
        draw = self._draw.manual_seed(derived_seed(self.seed, "batch", step))
        size = self.training.batch_size
        uniform = torch.rand(size, generator=draw, device=self.device, dtype=torch.float64)
        index = torch.searchsorted(self.cumulative, uniform * self.cumulative[-1], right=True)
        index.clamp_(max=len(self.cumulative) - 1)
        t = torch.randint(self.process.timesteps, (size,), generator=draw, device=self.device)
        images = self.data.images[index]
        noise = torch.randn(images.shape, generator=draw, device=self.device)
        return Batch(images, self.data.labels[index], t, noise)

    def advance(self) -> None:
        """One optimiser step."""
        step = self.step + 1
        progress = self.step / self.training.steps
        half = self.training.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            loss = self.network.loss(self.process, self.batch(step), progress)
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.training)
        for part in self._parts:
            nn.utils.clip_grad_norm_([part], self.training.gradient_clip)
        self.network.update(progress, self.optimizer.step)
        with torch.no_grad():
            # The average starts from the weights after the first step.
            weight = 1 - self.training.ema_decay if step > 1 else 1.0
            self.average_flat.lerp_(self.weights_flat, weight)
        self._loss_sum += loss.detach()
        self.step = step
        if step % self.training.log_every == 0 or step == self.training.steps:
            self._log_loss()

    def _log_loss(self) -> None:
        since = self.log.steps[-1] if self.log.steps else 0
        loss = float(self._loss_sum) / (self.step - since)
        # A gradient can overflow where the loss does not, so the weights are checked as well.
        if not math.isfinite(loss + float(self.weights_flat.detach().norm())):
            raise TrainingError(
                f"the loss or the weights are not finite between steps {since + 1} and {self.step}"
                f"{_last_losses(self.log)}: lower training.learning_rate (now {self.training.learning_rate}) or "
                f"training.gradient_clip (now {self.training.gradient_clip})"
            )
        self.log.steps.append(self.step)
        self.log.losses.append(loss)
        self._loss_sum.zero_()

    def weights(self) -> dict[str, Tensor]:
        """Raw and averaged weights, under ``raw.`` and ``ema.``."""
        raw = {f"raw.{name}": tensor for name, tensor in self.network.state_dict().items()}
        ema = {f"ema.{name}": tensor for name, tensor in self.average.state_dict().items()}
        return raw | ema

    def state(self) -> dict[str, Tensor]:
        """All that a resumed training needs, as tensors."""
        tensors = self.weights()
        tensors["step"] = torch.tensor(self.step)
        tensors["loss_sum"] = self._loss_sum
        tensors["log.steps"] = torch.tensor(self.log.steps, dtype=torch.int64)
        tensors["log.losses"] = torch.tensor(self.log.losses, dtype=torch.float64)
        for moments in self.optimizer.state_dict()["state"].values():
            tensors |= {f"optimizer.{name}": tensor for name, tensor in moments.items()}
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what :meth:`state` returned."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("raw."))
        self.average.load_state_dict(part("ema."))
        self.step = int(tensors["step"])
        self._loss_sum.copy_(tensors["loss_sum"])
        self.log = LossLog(tensors["log.steps"].tolist(), tensors["log.losses"].tolist())
        moments = part("optimizer.")
        # The optimiser casts what it loads to the parameter's device and precision.
        groups = copy.deepcopy(self.optimizer.state_dict()["param_groups"])
        self.optimizer.load_state_dict({"state": {0: moments} if moments else {}, "param_groups": groups})


def train(
    trainer: Trainer,
    state_folder: Path,
    metadata: dict[str, str],
    report: Callable[[str], None] = log.info,
) -> LossLog:
    """Train to the end, from the last state in ``state_folder`` if there is one.

    Checkpoints are written to ``state_folder`` as ``step=S.safetensors``, with raw and averaged weights under ``raw.``
    and ``ema.``.

    Args:
        state_folder: for this run with exactly these settings, code and data; the train command makes its name.
        metadata: stored in every checkpoint together with its step.
        report: called with a line of progress every few seconds.

    Raises:
        TrainingError: when the loss or a weight is not finite. The last good state is kept.
        FileError: when the state cannot be written.
    """
    training = trainer.training
    state_path = state_folder / "state.safetensors"
    if state_path.exists():
        try:
            trainer.restore(_state_of(state_path, metadata))
            report(f"resumed at step {trainer.step} of {training.steps}")
        except FileError as error:
            report(f"{error} (starting again from step 0)")
    wanted = set(training.checkpoints)
    if trainer.step == 0 and 0 in wanted:
        _save_checkpoint(trainer, state_folder, metadata)
    started, first_step = time.monotonic(), trainer.step
    reported = saved = started
    while trainer.step < training.steps:
        try:
            trainer.advance()
        except TrainingError as error:
            raise TrainingError(f"{error}; {_last_good(state_path)}") from None
        now = time.monotonic()
        checkpoint = trainer.step in wanted
        if checkpoint:
            _save_checkpoint(trainer, state_folder, metadata)
        # Saved only where loss and weights were just found finite, so that the last state is always good.
        just_logged = trainer.log.steps[-1:] == [trainer.step]
        if just_logged and (checkpoint or now - saved >= SECONDS_BETWEEN_STATES or trainer.step == training.steps):
            save_tensors(state_path, trainer.state(), metadata)
            saved = now
        if just_logged and (now - reported >= SECONDS_BETWEEN_REPORTS or trainer.step == training.steps):
            rate = (trainer.step - first_step) / (now - started)
            left = (training.steps - trainer.step) / rate
            report(
                f"step {trainer.step} of {training.steps}, loss {trainer.log.losses[-1]:.4g}, "
                f"{rate:.1f} steps/s, {_duration(left)} left"
            )
            reported = now
    return trainer.log


def _state_of(path: Path, metadata: dict[str, str]) -> dict[str, Tensor]:
    """The tensors of a state, after checking that it belongs to this training."""
    tensors, found = load_tensors(path)
    for key in ("run", "settings"):
        if found.get(key) != metadata.get(key):
            raise FileError(f"{path}: is of another training ({key} {found.get(key)}, not {metadata.get(key)}); {CURE}")
    return tensors


def _last_losses(losses: LossLog) -> str:
    """The last logged losses, in brackets, or nothing."""
    rows = zip(losses.steps[-3:], losses.losses[-3:], strict=True)
    listed = ", ".join(f"{loss:.4g} at step {step}" for step, loss in rows)
    return f" (loss before: {listed})" if listed else ""


def _last_good(state: Path) -> str:
    try:
        step = int(load_tensors(state)[0]["step"])
    except FileError:
        return "no state was saved before"
    return f"the last good state, of step {step}, is kept in {state}"


def _save_checkpoint(trainer: Trainer, folder: Path, metadata: dict[str, str]) -> None:
    path = folder / f"step={trainer.step}.safetensors"
    save_tensors(path, trainer.weights(), metadata | {"step": str(trainer.step)})


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
