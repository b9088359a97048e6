"""Verdicts on experiments made up so that the right one is known, for and against C3 to C6, and the table whole."""

import math

import numpy as np
import pandas as pd
import pytest

from bumpscope.judge.claims import claims
from bumpscope.store.schemas import TABLES
from made_up_runs import EMPTY, NAME, STEPS, Experiment, every, letters, only, rise

# --- C3 ---


def c3(r2, shuffled=0.02, accuracy=900, seeds=5):
    return every(
        seeds,
        curves=lambda seed: {
            "outcome/correct/seen": rise(accuracy),
            f"{NAME}/requested": r2 + 0.01 * seed,
            f"{NAME}/shuffled": shuffled,
        },
    ).judge("C3")


def test_c3_r2_above_both_controls_supports_it():
    row = c3(rise(500))
    # Accuracy is first one half at the checkpoint 900; the shuffled labels are the higher control.
    assert row.verdict == "supported" and row.runs == 5
    assert row.estimate == pytest.approx(rise(500)[STEPS == 900][0] + 0.02 - 0.04, abs=0.03)


def test_c3_accuracy_without_r2_contradicts_it():
    row = c3(np.full(len(STEPS), 0.05))
    assert row.verdict == "contradicted" and "by more than 0.1 in 0 of 5" in row.reason


def test_c3_r2_that_the_untrained_network_has_too_contradicts_it():
    assert c3(np.full(len(STEPS), 0.9)).verdict == "contradicted"


def test_c3_r2_that_shuffled_labels_have_too_contradicts_it():
    assert c3(rise(500), shuffled=0.95).verdict == "contradicted"


def test_c3_a_control_below_zero_counts_as_zero():
    assert c3(np.full(len(STEPS), 0.05) - 0.9 * (STEPS == 0), shuffled=-2.0).verdict == "contradicted"


def test_c3_one_run_that_fails_is_enough_to_withhold_support():
    row = every(
        6,
        curves=lambda seed: {
            "outcome/correct/seen": rise(900),
            f"{NAME}/requested": rise(500) * (seed > 0),
            f"{NAME}/shuffled": 0.0,
        },
    ).judge("C3")
    assert row.verdict == "undetermined" and "5 of 6" in row.reason


def test_c3_a_dataset_with_fewer_seeds_does_not_blur_the_one_with_the_most():
    curves = {"outcome/correct/seen": rise(900), f"{NAME}/requested": rise(500), f"{NAME}/shuffled": 0.0}
    experiment = every(5, curves=curves)
    # One seed of another balanced dataset that is accurate without any order.
    experiment.add("shown", 0, dx=0.5, dy=0.5, curves=curves | {f"{NAME}/requested": 0.0})
    row = experiment.judge("C3")
    assert row.verdict == "supported" and row.runs == 5


def test_c3_nor_does_one_with_as_many_seeds_that_was_probed_at_fewer_checkpoints():
    curves = {"outcome/correct/seen": rise(900), f"{NAME}/requested": rise(500), f"{NAME}/shuffled": 0.0}
    experiment = every(5, curves=curves)
    for seed in range(5):
        experiment.add("coarse", seed, dx=0.5, dy=0.5, curves=curves | {f"{NAME}/requested": 0.0})
    probed = set(STEPS[::2])
    experiment.phases = [row for row in experiment.phases if row["dataset"] != "coarse" or row["step"] in probed]
    row = experiment.judge("C3")
    assert row.verdict == "supported" and row.runs == 5


def test_c3_runs_that_never_get_accurate_are_left_out():
    row = c3(rise(500), accuracy=5000)
    assert row.verdict == "undetermined" and row.runs == 0 and "0 of 5" in row.reason


# --- C4 ---


def c4(onset, seeds=5, spacings=(0.5, 1.0, 2.0), **other):
    experiment = Experiment()
    for seed in range(seeds):
        factor = math.exp(0.2 * np.random.default_rng(seed).standard_normal())
        for k, spacing in enumerate(spacings):
            shape = {f"{NAME}/requested": rise(onset(spacing) * factor * (1 + 0.01 * ((seed + k) % 3)))}
            experiment.add(f"spacing{spacing}", seed, shape, dx=spacing, dy=spacing, **other)
    return experiment.judge("C4")


