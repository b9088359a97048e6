"""The diffusion process of DDPM (Ho, Jain and Abbeel 2020, arXiv 2006.11239).

Images are tensors of shape (n, 1, N, N) in the network's range [-1, 1]. Timesteps run from 0 (nearly clean) to T - 1
(nearly pure noise).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bumpscope.config.diffusion import Diffusion


def variance_schedule(timesteps: int, schedule: str) -> np.ndarray:
    """The variances beta_t, shape (T,), float64.

    ``linear`` runs from 1e-4 to 0.02 for T = 1000. It is scaled by 1000 / T otherwise, so that the last step is
    equally noisy for every T. ``cosine`` is that of Nichol and Dhariwal 2021 (arXiv 2102.09672), eq. 17.
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

    ``alpha_bar`` is float64; coefficients are rounded to the images' precision when they are used.
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
        """What the network should predict: the noise, or v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0.

        v is that of Salimans and Ho 2022 (arXiv 2202.00512), appendix D.
        """
        if self.prediction == "epsilon":
            return noise
        signal, sigma = self.scales(t, x0)
        return signal * noise - sigma * x0

    def denoised(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of the clean image that follows from a prediction."""
        signal, sigma = self.scales(t, x_t)
        if self.prediction == "epsilon":
            return (x_t - sigma * prediction) / signal
        return signal * x_t - sigma * prediction

    def noise_estimate(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of the noise that follows from a prediction."""
        if self.prediction == "epsilon":
            return prediction
        signal, sigma = self.scales(t, x_t)
        return sigma * x_t + signal * prediction

    def posterior(self, x0: Tensor, x_t: Tensor, t: int, previous: int) -> tuple[Tensor, float]:
        """Mean and variance of q(x_previous | x_t, x0) (DDPM eq. 6-7), for any earlier step.

        Args:
            previous: the step to go to, below ``t``; -1 is the clean image.
        """
        bar_t = self.alpha_bar[t].item()
        bar_previous = self.alpha_bar[previous].item() if previous >= 0 else 1.0
        alpha = bar_t / bar_previous
        from_x0 = math.sqrt(bar_previous) * (1 - alpha) / (1 - bar_t)
        from_x_t = math.sqrt(alpha) * (1 - bar_previous) / (1 - bar_t)
        return from_x0 * x0 + from_x_t * x_t, (1 - bar_previous) / (1 - bar_t) * (1 - alpha)
