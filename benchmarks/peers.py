"""Models and training loops of other packages, at the same sizes as ours.

- diffusers: ``UNet2DModel`` in the loop of its unconditional-training example (DDPMScheduler, AdamW, EMAModel, a
  DataLoader over images in memory).
- lucidrains: ``Unet`` and ``GaussianDiffusion`` of denoising-diffusion-pytorch in the loop of its ``Trainer``.

Both draw without a label, which spares them the work of conditioning. Each has three halvings, as ours has, one head of
attention at the same feature-map sizes, and the number of residual blocks nearest to ours that it can express; our
networks have two blocks a level here, since theirs cannot have one. The width of a peer is chosen by parameter count.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.training import Training
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.denoise.unet import new_network
from bumpscope.worlds.bumps import lattice_points, render, to_network

if TYPE_CHECKING:
    from diffusers import UNet2DModel

PACKAGES = Path(__file__).parent / ".packages"
LEARNING_RATE, EMA_DECAY, CLIP = 1e-3, 0.995, 1.0


@dataclass(frozen=True)
class Size:
    """One size of the comparison: ours, the widths of the peers, and images a step."""

    name: str
    lattice: Lattice
    model: Model
    diffusers_width: int
    lucidrains_width: int
    batch: int

    @property
    def attends(self) -> list[bool]:
        """Whether each of the four feature-map sizes, from the largest, has attention."""
        return [self.lattice.image_size // 2**level in self.model.attention_resolutions for level in range(4)]


def _model(width: int, embedding: int, attention: list[int], widths: tuple[int, ...] = (1, 2, 4)) -> Model:
    return Model(
        base_width=width,
        channel_multipliers=list(widths),
        blocks_per_level=2,
        embedding_width=embedding,
        attention_resolutions=attention,
    )


SIZES = [
    Size("16 px, 0.4 M", Lattice(image_size=16, margin=2.0), _model(8, 56, [4, 2]), 10, 10, 64),
    Size("32 px, 1.5 M", Lattice(image_size=32, margin=2.0), _model(16, 88, [8, 4]), 18, 18, 64),
    Size("32 px, 23 M", Lattice(image_size=32, margin=2.0), _model(80, 64, [8, 4]), 72, 72, 16),
    # Most channels where the feature map is small: as many parameters, fewer operations (docs/findings.md).
    Size("32 px, 23 M, deep", Lattice(image_size=32, margin=2.0), _model(48, 64, [8, 4], (1, 2, 7)), 72, 72, 16),
]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def images(lattice: Lattice) -> tuple[Tensor, Tensor, Tensor]:
    """All images of a lattice in the network's range, shape (K, 1, N, N), their centres and probabilities."""
    points = lattice_points(lattice)
    pixels = to_network(render(points.mu_x, points.mu_y, lattice))[:, None]
    centres = torch.stack([torch.tensor(points.mu_x), torch.tensor(points.mu_y)], dim=1)
    return torch.tensor(pixels, dtype=torch.float32), centres.float(), torch.tensor(points.probability)


def our_trainer(size: Size, device: torch.device, seed: int = 0, **keys: object) -> Trainer:
    """Our training as the workflow runs it."""
    data = TrainingData(*images(size.lattice)).to(device)
    training = Training(
        batch_size=size.batch,
        learning_rate=LEARNING_RATE,
        steps=10**6,
        checkpoints=[0],
        log_every=10,
        gradient_clip=CLIP,
        ema_decay=EMA_DECAY,
        **keys,
    )
    return Trainer(seed, data, new_network(size.lattice.image_size, size.model, seed), Diffusion(), training, device)


def diffusers_installed() -> bool:
    return importlib.util.find_spec("diffusers") is not None


