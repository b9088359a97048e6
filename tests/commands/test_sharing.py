"""Probing jobs that make the probes of others beside their own, and find their own made."""

import dataclasses
import json
import logging
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from bumpscope.commands import effects as effects_module
from bumpscope.commands import generate as generate_module
from bumpscope.commands import interventions as interventions_module
from bumpscope.commands import sharing
from bumpscope.commands.dataset import dataset as draw
from bumpscope.commands.effects import effects
from bumpscope.commands.generate import generate
from bumpscope.commands.interface import CommandError
from bumpscope.commands.interventions import interventions
from bumpscope.commands.train import train
from bumpscope.config import steps
from bumpscope.config.loading import validate
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.store.locks import hold
from interrupted_runs import checksums

PLAIN = {
    "seeds": [0, 1],
    "datasets": {"small": {"image_size": 8, "sigma": 1.0, "margin": 2.0}},
    "model": {"channel_multipliers": [1, 1, 1], "attention_resolutions": [1], "embedding_width": 8},
    "training": {"steps": 2, "batch_size": 4, "warmup_steps": 1, "checkpoints": [0, 2]},
    "probe": {
        **{"checkpoints": [2], "samples": 16, "sampling_steps": 2, "layers": ["down3"], "timesteps": [500]},
        **{"effect_timesteps": [450], "effect_samples": 32, "interventions": [2], "intervention_layers": ["down3"]},
    },
}
RUNS = list(validate(PLAIN).runs())
COMMANDS = {"generate": generate, "effects": effects, "interventions": interventions}
TABLES = {"generate": ("samples", "latents"), "effects": ("output", "frequency"), "interventions": ("output",)}
MODULES = (generate_module, effects_module, interventions_module)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The checkpoints of two runs, by run."""
    base = tmp_path_factory.mktemp("sharing")
    draw(canonical_json(step_settings(RUNS[0], "dataset")), base / "dataset.parquet")
    for run in RUNS:
        train(
            canonical_json(step_settings(run, "train")), base / "dataset.parquet", base / run.id, base / "s" / run.id,
            "cpu",
        )  # fmt: skip
    return {run.id: base / run.id / "checkpoints" for run in RUNS}


@pytest.fixture
def plan(tmp_path, checkpoints):
    """All probes of both runs, as the workflow lists them."""
    entries = [
        {
            **{"command": name, "settings": step_settings(run, name), "checkpoints": str(checkpoints[run.id])},
            **{"state": str(tmp_path / "state" / run.id / name), "after": None},
        }
        for name in COMMANDS
        for run in RUNS
    ]
    (tmp_path / "probes.json").write_text(json.dumps(entries), encoding="utf-8")
    return entries


def note(tmp_path, entries):
    (tmp_path / "probes.json").write_text(json.dumps(entries), encoding="utf-8")


def job(folder, entry, together="1", planned=None):
    """Run the job of a planned probe; its tables lie in ``folder`` by run and command."""
    name, run = entry["command"], entry["settings"]["run"]
    tables = {option: folder / run / name / f"{option}.parquet" for option in TABLES[name]}
    given = {"device": "cpu", "state": Path(entry["state"]), "runs_per_job": together, "planned": planned}
    COMMANDS[name](canonical_json(entry["settings"]), Path(entry["checkpoints"]), **tables, **given)


def made(tmp_path):
    """Run and command of the probes that are kept."""
    return sorted(
        f"{path.parent.parent.name} {path.parent.name}"
        for path in (tmp_path / "state").glob("*/*/*.parquet")
        if path.stem in ("samples", "effects", "interventions")
    )


@pytest.fixture
def never(monkeypatch):
    def forbid():
        for module in MODULES:
            monkeypatch.setattr(module, "probe", lambda *_: pytest.fail("made again"))

    return forbid


def test_one_job_makes_the_probes_of_others_and_their_own_jobs_publish_the_same_bytes(plan, tmp_path, never):
    for entry in plan:
        job(tmp_path / "alone", entry)
    assert not (tmp_path / "state").exists()
    job(tmp_path / "shared", plan[2], "2", tmp_path / "probes.json")
    assert [path.name for path in (tmp_path / "shared").glob("*/*")] == ["effects"]
    assert len(made(tmp_path)) == 6
    never()
    for entry in plan:
        job(tmp_path / "shared", entry, "2", tmp_path / "probes.json")
    found = checksums(tmp_path / "shared")
    assert len(found) >= 2 * 5 and found == checksums(tmp_path / "alone")


def test_the_probes_of_the_same_run_come_first_and_no_more_runs_than_asked_for(plan, tmp_path):
    job(tmp_path, plan[1], "1", tmp_path / "probes.json")
    assert made(tmp_path) == []
    order = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "_make_along", lambda other, _: order.append((other.settings.run, other.command)))
        job(tmp_path, plan[1], "2", tmp_path / "probes.json")
    assert order[:2] == [("small-seed1", "effects"), ("small-seed1", "interventions")] and len(order) == 5
    note(tmp_path, [entry | {"settings": {**entry["settings"], "run": f"other{k}"}} for k, entry in enumerate(plan)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "_make_along", lambda other, _: order.append(other.settings.run))
        job(tmp_path, plan[0], "3", tmp_path / "probes.json")
    assert order[5:] == ["other1", "other2"]


@pytest.mark.slow
def test_runs_that_are_trained_again_first_are_left_until_they_are(plan, tmp_path):
    after = tmp_path / "training"
    entries = [entry | {"after": str(after)} for entry in plan]
    note(tmp_path, entries)
    job(tmp_path, plan[0], "2", tmp_path / "probes.json")
    assert made(tmp_path) == ["small-seed0 generate"]
    (after / "some").mkdir(parents=True)
    (after / "some" / "finished").touch()
    job(tmp_path, plan[2], "2", tmp_path / "probes.json")
    assert len(made(tmp_path)) == 6


def test_what_others_are_making_and_what_cannot_be_made_is_left_to_their_jobs(plan, tmp_path, caplog):
    held = hold(tmp_path / "state" / "small-seed0" / "effects", "x")
    entries = [
        entry | {"checkpoints": str(tmp_path / "none")} if "seed1" in entry["state"] else entry for entry in plan
    ]
    note(tmp_path, entries)
    with caplog.at_level(logging.WARNING):
        job(tmp_path, plan[0], "2", tmp_path / "probes.json")
    held.release()
    assert made(tmp_path) == ["small-seed0 generate", "small-seed0 interventions"]
    failed = [message for message in caplog.messages if "failed, and is left to its own job" in message]
    assert len(failed) == 3 and "small-seed1, effects" in failed[1] and "is missing" in failed[1]


@pytest.mark.slow
def test_what_was_made_of_other_settings_is_made_again(plan, tmp_path):
    job(tmp_path, plan[0], "2", tmp_path / "probes.json")
    other = json.loads(json.dumps(plan[2]))
    other["settings"]["probe"]["effect_samples"] = 64
    job(tmp_path / "shared", other, "2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "_others", lambda *_: ())
        job(tmp_path / "alone", other | {"state": str(tmp_path / "elsewhere")})
    assert checksums(tmp_path / "shared") == checksums(tmp_path / "alone")


def test_what_was_made_of_earlier_checkpoints_is_not_taken(plan, tmp_path):
    note(tmp_path, [plan[0], plan[2]])
    job(tmp_path, plan[0], "2", tmp_path / "probes.json")
    own = sharing.Probing("effects", steps.Effects.model_validate(plan[2]["settings"]), Path(plan[2]["checkpoints"]))
    one = dataclasses.replace(own, state=Path(plan[2]["state"]))
    assert one.is_made() and not own.is_made()
    before = min(path.stat().st_mtime_ns for path in one.read) - 10**9
    os.utime(one.kept[0], ns=(before, before))
    assert not one.is_made()


def test_a_wrong_number_of_runs_is_told(plan, tmp_path):
    with pytest.raises(CommandError, match=r"--runs-per-job: holds many; allowed: auto or a number from 1"):
        job(tmp_path, plan[0], "many")


@pytest.mark.parametrize(
    ("device", "gpus", "there", "number"),
    [("auto", 1, True, 8), ("auto", 0, True, 1), ("cpu", 1, True, 1), ("auto", 1, False, 1)],
)
def test_by_itself_a_job_shares_on_a_gpu_alone(monkeypatch, tmp_path, device, gpus, there, number):
    asked = []
    monkeypatch.setattr(sharing.torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(sharing, "runs_in_a_job", lambda text, on_gpu: asked.append(8 if on_gpu else 1) or 1)
    monkeypatch.setattr(sharing.Probing, "make", lambda *_: None)
    monkeypatch.setattr(sharing, "hold_device", lambda *_: nullcontext("cpu"))
    sharing.share(sharing.Probing("generate", None, tmp_path), (), device, gpus, "auto", None)
    assert asked == [number]
