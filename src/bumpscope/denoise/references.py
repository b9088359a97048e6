"""The denoiser of a run: the network under study, or one of two references whose learning is known by construction.

What an index of coupling says is worth no more than what it says of a model that must be factorised and of one that
must be coupled. Both references answer as the network under study does, (x_t, t, mu) -> prediction, so that every
probe runs on them unchanged; they differ in what their parameters are trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import UNet
from bumpscope.seeding import derived_seed

# Share of a gated training after which nothing but the gate is trained.
GATE_OPENS = 0.75
# Until then every so manieth image comes without labels, so that the network knows what to do with a shut gate.
WITHOUT_LABELS = 4
# Step of plain gradient descent on the gate. Adam would move a single number at one pace whatever it is worth.
GATE_RATE = 1.5


def new_network(image_size: int, model: Model, seed: int, part: int = 0) -> UNet:
    """The untrained network of a run, or a ``part`` of one; the same for the same seed, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights", part))
        return UNet(image_size, model)


def new_denoiser(lattice: Lattice, model: Model, diffusion: Diffusion, seed: int) -> UNet | ProductOfStripes | Gated:
    """The untrained denoiser that ``model.reference`` asks for."""
    if model.reference == "factorised":
        along_x, along_y = (new_network(lattice.image_size, model, seed, part) for part in (0, 1))
        return ProductOfStripes(along_x, along_y, sigma=lattice.sigma, diffusion=diffusion)
    network = new_network(lattice.image_size, model, seed)
    return Gated(network) if model.reference == "gated" else network


class Reference(nn.Module):
    """A model that answers like the network under study and is trained otherwise."""

    def denoising_loss(
        self, progress: float, process: Process, x0: Tensor, noise: Tensor, t: Tensor, mu: Tensor
    ) -> Tensor:
        """The loss of a batch, a scalar, ``progress`` (0 to 1) into the training.

        Args:
            x0, noise: clean images in [-1, 1] and standard normal noise, shape (n, 1, N, N).
            t: timesteps, shape (n,).
            mu: centres (x, y), px, shape (n, 2).
        """
        raise NotImplementedError

    def independent(self) -> list[nn.Module]:
        """Parts, in the order of their parameters, whose gradients are clipped each by its own length."""
        return [self]

    def optimise(self, progress: float, step: Callable[[], object]) -> None:
        """Take an optimiser step with the gradients of that loss."""
        step()


