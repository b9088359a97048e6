"""Configurations: every fault told before any work starts, and just the right settings handed to each step."""

import copy
import re

import pytest
import yaml

from bumpscope.config.experiment import Config
from bumpscope.config.loading import ConfigError, load, merge, read_yaml, validate
from bumpscope.config.model import LAYERS
from bumpscope.config.sensitivity import Sensitivity
from bumpscope.config.variants import readings

# Written out, so that these tests do not depend on what the default experiment happens to be.
EXPERIMENT = {
    "output": "results",
    "seeds": [0, 1, 2, 3, 4],
    "device": "auto",
    "datasets": {"balanced": {"image_size": 16, "sigma": 1.0, "margin": 2.0, "dx": 1.0, "dy": 1.0}},
    "model": {"base_width": 8, "channel_multipliers": [1, 2, 4], "attention_resolutions": [4, 2]},
    "diffusion": {"timesteps": 1000, "schedule": "linear", "prediction": "v"},
    "training": {"steps": 1500, "batch_size": 64, "warmup_steps": 50, "checkpoints": list(range(0, 1501, 50))},
    "probe": {"checkpoints": [0, 100, 500, 1500], "samples": 512, "sampling_steps": 25, "timesteps": [239, 39]},
    "analysis": {"tolerance": 1.0, "faint": 0.25},
}
B = "datasets.balanced"
DDIM = {"sampler": "ddim", "sampling_steps": 10}
HOLDOUT = {"x": [5.0, 8.0], "y": [5.0, 8.0]}


def altered(*changes):
    """The experiment with (dotted path, value) pairs laid in."""
    plain = copy.deepcopy(EXPERIMENT)
    for path, value in changes:
        *folders, last = path.split(".")
        place = plain
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return plain


def faults_of(plain):
    with pytest.raises(ConfigError) as caught:
        validate(plain)
    assert str(caught.value).splitlines() == caught.value.faults  # one line each
    return caught.value.faults


