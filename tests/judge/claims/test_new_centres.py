"""C6 on experiments made up so that the right verdict is known."""

import numpy as np
import pytest

from made_up_runs import CORRECT, STEPS, every


def c6(seen, heldout=None, between=None, seeds=5, **other):
    jitter = np.linspace(-0.02, 0.02, seeds)
    splits = {"seen": seen, "heldout": heldout, "between": between}
    return every(seeds, curves=lambda seed: at_the_end(splits, jitter[seed]), **other).judge("C6")


def at_the_end(splits, jitter):
    """Accuracies at the last checkpoint, the only one that counts; before it everything is wrong."""
    return {
        CORRECT[split]: np.where(STEPS == 1500, value + (split != "seen") * jitter, 0.0)
        for split, value in splits.items()
        if value is not None
    }


def test_c6_new_centres_as_good_as_seen_ones_support_it():
    row = c6(0.95, heldout=0.93, between=0.96)
    assert row.verdict == "supported" and row.runs == 5
    assert row.estimate == pytest.approx(-0.02)


def test_c6_withheld_combinations_that_fail_contradict_it():
    row = c6(0.95, heldout=0.30, between=0.96)
    assert row.verdict == "contradicted" and row.estimate == pytest.approx(-0.65)


def test_c6_without_withheld_combinations_it_can_only_be_contradicted():
    assert c6(0.95, between=0.96).verdict == "undetermined"
    assert c6(0.95, between=0.40).verdict == "contradicted"


@pytest.mark.parametrize(("seeds", "verdict", "runs"), [(5, "supported", 10), (4, "undetermined", 5)])
def test_c6_withheld_combinations_may_be_those_of_a_dataset_probed_at_few_checkpoints(seeds, verdict, runs):
    experiment = every(5, curves=lambda seed: at_the_end({"seen": 0.95, "between": 0.96}, 0.01 * seed))
    for seed in range(seeds):
        splits = {"seen": 0.94, "heldout": 0.92, "between": 0.95}
        experiment.add("withheld", seed, at_the_end(splits, 0.01 * seed), holdout="x=[5.0, 8.0], y=[5.0, 8.0]")
    experiment.phases = [row for row in experiment.phases if row["dataset"] != "withheld" or row["step"] in (0, 1500)]
    row = experiment.judge("C6")
    assert (row.verdict, row.runs) == (verdict, runs)


def test_c6_runs_that_have_not_learnt_say_nothing():
    row = c6(0.3, heldout=0.0, between=0.0)
    assert row.verdict == "undetermined" and row.runs == 0


def test_c6_below_five_seeds_it_is_descriptive():
    row = c6(0.95, heldout=0.3, between=0.96, seeds=4)
    assert row.verdict == "undetermined" and row.estimate == pytest.approx(-0.65)
