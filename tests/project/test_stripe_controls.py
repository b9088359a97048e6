"""The controls of stripes: their labels are permuted or withheld, all others stay."""

import pytest
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice, Shown
from bumpscope.config.model import Model
from bumpscope.denoise.denoiser import Batch, Task
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import UNet
from stripe_controls import PermutedStripes, UnlabelledStripes

LATTICE = Lattice(image_size=16, margin=2.0, dx=1.5, dy=1.5, shown=Shown(each=2), stripes=0.4)
GRID = [2.25 + 1.5 * place for place in range(8)]
BUMPS = [[2.25, 3.75], [12.75, 2.25]]
NAN = float("nan")


def task(seed=0):
    return Task(LATTICE, Model(base_width=8), Diffusion(), seed)


def stripes(axis):
    return [[mu if axis == own else NAN for own in (0, 1)] for mu in GRID]


@pytest.fixture
def told(monkeypatch):
    """What a network is given as labels and as ``keep`` in a step on these labels."""

    def step(network, labels):
        given = []
        monkeypatch.setattr(UNet, "forward", lambda _self, x, t, *rest: given.append(rest) or x)
        images = torch.zeros(len(labels), 1, 16, 16)
        batch = Batch(images, torch.tensor(labels), torch.full((len(labels),), 5), torch.ones_like(images))
        network.loss(Process.from_config(Diffusion()), batch, 0.0)
        return given[0]

    return step


@pytest.mark.parametrize("axis", [0, 1])
def test_a_permuted_stripe_has_the_label_of_another_position_each_time_the_same(axis, told):
    labels, keep = told(PermutedStripes(task()), stripes(axis))
    own = labels[:, axis].tolist()
    assert sorted(own) == GRID and all(one != mu for one, mu in zip(own, GRID, strict=True))
    assert (keep[:, axis] == 1).all() and (keep[:, 1 - axis] == 0).all()
    assert told(PermutedStripes(task()), stripes(axis))[0].equal(labels)
    assert not told(PermutedStripes(task(seed=1)), stripes(axis))[0].equal(labels)


def test_an_unlabelled_stripe_has_no_label(told):
    assert (told(UnlabelledStripes(task()), [*stripes(0), *stripes(1)])[1] == 0).all()


@pytest.mark.parametrize("control", [PermutedStripes, UnlabelledStripes])
def test_the_labels_of_bumps_stay(control, told):
    labels, keep = told(control(task()), [*BUMPS, [NAN, 5.25]])
    assert labels[:2].tolist() == BUMPS and (keep[:2] == 1).all() and labels[2, 1] != 5.25


@pytest.mark.parametrize("control", [PermutedStripes, UnlabelledStripes])
def test_it_draws_as_the_plain_network_does(control):
    torch.manual_seed(0)
    own = control(task())
    plain = UNet(16, task().model, task().factors)
    plain.load_state_dict(own.state_dict())
    batch = torch.randn(3, 1, 16, 16), torch.full((3,), 100), torch.tensor([[2.25, 3.75]] * 3)
    assert own(*batch).equal(plain(*batch))
