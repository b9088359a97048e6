"""Draw images while the label is swapped between blocks or taken out of a layer, and say what is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.commands.jobs import RunsPerJobOption
from bumpscope.commands.sharing import PlannedOption, Probing, StateOption, share
from bumpscope.config import steps
from bumpscope.measure.order import Label, decodability, make_folds
from bumpscope.probe.checkpoint import Checkpoints
from bumpscope.probe.interventions import Interference, requests, shares
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table
from bumpscope.worlds.named import world_of

READS = ()
WRITES = ("interventions",)


def interventions(
    settings: SettingsOption,
    checkpoints: Annotated[Path, typer.Option(help="folder with step=S.safetensors")],
    output: Annotated[Path, typer.Option(help="table to write")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
    state: StateOption = None,
    runs_per_job: RunsPerJobOption = "auto",
    planned: PlannedOption = None,
) -> None:
    """Draw images while the label is swapped between blocks or taken out of a layer, and say what is drawn."""
    own = Probing("interventions", read_settings(settings, steps.Interventions), checkpoints, state)
    share(own, (output,), device, gpus, runs_per_job, planned)


def checkpoints_read(chosen: steps.Interventions) -> list[int]:
    return chosen.probe.interventions


def probe(
    chosen: steps.Interventions,
    checkpoints: Path,
    outputs: Sequence[Path],
    metadata: dict[str, str],
    place: torch.device,
) -> None:
    """Write the table."""
    keys, lattice, analysis = chosen.probe, chosen.lattice, chosen.analysis
    weights, world = "raw", world_of(lattice)
    names = TABLES["interventions"].of(world.names).names
    with open_table("interventions", outputs[0], metadata) as table:
        table.append(pd.DataFrame(columns=names))
        trained = (lattice, chosen.model, chosen.diffusion, chosen.seed)
        run = Checkpoints(checkpoints, *trained, chosen.run, place, chosen.denoiser)
        if keys.interventions and not run.network.intervenes:
            log.info("%s: no interventions, since %s offers none", chosen.run, type(run.network).__name__)
            return
        asked = requests(lattice, analysis.tolerance, chosen.seed)
        label = Label(asked.own.T, world.factors)
        folds = make_folds(np.unique(asked.own, axis=0, return_inverse=True)[1].ravel(), chosen.seed)
        for step in keys.interventions:
            network = run.load(step, weights)
            for drawn in Interference(network, run.process, keys, lattice, asked, chosen.seed).drawn():
                row: dict[str, Any] = {
                    "step": step,
                    "weights": weights,
                    "intervention": drawn.intervention,
                    "layer": drawn.layer,
                }
                row |= {"samples": len(asked.own), "dimension": drawn.dimension, "variance": drawn.variance}
                row |= shares(drawn.images, asked, lattice, analysis.tolerance, analysis.faint)
                if drawn.activations:
                    told = pd.DataFrame([decodability(vectors, folds, label) for vectors in drawn.activations])
                    row |= {"t": keys.timesteps[0]} | {str(name): value for name, value in told.max().items()}
                table.append(pd.DataFrame([row]).reindex(columns=names))
            log.info("%s: interventions at step %d", chosen.run, step)


if __name__ == "__main__":
    execute(interventions)
