"""Numbers as the pages write them."""

from __future__ import annotations

import math
from typing import Any


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
