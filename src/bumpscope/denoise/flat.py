"""All parameters of a network as one tensor, so that what touches each of them is one operation, not hundreds.

Clipping, the optimiser and the moving average go over every parameter at every step. A small denoiser has over a
hundred small ones, and calling an operation for each costs more than its arithmetic.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flatten_parameters(network: nn.Module, channels_last: bool) -> nn.Parameter:
    """Move a network's parameters into one flat tensor; they and their gradients become views of it and its gradient.

    Values, names and shapes stay, so ``state_dict`` and ``load_state_dict`` work as before. Gradients are added up in
    place and must be zeroed, not set to None.

    Args:
        network: on its final device; every parameter of one precision.
        channels_last: lay out convolution kernels (out, in, h, w) in the order (out, h, w, in).

    Returns:
        The flat parameter, shape (number of parameters,), with its gradient at zero.
    """
    parameters = list(network.parameters())
    like = parameters[0]
    flat = nn.Parameter(torch.empty(sum(p.numel() for p in parameters), dtype=like.dtype, device=like.device))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        part = slice(start, start + parameter.numel())
        view = _view(flat.data[part], parameter.shape, channels_last)
        view.copy_(parameter.data)
        parameter.data = view
        parameter.grad = _view(flat.grad[part], parameter.shape, channels_last)
        start = part.stop
    return flat


def _view(part: Tensor, shape: torch.Size, channels_last: bool) -> Tensor:
    if channels_last and len(shape) == 4:
        out, into, height, width = shape
        return part.view(out, height, width, into).permute(0, 3, 1, 2)
    return part.view(shape)
