"""How many dimensions a cloud has: its spectrum, and its intrinsic dimension."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from scipy.stats import norm
from sklearn.metrics import euclidean_distances

from bumpscope.measure.components import PRECISION, Components

# Components whose share of the variance is recorded.
SPECTRUM = 10
# Neighbours of the maximum-likelihood dimension (Levina and Bickel 2004 use 10 to 20).
DIMENSION_NEIGHBOURS = 20
# Neighbours of the manifold-adaptive dimension, which compares the distances to the 20th and the 40th. That is further
# than noise and images of one centre reach, which mislead estimators based on the nearest (docs/ground-truth.md).
ADAPTIVE_NEIGHBOURS = 40


def spectrum(components: Components) -> Iterator[tuple[str, float]]:
    """Shares of the variance, rank and participation ratio, as (metric, value)."""
    variance = np.zeros(SPECTRUM)
    found = (components.scores**2).sum(axis=0)
    total = found.sum()
    count = min(SPECTRUM, len(found))
    variance[:count] = found[:count]
    for k in range(SPECTRUM):
        yield f"explained_variance_{k + 1}", variance[k] / total if total > 0 else np.nan
    yield "rank", components.rank if np.isfinite(total) else np.nan
    yield "participation_ratio", total**2 / (found**2).sum() if total > 0 else np.nan


def gaussian_p(scores: np.ndarray) -> float:
    """p-value of the test of Henze and Zirkler (1990, Communications in Statistics 19, 3595) that centred and
    uncorrelated scores, shape (n, p), are of a Gaussian cloud, by its log-normal approximation; NaN without scores."""
    n, p = scores.shape
    if p == 0 or n <= 2 * p:
        return np.nan
    unit = scores / np.sqrt((scores**2).mean(axis=0))
    b = ((2 * p + 1) * n / 4) ** (2 / (p + 4)) / 2
    pairs = np.exp(-b / 2 * euclidean_distances(unit, squared=True)).sum() / n
    single = np.exp(-b / (2 * (1 + b)) * (unit**2).sum(axis=1)).sum()
    statistic = pairs - 2 * (1 + b) ** (-p / 2) * single + n * (1 + 2 * b) ** (-p / 2)
    a, w, q = 1 + 2 * b, (1 + b) * (1 + 3 * b), p * (p + 2)
    mean = 1 - a ** (-p / 2) * (1 + p * b / a + q * b**2 / (2 * a**2))
    variance = (
        2 * (1 + 4 * b) ** (-p / 2)
        + 2 * a**-p * (1 + 2 * p * b**2 / a**2 + 3 * q * b**4 / (4 * a**4))
        - 4 * w ** (-p / 2) * (1 + 3 * p * b**2 / (2 * w) + q * b**4 / (2 * w**2))
    )
    width = np.log1p(variance / mean**2)
    if not (statistic > 0 and width > 0):
        return np.nan
    return float(norm.sf((np.log(statistic / mean) + width / 2) / np.sqrt(width)))


def intrinsic_dimensions(distance: np.ndarray | None) -> Iterator[tuple[str, float]]:
    """Intrinsic dimensions from a distance matrix; NaN for fewer distinct points than the estimator's neighbours."""
    mle = twonn = mada = np.nan
    if distance is not None:
        # Coinciding points have no ratio of distances, so only the first of them is kept.
        coincide = np.tril(distance <= PRECISION * distance.max(), k=-1).any(axis=1)
        distinct = distance[np.ix_(~coincide, ~coincide)]
        if len(distinct) > DIMENSION_NEIGHBOURS:
            from skdim.id import MADA, MLE, TwoNN

            nearest = np.sort(distinct, axis=1)[:, 1 : DIMENSION_NEIGHBOURS + 1]
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                # The estimator only counts the rows of the points, for which the distances can stand.
                mle = MLE().fit(nearest, precomputed_knn_arrays=(nearest, None)).dimension_
                twonn = TwoNN(dist=True).fit(nearest[:, :2]).dimension_
                if len(distinct) > ADAPTIVE_NEIGHBOURS:
                    # The estimator overwrites its argument.
                    mada = MADA(DM=True).fit(distinct.copy(), n_neighbors=ADAPTIVE_NEIGHBOURS).dimension_
    yield "dimension_mle", mle
    yield "dimension_twonn", twonn
    yield "dimension_mada", mada
