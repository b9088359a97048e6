"""Whether x and y are learnt together or each at its own pace: the coupling index and its controls.

An imbalanced dataset shows x and y at different density or frequency. If the axes were learnt apart, each
would be learnt as fast as in its null (:func:`bumpscope.config.controls.nulls`); if they are learnt together, both
take the same time. With tau the step at which a learning curve crosses a level, and per seed

    g  = mean of ln tau_x - ln tau_y in the dataset and its negative in the axis-swapped one,
    g0 = the same with tau_x and tau_y taken each from its null,

``coupling = 1 - g / g0``: 0 factorised, 1 coupled, above 1 reversed. Nulls that do not differ say nothing: a
factorised learner would look coupled too. So the index is undetermined unless the 95% interval of g0 excludes zero.

Two axes that are learnt apart may still be late by the same, since a plane of bumps takes longer to draw than a row. A
common factor leaves ln tau_x - ln tau_y as it is, but a common delay shrinks it, and the axes look coupled. So there is
a second index, of differences in steps, which a common delay leaves as they are. A verdict must hold for both.

Factors that cannot be swapped (:mod:`.unlike`) are compared with their one-dimensional nulls alone.

The interval of the ratio is Fieller's (1954), on pairs (g, g0) of one seed. It is exact for normal pairs and
bounded exactly when the interval of g0 excludes zero, the same condition; a t interval of the seeds' own
ratios has no such guarantee, since a seed whose g0 is near zero throws its ratio anywhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.controls import Comparison, comparisons, lattice_of
from bumpscope.judge.intervals import fieller_interval, t_interval
from bumpscope.judge.learning_curves import middle
from bumpscope.judge.onsets import RESOLUTION, Onset, crossing, curves
from bumpscope.judge.unlike import levels, unlike_comparisons
from bumpscope.judge.verdicts import FEWEST_SEEDS, Interval
from bumpscope.probe.frequency import ALL
from bumpscope.store.selection import matching
from bumpscope.worlds.named import world_of

SIMULTANEOUS = math.log(1.1)
# A curve that never crossed is taken at the last step, and again this many times later: a verdict must hold in both.
LATER = 10.0
# What a difference of onsets is taken of: ln steps, or steps.
Clock = Callable[[float], float]
CLOCKS: tuple[Clock, Clock] = (math.log, float)
# The measure that asks whether a rare x is learnt at the pace of a common y; for skewed frequencies only.
RARE = "rare"
MEASURES = (RESOLUTION, "effects", RARE, "accuracy")
# The quantities of table ``metrics`` that the index and the times of the axes are computed from.
QUANTITIES = ("resolution", "effect", "use", "accuracy")
# An index up to the first is factorised, between the last two coupled. Both references of :mod:`.denoise.references`
# that are made to be coupled or factorised must read so.
FACTORISED, COUPLED = 0.2, (0.8, 1.25)
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
    nulls: str | None
    t: int | None
    coupling: float
    low: float
    high: float
    in_steps: float
    in_steps_low: float
    in_steps_high: float
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
    if measure in (RESOLUTION, "effects"):
        quantity = {RESOLUTION: "resolution", "effects": "effect"}[measure]
        where = {axis: {"quantity": quantity, "bin": None} for axis in "xy"}
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


def crossings(of_axes: Mapping[str, pd.DataFrame], measure: str) -> dict[Key, Onset | None]:
    """(dataset, seed, axis) -> when the learning curve crosses the level; an axis with one position has none.

    Args:
        of_axes: axis -> rows of table ``metrics`` with one value a run and step.
    """
    return {
        (*run, axis): crossing(measure, *curve) for axis, rows in of_axes.items() for run, curve in curves(rows).items()
    }


def coupling(metrics: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``coupling``: a row for each imbalanced dataset, measure and kind of nulls, and pair of factors that
    cannot be swapped.

    Args:
        metrics: table ``metrics`` of all runs, or its :data:`QUANTITIES`.
        runs: table ``runs``.

    Returns:
        The table; without an imbalanced dataset it has no rows. Verdicts, by the 95% interval of the index:
        ``factorised`` below 0.2; ``coupled`` inside 0.8 to 1.25; ``partial`` between 0.2 and 0.8; ``reversed`` above
        1.25; else ``undetermined``, as it is below five seeds, without the swapped dataset or a null, where the nulls
        do not differ, and where a crossing cannot be timed. A time that was never reached counts as the last step, and
        the verdict must be the same with it ten times later. An estimate stands beside an undetermined verdict wherever
        it is defined. The index rests on the ``runs`` seeds that have the nulls, the pair's gap on every seed that has
        the run and its swapped one. The ``delay`` is by how much later than in the count-matched dataset the labels are
        learnt, both axes together.
    """
    references = {str(row["dataset"]): str(row["reference"]) for row in runs.to_dict("records")}
    rows = [asdict(_row(pair, references[pair.comparison.dataset])) for pair in pairs(metrics, runs, MEASURES)]
    return pd.DataFrame(rows, columns=[field.name for field in fields(CouplingRow)]).astype({"t": "Int64"})