# (path that is set, value, path that is told, what is told to be allowed)
WRONG = [
    # misspelt keys, at every level; the allowed ones are listed
    ("trainning", {}, "trainning", "output, seeds, device, runs_per_job, check_disk, datasets, more_datasets, sweep"),
    ("training.step", 5, "training.step", "steps, batch_size"),
    ("model.width", 8, "model.width", "base_width"),
    ("diffusion.beta", 1.0, "diffusion.beta", "timesteps, schedule, prediction"),
    ("probe.sample", 64, "probe.sample", "samples"),
    ("analysis.tolerence", 1.0, "analysis.tolerence", "tolerance, tolerances, faint"),
    (f"{B}.size", 16, f"{B}.size", "image_size, sigma"),
    (f"{B}.skew.exponent", 1.0, f"{B}.skew.exponent", "axis, alpha"),
    (f"{B}.holdout", HOLDOUT | {"z": [1.0, 2.0]}, f"{B}.holdout.z", "x, y"),
    (f"{B}.training.step", 5, f"{B}.training.step", "steps, batch_size"),
    (f"{B}.model.width", 8, f"{B}.model.width", "base_width"),
    (f"{B}.diffusion.T", 8, f"{B}.diffusion.T", "timesteps, schedule, prediction"),
    (f"{B}.probe.sample", 8, f"{B}.probe.sample", "samples"),
    (f"{B}.analysis", {"tolerance": 2.0}, f"{B}.analysis", "image_size, sigma"),
    # wrong types
    ("output", 3, "output", "text"),
    ("output", "", "output", "text that is not empty"),
    ("seeds", 3, "seeds", "a list"),
    ("seeds", ["0"], "seeds.0", "a whole number"),
    ("seeds", [True], "seeds.0", "a whole number"),
    ("seeds", [0.5], "seeds.0", "a whole number"),
    ("datasets", [], "datasets", "a mapping"),
    (B, None, B, "a mapping of keys to values"),
    ("training", None, "training", "a mapping of keys to values"),
    ("training", [], "training", "a mapping of keys to values"),
    (f"{B}.training", 5, f"{B}.training", "a mapping of keys to values"),
    ("training.steps", 5.0, "training.steps", "a whole number"),
    ("training.steps", None, "training.steps", "a whole number"),
    ("training.learning_rate", "1e-3", "training.learning_rate", "write 1.0e-3"),
    (f"{B}.sigma", "2e0", f"{B}.sigma", "write 1.0e-3"),
    ("training.batch_size", "64", "training.batch_size", "a whole number"),
    (f"{B}.sigma", True, f"{B}.sigma", "a number"),
    (f"{B}.dx", [1.0], f"{B}.dx", "a number"),
    ("probe.layers", "down3", "probe.layers", "a list"),
    ("probe.checkpoints", [0, 100.5], "probe.checkpoints.1", "a whole number"),
    # words that are not on the list
    ("device", "tpu", "device", "one of auto, cpu or cuda"),
    *[
        ("runs_per_job", wrong, "runs_per_job", "auto or a whole number from 1 to 64")
        for wrong in ("many", 0, 65, True, 2.0)
    ],
    ("diffusion.schedule", "quadratic", "diffusion.schedule", "one of linear or cosine"),
    ("diffusion.prediction", "x0", "diffusion.prediction", "one of epsilon or v"),
    ("training.learning_rate_schedule", "step", "training.learning_rate_schedule", "one of constant or cosine"),
    ("probe.sampler", "ddpm", "probe.sampler", "one of ddim or ancestral"),
    ("probe.weights", "mean", "probe.weights", "one of raw, ema or both"),
    ("probe.layers", ["down3", "layer4"], "probe.layers.1", ", ".join(LAYERS[:-1])),
    (f"{B}.boundary", "sphere", f"{B}.boundary", "one of plane or torus"),
    (f"{B}.polarity", "grey", f"{B}.polarity", "one of bright or dark"),
    (f"{B}.skew.axis", "z", f"{B}.skew.axis", "one of none, x, y or both"),
    (f"{B}.holdout", "all", f"{B}.holdout", "none, or {x: [low, high], y: [low, high]}"),
    # ranges
    ("seeds", [], "seeds", "length 1 or more"),
    ("seeds", [-1], "seeds.0", "a number >= 0"),
    ("seeds", [2**31], "seeds.0", "a number < 2147483648"),
    ("training.steps", 0, "training.steps", "a number >= 1"),
    ("training.batch_size", 0, "training.batch_size", "a number >= 1"),
    ("training.learning_rate", 0.0, "training.learning_rate", "a number > 0"),
    ("training.learning_rate", 1.5, "training.learning_rate", "a number <= 1"),
    ("training.ema_decay", 1.0, "training.ema_decay", "a number < 1"),
    ("training.gradient_clip", 0.0, "training.gradient_clip", "a number > 0"),
    ("training.checkpoints", [-1], "training.checkpoints.0", "a number >= 0"),
    ("training.checkpoints", [], "training.checkpoints", "length 1 or more"),
    ("diffusion.timesteps", 9, "diffusion.timesteps", "a number >= 10"),
    ("model.base_width", 12, "model.base_width", "a multiple of 8"),
    ("model.channel_multipliers", [1, 2], "model.channel_multipliers", "length 3"),
    ("model.channel_multipliers", [1, 2, 4, 8], "model.channel_multipliers", "length 3"),
    ("model.channel_multipliers", [0, 2, 4], "model.channel_multipliers.0", "a number >= 1"),
    ("probe.samples", 15, "probe.samples", "a number >= 16"),
    ("analysis.faint", 1.5, "analysis.faint", "a number <= 1"),
    ("analysis.tolerance", 0.0, "analysis.tolerance", "a number > 0"),
    (f"{B}.image_size", 20, f"{B}.image_size", "a multiple of 8"),
    (f"{B}.sigma", 0.0, f"{B}.sigma", "a number > 0"),
    (f"{B}.skew", {"axis": "x", "alpha": -1.0}, f"{B}.skew.alpha", "a number >= 0"),
    (f"{B}.seeds", [], f"{B}.seeds", "length 1 or more"),
    (f"{B}.training.steps", 0, f"{B}.training.steps", "a number >= 1"),
    # not numbers, not finite
    ("training.learning_rate", float("nan"), "training.learning_rate", "a finite number"),
    ("analysis.tolerance", float("inf"), "analysis.tolerance", "a finite number"),
    (f"{B}.margin", float("inf"), f"{B}.margin", "a finite number"),
    (f"{B}.holdout", {"x": [float("nan"), 1.0], "y": [1.0, 2.0]}, f"{B}.holdout.x.0", "a finite number"),
    # names of datasets
    ("datasets", {}, "datasets", "one dataset or more, or a sweep that makes one"),
    ("datasets.0p5", {}, "datasets.0p5", "a letter, then letters, digits, _ and -"),
    ("datasets", {"a b": {}}, "datasets.a b", "a letter, then letters, digits, _ and -"),
    ("datasets", {"../up": {}}, "datasets.../up", "a letter, then letters, digits, _ and -"),
    ("datasets", {7: {}}, "datasets.7", "text"),
    ("datasets", {"balanced": {}, "Balanced": {}}, "datasets", "differ in more than case"),
    # what only a shell would read
    ("output", "$SCRATCH/results", "output", "without { } ~ * ? [ ] $"),
    ("output", "~/results", "output", "without { } ~ * ? [ ] $"),
    # what does not fit together
    ("seeds", [0, 1, 0], "seeds", "each seed once"),
    (f"{B}.seeds", [4, 4], f"{B}.seeds", "each seed once"),
    (f"{B}.sigma", 5.0, f"{B}.sigma", "at most image_size / 4 = 4.0"),
    (f"{B}.sigma", 0.49, f"{B}.sigma", "at least 0.5 px"),
    (f"{B}.margin", 8.0, f"{B}.margin", "less than image_size / 2 = 8.0"),
    (f"{B}.boundary", "torus", f"{B}.margin", "0 on a torus"),
    (f"{B}.dx", 0.7, f"{B}.dx", "divides image_size - 2 margin = 12 into a whole number"),
    (f"{B}.dy", 5.0, f"{B}.dy", "divides image_size - 2 margin = 12 into a whole number"),
    (f"{B}.dx", 24.0, f"{B}.dx", "divides image_size - 2 margin = 12 into a whole number"),
    (f"{B}.dx", 1e8, f"{B}.dx", "divides image_size - 2 margin = 12 into a whole number"),
    (f"{B}.dx", 5e-324, f"{B}.dx", "divides image_size - 2 margin = 12 into a whole number"),
    (f"{B}.dx", 0.00001, f"{B}.dx, dy", "at most 250000 lattice points"),
    (f"{B}.skew", {"axis": "none", "alpha": 1.0}, f"{B}.skew.alpha", "0 while skew.axis is none"),
    (f"{B}.holdout", {"x": [5.0], "y": [5.0, 8.0]}, f"{B}.holdout.x", "length 2"),
    (f"{B}.holdout", {"x": [5.0, 8.0]}, f"{B}.holdout.y", "must be given"),
    (f"{B}.holdout", {"x": [8.0, 5.0], "y": [5.0, 8.0]}, f"{B}.holdout.x", "1.5 <= low <= high <= 13.5"),
    (f"{B}.holdout", {"x": [5.0, 8.0], "y": [5.0, 14.0]}, f"{B}.holdout.y", "1.5 <= low <= high <= 13.5"),
    (f"{B}.holdout", {"x": [5.1, 5.4], "y": [5.0, 8.0]}, f"{B}.holdout.x", "at least one lattice position in it"),
    (f"{B}.holdout", {"x": [5.0, 8.0], "y": [2.0, 13.0]}, f"{B}.holdout.y", "leaves at least one position out"),
    ("model.attention_resolutions", [5], "model.attention_resolutions", "from [16, 8, 4, 2]"),
    ("model.attention_resolutions", [4, 4], "model.attention_resolutions", "each once"),
    (f"{B}.model.attention_resolutions", [1], f"{B}.model.attention_resolutions", "from [16, 8, 4, 2]"),
    ("training.warmup_steps", 1501, "training.warmup_steps", "at most training.steps = 1500"),
    ("training.checkpoints", [*EXPERIMENT["training"]["checkpoints"], 1501], "training.checkpoints", "steps = 1500"),
    ("training.checkpoints", [0, 100, 50], "training.checkpoints", "increasing"),
    ("probe.checkpoints", [0, 100, 100], "probe.checkpoints", "increasing steps, each once"),
    ("probe.checkpoints", [0, 77], "probe.checkpoints", "in training.checkpoints"),
    ("probe.sampling_steps", 1001, "probe.sampling_steps", "at most diffusion.timesteps = 1000"),
    ("probe.timesteps", [1000], "probe.timesteps", "less than diffusion.timesteps = 1000"),
    ("probe.timesteps", [39, 39], "probe.timesteps", "each t once"),
    ("probe.effect_timesteps", [300, 1000], "probe.effect_timesteps", "less than diffusion.timesteps = 1000"),
    ("probe.layers", ["up1", "up1"], "probe.layers", "each layer once"),
    ("analysis.tolerance", 17.0, "analysis.tolerance", "at most image_size (16"),
    (B, {"polarity": "dark", "model": {"reference": "factorised"}}, f"{B}.model.reference", "another with pol"),
    # what is varied
    ("sensitivity.tolerance", [1.0], "sensitivity.tolerance", "tolerances, layers, timesteps, samples, samplers"),
    ("sensitivity.tolerances", 2.0, "sensitivity.tolerances", "a list"),
    ("sensitivity.tolerances", [0.0], "sensitivity.tolerances.0", "a number > 0"),
    ("sensitivity.tolerances", [0.5, 17.0], "sensitivity.tolerances", "at most image_size = 16"),
    ("sensitivity.tolerances", [2.0, 2.0], "sensitivity.tolerances", "each once"),
    ("sensitivity.layers", ["up9"], "sensitivity.layers.0", ", ".join(LAYERS[:-1])),
    ("sensitivity.layers", ["up1", "up1"], "sensitivity.layers", "each once"),
    ("sensitivity.timesteps", [39, -1], "sensitivity.timesteps.1", "a number >= 0"),
    ("sensitivity.timesteps", [39, 1000], "sensitivity.timesteps", "less than diffusion.timesteps = 1000"),
    ("sensitivity.timesteps", [39, 39], "sensitivity.timesteps", "each once"),
    ("sensitivity.samples", [15], "sensitivity.samples.0", "a number >= 16"),
    ("sensitivity.samples", [64.0], "sensitivity.samples.0", "a whole number"),
    ("sensitivity.samples", [64, 64], "sensitivity.samples", "each once"),
    ("sensitivity.samplers", ["ddim"], "sensitivity.samplers.0", "a mapping of keys to values"),
    ("sensitivity.samplers", [{"sampler": "ddim"}], "sensitivity.samplers.0.sampling_steps", "must be given"),
    ("sensitivity.samplers", [DDIM | {"sampler": "ddpm"}], "sensitivity.samplers.0.sampler", "ddim or ancestral"),
    ("sensitivity.samplers", [DDIM | {"steps": 4}], "sensitivity.samplers.0.steps", "sampler, sampling_steps"),
    ("sensitivity.samplers", [DDIM | {"sampling_steps": 1}], "sensitivity.samplers.0.sampling_steps", ">= 2"),
    ("sensitivity.samplers", [DDIM | {"sampling_steps": 1001}], "sensitivity.samplers", "diffusion.timesteps = 1000"),
    ("sensitivity.samplers", [DDIM, DDIM], "sensitivity.samplers", "each once"),
]


