"""C1-umap on runs whose phases in UMAPs are given."""

import pytest

from made_up_runs import STEPS, every, letters, number

IN_ORDER = letters(200, 800)
BLIND = "x" * 8 + IN_ORDER[8:]


@pytest.mark.parametrize(
    ("umap", "verdict", "runs"),
    [
        (IN_ORDER, "supported", 5),
        (letters(800, 800), "contradicted", 5),  # A, then C, close enough to leave no room for a B
        (letters(800, 800).replace("AC", "?C"), "undetermined", 0),  # A or B: a B may hide
        (letters(200, 800).replace("B", "x"), "undetermined", 0),  # a sheet in disorder would not have been seen
        (letters(200, 800).replace("B", "p"), "contradicted", 5),  # ordered in part, hence not in disorder
        (letters(200, 9999).replace("B", "p"), "undetermined", 0),  # a UMAP may tear an ordered sheet
        (letters(200, 9999), "contradicted", 5),  # images reach C, the sheet stays in disorder
        (None, "undetermined", 0),  # no UMAPs were read
    ],
)
def test_the_verdict_is_that_of_the_phases_in_umaps(umap, verdict, runs):
    row = every(5, umap=umap, latent=letters(800, 800), behaviour=letters(200, 800)).judge("C1-umap")
    assert (row.verdict, row.runs) == (verdict, runs), row.reason


def test_the_rigorous_verdict_stands_beside_it_and_is_not_touched():
    experiment = every(5, umap=letters(800, 800), latent=IN_ORDER)
    assert experiment.judge("C1").verdict == "supported"
    assert experiment.judge("C1-umap").verdict == "contradicted"


def test_without_power_there_is_no_verdict():
    assert every(5, umap=IN_ORDER).judge("C1-umap").verdict == "supported"
    row = every(5, umap=BLIND, behaviour=IN_ORDER).judge("C1-umap")
    assert row.verdict == "undetermined"
    checks = every(5, umap=BLIND, behaviour=IN_ORDER).checks("C1-umap")
    before = sum(STEPS < 800)
    share = number(checks, "power: share of checkpoints before C with sight")
    assert share == pytest.approx(1 - 8 / before)


def test_below_five_seeds_the_verdict_is_undetermined():
    assert every(4, umap=IN_ORDER).judge("C1-umap").verdict == "undetermined"


def test_other_places_and_shared_noise_are_shown_and_do_not_count():
    experiment = every(5, umap=letters(800, 800), behaviour=IN_ORDER)
    for row in list(experiment.phases):
        verdict = "A" if row["step"] < 100 else "B" if row["step"] < 500 else "C"
        experiment.phases.append(row | {"t": 39, "judged": False, "latent_phase_umap": verdict})
        row["latent_phase_umap_shared"] = "C"
    checks = experiment.checks("C1-umap")
    assert number(checks, "runs in order there", "down3 at t=39") == 5
    assert number(checks, "runs with a B", "down3 at t=239, shared noise") == 0
    assert experiment.judge("C1-umap").verdict == "contradicted"
