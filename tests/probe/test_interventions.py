"""Interventions on denoisers made up so that it is known which label and which layer they use."""

from functools import partial

import numpy as np
import pytest
import torch

from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.steps import SampledInterventionKeys
from bumpscope.denoise.denoiser import Denoiser, Intervention
from bumpscope.denoise.process import Process
from bumpscope.denoise.unet import new_network
from bumpscope.measure.order import Label, decodability, make_folds
from bumpscope.probe.interventions import (
    Interference,
    edited,
    fit_subspace,
    label_functions,
    read_timesteps,
    requests,
    shares,
)
from bumpscope.worlds.bumps import factors, render

LATTICE = Lattice(image_size=16, sigma=1.0, margin=2.0, dx=1.0, dy=1.0)
PROCESS = Process.from_config(Diffusion(prediction="v"))
KEYS = SampledInterventionKeys(
    interventions=[0], intervention_layers=["down3"], sampler="ddim", sampling_steps=4, timesteps=[239]
)
ASKED = requests(LATTICE, 1.0, 0)
PIXELS = torch.arange(16.0)
COARSE = torch.linspace(0.5, 14.5, 10)


CENTRES = torch.tensor(np.unique(np.concatenate([ASKED.fitted, ASKED.own]), axis=0), dtype=torch.float32)


def bumps(labels, width, at=PIXELS):
    """Bumps at the labels, on a square of points."""
    along_x, along_y = (torch.exp(-0.5 * ((at - labels[:, axis, None]) / width) ** 2) for axis in (0, 1))
    return along_y[:, :, None] * along_x[:, None, :]


class Exact(Denoiser):
    """Draws the bump that it is asked for, whatever the noise.

    Its layer down3 has a curved, noisy code of its label, a bump of ``width`` on points ``at``. With ``from_layer`` it
    draws the centre whose code is nearest to it, else the label that up1 is given, as by a skip connection.
    """

    layers = ("down3", "up1")
    intervenes = True
    image_size = 16

    def __init__(self, from_layer, width=5.0, at=COARSE):
        super().__init__()
        self.from_layer, self.width, self.at = from_layer, width, at

    def forward(self, x, t, labels, keep=None, taps=None, intervention=None):
        intervention = Intervention() if intervention is None else intervention
        code = bumps(intervention.labels.get("down3", labels), self.width, self.at)
        noise = torch.randn(code.shape, generator=torch.Generator().manual_seed(int(t[0])))
        code = intervention.edit("down3", code + 0.1 * noise)
        late = intervention.labels.get("up1", labels)
        if self.from_layer:
            known = bumps(CENTRES, self.width, self.at)
            late = CENTRES[torch.cdist(code.flatten(1), known.flatten(1)).argmin(dim=1)]
        image = intervention.edit("up1", bumps(late, 1.0))
        signal, sigma = PROCESS.scales(t, x)
        return (signal * x - (2 * image[:, None] - 1)) / sigma


def drawn(network, keys=KEYS):
    torch.set_num_threads(1)
    return {
        (one.intervention, one.layer): one
        for one in Interference(network, PROCESS, keys, LATTICE, ASKED, seed=0).drawn()
    }


def share(found, intervention, layer, outcome):
    return shares(found[intervention, layer].images, ASKED, LATTICE, 1.0, 0.25)[f"share_{outcome}"]


@pytest.fixture(scope="module", params=[True, False], ids=["layer needed", "layer not needed"])
def known(request):
    return request.param, drawn(Exact(request.param))


def test_what_is_drawn_without_the_label_tells_whether_the_layer_is_needed(known):
    needed, found = known
    assert share(found, "none", "down3", "own") == pytest.approx(1, abs=0.02)
    assert share(found, "removed", "down3", "own") == (pytest.approx(0, abs=0.1) if needed else 1)
    assert share(found, "ablated", "down3", "own") == (pytest.approx(0, abs=0.1) if needed else 1)
    assert share(found, "random", "down3", "own") > 0.9


def test_another_label_put_in_is_drawn_where_the_layer_is_what_is_read(known):
    needed, found = known
    assert share(found, "patched", "down3", "other") == (pytest.approx(1, abs=0.1) if needed else 0)


def test_of_two_labels_the_one_that_is_read_is_obeyed(known):
    needed, found = known
    assert share(found, "labels", "down3", "own" if needed else "other") == pytest.approx(1, abs=0.02)
    # The control: at the last layer both are the request.
    np.testing.assert_array_equal(found["labels", "up1"].images, found["none", "down3"].images)


def highest_r2(one):
    """How well the worse axis is told, and the better one, at best over timesteps and methods."""
    label = Label(ASKED.own.T, factors(LATTICE))
    folds = make_folds(np.unique(ASKED.own, axis=0, return_inverse=True)[1].ravel(), 0)
    told = [decodability(vectors, folds, label) for vectors in one.activations]
    x, y = (max(each[name] for each in told for name in (f"r2_{axis}", f"knn_r2_{axis}")) for axis in "xy")
    return min(x, y), max(x, y)


def test_the_label_is_told_before_its_removal_and_not_after(known):
    _, found = known
    assert highest_r2(found["none", "down3"])[0] > 0.9
    assert highest_r2(found["removed", "down3"])[1] < 0.25


def test_of_a_code_too_sharp_to_be_removed_it_is_said_that_it_is_still_told():
    found = drawn(Exact(True, width=1.0, at=PIXELS))
    assert highest_r2(found["removed", "down3"])[1] > 0.25


