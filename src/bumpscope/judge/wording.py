"""Numbers as words: how pages and paragraphs write counts, estimates and lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bumpscope.judge.coupling import FEWEST_SEEDS
from bumpscope.judge.verdicts import UNDETERMINED, Number


def number(value: Any) -> str:
    """A number to three significant digits, whole ones whole; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value + 0.0:.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def has_interval(found: Number) -> bool:
    """Whether both ends are known; from one seed they are not."""
    return math.isfinite(found.low) and math.isfinite(found.high)


def bracket(found: Number, confidence: str = "95%") -> str:
    """The interval of an estimate, or that there is none."""
    if not has_interval(found):
        return "no interval"
    low, high = (_to_the_digit(end, found) for end in (found.low, found.high))
    return f"{confidence} {low} to {high}"


def estimate(found: Number) -> str:
    """An estimate with its 95% interval, where it has one."""
    return f"{_to_the_digit(found.value, found)} ({bracket(found)})"


def _to_the_digit(value: float, found: Number) -> str:
    """A number to a hundredth of the order of magnitude of its interval's width: more digits would say nothing."""
    width = found.high - found.low
    if not (math.isfinite(width) and width > 0):
        return number(value)
    digits = max(0, 2 - math.floor(math.log10(width)))
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def count(n: float, noun: str) -> str:
    """A number of things: 1 run, 5 runs, no runs."""
    return f"{number(n) if n else 'no'} {noun}{'' if n == 1 else 's'}"


def planes(n: int) -> str:
    """A number of the runs that most claims are judged on."""
    return f"{count(n, 'balanced run')} on a plane"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Several things in a row: a, b and c."""
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def too_few(seeds: float, where: str = "") -> list[str]:
    """That there are too few seeds for a verdict, as a reason; none where there are enough."""
    if seeds >= FEWEST_SEEDS:
        return []
    return [f"a verdict needs {FEWEST_SEEDS} seeds{where} and there {'is' if seeds == 1 else 'are'} {number(seeds)}"]


def ending(verdict: str, because: Sequence[str]) -> str:
    """The last sentence of a paragraph: the verdict and why."""
    reasons = "; ".join(because) if any(" and " in reason for reason in because) else listed(because)
    link = ": " if verdict != UNDETERMINED else ", since "
    stays = "is" if verdict != UNDETERMINED else "stays"
    return f"The claim {stays} {verdict}{link + reasons if because else ''}."


class Numbers:
    """The numbers behind one claim, by quantity and subject."""

    def __init__(self, evidence: pd.DataFrame):
        """``evidence`` has rows of the table ``evidence``, of one claim."""
        names = ["quantity", "value", "low", "high", "subject"]
        rows = [Number(*row) for row in evidence[names].itertuples(index=False, name=None)]
        self._rows = {(row.quantity, row.subject): row for row in rows}

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, quantity: str, subject: str = "") -> Number:
        """A number; NaN where it is not on record."""
        return self._rows.get((quantity, subject), Number(quantity, math.nan, subject=subject))

    def count(self, quantity: str, subject: str = "") -> int:
        """A count; 0 where it is not on record."""
        value = self.of(quantity, subject).value
        return int(value) if math.isfinite(value) else 0

    def subjects(self, quantity: str) -> list[str]:
        """What a quantity is on record for, in the table's order."""
        return [subject for name, subject in self._rows if name == quantity]
