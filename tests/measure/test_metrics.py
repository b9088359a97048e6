"""The tidy table of a run's numbers, from tables small enough to count by hand."""

import numpy as np
import pandas as pd
import pytest

from bumpscope.config.lattice import Lattice
from bumpscope.measure.metrics import FEWEST_SINGLE_BUMPS, run_metrics
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import matching


def behaviour(rows):
    """Rows of (step, split, bumps, mu_x, mu_y, x, y, outcome); errors are plane distances."""
    table = pd.DataFrame(rows, columns=["step", "split", "bumps", "mu_x", "mu_y", "x", "y", "outcome"])
    table["error"] = np.hypot(table.x - table.mu_x, table.y - table.mu_y)
    return table.assign(sample=np.arange(len(table)), weights="raw", amplitude=0.8, width=1.1)[
        TABLES["behaviour"].names
    ]


def metrics(boundary="plane", **tables):
    lattice = Lattice(boundary=boundary, margin=2.0 if boundary == "plane" else 0.0)
    return run_metrics("balanced-seed3", "balanced", 3, lattice=lattice, **tables)


QUALIFIERS = TABLES["metrics"].names[5:-1]


def value(table, step, quantity, **where):
    """The number of this quantity that has these qualifiers and no others, of raw weights unless they say otherwise."""
    rows = matching(table, step=step, quantity=quantity, **dict.fromkeys(QUALIFIERS) | {"weights": "raw"} | where)
    assert len(rows) == 1, f"{quantity} occurs {len(rows)} times"
    return rows.value.iloc[0]


FOUR = [
    (100, "seen", 1, 5, 5, 5.3, 5, "correct"),
    (100, "seen", 1, 5, 5, 5, 6.8, "misplaced"),
    (100, "seen", 3, 5, 5, 5, 5, "multiple"),
    (100, "between", 0, 5, 5, np.nan, np.nan, "none"),
]


def test_rows_have_the_columns_of_the_table_and_name_their_run():
    table = metrics(behaviour=behaviour(FOUR))
    assert list(table.columns) == TABLES["metrics"].names
    assert set(table.run) == {"balanced-seed3"} and set(table.dataset) == {"balanced"} and set(table.seed) == {3}


def test_every_outcome_has_its_share_in_each_split_and_in_all():
    table = metrics(behaviour=behaviour(FOUR))
    assert value(table, 100, "share_correct", split="seen") == pytest.approx(1 / 3)
    assert value(table, 100, "share_none", split="seen") == 0
    assert value(table, 100, "share_none", split="between") == 1
    assert value(table, 100, "share_none", split="all") == pytest.approx(1 / 4)
    assert "heldout" not in set(table.split)


def test_accuracy_counts_one_bump_within_the_distance():
    table = metrics(behaviour=behaviour(FOUR))
    assert value(table, 100, "accuracy_0.5px", split="seen") == pytest.approx(1 / 3)
    assert value(table, 100, "accuracy_1px", split="seen") == pytest.approx(1 / 3)
    assert value(table, 100, "accuracy_2px", split="seen") == pytest.approx(2 / 3)
    assert value(table, 100, "accuracy_2px", split="between") == 0


def test_accuracy_of_an_axis_is_taken_among_images_with_one_bump():
    rows = [FOUR[0]] * FEWEST_SINGLE_BUMPS + [FOUR[1]] * FEWEST_SINGLE_BUMPS + [FOUR[2]] * 50
    table = metrics(behaviour=behaviour(rows))
    assert value(table, 100, "accuracy", factor="x", split="seen") == 1.0
    assert value(table, 100, "accuracy", factor="y", split="seen") == 0.5


def test_accuracy_of_an_axis_is_empty_with_too_few_single_bumps():
    table = metrics(behaviour=behaviour([FOUR[0]] * (FEWEST_SINGLE_BUMPS - 1) + [FOUR[2]] * 50))
    assert np.isnan(value(table, 100, "accuracy", factor="x", split="seen"))


