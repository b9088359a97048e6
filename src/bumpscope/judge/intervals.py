"""Estimates over seeds and their intervals, right for the few seeds that there are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy  # its stats take a second to import, and come when they are used


def t_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean and Student t interval; the ends are NaN below two values, all three without any."""
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) == 0:
        return math.nan, math.nan, math.nan
    mean = float(sample.mean())
    if len(sample) == 1:
        return mean, math.nan, math.nan
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, len(sample) - 1) * scipy.stats.sem(sample))
    return mean, mean - half, mean + half


def fieller_interval(
    numerator: Sequence[float] | np.ndarray, denominator: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Ratio of two means and its interval by Fieller's theorem, from pairs.

    Returns:
        ratio, low, high; all NaN below two pairs and when the interval of the denominator includes zero, where the
        ratio's is unbounded.
    """
    pairs = np.array([numerator, denominator], dtype=np.float64)
    n = pairs.shape[1]
    if n < 2:
        return math.nan, math.nan, math.nan
    top, bottom = pairs.mean(axis=1)
    # All ratios r with |top - r bottom| <= t * (standard error of numerator - r denominator): a quadratic in r.
    spread = scipy.stats.t.ppf((1 + confidence) / 2, n - 1) ** 2 * np.cov(pairs) / n
    a, b, c = bottom**2 - spread[1, 1], top * bottom - spread[0, 1], top**2 - spread[0, 0]
    if a <= 0:
        return math.nan, math.nan, math.nan
    root = math.sqrt(max(b**2 - a * c, 0.0))
    return float(top / bottom), float((b - root) / a), float((b + root) / a)


def proportion_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """Share of successes and its Clopper-Pearson interval; NaN without trials."""
    if trials == 0:
        return math.nan, math.nan, math.nan
    result = scipy.stats.binomtest(successes, trials)
    ends = result.proportion_ci(confidence, method="exact")
    return successes / trials, float(ends.low), float(ends.high)


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """p-values adjusted for their number by Holm (1979): those below a level are significant together at that level."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def clustered_share_interval(
    shares: Sequence[float] | np.ndarray, trials: float, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean share over clusters, such as seeds, and its Clopper-Pearson interval for clustered trials.

    The number of trials is lowered to what would give independent trials the variance between clusters, corrected for
    the few degrees of freedom (Korn and Graubard 1998). Unlike a t interval it stays within 0 to 1.

    Args:
        shares: of each cluster, 0 to 1.
        trials: of all clusters together.
    """
    sample, clusters = np.asarray(shares, dtype=np.float64), len(shares)
    if clusters == 0 or not trials > 0:
        return math.nan, math.nan, math.nan
    mean = float(sample.mean())
    variance = float(sample.var(ddof=1)) / clusters if clusters > 1 else 0.0
    effective = float(trials)
    if variance > 0 and trials > 1:
        degrees = scipy.stats.t.ppf((1 + confidence) / 2, np.array([trials - 1, clusters - 1]))
        effective = min(effective, mean * (1 - mean) / variance * float(degrees[0] / degrees[1]) ** 2)
    hits, tail = mean * effective, (1 - confidence) / 2
    low = float(scipy.stats.beta.ppf(tail, hits, effective - hits + 1)) if mean > 0 else 0.0
    high = float(scipy.stats.beta.isf(tail, hits + 1, effective - hits)) if mean < 1 else 1.0
    return mean, low, high
