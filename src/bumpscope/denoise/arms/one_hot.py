"""Labels as names: each position of an axis has a learnt vector of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bumpscope.denoise.denoiser import Task
from bumpscope.denoise.unet import UNet, time_encoding


class OneHot(UNet):
    """The UNet with one-hot labels in place of sinusoidal encodings.

    Told: nothing of which positions are neighbours. A control: it cannot interpolate between positions, only compose
    them. A request between two positions is taken for the nearest. Ours.
    """

    x: Tensor
    y: Tensor

    def __init__(self, task: Task):
        super().__init__(task.lattice.image_size, task.model)
        grids = [torch.tensor(factor.grid, dtype=torch.float32) for factor in task.factors]
        self.vectors = nn.ModuleList(nn.Linear(len(grid), task.model.embedding_width, bias=False) for grid in grids)
        for name, grid in zip("xy", grids, strict=True):
            self.register_buffer(name, grid, persistent=False)

    def _embedding(self, x: Tensor, t: Tensor, labels: Tensor, keep: Tensor | None) -> Tensor:
        encodings = [time_encoding(t, self.encoding_width)]
        for axis, (grid, vectors) in enumerate(zip((self.x, self.y), self.vectors, strict=True)):
            nearest = (labels[:, axis, None] - grid).abs().argmin(dim=1)
            # functional.one_hot looks at the values, which a CUDA graph cannot.
            places = torch.arange(len(grid), device=x.device)
            encoding = vectors((nearest[:, None] == places).to(x.dtype))
            encodings.append(encoding if keep is None else keep[:, axis, None] * encoding)
        return self.embed(torch.cat(encodings, dim=1).to(x.dtype))
