"""Parts of benchmarks/gpu.sh: each writes one table, and prints it.

    python benchmarks/gpu.py PART [PART …] [--out FOLDER] [--device cuda] [--small]

- equality: whether steps recorded as a CUDA graph, in company, and resumed give the bits of steps taken one by one.
- training: time of a step, alone and with many runs, against diffusers' loop where that can be imported.
- profile: kernels of a step, and their time, by kind.
- cpu: the same batch and the same short run on the CPU and on the GPU.
- sampling: requested centres, against diffusers' sampler.
- set: benchmarks/gpu_set.py.
"""

from __future__ import annotations

import argparse
import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import gpu_set
import numpy as np
import pandas as pd
import peers
import sampling
import torch
from peers import SIZES, Size, our_trainer
from record import ROOT, save, synchronise
from torch.utils.flop_counter import FlopCounterMode

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.config.training import Training
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.process import Process
from bumpscope.denoise.together import WARM_UP, Steps
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.denoise.unet import new_network
from bumpscope.probe.generation import generate, noise_seeds
from bumpscope.worlds.requests import requested_centres

REFERENCES = ("none", "factorised", "gated", "equal_resolution")
# Where a benchmark asks for small sizes, everything takes a moment on a CPU.
SMALL = Model(base_width=8, channel_multipliers=[1, 1, 1], embedding_width=8, attention_resolutions=[2])
LATTICE = Lattice(image_size=16, margin=2.0)
BLOCKS = 5  # of timed steps, of whose means the median counts
KINDS = {
    "convolutions": r"conv|cudnn|implicit|wgrad|dgrad|xmma|winograd",
    "matrix products": r"gemm|cutlass|aten::(mm|addmm|bmm)|attention|flash|fmha",
    "normalisation": r"group_norm|GroupNorm|RowwiseMoments|batch_norm|ComputeFusedParams|ComputeInternalGradients",
    "optimiser, clipping": r"adam|multi_tensor|foreach|norm_|lerp",
    "copies, casts, layout": r"copy|cat|Memcpy|nchw|nhwc|transpose|permute|contiguous",
    "fills": r"fill|zero_|Memset",
}


def _models(small: bool) -> list[tuple[str, Model]]:
    base = SMALL if small else Model()
    return [(name, base.model_copy(update={"reference": name})) for name in REFERENCES]


def _trainer(
    model: Model, device: torch.device, seed: int, steps: int, batch: int, precision: str = "float32"
) -> Trainer:
    diffusion, data = Diffusion(), TrainingData(*peers.images(LATTICE)).to(device)
    batch = 4 if model.channel_multipliers == SMALL.channel_multipliers else 16
    training = Training(
        steps=steps, batch_size=batch, warmup_steps=4, log_every=5, checkpoints=[0], precision=precision
    )
    return Trainer(seed, data, new_denoiser(LATTICE, model, diffusion, seed), diffusion, training, device)


def _taken(trainers: Sequence[Trainer], steps: Steps, until: int) -> bool:
    """Take trainings to a step; whether their last step was a recorded one."""
    while trainers[0].step < until:
        if errors := [error for error in steps.advance(trainers) if error]:
            raise errors[0]
    return steps._repeat is not None


def _apart(one: Trainer, other: Trainer) -> float:
    """The largest difference of two training states; 0 where they are the same to the bit."""
    states = one.state(), other.state()
    assert states[0].keys() == states[1].keys()
    pairs = [(states[0][name].detach().double(), states[1][name].detach().double()) for name in states[0]]
    return max(float((left.cpu() - right.cpu()).abs().max()) for left, right in pairs)


