"""Denoisers by name: those of the package, one from a folder outside it, and what is said of those that cannot work."""

import json
import sys

import pytest
import torch

from bumpscope.commands.arms import arms as count_arms
from bumpscope.commands.dataset import dataset
from bumpscope.commands.effects import effects
from bumpscope.commands.generate import generate
from bumpscope.commands.runs import runs
from bumpscope.commands.train import train
from bumpscope.config.denoiser import BUILT_IN
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.loading import ConfigError, merge, validate
from bumpscope.config.model import Model
from bumpscope.config.plan import describe, multiply_adds, planned_cost
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import Arms, step_settings
from bumpscope.denoise.examine import examine, examined
from bumpscope.denoise.named import new_denoiser
from bumpscope.show.figures import loss
from bumpscope.store.results import Results
from bumpscope.store.tables import read_block, read_table

TINY = {
    "seeds": [0],
    "training": {"steps": 6, "batch_size": 8, "warmup_steps": 2, "checkpoints": [0, 6]},
    "probe": {"checkpoints": [6], "samples": 16, "sampling_steps": 3, "layers": ["down3"], "timesteps": [100]}
    | {"effect_timesteps": [450], "effect_samples": 32},
    "model": {"channel_multipliers": [1, 1, 1], "embedding_width": 8, "attention_resolutions": [1]},
}
PLACE = {"image_size": 8, "margin": 2.0}
OWN = {"kind": "my_package.net:MLP", "width": 24}


@pytest.fixture
def outside(folder_outside):
    """With the denoiser of docs/extending.md."""
    return folder_outside("my_package/net.py")


def config(denoiser, **keys):
    return validate(TINY | {"datasets": {"mine": PLACE | {"denoiser": denoiser} | keys}})


def test_a_denoiser_from_outside_stands_beside_the_unet_in_one_experiment(outside):
    both = validate(TINY | {"datasets": {"plain": PLACE, "mine": PLACE | {"denoiser": OWN}}})
    counted = examined(both)
    assert counted.keys() == {"mine"}
    for run in both.runs():
        settings = {
            step: canonical_json(step_settings(run, step)) for step in ("dataset", "train", "generate", "effects")
        }
        data, folder = outside / f"{run.dataset}.parquet", outside / run.path
        dataset(settings["dataset"], data)
        train(settings["train"], data, folder, outside / "state" / run.id, "cpu")
        checkpoints = folder / "checkpoints"
        generate(settings["generate"], checkpoints, folder / "samples.parquet", folder / "latents.parquet", "cpu")
        effects(settings["effects"], checkpoints, folder / "effects.parquet", folder / "frequency.parquet", "cpu")
    runs(json.dumps({run.dataset: [0] for run in both.runs()}), outside, outside / "runs.parquet")
    table = read_table("runs", outside / "runs.parquet").set_index("dataset")
    assert table["denoiser"].to_dict() == {"plain": "unet", "mine": "my_package.net:MLP(width=24)"}
    assert table["reference"].tolist() == ["none", "none"]
    assert table[["network", "trained", "code"]].nunique().tolist() == [2, 2, 2]
    assert table.loc["mine", "n_parameters"] == counted["mine"].parameters
    assert read_block("latents", outside / "runs/mine/seed=0/latents.parquet", "vector").shape[1] == OWN["width"]
    losses = loss.select(Results(outside))
    titles = {axes.get_title(loc="left") for axes in loss.draw(losses).axes}
    assert {"plain", "mine"} <= titles  # in one figure
    assert len(read_table("effects", outside / "runs/mine/seed=0/effects.parquet")) == 4


def test_an_arm_from_outside_says_what_it_is_told(outside):
    file = outside / "my_package/net.py"
    file.write_text(file.read_text().replace("    layers =", '    told = "nothing but numbers"\n    layers ='))
    arms = Arms.of_runs(config(OWN, shown={"each": 2}).runs())
    count_arms(canonical_json(arms.plain), outside / "arms.parquet")
    (row,) = read_table("arms", outside / "arms.parquet").to_dict("records")
    assert (row["dataset"], row["told"]) == ("mine", "nothing but numbers")
    assert row["operations"] == examine(next(config(OWN).runs())).forward


def test_cost_is_planned_from_counted_operations(outside):
    one = config(OWN)
    counted = examined(one)
    forward = (64 + 5) * 24 + 24 * 24 + 24 * 64
    assert counted["mine"].forward == forward
    # The first layer needs no gradient of its input.
    assert counted["mine"].trained == 3 * forward - (64 + 5) * 24
    cheap, dear = planned_cost(one.runs(), counted), planned_cost(one.runs())
    assert cheap.loc["mine", "train"] < dear.loc["mine", "train"]
    assert "mine" in describe(one, counted=counted)


def test_operations_counted_are_those_of_the_formula_for_the_unet():
    (run,) = validate({"seeds": [0], "datasets": {"plain": {}}}).runs()
    found, forward = examine(run), multiply_adds(run.lattice.image_size, run.model)
    assert found.forward == pytest.approx(forward, rel=0.1)
    assert found.trained == pytest.approx(3 * forward, rel=0.1)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_denoisers_of_the_package_pass_their_own_trial(kind):
    one = PLACE | {"denoiser": {"kind": kind}, "probe": {"layers": ["up3"]}}
    (run,) = validate(TINY | {"datasets": {"one": one}}).runs()
    assert examine(run).parameters > 0


