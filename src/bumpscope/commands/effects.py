"""Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from torch import nn

from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.denoise.devices import device as hold_device
from bumpscope.denoise.process import Process
from bumpscope.denoise.references import new_denoiser
from bumpscope.probe.effects import decompose, make_probe
from bumpscope.probe.frequency import effects_by_bin, make_binned_probe
from bumpscope.seeding import derived_seed
from bumpscope.store.checkpoints import restore_weights
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import open_table, provenance

READS = ()
WRITES = ("effects", "frequency")

CHUNK = 256


def effects(
    settings: SettingsOption,
    checkpoints: Annotated[Path, typer.Option(help="folder with step=S.safetensors")],
    output: Annotated[Path, typer.Option(help="table to write")],
    frequency: Annotated[Path, typer.Option(help="table of effects by frequency bin to write")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
) -> None:
    """Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""
    probe_keys = (
        *("probe.effect_timesteps", "probe.effect_samples", "probe.frequency_bins"),
        "training.checkpoints",
    )
    chosen, plain = read_settings(settings, "seed", "lattice", "model", "diffusion", *probe_keys)
    assert chosen.seed is not None and chosen.lattice is not None and chosen.model is not None
    assert chosen.diffusion is not None and chosen.probe is not None and chosen.training is not None
    paths = {step: checkpoints / f"step={step}.safetensors" for step in chosen.training.checkpoints}
    metadata = provenance(plain, *paths.values(), run=chosen.run or "")
    with (
        hold_device(device, gpus) as place,
        open_table("effects", output, metadata) as table,
        open_table("frequency", frequency, metadata) as frequency_table,
    ):
        network = new_denoiser(chosen.lattice, chosen.model, chosen.diffusion, chosen.seed).to(place).eval()
        process = Process.from_config(chosen.diffusion, place)
        draw = (chosen.probe.effect_samples, derived_seed(chosen.seed, "effects"))
        noise = {t: process.alpha_bar[t].item() for t in chosen.probe.effect_timesteps}
        probes = [make_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        binned = [make_binned_probe(chosen.lattice, alpha_bar, t, *draw) for t, alpha_bar in noise.items()]
        if not chosen.probe.frequency_bins:
            frequency_table.append(pd.DataFrame(columns=TABLES["frequency"].names))
        for step, path in paths.items():
            for weights in ("ema", "raw"):
                restore_weights(network, path, weights, chosen.run or "")
                models = {t: Model(network, process, t, place) for t in noise}
                rows = [decompose(models[p.t](p.x_t, p.mu_x, p.mu_y), p) for p in probes]
                frame = pd.DataFrame(rows).assign(step=step, t=list(noise), weights=weights)
                table.append(frame[TABLES["effects"].names])
                for apart in binned if chosen.probe.frequency_bins and weights == "ema" else ():
                    found = effects_by_bin(models[apart.probe.t], apart, chosen.lattice).assign(
                        step=step, t=apart.probe.t
                    )
                    frequency_table.append(found[TABLES["frequency"].names])
        log.info("%s: label effects measured at %d checkpoints", chosen.run, len(paths))


@dataclass(frozen=True)
class Model:
    """The denoiser at one timestep: noised images (n, N, N) and centres (n,) to clean estimates (n, N*N)."""

    network: nn.Module
    process: Process
    t: int
    place: torch.device

    @torch.inference_mode()
    def __call__(self, x_t: np.ndarray, mu_x: np.ndarray, mu_y: np.ndarray) -> np.ndarray:
        images = torch.tensor(x_t, dtype=torch.float32)[:, None]
        mu = torch.tensor(np.stack([mu_x, mu_y], axis=1), dtype=torch.float32)
        found = []
        for x, labels in zip(images.split(CHUNK), mu.split(CHUNK), strict=True):
            x, t = x.to(self.place), torch.full((len(x),), self.t, device=self.place)
            estimate = self.process.denoised(self.network(x, t, labels.to(self.place)), x, t)
            found.append(estimate.flatten(1).double().cpu().numpy())
        return np.concatenate(found)


if __name__ == "__main__":
    execute(effects)