@pytest.mark.parametrize(("path", "value", "told", "allowed"), WRONG, ids=lambda part: str(part)[:40])
def test_a_wrong_value_is_told_with_its_path_and_what_is_allowed(path, value, told, allowed):
    plain = altered((path, value))
    matching = [fault for fault in faults_of(plain) if fault.startswith(f"{told}: ")]
    assert len(matching) == 1
    assert "\n" not in matching[0]
    # A fault names the path, shows the value and says what may stand there.
    assert re.search(r": (unknown key \()?holds? ", matching[0]) or ": is missing; " in matching[0]
    assert allowed in matching[0].partition("; ")[2]
    assert "; allowed: " in matching[0] or matching[0].endswith("; it must be given")


def test_a_key_that_cannot_be_printed_is_told_on_one_line():
    (fault,) = faults_of(altered(("a\nb\x00é", 1)))
    assert fault.startswith("a\\nb\\x00é: unknown key (holds 1")


def test_default_levels_that_do_not_fit_are_no_fault_where_they_are_written_out():
    short = altered(("diffusion.timesteps", 20), ("probe.sampling_steps", 5), ("probe.timesteps", [10]))
    short["probe"]["effect_timesteps"] = [10]
    written = short | {"sensitivity": Sensitivity().model_dump(mode="json")}
    assert readings(validate(written)) == readings(validate(short))


