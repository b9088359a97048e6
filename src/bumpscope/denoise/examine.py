"""A trial of a denoiser before any job: is it what the others expect, and what does it compute?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.experiment import Config
from bumpscope.config.loading import ConfigError
from bumpscope.config.run import Run
from bumpscope.config.section import canonical_json
from bumpscope.denoise.denoiser import Batch, Denoiser
from bumpscope.denoise.named import DenoiserError, new_denoiser
from bumpscope.denoise.process import Process
from bumpscope.store.provenance import code_fingerprint
from bumpscope.worlds.named import world_of

# Images of the trial; several, since a layer may forget the first dimension, and a loss treat some of them apart.
IMAGES = 16


class Examined(NamedTuple):
    """What a denoiser computes for one image.

    Attributes:
        forward: multiply-adds of a prediction, as PyTorch counts them: matrix products, convolutions and attention.
        trained: multiply-adds of a training step, backward pass included.
        parameters: trainable numbers.
        layers: those whose activations it gives.
    """

    forward: int
    trained: int
    parameters: int
    layers: tuple[str, ...]


def examined(config: Config) -> dict[str, Examined]:
    """What the denoiser of each dataset computes, for those that must be built to know it.

    Raises:
        ConfigError: with a line for each that cannot be used.
    """
    found: dict[str, Examined] = {}
    faults: dict[str, None] = {}
    answers: dict[str, Examined | DenoiserError] = {}
    for name, run in config.unknown_denoisers().items():
        drawing = run.lattice.model_copy(update={"holdout": None})
        sections = (drawing, run.denoiser, run.model, run.diffusion, run.probe)
        key = canonical_json([section.model_dump(mode="json") for section in sections])
        if key not in answers:
            try:
                answers[key] = examine(run)
            except DenoiserError as error:
                answers[key] = error
        answer = answers[key]
        if isinstance(answer, Examined):
            found[name] = answer
        else:
            own = name in config.datasets and config.datasets[name].denoiser is not None
            faults.setdefault(f"{f'datasets.{name}.' if own else ''}{answer}", None)
    if faults:
        raise ConfigError(list(faults))
    return found


def examine(run: Run) -> Examined:
    """Build the denoiser of a run, ask it once and compute its loss once.

    Its parameters are drawn at random for this, since what starts at zero would hide what labels do.

    Raises:
        DenoiserError: on one line, with the key at fault, for all that would make a job fail.
    """
    kind = run.denoiser.kind
    try:
        network = new_denoiser(run.lattice, run.model, run.diffusion, run.seed, run.denoiser)
        code_fingerprint(run.denoiser.path)
    except DenoiserError:
        raise
    except Exception as error:  # whatever code from elsewhere raises
        raise _fault(kind, "cannot be built", error) from None
    if type(network).forward is Denoiser.forward:
        raise DenoiserError(f"denoiser.kind: {kind} has no method forward")
    if not getattr(network, "layers", ()):
        raise DenoiserError(f"denoiser.kind: {kind} has no layers; it must name one at least")
    probed = {"layers": run.probe.layers}
    if run.probe.interventions and network.intervenes:
        probed["intervention_layers"] = run.probe.intervention_layers
    for key, layers in probed.items():
        if strangers := [layer for layer in layers if layer not in network.layers]:
            raise DenoiserError(
                f"probe.{key}: {', '.join(strangers)} is not in {kind}; allowed: from {', '.join(network.layers)}"
            )
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return counted(network, kind, run.diffusion, len(world_of(run.lattice).factors))


def _batch(network: Denoiser, timesteps: int, labels_of_an_image: int) -> Batch:
    draw = torch.Generator().manual_seed(1)
    shape = (IMAGES, 1, network.image_size, network.image_size)
    images, noise = torch.rand(shape, generator=draw) * 2 - 1, torch.randn(shape, generator=draw)
    middle = (network.image_size - 1) / 2
    labels = middle + torch.linspace(-1, 1, IMAGES)[:, None].expand(IMAGES, labels_of_an_image)
    return Batch(images, labels.clone(), torch.full((IMAGES,), timesteps // 2), noise)


def counted(network: Denoiser, kind: str, diffusion: Diffusion, factors: int = 2) -> Examined:
    """What a denoiser computes, from one prediction and one loss.

    Args:
        factors: number of labels of an image.

    Raises:
        DenoiserError: as :func:`examine`.
    """
    network, batch = network.eval(), _batch(network, diffusion.timesteps, factors)
    taps: dict[str, Tensor] = {}
    shown = torch.ones_like(batch.labels)
    try:
        with FlopCounterMode(display=False) as forward, torch.no_grad():
            plain = network(batch.noise, batch.t, batch.labels, None, taps)
        with torch.no_grad():
            hidden = [network(batch.noise, batch.t, labels, 0 * shown) for labels in (batch.labels, batch.labels + 1)]
    except Exception as error:
        raise _fault(kind, "fails to predict", error) from None
    if getattr(plain, "shape", None) != batch.noise.shape:
        found = list(plain.shape) if isinstance(plain, Tensor) else type(plain).__name__
        raise DenoiserError(
            f"denoiser.kind: the prediction of {kind} is {found}; allowed: of shape {list(batch.noise.shape)}, as x"
        )
    if missing := [layer for layer in network.layers if len(taps.get(layer, ())) != IMAGES]:
        raise DenoiserError(
            f"denoiser.kind: {kind} does not fill taps with {', '.join(missing)}; allowed: each of its layers, of shape"
            " (n, ...)"
        )
    if not torch.equal(*hidden):
        raise DenoiserError(f"denoiser.kind: {kind} uses labels for which keep is 0; it must not")
    process = Process.from_config(diffusion)
    try:
        with FlopCounterMode(display=False) as trained:
            loss = network.train().loss(process, batch, 0.0)
            loss.backward()
    except Exception as error:
        raise _fault(kind, "fails to compute its loss", error) from None
    if loss.shape or not torch.isfinite(loss):
        raise DenoiserError(f"denoiser.kind: the loss of {kind} is {loss.tolist()}; allowed: a finite number")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    flops = forward.get_total_flops(), trained.get_total_flops()
    predicted, trained_with = (count // (2 * IMAGES) for count in flops)
    return Examined(predicted, trained_with, parameters, tuple(network.layers))


def _fault(kind: str, what: str, error: Exception) -> DenoiserError:
    first = (str(error).strip() or "no message").splitlines()[0]
    return DenoiserError(f"denoiser.kind: {kind} {what} ({type(error).__name__}: {first})")
