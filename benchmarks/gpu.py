"""Parts of benchmarks/gpu.sh: each writes one table, row by row as they are measured, and prints it.

    python benchmarks/gpu.py PART [PART …] [--out FOLDER] [--device cuda] [--small]

- equality: whether steps recorded as a CUDA graph, in company, and resumed give the bits of steps taken one by one.
- training: time of a step, alone and with many runs, against diffusers' loop where that can be imported; and how many
  runs fit the memory.
- recorded: diffusers' loop recorded as a CUDA graph. In a process of its own, since a recording that fails can leave
  torch's own random numbers in disorder.
- profile: kernels of a step, plain and compiled, and their time, by kind.
- cpu: the same batch on the CPU and on the GPU, and the same run, by the numbers that the CPU draws.
- sampling: requested centres, against diffusers' sampler.
- set, analysis: benchmarks/gpu_set.py.
- compiled: time of compiled steps, alone and with many runs, and their difference from the plain ones.
- compile: compiles one of those (``--which``), so that the others find it in the cache; writes no table.
"""

from __future__ import annotations

import argparse
import logging
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import gpu_set
import numpy as np
import pandas as pd
import peers
import sampling
import torch
from peers import SIZES, Size, our_trainer
from record import ROOT, synchronise, write_table

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.plan import multiply_adds
from bumpscope.config.probe import Probe
from bumpscope.config.training import Training
from bumpscope.denoise.denoiser import Batch
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.devices import fitting, tf32
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.predictions import repeated
from bumpscope.denoise.process import Process
from bumpscope.denoise.recorder import WARM_UP
from bumpscope.denoise.together import Steps
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.denoise.unet import new_network
from bumpscope.probe.generation import generate, noise_seeds
from bumpscope.worlds.requests import requested_centres

Row = dict[str, object]
REFERENCES = ("none", "factorised", "gated", "equal_resolution")
# Where a benchmark asks for small sizes, everything takes a moment on a CPU.
SMALL = Model(base_width=8, channel_multipliers=[1, 1, 1], embedding_width=8, attention_resolutions=[2])
LATTICE = Lattice(image_size=16, margin=2.0)
BLOCKS = 5  # of timed calls, of whose means the median counts
SECONDS = 0.4  # of all blocks, where a call is short enough
# Kinds of kernels by their names, of which the first counts; compiled ones are named after all that is fused in them.
KINDS = {
    "fused by the compiler": r"^triton_",
    "copies, casts, layout": r"copy(?!_atom)|aten::cat|CatArray|memcpy|nchwTo|nhwcTo|convertTensor|transpose|contig",
    "convolutions": r"conv|cudnn|implicit|fprop|wgrad|dgrad|winograd",
    "matrix products": r"gemm|gemv|cutlass|xmma|aten::(mm|addmm|bmm)|attention|flash|fmha",
    "normalisation": r"group_?norm|RowwiseMoments|batch_norm|ComputeFusedParams|ComputeInternalGradients",
    "optimiser, clipping": r"adam|multi_tensor|foreach|norm(?!al)|lerp",
    "fills": r"fill|zero_|memset",
}


def _models(small: bool) -> list[tuple[str, Model]]:
    base = SMALL if small else Model()
    return [(name, base.model_copy(update={"reference": name})) for name in REFERENCES]


