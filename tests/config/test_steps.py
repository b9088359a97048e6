"""Each step is given just the keys it depends on."""

import json

import pytest
from pydantic import ValidationError
from test_config import EXPERIMENT, B, altered

from bumpscope.config.loading import validate
from bumpscope.config.probe import Probe
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import STEPS, Effects, Generate, Train, step_settings

RUN = next(validate(EXPERIMENT).runs())
PROBED = {"generate", "vary"}
DRAWN = {"interventions", *PROBED}
TRAINED = {"train", "effects", *DRAWN}
# key -> another value, the steps that depend on it
CHANGES = {
    "probe.samples": (64, PROBED),
    "probe.sampler": ("ancestral", DRAWN),
    "probe.sampling_steps": (10, DRAWN),
    "probe.weights": ("ema", PROBED),
    "probe.layers": (["up2"], PROBED),
    "probe.timesteps": ([100], DRAWN),
    "probe.interventions": ([500], {"interventions"}),
    "probe.intervention_layers": (["up2"], {"interventions"}),
    "probe.checkpoints": ([0], PROBED),
    "probe.effect_timesteps": ([100], {"effects"}),
    "probe.effect_samples": (64, {"effects"}),
    "probe.frequency_bins": (True, {"effects"}),
    "probe.geometry": (False, set()),
    "analysis.tolerance": (2.0, {"behaviour", "interventions"}),
    "analysis.tolerances": ({"size": 0.3}, {"behaviour", "interventions"}),
    "analysis.faint": (0.5, {"behaviour", "interventions", "vary"}),
    "training.learning_rate": (1.0e-3, {"train"}),
    "training.batch_size": (32, {"train"}),
    "training.checkpoints": ([0, 100, 500, 1500], {"train", "effects"}),
    "model.base_width": (16, TRAINED),
    "diffusion.prediction": ("epsilon", TRAINED),
    f"{B}.dx": (0.5, {"dataset", "behaviour", "geometry", "phases"} | TRAINED),
    "sensitivity.tolerances": ([3.0], set()),
    "sensitivity.samples": ([64], set()),
    "output": ("elsewhere", set()),
    "device": ("cpu", set()),
    "runs_per_job": (4, set()),
    "check_disk": (False, set()),
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_key_changes_the_settings_of_just_the_steps_that_depend_on_it(key):
    value, expected = CHANGES[key]
    after = next(validate(altered((key, value))).runs())
    assert {step for step in STEPS if step_settings(RUN, step) != step_settings(after, step)} == expected


def test_every_key_of_the_probe_is_read_by_a_step():
    steps = ("generate", "effects", "interventions")
    generation, effects, interventions = (set(step_settings(RUN, step)["probe"]) for step in steps)
    # The other chooses which steps there are.
    assert generation | effects | interventions == set(Probe.model_fields) - {"geometry"}
    assert not generation & effects
    assert interventions - generation == {"interventions", "intervention_layers"}


def test_a_key_left_out_and_its_default_written_out_are_the_same_settings():
    short = validate({"datasets": {"balanced": {}}})
    written = validate(short.model_dump(mode="json", exclude_none=True))
    for step in STEPS:
        of_both = [json.dumps(step_settings(next(config.runs()), step)) for config in (short, written)]
        assert of_both[0] == of_both[1]


@pytest.mark.parametrize("step", STEPS)
def test_the_settings_of_a_step_survive_the_command_line(step):
    settings = STEPS[step].of(RUN)
    assert STEPS[step].model_validate_json(canonical_json(settings.plain)) == settings


@pytest.mark.parametrize("step", STEPS)
def test_a_step_needs_all_that_it_depends_on_and_takes_nothing_else(step):
    plain = step_settings(RUN, step)
    for key in plain.keys() - {"denoiser"}:  # without it, it is the UNet
        with pytest.raises(ValidationError, match=rf"{key}\n  Field required"):
            STEPS[step].model_validate({name: value for name, value in plain.items() if name != key})
    if "denoiser" in plain:
        without = {name: value for name, value in plain.items() if name != "denoiser"}
        assert STEPS[step].model_validate(without).plain == plain
    with pytest.raises(ValidationError, match="Extra inputs"):
        STEPS[step].model_validate(plain | {"device": "cpu"})


def test_the_probe_of_a_step_takes_no_keys_of_the_other():
    for step, key in ((Generate, "effect_samples"), (Effects, "samples")):
        plain = step.of(RUN).plain
        plain["probe"][key] = 64
        with pytest.raises(ValidationError, match="Extra inputs"):
            step.model_validate(plain)


def test_the_settings_of_a_training_are_the_sections_in_force():
    settings = Train.of(RUN)
    assert (settings.run, settings.seed, settings.lattice) == ("balanced-seed0", 0, RUN.lattice)
    assert (settings.model, settings.diffusion, settings.training) == (RUN.model, RUN.diffusion, RUN.training)
