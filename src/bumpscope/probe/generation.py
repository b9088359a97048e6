"""Probing a checkpoint by generation: what is requested, the images that come out, the activations on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.stats import qmc
from torch import Tensor

from bumpscope.config.lattice import Lattice
from bumpscope.config.probe import GenerationKeys
from bumpscope.denoise.process import Callback, Process, ancestral, ddim, trailing_timesteps
from bumpscope.denoise.unet import UNet
from bumpscope.seeding import derived_seed
from bumpscope.worlds.bumps import axis_positions, from_network, in_holdout, lattice_points

# Images that go through the network together; larger batches leave the CPU's caches.
CHUNK = 128
# Shares of the samples that go to centres seen in training, withheld combinations, and the whole support.
SHARES_WITHOUT_HOLDOUT = {"seen": 0.75, "heldout": 0.0}
SHARES_WITH_HOLDOUT = {"seen": 0.5, "heldout": 0.25}


def requested_centres(lattice: Lattice, samples: int) -> pd.DataFrame:
    """The centres that a probe asks for: columns sample, mu_x, mu_y, split.

    - ``seen``: lattice points that training draws. They form a grid (all of the lattice where it is small,
      evenly spaced positions of each axis where it is large), each at least twice with noise of its own, so that
      noise can be told from position.
    - ``heldout``: withheld combinations, each as often as fits.
    - ``between``: a Sobol sequence over the support, the same for every lattice with this support, so that
      datasets of different spacing are asked for the same centres. What falls into a withheld block counts as
      held out.
    """
    points = lattice_points(lattice)
    shares = SHARES_WITH_HOLDOUT if points.heldout.any() else SHARES_WITHOUT_HOLDOUT
    n_seen, n_heldout = (round(shares[split] * samples) for split in ("seen", "heldout"))
    seen = _grid(lattice, n_seen // 2)
    parts = [_repeat(seen, n_seen).assign(split="seen")]
    if n_heldout:
        block = pd.DataFrame({"mu_x": points.mu_x[points.heldout], "mu_y": points.mu_y[points.heldout]})
        order = np.random.default_rng(0).permutation(len(block))
        parts.append(_repeat(block.iloc[order], n_heldout).assign(split="heldout"))
    between = _everywhere(lattice, samples - n_seen - n_heldout)
    withheld = in_holdout(lattice, between.mu_x.to_numpy(), between.mu_y.to_numpy())
    parts.append(between.assign(split=np.where(withheld, "heldout", "between")))
    centres = pd.concat(parts, ignore_index=True)
    centres.insert(0, "sample", np.arange(len(centres)))
    return centres


def one_a_centre(centres: pd.DataFrame) -> pd.DataFrame:
    """The first request of each centre seen in training: what the control with shared noise asks for."""
    return centres[centres["split"] == "seen"].drop_duplicates(["mu_x", "mu_y"])


def _grid(lattice: Lattice, at_most: int) -> pd.DataFrame:
    """A grid of lattice points of at most ``at_most`` points, as many for x as for y as the lattice allows."""
    x = axis_positions(lattice.image_size, lattice.free_margin, lattice.dx)
    y = axis_positions(lattice.image_size, lattice.free_margin, lattice.dy)
    count_x = min(len(x), max(1, int(np.sqrt(at_most))))
    count_y = min(len(y), max(1, at_most // count_x))
    count_x = min(len(x), max(1, at_most // count_y))
    x, y = x[_evenly(len(x), count_x)], y[_evenly(len(y), count_y)]
    mu_y, mu_x = (grid.ravel() for grid in np.meshgrid(y, x, indexing="ij"))
    seen = ~in_holdout(lattice, mu_x, mu_y)
    if not seen.any():  # a block that leaves only a rim can hide the whole grid: spread the requests over the rim
        points = lattice_points(lattice)
        mu_x, mu_y = points.mu_x[~points.heldout], points.mu_y[~points.heldout]
        chosen = _evenly(len(mu_x), min(len(mu_x), at_most))
        return pd.DataFrame({"mu_x": mu_x[chosen], "mu_y": mu_y[chosen]})
    return pd.DataFrame({"mu_x": mu_x[seen], "mu_y": mu_y[seen]})


def _evenly(length: int, count: int) -> np.ndarray:
    return np.round((np.arange(count) + 0.5) * length / count - 0.5).astype(int)


def _repeat(centres: pd.DataFrame, rows: int) -> pd.DataFrame:
    return centres.iloc[np.arange(rows) % len(centres)].reset_index(drop=True)


def _everywhere(lattice: Lattice, rows: int) -> pd.DataFrame:
    low = lattice.free_margin - 0.5
    length = lattice.image_size - 2 * lattice.free_margin
    # A power of two keeps the sequence balanced; its first rows are spread out all the same.
    unit = qmc.Sobol(2, seed=0).random(1 << max(0, rows - 1).bit_length())[:rows]
    return pd.DataFrame(low + length * unit, columns=["mu_x", "mu_y"])


@dataclass
class Generated:
    """What a probe of one checkpoint found.

    Attributes:
        images: intensities, shape (n, N, N).
        activations: (layer, timestep really visited) -> vectors of shape (n, channels * rows * columns).
    """

    images: np.ndarray
    activations: dict[tuple[str, int], np.ndarray]


def visited_timesteps(wanted: Sequence[int], sampler_steps: Sequence[int]) -> list[int]:
    """For each wanted t the nearest step of the sampler, each once, in the order of ``wanted``."""
    nearest = [min(sampler_steps, key=lambda step: abs(step - t)) for t in wanted]
    return list(dict.fromkeys(nearest))


def noise_seeds(seed: int, samples: int) -> np.ndarray:
    """The seed of each sample's own noise, the same at every checkpoint of a run; shape (samples,)."""
    return np.array([derived_seed(seed, "image noise", sample) for sample in range(samples)])


