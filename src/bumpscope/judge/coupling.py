"""Whether x and y are learnt together or each at its own pace: the coupling index and its controls.

An imbalanced dataset shows x and y at different density or frequency. If the axes were learnt apart, each
would be learnt as fast as on a balanced dataset of its own kind, its null; if they are learnt together, both
take the same time. With tau the step at which a learning curve crosses one half, and per seed

    g  = mean of ln tau_x - ln tau_y in the run and its negative in the axis-swapped run,
    g0 = the same with tau_x and tau_y taken each from its null run,

``coupling = 1 - g / g0``: 0 factorised, 1 coupled, above 1 reversed. Nulls that do not differ say nothing, so
the index is undetermined unless the 95% interval of g0 excludes zero.

The interval of the ratio is Fieller's (1954), on pairs (g, g0) of one seed. It is exact for normal pairs and
bounded exactly when the interval of g0 excludes zero, the same condition; a t interval of the seeds' own
ratios has no such guarantee, since a seed whose g0 is near zero throws its ratio anywhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.controls import Comparison, comparisons
from bumpscope.judge.intervals import fieller_interval, t_interval
from bumpscope.judge.learning_curves import middle
from bumpscope.judge.onsets import Onset, curves, onset
from bumpscope.probe.frequency import ALL
from bumpscope.store.selection import matching

# Below this many seeds an interval is too wide, and too dependent on normality, for a verdict.
FEWEST_SEEDS = 5
SIMULTANEOUS = math.log(1.1)
# A curve that never crossed is taken at the last step, and again this many times later: a verdict must hold in both.
LATER = 10.0
# The measure that asks whether a rare x is learnt at the pace of a common y; for skewed frequencies only.
RARE = "rare"
MEASURES = ("effects", RARE, "accuracy")
# The quantities of table ``metrics`` that the index and the times of the axes are computed from.
QUANTITIES = ("effect", "use", "accuracy")
# The condition on a row of table ``metrics``: column -> value; None for an empty cell.
Where = dict[str, Any]
# A curve: dataset, seed, axis.
Key = tuple[str, int, str]


@dataclass(frozen=True)
class CouplingRow:
    """A row of the table ``coupling``."""

    dataset: str
    kind: str
    reference: str
    measure: str
    t: int | None
    coupling: float
    low: float
    high: float
    gap: float
    gap_low: float
    gap_high: float
    null_gap: float
    null_low: float
    null_high: float
    runs: int
    censored: int
    simultaneous: str
    verdict: str
    delay: float
    delay_low: float
    delay_high: float
    swapped: str | None
    null_x: str | None
    null_y: str | None
    matched: str | None


def measured_timesteps(rows: pd.DataFrame) -> dict[str, set[int]]:
    """dataset -> the timesteps at which all of its runs with any defined value have one.

    Args:
        rows: rows of table ``metrics`` of one quantity.
    """
    known = rows.dropna(subset=["t", "value"])
    found: dict[str, set[int]] = {}
    for (dataset, _), times in known.groupby(["dataset", "seed"])["t"]:
        own = set(times.astype(int))
        found[str(dataset)] = found.get(str(dataset), own) & own
    return {dataset: times for dataset, times in found.items() if times}


def common_timestep(known: Mapping[str, set[int]], names: Iterable[str | None]) -> int | None:
    """The timestep at which datasets are compared: the middle of those measured in all of them.

    In the middle the directions of both labels are well separated; the lower of two middles is taken. A dataset that
    shares no timestep with the first and those before it does not count.
    """
    shared: set[int] = set()
    for place, name in enumerate(names):
        own = known.get(name or "", set())
        shared = own if place == 0 else shared & own or shared
    return middle(shared) if shared else None


def usual_timesteps(rows: pd.DataFrame) -> dict[str, int]:
    """dataset -> the middle of the timesteps that were measured in the most datasets.

    Datasets that were not measured there follow the same rule among themselves.

    Args:
        rows: as for :func:`measured_timesteps`.
    """
    known, chosen = measured_timesteps(rows), dict[str, int]()
    while known:
        counts = Counter(t for times in known.values() for t in times)
        most = max(counts.values())
        usual = middle(t for t, count in counts.items() if count == most)
        chosen |= {name: usual for name, times in known.items() if usual in times}
        known = {name: times for name, times in known.items() if usual not in times}
    return chosen


def at_timesteps(rows: pd.DataFrame, times: Mapping[str, int]) -> pd.DataFrame:
    """The rows of table ``metrics`` at one timestep for each dataset."""
    return rows[rows["t"] == rows["dataset"].map(times)]


def curves_of(measure: str) -> dict[str, Where]:
    """axis -> the rows of table ``metrics`` with the learning curves of a measure, at every timestep.

    Rows are of the judged weights, as they are read. Rare is how far each axis' label is obeyed at its rare positions.
    Accuracy is that of centres ``between`` lattice points, which all datasets are asked for.
    """
    if measure == "effects":
        where = {axis: {"quantity": "effect", "bin": None} for axis in "xy"}
    elif measure == RARE:
        rare = {"x": f"x=rare,y={ALL}", "y": f"x={ALL},y=rare"}
        where = {axis: {"quantity": "use", "bin": rare[axis]} for axis in "xy"}
    else:
        where = {axis: {"quantity": "accuracy", "split": "between", "bin": None} for axis in "xy"}
    return {axis: own | {"factor": axis} for axis, own in where.items()}


def rows_of(metrics: pd.DataFrame, measure: str) -> dict[str, pd.DataFrame]:
    """axis -> the rows of :func:`curves_of`."""
    return {
        axis: metrics if metrics.empty else matching(metrics, **where) for axis, where in curves_of(measure).items()
    }


def crossings(of_axes: Mapping[str, pd.DataFrame]) -> dict[Key, Onset | None]:
    """(dataset, seed, axis) -> when the learning curve crosses one half.

    Args:
        of_axes: axis -> rows of table ``metrics`` with one value a run and step.
    """
    return {(*run, axis): onset(*curve) for axis, rows in of_axes.items() for run, curve in curves(rows).items()}


def coupling(metrics: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``coupling``: a row for each imbalanced dataset and measure.

    Args:
        metrics: table ``metrics`` of all runs, or its :data:`QUANTITIES`.
        runs: table ``runs``.

    Returns:
        The table; without an imbalanced dataset it has no rows. Verdicts, by the 95% interval of the index:
        ``reversed`` wholly above 1; ``coupled`` above 0.5 and not wholly below 1; ``factorised`` below 0.5 and not
        wholly above 0; ``partial`` between 0 and 1, excluding both; else ``undetermined``, as it is below five seeds,
        without the swapped run or a null, where the nulls do not differ, and where a crossing cannot be timed. A time
        that was never reached counts as the last step, and the verdict must be the same with it ten times later. An
        estimate stands beside an undetermined verdict wherever it is defined. The index rests on the ``runs`` seeds
        that have the nulls, the gap on every seed that has the run and its swapped one. The ``delay`` is by how much
        later than in the count-matched dataset the labels are learnt, both axes together.
    """
    found = comparisons(runs)
    references = {str(row["dataset"]): str(row["reference"]) for row in runs.to_dict("records")}
    rows = [asdict(row) for row in _rows(metrics, found, references)]
    return pd.DataFrame(rows, columns=[field.name for field in fields(CouplingRow)]).astype({"t": "Int64"})


