"""Answers follow verdicts and checks, and every claim has what they need."""

import math

import pytest

from bumpscope.judge.answers import answer, obstacles
from bumpscope.judge.claims import modules
from bumpscope.judge.remedies import CHECKPOINTS, OTHER_CHOICES, SEEDS, Remedy
from bumpscope.judge.verdicts import CONTRADICTS, NEEDED, SUPPORTS, Bound, count, estimate

FIVE = Bound(least=5)


def row(claim: str, verdict: str, value: float = 0.5) -> dict:
    found = {"claim": claim, "verdict": verdict, "statistic": "a share", "estimate": value, "low": 0.25, "high": 0.75}
    return found | {"runs": 1, "reason": "The reason."}


@pytest.mark.parametrize("claim", modules())
def test_a_claim_asks_and_says_what_limits_it_and_what_to_run(claim):
    module = modules()[claim]
    assert module.QUESTION.endswith("?") and len(module.QUESTION.split()) <= 17
    assert module.CAVEAT.endswith(".") and len(module.CAVEAT.split()) <= 25
    assert all(isinstance(remedy, Remedy) for remedy in module.MORE.values())


@pytest.mark.parametrize(("verdict", "found"), [("supported", "Yes."), ("contradicted", "No.")])
def test_where_there_is_a_verdict_nothing_is_lacking(verdict, found):
    told = answer(row("C2", verdict), [count("seeds", 9, NEEDED, FIVE), count("p", 0.9, SUPPORTS, Bound(most=0.05))])
    assert told and (told.found, told.lacking, told.remedies) == (found, "", [OTHER_CHOICES])
    assert told.sure == "0.50 (95% 0.25 to 0.75), from 1 run (a share)."


def test_what_is_needed_comes_first_with_the_counts_before_it():
    checks = [count("runs", 8), count("seeds", 3, NEEDED, FIVE), count("onsets", 8)]
    checks += [estimate("slope", (1.0, -1.0, 3.0), SUPPORTS, Bound(above=0))]
    told = answer(row("C4", "undetermined", math.nan), checks)
    assert told and told.lacking == "Runs: 8. Seeds: 3, needs ≥ 5: no."
    assert told.sure.startswith("No estimate") and told.found == "These runs do not tell."


def test_a_claim_without_runs_is_not_asked_unless_runs_were_looked_at():
    lacking = count("lattices with and without stripes", 0, NEEDED, Bound(least=1))
    for runs, checks, asked in ((0, [lacking], False), (1, [lacking], True), (0, [count("blind", 8), lacking], True)):
        told = answer(row("F1", "undetermined", math.nan) | {"runs": runs}, checks)
        assert told and told.asked == asked


def test_failed_checks_choose_what_to_run_and_others_ask_for_seeds():
    apart = count("ln distance of checkpoints", 2.0, SUPPORTS, Bound(most=1.0), "B")
    wide = estimate("difference of ln onset", (0.0, -1.0, 1.0), SUPPORTS, Bound(least=-0.4, most=0.4), "B")
    beyond = count("least difference", -1.0, CONTRADICTS, Bound(above=0), "B")
    both = answer(row("C2", "undetermined"), [apart, wide, beyond])
    assert both and both.remedies == [CHECKPOINTS] and "least difference" not in both.lacking.lower()
    alone = answer(row("C2", "undetermined"), [wide, beyond])
    assert alone and alone.remedies == [SEEDS]
    assert obstacles([wide, beyond, count("seeds", 1, NEEDED, FIVE)])[0].quantity == "seeds"


def test_without_checks_the_reason_stands_for_them_and_an_unknown_claim_has_no_answer():
    told = answer(row("C2", "undetermined"), [])
    assert told and told.lacking == "The reason."
    assert answer(row("X", "supported"), []) is None
