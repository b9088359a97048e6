"""Checkpoints of a run, opened as a network that can be probed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bumpscope.config.denoiser import UNET, DenoiserChoice
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.denoiser import Denoiser
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.predictions import RepeatedPredictions, repeated
from bumpscope.denoise.process import Process
from bumpscope.store.checkpoints import restore_weights

# Noised images that go through the network together.
CHUNK = 256


def checkpoint_path(folder: Path, step: int) -> Path:
    """The file of a checkpoint in the folder of a run's checkpoints."""
    return folder / f"step={step}.safetensors"


class Checkpoints:
    """The checkpoints of one run. A single network takes the weights of each in turn.

    Args:
        folder: with ``step=S.safetensors``.
        lattice, model, diffusion, seed: what the run was trained with.
        run: its id, which every checkpoint must carry; not checked if empty.
        device: to compute on.
        denoiser: the kind of network.

    Attributes:
        network: in evaluation mode; untrained until :meth:`load`.
        asked: the same network as probes ask it; see :func:`bumpscope.denoise.predictions.repeated`.
        process: the run's forward process.
    """

    def __init__(
        self,
        folder: Path,
        lattice: Lattice,
        model: Model,
        diffusion: Diffusion,
        seed: int,
        run: str = "",
        device: torch.device | str = "cpu",
        denoiser: DenoiserChoice = UNET,
    ):
        self.folder, self.run = folder, run
        self.network: Denoiser = new_denoiser(lattice, model, diffusion, seed, denoiser).to(device).eval()
        self.asked = repeated(self.network, torch.device(device))
        self.process = Process.from_config(diffusion, device)

    def load(self, step: int, weights: str) -> Denoiser:
        """Give the network the weights of a checkpoint.

        Args:
            weights: ``ema`` for their moving average, ``raw`` for the weights themselves.

        Raises:
            FileError: when the checkpoint is missing, broken, or of another run, step or network.
        """
        restore_weights(self.network, checkpoint_path(self.folder, step), weights, self.run)
        return self.network


@dataclass(frozen=True)
class Estimator:
    """A denoiser at one timestep: from noised images (n, N, N) and labels (n, F) to clean estimates (n, N*N)."""

    network: Denoiser | RepeatedPredictions
    process: Process
    t: int

    @torch.inference_mode()
    def __call__(self, x_t: np.ndarray, labels: np.ndarray) -> np.ndarray:
        device = self.process.alpha_bar.device
        images = torch.tensor(x_t, dtype=torch.float32)[:, None]
        requests = torch.tensor(labels, dtype=torch.float32)
        found = []
        for x, shown in zip(images.split(CHUNK), requests.split(CHUNK), strict=True):
            x, t = x.to(device), torch.full((len(x),), self.t, device=device)
            estimate = self.process.denoised(self.network(x, t, shown.to(device)), x, t)
            found.append(estimate.flatten(1).double().cpu().numpy())
        return np.concatenate(found)