def _trainer(
    model: Model, device: torch.device, seed: int, steps: int, batch: int, precision: str = "float32"
) -> Trainer:
    diffusion, data = Diffusion(), TrainingData(*peers.images(LATTICE)).to(device)
    training = Training(
        steps=steps, batch_size=batch, warmup_steps=min(4, steps), log_every=5, checkpoints=[0], precision=precision
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


def equality(device: torch.device, small: bool) -> Iterator[Row]:
    """A row for each reference and comparison."""
    steps = 2 if small else 2 * (WARM_UP + 5)
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
            yield found | {"same": apart == 0, "largest_difference": apart}


def _milliseconds(call: Callable[[], None], warm_up: int, small: bool) -> tuple[float, int]:
    """Median over blocks of the mean time of a call, and the number of timed calls."""
    for _ in range(warm_up):
        call()
    synchronise()
    started = time.perf_counter()
    call()
    synchronise()
    count = max(1, int((0 if small else SECONDS) / BLOCKS / max(time.perf_counter() - started, 1e-6)))
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
    every, large = ("float32", "tf32", "bfloat16"), replace(SIZES[2], name=f"{SIZES[2].name}, batch 128", batch=128)
    return [(SIZES[0], (1, 8, 16), every[:1]), (SIZES[1], (1, 8), every), (large, (1,), every)]


def _compiled_sizes(small: bool) -> list[tuple[Size, tuple[int, ...], str]]:
    """Sizes whose compiled step is measured, the numbers of runs, and the precision; each is compiled by itself."""
    sizes = _sizes(small)
    if small:
        return [(sizes[0][0], (1, 2), "float32")]
    return [
        (sizes[0][0], (1, 8, 16, 32), "float32"),
        (sizes[1][0], (1, 8), "float32"),
        (sizes[1][0], (1, 8), "tf32"),
        (sizes[1][0], (8,), "bfloat16"),
        (sizes[2][0], (1,), "bfloat16"),
    ]


def training(device: torch.device, small: bool) -> Iterator[Row]:
    """A row for each loop and size: milliseconds a step of all its runs, run-steps and TFLOP a second."""
    for size, counts, precisions in _sizes(small):
        room: Row = {}
        if device.type == "cuda":
            room = {"fit": fitting(device, lambda size=size: _after_a_step(our_trainer(size, device)))}
        # The processor is what takes time there, in every precision.
        yield room | _timed("one by one", size, device, 1, "float32", small)
        for precision in precisions:
            for runs in counts:
                yield _timed("", size, device, runs, precision, small)
        if peers.diffusers_installed():
            row = {"size": size.name, "batch": size.batch, "loop": "diffusers", "runs": 1, "precision": "float32"}
            yield row | _measured(row, lambda size=size: peers.diffusers_step(size, device)[1], small)


def recorded(device: torch.device, small: bool) -> Iterator[Row]:
    """A row for each size: diffusers' loop, recorded."""
    if not peers.diffusers_installed():
        print("diffusers: not installed, so its loops and its sampler are left out", flush=True)
    for size, _, _ in _sizes(small) if device.type == "cuda" and peers.diffusers_installed() else ():
        row = {"size": size.name, "batch": size.batch, "loop": "diffusers, recorded", "runs": 1, "precision": "float32"}
        yield row | _measured(row, lambda size=size: peers.diffusers_step(size, device, True)[1], small)


def _after_a_step(trainer: Trainer) -> Trainer:
    trainer.advance()
    return trainer


def _timed(
    how: str,
    size: Size,
    device: torch.device,
    runs: int,
    precision: str,
    small: bool,
    compiled: bool = False,
) -> Row:
    """The row of our loop; ``how`` is empty where its steps are recorded."""
    name = ", ".join(["bumpscope", *filter(None, [how])])

    def start() -> Callable[[], None]:
        steps = Steps(None) if how.startswith("one by one") else Steps.on(device)
        trainers = [our_trainer(size, device, seed, precision=precision, compile=compiled) for seed in range(runs)]
        return lambda: steps.advance(trainers) and None

    row: Row = {"size": size.name, "batch": size.batch, "loop": name, "runs": runs, "precision": precision}
    row |= _measured(row, start, small)
    flop = 2 * 3 * size.batch * multiply_adds(size.lattice.image_size, size.model)  # backward costs two forwards
    return row | ({"tflops": flop * runs / row["milliseconds"] / 1e9} if "milliseconds" in row else {})


def _measured(row: Row, start: Callable[[], Callable[[], None]], small: bool) -> Row:
    """Time of a step of all runs of a loop, or why it could not be told."""
    try:
        spent, steps = _milliseconds(start(), WARM_UP + 2, small)
    except RuntimeError as error:  # of memory too
        return {"error": str(error).splitlines()[0]}
    print(f"{row['size']}, {row['loop']}, {row['runs']} runs, {row['precision']}: {spent:.2f} ms", flush=True)
    return {"milliseconds": spent, "run_steps_a_second": 1e3 * row["runs"] / spent, "steps": steps}


def compile_one(device: torch.device, small: bool, which: int) -> None:
    """Compile a step, so that the cache beside the results has it."""
    size, _, precision = _compiled_sizes(small)[which]
    started = time.perf_counter()
    _after_a_step(our_trainer(size, device, precision=precision, compile=True))
    synchronise()
    print(f"{size.name}, {precision}: compiled in {time.perf_counter() - started:.0f} s", flush=True)


def compiled(device: torch.device, small: bool) -> Iterator[Row]:
    """A row for each size and number of runs: the first step, from the cache if it is there; a step then; what changes.

    ``weights_apart`` is relative, after ten steps: against the plain step, and alone against recorded in company.
    """
    for size, counts, precision in _compiled_sizes(small):
        row: Row = {}
        try:
            row = _compiled_against_plain(size, device, precision)
        except RuntimeError as error:
            row = {"error": str(error).splitlines()[0]}
        for runs in () if "error" in row else counts:
            yield row | _timed("compiled", size, device, runs, precision, small, compiled=True)
        if "error" in row:
            yield {"size": size.name, "loop": "bumpscope, compiled", "precision": precision} | row


def _compiled_against_plain(size: Size, device: torch.device, precision: str) -> Row:
    def new(seed: int = 0, compiled: bool = True) -> Trainer:
        return our_trainer(size, device, seed, precision=precision, compile=compiled)

    started = time.perf_counter()
    one = _after_a_step(new())
    synchronise()
    row: Row = {"first_step_seconds": time.perf_counter() - started}
    plain, company = new(compiled=False), [new(), new(1)]
    for trainers, steps in (([one], Steps(None)), ([plain], Steps(None)), (company, Steps.on(device))):
        _taken(trainers, steps, 10)
    for name, other in (("weights_apart_from_plain", plain), ("weights_apart_in_company", company[0])):
        row[name] = _weights_apart(one, other)
    return row


def profile(device: torch.device, small: bool) -> Iterator[Row]:
    """Kernels of a step and their milliseconds, by kind and by size; on a CPU, operations."""
    cases = [(size, precision, False) for size, _, precisions in _sizes(small) for precision in precisions]
    cases += [] if small else [(size, precision, True) for size, _, precision in _compiled_sizes(small)]
    for size, precision, compiled in cases:
        count, spent = _profiled(our_trainer(size, device, precision=precision, compile=compiled))
        for kind in sorted(spent, key=lambda kind: -spent[kind]):
            row: Row = {"size": size.name, "precision": precision, "compiled": compiled, "kind": kind}
            yield row | {"a_step": count[kind], "ms_a_step": spent[kind]}


def _profiled(trainer: Trainer, steps: int = 3) -> tuple[dict[str, float], dict[str, float]]:
    """Kernels of a step, and their milliseconds, by kind."""
    on_gpu, kinds = trainer.device.type == "cuda", torch.profiler.ProfilerActivity
    for _ in range(3):
        trainer.advance()
    with torch.profiler.profile(activities=[kinds.CUDA if on_gpu else kinds.CPU]) as seen:
        for _ in range(steps):
            trainer.advance()
        synchronise()
    count, spent = defaultdict[str, float](float), defaultdict[str, float](float)
    for event in seen.key_averages():
        used = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if on_gpu and event.device_type != torch.profiler.DeviceType.CUDA:
            continue
        kind = kind_of(event.key)
        count[kind] += event.count / steps
        spent[kind] += used / 1e3 / steps
    return count, spent


def kind_of(name: str) -> str:
    """The kind of a kernel, or on a CPU of an operation."""
    found = (kind for kind, words in KINDS.items() if re.search(words, name, flags=re.IGNORECASE))
    return next(found, "everything else")


def cpu(device: torch.device, small: bool) -> Iterator[Row]:
    """CPU against GPU: the same batch, and the same run, for which the GPU is given what the CPU draws."""
    here = torch.device("cpu")
    for size in [replace(SIZES[0], model=SMALL, batch=4)] if small else SIZES[:2]:
        batch = our_trainer(size, here).batch(1)
        loss, gradient = _gradient(size, here, batch)
        for precision in ("float32", "tf32", "bfloat16"):
            other, others = _gradient(size, device, batch, precision)
            apart = float((gradient - others).norm() / gradient.norm())
            row: Row = {"size": size.name, "precision": precision}
            yield row | {"what": "loss of one batch, relative difference", "value": abs(other - loss) / loss}
            yield row | {"what": "its gradient, relative difference", "value": apart}
    steps = 10 if small else 100
    one, other = (
        _trainer(SMALL if small else Model(), place, 0, steps, 4 if small else 16) for place in (here, device)
    )

    def as_drawn(_: int) -> None:
        for name in ("_uniform", "_t", "_noise"):
            getattr(other, name).copy_(getattr(one, name))

    other._draw = as_drawn  # type: ignore[method-assign]
    other.seed += 1  # so that on a CPU too it would draw other numbers
    while one.step < steps:
        one.advance()
        other.advance()
        if one.step in (1, steps // 10, steps):
            row = {"size": SIZES[0].name, "precision": "float32"}
            what = f"weights of one run after {one.step} steps, relative difference"
            yield row | {"what": what, "value": _weights_apart(one, other)}
    loss, other_loss = one.log.losses[-1], other.log.losses[-1]
    yield row | {"what": "its loss then, relative difference", "value": abs(other_loss - loss) / loss}


def _weights_apart(one: Trainer, other: Trainer) -> float:
    """Norm of the difference of the weights over that of the weights, which devices store in different orders."""
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    apart = sum(float((left.data.cpu() - right.data.cpu()).square().sum()) for left, right in pairs)
    return math.sqrt(apart) / float(one.weights_flat.detach().norm())


def _gradient(size: Size, place: torch.device, batch: Batch, precision: str = "float32") -> tuple[float, torch.Tensor]:
    """Loss and gradient of a batch, on the CPU, for weights away from the start, where most gradients vanish."""
    trainer = our_trainer(size, place)
    for parameter in trainer.network.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)).to(place)
    with tf32(precision == "tf32"), torch.autocast(place.type, torch.bfloat16, enabled=precision == "bfloat16"):
        loss = trainer.network.loss(trainer.process, Batch(*(part.to(place) for part in batch)), 0.0)
        gradients = torch.autograd.grad(loss, list(trainer.network.parameters()))
    return loss.item(), torch.cat([gradient.flatten().cpu() for gradient in gradients])


