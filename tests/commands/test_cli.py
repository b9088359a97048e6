"""The command line: help for everything, and every mistake told in one line with an exit status."""

import json
import logging
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bumpscope import __version__
from bumpscope.commands import cli, effects, generate, runs, settings, train
from bumpscope.commands.dataset import dataset
from bumpscope.commands.interface import CommandError, execute, read_settings
from bumpscope.config import steps
from bumpscope.config.loading import ConfigError, load, validate
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.store.checkpoints import load_weights
from bumpscope.store.files import FileError
from bumpscope.store.tables import read_block, read_metadata, read_table
from bumpscope.worlds.bumps import lattice_points, render

CONFIG = {
    "seeds": [0, 1],
    "datasets": {
        "small": {"image_size": 8, "margin": 2.0, "dx": 1.0, "dy": 2.0, "holdout": {"x": [2.0, 3.0], "y": [2.0, 3.0]}}
    },
    "model": {"channel_multipliers": [1, 1, 1], "attention_resolutions": [1], "embedding_width": 8},
    "training": {"steps": 4, "batch_size": 4, "warmup_steps": 1, "checkpoints": [0, 2, 4]},
    "probe": {"checkpoints": [0, 4], "samples": 16, "sampling_steps": 3, "timesteps": [300], "effect_samples": 32},
}
RUNS = {run.id: run for run in validate(CONFIG).runs()}


def settings_of(step, run="small-seed0"):
    return canonical_json(step_settings(RUNS[run], step))


def bumpscope(*arguments, **environment):
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "bumpscope", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


