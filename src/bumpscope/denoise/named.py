"""The untrained denoiser that the settings of a run name."""

from __future__ import annotations

import torch

from bumpscope.config.denoiser import UNET, DenoiserChoice, in_force
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.denoiser import Denoiser, Task
from bumpscope.seeding import derived_seed
from bumpscope.store.imports import ImportFault, builder


class DenoiserError(RuntimeError):
    """A denoiser that cannot be built or used; its one-line message begins with the key at fault."""


def new_denoiser(
    lattice: Lattice, model: Model, diffusion: Diffusion, seed: int, denoiser: DenoiserChoice = UNET
) -> Denoiser:
    """The untrained denoiser that ``denoiser`` names; the same for the same seed.

    Raises:
        DenoiserError: when there is none of this name, or it has no such keys.
    """
    named = in_force(model, denoiser)
    try:
        build = builder(named, "denoiser")
    except ImportFault as error:
        raise DenoiserError(str(error)) from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights", 0))
        built = build(Task(lattice, model, diffusion, seed), **named.keys)
    if not isinstance(built, Denoiser):
        made = f"denoiser.kind: {named.kind} makes a {type(built).__name__}"
        raise DenoiserError(f"{made}; allowed: a Denoiser of {Denoiser.__module__}")
    built.image_size = lattice.image_size
    return built


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
