"""The claims table: what the paper says, what these runs say, and a verdict by a rule fixed here.

Every claim is a function from tables to a row; its docstring is its rule. Rules that hold for all:

- The unit is the seed. Runs of one seed on several datasets are averaged first (or must all agree, for a share),
  so that they do not pass for independent evidence. Intervals over seeds are Student t, on ln steps for times;
  shares have Clopper-Pearson intervals.
- Below five seeds a verdict is undetermined and the estimate descriptive.
- A run that was stopped before it could show what is asked neither supports nor contradicts.
- Reference models, whose learning is known by construction, say nothing of any claim.
- C1, C2, C3, C4 and C6 are judged on balanced datasets on a plane (dx = dy, no skew); all but C4, which compares
  datasets, on those of them with the most seeds, and of these on those probed at the most checkpoints. A dataset shown
  with one seed or few checkpoints would else blur the onsets of one that was made to time them. C6, for which only the
  last checkpoint counts, takes those with withheld combinations and the most seeds beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
from scipy import stats

from bumpscope.comparisons import datasets
from bumpscope.coupling import FEWEST_SEEDS, LATER
from bumpscope.density import longest_ladders
from bumpscope.histories import PHASES, Boundary, History, RunKey, boundary, by_seed, histories, in_order
from bumpscope.intervals import proportion_interval, t_interval
from bumpscope.onsets import curves, onset
from bumpscope.settings import IMAGE_LAYER

# C1: a share of seeds is a majority, or a minority, when a one-sided binomial test against one half says so.
SIGNIFICANCE = 0.05
# C2: onsets within this ratio of each other go together.
TOGETHER = math.log(1.5)
# C3: R² this far above both controls is more than they explain; C3, C6: accuracy from which a run is accurate.
R2_MARGIN = 0.1
ACCURATE = 0.5
# C4: slope of ln onset against ln spacing; below it, halving the spacing saves less than 7% of the steps.
FLAT_SLOPE = 0.1
# C6: accuracy may fall this far behind that of seen centres.
SHORTFALL = 0.1

# The metrics that claims rest on, as a regular expression.
METRICS_READ = r"outcome/correct/(?:seen|heldout|between)|r2/[^/]+/t=\d+/pca3/(?:requested|shuffled)|latent_phase/.+"

STATEMENTS = {
    "C1": "Training passes three latent phases in order: no structure, a 2D manifold in disorder, an ordered one",
    "C2": "Each latent phase goes with one behaviour: several bumps, one in the wrong place, one in the right place",
    "C3": "An ordered representation is what high accuracy needs",
    "C4": "Denser data bring structure earlier, in optimiser steps",
    "C5": "With imbalanced data x and y are still learnt together: learning is coupled, not factorised",
    "C6": "Combinations never seen together, and positions between lattice points, are drawn right",
}
STATISTICS = {
    "C1": "share of seeds whose latents pass A, B, C in order",
    "C2": "ln onset of the latent phase minus ln onset of the behaviour, at the boundary (B or C) further apart",
    "C3": "R² of the requested centre minus its higher control, where accuracy first reaches one half",
    "C4": "slope of ln onset of structure (R² one half) against ln lattice spacing",
    "C5": "coupling index of the label effects: 0 factorised, 1 coupled",
    "C6": "accuracy on new centres minus accuracy on seen ones, at the last step, for the worse kind of new centre",
}
SUPPORTED, CONTRADICTED, UNDETERMINED = "supported", "contradicted", "undetermined"
Interval = tuple[float, float, float]
UNKNOWN: Interval = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Claim:
    """A row of the table ``claims``."""

    claim: str
    statement: str
    statistic: str
    estimate: float
    low: float
    high: float
    runs: int
    verdict: str
    reason: str


def claims(metrics: pd.DataFrame, runs: pd.DataFrame, phases: pd.DataFrame, coupling: pd.DataFrame) -> pd.DataFrame:
    """The table ``claims``: a row for each of C1 to C6, whatever data there are.

    Args:
        metrics: table ``metrics`` of all runs.
        runs: table ``runs``.
        phases: columns run, dataset, seed and those of the table ``phases``.
        coupling: table ``coupling``.
    """
    planes = _balanced_planes(runs)
    judged = _best_timed(planes, runs, phases)
    passed = histories(phases, judged.index)
    rows = [
        passes_in_order(passed, metrics),
        phases_coincide(passed),
        order_is_necessary(metrics, passed),
        density_hastens(metrics, planes, histories(phases, planes.index)),
        axes_are_coupled(coupling),
        new_centres_are_right(metrics, pd.concat([judged, _withheld(planes, runs)])),
    ]
    return pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(Claim)])


def _best_timed(planes: pd.DataFrame, runs: pd.DataFrame, phases: pd.DataFrame) -> pd.DataFrame:
    """The rows of those datasets with the most seeds, and of these with the most probed checkpoints."""
    return _with_most(_with_most(planes, runs, "seed"), phases, "step")


def _withheld(planes: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of those datasets that withhold combinations and have the most seeds."""
    best = _with_most(planes, runs, "seed")
    return best[best["withheld"]] if len(best) else best


