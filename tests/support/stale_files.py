"""What a change makes stale, by lists of what reads what and of what each change touches."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bumpscope.config.experiment import Config
from bumpscope.config.loading import validate
from bumpscope.store.lineage import figures
from bumpscope.store.provenance import declared

OF_A_RUN = ("train", "generate", "effects", "interventions", "behaviour", "geometry", "topology", "phases")
OF_IMAGES = ("generate", "behaviour", "geometry", "topology", "phases")
WRITER = {
    "dataset": "dataset", "losses": "train", "samples": "generate", "latents": "generate", "behaviour": "behaviour",
    "geometry": "geometry", "embedding": "geometry", "umaps": "geometry", "topology": "topology", "phases": "phases",
    "effects": "effects", "frequency": "effects", "interventions": "interventions", "runs": "runs",
    "metrics": "metrics", "coupling": "coupling", "onsets": "coupling", "factorisation": "coupling",
    "arms": "arms", "leaderboard": "leaderboard", "combinations": "leaderboard",
    "claims": "claims", "evidence": "claims",
}  # fmt: skip
# step -> steps that read what it writes; figures are looked up.
READERS = {
    "dataset": {"train", "metrics"},
    "train": {"generate", "effects", "interventions", "runs", "metrics"},
    "generate": {"behaviour", "geometry", "topology", "animation", "explorer"},
    "effects": {"metrics", "explorer"},
    "interventions": {"claims"},
    "behaviour": {"geometry", "phases", "metrics", "explorer"},
    "geometry": {"phases", "metrics", "animation", "explorer"},
    "topology": {"phases", "metrics"},
    "phases": {"metrics", "claims", "animation", "explorer"},
    "runs": {"metrics", "coupling", "leaderboard", "claims", "animation", "explorer", "report"},
    "metrics": {"coupling", "leaderboard", "claims", "animation", "explorer"},
    "coupling": {"claims", "report"},
    "arms": {"leaderboard"},
    "leaderboard": {"claims", "report"},
    "claims": {"claims_as_csv", "report"},
    "configuration": {"report"},
    "figure": {"report"},
}
Node = tuple[str, str]  # step; run, dataset, figure or nothing


@dataclass(frozen=True)
class Change:
    """A change of the configuration, or of code.

    Attributes:
        name: in the report of a test.
        keys: laid over the configuration.
        module: whose code changes.
        steps: of which runs ("" for all) the change itself makes which steps stale.
    """

    name: str
    steps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""


BASE: dict[str, Any] = {
    "seeds": [0, 1],
    "datasets": {
        "plane": {"margin": 2.0, "dx": 2.0, "dy": 2.0, "probe": {"interventions": [60]}},
        "ring": {"dx": 2.0, "dy": 4.0, "boundary": "torus"},
    },
    "training": {"steps": 60, "warmup_steps": 10, "checkpoints": [0, 20, 60]},
    "probe": {"checkpoints": [0, 60], "samples": 64, "sampling_steps": 6, "layers": ["down3"], "timesteps": [100]},
}  # fmt: skip

KEYS = [
    Change("tolerance", {"": ["behaviour", "interventions", "metrics"]}, {"analysis": {"tolerance": 0.5}}),
    Change("samples", {"": ["generate"]}, {"probe": {"samples": 48}}),
    Change("probed t", {"": ["generate", "interventions"]}, {"probe": {"timesteps": [200]}}),
    Change("effect samples", {"": ["effects"]}, {"probe": {"effect_samples": 64}}),
    Change("learning rate", {"": ["train"]}, {"training": {"learning_rate": 1.0e-3}}),
    Change("width", {"": ["train"]}, {"model": {"base_width": 16}}),
    Change("one lattice", {"plane": ["dataset"]}, {"datasets": {"plane": {"sigma": 1.5}}}),
    Change("one training", {"ring": ["train"]}, {"datasets": {"ring": {"training": {"ema_decay": 0.9}}}}),
    Change("where labels are swapped", {"plane": ["interventions"]},
           {"datasets": {"plane": {"probe": {"interventions": [20, 60]}}}}),
    Change("a seed more", {"": ["runs"]}, {"seeds": [0, 1, 2]}),
    Change("a seed less", {"": ["runs"]}, {"seeds": [0]}),
    Change("no images of the ring", {"": ["runs"]}, {"datasets": {"ring": {"probe": {"checkpoints": []}}}}),
]  # fmt: skip
# Change neither settings of a step nor the report.
WITHOUT_EFFECT = [
    Change("device", keys={"device": "cpu"}),
    Change("room", keys={"check_disk": False}),
    Change("sensitivity", keys={"sensitivity": {"tolerances": [3.0]}}),
]
CODE = [
    Change("lattice drawn otherwise", {"": ["dataset"]}, module="commands.dataset"),
    Change("training", {"": ["train"]}, module="denoise.trainer"),
    Change("generation", {"": ["generate"]}, module="commands.generate"),
    Change("homology", {"": ["topology"]}, module="measure.topology"),
    Change("interventions", {"": ["interventions"]}, module="commands.interventions"),
    Change("metrics", {"": ["metrics"]}, module="commands.metrics"),
    Change("claims", {"": ["claims"]}, module="commands.claims"),
    Change("animation", {"": ["animation"]}, module="show.animation"),
    Change("report", {"": ["report"]}, module="commands.report"),
    Change("a figure", {"": ["figure loss", "report"]}, module="show.figures.loss"),
]
CHANGES = [*KEYS, *WITHOUT_EFFECT, *CODE]


def laid_over(base: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    merged = deepcopy(dict(base))
    for key, value in keys.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged


def changed(changes: Iterable[Change]) -> dict[str, Any]:
    """The configuration with all changes, as plain data."""
    plain = BASE
    for change in changes:
        plain = laid_over(plain, change.keys)
    return dict(plain)


def nodes(config: Config) -> set[Node]:
    """All jobs but those of `snakemake sensitivity`."""
    found: set[Node] = {("dataset", name) for name in config.all_datasets()}
    for run in config.runs():
        for step in OF_A_RUN:
            asked = {"interventions": run.probe.interventions} | dict.fromkeys(OF_IMAGES, run.probe.checkpoints)
            if asked.get(step, True):
                found.add((step, run.id))
    found |= {("figure", name) for name in figures()}
    steps = (
        "runs",
        "metrics",
        "coupling",
        "arms",
        "leaderboard",
        "claims",
        "claims_as_csv",
        "animation",
        "explorer",
        "configuration",
        "report",
    )
    return found | {(step, "") for step in steps}


def stale(changes: Sequence[Change]) -> set[Node]:
    """The jobs whose files the changes make stale, of those that made the files before."""
    before, after = validate(BASE), validate(changed(changes))
    there = nodes(before) & nodes(after)
    found = set[Node]()
    for change in changes:
        for where, steps in change.steps.items():
            for step in steps:
                name, _, subject = step.partition(" ")
                found |= {
                    (one, of)
                    for one, of in there
                    if one == name and (not subject or of == subject) and (not where or of.startswith(where))
                }
    if any(change.keys and change not in WITHOUT_EFFECT for change in changes):
        found |= {("configuration", ""), ("report", "")}
    size = -1
    while len(found) != size:
        size = len(found)
        made = {step for step, _ in found}
        for step, subject in list(found):
            for reader in READERS.get(step, ()):
                found |= {(one, of) for one, of in there if one == reader and _is_of(subject, of)}
        for name in figures():
            reads = ("runs", *declared(f"show.figures.{name}", "READS"))
            if made & {WRITER[table] for table in reads}:
                found.add(("figure", name))
    return found


def _is_of(subject: str, other: str) -> bool:
    """Whether a job of a run, of its dataset or of all runs reads what another makes."""
    return not subject or not other or subject == other or other.startswith(f"{subject}-seed")


MOVES: dict[str, Callable[[Path, random.Random], Path]] = {}


def _move(function: Callable[[Path, random.Random], Path]) -> Callable[[Path, random.Random], Path]:
    MOVES[function.__name__] = function
    return function


@_move
def renamed(folder: Path, _: random.Random) -> Path:
    return folder.rename(folder.with_name("renamed"))


@_move
def copied_without_times(folder: Path, _: random.Random) -> Path:
    return Path(shutil.copytree(folder, folder.with_name("copied"), copy_function=shutil.copyfile))


@_move
def touched(folder: Path, chance: random.Random) -> Path:
    """Files are days older or newer, some of tomorrow."""
    for path in folder.rglob("*"):
        now = path.stat().st_mtime + chance.uniform(-3, 1) * 86_400
        os.utime(path, (now, now))
    return folder


@_move
def without_snakemakes_memory(folder: Path, _: random.Random) -> Path:
    shutil.rmtree(folder.parent / ".snakemake", ignore_errors=True)
    return folder


@_move
def linked(folder: Path, _: random.Random) -> Path:
    (link := folder.with_name("link")).symlink_to(folder)
    return link


@_move
def spelt_otherwise(folder: Path, _: random.Random) -> Path:
    return Path(f"{folder.parent}/./{folder.name}/../{folder.name}/")
