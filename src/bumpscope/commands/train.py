"""Train a denoiser, or go on where a killed training stopped."""

import hashlib
import shutil
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import torch
import typer
from filelock import FileLock, Timeout

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.config.lattice import Lattice
from bumpscope.config.section import canonical_json, fingerprint
from bumpscope.config.steps import Train
from bumpscope.config.training import Training
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.loop import train as train_to_the_end
from bumpscope.denoise.named import new_denoiser
from bumpscope.denoise.trainer import LossLog, Trainer, TrainingData, learning_rate
from bumpscope.store.checkpoints import load_tensors
from bumpscope.store.files import CURE, FileError, atomic_path, knows_no_locks, unwritable
from bumpscope.store.machine import described
from bumpscope.store.manifest import checksum, recorded_folder
from bumpscope.store.provenance import code_fingerprint
from bumpscope.store.tables import provenance, read_block, read_table, write_table
from bumpscope.worlds.bumps import lattice_points, to_network

READS = ("dataset",)
WRITES = ("losses",)


def train(
    settings: SettingsOption,
    dataset: Annotated[Path, typer.Option(help="table of the dataset")],
    output: Annotated[Path, typer.Option(help="folder of the run; gets losses.parquet and checkpoints/")],
    state: Annotated[Path, typer.Option(help="folder for what a killed training resumes from")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
) -> None:
    """Train a denoiser, or go on where a killed training stopped."""
    chosen = read_settings(settings, Train)
    plain, training = chosen.plain, chosen.training
    metadata = provenance(plain, dataset, run=chosen.run)
    with hold_device(device, gpus) as place:
        data = _training_data(dataset, chosen.lattice)
        if training.labels == "permuted":
            data = data.with_permuted_labels(chosen.seed)
        # Whatever could change the weights is part of the key, so that no stale state is ever resumed.
        code, machine = code_fingerprint("commands.train"), described(place)
        key = fingerprint(plain, _digest(data), code, torch.__version__, place.type)
        folder = state / key
        log.info("%s: training on %s (%s)", chosen.run, place, machine["gpu"] or machine["processor"])
        run_lock = _hold(state, chosen.run)
        network = new_denoiser(chosen.lattice, chosen.model, chosen.diffusion, chosen.seed)
        trainer = Trainer(chosen.seed, data.to(place), network, chosen.diffusion, training, place)
        parameters = sum(parameter.numel() for parameter in trainer.network.parameters())
        about = metadata | machine | {"config": canonical_json(plain), "code": code, "parameters": str(parameters)}
        losses = train_to_the_end(trainer, folder, about, lambda text: log.info("%s: %s", chosen.run, text))
    finished = [folder / f"step={step}.safetensors" for step in training.checkpoints]
    try:
        for path in finished:
            load_tensors(path)
    except FileError:
        # A broken state must not be resumed by the next attempt.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    published = output / "checkpoints"
    with recorded_folder(published, {path.name: checksum(path) for path in finished}):
        for path in finished:
            _publish(path, published / path.name)
        # Checkpoints of an earlier training of this run would pass for this one's.
        for path in published.glob("step=*.safetensors"):
            if path.name not in {kept.name for kept in finished}:
                path.unlink()
    _write_losses(output / "losses.parquet", losses, training, metadata)
    with atomic_path(folder / "finished") as marker:
        marker.touch()
    if run_lock is not None:
        run_lock.release()


def _hold(state: Path, run: str) -> FileLock | None:
    """Keep other trainings of a run out; waits for one that is still ending. None where files cannot be locked."""
    lock = FileLock(state / "lock", fallback_to_soft=False)
    try:
        state.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.info("%s: another process is training this run; waiting for it", run)
            lock.acquire()
    except (NotImplementedError, OSError) as error:
        if not knows_no_locks(error):
            raise unwritable(state, cast("OSError", error)) from None
        log.warning("%s: %s cannot be locked; make sure that no other workflow uses this folder", run, state)
        return None
    return lock


def _digest(data: TrainingData) -> str:
    """Stands for what training draws from, whatever made it."""
    digest = hashlib.sha256()
    for tensor in (data.images, data.labels, data.probability):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _training_data(path: Path, lattice: Lattice) -> TrainingData:
    points, wanted = read_table("dataset", path), lattice_points(lattice)
    columns = {"mu_x": wanted.mu_x, "mu_y": wanted.mu_y, "probability": wanted.probability}
    if any(len(points) != len(values) or not np.allclose(points[name], values) for name, values in columns.items()):
        raise FileError(f"{path}: holds another lattice than this run is trained on; {CURE}")
    pixels = to_network(read_block("dataset", path, "image"))
    size = round(pixels.shape[1] ** 0.5)
    drawn = points.probability.to_numpy() > 0
    return TrainingData(
        torch.tensor(pixels[drawn].reshape(-1, 1, size, size)),
        torch.tensor(points.loc[drawn, ["mu_x", "mu_y"]].to_numpy(), dtype=torch.float32),
        torch.tensor(points.probability.to_numpy()[drawn]),
    )


def _publish(source: Path, target: Path) -> None:
    """Make a finished checkpoint appear in the results, whole; the state keeps it until the workflow has ended well."""
    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(source)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, temporary)


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
