"""Write docs/determinism.md and its CSV file from the tables in validation/results.

python validation/determinism_page.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from determinism import METRICS, TRAINING
from truth_tables import NOT_MEASURED, RESULTS, link, load, markdown, significant, write

SHOWN = {"correct": "correct", "effect_x": "effect x", "r2_requested": "R²"}
INTRODUCTION = """\
What is the same to the last bit, what only agrees, and the tests that show it. Tables of numbers are measured by
`python validation/determinism.py`, in a few minutes, and put here by `python validation/determinism_page.py`."""
# What is done, what is the same bit for bit, and the tests that show it.
IDENTICAL: list[tuple[str, str, tuple[str, ...]]] = [
    (
        "killed at any moment and continued, in any folder ([measured](interruptions.md))",
        "every table and checkpoint",
        (
            "pipeline/test_workflow.py::test_killed_at_random_moments_every_table_is_what_an_undisturbed_run_gives",
            "denoise/test_training.py::test_a_training_killed_for_real_and_run_again_leaves_the_same_bytes",
            "denoise/test_training.py::test_a_state_saved_at_any_step_is_resumed_to_the_bit",
        ),
    ),
    (
        "alone, or in a grid with others",
        "weights, losses and tables of probes",
        (
            "pipeline/test_workflow.py::test_a_run_alone_equals_the_same_run_in_a_grid",
            "denoise/test_training.py::test_a_run_does_not_depend_on_its_neighbours_or_on_what_was_drawn_before",
            "denoise/test_together.py::test_runs_beside_others_give_the_bits_of_runs_alone",
            "pipeline/test_runs_per_job.py::test_runs_trained_one_a_job_have_the_same_bytes",
            "probe/test_generation.py::test_the_same_images_come_out_whatever_was_drawn_before",
            "commands/test_sharing.py::test_one_job_makes_the_probes_of_others_and_their_own_jobs_publish_the_same_bytes",
        ),
    ),
    (
        "with steps and predictions recorded and repeated in the same memory, as on a GPU (shown on an H200 with torch "
        "2.11 [too](benchmarks.md#on-a-gpu))",
        "weights, moments, losses, images and activations",
        (
            "denoise/test_together.py::test_recorded_steps_give_the_bits_of_steps_taken_one_by_one",
            "denoise/test_step.py::test_what_is_computed_reads_no_number_back_and_draws_nothing",
            "denoise/test_predictions.py::test_recorded_predictions_draw_the_same_images_and_activations",
        ),
    ),
    (
        "any `--cores` or `threads` (each process uses one thread)",
        "everything",
        (
            "denoise/test_devices.py::test_without_a_gpu_the_cpu_is_used_with_one_thread_and_repeatably",
            "pipeline/test_workflow.py::test_threads_memory_partition_and_gpus_rerun_nothing",
        ),
    ),
    (
        "on SLURM, with jobs cut off and tried again",
        "every table and checkpoint, on processors of one kind",
        (
            "pipeline/test_slurm.py::test_a_disturbed_workflow_ends_with_the_tables_of_an_undisturbed_one",
            "pipeline/test_slurm.py::test_a_lost_node_and_a_killed_workflow_change_no_table",
        ),
    ),
    (
        "read again by `snakemake sensitivity` as configured",
        "behaviour and geometry",
        ("pipeline/test_workflow.py::test_read_as_configured_a_run_shows_exactly_what_it_shows_in_the_experiment",),
    ),
    ("weights saved twice", "the file", ("store/test_checkpoints.py::test_the_same_tensors_make_the_same_file",)),
    (
        "a cloud measured or embedded twice",
        "geometry, PCA and UMAP",
        (
            "measure/test_geometry.py::test_the_same_seed_gives_the_same_numbers",
            "measure/test_geometry.py::test_a_cloud_is_embedded_in_three_dimensions_and_the_same_way_each_time",
        ),
    ),
]
# What only agrees, how closely, and the tests that show it.
AGREES: list[tuple[str, str, tuple[str, ...]]] = [
    (
        "sampling in batches of another size",
        "up to rounding",
        ("probe/test_generation.py::test_how_images_are_batched_does_not_matter",),
    ),
    (
        "`training.compile`",
        "up to rounding",
        ("denoise/test_training.py::test_a_compiled_step_is_the_plain_one_up_to_rounding",),
    ),
    (
        "`training.precision: bfloat16`",
        "roughly",
        ("denoise/test_training.py::test_bfloat16_takes_nearly_the_same_steps",),
    ),
    ("threads, or instructions of the processor", "statistically; measured below", ()),
    ("CPU and GPU", "statistically; see below", ()),
    ("versions of torch or numpy, kinds of processors", f"statistically, presumably; {NOT_MEASURED}", ()),
    ("UMAP on another machine", f"in shape only, and no verdict uses it; {NOT_MEASURED}", ()),
]
MEASURED = f"""\
One small training (8 px, {TRAINING.steps} steps), each variant in a process of its own. *Weights* is the norm of the
difference from the first row over the norm. The last column is the largest difference from the first row in any number
that the workflow reads of the network, in standard deviations over the seeds; up to about 2 another seed does too."""
GPU = """\
From the same seed a GPU draws other batches and other noise than a CPU, though the networks start alike. So a run on a
GPU differs from one on a CPU as another seed does, not by rounding. On a GPU torch uses deterministic algorithms and
no TF32, unless `training.precision` is `tf32`. `python validation/determinism.py --device cuda` compares a GPU with the
numbers kept here, and with itself."""
RECORDED = """\
Checkpoints and columns `device` to `code` of table `runs` ([tables.md](tables.md)) record what a result may depend on:
device, processor and its instructions, GPU, CUDA and driver, threads, system, versions, and a fingerprint of the
training's code. Host names, times and commits are left out, since they differ between runs that are bit-identical."""


