"""List the runs of an experiment with their properties."""

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from bumpscope.commands.interface import CommandError, execute
from bumpscope.config.controls import trained
from bumpscope.config.denoiser import KNOWN, in_force
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import REFERENCES
from bumpscope.config.run import run_path
from bumpscope.config.section import canonical_json, fingerprint
from bumpscope.config.steps import Train
from bumpscope.judge.controls import MACHINE
from bumpscope.store.files import CURE, FileError
from bumpscope.store.provenance import with_worlds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import provenance, read_checkpoint_metadata, write_table
from bumpscope.worlds.named import world_of

READS = ()
WRITES = ("runs",)
OF_ONE_RUN = [name for name, table in TABLES.items() if table.path.startswith("{path}/")]


def runs(
    runs: Annotated[
        str,
        typer.Option(
            help='the grid as JSON: {"dataset": [seeds], ...}, or in place of the seeds {"seeds": [0], "last": 1200, '
            '"weights": "raw", "without": []}: last checkpoint, judged weights, tables that are not asked for'
        ),
    ],
    folder: Annotated[Path, typer.Option(help="output folder of the experiment")],
    output: Annotated[Path, typer.Option(help="table to write")],
) -> None:
    """List the runs of an experiment with their properties."""
    try:
        grid = json.loads(runs)
        told = {dataset: about if isinstance(about, dict) else {"seeds": about} for dataset, about in grid.items()}
        found = [(dataset, int(seed), about) for dataset, about in told.items() for seed in about["seeds"]]
    except (ValueError, TypeError, AttributeError, KeyError):
        raise CommandError('--runs: is not JSON of the form {"dataset": [seeds], ...}') from None
    rows, checkpoints, worlds = [], [], set[str]()
    for dataset, seed, about in found:
        path = run_path(dataset, seed)
        checkpoint = _last_checkpoint(folder / path / "checkpoints", about.get("last"))
        tables = [name for name in OF_ONE_RUN if name not in about.get("without", ())]
        chosen, row = _row(path, dataset, f"{dataset}-seed{seed}", checkpoint)
        worlds.add(chosen.lattice.world.path)
        rows.append(row | {"weights": about.get("weights", "raw"), "tables": " ".join(tables)})
        checkpoints.append(checkpoint)
    # A list, since the order of datasets counts.
    metadata = provenance({"runs": list(grid.items())}, *checkpoints, code=with_worlds(["commands.runs"], worlds))
    write_table("runs", output, pd.DataFrame(rows)[TABLES["runs"].names], metadata)


def _last_checkpoint(folder: Path, step: int | None) -> Path:
    """The checkpoint of a step, or the last that is there, which may be of another, longer training."""
    if step is not None:
        return folder / f"step={step}.safetensors"
    steps = {int(path.stem.removeprefix("step=")): path for path in folder.glob("step=*.safetensors")}
    if not steps:
        raise CommandError(f"{folder}: holds no checkpoint; train the run first")
    return steps[max(steps)]


def _row(path: str, dataset: str, run: str, checkpoint: Path) -> tuple[Train, dict[str, Any]]:
    metadata = read_checkpoint_metadata(checkpoint, "run", "config", "parameters")
    if metadata["run"] != run:
        raise FileError(f"{checkpoint}: belongs to run {metadata['run']}, not to {run}; {CURE}")
    chosen = Train.model_validate_json(metadata["config"])
    told = {"dataset": dataset, "n_parameters": int(metadata["parameters"]), "path": path}
    return chosen, of_settings(chosen) | told | _machine(metadata)


def of_settings(chosen: Train) -> dict[str, Any]:
    """The columns of table ``runs`` that follow from the settings of a training."""
    lattice, model, diffusion, training = chosen.lattice, chosen.model, chosen.diffusion, chosen.training
    held, named = lattice.holdout, in_force(chosen.model, chosen.denoiser)
    choice = lattice.world
    drawn = {key: lattice.free_margin if key == "margin" else getattr(lattice, key) for key in choice.used}
    own = () if named.kind in KNOWN else (named.model_dump(mode="json"),)
    return {
        "run": chosen.run,
        "seed": chosen.seed,
        "world": choice.text,
        "factors": str(world_of(lattice).names),
        "dx": drawn.get("dx"),
        "dy": drawn.get("dy"),
        "image_size": lattice.image_size,
        "sigma": drawn.get("sigma"),
        "margin": drawn.get("margin"),
        "boundary": drawn.get("boundary"),
        "polarity": drawn.get("polarity"),
        "skew_axis": lattice.skew.axis,
        "skew_alpha": lattice.skew.alpha,
        "holdout": "none" if held is None else ", ".join(f"{name}={ends}" for name, ends in held.intervals.items()),
        "shown": "all" if lattice.shown is None else str(lattice.shown),
        "stripes": lattice.stripes,
        "prediction": diffusion.prediction,
        "reference": named.kind if named.kind in REFERENCES else "none",
        "denoiser": str(named),
        "n_images": _images(canonical_json(lattice.model_dump(mode="json"))),
        "network": fingerprint(model.model_dump(mode="json", exclude={"reference"}), *own),
        "timesteps": diffusion.timesteps,
        "noise_schedule": diffusion.schedule,
        "labels": training.labels,
        "batch_size": training.batch_size,
        "training_steps": training.steps,
        "learning_rate": training.learning_rate,
        "schedule": training.learning_rate_schedule,
        "warmup_steps": training.warmup_steps,
        "weight_decay": training.weight_decay,
        "gradient_clip": training.gradient_clip,
        "ema_decay": training.ema_decay,
        "precision": training.precision,
        "trained": trained(model, diffusion, training, named),
    }


def _machine(metadata: dict[str, str]) -> dict[str, Any]:
    """What trained the run; empty where its checkpoint is of an earlier version, which did not say."""
    told: dict[str, Any] = {name: metadata.get(name) or None for name in MACHINE}
    kind, threads = (metadata.get(name) for name in ("device", "threads"))
    return told | {"device": kind and kind.split()[0], "threads": threads and int(threads)}


@cache
def _images(lattice: str) -> int:
    """Lattice points with a probability above 0; all runs of a dataset have the same."""
    return int((world_of(Lattice.model_validate_json(lattice)).points.probability > 0).sum())


if __name__ == "__main__":
    execute(runs)
