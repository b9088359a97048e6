"""Samplers: from pure noise to images.

A denoiser is here any function ``(x, t) -> prediction`` with t of shape (n,). Samplers draw nothing themselves; all
randomness is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from bumpscope.denoise.process import Process

Predict = Callable[[Tensor, Tensor], Tensor]
# Called with a timestep, returns standard normal noise shaped like x.
Noise = Callable[[int], Tensor]
# Called at every step with the timestep, x_t and the estimate of the clean image.
Callback = Callable[[int, Tensor, Tensor], None]


class Sampler(Protocol):
    """The signature that all samplers share."""

    def __call__(
        self,
        denoiser: Predict,
        x: Tensor,
        process: Process,
        timesteps: Sequence[int],
        noise: Noise | None = None,
        clip: bool = True,
        callback: Callback | None = None,
    ) -> Tensor:
        """Draw images.

        Args:
            x: pure noise, shape (n, 1, N, N).
            timesteps: decreasing; see :func:`trailing_timesteps`.
            noise: for samplers that add noise; called at each timestep but the last.
            clip: clip each estimate of the clean image to [-1, 1], as DDPM does.

        Returns:
            The images, shape (n, 1, N, N).
        """
        ...


def trailing_timesteps(timesteps: int, steps: int) -> list[int]:
    """``steps`` timesteps from T - 1 downwards, evenly spaced from the noisy end.

    This is the trailing spacing of Lin et al. 2024 (arXiv 2305.08891). It starts at the step where the image really is
    pure noise.
    """
    return [round(timesteps - k * timesteps / steps) - 1 for k in range(steps)]


def ddim(
    denoiser: Predict,
    x: Tensor,
    process: Process,
    timesteps: Sequence[int],
    noise: Noise | None = None,
    clip: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """Deterministic DDIM (Song, Meng and Ermon 2021, arXiv 2010.02502, eq. 12 with eta = 0); ignores ``noise``."""
    bars = process.alpha_bar.tolist()  # at once, since a GPU is waited for each time that it is read from
    for t, previous in zip(timesteps, [*timesteps[1:], -1], strict=True):
        batch_t = torch.full((len(x),), t, device=x.device)
        prediction = denoiser(x, batch_t)
        x0 = process.denoised(prediction, x, batch_t)
        noise_in_x = process.noise_estimate(prediction, x, batch_t)
        if clip:
            x0 = x0.clamp(-1, 1)
        if callback is not None:
            callback(t, x, x0)
        bar = bars[previous] if previous >= 0 else 1.0
        x = math.sqrt(bar) * x0 + math.sqrt(1 - bar) * noise_in_x
    return x


def ancestral(
    denoiser: Predict,
    x: Tensor,
    process: Process,
    timesteps: Sequence[int],
    noise: Noise | None = None,
    clip: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """Ancestral sampling of DDPM (algorithm 2, with the variance of the posterior), over all or some timesteps.

    Raises:
        ValueError: without ``noise``.
    """
    if noise is None:
        raise ValueError("the ancestral sampler needs noise")
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


SAMPLERS: dict[str, Sampler] = {"ddim": ddim, "ancestral": ancestral}


def named_sampler(name: str) -> Sampler:
    """The sampler of this name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in SAMPLERS:
        raise ValueError(f"unknown sampler {name!r}; allowed: {', '.join(SAMPLERS)}")
    return SAMPLERS[name]
