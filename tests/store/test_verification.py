"""Stale files are found by what they say of themselves, wherever the folder lies: all of them, and no others."""

import os
import random
import shutil
import time
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from bumpscope.commands.interface import CommandError
from bumpscope.commands.verify import verify
from bumpscope.config.loading import validate
from bumpscope.store import origin
from bumpscope.store.headers import own, told_by
from bumpscope.store.lineage import Lineage, all_targets
from bumpscope.store.provenance import closure, code_fingerprint
from bumpscope.store.verification import examine, to_make_again, told, unasked
from made_up_folder import write_folder
from stale_files import BASE, CHANGES, MOVES, Change, changed, laid_over, nodes, stale

RUN = "runs/plane/seed=0"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("original") / "results", validate(BASE))


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "results"))


def jobs_of(plain):
    return [job for job in Lineage(validate(plain)).jobs() if job.step not in ("vary", "sensitivity")]


def with_edited(modules):
    """Fingerprints as they would be if modules were edited."""

    @cache
    def edited(module):
        used = closure(module.partition(":")[0].removeprefix("bumpscope."))
        return code_fingerprint(module) + ("edited" if used & set(modules) else "")

    return patch.object(origin, "code_fingerprint", edited)


def states(folder, plain=BASE):
    return {finding.path: finding.state for finding in examine(folder, jobs_of(plain)) if finding.state != "right"}


def test_what_was_just_made_is_right(folder):
    found = examine(folder, jobs_of(BASE))
    assert {finding.state for finding in found} == {"right"}
    assert {(finding.job.step, finding.job.subject) for finding in found} == nodes(validate(BASE))
    assert unasked(folder, found) == []


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.sampled_from(CHANGES), max_size=3, unique_by=lambda change: change.name),
    move=st.sampled_from(sorted(MOVES)),
    seed=st.integers(0, 99),
)
@example(changes=[], move="copied_without_times", seed=0)
@example(changes=CHANGES[-1:], move="renamed", seed=0)
def test_the_files_made_again_are_exactly_the_stale_ones(original, tmp_path_factory, changes, move, seed):
    parent = tmp_path_factory.mktemp("moved")
    folder = MOVES[move](Path(shutil.copytree(original, parent / "results")), random.Random(seed))
    jobs = jobs_of(changed(changes))
    with with_edited([change.module for change in changes if change.module]):
        found = examine(folder, jobs)
    wrong = {finding.path for finding in found if finding.is_stale}
    expected = stale(changes)
    assert {(finding.job.step, finding.job.subject) for finding in found if finding.is_stale} == expected
    assert wrong == {path for job in jobs if (job.step, job.subject) in expected for path in job.outputs}
    # With a seed more there are files that are missing, and what follows from them is stale anyway.
    assert to_make_again(jobs, found, all_targets(jobs)) == wrong
    shutil.rmtree(parent)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_each_change_alone_makes_just_its_own_files_stale(original, change):
    with with_edited([change.module] if change.module else []):
        found = examine(original, jobs_of(changed([change])))
    assert {(finding.job.step, finding.job.subject) for finding in found if finding.is_stale} == stale([change])


def test_the_changed_key_is_told_with_both_values_and_a_kind_of_file_takes_one_line(folder):
    plain = changed([Change("rate", keys={"training": {"learning_rate": 1.0e-3}})])
    lines = told(examine(folder, jobs_of(plain)))
    (line,) = [line for line in lines if "checkpoints" in line and "other settings" in line]
    assert line == ("16 files (losses.parquet, checkpoints): other settings (training.learning_rate 0.002, now 0.001)")
    assert len(lines) < 6


