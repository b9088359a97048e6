"""Controls of stripes, and denoisers from outside the package: stripes with wrong labels, and with none."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bumpscope.denoise.denoiser import Batch, Task
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import UNet


class StripeControl(UNet):
    """The UNet, trained on stripes whose labels are changed; those of bumps are not. Needs a dataset with stripes."""

    def __init__(self, task: Task):
        super().__init__(task.lattice.image_size, task.model, task.factors)

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        stripe = batch.labels.isnan().any(dim=1, keepdim=True)
        labels = torch.where(stripe, self.changed(batch.labels), batch.labels)
        return super().loss(process, batch._replace(labels=labels), progress)

    def changed(self, labels: Tensor) -> Tensor:
        """What stripes with these labels are given instead, shape (n, 2), NaN where a label is withheld."""
        raise NotImplementedError


class UnlabelledStripes(StripeControl):
    """Stripes without labels: what stripes are worth as images alone."""

    told = "how stripes look"

    def changed(self, labels: Tensor) -> Tensor:
        return torch.full_like(labels, float("nan"))


class PermutedStripes(StripeControl):
    """Stripes with the label of another position, in an order of its own for each seed: what wrong labels do."""

    told = "wrong labels of stripes"

    def __init__(self, task: Task):
        super().__init__(task)
        for axis, factor in enumerate(task.factors):
            grid = torch.tensor(factor.grid, dtype=torch.float32)
            self.register_buffer(f"grid{axis}", grid, persistent=False)
            self.register_buffer(f"wrong{axis}", grid[_derangement(len(grid), task.seed, axis)], persistent=False)

    def changed(self, labels: Tensor) -> Tensor:
        columns = []
        for axis, own in enumerate(labels.unbind(dim=1)):
            place = (own.nan_to_num()[:, None] - self.get_buffer(f"grid{axis}")).abs().argmin(dim=1)
            columns.append(torch.where(own.isnan(), own, self.get_buffer(f"wrong{axis}")[place]))
        return torch.stack(columns, dim=1)


def _derangement(count: int, *seeds: int) -> Tensor:
    """An order of ``count`` places, random but the same for the same seeds, in which none keeps its own."""
    generator = np.random.default_rng(seeds)
    while True:
        order = generator.permutation(count)
        if (order != np.arange(count)).all():
            return torch.from_numpy(order)