# Two crossings whose times are compared: the first's ln tau minus the second's.
Keys = tuple[Key, Key]


@dataclass(frozen=True)
class Pair:
    """An imbalanced dataset and its swapped one, timed by one measure against one kind of nulls.

    Attributes:
        t: timestep of the curves; None for accuracy.
        onsets: every crossing at this timestep.
    """

    comparison: Comparison
    measure: str
    t: int | None
    onsets: Mapping[Key, Onset]

    def own_keys(self, seed: int) -> list[Keys]:
        """Crossings of the pair in a seed; none without the swapped dataset."""
        name, swapped = self.comparison.dataset, self.comparison.swapped
        if self.comparison.unlike:
            first, second = self.comparison.factors
            return [((name, seed, first), (name, seed, second))]
        if swapped is None:
            return []
        return [((name, seed, "x"), (name, seed, "y")), ((swapped, seed, "y"), (swapped, seed, "x"))]

    def null_keys(self, seed: int) -> list[Keys]:
        """The same of the nulls; none without all of them."""
        found = self.comparison
        if found.unlike:
            (first, second), x, y = found.factors, found.null_x, found.null_y
            return [] if x is None or y is None else [((x, seed, first), (y, seed, second))]
        x, y, swapped_x, swapped_y = found.null_x, found.null_y, found.swapped_null_x, found.swapped_null_y
        if x is None or y is None or swapped_x is None or swapped_y is None:
            return []
        # The swapped dataset enters negated, and so do its nulls.
        return [((x, seed, "x"), (y, seed, "y")), ((swapped_y, seed, "y"), (swapped_x, seed, "x"))]

    @property
    def seeds(self) -> list[int]:
        """Seeds in which both datasets of the pair have curves."""
        own = sorted({seed for dataset, seed, _ in self.onsets if dataset == self.comparison.dataset})
        return [seed for seed in own if self._complete(self.own_keys(seed))]

    @property
    def seeds_with_nulls(self) -> list[int]:
        return [seed for seed in self.seeds if self._complete(self.null_keys(seed))]

    @property
    def differs(self) -> bool:
        """Whether the 95% interval of the nulls' gap excludes zero, in ln steps and in steps."""
        intervals = [t_interval(self.null_gaps(self.seeds_with_nulls, clock=clock)) for clock in CLOCKS]
        return all(low > 0 or high < 0 for _, low, high in intervals)

    @property
    def decided(self) -> bool:
        """Whether an index of this pair counts: five seeds, and all differences known at least to one side."""
        seeds = self.seeds_with_nulls
        keys = [self.own_keys(seed) for seed in seeds] + [self.null_keys(seed) for seed in seeds]
        return len(seeds) >= FEWEST_SEEDS and self.comparable(keys)

    def gaps(self, seeds: Sequence[int], late: float = 1.0, clock: Clock = math.log) -> np.ndarray:
        """Per seed the pair's g; a crossing that never came is taken at ``late`` times the last step."""
        return differences([self.own_keys(seed) for seed in seeds], self.onsets, late, clock)

    def null_gaps(self, seeds: Sequence[int], late: float = 1.0, clock: Clock = math.log) -> np.ndarray:
        """Per seed the nulls' g0."""
        return differences([self.null_keys(seed) for seed in seeds], self.onsets, late, clock)

    def index(self, seeds: Sequence[int], late: float = 1.0, clock: Clock = math.log) -> Interval:
        """The coupling index and its 95% interval over seeds."""
        return index(self.gaps(seeds, late, clock), self.null_gaps(seeds, late, clock))

    def delays(self, seeds: Sequence[int]) -> dict[str, np.ndarray]:
        """Per seed by how many steps each axis is later than its null; mean of both datasets of the pair.

        Axes are those of the dataset: its x is y in the swapped one. A delay that both share is not coupling. Empty
        where a crossing never came.
        """
        own = [self.own_keys(seed) for seed in seeds]
        nulls = [self.null_keys(seed) for seed in seeds]
        if any(self.onsets[key].censored for of_seed in own + nulls for both in of_seed for key in both):
            return {}
        return {
            axis: differences(
                [[(a[k], b[k]) for a, b in zip(*each, strict=True)] for each in zip(own, nulls, strict=True)],
                self.onsets,
                clock=float,
            )
            for k, axis in enumerate(self.comparison.factors)
        }

    def comparable(self, keys: Sequence[Sequence[Keys]]) -> bool:
        """Whether every difference is known at least to one side, and every crossing that came is timed."""
        each = [(self.onsets[a], self.onsets[b]) for of_seed in keys for a, b in of_seed]
        timed = all(found.timed or found.censored for pair in each for found in pair)
        return timed and not any(first.censored and second.censored for first, second in each)

    def _complete(self, keys: Sequence[Keys]) -> bool:
        return bool(keys) and all(key in self.onsets for pair in keys for key in pair)