def called(monkeypatch, *arguments):
    """Exit status of the command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["bumpscope", *map(str, arguments)])
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_the_usage_names_every_command(monkeypatch, capsys, arguments):
    assert called(monkeypatch, *arguments) == 0
    told = capsys.readouterr().out
    for name in cli.command_names():
        assert re.search(rf"^  {name} +\S.+$", told, flags=re.MULTILINE), name


@pytest.mark.parametrize("name", cli.command_names())
def test_every_command_explains_itself(monkeypatch, capsys, name):
    assert called(monkeypatch, name, "--help") == 0
    told = capsys.readouterr().out
    assert f"bumpscope {name}" in told
    assert "--help" in told


def test_the_version_is_told(monkeypatch, capsys):
    assert called(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("arguments", [["trian"], ["interface"], ["--log"], ["--verbose", "train"], ["../train"]])
def test_an_unknown_command_is_told_in_one_line(monkeypatch, capsys, arguments):
    assert called(monkeypatch, *arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"bumpscope: unknown command {arguments[0]!r}; allowed: animation, arms, behaviour, ")
    assert told.count("\n") == 1


def test_an_unknown_option_is_a_usage_error(monkeypatch, capsys):
    assert called(monkeypatch, "dataset", "--setings", "{}") == 2
    assert "--setings" in capsys.readouterr().err


def test_light_commands_do_not_wait_for_heavy_libraries():
    script = "import sys; from bumpscope.commands import cli, dataset, phases, plan, settings; print([*sys.modules])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "umap", "matplotlib", "gudhi", "sklearn"} & set(re.findall(r"'(\w+)'", told))


def test_a_command_writes_its_table_and_its_log(tmp_path):
    done = bumpscope(
        *("--log", tmp_path / "logs" / "dataset.log", "dataset"),
        *("--settings", settings_of("dataset"), "--output", tmp_path / "small.parquet"),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "logs" / "dataset.log").exists()
    lattice = RUNS["small-seed0"].lattice
    points = lattice_points(lattice)
    frame = read_table("dataset", tmp_path / "small.parquet")
    np.testing.assert_array_equal(frame.mu_x, points.mu_x)
    np.testing.assert_array_equal(frame.probability, points.probability)
    assert (frame.split == "heldout").tolist() == points.heldout.tolist()
    images = read_block("dataset", tmp_path / "small.parquet", "image")
    expected = render(points.mu_x, points.mu_y, lattice).reshape(len(points.mu_x), -1)
    np.testing.assert_allclose(images, expected, atol=1e-7)


def test_a_mistake_is_one_line_on_the_terminal_and_one_in_the_log(tmp_path):
    (tmp_path / "log").write_text("what an earlier attempt told\n")
    done = bumpscope("--log", tmp_path / "log", "dataset", "--settings", '{"lattice": {"dx": "1"}}', "--output", "x")
    assert done.returncode == 1
    assert done.stderr == "error: --settings: lattice.dx: Input should be a valid number\n"
    log = (tmp_path / "log").read_text().splitlines(keepends=True)
    assert log[0] == "what an earlier attempt told\n"
    assert len(log) == 2 and log[1].endswith(f" ERROR {done.stderr}")


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    done = bumpscope("--log", tmp_path / "file" / "log", "settings", "train", "x")
    assert done.returncode == 1
    assert re.fullmatch(
        r"bumpscope: .*/file/log: cannot be written \(.*\); check the folder .* and run again\n", done.stderr
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is neither JSON nor the path of a JSON file"),
        ("none/such/file.json", "is neither JSON nor the path of a JSON file"),
        ("{}", "lattice: Field required"),
        ('{"lattice": {}, "seed": 0}', "seed: Extra inputs are not permitted"),
        ('{"lattice": {"image_size": 9}}', "lattice.image_size: Input should be a multiple of 8"),
        ('{"lattice": {"dx": NaN}}', "lattice.dx: Input should be a finite number"),
        ('{"lattice": {"holdout": 3}}', "lattice.holdout: "),
        ('{"lattice": null}', "lattice: "),
    ],
)
def test_settings_that_cannot_be_used_are_told_in_one_line(text, told):
    with pytest.raises(CommandError) as caught:
        read_settings(text, steps.Dataset)
    assert str(caught.value).startswith(f"--settings: {told}")
    assert "\n" not in str(caught.value)


def test_settings_may_come_from_a_file(tmp_path):
    (tmp_path / "settings.json").write_text(settings_of("train"))
    from_file = read_settings(str(tmp_path / "settings.json"), steps.Train)
    assert from_file == read_settings(settings_of("train"), steps.Train) == steps.Train.of(RUNS["small-seed0"])
    (tmp_path / "settings.json").write_text("[1]")
    with pytest.raises(CommandError, match="--settings: the whole"):
        read_settings(str(tmp_path / "settings.json"), steps.Train)


@pytest.mark.parametrize("kind", [CommandError, ConfigError, FileError])
def test_an_error_that_a_user_can_mend_is_one_line_and_exit_status_one(monkeypatch, caplog, kind):
    def command() -> None:
        raise kind(["a: is wrong"]) if kind is ConfigError else kind("a: is wrong")

    monkeypatch.setattr(sys, "argv", ["bumpscope"])
    with pytest.raises(SystemExit) as end:
        execute(command)
    assert end.value.code == 1
    assert [(record.levelname, record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("ERROR", "error: a: is wrong", None)
    ]


def test_an_error_that_nobody_expected_keeps_its_traceback(monkeypatch, caplog):
    def command() -> None:
        raise ZeroDivisionError("here")

    monkeypatch.setattr(sys, "argv", ["bumpscope"])
    with pytest.raises(SystemExit) as end:
        execute(command)
    assert end.value.code == 1
    assert "ZeroDivisionError: here" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        (
            "train",
            torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"),
            "error: the GPU is out of memory: lower runs_per_job, training.batch_size, model.base_width or image_size, "
            "or set device to cpu (CUDA out of memory.)",
        ),
        (
            "train",
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
            "the GPU is out of memory: lower",
        ),
        ("generate", RuntimeError("CUDA error: out of memory"), "the GPU is out of memory: lower probe.samples, "),
        ("effects", torch.OutOfMemoryError(""), "lower probe.effect_samples, "),
        (
            "train",
            RuntimeError("No working C++ compiler found in x"),
            "training.compile: needs a C and a C++ compiler; install",
        ),
        ("geometry", MemoryError(), "the machine is out of memory: lower probe.samples or model.base_width, or give"),
    ],
)
def test_running_out_of_memory_is_told_in_one_line_with_the_keys_to_lower(monkeypatch, caplog, name, error, told):
    def command() -> None:
        raise error

    command.__name__ = name
    monkeypatch.setattr(sys, "argv", ["bumpscope"])
    with pytest.raises(SystemExit):
        execute(command)
    assert len(caplog.records) == 1
    assert told in caplog.text
    assert "\n" not in caplog.records[0].getMessage()
    assert "Traceback" not in caplog.text


def test_a_batch_too_large_for_the_machine_is_told_with_the_keys_to_lower(tmp_path):
    path = tmp_path / "small.parquet"
    dataset(settings_of("dataset"), path)
    huge = json.loads(settings_of("train"))
    # The output of each layer is 1 GiB.
    huge["training"]["batch_size"], huge["model"]["base_width"] = 2**16, 64
    arguments = ["--settings", json.dumps(huge), "--dataset", path, "--device", "cpu"]
    arguments += ["--output", tmp_path / "run", "--state", tmp_path / "state"]
    done = subprocess.run(
        [sys.executable, "-m", "bumpscope", "train", *map(str, arguments)],
        capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "the machine is out of memory: lower training.batch_size, model.base_width" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_settings_command_prints_what_a_step_takes(tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(CONFIG))
    for step in ("dataset", "train", "generate", "effects", "behaviour"):
        settings.settings(step, "small-seed1", [path])
        assert capsys.readouterr().out.strip() == settings_of(step, "small-seed1")
    preset = tmp_path / "preset.yaml"
    preset.write_text("training: {steps: 9}")
    settings.settings("train", "small-seed0", [path, preset])
    assert json.loads(capsys.readouterr().out)["training"]["steps"] == 9


@pytest.mark.parametrize(
    ("step", "run", "told"),
    [("training", "small-seed0", "step: holds training; allowed: one of dataset, train"), ("train", "small", "run: ")],
)
def test_a_step_or_run_that_does_not_exist_is_told(tmp_path, step, run, told):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(CONFIG))
    with pytest.raises(CommandError, match=told):
        settings.settings(step, run, [path])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output folder of a training of four steps."""
    root = tmp_path_factory.mktemp("results")
    run = RUNS["small-seed0"]
    dataset(settings_of("dataset"), root / "datasets" / "small.parquet")
    train.train(settings_of("train"), root / "datasets" / "small.parquet", root / run.path, root / "state", "cpu")
    return root


