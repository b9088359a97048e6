"""Generate images at each probed checkpoint of a run, and keep activations on the way."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.config import steps
from bumpscope.denoise.devices import device as hold_device
from bumpscope.probe.checkpoint import Checkpoints, checkpoint_path
from bumpscope.probe.generation import generate as generate_images
from bumpscope.probe.generation import noise_seeds, shared_noise_seeds
from bumpscope.store.tables import open_table, provenance
from bumpscope.worlds.requests import one_a_centre, requested_centres

READS = ()
WRITES = ("samples", "latents")


def generate(
    settings: SettingsOption,
    checkpoints: Annotated[Path, typer.Option(help="folder with step=S.safetensors")],
    samples: Annotated[Path, typer.Option(help="table to write: generated images")],
    latents: Annotated[Path, typer.Option(help="table to write: activation vectors")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
) -> None:
    """Generate images at each probed checkpoint of a run, and keep activations on the way."""
    chosen = read_settings(settings, steps.Generate)
    probe = chosen.probe
    centres = requested_centres(chosen.lattice, probe.samples)
    seeds = noise_seeds(chosen.seed, len(centres))
    control = one_a_centre(centres)
    shared = shared_noise_seeds(chosen.seed, len(control))
    metadata = provenance(chosen.plain, checkpoint_path(checkpoints, probe.checkpoints[-1]), run=chosen.run)
    with (
        hold_device(device, gpus) as place,
        open_table("samples", samples, metadata) as image_table,
        open_table("latents", latents, metadata) as latent_table,
    ):
        run = Checkpoints(checkpoints, chosen.lattice, chosen.model, chosen.diffusion, chosen.seed, chosen.run, place)
        for number, step in enumerate(probe.checkpoints, start=1):
            for weights in probe.drawing:
                network = run.load(step, weights)
                generated = generate_images(network, run.process, probe, centres, seeds)
                pixels = generated.images.reshape(len(centres), -1)
                request = centres.assign(step=step, weights=weights, noise_seed=seeds)
                request = request[["step", "weights", *centres.columns, "noise_seed"]]
                image_table.append(request.to_dict("series") | {"image": pixels})
                alike = generate_images(network, run.process, probe, control, shared)
                for noise, requests, found in (("own", centres, generated), ("shared", control, alike)):
                    for (layer, t), vectors in found.activations.items():
                        where = {"step": step, "weights": weights, "layer": layer, "t": t, "noise": noise}
                        rows = pd.DataFrame({"sample": requests["sample"]}).assign(**where)[[*where, "sample"]]
                        latent_table.append(rows.to_dict("series") | {"vector": vectors})
            log.info("%s: checkpoint %d of %d probed (step %d)", chosen.run, number, len(probe.checkpoints), step)


if __name__ == "__main__":
    execute(generate)
