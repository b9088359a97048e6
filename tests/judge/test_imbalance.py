"""Controls of imbalanced datasets, times to half, and geometry beside learning, on numbers known by construction."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_coupling import FAST, LATTICE, RESOLUTION, SLOW, experiment, imbalanced, of_axis, row_of

from bumpscope.judge.controls import comparisons, lattice_of, permuted_controls
from bumpscope.judge.coupling import coupling
from bumpscope.judge.onset_table import onset_table
from bumpscope.judge.side_by_side import side_by_side
from bumpscope.store.schemas import TABLES
from made_up_runs import EMPTY, run_row
from synthetic_results import metrics_table

SKEW = {
    "x": {"skew_axis": "x", "skew_alpha": 2.0},
    "y": {"skew_axis": "y", "skew_alpha": 2.0},
    "both": {"skew_axis": "both", "skew_alpha": 2.0},
    "neither": {},
}


def controls_of(kinds, name):
    runs = pd.DataFrame([run_row(dataset, seed, **kind) for dataset, kind in kinds.items() for seed in (0, 1)])
    return {found.dataset: found for found in comparisons(runs)}[name]


def test_the_count_matched_lattice_is_the_balanced_one_with_as_many_points():
    kinds = {name: dict(kind) for name, kind in LATTICE.items()} | {"square": {"dx": 1.0, "dy": 1.0}}
    assert controls_of(kinds, "wide").matched == "square"  # 24 x 6 and 12 x 12
    assert controls_of(kinds, "wide").kind == "lattice"


@pytest.mark.parametrize(("count", "matched"), [(12, "square"), (13, None)])
def test_a_lattice_that_has_two_percent_more_or_fewer_points_is_not_matched(count, matched):
    kinds = {"wide": {"dx": 0.5, "dy": 2.0}, "square": {"dx": 12 / count, "dy": 12 / count}}  # 144 and 169 points
    assert controls_of(kinds, "wide").matched == matched
    near = {"wide": {"dx": 12 / 25, "dy": 6.0}, "square": {"dx": 12 / 7, "dy": 12 / 7}}  # 50 and 49
    assert controls_of(near, "wide").matched == "square"
    off = {"wide": {"dx": 0.5, "dy": 6.0}, "square": {"dx": 12 / 7, "dy": 12 / 7}}  # 48 and 49
    assert controls_of(off, "wide").matched is None


def test_a_skewed_axis_has_both_neither_and_the_swapped_one():
    found = controls_of(SKEW, "x")
    assert (found.kind, found.swapped, found.null_x, found.null_y) == ("frequency", "y", "both", "neither")
    assert found.matched == "neither"
    assert (controls_of(SKEW, "y").null_x, controls_of(SKEW, "y").null_y) == ("neither", "both")


def test_a_reference_is_compared_with_references_alone():
    kinds = {name: dict(kind) for name, kind in LATTICE.items()}
    kinds["wide_factorised"] = LATTICE["wide"] | {"reference": "factorised"}
    found = controls_of(kinds, "wide_factorised")
    assert (found.swapped, found.null_x, found.null_y) == (None, None, None)
    kinds["tall_factorised"] = LATTICE["tall"] | {"reference": "factorised"}
    assert controls_of(kinds, "wide_factorised").swapped == "tall_factorised"
    assert controls_of(kinds, "wide").swapped == "tall"


def test_of_two_datasets_that_would_do_the_one_with_more_of_the_same_seeds_is_taken():
    rows = [run_row("wide", seed, **LATTICE["wide"]) for seed in range(3)]
    rows += [run_row("others", seed, dx=0.5, dy=0.5) for seed in range(3, 9)]
    rows += [run_row("once", 0, dx=0.5, dy=0.5)] + [run_row("often", seed, dx=0.5, dy=0.5) for seed in range(2)]
    assert comparisons(pd.DataFrame(rows))[0].null_x == "often"


def test_delay_is_that_against_the_count_matched_lattice():
    kinds = LATTICE | {"square": {"dx": 1.0, "dy": 1.0}}
    times = imbalanced(FAST, SLOW) | {"square": (FAST, FAST)}
    row = row_of(coupling(*experiment(times, kinds)))
    assert row.matched == "square" and row.delay == pytest.approx(math.log(SLOW / FAST) / 2, abs=0.05)
    assert row.delay_low < row.delay < row.delay_high
    assert math.isnan(row_of(coupling(*experiment(imbalanced(FAST, SLOW), LATTICE))).delay)


def test_a_rare_x_at_the_pace_of_rare_positions_is_factorised_though_the_effects_say_nothing():
    """The frequent positions, which the effects mostly show, are learnt alike everywhere; the rare ones are not."""
    bins = {"x": "x=rare,y=all", "y": "x=all,y=rare"}
    use = [{"quantity": "use", "factor": f, "t": 450, "weights": "raw", "bin": name} for f, name in bins.items()]
    slow_both = {"x": (SLOW, FAST), "y": (FAST, SLOW), "both": (SLOW, SLOW), "neither": (FAST, FAST)}
    rare, runs = experiment(slow_both, SKEW, measure=use)
    effects, _ = experiment(dict.fromkeys(SKEW, (FAST, FAST)), SKEW)
    table = coupling(pd.concat([rare, effects]), runs)
    assert row_of(table, "x", "rare").verdict == "factorised"
    assert row_of(table, "x", "effects").verdict == "undetermined"


def test_the_rare_measure_is_for_skewed_axes_alone():
    metrics, runs = experiment(imbalanced(FAST, SLOW), LATTICE)
    assert "rare" not in set(coupling(metrics, runs).measure)


def test_a_run_has_its_lattice():
    lattice = lattice_of(run_row("wide", 0, **LATTICE["wide"]))
    assert (lattice.dx, lattice.dy, lattice.free_margin, lattice.skew.axis) == (0.5, 2.0, 2.0, "none")


# --- times to half ---


def test_times_to_half_are_geometric_means_with_intervals():
    table = onset_table(*experiment(imbalanced(FAST, SLOW), LATTICE)).set_index(["dataset", "measure"])
    row = table.loc[("wide", "effects")]
    assert row.tau_x_low < row.tau_x < row.tau_x_high
    assert row.tau_x == pytest.approx(FAST, rel=0.25) and row.tau_y / row.tau_x == pytest.approx(2, rel=0.05)
    assert (
        row.own_gap == pytest.approx(math.log(FAST / SLOW), abs=0.05)
        and row.own_gap_low < row.own_gap < row.own_gap_high
    )
    assert (row.runs, row.censored) == (6, 0)
    assert set(table.index) == {(name, "effects") for name in LATTICE}


def test_seeds_that_are_late_on_both_axes_correlate_and_independent_ones_do_not():
    """In the made-up runs one factor, far larger than the noise of an onset, moves both axes of a seed."""
    metrics, runs = experiment(imbalanced(FAST, SLOW), LATTICE, seeds=range(12))
    row = onset_table(metrics, runs).set_index("dataset").loc["wide"]
    assert row.correlation > 0.9 and row.correlation_low > 0.7
    shuffled = metrics.copy()
    of_x = of_axis(shuffled, "x")
    # The x curve of another seed.
    shuffled.loc[of_x, "seed"] = (shuffled.loc[of_x, "seed"] * 5 + 3) % 12
    row = onset_table(shuffled, runs).set_index("dataset").loc["wide"]
    assert row.correlation_low < 0 < row.correlation_high


def test_the_correlation_is_pearsons_of_the_logarithms():
    metrics, runs = experiment(imbalanced(FAST, SLOW), LATTICE, seeds=range(5))
    row = onset_table(metrics, runs).set_index("dataset").loc["wide"]
    times = [onset_table(metrics[metrics.seed == s], runs).set_index("dataset").loc["wide"] for s in range(5)]
    expected = stats.pearsonr(np.log([t.tau_x for t in times]), np.log([t.tau_y for t in times]))
    assert row.correlation == pytest.approx(expected.statistic)
    assert row.correlation_high == pytest.approx(expected.confidence_interval().high)


def test_a_curve_that_never_rises_is_counted_and_left_out():
    metrics, runs = experiment(imbalanced(FAST, SLOW), LATTICE)
    low = (metrics.dataset == "wide") & (metrics.seed == 0) & of_axis(metrics, "y")
    metrics.loc[low, "value"] = 0.1
    row = onset_table(metrics, runs).set_index("dataset").loc["wide"]
    assert (row.runs, row.censored) == (5, 1)


def test_without_metrics_there_are_no_times():
    _, runs = experiment(imbalanced(FAST, SLOW), LATTICE)
    for table in (onset_table(EMPTY["metrics"], runs), onset_table(EMPTY["metrics"], runs.iloc[:0])):
        assert table.empty and list(table.columns) == TABLES["onsets"].names


# --- geometry beside learning ---


def test_runs_on_permuted_labels_are_neither_compared_nor_controls():
    kinds = {"wide": {"dx": 0.5, "dy": 2.0}, "high": {"dx": 2.0, "dy": 0.5}}
    dealt = {"labels": "permuted", "trained": "otherwise"}
    kinds |= {f"dealt-{name}": kind | dealt for name, kind in kinds.items()}
    runs = pd.DataFrame([run_row(dataset, 0, **kind) for dataset, kind in kinds.items()])
    assert {one.dataset: one.swapped for one in comparisons(runs)} == {"wide": "high", "high": "wide"}
    assert permuted_controls(runs) == {"wide": "dealt-wide", "high": "dealt-high"}


def shares(values, steps=(0, 1600), dataset="wide", **metric):
    """``values`` at each step, a number a seed."""
    metric = {"quantity": "additive_share", "layer": "down3", "t": 239, "space": "raw", "noise": "own"} | metric
    rows = [
        {"run": f"{dataset}-seed{seed}", "dataset": dataset, "seed": seed, "step": step, "value": value}
        | {"label": "requested"}
        | metric
        for step, at_step in zip(steps, values, strict=True)
        for seed, value in enumerate(at_step)
    ]
    return metrics_table(rows)


def test_geometry_of_the_last_checkpoint_stands_beside_how_it_was_learnt():
    metrics, runs = experiment(imbalanced(FAST, SLOW), LATTICE, measure=RESOLUTION)
    geometry = shares([[0.3, 0.4, 0.5], [0.8, 0.9, 1.0]])
    others = [shares([[0.0], [0.5]], **other) for other in ({"label": "shuffled"}, {"space": "pca3"})]
    others.append(shares([[0.2, 0.2], [0.6, 0.8]], noise="shared"))
    others.append(shares([[0.9, 1.0]], steps=(0,), noise="shared", weights="default"))
    others.append(shares([[0.1], [0.4]], dataset="dealt", noise="shared"))
    dealt = runs[runs["dataset"] == "wide"].assign(dataset="dealt", labels="permuted", trained="otherwise")
    found, times = coupling(metrics, runs), onset_table(metrics, runs)
    table = side_by_side(pd.concat([metrics, geometry, *others]), found, times, pd.concat([runs, dealt]))
    table = table[table["dataset"] == "wide"]
    assert len(table) == 1
    row, learnt = table.iloc[0], row_of(found, measure="resolution")
    assert (row.dataset, row.layer, row.t, row.metric, row.runs) == ("wide", "down3", 239, "additive_share", 3)
    assert row.value == pytest.approx(0.9) and row.low < 0.9 < row.high == 1.0
    assert (row.shared, row.untrained, row.permuted) == pytest.approx((0.7, 0.95, 0.4))
    assert (row.coupling, row.coupling_low, row.verdict) == (learnt.coupling, learnt.low, "factorised")
    assert row.own_gap == pytest.approx(math.log(FAST / SLOW), abs=0.05)


def test_a_balanced_dataset_has_geometry_and_no_index():
    metrics, runs = experiment(imbalanced(FAST, SLOW), LATTICE)
    geometry = shares([[0.3], [np.nan]], dataset="fine", quantity="parallelism", factor="y", layer="image", t=0)
    table = side_by_side(pd.concat([metrics, geometry]), coupling(metrics, runs), onset_table(metrics, runs))
    row = table.iloc[0]
    assert (row.metric, row.layer, row.runs, row.verdict) == ("parallelism_y", "image", 0, None)
    assert math.isnan(row.value) and math.isnan(row.coupling)


def test_without_geometry_the_table_has_its_columns():
    table = side_by_side(EMPTY["metrics"], EMPTY["coupling"], pd.DataFrame(columns=TABLES["onsets"].names))
    assert table.empty and list(table.columns) == TABLES["factorisation"].names
