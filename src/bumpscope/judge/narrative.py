"""The claims in words: a paragraph for each, made from the numbers behind its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from bumpscope.judge.narrative_of_data import axes_are_coupled, density_hastens, new_centres_are_right
from bumpscope.judge.narrative_of_phases import order_is_necessary, passes_in_order, phases_coincide
from bumpscope.judge.verdicts import Number
from bumpscope.judge.wording import Numbers

PARAGRAPHS: dict[str, Callable[[str, Number, Numbers], str]] = {
    "C1": passes_in_order,
    "C2": phases_coincide,
    "C3": order_is_necessary,
    "C4": density_hastens,
    "C6": new_centres_are_right,
}
UNKNOWN = "The numbers behind this verdict are not on record."


def paragraph(claim: Mapping[str, Any], evidence: pd.DataFrame | None, coupling: pd.DataFrame | None) -> str:
    """What was compared for a claim, in how many runs, what came out, what it was held against and which way it fell.

    Args:
        claim: a row of table ``claims``.
        evidence: table ``evidence``; None or without rows of this claim where it was not kept.
        coupling: table ``coupling``, which C5 is judged on.
    """
    name, verdict = claim["claim"], claim["verdict"]
    if name == "C5" and coupling is not None:
        return axes_are_coupled(verdict, coupling)
    numbers = Numbers(evidence[evidence["claim"] == name]) if evidence is not None else None
    if name not in PARAGRAPHS or not numbers:
        return UNKNOWN
    return PARAGRAPHS[name](verdict, Number("estimate", claim["estimate"], claim["low"], claim["high"]), numbers)
