"""Train a denoiser, or go on where a killed training stopped."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from filelock import FileLock, Timeout

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.commands.jobs import RunsPerJobOption, runs_in_a_job
from bumpscope.config.steps import Train
from bumpscope.config.training import Training
from bumpscope.denoise.assignment import Assignment, companions
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.devices import expected, give_back, out_of_memory
from bumpscope.denoise.loop import Course, train_together
from bumpscope.denoise.recorder import cause
from bumpscope.denoise.trainer import LossLog, TrainingError, learning_rate
from bumpscope.store.checkpoints import load_tensors
from bumpscope.store.files import FileError, atomic_path, first_line, publish
from bumpscope.store.locks import hold
from bumpscope.store.manifest import checksum, recorded_folder
from bumpscope.store.tables import write_table

READS = ("dataset",)
WRITES = ("losses",)


def train(
    settings: SettingsOption,
    dataset: Annotated[Path, typer.Option(help="table of the dataset")],
    output: Annotated[Path, typer.Option(help="folder of the run; gets losses.parquet and checkpoints/")],
    state: Annotated[Path, typer.Option(help="folder for what a killed training resumes from")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
    runs_per_job: RunsPerJobOption = "auto",
    planned: Annotated[
        Path | None,
        typer.Option(envvar="BUMPSCOPE_PLANNED", help="JSON list with settings, dataset and state of planned runs"),
    ] = None,
) -> None:
    """Train a denoiser, or go on where a killed training stopped."""
    chosen = read_settings(settings, Train)
    runs_in_a_job(runs_per_job, on_gpu=False)  # a wrong number is told before a GPU is waited for
    lock: FileLock | None = None
    # Another job may have trained it: then no GPU is waited for, nor started.
    own = Assignment(chosen, dataset, state, expected(device, gpus))
    losses = own.losses()
    held = False
    while losses is None:
        with hold_device(device, gpus) as place, ExitStack() as others:
            own = Assignment(chosen, dataset, state, place)
            most = runs_in_a_job(runs_per_job, place.type == "cuda")
            if not held:
                try:
                    lock, held = hold(state, chosen.run, wait=most == 1), True
                except Timeout:
                    log.info("%s: another process is training this run", chosen.run)
            losses = own.losses() if held else None
            if losses is None:
                # While another process trains this run, there may be others to train.
                batch = [own] if held else []
                if planned is not None and (lock is not None or not held):
                    batch += companions(own, planned, own.fitting(most) - len(batch), others, alike=held)
                losses = _train(batch, own)
        if not held:
            lock, held = hold(state, chosen.run), True
    _publish_all(own, output)
    _write_losses(output / "losses.parquet", losses, chosen.training, own.metadata)
    with atomic_path(own.folder / "finished") as marker:
        marker.touch()
    if lock is not None:
        lock.release()


def _train(batch: list[Assignment], own: Assignment) -> LossLog | None:
    """Train all runs of a batch; the losses of the job's own run, if it is among them.

    Raises:
        TrainingError, FileError: when the own run failed. That others failed is logged; their own jobs fail.
    """
    if batch:
        names, where = ", ".join(one.settings.run for one in batch), own.machine["gpu"] or own.machine["processor"]
        log.info("%s: training on %s (%s)", names, own.device, where)
    courses = _courses(batch, own)
    for one in (one for one in batch if one.settings.run in courses):
        error = courses[one.settings.run].error
        if isinstance(error, TrainingError):
            one.note_failure(error)
        if error is not None and one is not own:
            log.warning("%s: failed, and the others went on: %s", one.settings.run, error)
    mine = courses.get(own.settings.run)
    if mine is None:
        return None
    if mine.error is not None:
        raise mine.error
    return mine.trainer.log


def _courses(batch: list[Assignment], own: Assignment) -> dict[str, Course]:
    """The trainings of a batch, by run, taken to their end.

    Where a GPU's memory does not hold them all, it is the first half of them, and where they fail together for another
    reason the first alone. What was trained of the others is kept. That a single one fails is raised if it is the job's
    own; any other is left to its own job.
    """
    courses: dict[str, Course] = {}
    while batch:
        try:
            courses |= {one.settings.run: one.course() for one in batch}
            train_together(courses.values())
            return courses
        except Exception as error:
            full = out_of_memory(cause(error))
            if len(batch) == 1 and not (full and batch == [own]):
                batch[0].note_failure(error)
            if batch == [own]:
                raise
            if full:
                left = len(batch) // 2
                told = f"{len(batch)} runs do not fit the GPU's memory together; going on with {left}"
            else:
                left = min(1, len(batch) - 1)
                told = f"{', '.join(one.settings.run for one in batch)}: failed ({first_line(cause(error))})"
        log.warning("%s", told)
        courses.clear()
        give_back(batch[0].device)
        batch = batch[:left]
    return {}


def _publish_all(own: Assignment, output: Path) -> None:
    """Put the checkpoints of a finished training among the results."""
    finished = [own.folder / f"step={step}.safetensors" for step in own.settings.training.checkpoints]
    try:
        for path in finished:
            load_tensors(path)
    except FileError:
        # A broken state must not be resumed by the next attempt.
        shutil.rmtree(own.folder, ignore_errors=True)
        raise
    published = output / "checkpoints"
    with recorded_folder(published, {path.name: checksum(path) for path in finished}):
        for path in finished:
            with atomic_path(published / path.name) as temporary:
                # The state keeps it until the workflow has ended well.
                publish(path, temporary)
        # Checkpoints of an earlier training of this run would pass for this one's.
        for path in published.glob("step=*.safetensors"):
            if path.name not in {kept.name for kept in finished}:
                path.unlink()


def _write_losses(path: Path, losses: LossLog, training: Training, metadata: dict[str, str]) -> None:
    steps = np.array(losses.steps, dtype=np.int64)
    data = {
        "step": steps,
        "loss": np.array(losses.losses),
        "learning_rate": np.array([learning_rate(step, training) for step in losses.steps]),
        "images_seen": steps * training.batch_size,
    }
    write_table("losses", path, data, metadata)


if __name__ == "__main__":
    execute(train)
