"""Reference models whose learning is known: two are factorised by construction, two are coupled by construction.

They calibrate the coupling index. All have the interface of every denoiser, so all probes run on them unchanged. They
differ from the network under study in how they are trained. Coupled has two meanings: both labels have the same effect
at every step (:class:`Gated`), or both are known equally well in px (:class:`EqualResolution`). On a lattice of unequal
spacings no learner is both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import LAYERS
from bumpscope.denoise.denoiser import Batch, Denoiser, Task
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import new_network
from bumpscope.worlds.bumps import FINEST, factors, lattice_points, profiles

# Share of a gated training after which only the gate is trained.
GATE_OPENS = 0.75
# Until then one image in four has its labels hidden, so that the network learns to work with a shut gate.
WITHOUT_LABELS = 4
# Step size of plain gradient descent on the gate. Adam would move a single number at one pace whatever its gradient.
GATE_RATE = 1.5
# Step size of plain gradient descent on the logarithm of the resolution, for the same reason.
RESOLUTION_RATE = 25.0


class ProductOfStripes(Denoiser):
    """A model that is factorised by construction: a denoiser of x-stripes times a denoiser of y-stripes.

    The sum of a noised bump over its rows is a noised profile along x, ``exp(-(j - mu_x)^2 / (2 sigma^2))`` times a
    constant, and says nothing of y. The x-denoiser gets this profile, drawn as a stripe, and mu_x only. The y-denoiser
    gets the sum over the columns and mu_y. Each has its own loss, and no gradient passes between them. The model's
    estimate of the clean image is the product of both estimated profiles.

    Told: the generative form, so that it is a ceiling of the factorisation benchmark. Ours.

    On a plane the constant falls by up to 2% where a bump 2 sigma from the edge is cut; nothing else about one axis is
    visible in the other's stripe. Bright bumps only.

    Args:
        x, y: the two networks.
        sigma: of a bump, px.
    """

    def __init__(self, x: Denoiser, y: Denoiser, sigma: float, diffusion: Diffusion):
        super().__init__()
        self.x, self.y = x, y
        self.image_size, self.layers = x.image_size, x.layers
        self.mass = sigma * math.sqrt(2 * math.pi)
        self.process = Process.from_config(diffusion)

    def parts(self) -> list[nn.Module]:
        return [self.x, self.y]

    def networks(self) -> list[nn.Module]:
        return self.parts()

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """As :meth:`Denoiser.forward`; an activation has the channels of the x-denoiser, then those of y."""
        process = self._process(x.device)
        profiles = []
        for axis, network in enumerate((self.x, self.y)):
            own: dict[str, Tensor] = {}
            stripe, signal, noise = self._stripe(x, t, axis, process)
            answer = self._answer(network, stripe, t, labels, axis, keep, own)
            profiles.append((_clean(answer, stripe, signal, noise, process.prediction).clamp(-1, 1) + 1) / 2)
            if taps is not None:
                for name, found in own.items():
                    taps[name] = torch.cat([taps[name], found], dim=1) if axis else found
        along_x, along_y = profiles
        estimate = 2 * along_y[:, None, :, None] * along_x[:, None, None, :] - 1
        signal, sigma = process.scales(t, x)
        if process.prediction == "epsilon":
            return (x - signal * estimate) / sigma
        return (signal * x - estimate) / sigma

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        """The sum of both denoisers' mean squared errors on their stripes."""
        noised = process.noised(batch.images, batch.noise, batch.t)
        total = torch.zeros((), device=noised.device)
        for axis, network in enumerate((self.x, self.y)):
            stripe, signal, sigma = self._stripe(noised, batch.t, axis, process)
            clean = 2 * self._sums(batch.images, axis) / self.mass - 1
            drawn = (stripe - signal * clean) / sigma
            target = drawn if process.prediction == "epsilon" else signal * drawn - sigma * clean
            answer = self._answer(network, stripe, batch.t, batch.labels, axis)
            total = total + functional.mse_loss(answer.float(), target)
        return total

    def _process(self, device: torch.device) -> Process:
        if self.process.alpha_bar.device != device:
            self.process = Process(self.process.alpha_bar.to(device), self.process.prediction)
        return self.process

    def _sums(self, x0: Tensor, axis: int) -> Tensor:
        """Sums of intensities in [0, 1] over the other axis, shape (n, N)."""
        return ((x0 + 1) / 2).sum(dim=(1, 2 if axis == 0 else 3))

    def _stripe(self, x_t: Tensor, t: Tensor, axis: int, process: Process) -> tuple[Tensor, Tensor, Tensor]:
        """The noised profile that a noised image's sums are, of unit variance; its signal and its noise.

        With s and n the image's signal and noise, the sums are ``2 s mass g - N s + n sqrt(N) eps``. As intensities
        over the mass they are ``s (2 g - 1) + n sqrt(N) / mass eps``.
        """
        signal, sigma = (scale.view(-1, 1) for scale in process.scales(t, x_t))
        sums = (x_t.sum(dim=(1, 2 if axis == 0 else 3)) + self.image_size * signal) / self.mass - signal
        noise = sigma * math.sqrt(self.image_size) / self.mass
        length = (signal**2 + noise**2).sqrt()
        return sums / length, signal / length, noise / length

    def _answer(
        self,
        network: Denoiser,
        stripe: Tensor,
        t: Tensor,
        labels: Tensor,
        axis: int,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """A denoiser's prediction for a noised profile, shape (n, N): that for the stripe, averaged along it."""
        along = stripe[:, None, None, :] if axis == 0 else stripe[:, None, :, None]
        image = along.expand(-1, 1, self.image_size, self.image_size)
        known = torch.full_like(labels, (self.image_size - 1) / 2)
        known[:, axis] = labels[:, axis]
        return network(image, t, known, keep, taps).mean(dim=(1, 2 if axis == 0 else 3))


def _clean(answer: Tensor, noised: Tensor, signal: Tensor, noise: Tensor, prediction: str) -> Tensor:
    return (noised - noise * answer) / signal if prediction == "epsilon" else signal * noised - noise * answer


class Gated(Denoiser):
    """A model that is coupled by construction: the effect of both labels passes through one gate.

    First a network learns to use both labels, which are hidden for every fourth image, while the gate stays shut. Then
    the network is frozen and only the gate, a single number, is trained from 0. The prediction is the network's without
    labels plus the gate times what the labels add to it, as in classifier-free guidance (Ho and Salimans 2022, arXiv
    2207.12598). Whatever opens the gate lets in both labels alike.
    """

    def __init__(self, network: Denoiser):
        super().__init__()
        self.network = network
        self.image_size, self.layers = network.image_size, network.layers
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """As :meth:`Denoiser.forward`; activations are mixed like the predictions."""
        shut: dict[str, Tensor] = {}
        opened: dict[str, Tensor] = {}
        hidden = self.network(x, t, labels, torch.zeros_like(labels), shut)
        answer = torch.lerp(hidden, self.network(x, t, labels, keep, opened), self.gate)
        if taps is not None:
            taps.update({name: torch.lerp(tap, opened[name], self.gate) for name, tap in shut.items()})
        return answer

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        """Mean squared error: at first of the network, whose labels are sometimes hidden, then of the gated model."""
        images, labels, t, noise = batch
        noised, target = process.noised(images, noise, t), process.target(images, noise, t)
        if self.stage(progress) == 0:
            shown = (torch.arange(len(t), device=t.device) % WITHOUT_LABELS != 0).to(images.dtype)
            keep = shown[:, None].expand_as(labels)
            return functional.mse_loss(self.network(noised, t, labels, keep).float(), target)
        with torch.no_grad():
            shut = self.network(noised, t, labels, torch.zeros_like(labels)).float()
            opened = self.network(noised, t, labels).float()
        return functional.mse_loss(torch.lerp(shut, opened, self.gate), target)

    def networks(self) -> list[nn.Module]:
        return [self.network]

    def stage(self, progress: float) -> int:
        """0 while the network is trained, 1 while the gate is."""
        return int(progress >= GATE_OPENS)

    def update(self, progress: float, step: Callable[[], Any]) -> None:
        if self.stage(progress) == 0:
            step()
        else:
            assert self.gate.grad is not None
            self.gate.data.sub_(GATE_RATE * self.gate.grad)


class EqualResolution(Denoiser):
    """A model that knows both labels equally well in px at every step; so it is coupled by construction.

    It is the exact denoiser with noisy labels (:mod:`bumpscope.probe.resolution`), with the same label noise s along x
    and y. Its only parameter is ln s, which plain gradient descent on the loss lowers from the length of the lattice.
    It has no layers: where activations are asked for, it gives its estimate of the clean image.
    """

    grid_x: Tensor
    grid_y: Tensor
    along_x: Tensor
    along_y: Tensor
    square_norm: Tensor
    log_probability: Tensor

    def __init__(self, lattice: Lattice, diffusion: Diffusion):
        super().__init__()
        self.image_size, self.layers = lattice.image_size, LAYERS
        self.process = Process.from_config(diffusion)
        x, y = factors(lattice)
        self.period = x.period
        self.sign = -1.0 if lattice.polarity == "dark" else 1.0
        along_x, along_y = (torch.from_numpy(each) for each in profiles(x.grid, y.grid, lattice))
        # As in :func:`bumpscope.worlds.bayes.log_posteriors`.
        square_norm = 4 * torch.outer((along_y**2).sum(1), (along_x**2).sum(1))
        square_norm -= 4 * torch.outer(along_y.sum(1), along_x.sum(1))
        probability = torch.from_numpy(lattice_points(lattice).probability).reshape(len(y.grid), len(x.grid))
        fixed = {"grid_x": torch.tensor(x.grid), "grid_y": torch.tensor(y.grid), "along_x": along_x, "along_y": along_y}
        for name, value in (fixed | {"square_norm": square_norm, "log_probability": probability.log()}).items():
            self.register_buffer(name, value.float(), persistent=False)
        self.ln_resolution = nn.Parameter(torch.tensor(math.log(lattice.length)))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
        ln_resolution: Tensor | None = None,
    ) -> Tensor:
        """As :meth:`Denoiser.forward`; ``ln_resolution`` of x and of y, shape (2,), stand in for its own."""
        if self.process.alpha_bar.device != x.device:
            self.process = Process(self.process.alpha_bar.to(x.device), self.process.prediction)
        signal, sigma = self.process.scales(t, x)
        match = self.along_y @ x[:, 0].float() @ self.along_x.T
        gain = signal[:, 0] / sigma[:, 0] ** 2
        logits = 2 * self.sign * gain * match - gain * signal[:, 0] / 2 * self.square_norm + self.log_probability
        shown = torch.ones_like(labels) if keep is None else keep
        apart_x = self._squares(labels[:, :1], self.grid_x) * shown[:, :1]
        apart_y = self._squares(labels[:, 1:], self.grid_y) * shown[:, 1:]
        ln_x, ln_y = self.ln_resolution.expand(2) if ln_resolution is None else ln_resolution
        apart = apart_x[:, None, :] / (2 * (2 * ln_x).exp()) + apart_y[:, :, None] / (2 * (2 * ln_y).exp())
        logits = logits - apart
        weights = logits.flatten(1).softmax(1).view_as(logits)
        estimate = self.sign * (2 * self.along_y.T @ weights @ self.along_x - 1)[:, None]
        if taps is not None:
            taps.update(dict.fromkeys(self.layers, estimate))
        if self.process.prediction == "epsilon":
            return (x - signal * estimate) / sigma
        return (signal * x - estimate) / sigma

    def update(self, progress: float, step: Callable[[], Any]) -> None:
        assert self.ln_resolution.grad is not None
        self.ln_resolution.data.sub_(RESOLUTION_RATE * self.ln_resolution.grad)

    def _squares(self, label: Tensor, grid: Tensor) -> Tensor:
        """Squared distances of labels, shape (n, 1), from all positions, px."""
        apart = (label - grid).abs()
        return (apart if self.period is None else torch.minimum(apart, self.period - apart)) ** 2


