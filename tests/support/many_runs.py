"""Many runs, cheaply: one made-up run whose tables all of them share by links."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bumpscope.commands.dataset import dataset
from bumpscope.config.experiment import Config
from bumpscope.config.loading import validate
from bumpscope.config.run import Run
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.probe.frequency import ALL
from bumpscope.store.checkpoints import save_tensors
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from synthetic_results import METADATA, write_results

STEPS = tuple(range(0, 1600, 100))
LAYERS, TIMES = ("down3",), (239,)
NUMBERS = 2000  # of a cloud; many, since they take the room and little time
SAMPLES = 64


def write_one_run(root: Path) -> Path:
    """Every table that is read when runs are brought together, of one run, and its last checkpoint."""
    write_results(root, {"balanced": {"dx": 1.0, "dy": 1.0}}, (0,), STEPS, LAYERS, samples=SAMPLES)
    config = validate({"seeds": [0], "datasets": {"balanced": {"margin": 2.0}}})
    (run,) = config.runs()
    drawn = root / TABLES["dataset"].path.format(dataset=run.dataset)
    dataset(canonical_json(step_settings(run, "dataset")), drawn)
    tables = {"behaviour": _behaviour(), "geometry": _geometry(), "effects": _effects(), "frequency": _frequency()}
    for name, rows in tables.items():
        path = root / TABLES[name].path.format(path=run.path)
        write_table(name, path, pd.DataFrame(rows)[TABLES[name].names], METADATA)
    save_tensors(root / run.path / "checkpoints" / "step=1500.safetensors", {"ema.w": torch.zeros(1)}, _described(run))
    (root / "config.json").write_text(Config.model_dump_json(config, exclude_none=True), encoding="utf-8")
    return root


def _described(run: Run) -> dict[str, str]:
    machine = {"device": "cpu (made up)", "torch": "0", "python": "0"}
    return METADATA | machine | {"config": canonical_json(step_settings(run, "train")), "parameters": "1000"}


def _behaviour() -> pd.DataFrame:
    random, rows = np.random.default_rng(0), SAMPLES * len(STEPS)
    table = pd.DataFrame({"step": np.repeat(STEPS, SAMPLES), "sample": np.tile(np.arange(SAMPLES), len(STEPS))})
    mu = random.integers(3, 12, (rows, 2)).astype(float)  # on the lattice
    x, y = (mu + random.normal(0, 1, mu.shape)).T
    error = np.hypot(x - mu[:, 0], y - mu[:, 1])
    return table.assign(
        weights="raw",
        mu_x=mu[:, 0],
        mu_y=mu[:, 1],
        split=np.where(table["sample"] % 4 == 0, "between", "seen"),
        bumps=1,
        x=x,
        y=y,
        amplitude=1.0,
        width=1.0,
        error=error,
        outcome=np.where(error <= 1, "correct", "misplaced"),
    )


def _geometry() -> list[dict]:
    """R² of the centres, and many numbers without meaning."""
    where = [(step, layer, t) for step in STEPS for layer in LAYERS for t in TIMES]
    numbers = [("pca3", label, "r2") for label in ("requested", "realised", "shuffled")]
    numbers += [("raw", "requested", f"made_up_{number}") for number in range(NUMBERS)]
    return [
        {"step": step, "weights": "raw", "layer": layer, "t": t, "noise": "own"}
        | {"space": space, "label": label, "metric": metric, "value": 0.5}
        for step, layer, t in where
        for space, label, metric in numbers
    ]


def _effects() -> list[dict]:
    numbers = [name for name in TABLES["effects"].names if name not in ("step", "t", "weights")]
    where = [{"step": step, "t": t, "weights": weights} for step in STEPS for t in TIMES for weights in ("ema", "raw")]
    return [row | dict.fromkeys(numbers, row["step"] / 1500) for row in where]


def _frequency() -> list[dict]:
    numbers = [name for name in TABLES["frequency"].names if name not in ("step", "t", "bin_x", "bin_y", "probes")]
    where = [{"step": step, "t": t, "bin_x": ALL, "bin_y": ALL, "probes": 32} for step in STEPS for t in TIMES]
    return [row | dict.fromkeys(numbers, row["step"] / 1500) for row in where]
