"""The coupling index on learning curves whose answer is known by construction."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bumpscope.judge.controls import comparisons
from bumpscope.judge.coupling import common_timestep, coupling, measured_timesteps, usual_timesteps
from bumpscope.judge.intervals import (
    clustered_share_interval,
    fieller_interval,
    proportion_interval,
    t_interval,
)
from bumpscope.judge.onsets import curves, onset, onset_time
from bumpscope.store.schemas import TABLES
from made_up_runs import run_row
from synthetic_results import metrics_table

STEPS = np.array([0, 100, *range(200, 3001, 50)])
FAST, SLOW = 600.0, 1200.0
# The metrics of x and of y.
EFFECTS = [{"quantity": "effect", "factor": axis, "t": 450, "weights": "raw"} for axis in "xy"]
RESOLUTION = [where | {"quantity": "resolution"} for where in EFFECTS]
ACCURACY = [{"quantity": "accuracy", "factor": axis, "split": "between"} for axis in "xy"]


def curve(tau, steps=STEPS):
    """Rises linearly in log step and crosses one half at tau."""
    with np.errstate(divide="ignore"):
        return np.clip(0.5 + 2 * (np.log(steps) - math.log(tau)), 0, 1)


def experiment(times, kinds, seeds=range(6), steps=STEPS, noise=0.03, measure=EFFECTS):
    """Runs of the datasets in ``kinds`` (name -> properties) with onsets ``times`` (name -> tau_x, tau_y).

    ``measure`` has the metrics of x and of y that have these onsets. Every run of a seed is slower or faster by one
    common factor, far larger than the noise of a single onset.
    """
    rows, runs = [], []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        factor = math.exp(0.2 * generator.standard_normal())
        for dataset, kind in kinds.items():
            runs.append(run_row(dataset, seed, **kind))
            for metric, tau in zip(measure, times[dataset], strict=True):
                values = curve(tau * factor * math.exp(noise * generator.standard_normal()), steps)
                if metric["quantity"] == "resolution":
                    values = 3.0 * np.exp(0.5 - values)  # px, which fall
                row = {"run": f"{dataset}-seed{seed}", "dataset": dataset, "seed": seed} | metric
                rows += [row | {"step": s, "value": v} for s, v in zip(steps, values, strict=True)]
    return metrics_table(rows), pd.DataFrame(runs)


LATTICE = {
    "wide": {"dx": 0.5, "dy": 2.0},
    "tall": {"dx": 2.0, "dy": 0.5},
    "fine": {"dx": 0.5, "dy": 0.5},
    "coarse": {"dx": 2.0, "dy": 2.0},
}
NULLS = {"fine": (FAST, FAST), "coarse": (SLOW, SLOW)}


def imbalanced(tau_x, tau_y):
    return NULLS | {"wide": (tau_x, tau_y), "tall": (tau_y, tau_x)}


def of_axis(metrics, axis):
    return (metrics.quantity == "effect") & (metrics.factor == axis)


def row_of(table, dataset="wide", measure="effects"):
    rows = table[(table.dataset == dataset) & (table.measure == measure)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_of_several_controls_of_one_kind_the_one_with_the_seeds_of_the_dataset_is_taken():
    seeds = {"few": [0, 7], "wide": [0, 1, 2], "fine": [0, 1, 2, 3], "again": [0, 1, 2]}
    kinds = LATTICE | {"few": LATTICE["fine"], "again": LATTICE["fine"]}
    runs = pd.DataFrame([run_row(name, seed, **kinds[name]) for name, found in seeds.items() for seed in found])
    (found,) = comparisons(runs)
    assert found.null_x == "fine"  # more seeds than the cell has do not count, and the first of equals is taken
    assert found.null_y is None


MIDDLE = math.sqrt(FAST * SLOW)
QUARTER = (FAST**3 * SLOW) ** 0.25, (FAST * SLOW**3) ** 0.25
KNOWN = {
    "factorised": ((FAST, SLOW), 0.0),
    "coupled": ((MIDDLE, MIDDLE), 1.0),
    "partial": (QUARTER, 0.5),
    "reversed": ((SLOW, FAST), 2.0),
}


@pytest.mark.parametrize("verdict", KNOWN)
def test_index_and_verdict_of_curves_with_a_known_answer(verdict):
    times, index = KNOWN[verdict]
    row = row_of(coupling(*experiment(imbalanced(*times), LATTICE)))
    assert row.verdict == verdict
    assert row.low <= index <= row.high and row.coupling == pytest.approx(index, abs=0.1)
    assert row.null_gap == pytest.approx(math.log(FAST / SLOW), abs=0.05)
    assert row.gap == pytest.approx(math.log(times[0] / times[1]), abs=0.05)
    assert (row.runs, row.censored) == (6, 0)


@pytest.mark.parametrize("verdict", ["factorised", "coupled", "reversed"])
def test_seeds_that_agree_exactly_keep_their_verdict(verdict):
    times, index = KNOWN[verdict]
    row = row_of(coupling(*experiment(imbalanced(*times), LATTICE, noise=0.0)))
    assert row.verdict == verdict and row.coupling == pytest.approx(index, abs=1e-9)


def test_the_swapped_dataset_has_the_same_index_and_the_negated_gap():
    table = coupling(*experiment(imbalanced(*QUARTER), LATTICE))
    wide, tall = row_of(table), row_of(table, "tall")
    assert tall.coupling == pytest.approx(wide.coupling)
    assert tall.gap == pytest.approx(-wide.gap) and tall.null_gap == pytest.approx(-wide.null_gap)


def test_an_axis_that_is_always_slower_does_not_count_as_factorised():
    times = {name: (1.3 * x, y) for name, (x, y) in imbalanced(MIDDLE, MIDDLE).items()}
    row = row_of(coupling(*experiment(times, LATTICE)))
    assert row.verdict == "coupled" and row.gap == pytest.approx(0, abs=0.05)


def test_nulls_that_do_not_differ_leave_it_undetermined_and_without_an_estimate():
    times = imbalanced(MIDDLE, MIDDLE) | {"fine": (MIDDLE, MIDDLE), "coarse": (MIDDLE, MIDDLE)}
    row = row_of(coupling(*experiment(times, LATTICE)))
    assert row.null_low < 0 < row.null_high
    assert row.verdict == "undetermined" and math.isnan(row.coupling) and math.isnan(row.low)
    assert row.simultaneous == "yes"


def test_below_five_seeds_there_is_an_estimate_and_no_verdict():
    row = row_of(coupling(*experiment(imbalanced(FAST, SLOW), LATTICE, seeds=range(4))))
    assert row.coupling == pytest.approx(0, abs=0.1) and row.runs == 4
    assert (row.verdict, row.simultaneous) == ("undetermined", "undetermined")


@pytest.mark.parametrize("missing", ["tall", "fine", "coarse"])
def test_without_one_of_the_controls_there_is_no_verdict(missing):
    kinds = {name: kind for name, kind in LATTICE.items() if name != missing}
    row = row_of(coupling(*experiment(imbalanced(FAST, SLOW), kinds)))
    assert row.verdict == "undetermined" and math.isnan(row.coupling)
    assert math.isnan(row.gap) == (missing == "tall")


def test_simultaneity_is_yes_no_or_open():
    def answer(ratio, noise=0.03):
        times = imbalanced(MIDDLE, MIDDLE * ratio)
        return row_of(coupling(*experiment(times, LATTICE, noise=noise))).simultaneous

    assert answer(1.0) == "yes"
    assert answer(1.5) == "no"
    assert answer(1.0, noise=0.5) == "undetermined"


def test_a_time_never_reached_is_counted_and_kept_and_leaves_no_verdict_it_could_change():
    metrics, runs = experiment(imbalanced(MIDDLE, MIDDLE), LATTICE)
    never = (metrics.dataset == "wide") & (metrics.seed == 2) & of_axis(metrics, "y")
    full = row_of(coupling(metrics, runs))
    metrics.loc[never, "value"] = 0.1
    row = row_of(coupling(metrics, runs))
    assert (row.censored, row.runs) == (1, 6)
    assert row.gap < full.gap - 0.02
    assert (full.verdict, row.verdict) == ("coupled", "undetermined")


def test_times_never_reached_do_not_upset_a_verdict_that_they_can_only_strengthen():
    metrics, runs = experiment(imbalanced(SLOW, FAST), LATTICE, noise=0.0)
    slow = (metrics.dataset == "wide") & of_axis(metrics, "x")
    slow |= (metrics.dataset == "tall") & of_axis(metrics, "y")
    metrics.loc[slow, "value"] = 0.1
    row = row_of(coupling(metrics, runs))
    assert row.censored == 12 and row.verdict == "reversed" and row.simultaneous == "no"


def test_two_axes_that_are_never_learnt_are_not_simultaneous():
    metrics, runs = experiment(imbalanced(MIDDLE, MIDDLE), LATTICE)
    metrics.loc[(metrics.dataset == "wide") & (metrics.seed == 2), "value"] = 0.1
    row = row_of(coupling(metrics, runs))
    assert (row.simultaneous, row.verdict, row.censored) == ("undetermined", "undetermined", 1)


@pytest.mark.parametrize("steps", [[0, 100, 3000], [0, 3000], [0, 1500, 2000, 3000]])
def test_checkpoints_too_sparse_to_time_a_crossing_give_no_verdict(steps):
    row = row_of(coupling(*experiment(imbalanced(MIDDLE, MIDDLE), LATTICE, steps=np.array(steps), noise=0.0)))
    assert (row.simultaneous, row.verdict) == ("undetermined", "undetermined")


SKEW = {axis: {"skew_axis": axis, "skew_alpha": 1.5} for axis in ("x", "y", "both")} | {"plain": {}}


def test_a_skewed_axis_is_compared_with_both_skewed_and_neither():
    times = {"x": (SLOW, FAST), "y": (FAST, SLOW), "both": (SLOW, SLOW), "plain": (FAST, FAST)}
    table = coupling(*experiment(times, SKEW))
    assert row_of(table, "x").verdict == row_of(table, "y").verdict == "factorised"
    assert row_of(table, "x").null_gap == pytest.approx(math.log(SLOW / FAST), abs=0.05)


def test_controls_are_found_by_their_properties():
    kinds = LATTICE | SKEW
    runs = pd.DataFrame([run_row(name, 0, **kind) for name, kind in kinds.items()])
    found = {c.dataset: (c.swapped, c.null_x, c.null_y) for c in comparisons(runs)}
    assert found == {
        "wide": ("tall", "fine", "coarse"),
        "tall": ("wide", "coarse", "fine"),
        "x": ("y", "both", "plain"),
        "y": ("x", "plain", "both"),
    }


@pytest.mark.parametrize(
    "difference",
    [
        {"boundary": "torus"},
        {"holdout": "x=[5.0, 8.0], y=[5.0, 8.0]"},
        {"training_steps": 99},
        {"sigma": 2.0},
        {"learning_rate": 1e-4},
        {"warmup_steps": 0},
        {"precision": "bfloat16"},
        {"noise_schedule": "cosine"},
        {"timesteps": 500},
    ],
)
def test_a_dataset_that_differs_in_anything_else_is_no_control(difference):
    kinds = LATTICE | {"fine": LATTICE["fine"] | difference}
    runs = pd.DataFrame([run_row(name, 0, **kind) for name, kind in kinds.items()])
    found = {c.dataset: c for c in comparisons(runs)}
    assert found["wide"].null_x is None and found["wide"].null_y == "coarse"


@pytest.mark.parametrize("verdict", KNOWN)
def test_resolution_is_timed_at_three_px(verdict):
    times, index = KNOWN[verdict]
    row = row_of(coupling(*experiment(imbalanced(*times), LATTICE, measure=RESOLUTION)), measure="resolution")
    assert row.verdict == verdict and row.coupling == pytest.approx(index, abs=0.1)


def test_accuracy_is_a_measure_of_its_own():
    table = coupling(*experiment(imbalanced(FAST, SLOW), LATTICE, measure=ACCURACY))
    assert row_of(table, measure="accuracy").verdict == "factorised"
    assert pd.isna(row_of(table, measure="accuracy").t)
    assert row_of(table).runs == 0


def test_a_dataset_trained_otherwise_is_no_null_and_the_index_does_not_move():
    times = imbalanced(FAST, SLOW)
    before = row_of(coupling(*experiment(times, LATTICE)))
    slow = LATTICE["coarse"] | {"learning_rate": 1e-4}
    late = {"slow": (3 * SLOW, 3 * SLOW)}
    # It stands first, so that nothing but its training speaks against it.
    after = row_of(coupling(*experiment(late | times, {"slow": slow} | LATTICE)))
    assert (after.null_y, after.verdict) == ("coarse", "factorised")
    assert after.coupling == pytest.approx(before.coupling, abs=0.05)
    alone = {name: kind for name, kind in LATTICE.items() if name != "coarse"} | {"slow": slow}
    assert pd.isna(row_of(coupling(*experiment(late | times, alone))).null_y)


def test_effects_are_compared_at_the_middle_timestep_that_the_datasets_share():
    known = {"a": {100, 300, 450, 600}, "b": {300, 450, 600, 900}, "c": {700}}
    assert common_timestep(known, ["a", "b"]) == 450
    assert common_timestep(known, ["a", None, "c", "b"]) == 450  # c shares none and does not count
    assert common_timestep(known, ["c", "a"]) == 700
    assert common_timestep(known, ["nothing", "d"]) is None


def at_times(times):
    """Effects of x, 0.5 at the timesteps of each dataset and seed."""
    return metrics_table(
        [
            {"run": f"{d}-seed{seed}", "dataset": d, "seed": seed, "step": 1, "value": 0.5} | EFFECTS[0] | {"t": t}
            for (d, seed), own in times.items()
            for t in own
        ]
    )


def test_a_timestep_counts_where_all_runs_have_a_value():
    metrics = at_times({("a", 0): [300, 450, 600], ("a", 1): [450, 600], ("a", 2): [450]})
    metrics.loc[metrics.seed == 2, "value"] = np.nan  # nothing defined at all
    assert measured_timesteps(metrics) == {"a": {450, 600}}


def test_the_usual_timestep_is_that_of_most_datasets():
    metrics = at_times({("a", 0): [300, 450, 600], ("b", 0): [450, 600, 900], ("c", 0): [100, 200], ("d", 0): [200]})
    assert usual_timesteps(metrics) == {"a": 450, "b": 450, "c": 200, "d": 200}
    assert usual_timesteps(metrics.iloc[:0]) == {}


def test_a_dataset_with_other_timesteps_costs_no_other_dataset_its_index():
    times = imbalanced(FAST, SLOW)
    metrics, runs = experiment(times, LATTICE)
    other, stranger = experiment({"other": (FAST, FAST)}, {"other": {"dx": 6.0, "dy": 6.0}})
    more = pd.concat([metrics, other.assign(t=350)]), pd.concat([runs, stranger])
    pd.testing.assert_frame_equal(coupling(*more), coupling(metrics, runs))
    assert (row_of(coupling(*more)).t, row_of(coupling(*more)).verdict) == (450, "factorised")


def test_a_null_without_a_common_timestep_leaves_the_gap():
    metrics, runs = experiment(imbalanced(FAST, SLOW), LATTICE)
    metrics.loc[metrics.dataset == "coarse", "t"] = 350
    row = row_of(coupling(metrics, runs))
    assert row.gap == pytest.approx(math.log(FAST / SLOW), abs=0.05) and row.t == 450
    assert (row.verdict, row.null_y) == ("undetermined", "coarse") and math.isnan(row.null_gap)


def test_without_imbalance_or_without_anything_the_table_is_empty_and_has_its_columns():
    names = TABLES["coupling"].names
    metrics, runs = experiment(NULLS, {name: LATTICE[name] for name in NULLS})
    for table in (
        coupling(metrics, runs),
        coupling(metrics.iloc[:0], runs.iloc[:0]),
        coupling(pd.DataFrame(), pd.DataFrame()),
    ):
        assert table.empty and list(table.columns) == names


def test_an_imbalanced_dataset_without_metrics_has_a_row_without_numbers():
    _, runs = experiment(imbalanced(FAST, SLOW), LATTICE)
    table = coupling(pd.DataFrame(columns=TABLES["metrics"].names), runs)
    assert list(table.columns) == TABLES["coupling"].names
    assert set(table.verdict) == {"undetermined"} and set(table.runs) == {0}


# --- onsets ---


def test_curves_are_told_apart_by_run_and_by_the_columns_asked_for():
    rows = [
        {"run": "d", "dataset": "d", "seed": 0, "step": step, "value": value, "quantity": "use", "factor": axis, "t": 9}
        for step, value in ((200, np.nan), (100, 0.25))
        for axis in "xy"
    ]
    found = curves(metrics_table(rows), by=["factor", "t"])
    assert list(found) == [("d", 0, "x", 9), ("d", 0, "y", 9)]
    steps, values = found["d", 0, "x", 9]
    np.testing.assert_array_equal(steps, [100, 200])
    np.testing.assert_array_equal(values, [0.25, np.nan])
    assert list(curves(metrics_table(rows[::2]))) == [("d", 0)]
    assert curves(metrics_table([])) == {}


def test_a_crossing_is_interpolated_linearly_in_log_step():
    assert onset_time([0, 100, 400], [0, 0.25, 0.75]) == pytest.approx(200)
    assert onset_time(STEPS, curve(777.0)) == pytest.approx(777.0)
    assert onset_time([100, 400], [0.1, 0.3], level=0.2) == pytest.approx(200)


def test_the_first_of_several_crossings_counts():
    assert onset_time([100, 200, 400, 800], [0.0, 1.0, 0.0, 1.0]) == pytest.approx(100 * math.sqrt(2))


def test_a_crossing_that_never_came_is_infinite_and_remembers_the_last_step():
    found = onset([0, 100, 200], [0.9, 0.1, 0.2])
    assert math.isinf(found.time) and found.censored and found.by == 200


def test_a_curve_that_starts_above_has_its_first_positive_step_and_is_not_timed():
    found = onset([0, 100, 110], [0.0, 0.6, 0.9])
    assert found.time == 100 and not found.timed and not found.censored


def test_undefined_values_are_skipped_and_order_does_not_matter():
    assert onset_time([400, 200, 100], [0.75, np.nan, 0.25]) == pytest.approx(200)
    assert math.isnan(onset_time([0, 100], [0.9, np.nan]))


# --- intervals ---


def test_t_interval_is_scipys():
    values = np.array([1.0, 2.5, 2.0, 4.0, 3.0])
    mean, low, high = t_interval(values)
    ends = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((2.5, ends.low, ends.high))
    assert t_interval([3.0])[0] == 3.0 and math.isnan(t_interval([3.0])[1]) and math.isnan(t_interval([])[0])


def test_fieller_interval_holds_the_ratios_that_a_t_test_does_not_reject():
    generator = np.random.default_rng(5)
    bottom = generator.normal(1.0, 0.2, 8)
    top = 0.7 * bottom + generator.normal(0, 0.1, 8)
    ratio, low, high = fieller_interval(top, bottom)
    for r in np.linspace(0, 2, 201):
        kept = stats.ttest_1samp(top - r * bottom, 0).pvalue >= 0.05
        assert kept == (low <= r <= high), r
    assert low < ratio < high


def test_fieller_interval_is_empty_exactly_when_the_denominator_may_be_zero():
    generator = np.random.default_rng(0)
    for _ in range(200):
        top, bottom = generator.normal(1.0, 0.5, (2, 5)) * [[1], [0.8]]
        _, low, high = t_interval(bottom)
        assert math.isnan(fieller_interval(top, bottom)[0]) == (low <= 0 <= high)


def test_fieller_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        bottom = generator.normal(1.0, 0.25, 5)
        _, low, high = fieller_interval(0.5 * bottom + generator.normal(0, 0.2, 5), bottom)
        inside += low <= 0.5 <= high
    assert 0.93 <= inside / 2000 <= 0.97


def test_proportion_interval_is_clopper_and_pearsons():
    share, low, high = proportion_interval(5, 5)
    assert (share, high) == (1.0, 1.0) and low == pytest.approx(0.025 ** (1 / 5))
    share, low, high = proportion_interval(2, 9)
    assert low == pytest.approx(stats.beta.ppf(0.025, 2, 8)) and high == pytest.approx(stats.beta.ppf(0.975, 3, 7))
    assert all(math.isnan(v) for v in proportion_interval(0, 0))


def test_the_interval_of_a_share_over_clusters_is_clopper_and_pearsons_where_they_agree():
    assert clustered_share_interval([1.0] * 5, 300) == pytest.approx(proportion_interval(300, 300))
    assert clustered_share_interval([0.2] * 5, 300) == pytest.approx(proportion_interval(60, 300))
    assert clustered_share_interval([0.25], 4) == pytest.approx(proportion_interval(1, 4))
    assert all(math.isnan(v) for v in clustered_share_interval([], 0))


def test_the_interval_of_a_share_over_clusters_covers_their_mean_and_stays_within_one():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        # Five seeds that differ far more than 64 images of one probability would.
        shares = rng.binomial(64, rng.beta(9, 1, 5)) / 64
        _, low, high = clustered_share_interval(shares, 320)
        assert 0 <= low <= shares.mean() <= high <= 1
        covered += low <= 0.9 <= high
    assert covered >= 0.93 * 400
