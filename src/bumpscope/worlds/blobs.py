"""Bumps of unknown size in an image: found over a range of scales, then fitted as in :mod:`.behaviour`."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, maximum_filter

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.behaviour import (
    CEILING,
    FLOOR,
    LEAST_SEPARATION,
    MOST,
    SEPARATION,
    UNDERRATING,
    distance,
    fit,
    strongest,
    usable,
)

# Scales of the search, this ratio apart.
STEP = 1.4


def read(images: np.ndarray, lattice: Lattice, widths: tuple[float, float], faint: float) -> pd.DataFrame:
    """What each image shows, as :func:`bumpscope.worlds.behaviour.read`, with bumps of any width within bounds.

    Candidates are maxima over place and scale of the scale-normalised Laplacian (Lindeberg 1998), which of a bump of
    the same width is half its amplitude. What stands nearer to a stronger bump than two widths of the wider is taken
    for a part of it, unless it is left over by the fit.

    Args:
        images: intensities, shape (n, N, N).
        widths: least and largest width, px.
        faint: fitted amplitude from which a bump counts.

    Raises:
        ValueError: when the images are not of the lattice's size.
    """
    images = usable(images, lattice)
    if len(images) == 0:
        return strongest([], faint)
    found, rests = [], np.empty_like(images)
    for k, candidates in enumerate(_candidates(images, lattice, widths, faint)):
        bumps, rests[k] = fit(images[k], _apart(candidates, lattice), lattice, widths)
        found.append(bumps)
    for k, candidates in enumerate(_candidates(rests, lattice, widths, faint)):
        worthwhile = candidates[candidates[:, 2] >= UNDERRATING * faint]
        left = worthwhile[[bool((_away(one, found[k], lattice) >= SEPARATION * one[3]).all()) for one in worthwhile]]
        if len(left) and 0 < len(found[k]) < MOST:
            found[k], _ = fit(images[k], np.concatenate([found[k], _apart(left, lattice)])[:MOST], lattice, widths)
    ranked = [bumps[np.argsort(-bumps[:, 2], kind="stable")] for bumps in found]
    return strongest([bumps[bumps[:, 2] >= FLOOR] for bumps in ranked], faint)


def _candidates(images: np.ndarray, lattice: Lattice, widths: tuple[float, float], faint: float) -> list[np.ndarray]:
    """x, y (whole px), rough amplitude and width in each image, shape (k, 4), strongest first.

    All from amplitude ``faint``, and the strongest in any case.
    """
    # A mirrored edge completes a bump that the edge cuts.
    around = "wrap" if lattice.boundary == "torus" else "reflect"
    scales = np.geomspace(*widths, 1 + math.ceil(math.log(widths[1] / widths[0]) / math.log(STEP)))
    impulse = np.zeros((1, *images.shape[1:]))
    impulse[0, images.shape[1] // 2, images.shape[2] // 2] = 1.0
    level = np.median(images, axis=(1, 2), keepdims=True)
    noise = 1.4826 * np.median(np.abs(images - level), axis=(1, 2))
    cube = np.stack([_laplacian(images, scale, around) for scale in scales], axis=3)
    # How much of white noise passes each scale.
    passed = np.array([np.linalg.norm(_laplacian(impulse, scale, around)) for scale in scales])
    floor = np.clip(5 * noise[:, None] * passed, FLOOR, CEILING)[:, None, None, :]
    # Bumps of one scale wrap, or do not, as images do; scales end.
    around_all = ["nearest", around, around, "nearest"]
    peak = (cube == maximum_filter(cube, size=(1, 3, 3, 3), mode=around_all)) & (cube > floor)
    which, row, column, scale = np.nonzero(peak)
    amplitude = cube[which, row, column, scale]
    order = np.lexsort((-amplitude, which))
    bumps = np.column_stack([column, row, amplitude, scales[scale]])[order]
    bounds = np.searchsorted(which, np.arange(len(images) + 1))
    found = []
    for first, last in pairwise(bounds):
        worthwhile = bumps[first:last, 2] >= UNDERRATING * faint
        worthwhile[:1] = True
        found.append(bumps[first:last][worthwhile])
    return found


def _laplacian(images: np.ndarray, scale: float, around: str) -> np.ndarray:
    """Twice the negative scale-normalised Laplacian: at a bump of this width its amplitude."""
    second = [gaussian_filter(images, (0, scale, scale), order, mode=around) for order in ((0, 2, 0), (0, 0, 2))]
    return -2 * scale**2 * (second[0] + second[1])


def _away(bump: np.ndarray, others: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Distance of a bump from others, shape (k, 4), in px."""
    return distance(bump[0], bump[1], others[:, 0], others[:, 1], lattice)


def _apart(bumps: np.ndarray, lattice: Lattice) -> np.ndarray:
    """The strongest bumps that are no part of a stronger one."""
    kept = bumps[:0]
    for bump in bumps:
        least = np.maximum(LEAST_SEPARATION, SEPARATION * np.maximum(bump[3], kept[:, 3]))
        if (_away(bump, kept, lattice) >= least).all():
            kept = np.vstack([kept, bump])
    return kept[:MOST]
