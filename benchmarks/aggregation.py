"""Time and peak memory of each command that reads all runs.

    python benchmarks/aggregation.py --results results [--runs 10 100 1000]

The runs of a finished experiment are repeated under other seeds. They share copies of the real tables that do not name
their run, so that a thousand runs take no room; each has a last checkpoint of its own, which does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch
from record import RESULTS, save, watched, with_slopes

from bumpscope.config.run import run_path
from bumpscope.config.section import canonical_json
from bumpscope.show.gallery import names as figure_names
from bumpscope.store.checkpoints import save_tensors
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import read_checkpoint_metadata

# Large, and read by nothing that brings runs together.
NOT_LINKED = ("latents",)
SEEDS_APART = 10_000


def multiply(results: Path, target: Path, count: int) -> dict[str, list[int]]:
    """Fill ``target`` with ``count`` runs that are those of ``results`` under other seeds.

    Returns:
        The grid, dataset -> seeds.
    """
    templates = sorted(path.parent for path in results.glob("runs/*/seed=*/phases.parquet"))
    if not templates:
        raise SystemExit(f"{results}: holds no finished run; give the results of an experiment")
    of_a_run = {
        name: table.path.removeprefix("{path}/") for name, table in TABLES.items() if table.path[:6] == "{path}"
    }
    names = [path for name, path in of_a_run.items() if name not in NOT_LINKED]
    grid: dict[str, list[int]] = {}
    shutil.copytree(results / "datasets", target / "datasets")
    nameless = {template: target / "nameless" / f"{number}" for number, template in enumerate(templates)}
    for template in templates[:count]:
        nameless[template].mkdir(parents=True)
        for name in names:
            if (template / name).exists():
                _without_run(template / name, nameless[template] / name)
    for number in range(count):
        template = templates[number % len(templates)]
        seed = int(template.name.removeprefix("seed=")) + SEEDS_APART * (number // len(templates))
        dataset = template.parent.name
        grid.setdefault(dataset, []).append(seed)
        folder = target / run_path(dataset, seed)
        (folder / "checkpoints").mkdir(parents=True)
        for name in names:
            if (template / name).exists():
                _link(nameless[template] / name, folder / name)
        last = max((template / "checkpoints").glob("step=*.safetensors"), key=lambda path: int(path.stem[5:]))
        metadata = read_checkpoint_metadata(last)
        config = json.loads(metadata["config"]) | {"run": f"{dataset}-seed{seed}", "seed": seed}
        metadata |= {"config": canonical_json(config), "run": config["run"]}
        save_tensors(folder / "checkpoints" / last.name, {"ema.none": torch.zeros(1)}, metadata)
    return grid


def _without_run(source: Path, target: Path) -> None:
    """Copy a table, which is then of no run in particular."""
    with pq.ParquetFile(source) as file:
        told = file.schema_arrow.metadata
        schema = file.schema_arrow.with_metadata({key: value for key, value in told.items() if key != b"bumpscope.run"})
        with pq.ParquetWriter(target, schema, compression="zstd", write_page_checksum=True) as writer:
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group).replace_schema_metadata(schema.metadata))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another disk
        shutil.copyfile(source, target)


def commands(folder: Path, grid: dict[str, list[int]], figures: Sequence[str]) -> dict[str, list[str]]:
    """Commands that read all runs, in the order of the workflow: name -> arguments of ``python -m bumpscope``."""
    there = ["--folder", str(folder)]
    found = {"runs": ["runs", "--runs", json.dumps(grid), *there, "--output", str(folder / "runs.parquet")]}
    found["metrics"] = ["metrics", *there, "--output", str(folder / "metrics.parquet")]
    tables = {"output": "coupling", "onsets": "onsets", "factorisation": "factorisation"}
    written = [f"--{key}={folder / f'{name}.parquet'}" for key, name in tables.items()]
    found["coupling"] = ["coupling", *there, *written]
    found["claims"] = ["claims", *there, "--output", str(folder / "claims.parquet")]
    for name in figures:
        kinds = [
            part for kind in ("pdf", "png", "csv") for part in (f"--{kind}", str(folder / f"figures/{name}.{kind}"))
        ]
        found[f"figure {name}"] = ["figure", name, *there, *kinds]
    settings = folder / "config.json"
    found["report"] = ["report", "--settings", str(settings), *there, "--output", str(folder / "report.html")]
    return found


def measure(results: Path, count: int, figures: Sequence[str]) -> list[dict[str, object]]:
    """Seconds and peak memory (MiB) of each command with so many runs, its imports included."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grid = multiply(results, folder, count)
        shutil.copyfile(results / "config.json", folder / "config.json")
        for cost, arguments in commands(folder, grid, figures).items():
            seconds, memory = watched([sys.executable, "-m", "bumpscope", *arguments])
            rows.append({"cost": cost, "against": "runs", "n": count, "seconds": seconds, "memory": memory})
            print(f"{count} runs, {cost}: {seconds:.1f} s, {memory:.0f} MiB", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="results of the default experiment")
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--figures", nargs="*", default=figure_names())
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for count in chosen.runs for row in measure(chosen.results.resolve(), count, chosen.figures)]
    save("aggregation", with_slopes(rows), torch.device("cpu"), chosen.folder)


if __name__ == "__main__":
    main()
