"""The denoiser under study: a conditional UNet.

Three down blocks, a bottleneck and three up blocks with skip connections, and self-attention where the feature map is
small. Sinusoidal encodings of t and of each label, such as mu_x and mu_y, are concatenated, mixed by a small network
and passed to every residual block. Shapes below: n images, c channels, s x s pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bumpscope.config.model import LAYERS, Model
from bumpscope.denoise.denoiser import Denoiser, Intervention, Task
from bumpscope.seeding import derived_seed
from bumpscope.worlds.factor import Factor

# Channels that share a group of GroupNorm. A group of one channel would erase how bright that channel is.
CHANNELS_PER_GROUP = 4
LONGEST_PERIOD = 10_000.0


def time_encoding(t: Tensor, width: int) -> Tensor:
    """Sinusoidal encoding of timesteps (Vaswani et al. 2017), shape (n,) -> (n, width); periods 2 pi to 2 pi 10^4."""
    half = width // 2
    frequency = torch.exp(-math.log(LONGEST_PERIOD) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angle = t.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def position_encoding(mu: Tensor, image_size: int, width: int) -> Tensor:
    """Sinusoidal encoding of a coordinate in px, shape (n,) -> (n, width); periods from 4 px to 4 image sizes.

    Shorter periods would make neighbouring centres look unrelated, longer ones all centres alike.
    """
    half = width // 2
    period = 4.0 * float(image_size) ** torch.linspace(0, 1, half, device=mu.device)
    angle = 2 * math.pi * mu.float()[:, None] / period
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def in_pixels(factor: Factor, image_size: int) -> Callable[[Tensor], Tensor]:
    """What takes labels to the coordinates that are encoded: px as they are, others spread over the image's side."""
    if factor.unit_of_distance == "px":
        return lambda labels: labels
    low, length = factor.extent
    scale = (image_size - 1) / (length or 1.0)

    def spread(labels: Tensor) -> Tensor:
        # A hidden label is 0, which has no logarithm.
        values = labels.float().clamp(min=torch.finfo(torch.float32).tiny).log() if factor.logarithmic else labels
        return (values - low) * scale

    return spread


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // CHANNELS_PER_GROUP), channels)


def start_at_zero(layer: nn.Module) -> None:
    """Set a layer's parameters to zero, so that its block starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class ResidualBlock(nn.Module):
    """Two convolutions; the embedding scales and shifts the features between them. (n, c, s, s) -> (n, out, s, s)."""

    def __init__(self, channels: int, out: int, embedding: int):
        super().__init__()
        self.norm1 = group_norm(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.modulation: nn.Module = nn.Linear(embedding, 2 * out)
        self.norm2 = group_norm(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()
        # The block starts as the identity, which keeps early training stable.
        start_at_zero(self.conv2)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        return self.skip(x) + self.conv2(functional.silu(h))


class SelfAttention(nn.Module):
    """One-headed self-attention over all pixels, added to its input. (n, c, s, s) -> (n, c, s, s)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        start_at_zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        query, key, value = self.query_key_value(tokens).chunk(3, dim=2)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return x + self.out(mixed).transpose(1, 2).reshape(n, c, height, width)


class Stage(nn.Module):
    """Residual blocks of one level, with attention after each where the level asks for it."""

    def __init__(self, channels: int, out: int, embedding: int, blocks: int, attention: bool):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels if k == 0 else out, out, embedding) for k in range(blocks))
        self.attentions = nn.ModuleList(SelfAttention(out) for _ in range(blocks if attention else 0))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for k, block in enumerate(self.blocks):
            x = block(x, embedding)
            if self.attentions:
                x = self.attentions[k](x)
        return x