def _with_most(planes: pd.DataFrame, table: pd.DataFrame, counted: str) -> pd.DataFrame:
    """The rows of those datasets for which ``table`` has the most different values of ``counted``."""
    if planes.empty or table.empty:
        return planes
    counts = table.groupby("dataset")[counted].nunique().reindex(planes.index, fill_value=0)
    return planes[counts.to_numpy() == counts.max()]


def _balanced_planes(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each balanced dataset on a plane, indexed by its name."""
    if runs.empty:
        return pd.DataFrame()
    table = datasets(runs)
    plain = (table["skew_axis"] == "none") & (table["boundary"] == "plane") & (table["reference"] == "none")
    return table[np.isclose(table["dx"], table["dy"]) & plain]


def _claim(claim: str, interval: Interval, runs: int, verdict: str, reasons: Sequence[str]) -> Claim:
    return Claim(
        claim, STATEMENTS[claim], STATISTICS[claim], *interval, runs, verdict, "; ".join(filter(None, reasons))
    )


def _told(interval: Interval, digits: int = 2) -> str:
    if math.isnan(interval[0]):
        return "undefined"
    estimate, low, high = (f"{value:.{digits}f}" for value in interval)
    return estimate if math.isnan(interval[1]) else f"{estimate} (95% {low} to {high})"


def _few(seeds: int) -> str:
    return "" if seeds >= FEWEST_SEEDS else f"{seeds} seeds, a verdict needs {FEWEST_SEEDS}"


def passes_in_order(passed: Mapping[RunKey, History], metrics: pd.DataFrame) -> Claim:
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
        if stats.binomtest(good, seeds, 0.5, alternative="greater").pvalue <= SIGNIFICANCE:
            verdict = SUPPORTED
        elif stats.binomtest(good, seeds, 0.5, alternative="less").pvalue <= SIGNIFICANCE:
            verdict = CONTRADICTED
    reasons = [f"{len(finished)} of {len(passed)} balanced runs on a plane reached C in latents or behaviour"]
    if finished:
        places = sorted({f"{history.layer} at t={history.t}" for history in finished.values()})
        reasons.append(f"{good} of {seeds} seeds in order in {', '.join(places)}")
        reasons.append(f"{skipped} runs went from A to order without disorder between" if skipped else "")
        reasons.append(f"in {hidden} runs a B may hide between checkpoints or in verdicts of ?" if hidden else "")
        reasons += [f"{name} from {_onset_told(finished, phase)}" for phase, name in {"B": "B or C", "C": "C"}.items()]
        reasons.append(_elsewhere(finished, metrics))
    return _claim("C1", proportion_interval(good, seeds), len(finished) - hidden, verdict, [*reasons, _few(seeds)])


def _elsewhere(finished: Mapping[RunKey, History], metrics: pd.DataFrame) -> str:
    """In how many of the runs the verdicts of every other place pass A, B, C in order."""
    if metrics.empty:
        return ""
    judged = {f"latent_phase/{history.layer}/t={history.t}" for history in finished.values()}
    names = metrics["metric"].drop_duplicates()
    places = [name for name in names[names.str.startswith("latent_phase/")] if name not in judged]
    verdicts = {key: values for key, (_, values) in curves(metrics, places).items() if key[:2] in finished}
    parts = []
    for place in places:
        found = [in_order(values) for (*_, name), values in verdicts.items() if name == place]
        where = place.removeprefix("latent_phase/").replace("/", " at ").replace(f"{IMAGE_LAYER} at t=0", "the images")
        parts += [f"{sum(found)} of {len(found)} runs in {where}"] if found else []
    return f"elsewhere in order: {', '.join(parts)}" if parts else ""


def _onset_told(finished: Mapping[RunKey, History], phase: str) -> str:
    """Geometric mean over seeds of a latent phase's onset, with its interval."""
    found = {key: history.latent_onset(phase) for key, history in finished.items()}
    times = {key: math.log(known.time) for key, known in found.items() if known is not None and not known.censored}
    if not times:
        return "no step"
    mean, low, high = (math.exp(value) for value in t_interval(by_seed(times)))
    return f"step {_told((mean, low, high), digits=0)} in {len(times)} runs"


def phases_coincide(passed: Mapping[RunKey, History]) -> Claim:
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
        return _claim("C2", UNKNOWN, 0, UNDETERMINED, ["no balanced run on a plane reached B"])
    verdict = UNDETERMINED
    if any(_apart(found) for found in reached.values()):
        verdict = CONTRADICTED
    elif all(_together(found) for found in both.values()):
        verdict = SUPPORTED
    intervals = {phase: t_interval(by_seed(found.differences)) for phase, found in reached.items()}
    reasons = []
    for phase, found in reached.items():
        reasons.append(f"{phase}: {_told(intervals[phase])}, checkpoints {found.spacing:.2f} ln steps apart")
        reasons.append(f"{found.bounds} of these differences are bounds" if found.bounds else "")
        reasons.append(_few(len(by_seed(found.differences))))
    kappas = by_seed({key: history.kappa for key, history in passed.items() if not math.isnan(history.kappa)})
    reasons.append(f"kappa {_told(t_interval(kappas))}" if kappas else "")
    runs = len({key for found in reached.values() for key in found.differences})
    worst = max(intervals.values(), key=lambda interval: abs(interval[0]))
    return _claim("C2", worst, runs, verdict, reasons)


def _together(found: Boundary) -> bool:
    seeds = by_seed(found.differences)
    _, low, high = t_interval(seeds)
    close = low >= -TOGETHER and high <= TOGETHER and found.spacing <= TOGETHER + 1e-9
    return len(seeds) >= FEWEST_SEEDS and found.bounds == 0 and close


def _apart(found: Boundary) -> bool:
    seeds = by_seed(found.differences)
    _, low, high = t_interval(seeds)
    return len(seeds) >= FEWEST_SEEDS and (low - found.spacing > TOGETHER or high + found.spacing < -TOGETHER)


def order_is_necessary(metrics: pd.DataFrame, passed: Mapping[RunKey, History]) -> Claim:
    """C3. At the first checkpoint with half of the seen centres right, does R² exceed its controls?

    R² is that of the requested centre from PCA-3, at the layer and t of the latent verdicts; its controls are shuffled
    labels at the same checkpoint and the untrained network, and none counts as less than 0. Supported when R² is 0.1
    above both in every run and the interval lies above zero; contradicted when the interval lies below 0.1.
    """
    names = {key: f"r2/{history.layer}/t={history.t}/pca3" for key, history in passed.items()}
    wanted = [f"{name}/{label}" for name in set(names.values()) for label in ("requested", "shuffled")]
    known = curves(metrics, ["outcome/correct/seen", *wanted])
    excess, reached = {}, 0
    for (dataset, seed), name in names.items():
        steps, accuracy = known.get((dataset, seed, "outcome/correct/seen"), (np.array([]), np.array([])))
        accurate = steps[accuracy >= ACCURATE]
        if len(accurate) == 0:
            continue
        reached += 1
        requested, shuffled = (known.get((dataset, seed, f"{name}/{label}")) for label in ("requested", "shuffled"))
        controls = _value_at(shuffled, accurate[0]), _value_at(requested, 0)
        difference = _value_at(requested, accurate[0]) - np.clip(controls, 0, None).max()
        if not math.isnan(difference):
            excess[dataset, seed] = float(difference)
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
            f"R² exceeds its controls by {_told(interval)}, by more than {R2_MARGIN:g} in {above} of {len(excess)}"
        )
    return _claim("C3", interval, len(excess), verdict, [*reasons, _few(len(seeds))])


