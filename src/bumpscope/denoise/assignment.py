"""Runs to train, and the others that a job takes along.

A job may train other runs of its workflow beside its own, into their own states, so that they share a GPU and its
start-up. Their own jobs then find them trained. A run is trained by whoever holds its lock.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import Timeout

from bumpscope.config.denoiser import in_force
from bumpscope.config.lattice import Lattice
from bumpscope.config.section import canonical_json, fingerprint
from bumpscope.config.steps import Train
from bumpscope.denoise.devices import fitting
from bumpscope.denoise.loop import Course, finished
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.trainer import LossLog, Trainer, TrainingData
from bumpscope.store.files import CURE, FileError, atomic_path
from bumpscope.store.locks import hold
from bumpscope.store.machine import described
from bumpscope.store.provenance import code_fingerprint
from bumpscope.store.tables import provenance, read_block, read_table
from bumpscope.worlds.bumps import to_network
from bumpscope.worlds.named import world_of

log = logging.getLogger(__name__)


class Assignment:
    """A run to train on a device.

    Args:
        dataset: table of the dataset.
        state: folder for the states of this run; each training with other settings, code or data has a folder in it.
        device: set up already (:func:`bumpscope.denoise.devices.device`).

    Raises:
        FileError: when the table is missing, broken or of another lattice.
    """

    def __init__(self, settings: Train, dataset: Path, state: Path, device: torch.device):
        self.settings, self.device = settings, device
        plain = settings.plain
        self._named = in_force(settings.model, settings.denoiser)
        code = ("commands.train", self._named.path, settings.lattice.world.path)
        self.metadata = provenance(plain, dataset, run=settings.run, code=code)
        self._data = _training_data(dataset, settings.lattice)
        if settings.training.labels == "permuted":
            self._data = self._data.with_permuted_labels(settings.seed)
        # Whatever could change the weights is part of the key, so that no stale state is ever resumed.
        codes = [code_fingerprint(module) for module in code]
        self.folder = state / fingerprint(plain, _digest(self._data), codes, torch.__version__, device.type)

    @cached_property
    def machine(self) -> dict[str, str]:
        """What trains it; telling a GPU starts CUDA."""
        return described(self.device)

    def losses(self) -> LossLog | None:
        """Its losses, if it has been trained to the end."""
        return finished(self.folder, self.metadata, self.settings.training)

    def course(self) -> Course:
        """The training, ready to begin."""
        chosen = self.settings
        network = new_denoiser(chosen.lattice, chosen.model, chosen.diffusion, chosen.seed, self._named)
        data = self._data.to(self.device)
        trainer = Trainer(chosen.seed, data, network, chosen.diffusion, chosen.training, self.device)
        parameters = sum(parameter.numel() for parameter in trainer.network.parameters())
        about = self.metadata | self.machine | {"parameters": str(parameters)}
        return Course(trainer, self.folder, about, lambda text: log.info("%s: %s", chosen.run, text))

    def fitting(self, most: int) -> int:
        """Of ``most`` runs of this shape, how many fit a GPU's memory at a time, by one step of it; at least 1."""
        if self.device.type != "cuda" or most == 1:
            return most

        def first_step() -> Course:
            course = self.course()
            course.trainer.advance()
            return course

        return min(most, fitting(self.device, first_step))

    @property
    def failure(self) -> Path:
        """Says why this training failed, so that no other job takes it along again."""
        return self.folder / "failure"

    def note_failure(self, error: Exception) -> None:
        with atomic_path(self.failure) as temporary:
            temporary.write_text(f"{error}\n", encoding="utf-8")


def companions(
    own: Assignment, planned: Path | None, most: int, held: ExitStack, alike: bool = True
) -> list[Assignment]:
    """Up to ``most`` planned runs of one shape that are not trained yet and that no process is training.

    Args:
        planned: a JSON list of mappings with ``settings``, ``dataset`` and ``state``; None or missing: no others.
        held: gets their locks.
        alike: of the shape of the job's own run, since they are trained beside it.
    """
    found: list[Assignment] = []
    shape = _shape(own.settings) if alike else None
    for settings, dataset, state in _planned(planned) if most > 0 else ():
        if len(found) == most:
            break
        if settings.run == own.settings.run or shape not in (None, _shape(settings)) or not dataset.exists():
            continue
        with ExitStack() as attempt:
            try:
                lock = hold(state, settings.run, wait=False)
                if lock is None:
                    break
                attempt.callback(lock.release)
                other = Assignment(settings, dataset, state, own.device)
            except (Timeout, FileError):  # its own job will tell
                continue
            if not other.failure.exists() and other.losses() is None:
                found.append(other)
                shape = _shape(settings)
                held.push(attempt.pop_all())
    return found


def _planned(path: Path | None) -> Iterator[tuple[Train, Path, Path]]:
    try:
        entries: list[dict[str, Any]] = [] if path is None else json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    for entry in entries:
        yield Train.model_validate(entry["settings"]), Path(entry["dataset"]), Path(entry["state"])


def _shape(settings: Train) -> tuple[Any, ...]:
    """Equal for runs whose steps take the same time and memory."""
    training, named = settings.training, in_force(settings.model, settings.denoiser)
    sizes = (
        settings.lattice.image_size,
        settings.lattice.world,
        settings.model,
        canonical_json(named.model_dump(mode="json")),
    )
    return *sizes, training.batch_size, training.precision, training.compile


def _digest(data: TrainingData) -> str:
    """Stands for what training draws from, whatever made it."""
    digest = hashlib.sha256()
    for tensor in (data.images, data.labels, data.probability):
        digest.update(np.ascontiguousarray(tensor.numpy()).data)
    return digest.hexdigest()


def _training_data(path: Path, lattice: Lattice) -> TrainingData:
    world = world_of(lattice)
    data, points = _read(path, tuple(world.names.asked))
    wanted = world.training_points
    columns = dict(zip(world.names.asked, wanted.labels.T, strict=True)) | {"probability": wanted.probability}
    if any(
        len(points[name]) != len(values) or not np.allclose(points[name], values, equal_nan=True)
        for name, values in columns.items()
    ):
        raise FileError(f"{path}: holds another lattice than this run is trained on; {CURE}")
    return data


@lru_cache(maxsize=1)  # runs that are trained together often share it
def _read(path: Path, asked: tuple[str, ...]) -> tuple[TrainingData, dict[str, np.ndarray]]:
    """What training draws from, and the columns of the table that tell its lattice."""
    points = read_table("dataset", path)
    if missing := [name for name in asked if name not in points]:
        raise FileError(f"{path}: has no labels {', '.join(missing)}, so it is of another world; {CURE}")
    pixels = to_network(read_block("dataset", path, "image"))
    size = round(pixels.shape[1] ** 0.5)
    drawn = points.probability.to_numpy() > 0
    data = TrainingData(
        torch.from_numpy(pixels[drawn].reshape(-1, 1, size, size)),
        torch.tensor(points.loc[drawn, list(asked)].to_numpy(), dtype=torch.float32),
        torch.tensor(points.probability.to_numpy()[drawn]),
    )
    return data, {name: points[name].to_numpy() for name in (*asked, "probability")}