def test_files_of_another_run_table_or_step_in_the_wrong_place_are_told(folder):
    shutil.copy(folder / "runs/plane/seed=1/samples.parquet", folder / RUN / "samples.parquet")
    shutil.copy(folder / RUN / "embedding.parquet", folder / RUN / "umaps.parquet")
    shutil.copy(folder / RUN / "checkpoints/step=60.safetensors", folder / RUN / "checkpoints/step=20.safetensors")
    found = {
        finding.path: finding.detail
        for finding in examine(folder, jobs_of(BASE))
        if finding.state == "of another run or table"
    }
    assert found == {
        f"{RUN}/samples.parquet": "run plane-seed1",
        f"{RUN}/umaps.parquet": "table embedding",
        f"{RUN}/checkpoints/step=20.safetensors": "step 60",
    }


@pytest.mark.parametrize(
    "path", [f"{RUN}/samples.parquet", f"{RUN}/checkpoints/step=20.safetensors", "figures/loss.png", "runs.parquet"]
)
def test_a_file_that_was_cut_off_is_broken(folder, path):
    os.truncate(folder / path, (folder / path).stat().st_size - 3)
    assert states(folder)[path] == "broken"


@pytest.mark.parametrize("name", ["samples.parquet", "checkpoints/step=20.safetensors"])
def test_a_header_is_read_as_by_the_reader_of_its_kind(folder, name):
    path = folder / RUN / name
    if path.suffix == ".parquet":
        usual = own(pq.read_schema(path).metadata)
    else:
        with safe_open(path, framework="np") as file:
            usual = file.metadata()
    assert told_by(path) == usual and usual["run"] == "plane-seed0"


def test_a_picture_without_its_record_does_not_count_and_a_table_does(folder):
    for name in ("loss.png.sha256", "loss.csv.sha256"):
        (folder / "figures/.sha256" / name).unlink()
    found = states(folder)
    # The report holds the same numbers as before, but nobody knows.
    assert found.keys() >= {"figures/loss.png", "figures/loss.csv"}
    assert set(found.values()) == {"does not say what made it"}


def test_what_is_missing_and_not_needed_is_not_made_again(folder):
    for path in [*folder.rglob("*.safetensors"), *folder.rglob("latents.parquet")]:
        path.unlink()
    jobs = jobs_of(BASE)
    found = examine(folder, jobs)
    assert {finding.state for finding in found} == {"right", "missing"}
    assert {Path(finding.path).suffix for finding in found if finding.state == "missing"} == {
        ".safetensors",
        ".parquet",
    }
    assert to_make_again(jobs, found, all_targets(jobs)) == set()


def test_a_missing_picture_is_missing_and_makes_the_report_again(folder):
    for path in (folder / "figures/loss.png", folder / "figures/.sha256/loss.png.sha256"):
        path.unlink()
    jobs = jobs_of(BASE)
    found = examine(folder, jobs)
    assert {finding.path for finding in found if finding.state == "missing"} == {"figures/loss.png"}
    assert to_make_again(jobs, found, all_targets(jobs)) == {"figures/loss.pdf", "figures/loss.csv", "report.html"}


def test_what_follows_from_a_file_that_is_made_again_is_made_again_too(folder):
    (folder / RUN / "topology.parquet").unlink()
    (folder / RUN / "latents.parquet").unlink()
    jobs = jobs_of(BASE)
    again = to_make_again(jobs, examine(folder, jobs), all_targets(jobs))
    # Homology needs the activations, which come with images.
    assert {f"{RUN}/samples.parquet", f"{RUN}/behaviour.parquet", f"{RUN}/phases.parquet", "metrics.parquet"} <= again
    assert not {f"{RUN}/losses.parquet", f"{RUN}/effects.parquet", "runs.parquet"} & again
    assert not {path for path in again if "ring" in path}


def test_only_what_a_target_needs_is_made_again(folder):
    jobs = jobs_of(changed([Change("effects", keys={"probe": {"effect_samples": 64, "samples": 48}})]))
    found = examine(folder, jobs)
    assert to_make_again(jobs, found, {f"{RUN}/effects.parquet"}) == {
        f"{RUN}/{name}.parquet" for name in ("effects", "frequency")
    }
    assert to_make_again(jobs, found, {"runs.parquet"}) == set()


