"""How many combinations of x and y training must show before the others are drawn right.

On an N x N lattice whose design shows K combinations, k in each row and column, a network that memorises is right on
those alone and needs all N²; one that has learnt x and y as two tasks needs a multiple of N. So K*, the least K with an
accuracy of 0.9 on withheld combinations, grows as N² or as N, and its exponent in N tells which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import logit

from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import onset

# Accuracy on withheld combinations that counts as right, and the least on those that were shown.
RIGHT, SEEN = 0.9, 0.95
# Parameters and operations may differ from those of the arm that is compared with by this share.
ALIKE = 0.1
DRAWS = 2000
# Logistic slopes in ln K that are considered, and the number of values of ln K*. The steepest is a step: it leaves open
# where between two measured K the accuracy rises.
SLOPES = np.geomspace(0.5, 200.0, 80)
PLACES = 201
# Values of ln K* whose log-likelihood is this close to the largest are equally good.
TIE = 0.1
COLUMNS = ["arm", "positions", "shown", "seed", "right", "requests"]


@dataclass(frozen=True)
class Threshold:
    """K* of one arm on lattices of N positions an axis.

    Attributes:
        value, low, high: estimate and 95% interval; the ends are NaN below two seeds.
        bound: ``at most`` where the fewest shown combinations may be enough, ``at least`` where even the most may not;
            the value is then this K, or N²: what is known is the interval, which reaches to N or N². Else empty.
        middle: ln K* that exponents of bounds of one kind use, and all that is computed of values that are no bounds:
            of the value, or the median of ``draws`` where K* may lie anywhere between N and the value.
        draws: ln K* under resampled seeds, shape (DRAWS,); paired with those of other arms by the resample.
    """

    value: float
    low: float
    high: float
    bound: str
    middle: float
    draws: np.ndarray


def resamples(seeds: np.ndarray) -> np.ndarray:
    """What each seed weighs in each resample, shape (DRAWS, seeds); the same for the same number of seeds.

    One seed fewer than there are is drawn, and weighs so much more: resamples of all would differ less than seeds do
    (Rao and Wu 1988).
    """
    count = len(seeds)
    drawn = max(1, count - 1)
    return np.random.default_rng(count).multinomial(drawn, np.full(count, 1 / count), size=DRAWS) * (count / drawn)


def threshold(curve: pd.DataFrame, positions: int, stream: int = 0) -> Threshold:
    """K* from accuracies at several K: a logistic in ln K, K* between N, which shows every position, and N².

    Seeds are resampled, and in each resample K* is drawn from the likelihood of its counts, flat in ln K* and in the
    logarithm of the slope. So the interval tells both how seeds differ and how far the K that were measured lie apart.

    Args:
        curve: columns shown (K), seed, right and requests (numbers of images of withheld combinations).
        positions: N.
        stream: of random numbers; arms whose K* are compared have different ones.
    """
    seeds, shown = np.unique(curve["seed"]), np.unique(curve["shown"])
    curve = curve.assign(wrong=curve["requests"] - curve["right"])
    sums = curve.groupby(["shown", "seed"])[["right", "wrong"]].sum()
    grid = pd.MultiIndex.from_product([shown, seeds], names=["shown", "seed"])
    counts = sums.reindex(grid, fill_value=0.0).to_numpy(dtype=float).reshape(len(shown), len(seeds), 2)
    places = np.linspace(math.log(positions), 2 * math.log(positions), PLACES)
    # ln p and ln (1 - p) at each K for each slope and place of K*; shape (slopes, places, K, 2).
    away = SLOPES[:, None, None] * (np.log(shown) - places[:, None]) + logit(RIGHT)
    logs = -np.logaddexp(0, np.stack([-away, away], axis=-1))
    whole = np.tensordot(logs, counts.sum(axis=1), axes=2).max(axis=0)
    good = whole >= whole.max() - TIE
    # A tie that reaches an end is not resolved by what was measured.
    best, bound = float(places[good].mean()), ""
    if good[-1]:
        best, bound = float(places[-1]), "at least"
    elif good[0]:
        best, bound = math.log(shown[0]), "at most"
    times, which = np.unique(resamples(seeds), axis=0, return_inverse=True)  # few seeds have few resamples
    cumulative = _likelihoods(logs, np.tensordot(times, counts, axes=(1, 1))).cumsum(axis=1)[which.ravel()]
    at = np.random.default_rng([stream, positions]).random(DRAWS) * cumulative[:, -1]
    draws = places[(cumulative < at[:, None]).sum(axis=1)]
    low, high = np.exp(interval(draws)) if len(seeds) > 1 else (math.nan, math.nan)
    middle = float(np.median(draws)) if bound == "at most" and shown[0] > positions else best
    return Threshold(math.exp(best), float(low), float(high), bound, middle, draws)


def _likelihoods(logs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Likelihood of each place of K* for each resample's counts (resamples, K, 2), summed over slopes; largest 1."""
    logs = logs.reshape(*logs.shape[:2], -1)
    found = np.tensordot(counts.reshape(len(counts), -1), logs, axes=(1, 2))
    return np.exp(found - found.max(axis=(1, 2), keepdims=True)).sum(axis=1)


def interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def exponent(thresholds: Mapping[int, Threshold]) -> tuple[float, float, float]:
    """d ln K* / d ln N by least squares, with its 95% interval; NaN for one N.

    Where some are bounds, or bounds of both kinds, it is the median of the draws, as in :func:`ratio`.

    Args:
        thresholds: N -> K*, of the same seeds.
    """
    if len(thresholds) < 2:
        return math.nan, math.nan, math.nan
    ln_n = np.log(list(thresholds))
    ln_n -= ln_n.mean()
    values = np.array([one.middle for one in thresholds.values()])
    slopes = ln_n @ np.stack([one.draws for one in thresholds.values()]) / (ln_n @ ln_n)
    alike = len({one.bound for one in thresholds.values()}) == 1
    middle = ln_n @ values / (ln_n @ ln_n) if alike else np.median(slopes)
    return float(middle), *interval(slopes)


def ratio(own: Threshold, other: Threshold) -> tuple[float, float, float]:
    """K* over that of another arm with the same seeds, with its 95% interval; the ends are NaN below two seeds.

    Where one of both is a bound it is the median of the draws, since the ratio of bounds may lie outside the interval.
    """
    draws = own.draws - other.draws
    middle = float(np.median(draws)) if own.bound or other.bound else own.middle - other.middle
    low, high = (math.nan, math.nan) if math.isnan(own.low) else np.exp(interval(draws))
    return math.exp(middle), float(low), float(high)


def compared(curves: pd.DataFrame, baseline: str = "unet") -> pd.DataFrame:
    """K*, its ratio to that of the baseline and its exponent, a row for each arm and N.

    Args:
        curves: :data:`COLUMNS` at least, a row for each run; ``shown`` is K.

    Returns:
        arm, positions, k_star, low, high, bound, ratio, ratio_low, ratio_high, exponent, exponent_low, exponent_high,
        seeds. A ratio is of the seeds that the arm and the baseline share on lattices of this N, NaN without any; an
        exponent is of the N with the most seeds, NaN where these are not the same seeds.
    """
    streams = {str(arm): stream for stream, arm in enumerate(dict.fromkeys(curves["arm"]))}
    measured: dict[tuple[str, int], pd.DataFrame] = {}
    for arm in streams:
        own = curves[curves["arm"] == arm]
        measured |= {(arm, int(n)): own[own["positions"] == n] for n in own["positions"].unique()}

    @cache
    def of(arm: str, n: int, seeds: frozenset[int]) -> Threshold:
        curve = measured[arm, n]
        return threshold(curve[curve["seed"].isin(seeds)], n, streams[arm])

    def seeds_of(arm: str, n: int) -> frozenset[int]:
        return frozenset(measured[arm, n]["seed"]) if (arm, n) in measured else frozenset()

    rows = []
    for arm in streams:
        by_n = {n: seeds_of(arm, n) for name, n in sorted(measured) if name == arm}
        most = max(map(len, by_n.values()))
        of_most = {n: seeds for n, seeds in by_n.items() if len(seeds) == most}
        alike = len(set(of_most.values())) == 1
        slope = exponent({n: of(arm, n, seeds) for n, seeds in of_most.items()} if alike else {})
        for n, seeds in by_n.items():
            one, shared = of(arm, n, seeds), seeds & seeds_of(baseline, n)
            times = ratio(of(arm, n, shared), of(baseline, n, shared)) if shared else (math.nan,) * 3
            row = [arm, n, one.value, one.low, one.high, one.bound, *times, *slope, len(seeds)]
            rows.append(row)
    names = ["arm", "positions", "k_star", "low", "high", "bound", "ratio", "ratio_low", "ratio_high"]
    return pd.DataFrame(rows, columns=[*names, "exponent", "exponent_low", "exponent_high", "seeds"])


def beyond_product(both: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Accuracy on both axes minus the product of those on each, with a t interval over runs; arrays of shape (runs,).

    0 where x and y are drawn right independently (Okawa et al. 2023); at most min(x, y) - x y where they fail together.
    """
    return t_interval(np.asarray(both) - np.asarray(x) * np.asarray(y))


def label_onsets(use: pd.DataFrame, level: float = 0.5) -> pd.DataFrame:
    """When each label is first used for withheld combinations, by run and factor; infinite if never.

    Args:
        use: columns run, factor, step, value, such as metric ``heldout`` at one t.
    """
    rows = []
    for (run, factor), curve in use.sort_values("step").groupby(["run", "factor"]):
        found = onset(curve["step"].to_numpy(), curve["value"].to_numpy(), level)
        rows.append({"run": run, "factor": factor, "time": math.nan if found is None else found.time})
    return pd.DataFrame(rows, columns=["run", "factor", "time"])


def guardrails(seen_accuracy: float, sizes: Mapping[str, tuple[float, float]]) -> list[str]:
    """What makes a comparison unfair, in words: empty where an arm has learnt what it was shown, at an equal size.

    Args:
        sizes: what is counted -> the arm's own number, and that of the arm that it is compared with.
    """
    faults = []
    if not seen_accuracy >= SEEN:
        faults.append(f"accuracy {seen_accuracy:.2f} on shown combinations, less than {SEEN}")
    for name, (own, other) in sizes.items():
        if not abs(own / other - 1) <= ALIKE:
            faults.append(f"{own / other:.2f} times the {name}, more than {ALIKE:.0%} off")
    return faults
