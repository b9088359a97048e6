"""Claims C1 to C3, on the phases of single runs; each function's docstring is the rule of its claim."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.coupling import FEWEST_SEEDS
from bumpscope.judge.histories import PHASES, Boundary, History, RunKey, boundary, by_seed, in_order
from bumpscope.judge.intervals import proportion_interval, t_interval
from bumpscope.judge.onsets import curves
from bumpscope.judge.verdicts import (
    CONTRADICTED,
    SUPPORTED,
    UNDETERMINED,
    UNKNOWN,
    Interval,
    Judged,
    Number,
    few,
    judged,
    told,
)
from bumpscope.store.selection import matching

# C1: a share of seeds is a majority, or a minority, when a one-sided binomial test against one half says so.
SIGNIFICANCE = 0.05
# C2: onsets within this ratio of each other go together.
TOGETHER = math.log(1.5)
# C3: R² this far above both controls is more than they explain; C3, C6: accuracy from which a run is accurate.
R2_MARGIN = 0.1
PCA3_R2 = {"quantity": "r2", "factor": None, "space": "pca3", "noise": "own"}
ACCURATE = 0.5


def passes_in_order(passed: Mapping[RunKey, History], metrics: pd.DataFrame) -> Judged:
    """C1. A run is in order if its latents show A, B and C, each first after the one before, and end in C (? aside).

    Runs in which neither latents nor behaviour reach C are unfinished and left out, and so are those that reach C and
    never show B while a B may hide in them: at a verdict of ? that is not "ordered in part", or between the last A and
    the checkpoint after it, where those are more than a factor of 1.5 apart. Supported, or contradicted, when a
    one-sided binomial test at 5% finds all runs of a seed in order in more, or fewer, than half of all seeds. The
    verdict is that of one layer and timestep, the first that is probed; in how many runs the latents pass A, B, C at
    each other place, and the generated images themselves, is told beside it and never counted.
    """
    finished = {key: h for key, h in passed.items() if PHASES["C"] in h.latent or PHASES["C"] in h.behaviour}
    hidden = sum(not history.told for history in finished.values())
    skipped = sum(history.skips_disorder for history in finished.values())
    shares = by_seed({key: float(history.in_order) for key, history in finished.items() if history.told})
    seeds, good = len(shares), sum(share == 1 for share in shares)
    verdict = UNDETERMINED
    if seeds >= FEWEST_SEEDS:
        if share_p(good, seeds, "greater") <= SIGNIFICANCE:
            verdict = SUPPORTED
        elif share_p(good, seeds, "less") <= SIGNIFICANCE:
            verdict = CONTRADICTED
    places = sorted({f"{history.layer} at t={history.t}" for history in passed.values()})
    onsets = {name: _onsets(finished, phase) for phase, name in {"B": "B or C", "C": "C"}.items()}
    elsewhere = _elsewhere(finished, metrics)
    reasons = [f"{len(finished)} of {len(passed)} balanced runs on a plane reached C in latents or behaviour"]
    if finished:
        reasons.append(f"{good} of {seeds} seeds in order in {', '.join(places)}")
        reasons.append(f"{skipped} runs went from A to order without disorder between" if skipped else "")
        reasons.append(f"in {hidden} runs a B may hide between checkpoints or in verdicts of ?" if hidden else "")
        reasons += [f"{name} from {_onset_told(found)}" for name, found in onsets.items()]
        read = [f"{good} of {runs} runs in {place}" for place, (good, runs) in elsewhere.items()]
        reasons.append(f"elsewhere in order: {', '.join(read)}" if read else "")
    evidence = [
        Number("runs", len(passed)),
        Number("runs that reached C", len(finished)),
        Number("runs in which a B may hide", hidden),
        Number("runs without disorder", skipped),
        Number("seeds", seeds),
        Number("seeds in order", good, subject=", ".join(places)),
        *(Number("runs with an onset", len(found), subject=name) for name, found in onsets.items()),
        *(Number("onset", *_mean_onset(found), subject=name) for name, found in onsets.items() if found),
        *(Number("runs read", runs, subject=place) for place, (_, runs) in elsewhere.items()),
        *(Number("runs in order", good, subject=place) for place, (good, _) in elsewhere.items()),
    ]
    interval = proportion_interval(good, seeds)
    return judged("C1", interval, len(finished) - hidden, verdict, [*reasons, few(seeds)], evidence)


def share_p(good: int, seeds: int, alternative: str) -> float:
    """p of a one-sided binomial test of ``good`` of ``seeds`` against one half; ``alternative``: greater or less."""
    return float(stats.binomtest(good, seeds, 0.5, alternative=alternative).pvalue)


def _elsewhere(finished: Mapping[RunKey, History], metrics: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Every other place that was read -> in how many of the runs its verdicts pass A, B, C in order, of how many."""
    if metrics.empty:
        return {}
    judged_at = {(history.layer, history.t) for history in finished.values()}
    verdicts = curves(matching(metrics, quantity="latent_phase"), by=["layer", "t"])
    parts = {}
    for layer, t in dict.fromkeys(key[2:] for key in verdicts):
        found = [
            in_order(values) for key, (_, values) in verdicts.items() if key[2:] == (layer, t) and key[:2] in finished
        ]
        if found and (layer, t) not in judged_at:
            parts["the images" if layer == IMAGE_LAYER else f"{layer} at t={t}"] = (sum(found), len(found))
    return parts


