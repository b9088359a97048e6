"""What `snakemake sensitivity` changes, computed from a configuration before any job."""

import json

import pytest

from bumpscope.config.experiment import Config
from bumpscope.config.loading import validate
from bumpscope.config.model import LAYERS
from bumpscope.config.readings import CONFIGURED, Readings
from bumpscope.config.variants import readings, variants

SPARING = {"tolerances": [], "layers": [], "timesteps": [], "samples": [], "samplers": [], "weights": []}


def configuration(sensitivity=None, **other):
    plain = {"seeds": [0, 1], "datasets": {"plane": {}, "ring": {"boundary": "torus"}}}
    return validate(plain | other | {"sensitivity": sensitivity or {}})


def test_only_runs_on_balanced_planes_are_varied():
    datasets = {
        "wide": {"dx": 0.5, "dy": 2.0},
        "skewed": {"skew": {"axis": "x", "alpha": 1.0}},
        "both": {"skew": {"axis": "both", "alpha": 1.0}},
        "ring": {"boundary": "torus"},
        "plane": {},
        "dense": {"dx": 0.5, "dy": 0.5, "seeds": [3]},
        "withheld": {"holdout": {"x": [5.0, 8.0], "y": [5.0, 8.0]}},
    }
    config = configuration(datasets=datasets)
    planes = ["plane-seed0", "plane-seed1", "dense-seed3", "withheld-seed0", "withheld-seed1"]
    assert [run.id for run in config.balanced_plane_runs()] == planes
    assert all([run.id for run in runs] == planes for runs in variants(config).values())
    assert readings(config).runs == {"plane": [0, 1], "dense": [3], "withheld": [0, 1]}


def test_the_configured_variant_reads_everywhere_and_first_where_the_experiment_does():
    config = configuration(probe={"layers": ["up1", "down1"], "timesteps": [100, 500]})
    run = variants(config)[CONFIGURED][0]
    assert run.probe.layers == ["up1", *(layer for layer in LAYERS if layer != "up1")]
    assert run.probe.timesteps == [100, 639, 239, 39]
    assert run.probe.model_copy(update={"layers": ["up1", "down1"], "timesteps": [100, 500]}) == config.probe


def test_every_other_variant_changes_one_thing_and_reads_at_one_place():
    config = configuration(probe={"layers": ["up1", "down1"], "timesteps": [100, 500]})
    changes = {
        "samples=128": {"samples": 128},
        "samples=256": {"samples": 256},
        "ddim-10": {"sampling_steps": 10},
        "ddim-50": {"sampling_steps": 50},
        "ancestral-100": {"sampler": "ancestral", "sampling_steps": 100},
        "weights=ema": {"weights": "ema"},
    }
    found = variants(config)
    assert list(found) == [CONFIGURED, *changes]
    for name, change in changes.items():
        expected = config.probe.model_copy(update=change | {"layers": ["up1"], "timesteps": [100]})
        assert {run.id: run.probe for run in found[name]} == {"plane-seed0": expected, "plane-seed1": expected}


def test_a_dataset_that_is_probed_so_already_is_not_probed_again():
    datasets = {"plane": {}, "sparse": {"dx": 2.0, "dy": 2.0, "probe": {"samples": 256}}}
    config = configuration({"samples": [256, 512]}, datasets=datasets)
    assert [run.id for run in variants(config)["samples=256"]] == ["plane-seed0", "plane-seed1"]
    assert [run.id for run in variants(config)["samples=512"]] == ["sparse-seed0", "sparse-seed1"]
    assert readings(config).variants["samples=512"] == ["sparse"]
    # What changes nothing anywhere is no variant and no reading.
    same = configuration(SPARING | {"samples": [512], "samplers": [{"sampler": "ddim", "sampling_steps": 25}]})
    assert list(variants(same)) == [CONFIGURED]
    assert [reading.factor for reading in readings(same).readings] == ["configured"]


def test_readings_change_one_thing_each_and_never_repeat_the_configured_one():
    sensitivity = {"tolerances": [1.0, 2.0], "layers": ["down3", "up1"], "timesteps": [239, 39], "samples": [64]}
    config = configuration(sensitivity | {"samplers": [{"sampler": "ancestral", "sampling_steps": 40}]})
    told = [(r.factor, r.level, r.variant, r.tolerance, r.layer, r.t) for r in readings(config).readings]
    assert told == [
        ("configured", "as configured", CONFIGURED, 1.0, None, None),
        ("tolerance", "2 px", CONFIGURED, 2.0, None, None),
        ("place", "down3 t=39", CONFIGURED, 1.0, "down3", 39),
        ("place", "up1 t=239", CONFIGURED, 1.0, "up1", 239),
        ("place", "up1 t=39", CONFIGURED, 1.0, "up1", 39),
        ("samples", "64 images", "samples=64", 1.0, None, None),
        ("sampler", "ancestral, 40 steps", "ancestral-40", 1.0, None, None),
        ("weights", "averaged weights", "weights=ema", 1.0, None, None),
    ]


def test_a_place_that_is_configured_for_some_runs_alone_is_read_for_all():
    datasets = {"plane": {}, "late": {"probe": {"layers": ["up1"]}}}
    config = configuration(SPARING | {"layers": ["down3", "up1"], "timesteps": [239]}, datasets=datasets)
    assert [r.level for r in readings(config).readings] == ["as configured", "down3 t=239", "up1 t=239"]


def test_a_configuration_of_a_short_diffusion_without_the_section_keeps_working():
    config = validate(
        {
            "datasets": {"plane": {}},
            "diffusion": {"timesteps": 60},
            "probe": {"timesteps": [30], "effect_timesteps": [30]},
        }
    )
    assert {run.probe.sampling_steps for runs in variants(config).values() for run in runs} == {10, 25, 50}
    assert {r.t for r in readings(config).readings if r.factor == "place"} == {39}


def test_without_a_balanced_plane_there_is_nothing_to_read():
    config = configuration(datasets={"ring": {"boundary": "torus"}})
    assert variants(config) == {CONFIGURED: []}
    assert readings(config).runs == {}


@pytest.mark.parametrize("config", [Config(), configuration()], ids=["default", "small"])
def test_readings_survive_the_command_line_and_fit_on_it(config):
    plan = readings(config)
    text = json.dumps(plan.model_dump(mode="json"))
    assert Readings.model_validate_json(text) == plan
    assert len(text) < 20_000