def test_what_follows_from_a_forced_file_is_made_again_too(folder):
    jobs = jobs_of(BASE)
    again = to_make_again(jobs, examine(folder, jobs), all_targets(jobs), {f"{RUN}/topology.parquet"})
    assert {f"{RUN}/topology.parquet", f"{RUN}/phases.parquet", "metrics.parquet", "report.html"} <= again
    assert f"{RUN}/samples.parquet" not in again


def test_tables_and_checkpoints_that_nobody_asks_for_are_told(folder):
    shutil.copytree(folder / RUN, folder / "runs/plane/seed=7")
    shutil.copy(folder / RUN / "checkpoints/step=20.safetensors", folder / RUN / "checkpoints/step=900.safetensors")
    paths = {finding.path for finding in unasked(folder, examine(folder, jobs_of(BASE)))}
    assert f"{RUN}/checkpoints/step=900.safetensors" in paths and "runs/plane/seed=7/losses.parquet" in paths
    assert not {path for path in paths if "seed=7" not in path and "step=900" not in path}


def run_verify(capsys, *arguments):
    """What the command prints, and its exit status."""
    status = 0
    try:
        verify(*arguments)
    except typer.Exit as end:
        status = end.exit_code
    return capsys.readouterr().out, status


def test_verify_passes_a_whole_folder_wherever_it_lies(folder, capsys):
    text, status = run_verify(capsys, folder)
    assert status == 0 and "All files that are there are right." in text
    moved = MOVES["copied_without_times"](folder, random.Random(0))
    shutil.rmtree(folder)
    assert run_verify(capsys, moved, None, True) == (text, 0)


def test_verify_names_what_is_stale_broken_or_not_asked_for(folder, tmp_path, capsys):
    file = tmp_path / "now.yaml"
    file.write_text(validate(changed(CHANGES[:1])).model_dump_json(exclude_none=True), encoding="utf-8")
    text, status = run_verify(capsys, folder, [file])
    assert status == 1 and "other settings (analysis.tolerance 1.0, now 0.5)" in text
    os.truncate(folder / "metrics.parquet", 20)
    shutil.copytree(folder / RUN, folder / "runs/plane/seed=7")
    text, status = run_verify(capsys, folder)
    assert status == 1 and "1 file: metrics.parquet: broken" in text and "not asked for" in text


def test_verify_reads_every_byte_when_asked(folder, capsys):
    path = folder / "figures/loss.pdf"
    assert run_verify(capsys, folder, None, True)[1] == 0
    path.write_bytes(path.read_bytes()[::-1])
    assert run_verify(capsys, folder, None, True)[1] == 1


def test_verify_needs_a_folder_with_a_configuration(tmp_path):
    with pytest.raises(CommandError, match="is not a folder"):
        verify(tmp_path / "none")
    with pytest.raises(CommandError, match="name the configuration in force with --config"):
        verify(tmp_path)


@pytest.mark.slow  # half a minute to make the files
def test_a_thousand_runs_are_looked_at_in_five_seconds(tmp_path):
    plain = laid_over(BASE, {"seeds": list(range(500)), "training": {"checkpoints": list(range(0, 61, 4))}})
    folder, jobs = write_folder(tmp_path / "results", validate(plain)), jobs_of(plain)
    examine(folder, jobs)
    before = time.process_time()
    jobs = jobs_of(plain)
    found = examine(folder, jobs)
    assert to_make_again(jobs, found, all_targets(jobs)) == set()
    assert time.process_time() - before < 5
    assert len(found) > 25_000


def test_without_geometry_no_job_measures_activations():
    plain = laid_over(BASE, {"probe": {"geometry": False}})
    planned = {job.step: job for job in jobs_of(plain) if job.subject == "plane-seed0"}
    assert set(planned) == {job.step for job in jobs_of(BASE)} & {
        "train",
        "generate",
        "effects",
        "interventions",
        "behaviour",
    }
    before = {job.step: job.settings() for job in jobs_of(BASE) if job.subject == "plane-seed0"}
    assert all(job.settings() == before[step] for step, job in planned.items())
    assert not validate(plain).balanced_plane_runs()
