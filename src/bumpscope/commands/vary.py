"""Probe each checkpoint of a run in another way, and measure at once: images and activations are not kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.config.settings import Lattice, Probe
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.process import Process
from bumpscope.denoise.references import new_denoiser
from bumpscope.measure.geometry import decompose, measure
from bumpscope.probe.generation import generate, noise_seeds, requested_centres
from bumpscope.seeding import derived_seed
from bumpscope.store.checkpoints import restore_weights
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table, provenance
from bumpscope.worlds.behaviour import classify

READS = ()
WRITES = ("varied_behaviour", "varied_geometry")


def vary(
    settings: SettingsOption,
    checkpoints: Annotated[Path, typer.Option(help="folder with step=S.safetensors")],
    behaviour: Annotated[Path, typer.Option(help="table to write: what each image shows")],
    geometry: Annotated[Path, typer.Option(help="table to write: numbers of each activation cloud")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
) -> None:
    """Probe each checkpoint of a run in another way, and measure at once: images and activations are not kept."""
    chosen, plain = read_settings(settings, "seed", "lattice", "model", "diffusion", "probe", "analysis.faint")
    assert chosen.seed is not None and chosen.lattice is not None and chosen.model is not None
    assert chosen.diffusion is not None and chosen.probe is not None and chosen.analysis is not None
    probe = Probe(**chosen.probe.model_dump(exclude_none=True))
    lattice, faint = chosen.lattice, chosen.analysis.faint
    centres = requested_centres(lattice, probe.samples)
    seeds = noise_seeds(chosen.seed, len(centres))
    geometry_seed = derived_seed(chosen.seed, "geometry") % 2**31
    paths = {step: checkpoints / f"step={step}.safetensors" for step in probe.checkpoints}
    metadata = provenance(plain, *paths.values(), run=chosen.run or "")
    with (
        hold_device(device, gpus) as place,
        open_table("varied_behaviour", behaviour, metadata) as behaviour_table,
        open_table("varied_geometry", geometry, metadata) as geometry_table,
    ):
        network = new_denoiser(lattice, chosen.model, chosen.diffusion, chosen.seed).to(place).eval()
        process = Process.from_config(chosen.diffusion, place)
        for number, (step, path) in enumerate(paths.items(), start=1):
            restore_weights(network, path, probe.weights, chosen.run or "")
            generated = generate(network, process, probe, centres, seeds)
            images = generated.images.astype(np.float64)
            # The tolerance decides nothing but the outcome, which is left to whoever reads the table.
            found = classify(images, centres.mu_x.to_numpy(), centres.mu_y.to_numpy(), lattice, np.inf, faint)
            found = centres.join(found).assign(step=step)
            behaviour_table.append(found[TABLES["varied_behaviour"].names])
            for numbers in _measured(generated.activations, found, lattice, geometry_seed):
                geometry_table.append(numbers.assign(step=step)[TABLES["varied_geometry"].names])
            log.info("%s: checkpoint %d of %d probed and measured (step %d)", chosen.run, number, len(paths), step)


def _measured(
    activations: dict[tuple[str, int], np.ndarray], found: pd.DataFrame, lattice: Lattice, seed: int
) -> Iterator[pd.DataFrame]:
    """The numbers of each cloud of a checkpoint but UMAP's, in order; each cloud is let go once it is measured."""
    for layer, t in list(activations):
        components = decompose(activations.pop((layer, t)))
        pca = np.zeros((len(found), 3))
        width = min(3, components.scores.shape[1])
        pca[:, :width] = components.scores[:, :width]
        numbers = measure(
            components,
            pca,
            np.full((len(found), 3), np.nan),
            mu_x=found.mu_x.to_numpy(),
            mu_y=found.mu_y.to_numpy(),
            x=found.x.to_numpy(),
            y=found.y.to_numpy(),
            seen=(found.split == "seen").to_numpy(),
            boundary=lattice.boundary,
            image_size=lattice.image_size,
            seed=seed,
        )
        yield numbers[numbers.space != "umap3"].assign(layer=layer, t=t, noise="own")


if __name__ == "__main__":
    execute(vary)
