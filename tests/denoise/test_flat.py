"""Parameters laid out as one tensor compute what they did apart."""

import copy

import pytest
import torch
from torch import nn

from bumpscope.config.model import Model
from bumpscope.denoise.flat import flatten_parameters
from bumpscope.denoise.unet import new_network

MODEL = Model(base_width=8, attention_resolutions=[4, 2], embedding_width=8)


def inputs():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(6, 1, 16, 16, generator=draw)
    return x, torch.randint(1000, (6,), generator=draw), 15 * torch.rand(6, 2, generator=draw)


def randomised(network):
    """The same network away from its start, where some gradients vanish."""
    draw = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=draw)
    return network


@pytest.mark.parametrize("channels_last", [False, True])
def test_values_names_and_shapes_stay(channels_last):
    network = randomised(new_network(16, MODEL, 0))
    before = copy.deepcopy(network.state_dict())
    flat = flatten_parameters(network, channels_last)
    assert flat.shape == (sum(tensor.numel() for tensor in before.values()),)
    assert list(network.state_dict()) == list(before)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("channels_last", [False, True])
def test_parameters_and_gradients_are_views_of_the_flat_ones(channels_last):
    network = new_network(16, MODEL, 0)
    flat = flatten_parameters(network, channels_last)
    flat.data.fill_(0.5)
    flat.grad.fill_(0.25)
    assert all((parameter == 0.5).all() and (parameter.grad == 0.25).all() for parameter in network.parameters())
    network.load_state_dict({name: torch.full_like(tensor, 2.0) for name, tensor in network.state_dict().items()})
    assert (flat == 2.0).all()


@pytest.mark.parametrize("channels_last", [False, True])
def test_predictions_and_gradients_are_those_of_the_plain_network_up_to_rounding(channels_last):
    plain = randomised(new_network(16, MODEL, 0))
    network = copy.deepcopy(plain)
    flatten_parameters(network, channels_last)
    for _ in range(2):  # a second time, since gradients are kept and added to
        answers = []
        for one in (plain, network):
            one.zero_grad(set_to_none=one is plain)
            answer = one(*inputs())
            answer.square().mean().backward()
            answers.append(answer.detach())
        torch.testing.assert_close(answers[1], answers[0], rtol=1e-4, atol=1e-5)
        for (name, expected), found in zip(plain.named_parameters(), network.parameters(), strict=True):
            scale = expected.grad.abs().max().item()
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-4 * scale, msg=name)


def test_the_clipped_norm_is_that_of_all_gradients():
    plain = randomised(new_network(16, MODEL, 0))
    network = copy.deepcopy(plain)
    flat = flatten_parameters(network, channels_last=True)
    norms = []
    for one in (plain, network):
        one(*inputs()).square().mean().backward()
        norms.append(nn.utils.clip_grad_norm_([flat] if one is network else one.parameters(), 1e-3).item())
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    assert flat.grad.norm().item() == pytest.approx(1e-3, rel=1e-3)
