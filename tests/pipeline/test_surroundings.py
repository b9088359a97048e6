"""Where the workflow runs, and by whom, changes no result; what cannot work is told in one line."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from fenced_blocks import write_blocks
from interrupted_runs import everything
from workflow import ROOT, copy_project, snakemake

ENVIRONMENT = Path(sys.executable).parents[1]
SNAKEMAKE = ("-m", "snakemake", "--cores", "2")
TINY = ("--configfile", "workflow/presets/tiny.yaml")


def text_of(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


@pytest.fixture
def results(experiment: tuple[Path, float]) -> Path:
    """Results of the tiny preset, to be copied."""
    return experiment[0] / "results"


@pytest.fixture
def elsewhere(tmp_path: Path, results: Path) -> Path:
    """The project with its results, in a folder whose path has spaces and quotes."""
    project = copy_project(tmp_path / "some one's" / 'new "project"')
    shutil.copytree(results, project / "its results")
    return project


MADE = {
    "figure": "figures/loss.png",
    "configuration": "config.json",
    "arms": "arms.parquet",
}


def test_odd_paths_settings_of_notebooks_modules_of_like_names_and_a_clock_ahead_change_nothing(
    elsewhere: Path,
) -> None:
    results = elsewhere / "its results"
    before = everything(results)
    # The interpreter, too, has an odd path.
    (environment := elsewhere.parent / "a 'python'").symlink_to(ENVIRONMENT)
    # Modules that torch and the package import.
    for name in ("cuda", "yaml"):
        (elsewhere / f"{name}.py").write_text(f"raise SystemExit('{name} of the working folder was imported')\n")
    (elsewhere / "matplotlibrc").write_text("axes.grid: True\nfont.size: 30\n", encoding="utf-8")
    ahead = time.time() + 3600
    for path in results.rglob("*"):
        os.utime(path, (ahead, ahead))
    # As a kernel of Jupyter exports it, without the package that it names.
    exported = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    targets = [f"its results/{path}" for path in MADE.values()]
    done = subprocess.run(
        [environment / "bin/python", "-P", *SNAKEMAKE, *targets, "--force", *TINY, "--config", "output=its results"],
        cwd=elsewhere, env=exported, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, text_of(done)
    made = set(re.findall(r"^\[\d of \d, .* left\] (\w+): ", text_of(done), re.M))
    assert made == MADE.keys(), text_of(done)
    assert everything(results) == before


NAMELESS = """
import pwd

def unknown(user):
    raise KeyError(f"getpwuid(): uid not found: {user}")