def test_several_faults_are_told_together_a_line_each():
    plain = altered(
        ("training.steps", 0), ("training.batchsize", 8), (f"{B}.sigma", "1e0"), ("device", "gpu"), ("seeds", [0, -2])
    )
    told = faults_of(plain)
    assert sorted(fault.partition(":")[0] for fault in told) == [
        "datasets.balanced.sigma",
        "device",
        "seeds.1",
        "training.batchsize",
        "training.steps",
    ]


def test_several_contradictions_are_told_together():
    told = faults_of(
        altered(("training.steps", 40), ("probe.layers", ["up1", "up1"]), (f"{B}.dx", 0.7), ("seeds", [1, 1]))
    )
    assert [fault.partition(":")[0] for fault in told] == [
        "seeds",
        "datasets.balanced.dx",
        "training.warmup_steps",
        "training.checkpoints",
        "probe.layers",
    ]


def test_a_fault_of_global_keys_is_told_once_and_one_of_an_override_for_its_dataset():
    lattice = EXPERIMENT["datasets"]["balanced"]
    shared = {"a": lattice, "b": lattice, "c": lattice | {"probe": {"timesteps": [2000]}}}
    told = faults_of(altered(("datasets", shared), ("probe.sampling_steps", 2000), ("probe.timesteps", [39])))
    assert [fault.partition(":")[0] for fault in told] == [
        "probe.sampling_steps",
        "datasets.c.probe.sampling_steps",
        "datasets.c.probe.timesteps",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seeds: [0]\nseeds: [1]\n", "line 2, column 1 is not valid YAML: the key 'seeds' is given twice"),
        ("training: {steps: 1, steps: 2}\n", "the key 'steps' is given twice"),
        ("- 1\n- 2\n", "it must be a mapping of keys to values"),
        ("just words\n", "it must be a mapping of keys to values"),
        ("seeds: [0, 1\n", "is not valid YAML"),
        ("a: b: c\n", "line 1, column 5 is not valid YAML"),
        ("? [1, 2]\n: 3\n", "line 1, column 3 is not valid YAML: a key is text"),
        ("output: 2020-13-45\n", "holds a value that YAML cannot read"),
        ("output: !!int x\n", "holds a value that YAML cannot read"),
        ("output: !!python/object:os.system x\n", "is not valid YAML"),
        ("output: \x00\n", "is not valid YAML"),
        ("---\nseeds: [0]\n---\nseeds: [1]\n", "is not valid YAML"),
        ("2020-01-01: 3\n", "keys that are text"),
        ("training: {2020-01-01: 3}\n", "keys that are text"),
        ("training: {steps: {2020-01-01: 3}}\n", "allowed: a whole number"),
        ("seeds: &loop [*loop]\n", "allowed: a whole number"),
    ],
)
def test_a_file_that_is_no_configuration_is_told_in_one_line(tmp_path, text, told):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.faults) == 1
    assert "\n" not in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"\xff\xfe\x00", "is not UTF-8 text")])
