"""New centres on the scale of the lattice: is a request met, and would a memoriser have met it too?

A bump counts as right if it lies closer to the request, on each axis, than a copy of a training image would. The
nearest one lies up to half a spacing away on each axis, so a tolerance in pixels that is wider than that tells nothing.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import pandas as pd
from scipy.special import softmax

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.exact import exact_of
from bumpscope.worlds.named import world_of
from bumpscope.worlds.reading import read
from bumpscope.worlds.world import World

# Shares of the spacing within which a bump may lie from the request on each axis. The first is judged: a copier of the
# nearest image is then right for a quarter of the requests between lattice points, at 0.45 for 81 %.
CLOSE = (0.25, 0.45)
RIGHT, *_ = QUANTITIES = tuple(f"right_{share:g}" for share in CLOSE)
# Largest deviation of a bump's width from sigma, as a share of it. An average of images of neighbouring centres has one
# bump in the right place too, but too wide.
WIDTH_TOLERANCE = 0.2
# What stands in for the network, the exact images among them: the most that can be reached.
YARDSTICKS = ("exact", "copier", "kernel")
# Requests whose images are averaged together.
CHUNK = 64


def on_lattice_scale(images: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    """How each image meets its request.

    Args:
        images: rows of table ``behaviour``.

    Returns:
        A row an image: ``split``, where heldout is a withheld lattice point and centres between those have none;
        ``right_0.25`` and ``right_0.45``, whether it has one bump of width sigma within this share of the spacing on
        each axis; ``right_x`` and ``right_y``, the same for the wider share on one axis alone; ``along`` and
        ``square``, the scalar product of the drawn with the requested offset from the nearest lattice point, and the
        square of the requested one, over images with one bump within a spacing of the request. Offsets are in spacings.
        In other worlds axes are their factors; where widths differ any is right.
    """
    world = world_of(lattice)
    off, requested, drawn = [], [], []
    for factor in world.factors:
        wanted, found = images[f"mu_{factor.name}"].to_numpy(), images[factor.name].to_numpy()
        nearest = factor.grid[factor.distance(wanted[:, None], factor.grid).argmin(axis=1)]
        off.append(np.abs(factor.difference(found, wanted)) / factor.spacing)
        requested.append(factor.difference(wanted, nearest) / factor.spacing)
        drawn.append(factor.difference(found, nearest) / factor.spacing)
    single, farthest = (images["bumps"] == 1).to_numpy(), np.max(off, axis=0)
    # Found positions are exact to a hundredth of a pixel, lattice positions to rounding.
    between = np.abs(requested).max(axis=0) > 1e-6
    split = images["split"].where(~(between & (images["split"] == "heldout").to_numpy()))
    shaped = single
    if world.width is not None:
        shaped = single & (np.abs(images["width"].to_numpy() / world.width - 1) <= WIDTH_TOLERANCE)
    right = {name: shaped & (farthest <= share) for name, share in zip(QUANTITIES, CLOSE, strict=True)}
    right |= {f"right_{name}": shaped & (own <= CLOSE[-1]) for name, own in zip(world.names, off, strict=True)}
    near = single & (farthest <= 1)
    along, square = (
        np.sum([np.where(near, a, 0.0) * b for a, b in zip(one, requested, strict=True)], axis=0)
        for one in (drawn, requested)
    )
    return pd.DataFrame(right, images.index).astype("float64").assign(split=split, along=along, square=square)


def yardsticks(requests: pd.DataFrame, points: pd.DataFrame, lattice: Lattice, faint: float) -> pd.DataFrame:
    """What stand-ins for the network draw at the new labels among the requests, read as its images are.

    ``exact`` draws the bump; ``copier`` the training image whose label is nearest; ``kernel`` the mean of all training
    images, weighted by a Gaussian of their distance from the request, one spacing wide for each factor.

    Args:
        requests: columns sample, mu_x, mu_y (or the names of other factors), split.
        points: rows of table ``dataset``.
        faint: fitted amplitude from which a bump counts.

    Returns:
        ``yardstick`` and the columns of table ``behaviour`` that :func:`on_lattice_scale` reads, for splits heldout and
        between; no rows without such requests.
    """
    world = world_of(lattice)
    asked = world.names.asked
    new = requests[requests["split"] != "seen"]
    labels = new[asked].to_numpy()
    kept = points[points["probability"] > 0].dropna(subset=asked)  # stripes have no label on one axis
    parts = []
    for start in range(0, len(new), CHUNK):
        rows = slice(start, start + CHUNK)
        weights, nearest = _weights(labels[rows], kept, world)
        drawn = (
            world.render(labels[rows]),
            world.render(kept[asked].to_numpy()[nearest]),
            exact_of(world).mean_image(weights, kept[asked].to_numpy()),
        )
        for name, images in zip(YARDSTICKS, drawn, strict=True):
            found = read(world, images, faint)
            parts.append(new.iloc[rows].reset_index(drop=True)[[*asked, "split"]].join(found).assign(yardstick=name))
    columns = ["yardstick", *asked, "split", "bumps", *world.names, "amplitude", "width"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _weights(labels: np.ndarray, points: pd.DataFrame, world: World) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's weight of each training image, shape (n, K), and which of them is nearest, shape (n,)."""
    to = [
        factor.difference(own[:, None], points[f"mu_{factor.name}"].to_numpy())
        for factor, own in zip(world.factors, labels.T, strict=True)
    ]
    in_spacings = [away / factor.spacing for factor, away in zip(world.factors, to, strict=True)]
    logits = np.log(points["probability"].to_numpy()) - 0.5 * sum(away**2 for away in in_spacings)
    # Where all factors have one unit that is what counts; else spacings are.
    distance = reduce(np.hypot, to if len(world.names.groups) == 1 else in_spacings)
    return softmax(logits, axis=1), distance.argmin(axis=1)