def test_c4_earlier_onsets_on_denser_lattices_support_it():
    row = c4(lambda spacing: 600 * spacing**0.4)
    assert row.verdict == "supported" and row.runs == 15
    assert row.estimate == pytest.approx(0.4, abs=0.03) and row.low < 0.4 < row.high


def test_c4_per_epoch_adds_the_mechanical_two_and_is_only_told():
    row = c4(lambda spacing: 600 * spacing**0.4)
    assert f"per epoch the slope is {row.estimate + 2:.2f}" in row.reason


def test_c4_later_onsets_on_denser_lattices_contradict_it_whatever_they_are_per_epoch():
    row = c4(lambda spacing: 600 * spacing**-0.4)
    assert row.verdict == "contradicted" and row.estimate < 0


def test_c4_onsets_that_do_not_depend_on_density_contradict_it():
    assert c4(lambda spacing: 600).verdict == "contradicted"


def test_c4_below_five_seeds_it_is_descriptive():
    row = c4(lambda spacing: 600 * spacing**0.4, seeds=3)
    assert row.verdict == "undetermined" and row.estimate == pytest.approx(0.4, abs=0.05)


def test_c4_a_coarsest_lattice_that_never_got_there_still_supports_it():
    row = c4(lambda spacing: 600 if spacing < 2 else 9999)
    assert row.verdict == "supported" and "5 onsets never reached" in row.reason


def test_c4_two_lattices_that_never_got_there_decide_nothing():
    assert c4(lambda spacing: 600 if spacing < 1 else 9999).verdict == "undetermined"


def test_c4_structure_that_is_there_at_the_first_checkpoint_decides_nothing():
    row = c4(lambda spacing: 20)
    assert row.verdict == "undetermined" and "cannot time" in row.reason


def test_c4_needs_two_spacings_of_otherwise_equal_lattices():
    assert c4(lambda spacing: 600, spacings=(1.0,)).runs == 0
    experiment = Experiment()
    for seed in range(5):
        experiment.add("small", seed, {f"{NAME}/requested": rise(300)}, dx=0.5, dy=0.5)
        experiment.add("large", seed, {f"{NAME}/requested": rise(900)}, image_size=32)
    assert experiment.judge("C4").runs == 0


# --- C5 ---


def coupling_row(dataset, verdict, index, null_gap=-0.7, runs=6, measure="effects", reference="none"):
    numbers = {"coupling": index, "low": index - 0.1, "high": index + 0.1, "gap": 0.0, "gap_low": -0.1, "gap_high": 0.1}
    numbers |= {"null_gap": null_gap, "null_low": null_gap - 0.2, "null_high": null_gap + 0.2, "runs": runs}
    kind = {"dataset": dataset, "kind": "lattice", "reference": reference, "measure": measure}
    return kind | {"censored": 0, "simultaneous": "yes", "verdict": verdict} | numbers


def c5(*rows):
    table = pd.DataFrame(rows, columns=TABLES["coupling"].names)
    return only(claims(EMPTY["metrics"], EMPTY["runs"], pd.DataFrame(), table), "C5")


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        (["coupled", "undetermined"], "supported"),
        (["factorised"], "contradicted"),
        (["coupled", "factorised"], "contradicted"),
        (["reversed"], "contradicted"),
        (["partial"], "undetermined"),
        (["undetermined"], "undetermined"),
    ],
)
def test_c5_follows_the_coupling_table(verdicts, wanted):
    rows = [coupling_row(f"d{k}", verdict, 0.9) for k, verdict in enumerate(verdicts)]
    assert c5(*rows).verdict == wanted


