"""Verdicts on the claims about phases, C1 and C2, for runs whose phases are given."""

import math

import numpy as np
import pytest

from bumpscope.judge.histories import History
from made_up_runs import Experiment, every, letters


def history(latent):
    """Of a letter a step; a p stands for a verdict of ? on a cloud that is ordered in part."""
    values = np.array([{"A": 0.0, "B": 1.0, "C": 2.0}.get(letter, np.nan) for letter in latent])
    ordered = np.array([letter in "pC" for letter in latent])
    return History(np.arange(len(values)), values, values, ordered, "down3", 239)


# --- C1 ---


def test_c1_runs_in_order_support_it():
    row = every(5, latent=letters(200, 800)).judge("C1")
    assert row.verdict == "supported" and row.estimate == 1.0 and row.runs == 5
    assert (row.low, row.high) == (pytest.approx(0.025**0.2), 1.0)
    assert "B or C from step 173" in row.reason  # between checkpoints 150 and 200, in the middle by logarithm


def test_c1_runs_that_skip_disorder_contradict_it():
    row = every(5, latent=letters(800, 800)).judge("C1")
    assert row.verdict == "contradicted" and row.estimate == 0.0
    assert "5 runs went from A to order without disorder between" in row.reason


def test_c1_a_cloud_ordered_in_part_is_not_in_disorder():
    row = every(5, latent=letters(500, 800).replace("B", "p")).judge("C1")
    assert row.verdict == "contradicted" and row.runs == 5


@pytest.mark.parametrize("latent", [letters(500, 800).replace("B", "?"), letters(50, 50)], ids=["open", "at once"])
def test_c1_where_disorder_may_hide_it_is_undetermined(latent):
    row = every(5, latent=latent).judge("C1")
    assert row.verdict == "undetermined" and row.runs == 0
    assert "in 5 runs a B may hide" in row.reason


def test_c1_accurate_runs_whose_latents_never_order_contradict_it():
    row = every(5, latent=letters(200, 9999), behaviour=letters(200, 800)).judge("C1")
    assert row.verdict == "contradicted" and row.runs == 5


def test_c1_runs_stopped_early_decide_nothing():
    row = every(6, latent=letters(200, 9999)).judge("C1")
    assert row.verdict == "undetermined" and row.runs == 0 and math.isnan(row.estimate)


def test_c1_four_seeds_are_too_few_and_the_reason_says_so():
    row = every(4, latent=letters(200, 800)).judge("C1")
    assert row.verdict == "undetermined" and row.estimate == 1.0 and "4 seeds" in row.reason


def test_c1_a_mixed_result_is_undetermined():
    row = every(6, latent=lambda seed: letters(200, 800) if seed < 4 else letters(800, 800)).judge("C1")
    assert row.verdict == "undetermined" and row.estimate == pytest.approx(4 / 6)


def test_c1_many_runs_of_one_seed_are_one_seed():
    experiment = Experiment()
    for k in range(8):
        experiment.add(f"balanced{k}", 0, latent=letters(200, 800))
    row = experiment.judge("C1")
    assert row.verdict == "undetermined" and row.runs == 8 and "1 of 1 seeds" in row.reason
    row = experiment.add("balanced8", 0, latent=letters(800, 800)).judge("C1")
    assert row.runs == 9 and "0 of 1 seeds" in row.reason


@pytest.mark.parametrize(
    ("latent", "in_order"),
    [("ABC", True), ("A?B?C?", True), ("ABABC", True), ("ABCB", False), ("BAC", False), ("AC", False), ("BC", False)],
)
def test_order_looks_at_first_occurrences_and_at_the_end(latent, in_order):
    assert history(latent).in_order == in_order


@pytest.mark.parametrize(
    ("latent", "skips"),
    [
        ("AAAAAC", True),
        ("AAAApC", True),
        ("AAAA?C", False),  # the open cloud may be in disorder
        ("AAAApBC", False),
        ("AAAAC?C", False),
        ("AC", False),  # between step 0 and the first trained checkpoint anything may have been
        ("AAC", False),  # from step 1 to step 2 is a factor of 2
        ("CCCCC", False),
        ("AAAAA", False),
    ],
)
def test_disorder_is_skipped_only_where_none_can_hide(latent, skips):
    assert history(latent).skips_disorder == skips


# --- C2 ---


def test_c2_phases_that_begin_together_support_it():
    row = every(5, latent=letters(200, 800), behaviour=lambda seed: letters(200, 800 + 50 * (seed % 2))).judge("C2")
    assert row.verdict == "supported" and row.runs == 5
    assert abs(row.estimate) < 0.1 and "kappa 0.9" in row.reason


def test_c2_latents_that_order_long_before_behaviour_contradict_it():
    row = every(5, latent=letters(200, 400), behaviour=letters(200, 1200)).judge("C2")
    assert row.verdict == "contradicted"
    # Onsets lie in the middle, by logarithm, of the checkpoints around them.
    assert row.estimate == pytest.approx(0.5 * math.log(350 * 400 / (1150 * 1200)))


def test_c2_latents_that_never_order_contradict_it_by_a_bound():
    row = every(5, latent=letters(200, 9999), behaviour=letters(200, 400)).judge("C2")
    assert row.verdict == "contradicted"
    assert row.estimate == pytest.approx(math.log(1500) - 0.5 * math.log(350 * 400))
    assert "5 of these differences are bounds" in row.reason


def test_c2_a_bound_never_supports_it():
    row = every(5, latent=letters(200, 9999), behaviour=letters(200, 1450)).judge("C2")
    assert row.verdict == "undetermined"


def test_c2_checkpoints_too_far_apart_decide_nothing():
    for latent, behaviour in ((letters(100, 800), letters(100, 800)), (letters(150, 800), letters(50, 800))):
        assert every(5, latent=latent, behaviour=behaviour).judge("C2").verdict == "undetermined"


def test_c2_one_boundary_alone_is_not_enough():
    row = every(5, latent=letters(200, 9999)).judge("C2")
    assert row.verdict == "undetermined" and row.runs == 5 and "C: " not in row.reason


def test_c2_below_five_seeds_it_is_descriptive():
    row = every(4, latent=letters(200, 400), behaviour=letters(200, 1200)).judge("C2")
    assert row.verdict == "undetermined" and row.estimate < -1
