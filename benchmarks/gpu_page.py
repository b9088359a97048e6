"""What docs/benchmarks.md says of GPUs: what benchmarks/gpu.sh measured, and what it did not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from record import RESULTS, ROOT, load, read_table
from writing import NOT_MEASURED, link, markdown, significant

from bumpscope.config.loading import load as load_config
from bumpscope.config.plan import gpu_seconds, gpu_step_seconds, multiply_adds

PRESETS = ROOT / "workflow" / "presets"
INTRODUCTION = (
    "`benchmarks/gpu.sh` takes at most eight minutes of one GPU. It compares steps taken one by one with steps "
    "recorded as a CUDA graph, in company and resumed, times training and sampling, counts kernels, compares CPU and "
    "GPU, and trains and measures a 32 px set."
)
PRECISIONS = {"float32": "float32", "tf32": "TF32", "bfloat16": "bfloat16"}
# Measured beside gpu.sh, on this card and day: a profile of plain steps, and changes that were not kept.
BESIDE = {"gpu": "NVIDIA H200", "date": "2026-11-27"}
WHY = """\
**Why targets are missed**, as far as a profile of plain steps tells, which `benchmarks/gpu.sh` did not reach. A 16 px
step is 1,331 kernels, so 734 of them a second are a kernel a microsecond; no single one takes over a tenth of the
time. A 32 px step in float32 takes 9.1 ms of kernels, and runs side by side gain little. Of 26 ms of kernels in a 23 M
step in bfloat16, copies and casts take 8. Compiled steps were not profiled.

