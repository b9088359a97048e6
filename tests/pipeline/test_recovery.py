"""Disks that are full, files that are broken or gone: what `snakemake` tells of them, and how it goes on from there."""

import re
import shutil
from pathlib import Path

import pytest

from interrupted_runs import checksums, everything
from small_disk import Unavailable, small_disk
from whole_files import look
from workflow import planned, snakemake

RUN = "runs/plane/seed=0"
MIB = 1024


@pytest.fixture
def disk(project, tmp_path):
    """A small disk in the project, as the folder `disk`."""
    try:
        with small_disk(project / "disk", 4 * MIB) as mounted:
            yield mounted
    except Unavailable as error:
        pytest.skip(f"needs a file system of its own (root, mount): {error}")
    finally:
        shutil.rmtree(project / "disk", ignore_errors=True)


@pytest.mark.parametrize(
    ("place", "rule"),
    [
        (f"{RUN}/samples.parquet", "generate"),
        pytest.param(f"{RUN}/frequency.parquet", "effects", marks=pytest.mark.slow),
        ("figures/loss.pdf", "figure"),
        pytest.param("config.json", "configuration", marks=pytest.mark.slow),
    ],
)
def test_a_result_that_is_gone_is_made_again_whatever_stands_on_it(project: Path, place: str, rule: str) -> None:
    path, aside = project / "results" / place, project / "aside"
    path.rename(aside)
    try:
        assert planned(project).get(rule) == 1
    finally:
        aside.rename(path)
    assert planned(project) == {}


def test_a_checkpoint_that_is_gone_is_trained_again_only_where_something_needs_it(project: Path) -> None:
    path, aside = project / "results" / RUN / "checkpoints/step=60.safetensors", project / "aside"
    path.rename(aside)
    try:
        assert planned(project) == {}
        assert planned(project, "--forcerun", "effects")["train"] == 1
    finally:
        aside.rename(path)


def told_errors(text: str) -> list[str]:
    """The lines with which a workflow that stopped ends, each with a file and its cure."""
    return re.findall(
        r"^error: (.*)$", text.partition("Exiting because a job execution failed.")[2], flags=re.MULTILINE
    )


def test_a_file_that_was_cut_off_is_made_again_without_being_deleted(project: Path) -> None:
    path = project / "results/figures/loss.png"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    try:
        assert planned(project) == {"figure": 1, "report": 1, "all": 1}
    finally:
        path.write_bytes(content)
    assert planned(project) == {}


@pytest.mark.slow  # half a minute; test_report has what the page tells of it
def test_a_figure_that_cannot_be_drawn_costs_no_other_and_the_workflow_fails_until_it_can(project: Path) -> None:
    code, page = project / "src/bumpscope/show/figures/loss.py", project / "results/report.html"
    right = code.read_text(encoding="utf-8")
    before = checksums(project / "results", "*.png")
    try:
        drawing = "    if data.empty:\n        return style"
        wrong = right.replace(drawing, f"    raise KeyError('planted')\n{drawing}", 1)
        assert wrong != right
        code.write_text(wrong, encoding="utf-8")
        done = snakemake(project)
        text = done.stdout + done.stderr
        assert done.returncode != 0
        assert "loss could not be drawn (KeyError: 'planted'); results/logs/figures/loss.log has more" in text
        assert "This figure could not be drawn (KeyError: " in page.read_text(encoding="utf-8")
        after = checksums(project / "results", "*.png")
        assert {name for name in after if after[name] != before[name]} == {"figures/loss.png"}
    finally:
        code.write_text(right, encoding="utf-8")
    done = snakemake(project)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert checksums(project / "results", "*.png") == before
    # A line for each finished job, and no reasons.
    lines = re.findall(r"^\[(\d+) of (\d+), .+ left\] (\w+): .+, \d+ s$", text, flags=re.MULTILINE)
    assert [numbers for *numbers, _ in lines] == [["1", "3"], ["2", "3"], ["3", "3"]]
    assert {rule for *_, rule in lines} == {"figure", "report", "all"} and "Reason" not in text