pwd.getpwuid = unknown
"""


@pytest.mark.slow
def test_a_user_without_a_name_or_a_home_needs_only_the_variables_that_the_page_names(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    (tmp_path / "sitecustomize.py").write_text(NAMELESS)
    (line,) = re.findall(r"^export (USER=.*)$", (ROOT / "docs/faq.md").read_text(encoding="utf-8"), re.M)
    hidden = ("LOGNAME", "USER", "LNAME", "USERNAME", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {"HOME": "/proc/none", "PYTHONPATH": str(tmp_path)}
    named = dict(word.split("=") for word in line.replace("/tmp/me", str(tmp_path)).split(" "))
    command = [sys.executable, *SNAKEMAKE, "results/arms.parquet", *TINY]
    done = subprocess.run(
        command, cwd=project, env=environment | named, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, text_of(done)


def test_a_snakemake_without_the_packages_that_it_needs_says_which_and_where(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    (tmp_path / "filelock.py").write_text("raise ModuleNotFoundError(name='filelock')")
    done = subprocess.run(
        [sys.executable, *SNAKEMAKE, "--dry-run"], cwd=project, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in text_of(done)
    assert f"Snakemake runs in a Python without filelock ({sys.executable}); run the one in .venv/bin" in text_of(done)


# As Apptainer does, it keeps all variables but PATH, which is the image's.
APPTAINER = """#!{bash}
[ "$1" = --version ] && echo apptainer version 1.3.0 && exit
while [ "$1" != "{image}" ]; do told="$told $1"; shift; done
echo "$told" >> "{log}"
shift
PATH={inside}:/usr/bin:/bin exec "$@"
"""


@pytest.mark.slow
def test_jobs_run_in_the_image_that_the_recipe_makes(tmp_path: Path) -> None:
    project, log = copy_project(tmp_path / "a project"), tmp_path / "log"
    inside, programs = tmp_path / "inside", tmp_path / "programs"
    for folder in (inside, programs):
        folder.mkdir()
    (inside / "python").write_text(f'#!/bin/sh\necho ran >> {log}\nexec {sys.executable} "$@"\n')
    (programs / "apptainer").write_text(
        APPTAINER.format(bash=shutil.which("bash"), image="bumpscope.sif", log=log, inside=inside)
    )
    for program in (inside / "python", programs / "apptainer"):
        program.chmod(0o755)
    target = ("results/datasets/ring.parquet", "--sdm", "apptainer", "--apptainer-args=--nv", *TINY)
    command = [sys.executable, *SNAKEMAKE, *target]
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 1 and "Traceback" not in text_of(done)
    assert "bumpscope.sif is missing; build it in the project's folder: apptainer build bumpscope.sif" in text_of(done)
    (project / "bumpscope.sif").touch()
    done = run()
    assert done.returncode == 0, text_of(done)
    told = log.read_text(encoding="utf-8")
    assert "--nv" in told and told.endswith("ran\n") and (project / "results/datasets/ring.parquet").exists()


@pytest.mark.slow
def test_a_model_of_gpu_is_asked_for_by_jobs_that_use_one_and_by_no_other(elsewhere: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```yaml\n(  set-resources:\n.*?)  ```", page, re.S)
    profile = elsewhere / "profiles/slurm/config.yaml"
    profile.write_text(profile.read_text(encoding="utf-8") + textwrap.dedent(lines), encoding="utf-8")
    (programs := tmp_path / "bin").mkdir()
    answers = {"sbatch": f'echo "$@" >> {tmp_path}/log; exit 1', "sacctmgr": "exit 1"}
    for name in ("sbatch", "squeue", "sinfo", "scontrol", "sacct", "sacctmgr"):
        (programs / name).write_text(f"#!/bin/sh\n{answers.get(name, 'exit 0')}\n")
        (programs / name).chmod(0o755)
    run = "its results/runs/ring/seed=0"
    targets = (f"{run}/losses.parquet", "its results/arms.parquet", "--force")
    # By itself the plugin waits for forty seconds before it looks at its jobs.
    soon = ("--slurm-init-seconds-before-status-checks", "1")
    profiled = ("--workflow-profile", "profiles/slurm", "--retries", "0", *soon)
    subprocess.run(
        [sys.executable, "-m", "snakemake", *targets, *profiled, *TINY, "--config", "output=its results"],
        cwd=elsewhere, env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    asked = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    gpus = {re.findall(r"--comment rule_([a-z]+)", line)[0]: re.findall(r"--gpus=(\S+)", line) for line in asked}
    assert gpus == {"train": ["a100:1"], "summary": []}, asked


@pytest.mark.slow
def test_layers_that_a_denoiser_does_not_have_are_told_before_sensitivity_judges_them(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    write_blocks(project, "my_package/net.py")
    own = ("--config", 'denoiser={kind: "my_package.net:MLP"}')
    done = snakemake(project, "--dry-run", "sensitivity", *own, "sensitivity={layers: [up1, up2]}")
    assert "sensitivity.layers: up1 is not in my_package.net:MLP; allowed: from down3, up2" in text_of(done)
    assert done.returncode == 1 and "Traceback" not in text_of(done)
    done = snakemake(project, "--dry-run", "sensitivity", *own, "sensitivity={layers: [up2]}")
    assert done.returncode == 0, text_of(done)