def diffusers_network(size: Size) -> UNet2DModel:
    from diffusers import UNet2DModel

    width = size.diffusers_width
    down = tuple("AttnDownBlock2D" if attends else "DownBlock2D" for attends in size.attends)
    up = tuple("AttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(size.attends))
    return UNet2DModel(
        sample_size=size.lattice.image_size,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        down_block_types=down,
        up_block_types=up,
        attention_head_dim=None,
        norm_num_groups=2,
    )


def _endless(loader: DataLoader) -> Iterator[Tensor]:
    while True:
        for (batch,) in loader:
            yield batch


def _loader(size: Size) -> Iterator[Tensor]:
    pixels, _, _ = images(size.lattice)
    return _endless(DataLoader(TensorDataset(pixels), batch_size=size.batch, shuffle=True, drop_last=True))


def diffusers_step(size: Size, device: torch.device, recorded: bool = False) -> tuple[nn.Module, Callable[[], None]]:
    """A network and one step of the loop in diffusers' unconditional-training example.

    Args:
        recorded: repeat the step as a CUDA graph; only drawing and the learning rate stay outside.

    Raises:
        RuntimeError: when the step cannot be recorded.
    """
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    network = diffusers_network(size).to(device).train()
    average = EMAModel(network.parameters(), decay=EMA_DECAY)
    average.to(device)
    rate = torch.tensor(LEARNING_RATE, device=device) if recorded else LEARNING_RATE
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=rate, betas=(0.95, 0.999), weight_decay=1e-6, capturable=recorded
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10**6)
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    loader = _loader(size)

    def compute(clean: Tensor, noise: Tensor, timesteps: Tensor) -> None:
        noisy = scheduler.add_noise(clean, noise, timesteps)
        loss = nn.functional.mse_loss(network(noisy, timesteps).sample.float(), noise.float())
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        average.step(network.parameters())

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        clean = next(loader).to(device)
        noise = torch.randn(clean.shape, dtype=clean.dtype, device=device)
        return clean, noise, torch.randint(0, 1000, (len(clean),), device=device).long()

    def step() -> None:
        compute(*draw())
        schedule.step()

    if not recorded:
        return network, step
    static = draw()
    replay = _recorded(lambda: compute(*static), device)

    def repeat() -> None:
        for place, drawn in zip(static, draw(), strict=True):
            place.copy_(drawn)
        replay()
        schedule.step()

    return network, repeat


def _recorded(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """A call as a CUDA graph, after the warm-up on a side stream that torch asks for."""
    with torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                call()
        before = torch.cuda.current_stream()
        before.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                call()
        finally:  # where a recording fails, torch leaves its stream in force
            torch.cuda.set_stream(before)
    return graph.replay


def lucidrains_installed() -> bool:
    return (PACKAGES / "denoising_diffusion_pytorch").is_dir()


def _import_lucidrains() -> types.ModuleType:
    """Import the package with a stand-in for torchvision, which it needs for reading folders of pictures alone."""
    if str(PACKAGES) not in sys.path:
        sys.path.append(str(PACKAGES))
    for name in ("torchvision", "torchvision.transforms", "torchvision.utils", "torchvision.models"):
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            sys.modules[name] = module
            parent, _, child = name.partition(".")
            if child:
                setattr(sys.modules[parent], child, module)
    return importlib.import_module("denoising_diffusion_pytorch.denoising_diffusion_pytorch")


def lucidrains_network(size: Size) -> nn.Module:
    """Its linear attention, which it has at every other level and cannot leave out, stays."""
    width = size.lucidrains_width
    return _import_lucidrains().Unet(
        dim=width,
        dim_mults=(1, 2, 4, 4),
        channels=1,
        full_attn=tuple(size.attends),
        attn_heads=1,
        attn_dim_head=4 * width,
    )


def lucidrains_step(size: Size, device: torch.device) -> tuple[nn.Module, Callable[[], None]]:
    """A network and one step of the loop in denoising-diffusion-pytorch's Trainer."""
    package = _import_lucidrains()
    network = lucidrains_network(size)
    diffusion = package.GaussianDiffusion(network, image_size=size.lattice.image_size, objective="pred_noise")
    diffusion = diffusion.to(device).train()
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    average = importlib.import_module("ema_pytorch").EMA(diffusion, beta=EMA_DECAY, update_every=10).to(device)
    loader = _loader(size)

    def step() -> None:
        # It takes images in [0, 1].
        loss = diffusion(next(loader).to(device) / 2 + 0.5)
        loss.backward()
        nn.utils.clip_grad_norm_(diffusion.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        average.update()

    return network, step