def pairs(metrics: pd.DataFrame, runs: pd.DataFrame, measures: Sequence[str]) -> Iterator[Pair]:
    """Every imbalanced dataset with its controls, by each of these measures.

    Args:
        metrics, runs: as for :func:`coupling`.
    """
    found = comparisons(runs)
    for measure in measures if found else ():
        of_axes = rows_of(metrics, measure)
        times = {} if measure == "accuracy" or metrics.empty else measured_timesteps(pd.concat(of_axes.values()))
        known: dict[int | None, dict[Key, Onset]] = {}
        for comparison in found:
            if measure == RARE and comparison.kind == "lattice":
                continue
            t = common_timestep(times, comparison.names)
            if t not in known:
                known[t] = _known(of_axes, t, measure)
            yield Pair(comparison, measure, t, known[t])
    if RESOLUTION in measures:
        yield from _unlike_pairs(metrics, runs)


def _unlike_pairs(metrics: pd.DataFrame, runs: pd.DataFrame) -> Iterator[Pair]:
    """Those of factors that cannot be swapped, timed by resolution at the levels of :func:`.unlike.levels`."""
    found = unlike_comparisons(runs)
    if not found or metrics.empty:
        return
    rows = matching(metrics, quantity=RESOLUTION, bin=None)
    times = measured_timesteps(rows)
    of_dataset = {str(row["dataset"]): row for row in runs.to_dict("records")}
    for comparison in found:
        t = common_timestep(times, comparison.names)
        level = levels(world_of(lattice_of(of_dataset[comparison.dataset])))
        onsets: dict[Key, Onset] = {}
        for factor in comparison.factors:
            own = rows[(rows["t"] == t) & (rows["factor"] == factor) & rows["dataset"].isin(comparison.names)]
            timed = {run: crossing(RESOLUTION, *curve, level[factor]) for run, curve in curves(own).items()}
            onsets |= {(*run, factor): one for run, one in timed.items() if one is not None}
        yield Pair(comparison, RESOLUTION, t, onsets)