def equality(device: torch.device, small: bool) -> pd.DataFrame:
    """A row for each reference and comparison."""
    steps, rows = 8 if small else 2 * (WARM_UP + 5), []
    cases = [(name, model, "float32") for name, model in _models(small)]
    cases.append(("none", cases[0][1], "bfloat16"))
    for reference, model, precision in cases:

        def new(seed: int = 0, model: Model = model, precision: str = precision) -> Trainer:
            return _trainer(model, device, seed, steps, 4 if small else 16, precision)

        plain, again = new(), new()
        for one in (plain, again):
            _taken([one], Steps(None), steps)
        graph, company = new(), [new(), new(1), new(2)]
        recorded = _taken([graph], Steps.on(device), steps)
        together = _taken(company, Steps.on(device), steps)
        cut, resumed = new(), new()
        _taken([cut], Steps.on(device), steps // 2)
        resumed.restore({name: tensor.detach().clone() for name, tensor in cut.state().items()})
        _taken([resumed], Steps.on(device), steps)
        for what, used, other in (
            ("the same again, one by one", False, again),
            ("recorded against one by one", recorded, graph),
            ("in company against alone", together, company[0]),
            ("killed and resumed against undisturbed", recorded, resumed),
        ):
            apart = _apart(plain, other)
            found = {"reference": reference, "precision": precision, "comparison": what, "recorded": used}
            rows.append(found | {"same": apart == 0, "largest_difference": apart})
    return pd.DataFrame(rows)


def _milliseconds(call: Callable[[], None], warm_up: int, seconds: float) -> tuple[float, int]:
    """Median over blocks of the mean time of a call, and the number of timed calls."""
    for _ in range(warm_up):
        call()
    synchronise()
    started = time.perf_counter()
    call()
    synchronise()
    count = max(1, int(seconds / BLOCKS / max(time.perf_counter() - started, 1e-6)))
    found = []
    for _ in range(BLOCKS):
        started = time.perf_counter()
        for _ in range(count):
            call()
        synchronise()
        found.append(1e3 * (time.perf_counter() - started) / count)
    return float(np.median(found)), BLOCKS * count


def _sizes(small: bool) -> list[tuple[Size, tuple[int, ...], tuple[str, ...]]]:
    """Sizes, the numbers of runs that share the card, and the precisions."""
    if small:
        return [(replace(SIZES[0], name="small", model=SMALL, diffusers_width=4, batch=4), (1, 2), ("float32",))]
    large, every = SIZES[2], ("float32", "tf32", "bfloat16")
    return [
        (SIZES[0], (1, 8, 16), every[:1]),
        (SIZES[1], (1, 4, 8), every),
        (large, (1,), every),
        (replace(large, name=f"{large.name}, batch 128", batch=128), (1,), every),
    ]


def training(device: torch.device, small: bool) -> pd.DataFrame:
    """A row for each loop and size: milliseconds a step of all its runs, run-steps and TFLOP a second."""
    rows = []
    seconds = 0.05 if small else 0.8
    for size, counts, precisions in _sizes(small):
        with FlopCounterMode(display=False) as counter:
            our_trainer(size, device).advance()
        flop = counter.get_total_flops()

        def add(
            name: str, runs: int, precision: str, start: Callable[[], Callable[[], None]],
            size: Size = size, flop: int = flop,
        ) -> None:  # fmt: skip
            row = {"size": size.name, "batch": size.batch, "loop": name, "runs": runs, "precision": precision}
            try:
                spent, steps = _milliseconds(start(), WARM_UP + 3, seconds)
            except (RuntimeError, torch.OutOfMemoryError) as error:
                rows.append(row | {"error": str(error).splitlines()[0]})
                return
            ours = name.startswith("bumpscope")
            row |= {"milliseconds": spent, "run_steps_a_second": 1e3 * runs / spent, "steps": steps}
            rows.append(row | ({"tflops": flop * runs / spent / 1e9} if ours else {}))
            print(f"{size.name}, {name}, {runs} runs, {precision}: {spent:.2f} ms", flush=True)

        def ours(steps: Steps, runs: int, precision: str, size: Size = size) -> Callable[[], None]:
            trainers = [our_trainer(size, device, seed, precision=precision) for seed in range(runs)]
            return lambda: steps.advance(trainers) and None

        for precision in precisions:
            add("bumpscope, one by one", 1, precision, lambda p=precision: ours(Steps(None), 1, p))
            for runs in counts:
                add("bumpscope", runs, precision, lambda n=runs, p=precision: ours(Steps.on(device), n, p))
        if peers.diffusers_installed():
            add("diffusers", 1, "float32", lambda size=size: peers.diffusers_step(size, device)[1])
            if device.type == "cuda":
                add("diffusers, recorded", 1, "float32", lambda size=size: peers.diffusers_step(size, device, True)[1])
    frame = pd.DataFrame(rows)
    return frame.assign(error=frame.get("error", pd.Series(dtype=str)))


def profile(device: torch.device, small: bool) -> pd.DataFrame:
    """Kernels of a step and their milliseconds, by kind and by size; on a CPU, operations."""
    rows = []
    on_gpu = device.type == "cuda"
    kinds = torch.profiler.ProfilerActivity
    for size, _, precisions in _sizes(small):
        for precision in [name for name in precisions if name != "tf32"]:
            trainer, steps = our_trainer(size, device, precision=precision), 3
            for _ in range(3):
                trainer.advance()
            with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA] if on_gpu else [kinds.CPU]) as seen:
                for _ in range(steps):
                    trainer.advance()
                synchronise()
            count, spent = defaultdict[str, float](float), defaultdict[str, float](float)
            for event in seen.key_averages():
                used = event.self_device_time_total if on_gpu else event.self_cpu_time_total
                if on_gpu and event.device_type != torch.profiler.DeviceType.CUDA:
                    continue
                kind = next((name for name, words in KINDS.items() if re.search(words, event.key)), "everything else")
                count[kind] += event.count / steps
                spent[kind] += used / 1e3 / steps
            rows += [
                {
                    "size": size.name,
                    "precision": precision,
                    "kind": kind,
                    "a_step": count[kind],
                    "ms_a_step": spent[kind],
                }
                for kind in sorted(spent, key=lambda kind: -spent[kind])
            ]
    return pd.DataFrame(rows)