def test_distance_on_an_axis_goes_the_short_way_round_a_torus():
    rows = [(0, "seen", 1, 15.5, 5, 0.1, 5, "correct")] * FEWEST_SINGLE_BUMPS
    assert value(metrics(behaviour=behaviour(rows), boundary="torus"), 0, "accuracy", factor="x", split="seen") == 1.0
    assert value(metrics(behaviour=behaviour(rows), boundary="plane"), 0, "accuracy", factor="x", split="seen") == 0.0


def test_shape_is_the_median_over_images_with_one_bump():
    table = metrics(behaviour=behaviour(FOUR))
    assert value(table, 100, "error", split="seen") == pytest.approx((0.3 + 1.8) / 2)
    assert value(table, 100, "amplitude", split="all") == pytest.approx(0.8)
    assert np.isnan(value(table, 100, "width", split="between"))


def test_distances_have_quantiles_over_images_with_one_bump_and_on_each_axis():
    rows = [(100, "seen", 1, 5, 5, 5 + 0.1 * k, 5, "correct") for k in range(11)] + [FOUR[2]]
    table = metrics(behaviour=behaviour(rows))
    found = [value(table, 100, f"error{name}", split="seen") for name in ("_q10", "_q25", "", "_q75", "_q90")]
    assert found == pytest.approx([0.1, 0.25, 0.5, 0.75, 0.9])
    assert value(table, 100, "error_q90", split="seen", factor="x") == pytest.approx(0.9)
    assert value(table, 100, "error_q90", split="seen", factor="y") == 0
    assert value(table, 100, "width_q10", split="seen") == pytest.approx(1.1)


def test_geometry_numbers_carry_place_space_noise_and_label_and_factor_where_there_is_one():
    columns = TABLES["geometry"].names
    here = (100, "raw", "down3", 239)
    rows = [(*here, "own", "pca3", "requested", "r2", 0.9), (*here, "own", "raw", None, "spread", np.nan)]
    rows.append((*here, "own", "raw", "", "participation_ratio", 2.5))
    rows.append((*here, "shared", "pca3", "requested", "r2", 0.8))
    rows += [(*here, "own", "raw", "requested", f"r2_{axis}", number) for axis, number in (("x", 0.7), ("y", 0.6))]
    rows.append((*here, "own", "raw", "shuffled", "parallelism_y", 0.4))
    rows.append((*here, "own", "raw", "requested", "knn_r2_denoised", 0.3))
    table, place = metrics(geometry=pd.DataFrame(rows, columns=columns)), {"layer": "down3", "t": 239}
    raw = place | {"space": "raw", "noise": "own"}
    assert value(table, 100, "r2", **raw, label="requested", factor="x") == 0.7
    assert value(table, 100, "r2", **raw, label="requested", factor="y") == 0.6
    assert value(table, 100, "parallelism", **raw, label="shuffled", factor="y") == 0.4
    assert value(table, 100, "knn_r2_denoised", **raw, label="requested") == 0.3
    assert value(table, 100, "r2", **place, space="pca3", label="requested", noise="own") == 0.9
    assert value(table, 100, "participation_ratio", **place, space="raw", noise="own") == 2.5
    assert np.isnan(value(table, 100, "spread", **place, space="raw", noise="own"))
    assert value(table, 100, "r2", **place, space="pca3", label="requested", noise="shared") == 0.8


def test_betti_numbers_count_significant_bars_and_an_empty_dimension_is_zero():
    rows = [(100, "raw", "down3", 239, d, 0.0, 1.0, s) for d, s in [(0, True), (0, False), (1, True), (1, True)]]
    table = metrics(topology=pd.DataFrame(rows, columns=TABLES["topology"].names))
    assert [value(table, 100, f"betti_{d}", layer="down3", t=239) for d in (0, 1, 2)] == [1, 2, 0]


