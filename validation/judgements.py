"""What the page holds an instrument to, and the words for how it came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from scipy.stats import binomtest

from truth_tables import markdown

NOT_MEASURED = "not measured"
# Label effects: of estimates in double precision, and of float32 predictions, whose rounding is 6e-8.
LARGEST_DEVIATION = {"float64": 1e-9, "epsilon": 1e-5, "v": 1e-5}
LARGEST_POSTERIOR_DEVIATION = 1e-10
LARGEST_PEAK = 300e6  # bytes, whatever the lattice
# Behaviour: root mean square error over the Cramér-Rao bound, and px without noise.
LARGEST_RATIO = 1.2
LARGEST_WITHOUT_NOISE = 0.01
# Clouds: share of a kind's clouds whose number must lie within the accepted error.
LEAST_WITHIN = 0.9
# Why targets whose words contain these are not met, where that is known; shown only for those that are not.
REASONS: dict[str, str] = {
    "intrinsic dimension": (
        "the estimators are biased for 256 to 512 images on bent manifolds, in noise of their own and several at one "
        "centre. The tables below tell by how much, a kind a row; nothing is corrected, since no correction is known "
        "to us that holds for all of these kinds."
    ),
    "Betti numbers": (
        "noise of a tenth of the radius in each coordinate leaves four to eight components of a population code above "
        "noise, whose loops are hardly longer than the holes between images."
    ),
}


@dataclass(frozen=True)
class Judgement:
    """One thing asked of an instrument: what, the target, what was found, and whether that meets it."""

    what: str
    target: str
    found: str
    met: bool

    @property
    def word(self) -> str:
        return word(self.met)

    def sentence(self) -> str:
        return f"{capitalised(self.what)}: {self.found}; the target is {self.target}: **{self.word}**."


def capitalised(text: str) -> str:
    """The text as the beginning of a sentence; names such as kNN stay as they are."""
    return text if text.startswith("kNN") else text[0].upper() + text[1:]


def word(met: bool) -> str:
    return "met" if met else "not met"


def summary(judgements: Iterable[Judgement]) -> str:
    """All of them as a table."""
    rows = [(one.what, one.target, one.found, one.word) for one in judgements]
    return markdown(pd.DataFrame(rows, columns=["asked", "target", "found", ""]))


def reasons(judgements: Iterable[Judgement]) -> str:
    """A line for each reason that is known, with all targets that are not met for it."""
    missed = [one.what for one in judgements if not one.met]
    lines = []
    for part, reason in REASONS.items():
        of_it = [capitalised(what) for what in missed if part in what]
        if of_it:
            lines.append(f"- {'; '.join(of_it)}: {reason}")
    return "\n".join(lines)


def percent(count: int, of: int) -> str:
    """A share with its 95% interval (Clopper and Pearson)."""
    if of == 0:
        return "–"
    interval = binomtest(count, of).proportion_ci(method="exact")
    return f"{count / of:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def tiny(value: float) -> str:
    """A number that may be as small as rounding."""
    return "0" if value == 0 else f"{value:.1e}"
