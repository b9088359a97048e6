"""Write docs/benchmarks.md from the tables in benchmarks/results, and from nothing else.

python benchmarks/page.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from record import RESULTS, load

from bumpscope.config.experiment import read_yaml, validate
from bumpscope.config.plan import multiply_adds
from bumpscope.store.files import atomic_path

ROOT = Path(__file__).parent.parent
PAGE, PRESET = ROOT / "docs" / "benchmarks.md", ROOT / "workflow" / "presets" / "paper.yaml"
HOURS = 2  # of one GPU, in which the paper preset's grid should fit
NOT_MEASURED = "not measured"
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
TARGET_SECONDS, TARGET_GIB = 60, 2  # of planning a thousand runs
TARGET_CPU, TARGET_OVERHEAD, TARGET_PROBING = 1.5, 0.15, 1.0


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown; numbers as they are already written out."""
    lines = [" | ".join(frame.columns), " | ".join("---" for _ in frame.columns)]
    lines += [" | ".join(str(value) for value in row) for row in frame.itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in lines)


def significant(value: float, digits: int = 3) -> str:
    """A number to some significant digits, without an exponent."""
    if not np.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{places}f}"


def training(frame: pd.DataFrame) -> str:
    """Training throughput and the ratio to the best peer at each size."""
    best = frame[~frame.name.str.startswith("bumpscope")].groupby("size", sort=False).ratio.min()
    table = pd.DataFrame(
        {
            "size": frame["size"],
            "loop": frame.name,
            "parameters": frame.parameters.map("{:,}".format),
            "batch": frame.batch,
            "GFLOP a step": frame.gflop_a_step.map(significant),
            "ms a step (quartiles)": [
                f"{significant(1e3 * row.seconds)} ({significant(1e3 * row.low)} to {significant(1e3 * row.high)})"
                for row in frame.itertuples()
            ],
            "images/s": frame.images_a_second.map(significant),
            "time over ours": frame.ratio.map("{:.2f}".format),
        }
    )
    ratios = ", ".join(f"{size}: {ratio:.2f}" for size, ratio in best.items())
    met = "met" if (best >= TARGET_CPU).all() else "not met"
    return (
        f"{markdown(table)}\n\nTime of the best peer over ours, {ratios}. On a CPU the target is {TARGET_CPU}: {met}."
    )


def sampling(frame: pd.DataFrame) -> str:
    """Sampling throughput."""
    table = pd.DataFrame(
        {
            "sampler": frame.name,
            "steps": frame.steps,
            "images timed": frame.images,
            "parameters": frame.parameters.map("{:,}".format),
            "images/s": frame.images_a_second.map(significant),
            "time an image over ours": frame.ratio.map("{:.2f}".format),
        }
    )
    return markdown(table)


def agreement(frame: pd.DataFrame) -> str:
    """Outcomes of our sampler against those of diffusers' schedulers."""
    table = pd.DataFrame(
        {
            "checkpoint": frame.step,
            "compared with": frame.sampler,
            "centres": frame.centres,
            "same outcome": frame.same_outcome.map("{:.1%}".format),
            "correct, ours": frame.correct_ours.map("{:.1%}".format),
            "correct, theirs": frame.correct.map("{:.1%}".format),
            "median distance of single bumps, px": frame.median_distance.map(significant),
        }
    )
    return markdown(table)


def limit(frame: pd.DataFrame) -> str:
    """Achieved FLOP/s against those of the same matrix products alone."""
    table = pd.DataFrame(
        {
            "size": frame["size"],
            "GFLOP a step": frame.gflop_a_step.map(significant),
            "training step, GFLOP/s": frame.step_gflops.map(significant),
            "same products alone, GFLOP/s": frame.products_gflops.map(significant),
            "large square product, GFLOP/s": frame.peak_gflops.map(significant),
            "of the products' speed": frame.of_products.map("{:.0%}".format),
        }
    )
    return markdown(table)


