"""Sampling throughput for 1,000 requested centres against diffusers' samplers, and whether the outcomes agree.

    python benchmarks/sampling.py [--run results/runs/balanced/seed=0] [--step 800] [--device cpu]

Speed: our sampler and network against diffusers' DDIM (25 steps) and DDPM (1000 steps) loops, each with diffusers' own
network of the same size and with ours. Agreement: the same checkpoint and the same starting noise, our DDIM against
diffusers' two schedulers: the share of centres with the same outcome, and how far apart single bumps lie.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from peers import SIZES, diffusers_network, parameters
from record import RESULTS, paired_seconds, save
from torch import Tensor

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.config.steps import Train
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import new_network
from bumpscope.probe.generation import generate, noise_seeds
from bumpscope.store.checkpoints import load_tensors, load_weights
from bumpscope.worlds.behaviour import classify, distance
from bumpscope.worlds.bumps import from_network
from bumpscope.worlds.requests import requested_centres

if TYPE_CHECKING:
    from diffusers import DDIMScheduler

CENTRES, DDIM_STEPS, DDPM_STEPS = 1000, 25, 1000
# Images that go through a network together, for all alike, and images of the thousand-step loop.
CHUNK, DDPM_IMAGES = 125, 125
Denoise = Callable[[Tensor, int, slice], Tensor]


def ddim_scheduler() -> DDIMScheduler:
    from diffusers import DDIMScheduler

    return DDIMScheduler(num_train_timesteps=1000, timestep_spacing="trailing", clip_sample=True, set_alpha_to_one=True)


@torch.inference_mode()
def diffusers_sample(denoise: Denoise, scheduler, steps: int, noise: Tensor, chunk: int = CHUNK) -> Tensor:
    """The loop of diffusers' DDIMPipeline and DDPMPipeline, over chunks of images."""
    scheduler.set_timesteps(steps)
    draw = torch.Generator().manual_seed(0)
    done = []
    for start in range(0, len(noise), chunk):
        part = slice(start, start + chunk)
        x = noise[part]
        for t in scheduler.timesteps:
            x = scheduler.step(denoise(x, int(t), part), t, x, generator=draw).prev_sample
        done.append(x)
    return torch.cat(done)


def start_noise(seeds: np.ndarray, size: int) -> Tensor:
    """The noise that our sampler starts each image from, shape (n, 1, N, N)."""
    draws = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    return torch.stack([torch.randn(1, size, size, generator=draw) for draw in draws])


def speed(device: torch.device, rounds: int) -> pd.DataFrame:
    """Images a second of untrained networks of one size; a trained one takes as long."""
    from diffusers import DDPMScheduler

    size = SIZES[0]
    probe = Probe(samples=CENTRES, sampling_steps=DDIM_STEPS, layers=["down3"], timesteps=[239])
    centres = requested_centres(size.lattice, CENTRES)
    seeds = noise_seeds(0, CENTRES)
    ours = new_network(size.lattice.image_size, size.model, 0).to(device).eval()
    theirs = diffusers_network(size).to(device).eval()
    process = Process.from_config(Diffusion(), device)
    noise = start_noise(seeds, size.lattice.image_size).to(device)
    mu = torch.tensor(centres[["mu_x", "mu_y"]].to_numpy(), dtype=torch.float32, device=device)

    def their_network(x: Tensor, t: int, part: slice) -> Tensor:
        return theirs(x, t).sample

    def our_network(x: Tensor, t: int, part: slice) -> Tensor:
        return ours(x, torch.full((len(x),), t, device=device), mu[part])

    fast = {
        "bumpscope, DDIM": lambda: generate(ours, process, probe, centres, seeds),
        "diffusers, DDIM": lambda: diffusers_sample(their_network, ddim_scheduler(), DDIM_STEPS, noise),
        "diffusers' DDIM, our network": lambda: diffusers_sample(our_network, ddim_scheduler(), DDIM_STEPS, noise),
    }
    few = noise[:DDPM_IMAGES]
    slow = {"diffusers, DDPM": lambda: diffusers_sample(their_network, DDPMScheduler(1000), DDPM_STEPS, few)}
    timed = paired_seconds(fast, rounds, warm_up=1).assign(images=CENTRES, steps=DDIM_STEPS)
    thousand = paired_seconds(slow, 1, warm_up=0).assign(images=DDPM_IMAGES, steps=DDPM_STEPS)
    frame = pd.concat([timed, thousand], ignore_index=True)
    frame["images_a_second"] = frame.images / frame.seconds
    frame["ratio"] = frame.images_a_second.iloc[0] / frame.images_a_second
    theirs_count, ours_count = parameters(theirs), parameters(ours)
    frame["parameters"] = [ours_count if "our" in n or "bumpscope" in n else theirs_count for n in frame.name]
    return frame


