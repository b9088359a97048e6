"""Phases as the paper reads them, on clouds whose phase is known."""

import numpy as np
import pandas as pd
import pytest

from bumpscope.measure.as_read import THRESHOLDS, as_read, phases_as_read, rest_of
from bumpscope.measure.components import Components, decompose, embed
from bumpscope.measure.umaps import is_read, noise_like, told_variance, umap_numbers, with_sheet
from synthetic_clouds import cloud


def numbers_of(kind, noise=0.05, spread="whole", seed=77):
    one = cloud(kind, noise, spread, seed)
    return umap_numbers(decompose(one.vectors), one.centres, 0)[0]


@pytest.mark.parametrize(
    ("kind", "verdict", "order"),
    [
        ("ordered curved sheet", "C", "full"),
        ("permuted curved sheet", "B", "none"),
        ("ten-dimensional random", "A", "none"),
        ("two-dimensional random", "A", "none"),
    ],
)
def test_known_clouds_are_read_as_they_are(kind, verdict, order):
    found, told, reason = as_read(numbers_of(kind))
    assert (found, told) == (verdict, order), reason


def made_up(x=0.0, y=0.0, knn=0.0, told=0.9, noise=0.5, planted=0.8, shuffled=0.0):
    """Numbers of a cloud as :func:`umap_numbers` gives them."""
    rows = [("umap3", "requested", f"r2_{axis}_median", value) for axis, value in (("x", x), ("y", y))]
    rows += [("umap3", "requested", "knn_r2_median", knn)]
    rows += [("umap3", "shuffled", f"r2_{axis}_median", shuffled) for axis in "xy"]
    told_variances = {"": told, "_noise": noise, "_planted": planted, "_planted_noise": 0.5}
    rows += [("umap3", None, f"told_variance{suffix}", value) for suffix, value in told_variances.items()]
    return pd.DataFrame(rows, columns=["space", "label", "metric", "value"])


@pytest.mark.parametrize(
    ("numbers", "verdict", "order"),
    [
        ({"x": 0.7, "y": 0.9}, "C", "full"),
        ({"x": 0.7, "y": 0.9, "shuffled": 0.65}, "?", "partial"),  # no better than shuffled labels
        ({"x": 0.1, "y": 0.9}, "?", "partial"),  # the weaker axis decides
        ({"knn": 0.9}, "?", "partial"),  # smooth colours along bent lines are no disorder
        ({}, "B", "none"),
        ({"told": 0.5}, "A", "none"),
        ({"told": 0.65}, "?", "none"),  # A or B
        ({"told": 0.5, "planted": 0.6}, "A", "none"),  # a sheet would leave less
        ({"told": 0.5, "planted": 0.54}, "blind", "none"),
        ({"told": 0.65, "planted": 0.54}, "blind", "none"),
        ({"planted": 0.5}, "B", "none"),  # what is seen needs no proof that it would be
        ({"x": 0.7, "y": 0.9, "planted": 0.5}, "C", "full"),
        ({"x": np.nan}, "?", None),
        ({"told": np.nan}, "?", None),
    ],
)
def test_the_rule_follows_its_thresholds(numbers, verdict, order):
    assert as_read(made_up(**numbers))[:2] == (verdict, order)


def test_what_a_umap_does_not_tell_is_compared_with_noise():
    assert rest_of(made_up(told=0.9, noise=0.5)) == pytest.approx(0.2)
    assert THRESHOLDS.sheet < THRESHOLDS.nothing <= 1


def test_told_variance_is_that_of_the_components_above_noise():
    rng = np.random.default_rng(0)
    place = rng.uniform(size=(400, 2))
    scores = np.column_stack([place - place.mean(axis=0), 3 * rng.normal(size=(400, 2))])
    assert told_variance(Components(scores, 2), place) > 0.98
    assert told_variance(Components(scores, 4), place) < 0.1
    assert told_variance(Components(scores, 2), rng.normal(size=(400, 2))) < 0
    assert np.isnan(told_variance(Components(scores, 2), np.full((400, 2), np.nan)))


def test_noise_has_the_variances_of_the_cloud_and_nothing_else_of_it():
    one = decompose(cloud("ordered curved sheet", 0.0, "whole", 3).vectors)
    noise = noise_like(one, np.random.default_rng(0))
    np.testing.assert_allclose(noise.scores[:, :3].std(axis=0), one.scores[:, :3].std(axis=0), rtol=0.15)
    assert noise.rank == one.rank
    assert told_variance(noise, embed(noise, 0)) < told_variance(one, embed(one, 0))


def test_a_planted_sheet_is_as_large_as_the_cloud_and_knows_nothing_of_the_requests():
    one = cloud("ten-dimensional random", 0.0, "whole", 3)
    components = decompose(one.vectors)
    planted = with_sheet(components, np.random.default_rng(0))
    variances = [float((each.scores**2).sum()) for each in (components, planted)]
    assert variances[1] / variances[0] == pytest.approx(2.0, rel=0.1)
    found = umap_numbers(components, one.centres, 0)[0]
    assert rest_of(found, "_planted") < 0.8 < THRESHOLDS.nothing < rest_of(found)


def test_too_few_images_and_equal_ones_are_no_phase():
    one = cloud("ordered flat sheet", 0.0, "whole", 0)
    for vectors in (np.ones((30, 4)), np.full((30, 4), np.nan)):
        rows = slice(len(vectors))
        centres = type(one.centres)(
            one.centres.requested[:, rows], one.centres.realised[:, rows], one.seen[rows], one.centres.factors
        )
        numbers, picture = umap_numbers(decompose(vectors), centres, 0)
        assert as_read(numbers)[:2] == ("?", None) and np.isnan(picture).all() and picture.shape == (30, 2)


PLACES = [("raw", "down3", 239), ("raw", "down3", 0), ("raw", "up2", 239), ("ema", "down3", 239), ("ema", "down3", 0)]


def test_umaps_are_read_at_the_papers_layers_and_controls_at_the_first_place():
    read = {(place, noise) for place in PLACES for noise in ("own", "shared") if is_read(place, noise, PLACES)}
    first = ("raw", "down3", 239)
    own = {(first, "own"), (("raw", "down3", 0), "own"), (("ema", "down3", 239), "own")}
    assert read == own | {(first, "shared"), (("ema", "down3", 239), "shared")}
    elsewhere = [("raw", "up1", 239), ("raw", "up2", 239)]
    assert is_read(elsewhere[0], "own", elsewhere) and not is_read(elsewhere[1], "own", elsewhere)
    assert not is_read(("raw", "image", 0), "own", PLACES)


def test_a_run_has_a_verdict_wherever_umaps_were_read():
    def at(step, t, noise, **numbers):
        return made_up(**numbers).assign(step=step, weights="raw", layer="down3", t=t, noise=noise)

    geometry = pd.concat(
        [
            at(0, 239, "own", told=0.5),
            at(100, 239, "own"),
            at(100, 239, "shared", x=0.9, y=0.9),
            at(100, 39, "own").query("metric != 'told_variance'"),  # only the picture's UMAP
        ],
        ignore_index=True,
    )
    found = phases_as_read(geometry)
    assert found[["step", "weights", "layer", "t", "latent_phase_umap"]].values.tolist() == [
        [0, "raw", "down3", 239, "A"],
        [100, "raw", "down3", 239, "B"],
    ]
    assert found["latent_phase_umap_shared"].isna().tolist() == [True, False]
    assert found["latent_phase_umap_shared"].iloc[1] == "C"