def test_training_keys_that_are_left_out_take_their_defaults(trained, tmp_path):
    plain = json.loads(settings_of("train"))
    for key in ("weight_decay", "log_every", "learning_rate_schedule"):  # defaults in this experiment too
        del plain["training"][key]
    train.train(canonical_json(plain), trained / "datasets" / "small.parquet", tmp_path / "run", tmp_path / "s", "cpu")
    first, second = (
        load_weights(folder / "checkpoints" / "step=4.safetensors", "raw")
        for folder in (trained / RUNS["small-seed0"].path, tmp_path / "run")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_is_described_from_its_checkpoint(trained, tmp_path):
    runs.runs('{"small": [0]}', trained, tmp_path / "runs.parquet")
    row = read_table("runs", tmp_path / "runs.parquet").iloc[0]
    assert (row.run, row.dataset, row.seed, row.path) == ("small-seed0", "small", 0, "runs/small/seed=0")
    assert (row.dx, row.dy, row.image_size, row.margin, row.boundary) == (1.0, 2.0, 8, 2.0, "plane")
    assert row.n_images == 4 * 2 - 2  # two combinations are withheld
    assert (row.batch_size, row.training_steps) == (4, 4)
    assert row.n_parameters > 1000
    assert (row.learning_rate, row.schedule, row.noise_schedule, row.denoiser) == (2e-3, "cosine", "linear", "unet")


OTHER = {
    "model": {
        "base_width": 16,
        "channel_multipliers": [1, 1, 2],
        "blocks_per_level": 2,
        "attention_resolutions": [4],
        "embedding_width": 64,
        "reference": "gated",
    },
    "diffusion": {"timesteps": 500, "schedule": "cosine", "prediction": "v"},
    "training": {
        "steps": 2000,
        "batch_size": 32,
        "labels": "permuted",
        "learning_rate": 1e-3,
        "learning_rate_schedule": "constant",
        "warmup_steps": 10,
        "weight_decay": 0.1,
        "gradient_clip": 0.5,
        "ema_decay": 0.9,
        "precision": "bfloat16",
        "compile": True,
        "log_every": 5,
        "checkpoints": [0, 1600],
    },
}


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in OTHER.items() for key in keys])
def test_every_setting_of_a_training_is_in_the_table_of_runs_and_in_its_fingerprint(section, key):
    assert set(OTHER[section]) == set(getattr(steps, section.capitalize()).model_fields)

    def row(**sections):
        plain = {"datasets": {"d": {"margin": 2.0}}, "seeds": [0]} | sections
        plain["probe"] = {"checkpoints": [0], "effect_timesteps": [100]}
        return runs.of_settings(steps.Train.of(next(validate(plain).runs())))

    usual, other = row(), row(**{section: {key: OTHER[section][key]}})
    changed = {name for name in usual if usual[name] != other[name]}
    if key in ("compile", "log_every", "checkpoints"):
        assert not changed
    else:
        assert "trained" in changed and len(changed) > 1