class UNet(Denoiser):
    """A denoiser of ``image_size`` x ``image_size`` images with the sizes of ``model``.

    Told: that labels come in two parts, by an encoding of each.

    Args:
        factors: what the labels are of; by default two in px.

    Its layers are the outputs of the blocks, shape (n, c, s, s); down1 to down3 are taken before they are halved, and
    halved3 is down3 after that, which the bottleneck receives.
    """

    layers = LAYERS
    intervenes = True

    def __init__(self, image_size: int, model: Model, factors: Sequence[Factor] | None = None):
        super().__init__()
        self.image_size, self.encoding_width = image_size, model.embedding_width
        self.coordinates = [in_pixels(factor, image_size) for factor in factors or ()] or [lambda labels: labels] * 2
        widths = [model.base_width * multiplier for multiplier in model.channel_multipliers]
        embedding = 4 * model.embedding_width
        blocks = model.blocks_per_level

        def attends(level: int) -> bool:
            return image_size // 2**level in model.attention_resolutions

        self.embed: nn.Module = nn.Sequential(
            nn.Linear((1 + len(self.coordinates)) * model.embedding_width, embedding),
            nn.SiLU(),
            nn.Linear(embedding, embedding),
            nn.SiLU(),
        )
        self.first = nn.Conv2d(1, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.downsample = nn.ModuleList()
        channels = widths[0]
        for level, width in enumerate(widths):
            self.down.append(Stage(channels, width, embedding, blocks, attends(level)))
            self.downsample.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
            channels = width
        self.bottleneck = Stage(channels, channels, embedding, blocks + 1, attends(3))
        self.upsample = nn.ModuleList()
        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            self.upsample.append(nn.Conv2d(channels, width, 3, padding=1))
            self.up.append(Stage(2 * width, width, embedding, blocks, attends(level)))
            channels = width
        self.last_norm = group_norm(channels)
        self.last = nn.Conv2d(channels, 1, 3, padding=1)
        start_at_zero(self.last)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
        intervention: Intervention | None = None,
    ) -> Tensor:
        """As :meth:`Denoiser.forward`; a hidden label has an encoding of zeros."""
        taps = {} if taps is None else taps
        usual = self._embedding(x, t, labels, keep)

        def through(layer: str, stage: nn.Module, h: Tensor) -> Tensor:
            if intervention is None:
                h = stage(h, usual)
            else:
                own = intervention.labels.get(layer)
                h = intervention.edit(layer, stage(h, usual if own is None else self._embedding(x, t, own, keep)))
            taps[layer] = h
            return h

        h = self.first(x)
        skips = []
        for level, (stage, downsample) in enumerate(zip(self.down, self.downsample, strict=True), start=1):
            h = through(f"down{level}", stage, h)
            skips.append(h)
            h = downsample(h)
        # The map after the third halving has no block, and so no labels, of its own.
        h = h if intervention is None else intervention.edit("halved3", h)
        taps["halved3"] = h
        h = through("bottleneck", self.bottleneck, h)
        for level, (upsample, stage) in enumerate(zip(self.upsample, self.up, strict=True), start=1):
            # Convolving before enlarging is a quarter of the work. Nearest, since bilinear upsampling has no
            # deterministic gradient on CUDA.
            h = functional.interpolate(upsample(h), scale_factor=2.0, mode="nearest")
            h = through(f"up{level}", stage, torch.cat([h, skips.pop()], dim=1))
        return self.last(functional.silu(self.last_norm(h)))

    def _embedding(self, x: Tensor, t: Tensor, labels: Tensor, keep: Tensor | None) -> Tensor:
        """What every block is given of t and the labels, shape (n, 4 widths), in the precision of ``x``."""
        encodings = [time_encoding(t, self.encoding_width)]
        for axis, coordinate in enumerate(self.coordinates):
            encoding = position_encoding(coordinate(labels[:, axis]), self.image_size, self.encoding_width)
            encodings.append(encoding if keep is None else keep[:, axis, None] * encoding)
        return self.embed(torch.cat(encodings, dim=1).to(x.dtype))


def new_network(
    image_size: int, model: Model, seed: int, part: int = 0, factors: Sequence[Factor] | None = None
) -> UNet:
    """An untrained UNet; its weights depend only on ``seed``, and on ``part`` where a denoiser has several."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights", part))
        return UNet(image_size, model, factors)


def unet(task: Task) -> UNet:
    """The denoiser under study."""
    return new_network(task.lattice.image_size, task.model, task.seed, factors=task.factors)