def test_c5_estimates_from_the_clearest_nulls_and_only_from_effects():
    rows = [coupling_row("dim", "coupled", 0.8, -0.3), coupling_row("clear", "coupled", 1.1, -0.9, runs=7)]
    row = c5(*rows, coupling_row("clear", "factorised", 0.0, measure="accuracy"))
    assert (row.verdict, row.estimate, row.runs) == ("supported", 1.1, 7)
    assert (row.low, row.high) == pytest.approx((1.0, 1.2))


def test_c5_without_imbalanced_datasets_is_undetermined():
    row = c5()
    assert row.verdict == "undetermined" and math.isnan(row.estimate) and row.runs == 0


def test_c5_nulls_that_do_not_differ_have_no_estimate_and_say_so():
    row = c5(coupling_row("d", "undetermined", math.nan))
    assert math.isnan(row.estimate) and "index undefined" in row.reason


# --- C6 ---


def c6(seen, heldout=None, between=None, seeds=5, **other):
    jitter = np.linspace(-0.02, 0.02, seeds)
    splits = {"seen": seen, "heldout": heldout, "between": between}
    return every(seeds, curves=lambda seed: at_the_end(splits, jitter[seed]), **other).judge("C6")


def at_the_end(splits, jitter):
    """Accuracies at the last checkpoint, the only one that counts; before it everything is wrong."""
    return {
        f"outcome/correct/{split}": np.where(STEPS == 1500, value + (split != "seen") * jitter, 0.0)
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
        experiment.add("withheld", seed, at_the_end(splits, 0.01 * seed), n_images=128)
    experiment.phases = [row for row in experiment.phases if row["dataset"] != "withheld" or row["step"] in (0, 1500)]
    row = experiment.judge("C6")
    assert (row.verdict, row.runs) == (verdict, runs)


def test_c6_runs_that_have_not_learnt_say_nothing():
    row = c6(0.3, heldout=0.0, between=0.0)
    assert row.verdict == "undetermined" and row.runs == 0


def test_c6_below_five_seeds_it_is_descriptive():
    row = c6(0.95, heldout=0.3, between=0.96, seeds=4)
    assert row.verdict == "undetermined" and row.estimate == pytest.approx(-0.65)


# --- the table ---


@pytest.mark.parametrize("other", [{"boundary": "torus"}, {"skew_axis": "x", "skew_alpha": 1.0}, {"dy": 2.0}])
def test_runs_that_are_not_balanced_on_a_plane_do_not_count(other):
    experiment = every(5, latent=letters(200, 800), **other)
    assert experiment.judge("C1").runs == experiment.judge("C2").runs == 0
    assert c6(0.95, heldout=0.3, between=0.9, **other).runs == 0


def test_the_table_has_its_columns_and_all_claims_whatever_is_missing():
    nothing = pd.DataFrame()
    full = every(
        2, latent=letters(200, 800), curves={f"{NAME}/requested": rise(500), "outcome/correct/seen": rise(900)}
    )
    metrics, runs, phases = pd.DataFrame(full.metrics), pd.DataFrame(full.runs), pd.DataFrame(full.phases)
    unread = metrics.assign(value=np.nan)
    open_phases = phases.assign(latent_phase="?", behaviour_phase="?")
    cases = [
        (nothing, nothing, nothing, nothing),
        (EMPTY["metrics"], EMPTY["runs"], phases.iloc[:0], EMPTY["coupling"]),
        (nothing, runs, nothing, nothing),
        (metrics, runs, nothing, nothing),
        (nothing, runs, phases, nothing),
        (metrics, runs.iloc[:1], phases, nothing),
        (metrics[metrics.seed == 0], runs[runs.seed == 0], phases[phases.seed == 0], nothing),
        (unread, runs, phases, nothing),
        (metrics, runs, open_phases, nothing),
        (metrics[metrics.step == 0], runs, phases[phases.step == 0], nothing),
    ]
    for case in cases:
        table = claims(*case)
        assert list(table.columns) == TABLES["claims"].names
        assert table.claim.tolist() == ["C1", "C2", "C3", "C4", "C5", "C6"]
        assert set(table.verdict) == {"undetermined"} and (table.reason.str.len() > 0).all()
