"""What a claim is judged by: checks of numbers against bounds, and the verdict that follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bumpscope.judge.wording import number, with_interval

Interval = tuple[float, float, float]
UNKNOWN: Interval = (math.nan, math.nan, math.nan)
# Share of images right from which a run counts as accurate.
ACCURATE = 0.5

# Below this many seeds an interval is too wide, and too dependent on normality, for a verdict.
FEWEST_SEEDS = 5
# Level of tests, such as of a share of seeds against one half (binomial, one-sided).
SIGNIFICANCE = 0.05
SUPPORTED, CONTRADICTED, UNDETERMINED = "supported", "contradicted", "undetermined"
# Roles of a check.
NEEDED, SUPPORTS, CONTRADICTS, SHOWN = "needed", "supports", "contradicts", "shown"
LINKS = {NEEDED: "needs", SUPPORTS: "support needs", CONTRADICTS: "contradiction needs"}
# A quantity that is only shown is written out for this many subjects; the table has the others.
MOST_SUBJECTS = 4


@dataclass(frozen=True)
class Bound:
    """Limits that a number, or the whole of its interval, must keep to.

    ``above`` and ``below`` exclude the limit, ``least`` and ``most`` include it. ``not_above`` asks besides that an
    interval does not lie above a limit as a whole.
    """

    above: float = -math.inf
    below: float = math.inf
    least: float = -math.inf
    most: float = math.inf
    not_above: float = math.inf

    def holds(self, low: float, high: float) -> bool:
        """Whether an interval keeps to the limits; one without ends never does."""
        inside = self.above < low and high < self.below and self.least <= low and high <= self.most
        return bool(inside and low <= self.not_above)

    def __str__(self) -> str:
        if math.isfinite(self.least) and math.isfinite(self.most):
            return " to ".join(dict.fromkeys(number(end) for end in (self.least, self.most)))
        limits = {">": self.above, "≥": self.least, "<": self.below, "≤": self.most, "not >": self.not_above}
        return " and ".join(f"{sign} {number(limit)}" for sign, limit in limits.items() if math.isfinite(limit))


NONE = Bound(least=0, most=0)


@dataclass(frozen=True)
class Check:
    """A number that a claim looks at: a row of the table ``evidence`` without its claim.

    Attributes:
        quantity, subject: what was counted or estimated, and of what (a phase, a place, a split); "" for all.
        value, low, high: the number and its 95% interval; NaN where there is none.
        bound: what it was held against; "" for a number that is only shown.
        passed: whether it kept to the bound.
        role: needed (for any verdict), supports, contradicts or shown.
    """

    quantity: str
    subject: str
    value: float
    low: float
    high: float
    bound: str
    passed: bool | None
    role: str


def count(quantity: str, value: float, role: str = SHOWN, bound: Bound | None = None, subject: str = "") -> Check:
    """A check of a number without an interval."""
    passed = None if bound is None else bound.holds(value, value)
    return Check(quantity, subject, float(value), math.nan, math.nan, _text(bound), passed, role)


def estimate(
    quantity: str, interval: Interval, role: str = SHOWN, bound: Bound | None = None, subject: str = ""
) -> Check:
    """A check of an estimate by its interval; without an interval it fails."""
    passed = None if bound is None else bound.holds(*interval[1:])
    return Check(quantity, subject, *interval, _text(bound), passed, role)


def _text(bound: Bound | None) -> str:
    return "" if bound is None else str(bound)


def verdict(checks: Sequence[Check]) -> str:
    """Supported, contradicted or undetermined.

    Checks that share a subject form a case. A claim is contradicted by one case in which all checks that contradict
    passed, with all that is needed in that case and without a subject. It is supported if all checks that support
    passed, in all cases, with all that is needed.
    """
    for case in {check.subject for check in checks if check.role == CONTRADICTS}:
        if _passed([check for check in checks if check.subject == case], CONTRADICTS) and _passed(
            [check for check in checks if check.subject in ("", case)], NEEDED
        ):
            return CONTRADICTED
    supporting = any(check.role == SUPPORTS for check in checks)
    return SUPPORTED if supporting and _passed(checks, SUPPORTS, NEEDED) else UNDETERMINED


def _passed(checks: Sequence[Check], *roles: str) -> bool:
    return all(check.passed for check in checks if check.role in roles)


@dataclass(frozen=True)
class Judged:
    """A claim judged: its estimate with both ends, the runs that it rests on, and the checks."""

    estimate: Interval
    runs: int
    checks: Sequence[Check]

    @property
    def verdict(self) -> str:
        return verdict(self.checks)


def sentences(checks: Iterable[Check]) -> str:
    """Checks in words, a sentence for each quantity: the numbers, and what was held against them with what result."""
    by_quantity: dict[str, list[Check]] = {}
    for check in checks:
        by_quantity.setdefault(check.quantity, []).append(check)
    return " ".join(_sentence(rows) for rows in by_quantity.values())


def _sentence(rows: list[Check]) -> str:
    """One quantity, of all its subjects."""
    by_subject: dict[str, list[Check]] = {}
    for row in rows:
        by_subject.setdefault(row.subject, []).append(row)
    parts = [_of_subject(own) for own in by_subject.values()]
    if not any(row.bound for row in rows) and len(parts) > MOST_SUBJECTS:
        parts = [*parts[:MOST_SUBJECTS], f"{len(parts) - MOST_SUBJECTS} more in the table"]
    quantity = rows[0].quantity
    return f"{quantity[0].upper()}{quantity[1:]}: {'; '.join(parts)}."


def _of_subject(rows: list[Check]) -> str:
    """One number, with all the bounds that it was held against."""
    first = rows[0]
    found = with_interval(first.value, first.low, first.high)
    tests = [f"{LINKS[row.role]} {row.bound}: {'yes' if row.passed else 'no'}" for row in rows if row.bound]
    return ", ".join([f"{first.subject} {found}" if first.subject else found, *tests])
