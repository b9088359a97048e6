"""The coupling index over all pairs of datasets with swapped axes, and each pair tested for itself.

A pair counts where its nulls differ, it has five seeds and its crossings can be timed. Where the nulls do not differ a
factorised learner would look coupled too, so that the pair says nothing. Where factors cannot be swapped a pair is two
factors of one dataset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # its stats take a second to import, and come when they are used

from bumpscope.config.controls import ONE_DIMENSIONAL
from bumpscope.judge.coupling import CLOCKS, LATER, Clock, Pair, index, pairs
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.intervals import holm, t_interval
from bumpscope.judge.onsets import RESOLUTION
from bumpscope.judge.remedies import EACH_ALONE, IMBALANCE
from bumpscope.judge.verdicts import NEEDED, UNKNOWN, Bound, Check, Interval, count, estimate
from bumpscope.store.names import XY
from bumpscope.store.selection import matching

_CURVES = {"quantity": RESOLUTION, "bin": None}
BESIDE = {"reference": "none", "measure": ["effects", "rare"]}
READS: Reads = (("metrics", _CURVES), ("coupling", BESIDE))
# Checks without which no claim on coupling is judged, and what to run for them.
COUNTED, COUNTED_UNLIKE = "pairs that count", "pairs of factors that count"
MORE = {COUNTED: IMBALANCE, COUNTED_UNLIKE: EACH_ALONE}


@dataclass(frozen=True)
class Pooled:
    """Pairs of the model under study, timed by resolution against one-dimensional nulls; each pair once.

    Attributes:
        unlike: whether these are of factors that cannot be swapped.
    """

    pairs: Sequence[Pair]
    unlike: bool = False

    @cached_property
    def counted(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.decided and pair.differs]

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds that all counted pairs have."""
        of_pairs = [set(pair.seeds_with_nulls) for pair in self.counted]
        return sorted(set.intersection(*of_pairs)) if of_pairs else []

    def index(self, late: float = 1.0, clock: Clock = math.log) -> Interval:
        """The index from the gaps averaged over the counted pairs, seed by seed, those of the nulls counted positive.

        Args:
            late: where crossings that never came are taken, as a multiple of the last step.
            clock: what differences of onsets are taken of.
        """
        if not self.counted:
            return UNKNOWN
        signs = [np.sign(pair.null_gaps(self.seeds, clock=clock).mean()) for pair in self.counted]
        gaps, null_gaps = (
            np.mean([sign * of(pair) for sign, pair in zip(signs, self.counted, strict=True)], axis=0)
            for of in (
                lambda pair: pair.gaps(self.seeds, late, clock),
                lambda pair: pair.null_gaps(self.seeds, late, clock),
            )
        )
        return index(gaps, null_gaps)

    def above(self, level: float) -> np.ndarray:
        """One-sided p of each counted pair, that its index lies above ``level``, adjusted by Holm; shape (pairs,)."""
        return holm([_p(pair, level, "above") for pair in self.counted])

    def below(self, level: float) -> np.ndarray:
        """The same that it lies below."""
        return holm([_p(pair, level, "below") for pair in self.counted])

    def needed(self) -> Iterator[Check]:
        """The checks without which no claim on coupling is judged."""
        differing = sum(pair.differs for pair in self.pairs)
        if self.unlike:
            yield count("pairs of factors", len(self.pairs))
            yield count("pairs of factors whose nulls do not differ", _alike(self.pairs))
            yield count(COUNTED_UNLIKE, len(self.counted), NEEDED, Bound(least=1))
            return
        yield count("pairs with swapped axes", len(self.pairs))
        yield count("pairs whose nulls do not differ, where a factorised learner looks coupled too", _alike(self.pairs))
        yield count("pairs whose nulls differ", differing)
        yield count(COUNTED, len(self.counted), NEEDED, Bound(least=1))

    def shown(self, p_values: dict[str, np.ndarray], data: Data) -> Iterator[Check]:
        """Each pair for itself, and what other measures say.

        Args:
            p_values: name -> a p-value for each counted pair.
        """
        for pair in self.pairs:
            seeds, name = pair.seeds_with_nulls, _name(pair)
            yield count("seeds", len(seeds), subject=name)
            yield estimate("coupling index", pair.index(seeds), subject=name)
            yield estimate("coupling index in steps", pair.index(seeds, clock=float), subject=name)
            yield estimate("ln difference of the nulls", t_interval(pair.null_gaps(seeds)), subject=name)
            for axis, delays in pair.delays(seeds).items():
                yield estimate(f"steps by which {axis} is later than its null", t_interval(delays), subject=name)
        for quantity, values in p_values.items():
            for pair, p in zip(self.counted, values, strict=True):
                yield count(quantity, float(p), subject=_name(pair))
        beside = data.table("coupling", **BESIDE)
        for row in beside.to_dict("records"):
            subject = f"{row['dataset']}, {str(row['nulls']).replace('_', '-')} nulls"
            yield estimate(f"index by {row['measure']}", (row["coupling"], row["low"], row["high"]), subject=subject)


