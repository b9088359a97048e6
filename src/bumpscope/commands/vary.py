"""Probe each checkpoint of a run in another way, and measure at once: images and activations are not kept."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.config import steps
from bumpscope.denoise.devices import device as hold_device
from bumpscope.measure.components import decompose
from bumpscope.measure.geometry import Centres, measure
from bumpscope.probe.checkpoint import Checkpoints, checkpoint_path
from bumpscope.probe.generation import generate, noise_seeds
from bumpscope.seeding import derived_seed
from bumpscope.store.provenance import with_worlds
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table, provenance
from bumpscope.worlds.named import world_of
from bumpscope.worlds.reading import classify
from bumpscope.worlds.requests import requested_centres

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
    chosen = read_settings(settings, steps.Vary)
    probe, lattice, faint = chosen.probe, chosen.lattice, chosen.analysis.faint
    world = world_of(lattice)
    centres, columns = requested_centres(lattice, probe.samples), TABLES["varied_behaviour"].of(world.names).names
    seeds = noise_seeds(chosen.seed, len(centres))
    geometry_seed = derived_seed(chosen.seed, "geometry") % 2**31
    paths = [checkpoint_path(checkpoints, step) for step in probe.checkpoints]
    code = with_worlds(["commands.vary", chosen.denoiser.path], [lattice.world.path])
    metadata = provenance(chosen.plain, *paths, run=chosen.run, code=code, names=world.names)
    with (
        hold_device(device, gpus) as place,
        open_table("varied_behaviour", behaviour, metadata) as behaviour_table,
        open_table("varied_geometry", geometry, metadata) as geometry_table,
    ):
        trained = (lattice, chosen.model, chosen.diffusion, chosen.seed)
        run = Checkpoints(checkpoints, *trained, chosen.run, place, chosen.denoiser)
        for number, step in enumerate(probe.checkpoints, start=1):
            run.load(step, probe.judged)
            generated = generate(run.asked, run.process, probe, centres, seeds)
            images = generated.images.astype(np.float64)
            # The tolerance decides only the outcome, which this table does not have.
            labels, everything = centres[world.names.asked].to_numpy(), [np.inf] * len(world.names.groups)
            found = classify(world, images, labels, everything, faint)
            found = centres.join(found).assign(step=step, weights=probe.judged)
            behaviour_table.append(found[columns])
            where = Centres.from_table(found, world.factors)
            for layer, t in list(generated.activations):
                # Each cloud is freed once it is measured.
                components = decompose(generated.activations.pop((layer, t)))
                numbers = measure(components, where, geometry_seed)
                numbers = numbers.assign(step=step, weights=probe.judged, layer=layer, t=t, noise="own")
                geometry_table.append(numbers[TABLES["varied_geometry"].names])
            log.info("%s: checkpoint %d of %d probed and measured (step %d)", chosen.run, number, len(paths), step)


if __name__ == "__main__":
    execute(vary)
