"""Time of the training step with each change made to it, and with those that were rejected.

    python benchmarks/engine.py

All variants take the same step up to rounding (test_training.py, test_flat.py in tests/denoise/). Enlarging before
convolving is another network of the same size; the choice was made for speed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pandas as pd
import torch
from peers import Size, our_trainer
from record import RESULTS, paired_seconds, save
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.trainer import Trainer
from bumpscope.denoise.unet import new_network
from bumpscope.worlds.bumps import lattice_points

Step = Callable[[], None]
COMPILED = "and torch.compile"
DEFAULT = Size("default", Lattice(margin=2.0), Model(), 0, 0, 64)
enlarge = functional.interpolate


class EnlargedFirst(nn.Module):
    """A convolution of the image enlarged, where ours enlarges what was convolved."""

    def __init__(self, convolution: nn.Module):
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(enlarge(x, scale_factor=2.0, mode="nearest"))


def plain_step(size: Size, enlarged_first: bool) -> Step:
    """The step with an optimiser, clipping and average that go through the parameters one by one."""
    trainer = our_trainer(size, torch.device("cpu"))
    network = new_network(size.lattice.image_size, size.model, 0)
    if enlarged_first:
        network.upsample = nn.ModuleList(EnlargedFirst(convolution) for convolution in network.upsample)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(trainer.training.ema_decay))
    optimizer = torch.optim.AdamW(network.parameters(), lr=trainer.training.learning_rate, weight_decay=0, fused=True)

    def step() -> None:
        trainer.step += 1
        images, mu, t, noise = trainer.batch(trainer.step)
        as_is = mock.patch.object(functional, "interpolate", lambda x, **_: x) if enlarged_first else mock.MagicMock()
        with as_is:
            prediction = network(trainer.process.noised(images, noise, t), t, mu)
        loss = functional.mse_loss(prediction, trainer.process.target(images, noise, t))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), trainer.training.gradient_clip, foreach=True)
        optimizer.step()
        average.update_parameters(network)

    return step


def channels_first(size: Size) -> Step:
    """Our step with kernels laid out as torch does by itself."""
    with mock.patch("bumpscope.denoise.trainer.flatten_parameters", _flat_channels_first):
        return our_trainer(size, torch.device("cpu")).advance


def _flat_channels_first(network: nn.Module, channels_last: bool) -> nn.Parameter:
    from bumpscope.denoise.flat import flatten_parameters

    return flatten_parameters(network, channels_last=False)


def stored_or_drawn(size: Size) -> tuple[Step, Step]:
    """Fetching a batch of images from memory, and drawing it from its centres."""
    trainer: Trainer = our_trainer(size, torch.device("cpu"))
    pixels = torch.arange(size.lattice.image_size, dtype=torch.float32)
    index = torch.arange(size.batch) % len(lattice_points(size.lattice).mu_x)

    def fetch() -> None:
        trainer.data.images[index]

    def draw() -> None:
        mu = trainer.data.labels[index]
        along = torch.exp(-((pixels - mu[:, :, None]) ** 2) / (2 * size.lattice.sigma**2))
        2 * along[:, 1, :, None] * along[:, 0, None, :] - 1

    return fetch, draw


# Operations as torch's profiler names them, by what they are for; the rest is small operations and torch itself.
OPERATIONS = {
    "convolutions": ("aten::mkldnn_convolution", "aten::convolution_backward"),
    "group norms": ("aten::native_group_norm", "aten::native_group_norm_backward"),
    "activations": ("aten::silu", "aten::silu_backward"),
    "enlarging": ("aten::upsample_nearest2d", "aten::upsample_nearest2d_backward"),
    "linear layers, attention": ("aten::mm", "aten::addmm", "aten::bmm", "aten::_softmax"),
    "optimiser, clipping, average": (
        "Optimizer.step#AdamW.step",
        "aten::_fused_adamw_",
        "aten::lerp_",
        "aten::_foreach_lerp_",
        "aten::linalg_vector_norm",
        "aten::_foreach_norm",
        "aten::_foreach_mul_",
    ),
}


def profile(steps: int = 20) -> pd.DataFrame:
    """Milliseconds a step by kind of operation, before (the plain step) and after (ours), as the profiler sees them.

    Profiling itself takes time, more of it where operations are many and small.
    """
    frames = []
    variants = {"before": plain_step(DEFAULT, True), "after": our_trainer(DEFAULT, torch.device("cpu")).advance}
    for name, step in variants.items():
        for _ in range(3):
            step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            for _ in range(steps):
                step()
        spent = {event.key: event.self_cpu_time_total / 1e3 / steps for event in seen.key_averages()}
        kinds = {kind: sum(spent.get(key, 0.0) for key in keys) for kind, keys in OPERATIONS.items()}
        kinds["everything else"] = sum(spent.values()) - sum(kinds.values())
        frames.append(pd.Series(kinds, name=name))
    return pd.concat(frames, axis=1).rename_axis("operations").reset_index()


FIRST_STEP = """
import time, torch
from engine import DEFAULT
from peers import our_trainer
torch.set_num_threads(1)
trainer = our_trainer(DEFAULT, torch.device("cpu"), compile=True)
started = time.perf_counter()
trainer.advance()
print(time.perf_counter() - started)
"""


def first_steps() -> list[float]:
    """Seconds of the first compiled step on a machine, and in a later process, which finds what was compiled."""
    with TemporaryDirectory() as folder:
        surroundings = os.environ | {"TORCHINDUCTOR_CACHE_DIR": folder}
        command = [sys.executable, "-c", FIRST_STEP]
        told = [subprocess.check_output(command, cwd=Path(__file__).parent, env=surroundings) for _ in range(2)]
    return [float(text) for text in told]


def measure(rounds: int) -> pd.DataFrame:
    """A row for each variant: its seconds, and their ratio to the plain step's."""
    cpu = torch.device("cpu")
    variants: dict[str, tuple[str, Step]] = {
        "plain": ("start", plain_step(DEFAULT, enlarged_first=True)),
        "+ convolve, then enlarge": ("kept", plain_step(DEFAULT, enlarged_first=False)),
        "+ all parameters in one tensor": ("kept", channels_first(DEFAULT)),
        "+ channels last": ("kept", our_trainer(DEFAULT, cpu).advance),
        "and bfloat16": ("option", our_trainer(DEFAULT, cpu, precision="bfloat16").advance),
        COMPILED: ("option", our_trainer(DEFAULT, cpu, compile=True).advance),
    }
    frame = paired_seconds({name: step for name, (_, step) in variants.items()}, rounds)
    frame = frame.assign(verdict=[verdict for verdict, _ in variants.values()])
    compiled = frame.index[frame["name"] == COMPILED]
    frame.loc[compiled, ["first_step", "first_step_later"]] = first_steps()
    fetch, draw = stored_or_drawn(DEFAULT)
    batch = paired_seconds({"a batch fetched from memory": fetch, "a batch drawn from its centres": draw}, rounds)
    return pd.concat([frame, batch.assign(verdict=["kept", "rejected"])], ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    save("profile", profile(), torch.device("cpu"), chosen.folder)
    save("engine", measure(chosen.rounds), torch.device("cpu"), chosen.folder)


if __name__ == "__main__":
    main()
