"""Behaviour: how many bumps a generated image has, where they are, and whether they match the request.

Bumps are Gaussians fitted to the pixels by least squares. All bumps of an image are fitted together over a flat
background, so that neither neighbours nor a grey veil displace them. A bump counts by its fitted amplitude, not by its
brightest pixel: a perfect bump centred between four pixels reaches only ``exp(-1 / (4 sigma^2))`` on each of them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, gaussian_filter1d, maximum_filter
from scipy.optimize import least_squares

from bumpscope.config.lattice import Lattice
from bumpscope.worlds.bumps import factors
from bumpscope.worlds.outcomes import outcomes

# Bounds of fitted widths, in sigma. A narrower bump would fit a single bright pixel, a wider one the background.
NARROWEST, WIDEST = 0.75, 2.0
# Maxima closer than this (in sigma) are one bump: two equal Gaussians of standard deviation sigma have two maxima
# only when they are more than 2 sigma apart.
SEPARATION = 2.0
# A shoulder of a stronger bump has no maximum of its own and shows only in the residual of a first fit. Nearer than
# this (in sigma) it is attributed to the shape of the first bump.
SHOULDER = 3.0
# A bump between two pixels has its maximum on both, so no distance between maxima is less than this (px).
LEAST_SEPARATION = 1.5
# Light smoothing for the search, in sigma; more would merge neighbours that are 4 sigma apart.
SMOOTHING = 0.5
# The faintest bump searched for: five standard deviations of the image's own noise, within these limits, so that
# bumps are also found in an image of pure noise.
FLOOR, CEILING = 0.05, 0.175
# The search finds at least this share of a bump's amplitude; it underestimates narrow bumps between pixels.
UNDERRATING = 0.6
# The most bumps fitted together; the strongest are kept.
MOST = 6
# Steps of the fit; fewer for many bumps, whose exact places do not matter.
STEPS_FOR_FEW, STEPS_FOR_MANY = 20, 10
# An image with a larger intensity has diverged and holds no bump.
LARGEST_INTENSITY = 1e6


def distance(
    x: np.ndarray | float, y: np.ndarray | float, mu_x: np.ndarray | float, mu_y: np.ndarray | float, lattice: Lattice
) -> np.ndarray:
    """Euclidean distance between points, px; the shorter way round on a torus. Arguments broadcast."""
    along_x, along_y = factors(lattice)
    return np.hypot(along_x.difference(x, mu_x), along_y.difference(y, mu_y))


def find_bumps(image: np.ndarray, lattice: Lattice) -> pd.DataFrame:
    """Fit the bumps of one image, however faint.

    Args:
        image: intensities, shape (N, N); row is y, column is x. Dark bumps are inverted first.

    Returns:
        A row a bump, strongest first, at most ``MOST``: ``x``, ``y`` (px, within the image's area), ``amplitude``
        (intensity over the background, at least ``FLOOR``) and ``width`` (standard deviation, px). No rows for an
        image without maxima above its noise, with a value that is not finite, or beyond ``LARGEST_INTENSITY``.

    Raises:
        ValueError: when the image is not of the lattice's size.
    """
    return pd.DataFrame(_find(np.asarray(image)[None], lattice, 0.0)[0], columns=["x", "y", "amplitude", "width"])


def read(images: np.ndarray, lattice: Lattice, faint: float) -> pd.DataFrame:
    """What each image shows.

    Args:
        images: intensities, shape (n, N, N).
        faint: fitted amplitude from which a bump counts.

    Returns:
        A row an image: the number of ``bumps`` that count, at most ``MOST``; ``x``, ``y``, ``amplitude``, ``width``
        of the strongest bump, even if too faint to count; NaN where :func:`find_bumps` finds none.

    Raises:
        ValueError: when the images are not of the lattice's size.
    """
    return strongest(_find(np.asarray(images), lattice, faint), faint)


def strongest(found: list[np.ndarray], faint: float) -> pd.DataFrame:
    """The columns of :func:`read` of the bumps of each image: x, y, amplitude, width, strongest first; (k, 4) each."""
    counts = np.array([np.count_nonzero(bumps[:, 2] >= faint) for bumps in found], dtype=np.int64)
    nothing = np.full((1, 4), np.nan)
    x, y, amplitude, width = np.concatenate([np.empty((0, 4)), *(np.vstack([b, nothing])[:1] for b in found)]).T
    return pd.DataFrame({"bumps": counts, "x": x, "y": y, "amplitude": amplitude, "width": width})


def classify(
    images: np.ndarray, mu_x: np.ndarray, mu_y: np.ndarray, lattice: Lattice, tolerance: float, faint: float
) -> pd.DataFrame:
    """What each image shows, compared with its requested centre.

    Args:
        images: intensities, shape (n, N, N).
        mu_x, mu_y: requested centres, px, each of shape (n,).
        tolerance: distance from the request up to which a single bump is correct, px.
        faint: fitted amplitude from which a bump counts.

    Returns:
        The columns of :func:`read`; the distance ``error`` (px) of the strongest bump from the request; ``outcome``:
        none or multiple by the count, else correct or misplaced.

    Raises:
        ValueError: when the images are not of the lattice's size or not as many as the centres.
    """
    if not len(images) == len(mu_x) == len(mu_y):
        raise ValueError(f"{len(images)} images for {len(mu_x)} and {len(mu_y)} requested centres")
    found = read(images, lattice, faint)
    error = distance(found["x"].to_numpy(), found["y"].to_numpy(), mu_x, mu_y, lattice)
    return found.assign(error=error, outcome=outcomes(found["bumps"].to_numpy(), error <= tolerance))


def _find(images: np.ndarray, lattice: Lattice, faint: float) -> list[np.ndarray]:
    """Bumps of each image, shape (k, 4): x, y, amplitude, width, strongest first.

    Complete from amplitude ``faint``; below it only the strongest is sure to be included.
    """
    images = usable(images, lattice)
    if len(images) == 0:
        return []
    found = []
    residuals = np.empty_like(images)
    nothing = np.empty((0, 4))
    for k, maxima in enumerate(_maxima(images, lattice)):
        worthwhile = maxima[:, 2] >= UNDERRATING * faint
        worthwhile[:1] = True
        bumps, residuals[k] = fit(images[k], _apart(maxima[worthwhile], nothing, lattice)[:MOST], lattice)
        found.append(bumps)
    for k, maxima in enumerate(_maxima(residuals, lattice)):
        shoulders = _apart(maxima[maxima[:, 2] >= UNDERRATING * faint], found[k], lattice)
        if len(shoulders) and len(found[k]) < MOST:
            found[k], _ = fit(images[k], np.concatenate([found[k], shoulders])[:MOST], lattice)
    ranked = [bumps[np.argsort(-bumps[:, 2], kind="stable")] for bumps in found]
    return [bumps[bumps[:, 2] >= FLOOR] for bumps in ranked]


def usable(images: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Images of bright bumps, float64, with nothing in those that have diverged.

    Raises:
        ValueError: when the images are not of the lattice's size.
    """
    if images.shape[1:] != (lattice.image_size, lattice.image_size):
        raise ValueError(f"images of shape {images.shape[1:]} for a lattice of {lattice.image_size} px")
    images = images.astype(np.float64)
    if lattice.polarity == "dark":
        images = 1.0 - images
    images[~(np.abs(images) <= LARGEST_INTENSITY).all(axis=(1, 2))] = 0.0
    return images


def _maxima(images: np.ndarray, lattice: Lattice) -> list[np.ndarray]:
    """Candidates for bumps in each image, shape (k, 4): x, y (whole px), rough amplitude and width, strongest first."""
    size, sigma = lattice.image_size, lattice.sigma
    # A mirrored edge completes a bump that the edge cuts.
    around = "wrap" if lattice.boundary == "torus" else "reflect"
    level = np.median(images, axis=(1, 2), keepdims=True)
    noise = 1.4826 * np.median(np.abs(images - level), axis=(1, 2), keepdims=True)
    # Smoothing lowers a bump of width sigma by this factor, and white noise by the root of the summed squared weights;
    # less at a mirrored edge, where the floor rises in proportion.
    gain = 1 + SMOOTHING**2
    blur = SMOOTHING * sigma
    smooth = gain * gaussian_filter(images - level, (0, blur, blur), mode=around)
    spread = np.linalg.norm(gaussian_filter1d(np.eye(size), blur, axis=0, mode=around), axis=1)
    inside = spread[size // 2]
    floor = np.clip(5 * noise * gain * inside**2, FLOOR, CEILING) * np.outer(spread / inside, spread / inside)

    apart = max(LEAST_SEPARATION, SEPARATION * sigma)
    reach = np.arange(-int(apart), int(apart) + 1)
    disc = np.hypot(reach[:, None], reach) <= apart
    peak = smooth == maximum_filter(smooth, footprint=disc[None], mode=around)
    which, row, column = np.nonzero(peak & (smooth > floor))
    amplitude = smooth[which, row, column]
    order = np.lexsort((-amplitude, which))
    points = np.column_stack([column, row, amplitude, np.full(len(row), sigma)])[order]
    bounds = np.searchsorted(which, np.arange(len(images) + 1))
    return [points[first:last] for first, last in pairwise(bounds)]


def _apart(points: np.ndarray, known: np.ndarray, lattice: Lattice) -> np.ndarray:
    """The strongest points that are not too close to each other (pixels of one plateau) or to a known bump."""
    kept = points[:0]
    for point in points:
        to_kept = distance(point[0], point[1], kept[:, 0], kept[:, 1], lattice)
        to_known = distance(point[0], point[1], known[:, 0], known[:, 1], lattice)
        if (to_kept >= max(LEAST_SEPARATION, SEPARATION * lattice.sigma)).all() and (
            to_known >= max(LEAST_SEPARATION, SHOULDER * lattice.sigma)
        ).all():
            kept = np.vstack([kept, point])
    return kept


class _Gaussians:
    """The residual of k Gaussians over a flat background, as a function of 1 + 4 k free numbers.

    These are the background, k amplitudes, and k angles each for x, y and width. The sine of an angle moves its
    quantity between bounds (as in Minuit), since Levenberg-Marquardt has no bounds.

    Args:
        image: shape (N, N).
        starts: rough x, y, amplitude and width, shape (k, 4).
        widths: bounds of the width, px; None for those of bumps of width sigma.
    """

    def __init__(
        self, image: np.ndarray, starts: np.ndarray, lattice: Lattice, widths: tuple[float, float] | None = None
    ):
        self.image, self.count = image, len(starts)
        self.factors = factors(lattice)
        self.pixels = np.arange(lattice.image_size)
        start = starts[:, [0, 1, 3]].T
        reach = 0.5 + (max(1.0, lattice.sigma) if widths is None else np.maximum(1.0, starts[:, 3]))
        low, high = start - reach, start + reach
        if lattice.boundary == "plane":
            # Not beyond the dataset's centres and the outermost pixels, where a single bright pixel would be fitted as
            # the flank of a strong bump.
            outermost = min(lattice.free_margin - 0.5, 0.0)
            low[:2] = np.maximum(low[:2], outermost)
            high[:2] = np.minimum(high[:2], lattice.image_size - 1 - outermost)
        low[2], high[2] = widths or (NARROWEST * lattice.sigma, WIDEST * lattice.sigma)
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        # A start on a bound would stay there, since the sine is flat.
        angle = np.arcsin(np.clip((start - self.middle) / self.half, -0.9, 0.9))
        self.start = np.concatenate([[np.median(image)], starts[:, 2], angle.ravel()])

    def bumps(self, free: np.ndarray) -> np.ndarray:
        """x, y, amplitude and width, shape (k, 4)."""
        x, y, width = self.middle + self.half * np.sin(free[1 + self.count :].reshape(3, -1))
        return np.column_stack([x, y, free[1 : 1 + self.count], width])

    def _profiles(self, free: np.ndarray) -> tuple[np.ndarray, ...]:
        """Amplitude and width, shape (k, 1); distance to, and profile along, x and y, shape (k, N)."""
        x, y, amplitude, width = self.bumps(free).T[..., None]
        along_x, along_y = self.factors
        to_x, to_y = along_x.difference(self.pixels, x), along_y.difference(self.pixels, y)
        return amplitude, width, to_x, to_y, np.exp(-0.5 * (to_x / width) ** 2), np.exp(-0.5 * (to_y / width) ** 2)

    def residual(self, free: np.ndarray) -> np.ndarray:
        """Model less image, shape (N N,)."""
        amplitude, _, _, _, along_x, along_y = self._profiles(free)
        return ((amplitude * along_y).T @ along_x + (free[0] - self.image)).ravel()

    def jacobian(self, free: np.ndarray) -> np.ndarray:
        """Derivative of the residual, shape (N N, 1 + 4 k)."""
        amplitude, width, to_x, to_y, along_x, along_y = self._profiles(free)
        turn = self.half * np.cos(free[1 + self.count :].reshape(3, -1))
        columns = np.empty((1 + 4 * self.count, *self.image.shape))
        columns[0] = 1.0
        by_amplitude, by_x, by_y, by_width = columns[1:].reshape(4, self.count, *self.image.shape)
        np.multiply(along_y[:, :, None], along_x[:, None, :], out=by_amplitude)
        turn_x, turn_y, turn_width = turn[..., None] * amplitude / width**2
        np.multiply(by_amplitude, (turn_x * to_x)[:, None, :], out=by_x)
        np.multiply(by_amplitude, (turn_y * to_y)[:, :, None], out=by_y)
        np.add((to_x**2)[:, None, :], (to_y**2)[:, :, None], out=by_width)
        by_width *= by_amplitude
        by_width *= (turn_width / width)[..., None]
        return columns.reshape(len(columns), -1).T


def fit(
    image: np.ndarray, starts: np.ndarray, lattice: Lattice, widths: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares bumps from ``starts``, shape (k, 4), and their residual, shape (N, N)."""
    if len(starts) == 0:
        return starts, np.zeros_like(image)
    model = _Gaussians(image, starts, lattice, widths)
    steps = STEPS_FOR_FEW if len(starts) <= 3 else STEPS_FOR_MANY
    free = least_squares(
        model.residual, model.start, model.jacobian, method="lm", xtol=1e-5, ftol=1e-5, gtol=1e-8, max_nfev=steps
    ).x
    bumps = model.bumps(free)
    if lattice.boundary == "torus":
        bumps[:, :2] = (bumps[:, :2] + 0.5) % lattice.image_size - 0.5
    return bumps, -model.residual(free).reshape(image.shape)
