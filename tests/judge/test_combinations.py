"""K* and its exponent: on made-up accuracies of known ones, on a copier, and on an oracle that factorises."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from bumpscope.config.lattice import Lattice, Shown
from bumpscope.judge.combinations import (
    COLUMNS,
    beyond_product,
    compared,
    guardrails,
    label_onsets,
    threshold,
)
from bumpscope.measure.lattice_scale import on_lattice_scale, yardsticks
from bumpscope.worlds.bumps import lattice_points
from bumpscope.worlds.requests import requested_centres
from made_up_designs import made_up


@pytest.mark.parametrize("slope", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("k_star", [20.0, 48.0, 80.0])
def test_a_known_threshold_is_found_and_lies_in_its_interval(k_star, slope):
    found = [threshold(made_up("a", 12, k_star, slope=slope, draw=draw), 12) for draw in range(20)]
    inside = sum(one.low <= k_star <= one.high for one in found)
    assert inside >= 17  # of 20 at 95 %
    assert np.median([one.value for one in found]) == pytest.approx(k_star, rel=0.1 if slope > 1 else 0.25)


def test_seeds_that_differ_widen_the_interval():
    alike, unlike = (threshold(made_up("a", 12, 48.0, spread=spread), 12) for spread in (0.0, 0.6))
    assert math.log(unlike.high / unlike.low) > 1.5 * math.log(alike.high / alike.low)
    found = [threshold(made_up("a", 12, 48.0, spread=0.4, draw=draw), 12) for draw in range(20)]
    assert sum(one.low <= 48 <= one.high for one in found) >= 16


def test_between_two_numbers_of_combinations_the_interval_says_that_nothing_was_measured():
    curve = made_up("a", 12, 40.0, each=[2, 4], slope=100.0)
    assert curve.groupby("shown")["right"].sum().tolist() == [0, 96 * 5]
    one = threshold(curve, 12)
    assert one.bound == "" and 24 < one.value < 48
    assert one.low < 28 and one.high > 40


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_a_known_exponent_is_found(power):
    k_stars = {n: 1.5 * n * (n / 6) ** (power - 1) for n in (6, 12, 24)}
    each = [1, 2, 3, 4, 6, 8, 12, 16]
    inside = 0
    for draw in range(10):
        found = compared(pd.concat([made_up("a", n, k, each=each, draw=draw) for n, k in k_stars.items()])).iloc[0]
        inside += found["exponent_low"] <= power <= found["exponent_high"]
        assert found["exponent"] == pytest.approx(power, abs=0.15)
        assert found["exponent_high"] - found["exponent_low"] < 0.5
    assert inside >= 8


def test_the_ratio_to_another_arm_is_of_paired_seeds():
    other = made_up("other", 12, 24.0)
    curves = pd.concat([made_up("unet", 12, 72.0), other, made_up("few", 12, 24.0, seeds=4)])
    curves = pd.concat([curves, other.assign(arm="strange", seed=other["seed"] + 5)])
    found = compared(curves).set_index("arm")
    assert found.loc["unet", "ratio"] == 1
    assert found.loc["other", "ratio_low"] < 1 / 3 < found.loc["other", "ratio_high"]
    assert found.loc["other", "ratio_high"] < 0.5
    # Of the seeds that both have.
    assert found.loc["few", "ratio_low"] < 1 / 3 < found.loc["few", "ratio_high"] and found.loc["few", "seeds"] == 4
    assert found.loc["strange", ["ratio", "ratio_low", "ratio_high"]].isna().all()


def test_the_exponent_is_of_the_lattices_with_the_most_seeds():
    curves = [made_up("a", 8, 24.0), made_up("a", 12, 100.0, seeds=3), made_up("a", 16, 48.0)]
    found = compared(pd.concat(curves))
    assert found["seeds"].tolist() == [5, 3, 5]
    assert found["exponent"].to_numpy() == pytest.approx(1, abs=0.3)
    other = curves[2].assign(seed=curves[2]["seed"] + 1)
    assert compared(pd.concat([curves[0], other]))["exponent"].isna().all()


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_are_wide_enough_for_few_seeds_that_differ(seeds):
    found = [
        threshold(made_up("a", 12, 48.0, seeds=seeds, spread=0.3, requests=64, draw=draw), 12) for draw in range(40)
    ]
    assert sum(one.low <= 48 <= one.high for one in found) >= 32


def test_arms_that_did_alike_have_a_ratio_of_1_that_is_not_certain():
    one = made_up("unet", 12, 48.0)
    found = compared(pd.concat([one, one.assign(arm="other")])).set_index("arm")
    assert found.loc["unet", ["ratio", "ratio_low", "ratio_high"]].tolist() == [1, 1, 1]
    assert found.loc["other", "ratio_low"] < 0.97 and found.loc["other", "ratio_high"] > 1.03


@pytest.mark.parametrize(
    ("each", "k_star", "bound"), [([1], 12, "at least"), ([1], 4, "at most"), ([4], 20, "at most")]
)
def test_numbers_that_rest_on_a_bound_lie_in_their_intervals(each, k_star, bound):
    for draw in range(5):
        arms = {
            "unet": made_up("unet", 8, 24, [2, 4, 6], draw=draw),
            "other": made_up("other", 8, k_star, each, draw=draw),
        }
        wider = made_up("other", 16, 60, [2, 4, 6], draw=draw)
        found = compared(pd.concat([*arms.values(), wider])).set_index(["arm", "positions"]).loc["other", 8]
        assert found["bound"] == bound
        for name in ("ratio", "exponent"):
            assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]


def test_one_seed_has_no_interval():
    one = threshold(made_up("a", 12, 48.0, seeds=1), 12)
    assert math.isnan(one.low) and math.isnan(one.high) and one.value == pytest.approx(48, rel=0.3)
    found = compared(pd.concat([made_up("unet", 12, 72.0), made_up("other", 12, 24.0, seeds=1)])).set_index("arm")
    assert found.loc["other", "ratio"] == pytest.approx(1 / 3, rel=0.4)
    assert found.loc["other", ["ratio_low", "ratio_high"]].isna().all()
    assert found.loc["unet", ["ratio_low", "ratio_high"]].tolist() == [1, 1]


def drawn_by(stand_in, positions, each, seeds=5):
    """What a stand-in draws of the withheld combinations of a design, through the instrument that reads a network's."""
    spacing = 24 / positions
    lattice = Lattice(image_size=32, margin=4.0, dx=spacing, dy=spacing, shown=Shown(each=each))
    points = lattice_points(lattice)
    table = pd.DataFrame({"mu_x": points.mu_x, "mu_y": points.mu_y, "probability": points.probability})
    requests = requested_centres(lattice, 128)
    images = yardsticks(requests[requests["split"] == "heldout"], table, lattice, 0.25)
    images = images[images["yardstick"] == stand_in]
    right = on_lattice_scale(images, lattice)["right_0.45"]
    rows = [(stand_in, positions, each * positions, seed, right.sum(), len(right)) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(("stand_in", "power", "bound"), [("copier", 2, "at least"), ("exact", 1, "at most")])
def test_a_copier_must_memorise_and_one_that_factorises_needs_one_a_row(stand_in, power, bound):
    found = compared(pd.concat([drawn_by(stand_in, n, k) for n in (6, 12) for k in (1, n // 2, n - 1)]))
    assert found["exponent"].to_numpy() == pytest.approx(power, abs=1e-9)
    assert (found["bound"] == bound).all()
    np.testing.assert_allclose(found["k_star"], found["positions"].astype(float) ** power)
    if power == 2:
        assert (found["exponent_low"] > 1.8).all()
    else:
        assert (found["exponent_high"] < 1.2).all()


def test_axes_that_fail_apart_have_a_product_and_those_that_fail_together_do_not():
    random = np.random.default_rng(0)
    x, y = random.random((2, 10, 4000)) < [[[0.8]], [[0.6]]]
    apart, low, high = beyond_product((x & y).mean(axis=1), x.mean(axis=1), y.mean(axis=1))
    assert low < 0 < high and abs(apart) < 0.01
    together, low, _ = beyond_product(x.mean(axis=1), x.mean(axis=1), x.mean(axis=1))
    assert together == pytest.approx(0.8 - 0.64, abs=0.01) and low > 0.1


def test_onsets_are_of_each_label():
    steps = [100, 200, 400]
    use = pd.DataFrame(
        {"run": "a", "factor": ["x"] * 3 + ["y"] * 3, "step": steps * 2, "value": [0.1, 0.6, 1, 0, 0, 0.2]}
    )
    found = label_onsets(use).set_index("factor")["time"]
    assert 100 < found["x"] < 200 and math.isinf(found["y"])


def test_guardrails_name_what_is_unfair():
    assert guardrails(0.96, {"parameters": (105, 100), "operations": (100, 100)}) == []
    told = guardrails(0.5, {"parameters": (120, 100), "operations": (80, 100)})
    assert [re.sub(r"\d+\.\d+", "#", one)[:30] for one in told] == [
        "accuracy # on shown combinatio",
        "# times the parameters, more t",
        "# times the operations, more t",
    ]
    assert guardrails(math.nan, {}) != []


def test_an_upper_bound_of_k_star_is_no_value_of_it():
    curves = pd.concat([made_up("unet", 8, 25, each=[2, 4, 6]), made_up("unet", 16, 40, each=[6, 12])])
    found = compared(curves).set_index("positions")
    assert found["bound"].to_dict() == {8: "", 16: "at most"} and found["k_star"][16] == pytest.approx(96)
    assert 16 <= found["low"][16] < 30 < 70 < found["high"][16] <= 96
    exponent = found[["exponent_low", "exponent", "exponent_high"]].loc[16]
    assert exponent["exponent_low"] < 0.5 < 1.5 < exponent["exponent_high"] and exponent.is_monotonic_increasing
