"""What docs/benchmarks.md says of GPUs: measured by benchmarks/gpu.sh, or not, and an earlier trial."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from record import ROOT, load
from writing import NOT_MEASURED, markdown, significant

from bumpscope.config.loading import read_yaml, validate
from bumpscope.config.plan import gpu_seconds, multiply_adds

PRESET = ROOT / "workflow" / "presets" / "paper.yaml"
HOURS = 1  # of one GPU, in which the paper preset should fit
TRIAL_RATE = 159  # run-steps/s of eight runs, 32 px, 1.5 M, in the trial below
GPU_TABLES = ("equality", "training", "profile", "cpu", "sampling", "compiled")  # of benchmarks/gpu.sh
EARLIER_TRIAL = f"""\
**An earlier trial** on one NVIDIA H200 (torch 2.11, CUDA 13.0), before the package recorded steps; its graphs were made
by hand, with the draws inside. A whole step in ms; in float32 convolutions were allowed TF32.

| network | batch | step by step | diffusers | lucidrains | in one graph |
| --- | --- | --- | --- | --- | --- |
| 16 px, 0.4 M | 64 | 33.3 | 36.5 | 57.5 | 5.15 |
| 32 px, 1.5 M | 64 | 32.4 | 68.3 | 74.0 | 7.66 |
| 32 px, 23 M | 16 | 34.4 | 51.3 | 64.0 | 9.09 |
| 32 px, 23 M | 128 | 38.0 (bfloat16 54.2) | – | – | 30.5 (bfloat16 26.9) |

Step by step, a small and a large network take the same time: launching kernels is the limit. Steps of all runs a second
when runs share the card:

| how | 16 px, 0.4 M | 32 px, 1.5 M |
| --- | --- | --- |
| one process, step by step | 30 | 31 |
| 4 or 12 processes | 123 or 150 | – |
| one graph, 1 run | 194 | 131 |
| one graph, 8 runs | 888 | {TRIAL_RATE} |
| one graph, 32 runs | 895 | – |

A job took 11 s to start. So a job trains eight runs by default (`runs_per_job`). Sampling was not timed."""


def on_a_gpu(folder: Path) -> str:
    """What benchmarks/gpu.sh measured, where its tables were put beside the others, and an earlier trial."""
    text = (
        "`benchmarks/gpu.sh` takes at most eight minutes of one GPU. It checks that steps recorded as a CUDA graph, in "
        "company and resumed give the bits of steps taken one by one, times training (also compiled) and sampling, "
        "counts kernels, compares CPU and GPU, and trains and measures a 32 px set."
    )
    found = {name: load(f"gpu-{name}", "cuda", folder) for name in GPU_TABLES}
    parts = [f"{name}, on one {one[1]['gpu']}:\n\n{_plain(one[0])}" for name, one in found.items() if one is not None]
    if not parts:
        text += f" {NOT_MEASURED.capitalize()}."
    targets = gpu_targets({name: one[0] for name, one in found.items() if one is not None})
    return "\n\n".join(["## On a GPU", text, targets, *parts, EARLIER_TRIAL])


def gpu_targets(frames: dict[str, pd.DataFrame]) -> str:
    """What is asked of one H100 or H200, what the trial found, and what was measured."""
    rows = [
        ("16 px, 0.4 M: steps of all runs a second", 2000, "895", _most(frames, "16 px, 0.4 M")),
        ("32 px, 1.5 M: steps of all runs a second", 600, str(TRIAL_RATE), _most(frames, "32 px, 1.5 M")),
        ("32 px, 23 M, batch 128: steps a second", 125, "37", _most(frames, "32 px, 23 M, batch 128")),
        (
            "our steps over those of the best peer, recorded too, at the size where that is least",
            3,
            "–",
            _over_peers(frames),
        ),
        ("images a second over those of diffusers' sampler", 10, "–", _over_sampler(frames)),
    ]
    table = [
        {"asked": asked, "target": f"≥ {target:,}", "trial": trial}
        | (
            {"found": NOT_MEASURED, "met": "–"}
            if math.isnan(found)
            else {"found": significant(found), "met": "yes" if found >= target else "**no**"}
        )
        for asked, target, trial, found in rows
    ]
    return markdown(pd.DataFrame(table))


def _most(frames: dict[str, pd.DataFrame], size: str, peer: bool = False, precision: str = "") -> float:
    """The most steps a second of all runs at a size, of our loops or of a peer's; NaN where not measured."""
    if "training" not in frames:
        return math.nan
    frame = frames["training"]
    rows = frame[(frame["size"] == size) & (frame["loop"].str.startswith("bumpscope") != peer)]
    rows = rows[rows.precision == precision] if precision else rows
    return float(rows.run_steps_a_second.max()) if len(rows) else math.nan


def _over_peers(frames: dict[str, pd.DataFrame]) -> float:
    """The least ratio over sizes, in float32."""
    sizes = frames["training"]["size"].unique() if "training" in frames else ()
    ratios = [_most(frames, size, precision="float32") / _most(frames, size, peer=True) for size in sizes]
    return min((ratio for ratio in ratios if not math.isnan(ratio)), default=math.nan)


def _over_sampler(frames: dict[str, pd.DataFrame]) -> float:
    if "sampling" not in frames:
        return math.nan
    rate = frames["sampling"].set_index("sampler").images_a_second
    return float(rate["bumpscope, DDIM"] / rate.get("diffusers, DDIM", math.nan))


def _plain(frame: pd.DataFrame) -> str:
    """Any table, with numbers to three digits."""
    shown = frame.dropna(axis=1, how="all").astype(object).where(frame.notna(), np.nan)
    cells = shown.map(lambda value: significant(value) if isinstance(value, float) else str(value))
    return markdown(cells.rename(columns=lambda name: name.replace("_", " ")))


def paper_preset() -> str:
    """The work of the paper preset, and the throughput that its GPU-hour asks for."""
    runs = list(validate(read_yaml(PRESET)).runs())
    images = [3 * run.training.steps * run.training.batch_size for run in runs]  # backward costs two forwards
    probed = [len(run.probe.checkpoints) * run.probe.samples * run.probe.sampling_steps for run in runs]
    forward = [2 * multiply_adds(run.lattice.image_size, run.model) for run in runs]
    trained, sampled = (sum(np.multiply(forward, count)) for count in (images, probed))
    needed = (trained + sampled) / (HOURS * 3600)
    steps = sum(run.training.steps for run in runs)
    return (
        f"## The paper preset on a GPU\n\nIts {len(runs)} runs take {trained / 1e15:,.1f} PFLOP of training and "
        f"{sampled / 1e15:,.1f} PFLOP of sampling. In {HOURS} GPU-hour that is {needed / 1e12:,.1f} TFLOP/s. "
        f"The throughput of a GPU: {NOT_MEASURED}. At the {TRIAL_RATE} run-steps/s of the earlier trial its "
        f"{steps:,} steps of training take {steps / TRIAL_RATE / 60:.0f} minutes. The plan with "
        f"start-ups and probing, which was not measured: {sum(map(gpu_seconds, runs)) / 3600:.1f} GPU-hours."
    )