def known(rows: list[tuple[str, str, tuple[str, ...]]], columns: list[str]) -> str:
    """A table of what tests show."""
    cells = [(what, how, "<br>".join(f"`tests/{name}`" for name in by) or "–") for what, how, by in rows]
    return markdown(pd.DataFrame(cells, columns=columns))


def spread(frame: pd.DataFrame) -> pd.Series:
    """Standard deviation of each number over the seeds, each on one thread with all instructions."""
    first = frame.iloc[0]
    usual = frame[(frame.threads == first.threads) & (frame.instructions == first.instructions)]
    return usual.drop_duplicates("seed")[list(METRICS)].std()


def apart(frame: pd.DataFrame, first: pd.Series, deviation: pd.Series) -> pd.Series:
    """The largest difference of any number from that of the first, in standard deviations."""
    return ((frame[list(METRICS)] - first[list(METRICS)].astype(float)).abs() / deviation).max(axis=1)


def variants(frame: pd.DataFrame, first: pd.Series, deviation: pd.Series) -> str:
    """A row a variant; ``first`` and ``deviation`` are those of the CPU."""
    table = pd.DataFrame({"variant": frame.variant, "instructions": frame.instructions})
    table["weights"] = frame.weights.map(exponent)
    table["bits"] = (frame.digest == frame.digest.iloc[0]).map({True: "same", False: "differ"})
    for name, heading in SHOWN.items():
        table[heading] = frame[name].map(significant)
    table["difference, sd"] = apart(frame, first, deviation).map("{:.2f}".format)
    return markdown(table)


def exponent(value: float) -> str:
    return "0" if value == 0 else "–" if not np.isfinite(value) else f"{value:.1e}"


def tables(folder: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """The full tables beside the page, by name of their file."""
    found = {f"determinism-{device}": load(f"determinism-{device}", folder) for device in ("cpu", "cuda")}
    return {name: table[0] for name, table in found.items() if table is not None}


def page(folder: Path = RESULTS) -> str:
    """The page's text."""
    cpu, gpu = load("determinism-cpu", folder), load("determinism-cuda", folder)
    parts = ["# What is bit-identical", INTRODUCTION]
    parts += ["## Bit for bit", "On one machine with one build of torch, on the CPU:"]
    parts += [known(IDENTICAL, ["the same run", "what is the same", "tests"])]
    parts += ["## Up to rounding, or statistically", known(AGREES, ["what changes", "agrees", "tests"])]
    parts += ["## Threads and instructions", MEASURED]
    if cpu is None:
        parts.append(f"{NOT_MEASURED.capitalize()}.")
    else:
        first, deviation = cpu[0].iloc[0], spread(cpu[0])
        parts += [variants(cpu[0], first, deviation), _where(*cpu, "determinism-cpu")]
    parts += ["## CPU against GPU", GPU]
    if gpu is None or cpu is None:
        parts.append(f"CPU against GPU: {NOT_MEASURED}.")
    else:
        parts += [variants(gpu[0], first, deviation), _where(*gpu, "determinism-cuda")]
    return "\n\n".join([*parts, "## What is recorded", RECORDED]) + "\n"


def _where(frame: pd.DataFrame, facts: dict[str, str], name: str) -> str:
    machine = facts.get("gpu", facts["processor"])
    return f"{machine}, torch {facts['torch']}, {facts['date']}. {link(name, 'Full table')}."


if __name__ == "__main__":
    write("determinism", page(), tables())
