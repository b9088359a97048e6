"""Write docs/benchmarks.md and its CSV files from the tables in benchmarks/results.

python benchmarks/page.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gpu_page
import pandas as pd
from record import RESULTS, ROOT, load
from writing import NOT_MEASURED, link, markdown, significant, write

from bumpscope.config.loading import load as load_config

DEVICES = {"cpu": "CPU", "cuda": "GPU"}
TARGET_SECONDS, TARGET_GIB = 60, 2  # of planning a thousand runs
TARGET_CPU, TARGET_OVERHEAD, TARGET_PROBING = 1.5, 0.15, 1.0
LEAST_SHARE = 0.005  # of core-seconds, of what is shown
MOST_GROWING = 3  # commands whose memory grows most with the number of runs
INTRODUCTION = """\
Speed against other code, where the time goes, and how cost grows. `make benchmarks` takes half
an hour on a quiet machine after the default experiment; the commands below repeat a part, with `--device cuda` on a
GPU. Everything is float32 on one thread unless it says otherwise. Brackets hold quartiles. Install the peers with

```bash
.venv/bin/pip install --no-deps --target benchmarks/.packages -r benchmarks/requirements.lock
```"""


@dataclass(frozen=True)
class Target:
    """One thing asked: what, the target, what was found, and whether that meets it."""

    asked: str
    target: str
    found: str
    met: bool


def targets(frames: dict[str, pd.DataFrame]) -> list[Target]:
    """Everything with a target, of the tables that were measured on the CPU."""
    found = []
    if "training" in frames:
        frame = frames["training"]
        worst = frame.loc[frame.ratio[~frame.name.str.startswith("bumpscope")].idxmin()]
        asked, found_text = "time of a training step, best peer over ours", f"{worst.ratio:.2f} ({worst['size']})"
        found.append(Target(asked, f"≥ {TARGET_CPU}", found_text, bool(worst.ratio >= TARGET_CPU)))
    if "workflow" in frames:
        share = frames["workflow"].query("overhead").share.sum()
        asked = "share of core-seconds outside training, probing and analysis"
        found.append(Target(asked, f"< {TARGET_OVERHEAD:.0%}", f"{share:.1%}", bool(share < TARGET_OVERHEAD)))
    if "workflow-runs" in frames:
        frame = frames["workflow-runs"]
        ratio = (frame.runs * (frame.probing + frame.analysis)).sum() / (frame.runs * frame.training).sum()
        asked = "probing and analysis over training"
        found.append(Target(asked, f"≤ {TARGET_PROBING:g}", f"{ratio:.2f}", bool(ratio <= TARGET_PROBING)))
    if "dry-run" in frames:
        seconds, memory = frames["dry-run"].seconds.max(), frames["dry-run"].memory.max() / 1024
        asked, text = f"planning {frames['dry-run'].n.max():,} runs", f"{significant(seconds)} s, {memory:.2f} GiB"
        met = bool(seconds < TARGET_SECONDS and memory < TARGET_GIB)
        found.append(Target(asked, f"< {TARGET_SECONDS} s, {TARGET_GIB} GiB", text, met))
    return found


def training(frame: pd.DataFrame) -> str:
    """A row a size: our step, and the peers' time over ours."""
    rows = []
    for size, part in frame.groupby("size", sort=False):
        ours = part.iloc[0]
        row = {"size": size, "ours, ms": _milliseconds(ours)}
        row["images/s"] = significant(ours.images_a_second)
        rows.append(row | {f"{peer.name} over ours": f"{peer.ratio:.2f}" for peer in part.iloc[1:].itertuples()})
    return markdown(pd.DataFrame(rows).fillna("–"))


def _milliseconds(row: pd.Series) -> str:
    return f"{significant(1e3 * row.seconds)} [{significant(1e3 * row.low)}, {significant(1e3 * row.high)}]"


def sampling(frame: pd.DataFrame) -> str:
    table = pd.DataFrame({"sampler": frame.name, "steps": frame.steps})
    table["images/s"] = frame.images_a_second.map(significant)
    table["time over ours"] = frame.ratio.map("{:.2f}".format)
    return markdown(table)


def agreement(frame: pd.DataFrame) -> str:
    """Outcomes of our sampler against those of diffusers' schedulers."""
    table = pd.DataFrame({"checkpoint": frame.step, "diffusers": frame.sampler.str.removeprefix("diffusers' ")})
    table["same outcome"] = frame.same_outcome.map("{:.1%}".format)
    table["correct, ours"] = frame.correct_ours.map("{:.1%}".format)
    table["theirs"] = frame.correct.map("{:.1%}".format)
    table["distance, px"] = frame.median_distance.map("{:.1e}".format)
    return markdown(table)


