"""Runs of the real workflow in a copy of the project, for tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from dry_runs import dry_run

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config.yaml", "workflow", "profiles", "src", "environment.yml")


def copy_project(target: Path) -> Path:
    """The project as it stands, without results, in a folder of its own."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / part)
    return target


def command(*arguments: str, preset: str | Path = "workflow/presets/tiny.yaml") -> list[str]:
    return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", str(preset)]


def snakemake(
    project: Path, *arguments: str, preset: str | Path = "workflow/presets/tiny.yaml"
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake to its end; both streams come back as text. Dry runs share one import of it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = command(*arguments, preset=preset)
    if "--dry-run" in words:
        return dry_run([word for word in words[3:] if word != "--dry-run"], project, environment)
    return subprocess.run(words, cwd=project, capture_output=True, text=True, env=environment, check=False)


def planned(project: Path, *arguments: str, preset: str | Path = "workflow/presets/tiny.yaml") -> dict[str, int]:
    """How many jobs of each rule a dry run plans."""
    done = snakemake(project, "--dry-run", *arguments, preset=preset)
    assert done.returncode == 0, done.stdout + done.stderr
    return jobs(done.stdout + done.stderr)


def jobs(text: str) -> dict[str, int]:
    """How many jobs of each rule Snakemake says that it plans."""
    if "Job stats:" not in text:
        assert "Nothing to be done" in text, text
        return {}
    table = text.split("Job stats:")[1]
    rows = re.findall(r"^(\w+) +(\d+)$", table.split("total")[0], flags=re.MULTILINE)
    return {name: int(count) for name, count in rows}