class OwnResolution(EqualResolution):
    """A model that knows each label as well as it would alone; so it is factorised by construction.

    It is as :class:`EqualResolution`, with a label noise for each axis. Either is lowered by the loss of the denoiser
    that knows the other label exactly, which is its loss on a row, or a column, of bumps.
    """

    exact: Tensor

    def __init__(self, lattice: Lattice, diffusion: Diffusion):
        super().__init__(lattice, diffusion)
        self.ln_resolution = nn.Parameter(torch.full((2,), math.log(lattice.length)))
        exact = torch.tensor([FINEST * lattice.dx, FINEST * lattice.dy]).log()
        self.register_buffer("exact", exact, persistent=False)

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        """The sum of both axes' mean squared errors, each with the other label known exactly."""
        images, labels, t, noise = batch
        noised, target = process.noised(images, noise, t), process.target(images, noise, t)
        known = (
            torch.stack([self.ln_resolution[0], self.exact[1]]), torch.stack([self.exact[0], self.ln_resolution[1]])
        )  # fmt: skip
        answers = [self(noised, t, labels, ln_resolution=ln) for ln in known]
        return functional.mse_loss(answers[0], target) + functional.mse_loss(answers[1], target)


def factorised(task: Task) -> ProductOfStripes:
    """The reference that is factorised by construction."""
    along_x, along_y = (new_network(task.lattice.image_size, task.model, task.seed, part) for part in (0, 1))
    return ProductOfStripes(along_x, along_y, task.lattice.sigma, task.diffusion)


def gated(task: Task) -> Gated:
    """The reference whose labels have one effect."""
    return Gated(new_network(task.lattice.image_size, task.model, task.seed, factors=task.factors))


def equal_resolution(task: Task) -> EqualResolution:
    """The reference that knows both labels equally well in px."""
    return EqualResolution(task.lattice, task.diffusion)


def own_resolution(task: Task) -> OwnResolution:
    """The reference that knows each label as well as it would alone."""
    return OwnResolution(task.lattice, task.diffusion)