def _value_at(curve: tuple[np.ndarray, np.ndarray] | None, step: float) -> float:
    """The value at a step; NaN where it was not measured."""
    if curve is None:
        return math.nan
    at = np.flatnonzero(curve[0] == step)
    return float(curve[1][at[0]]) if len(at) else math.nan


def density_hastens(metrics: pd.DataFrame, planes: pd.DataFrame, passed: Mapping[RunKey, History]) -> Claim:
    """C4. Slope of ln onset of structure against ln spacing, within each seed, over balanced lattices alike otherwise.

    Structure begins where R² of the requested centre (as in C3) crosses one half. Supported when the interval of the
    slope lies above 0; contradicted when it lies below 0.1 and reaches 0 or less. That must hold with onsets never
    reached taken at the last step and at ten times it; with two of them in a seed, or an onset that the checkpoints
    cannot time, the verdict is undetermined. Steps count, which at a fixed batch is as images seen; per epoch the slope
    is greater by what a denser lattice adds to the length of an epoch, told and never counted.
    """
    names = {key: f"r2/{history.layer}/t={history.t}/pca3/requested" for key, history in passed.items()}
    known = curves(metrics, list(set(names.values())))
    found = {key: onset(*known[*key, name]) for key, name in names.items() if (*key, name) in known}
    ladders = longest_ladders(planes, found)
    if not ladders:
        return _claim("C4", UNKNOWN, 0, UNDETERMINED, ["no seed has R² for balanced lattices of two spacings"])
    interval, later = (t_interval([ladder.slope(late) for ladder in ladders]) for late in (1.0, LATER))
    onsets = [found for ladder in ladders for found in ladder.onsets]
    never = sum(found.censored for found in onsets)
    untimed = sum(not found.timed and not found.censored for found in onsets)
    verdict = UNDETERMINED
    if len(ladders) >= FEWEST_SEEDS and untimed == 0 and all(ladder.ordered for ladder in ladders):
        answers = {_slope_verdict(interval), _slope_verdict(later)}
        verdict = answers.pop() if len(answers) == 1 else UNDETERMINED
    spacings = sorted({math.exp(value) for ladder in ladders for value in ladder.ln_spacing})
    reasons = [
        f"slope {_told(interval)} over spacings {', '.join(f'{value:g}' for value in spacings)} px",
        f"{never} onsets never reached" if never else "",
        f"{untimed} onsets that the checkpoints cannot time" if untimed else "",
        _few(len(ladders)),
        f"per epoch the slope is {_told(t_interval([ladder.slope(1.0, epochs=True) for ladder in ladders]))}",
    ]
    return _claim("C4", interval, len(onsets), verdict, reasons)


