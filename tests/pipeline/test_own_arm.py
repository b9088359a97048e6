"""An arm of one's own in the factorisation benchmark, as docs/factorise.md tells: a file, a preset, a command."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bumpscope.config.loading import ConfigError, load
from bumpscope.config.plan import describe
from bumpscope.config.steps import Arms
from bumpscope.denoise.examine import examined
from bumpscope.store.results import Results
from fenced_blocks import ROOT

PRESETS = ROOT / "workflow" / "presets"
MINE = "my_package.net:MLP"


@pytest.fixture
def elsewhere(folder_outside: Callable[..., Path]) -> Path:
    """With the network of docs/extending.md and the page's preset."""
    return folder_outside("my_package/net.py", "my_arm.yaml")


def test_an_arm_from_a_folder_outside_is_planned_with_the_benchmark(elsewhere: Path) -> None:
    config = load(ROOT / "config.yaml", PRESETS / "factorise.yaml", "my_arm.yaml")
    counted = examined(config)
    assert list(counted) == ["mine-n8-k2", "mine-n8-k4", "mine-n8-k6"]
    arms = Arms.of_runs(config.runs()).arms
    assert [(arm.denoiser.kind, len(arm.datasets)) for arm in arms] == [("unet", 3), (MINE, 3)]
    assert {run.seed for run in config.runs()} == {0, 1, 2, 3, 4}
    assert "mine-n8-k6" in describe(config, counted=counted)


def test_an_arm_that_cannot_work_is_one_line_before_any_job(elsewhere: Path) -> None:
    net = elsewhere / "my_package/net.py"
    net.write_text(net.read_text(encoding="utf-8").replace("view_as(x)", "sum()"), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        examined(load(ROOT / "config.yaml", PRESETS / "factorise.yaml", "my_arm.yaml"))
    assert all(f"denoiser.kind: the prediction of {MINE} is []" in fault for fault in error.value.faults)


@pytest.mark.slow  # minutes
def test_an_arm_from_a_folder_outside_is_on_the_leaderboard_and_in_the_report(elsewhere: Path) -> None:
    """With the tiny preset in place of the benchmark's: a few steps, one seed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = ["--cores", "2", "--configfile", str(PRESETS / "tiny.yaml"), "my_arm.yaml", "--config", "output=mine"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *words],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    board = Results(elsewhere / "mine").leaderboard.set_index("arm")
    assert set(board.index) == {"unet", MINE}
    own = board.loc[MINE]
    assert own["positions"] == 8 and own["runs"] == 3 and own["k_star"] > 0
    # A few steps teach nothing.
    assert "on shown combinations" in own["guardrails"] and "times the operations" in own["guardrails"]
    report = (elsewhere / "mine/report.html").read_text(encoding="utf-8")
    assert report.count(f'<th scope="row">{MINE}</th>') == 1
