"""The planned cost rests on a count of operations that torch's own counter confirms."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bumpscope.config import plan
from bumpscope.config.disk import numbers_at, parameters, planned_bytes, run_bytes, shortage
from bumpscope.config.experiment import Config
from bumpscope.config.lattice import Lattice
from bumpscope.config.loading import validate
from bumpscope.config.model import LAYERS, Model
from bumpscope.config.plan import (
    COMPILED_STEPS_ON_GPU,
    STEPS_ON_GPU,
    binned_probes,
    describe,
    gpu_seconds,
    gpu_step_seconds,
    has_nvidia_driver,
    multiply_adds,
    notes,
    nvidia_cards,
    planned_cost,
    run_seconds,
    sensitivity_seconds,
)
from bumpscope.denoise.unet import UNet
from bumpscope.probe import resolution
from bumpscope.probe.frequency import make_binned_probe

SIXTEEN_PIXELS = Model(blocks_per_level=2, embedding_width=56)  # 0.4 million parameters
NETWORKS = pytest.mark.parametrize(
    ("image_size", "keys"),
    [
        (16, {}),
        (32, {"base_width": 16, "attention_resolutions": [8, 4]}),
        (16, {"blocks_per_level": 2, "channel_multipliers": [1, 1, 2], "attention_resolutions": []}),
    ],
)


@NETWORKS
def test_multiply_adds_are_those_torch_counts(image_size, keys):
    model = Model(**keys)
    network = UNet(image_size, model)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.randn(1, 1, image_size, image_size), torch.zeros(1), torch.zeros(1, 2))
    embedding = sum(
        layer.weight.numel()
        for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear) and ("embed" in name or "modulation" in name)
    )
    counted = counter.get_total_flops() / 2 - embedding
    assert multiply_adds(image_size, model) == pytest.approx(counted, rel=0.02)


def test_default_experiment_is_planned_within_fifty_core_minutes():
    assert planned_cost(Config().runs()).to_numpy().sum() <= 50


def test_cost_grows_in_proportion_to_seeds_and_training_steps():
    base = {"seeds": [0], "datasets": {"one": {}}}
    one = planned_cost(validate(base).runs()).loc["one"]
    seeds = planned_cost(validate(base | {"seeds": [0, 1, 2]}).runs()).loc["one"]
    longer = planned_cost(validate(base | {"training": {"steps": 16_000}}).runs()).loc["one"]
    assert seeds.sum() == pytest.approx(3 * one.sum())
    assert longer.train == pytest.approx(10 * one.train, rel=0.1)


def test_plan_names_every_dataset_and_the_sum():
    text = describe(Config())
    for name in Config().all_datasets():
        assert name in text
    assert "In all" in text


def test_an_average_that_hardly_moves_is_noted_with_its_datasets():
    short = {"training": {"steps": 60, "warmup_steps": 10, "checkpoints": [0]}, "probe": {"checkpoints": [0]}}
    slow, fast = {"margin": 2.0, "training": {"ema_decay": 0.9999}}, {"margin": 2.0, "training": {"ema_decay": 0.9}}
    (line,) = notes(validate(short | {"datasets": {"slow": slow, "fast": fast}}))
    assert "99.4%" in line and "0.9999" in line and "60 steps" in line
    assert "slow" in line and "fast" not in line
    assert notes(Config()) == Config().expansion().notes()


def test_sensitivity_is_planned_apart_and_by_what_it_varies():
    base = {"seeds": [0], "datasets": {"one": {}}}
    nothing = {"tolerances": [], "layers": [], "timesteps": [], "samples": [], "samplers": []}

    def seconds(**levels):
        return sensitivity_seconds(validate(base | {"sensitivity": nothing | levels}))

    assert 0 < seconds() < seconds(tolerances=[2.0]) < seconds(layers=["up1"], timesteps=[39, 239])
    twice = seconds(samples=[1024]) - seconds()
    # Twice the images, whose clouds cost more than twice as much, but at a single layer and t.
    assert twice > 1.5 * (seconds(samples=[256]) - seconds())
    ring = validate({"seeds": [0], "datasets": {"ring": {"boundary": "torus"}}})
    assert sensitivity_seconds(ring) < 60
    more = round(sensitivity_seconds(Config()) / 60)
    assert describe(Config()).endswith(f"`snakemake sensitivity` would take {more} more.")


def test_probes_by_frequency_bin_are_counted_as_they_are_made():
    for samples in (32, 256, 1000):
        assert binned_probes(samples) == len(make_binned_probe(Lattice(), 0.2, 300, samples, 0).weight)


def test_fits_on_fine_lattices_take_as_long_as_was_measured():
    assert (plan.MOST_WEIGHTS, plan.FEWEST_PROBES) == (resolution.WEIGHTS, resolution.FEWEST_PROBES)

    def fit(image_size, margin, dx, dy, samples):
        lattice = {"image_size": image_size, "margin": margin, "dx": dx, "dy": dy}
        lattice |= {"model": {"attention_resolutions": [4]}}
        (run,) = validate({"seeds": [0], "datasets": {"d": lattice | {"probe": {"effect_samples": samples}}}}).runs()
        return plan._fit_seconds(run)

    # Medians of three fits each, on a core of an Intel Xeon.
    found = [fit(16, 2, 1, 1, 256), fit(32, 0, 1, 1, 256), fit(32, 0, 0.1, 1, 256), fit(32, 0, 0.1, 0.1, 256)]
    assert found == pytest.approx([0.04, 0.24, 0.87, 0.78], rel=0.5)


def test_probes_by_frequency_bin_and_a_reference_cost_more():
    def run(**keys):
        return next(validate({"datasets": {"d": {"margin": 2.0} | keys}}).runs())

    plain, twice, binned = (
        plan._work(run(probe=probe), None)["effects"][0]
        for probe in ({}, {"effect_samples": 512}, {"frequency_bins": True})
    )
    # 288 images in bins, with three labels each, against 256 with both weights.
    assert (binned - plain) / (twice - plain) == pytest.approx(3 * 288 / (2 * 256))
    plain, pair = run(), run(model={"reference": "factorised"})
    assert run_seconds(pair)["train"] > 1.8 * run_seconds(plain)["train"]


@NETWORKS
def test_parameters_and_activations_are_those_of_the_network(image_size, keys):
    model = Model(**keys)
    network = UNet(image_size, model)
    assert parameters(image_size, model) == sum(parameter.numel() for parameter in network.parameters())
    taps = {}
    with torch.no_grad():
        network(torch.randn(1, 1, image_size, image_size), torch.zeros(1), torch.zeros(1, 2), taps=taps)
    assert {layer: numbers_at(layer, image_size, model) for layer in LAYERS} == {
        layer: tap[0].numel() for layer, tap in taps.items()
    }


def test_room_grows_with_what_is_kept():
    def size(**keys):
        return run_bytes(next(validate({"seeds": [0], "datasets": {"d": {"margin": 2.0}}} | keys).runs()))

    plain = size()
    assert size(probe={"samples": 1024})["images"] == pytest.approx(2 * plain["images"])
    assert size(probe={"layers": ["down3"]})["activations"] < plain["activations"] / 2
    assert size(training={"checkpoints": [0]}, probe={"checkpoints": [0]})["checkpoints"] < plain["checkpoints"] / 3
    none = size(probe={"checkpoints": []})
    assert none["activations"] == none["images"] == 0 < none["checkpoints"]


def test_the_plan_tells_gigabytes_and_on_gpus_their_hours():
    text, on_gpus = describe(Config()), describe(Config(), gpu=True)
    assert "On disk about" in text and "GPU-hours" not in text
    assert "GPU-hours" in on_gpus and "core-minutes of analysis" in on_gpus
    assert "here:" not in on_gpus
    here = describe(Config(), gpu=True, cards=["NVIDIA H200", "NVIDIA H200", "NVIDIA L4"])
    assert "On GPUs (here: 2 NVIDIA H200, 1 NVIDIA L4): about" in here


def test_steps_on_a_gpu_take_what_was_measured_and_between_these_something_between():
    for compiled, known in ((False, STEPS_ON_GPU), (True, COMPILED_STEPS_ON_GPU)):
        for precision, steps in known.items():
            for work, seconds in steps.items():
                assert gpu_step_seconds(work, precision, compiled) == pytest.approx(seconds)
    least, *_, most = STEPS_ON_GPU["float32"]
    assert gpu_step_seconds(least / 100) == gpu_step_seconds(least)
    assert gpu_step_seconds(10 * most) == pytest.approx(10 * gpu_step_seconds(most))
    # 23 million parameters and 16 images took 16.2 ms alone.
    assert gpu_step_seconds(9.2e10) == pytest.approx(0.0162, rel=0.5)
    # A call for a thousand images of 16 x 16 pixels, of which 10,837 a second were drawn in 25 calls each.
    drawn = gpu_step_seconds(1000 * multiply_adds(16, SIXTEEN_PIXELS))
    assert drawn == pytest.approx(1000 / 10_837 / 25, rel=0.2)


def test_where_a_precision_was_not_measured_a_step_is_as_slow_as_in_the_one_before():
    least, _, most = STEPS_ON_GPU["float32"]
    assert gpu_step_seconds(least, "bfloat16", True) == gpu_step_seconds(least, "tf32") == gpu_step_seconds(least)
    assert gpu_step_seconds(most, "bfloat16") == gpu_step_seconds(most, "tf32", True) < gpu_step_seconds(most)


def test_training_is_planned_by_its_precision_and_compiled_or_not():
    def seconds(**training):
        keys = {"datasets": {"d": {}}, "model": SIXTEEN_PIXELS.model_dump(), "training": {"steps": 2000} | training}
        return gpu_seconds(next(validate(keys).runs()))

    assert seconds() > 2000 / 614 + 11
    # Probes are float32 and not compiled all the same.
    assert seconds() - seconds(compile=True) == pytest.approx(2000 * (1 / 614 - 1 / 806), rel=0.01)


def test_runs_that_are_not_probed_take_no_time_for_it():
    lattice = {"image_size": 16, "margin": 2.0}
    plain = {"seeds": [0], "datasets": {"d": lattice}, "training": {"checkpoints": [0, 100]}}
    one, two, three = (
        gpu_seconds(next(validate(plain | {"probe": probe}).runs()))
        for probe in (
            {"checkpoints": []},
            {"checkpoints": [100]},
            {"checkpoints": [100], "interventions": [100]},
        )
    )
    # The images' calls of the network at least, and a start of Python.
    assert two >= one + 3.99 + 50 / 614 and three > two + 4 + 25 * 24 / 614


def test_the_cards_of_a_machine_are_told_by_its_driver(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "DRIVER", tmp_path)
    assert nvidia_cards() == [] and not has_nvidia_driver()
    for number, model in enumerate(["NVIDIA H100 80GB HBM3", "NVIDIA L4"]):
        (tmp_path / f"gpus/0000:0{number}:00.0").mkdir(parents=True)
        text = f"Model: \t\t {model}\nIRQ:   \t\t 11\n"
        (tmp_path / f"gpus/0000:0{number}:00.0/information").write_text(text, encoding="utf-8")
    (tmp_path / "version").touch()
    assert nvidia_cards() == ["NVIDIA H100 80GB HBM3", "NVIDIA L4"] and has_nvidia_driver()


def test_an_experiment_that_does_not_fit_is_told_in_one_line():
    planned = planned_bytes(Config().runs()).total()
    assert shortage(planned, 0, planned) == "" == shortage(planned, planned / 2, planned / 2)
    line = shortage(planned, 0, planned / 2)
    assert "\n" not in line and "check_disk=false" in line
