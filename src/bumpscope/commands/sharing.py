"""Jobs that do the work of others beside their own, so that they share a GPU and its start-up.

A job that trains takes other runs along (:mod:`bumpscope.denoise.assignment`). A job that probes makes, after its own
tables, those of other planned probes: of the same run first. They are kept in folders of their own, where their jobs
find them. Only jobs of the workflow share, since it lists what is planned.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from filelock import Timeout

from bumpscope.commands.interface import log
from bumpscope.commands.jobs import runs_in_a_job
from bumpscope.config.steps import STEPS, Step
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.devices import expected, give_back
from bumpscope.probe.checkpoint import checkpoint_path
from bumpscope.store.files import FileError, publish
from bumpscope.store.locks import hold
from bumpscope.store.manifest import recorded_path
from bumpscope.store.provenance import with_worlds
from bumpscope.store.tables import provenance, read_metadata
from bumpscope.worlds.named import world_of

StateOption = Annotated[Path | None, typer.Option(help="folder for what another job has made of this one's")]
PlannedOption = Annotated[
    Path | None,
    typer.Option(
        envvar="BUMPSCOPE_PLANNED_PROBES", help="JSON list of what is planned; see bumpscope.commands.sharing"
    ),
]


@dataclass(frozen=True)
class Probing:
    """A probe of a run.

    Attributes:
        command: its name; the module has ``WRITES``, ``checkpoints_read(settings)`` and
            ``probe(settings, checkpoints, outputs, metadata, place)``, which writes these tables.
        checkpoints: folder of the run's checkpoints.
        state: where its tables are kept until its own job publishes them; None where nothing is shared.
    """

    command: str
    settings: Any
    checkpoints: Path
    state: Path | None = None

    @cached_property
    def module(self) -> Any:
        return importlib.import_module(f"bumpscope.commands.{self.command}")

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What its tables say of themselves.

        Raises:
            FileError: when a checkpoint is missing, broken or of another run.
        """
        chosen = self.settings
        code = with_worlds([f"commands.{self.command}", chosen.denoiser.path], [chosen.lattice.world.path])
        names = world_of(chosen.lattice).names
        return provenance(chosen.plain, *self.read, run=chosen.run, code=code, names=names)

    @property
    def read(self) -> list[Path]:
        """The checkpoints that it reads."""
        return [checkpoint_path(self.checkpoints, step) for step in self.module.checkpoints_read(self.settings)]

    @property
    def kept(self) -> list[Path]:
        """Its tables in ``state``."""
        return [] if self.state is None else [self.state / f"{name}.parquet" for name in self.module.WRITES]

    def is_made(self) -> bool:
        """Whether its tables are kept, of these settings, this code and these checkpoints.

        A training of the same settings on another device gives other weights, which only their time tells.
        """
        try:
            if not self.kept or any(self.metadata.items() - read_metadata(path).items() for path in self.kept):
                return False
            first = min(path.stat().st_mtime_ns for path in self.kept)
            return all(path.stat().st_mtime_ns <= first for path in self.read)
        except (FileError, OSError):
            return False

    def make(self, outputs: Sequence[Path], place: torch.device) -> None:
        self.module.probe(self.settings, self.checkpoints, outputs, self.metadata, place)

    def publish(self, outputs: Sequence[Path]) -> None:
        """Put what is kept among the results."""
        for source, target in zip(self.kept, outputs, strict=True):
            with recorded_path(target) as temporary:
                publish(source, temporary)
        assert self.state is not None
        (self.state / "finished").touch()


def share(
    own: Probing, outputs: Sequence[Path], device: str, gpus: int, runs_per_job: str, planned: Path | None
) -> None:
    """Make the tables of a job, and then those of others where they share a GPU.

    Args:
        outputs: in the order of the command's ``WRITES``.
        planned: a JSON list of mappings with ``command``, ``settings``, ``checkpoints``, ``state`` and ``after``: the
            state of the training that comes before, or null.
    """
    most = runs_in_a_job(runs_per_job, expected(device, gpus).type == "cuda")
    if own.state is None or (most == 1 and not own.is_made()):
        with hold_device(device, gpus) as place:
            own.make(outputs, place)
        return
    lock = hold(own.state, f"{own.settings.run}, {own.command}")
    if not own.is_made():
        with hold_device(device, gpus) as place:
            # Kept too, since a job that is ended while it makes others loses its results.
            own.make(own.kept, place)
            own.publish(outputs)
            for other in _others(own, planned, most) if lock is not None else ():
                _make_along(other, place)
    else:
        log.info("%s: %s was made beside another job", own.settings.run, own.command)
        own.publish(outputs)
    if lock is not None:
        lock.release()


def _others(own: Probing, planned: Path | None, most: int) -> Iterator[Probing]:
    """Planned probes of up to ``most`` runs whose checkpoints are there, those of the same run first."""
    entries: list[dict[str, Any]] = []
    with suppress(FileNotFoundError):
        entries = [] if planned is None else json.loads(planned.read_text(encoding="utf-8"))
    runs = {own.settings.run}
    for entry in sorted(entries, key=lambda entry: entry["settings"]["run"] != own.settings.run):
        run, after = entry["settings"]["run"], entry["after"]
        if entry["state"] == str(own.state) or (run not in runs and len(runs) == most):
            continue
        if after is not None and not any(Path(after).glob("*/finished")):
            continue
        runs.add(run)
        settings: Step = STEPS[entry["command"]].model_validate(entry["settings"])
        yield Probing(entry["command"], settings, Path(entry["checkpoints"]), Path(entry["state"]))


def _make_along(other: Probing, place: torch.device) -> None:
    """Make a probe of another job, unless it is being made; whatever goes wrong is left to its own job."""
    assert other.state is not None
    name = f"{other.settings.run}, {other.command}"
    try:
        lock = hold(other.state, name, wait=False)
    except (Timeout, FileError):
        return
    try:
        if lock is not None and not (other.state / "finished").exists() and not other.is_made():
            log.info("%s: made along on %s", name, place)
            other.make(other.kept, place)
    except Exception as error:
        log.warning("%s: failed, and is left to its own job: %s", name, error)
    finally:
        give_back(place)
        if lock is not None:
            lock.release()
