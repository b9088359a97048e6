"""The interface of a denoiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.denoise.process import Process
from bumpscope.worlds.factor import Factor
from bumpscope.worlds.named import world_of


@dataclass(frozen=True)
class Task:
    """What a denoiser is built for.

    Attributes:
        lattice: what is drawn.
        model: sizes of the denoisers of this package; others may use them.
        diffusion: the forward process, and what is predicted.
        seed: of the initial weights; torch's own generator has been seeded with it.
    """

    lattice: Lattice
    model: Model
    diffusion: Diffusion
    seed: int = 0

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of an image, px."""
        return self.lattice.image_size, self.lattice.image_size

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The factors of variation, in the order of the labels, each with its values."""
        return world_of(self.lattice).factors


class Batch(NamedTuple):
    """What one training step draws.

    Attributes:
        images: clean images in [-1, 1], shape (n, 1, N, N).
        labels: such as their centres (x, y), px; shape (n, F), NaN where a label is withheld.
        t: timesteps, shape (n,).
        noise: standard normal noise, shape (n, 1, N, N).
    """

    images: Tensor
    labels: Tensor
    t: Tensor
    noise: Tensor

    @property
    def shown(self) -> tuple[Tensor, Tensor]:
        """Labels without NaN, and ``keep`` as in :meth:`Denoiser.forward`; both of shape (n, F)."""
        return self.labels.nan_to_num(), (~self.labels.isnan()).to(self.images.dtype)


@dataclass(frozen=True)
class Intervention:
    """What is changed inside a denoiser while it computes.

    Attributes:
        edit: called with the name of a layer and its activation as soon as it is computed, shape (n, ...); everything
            after it uses what this returns.
        labels: layer -> the labels that its block is given in place of those that all are given, shape (n, F).
    """

    edit: Callable[[str, Tensor], Tensor] = lambda _layer, activation: activation
    labels: Mapping[str, Tensor] = field(default_factory=dict)


class Denoiser(nn.Module):
    """Base class of all denoisers. A subclass defines ``forward`` and sets ``layers``.

    It is built with a :class:`Task`, and with the keys that the configuration has beside ``denoiser.kind`` by name.

    Attributes:
        image_size: side N of the images, px; set by :func:`bumpscope.denoise.named.new_denoiser`.
        layers: names of the activations that ``forward`` can return, in order of computation.
        intervenes: whether ``forward`` also takes ``intervention``, an :class:`Intervention` or None. Optional: without
            it the table of interventions has no rows.
    """

    image_size: int
    layers: tuple[str, ...]
    intervenes: bool = False

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Predict the noise or v, as ``diffusion.prediction`` says.

        Args:
            x: noised images, shape (n, 1, N, N).
            t: timesteps, shape (n,).
            labels: requests, such as centres (x, y) in px, shape (n, F).
            keep: 1 where a label is shown to the network and 0 where it is hidden, shape (n, F); None shows all.
            taps: if given, filled with the activations, shape (n, ...), by name of the layer.

        Returns:
            The prediction, shape (n, 1, N, N).
        """
        raise NotImplementedError

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        """The training loss, a scalar: mean squared error of the prediction (Ho et al. 2020, algorithm 1).

        Args:
            progress: how much of the training is done, from 0 to 1.
        """
        noised = process.noised(batch.images, batch.noise, batch.t)
        labels, keep = batch.shown
        prediction = self(noised, batch.t, labels, keep)
        return functional.mse_loss(prediction.float(), process.target(batch.images, batch.noise, batch.t))

    def parts(self) -> list[nn.Module]:
        """Modules whose gradients are clipped separately. Together they hold all parameters, in order."""
        return [self]

    def networks(self) -> list[nn.Module]:
        """Modules that ``loss`` calls; these are compiled where ``training.compile`` is set."""
        return [self]

    def update(self, progress: float, step: Callable[[], Any]) -> None:
        """Update the parameters from their gradients; ``step`` is the optimiser's."""
        step()

    def stage(self, progress: float) -> int:
        """Number of the stage of training; within a stage ``loss`` and ``update`` do the same whatever ``progress`` is.

        A step that a GPU has recorded is recorded anew at each stage.
        """
        return 0
