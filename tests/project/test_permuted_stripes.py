"""The control of stripes: their labels are permuted, all others are not."""

import pytest
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice, Shown
from bumpscope.config.model import Model
from bumpscope.denoise.denoiser import Batch, Task
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import UNet
from permuted_stripes import PermutedStripes

LATTICE = Lattice(image_size=16, margin=2.0, dx=1.5, dy=1.5, shown=Shown(each=2), stripes=0.4)
NAN = float("nan")


@pytest.fixture
def told(monkeypatch):
    """What the network is given as labels and as ``keep`` in a step on these labels."""

    def step(labels):
        task, given = Task(LATTICE, Model(base_width=8), Diffusion()), []
        network = PermutedStripes(task)
        monkeypatch.setattr(UNet, "forward", lambda _self, x, t, *rest: given.append(rest) or x)
        images = torch.zeros(len(labels), 1, 16, 16)
        batch = Batch(images, torch.tensor(labels), torch.full((len(labels),), 5), torch.ones_like(images))
        network.loss(Process.from_config(Diffusion()), batch, 0.0)
        return given[0]

    return step


def test_a_stripe_has_the_label_of_another_position_each_time_the_same(told):
    grid = [2.25 + 1.5 * place for place in range(8)]
    for axis in (0, 1):
        labels, keep = told([[mu if axis == own else NAN for own in (0, 1)] for mu in grid])
        own = labels[:, axis].tolist()
        assert sorted(own) == grid and all(one != mu for one, mu in zip(own, grid, strict=True))
        assert (keep[:, axis] == 1).all() and (keep[:, 1 - axis] == 0).all()
        assert told([[mu if axis == own else NAN for own in (0, 1)] for mu in grid])[0].equal(labels)


def test_the_labels_of_bumps_stay(told):
    bumps = [[2.25, 3.75], [12.75, 2.25]]
    labels, keep = told([*bumps, [NAN, 5.25]])
    assert labels[:2].tolist() == bumps and (keep[:2] == 1).all()
    assert labels[2, 1] != 5.25


def test_it_draws_as_the_plain_network_does():
    task = Task(LATTICE, Model(base_width=8), Diffusion())
    torch.manual_seed(0)
    own = PermutedStripes(task)
    plain = UNet(16, task.model, task.factors)
    plain.load_state_dict(own.state_dict())
    batch = torch.randn(3, 1, 16, 16), torch.full((3,), 100), torch.tensor([[2.25, 3.75]] * 3)
    assert own(*batch).equal(plain(*batch))
