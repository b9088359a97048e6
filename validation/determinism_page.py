"""Write docs/determinism.md from the tables in validation/results, and from nothing else.

python validation/determinism_page.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.store.files import atomic_path
from determinism import EARLY, EFFECT_TIMESTEP, METRICS, TRAINING
from judgements import NOT_MEASURED
from truth_tables import RESULTS, ROOT, load, markdown, significant

PAGE = ROOT / "docs" / "determinism.md"
INTRODUCTION = (
    "What is the same to the last bit, what only agrees, and how each is known: by a test, which a copy of the project "
    "runs for itself, or by a table below. Written by `python validation/determinism_page.py`."
)
# What is done, what is the same bit for bit, and the tests that show it.
IDENTICAL: list[tuple[str, str, tuple[str, ...]]] = [
    (
        "killed at any moment and gone on, in any folder",
        "every table and checkpoint",
        (
            "test_workflow.py::test_killed_at_random_moments_every_table_is_what_an_undisturbed_run_gives",
            "test_training.py::test_a_training_killed_for_real_and_run_again_leaves_the_same_bytes",
            "test_training.py::test_a_state_saved_at_any_step_is_resumed_to_the_bit",
        ),
    ),
    (
        "a run alone, or in a grid with others",
        "weights and losses",
        (
            "test_workflow.py::test_a_run_alone_equals_the_same_run_in_a_grid",
            "test_training.py::test_a_run_does_not_depend_on_its_neighbours_or_on_what_was_drawn_before",
            "test_generation.py::test_the_same_images_come_out_whatever_was_drawn_before",
        ),
    ),
    (
        "one job at a time or several, any `--cores`, any `threads` asked of Snakemake",
        "every process computes on one thread, so nothing changes",
        (
            "test_devices.py::test_without_a_gpu_the_cpu_is_used_with_one_thread_and_repeatably",
            "test_workflow.py::test_threads_memory_partition_and_gpus_rerun_nothing",
        ),
    ),
    (
        "here, or on SLURM with jobs cut off and tried again",
        "every table and checkpoint, on processors of one kind",
        (
            "test_slurm.py::test_a_disturbed_workflow_ends_with_the_tables_of_an_undisturbed_one",
            "test_slurm.py::test_a_lost_node_and_a_killed_workflow_change_no_table",
        ),
    ),
    (
        "the numbers of a run read again by `snakemake sensitivity` as configured",
        "behaviour and geometry",
        ("test_workflow.py::test_read_as_configured_a_run_shows_exactly_what_it_shows_in_the_experiment",),
    ),
    (
        "the same weights and words saved twice",
        "the file",
        ("test_checkpoints.py::test_the_same_tensors_make_the_same_file",),
    ),
    (
        "a cloud measured or embedded twice, on one machine",
        "geometry, PCA and UMAP",
        (
            "test_geometry.py::test_the_same_seed_gives_the_same_numbers",
            "test_geometry.py::test_a_cloud_is_embedded_in_three_dimensions_and_the_same_way_each_time",
        ),
    ),
]
# What only agrees, and what shows how closely.
AGREES: list[tuple[str, str, tuple[str, ...]]] = [
    (
        "images drawn in batches of another size",
        "up to rounding; the workflow's batches are always the same",
        ("test_generation.py::test_how_images_are_batched_does_not_matter",),
    ),
    (
        "a compiled training step (`training.compile`)",
        "up to rounding",
        ("test_training.py::test_a_compiled_step_is_the_plain_one_up_to_rounding",),
    ),
    (
        "bfloat16 (`training.precision`)",
        "roughly",
        ("test_training.py::test_bfloat16_takes_nearly_the_same_steps",),
    ),
]
MEASURED = (
    f"One small training (8 px, {TRAINING.steps} steps, cut off while some images come out wrong), each variant in a "
    "process of its own, against the first. Weights: norm of the difference over the norm, of the averaged weights. "
    "Losses: the largest relative difference of a logged one. "
    "Again: `python validation/determinism.py`."
)
NUMBERS = (
    f"What the workflow reads of these networks: share of correct images, median error in px, label effects at t = "
    f"{EFFECT_TIMESTEP}, R² of the requested centre from PCA-3, intrinsic dimension. The last column is the largest "
    "difference of any of them from the first row, in standard deviations over the seeds, the first among them: below "
    "2 or so it is no more than another seed makes."
)
GPU = (
    "From the same seed a GPU draws other batches and other training noise than a CPU, though the networks start "
    "alike. So no rounding parts a run on a GPU from one on a CPU but another draw, and it is with other seeds that "
    "the difference is to be compared. On a GPU torch is held to deterministic algorithms without TF32. With a GPU, "
    "`python validation/determinism.py --device cuda` compares the same training with the numbers kept here, and the "
    "GPU with itself; `python validation/determinism_page.py` then writes this page again."
)
RECORDED = (
    "What a result may depend on is recorded once a run, in its checkpoints and in the columns `device` to `code` of "
    "table `runs` ([tables.md](tables.md)): device, processor and the instructions that torch chose on it, GPU, CUDA "
    "and driver, threads, system, versions of Python, numpy, torch and bumpscope, and a fingerprint of the training's "
    "code. Names of hosts, times and commits are not: they differ between runs that are the same bit for bit."
)
HEADINGS = dict(
    zip(METRICS, ("correct", "error, px", "effect x", "effect y", "R² requested", "dimension"), strict=True)
)


def tests_told(names: tuple[str, ...]) -> str:
    return "<br>".join(f"`tests/{name}`" for name in names)


def known() -> list[str]:
    """The tables of what tests show."""
    rows = [{"the same run": what, "the same": same, "shown by": tests_told(by)} for what, same, by in IDENTICAL]
    rest = [{"what changes": what, "agrees": how, "shown by": tests_told(by)} for what, how, by in AGREES]
    unshown = {
        "another number of threads, other instructions of the processor": "statistically; measured below",
        "CPU and GPU": "statistically; see below",
        "versions of torch or numpy, kinds of processors": f"statistically, it is expected; {NOT_MEASURED}",
        "UMAP on another machine": f"in kind alone, and no verdict rests on it; {NOT_MEASURED}",
    }
    rest += [{"what changes": what, "agrees": how, "shown by": "–"} for what, how in unshown.items()]
    return [
        "## Bit for bit\n\nOn one machine with one build of torch, on the CPU.",
        markdown(pd.DataFrame(rows)),
        "## Up to rounding, or statistically",
        markdown(pd.DataFrame(rest)),
    ]


def spread(frame: pd.DataFrame) -> pd.Series:
    """Standard deviation of each number over the seeds, each with what is usual: one thread, all instructions."""
    first = frame.iloc[0]
    usual = frame[(frame.threads == first.threads) & (frame.instructions == first.instructions)]
    return usual.drop_duplicates("seed")[list(METRICS)].std()


def differences(frame: pd.DataFrame) -> str:
    """Weights and losses, a row a variant, and a sentence on what is the same bit for bit."""
    first = frame.iloc[0]
    same = frame.digest == first.digest
    table = pd.DataFrame(
        {
            "variant": frame.variant,
            "instructions": frame.instructions,
            "threads": frame.threads,
            f"weights after {EARLY} steps": frame.early.map(exponent),
            f"weights after {TRAINING.steps}": frame.weights.map(exponent),
            "losses": frame.losses.map(exponent),
            "bits": same.map({True: "the same", False: "others"}),
        }
    )
    equal = ", ".join(frame.variant[same].iloc[1:]) or "none"
    return f"{markdown(table)}\n\nThe same bit for bit as the first: {equal}."


def numbers(frame: pd.DataFrame, first: pd.Series, deviation: pd.Series) -> str:
    """What is read of each network, beside its distance from the first in standard deviations of the seeds."""
    table = pd.DataFrame({"variant": frame.variant})
    for name, heading in HEADINGS.items():
        table[heading] = frame[name].map(significant)
    apart = (frame[list(METRICS)] - first[list(METRICS)].astype(float)).abs() / deviation
    table["largest difference, sd of seeds"] = apart.max(axis=1).map("{:.2f}".format)
    return markdown(table)


def exponent(value: float) -> str:
    return "0" if value == 0 else "–" if not np.isfinite(value) else f"{value:.1e}"


def page(folder: Path = RESULTS) -> str:
    """The whole page."""
    parts = ["# What is bit-identical", INTRODUCTION, *known(), "## Measured: threads and instructions", MEASURED]
    cpu, gpu = load("determinism-cpu", folder), load("determinism-cuda", folder)
    if cpu is None:
        parts.append(f"{NOT_MEASURED}.")
    else:
        frame, facts = cpu
        first, deviation = frame.iloc[0], spread(frame)
        parts += [f"{facts['processor']}; torch {facts['torch']}; {facts['date']}:", differences(frame), NUMBERS]
        parts.append(numbers(frame, first, deviation))
    parts += ["## CPU against GPU", GPU]
    if gpu is None or cpu is None:
        parts.append(f"CPU against GPU: {NOT_MEASURED}.")
    else:
        theirs, facts = gpu
        parts += [f"{theirs.variant.iloc[0]}, torch {facts['torch']}; {facts['date']}:", differences(theirs)]
        parts.append(numbers(theirs, first, deviation))
    return "\n\n".join([*parts, "## What is recorded", RECORDED]) + "\n"


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"written: docs/{PAGE.name}")
