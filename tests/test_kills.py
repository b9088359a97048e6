"""Twenty kills of whole workflows; docs/kills.md tells of the same (make kill-trace)."""

import time

import pytest

from interrupted_runs import Run, everything, look, play, twenty_kills
from workflow import copy_project

SEED = 5


@pytest.mark.slow
def test_a_workflow_killed_at_any_moment_goes_on_to_the_files_of_an_undisturbed_one(tmp_path):
    project = copy_project(tmp_path / "project")
    started = time.monotonic()
    undisturbed = Run(project, "undisturbed")
    undisturbed.end()
    seconds, total = time.monotonic() - started, sum(undisturbed.planned().values())
    reference = everything(undisturbed.folder)
    print(f"seed {SEED}")
    for output, kills in twenty_kills(SEED, seconds).items():
        folder = play(project, kills, total).folder
        assert [kill.seen.broken for kill in kills] == [[]] * len(kills), output
        assert everything(folder) == reference, output
        assert (look(folder).broken, look(folder).leftovers) == ([], []), output
        assert not list((folder / ".state").glob("*/*")), output


def test_the_kills_take_all_signals_at_all_stages_of_a_run_and_come_back_with_the_seed():
    plan = twenty_kills(SEED, 100.0)
    kills = [kill for group in plan.values() for kill in group]
    assert len(kills) == 20
    assert {kill.signal.name for kill in kills} == {"SIGINT", "SIGTERM", "SIGKILL"}
    fresh = sorted(group[0].asked for group in plan.values() if len(group) == 1)
    assert [int(moment / 97 * 8) for moment in fresh] == list(range(8))
    assert plan == twenty_kills(SEED, 100.0) != twenty_kills(SEED + 1, 100.0)