def test_effects_keep_timestep_and_weights_apart():
    names = TABLES["effects"].names
    rows = [
        dict.fromkeys(names, 0.0) | {"step": 50, "t": 300, "weights": w, "effect_x": x}
        for w, x in [("ema", 0.2), ("raw", 0.3)]
    ]
    table = metrics(effects=pd.DataFrame(rows, columns=names))
    assert value(table, 50, "effect", factor="x", t=300, weights="ema") == 0.2
    assert value(table, 50, "effect", factor="x", t=300, weights="raw") == 0.3
    assert value(table, 50, "effect_low", factor="y", t=300, weights="ema") == 0.0
    assert value(table, 50, "effect", factor="xy", t=300, weights="ema") == 0.0
    assert value(table, 50, "condition", t=300, weights="ema") == 0.0


def test_effects_by_frequency_have_their_bins():
    numbers = {"effect_x": 0.1, "effect_x_permuted": 0.2, "use_y": 0.3, "excess": 0.4}
    row = dict.fromkeys(TABLES["frequency"].names, 0.0) | {"step": 50, "t": 300, "bin_x": "rare", "bin_y": "all"}
    table = metrics(frequency=pd.DataFrame([row | numbers]))
    where = {"t": 300, "bin": "x=rare,y=all"}
    assert value(table, 50, "effect", factor="x", **where) == 0.1
    assert value(table, 50, "effect_permuted", factor="x", **where) == 0.2
    assert value(table, 50, "use", factor="y", **where) == 0.3
    assert value(table, 50, "excess", **where) == 0.4
    assert "probes" not in set(table.quantity)


def test_behaviour_at_seen_centres_is_told_apart_by_frequency_bin_where_effects_are():
    row = dict.fromkeys(TABLES["frequency"].names, 0.0) | {"step": 100, "t": 300, "bin_x": "all", "bin_y": "all"}
    right, wrong = (100, "seen", 1, 5, 5, 5, 5, "correct"), (100, "seen", 1, 9, 5, 5, 5, "misplaced")
    images = behaviour([right] * FEWEST_SINGLE_BUMPS + [wrong] * FEWEST_SINGLE_BUMPS)
    table = metrics(behaviour=images, frequency=pd.DataFrame([row]))
    both = {"split": "seen", "bin": "x=all,y=all"}
    assert value(table, 100, "share_correct", **both) == value(table, 100, "accuracy", factor="x", **both) == 0.5
    assert value(table, 100, "accuracy", factor="y", **both) == 1.0
    assert not matching(table, quantity="share_correct", split="seen", bin=None).empty
    assert matching(metrics(behaviour=images), quantity="share_correct", split="seen")["bin"].isna().all()


def test_phases_become_numbers_and_an_open_verdict_is_empty():
    rows = [
        (s, "raw", "down3", 239, True, p, "A", "none", "") for s, p in [(0, "A"), (100, "B"), (200, "C"), (300, "?")]
    ]
    table = metrics(phases=pd.DataFrame(rows, columns=TABLES["phases"].names[:9]))
    assert [value(table, s, "latent_phase") for s in (0, 100, 200)] == [0, 1, 2]
    assert np.isnan(value(table, 300, "latent_phase"))
    assert value(table, 300, "behaviour_phase") == 0


def test_loss_is_that_of_the_last_logged_step_up_to_the_checkpoint():
    losses = pd.DataFrame({"step": [20, 10], "loss": [0.5, 0.7], "learning_rate": 0.1, "images_seen": [2, 1]})
    rows = [(s, "raw", "down3", 239, True, "A", "A", "none", "") for s in (0, 10, 19, 50)]
    table = metrics(losses=losses, phases=pd.DataFrame(rows, columns=TABLES["phases"].names[:9]))
    assert [value(table, s, "loss", weights=None) for s in (10, 19, 50)] == [0.7, 0.7, 0.5]
    assert "loss" not in set(table[table.step == 0].quantity)


def test_a_run_without_tables_has_no_rows_and_still_the_columns():
    table = metrics()
    assert list(table.columns) == TABLES["metrics"].names and table.empty
    empty = pd.DataFrame(columns=TABLES["behaviour"].names)
    assert metrics(behaviour=empty).empty
