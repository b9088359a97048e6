"""A control of stripes, and a denoiser from outside the package: stripes with the labels of others."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bumpscope.denoise.denoiser import Batch, Task
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import UNet


class PermutedStripes(UNet):
    """The UNet, trained on stripes whose labels are permuted: an image of one position with the label of another.

    If stripes help it as much as the plain UNet, what helps is that they are images, not what they tell of a label.
    Needs a dataset with ``stripes``.
    """

    told = "wrong labels of stripes"

    def __init__(self, task: Task):
        super().__init__(task.lattice.image_size, task.model, task.factors)
        for axis, factor in enumerate(task.factors):
            grid = torch.tensor(factor.grid, dtype=torch.float32)
            self.register_buffer(f"grid{axis}", grid, persistent=False)
            self.register_buffer(f"wrong{axis}", grid[_derangement(len(grid), axis)], persistent=False)

    def loss(self, process: Process, batch: Batch, progress: float) -> Tensor:
        """The usual loss, of images in which one label is withheld with another value of the label that is left."""
        stripe = batch.labels.isnan().any(dim=1)
        labels = batch.labels.clone()
        for axis in range(labels.shape[1]):
            own, grid, wrong = batch.labels[:, axis], self.get_buffer(f"grid{axis}"), self.get_buffer(f"wrong{axis}")
            place = (own.nan_to_num()[:, None] - grid).abs().argmin(dim=1)
            labels[:, axis] = torch.where(stripe & ~own.isnan(), wrong[place], own)
        return super().loss(process, batch._replace(labels=labels), progress)


def _derangement(count: int, axis: int) -> Tensor:
    """A random order of ``count`` places in which none keeps its own, the same each time for an axis."""
    generator = np.random.default_rng(axis)
    while True:
        order = generator.permutation(count)
        if (order != np.arange(count)).all():
            return torch.from_numpy(order)
