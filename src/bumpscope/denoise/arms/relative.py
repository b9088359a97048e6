"""Coordinates as input channels: relative to the requested centre, or, as a control, those of the pixels alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bumpscope.denoise.denoiser import Denoiser, Task
from bumpscope.denoise.unet import UNet


class Relative(Denoiser):
    """The UNet with the channels j - mu_x and i - mu_y, in halves of the image, and labels nowhere else.

    Told: the metric. Ours. Where the bump belongs is where both channels are 0, so this is an upper bound and no bias
    that a network could find by itself. On a torus the difference is the shorter way round; a hidden label has a
    channel of 0.
    """

    layers = UNet.layers

    def __init__(self, task: Task):
        super().__init__()
        self.unet, self.periods = _with_coordinates(task), [factor.period for factor in task.factors]

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        away = _coordinates(x) - labels[:, :, None, None]
        for axis, period in enumerate(self.periods):
            if period is not None:
                away[:, axis] = (away[:, axis] + period / 2) % period - period / 2
        away = away if keep is None else keep[:, :, None, None] * away
        seen = torch.cat([x, (away / (x.shape[-1] / 2)).to(x.dtype)], dim=1)
        return self.unet(seen, t, labels, torch.zeros_like(labels), taps)


class CoordConv(Denoiser):
    """The UNet, labels as usual, with the channels j and i from the middle of the image, in halves of it.

    Told: where pixels are. A control of :class:`Relative`. After Liu et al. 2018 (arXiv 1807.03247).
    """

    layers = UNet.layers

    def __init__(self, task: Task):
        super().__init__()
        self.unet = _with_coordinates(task)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        size = x.shape[-1]
        where = (_coordinates(x) - (size - 1) / 2) / (size / 2)
        seen = torch.cat([x, where.expand(len(x), -1, -1, -1).to(x.dtype)], dim=1)
        return self.unet(seen, t, labels, keep, taps)


def _with_coordinates(task: Task) -> UNet:
    unet = UNet(task.lattice.image_size, task.model, task.factors)
    unet.first = nn.Conv2d(3, task.model.base_width * task.model.channel_multipliers[0], 3, padding=1)
    return unet


def _coordinates(x: Tensor) -> Tensor:
    """j and i of every pixel, px, shape (1, 2, N, N)."""
    pixels = torch.arange(x.shape[-1], device=x.device, dtype=torch.float32)
    i, j = torch.meshgrid(pixels, pixels, indexing="ij")
    return torch.stack([j, i])[None]
