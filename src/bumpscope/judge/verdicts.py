"""What judging a claim gives: a row of the table ``claims``, and the numbers behind it, rows of ``evidence``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bumpscope.judge.coupling import FEWEST_SEEDS

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


@dataclass(frozen=True)
class Number:
    """A row of the table ``evidence`` without its claim: a count, or an estimate with its 95% interval."""

    quantity: str
    value: float
    low: float = math.nan
    high: float = math.nan
    subject: str = ""


@dataclass(frozen=True)
class Judged:
    """A claim and the numbers that its verdict rests on."""

    claim: Claim
    evidence: list[Number]


def judged(
    claim: str, interval: Interval, runs: int, verdict: str, reasons: Sequence[str], evidence: Sequence[Number] = ()
) -> Judged:
    """A claim judged; ``interval`` is its estimate with both ends."""
    row = Claim(claim, STATEMENTS[claim], STATISTICS[claim], *interval, runs, verdict, "; ".join(filter(None, reasons)))
    return Judged(row, list(evidence))


def told(interval: Interval, digits: int = 2) -> str:
    """An estimate with its interval, as a reason has it."""
    if math.isnan(interval[0]):
        return "undefined"
    estimate, low, high = (f"{value:.{digits}f}" for value in interval)
    return estimate if math.isnan(interval[1]) else f"{estimate} (95% {low} to {high})"


def few(seeds: int) -> str:
    """That there are too few seeds for a verdict; nothing where there are enough."""
    return "" if seeds >= FEWEST_SEEDS else f"{seeds} seeds, a verdict needs {FEWEST_SEEDS}"
