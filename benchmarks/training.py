"""Training throughput against the training loops of other packages.

    python benchmarks/training.py [--device cpu] [--threads 1] [--rounds 12]

A step is everything: drawing a batch, noising, forward, backward, clipping, the optimiser, the moving average.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch
from peers import (
    SIZES,
    Size,
    diffusers_step,
    lucidrains_installed,
    lucidrains_step,
    our_trainer,
    parameters,
)
from record import RESULTS, paired_seconds, save
from torch.utils.flop_counter import FlopCounterMode

from bumpscope.denoise.together import Steps


def compare(size: Size, device: torch.device, rounds: int) -> pd.DataFrame:
    """A row for each loop: parameters, GFLOP and seconds a step, images a second, and its time over ours."""
    ours, steps = our_trainer(size, device), Steps.on(device)
    contenders = {
        "bumpscope": (ours.network, lambda: steps.advance([ours]) and None),
        "diffusers": diffusers_step(size, device),
    }
    if lucidrains_installed():
        contenders["lucidrains"] = lucidrains_step(size, device)
    if device.type == "cuda":
        compiled = our_trainer(size, device, compile=True, precision="bfloat16")
        contenders["bumpscope, compiled, bfloat16"] = (compiled.network, compiled.advance)
    flops = {name: _flops(step) for name, (_, step) in contenders.items() if "compiled" not in name}
    timed = paired_seconds({name: step for name, (_, step) in contenders.items()}, rounds)
    return timed.assign(
        size=size.name,
        batch=size.batch,
        parameters=[parameters(network) for network, _ in contenders.values()],
        gflop_a_step=[flops.get(name, flops["bumpscope"]) / 1e9 for name in contenders],
        images_a_second=size.batch / timed.seconds,
    )


def _flops(step) -> float:
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 1, 2, 3], help="of peers.SIZES, from 0")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    device = torch.device(chosen.device)
    frames = []
    for index in chosen.sizes:
        # A large network says the same in fewer rounds.
        rounds = chosen.rounds if index < 2 else max(2, chosen.rounds // 3)
        frames.append(compare(SIZES[index], device, rounds))
        print(f"{SIZES[index].name}: done", flush=True)
    save("training", pd.concat(frames, ignore_index=True), device, chosen.folder)


if __name__ == "__main__":
    main()
