"""Requests on the scale of the lattice, and what stands in for the network there."""

import numpy as np
import pandas as pd
import pytest

from bumpscope.config.lattice import Lattice
from bumpscope.measure.lattice_scale import on_lattice_scale, yardsticks
from bumpscope.measure.metrics import run_metrics
from bumpscope.store.selection import matching
from bumpscope.worlds.bumps import lattice_points
from bumpscope.worlds.requests import requested_centres

PLANE = {"image_size": 16, "sigma": 1.0, "margin": 2.0, "dx": 1.0, "dy": 1.0}


def stand_ins(**keys):
    lattice = Lattice.model_validate(PLANE | keys)
    points = lattice_points(lattice)
    images = {"mu_x": points.mu_x, "mu_y": points.mu_y, "probability": points.probability}
    return yardsticks(requested_centres(lattice, 256), pd.DataFrame(images), lattice, 0.25), lattice


def shares(found, lattice):
    scale = on_lattice_scale(found, lattice)
    sums = scale.assign(yardstick=found["yardstick"]).groupby(["split", "yardstick"])
    means = sums[["right_0.25", "right_0.45"]].mean()
    return means.assign(offset=sums["along"].sum() / sums["square"].sum())


def test_between_lattice_points_a_copier_is_right_in_the_share_of_the_cell_that_is_close():
    found = shares(*stand_ins()).loc["between"]
    assert found.loc["exact", ["right_0.25", "right_0.45"]].eq(1).all()
    # Of 64 requests a quarter and 81 % are expected, with standard deviations of 5 %.
    assert 0.1 < found.loc["copier", "right_0.25"] < 0.4
    assert 0.66 < found.loc["copier", "right_0.45"] < 0.96
    assert found.loc["exact", "offset"] == pytest.approx(1, abs=0.01)
    assert found.loc["copier", "offset"] == pytest.approx(0, abs=0.01)


def test_no_stand_in_draws_withheld_combinations_but_the_exact_one():
    for block in ([5.0, 7.0], [4.0, 9.0], [4.0, 11.0]):
        found = shares(*stand_ins(holdout={"x": block, "y": block})).loc["heldout"]
        assert found["right_0.45"].to_dict() == {"copier": 0, "exact": 1, "kernel": 0}


def test_an_average_of_neighbours_is_too_wide_unless_the_lattice_is_dense():
    images, lattice = stand_ins()
    kernel = images[images["yardstick"] == "kernel"]
    assert (kernel["bumps"] == 1).all() and kernel["width"].median() == pytest.approx(2**0.5, abs=0.1)
    assert shares(images, lattice).loc[("between", "kernel"), "right_0.25"] == 0
    assert shares(*stand_ins(dx=0.5, dy=0.5)).loc[("between", "kernel"), "right_0.25"] > 0.7


def test_distances_wrap_on_a_torus_and_dark_bumps_are_read():
    for keys in ({"boundary": "torus", "margin": 0.0, "sigma": 2.0}, {"polarity": "dark"}):
        found = shares(*stand_ins(**keys)).loc["between"]
        assert found.loc["exact", "right_0.25"] == 1 and found.loc["copier", "right_0.45"] < 0.96


def images(*rows):
    table = pd.DataFrame(rows, columns=["split", "mu_x", "mu_y", "bumps", "x", "y", "width"])
    return table.assign(step=100, weights="raw", amplitude=1.0, outcome="correct", error=0.0)


def test_right_is_one_bump_of_the_right_width_within_a_share_of_each_axis_spacing():
    lattice = Lattice.model_validate(PLANE | {"dy": 4.0})
    found = on_lattice_scale(
        images(
            ("seen", 5, 3.5, 1, 5.2, 4.4, 1.0),
            ("seen", 5, 3.5, 1, 5.3, 3.5, 1.0),
            ("seen", 5, 3.5, 1, 5, 3.5, 1.3),
            ("seen", 5, 3.5, 2, 5, 3.5, 1.0),
            ("seen", 5, 3.5, 0, np.nan, np.nan, np.nan),
        ),
        lattice,
    )
    assert found["right_0.25"].tolist() == [1, 0, 0, 0, 0]
    assert found["right_0.45"].tolist() == [1, 1, 0, 0, 0]


def test_metrics_have_the_shares_of_the_network_and_of_what_stands_in_for_it():
    rows = [("heldout", 5, 5, 1, 5, 5, 1.0), ("heldout", 5.5, 5, 1, 9, 9, 1.0), ("between", 4.4, 5, 1, 4.2, 5, 1.0)]
    found, _ = stand_ins()
    table = run_metrics(
        "plane-seed0", "plane", 0, behaviour=images(*rows), yardsticks=found, lattice=Lattice.model_validate(PLANE)
    )
    own = matching(table, label=None, weights="raw").set_index(["quantity", "split"])["value"]
    # Of withheld positions only lattice points count.
    assert own["requests", "heldout"] == 1 and own["right_0.25", "heldout"] == 1
    assert own["right_0.25", "between"] == 1 and own["offset", "between"] == pytest.approx(0.5)
    exact = matching(table, label="exact", weights=None, quantity="right_0.25", split="between")
    assert exact["value"].tolist() == [1.0] and exact["step"].tolist() == [100]