class ProductOfStripes(Reference):
    """A model that is factorised by construction: one denoiser of x-stripes times one of y-stripes.

    The sum of a noised bump over its rows is a noised profile along x, ``exp(-(j - mu_x)^2 / (2 sigma^2))`` times a
    constant, and says nothing of y; what is an image for the x-stripe denoiser is this profile, drawn as a stripe. It
    is told mu_x alone. The same holds for y along the columns. Each is trained on its own stripes with its own loss,
    and no gradient passes between them. As one model their estimate of the clean image is the product of both
    estimated profiles.

    On a plane the constant falls by up to 2% where a bump 2 sigma from the edge is cut; this is all that one
    axis' stripe can tell of the other. Bright bumps only.

    Args:
        x, y: the two networks.
        sigma: of a bump, px.
    """

    def __init__(self, x: UNet, y: UNet, sigma: float, diffusion: Diffusion):
        super().__init__()
        self.x, self.y = x, y
        self.image_size = x.image_size
        self.mass = sigma * math.sqrt(2 * math.pi)
        self.process = Process.from_config(diffusion)

    def independent(self) -> list[nn.Module]:
        return [self.x, self.y]

    def forward(self, x: Tensor, t: Tensor, mu: Tensor, activations: dict[str, Tensor] | None = None) -> Tensor:
        """As :meth:`UNet.forward`; an activation has the channels of the x-stripe denoiser, then those of y."""
        process = self._process(x.device)
        profiles = []
        for axis, network in enumerate((self.x, self.y)):
            taps: dict[str, Tensor] = {}
            stripe, signal, noise = self._stripe(x, t, axis, process)
            answer = self._answer(network, stripe, t, mu, axis, taps)
            profiles.append((_clean(answer, stripe, signal, noise, process.prediction).clamp(-1, 1) + 1) / 2)
            if activations is not None:
                for name, found in taps.items():
                    activations[name] = torch.cat([activations[name], found], dim=1) if axis else found
        along_x, along_y = profiles
        estimate = 2 * along_y[:, None, :, None] * along_x[:, None, None, :] - 1
        signal, sigma = process.scales(t, x)
        if process.prediction == "epsilon":
            return (x - signal * estimate) / sigma
        return (signal * x - estimate) / sigma

    def denoising_loss(
        self, progress: float, process: Process, x0: Tensor, noise: Tensor, t: Tensor, mu: Tensor
    ) -> Tensor:
        """The sum of both denoisers' mean squared errors on their stripes."""
        noised = process.noised(x0, noise, t)
        total = torch.zeros((), device=x0.device)
        for axis, network in enumerate((self.x, self.y)):
            stripe, signal, sigma = self._stripe(noised, t, axis, process)
            clean = 2 * self._sums(x0, axis) / self.mass - 1
            drawn = (stripe - signal * clean) / sigma
            target = drawn if process.prediction == "epsilon" else signal * drawn - sigma * clean
            total = total + functional.mse_loss(self._answer(network, stripe, t, mu, axis, {}).float(), target)
        return total

    def _process(self, device: torch.device) -> Process:
        if self.process.alpha_bar.device != device:
            self.process = Process(self.process.alpha_bar.to(device), self.process.prediction)
        return self.process

    def _sums(self, x0: Tensor, axis: int) -> Tensor:
        """Of intensities in [0, 1], over the other axis; shape (n, N)."""
        return ((x0 + 1) / 2).sum(dim=(1, 2 if axis == 0 else 3))

    def _stripe(self, x_t: Tensor, t: Tensor, axis: int, process: Process) -> tuple[Tensor, Tensor, Tensor]:
        """The noised profile that a noised image's sums are, of unit variance; its signal and its noise.

        With s and n the image's signal and noise, the sums are ``2 s mass g - N s + n sqrt(N) eps``; taken
        as intensities over the mass, ``s (2 g - 1) + n sqrt(N) / mass eps``.
        """
        signal, sigma = (scale.view(-1, 1) for scale in process.scales(t, x_t))
        sums = (x_t.sum(dim=(1, 2 if axis == 0 else 3)) + self.image_size * signal) / self.mass - signal
        noise = sigma * math.sqrt(self.image_size) / self.mass
        length = (signal**2 + noise**2).sqrt()
        return sums / length, signal / length, noise / length

    def _answer(
        self, network: UNet, stripe: Tensor, t: Tensor, mu: Tensor, axis: int, taps: dict[str, Tensor]
    ) -> Tensor:
        """A denoiser's prediction for a noised profile, shape (n, N): that for the stripe, averaged along it."""
        along = stripe[:, None, None, :] if axis == 0 else stripe[:, None, :, None]
        image = along.expand(-1, 1, self.image_size, self.image_size)
        known = torch.full_like(mu, (self.image_size - 1) / 2)
        known[:, axis] = mu[:, axis]
        return network(image, t, known, taps).mean(dim=(1, 2 if axis == 0 else 3))


def _clean(answer: Tensor, noised: Tensor, signal: Tensor, noise: Tensor, prediction: str) -> Tensor:
    return (noised - noise * answer) / signal if prediction == "epsilon" else signal * noised - noise * answer


class Gated(Reference):
    """A model that is coupled by construction: what x and y label change in its answer passes through one gate.

    In the first part of the training a network learns to use both labels, which are kept from it for every fourth
    image, and the gate stays shut. Then all of it is kept as it is, and only the gate, a single number, is trained from
    0. The answer is the network's without labels plus the gate times what the labels add to it, as in guidance without
    a classifier (Ho and Salimans 2022, arXiv 2207.12598): whatever opens the gate lets both labels in alike.
    """

    def __init__(self, network: UNet):
        super().__init__()
        self.network = network
        self.image_size = network.image_size
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, mu: Tensor, activations: dict[str, Tensor] | None = None) -> Tensor:
        """As :meth:`UNet.forward`; activations are mixed as the answers are."""
        shut: dict[str, Tensor] = {}
        opened: dict[str, Tensor] = {}
        answer = torch.lerp(self.network(x, t, mu, shut, gate=0.0), self.network(x, t, mu, opened), self.gate)
        if activations is not None:
            activations.update({name: torch.lerp(tap, opened[name], self.gate) for name, tap in shut.items()})
        return answer

    def denoising_loss(
        self, progress: float, process: Process, x0: Tensor, noise: Tensor, t: Tensor, mu: Tensor
    ) -> Tensor:
        """Mean squared error: of the network, some of whose labels are kept from it; later that of the gated answer."""
        noised, target = process.noised(x0, noise, t), process.target(x0, noise, t)
        if progress < GATE_OPENS:
            given = (torch.arange(len(t), device=t.device) % WITHOUT_LABELS != 0).to(x0.dtype)[:, None]
            return functional.mse_loss(self.network(noised, t, mu, gate=given).float(), target)
        with torch.no_grad():
            shut, opened = (self.network(noised, t, mu, gate=gate).float() for gate in (0.0, 1.0))
        return functional.mse_loss(torch.lerp(shut, opened, self.gate), target)

    def optimise(self, progress: float, step: Callable[[], object]) -> None:
        if progress < GATE_OPENS:
            step()
        else:
            assert self.gate.grad is not None
            self.gate.data.sub_(GATE_RATE * self.gate.grad)
