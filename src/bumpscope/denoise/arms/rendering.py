"""Labels rendered into pixels: each becomes a stripe that the network sees beside the noised image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bumpscope.denoise.denoiser import Denoiser, Task
from bumpscope.denoise.unet import UNet, in_pixels, position_encoding
from bumpscope.worlds.factor import Factor

HIDDEN = 64


class Stripes(nn.Module):
    """A learnt vector of N pixels for each label, broadcast along the other axis; of zeros where it is hidden.

    The first label varies from column to column and the second from row to row, whatever they are of.
    """

    def __init__(self, image_size: int, encoding_width: int, factors: Sequence[Factor]):
        super().__init__()
        if len(factors) != 2:
            raise ValueError(f"it renders two labels, one for each axis of the image, and there are {len(factors)}")
        self.image_size, self.encoding_width = image_size, encoding_width
        self.coordinates = [in_pixels(factor, image_size) for factor in factors]
        self.rendered = nn.ModuleList(
            nn.Sequential(nn.Linear(encoding_width, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, image_size)) for _ in "xy"
        )

    def forward(self, labels: Tensor, keep: Tensor | None) -> Tensor:
        """Labels (n, 2) to channels (n, 2, N, N)."""
        found = []
        for axis, (coordinate, render) in enumerate(zip(self.coordinates, self.rendered, strict=True)):
            stripe = render(position_encoding(coordinate(labels[:, axis]), self.image_size, self.encoding_width))
            found.append(stripe if keep is None else keep[:, axis, None] * stripe)
        along_x, along_y = found
        shape = (-1, self.image_size, self.image_size)
        return torch.stack([along_x[:, None, :].expand(shape), along_y[:, :, None].expand(shape)], dim=1)


class Rendering(Denoiser):
    """The UNet with two stripes as further input channels, and labels nowhere else.

    Told: which axis of the image each label belongs to; not where on it. A label of another kind, such as a size, is
    given an axis. After "forced rendering" of decoders (arXiv 2501.18797), where disentangled labels alone did not
    compose and rendered ones did.
    """

    layers = UNet.layers

    def __init__(self, task: Task):
        super().__init__()
        self.unet = UNet(task.lattice.image_size, task.model)
        self.unet.first = nn.Conv2d(3, task.model.base_width * task.model.channel_multipliers[0], 3, padding=1)
        self.stripes = Stripes(task.lattice.image_size, task.model.embedding_width, task.factors)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        seen = torch.cat([x, self.stripes(labels, keep).to(x.dtype)], dim=1)
        return self.unet(seen, t, labels, torch.zeros_like(labels), taps)