def agreement(run: Path, steps: list[int], ddpm_images: int) -> pd.DataFrame:
    """Outcomes at checkpoints of a finished run: our DDIM against diffusers' schedulers, from the same noise."""
    rows = []
    for step in steps:
        path = run / "checkpoints" / f"step={step}.safetensors"
        config = Train.model_validate_json(load_tensors(path)[1]["config"])
        network = new_network(config.lattice.image_size, config.model, config.seed).eval()
        network.load_state_dict(load_weights(path, "ema"))
        rows += _agreement(network, config.lattice, config.model, config.diffusion, step, ddpm_images)
    return pd.DataFrame(rows)


def _agreement(
    network: torch.nn.Module, lattice: Lattice, model: Model, diffusion: Diffusion, step: int, ddpm_images: int
) -> list[dict[str, object]]:
    from diffusers import DDPMScheduler

    probe = Probe(samples=CENTRES, sampling_steps=DDIM_STEPS, layers=["down3"], timesteps=[239])
    centres, seeds = requested_centres(lattice, CENTRES), noise_seeds(0, CENTRES)
    mu = torch.tensor(centres[["mu_x", "mu_y"]].to_numpy(), dtype=torch.float32)
    noise = start_noise(seeds, lattice.image_size)
    prediction = "v_prediction" if diffusion.prediction == "v" else "epsilon"
    process = Process.from_config(diffusion, "cpu")
    # Centres taken evenly from all, for the loop of a thousand steps.
    some = np.linspace(0, CENTRES - 1, ddpm_images).round().astype(int)
    ddim, ddpm = ddim_scheduler(), DDPMScheduler(1000)
    for scheduler in (ddim, ddpm):
        scheduler.register_to_config(prediction_type=prediction)

    def judged(pixels: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
        at = centres.iloc[rows]
        return classify(
            pixels.astype(np.float64), at.mu_x.to_numpy(), at.mu_y.to_numpy(), lattice, tolerance=1.0, faint=0.25
        )

    def drawn(scheduler, steps: int, rows: np.ndarray) -> pd.DataFrame:
        def denoise(x: Tensor, t: int, part: slice) -> Tensor:
            return network(x, torch.full((len(x),), t), mu[rows][part])

        return judged(from_network(diffusers_sample(denoise, scheduler, steps, noise[rows])[:, 0].numpy()), rows)

    everything = np.arange(CENTRES)
    ours = judged(generate(network, process, probe, centres, seeds).images, everything)
    found = []
    for name, scheduler, count, rows in (
        ("diffusers' DDIM, 25 steps", ddim, DDIM_STEPS, everything),
        ("diffusers' DDPM, 1000 steps", ddpm, DDPM_STEPS, some),
    ):
        theirs, mine = drawn(scheduler, count, rows), ours.iloc[rows].reset_index(drop=True)
        single = ((theirs.bumps == 1) & (mine.bumps == 1)).to_numpy()
        apart = distance(theirs.x, theirs.y, mine.x.to_numpy(), mine.y.to_numpy(), lattice)[single]
        found.append(
            {
                "step": step,
                "sampler": name,
                "centres": len(rows),
                "same_outcome": float((theirs.outcome == mine.outcome).mean()),
                "correct": float((theirs.outcome == "correct").mean()),
                "correct_ours": float((mine.outcome == "correct").mean()),
                "median_distance": float(np.median(apart)) if len(apart) else float("nan"),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", type=Path, default=Path("results/runs/balanced/seed=0"), help="a finished run")
    parser.add_argument(
        "--steps", type=int, nargs="+", help="its checkpoints to compare at: by default half-way and last"
    )
    parser.add_argument("--ddpm-images", type=int, default=250)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    kept = sorted(int(path.stem.removeprefix("step=")) for path in chosen.run.glob("checkpoints/step=*.safetensors"))
    if not kept or not set(kept).issuperset(chosen.steps or ()):
        parser.error(f"--run: {chosen.run} holds the checkpoints {kept}; run the workflow first, or choose of these")
    halfway = min(kept, key=lambda step: abs(2 * step - kept[-1]))
    torch.set_num_threads(chosen.threads)
    device = torch.device(chosen.device)
    save("sampling", speed(device, chosen.rounds), device, chosen.folder)
    save(
        "agreement",
        agreement(chosen.run, chosen.steps or [halfway, kept[-1]], chosen.ddpm_images),
        torch.device("cpu"),
        chosen.folder,
    )


if __name__ == "__main__":
    main()