def pooled(data: Data) -> Pooled:
    """The pairs that claims on coupling are judged by."""
    metrics, runs, unlike = data.table("metrics"), data.table("runs"), data.names != XY
    if metrics.empty or runs.empty:
        return Pooled([], unlike)
    studied = runs[runs["reference"] == "none"]
    of_world = set(runs.loc[runs["factors"] == str(data.names), "dataset"])
    found, swapped = [], set[str | None]()
    for pair in pairs(matching(metrics, **_CURVES), studied, [RESOLUTION]):
        if bool(pair.comparison.unlike) != unlike or (unlike and pair.comparison.dataset not in of_world):
            continue
        if pair.comparison.nulls == ONE_DIMENSIONAL and pair.comparison.dataset not in swapped:
            swapped.add(pair.comparison.swapped)
            found.append(pair)
    return Pooled(found, unlike)


def _name(pair: Pair) -> str:
    found = pair.comparison
    return f"{found.dataset}, {' and '.join(found.factors)}" if found.unlike else found.dataset


def runs_of(found: Pooled) -> int:
    """Seeds that the pooled index rests on."""
    return len(found.seeds)


def estimates(found: Pooled) -> dict[str, Interval]:
    """The pooled index by name, in ln steps and in steps; again with late onsets where a crossing never came."""
    censored = any(pair.onsets[key].censored for pair in found.counted for key in _keys(pair))
    late = {"": 1.0} | ({", onsets never reached ten times later": LATER} if censored else {})
    clocks: dict[str, Clock] = {"pooled coupling index": math.log, "the same in steps": float}
    return {name + when: found.index(times, clock) for when, times in late.items() for name, clock in clocks.items()}


def _keys(pair: Pair) -> Iterator[tuple[str, int, str]]:
    for seed in pair.seeds_with_nulls:
        for both in (*pair.own_keys(seed), *pair.null_keys(seed)):
            yield from both


def _alike(found: Sequence[Pair]) -> int:
    return sum(bool(pair.seeds_with_nulls) and not pair.differs for pair in found)


def _p(pair: Pair, level: float, alternative: str) -> float:
    """One-sided p of a t test over seeds that the index lies above, or below, a level: in ln steps and in steps."""
    return max(_p_of(pair, level, alternative, clock) for clock in CLOCKS)


def _p_of(pair: Pair, level: float, alternative: str, clock: Clock) -> float:
    """The index exceeds the level where g/g0 is below one minus the level."""
    seeds = pair.seeds_with_nulls
    null_gaps = pair.null_gaps(seeds, clock=clock)
    short = np.sign(null_gaps.mean()) * ((1 - level) * null_gaps - pair.gaps(seeds, clock=clock))
    short = short if alternative == "above" else -short
    if short.std() == 0:
        return float(short.mean() <= 0)
    return float(scipy.stats.ttest_1samp(short, 0.0, alternative="greater").pvalue)
