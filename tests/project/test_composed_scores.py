"""Ways of asking one network, of a network that predicts what the exact denoisers do."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import bumpscope
import composed_scores
import screen_oracles
from bumpscope.config.diffusion import Diffusion
from bumpscope.denoise.arms.dropout import Dropout
from bumpscope.denoise.process import Process
from bumpscope.worlds.bayes import bayes_estimates
from bumpscope.worlds.bumps import render, to_network

LATTICE = screen_oracles.DESIGNS["circulant, N = 8, k = 4"]
DIFFUSION = Diffusion(prediction="v")
RIGHT = ["right_0.45", "right_x", "right_y"]


class Exact(nn.Module):
    """The posterior mean given the labels that are kept; given both, the image asked for, shown in training or not."""

    def forward(self, x: Tensor, t: Tensor, labels: Tensor, keep: Tensor) -> Tensor:
        mu_x, mu_y = labels.numpy().astype(float).T
        bar = float(Process.from_config(DIFFUSION).alpha_bar[t[0]])
        blind, given_x, given_y = bayes_estimates(x[:, 0].numpy(), mu_x, mu_y, bar, LATTICE)
        both = to_network(render(mu_x, mu_y, LATTICE)).reshape(blind.shape)
        known = {(1, 1): both, (1, 0): given_x, (0, 1): given_y, (0, 0): blind}[tuple(keep[0].int().tolist())]
        clean = torch.from_numpy(known).float().view_as(x)
        return (bar**0.5 * x - clean) / (1 - bar) ** 0.5


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[object, str], pd.DataFrame]:
    """Shares of two dozen requests, by seed and way of asking."""
    denoiser = Dropout.__new__(Dropout)
    nn.Module.__init__(denoiser)
    denoiser.unet, denoiser.composed = Exact(), True
    monkeypatch.setattr(bumpscope, "network", lambda *_, **__: denoiser)
    monkeypatch.setattr(screen_oracles, "REQUESTS", 24)
    run = SimpleNamespace(seed=3, checkpoints=[800], settings=SimpleNamespace(lattice=LATTICE, diffusion=DIFFUSION))
    runs = SimpleNamespace(select=lambda dataset: {"mine": [run]}[dataset])
    table = pd.DataFrame(composed_scores.rows(runs, "mine")).set_index("split")
    return {way: rows[RIGHT] for way, rows in table.groupby(["seed", "asked with"])}


def test_each_way_of_asking_is_right_on_what_it_is_told(table):
    assert len(table) == 5 and all(set(rows.index) == {"seen", "heldout"} for rows in table.values())
    assert (table[3, "both labels"] == 1).all(axis=None)
    for axis, other in ("xy", "yx"):
        alone = table[3, f"{axis} alone"]
        assert (alone[f"right_{axis}"] == 1).all() and (alone[f"right_{other}"] < 0.6).all()
        assert alone.loc["heldout", "right_0.45"] == 0  # an image that was shown is drawn
    for seed in (3, "exact"):
        composed = table[seed, "composed"]["right_0.45"]
        assert composed["heldout"] == 0 < composed["seen"] < 1


def test_shares_are_those_of_images_in_the_right_place_on_each_axis():
    asked = pd.DataFrame({"sample": range(4), "mu_x": [5.25, 5.25, 8.25, 8.25], "mu_y": 6.75})
    asked["split"] = ["seen", "seen", "heldout", "heldout"]
    x, y = np.array([5.25, 5.75, 8.25, 9.15]), np.array([6.75, 6.75, 8.25, 8.25])
    images = render(x, y, LATTICE)
    rows = pd.DataFrame(composed_scores.shares(images, asked, LATTICE, {"seed": 0})).set_index("split")
    assert rows.loc["seen", RIGHT].tolist() == [1, 1, 1]  # 0.5 px is a third of the spacing
    assert rows.loc["heldout", RIGHT].tolist() == [0, 0.5, 0]