def _slope_verdict(interval: Interval) -> str:
    _, low, high = interval
    if low > 0:
        return SUPPORTED
    return CONTRADICTED if high < FLAT_SLOPE else UNDETERMINED


def axes_are_coupled(coupling: pd.DataFrame) -> Claim:
    """C5. The coupling index of the label effects, over all imbalanced datasets whose verdict is determined.

    Contradicted when one of them is factorised or reversed; supported when all are coupled; partial coupling decides
    nothing. The estimate is that of the dataset whose nulls differ most clearly; ``runs`` counts its seeds.
    """
    rows = coupling
    if len(coupling):
        rows = coupling[(coupling["measure"] == "effects") & (coupling["reference"] == "none")]
    if rows.empty:
        return _claim("C5", UNKNOWN, 0, UNDETERMINED, ["no imbalanced dataset has label effects"])
    verdicts = set(rows["verdict"]) - {UNDETERMINED}
    verdict = UNDETERMINED
    if verdicts & {"factorised", "reversed"}:
        verdict = CONTRADICTED
    elif verdicts == {"coupled"}:
        verdict = SUPPORTED
    records = rows.to_dict("records")
    reasons = [
        f"{row['dataset']}: {row['verdict']}, index {_told((row['coupling'], row['low'], row['high']))}, "
        f"nulls apart by {_told((row['null_gap'], row['null_low'], row['null_high']))} ln steps, "
        f"simultaneous: {row['simultaneous']}"
        for row in records
    ]
    clarity = rows["null_gap"].abs() / (rows["null_high"] - rows["null_low"])
    clearest = records[int(clarity.fillna(-1.0).to_numpy().argmax())]
    interval = (clearest["coupling"], clearest["low"], clearest["high"])
    return _claim("C5", interval, int(clearest["runs"]), verdict, [*reasons, _few(int(clearest["runs"]))])


