"""Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""

import math
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
from bumpscope.probe.checkpoint import Checkpoints, Estimator
from bumpscope.probe.effects import EffectProbe, decompose, heldout_probe, make_probe
from bumpscope.probe.frequency import effects_by_bin, make_binned_probe
from bumpscope.probe.resolution import ResolutionFit
from bumpscope.seeding import derived_seed
from bumpscope.store.names import Names
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table
from bumpscope.worlds.named import world_of

READS = ()
WRITES = ("effects", "frequency")


def effects(
    settings: SettingsOption,
    checkpoints: Annotated[Path, typer.Option(help="folder with step=S.safetensors")],
    output: Annotated[Path, typer.Option(help="table to write")],
    frequency: Annotated[Path, typer.Option(help="table of effects by frequency bin to write")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
    state: StateOption = None,
    runs_per_job: RunsPerJobOption = "auto",
    planned: PlannedOption = None,
) -> None:
    """Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""
    own = Probing("effects", read_settings(settings, steps.Effects), checkpoints, state)
    share(own, (output, frequency), device, gpus, runs_per_job, planned)


def checkpoints_read(chosen: steps.Effects) -> list[int]:
    return chosen.training.checkpoints


def probe(
    chosen: steps.Effects, checkpoints: Path, outputs: Sequence[Path], metadata: dict[str, str], place: torch.device
) -> None:
    """Write both tables."""
    measured, world = chosen.training.checkpoints, world_of(chosen.lattice)
    effects_table, binned_table = (TABLES[name].of(world.names) for name in WRITES)
    with (
        open_table("effects", outputs[0], metadata) as table,
        open_table("frequency", outputs[1], metadata) as frequency_table,
    ):
        trained = (chosen.lattice, chosen.model, chosen.diffusion, chosen.seed)
        run = Checkpoints(checkpoints, *trained, chosen.run, place, chosen.denoiser)
        draw = (chosen.probe.effect_samples, derived_seed(chosen.seed, "effects"))
        noise = {t: run.process.alpha_bar[t].item() for t in chosen.probe.effect_timesteps}
        models = {t: Estimator(run.asked, run.process, t) for t in noise}
        probes = [make_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        fits = [ResolutionFit(probe, noise[probe.t], chosen.lattice) for probe in probes]
        withheld = [heldout_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        binned = []
        if chosen.probe.frequency_bins:
            binned = [make_binned_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        else:
            frequency_table.append(pd.DataFrame(columns=binned_table.names))
        for step in measured:
            for weights in ("ema", "raw"):
                run.load(step, weights)
                answers = [models[p.t](p.x_t, p.labels) for p in probes]
                rows = [decompose(D, p) | fit.fit(D) for D, p, fit in zip(answers, probes, fits, strict=True)]
                rows = [row | _use(models, p, world.names) for row, p in zip(rows, withheld, strict=True)]
                frame = pd.DataFrame(rows).assign(step=step, t=list(noise), weights=weights)
                table.append(frame[effects_table.names])
                for one in binned if weights == "raw" else ():
                    t = one.probe.t
                    found = effects_by_bin(models[t], one, chosen.lattice).assign(step=step, t=t)
                    frequency_table.append(found[binned_table.names])
        log.info("%s: label effects measured at %d checkpoints", chosen.run, len(measured))


def _use(models: dict[int, Estimator], withheld: EffectProbe | None, names: Names) -> dict[str, float]:
    """Use of each label for withheld combinations."""
    of = [*names, *names.pairs]
    if withheld is None:
        return {f"heldout_{name}": math.nan for name in of}
    found = decompose(models[withheld.t](withheld.x_t, withheld.labels), withheld)
    return {f"heldout_{name}": found[f"effect_{name}"] for name in of}


if __name__ == "__main__":
    execute(effects)
