"""Time against samples, image size and lattice points, with the slope.

    python benchmarks/growth.py [--samples 256 512 1024 2048]

A slope of 1 (on logarithmic axes) means twice the time for twice the work. The networks are untrained and the images
made, since neither changes how long a step takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from peers import images
from record import RESULTS, save, with_slopes

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.probe import Probe
from bumpscope.config.training import Training
from bumpscope.denoise.process import Process
from bumpscope.denoise.trainer import Trainer, TrainingData
from bumpscope.denoise.unet import new_network
from bumpscope.measure.components import decompose, embed
from bumpscope.measure.geometry import Centres, measure
from bumpscope.measure.topology import persistence
from bumpscope.probe.effects import make_probe
from bumpscope.probe.generation import generate, noise_seeds
from bumpscope.worlds.behaviour import classify
from bumpscope.worlds.bumps import factors, lattice_points, render
from bumpscope.worlds.requests import requested_centres

LATTICE = Lattice(margin=2.0)
PROBE = Probe(sampling_steps=5, layers=["down3"], timesteps=[239])


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The median time of some calls after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def samples(count: int) -> list[dict[str, object]]:
    """Generation, behaviour, geometry, UMAP and homology of a probe with ``count`` images."""
    network, process = new_network(16, Model(), 0).eval(), Process.from_config(Diffusion())
    centres, seeds = requested_centres(LATTICE, count), noise_seeds(0, count)
    mu_x, mu_y = centres.mu_x.to_numpy(), centres.mu_y.to_numpy()
    seen = (centres.split == "seen").to_numpy()
    made = generate(network, process, PROBE, centres, seeds)
    vectors = next(iter(made.activations.values()))
    drawn = render(mu_x, mu_y, LATTICE)
    components = decompose(vectors)
    umap = embed(components, 0)
    where = Centres(np.stack([mu_x, mu_y]), np.stack([mu_x, mu_y]), seen, factors(LATTICE))
    calls = {
        "generation": lambda: generate(network, process, PROBE, centres, seeds),
        "behaviour": lambda: classify(drawn, mu_x, mu_y, LATTICE, tolerance=1.0, faint=0.25),
        "geometry": lambda: measure(decompose(vectors), where, 0, umap),
        "UMAP": lambda: embed(components, 0),
        "homology": lambda: persistence(vectors, 0),
    }
    return [{"cost": name, "against": "samples", "n": count, "seconds": seconds(call)} for name, call in calls.items()]


def image_sizes(sizes: list[int]) -> list[dict[str, object]]:
    """A training step and a forward pass against the side of the image, attention at 4 px and below."""
    rows = []
    for size in sizes:
        lattice = Lattice(image_size=size, margin=2.0)
        data = TrainingData(*images(lattice))
        trainer = Trainer(
            0, data, new_network(size, Model(), 0), Diffusion(), Training(batch_size=32), torch.device("cpu")
        )
        network = new_network(size, Model(), 0).eval()
        x, t, mu = torch.randn(32, 1, size, size), torch.zeros(32, dtype=torch.long), torch.full((32, 2), size / 2)

        def forward(network=network, x=x, t=t, mu=mu) -> None:
            with torch.inference_mode():
                network(x, t, mu)

        for name, call in (("training step", trainer.advance), ("forward pass", forward)):
            rows.append({"cost": name, "against": "image side", "n": size, "seconds": seconds(call, 5)})
    return rows


def lattice_sizes(counts: list[int]) -> list[dict[str, object]]:
    """Making a dataset and the exact Bayes denoisers of 64 probes against the points of the lattice."""
    rows = []
    for count in counts:
        side = round(count**0.5)
        lattice = Lattice(image_size=32, margin=3.5, dx=25 / side, dy=25 / side)

        def dataset(lattice=lattice) -> None:
            points = lattice_points(lattice)
            render(points.mu_x, points.mu_y, lattice)

        def probe(lattice=lattice) -> None:
            make_probe(lattice, 0.5, 300, 64, 0)

        for name, call in (("dataset", dataset), ("Bayes denoisers", probe)):
            rows.append({"cost": name, "against": "lattice points", "n": side**2, "seconds": seconds(call)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--image-sizes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--lattice-points", type=int, nargs="+", default=[100, 625, 2500, 10000])
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for count in chosen.samples for row in samples(count)]
    rows += image_sizes(chosen.image_sizes) + lattice_sizes(chosen.lattice_points)
    save("growth", with_slopes(rows), torch.device("cpu"), chosen.folder)


if __name__ == "__main__":
    main()