def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path, content, told):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{path}: {told}"):
        load(path)


def test_an_empty_file_is_the_default_experiment(tmp_path):
    (tmp_path / "config.yaml").write_text("# nothing\n")
    assert load(tmp_path / "config.yaml") == Config()


def test_yaml_anchors_may_be_merged_and_overridden(tmp_path):
    lattice = "{image_size: 16, sigma: 1.0, margin: 2.0, dx: 1.0, dy: 1.0}"
    (tmp_path / "config.yaml").write_text(f"datasets:\n  a: &a {lattice}\n  b: {{<<: *a, dx: 0.5}}\n")
    config = load(tmp_path / "config.yaml")
    assert (config.datasets["b"].dx, config.datasets["b"].dy) == (0.5, 1.0)


def test_a_preset_replaces_datasets_and_lists_whole_and_merges_other_sections_key_by_key():
    base = {
        "datasets": {"a": {"dx": 1.0}, "b": {"dx": 2.0}},
        "training": {"steps": 10, "checkpoints": [0, 5, 10]},
        "seeds": [0, 1, 2],
        "device": "cpu",
    }
    preset = {"datasets": {"b": {"dy": 3.0}}, "training": {"checkpoints": [10]}, "seeds": [7]}
    assert merge(base, preset) == {
        "datasets": {"b": {"dy": 3.0}},
        "training": {"steps": 10, "checkpoints": [10]},
        "seeds": [7],
        "device": "cpu",
    }
    assert base["training"]["checkpoints"] == [0, 5, 10]  # the base is left alone


