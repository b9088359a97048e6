"""The 32 px set: three seeds of a balanced lattice in one job, with what the workflow measures of them.

Made by the commands of the workflow, without Snakemake, in a folder ``set`` beside the tables. Training and probing
share one process; the rest runs in processes side by side. Each table holds all seeds, with a column ``run``, and is
written again with each run that is done: gpu-set-losses and -behaviour by :func:`make`, gpu-set-topology, -geometry and
-phases by :func:`analyse`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import torch
from record import ROOT, THREADS, write_table
from record import read_table as read_results

from bumpscope.commands.dataset import dataset as draw
from bumpscope.commands.generate import generate
from bumpscope.commands.train import train
from bumpscope.config.loading import validate
from bumpscope.config.run import Run
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.store.tables import read_table

# With three seeds, few enough for a minute of training and half a minute of probing on an H200.
CHECKPOINTS = [0, 300, 500, 600, 800, 1250, 1600]
FULL = {
    "seeds": [0, 1, 2],
    "datasets": {"balanced": {"image_size": 32, "sigma": 1.0, "margin": 0.0, "dx": 1.0, "dy": 1.0}},
    "model": {"base_width": 16, "embedding_width": 88, "blocks_per_level": 2, "attention_resolutions": [8, 4]},
    "training": {
        **{"steps": 1600, "batch_size": 64, "learning_rate": 5.0e-4, "learning_rate_schedule": "constant"},
        "checkpoints": CHECKPOINTS,
    },
    "probe": {
        **{"checkpoints": CHECKPOINTS, "samples": 256, "sampling_steps": 25, "weights": "raw"},
        **{"layers": ["halved3", "up2"], "timesteps": [239, 39]},
    },
}
SMALL = {
    "seeds": [0, 1],
    "datasets": {"balanced": {"image_size": 8, "sigma": 1.0, "margin": 2.0}},
    "model": {"channel_multipliers": [1, 1, 1], "attention_resolutions": [1], "embedding_width": 8},
    "training": {"steps": 4, "batch_size": 4, "warmup_steps": 2, "checkpoints": [0, 4]},
    "probe": {
        **{"checkpoints": [4], "samples": 16, "sampling_steps": 3, "layers": ["down3"]},
        **{"timesteps": [239], "effect_timesteps": [450], "effect_samples": 32},
    },
}
MOST_BYTES = 16 * 2**20
# What a command of the analysis reads and writes, by option, in the folder of a run.
ANALYSIS = {
    "behaviour": {"samples": "samples", "output": "behaviour"},
    "topology": {"latents": "latents", "samples": "samples", "output": "topology"},
    "geometry": {
        **{"latents": "latents", "samples": "samples", "behaviour": "behaviour"},
        **{"output": "geometry", "embedding": "embedding", "umaps": "umaps"},
    },
    "phases": {"geometry": "geometry", "behaviour": "behaviour", "topology": "topology", "output": "phases"},
}


# What can be measured at a time, once behaviour is there.
STAGES = (("topology", "geometry"), ("phases",))


def make(out: Path, device: str, small: bool) -> None:
    """Train and probe all runs of the set, and judge their images."""
    base, runs = _folder(out), _runs(small)
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    _timed("training", lambda: _train(base, runs, device))
    _gather(base, runs, "losses", out)
    _timed("probing", lambda: _probe(base, runs, device))
    _measure(base, runs, ("behaviour",), out)
    if (found := read_results(out / "gpu-set-behaviour.parquet")) is not None:
        shares = found[0].groupby("step").outcome.value_counts(normalize=True).unstack(fill_value=0.0)
        print(f"Share of images by outcome:\n{shares.round(2).to_string()}", flush=True)


def analyse(out: Path, small: bool) -> None:
    """Measure the activations of what :func:`make` made, and remove its folder."""
    for names in STAGES:
        _measure(_folder(out), _runs(small), names, out)
    shutil.rmtree(_folder(out))


def _folder(out: Path) -> Path:
    return out / "set"


def _runs(small: bool) -> list[Run]:
    return list(validate(SMALL if small else FULL).runs())


def _measure(base: Path, runs: Sequence[Run], names: Sequence[str], out: Path) -> None:
    """Run commands of the analysis side by side, and bring the tables of each together."""
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1)) as pool:
        begun = {name: [pool.submit(_analyse, base, run, name) for run in runs] for name in names}
        for name, jobs in begun.items():
            done = []
            for run, job in zip(runs, jobs, strict=True):
                if error := job.result():
                    print(f"{name} of {run.id}: failed and is left out ({error})", flush=True)
                else:
                    done.append(run)
                    _gather(base, done, name, out)


def _train(base: Path, runs: Sequence[Run], device: str) -> None:
    draw(canonical_json(step_settings(runs[0], "dataset")), base / "dataset.parquet")
    planned = [
        {
            "settings": step_settings(run, "train"),
            "dataset": str(base / "dataset.parquet"),
            "state": str(_state(base, run)),
        }
        for run in runs
    ]
    (base / "planned.json").write_text(json.dumps(planned), encoding="utf-8")
    for run in runs:  # the first trains all, the others publish
        train(
            canonical_json(step_settings(run, "train")), base / "dataset.parquet", base / run.path, _state(base, run),
            device, runs_per_job=str(len(runs)), planned=base / "planned.json",
        )  # fmt: skip


def _state(base: Path, run: Run) -> Path:
    return base / "state" / run.id


def _probe(base: Path, runs: Sequence[Run], device: str) -> None:
    for run in runs:
        folder = base / run.path
        settings = canonical_json(step_settings(run, "generate"))
        generate(settings, folder / "checkpoints", folder / "samples.parquet", folder / "latents.parquet", device)


def _analyse(base: Path, run: Run, name: str) -> str:
    """Run a command for a run; the last line that it printed if it failed, and else nothing."""
    options = [
        part
        for option, table in ANALYSIS[name].items()
        for part in (f"--{option}", str(base / run.path / f"{table}.parquet"))
    ]
    command = [
        sys.executable,
        "-m",
        "bumpscope",
        name,
        "--settings",
        canonical_json(step_settings(run, name)),
        *options,
    ]
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.getenv("PYTHONPATH")]))
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def _gather(base: Path, runs: Sequence[Run], name: str, out: Path) -> None:
    """One table of all runs."""
    frames = [read_table(name, base / run.path / f"{name}.parquet").assign(run=run.id) for run in runs]
    path = out / f"gpu-set-{name}.parquet"
    frame = pd.concat(frames, ignore_index=True)
    write_table(path, frame, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if path.stat().st_size > MOST_BYTES:
        print(f"{path.name}: larger than {MOST_BYTES / 2**20:.0f} MiB")


def _timed(what: str, call: Callable[[], None]) -> None:
    started = time.perf_counter()
    call()
    print(f"{what}: {time.perf_counter() - started:.0f} s", flush=True)
