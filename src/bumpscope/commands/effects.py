"""Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer

from bumpscope.checkpoints import load_weights
from bumpscope.commands.interface import DeviceOption, GpusOption, SettingsOption, execute, log, read_settings
from bumpscope.devices import device as hold_device
from bumpscope.diffusion import Process
from bumpscope.effects import EffectProbe, decompose, make_probe
from bumpscope.schemas import TABLES
from bumpscope.seeding import derived_seed
from bumpscope.tables import open_table, provenance
from bumpscope.training import new_network
from bumpscope.unet import UNet

CHUNK = 256


def effects(
    settings: SettingsOption,
    checkpoints: Annotated[Path, typer.Option(help="folder with step=S.safetensors")],
    output: Annotated[Path, typer.Option(help="table to write")],
    device: DeviceOption = "auto",
    gpus: GpusOption = 1,
) -> None:
    """Measure how much of each label the denoiser uses at every checkpoint, against exact Bayes denoisers."""
    probe_keys = ("probe.effect_timesteps", "probe.effect_samples", "training.checkpoints")
    chosen, plain = read_settings(settings, "seed", "lattice", "model", "diffusion", *probe_keys)
    assert chosen.seed is not None and chosen.lattice is not None and chosen.model is not None
    assert chosen.diffusion is not None and chosen.probe is not None and chosen.training is not None
    paths = {step: checkpoints / f"step={step}.safetensors" for step in chosen.training.checkpoints}
    metadata = provenance(plain, *paths.values(), run=chosen.run or "")
    with hold_device(device, gpus) as place, open_table("effects", output, metadata) as table:
        network = new_network(chosen.lattice.image_size, chosen.model, chosen.seed).to(place).eval()
        process = Process.from_config(chosen.diffusion, place)
        seed = derived_seed(chosen.seed, "effects")
        probes = [
            make_probe(chosen.lattice, process.alpha_bar[t].item(), t, chosen.probe.effect_samples, seed)
            for t in chosen.probe.effect_timesteps
        ]
        for step, path in paths.items():
            for weights in ("ema", "raw"):
                network.load_state_dict(load_weights(path, weights))
                rows = [decompose(_estimates(network, process, probe, place), probe) for probe in probes]
                frame = pd.DataFrame(rows).assign(step=step, t=[probe.t for probe in probes], weights=weights)
                table.append(frame[TABLES["effects"].names])
        log.info("%s: label effects measured at %d checkpoints", chosen.run, len(paths))


@torch.inference_mode()
def _estimates(network: UNet, process: Process, probe: EffectProbe, place: torch.device) -> np.ndarray:
    """The denoiser's estimates of the clean images of a probe, shape (n, N*N)."""
    x_t = torch.tensor(probe.x_t, dtype=torch.float32)[:, None]
    mu = torch.tensor(np.stack([probe.mu_x, probe.mu_y], axis=1), dtype=torch.float32)
    found = []
    for x, labels in zip(x_t.split(CHUNK), mu.split(CHUNK), strict=True):
        x, t = x.to(place), torch.full((len(x),), probe.t, device=place)
        found.append(process.denoised(network(x, t, labels.to(place)), x, t).flatten(1).double().cpu().numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    execute(effects)