@pytest.mark.parametrize("grid", ["[]", "{", '{"small": 3}', '{"small": ["x"]}', "3"])
def test_a_grid_that_cannot_be_read_is_told(grid, tmp_path):
    with pytest.raises(CommandError, match="--runs: is not JSON of the form"):
        runs.runs(grid, tmp_path, tmp_path / "runs.parquet")


def test_a_run_that_was_never_trained_is_told(trained, tmp_path):
    with pytest.raises(CommandError, match="holds no checkpoint; train the run first"):
        runs.runs('{"small": [0, 1]}', trained, tmp_path / "runs.parquet")


def test_probing_writes_images_and_activations_of_the_same_samples(trained, tmp_path):
    checkpoints = trained / RUNS["small-seed0"].path / "checkpoints"
    samples, latents = tmp_path / "samples.parquet", tmp_path / "latents.parquet"
    generate.generate(settings_of("generate"), checkpoints, samples, latents, "cpu")
    images = read_table("samples", samples)
    assert images.groupby("step").size().to_dict() == {0: 16, 4: 16}
    assert images.noise_seed.nunique() == 16
    vectors = read_table("latents", latents)
    assert vectors[vectors.noise == "own"].value_counts(["step", "layer", "t"]).to_dict() == {
        (step, layer, 332): 16 for step in (0, 4) for layer in ("down3", "up2")
    }
    # The control with shared noise has one image for each seen centre, and says which request that was.
    asked = images[(images.step == 0) & (images.split == "seen")].drop_duplicates(["mu_x", "mu_y"])
    control = vectors[(vectors.noise == "shared") & (vectors.layer == "up2") & (vectors.step == 4)]
    assert 1 < len(control) < 16 and list(control["sample"]) == list(asked["sample"])
    assert read_block("samples", samples, "image").shape == (32, 64)
    assert read_metadata(samples)["run"] == "small-seed0"
    # What the two tables stand for changes with the training that the checkpoints come from.
    assert read_metadata(samples)["settings"] == read_metadata(latents)["settings"]


def test_a_checkpoint_that_is_missing_or_broken_is_told_and_no_table_is_left(trained, tmp_path):
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    whole = trained / RUNS["small-seed0"].path / "checkpoints"
    raw = (whole / "step=4.safetensors").read_bytes()
    (checkpoints / "step=4.safetensors").write_bytes(raw)
    arguments = (
        settings_of("generate"),
        checkpoints,
        tmp_path / "samples.parquet",
        tmp_path / "latents.parquet",
        "cpu",
    )
    with pytest.raises(FileError, match=r"step=0\.safetensors: is missing"):
        generate.generate(*arguments)
    (checkpoints / "step=0.safetensors").write_bytes((whole / "step=0.safetensors").read_bytes())
    (checkpoints / "step=4.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(FileError, match="does not match its digest"):
        generate.generate(*arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints"]


def test_label_effects_are_measured_at_every_checkpoint_with_both_weights(trained, tmp_path):
    checkpoints = trained / RUNS["small-seed0"].path / "checkpoints"
    effects.effects(
        settings_of("effects"), checkpoints, tmp_path / "effects.parquet", tmp_path / "frequency.parquet", "cpu"
    )
    found = read_table("effects", tmp_path / "effects.parquet")
    timesteps = RUNS["small-seed0"].probe.effect_timesteps
    assert len(found) == 3 * 2 * len(timesteps)
    assert set(found.step) == {0, 2, 4}
    untrained = found[found.step == 0].set_index(["weights", "t"])
    for t in timesteps:  # before training the average is the weights themselves
        assert untrained.loc[("ema", t)].equals(untrained.loc[("raw", t)])


def test_the_committed_configuration_is_found_by_the_settings_command(capsys, monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    run = next(load("config.yaml").runs())
    settings.settings("train", run.id)
    assert capsys.readouterr().out.strip() == canonical_json(step_settings(run, "train"))


def test_a_command_that_cannot_be_imported_says_so_in_its_log(tmp_path, monkeypatch):
    def fail(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(sys, "argv", ["bumpscope", "--log", str(tmp_path / "one.log"), "plan"])
    monkeypatch.setattr(cli.importlib, "import_module", fail)
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a process of its own
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert "ImportError: no bumpscope.commands.plan" in (tmp_path / "one.log").read_text()
