"""Generate images at each probed checkpoint of a run, and keep activations on the way."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.config.settings import Probe
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.process import Process
from bumpscope.denoise.references import new_denoiser
from bumpscope.probe.generation import generate as generate_images
from bumpscope.probe.generation import noise_seeds, one_a_centre, requested_centres, shared_noise_seeds
from bumpscope.store.checkpoints import restore_weights
from bumpscope.store.tables import open_table, provenance

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
    chosen, plain = read_settings(settings, "seed", "lattice", "model", "diffusion", "probe")
    assert chosen.seed is not None and chosen.lattice is not None and chosen.model is not None
    assert chosen.diffusion is not None and chosen.probe is not None
    probe = Probe(**chosen.probe.model_dump(exclude_none=True))
    centres = requested_centres(chosen.lattice, probe.samples)
    seeds = noise_seeds(chosen.seed, len(centres))
    control = one_a_centre(centres)
    shared = shared_noise_seeds(chosen.seed, len(control))
    paths = {step: checkpoints / f"step={step}.safetensors" for step in probe.checkpoints}
    metadata = provenance(plain, paths[probe.checkpoints[-1]], run=chosen.run or "")
    with (
        hold_device(device, gpus) as place,
        open_table("samples", samples, metadata) as image_table,
        open_table("latents", latents, metadata) as latent_table,
    ):
        network = new_denoiser(chosen.lattice, chosen.model, chosen.diffusion, chosen.seed).to(place).eval()
        process = Process.from_config(chosen.diffusion, place)
        for number, (step, path) in enumerate(paths.items(), start=1):
            restore_weights(network, path, probe.weights, chosen.run or "")
            generated = generate_images(network, process, probe, centres, seeds)
            pixels = generated.images.reshape(len(centres), -1)
            request = centres.assign(step=step, noise_seed=seeds)[["step", *centres.columns, "noise_seed"]]
            image_table.append(request.to_dict("series") | {"image": pixels})
            alike = generate_images(network, process, probe, control, shared)
            for noise, requests, found in (("own", centres, generated), ("shared", control, alike)):
                for (layer, t), vectors in found.activations.items():
                    where = {"step": step, "layer": layer, "t": t, "noise": noise}
                    rows = pd.DataFrame({"sample": requests["sample"]}).assign(**where)[[*where, "sample"]]
                    latent_table.append(rows.to_dict("series") | {"vector": vectors})
            log.info("%s: checkpoint %d of %d probed (step %d)", chosen.run, number, len(paths), step)


if __name__ == "__main__":
    execute(generate)
