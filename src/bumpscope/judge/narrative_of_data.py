"""Claims C4 to C6 in words; each word that gives a direction or a judgement is chosen by a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bumpscope.judge.claims.data import FLAT_SLOPE, SHORTFALL
from bumpscope.judge.claims.phases import ACCURATE
from bumpscope.judge.controls import first_of_pairs
from bumpscope.judge.coupling import FEWEST_SEEDS, SIMULTANEOUS
from bumpscope.judge.verdicts import CONTRADICTED, SUPPORTED, UNDETERMINED, Number
from bumpscope.judge.wording import (
    Numbers,
    bracket,
    count,
    ending,
    estimate,
    has_interval,
    listed,
    number,
    planes,
    too_few,
)

KINDS = {"heldout": "withheld combinations", "between": "centres between lattice points"}
# More datasets than this are left to the table.
DATASETS_IN_WORDS = 4


def density_hastens(verdict: str, slope: Number, found: Numbers) -> str:
    """C4 as a paragraph."""
    seeds = found.count("seeds")
    if not seeds:
        return f"No seed has R² on balanced lattices of two spacings. {ending(verdict, too_few(0))}"
    onsets = [f"step {estimate(found.of('onset', spacing))} at {spacing}" for spacing in found.subjects("onset")]
    text = [f"R² of the requested centre reaches one half, geometric mean over seeds, at {listed(onsets)}."]
    if never := found.count("onsets never reached"):
        runs = count(found.count("onsets"), "run")
        text.append(f"In {number(never)} of {runs} it never did, and the last step stands for it.")
    factor = 2**-slope.value
    change = f"{'saves' if factor < 1 else 'costs'} {100 * abs(1 - factor):.1f}% of the steps"
    change = change if factor != 1 else "changes nothing"
    text.append(
        f"Within {'the one seed' if seeds == 1 else f'each of {number(seeds)} seeds'} ln onset is fitted against ln "
        f"spacing: slope {estimate(slope)}, so that halving the spacing {change}. "
        f"In epochs, which are longer on a denser lattice, the slope is {estimate(found.of('slope per epoch'))}; that "
        "does not count."
    )
    return " ".join([*text, ending(verdict, _why_hastens(verdict, slope, found))])


def _why_hastens(verdict: str, slope: Number, found: Numbers) -> list[str]:
    """Where the slope lies, beside 0 and what counts as flat."""
    zero = "above 0" if slope.low > 0 else "below 0" if slope.high < 0 else "on both sides of 0"
    where = f"the interval of the slope lies {zero}"
    if verdict == UNDETERMINED and (reasons := _untold(found)):
        return reasons
    flat = f"{'below' if slope.high < FLAT_SLOPE else 'reaches above'} {number(FLAT_SLOPE)}, where halving saves 7%"
    reasons = [where] if verdict == SUPPORTED else [where, flat]
    later = found.of("slope, onsets never reached taken ten times later")
    if found.count("onsets never reached"):
        reasons.append(f"with what never came taken ten times later it is {estimate(later)}")
    return reasons


def _untold(found: Numbers) -> list[str]:
    """Why onsets cannot be compared, where they cannot."""
    reasons = too_few(found.count("seeds"))
    if untimed := found.count("onsets that cannot be timed"):
        reasons.append(f"the checkpoints around {count(untimed, 'onset')} lie too far apart to time")
    if two := found.count("seeds with two onsets never reached"):
        reasons.append(f"in {count(two, 'seed')} two onsets never came, and their order is not known")
    return reasons


def axes_are_coupled(verdict: str, coupling: pd.DataFrame) -> str:
    """C5 as a paragraph, from the table ``coupling``."""
    own = coupling[(coupling["measure"] == "effects") & (coupling["reference"] == "none")]
    if own.empty:
        return f"No imbalanced dataset has label effects. {ending(verdict, [])}"
    rows = first_of_pairs(own).to_dict("records")
    text = [
        "The index is 0 where the labels of x and of y are learnt each at the pace of the balanced dataset that stands "
        "for it, its null, and 1 where they are learnt together."
    ]
    text += [_dataset(row) for row in rows[:DATASETS_IN_WORDS]]
    if (more := len(rows) - DATASETS_IN_WORDS) > 0:
        text.append(f"{count(more, 'further dataset')} {'is' if more == 1 else 'are'} in the table.")
    return " ".join([*text, ending(verdict, _why_coupled(own["verdict"]))])


def _dataset(row: Mapping[Any, Any]) -> str:
    """What became of one imbalanced dataset, and why it is open where it is."""
    index = Number("index", row["coupling"], row["low"], row["high"])
    gap = Number("gap", row["gap"], row["gap_low"], row["gap_high"])
    text = f"{row['dataset']} ({count(row['runs'], 'seed')}): "
    text += f"index {estimate(index)}, " if pd.notna(index.value) else "no index, "
    text += str(row["verdict"])
    if row["verdict"] == UNDETERMINED and (reasons := _why_open(row, index)):
        text += f", since {listed(reasons)}"
    if pd.isna(gap.value):
        return f"{text}."
    inside = {"yes": "inside", "no": "outside"}.get(row["simultaneous"], "not clearly inside or outside")
    beside = f"{bracket(gap, '90%')}; {inside} ±{number(SIMULTANEOUS)}, which counts as together"
    if has_interval(gap) and gap.low <= 0 <= gap.high:
        return (
            f"{text}. Whether the label of x or that of y is half used first is open (x minus y, ln steps: {beside})."
        )
    way = f"{'later' if gap.value > 0 else 'earlier'} than" if gap.value else "at the same step as"
    text += ". With the last step for what never came, the" if row["censored"] else ". The"
    return f"{text} label of x is half used {way} that of y, by {number(abs(gap.value))} ln steps ({beside})."


def _why_open(row: Mapping[Any, Any], index: Number) -> list[str]:
    """Why a dataset has no verdict on its coupling."""
    nulls = Number("nulls", row["null_gap"], row["null_low"], row["null_high"])
    reasons = [] if row["runs"] >= FEWEST_SEEDS else [f"a verdict needs {FEWEST_SEEDS} seeds"]
    if not isinstance(row["swapped"], str):
        reasons.append("its axes were not swapped")
    if not (isinstance(row["null_x"], str) and isinstance(row["null_y"], str)):
        reasons.append("its nulls were not trained")
    elif has_interval(nulls) and nulls.low <= 0 <= nulls.high:
        reasons.append(f"its nulls are not clearly learnt at different times (ln ratio {estimate(nulls)})")
    if row["censored"]:
        reasons.append(f"in {count(row['censored'], 'run')} half of a label was never used")
    if not reasons and has_interval(index):
        reasons.append("its interval tells none of factorised, partial, coupled and reversed from the rest")
    return reasons


def _why_coupled(verdicts: pd.Series) -> list[str]:
    """How many datasets have each verdict."""
    counts = verdicts.value_counts(sort=False).sort_index()
    return [f"{number(n)} of {count(len(verdicts), 'imbalanced dataset')} {'is' if n == 1 else 'are'} {verdict}"
            for verdict, n in counts.items()]  # fmt: skip


def new_centres_are_right(verdict: str, _: Number, found: Numbers) -> str:
    """C6 as a paragraph."""
    runs, able = found.count("runs"), found.count("runs that are accurate")
    if not runs:
        return f"No balanced run on a plane has drawn seen centres. {ending(verdict, too_few(0))}"
    half = number(ACCURATE)
    text = [f"Of {planes(runs)}, {number(able)} draw at least {half} of the seen centres right at the last checkpoint."]
    if able:
        text.append(f"They draw {estimate(found.of('accuracy', 'seen'))} of them right.")
    text += [_kind(kind, found) for kind in KINDS] if able else []
    reasons = [reason for kind in KINDS for reason in _why_right(verdict, kind, found)]
    return " ".join([*text, ending(verdict, reasons)])


def _kind(kind: str, found: Numbers) -> str:
    """How a kind of new centre is drawn, beside seen ones."""
    if not found.count("seeds", kind):
        return f"None was asked for {KINDS[kind]}."
    difference = found.of("difference", kind)
    way = "more than" if difference.value > 0 else "less than"
    beside = f"{number(abs(difference.value))} {way}" if difference.value else "as many as"
    accuracy = number(found.of("accuracy", kind).value)
    return (
        f"Of {KINDS[kind]} {accuracy} are right, {beside} of seen ones in the same runs "
        f"(difference {bracket(difference)}; {count(found.count('seeds', kind), 'seed')})."
    )


def _why_right(verdict: str, kind: str, found: Numbers) -> list[str]:
    """Where the difference of a kind lies, beside the shortfall that counts."""
    seeds, difference = found.count("seeds", kind), found.of("difference", kind)
    if few := too_few(seeds, f" for {KINDS[kind]}"):
        return few if verdict == UNDETERMINED else []
    limit = f"{number(-SHORTFALL)}"
    behind, within = difference.high < -SHORTFALL, difference.low > -SHORTFALL
    if (verdict == CONTRADICTED and not behind) or (verdict == UNDETERMINED and within):
        return []
    where = "below" if behind else "above" if within else "on both sides of"
    return [f"for {KINDS[kind]} the interval of the difference lies {where} {limit}"]