def shared_noise_seeds(seed: int, samples: int) -> np.ndarray:
    """One seed for all samples, the same at every checkpoint of a run; shape (samples,).

    A control: noise that all images share is no spread between them, so that a label shows in the activations even
    where the network hardly uses it. An order that is there with shared noise alone is not one that images obey.
    """
    return np.full(samples, derived_seed(seed, "shared noise"))


@torch.inference_mode()
def generate(
    network: UNet, process: Process, probe: GenerationKeys, centres: pd.DataFrame, seeds: np.ndarray
) -> Generated:
    """Generate an image for each requested centre and read activations on the way.

    Each image has a generator of its own, so the result does not depend on how images are batched.

    Args:
        network: on the device to compute on, with the weights to probe.
        centres: columns mu_x, mu_y in px.
        seeds: of each image's noise, shape (n,).
    """
    steps = trailing_timesteps(process.timesteps, probe.sampling_steps)
    at = visited_timesteps(probe.timesteps, steps)
    mu = torch.tensor(centres[["mu_x", "mu_y"]].to_numpy(), dtype=torch.float32)
    device = next(network.parameters()).device
    images = []
    kept: dict[tuple[str, int], list[np.ndarray]] = {(layer, t): [] for layer in probe.layers for t in at}
    for rows in _chunks(len(mu)):
        draws = [torch.Generator().manual_seed(int(seed)) for seed in seeds[rows]]
        chunk_mu = mu[rows].to(device)
        taps: dict[str, Tensor] = {}

        def denoiser(x: Tensor, t: Tensor, mu: Tensor = chunk_mu, taps: dict[str, Tensor] = taps) -> Tensor:
            return network(x, t, mu, taps)

        def keep(t: int, x_t: Tensor, x0: Tensor, taps: dict[str, Tensor] = taps) -> None:
            if t in at:
                for layer in probe.layers:
                    kept[layer, t].append(taps[layer].flatten(1).float().cpu().numpy())

        images.append(_sample(denoiser, process, probe, steps, draws, network.image_size, device, keep))
    activations = {key: np.concatenate(chunks) for key, chunks in kept.items()}
    return Generated(from_network(np.concatenate(images)), activations)


def _sample(
    denoiser: Callable[[Tensor, Tensor], Tensor],
    process: Process,
    probe: GenerationKeys,
    steps: list[int],
    draws: list[torch.Generator],
    size: int,
    device: torch.device,
    callback: Callback,
) -> np.ndarray:
    def noise(_t: int = 0) -> Tensor:
        return torch.stack([torch.randn(1, size, size, generator=draw) for draw in draws]).to(device)

    start = noise()
    if probe.sampler == "ddim":
        x = ddim(denoiser, start, process, steps, callback=callback)
    else:
        x = ancestral(denoiser, start, process, steps, noise, callback=callback)
    return x[:, 0].float().cpu().numpy()


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, min(count, start + CHUNK))
