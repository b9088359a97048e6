"""C3 on experiments made up so that the right verdict is known."""

import numpy as np
import pytest

from made_up_runs import CORRECT, R2, STEPS, every, number, rise


def c3(r2, shuffled=0.02, accuracy=900, seeds=5):
    return every(
        seeds,
        curves=lambda seed: {
            CORRECT["seen"]: rise(accuracy),
            R2["requested"]: r2 + 0.01 * seed,
            R2["shuffled"]: shuffled,
        },
    )


def test_c3_r2_above_both_controls_supports_it():
    row = c3(rise(500)).judge("C3")
    # Accuracy is first one half at the checkpoint 900; the shuffled labels are the higher control.
    assert row.verdict == "supported" and row.runs == 5
    assert row.estimate == pytest.approx(rise(500)[STEPS == 900][0] + 0.02 - 0.04, abs=0.03)


def test_c3_accuracy_without_r2_contradicts_it():
    experiment = c3(np.full(len(STEPS), 0.05))
    assert experiment.judge("C3").verdict == "contradicted"
    assert number(experiment.checks("C3"), "runs above the margin") == 0


def test_c3_r2_that_the_untrained_network_has_too_contradicts_it():
    assert c3(np.full(len(STEPS), 0.9)).judge("C3").verdict == "contradicted"


def test_c3_r2_that_shuffled_labels_have_too_contradicts_it():
    assert c3(rise(500), shuffled=0.95).judge("C3").verdict == "contradicted"


def test_c3_a_control_below_zero_counts_as_zero():
    assert c3(np.full(len(STEPS), 0.05) - 0.9 * (STEPS == 0), shuffled=-2.0).judge("C3").verdict == "contradicted"


def test_c3_one_run_that_fails_is_enough_to_withhold_support():
    experiment = every(
        6,
        curves=lambda seed: {
            CORRECT["seen"]: rise(900),
            R2["requested"]: rise(500) * (seed > 0),
            R2["shuffled"]: 0.0,
        },
    )
    assert experiment.judge("C3").verdict == "undetermined"
    assert number(experiment.checks("C3"), "runs above the margin") == 5


def test_c3_a_dataset_with_fewer_seeds_does_not_blur_the_one_with_the_most():
    curves = {CORRECT["seen"]: rise(900), R2["requested"]: rise(500), R2["shuffled"]: 0.0}
    experiment = every(5, curves=curves)
    # One seed of another balanced dataset that is accurate without any order.
    experiment.add("shown", 0, dx=0.5, dy=0.5, curves=curves | {R2["requested"]: 0.0})
    row = experiment.judge("C3")
    assert row.verdict == "supported" and row.runs == 5


def test_c3_nor_does_one_with_as_many_seeds_that_was_probed_at_fewer_checkpoints():
    curves = {CORRECT["seen"]: rise(900), R2["requested"]: rise(500), R2["shuffled"]: 0.0}
    experiment = every(5, curves=curves)
    for seed in range(5):
        experiment.add("coarse", seed, dx=0.5, dy=0.5, curves=curves | {R2["requested"]: 0.0})
    probed = set(STEPS[::2])
    experiment.phases = [row for row in experiment.phases if row["dataset"] != "coarse" or row["step"] in probed]
    row = experiment.judge("C3")
    assert row.verdict == "supported" and row.runs == 5


def test_c3_runs_that_never_get_accurate_are_left_out():
    experiment = c3(rise(500), accuracy=5000)
    row = experiment.judge("C3")
    assert row.verdict == "undetermined" and row.runs == 0
    assert number(experiment.checks("C3"), "runs that got accurate") == 0
