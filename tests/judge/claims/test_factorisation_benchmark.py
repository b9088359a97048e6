"""F1 to F4 on experiments made up so that the right verdict is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from bumpscope.judge.claims import hole, memorises, percolation, stripes
from bumpscope.judge.data import Data
from bumpscope.measure.percolation import largest_connected_share, overlap
from made_up_designs import data_of, drawn, made_up, of_tables, tables, together
from made_up_runs import number

EVERY = [1, 2, 3, 4, 6, 8, 10]


def board(*arms, seeds=5, each=EVERY, positions=(8, 12)):
    """Of arms (name, K* at N = 8, exponent)."""
    curves = [
        made_up(name, n, k_star * (n / 8) ** power, each, seeds) for n in positions for name, k_star, power in arms
    ]
    return data_of_curves(pd.concat(curves))


def data_of_curves(curves, shuffled=None):
    """Of these accuracies, and of others on designs in random order."""
    found = tables(curves) if shuffled is None else together(tables(curves), tables(shuffled, order="random"))
    return Data({"leaderboard": of_tables(*found)[1], "runs": found[0], "metrics": found[1]})


PLAIN = ("unet", 40, 2)


@pytest.mark.parametrize(
    ("k_star", "seeds", "verdict"),
    [(20, 5, "supported"), (58, 5, "contradicted"), (40, 5, "contradicted"), (20, 4, "undetermined")],
)
def test_f1_follows_from_the_shares_with_and_without_stripes(k_star, seeds, verdict):
    judged = stripes.judge(board(PLAIN, ("unet + stripes", k_star, 2), seeds=seeds))
    assert judged.verdict == verdict and judged.runs > 0
    ratios = [check for check in judged.checks if check.quantity == "K* with stripes over K* without"]
    assert len(ratios) == 2 and all(one.low < k_star / 40 < one.high for one in ratios)


def test_f1_is_undetermined_where_seeds_differ_more_than_arms():
    curves = [made_up(arm, 8, k, EVERY, spread=1.0, draw=5) for arm, k in (("unet", 40), ("unet + stripes", 34))]
    judged = stripes.judge(data_of_curves(pd.concat(curves)))
    assert judged.verdict == "undetermined" and judged.estimate[1] < 0 < 0.1 < judged.estimate[2]


def test_f1_compares_at_the_numbers_of_combinations_that_all_seeds_of_both_have():
    plain, striped = made_up("unet", 8, 40, [2, 4, 6]), made_up("unet + stripes", 8, 20, [1, 2, 4, 6])
    found = stripes.judge(data_of_curves(pd.concat([plain[(plain["shown"] < 48) | (plain["seed"] < 3)], striped])))
    shares = [own[own["shown"].isin([16, 32])].groupby("seed")["right"].sum() / 192 for own in (striped, plain)]
    assert found.estimate[0] == pytest.approx((shares[0] - shares[1]).mean())
    assert [check.value for check in found.checks if check.quantity == "seeds"] == [5]


@pytest.mark.parametrize(("k_star", "verdict"), [(20, "supported"), (40, "contradicted")])
def test_f1_compares_designs_in_random_order_among_themselves(k_star, verdict):
    # Pooled, the plain network would gain by its even designs and stripes lose by their random ones.
    even, shuffled = (
        pd.concat([made_up("unet", 8, plain, EVERY), made_up("unet + stripes", 8, striped, EVERY)])
        for plain, striped in ((30, 15), (50, k_star * 5 / 4))
    )
    judged = stripes.judge(data_of_curves(even, shuffled))
    assert judged.verdict == verdict
    seeds = [(check.subject, check.value) for check in judged.checks if check.quantity == "seeds"]
    assert seeds == [("N = 8, 16 px, 1500 steps", 5), ("N = 8, 16 px, 1500 steps, random order", 5)]


def test_f1_needs_the_plain_network_and_stripes():
    for arms in ([PLAIN], [("unet + stripes", 20, 2)], [("rendering", 8, 1)]):
        judged = stripes.judge(board(*arms))
        assert (judged.verdict, judged.runs) == ("undetermined", 0)


@pytest.mark.parametrize(
    ("arms", "verdict"),
    [
        ([PLAIN, ("relative", 16, 1)], "supported"),
        ([("unet", 30, 1), ("relative", 16, 1)], "contradicted"),
        ([PLAIN, ("relative", 32, 2.2)], "contradicted"),
        ([PLAIN, ("factorised", 10, 1)], "undetermined"),
        ([PLAIN], "undetermined"),
    ],
)
def test_f4_follows_from_the_exponents(arms, verdict):
    each = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18]
    judged = memorises.judge(board(*arms, positions=(8, 12, 20), each=each))
    assert judged.verdict == verdict


@pytest.mark.parametrize(("power", "verdict"), [(2, "supported"), (1, "contradicted")])
def test_f4_is_judged_by_the_setting_that_contradicts(power, verdict):
    each, positions = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18], (8, 12, 20)
    rest = [("relative", 16, 1)]
    curves = [
        pd.concat([made_up(arm, n, k * (n / 8) ** own, each) for n in positions for arm, k, own in (plain, *rest)])
        for plain in (PLAIN, ("unet", 30, power))
    ]
    judged = memorises.judge(data_of_curves(*curves))
    assert judged.verdict == verdict and judged.estimate[0] == pytest.approx(power, abs=0.3)
    subjects = {check.subject for check in judged.checks if check.role == "supports"}
    assert {"unet, 16 px, 1500 steps", "unet, 16 px, 1500 steps, random order"} < subjects


def test_f4_needs_five_seeds_and_two_sizes_of_lattice():
    arms = [PLAIN, ("relative", 16, 1)]
    few = memorises.judge(board(*arms, seeds=4))
    assert few.verdict == "undetermined" and few.estimate[0] > 1.5
    assert memorises.judge(board(*arms, positions=(8,))).verdict == "undetermined"


HOLE = {"holdout": "x=[4.0, 11.0], y=[4.0, 11.0]", "n_images": 80}
SMALL = {"holdout": "x=[5.0, 7.0], y=[5.0, 7.0]", "n_images": 135}


def of_hole(plain, rendered, seeds=5, seen=0.98, **keys):
    keys = keys or HOLE
    jitter = np.linspace(-0.01, 0.01, seeds)
    return [
        drawn(f"{name}-{keys['n_images']}", seed, share + jitter[seed], seen, denoiser=name, network=name, **keys)
        for name, share in (("unet", plain), ("rendering", rendered))
        for seed in range(seeds)
    ]


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (of_hole(0.2, 0.98), "supported"),
        (of_hole(0.98, 0.98), "contradicted"),
        (of_hole(0.2, 0.5), "contradicted"),
        (of_hole(0.2, 0.9), "undetermined"),
        (of_hole(0.2, 0.98, seeds=4), "undetermined"),
        (of_hole(0.2, 0.98, seen=0.5), "undetermined"),
        (of_hole(0.2, 0.98)[:5], "undetermined"),
    ],
)
def test_f2_follows_from_both_shares_in_the_block(runs, verdict):
    assert hole.judge(data_of(runs)).verdict == verdict


def test_f2_is_judged_in_a_world_without_dy():
    data = data_of(of_hole(0.2, 0.98))
    sizes = {"world": '{"kind": "sized", "sizes": 12}', "factors": "x size", "dy": np.nan}
    judged = hole.judge(Data(dict(data.tables) | {"runs": data.table("runs").assign(**sizes)}))
    assert judged.verdict == "supported" and judged.runs == 10


def test_f2_is_judged_by_the_largest_block():
    judged = hole.judge(data_of([*of_hole(0.98, 0.98, **SMALL), *of_hole(0.2, 0.98)]))
    assert judged.verdict == "supported" and judged.runs == 10
    assert number(judged.checks, "share of the combinations withheld") == pytest.approx(64 / 144)
    assert judged.estimate[0] == pytest.approx(0.78)


SHARES = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
FINE = {"dx": 0.5, "dy": 0.5, "sigma": 0.12}  # only nearest neighbours overlap


def of_shares(middle, seeds, seen, **keys):
    runs = []
    for share, shown in zip(SHARES, seen, strict=True):
        for seed in range(seeds):
            right = expit(12 * np.log(share / middle) + 0.05 * (seed - 2))
            own = FINE | {"shown": f"share={share:g}, seed=0", "n_images": round(576 * share)} | keys
            runs.append(drawn(f"share-{share:g}-{own['sigma']:g}", seed, right, shown, **own))
    return runs


LEARNT, TOO_FAINT = (0.98,) * len(SHARES), (0.4,) * len(SHARES)


@pytest.mark.parametrize(
    ("middle", "seeds", "seen", "verdict"),
    [
        (0.57, 5, LEARNT, "supported"),
        (0.32, 5, LEARNT, "contradicted"),
        (0.57, 4, LEARNT, "undetermined"),
        (5.0, 5, LEARNT, "undetermined"),
        (0.57, 5, TOO_FAINT, "undetermined"),
        (0.32, 5, TOO_FAINT, "undetermined"),
        (0.32, 5, (*LEARNT[1:], 0.94), "undetermined"),
        (0.32, 5, (*LEARNT[1:], np.nan), "undetermined"),
    ],
)
def test_f3_follows_from_where_both_curves_cross_in_networks_that_draw_what_was_shown(middle, seeds, seen, verdict):
    assert percolation.judge(data_of(of_shares(middle, seeds, seen))).verdict == verdict


@pytest.mark.parametrize(("middle", "verdict"), [(0.57, "undetermined"), (0.32, "contradicted")])
def test_f3_is_contradicted_by_one_lattice_that_was_learnt_and_supported_by_all_alone(middle, verdict):
    runs = [*of_shares(middle, 5, LEARNT), *of_shares(0.32, 5, TOO_FAINT, sigma=0.13)]
    assert percolation.judge(data_of(runs)).verdict == verdict


def test_f3_needs_no_training_to_see_what_is_connected():
    """Wide bumps overlap from the fewest on: shares that bracket the accuracy alone are enough to contradict."""
    runs = [
        drawn(f"wide-{share:g}", seed, right, dx=0.5, dy=0.5, sigma=1.0, shown=f"share={share:g}", n_images=1)
        for share, right in ((0.3, 0.2), (0.4, 0.4), (0.55, 0.7))
        for seed in range(5)
    ]
    judged = percolation.judge(data_of(runs))
    assert judged.verdict == "contradicted" and judged.estimate[0] > np.log(0.4 / 0.1)
    place = "spacing 0.5 px, sigma 1 px"
    assert number(judged.checks, "share from which half of the shown are connected", place) < 0.1


def test_f3_without_random_shares_is_undetermined():
    judged = percolation.judge(data_of(of_hole(0.2, 0.98)))
    assert (judged.verdict, judged.runs) == ("undetermined", 0)


def test_bumps_hang_together_where_they_overlap():
    chain = np.array([0.0, 1.0, 2.0, 7.0])
    distance = np.abs(chain[:, None] - chain)
    assert overlap(np.array([0.0]), 1.0)[0] == 1
    assert largest_connected_share(distance, 0.2) == 0.25
    assert largest_connected_share(distance, 0.25) == 0.75  # at 4.6 sigma the overlap is 0.005
    assert largest_connected_share(distance, 1.1) == 1
