"""Twenty kills of whole workflows. docs/interruptions.md has the same (make kill-trace)."""

import pytest

import interruptions_page
from interrupted_runs import KILLS, STAGES, Run, everything, play, twenty_kills
from whole_files import look
from workflow import copy_project

SEED = 5


@pytest.mark.slow
def test_a_workflow_killed_at_any_moment_goes_on_to_the_files_of_an_undisturbed_one(tmp_path):
    project = copy_project(tmp_path / "project")
    undisturbed = Run(project, "undisturbed")
    undisturbed.end()
    total = sum(undisturbed.planned().values())
    reference = everything(undisturbed.folder)
    print(f"seed {SEED}")
    for number, group in enumerate(twenty_kills(SEED)):
        for run, kills in play(project, f"killed{number}", group, total):
            assert [kill.seen.broken for kill in kills] == [[]] * len(kills), run.folder.name
            assert everything(run.folder) == reference, run.folder.name
            assert (look(run.folder).broken, look(run.folder).leftovers) == ([], []), run.folder.name
            assert not list((run.folder / ".state").glob("*/*")), run.folder.name


def test_the_kills_take_all_signals_in_all_stages_of_a_run_and_come_back_with_the_seed():
    plan = twenty_kills(SEED)
    kills = [kill for group in plan for kill in group]
    assert len(kills) == KILLS
    assert {kill.signal.name for kill in kills} == {"SIGINT", "SIGTERM", "SIGKILL"}
    assert [group[0].stage for group in plan] == [*STAGES, ""]
    assert plan == twenty_kills(SEED) != twenty_kills(SEED + 1)


def test_the_page_is_made_of_the_tables_beside_it():
    assert (interruptions_page.writing.DOCS / "interruptions.md").read_text(
        encoding="utf-8"
    ) == interruptions_page.page()
