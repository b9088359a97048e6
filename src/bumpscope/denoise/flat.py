"""All parameters of a network as one tensor.

Clipping, the optimiser and the moving average visit every parameter at every step. A small denoiser has over a hundred
small ones, and launching an operation for each costs more than its arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def flatten_parameters(network: nn.Module, channels_last: bool) -> nn.Parameter:
    """Move a network's parameters into one flat tensor. They and their gradients become views of it.

    Values, names and shapes stay, so ``state_dict`` and ``load_state_dict`` work as before. Gradients accumulate in
    place and must be zeroed, not set to None.

    Args:
        network: on its final device; all parameters of one precision.
        channels_last: store convolution kernels (out, in, h, w) in the order (out, h, w, in).

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


def slices(flat: nn.Parameter, parts: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The slice of a flat parameter that belongs to each part of the network, sharing values and gradients.

    Args:
        flat: from :func:`flatten_parameters`.
        parts: modules that together hold all parameters, in order.

    Raises:
        RuntimeError: when the parts have more or fewer parameters than ``flat``.
    """
    assert flat.grad is not None
    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    found = []
    for values, gradient in zip(flat.data.split(counts), flat.grad.split(counts), strict=True):
        part = nn.Parameter(values)
        part.grad = gradient
        found.append(part)
    return found


def _view(part: Tensor, shape: torch.Size, channels_last: bool) -> Tensor:
    if channels_last and len(shape) == 4:
        out, into, height, width = shape
        return part.view(out, height, width, into).permute(0, 3, 1, 2)
    return part.view(shape)
