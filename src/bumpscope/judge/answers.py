"""Claims as answers to plain questions, from their verdicts and checks; no verdict is derived here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bumpscope.judge.claims import modules
from bumpscope.judge.remedies import OTHER_CHOICES, SEEDS, Remedy
from bumpscope.judge.verdicts import (
    CONTRADICTED,
    CONTRADICTS,
    NEEDED,
    SHOWN,
    SUPPORTED,
    SUPPORTS,
    UNDETERMINED,
    Check,
    sentences,
)
from bumpscope.judge.wording import with_interval

FOUND = {SUPPORTED: "Yes.", CONTRADICTED: "No.", UNDETERMINED: "These runs do not tell."}


@dataclass(frozen=True)
class Answer:
    """What the page says of a question.

    Attributes:
        found: the answer.
        sure: the statistic with its interval, and how many runs it rests on.
        lacking: the checks that stand in the way of a verdict, in words; empty where there is one.
        caveat: what limits the verdict, whatever it is.
        remedies: what to run to know more.
        asked: whether there was a run to ask it of.
    """

    question: str
    found: str
    sure: str
    lacking: str
    caveat: str
    remedies: Sequence[Remedy]
    asked: bool


def answer(row: Mapping[str, Any], checks: Sequence[Check]) -> Answer | None:
    """The answer of a claim.

    Args:
        row: of the table ``claims``.
        checks: of the claim, as :func:`.claims.checks_of` gives them; without any, its reason stands for them.

    Returns:
        None for a claim that this version does not know.
    """
    module = modules().get(row["claim"])
    if module is None:
        return None
    runs = f"{row['runs']} run" + ("" if row["runs"] == 1 else "s")
    number = "No estimate" if math.isnan(row["estimate"]) else with_interval(row["estimate"], row["low"], row["high"])
    sure = f"{number}, from {runs} ({row['statistic']})."
    decided = row["verdict"] in (SUPPORTED, CONTRADICTED)
    failed = [] if decided else obstacles(checks)
    lacking = "" if decided else _lacking(checks, failed) or str(row["reason"])
    known = [module.MORE[check.quantity] for check in failed if check.quantity in module.MORE]
    remedies = [OTHER_CHOICES] if decided else list(dict.fromkeys(known or [SEEDS]))
    # A claim that has runs to look at has counts of them as well.
    asked = row["runs"] > 0 or len(checks) != 1
    return Answer(module.QUESTION, FOUND.get(row["verdict"], ""), sure, lacking, module.CAVEAT, remedies, asked)


def obstacles(checks: Sequence[Check]) -> list[Check]:
    """The failed checks without which there is no verdict; where none failed, those that each verdict failed at."""
    failed = [check for check in checks if check.bound and not check.passed]
    return [check for check in failed if check.role == NEEDED] or failed


def _lacking(checks: Sequence[Check], failed: Sequence[Check]) -> str:
    """Failed checks in words; those of contradiction only where no others failed.

    What is needed fails for the counts before it, such as runs that tell nothing, so that these come first.
    """
    for role in (NEEDED, SUPPORTS, CONTRADICTS):
        if own := [check for check in failed if check.role == role]:
            before = checks[: checks.index(own[0])] if role == NEEDED and not own[0].subject else []
            return sentences([*(check for check in before if check.role == SHOWN and not check.subject), *own])
    return ""