def limit(frame: pd.DataFrame) -> str:
    """Achieved FLOP/s against those of the same matrix products alone."""
    table = pd.DataFrame({"size": frame["size"], "step, GFLOP/s": frame.step_gflops.map(significant)})
    table["of the products' speed"] = frame.of_products.map("{:.0%}".format)
    return markdown(table)


def engine(frame: pd.DataFrame) -> str:
    """Variants of the training step; the fetching of a batch alone is only in the full table."""
    frame = frame[~frame.name.str.startswith("a batch")]
    table = pd.DataFrame({"variant": frame.name, "ms": (1e3 * frame.seconds).map(significant)})
    table["over plain"] = frame.ratio.map("{:.2f}".format)
    table[""] = frame.verdict
    return "\n\n".join([markdown(table), *_compiling(frame)])


def _compiling(frame: pd.DataFrame) -> list[str]:
    """Where compiling was timed, the steps after which it pays."""
    if "first_step" not in frame or frame.first_step.isna().all():
        return []
    compiled = frame.dropna(subset="first_step").iloc[0]
    first, later = compiled["first_step"], compiled["first_step_later"]
    saved = frame.loc[frame["name"] == "+ channels last", "seconds"].iloc[0] - compiled["seconds"]
    earned = f"{significant(later / saved)} steps earn back" if saved > 0 else "no number of steps earns back"
    steps = [run.training.steps for run in load_config(ROOT / "config.yaml").runs()]
    return [
        f"The first compiled step takes {significant(first)} s on a machine and {significant(later)} s in each later "
        f"process, which {earned}. The default experiment has {len(steps)} runs of "
        f"{significant(sum(steps) / len(steps))} steps on average."
    ]


def workflow(frame: pd.DataFrame) -> str:
    """Shares of wall time times cores."""
    shown = frame[frame.share >= LEAST_SHARE]
    table = pd.DataFrame({"what": shown.what, "core-seconds": shown.core_seconds.map("{:,.0f}".format)})
    table["share"] = shown.share.map("{:.1%}".format)
    return f"{markdown(table)}\n\n{frame.wall.iloc[0] / 60:.1f} minutes on {frame.cores.iloc[0]} cores."


def growth(frame: pd.DataFrame) -> str:
    """A row a curve: its ends and its slope."""
    rows = []
    for (cost, against), curve in frame.groupby(["cost", "against"], sort=False):
        size = f"{curve.n.iloc[0]:,} to {curve.n.iloc[-1]:,} {against}"
        seconds = f"{significant(curve.seconds.iloc[0], 2)} to {significant(curve.seconds.iloc[-1], 2)}"
        rows.append({"cost": cost, "size": size, "seconds": seconds, "slope": _slope(curve)})
    return markdown(pd.DataFrame(rows))


def _slope(curve: pd.DataFrame) -> str:
    return f"{curve.slope.iloc[0]:.2f} ± {curve.slope_error.iloc[0]:.2f}"


def dry_run(frame: pd.DataFrame) -> str:
    """The most runs of each shape."""
    most = frame[frame.n == frame.groupby("cost").n.transform("max")]
    table = pd.DataFrame({"runs": most.n.map("{:,}".format), "shape": most.cost})
    table["seconds"] = most.seconds.map(significant)
    table["MiB"] = most.memory.map("{:,.0f}".format)
    table["jobs"] = most.jobs.map("{:,}".format)
    table["submissions"] = most.submissions.map("{:,}".format)
    return markdown(table)


def aggregation(frame: pd.DataFrame) -> str:
    """The commands whose memory grows most with the number of runs, and the slowest."""
    rows = []
    for cost, curve in frame.groupby("cost", sort=False):
        few, most = curve.loc[curve.n.idxmin()], curve.loc[curve.n.idxmax()]
        grows = 1024 * (most.memory - few.memory) / (most.n - few.n)
        row = {"command": cost, "seconds": significant(most.seconds), "MiB": f"{most.memory:,.0f}"}
        rows.append(row | {"KiB a run": grows, "slowest": most.seconds})
    table = pd.DataFrame(rows).sort_values("KiB a run", ascending=False, kind="stable")
    slowest = table[table.slowest == table.slowest.max()]
    table = pd.concat([table.head(MOST_GROWING), slowest]).drop_duplicates("command").drop(columns="slowest")
    table["KiB a run"] = table["KiB a run"].map("{:,.0f}".format)
    return f"At {frame.n.max():,} runs, of {frame.cost.nunique()} commands:\n\n{markdown(table)}"


