"""Which combinations training shows: circulant designs, random shares, and stripes with one label withheld."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from bumpscope.commands.dataset import dataset
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice, Shown
from bumpscope.config.loading import ConfigError, validate
from bumpscope.config.model import Model
from bumpscope.config.steps import Dataset as DatasetStep
from bumpscope.denoise.denoiser import Batch
from bumpscope.denoise.named import new_denoiser, with_default_weights
from bumpscope.denoise.process import Process
from bumpscope.store.tables import read_block, read_table
from bumpscope.worlds.bumps import factors, in_holdout, lattice_points, render, shown_combinations, training_points
from bumpscope.worlds.requests import requested_centres

N = 8


def lattice(**shown):
    return Lattice(image_size=16, margin=2.0, dx=1.5, dy=1.5, shown=Shown(**shown) if shown else None)


@pytest.mark.parametrize("seed", [None, 0, 5])
@pytest.mark.parametrize("each", range(1, N))
def test_a_circulant_shows_as_many_in_each_row_and_column(each, seed):
    shown = shown_combinations(lattice(each=each, seed=seed))
    assert (shown.sum(axis=0) == each).all() and (shown.sum(axis=1) == each).all()
    if seed is None:  # every row is the one above, moved by one column
        assert all(np.array_equal(np.roll(shown[i], 1), shown[(i + 1) % N]) for i in range(N))
        gaps = np.diff([*np.flatnonzero(shown[0]), np.flatnonzero(shown[0])[0] + N])
        assert gaps.max() - gaps.min() <= 1


def test_shuffled_designs_differ_by_their_seed():
    one, again, other = (shown_combinations(lattice(each=2, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_random_share_contains_the_smaller_ones_of_its_seed():
    shares = [shown_combinations(lattice(share=share, seed=3)) for share in (0.1, 0.5, 0.9)]
    assert [shown.sum() for shown in shares] == [6, 32, 58]
    assert all((small <= large).all() for small, large in pairwise(shares))
    assert not np.array_equal(shares[1], shown_combinations(lattice(share=0.5, seed=4)))


@pytest.mark.parametrize("shown", [{"each": 2}, {"each": 1, "seed": 2}, {"share": 0.3}])
def test_what_is_not_shown_is_withheld_from_training_and_asked_for(shown):
    one = lattice(**shown)
    points = lattice_points(one)
    expected = shown_combinations(one).ravel()
    np.testing.assert_array_equal(points.probability > 0, expected)
    np.testing.assert_array_equal(points.heldout, ~expected)
    np.testing.assert_array_equal(in_holdout(one, points.mu_x, points.mu_y), ~expected)
    assert points.probability.sum() == pytest.approx(1)
    asked = requested_centres(one, 512)
    pairs = {split: set(zip(rows.mu_x, rows.mu_y, strict=True)) for split, rows in asked.groupby("split")}
    centres = list(zip(points.mu_x, points.mu_y, strict=True))
    assert pairs["heldout"] == {centre for centre, shown in zip(centres, expected, strict=True) if not shown}
    assert pairs["seen"] == {centre for centre, shown in zip(centres, expected, strict=True) if shown}
    # Between lattice points nothing is a combination.
    between = asked[asked.split == "between"]
    assert not in_holdout(one, between.mu_x.to_numpy(), between.mu_y.to_numpy()).any()


def test_stripes_take_their_share_and_show_one_position_of_one_axis(tmp_path):
    one = lattice(each=2).model_copy(update={"stripes": 0.4})
    points = training_points(one)
    vertical, horizontal = np.isnan(points.mu_y), np.isnan(points.mu_x)
    assert points.probability[vertical].sum() == pytest.approx(0.2)
    assert points.probability[horizontal].sum() == pytest.approx(0.2)
    np.testing.assert_allclose(points.probability[~vertical & ~horizontal], 0.6 * lattice_points(one).probability)
    x, y = factors(one)
    np.testing.assert_array_equal(points.mu_x[vertical], x.grid)
    np.testing.assert_array_equal(points.mu_y[horizontal], y.grid)
    images = render(points.mu_x, points.mu_y, one)
    profile = np.exp(-((np.arange(16) - x.grid[:, None]) ** 2) / 2)
    np.testing.assert_allclose(images[vertical], np.broadcast_to(profile[:, None, :], (N, 16, 16)))
    np.testing.assert_allclose(images[horizontal], np.broadcast_to(profile[:, :, None], (N, 16, 16)))
    dataset(json.dumps(DatasetStep(lattice=one).plain), tmp_path / "d.parquet")
    table = read_table("dataset", tmp_path / "d.parquet")
    assert table["split"].value_counts().to_dict() == {"heldout": 48, "seen": 16, "stripe": 16}
    np.testing.assert_array_equal(table["mu_y"].to_numpy(), points.mu_y)
    np.testing.assert_allclose(
        read_block("dataset", tmp_path / "d.parquet", "image"), images.reshape(80, -1), atol=1e-6
    )


def test_without_stripes_training_draws_the_lattice_points():
    ours, theirs = training_points(lattice(each=3)), lattice_points(lattice(each=3))
    for name in ("mu_x", "mu_y", "probability", "heldout"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_a_label_that_is_withheld_is_hidden_from_the_network_in_training():
    model = Model(channel_multipliers=[1, 1, 1], embedding_width=8, attention_resolutions=[])
    network = with_default_weights(new_denoiser(lattice(), model, Diffusion(), 0), 0)
    draw = torch.Generator().manual_seed(0)
    images, noise = (torch.randn(2, 1, 16, 16, generator=draw) for _ in range(2))
    t, process = torch.tensor([300, 600]), Process.from_config(Diffusion())
    seen = []
    network.register_forward_pre_hook(lambda _module, given: seen.append(given))
    losses = [
        network.loss(process, Batch(images, torch.tensor(labels), t, noise), 0.0)
        for labels in ([[4.0, torch.nan], [torch.nan, 9.0]], [[4.0, 2.0], [7.0, 9.0]])
    ]
    assert torch.isfinite(losses[0]) and not torch.equal(*losses)
    assert torch.equal(seen[0][3], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert torch.equal(seen[1][3], torch.ones(2, 2))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"shown": {}}, "datasets.d.shown: holds {} (mapping); allowed: one of each and share"),
        ({"shown": {"each": 2, "share": 0.5}}, "allowed: one of each and share"),
        ({"shown": {"each": 12}}, "datasets.d.shown.each: holds 12"),
        ({"shown": {"each": 2}, "dy": 2.0}, "as many along x as along y (these are 12 and 6)"),
        ({"shown": {"share": 0.001}}, "datasets.d.shown.share: holds 0.001"),
        ({"shown": {"share": 1.5}}, "datasets.d.shown.share: holds 1.5 (number); allowed: a number < 1.0"),
        (
            {"shown": {"every": 2}},
            "datasets.d.shown.every: unknown key (holds 2 (whole number)); allowed: each, share, seed",
        ),
        ({"shown": "some"}, 'datasets.d.shown: holds "some" (text); allowed: all, {each: ...}'),
        (
            {"shown": {"each": 2}, "holdout": {"x": [5.0, 7.0], "y": [5.0, 7.0]}},
            "allowed: all where holdout withholds a block",
        ),
        ({"stripes": 1.0}, "datasets.d.stripes: holds 1.0 (number); allowed: a number < 1.0"),
        (
            {"stripes": 0.3, "denoiser": {"kind": "factorised"}},
            "datasets.d.stripes: holds 0.3 (number); allowed: 0 with the ref",
        ),
    ],
)
def test_designs_that_cannot_be_are_one_line(keys, told):
    with pytest.raises(ConfigError) as error:
        validate({"datasets": {"d": {"margin": 2.0} | keys}})
    (line,) = error.value.faults
    assert told in line


def test_all_is_no_design():
    (name,) = validate({"datasets": {"d": {"margin": 2.0, "shown": "all"}}}).datasets.values()
    assert name.shown is None
