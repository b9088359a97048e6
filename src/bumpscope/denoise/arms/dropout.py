"""Labels dropped in training, one by one, so that the network also denoises with x alone, y alone, and neither."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bumpscope.denoise.denoiser import Batch, Denoiser, Task
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import UNet

# One image in so many is penalised, since a penalty takes four predictions.
PENALISED = 4


class Dropout(Denoiser):
    """The UNet, from which each label is hidden independently in a share of the images.

    Told, if ``composed``: that x and y are independent. It then draws by composed scores, the prediction with x alone
    plus that with y alone less that with neither (Liu et al. 2022, arXiv 2206.01714). Otherwise it draws with both
    labels, and is told no more than the UNet. Dropping labels is from classifier-free guidance (arXiv 2207.12598).

    Args:
        drop: share of the images from which a label is hidden.
        composed: draw by composed scores.
    """

    layers = UNet.layers

    def __init__(self, task: Task, drop: float = 0.1, composed: bool = False):
        super().__init__()
        if not 0 < drop < 1:
            raise ValueError(f"drop is {drop}; allowed: more than 0 and less than 1")
        self.unet, self.drop, self.composed = UNet(task.lattice.image_size, task.model, task.factors), drop, composed

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor,
        keep: Tensor | None = None,
        taps: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """As :meth:`Denoiser.forward`; activations are those of the prediction with all labels that are shown."""
        if not self.composed:
            return self.unet(x, t, labels, keep, taps)
        if taps is not None:
            self.unet(x, t, labels, keep, taps)
        shown = torch.ones_like(labels) if keep is None else keep
        alone_x, alone_y = (shown * axis for axis in _axes(shown))
        own_x, own_y, neither = (self.unet(x, t, labels, kept) for kept in (alone_x, alone_y, 0 * shown))
        return own_x + own_y - neither

    def networks(self) -> list[nn.Module]:
        return [self.unet]

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        """Mean squared error with labels dropped."""
        labels, keep = batch.shown
        noised = process.noised(batch.images, batch.noise, batch.t)
        prediction = self.unet(noised, batch.t, labels, keep * self._kept(batch))
        return functional.mse_loss(prediction.float(), process.target(batch.images, batch.noise, batch.t))

    def _kept(self, batch: Batch) -> Tensor:
        """1 where a label is kept, shape (n, 2); told by late digits of the noise, so that a step can be repeated."""
        digits = (100 * batch.noise.flatten(1)[:, :16].unflatten(1, (2, 8)).sum(dim=2)) % 1
        return (digits >= self.drop).to(batch.images.dtype)


def _axes(like: Tensor) -> Tensor:
    """Which label is kept where one alone is, shape (2, 2). Made on the device, as a recorded step needs it."""
    return torch.eye(2, dtype=like.dtype, device=like.device)


class CoInD(Dropout):
    """Dropped labels, with a penalty on what both labels together say beyond what each says alone.

    Told: independence, also of pairs that were never shown. The penalty is the squared difference between the
    prediction with both labels and the composed one, as in CoInD (Gaudi et al. 2025, arXiv 2503.01145), here for
    images with the y of another. It doubles the operations of a training step.

    Args:
        weight: of the penalty.
    """

    def __init__(self, task: Task, drop: float = 0.1, composed: bool = False, weight: float = 1.0):
        super().__init__(task, drop, composed)
        self.weight = weight

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        """That of :class:`Dropout` and the penalty."""
        some = slice(max(1, len(batch.t) // PENALISED))
        noised = process.noised(batch.images[some], batch.noise[some], batch.t[some])
        labels = batch.shown[0]
        pairs = torch.stack([labels[:, 0], labels[:, 1].roll(1)], dim=1)[some]
        kept = [torch.ones_like(pairs), *(axis.expand_as(pairs) for axis in _axes(noised)), torch.zeros_like(pairs)]
        count = len(kept)
        predicted = self.unet(
            noised.repeat(count, 1, 1, 1), batch.t[some].repeat(count), pairs.repeat(count, 1), torch.cat(kept)
        )
        both, own_x, own_y, neither = predicted.float().chunk(count)
        return super().loss(process, batch, progress) + self.weight * (both - own_x - own_y + neither).square().mean()