def engine(frame: pd.DataFrame) -> str:
    """Variants of the training step; the ratio is to the first of each kind."""
    table = pd.DataFrame(
        {
            "variant": frame.name,
            "ms (quartiles)": [
                f"{significant(1e3 * row.seconds)} ({significant(1e3 * row.low)} to {significant(1e3 * row.high)})"
                for row in frame.itertuples()
            ],
            "time over the first": frame.ratio.map("{:.2f}".format),
            "": frame.verdict,
        }
    )
    return markdown(table)


def profile(frame: pd.DataFrame) -> str:
    """Milliseconds a step by kind of operation."""
    total = frame[["before", "after"]].sum()
    rows = pd.concat([frame, pd.DataFrame([{"operations": "in all", **total}])], ignore_index=True)
    table = pd.DataFrame(
        {
            "operations": rows.operations,
            "before, ms a step": rows.before.map(significant),
            "after, ms a step": rows.after.map(significant),
        }
    )
    return markdown(table)


def workflow(frame: pd.DataFrame) -> str:
    """Shares of wall time times cores."""
    share = frame.loc[frame.overhead, "share"].sum()
    table = pd.DataFrame(
        {
            "what": frame.what,
            "core-seconds": frame.core_seconds.map("{:,.0f}".format),
            "share": frame.share.map("{:.1%}".format),
        }
    )
    wall, cores = frame.wall.iloc[0], frame.cores.iloc[0]
    met = "met" if share < TARGET_OVERHEAD else "not met"
    return (
        f"{markdown(table)}\n\n{wall / 60:.1f} minutes of wall time on {cores} cores. Neither training, probing nor "
        f"analysis: {share:.1%}; the target is under {TARGET_OVERHEAD:.0%}: {met}."
    )


def workflow_steps(frame: pd.DataFrame) -> str:
    """Jobs of each step, their cost and their memory."""
    table = pd.DataFrame(
        {
            "step": frame.command,
            "jobs": frame.jobs,
            "work, core-seconds": frame.work.map("{:,.1f}".format),
            "imports, core-seconds": frame.starting.map("{:,.1f}".format),
            "largest memory, MiB": frame.max_rss.map(lambda value: significant(value)),
        }
    )
    return markdown(table)


def workflow_runs(frame: pd.DataFrame) -> str:
    """What probing and analysis cost beside training, a row a dataset."""
    ratio = (frame.probing + frame.analysis) / frame.training
    table = pd.DataFrame(
        {
            "dataset": frame.dataset,
            "runs": frame.runs,
            "training, s a run": frame.training.map("{:.0f}".format),
            "probing, s a run": frame.probing.map("{:.0f}".format),
            "analysis, s a run": frame.analysis.map("{:.0f}".format),
            "probing and analysis over training": ratio.map("{:.2f}".format),
        }
    )
    whole = (frame.runs * (frame.probing + frame.analysis)).sum() / (frame.runs * frame.training).sum()
    met = "met" if whole <= TARGET_PROBING else "not met"
    return (
        f"{markdown(table)}\n\nProbing and analysis over training in all runs together: {whole:.2f}; the target is at "
        f"most {TARGET_PROBING:g}: {met}."
    )


def growth(frame: pd.DataFrame) -> str:
    """Times and slopes, a row a curve."""
    rows = []
    for (cost, against), curve in frame.groupby(["cost", "against"], sort=False):
        at = " / ".join(f"{n:,}" for n in curve.n)
        rows.append({"cost": cost, "against": against, "at": at, **_curve(curve)})
    return markdown(pd.DataFrame(rows))


def _curve(curve: pd.DataFrame) -> dict[str, str]:
    return {
        "seconds": " / ".join(significant(value) for value in curve.seconds),
        "slope": f"{curve.slope.iloc[0]:.2f} ± {curve.slope_error.iloc[0]:.2f}",
    }


