"""Install the project from scratch in each kind of environment that is named, and run the tiny preset in it, whole.

    python validation/environments.py python3.11 python3.12 python3.13 conda apptainer docker

A name or path of a Python stands for `make environment` with it. What is not installed here is told and left out; the
exit status is 1 if one that was tried failed, or none was. Takes minutes and gigabytes each.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = "--cores 2 --configfile workflow/presets/tiny.yaml"
VERIFY = "bumpscope verify results --config config.yaml --config workflow/presets/tiny.yaml"
# In a clone, one after the other; {name} is what was named.
COMMANDS = {
    "python": [
        'make environment PYTHON="{name}"',
        f".venv/bin/snakemake {TINY}",
        f".venv/bin/{VERIFY}",
        ".venv/bin/pytest -q -x -n0 -m 'not slow' tests/config tests/denoise/test_unet.py",
    ],
    # With the environment that holds Snakemake itself, and then with the one that Snakemake makes for its jobs.
    "conda": [
        "conda env create --quiet --prefix ./env --file environment.yml",
        f"conda run --prefix ./env snakemake {TINY}",
        f"conda run --prefix ./env snakemake {TINY} --sdm conda --config output=again",
    ],
    # With Snakemake inside, and then with its jobs alone.
    "apptainer": [
        "apptainer build bumpscope.sif container/apptainer.def",
        f"apptainer exec bumpscope.sif snakemake {TINY}",
        "make environment",
        f".venv/bin/snakemake {TINY} --sdm apptainer --config output=again",
    ],
    "docker": [
        "docker build --file container/Dockerfile --tag bumpscope .",
        f'docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/project" bumpscope snakemake {TINY}',
    ],
}


def missing(name: str) -> str:
    """Why an environment cannot be tried here; empty if it can."""
    if shutil.which(name) is None:
        return "is not installed here"
    asked = {"docker": ["docker", "info"]}.get(name, [name, "--version"])
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return (
        "" if done.returncode == 0 else f"does not work here ({(done.stderr or done.stdout).strip().splitlines()[-1]})"
    )


def tried(name: str, log: Path) -> str:
    """Run all commands of an environment in a clone of the last commit.

    Returns:
        The command that failed; empty where none did.
    """
    with tempfile.TemporaryDirectory() as folder, log.open("w", encoding="utf-8") as told:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        for command in COMMANDS.get(name, COMMANDS["python"]):
            text = command.format(name=name)
            print(f"$ {text}", file=told, flush=True)
            done = subprocess.run(["bash", "-c", text], cwd=folder, stdout=told, stderr=told, check=False)
            if done.returncode:
                return text
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="a Python, conda, apptainer or docker")
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()), help="folder for a log each")
    chosen = parser.parse_args()
    outcomes = []
    for name in chosen.names:
        if why := missing(name):
            print(f"{name}: {why}", flush=True)
            continue
        log, began = chosen.logs / f"environment-{name.strip('/').replace('/', '-')}.log", time.monotonic()
        failed = tried(name, log)
        outcomes.append(not failed)
        end = f"failed at {failed}" if failed else "passed"
        print(f"{name}: {end}, {time.monotonic() - began:.0f} s ({log})", flush=True)
    return 0 if outcomes and all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
