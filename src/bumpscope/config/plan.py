"""What an experiment will cost, before it runs: time from counted operations and measured rates, and room on disk."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
import pandas as pd

from bumpscope.config.disk import gigabytes, planned_bytes
from bumpscope.config.experiment import Config
from bumpscope.config.model import LAYERS, PAPER_LAYERS, REFERENCES, Model
from bumpscope.config.probe import Probe
from bumpscope.config.run import Run
from bumpscope.config.variants import readings, variants

# Seconds on one core of a 2024 server CPU, measured by the workflow's own benchmark files over the default experiment
# (docs/findings.md). Other machines differ by a factor of two or so; the shares hold better than the sum.
MULTIPLY_ADDS_A_SECOND = {"train": 1.8e10, "generate": 1.7e10}
# Of a resolution, for 1e7 products of a pixel, a lattice point and a probe; and how it grows with them.
SECONDS_A_FIT, FIT_EXPONENT = 0.04, 0.55
# Of a fit, products of a point and a probe, and probes where points are many, as in probe/resolution.py.
MOST_WEIGHTS, FEWEST_PROBES = 2**22, 32
SECONDS_AN_IMAGE = 1.6e-3  # finding and fitting bumps in 16 x 16 pixels
# Of 512 activation vectors; vary has no UMAP, and those that phases are read from come on top.
SECONDS_A_CLOUD = {"geometry": 0.7, "topology": 0.35, "vary": 0.22, "umaps": 1.9}
CLOUD_EXPONENT = 1.5  # of the vectors in a cloud, whose distances are what takes long; from 256, 512 and 1024
# Precision -> multiply-adds of a training step -> its seconds on one H200 (docs/benchmarks.md): 0.4 and 1.5 million
# parameters with eight runs side by side, 23 million alone. What is missing was not measured.
STEPS_ON_GPU = {
    "float32": {9.4e8: 1 / 614, 1.52e10: 1 / 124, 7.4e11: 0.0663},
    "tf32": {1.52e10: 1 / 326, 7.4e11: 0.0320},
    "bfloat16": {1.52e10: 1 / 363},
}
COMPILED_STEPS_ON_GPU = {
    "float32": {9.4e8: 1 / 806, 1.52e10: 1 / 154},
    "tf32": {1.52e10: 1 / 423},
    "bfloat16": {1.52e10: 1 / 573, 7.4e11: 0.0162},
}
SECONDS_OF_A_START_ON_GPU = 11.0
ON_GPU = ("train", "generate", "effects", "interventions")
SECONDS_A_JOB = {
    "train": 4.0,
    "generate": 4.0,
    "effects": 4.0,
    "interventions": 4.0,
    "behaviour": 2.0,
    "geometry": 3.5,
    "topology": 2.0,
    "vary": 4.5,
}
DRIVER = Path("/proc/driver/nvidia")
# Of 144 centres, as in probe/interventions.py; importing that would slow down every start of the workflow.
INTERFERED_IMAGES = {"fitted": 288, "judged": 144}
SECONDS_A_SUBSPACE = 0.05  # fitted once as it is and once while it is removed
SECONDS_A_READING = 1.5  # of ten runs or so, rejudged
SECONDS_OF_AGGREGATION = 40.0
DATASETS_SHOWN, DATASETS_NAMED = 20, 8
# The average is worth a note if its start still weighs more than this at the last step.
LARGEST_START = 0.5


def multiply_adds(image_size: int, model: Model) -> int:
    """Multiply-adds of one forward pass of the denoiser for one image, in convolutions and attention.

    Linear layers of the embedding, normalisation and activations, a few per cent, are left out.
    """
    widths = [model.base_width * multiplier for multiplier in model.channel_multipliers]
    sizes = [image_size // 2**level for level in range(4)]

    def stage(channels: int, out: int, size: int, blocks: int) -> int:
        total = 0
        for block in range(blocks):
            into = channels if block == 0 else out
            total += (9 * (into + out) * out + (into * out if into != out else 0)) * size**2
            if size in model.attention_resolutions:
                total += 4 * out**2 * size**2 + 2 * out * size**4
        return total

    blocks = model.blocks_per_level
    total = 2 * 9 * widths[0] * image_size**2
    channels = widths[0]
    for width, size in zip(widths, sizes, strict=False):
        total += stage(channels, width, size, blocks) + 9 * width**2 * (size // 2) ** 2
        channels = width
    total += stage(channels, channels, sizes[3], blocks + 1)
    for width, size in reversed(list(zip(widths, sizes, strict=False))):
        total += 9 * channels * width * (size // 2) ** 2 + stage(2 * width, width, size, blocks)
        channels = width
    return total


def binned_probes(samples: int) -> int:
    """Noised images of a probe by frequency bin, as in :func:`bumpscope.probe.frequency.make_binned_probe`.

    Repeated here, since importing that would slow down every start of the workflow.
    """
    return 9 * max(32, samples // 9)


class Counted(Protocol):
    """What a denoiser computes for one image, in multiply-adds: a prediction, and a training step."""

    @property
    def forward(self) -> int: ...
    @property
    def trained(self) -> int: ...


NOTHING: Mapping[str, Counted] = MappingProxyType({})


def _work(run: Run, counted: Counted | None) -> dict[str, tuple[float, float]]:
    """Multiply-adds of the denoiser in each step of a run, and the seconds on one core of everything else."""
    if counted is None:
        forward, kind = multiply_adds(run.lattice.image_size, run.model), run.denoiser.kind
        # Forward, and backward at twice its cost. The factorised reference is two networks, the gated one asks its
        # network with and without labels.
        trained = 3 * forward * (2 if kind == "factorised" else 1)
        forward *= 2 if kind in REFERENCES else 1
    else:
        forward, trained = counted.forward, counted.trained
    probe, training = run.probe, run.training
    # Each checkpoint once with each of its weights.
    probed = len(probe.checkpoints) * len(probe.drawing)
    images = probed * probe.samples
    # The control with shared noise generates each seen centre once more: at most three eighths of the samples.
    control = probed * min(run.lattice.most_points, 0.375 * probe.samples)
    # One for each layer and t, one of the images, and one of the averaged weights beside.
    clouds = len(probe.checkpoints) * (len(probe.layers) * len(probe.timesteps) + len(probe.drawing))
    # Overall with both weights; by frequency bin with one, for labels as they are and with either axis permuted.
    probes = 2 * probe.effect_samples + (3 * binned_probes(probe.effect_samples) if probe.frequency_bins else 0)
    probes += 2 * probe.effect_samples if run.lattice.holdout or run.lattice.shown else 0
    estimates = len(training.checkpoints) * len(probe.effect_timesteps) * probes
    fits = 2 * len(training.checkpoints) * len(probe.effect_timesteps)
    # One draw of those that are fitted to, and again for each layer; those that are judged without an intervention, for
    # each of the seven layers that labels are cut at, and four times for each layer.
    changed, judged = len(probe.intervention_layers), INTERFERED_IMAGES["judged"]
    interfered = len(probe.interventions) * judged * (1 + len(LAYERS) + 4 * changed)
    fitted = len(probe.interventions) * INTERFERED_IMAGES["fitted"] * (1 + changed)
    image = SECONDS_AN_IMAGE * (run.lattice.image_size / 16) ** 2
    subspaces = len(probe.interventions) * changed * probe.sampling_steps
    measured, read = probe.geometry, _umaps_read(probe)
    return {
        "train": (training.steps * training.batch_size * trained, 0.0),
        "generate": ((images + control) * probe.sampling_steps * forward, 0.0),
        "effects": (estimates * forward, fits * _fit_seconds(run)),
        "interventions": (
            (interfered + fitted) * probe.sampling_steps * forward,
            interfered * image + subspaces * SECONDS_A_SUBSPACE,
        ),
        "behaviour": (0.0, images * image),
        "geometry": (
            0.0,
            measured * (clouds * SECONDS_A_CLOUD["geometry"] + read * SECONDS_A_CLOUD["umaps"]) * (probe.samples / 512),
        ),
        "topology": (0.0, measured * clouds * SECONDS_A_CLOUD["topology"]),
    }


def _fit_seconds(run: Run) -> float:
    """Seconds on one core of a fit of the resolution; those of a small lattice where its points are not known."""
    points = run.lattice.most_points
    if math.isinf(points):
        return SECONDS_A_FIT
    weights = max(min(points * run.probe.effect_samples, MOST_WEIGHTS), points * FEWEST_PROBES)
    return SECONDS_A_FIT * max(1.0, weights * run.lattice.image_size**2 / 1e7) ** FIT_EXPONENT


def run_seconds(run: Run, counted: Counted | None = None) -> dict[str, float]:
    """Seconds on one core that each step of a run is expected to take.

    Args:
        counted: what its denoiser computes; None where that is known without building it.
    """
    found = {}
    for step, (work, seconds) in _work(run, counted).items():
        # Without images, or interventions, there is no job.
        seconds += work / MULTIPLY_ADDS_A_SECOND.get(step, MULTIPLY_ADDS_A_SECOND["generate"])
        found[step] = seconds + SECONDS_A_JOB[step] if seconds else 0.0
    return found


def gpu_step_seconds(work: float, precision: str = "float32", compiled: bool = False) -> float:
    """Seconds of a training step of so many multiply-adds on one GPU, between those that were measured.

    No step is faster than the fastest; beyond the largest, time grows as the work. At a size where a precision was not
    measured, the step is as slow as in the precision before it, and a compiled step as slow as a plain one.
    """
    measured: dict[float, float] = {}
    for name in list(STEPS_ON_GPU)[: list(STEPS_ON_GPU).index(precision) + 1]:
        measured |= STEPS_ON_GPU[name]
    if compiled:
        measured |= COMPILED_STEPS_ON_GPU[precision]
    works, seconds = (np.log(list(values)) for values in (measured, measured.values()))
    beyond = max(1.0, work / max(measured))
    return float(np.exp(np.interp(math.log(work), works, seconds)) * beyond)


def gpu_seconds(run: Run) -> float:
    """Seconds on one GPU that training and probing a run are expected to take.

    A call of the network in a probe is taken for a float32 training step of as much work, which is right within a fifth
    at the one size that was timed, 16 x 16 pixels. A run's probes start together, and its training is published by a
    job of its own. Compiling, a minute or so once a machine, is left out.
    """
    probe, training, work = run.probe, run.training, _work(run, None)
    probed = len(probe.checkpoints) * len(probe.drawing)
    drawn = len(probe.interventions) * (1 + len(LAYERS) + 5 * len(probe.intervention_layers))
    calls = {
        "train": training.steps,
        "generate": 2 * probed * probe.sampling_steps,
        "effects": 2 * len(training.checkpoints) * len(probe.effect_timesteps),
        "interventions": drawn * probe.sampling_steps,
    }
    jobs = [step for step in ON_GPU if calls[step]]
    seconds = {step: gpu_step_seconds(work[step][0] / calls[step]) for step in jobs}
    seconds["train"] = gpu_step_seconds(work["train"][0] / training.steps, training.precision, training.compile)
    on_gpu = sum(calls[step] * seconds[step] for step in jobs)
    on_core = sum(work[step][1] for step in jobs) + sum(SECONDS_A_JOB[step] for step in jobs[1:])
    return SECONDS_OF_A_START_ON_GPU + on_core + on_gpu


def _umaps_read(probe: Probe) -> float:
    """Clouds whose UMAPs are read, in clouds of own noise, as in :func:`bumpscope.measure.as_read.is_read`.

    One of shared noise has at most three eighths of the images.
    """
    layers = sum(layer in PAPER_LAYERS for layer in probe.layers) or 1
    otherwise = 0.375 * len(probe.drawing) + len(probe.drawing) - 1
    return len(probe.checkpoints) * (layers * len(probe.timesteps) + otherwise)


def sensitivity_seconds(config: Config, counted: Mapping[str, Counted] = NOTHING) -> float:
    """Seconds on one core that `snakemake sensitivity` adds to an experiment."""
    total = SECONDS_A_READING * len(readings(config).readings)
    for run in (run for runs in variants(config).values() for run in runs):
        probing = run_seconds(run, counted.get(run.dataset))
        clouds = len(run.probe.checkpoints) * len(run.probe.layers) * len(run.probe.timesteps)
        total += probing["generate"] - SECONDS_A_JOB["generate"] + probing["behaviour"] - SECONDS_A_JOB["behaviour"]
        total += clouds * SECONDS_A_CLOUD["vary"] * (run.probe.samples / 512) ** CLOUD_EXPONENT + SECONDS_A_JOB["vary"]
    return total


def planned_cost(runs: Iterable[Run], counted: Mapping[str, Counted] = NOTHING) -> pd.DataFrame:
    """Core-minutes by dataset (rows) and step (columns), without what all runs share.

    Args:
        counted: dataset -> what its denoiser computes, for those where that is not known without building it.
    """
    rows = [{"dataset": run.dataset} | run_seconds(run, counted.get(run.dataset)) for run in runs]
    return pd.DataFrame(rows).groupby("dataset", sort=False).sum() / 60


def notes(config: Config) -> list[str]:
    """What is allowed but may not be meant, a line each: controls of a sweep, and averages that hardly move."""
    lines = config.expansion().notes()
    slow: dict[str, list[str]] = {}
    for name, dataset in config.all_datasets().items():
        training = config.section("training", dataset)
        start = training.ema_decay**training.steps
        if start > LARGEST_START:
            text = f"{start:.1%} with training.ema_decay {training.ema_decay} and {training.steps} steps"
            slow.setdefault(text, []).append(name)
    for text, names in slow.items():
        more = f" and {len(names) - DATASETS_NAMED} more datasets" if len(names) > DATASETS_NAMED else ""
        shown = ", ".join(names[:DATASETS_NAMED]) + more
        lines.append(f"Averaged weights are still mostly those of the start ({text}): {shown}.")
    return lines


def describe(
    config: Config, gpu: bool = False, counted: Mapping[str, Counted] = NOTHING, cards: Sequence[str] = ()
) -> str:
    """The plan as text: a line for each dataset, the sum, and what `snakemake sensitivity` would add.

    Args:
        gpu: whether jobs run on GPUs.
        counted: as for :func:`planned_cost`.
        cards: names of this machine's GPUs.
    """
    runs = list(config.runs())
    cost = planned_cost(runs, counted)
    total = cost.to_numpy().sum() + SECONDS_OF_AGGREGATION / 60
    table = cost.assign(total=cost.sum(axis=1)).round(1)
    more = f"\n… and {len(table) - DATASETS_SHOWN} more datasets" if len(table) > DATASETS_SHOWN else ""
    room = planned_bytes(runs)
    kinds = ", ".join(f"{kind} {gigabytes(size)}" for kind, size in room.most_common())
    on_gpu = ""
    if gpu:
        hours, left = sum(map(gpu_seconds, runs)) / 3600, total - cost[[*ON_GPU]].to_numpy().sum()
        on_gpu = (
            f"On GPUs{_here(cards)}: about {hours:.1f} GPU-hours (by the rates of one H200), and {left:.0f} "
            "core-minutes of analysis.\n"
        )
    return (
        "Planned cost in core-minutes, on a CPU (from measured rates; machines differ by a factor of two or so):\n"
        f"{table.head(DATASETS_SHOWN).to_string()}{more}\n"
        f"In all {total:.0f} core-minutes with figures and report, including what is already done.\n{on_gpu}"
        f"On disk about {gigabytes(room.total())} ({kinds}).\n"
        f"`snakemake sensitivity` would take {sensitivity_seconds(config, counted) / 60:.0f} more."
    )


def _here(cards: Sequence[str]) -> str:
    named = ", ".join(f"{count} {name}" for name, count in Counter(cards).items())
    return f" (here: {named})" if named else ""


def has_nvidia_driver() -> bool:
    """Whether Linux has loaded the driver of an NVIDIA GPU, which is seen in a moment where torch takes seconds."""
    return (DRIVER / "version").exists()


def nvidia_cards() -> list[str]:
    """Names of the NVIDIA GPUs that Linux's driver has found."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(DRIVER.glob("gpus/*/information"))]
    found = [re.search(r"^Model:\s*(.+?)\s*$", text, flags=re.MULTILINE) for text in texts]
    return [model[1] for model in found if model]