def _rows(metrics: pd.DataFrame, found: Sequence[Comparison], references: Mapping[str, str]) -> Iterator[CouplingRow]:
    for measure in MEASURES if found else ():
        of_axes = rows_of(metrics, measure)
        times = {} if measure == "accuracy" or metrics.empty else measured_timesteps(of_axes["x"])
        known: dict[int | None, dict[Key, Onset]] = {}
        for comparison in found:
            if measure == RARE and comparison.kind != "frequency":
                continue
            t = common_timestep(times, comparison.names)
            if t not in known:
                known[t] = _known(of_axes, t, measure)
            yield _compare(comparison, references[comparison.dataset], measure, t, known[t])


def _known(of_axes: Mapping[str, pd.DataFrame], t: int | None, measure: str) -> dict[Key, Onset]:
    """The crossings at a timestep, as far as there are any; accuracy has no timestep."""
    if measure != "accuracy":
        of_axes = {axis: rows[rows["t"] == t] for axis, rows in of_axes.items()} if t is not None else {}
    return {key: value for key, value in crossings(of_axes).items() if value is not None}


# Two crossings whose times are compared: the first's ln tau minus the second's.
Pair = tuple[Key, Key]
Onsets = Mapping[Key, Onset]


def _compare(comparison: Comparison, reference: str, measure: str, t: int | None, onsets: Onsets) -> CouplingRow:
    """The row of one dataset and one measure."""
    own = sorted({seed for dataset, seed, _ in onsets if dataset == comparison.dataset})
    name, swapped, null_x, null_y = comparison.dataset, comparison.swapped, comparison.null_x, comparison.null_y

    def run_pairs(seed: int) -> list[Pair]:
        pairs = [((name, seed, "x"), (name, seed, "y"))]
        return pairs if swapped is None else [*pairs, ((swapped, seed, "y"), (swapped, seed, "x"))]

    def null_pairs(seed: int) -> list[Pair]:
        if null_x is None or null_y is None:
            return []
        # The swapped run has its nulls swapped; it enters negated, as it does in the gap.
        return [((null_x, seed, "x"), (null_y, seed, "y")), ((null_x, seed, "y"), (null_y, seed, "x"))]

    def complete(seed: int, pairs: Sequence[Pair]) -> bool:
        return all(key in onsets for pair in pairs for key in pair)

    seeds = [seed for seed in own if complete(seed, run_pairs(seed))]
    with_nulls = [seed for seed in seeds if null_pairs(seed) and complete(seed, null_pairs(seed))]
    gap_pairs = [run_pairs(seed) for seed in seeds]
    numerator, denominator = [run_pairs(seed) for seed in with_nulls], [null_pairs(seed) for seed in with_nulls]

    gap, gap_low, gap_high = t_interval(_gaps(gap_pairs, onsets), 0.90)
    null_gap, null_low, null_high = t_interval(_gaps(denominator, onsets))
    if swapped is None or not with_nulls:
        indices = [(math.nan, math.nan, math.nan)] * 2
    else:
        indices = [_index(_gaps(numerator, onsets, late), _gaps(denominator, onsets, late)) for late in (1.0, LATER)]
    simultaneous, verdict = "undetermined", "undetermined"
    if len(seeds) >= FEWEST_SEEDS and _comparable(gap_pairs, onsets):
        simultaneous = _agreed({_simultaneous(_gaps(gap_pairs, onsets, late)) for late in (1.0, LATER)})
    if len(with_nulls) >= FEWEST_SEEDS and _comparable([*numerator, *denominator], onsets):
        verdict = _agreed({_verdict(low, high) for _, low, high in indices})
    keys = {key for pairs in [*gap_pairs, *denominator] for pair in pairs for key in pair}
    delay, delay_low, delay_high = t_interval(_delays(comparison, own, onsets))
    return CouplingRow(
        dataset=name,
        kind=comparison.kind,
        reference=reference,
        measure=measure,
        t=t,
        coupling=indices[0][0],
        low=indices[0][1],
        high=indices[0][2],
        gap=gap,
        gap_low=gap_low,
        gap_high=gap_high,
        null_gap=null_gap,
        null_low=null_low,
        null_high=null_high,
        runs=len(with_nulls or seeds),
        censored=len({key[:2] for key in keys if onsets[key].censored}),
        simultaneous=simultaneous,
        verdict=verdict,
        delay=delay,
        delay_low=delay_low,
        delay_high=delay_high,
        swapped=swapped,
        null_x=null_x,
        null_y=null_y,
        matched=comparison.matched,
    )