def new_centres_are_right(metrics: pd.DataFrame, planes: pd.DataFrame) -> Claim:
    """C6. Accuracy on held-out and on between-lattice centres minus that on seen ones, at a run's last checkpoint.

    Contradicted when for either kind the interval lies below -0.1; supported when for both it lies above. Runs that are
    not half right on seen centres say nothing and are left out.
    """
    kinds = {"heldout": "withheld combinations", "between": "between lattice points"}
    names = {split: f"outcome/correct/{split}" for split in ("seen", *kinds)}
    last = {key: float(values[-1]) for key, (_, values) in curves(metrics, list(names.values())).items()}
    seen = {key[:2]: value for key, value in last.items() if key[2] == names["seen"] and key[0] in planes.index}
    able = {key: value for key, value in seen.items() if value >= ACCURATE}
    falls = {
        split: {key: last[*key, names[split]] - value for key, value in able.items() if (*key, names[split]) in last}
        for split in kinds
    }
    intervals = {split: t_interval(by_seed(differences)) for split, differences in falls.items() if differences}
    enough = {split for split in intervals if len(by_seed(falls[split])) >= FEWEST_SEEDS}
    verdict = UNDETERMINED
    if any(intervals[split][2] < -SHORTFALL for split in enough):
        verdict = CONTRADICTED
    elif enough == set(kinds) and all(intervals[split][1] > -SHORTFALL for split in kinds):
        verdict = SUPPORTED
    reasons = [f"{len(able)} of {len(seen)} balanced runs on a plane are at least half right on seen centres"]
    for split, told in kinds.items():
        seeds = len(by_seed(falls[split]))
        reasons.append(f"{told}: {_told(intervals[split])}" if split in intervals else f"{told}: no run")
        reasons.append(_few(seeds) if seeds else "")
    worst = min(intervals.values(), key=lambda interval: interval[0], default=UNKNOWN)
    runs = len({key for differences in falls.values() for key in differences})
    return _claim("C6", worst, runs, verdict, reasons)
