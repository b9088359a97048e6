"""The diffusion process of DDPM (Ho, Jain and Abbeel 2020, arXiv 2006.11239) and two samplers.

Images are tensors of shape (n, 1, N, N) in the network's range [-1, 1]; timesteps are whole numbers from 0
(nearly clean) to T - 1 (nearly pure noise). A denoiser is any function ``(x, t) -> prediction`` with t of
shape (n,). The samplers are pure: all randomness is handed to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bumpscope.config.diffusion import Diffusion

Denoiser = Callable[[Tensor, Tensor], Tensor]
# Called at every sampler step with (timestep, x_t, estimate of the clean image).
Callback = Callable[[int, Tensor, Tensor], None]


def variance_schedule(timesteps: int, schedule: str) -> np.ndarray:
    """The variances beta_t, shape (T,), float64.

    ``linear`` runs from 1e-4 to 0.02 for T = 1000 and is scaled by 1000 / T otherwise, so that the last step
    is as noisy whatever T; ``cosine`` is that of Nichol and Dhariwal 2021 (arXiv 2102.09672), eq. 17.
    """
    if schedule == "linear":
        scale = 1000 / timesteps
        return np.minimum(np.linspace(1e-4 * scale, 0.02 * scale, timesteps), 0.999)
    grid = np.arange(timesteps + 1) / timesteps
    alpha_bar = np.cos((grid + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


@dataclass(frozen=True)
class Process:
    """The forward process: ``alpha_bar`` of shape (T,), and what the network predicts (epsilon or v).

    ``alpha_bar`` is float64; the coefficients are rounded to the images' precision only when they are used.
    """

    alpha_bar: Tensor
    prediction: str

    @classmethod
    def from_config(cls, diffusion: Diffusion, device: torch.device | str = "cpu") -> Process:
        betas = variance_schedule(diffusion.timesteps, diffusion.schedule)
        return cls(torch.from_numpy(np.cumprod(1 - betas)).to(device), diffusion.prediction)

    @property
    def timesteps(self) -> int:
        return len(self.alpha_bar)

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t), shape (n, 1, 1, 1), in the precision of ``like``."""
        alpha_bar = self.alpha_bar[t].view(-1, 1, 1, 1)
        return alpha_bar.sqrt().to(like.dtype), (1 - alpha_bar).sqrt().to(like.dtype)

    def noised(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise (DDPM eq. 4)."""
        signal, sigma = self.scales(t, x0)
        return signal * x0 + sigma * noise

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should answer: the noise, or v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0.

        v is that of Salimans and Ho 2022 (arXiv 2202.00512), appendix D.
        """
        if self.prediction == "epsilon":
            return noise
        signal, sigma = self.scales(t, x0)
        return signal * noise - sigma * x0

    def denoised(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of the clean image that a prediction amounts to."""
        signal, sigma = self.scales(t, x_t)
        if self.prediction == "epsilon":
            return (x_t - sigma * prediction) / signal
        return signal * x_t - sigma * prediction

    def noise_estimate(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of the noise that a prediction amounts to."""
        if self.prediction == "epsilon":
            return prediction
        signal, sigma = self.scales(t, x_t)
        return sigma * x_t + signal * prediction

    def posterior(self, x0: Tensor, x_t: Tensor, t: int, previous: int) -> tuple[Tensor, float]:
        """Mean and variance of q(x_previous | x_t, x0) (DDPM eq. 6-7), for any earlier step.

        Args:
            previous: the step to go to, less than ``t``; -1 stands for the clean image.
        """
        bar_t = self.alpha_bar[t].item()
        bar_previous = self.alpha_bar[previous].item() if previous >= 0 else 1.0
        alpha = bar_t / bar_previous
        from_x0 = math.sqrt(bar_previous) * (1 - alpha) / (1 - bar_t)
        from_x_t = math.sqrt(alpha) * (1 - bar_previous) / (1 - bar_t)
        return from_x0 * x0 + from_x_t * x_t, (1 - bar_previous) / (1 - bar_t) * (1 - alpha)


def trailing_timesteps(timesteps: int, steps: int) -> list[int]:
    """``steps`` timesteps from T - 1 downwards, evenly spaced from the noisy end.

    The spacing that Lin et al. 2024 (arXiv 2305.08891) call trailing: it starts from the step at which the image
    really is pure noise.
    """
    return [round(timesteps - k * timesteps / steps) - 1 for k in range(steps)]


def ddim(
    denoiser: Denoiser,
    x: Tensor,
    process: Process,
    timesteps: Sequence[int],
    clip: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """Deterministic DDIM (Song, Meng and Ermon 2021, arXiv 2010.02502, eq. 12 with eta = 0).

    Args:
        x: pure noise, shape (n, 1, N, N).
        timesteps: decreasing; see :func:`trailing_timesteps`.
        clip: cut each estimate of the clean image to [-1, 1], as DDPM does.
        callback: told (timestep, x_t, estimate of the clean image) at each step.

    Returns:
        The images, shape (n, 1, N, N).
    """
    for t, previous in zip(timesteps, [*timesteps[1:], -1], strict=True):
        batch_t = torch.full((len(x),), t, device=x.device)
        prediction = denoiser(x, batch_t)
        x0 = process.denoised(prediction, x, batch_t)
        noise = process.noise_estimate(prediction, x, batch_t)
        if clip:
            x0 = x0.clamp(-1, 1)
        if callback is not None:
            callback(t, x, x0)
        bar = process.alpha_bar[previous].item() if previous >= 0 else 1.0
        x = math.sqrt(bar) * x0 + math.sqrt(1 - bar) * noise
    return x


def ancestral(
    denoiser: Denoiser,
    x: Tensor,
    process: Process,
    timesteps: Sequence[int],
    noise: Callable[[int], Tensor],
    clip: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """Ancestral sampling of DDPM (algorithm 2, with the posterior's own variance), over all or some timesteps.

    Args:
        noise: called with each timestep but the last; returns standard normal noise shaped like ``x``.
        The others are those of :func:`ddim`.
    """
    for t, previous in zip(timesteps, [*timesteps[1:], -1], strict=True):
        batch_t = torch.full((len(x),), t, device=x.device)
        x0 = process.denoised(denoiser(x, batch_t), x, batch_t)
        if clip:
            x0 = x0.clamp(-1, 1)
        if callback is not None:
            callback(t, x, x0)
        mean, variance = process.posterior(x0, x, t, previous)
        x = mean if previous < 0 else mean + math.sqrt(variance) * noise(t)
    return x