def _delays(comparison: Comparison, seeds: Sequence[int], onsets: Onsets) -> list[float]:
    """Per seed, the mean over both axes of ln tau minus that in the count-matched dataset; timed crossings only."""
    if comparison.matched is None:
        return []
    found = []
    for seed in seeds:
        pairs = [((comparison.dataset, seed, axis), (comparison.matched, seed, axis)) for axis in "xy"]
        known = [onsets[key] for pair in pairs for key in pair if key in onsets]
        if len(known) == 4 and all(crossing.timed for crossing in known):
            found.append(float(_gaps([pairs], onsets)[0]))
    return found


def _gaps(pairs: Sequence[Sequence[Pair]], onsets: Onsets, late: float = 1.0) -> np.ndarray:
    """Per seed the mean difference of ln tau; a crossing that never came is taken at ``late`` times the last step."""

    def log_time(key: Key) -> float:
        found = onsets[key]
        return math.log(found.by * late if found.censored else found.time)

    return np.array([np.mean([log_time(a) - log_time(b) for a, b in of_seed]) for of_seed in pairs])


def _comparable(pairs: Sequence[Sequence[Pair]], onsets: Onsets) -> bool:
    """Whether every difference is known at least to one side, and every crossing that came is timed."""
    each = [(onsets[a], onsets[b]) for of_seed in pairs for a, b in of_seed]
    timed = all(found.timed or found.censored for pair in each for found in pair)
    return timed and not any(first.censored and second.censored for first, second in each)


def _index(gaps: np.ndarray, null_gaps: np.ndarray) -> tuple[float, float, float]:
    ratio, low, high = fieller_interval(gaps, null_gaps)
    return 1 - ratio, 1 - high, 1 - low


def _agreed(answers: set[str]) -> str:
    return answers.pop() if len(answers) == 1 else "undetermined"


def _simultaneous(gaps: np.ndarray) -> str:
    """Two one-sided tests at 5%: yes inside ±ln 1.1, no wholly outside."""
    _, low, high = t_interval(gaps, 0.90)
    if low > -SIMULTANEOUS and high < SIMULTANEOUS:
        return "yes"
    return "no" if low > SIMULTANEOUS or high < -SIMULTANEOUS else "undetermined"


def _verdict(low: float, high: float) -> str:
    # Seeds that agree to the last digit give an interval of no width, which rounding must not push off its point.
    slack = 1e-9
    if low > 1 + slack:
        return "reversed"
    if low > 0.5 and high >= 1 - slack:
        return "coupled"
    if high < 0.5 and low <= slack:
        return "factorised"
    return "partial" if low > slack and high < 1 - slack else "undetermined"