def dry_run(frame: pd.DataFrame) -> str:
    """Planning and submitting many runs, a row a shape and number of runs, and whether the limits hold."""
    table = pd.DataFrame(
        {
            "many runs": frame.cost,
            "runs": frame.n.map("{:,}".format),
            "datasets": frame.datasets,
            "seconds": frame.seconds.map(significant),
            "peak memory, MiB": frame.memory.map("{:,.0f}".format),
            "jobs": frame.jobs.map("{:,}".format),
            "submissions": frame.submissions.map("{:,}".format),
        }
    )
    slopes = ", ".join(f"{cost}: {_curve(curve)['slope']}" for cost, curve in frame.groupby("cost", sort=False))
    seconds, memory = frame.seconds.max(), frame.memory.max() / 1024
    met = "met" if seconds < TARGET_SECONDS and memory < TARGET_GIB else "not met"
    return (
        f"{markdown(table)}\n\nSlope of log time against log runs, {slopes}. At most {significant(seconds)} s and "
        f"{memory:.2f} GiB; the target is under {TARGET_SECONDS} s and {TARGET_GIB} GiB: {met}."
    )


def aggregation(frame: pd.DataFrame) -> str:
    """Time and memory of what reads all runs, a row a command, those whose memory grows most first."""
    rows, counts = [], sorted(frame.n.unique())
    for cost, curve in frame.groupby("cost", sort=False):
        memory = curve.sort_values("n").memory.to_numpy()
        rows.append(
            {"command": cost, **_curve(curve), "peak memory, MiB": " / ".join(f"{value:,.0f}" for value in memory)}
            | {"KiB a run": 1024 * (memory[-1] - memory[0]) / (counts[-1] - counts[0])}
        )
    table = pd.DataFrame(rows).sort_values("KiB a run", ascending=False, kind="stable")
    table["KiB a run"] = table["KiB a run"].map("{:,.0f}".format)
    at = " / ".join(f"{count:,}" for count in counts)
    return f"Times and memory at {at} runs:\n\n{markdown(table)}"


# Heading, table, how it is made into text, what was done, and the command that does it again.
SECTIONS: list[tuple[str, str, Callable[[pd.DataFrame], str], tuple[str, ...], str, str]] = [
    (
        "Training against the loops that people use",
        "training",
        training,
        ("cpu", "cuda"),
        "One step of each loop in turn, over and over; medians. A step is drawing a batch, noising, forward, backward, "
        "clipping, the optimiser and the moving average, in float32, on one thread. The peers have the same number of "
        "halvings and one head of attention at the same feature-map sizes; they draw without labels. FLOPs are those "
        "that torch counts. What differs is said in benchmarks/peers.py.",
        "python benchmarks/training.py",
    ),
    (
        "Sampling against diffusers",
        "sampling",
        sampling,
        ("cpu", "cuda"),
        "1,000 requested centres with untrained networks of the 16 px size, one thread, in batches of nearly the same "
        "size; the thousand-step loop is timed on fewer images.",
        "python benchmarks/sampling.py",
    ),
    (
        "Do the samplers agree?",
        "agreement",
        agreement,
        ("cpu",),
        "Two checkpoints of a run of the default experiment: our 25-step DDIM against diffusers' schedulers driving "
        "the same network from the same starting noise.",
        "python benchmarks/sampling.py",
    ),
    (
        "Distance to the limit",
        "limit",
        limit,
        ("cpu", "cuda"),
        "The matrix products of a training step (each convolution as the product of its patches with its kernels, and "
        "its two gradients; linear layers likewise) timed alone as plain products of the same sizes, on one thread. A "
        "share above 100% means that the convolutions are faster than such products.",
        "python benchmarks/limit.py",
    ),
    (
        "What each change to the training step is worth",
        "engine",
        engine,
        ("cpu",),
        "The default network (16 px, batch 64) on one thread, each row with the changes of the rows before it; the "
        "options come on top of all that was kept. The last two rows are the fetching of a batch alone.",
        "python benchmarks/engine.py --compile",
    ),
    (
        "The profile of the training step, before and after",
        "profile",
        profile,
        ("cpu",),
        "The first and the last of the variants kept above under torch's profiler, which itself takes time, more of it "
        "where operations are many and small.",
        "python benchmarks/engine.py",
    ),
    (
        "Where the time of the default experiment goes",
        "workflow",
        workflow,
        ("cpu",),
        "The whole workflow in an empty folder. Every step logs how long it worked and how long its imports took; the "
        "rest of wall time times cores is the last row.",
        "python benchmarks/workflow.py --output DIR",
    ),
    (
        "The default experiment by step",
        "workflow-steps",
        workflow_steps,
        ("cpu",),
        "The same run. Memory is that of the largest job, as Snakemake saw it.",
        "python benchmarks/workflow.py --output DIR",
    ),
    (
        "The default experiment by dataset",
        "workflow-runs",
        workflow_runs,
        ("cpu",),
        "The same run: seconds of work, imports left out, compilation of UMAP included.",
        "python benchmarks/workflow.py --output DIR",
    ),
    (
        "Cost as the work grows",
        "growth",
        growth,
        ("cpu",),
        "Seconds on one core, with the slope of log time against log size: 1 is twice the time for twice the work. The "
        "samples' rows have one cloud of 512-dimensional vectors.",
        "python benchmarks/growth.py",
    ),
    (
        "Planning many runs",
        "dry-run",
        dry_run,
        ("cpu",),
        "A dry run: the configuration, the DAG, the plan, Snakemake's start and the imports. Of the jobs, which are "
        "those that do not run where Snakemake does, `profiles/slurm` puts small ones together: submissions are those "
        "that a dry run with it prints. What trains and probes a run is submitted alone.",
        "python benchmarks/dry_run.py",
    ),
    (
        "Bringing many runs together",
        "aggregation",
        aggregation,
        ("cpu",),
        "Each command with the runs of the default experiment over and over, under other seeds: seconds with its "
        "imports, peak memory, and by how much that grows with each run from the fewest to the most. Tables and "
        "figures that have a row or a curve a run grow with them; a run's own tables are let go before the next is "
        "read.",
        "python benchmarks/aggregation.py --results DIR",
    ),
]


