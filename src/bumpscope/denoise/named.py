"""The untrained denoiser that the settings of a run name."""

from __future__ import annotations

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.denoiser import Denoiser
from bumpscope.denoise.references import Gated, ProductOfStripes
from bumpscope.denoise.unet import new_network


def new_denoiser(lattice: Lattice, model: Model, diffusion: Diffusion, seed: int) -> Denoiser:
    """The untrained denoiser that ``model.reference`` names; the same for the same seed."""
    if model.reference == "factorised":
        along_x, along_y = (new_network(lattice.image_size, model, seed, part) for part in (0, 1))
        return ProductOfStripes(along_x, along_y, lattice.sigma, diffusion)
    network = new_network(lattice.image_size, model, seed)
    return Gated(network) if model.reference == "gated" else network
