"""The untrained denoiser that the settings of a run name."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from bumpscope.config.denoiser import UNET, DenoiserChoice, in_force
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.denoiser import Denoiser, Task
from bumpscope.seeding import derived_seed


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
    build = _builder(named)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights", 0))
        built = build(Task(lattice, model, diffusion, seed), **named.keys)
    if not isinstance(built, Denoiser):
        made = f"denoiser.kind: {named.kind} makes a {type(built).__name__}"
        raise DenoiserError(f"{made}; allowed: a Denoiser of {Denoiser.__module__}")
    built.image_size = lattice.image_size
    return built


def _builder(denoiser: DenoiserChoice) -> Callable[..., Denoiser]:
    """The class or function that a choice names, which takes a task and exactly these keys."""
    module, _, name = denoiser.path.partition(":")
    # Wherever Python was started from: a folder beside the configuration holds denoisers of one's own.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DenoiserError(
            f"denoiser.kind: {module} cannot be imported (no module {error.name}); it must be on Python's path,"
            " such as in the folder that the workflow is started from"
        ) from None
    if (build := getattr(found, name, None)) is None:
        raise DenoiserError(f"denoiser.kind: {module} has no {name}")
    if not callable(build):
        raise DenoiserError(f"denoiser.kind: {denoiser.path} is no class")
    parameters = dict(list(inspect.signature(build).parameters.items())[1:])
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return build
    allowed = ", ".join(["kind", *parameters])
    for key in denoiser.keys:
        if key not in parameters:
            raise DenoiserError(f"denoiser.{key}: unknown key of {denoiser.kind}; allowed: {allowed}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in denoiser.keys:
            raise DenoiserError(f"denoiser.{key}: is missing; {denoiser.kind} needs it")
    return build


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
