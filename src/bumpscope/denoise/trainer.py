"""The training step of one run.

Everything random in step s comes from (run seed, purpose, s). So a run depends on nothing but its seed, data and
settings, and a resumed one needs the weights, their moving average, the optimiser's moments, the losses logged so far
and s.

A step has three parts. :meth:`Trainer.draw` draws into memory that stays where it is. :meth:`Trainer.compute` works on
the device alone: it draws nothing and reads no number back, so a GPU can record it once and repeat it
(:mod:`bumpscope.denoise.together`). :meth:`Trainer.finish` counts the step and logs the loss.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.training import Training
from bumpscope.denoise.denoiser import Batch, Denoiser
from bumpscope.denoise.devices import tf32
from bumpscope.denoise.flat import flatten_parameters, slices
from bumpscope.denoise.process import Process
from bumpscope.seeding import derived_seed


class TrainingError(RuntimeError):
    """A training that cannot continue; its one-line message says why and what to change."""


@dataclass
class TrainingData:
    """What training draws from: images (K, 1, N, N) in [-1, 1], labels (K, F), probability (K,)."""

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


def adamw(weights: nn.Parameter, training: Training, rate_in_memory: bool) -> torch.optim.AdamW:
    """The optimiser of one flat parameter.

    Args:
        rate_in_memory: keep the learning rate in a tensor beside the weights, where a recorded step reads it anew each
            time. Rounded to float32, so a CPU does without.
    """
    rate: float | Tensor = training.learning_rate
    if rate_in_memory:
        rate = torch.tensor(rate, dtype=torch.float32, device=weights.device)
    return torch.optim.AdamW(
        [weights], lr=rate, weight_decay=training.weight_decay, fused=True, capturable=rate_in_memory
    )


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
        # Channels last is faster for the backward pass of convolutions on a CPU. On a GPU it is the layout of the
        # kernels for TF32 and half precision, and a third of the speed in float32.
        channels_last = device.type == "cpu" or training.precision != "float32"
        self.weights_flat, self.average_flat = (
            flatten_parameters(network, channels_last) for network in (self.network, self.average)
        )
        self._parts = slices(self.weights_flat, self.network.parts())
        self._parameters = list(self.network.parameters())
        self._gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        for module in self.network.networks() if training.compile else ():
            module.compile(dynamic=False)
        self.optimizer = adamw(self.weights_flat, training, rate_in_memory=device.type == "cuda")
        # On the CPU, since torch lists the cumulative sum of CUDA as not deterministic.
        self.cumulative = data.probability.cpu().double().cumsum(0).to(device)
        self._generator = torch.Generator(device)
        size = (training.batch_size,)
        self._uniform = torch.zeros(size, dtype=torch.float64, device=device)
        self._t = torch.zeros(size, dtype=torch.int64, device=device)
        self._noise = torch.zeros(size + data.images.shape[1:], device=device)
        self.step = 0
        self.log = LossLog()
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def progress(self) -> float:
        """How much of the training is done before the next step, from 0 to 1."""
        return self.step / self.training.steps

    @property
    def form(self) -> tuple[bool, int]:
        """Stands for the operations that the next step takes: steps of equal form differ only in the numbers they read
        from memory."""
        return self.step == 0, self.network.stage(self.progress)

    def batch(self, step: int) -> Batch:
        """What optimiser step ``step`` draws; timesteps are drawn uniformly."""
        self._draw(step)
        return Batch(*(part.clone() for part in self._drawn()))

    def advance(self) -> None:
        """One optimiser step."""
        self.draw()
        self.compute()
        self.finish()

    def draw(self) -> None:
        """Draw what the next step needs, and set its learning rate."""
        self._draw(self.step + 1)
        rate = learning_rate(self.step + 1, self.training)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def compute(self) -> None:
        """Change weights, moments, average and the sum of losses by one step, with what was drawn."""
        precision = self.training.precision
        with tf32(precision == "tf32"):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = self.network.loss(self.process, self._drawn(), self.progress)
            gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        self._store(gradients)
        for part in self._parts:
            nn.utils.clip_grad_norm_([part], self.training.gradient_clip)
        self.network.update(self.progress, self.optimizer.step)
        with torch.no_grad():
            # The average starts from the weights after the first step.
            weight = 1 - self.training.ema_decay if self.step else 1.0
            self.average_flat.lerp_(self.weights_flat, weight)
            self._loss_sum += loss.detach()

    def finish(self) -> None:
        """Count the step, and log the loss where that is due.

        Raises:
            TrainingError: when the loss or a weight is found not to be finite.
        """
        self.step += 1
        if self.step % self.training.log_every == 0 or self.step == self.training.steps:
            self._log_loss()

    def _draw(self, step: int) -> None:
        draw = self._generator.manual_seed(derived_seed(self.seed, "batch", step))
        self._uniform.uniform_(generator=draw)
        self._t.random_(self.process.timesteps, generator=draw)
        self._noise.normal_(generator=draw)

    def _drawn(self) -> Batch:
        index = torch.searchsorted(self.cumulative, self._uniform * self.cumulative[-1], right=True)
        index.clamp_(max=len(self.cumulative) - 1)
        return Batch(self.data.images[index], self.data.labels[index], self._t, self._noise)

    @torch.no_grad()
    def _store(self, found: Sequence[Tensor | None]) -> None:
        """Copy gradients to where the optimiser reads them; those of parameters that the loss does not use are zero.

        A few launches on a GPU, where backward() would add every single one.
        """
        if any(gradient is None for gradient in found):
            assert self.weights_flat.grad is not None
            self.weights_flat.grad.zero_()
        pairs = [(own, new) for own, new in zip(self._gradients, found, strict=True) if new is not None]
        torch._foreach_copy_([own for own, _ in pairs], [new for _, new in pairs])

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


def _last_losses(losses: LossLog) -> str:
    """The last logged losses, in brackets, or nothing."""
    rows = zip(losses.steps[-3:], losses.losses[-3:], strict=True)
    listed = ", ".join(f"{loss:.4g} at step {step}" for step, loss in rows)
    return f" (loss before: {listed})" if listed else ""