def cpu(device: torch.device, small: bool) -> pd.DataFrame:
    """CPU against GPU. They draw other numbers, so one batch is compared exactly, and a run by its losses."""
    rows, here = [], torch.device("cpu")
    for size in [replace(SIZES[0], model=SMALL, batch=4)] if small else SIZES[:2]:
        batch = our_trainer(size, here).batch(1)
        found = []
        for place in (here, device):
            trainer = our_trainer(size, place)
            for parameter in trainer.network.parameters():  # away from the start, where most gradients vanish
                parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)).to(
                    place
                )
            loss = trainer.network.loss(trainer.process, type(batch)(*(part.to(place) for part in batch)), 0.0)
            gradients = torch.autograd.grad(loss, list(trainer.network.parameters()))
            found.append((loss.item(), torch.cat([gradient.flatten().cpu() for gradient in gradients])))
        (loss, gradient), (other, others) = found
        apart = float((gradient - others).norm() / gradient.norm())
        rows += [
            {"size": size.name, "what": "loss of one batch, relative difference", "value": abs(other - loss) / loss},
            {"size": size.name, "what": "its gradient, relative difference", "value": apart},
        ]
    steps = 10 if small else 100
    for place in (here, device):
        for seed in (0, 1):
            trainer = _trainer(SMALL if small else Model(), place, seed, steps, 4 if small else 16)
            while trainer.step < steps:
                trainer.advance()
            name = f"mean loss of the last half of {steps} steps, seed {seed}, on the {place.type}"
            rows.append(
                {"size": SIZES[0].name, "what": name, "value": float(np.mean(trainer.log.losses[steps // 10 :]))}
            )
    return pd.DataFrame(rows)


def sampled(device: torch.device, small: bool) -> pd.DataFrame:
    """Images a second of untrained networks; a trained one takes as long."""
    size = replace(SIZES[0], model=SMALL, diffusers_width=4) if small else SIZES[0]
    count, steps = (16, 3) if small else (1000, 25)
    probe = Probe(samples=count, sampling_steps=steps, layers=["down3"], timesteps=[239])
    centres, seeds = requested_centres(size.lattice, count), noise_seeds(0, count)
    network = new_network(size.lattice.image_size, size.model, 0).to(device).eval()
    process = Process.from_config(Diffusion(), device)
    calls = {"bumpscope, DDIM": lambda: generate(network, process, probe, centres, seeds)}
    if peers.diffusers_installed():
        theirs = peers.diffusers_network(size).to(device).eval()
        noise = sampling.start_noise(seeds, size.lattice.image_size).to(device)
        calls["diffusers, DDIM"] = lambda: sampling.diffusers_sample(
            lambda x, t, _: theirs(x, t).sample, sampling.ddim_scheduler(), steps, noise, count
        )
    spent = {name: _milliseconds(call, 1, 0.05 if small else 4.0)[0] for name, call in calls.items()}
    return pd.DataFrame(
        [{"sampler": name, "images": count, "images_a_second": 1e3 * count / ms} for name, ms in spent.items()]
    )


PARTS: dict[str, Callable[[torch.device, bool], pd.DataFrame]] = {
    "equality": equality,
    "training": training,
    "profile": profile,
    "cpu": cpu,
    "sampling": sampled,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "set"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=ROOT / "gpu-results", help="folder for the tables")
    parser.add_argument("--small", action="store_true", help="small sizes, which take seconds on a CPU")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for part in chosen.parts:
        started = time.perf_counter()
        if part == "set":
            gpu_set.make(chosen.out, chosen.device, chosen.small)
        else:
            with hold_device(chosen.device) as device:
                save(f"gpu-{part}", PARTS[part](device, chosen.small), device, chosen.out)
        print(f"{part}: {time.perf_counter() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
