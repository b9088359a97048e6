"""The denoiser: shapes, what it depends on, and that every part of it takes part."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from bumpscope.config.model import LAYERS, Model
from bumpscope.denoise.named import with_default_weights
from bumpscope.denoise.unet import ResidualBlock, UNet, group_norm, position_encoding, time_encoding

SMALL = Model(base_width=8, channel_multipliers=[1, 2, 2], attention_resolutions=[2], embedding_width=8)
SIZES = [
    (8, SMALL),
    (16, Model()),
    (16, Model(blocks_per_level=2, attention_resolutions=[], channel_multipliers=[2, 1, 3], embedding_width=16)),
    (24, Model(attention_resolutions=[24, 12, 6, 3])),
]


def untrained(image_size, model, seed=0):
    torch.manual_seed(seed)
    return UNet(image_size, model).eval()


def awake(image_size=8, model=SMALL, seed=0):
    """A network with random weights everywhere: an untrained one starts with some at zero."""
    network = untrained(image_size, model, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


def inputs(n=4, image_size=8, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, image_size, image_size, generator=generator, dtype=dtype)
    t = torch.randint(1000, (n,), generator=generator)
    mu = image_size * torch.rand(n, 2, generator=generator)
    return x, t, mu


@pytest.mark.parametrize(("image_size", "model"), SIZES)
def test_the_prediction_has_the_shape_of_the_image_and_is_zero_before_training(image_size, model):
    x, t, mu = inputs(3, image_size)
    prediction = untrained(image_size, model)(x, t, mu)
    assert prediction.shape == x.shape
    assert not prediction.any()
    assert awake(image_size, model)(x, t, mu).abs().min() > 0


@pytest.mark.parametrize(("image_size", "model"), SIZES)
def test_activations_are_each_blocks_output_at_its_level(image_size, model):
    activations = {}
    with torch.no_grad():
        awake(image_size, model)(*inputs(2, image_size), taps=activations)
    assert tuple(activations) == LAYERS
    first, second, third = (model.base_width * multiplier for multiplier in model.channel_multipliers)
    n = image_size
    expected = [
        *[(first, n, n), (second, n // 2, n // 2), (third, n // 4, n // 4)],
        *[(third, n // 8, n // 8)] * 2,
        *[(third, n // 4, n // 4), (second, n // 2, n // 2), (first, n, n)],
    ]
    assert [tuple(activation.shape) for activation in activations.values()] == [(2, *shape) for shape in expected]


def test_the_last_activation_is_what_the_prediction_is_made_of():
    network, activations = awake(), {}
    prediction = network(*inputs(), taps=activations)
    again = network.last(functional.silu(network.last_norm(activations["up3"])))
    torch.testing.assert_close(prediction, again, rtol=0, atol=0)


def test_the_map_after_the_third_halving_is_what_the_bottleneck_receives():
    network, activations, received = awake(), {}, []
    network.bottleneck.register_forward_pre_hook(lambda _, given: received.append(given[0]))
    network(*inputs(), taps=activations)
    torch.testing.assert_close(activations["halved3"], received[0], rtol=0, atol=0)
    torch.testing.assert_close(received[0], network.downsample[2](activations["down3"]), rtol=0, atol=0)


def test_asking_for_activations_does_not_change_the_prediction():
    network = awake()
    torch.testing.assert_close(network(*inputs(), taps={}), network(*inputs()), rtol=0, atol=0)


@pytest.mark.parametrize("changed", ["t", "x label", "y label", "image"])
def test_the_prediction_depends_on_each_of_its_inputs(changed):
    network = awake()
    x, t, mu = inputs()
    before = network(x, t, mu)
    if changed == "t":
        t = t + 50
    elif changed == "image":
        x = x + 0.1
    else:
        mu = mu + torch.tensor([1.0, 0.0] if changed == "x label" else [0.0, 1.0])
    assert ((network(x, t, mu) - before).abs().amax(dim=(1, 2, 3)) > 1e-4).all()


def test_x_and_y_labels_are_told_apart():
    network = awake()
    x, t, mu = inputs()
    assert ((network(x, t, mu) - network(x, t, mu.flip(1))).abs().amax(dim=(1, 2, 3)) > 1e-4).all()


@pytest.mark.parametrize(("image_size", "model"), SIZES[:3])
def test_the_gradient_reaches_every_parameter(image_size, model):
    network = awake(image_size, model)
    network(*inputs(8, image_size)).square().sum().backward()
    unreached = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


def test_only_last_layers_of_blocks_start_at_zero():
    silent = {name for name, p in untrained(8, SMALL).named_parameters() if name.endswith("weight") and not p.any()}
    assert silent == {
        name
        for name in untrained(8, SMALL).state_dict()
        if name.endswith(("conv2.weight", "out.weight")) or name == "last.weight"
    }


@pytest.mark.parametrize(("resolutions", "blocks"), [([], 1), ([2], 1), ([4, 2], 1), ([16], 2), ([16, 8, 4, 2], 1)])
def test_attention_is_computed_at_the_asked_resolutions_only(monkeypatch, resolutions, blocks):
    tokens = []

    def recording(query, key, value):
        tokens.append(query.shape[1])
        return value

    monkeypatch.setattr(functional, "scaled_dot_product_attention", recording)
    model = Model(attention_resolutions=resolutions, blocks_per_level=blocks)
    awake(16, model)(*inputs(1, 16))
    levels = [16, 8, 4, 2, 4, 8, 16]
    expected = [s**2 for s in levels for _ in range(blocks + (s == 2)) if s in resolutions]
    assert tokens == expected


def test_attention_mixes_pixels_as_softmax_of_scaled_products():
    from bumpscope.denoise.unet import SelfAttention

    torch.manual_seed(0)
    attention = SelfAttention(8)
    torch.nn.init.normal_(attention.out.weight)
    x = torch.randn(2, 8, 3, 3)
    found = attention(x)
    tokens = attention.norm(x).reshape(2, 8, 9).permute(0, 2, 1)
    query, key, value = attention.query_key_value(tokens).split(8, dim=2)
    weights = torch.softmax(query @ key.permute(0, 2, 1) / math.sqrt(8), dim=2)
    expected = x + attention.out(weights @ value).permute(0, 2, 1).reshape(2, 8, 3, 3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("image_size", [8, 16])
def test_an_image_does_not_see_the_others_of_its_batch(image_size):
    network = awake(image_size, SMALL)
    x, t, mu = inputs(5, image_size)
    together = network(x, t, mu)
    for k in range(5):
        torch.testing.assert_close(
            together[k : k + 1], network(x[k : k + 1], t[k : k + 1], mu[k : k + 1]), rtol=1e-4, atol=1e-5
        )
    disturbed = x.clone()
    disturbed[1:] += 100.0
    torch.testing.assert_close(network(disturbed, t, mu)[0], together[0], rtol=0, atol=0)


def test_sizes_follow_the_settings():
    def parameters(**keys):
        return sum(p.numel() for p in untrained(16, Model(**keys)).parameters())

    base = parameters()
    # Convolutions grow with the square of the width.
    assert 2.5 < parameters(base_width=16) / base < 4.0
    assert parameters(blocks_per_level=2) > base
    assert parameters(embedding_width=64) > base
    # One attention layer at a resolution of c channels has 4 c^2 + 4 c + 2 c parameters: 16 px has two, of 8 channels.
    assert parameters(attention_resolutions=[16, 4, 2]) - base == 2 * (4 * 8**2 + 4 * 8 + 2 * 8)
    # The weights do not depend on the size of the image, only the encoding of the labels does.
    assert {name: p.shape for name, p in untrained(16, Model(attention_resolutions=[4])).named_parameters()} == {
        name: p.shape for name, p in untrained(32, Model(attention_resolutions=[8])).named_parameters()
    }


def test_a_residual_block_starts_as_the_identity():
    block, x = ResidualBlock(8, 8, 16), torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(block(x, torch.randn(2, 16)), x, rtol=0, atol=0)


def test_normalisation_keeps_how_bright_a_channel_is_against_its_group():
    norm = group_norm(8)
    assert (norm.num_groups, norm.num_channels) == (2, 8)
    levels = torch.arange(8.0).view(1, 8, 1, 1).expand(1, 8, 4, 4)
    assert (norm(levels)[0, :, 0, 0].diff()[[0, 1, 2, 4, 5, 6]] > 0.5).all()


def test_the_encoding_of_time_is_the_sinusoidal_one():
    t = torch.tensor([0, 1, 500, 999])
    encoding = time_encoding(t, 8)
    for row, moment in enumerate(t.tolist()):
        angles = [moment * 10_000 ** (-k / 4) for k in range(4)]
        expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
        np.testing.assert_allclose(encoding[row], expected, atol=1e-4)


def test_the_encoding_of_a_position_has_periods_from_four_pixels_to_four_image_sizes():
    for period, channel in ((4.0, 0), (64.0, 3)):
        moved = position_encoding(torch.tensor([1.3, 1.3 + period]), 16, 8)[:, [channel, channel + 4]]
        torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=1e-4)
        half = position_encoding(torch.tensor([1.3, 1.3 + period / 2]), 16, 8)[:, [channel, channel + 4]]
        torch.testing.assert_close(half[0], -half[1], rtol=0, atol=1e-4)


def test_nearby_positions_are_encoded_alike_and_no_two_the_same():
    at = torch.arange(-0.5, 16.5, 0.25)
    encoding = position_encoding(at, 16, 32)
    similarity = encoding @ encoding.T / 16
    near = (at[:, None] - at).abs() <= 0.25
    assert similarity[near].min() > 0.97
    assert similarity[(at[:, None] - at).abs() >= 1.0].max() < 0.96
    torch.testing.assert_close(similarity.diagonal(), torch.ones(len(at)))


def test_double_precision_goes_through():
    network = awake().double()
    assert network(*inputs(dtype=torch.float64)).dtype == torch.float64


def test_default_weights_wake_the_layers_that_start_at_zero_and_leave_the_others():
    x, t, mu = inputs()
    asleep, one, other = (untrained(8, SMALL) for _ in range(3))
    with_default_weights(one, 3), with_default_weights(other, 3)
    assert not asleep(x, t, mu).any() and one(x, t, mu).abs().min() > 0
    assert not torch.equal(one(x, t, mu), one(x, t, mu.flip(0)))
    for before, after, again in zip(asleep.parameters(), one.parameters(), other.parameters(), strict=True):
        assert torch.equal(after, again)
        assert torch.equal(before, after) or not before.any()