def test_presets_are_laid_over_a_file_in_their_order(tmp_path):
    (tmp_path / "config.yaml").write_text("seeds: [0, 1]\ntraining: {steps: 900, batch_size: 32}\n")
    (tmp_path / "preset.yaml").write_text("training: {steps: 1600}\ndatasets: {only: {dx: 0.5}}\n")
    config = load(tmp_path / "config.yaml", tmp_path / "preset.yaml", {"training": {"steps": 1700}, "seeds": [5]})
    assert (config.training.steps, config.training.batch_size, config.seeds) == (1700, 32, [5])
    assert list(config.datasets) == ["only"]
    assert config.datasets["only"].dy == 1.0


def test_a_dataset_overrides_just_the_keys_that_it_names():
    own = {
        "seeds": [3],
        "training": {"steps": 2000},
        "probe": {"samples": 64},
        "model": {"base_width": 16},
        "diffusion": {"prediction": "epsilon"},
    }
    config = validate(altered(("datasets.other", EXPERIMENT["datasets"]["balanced"] | own)))
    runs = {run.id: run for run in config.runs()}
    assert list(runs) == [*(f"balanced-seed{seed}" for seed in range(5)), "other-seed3"]
    balanced, other = runs["balanced-seed0"], runs["other-seed3"]
    assert other.training == balanced.training.model_copy(update={"steps": 2000})
    assert other.probe == balanced.probe.model_copy(update={"samples": 64})
    assert other.model == balanced.model.model_copy(update={"base_width": 16})
    assert other.diffusion == balanced.diffusion.model_copy(update={"prediction": "epsilon"})
    assert other.lattice == balanced.lattice
    assert other.path == "runs/other/seed=3"


def test_contradictions_are_looked_for_in_overridden_settings():
    own = EXPERIMENT["datasets"]["balanced"] | {"training": {"steps": 100}}
    told = faults_of(altered(("datasets", {"short": own})))
    assert [fault.partition(":")[0] for fault in told] == ["datasets.short.training.checkpoints"]


def test_the_margin_in_force_is_written_into_the_lattice_of_a_run():
    lattices = {"plane": {"sigma": 1.5}, "ring": {"boundary": "torus"}, "given": {"margin": 0.0}}
    margins = {run.dataset: run.lattice.margin for run in validate(altered(("datasets", lattices))).runs()}
    assert margins == {"plane": 3.0, "ring": 0.0, "given": 0.0}


def test_read_yaml_of_a_written_configuration_gives_it_back(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    assert read_yaml(tmp_path / "config.yaml") == EXPERIMENT