def _onsets(finished: Mapping[RunKey, History], phase: str) -> dict[RunKey, float]:
    """ln onset of a latent phase in the runs that reached it."""
    found = {key: history.latent_onset(phase) for key, history in finished.items()}
    return {key: math.log(known.time) for key, known in found.items() if known is not None and not known.censored}


def _mean_onset(times: Mapping[RunKey, float]) -> Interval:
    """Geometric mean over seeds, with its interval."""
    mean, low, high = (math.exp(value) for value in t_interval(by_seed(times)))
    return mean, low, high


def _onset_told(times: Mapping[RunKey, float]) -> str:
    return f"step {told(_mean_onset(times), digits=0)} in {len(times)} runs" if times else "no step"


def phases_coincide(passed: Mapping[RunKey, History]) -> Judged:
    """C2. Difference of ln onset, latent minus behaviour, at both boundaries (into B, into C).

    A phase that only one of the two reached counts as reached at the last step: a bound on the difference. Supported
    when at both boundaries the interval lies within a ratio of 1.5, no difference is a bound, and the checkpoints
    around the onsets are no further apart than that. Contradicted when at either boundary the interval lies outside by
    more than the distance of the checkpoints, so that it cannot be what parts the onsets. The estimate is that of the
    boundary further apart. Cohen's kappa of the two verdicts over all checkpoints is told beside it.
    """
    both = {phase: boundary(passed, phase) for phase in "BC"}
    reached = {phase: found for phase, found in both.items() if found.differences}
    if not reached:
        looked_at = [Number("runs", len(passed))]
        return judged("C2", UNKNOWN, 0, UNDETERMINED, ["no balanced run on a plane reached B"], looked_at)
    verdict = UNDETERMINED
    if any(_apart(found) for found in reached.values()):
        verdict = CONTRADICTED
    elif all(_together(found) for found in both.values()):
        verdict = SUPPORTED
    intervals = {phase: t_interval(by_seed(found.differences)) for phase, found in reached.items()}
    reasons = []
    for phase, found in reached.items():
        reasons.append(f"{phase}: {told(intervals[phase])}, checkpoints {found.spacing:.2f} ln steps apart")
        reasons.append(f"{found.bounds} of these differences are bounds" if found.bounds else "")
        reasons.append(few(len(by_seed(found.differences))))
    kappas = by_seed({key: history.kappa for key, history in passed.items() if not math.isnan(history.kappa)})
    reasons.append(f"kappa {told(t_interval(kappas))}" if kappas else "")
    evidence = [Number("runs", len(passed))]
    for phase, found in reached.items():
        evidence += [
            Number("difference", *intervals[phase], subject=phase),
            Number("distance of checkpoints", found.spacing, subject=phase),
            Number("differences that are bounds", found.bounds, subject=phase),
            Number("runs compared", len(found.differences), subject=phase),
            Number("seeds", len(by_seed(found.differences)), subject=phase),
        ]
    evidence += [Number("kappa", *t_interval(kappas))] if kappas else []
    runs = len({key for found in reached.values() for key in found.differences})
    worst = max(intervals.values(), key=lambda interval: abs(interval[0]))
    return judged("C2", worst, runs, verdict, reasons, evidence)


