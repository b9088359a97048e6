"""What Snakemake plans in a folder that was moved, for settings and code that have changed: exactly what is stale."""

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from bumpscope.config.loading import validate
from made_up_folder import write_folder
from stale_files import BASE, CHANGES, CODE, KEYS, MOVES, changed, nodes, stale
from workflow import copy_project, planned, snakemake

CASES = 6


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project beside a folder of results that says it was made with it."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    write_folder(project / "results", validate(BASE))
    return project


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "project"))


def preset(project: Path, plain: dict) -> Path:
    path = project / "preset.yaml"
    path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return path


def rules(jobs: set[tuple[str, str]]) -> Counter[str]:
    """Jobs of each rule, with the one that only gathers."""
    return Counter(step for step, _ in jobs) + Counter({"all": 1} if jobs else {})


@pytest.mark.parametrize("case", range(CASES))
def test_what_is_planned_is_exactly_what_is_stale_or_missing(project: Path, case: int) -> None:
    chance = random.Random(case)
    # The first has not changed at all, the others at least once each in a key and in code.
    changes = [] if case == 0 else [*chance.sample(KEYS, 1), *chance.sample(CODE, 1), *chance.sample(CHANGES, 1)]
    changes = list({change.name: change for change in changes}.values())
    for module in {change.module for change in changes if change.module}:
        path = project / "src/bumpscope" / f"{module.replace('.', '/')}.py"
        path.write_text(path.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
    move = sorted(MOVES)[case % len(MOVES)]
    folder = MOVES[move](project / "results", chance)
    plain = changed(changes)
    missing = nodes(validate(plain)) - nodes(validate(BASE))
    plan = planned(project, "--config", f"output={folder}", preset=preset(project, plain))
    assert plan == rules(stale(changes) | missing), [move, *(change.name for change in changes)]


def test_stale_files_are_named_with_the_key_a_line_a_kind(project: Path) -> None:
    plain = BASE | {"training": BASE["training"] | {"learning_rate": 1.0e-3}}
    done = snakemake(project, "--dry-run", preset=preset(project, plain))
    text = done.stdout + done.stderr
    assert "Made again, since settings or code have changed" in text
    assert "(losses.parquet, checkpoints): other settings (training.learning_rate 0.002, now 0.001)" in text
    told = text.split("Made again")[1].split("Building DAG")[0].splitlines()[1:]
    assert len([line for line in told if line.startswith("  ")]) <= 4


@pytest.mark.slow
def test_a_target_makes_again_only_what_it_needs(project: Path) -> None:
    plain = BASE | {"probe": BASE["probe"] | {"effect_samples": 64, "samples": 48}}
    file = preset(project, plain)
    assert planned(project, "results/runs/plane/seed=0/effects.parquet", preset=file) == {"effects": 1}
    assert planned(project, "results/runs.parquet", preset=file) == {}
    assert "sensitivity" not in planned(project, preset=file)
    other = preset(project, BASE | {"training": BASE["training"] | {"learning_rate": 1.0e-3}})
    # Of the two datasets only one is a balanced plane.
    plan = planned(project, "sensitivity", preset=other)
    assert plan["train"] == 4 and plan["sensitivity"] == 1 and "report" not in plan


def test_a_folder_without_room_is_refused_in_one_line_before_any_job_unless_told_to(project: Path) -> None:
    # The activations of a large network at full resolution: hundreds of terabytes.
    large = {"model": {"base_width": 512, "attention_resolutions": []}, "seeds": [0]}
    large |= {"datasets": {"large": {"image_size": 256, "margin": 2.0, "dx": 2.0, "dy": 2.0}}}
    plain = BASE | large | {"probe": BASE["probe"] | {"samples": 10_000, "layers": ["up3"]}}
    done = snakemake(project, "--config", "output=full", preset=preset(project, plain))
    text = done.stdout + done.stderr
    (line,) = [line for line in text.splitlines() if "the disk has" in line]
    assert "check_disk=false" in line and done.returncode == 1
    assert not list((project / "full").rglob("*.parquet"))
    again = ("--dry-run", "--config", "output=full")
    assert "On disk about" in snakemake(project, *again, preset=preset(project, plain)).stderr


def test_gpu_hours_are_told_where_jobs_run_on_gpus(project: Path) -> None:
    file = preset(project, BASE)
    assert "GPU-hours" not in snakemake(project, "--dry-run", "--config", "device=cpu", preset=file).stderr
    assert "GPU-hours" in snakemake(project, "--dry-run", "--resources", "gpu=2", preset=file).stderr


def test_a_second_configfile_option_is_refused_since_snakemake_would_drop_the_first(project: Path) -> None:
    done = snakemake(project, "--dry-run", "--configfile", "config.yaml", preset="workflow/presets/tiny.yaml")
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "--configfile: is given more than once" in text and "Traceback" not in text
