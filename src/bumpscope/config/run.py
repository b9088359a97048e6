"""A run: one training of the grid, with the settings in force for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from bumpscope.config.analysis import Analysis
from bumpscope.config.denoiser import UNET, DenoiserChoice
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.config.training import Training

Seed = Annotated[int, Field(ge=0, lt=2**31)]


def run_path(dataset: str, seed: int) -> str:
    """The folder of a run, relative to the output folder."""
    return f"runs/{dataset}/seed={seed}"


@dataclass(frozen=True)
class Run:
    """A dataset, a seed and the settings in force for them."""

    dataset: str
    seed: int
    lattice: Lattice
    model: Model
    diffusion: Diffusion
    training: Training
    probe: Probe
    analysis: Analysis
    denoiser: DenoiserChoice = UNET

    @property
    def id(self) -> str:
        return f"{self.dataset}-seed{self.seed}"

    @property
    def path(self) -> str:
        """The folder of the run, relative to the output folder."""
        return run_path(self.dataset, self.seed)
