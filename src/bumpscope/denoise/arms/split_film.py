"""Half of the channels are told x alone, the other half y alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bumpscope.denoise.denoiser import Denoiser, Task
from bumpscope.denoise.unet import ResidualBlock, UNet


class SplitEmbedding(nn.Module):
    """Encodings of t and F labels, shape (n, (1 + F) w), to embeddings of t and each label; (n, F out)."""

    def __init__(self, width: int, out: int, labels: int):
        super().__init__()
        self.width = width
        self.own = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width, out), nn.SiLU(), nn.Linear(out, out), nn.SiLU()) for _ in range(labels)
        )

    def forward(self, encodings: Tensor) -> Tensor:
        t, *positions = encodings.split(self.width, dim=1)
        return torch.cat([own(torch.cat([t, at], dim=1)) for own, at in zip(self.own, positions, strict=True)], dim=1)


class SplitModulation(nn.Module):
    """Scales and shifts of a block, shape (n, 2 channels): of its first channels by x, of the others by y."""

    def __init__(self, embedding: int, channels: int):
        super().__init__()
        self.own = nn.ModuleList(nn.Linear(embedding, channels) for _ in "xy")

    def forward(self, embedding: Tensor) -> Tensor:
        halves = embedding.chunk(2, dim=1)
        own = [linear(half).chunk(2, dim=1) for linear, half in zip(self.own, halves, strict=True)]
        return torch.cat([part for scale_or_shift in zip(*own, strict=True) for part in scale_or_shift], dim=1)


class SplitFiLM(Denoiser):
    """The UNet, in each block of which x modulates the first half of the channels and y the second.

    Told: that there are two parts. Convolutions and attention still mix all channels. After FiLM (Perez et al. 2018,
    arXiv 1709.07871).
    """

    layers = UNet.layers

    def __init__(self, task: Task):
        super().__init__()
        self.unet = UNet(task.lattice.image_size, task.model, task.factors)
        embedding = 4 * task.model.embedding_width
        self.unet.embed = SplitEmbedding(task.model.embedding_width, embedding, len(task.factors))
        for block in [module for module in self.unet.modules() if isinstance(module, ResidualBlock)]:
            block.modulation = SplitModulation(embedding, block.conv1.out_channels)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        return self.unet(x, t, labels, keep, taps)
