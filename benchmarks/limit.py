"""Speed of a training step against that of its matrix products alone.

    python benchmarks/limit.py [--device cpu] [--threads 1]

A convolution is the product of the image patches (n h w, in k k) with its kernels (in k k, out), and its backward pass
two more of the same size, one for the input and one for the kernels; linear layers likewise. Each product is timed as a
plain matrix product of that size; together they take as long as a step without any other cost.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import pandas as pd
import torch
from peers import SIZES, Size, our_trainer
from record import RESULTS, paired_seconds, save
from torch import nn

Shape = tuple[int, int, int]
PEAK_SIDE = {"cpu": 1536, "cuda": 8192}


def products(size: Size, device: torch.device) -> Counter[Shape]:
    """Sizes (m, k, n) of the matrix products (m, k) x (k, n) of one training step, and how often each occurs."""
    trainer = our_trainer(size, device)
    found: Counter[Shape] = Counter()

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            patch = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
            rows, out = output.numel() // module.out_channels, module.out_channels
        else:
            rows, patch, out = output.numel() // output.shape[-1], module.in_features, module.out_features
        found[rows, patch, out] += 1
        found[patch, rows, out] += 1  # gradient of the weights
        if inputs[0].requires_grad:
            found[rows, out, patch] += 1  # gradient of the input

    handles = [
        module.register_forward_hook(look)
        for module in trainer.network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    trainer.advance()
    for handle in handles:
        handle.remove()
    return found


def measure(size: Size, device: torch.device, rounds: int) -> dict[str, object]:
    """The row of one size."""
    shapes = products(size, device)
    operands = {s: (torch.randn(s[0], s[1], device=device), torch.randn(s[1], s[2], device=device)) for s in shapes}

    def multiply() -> None:
        for shape, times in shapes.items():
            left, right = operands[shape]
            for _ in range(times):
                torch.mm(left, right)

    side = PEAK_SIDE[device.type]
    square = torch.randn(side, side, device=device)
    trainer = our_trainer(size, device)
    timed = paired_seconds(
        {"step": trainer.advance, "products": multiply, "square": lambda: torch.mm(square, square)}, rounds
    ).set_index("name")
    operations = 2.0 * sum(m * k * n * times for (m, k, n), times in shapes.items())
    step, alone = operations / timed.seconds["step"], operations / timed.seconds["products"]
    return {
        "size": size.name,
        "gflop_a_step": operations / 1e9,
        "step_gflops": step / 1e9,
        "products_gflops": alone / 1e9,
        "peak_gflops": 2.0 * side**3 / timed.seconds["square"] / 1e9,
        "of_products": step / alone,
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device(chosen.device)
    rows = [measure(SIZES[k], device, chosen.rounds if k < 2 else max(2, chosen.rounds // 3)) for k in chosen.sizes]
    save("limit", pd.DataFrame(rows), device, chosen.folder)


if __name__ == "__main__":
    main()
