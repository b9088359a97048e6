"""C3 on experiments made up so that the right verdict is known."""

import numpy as np
import pytest

from made_up_runs import CORRECT, STEPS, every, intervention, number, r2, rise


def interventions(left, control=0.9, empty=None, before=0.9, step=900, layer="down3"):
    """What a run draws at one checkpoint.

    ``left`` without the label, ``control`` after a random change, ``empty`` with the mean of the layer (as many as
    without the label, unless given).
    """
    return [
        intervention("none", layer, step, own=before, told=0.9),
        intervention("removed", layer, step, own=left, told=0.05),
        intervention("ablated", layer, step, own=left if empty is None else empty),
        intervention("random", layer, step, own=control),
        intervention("patched", layer, step, other=0.8),
        intervention("labels", layer, step, own=0.1, other=0.6),
    ]


def c3(left, seeds=5, **other):
    def of_seed(seed):
        return interventions(left(seed) if callable(left) else left + 0.01 * seed, **other)

    return every(seeds, curves={CORRECT["seen"]: rise(700)}, interventions=of_seed)


def test_c3_images_that_are_wrong_without_the_label_and_right_after_a_random_change_support_it():
    experiment = c3(0.05)
    row = experiment.judge("C3")
    assert row.verdict == "supported" and row.runs == 5
    assert row.estimate == pytest.approx(0.07 / 0.9)
    assert number(experiment.checks("C3"), "share drawn where another label is put in") == pytest.approx(0.8)


def test_c3_images_that_stay_right_though_the_layer_tells_nothing_contradict_it():
    assert c3(0.8).judge("C3").verdict == "contradicted"


def test_c3_images_that_stay_right_only_while_the_layer_tells_something_decide_nothing():
    assert c3(0.8, empty=0.1).judge("C3").verdict == "undetermined"


def test_c3_a_layer_whose_mean_does_as_well_is_not_needed_whatever_the_removal_left():
    assert c3(0.4, empty=0.8).judge("C3").verdict == "contradicted"
    # The removal does harm that an empty layer does not do, so that it is not for want of the label.
    assert c3(0.05, empty=0.8).judge("C3").verdict == "contradicted"


def test_c3_images_that_any_change_spoils_do_not_support_it():
    assert c3(0.05, control=0.1).judge("C3").verdict == "undetermined"


def test_c3_one_run_that_differs_is_enough_to_withhold_either_verdict():
    assert c3(lambda seed: 0.6 if seed == 0 else 0.05, seeds=6).judge("C3").verdict == "undetermined"
    assert c3(lambda seed: 0.05 if seed == 0 else 0.8, seeds=6).judge("C3").verdict == "undetermined"


def test_c3_below_five_seeds_it_is_descriptive():
    row = c3(0.05, seeds=4).judge("C3")
    assert row.verdict == "undetermined" and row.estimate < 0.1


def test_c3_is_judged_at_the_first_checkpoint_that_is_accurate():
    def course(seed):
        early = interventions(0.0, before=0.3, step=500) + interventions(0.05 + 0.01 * seed, step=900)
        return early + interventions(0.9, step=1500)

    experiment = every(5, interventions=course)
    assert experiment.judge("C3").verdict == "supported"


def test_c3_is_judged_at_the_layer_of_the_phases():
    def layers(seed):
        return interventions(0.05, layer="up1") + interventions(0.8 + 0.01 * seed)

    experiment = every(5, interventions=layers)
    assert experiment.judge("C3").verdict == "contradicted"
    checks = experiment.checks("C3")
    assert number(checks, "share drawn right without the label", "up1") == pytest.approx(0.05)


def test_c3_without_interventions_or_accuracy_nothing_is_judged():
    assert every(5, curves={CORRECT["seen"]: rise(700)}).judge("C3").runs == 0
    row = c3(0.0, before=0.3).judge("C3")
    assert row.verdict == "undetermined" and row.runs == 0


def test_c3_r2_of_the_axis_that_is_decoded_worse_is_shown_and_does_not_count():
    curves = {CORRECT["seen"]: rise(900)} | r2("requested", rise(500), 0.2) | r2("shuffled", -0.1, 0.05)
    experiment = every(5, curves=curves)
    checks = experiment.checks("C3")
    assert number(checks, "R² of the axis decoded worse, when half of the images are right") == pytest.approx(0.2)
    # The untrained network has 0.2 as well.
    assert number(checks, "the same above the higher of its controls") == pytest.approx(0)
    assert experiment.judge("C3").verdict == "undetermined"


def test_c3_controls_of_r2_below_zero_count_as_zero():
    untrained = STEPS == 0
    curves = {CORRECT["seen"]: rise(900)} | r2("requested", 0.3 - 0.9 * untrained) | r2("shuffled", -2.0)
    checks = every(5, curves=curves).checks("C3")
    assert number(checks, "the same above the higher of its controls") == pytest.approx(0.3)
    assert not np.isnan(number(checks, "R² of the axis decoded worse, when half of the images are right"))
