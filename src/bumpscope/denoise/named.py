"""The untrained denoiser that the settings of a run name."""

from __future__ import annotations

import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.denoiser import Denoiser
from bumpscope.denoise.references import EqualResolution, Gated, OwnResolution, ProductOfStripes
from bumpscope.denoise.unet import new_network
from bumpscope.seeding import derived_seed


def new_denoiser(lattice: Lattice, model: Model, diffusion: Diffusion, seed: int) -> Denoiser:
    """The untrained denoiser that ``model.reference`` names; the same for the same seed."""
    if model.reference == "factorised":
        along_x, along_y = (new_network(lattice.image_size, model, seed, part) for part in (0, 1))
        return ProductOfStripes(along_x, along_y, lattice.sigma, diffusion)
    if model.reference == "equal_resolution":
        return EqualResolution(lattice, diffusion)
    if model.reference == "own_resolution":
        return OwnResolution(lattice, diffusion)
    network = new_network(lattice.image_size, model, seed)
    return Gated(network) if model.reference == "gated" else network


def with_default_weights(denoiser: Denoiser, seed: int) -> Denoiser:
    """Give layers that start at zero PyTorch's default weights; a control.

    Untrained as it is, a network draws the same whatever it is asked for, since these layers hide what the others
    compute. The weights depend only on ``seed``; those of other layers stay.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "default weights"))
        for layer in denoiser.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear) and not any(p.any() for p in layer.parameters()):
                layer.reset_parameters()
    return denoiser
