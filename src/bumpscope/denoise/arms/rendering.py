"""Labels rendered into pixels: each becomes a stripe that the network sees beside the noised image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bumpscope.denoise.denoiser import Denoiser, Task
from bumpscope.denoise.unet import UNet, position_encoding

HIDDEN = 64


class Stripes(nn.Module):
    """A learnt vector of N pixels for each label, broadcast along the other axis; of zeros where it is hidden."""

    def __init__(self, image_size: int, encoding_width: int):
        super().__init__()
        self.image_size, self.encoding_width = image_size, encoding_width
        self.rendered = nn.ModuleList(
            nn.Sequential(nn.Linear(encoding_width, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, image_size)) for _ in "xy"
        )

    def forward(self, labels: Tensor, keep: Tensor | None) -> Tensor:
        """Labels (n, 2) in px to channels (n, 2, N, N)."""
        found = []
        for axis, render in enumerate(self.rendered):
            stripe = render(position_encoding(labels[:, axis], self.image_size, self.encoding_width))
            found.append(stripe if keep is None else keep[:, axis, None] * stripe)
        along_x, along_y = found
        shape = (-1, self.image_size, self.image_size)
        return torch.stack([along_x[:, None, :].expand(shape), along_y[:, :, None].expand(shape)], dim=1)


class Rendering(Denoiser):
    """The UNet with two stripes as further input channels, and labels nowhere else.

    Told: which axis of the image each label belongs to; not where on it. After "forced rendering" of decoders (arXiv
    2501.18797), where disentangled labels alone did not compose and rendered ones did.
    """

    layers = UNet.layers

    def __init__(self, task: Task):
        super().__init__()
        self.unet = UNet(task.lattice.image_size, task.model)
        self.unet.first = nn.Conv2d(3, task.model.base_width * task.model.channel_multipliers[0], 3, padding=1)
        self.stripes = Stripes(task.lattice.image_size, task.model.embedding_width)

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
