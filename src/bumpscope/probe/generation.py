"""Probing a checkpoint by generation: the images it draws and its activations on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bumpscope.config.probe import GenerationKeys
from bumpscope.denoise.denoiser import Denoiser
from bumpscope.denoise.predictions import RepeatedPredictions
from bumpscope.denoise.process import Process
from bumpscope.denoise.samplers import Noise, named_sampler, trailing_timesteps
from bumpscope.seeding import derived_seed
from bumpscope.worlds.bumps import from_network

# Images that go through the network together. Larger batches do not fit a CPU's caches; a GPU launches as many kernels
# for one image as for all of these.
CHUNK = {"cpu": 128, "cuda": 1024}


@dataclass
class Generated:
    """The result of probing one checkpoint.

    Attributes:
        images: intensities, shape (n, N, N).
        activations: (layer, visited timestep) -> vectors of shape (n, channels * rows * columns).
    """

    images: np.ndarray
    activations: dict[tuple[str, int], np.ndarray]


# The finished image goes through the network once more at this timestep, where a wanted t is nearest to it.
FINISHED = 0


def visited_timesteps(wanted: Sequence[int], sampler_steps: Sequence[int]) -> list[int]:
    """The step of the sampler, or ``FINISHED``, nearest to each wanted t, without repeats, in the order of ``wanted``.

    Of two that are equally near it is the larger.
    """
    nearest = [min([*sampler_steps, FINISHED], key=lambda step: abs(step - t)) for t in wanted]
    return list(dict.fromkeys(nearest))


def noise_seeds(seed: int, samples: int) -> np.ndarray:
    """The seed of each sample's noise, the same at every checkpoint of a run; shape (samples,)."""
    return np.array([derived_seed(seed, "image noise", sample) for sample in range(samples)])


def shared_noise_seeds(seed: int, samples: int) -> np.ndarray:
    """One seed for all samples, the same at every checkpoint of a run; shape (samples,).

    A control. Images that share their noise differ only by label, so a label shows in the activations even where the
    network hardly uses it. Order that appears only with shared noise is not reflected in the images.
    """
    return np.full(samples, derived_seed(seed, "shared noise"))


def noise_of(seeds: np.ndarray, shape: tuple[int, ...], device: torch.device) -> Noise:
    """Standard normal noise for a sampler, shape (n, *shape) at each call; image k draws from its own ``seeds[k]``."""
    draws = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    return lambda _t: torch.stack([torch.randn(shape, generator=draw) for draw in draws]).to(device)


@torch.inference_mode()
def generate(
    network: Denoiser | RepeatedPredictions,
    process: Process,
    probe: GenerationKeys,
    centres: pd.DataFrame,
    seeds: np.ndarray,
) -> Generated:
    """Generate an image for each requested centre and record activations on the way, and of the finished image.

    Each image has its own generator, so the result does not depend on how images are batched.

    Args:
        network: on the device to compute on, with the weights to probe.
        centres: a column mu_x, mu_y, … for each factor, in their order.
        seeds: of each image's noise, shape (n,).

    Raises:
        ValueError: for a layer that the network does not have, or an unknown sampler.
    """
    if unknown := [layer for layer in probe.layers if layer not in network.layers]:
        raise ValueError(f"no layer {', '.join(unknown)} in this network; it has {', '.join(network.layers)}")
    sampler = named_sampler(probe.sampler)
    steps = trailing_timesteps(process.timesteps, probe.sampling_steps)
    at = visited_timesteps(probe.timesteps, steps)
    labels = torch.tensor(centres.filter(like="mu_").to_numpy(), dtype=torch.float32)
    device = process.alpha_bar.device
    shape = (1, network.image_size, network.image_size)
    images = []
    kept: dict[tuple[str, int], list[np.ndarray]] = {(layer, t): [] for layer in probe.layers for t in at}
    for rows in _chunks(len(labels), CHUNK[device.type]):
        noise = noise_of(seeds[rows], shape, device)
        shown = labels[rows].to(device)
        taps: dict[str, Tensor] = {}

        def predict(x: Tensor, t: Tensor, shown: Tensor = shown, taps: dict[str, Tensor] = taps) -> Tensor:
            return network(x, t, shown, taps=taps)

        def record(t: int, x_t: Tensor, x0: Tensor, taps: dict[str, Tensor] = taps) -> None:
            if t in at:
                for layer in probe.layers:
                    kept[layer, t].append(taps[layer].flatten(1).float().cpu().numpy())

        x = sampler(predict, noise(0), process, steps, noise, callback=record)
        if FINISHED in at and FINISHED not in steps:
            predict(x, torch.full((len(x),), FINISHED, device=device))
            record(FINISHED, x, x)
        images.append(x[:, 0].float().cpu().numpy())
    activations = {key: np.concatenate(chunks) for key, chunks in kept.items()}
    return Generated(from_network(np.concatenate(images)), activations)


def _chunks(count: int, most: int) -> Iterator[slice]:
    for start in range(0, count, most):
        yield slice(start, min(count, start + most))