def _known(of_axes: Mapping[str, pd.DataFrame], t: int | None, measure: str) -> dict[Key, Onset]:
    """The crossings at a timestep, as far as there are any; accuracy has no timestep."""
    if measure != "accuracy":
        of_axes = {axis: rows[rows["t"] == t] for axis, rows in of_axes.items()} if t is not None else {}
    return {key: value for key, value in crossings(of_axes, measure).items() if value is not None}


def _row(pair: Pair, reference: str) -> CouplingRow:
    comparison, onsets = pair.comparison, pair.onsets
    seeds, with_nulls = pair.seeds, pair.seeds_with_nulls
    gap_keys = [pair.own_keys(seed) for seed in seeds]
    gap, gap_low, gap_high = t_interval(pair.gaps(seeds), 0.90)
    null_gap, null_low, null_high = t_interval(pair.null_gaps(with_nulls))
    in_ln, in_steps = (pair.index(with_nulls, clock=clock) for clock in CLOCKS)
    late = [pair.index(with_nulls, LATER, clock) for clock in CLOCKS]
    simultaneous, verdict = "undetermined", "undetermined"
    if len(seeds) >= FEWEST_SEEDS and pair.comparable(gap_keys):
        simultaneous = _agreed({_simultaneous(pair.gaps(seeds, late)) for late in (1.0, LATER)})
    if pair.decided:
        verdict = _agreed({_verdict(low, high) for _, low, high in (in_ln, in_steps, *late)})
    keys = {key for of_seed in gap_keys for both in of_seed for key in both}
    keys |= {key for seed in with_nulls for both in pair.null_keys(seed) for key in both}
    delay, delay_low, delay_high = t_interval(_delays(comparison, onsets))
    return CouplingRow(
        dataset=comparison.dataset,
        kind=comparison.kind,
        reference=reference,
        measure=pair.measure,
        nulls=comparison.nulls,
        t=pair.t,
        coupling=in_ln[0],
        low=in_ln[1],
        high=in_ln[2],
        in_steps=in_steps[0],
        in_steps_low=in_steps[1],
        in_steps_high=in_steps[2],
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
        swapped=comparison.swapped,
        null_x=comparison.null_x,
        null_y=comparison.null_y,
        matched=comparison.matched,
    )


def _delays(comparison: Comparison, onsets: Mapping[Key, Onset]) -> list[float]:
    """Per seed, the mean over both axes of ln tau minus that in the count-matched dataset; timed crossings only."""
    if comparison.matched is None:
        return []
    found = []
    for seed in sorted({seed for dataset, seed, _ in onsets if dataset == comparison.dataset}):
        keys = [((comparison.dataset, seed, axis), (comparison.matched, seed, axis)) for axis in "xy"]
        known = [onsets[key] for both in keys for key in both if key in onsets]
        if len(known) == 4 and all(each.timed for each in known):
            found.append(float(differences([keys], onsets)[0]))
    return found


def differences(
    keys: Sequence[Sequence[Keys]], onsets: Mapping[Key, Onset], late: float = 1.0, clock: Clock = math.log
) -> np.ndarray:
    """Per seed the mean difference of onsets; one that never came is taken at ``late`` times the last step.

    Args:
        clock: what differences are taken of, from :data:`CLOCKS`; ln tau by default.
    """

    def time(key: Key) -> float:
        found = onsets[key]
        return clock(found.by * late if found.censored else found.time)

    return np.array([np.mean([time(a) - time(b) for a, b in of_seed]) for of_seed in keys])


def index(gaps: np.ndarray, null_gaps: np.ndarray) -> Interval:
    """The coupling index and its 95% interval, from a pair's and its nulls' gap in each seed; NaN below two seeds."""
    if len(gaps) == 0:
        return math.nan, math.nan, math.nan
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
    if high < FACTORISED:
        return "factorised"
    if low > COUPLED[1]:
        return "reversed"
    if low >= COUPLED[0] and high <= COUPLED[1]:
        return "coupled"
    return "partial" if low > FACTORISED and high < COUPLED[0] else "undetermined"
