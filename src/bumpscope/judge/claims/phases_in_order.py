"""C1: the phases come in order."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from typing import cast

import pandas as pd
from scipy import stats

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import PHASES, History, RunKey, by_seed, follows_the_drawn, histories
from bumpscope.judge.intervals import proportion_interval, t_interval
from bumpscope.judge.remedies import CLOSER_PROBES
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    FEWEST_SEEDS,
    NEEDED,
    SIGNIFICANCE,
    SUPPORTS,
    Bound,
    Check,
    Judged,
    count,
    estimate,
)
from bumpscope.measure.phases import BLIND

ID = "C1"
QUESTION = "Does training pass from no structure through a disordered sheet to an ordered one?"
STATEMENT = "Training passes three latent phases in order: no structure, a manifold in disorder, an ordered one"
STATISTIC = "share of seeds whose latents pass A, B, C in order"
TELLS = {"quantity": "knn_r2_denoised", "space": "raw", "noise": "own"}
READS: Reads = (("phases", {}), ("metrics", TELLS))
FIGURES = ("phases", "places", "manifold", "persistence")
CAVEAT = "One layer and timestep of a small network are judged; a strongly bent sheet in disorder is harder to see."
MORE = {"seeds": CLOSER_PROBES}


def judge(data: Data) -> Judged:
    """A run is in order if its latents show A, B and C, each first after the one before, and end in C (? aside).

    Left out are runs in which neither latents nor behaviour reach C. A run tells nothing if a B may have been missed:
    at a blind checkpoint between the last A and the first C, at a verdict of ? that is not "ordered in part", or where
    the last A and the next checkpoint are more than a factor of 1.5 apart. A seed is in order if all its runs are.
    Supported, or contradicted, when a one-sided binomial test at 5% finds more, or fewer, than half of all seeds in
    order, even if all runs that tell nothing were otherwise.

    The verdict is that of one layer and timestep, the first that is probed. All other places, and the generated images
    themselves, are shown and do not count.
    """
    passed = data.histories
    finished = {key: run for key, run in passed.items() if PHASES["C"] in run.latent or PHASES["C"] in run.behaviour}
    told = {key: run for key, run in finished.items() if run.told}
    shares = by_seed({key: float(run.in_order) for key, run in told.items()})
    seeds, good = len(shares), sum(share == 1 for share in shares)
    where = ", ".join(sorted({f"{history.layer} at t={history.t}" for history in passed.values()}))
    checks = [
        count("balanced runs on a plane", len(passed)),
        count("runs that reached C", len(finished)),
        count("runs in which a B may hide", len(finished) - len(told)),
        count("runs that are blind before C", sum(run.blind_before_order for run in finished.values())),
        count("runs without disorder", sum(run.skips_disorder for run in finished.values())),
        count("seeds", seeds, NEEDED, Bound(least=FEWEST_SEEDS)),
        count("seeds in order", good, subject=where),
    ]
    checks += majority(finished, told)
    checks += [*_onsets(finished), *_everywhere(finished, data), *_drawn(finished, data.table("metrics", **TELLS))]
    return Judged(proportion_interval(good, seeds), len(told), checks)


def majority(finished: Mapping[RunKey, History], told: Container[RunKey]) -> Iterator[Check]:
    """Whether more, or fewer, than half of all seeds are in order, even if all runs that tell nothing were otherwise.

    Leaving those runs out would favour support: a run that shows B proves that a B would be seen.
    """
    if not any(key in told for key in finished):
        return
    worst = by_seed({key: float(key in told and run.in_order) for key, run in finished.items()})
    best = by_seed({key: float(key not in told or run.in_order) for key, run in finished.items()})
    more, fewer = sum(share == 1 for share in worst), sum(share == 1 for share in best)
    level = Bound(most=SIGNIFICANCE)
    yield count("one-sided p, more than half", share_p(more, len(worst), "greater"), SUPPORTS, level)
    yield count("one-sided p, fewer than half", share_p(fewer, len(best), "less"), CONTRADICTS, level)


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


def _everywhere(finished: Mapping[RunKey, History], data: Data) -> Iterator[Check]:
    """At every place that was read: the share of checkpoints with sight, and how many runs pass A, B, C in order."""
    phases = data.table("phases")
    phases = phases[pd.MultiIndex.from_frame(phases[["dataset", "seed"]]).isin(list(finished))]
    if phases.empty:
        return
    yield count("share of clouds with sight", (phases["latent_phase"] != BLIND).mean())
    judged_at = {(history.layer, history.t) for history in finished.values()}
    for key, here in phases.groupby(["layer", "t"], sort=False):
        place = cast("tuple[str, int]", key)
        where = _name(place)
        yield count("share of clouds with sight", (here["latent_phase"] != BLIND).mean(), subject=where)
        if place not in judged_at:
            runs = [run for run in histories(here, set(here["dataset"])).values() if run.told]
            yield count("runs that tell", len(runs), subject=where)
            yield count("runs in order", sum(run.in_order for run in runs), subject=where)


def _drawn(finished: Mapping[RunKey, History], tells: pd.DataFrame) -> Iterator[Check]:
    """At every place: how many clouds tell the centre that was drawn clearly better than the one requested."""
    tells = tells[pd.MultiIndex.from_frame(tells[["dataset", "seed"]]).isin(list(finished))]
    for place, here in tells.groupby(["layer", "t"], sort=False):
        where = _name(cast("tuple[str, int]", place))
        wide = here.pivot(index=["dataset", "seed", "step"], columns="label", values="value")
        if {"realised", "requested"} <= set(wide):
            told = follows_the_drawn(wide["realised"], wide["requested"])
            yield count("share of clouds that tell the drawn centre alone", told.mean(), subject=where)


def _name(place: tuple[str, int]) -> str:
    layer, t = place
    return "the images" if layer == IMAGE_LAYER else f"{layer} at t={t:g}"