def test_either_way_to_name_a_reference_gives_the_same_run():
    older, newer = (
        next(validate(TINY | {"datasets": {"one": PLACE | keys}}).runs())
        for keys in (
            {"model": {"reference": "gated"}},
            {"denoiser": {"kind": "gated"}},
        )
    )
    assert older == newer
    assert older.denoiser.kind == "gated"
    model = Model(**TINY["model"], reference="gated")
    assert type(new_denoiser(Lattice(**PLACE), model, Diffusion(), 0)).__name__ == "Gated"


def test_a_preset_replaces_a_denoiser_whole():
    assert merge({"denoiser": OWN}, {"denoiser": {"kind": "unet"}}) == {"denoiser": {"kind": "unet"}}


FAULTS = {
    "no_module": ({"kind": "my_package.nets:MLP"}, "", "kind: my_package.nets cannot be imported"),
    "no_package": ({"kind": "no_such_thing:MLP"}, "", "no module no_such_thing"),
    "no_class": ({"kind": "my_package.net:MLPs"}, "", "my_package.net has no MLPs"),
    "no_denoiser": ({"kind": "my_package.net:nn"}, "", "kind: my_package.net:nn is no class"),
    "unknown_key": ({**OWN, "wide": 3}, "", "wide: unknown key of my_package.net:MLP; allowed: kind, width"),
    "wrong_value": ({**OWN, "width": "x"}, "", "cannot be built (TypeError"),
    "missing_key": (OWN, ("width: int = 128", "width: int, depth: int"), "depth: is missing"),
    "syntax": (OWN, ("class MLP", "clas MLP"), "cannot be built (SyntaxError"),
    "no_forward": (OWN, ("def forward", "def predict"), "has no method forward"),
    "no_layers": (OWN, ('layers = ("down3", "up2")', ""), "has no layers"),
    "shape": (OWN, (".view_as(x)", ""), "the prediction of my_package.net:MLP is [16, 64]"),
    "taps": (OWN, ("taps.update(down3=first, up2=second)", "taps.update(down3=first)"), "does not fill taps with up2"),
    "keep": (OWN, ("keep * (labels", "(labels"), "uses labels for which keep is 0"),
    "raises": (OWN, ("self.second(first)", "self.third(first)"), "fails to predict (AttributeError"),
    "import": (OWN, ("import Denoiser, Task", "import Denoisers, Task"), "cannot be built (ImportError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_denoiser_that_cannot_work_is_one_line(outside, fault):
    denoiser, change, told = FAULTS[fault]
    file = outside / "my_package/net.py"
    if change:
        assert change[0] in file.read_text()
        file.write_text(file.read_text().replace(*change))
    with pytest.raises(ConfigError) as error:
        examined(config(denoiser))
    (line,) = error.value.faults
    assert line.startswith("datasets.mine.denoiser.")
    assert told in line and "\n" not in line


def test_layers_that_a_denoiser_does_not_have_are_told(outside):
    with pytest.raises(ConfigError, match=r"probe.layers: up1 is not in my_package.net:MLP; allowed: from down3, up2"):
        examined(config(OWN, probe={"layers": ["up1"]}))
    swapped = {"interventions": [6], "intervention_layers": ["bottleneck"], "layers": ["down3"]}
    assert examined(config(OWN, probe=swapped))["mine"].layers == ("down3", "up2")  # has no interventions
    file = outside / "my_package/net.py"
    file.write_text(file.read_text().replace("    layers = ", "    intervenes = True\n    layers = ", 1))
    sys.modules.pop("my_package.net")
    with pytest.raises(ConfigError, match=r"probe.intervention_layers: bottleneck is not in my_package.net:MLP"):
        examined(config(OWN, probe=swapped))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"denoiser": {"kind": "unett"}}, 'datasets.mine.denoiser.kind: holds "unett" (text); allowed: one of unet'),
        ({"denoiser": {"kind": 3}}, "datasets.mine.denoiser.kind: holds 3 (whole number); allowed: text"),
        ({"denoiser": "unet"}, "datasets.mine.denoiser: holds"),
        ({"denoiser": {"kind": "gated", "gate": 1}}, "datasets.mine.denoiser.gate: unknown key"),
        (
            {"denoiser": OWN, "model": {"reference": "gated"}},
            'model.reference: holds "gated" (text); allowed: none, since',
        ),
        ({"denoiser": {"kind": "factorised"}, "polarity": "dark"}, 'datasets.mine.denoiser.kind: holds "factorised"'),
    ],
)
def test_faults_that_need_no_torch_are_told_with_all_others(keys, told):
    with pytest.raises(ConfigError) as error:
        validate(TINY | {"datasets": {"mine": PLACE | keys}})
    assert told in "\n".join(error.value.faults)


def test_weights_depend_on_the_seed_and_leave_the_global_stream_alone(outside):
    (run,) = config(OWN).runs()
    before = torch.get_rng_state()
    networks = [new_denoiser(run.lattice, run.model, run.diffusion, seed, run.denoiser) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    first, again, other = (network.first.weight for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
