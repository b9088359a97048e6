"""C1: the phases come in order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pandas as pd
from scipy import stats

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.coupling import FEWEST_SEEDS
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import PHASES, History, RunKey, by_seed, in_order
from bumpscope.judge.intervals import proportion_interval, t_interval
from bumpscope.judge.onsets import curves
from bumpscope.judge.verdicts import CONTRADICTS, NEEDED, SUPPORTS, Bound, Check, Judged, count, estimate

ID = "C1"
STATEMENT = "Training passes three latent phases in order: no structure, a 2D manifold in disorder, an ordered one"
STATISTIC = "share of seeds whose latents pass A, B, C in order"
PHASES_ELSEWHERE = {"quantity": "latent_phase"}
READS: Reads = (("phases", {"judged": True}), ("metrics", PHASES_ELSEWHERE))
FIGURES = ("phases", "places", "manifold", "persistence")

# A share of seeds is a majority, or a minority, when a one-sided binomial test against one half says so.
SIGNIFICANCE = 0.05


def judge(data: Data) -> Judged:
    """A run is in order if its latents show A, B and C, each first after the one before, and end in C (? aside).

    Left out are runs in which neither latents nor behaviour reach C, and those that reach C without a B that may have
    been missed: at a verdict of ? that is not "ordered in part", or between the last A and the next checkpoint where
    these are more than a factor of 1.5 apart. A seed is in order if all its runs are. Supported, or contradicted, when
    a one-sided binomial test at 5% finds more, or fewer, than half of all seeds in order.

    The verdict is that of one layer and timestep, the first that is probed. All other places, and the generated images
    themselves, are shown and do not count.
    """
    passed = data.histories
    finished = {key: run for key, run in passed.items() if PHASES["C"] in run.latent or PHASES["C"] in run.behaviour}
    hidden = sum(not history.told for history in finished.values())
    shares = by_seed({key: float(history.in_order) for key, history in finished.items() if history.told})
    seeds, good = len(shares), sum(share == 1 for share in shares)
    where = ", ".join(sorted({f"{history.layer} at t={history.t}" for history in passed.values()}))
    checks = [
        count("balanced runs on a plane", len(passed)),
        count("runs that reached C", len(finished)),
        count("runs in which a B may hide", hidden),
        count("runs without disorder", sum(history.skips_disorder for history in finished.values())),
        count("seeds", seeds, NEEDED, Bound(least=FEWEST_SEEDS)),
        count("seeds in order", good, subject=where),
    ]
    if seeds:
        level = Bound(most=SIGNIFICANCE)
        checks += [
            count("one-sided p, more than half", share_p(good, seeds, "greater"), SUPPORTS, level),
            count("one-sided p, fewer than half", share_p(good, seeds, "less"), CONTRADICTS, level),
        ]
    checks += [*_onsets(finished), *_elsewhere(finished, data.table("metrics", **PHASES_ELSEWHERE))]
    return Judged(proportion_interval(good, seeds), len(finished) - hidden, checks)


def share_p(good: int, seeds: int, alternative: str) -> float:
    """p of a one-sided binomial test of ``good`` of ``seeds`` against one half; ``alternative``: greater or less."""
    return float(stats.binomtest(good, seeds, 0.5, alternative=alternative).pvalue)


def _onsets(finished: Mapping[RunKey, History]) -> Iterator[Check]:
    """When the latents were first in a phase: geometric mean over seeds."""
    for phase, name in {"B": "B or C", "C": "C"}.items():
        onsets = {key: history.latent_onset(phase) for key, history in finished.items()}
        times = {key: math.log(found.time) for key, found in onsets.items() if found and not found.censored}
        yield count("runs with an onset", len(times), subject=name)
        if times:
            mean, low, high = map(math.exp, t_interval(by_seed(times)))
            yield estimate("onset", (mean, low, high), subject=name)


def _elsewhere(finished: Mapping[RunKey, History], phases: pd.DataFrame) -> Iterator[Check]:
    """In how many runs the latents pass A, B, C in order at every other place that was read."""
    phases = phases[phases["layer"].notna()]
    judged_at = {(history.layer, history.t) for history in finished.values()}
    verdicts = curves(phases, by=("layer", "t"))
    for layer, t in phases[["layer", "t"]].drop_duplicates().itertuples(index=False):
        if (layer, t) in judged_at:
            continue
        found = [
            in_order(values) for (*key, at, when), (_, values) in verdicts.items()
            if (at, when) == (layer, t) and tuple(key) in finished
        ]  # fmt: skip
        if found:
            where = "the images" if layer == IMAGE_LAYER else f"{layer} at t={t:g}"
            yield count("runs read", len(found), subject=where)
            yield count("runs in order", sum(found), subject=where)
