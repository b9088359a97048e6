"""Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""

import math
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.config import steps
from bumpscope.denoise.devices import device as hold_device
from bumpscope.probe.checkpoint import Checkpoints, Estimator, checkpoint_path
from bumpscope.probe.effects import EffectProbe, decompose, heldout_probe, make_probe
from bumpscope.probe.frequency import effects_by_bin, make_binned_probe
from bumpscope.probe.resolution import ResolutionFit
from bumpscope.seeding import derived_seed
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table, provenance

READS = ()
WRITES = ("effects", "frequency")
HELDOUT = ("heldout_x", "heldout_y", "heldout_xy")


def effects(
    settings: SettingsOption,
    checkpoints: Annotated[Path, typer.Option(help="folder with step=S.safetensors")],
    output: Annotated[Path, typer.Option(help="table to write")],
    frequency: Annotated[Path, typer.Option(help="table of effects by frequency bin to write")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
) -> None:
    """Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""
    chosen = read_settings(settings, steps.Effects)
    measured = chosen.training.checkpoints
    metadata = provenance(
        chosen.plain,
        *(checkpoint_path(checkpoints, step) for step in measured),
        run=chosen.run,
        code=("commands.effects", chosen.denoiser.path),
    )
    with (
        hold_device(device, gpus) as place,
        open_table("effects", output, metadata) as table,
        open_table("frequency", frequency, metadata) as frequency_table,
    ):
        trained = (chosen.lattice, chosen.model, chosen.diffusion, chosen.seed)
        run = Checkpoints(checkpoints, *trained, chosen.run, place, chosen.denoiser)
        draw = (chosen.probe.effect_samples, derived_seed(chosen.seed, "effects"))
        noise = {t: run.process.alpha_bar[t].item() for t in chosen.probe.effect_timesteps}
        models = {t: Estimator(run.network, run.process, t) for t in noise}
        probes = [make_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        fits = [ResolutionFit(probe, noise[probe.t], chosen.lattice) for probe in probes]
        withheld = [heldout_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        binned = []
        if chosen.probe.frequency_bins:
            binned = [make_binned_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        else:
            frequency_table.append(pd.DataFrame(columns=TABLES["frequency"].names))
        for step in measured:
            for weights in ("ema", "raw"):
                run.load(step, weights)
                answers = [models[p.t](p.x_t, p.mu_x, p.mu_y) for p in probes]
                rows = [decompose(D, p) | fit.fit(D) for D, p, fit in zip(answers, probes, fits, strict=True)]
                rows = [row | _use(models, p) for row, p in zip(rows, withheld, strict=True)]
                frame = pd.DataFrame(rows).assign(step=step, t=list(noise), weights=weights)
                table.append(frame[TABLES["effects"].names])
                for one in binned if weights == "raw" else ():
                    t = one.probe.t
                    found = effects_by_bin(models[t], one, chosen.lattice).assign(step=step, t=t)
                    frequency_table.append(found[TABLES["frequency"].names])
        log.info("%s: label effects measured at %d checkpoints", chosen.run, len(measured))


def _use(models: dict[int, Estimator], withheld: EffectProbe | None) -> dict[str, float]:
    """Use of each label for withheld combinations."""
    if withheld is None:
        return dict.fromkeys(HELDOUT, math.nan)
    found = decompose(models[withheld.t](withheld.x_t, withheld.mu_x, withheld.mu_y), withheld)
    return {name: found[name.replace("heldout", "effect")] for name in HELDOUT}


if __name__ == "__main__":
    execute(effects)