@pytest.fixture(scope="module")
def unet():
    model = Model(channel_multipliers=[1, 1, 1], attention_resolutions=[2], embedding_width=8)
    network = new_network(16, model, 0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize("intervention", [None, "edit", "labels"])
def test_an_intervention_that_changes_nothing_gives_the_same_bits(unet, intervention):
    x, t = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([5, 300, 600, 999])
    labels = torch.tensor(ASKED.own[:4], dtype=torch.float32)
    seen = []
    nothing = {
        None: Intervention(),
        "edit": Intervention(lambda layer, h: seen.append(layer) or h),
        "labels": Intervention(labels=dict.fromkeys(unet.layers, labels.clone())),
    }[intervention]
    usual, taps = {}, {}
    expected = unet(x, t, labels, taps=usual)
    torch.testing.assert_close(unet(x, t, labels, taps=taps, intervention=nothing), expected, rtol=0, atol=0)
    assert all(torch.equal(taps[layer], usual[layer]) for layer in unet.layers)
    assert seen == (list(unet.layers) if intervention == "edit" else [])


def test_an_edit_changes_its_layer_and_what_comes_after_it_alone(unet):
    x, t = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([300, 600])
    labels = torch.tensor(ASKED.own[:2], dtype=torch.float32)
    usual, taps = {}, {}
    unet(x, t, labels, taps=usual)
    edit = Intervention(lambda layer, h: h + 1 if layer == "bottleneck" else h)
    unet(x, t, labels, taps=taps, intervention=edit)
    changed = [layer for layer in unet.layers if not torch.equal(taps[layer], usual[layer])]
    assert changed == ["bottleneck", "up1", "up2", "up3"]
    torch.testing.assert_close(taps["bottleneck"], usual["bottleneck"] + 1)
    other = Intervention(labels={"up2": labels + 3})
    unet(x, t, labels, taps=taps, intervention=other)
    assert [layer for layer in unet.layers if not torch.equal(taps[layer], usual[layer])] == ["up2", "up3"]


def test_what_is_removed_covaries_with_the_label_no_more_and_a_random_change_is_as_large():
    rng = np.random.default_rng(0)
    functions = label_functions(ASKED.fitted, LATTICE)
    code = functions[:, :5] @ rng.standard_normal((5, 200)) + 0.1 * rng.standard_normal((len(functions), 200))
    space = fit_subspace(code, functions, 0)
    apply = partial(edited, activation=torch.tensor(code, dtype=torch.float32), space=space)
    removed, changed = apply("removed").double().numpy(), apply("random").double().numpy()
    assert abs((removed - removed.mean(0)).T @ functions).max() < 1e-3 * abs((code - code.mean(0)).T @ functions).max()
    assert abs((changed - code) @ space.axes.numpy()).max() < 1e-3
    np.testing.assert_allclose(
        np.linalg.norm(changed - code, axis=1), np.linalg.norm(removed - code, axis=1), rtol=1e-3, atol=1e-4
    )
    donor = torch.zeros(len(code), space.axes.shape[1])
    torch.testing.assert_close(apply("patched", donor=donor), apply("removed"))
    assert apply("ablated").numpy().std(axis=0).max() < 1e-5


def test_centres_that_are_judged_are_not_fitted_to_and_their_donors_are_far():
    assert not {tuple(c) for c in ASKED.fitted} & {tuple(c) for c in ASKED.own}
    assert (np.hypot(*(ASKED.own - ASKED.other).T) > 4).all()
    assert len(ASKED.fitted) == 288 and len(ASKED.own) == 144
    noise = np.concatenate(ASKED.seeds)
    assert len(set(noise)) == len(noise)


def test_a_lattice_without_far_centres_takes_the_farthest():
    asked = requests(Lattice(image_size=8, sigma=1.0, margin=2.0, dx=1.0, dy=1.0), 1.0, 0)
    apart = np.hypot(*(asked.own[:, None] - asked.own).transpose(2, 0, 1))
    assert (np.hypot(*(asked.own - asked.other).T) >= np.minimum(4.0, apart.max(axis=1)) - 1e-9).all()


def test_shares_say_where_the_bump_is():
    own, other = ASKED.own, ASKED.other
    images = render(*own.T, LATTICE)
    assert shares(images, ASKED, LATTICE, 1.0, 0.25)["share_own"] == 1
    assert shares(render(*other.T, LATTICE), ASKED, LATTICE, 1.0, 0.25)["share_other"] == 1
    assert shares(render(*(own + other).T / 2, LATTICE), ASKED, LATTICE, 1.0, 0.25)["share_between"] == 1
    both = shares(images + render(*other.T, LATTICE), ASKED, LATTICE, 1.0, 0.25)
    assert both["share_multiple"] > 0.9
    found = shares(0 * images, ASKED, LATTICE, 1.0, 0.25)
    assert found["share_none"] == 1 and sum(found.values()) == pytest.approx(1)


def test_activations_are_read_from_pure_noise_down_to_the_judged_timestep():
    assert read_timesteps([999, 799, 599, 399, 199], 239) == [999, 799, 599, 399, 199]
    assert read_timesteps(list(range(999, -1, -40)), 239) == [999, 799, 599, 439, 239]
    # Nothing is changed in the finished image.
    assert read_timesteps([999, 499], 0) == [999, 499]


def test_a_layer_that_there_is_not_is_refused_by_name():
    with pytest.raises(ValueError, match=r"no layer up3 .* down3, up1"):
        Interference(
            Exact(True), PROCESS, KEYS.model_copy(update={"intervention_layers": ["up3"]}), LATTICE, ASKED, seed=0
        )
