"""A denoiser that sees no further than a few pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bumpscope.denoise.arms.rendering import Stripes
from bumpscope.denoise.denoiser import Denoiser, Task
from bumpscope.denoise.unet import ResidualBlock, start_at_zero, time_encoding

# The names of blocks of the UNet at full size.
LAYERS = ("down1", "up3")


class PixelNorm(nn.Module):
    """Each pixel's channels to mean 0 and variance 1: a GroupNorm would tell a pixel of all others."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x.movedim(1, -1), x.shape[1:2]).movedim(-1, 1)


class Local(Denoiser):
    """Two residual blocks at full size on the noised image and two stripes, without attention and halving.

    Each pixel of the prediction depends on 11 x 11 pixels, and on the labels as far as these are drawn there. Told:
    locality, and the image's axes as in :mod:`.rendering`. With as many parameters as the UNet, all at full size, it
    takes thirteen times the operations. After Kamb and Ganguli 2024 (arXiv 2412.20292) and Bradley et al. 2025 (arXiv
    2509.16447).

    Args:
        width: channels; 0 for 8 times ``model.base_width``, with about as many parameters as the UNet.
    """

    layers = LAYERS

    def __init__(self, task: Task, width: int = 0):
        super().__init__()
        model = task.model
        width, embedding = width or 8 * model.base_width, 4 * model.embedding_width
        self.encoding_width = model.embedding_width
        self.stripes = Stripes(task.lattice.image_size, model.embedding_width, task.factors)
        self.embed = nn.Sequential(
            nn.Linear(model.embedding_width, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(width, width, embedding) for _ in LAYERS)
        for block in self.blocks:
            block.norm1, block.norm2 = PixelNorm(), PixelNorm()
        self.last_norm = PixelNorm()
        self.last = nn.Conv2d(width, 1, 1)
        start_at_zero(self.last)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        embedding = self.embed(time_encoding(t, self.encoding_width).to(x.dtype))
        h = self.first(torch.cat([x, self.stripes(labels, keep).to(x.dtype)], dim=1))
        for name, block in zip(LAYERS, self.blocks, strict=True):
            h = block(h, embedding)
            if taps is not None:
                taps[name] = h
        return self.last(functional.silu(self.last_norm(h)))
