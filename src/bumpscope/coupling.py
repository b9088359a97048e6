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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd

from bumpscope.intervals import fieller_interval, t_interval
from bumpscope.onsets import Key, Onset, curves, onset

# Below this many seeds an interval is too wide, and too dependent on normality, for a verdict.
FEWEST_SEEDS = 5
SIMULTANEOUS = math.log(1.1)
# A curve that never crossed is taken at the last step, and again this many times later: a verdict must hold in both.
LATER = 10.0
# What datasets that are compared must share.
SHARED = ["image_size", "sigma", "margin", "boundary", "polarity", "prediction"]
SHARED += ["batch_size", "training_steps", "n_parameters", "withheld"]
SWAPPED_AXIS = {"x": "y", "y": "x", "none": "none", "both": "both"}


def datasets(runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``runs`` with a row a dataset, indexed by its name, and whether some of its lattice is ``withheld``."""
    table = runs.drop_duplicates("dataset").set_index("dataset")
    length = table["image_size"] - 2 * table["margin"]
    points = (length / table["dx"]).round() * (length / table["dy"]).round()
    return table.assign(withheld=table["n_images"] < points)


@dataclass(frozen=True)
class Comparison:
    """An imbalanced dataset, the same with its axes swapped, and the balanced datasets that stand for x and for y.

    ``None`` where the experiment has no such dataset.
    """

    dataset: str
    swapped: str | None
    null_x: str | None
    null_y: str | None


def comparisons(runs: pd.DataFrame) -> list[Comparison]:
    """Every imbalanced dataset among the runs, with its controls, found by their properties.

    Unequal spacings have for nulls the balanced lattices at dx and at dy; a skewed axis has both axes skewed, the
    other axis neither. A dataset with both kinds of imbalance has no nulls. Of several controls of one kind the first
    with the most of the dataset's own seeds is taken.
    """
    if runs.empty:
        return []
    table = datasets(runs)
    table["seeds"] = runs.groupby("dataset")["seed"].agg(frozenset)
    found = []
    for name, row in table.iterrows():
        lattice, skewed = not math.isclose(row["dx"], row["dy"]), row["skew_axis"] in ("x", "y")
        if not lattice and not skewed:
            continue
        axis, alpha = row["skew_axis"], row["skew_alpha"]
        null_x = null_y = None
        if lattice and not skewed:
            null_x = _find(table, row, row["dx"], row["dx"], axis, alpha)
            null_y = _find(table, row, row["dy"], row["dy"], axis, alpha)
        elif skewed and not lattice:
            both = _find(table, row, row["dx"], row["dy"], "both", alpha)
            neither = _find(table, row, row["dx"], row["dy"], "none", 0.0)
            null_x, null_y = (both, neither) if axis == "x" else (neither, both)
        swapped = _find(table, row, row["dy"], row["dx"], SWAPPED_AXIS[axis], alpha)
        found.append(Comparison(str(name), swapped, null_x, null_y))
    return found


def _find(table: pd.DataFrame, like: pd.Series, dx: float, dy: float, axis: str, alpha: float) -> str | None:
    """The dataset that differs from ``like`` only in spacing and skew, has these, and shares the most seeds with it."""
    fits = np.isclose(table["dx"], dx) & np.isclose(table["dy"], dy)
    fits &= (table["skew_axis"] == axis) & np.isclose(table["skew_alpha"], alpha)
    for column in SHARED:
        fits &= table[column] == like[column]
    shared = table.loc[fits, "seeds"].map(lambda seeds: len(seeds & like["seeds"]))
    return str(shared.idxmax()) if len(shared) else None


@dataclass(frozen=True)
class CouplingRow:
    """A row of the table ``coupling``."""

    dataset: str
    measure: str
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


def effect_timestep(metrics: pd.DataFrame) -> int | None:
    """The one t at which the effects are compared: the middle of those measured in every dataset that has effects.

    In the middle the directions of both labels are well separated; the lower of two middles is taken.
    """
    if metrics.empty:
        return None
    pairs = metrics[["dataset", "metric"]].drop_duplicates()
    pairs = pairs.assign(t=pairs["metric"].str.extract(r"^effect_x/t=(\d+)/ema$")[0]).dropna(subset="t")
    sets = [set(part["t"].astype(int)) for _, part in pairs.groupby("dataset")]
    shared = sorted(set.intersection(*sets)) if sets else []
    return shared[(len(shared) - 1) // 2] if shared else None


def measures(metrics: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """measure -> metric of x, metric of y: ``effects`` of the EMA weights at :func:`effect_timestep`, and ``accuracy``.

    Accuracy is that of the centres ``between`` lattice points, the only ones that all datasets are asked for.
    """
    t = effect_timestep(metrics)
    found = {} if t is None else {"effects": (f"effect_x/t={t}/ema", f"effect_y/t={t}/ema")}
    return found | {"accuracy": ("accuracy_x/between", "accuracy_y/between")}


def coupling(metrics: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``coupling``: a row for each imbalanced dataset and measure.

    Args:
        metrics: table ``metrics`` of all runs.
        runs: table ``runs``.

    Returns:
        The table; without an imbalanced dataset it has no rows. Verdicts, by the 95% interval of the index:
        ``reversed`` wholly above 1; ``coupled`` above 0.5 and not wholly below 1; ``factorised`` below 0.5 and not
        wholly above 0; ``partial`` between 0 and 1, excluding both; else ``undetermined``, as it is below five seeds,
        without the swapped run or a null, where the nulls do not differ, and where a crossing cannot be timed. A time
        that was never reached counts as the last step, and the verdict must be the same with it ten times later. An
        estimate stands beside an undetermined verdict wherever it is defined. The index rests on the ``runs`` seeds
        that have the nulls, the gap on every seed that has the run and its swapped one.
    """
    found = comparisons(runs)
    rows = [asdict(row) for row in _rows(metrics, found)]
    return pd.DataFrame(rows, columns=[field.name for field in fields(CouplingRow)])


def _rows(metrics: pd.DataFrame, found: Sequence[Comparison]) -> Iterator[CouplingRow]:
    for measure, names in measures(metrics).items() if found else ():
        onsets = {key: onset(*curve) for key, curve in curves(metrics, names).items()}
        known = {key: value for key, value in onsets.items() if value is not None}
        for comparison in found:
            yield _compare(comparison, measure, known, *names)


# Two crossings whose times are compared, as (dataset, seed, metric): the first's ln tau minus the second's.
Pair = tuple[Key, Key]
Onsets = Mapping[Key, Onset]


def _compare(comparison: Comparison, measure: str, onsets: Onsets, x: str, y: str) -> CouplingRow:
    """The row of one dataset and measure; ``x`` and ``y`` name the metrics whose onsets are compared."""
    name, swapped, null_x, null_y = comparison.dataset, comparison.swapped, comparison.null_x, comparison.null_y

    def run_pairs(seed: int) -> list[Pair]:
        pairs = [((name, seed, x), (name, seed, y))]
        return pairs if swapped is None else [*pairs, ((swapped, seed, y), (swapped, seed, x))]

    def null_pairs(seed: int) -> list[Pair]:
        if null_x is None or null_y is None:
            return []
        # The swapped run has its nulls swapped; it enters negated, as it does in the gap.
        return [((null_x, seed, x), (null_y, seed, y)), ((null_x, seed, y), (null_y, seed, x))]

    def complete(seed: int, pairs: Sequence[Pair]) -> bool:
        return all(key in onsets for pair in pairs for key in pair)

    own = sorted({seed for dataset, seed, _ in onsets if dataset == name})
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
    return CouplingRow(
        dataset=name,
        measure=measure,
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
    )


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