def paper_preset() -> str:
    """What two GPU-hours for the paper preset's grid would take; no time, since no GPU's throughput is known."""
    runs = list(validate(read_yaml(PRESET)).runs())
    images = [3 * run.training.steps * run.training.batch_size for run in runs]  # backward costs two forwards
    probed = [len(run.probe.checkpoints) * run.probe.samples * run.probe.sampling_steps for run in runs]
    forward = [2 * multiply_adds(run.lattice.image_size, run.model) for run in runs]
    trained, sampled = (sum(np.multiply(forward, count)) for count in (images, probed))
    needed = (trained + sampled) / (HOURS * 3600)
    return (
        f"## The paper preset on a GPU\n\nIts {len(runs)} runs take {trained / 1e15:,.0f} PFLOP of training and "
        f"{sampled / 1e15:,.0f} PFLOP of sampling. {HOURS} GPU-hours for all of it need {needed / 1e12:,.0f} TFLOP/s, "
        f"sustained. The throughput of a GPU: {NOT_MEASURED}, so neither is the time."
    )


def page(folder: Path = RESULTS) -> str:
    """The whole page."""
    parts = [
        "# Benchmarks",
        "Written by `python benchmarks/page.py` from the tables in `benchmarks/results`. The peers beyond the lock are "
        "installed by\n\n```bash\n.venv/bin/pip install --no-deps --target benchmarks/.packages "
        "-r benchmarks/requirements.lock\n```\n\nand the commands below run with `.venv/bin/python`. A GPU's rows are "
        "made with `--device cuda`.",
    ]
    for heading, name, text, devices, how, command in SECTIONS:
        parts += [f"## {heading}", f"{how} Again: `{command}`."]
        for device in devices:
            found = load(name, device, folder)
            if found is None:
                parts.append(f"{DEVICES[device]}: {NOT_MEASURED}.")
                continue
            frame, facts = found
            where = facts.get("gpu", facts["processor"])
            parts.append(f"{DEVICES[device]} ({where}; torch {facts['torch']}; {facts['date']}):")
            parts.append(text(frame))
    return "\n\n".join([*parts, paper_preset()]) + "\n"


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"written: docs/{PAGE.name}")