def sampled(device: torch.device, small: bool) -> Iterator[Row]:
    """Images a second of untrained networks; a trained one takes as long."""
    size = replace(SIZES[0], model=SMALL, diffusers_width=4) if small else SIZES[0]
    count, steps = (16, 3) if small else (1000, 25)
    probe = Probe(samples=count, sampling_steps=steps, layers=["down3"], timesteps=[239])
    centres, seeds = requested_centres(size.lattice, count), noise_seeds(0, count)
    network = new_network(size.lattice.image_size, size.model, 0).to(device).eval()
    asked, process = repeated(network, device), Process.from_config(Diffusion(), device)
    one, other = generate(network, process, probe, centres, seeds), generate(asked, process, probe, centres, seeds)
    apart = float(np.abs(one.images - other.images).max())
    calls = {"bumpscope, DDIM": lambda: generate(asked, process, probe, centres, seeds)}
    if peers.diffusers_installed():
        theirs = peers.diffusers_network(size).to(device).eval()
        noise = sampling.start_noise(seeds, size.lattice.image_size).to(device)
        calls["diffusers, DDIM"] = lambda: sampling.diffusers_sample(
            lambda x, t, _: theirs(x, t).sample, sampling.ddim_scheduler(), steps, noise, count
        )
    calls["bumpscope, DDIM, one by one"] = lambda: generate(network, process, probe, centres, seeds)
    for name, call in calls.items():
        spent, _ = _milliseconds(call, 1, small)
        row: Row = {"sampler": name, "images": count, "images_a_second": 1e3 * count / spent}
        yield row | ({"largest_difference": apart} if name.endswith("one by one") else {})


