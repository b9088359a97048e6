"""Whether a cloud is a manifold with a dimension for each factor, and whether one hidden in it would be seen.

Of two factors that is a sheet, of three a solid; both are called sheets here.

Local PCA at several scales (multiscale SVD: Little, Maggioni and Rosasco 2017, Applied and Computational Harmonic
Analysis 43, 504) survives each image's own noise and stray images: noise hides a manifold at small scales, curvature at
large ones, and a scale between shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import euclidean_distances

from bumpscope.measure.components import PRECISION, Components
from bumpscope.measure.dimension import gaussian_p
from bumpscope.measure.phases import is_sheet

# Shares of the cloud that make a neighbourhood. The whole cloud is one, since a sheet in noise as broad as itself shows
# only there.
SCALES = (1 / 20, 1 / 10, 1 / 5, 1.0)
FEWEST = 60  # points; below, few scales are left
AROUND = 32  # points whose neighbourhoods are looked at
# Radii of planted sheets, in units of the cloud's own.
PLANTED = (0.5, 1.0, 2.0)


def local_shape(points: np.ndarray, dimension: int = 2) -> tuple[float, float]:
    """Breadth and thickness of points, shape (n, k): ratios of their local variances, in falling order.

    The breadth of a sheet of dimension d is the least ratio of neighbours among the first d, its thickness the next
    over the d-th: with two dimensions second over first and third over second. Each is the smallest over the scales,
    of the median over neighbourhoods; the breadth without that of the whole cloud, since a sheet may be long. Scales
    whose neighbourhoods have too few points to leave a sheet are left out. What has fewer dimensions has breadth 0, a
    sheet thickness 0, and a cloud without structure has both near 1. NaN for fewer than 60 points.
    """
    n, width = points.shape
    if n < FEWEST or width == 0 or not np.isfinite(points).all():
        return np.nan, np.nan
    if width <= dimension:
        points = np.concatenate([points, np.zeros((n, dimension + 1 - width))], axis=1)
    around = np.linspace(0, n - 1, AROUND).astype(int)
    nearest = np.argsort(euclidean_distances(points[around], points, squared=True), axis=1)
    shapes = []
    for share in SCALES:
        # Fewer points, centred, lie in a sheet whatever the cloud is.
        if round(share * n) < dimension + 2:
            continue
        # The whole cloud is everyone's neighbourhood.
        near = points[nearest[: None if share < 1 else 1, : round(share * n)]]
        near = near - near.mean(axis=1, keepdims=True)
        across = near.swapaxes(1, 2)
        gram = near @ across if near.shape[1] < near.shape[2] else across @ near
        variance = np.median(np.linalg.eigvalsh(gram)[:, : -dimension - 2 : -1].clip(0), axis=0)
        above = variance[:-1] > PRECISION**2 * variance[0]
        shapes.append(np.divide(variance[1:], variance[:-1], out=np.zeros(dimension), where=above))
    *breadths, thickness = np.transpose(shapes)
    return float(min(breadth[:-1].min() for breadth in breadths)), float(thickness.min())


def sheet_numbers(components: Components, seed: int, dimension: int = 2) -> Iterator[tuple[str, float]]:
    """Shape of the components above noise, and the least planted sheet that would be seen, as (metric, value).

    Args:
        seed: of the planted sheets.
    """
    yield from zip(("breadth", "thickness", "gaussian_p"), _readings(components.denoised, dimension), strict=True)
    yield "least_visible_sheet", least_visible_sheet(components, seed, dimension)


def least_visible_sheet(components: Components, seed: int, dimension: int = 2) -> float:
    """The smallest of the planted radii at which a cloud with a sheet in disorder planted in it is taken for a sheet.

    In units of the cloud's own radius: a sheet of radius 1 has half of the variance. NaN where none is seen; the
    smallest in a cloud without any spread.
    """
    if not components.scores.any():
        return PLANTED[0]
    for size in PLANTED:
        cloud = planted(components, size, np.random.default_rng(seed), dimension)
        if is_sheet(*_readings(cloud, dimension), dimension):
            return size
    return np.nan


def planted(components: Components, size: float, rng: np.random.Generator, dimension: int = 2) -> np.ndarray:
    """A cloud without its noise, and a flat square or cube, added to it at positions that have nothing to do with it.

    The sheet lies across the components above noise and carries the noise of as many directions below it.

    Args:
        size: radius of the sheet (root mean square distance from its middle) over that of the cloud; of three
            dimensions 1.2 times as large, so that it is as broad in each direction.

    Returns:
        Shape (n, rank + dimension).
    """
    scores = components.scores
    sheet = rng.uniform(-1, 1, size=(len(scores), dimension))
    sheet -= sheet.mean(axis=0)
    sheet *= size * np.sqrt(dimension / 2 * (scores**2).sum() / (sheet**2).sum())
    below = scores[:, components.rank :]
    if below.shape[1] >= dimension:
        sheet += below @ np.linalg.qr(rng.normal(size=(below.shape[1], dimension)))[0]
    return np.concatenate([components.denoised, sheet], axis=1)


def _readings(points: np.ndarray, dimension: int) -> tuple[float, float, float]:
    """Breadth, thickness, and p-value of the test that as many of the broadest components are Gaussian."""
    centred = points - points.mean(axis=0)
    if not np.isfinite(points).all() or points.shape[1] == 0:
        return np.nan, np.nan, np.nan
    _, axes = np.linalg.eigh(centred.T @ centred)
    return *local_shape(points, dimension), gaussian_p(centred @ axes[:, -dimension:])


def averaged(points: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The mean point of each group that has several, shape (groups, k)."""
    _, member, count = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), points.shape[1]))
    np.add.at(sums, member, points)
    return sums[count > 1] / count[count > 1, None]
