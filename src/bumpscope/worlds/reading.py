"""What images of a world show, and whether it is what was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bumpscope.worlds import behaviour, blobs
from bumpscope.worlds.outcomes import outcomes
from bumpscope.worlds.position import Bumps
from bumpscope.worlds.sized import Sized
from bumpscope.worlds.world import World

# Bounds of the sizes that are read, over the least and the largest that are drawn.
NARROWEST, WIDEST = 0.75, 1.5


def read(world: World, images: np.ndarray, faint: float) -> pd.DataFrame:
    """What images show, as :meth:`World.read`: in worlds of this package bumps, fitted by least squares.

    A bump of a :class:`Sized` world is read wherever its row is, all factors from one fit; sizes from 0.75 ``sigma``
    to 1.5 ``sigma ratio``.
    """
    if isinstance(world, Bumps):
        return behaviour.read(images, world.lattice, faint)
    if isinstance(world, Sized):
        widths = NARROWEST * world.lattice.sigma, WIDEST * world.ratio * world.lattice.sigma
        found = blobs.read(images, world.lattice, widths, faint)
        return found.assign(size=found["width"])
    return world.read(images, faint)


def classify(
    world: World, images: np.ndarray, labels: np.ndarray, tolerances: Sequence[float], faint: float
) -> pd.DataFrame:
    """What each image shows, compared with its request.

    Args:
        images: intensities, shape (n, N, N).
        labels: requests, shape (n, F).
        tolerances: of each group of factors, as from :meth:`World.tolerances`.
        faint: amplitude from which an object counts.

    Returns:
        The columns of :meth:`World.read`; ``error``, the distance from the request in the first group of factors;
        ``outcome``: none or multiple by the count, else correct or misplaced; with several groups ``misses``: the
        factors of those in which a single object misses its request, separated by commas.

    Raises:
        ValueError: when the images are not of the world's size or not as many as the requests.
    """
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images for {len(labels)} requests")
    found = read(world, np.asarray(images), faint)
    return judged(world, found, labels, tolerances)


def judged(world: World, found: pd.DataFrame, labels: np.ndarray, tolerances: Sequence[float]) -> pd.DataFrame:
    """What :func:`read` found, with the columns that :func:`classify` adds."""
    found = found[["bumps", *world.names, "amplitude", "width"]]
    away = world.distances(found[[*world.names]].to_numpy(), labels)
    met = [distance <= most for distance, most in zip(away, tolerances, strict=True)]
    outcome = outcomes(found["bumps"].to_numpy(), np.all(met, axis=0))
    found = found.assign(error=away[0])
    if len(met) > 1:
        groups = [",".join(group) for group in world.names.groups]
        missed = [",".join(np.array(groups)[~one]) for one in np.stack(met, axis=1)]
        found = found.assign(misses=np.where(outcome == "misplaced", missed, ""))
    return found.assign(outcome=outcome)
