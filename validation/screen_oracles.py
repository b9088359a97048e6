"""Which exact denoisers draw combinations that were never shown? A screen that trains nothing.

Each oracle knows the training images of a design exactly. What it can and cannot draw follows from how it uses its
labels, and not from how well it has learnt. Only composed scores are sampled, by DDIM as a network would be; of the
others it is known what they would draw. Writes ``oracle-screen.parquet``, a row for each design, oracle and split, and
the table of docs/factorise.md; takes a minute.

- composed: the sum of the posterior means given x alone and given y alone, less that without labels: composed scores
  (Liu et al. 2022, arXiv 2206.01714), with guidance 1 or 4. Estimates are clipped to [-1, 1] before the noise is told
  from them; otherwise they overshoot, and no image has one bump at guidance 4.
- product: the product of the two profiles, each given its own label.
- copier: the training image with the nearest centre. kernel: the mean of all, weighted by distance.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import typer
from torch import Tensor

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Holdout, Lattice, Shown
from bumpscope.denoise.process import Process
from bumpscope.denoise.samplers import ddim, trailing_timesteps
from bumpscope.measure.lattice_scale import on_lattice_scale, yardsticks
from bumpscope.worlds.bayes import bayes_estimates
from bumpscope.worlds.behaviour import classify
from bumpscope.worlds.bumps import from_network, lattice_points
from truth_tables import DOCS, RESULTS, save

NAME = "oracle-screen"
PAGE, MARK = DOCS / "factorise.md", "<!-- table of validation/screen_oracles.py -->"
SAMPLING_STEPS, REQUESTS, SEED = 25, 192, 0
TOLERANCE, FAINT = 1.0, 0.25
PLANE = Lattice(image_size=16, sigma=1.0, margin=2.0, dx=1.0, dy=1.0)
COARSE = PLANE.model_copy(update={"dx": 1.5, "dy": 1.5})


def _block(low: float, high: float) -> Lattice:
    return PLANE.model_copy(update={"holdout": Holdout(x=[low, high], y=[low, high])})


def _shown(lattice: Lattice, **design: float) -> Lattice:
    return lattice.model_copy(update={"shown": Shown.model_validate(design)})


# Positions run from 2 to 13, so 6 to 9 are 4 of 12 on each axis.
DESIGNS: dict[str, Lattice] = {
    "full lattice": PLANE,
    "4 x 4 block withheld": _block(6.0, 9.0),
    "6 x 6 block withheld": _block(5.0, 10.0),
    "8 x 8 block withheld": _block(4.0, 11.0),
    "10 x 10 block withheld": _block(3.0, 12.0),
    **{f"circulant, N = 8, k = {k}": _shown(COARSE, each=k) for k in (1, 2, 4)},
    **{f"circulant, N = 12, k = {k}": _shown(PLANE, each=k) for k in (1, 2, 4, 8)},
    **{f"random share {share}": _shown(PLANE, share=share) for share in (0.3, 0.6)},
}
Estimate = Callable[[np.ndarray, float], np.ndarray]


def composed(mu_x: np.ndarray, mu_y: np.ndarray, lattice: Lattice, guidance: float) -> Estimate:
    """The clean image by composed scores, shape (n, N, N), as a function of noised images and alpha_bar."""

    def estimate(x_t: np.ndarray, alpha_bar: float) -> np.ndarray:
        blind, given_x, given_y = bayes_estimates(x_t, mu_x, mu_y, alpha_bar, lattice)
        return (blind + guidance * (given_x + given_y - 2 * blind)).clip(-1, 1).reshape(x_t.shape)

    return estimate


def drawn(estimate: Estimate, count: int, size: int) -> np.ndarray:
    """Images drawn by DDIM with exact estimates, intensities, shape (n, N, N)."""
    process = Process.from_config(Diffusion(prediction="v"))

    def predict(x: Tensor, t: Tensor) -> Tensor:
        bar = float(process.alpha_bar[t[0]])
        clean = torch.from_numpy(estimate(x[:, 0].numpy(), bar))[:, None]
        return (bar**0.5 * x - clean) / (1 - bar) ** 0.5

    noise = torch.randn((count, 1, size, size), generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    steps = trailing_timesteps(process.timesteps, SAMPLING_STEPS)
    return from_network(ddim(predict, noise, process, steps)[:, 0].numpy())


def requests(lattice: Lattice) -> pd.DataFrame:
    """``REQUESTS`` of withheld combinations and as many of shown ones, all equally often: mu_x, mu_y, split, sample."""
    points = lattice_points(lattice)
    found = pd.DataFrame({"mu_x": points.mu_x, "mu_y": points.mu_y})
    found["split"] = np.where(points.heldout, "heldout", "seen")
    # Composed scores need an image with the same x and one with the same y.
    shown = found[~points.heldout]
    found = found[found["mu_x"].isin(shown["mu_x"]) & found["mu_y"].isin(shown["mu_y"])]
    shuffled = [part.sample(frac=1, random_state=SEED) for _, part in found.groupby("split", sort=False)]
    parts = [part.iloc[np.arange(REQUESTS) % len(part)] for part in shuffled]
    return pd.concat(parts, ignore_index=True).rename_axis("sample").reset_index()


def read(images: np.ndarray, asked: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    found = classify(images, asked.mu_x.to_numpy(), asked.mu_y.to_numpy(), lattice, TOLERANCE, FAINT)
    return asked.join(found)


def screen(name: str, lattice: Lattice) -> pd.DataFrame:
    """Rows of the table for one design."""
    asked, points = requests(lattice), lattice_points(lattice)
    mu_x, mu_y = asked.mu_x.to_numpy(), asked.mu_y.to_numpy()
    found = {
        f"composed, guidance {guidance:g}": read(
            drawn(composed(mu_x, mu_y, lattice, guidance), len(asked), lattice.image_size), asked, lattice
        )
        for guidance in (1.0, 4.0)
    }
    table = pd.DataFrame({"mu_x": points.mu_x, "mu_y": points.mu_y, "probability": points.probability})
    # Asked as if all were new, since those that were shown are read as well.
    once = asked.drop_duplicates(["mu_x", "mu_y"]).assign(split="heldout")
    images = yardsticks(once, table, lattice, FAINT).drop(columns="split")
    for oracle, stand_in in (("product", "exact"), ("copier", "copier"), ("kernel", "kernel")):
        own = asked.merge(images[images["yardstick"] == stand_in], on=["mu_x", "mu_y"], how="left", validate="m:1")
        error = np.hypot(own["x"] - own["mu_x"], own["y"] - own["mu_y"])
        outcome = np.where((own["bumps"] == 1) & (error <= TOLERANCE), "correct", "other")
        found[oracle] = own.assign(error=error, outcome=outcome)
    rows = []
    for oracle, of_oracle in found.items():
        scale = on_lattice_scale(of_oracle, lattice)
        for split in ("heldout", "seen"):
            part, right = of_oracle[of_oracle["split"] == split], scale[scale["split"] == split]
            row = {"design": name, "positions": lattice.counts[0], "shown": int((points.probability > 0).sum())}
            row |= {"oracle": oracle, "split": split, "requests": len(part)}
            row |= {"correct": (part["outcome"] == "correct").mean()}
            row |= {"right": right["right_0.45"].mean(), "right_x": right["right_x"].mean()}
            row |= {"right_y": right["right_y"].mean(), "one_bump": (part["bumps"] == 1).mean()}
            rows.append(row)
    return pd.DataFrame(rows)


def page(table: pd.DataFrame) -> str:
    """The table in docs/factorise.md: shares on withheld combinations, on shown ones where none are withheld."""
    part = table[(table["split"] == "heldout") | (table["design"] == "full lattice")]
    part = part[part["requests"] > 0]
    told = [f"{right:.0%} ({near:.0%})" for right, near in zip(part["right"], part["correct"], strict=True)]
    wide = part.assign(told=told).pivot(index="design", columns="oracle", values="told")
    shown = part.drop_duplicates("design").set_index("design")["shown"]
    wide = wide.loc[shown.index, list(dict.fromkeys(part["oracle"]))]
    lines = ["| design | shown | " + " | ".join(wide.columns) + " |", "|" + " --- |" * (2 + len(wide.columns))]
    lines += [
        f"| {name} | {shown[name]} | " + " | ".join(row) + " |"
        for name, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """A page with the table between its two marks."""
    before, _, rest = text.partition(MARK)
    return before + MARK + "\n\n" + table + "\n\n" + MARK + rest.partition(MARK)[2]


def main(folder: Path = RESULTS) -> None:
    """Draw with every oracle on every design; write the table, and that of docs/factorise.md."""
    torch.set_num_threads(1)
    table = pd.concat([screen(name, lattice) for name, lattice in DESIGNS.items()], ignore_index=True)
    save(NAME, table, folder)
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), page(table)), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