Tried and not kept, for eight runs at 16 px (13.8 ms): convolutions as products of unfolded images (35.2 ms) or in
Triton (14.6 ms), and channels last in float32 (46.7 ms). The rows of this profile and of these trials were not kept."""
SET = ("topology", "geometry", "phases")
OF_STEPS = ("training", "recorded", "compiled")
Frames = dict[str, pd.DataFrame]


def equality(frames: Frames) -> str:
    """Which comparisons of weights and moments are the same to the bit."""
    frame = frames["equality"]
    cells = frame.reference.str.replace("none", "unet") + ", " + frame.precision + ", " + frame.comparison
    differ = "; ".join(cells[~frame.same])
    text = f"Recorded, in company and resumed, {frame.same.sum()} of {len(frame)} training states have the bits of "
    text += "steps taken one by one" + (f", but not: {differ}." if differ else ".")
    if "compiled" in frames and "weights_apart_from_plain" in frames["compiled"]:
        apart = frames["compiled"].groupby("precision", sort=False).max(numeric_only=True)
        plain = ", ".join(f"{value:.0e} ({PRECISIONS[name]})" for name, value in apart.weights_apart_from_plain.items())
        company = apart.weights_apart_in_company.max()
        told = "have the same bits in company" if company == 0 else f"differ in company by {company:.0e}"
        text += f" Compiled steps {told}; ten of them change weights, against plain ones, by {plain} of their norm."
    return text


def steps(frames: Frames) -> str:
    """Steps of all runs a second: a row for each size and number of runs, a column for each loop."""
    parts = [frames[name] for name in OF_STEPS if name in frames]
    frame = pd.concat(parts, ignore_index=True)
    if "run_steps_a_second" not in frame:  # whatever was tried has failed
        return ""
    frame = frame.dropna(subset="run_steps_a_second")
    # Steps one by one are bound by the processor, so one precision tells it all.
    frame = frame[~frame["loop"].str.endswith("one by one") | (frame.precision == "float32")]
    frame = frame.assign(column=[_column(*cells) for cells in zip(frame["loop"], frame.precision, strict=True)])
    rows = []
    for (size, runs), cells in frame.groupby(["size", "runs"], sort=False):
        rates = cells.set_index("column").run_steps_a_second.map(significant)
        rows.append({"size": size, "runs": runs} | rates.to_dict())
    columns = [name for precision in PRECISIONS for name in (_column("", precision), _column("compiled", precision))]
    shown = ["size", "runs", "one by one", "diffusers", "diffusers, recorded", *columns]
    table = pd.DataFrame(rows).sort_values(["size", "runs"], kind="stable")
    return "Steps of all runs a second; one by one and diffusers in float32:\n\n" + markdown(
        table[[name for name in shown if name in table]].fillna("–")
    )


def _column(loop: str, precision: str) -> str:
    if loop.endswith("one by one"):
        return "one by one"
    compiled = ", compiled" if loop.endswith("compiled") else ""
    return loop if loop.startswith("diffusers") else PRECISIONS[precision] + compiled


def sampling(frames: Frames) -> str:
    frame = frames["sampling"]
    rates = "; ".join(f"{row.sampler}: {row.images_a_second:,.0f}" for row in frame.itertuples())
    apart = frame.largest_difference.max() if "largest_difference" in frame else math.nan
    return f"Images of 16 px a second: {rates}" + (", with the same bits." if apart == 0 else ".")


def profile(frames: Frames) -> str:
    """Kernels of a step and their time, with the kind that takes most of it."""
    rows = []
    for (size, precision, compiled), part in frames["profile"].groupby(["size", "precision", "compiled"], sort=False):
        most = part.loc[part.ms_a_step.idxmax()]
        row = {"size": size, "step": f"{PRECISIONS[precision]}, {'compiled' if compiled else 'plain'}"}
        row |= {"kernels": f"{part.a_step.sum():,.0f}", "ms": significant(part.ms_a_step.sum())}
        rows.append(row | {"most": f"{most.kind}, {significant(most.ms_a_step)} ms"})
    return markdown(pd.DataFrame(rows))


def cpu(frames: Frames) -> str:
    frame = frames["cpu"]
    table = pd.DataFrame({"CPU against GPU": frame.what, "size": frame["size"], "precision": frame.precision})
    return markdown(table.assign(value=frame.value.map("{:.1e}".format)))


# Tables of benchmarks/gpu.sh, and how each is told; those of steps are told together.
TABLES: dict[str, Callable[[Frames], str]] = {
    "equality": equality,
    "training": steps,
    "recorded": lambda frames: "" if "training" in frames else steps(frames),
    "compiled": lambda frames: "" if {"training", "recorded"} & set(frames) else steps(frames),
    "sampling": sampling,
    "profile": profile,
    "cpu": cpu,
}


def kept(folder: Path = RESULTS) -> dict[str, tuple[pd.DataFrame, dict[str, str]]]:
    """Every table that was measured, with its hardware."""
    found = {name: load(f"gpu-{name}", "cuda", folder) for name in TABLES}
    return {name: table for name, table in found.items() if table is not None}


def on_a_gpu(folder: Path) -> str:
    """The page's section on GPUs."""
    tables = kept(folder)
    frames = {name: frame for name, (frame, _) in tables.items()}
    missing = ", ".join(name for name in TABLES if name not in frames)
    links = ", ".join(link(f"benchmarks-gpu-{name}-cuda", f"gpu-{name}-cuda") for name in frames)
    text = INTRODUCTION + (f" In full: {links}." if links else "") + (f" Not measured: {missing}." if missing else "")
    parts = [TABLES[name](frames) for name in frames]
    # Of other measurements it would explain what they may not show.
    beside = "training" in tables and "profile" not in tables and BESIDE.items() <= tables["training"][1].items()
    told = [*parts, outcomes(folder), WHY if beside else ""]
    return "\n\n".join(["## On a GPU", text, gpu_targets(frames), *filter(None, told)])


def outcomes(folder: Path) -> str:
    """What the images of the 32 px set show at its last checkpoint."""
    table = read_table(folder / "gpu-set-behaviour.parquet")
    if table is None:
        return ""
    frame = table[0][table[0].step == table[0].step.max()]
    found = frame.outcome.value_counts(normalize=True)
    shares = ", ".join(f"{share:.0%} {name}" for name, share in found.items() if share >= 0.005)
    runs, missing = frame.run.nunique(), []
    for name in SET:
        measured = read_table(folder / f"gpu-set-{name}.parquet")
        if measured is None or measured[0].run.nunique() < runs:
            missing.append(name)
    rest = f" Its {', '.join(missing)}: {NOT_MEASURED}." if missing else ""
    return f"The 32 px set, {runs} runs, at step {frame.step.iloc[0]:,}: {shares}.{rest}"


