"""Numbers and checks in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from bumpscope.judge.verdicts import CONTRADICTS, NEEDED, SUPPORTS, Check

LINKS = {NEEDED: "needs", SUPPORTS: "support needs", CONTRADICTS: "contradiction needs"}
# A quantity that is only shown is written out for this many subjects; the table has the others.
MOST_SUBJECTS = 4


def number(value: Any) -> str:
    """A number to three significant digits, whole ones whole; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value + 0.0:.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def with_interval(value: float, low: float, high: float) -> str:
    """A number with its 95% interval, where it has one."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return number(value)
    width = high - low
    # To a tenth of the interval's order of magnitude: more digits would say nothing.
    digits = max(0, 1 - math.floor(math.log10(width))) if width > 0 else None
    texts = [number(one) if digits is None else f"{round(one, digits) + 0.0:.{digits}f}" for one in (value, low, high)]
    found, start, end = (text.replace("-", "−") for text in texts)
    return f"{found} (95% {start} to {end})"


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
