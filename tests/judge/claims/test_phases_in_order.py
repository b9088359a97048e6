"""C1 on runs whose phases are given."""

import math

import numpy as np
import pytest

from bumpscope.judge.histories import History
from made_up_runs import STEPS, Experiment, every, letters, metric, number


def history(latent):
    """Of a letter a step; p: a verdict of ? on a cloud that is ordered in part, x: blind, X: blind and so ordered."""
    values = np.array([{"A": 0.0, "B": 1.0, "C": 2.0}.get(letter, np.nan) for letter in latent])
    order = np.array([{"C": "full", "p": "partial", "X": "partial"}.get(letter, "none") for letter in latent], object)
    blind = np.array([letter in "xX" for letter in latent])
    return History(np.arange(len(values)), values, values, order, blind, "down3", 239)


# Ordered in part from 500 on, which is no disorder, but blind at one checkpoint.
BLIND_ONCE = letters(500, 800).replace("B", "p").replace("pppC", "pXpC")


def test_c1_runs_in_order_support_it():
    experiment = every(5, latent=letters(200, 800))
    row = experiment.judge("C1")
    assert row.verdict == "supported" and row.estimate == 1.0 and row.runs == 5
    assert (row.low, row.high) == (pytest.approx(0.025**0.2), 1.0)
    # Between the checkpoints 150 and 200, in the middle by logarithm.
    assert number(experiment.checks("C1"), "onset", "B or C") == pytest.approx((150 * 200) ** 0.5)


def test_c1_runs_that_skip_disorder_contradict_it():
    experiment = every(5, latent=letters(800, 800))
    row = experiment.judge("C1")
    assert row.verdict == "contradicted" and row.estimate == 0.0
    assert number(experiment.checks("C1"), "runs without disorder") == 5


def test_c1_a_cloud_ordered_in_part_is_not_in_disorder():
    row = every(5, latent=letters(500, 800).replace("B", "p")).judge("C1")
    assert row.verdict == "contradicted" and row.runs == 5


@pytest.mark.parametrize(
    "latent",
    [letters(500, 800).replace("B", "?"), letters(50, 50), letters(500, 800).replace("B", "x"), BLIND_ONCE],
    ids=["open", "at once", "blind", "blind once"],
)
def test_c1_where_disorder_may_hide_it_is_undetermined(latent):
    experiment = every(5, latent=latent)
    row = experiment.judge("C1")
    assert row.verdict == "undetermined" and row.runs == 0
    assert number(experiment.checks("C1"), "runs in which a B may hide") == 5


def test_c1_accurate_runs_whose_latents_never_order_contradict_it():
    row = every(5, latent=letters(200, 9999), behaviour=letters(200, 800)).judge("C1")
    assert row.verdict == "contradicted" and row.runs == 5


def test_c1_runs_stopped_early_decide_nothing():
    row = every(6, latent=letters(200, 9999)).judge("C1")
    assert row.verdict == "undetermined" and row.runs == 0 and math.isnan(row.estimate)


def test_c1_four_seeds_are_too_few():
    row = every(4, latent=letters(200, 800)).judge("C1")
    assert row.verdict == "undetermined" and row.estimate == 1.0


def test_c1_a_mixed_result_is_undetermined():
    row = every(6, latent=lambda seed: letters(200, 800) if seed < 4 else letters(800, 800)).judge("C1")
    assert row.verdict == "undetermined" and row.estimate == pytest.approx(4 / 6)


@pytest.mark.parametrize("verdict", ["supported", "contradicted"])
def test_c1_a_blind_run_counts_against_either_verdict(verdict):
    told = letters(200, 800) if verdict == "supported" else letters(800, 800)
    assert every(5, latent=told).judge("C1").verdict == verdict
    experiment = every(6, latent=lambda seed: told if seed < 5 else BLIND_ONCE)
    row = experiment.judge("C1")
    assert (row.verdict, row.runs, row.estimate) == ("undetermined", 5, float(verdict == "supported"))
    checks = experiment.checks("C1")
    assert number(checks, "runs that are blind before C") == 1
    blind = BLIND_ONCE.count("X") / (6 * len(STEPS))
    assert number(checks, "share of clouds with sight") == pytest.approx(1 - blind)


def test_c1_many_runs_of_one_seed_are_one_seed():
    experiment = Experiment()
    for k in range(8):
        experiment.add(f"balanced{k}", 0, latent=letters(200, 800))
    row = experiment.judge("C1")
    assert row.verdict == "undetermined" and (row.runs, row.estimate) == (8, 1.0)
    row = experiment.add("balanced8", 0, latent=letters(800, 800)).judge("C1")
    assert (row.runs, row.estimate) == (9, 0.0)


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
        ("xAAAAC", False),  # a B before the A would be out of order
        ("AAAXpC", False),
        ("AAAAXC", False),
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


def test_c1_other_places_are_shown_and_do_not_count():
    experiment = every(5, latent=letters(500, 500))
    for layer, t, latent in (("up1", 39, letters(500, 900)), ("image", 0, letters(500, 800).replace("B", "x"))):
        experiment.read_at(layer, t, latent)
    checks = experiment.checks("C1")
    assert experiment.judge("C1").verdict == "contradicted"
    # Only runs that could show B count.
    for place, told, in_order in (("up1 at t=39", 5, 5), ("the images", 0, 0)):
        assert (number(checks, "runs that tell", place), number(checks, "runs in order", place)) == (told, in_order)
    assert number(checks, "share of clouds with sight", "up1 at t=39") == 1
    assert number(checks, "share of clouds with sight", "the images") == pytest.approx(1 - 6 / len(STEPS))


def test_c1_tells_beside_where_the_drawn_centre_alone_is_told():
    where = {"layer": "up1", "t": 39, "space": "raw", "noise": "own"}
    curves = {metric("knn_r2_denoised", label=label, **where): 0.0 for label in ("requested", "shuffled")}
    curves |= {metric("knn_r2_denoised", label="realised", **where): np.where(STEPS < 300, 0.0, 0.8)}
    checks = every(5, latent=letters(200, 800), curves=curves).checks("C1")
    share = number(checks, "share of clouds that tell the drawn centre alone", "up1 at t=39")
    assert share == pytest.approx((STEPS >= 300).mean())