def gpu_targets(frames: Frames) -> str:
    """What is asked of one H100 or H200, and what was measured."""
    rows = [
        ("16 px, 0.4 M: steps of all runs a second", 2000, _most(frames, "16 px, 0.4 M")),
        ("32 px, 1.5 M: steps of all runs a second", 600, _most(frames, "32 px, 1.5 M")),
        ("32 px, 23 M, batch 128: steps a second", 125, _most(frames, "32 px, 23 M, batch 128")),
        (
            "our steps over those of the best peer, both recorded, at the size where that is least",
            3,
            _over_peers(frames),
        ),
        ("images a second over those of diffusers' sampler", 10, _over_sampler(frames)),
    ]
    table = [
        {"asked": asked, "target": f"≥ {target:,}"}
        | (
            {"found": NOT_MEASURED, "met": "–"}
            if math.isnan(found)
            else {"found": significant(found), "met": "yes" if found >= target else "**no**"}
        )
        for asked, target, found in rows
    ]
    return markdown(pd.DataFrame(table))


def _most(frames: Frames, size: str) -> float:
    """The most steps a second of all our runs at a size, compiled or not; NaN where not measured."""
    rates = [
        frame.run_steps_a_second[(frame["size"] == size) & frame["loop"].str.startswith("bumpscope")].max()
        for name, frame in frames.items()
        if name in ("training", "compiled")
    ]
    return max((float(rate) for rate in rates if not math.isnan(rate)), default=math.nan)


def _over_peers(frames: Frames) -> float:
    """The least ratio over sizes, in float32, of recorded steps that are not compiled; NaN where not measured."""
    if not {"training", "recorded"} <= set(frames):
        return math.nan
    frame = pd.concat([frames["training"], frames["recorded"]], ignore_index=True)
    frame = frame[frame.precision == "float32"].assign(ours=frame["loop"] == "bumpscope")
    frame = frame[frame.ours | frame["loop"].str.endswith(", recorded")].dropna(subset="run_steps_a_second")
    most = frame.pivot_table("run_steps_a_second", "size", "ours", "max")
    return float((most[True] / most[False]).min()) if {True, False} <= set(most) else math.nan


def _over_sampler(frames: Frames) -> float:
    if "sampling" not in frames:
        return math.nan
    rate = frames["sampling"].set_index("sampler").images_a_second
    return float(rate["bumpscope, DDIM"] / rate.get("diffusers, DDIM", math.nan))


def paper_preset() -> str:
    """The work of the paper preset, and its planned time."""
    paper = PRESETS / "paper.yaml"
    small, large = (list(load_config(*files).runs()) for files in ((paper,), (paper, PRESETS / "paper_23m.yaml")))
    # In FLOP, of which a multiply-add is two; backward costs two forwards.
    forward = [2 * multiply_adds(run.lattice.image_size, run.model) for run in small]
    steps = [3 * work * run.training.batch_size for work, run in zip(forward, small, strict=True)]
    counts = [run.training.steps for run in small]
    probed = [len(run.probe.checkpoints) * run.probe.samples * run.probe.sampling_steps for run in small]
    trained, sampled = np.dot(steps, counts), np.dot(forward, probed)
    seconds = np.dot([gpu_step_seconds(step / 2) for step in steps], counts)
    hours = [sum(map(gpu_seconds, runs)) / 3600 for runs in (small, large)]
    return (
        f"## The paper preset on a GPU\n\nIts {len(small)} runs take {trained / 1e15:,.1f} PFLOP of training and "
        f"{sampled / 1e15:,.1f} PFLOP of sampling. At {sum(counts) / seconds:.0f} steps of all runs a second its "
        f"{sum(counts):,} steps take {seconds / 60:.0f} minutes; with start-ups and probing it is planned at "
        f"{hours[0]:.1f} GPU-hours, and at {hours[1]:.1f} with 23 M parameters, compiled in bfloat16."
    )
