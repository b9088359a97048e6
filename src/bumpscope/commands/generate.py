"""Generate images at each probed checkpoint of a run, and keep activations on the way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.commands.jobs import RunsPerJobOption
from bumpscope.commands.sharing import PlannedOption, Probing, StateOption, share
from bumpscope.config import steps
from bumpscope.config.model import DEFAULT_WEIGHTS
from bumpscope.denoise.named import new_denoiser, with_default_weights
from bumpscope.probe.checkpoint import Checkpoints
from bumpscope.probe.generation import Generated, noise_seeds, shared_noise_seeds
from bumpscope.probe.generation import generate as generate_images
from bumpscope.store.tables import TableWriter, open_table
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
    state: StateOption = None,
    runs_per_job: RunsPerJobOption = "auto",
    planned: PlannedOption = None,
) -> None:
    """Generate images at each probed checkpoint of a run, and keep activations on the way."""
    own = Probing("generate", read_settings(settings, steps.Generate), checkpoints, state)
    share(own, (samples, latents), device, gpus, runs_per_job, planned)


def checkpoints_read(chosen: steps.Generate) -> list[int]:
    return chosen.probe.checkpoints


def probe(
    chosen: steps.Generate, checkpoints: Path, outputs: Sequence[Path], metadata: dict[str, str], place: torch.device
) -> None:
    """Write both tables."""
    asked = chosen.probe
    centres = requested_centres(chosen.lattice, asked.samples)
    seeds = noise_seeds(chosen.seed, len(centres))
    control = one_a_centre(centres)
    shared = shared_noise_seeds(chosen.seed, len(control))
    with (
        open_table("samples", outputs[0], metadata) as image_table,
        open_table("latents", outputs[1], metadata) as latent_table,
    ):
        trained = (chosen.lattice, chosen.model, chosen.diffusion, chosen.seed)
        run = Checkpoints(checkpoints, *trained, chosen.run, place, chosen.denoiser)
        for number, step in enumerate(asked.checkpoints, start=1):
            for weights in asked.drawing:
                run.load(step, weights)
                here = asked if weights == asked.judged else asked.at_first_place
                generated = generate_images(run.asked, run.process, here, centres, seeds)
                pixels = generated.images.reshape(len(centres), -1)
                request = centres.assign(step=step, weights=weights, noise_seed=seeds)
                request = request[["step", "weights", *centres.columns, "noise_seed"]]
                image_table.append(request.to_dict("series") | {"image": pixels})
                alike = generate_images(run.asked, run.process, here, control, shared)
                _keep(latent_table, generated, centres, step=step, weights=weights, noise="own")
                _keep(latent_table, alike, control, step=step, weights=weights, noise="shared")
            if step == 0:
                untrained = new_denoiser(chosen.lattice, chosen.model, chosen.diffusion, chosen.seed, chosen.denoiser)
                untrained = with_default_weights(untrained, chosen.seed).to(place).eval()
                alike = generate_images(untrained, run.process, asked, control, shared)
                _keep(latent_table, alike, control, step=step, weights=DEFAULT_WEIGHTS, noise="shared")
            log.info("%s: checkpoint %d of %d probed (step %d)", chosen.run, number, len(asked.checkpoints), step)


def _keep(table: TableWriter, generated: Generated, requests: pd.DataFrame, **where: int | str) -> None:
    """Write the activations of one probe to table ``latents``."""
    for (layer, t), vectors in generated.activations.items():
        rows = requests[["sample"]].assign(**where, layer=layer, t=t)
        rows = rows[["step", "weights", "layer", "t", "noise", "sample"]]
        table.append(rows.to_dict("series") | {"vector": vectors})


if __name__ == "__main__":
    execute(generate)
