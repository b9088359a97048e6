"""C2 on runs whose phases are given."""

import math

import pytest

from made_up_runs import every, letters, number


def test_c2_phases_that_begin_together_support_it():
    experiment = every(5, latent=letters(200, 800), behaviour=lambda seed: letters(200, 800 + 50 * (seed % 2)))
    row = experiment.judge("C2")
    assert row.verdict == "supported" and row.runs == 5
    assert abs(row.estimate) < 0.1 and number(experiment.checks("C2"), "kappa of the two verdicts") > 0.9


def test_c2_latents_that_order_long_before_behaviour_contradict_it():
    row = every(5, latent=letters(200, 400), behaviour=letters(200, 1200)).judge("C2")
    assert row.verdict == "contradicted"
    # Onsets lie in the middle, by logarithm, of the checkpoints around them.
    assert row.estimate == pytest.approx(0.5 * math.log(350 * 400 / (1150 * 1200)))


def test_c2_latents_that_never_order_contradict_it_by_a_bound():
    experiment = every(5, latent=letters(200, 9999), behaviour=letters(200, 400))
    row = experiment.judge("C2")
    assert row.verdict == "contradicted"
    assert row.estimate == pytest.approx(math.log(1500) - 0.5 * math.log(350 * 400))
    assert number(experiment.checks("C2"), "differences that are bounds", "C") == 5


def test_c2_a_bound_never_supports_it():
    row = every(5, latent=letters(200, 9999), behaviour=letters(200, 1450)).judge("C2")
    assert row.verdict == "undetermined"


def test_c2_checkpoints_too_far_apart_decide_nothing():
    for latent, behaviour in ((letters(100, 800), letters(100, 800)), (letters(150, 800), letters(50, 800))):
        assert every(5, latent=latent, behaviour=behaviour).judge("C2").verdict == "undetermined"


def test_c2_one_boundary_alone_is_not_enough():
    experiment = every(5, latent=letters(200, 9999))
    row = experiment.judge("C2")
    assert row.verdict == "undetermined" and row.runs == 5
    assert number(experiment.checks("C2"), "seeds", "C") == 0


def test_c2_below_five_seeds_it_is_descriptive():
    row = every(4, latent=letters(200, 400), behaviour=letters(200, 1200)).judge("C2")
    assert row.verdict == "undetermined" and row.estimate < -1


def blind_before_order(c):
    """Blind from step 100 on, then C."""
    return letters(100, c).replace("B", "x")


def test_c2_where_a_b_may_go_unseen_it_is_judged_by_c_alone():
    experiment = every(5, latent=blind_before_order(400), behaviour=letters(200, 1200))
    row = experiment.judge("C2")
    assert row.verdict == "contradicted" and row.runs == 5
    assert row.estimate == pytest.approx(0.5 * math.log(350 * 400 / (1150 * 1200)))
    assert number(experiment.checks("C2"), "runs in which a B may hide", "B") == 5
    assert every(5, latent=blind_before_order(800), behaviour=letters(200, 800)).judge("C2").verdict == "undetermined"


def test_c2_a_cloud_that_is_ordered_in_part_is_not_c_and_an_undecided_one_may_be():
    for letter, close in (("p", True), ("?", False)):
        latent = letters(200, 800).replace("B", letter)
        checks = every(5, latent=latent, behaviour=letters(200, 800)).checks("C2")
        assert (number(checks, "ln distance of checkpoints", "C") < 0.1) == close