@pytest.mark.slow  # test_broken_files has each table without the workflow
def test_a_broken_table_is_told_by_the_workflow_and_made_again_once_it_is_deleted(project: Path) -> None:
    # Of a copy, whose figures need not be drawn again.
    results, command = project / "broken", ("--until", "coupling", "--config", "output=broken")
    shutil.copytree(project / "results", results)
    before, path = checksums(results), results / RUN / "phases.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1  # its header still says what made it
    path.write_bytes(content)
    (results / "metrics.parquet").unlink()  # which is made from it
    try:
        done = snakemake(project, *command)
        text = done.stdout + done.stderr
        assert done.returncode != 0
        assert "Traceback" not in text
        (line,) = told_errors(text)
        assert line.endswith(
            f"broken/{RUN}/phases.parquet: does not match its checksum; delete it and run the workflow again"
        )
        log = (results / "logs/metrics.log").read_text(encoding="utf-8")
        assert log.splitlines()[-1].endswith(f" ERROR error: {line}")
        # Gone is only what the job that failed would have made again.
        after = checksums(results)
        assert before.keys() - after.keys() == {"metrics.parquet"}
        assert {name for name in after if after[name] != before[name]} == {f"{RUN}/phases.parquet"}
        path.unlink()
        done = snakemake(project, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert checksums(results) == before
    finally:
        shutil.rmtree(results)


@pytest.mark.parametrize(("output", "way"), [("README", "README"), ("README/sub", "README")])
def test_an_output_that_is_no_folder_is_told_before_anything_starts(project: Path, output: str, way: str) -> None:
    (project / "README").write_text("in the way")
    done = snakemake(project, "--config", f"output={output}")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert re.search(rf"^output: holds {output}, but .*{way} is not a folder; name another: --config", text, flags=re.M)
    assert "Traceback" not in text and "Job stats" not in text
    assert (project / "README").read_text() == "in the way"


@pytest.mark.parametrize("output", ["disk/sub", pytest.param("disk", marks=pytest.mark.slow)])
def test_an_output_that_cannot_be_written_is_told_before_any_job(project: Path, disk, output) -> None:
    disk.make_read_only()
    done = snakemake(project, "--config", f"output={output}")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{output}: cannot be written (Read-only file system); check the folder and its permissions" in text
    assert "Traceback" not in text and "Select jobs" not in text
    assert list(disk.path.iterdir()) == []


@pytest.mark.slow
def test_a_training_on_a_full_disk_is_told_and_goes_on_once_there_is_room(project: Path, disk) -> None:
    # Room for two checkpoints and a state, or so.
    disk.enlarge(3 * MIB)
    target = (f"disk/{RUN}/losses.parquet", "--config", "output=disk", "check_disk=false")
    done = snakemake(project, *target)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in text
    why = r"\(No space left on device; the \d+\.\d MiB that are free do not suffice\)"
    told = rf"disk/\.state/plane-seed0/\S+: cannot be written {why}; free some space and run again"
    # Of the attempts at it, a line each where they differ.
    assert told_errors(text) and all(re.fullmatch(told, line) for line in told_errors(text))
    seen = look(disk.path)
    assert (seen.broken, seen.leftovers) == ([], [])
    disk.enlarge(32 * MIB)
    done = snakemake(project, *target)
    assert done.returncode == 0, done.stdout + done.stderr
    found = checksums(disk.path)
    assert len(found) == 6
    reference = checksums(project / "results")
    kept = {name: checksum for name, checksum in found.items() if not name.startswith(".state")}
    assert kept == {name: reference[name] for name in kept}


@pytest.mark.slow
def test_a_whole_workflow_fills_its_disk_and_goes_on_once_there_is_room(project: Path, disk) -> None:
    disk.enlarge(12 * MIB)
    command = ("--config", "output=disk", "check_disk=false")
    done = snakemake(project, *command)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in text
    assert told_errors(text) and all("No space left on device" in line for line in told_errors(text))
    assert look(disk.path).broken == []
    disk.enlarge(64 * MIB)
    done = snakemake(project, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert everything(disk.path) == everything(project / "results")
    assert look(disk.path).leftovers == []


BROKEN = (
    "datasets/ring.parquet",
    "runs/ring/seed=0/samples.parquet",
    f"{RUN}/checkpoints/step=60.safetensors",
    f"{RUN}/latents.parquet",
    f"{RUN}/behaviour.parquet",
    f"{RUN}/losses.parquet",
    "runs.parquet",
    "config.json",
    "figures/loss.png",
)


@pytest.mark.slow
def test_many_broken_files_are_cured_by_doing_what_the_lines_say(project: Path) -> None:
    results, before = project / "results", everything(project / "results")
    for place in BROKEN:
        path = results / place
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    deleted: list[str] = []
    for _ in range(len(BROKEN) + 1):
        done = snakemake(project)
        text = done.stdout + done.stderr
        assert "Traceback" not in text
        if done.returncode == 0:
            break
        lines = told_errors(text)
        assert lines and all(line.endswith("; delete it and run the workflow again") for line in lines), text
        for line in lines:
            place = line.partition(": ")[0]
            (project / place).unlink()
            deleted.append(place.removeprefix("results/"))
    assert done.returncode == 0
    assert set(deleted) <= set(BROKEN)
    assert everything(results) == before