PARTS: dict[str, Callable[[torch.device, bool], Iterator[Row]]] = {
    "equality": equality,
    "training": training,
    "recorded": recorded,
    "profile": profile,
    "cpu": cpu,
    "sampling": sampled,
    "compiled": compiled,
}


def table(part: str, device: torch.device, small: bool, folder: Path) -> pd.DataFrame:
    """The table of a part, written again with each row, so that one that is cut off leaves what it has."""
    rows: list[Row] = []
    frame = pd.DataFrame()
    for row in PARTS[part](device, small):
        rows.append(row)
        frame = pd.DataFrame(rows)
        frame = frame.assign(error=frame.get("error", pd.Series(dtype=str))) if "loop" in frame else frame
        write_table(folder / f"gpu-{part}-{device.type}.parquet", frame, device, told=False)
    return frame


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "set", "analysis", "compile"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=ROOT / "gpu-results", help="folder for the tables")
    parser.add_argument("--small", action="store_true", help="small sizes, which take seconds on a CPU")
    parser.add_argument("--which", type=int, default=0, help="of what is compiled")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for part in chosen.parts:
        started = time.perf_counter()
        if part == "set":
            gpu_set.make(chosen.out, chosen.device, chosen.small)
        elif part == "analysis":
            gpu_set.analyse(chosen.out, chosen.small)
        else:
            with hold_device(chosen.device) as device:
                if device.type == "cuda":
                    torch.cuda.set_device(device)  # synchronize() waits for the current one
                if part == "compile":
                    compile_one(device, chosen.small, chosen.which)
                else:
                    print(table(part, device, chosen.small, chosen.out).to_string(index=False))
        print(f"{part}: {time.perf_counter() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