def _together(found: Boundary) -> bool:
    seeds = by_seed(found.differences)
    _, low, high = t_interval(seeds)
    close = low >= -TOGETHER and high <= TOGETHER and found.spacing <= TOGETHER + 1e-9
    return len(seeds) >= FEWEST_SEEDS and found.bounds == 0 and close


def _apart(found: Boundary) -> bool:
    seeds = by_seed(found.differences)
    _, low, high = t_interval(seeds)
    return len(seeds) >= FEWEST_SEEDS and (low - found.spacing > TOGETHER or high + found.spacing < -TOGETHER)


def order_is_necessary(metrics: pd.DataFrame, passed: Mapping[RunKey, History]) -> Judged:
    """C3. At the first checkpoint with half of the seen centres right, does R² exceed its controls?

    R² is that of the requested centre from PCA-3, at the layer and t of the latent verdicts; its controls are shuffled
    labels at the same checkpoint and the untrained network, and none counts as less than 0. Supported when R² is 0.1
    above both in every run and the interval lies above zero; contradicted when the interval lies below 0.1.
    """
    correct = curves(matching(metrics, quantity="share_correct", split="seen", bin=None))
    scores = curves(matching(metrics, **PCA3_R2), by=["layer", "t", "label"])
    excess: dict[RunKey, float] = {}
    r2: dict[RunKey, float] = {}
    controls: dict[RunKey, float] = {}
    reached = 0
    for (dataset, seed), history in passed.items():
        steps, accuracy = correct.get((dataset, seed), (np.array([]), np.array([])))
        accurate = steps[accuracy >= ACCURATE]
        if len(accurate) == 0:
            continue
        reached += 1
        place = dataset, seed, history.layer, history.t
        requested, shuffled = (scores.get((*place, label)) for label in ("requested", "shuffled"))
        read = _value_at(requested, accurate[0])
        control = np.clip((_value_at(shuffled, accurate[0]), _value_at(requested, 0)), 0, None).max()
        if not math.isnan(read - control):
            excess[dataset, seed] = float(read - control)
            r2[dataset, seed], controls[dataset, seed] = read, float(control)
    seeds = by_seed(excess)
    interval = t_interval(seeds)
    verdict = UNDETERMINED
    if len(seeds) >= FEWEST_SEEDS:
        if min(excess.values()) > R2_MARGIN and interval[1] > 0:
            verdict = SUPPORTED
        elif interval[2] < R2_MARGIN:
            verdict = CONTRADICTED
    above = sum(value > R2_MARGIN for value in excess.values())
    reasons = [f"{reached} of {len(passed)} balanced runs on a plane reached accuracy {ACCURATE:g}"]
    if excess:
        reasons.append(
            f"R² exceeds its controls by {told(interval)}, by more than {R2_MARGIN:g} in {above} of {len(excess)}"
        )
    evidence = [
        Number("runs", len(passed)),
        Number("runs that got accurate", reached),
        Number("runs compared", len(excess)),
        Number("seeds", len(seeds)),
    ]
    if excess:
        evidence += [
            Number("R²", *t_interval(by_seed(r2))),
            Number("higher control", *t_interval(by_seed(controls))),
            Number("excess", *interval),
            Number("least excess", min(excess.values())),
            Number("runs above the margin", above),
        ]
    return judged("C3", interval, len(excess), verdict, [*reasons, few(len(seeds))], evidence)


def _value_at(curve: tuple[np.ndarray, np.ndarray] | None, step: float) -> float:
    """The value at a step; NaN where it was not measured."""
    if curve is None:
        return math.nan
    at = np.flatnonzero(curve[0] == step)
    return float(curve[1][at[0]]) if len(at) else math.nan