# Heading, table, how it is made into text, what was done, and the command that does it again.
SECTIONS: list[tuple[str, str, Callable[[pd.DataFrame], str], str, str]] = [
    (
        "Training",
        "training",
        training,
        "A step of each loop in turn, from drawing a batch to the moving average. The peers have the same feature-map "
        "sizes, halvings and attention, and draw without labels (`benchmarks/peers.py`).",
        "training.py",
    ),
    (
        "Sampling",
        "sampling",
        sampling,
        "Requested centres with untrained networks of the 16 px size.",
        "sampling.py",
    ),
    (
        "Do the samplers agree?",
        "agreement",
        agreement,
        "Two checkpoints of the default experiment: our 25-step DDIM against diffusers' schedulers with the same "
        "network and starting noise, and the median distance of single bumps.",
        "sampling.py",
    ),
    (
        "Distance to the limit",
        "limit",
        limit,
        "A training step against its matrix products alone. Above 100% the convolutions are faster than such products.",
        "limit.py",
    ),
    (
        "Changes to the training step",
        "engine",
        engine,
        "The default network, each row with the changes before it; options come on top of what was kept.",
        "engine.py",
    ),
    (
        "Where the time of the default experiment goes",
        "workflow",
        workflow,
        "The whole workflow in an empty folder.",
        "workflow.py --output DIR",
    ),
    (
        "Cost as the work grows",
        "growth",
        growth,
        "The slope is that of log time over log size: 1 is twice the time for twice the work.",
        "growth.py",
    ),
    (
        "Planning many runs",
        "dry-run",
        dry_run,
        "A dry run, imports included. Submissions are those of `profiles/slurm`, which groups small jobs.",
        "dry_run.py",
    ),
    (
        "Bringing many runs together",
        "aggregation",
        aggregation,
        "Commands that read all runs, with those of the default experiment repeated under other seeds.",
        "aggregation.py --results DIR",
    ),
]
# Tables that a section links to beside its own.
MORE = {"engine": ("profile",), "workflow": ("workflow-steps", "workflow-runs")}


def kept(folder: Path) -> dict[tuple[str, str], tuple[pd.DataFrame, dict[str, str]]]:
    """Every table that was measured, by name and device."""
    names = [name for _, own, *_ in SECTIONS for name in (own, *MORE.get(own, ()))]
    every = {(name, device): load(name, device, folder) for name in names for device in DEVICES}
    return {key: found for key, found in every.items() if found is not None}


def tables(folder: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """The full tables beside the page, by name of their file."""
    found = {f"benchmarks-{name}-{device}": frame for (name, device), (frame, _) in kept(folder).items()}
    return found | {f"benchmarks-gpu-{name}-cuda": frame for name, (frame, _) in gpu_page.kept(folder).items()}


def page(folder: Path = RESULTS) -> str:
    """The page's text."""
    found = kept(folder)
    asked = targets({name: frame for (name, device), (frame, _) in found.items() if device == "cpu"})
    parts = ["# Benchmarks", INTRODUCTION]
    for device, label in DEVICES.items():
        every = [facts for (_, of), (_, facts) in found.items() if of == device]
        every += [facts for _, facts in gpu_page.kept(folder).values()] if device == "cuda" else []
        where = {f"{facts.get('gpu', facts['processor'])}, torch {facts['torch']}, {facts['date']}" for facts in every}
        parts.append(f"{label}: {'; '.join(sorted(where)) or NOT_MEASURED}.")
    if asked:
        rows = [(one.asked, one.target, one.found, "yes" if one.met else "**no**") for one in asked]
        parts.append(markdown(pd.DataFrame(rows, columns=["asked", "target", "found", "met"])))
    for heading, name, text, how, command in SECTIONS:
        of = [device for device in DEVICES if (name, device) in found]
        keys = [key for key in found if key[0] in (name, *MORE.get(name, ()))]
        links = ", ".join(link(f"benchmarks-{table}-{device}", f"{table}-{device}") for table, device in keys)
        result = f"In full: {links}." if links else f"{NOT_MEASURED.capitalize()}."
        parts += [f"## {heading}", f"{how} `python benchmarks/{command}`. {result}"]
        parts += [text(found[name, device][0]) for device in of]
    return "\n\n".join([*parts, gpu_page.on_a_gpu(folder), gpu_page.paper_preset()]) + "\n"


if __name__ == "__main__":
    write("benchmarks", page(), tables())
