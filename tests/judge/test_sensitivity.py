"""Claims judged again: what a changed choice changes, and what it leaves alone."""

import numpy as np
import pandas as pd
import pytest

from bumpscope.commands.interface import CommandError
from bumpscope.commands.sensitivity import sensitivity
from bumpscope.config.lattice import Lattice
from bumpscope.config.readings import Reading
from bumpscope.judge.claims import claims
from bumpscope.judge.histories import follows_the_drawn
from bumpscope.judge.sensitivity import (
    QUALIFIERS,
    Experiment,
    Probing,
    places,
    places_text,
    verdicts_text,
    where_disorder_lives,
)
from bumpscope.measure.as_read import UMAP_VERDICTS
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import matching
from bumpscope.worlds.behaviour import classify
from bumpscope.worlds.bumps import render
from made_up_runs import EMPTY, run_row
from synthetic_results import metrics_table

STEPS = np.array([0, 200, 250, 300, 350, 400, 450, 500])
SEEDS = range(5)
# A cloud's numbers by phase: order by the requested centre (all measures alike), by the drawn one, thickness and
# dimension.
CLOUDS = {"A": (0.0, 0.0, 0.9, 9.0), "B": (0.05, 0.8, 0.1, 2.0), "C": (0.95, 0.95, 0.1, 2.0)}
CONFIGURED = {"factor": "configured", "level": "as configured", "variant": "configured", "tolerance": 1.0}


EFFECT = {"quantity": "effect", "factor": "x", "t": 300, "weights": "raw"}


def reading(**changed):
    return Reading(**CONFIGURED | changed)


def cloud(step, layer, t, phase):
    requested, drawn, thickness, dimension = CLOUDS[phase]
    shape = {"rank": 5.0, "breadth": 0.6, "thickness": thickness, "gaussian_p": 0.0, "least_visible_sheet": 1.0}
    rows = [("raw", None, *number) for number in (shape | {"dimension_mada_denoised": dimension}).items()]
    for label, order in {"requested": requested, "realised": drawn, "shuffled": 0.0}.items():
        rows += [("raw", label, f"{name}_denoised", order) for name in ("trustworthiness", "knn_r2")]
        rows += [(space, label, name, order) for space in ("raw", "pca3") for name in ("r2", "r2_x", "r2_y")]
    frame = pd.DataFrame(rows, columns=["space", "label", "metric", "value"])
    return frame.assign(step=step, weights="raw", layer=layer, t=t, noise="own")[TABLES["varied_geometry"].names]


def images(step, outcomes):
    """Images by the distance of their bump from the request, px; infinite: two bumps."""
    n = len(outcomes)
    error = np.asarray(outcomes, dtype=float)
    table = {"step": step, "weights": "raw", "sample": np.arange(n), "mu_x": 5.0, "mu_y": 5.0, "split": "seen"}
    table |= {"bumps": np.where(np.isinf(error), 2, 1), "x": 5.0 + error, "y": 5.0, "amplitude": 1.0, "width": 1.0}
    return pd.DataFrame(table | {"error": error})[TABLES["varied_behaviour"].names]


def probing(seed, phases_at, errors, dataset="balanced", **other):
    """``phases_at``: place -> a letter a step; ``errors``: distance at each step."""
    geometry = [
        cloud(s, *place, letter) for s in STEPS for place, letters in phases_at.items() for letter in [letters[s]]
    ]
    behaviour = [images(step, [errors[step]] * 16) for step in STEPS]
    return Probing(
        run_row(dataset, seed, **other), pd.concat(behaviour, ignore_index=True), pd.concat(geometry, ignore_index=True)
    )


def letters(text):
    return dict(zip(STEPS, text, strict=True))


@pytest.fixture
def probings():
    """Five runs in order at down3 (the configured place) and up3, without B at up1; right within 1 px only late."""
    at = {("down3", 239): letters("AABBBCCC"), ("up1", 239): letters("AAAAACCC"), ("up3", 39): letters("AABBBBCC")}
    errors = dict(zip(STEPS, [np.inf, np.inf, 5.0, 5.0, 1.5, 1.5, 1.5, 0.3], strict=True))
    return [probing(seed, at, errors) for seed in SEEDS]


@pytest.fixture
def made_up(probings):
    """What these runs' own tables say; besides a label effect of theirs, and a dense lattice that is not read again."""
    dense = probing(0, {("down3", 239): letters("ABBCCCCC")}, dict.fromkeys(STEPS, 0.2), "dense", dx=0.5, dy=0.5)
    read = [one.read(reading()) for one in [*probings, dense]]
    run = {"run": "balanced-seed0", "dataset": "balanced", "seed": 0, "step": 0}
    effect = metrics_table([run | EFFECT | {"value": 0.5}])
    metrics = pd.concat([*(m for m, _ in read), effect], ignore_index=True)
    phases = pd.concat([p for _, p in read], ignore_index=True).assign(**dict.fromkeys(UMAP_VERDICTS))
    runs = pd.DataFrame([one.run for one in [*probings, dense]])
    verdicts = claims(metrics, runs, phases, EMPTY["coupling"])
    return Experiment(metrics, runs, phases, EMPTY["coupling"], EMPTY["coupling"], verdicts)


def test_the_configured_reading_gives_the_experiments_own_claims(made_up, probings):
    rows = made_up.judge(reading(), probings)
    assert list(rows.columns) == TABLES["sensitivity"].names
    assert not rows.changed.any()
    own = made_up.claims[["claim", "estimate", "low", "high", "runs", "verdict", "reason"]]
    pd.testing.assert_frame_equal(rows[own.columns], own)


def test_a_place_without_b_changes_the_verdict_on_order_and_one_with_b_does_not(made_up, probings):
    elsewhere = {"factor": "place", "level": "there"}
    at_up1 = made_up.judge(reading(**elsewhere, layer="up1", t=239), probings).set_index("claim")
    at_up3 = made_up.judge(reading(**elsewhere, layer="up3", t=39), probings).set_index("claim")
    assert made_up.claims.set_index("claim").verdict["C1"] == "supported"
    assert (at_up1.verdict["C1"], at_up1.changed["C1"]) == ("contradicted", True)
    assert (at_up3.verdict["C1"], at_up3.changed["C1"]) == ("supported", False)
    # Coupling rests on nothing that a reading changes.
    assert not at_up1.changed["C5-not-factorised"]


def test_a_wider_tolerance_moves_behaviour_and_leaves_the_latents_alone(made_up, probings):
    wide = reading(factor="tolerance", level="2 px", tolerance=2.0)
    _, before = probings[0].read(reading())
    _, after = probings[0].read(wide)
    assert "".join(before.behaviour_phase) == "AABBBBBC"
    assert "".join(after.behaviour_phase) == "AABBCCCC"
    assert list(before.latent_phase) == list(after.latent_phase)
    own, judged = made_up.claims.set_index("claim"), made_up.judge(wide, probings).set_index("claim")
    # Right images come at step 350 instead of 500, so that the order in the latents, at 400, no longer comes with them.
    assert judged.estimate["C2"] > own.estimate["C2"]
    assert not judged.changed["C1"]


def test_a_circle_is_no_sheet_where_the_topology_is_the_experiments_own(probings):
    one = probings[0]
    bars = [(step, "raw", "down3", 239, dimension, True) for step in STEPS for dimension in (0, 1)]
    circle = pd.DataFrame(bars, columns=["step", "weights", "layer", "t", "dimension", "significant"])
    _, sheet = one.read(reading())
    _, seen = Probing(one.run, one.behaviour, one.geometry, circle).read(reading())
    assert "B" in set(sheet.latent_phase) and "B" not in set(seen.latent_phase)
    # Nothing is known of the other places.
    found = places(Probing(one.run, one.behaviour, one.geometry, circle), 1.0)
    assert "B" in set(found[found.layer == "up3"].latent_phase)


def test_what_is_not_read_again_stays(made_up, probings):
    kept = {}

    def spy(metrics, runs, phases, coupling, **others):
        kept.update(metrics=metrics, phases=phases)
        return made_up.claims

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bumpscope.judge.sensitivity.claims", spy)
        made_up.judge(reading(factor="place", level="there", layer="up1", t=239), probings)
    metrics, phases = kept["metrics"], kept["phases"]
    assert not metrics.duplicated(["run", "step", *QUALIFIERS]).any()
    assert len(matching(metrics, **EFFECT)) == 1
    # Numbers of the place that is read again are replaced, those of other places stay.
    r2 = matching(metrics, quantity="r2", factor="x", space="raw", label="requested", dataset="balanced")
    assert set(r2.layer) == {"down3", "up1"} and (r2.groupby("layer").size() == len(STEPS) * len(probings)).all()
    assert set(phases[phases.dataset == "dense"].layer) == {"down3"}
    assert set(phases[phases.dataset == "balanced"].layer) == {"up1"}
    assert len(phases) == len(made_up.phases)


def test_a_timestep_that_was_not_visited_is_read_at_the_nearest():
    at = {("down3", 199): letters("AAAAAAAA"), ("down3", 299): letters("AAAAAAAA"), ("up1", 199): letters("AAAAAAAA")}
    one = probing(0, at, dict.fromkeys(STEPS, 0.0))
    wanted = {239: 199, 260: 299, 0: 199, 999: 299, 249: 299}
    found = {t: one.place(reading(factor="place", level="", layer="down3", t=t)) for t in wanted}
    assert found == {t: ("down3", visited) for t, visited in wanted.items()}
    assert one.place(reading()) == ("down3", 199)


def test_outcomes_at_any_tolerance_are_those_of_the_classifier():
    lattice = Lattice(margin=2.0)
    x, y = np.array([4.0, 6.0, 8.0, 9.0]), np.full(4, 7.0)
    shown = render(x, y, lattice)
    shown[1] += render(np.array([12.0]), np.array([12.0]), lattice)[0]
    shown[2] = 0.0
    asked = {"mu_x": x - [1.5, 0, 0, 0.2], "mu_y": y}
    table = classify(shown, *asked.values(), lattice, np.inf, 0.25).assign(**asked)
    for tolerance in (0.1, 0.5, 1.0, 2.0):
        expected = classify(shown, *asked.values(), lattice, tolerance, 0.25).assign(**asked)
        found = Probing(run_row("mine", 0), table, pd.DataFrame()).judged_by(tolerance)
        pd.testing.assert_frame_equal(found, expected)


def test_places_say_where_b_shows_and_where_clouds_follow_what_is_drawn(probings):
    found = pd.concat([places(one, 1.0) for one in probings], ignore_index=True)
    assert list(found.columns) == TABLES["places"].names
    assert len(found) == len(SEEDS) * 3 * len(STEPS)
    b = found[found.latent_phase == "B"]
    assert set(b.layer) == {"down3", "up3"}
    # (all measures by the requested centre, by the drawn one, dimension) of phase B
    for column, value in zip(["requested", "realised"], CLOUDS["B"], strict=False):
        for metric in ("r2", "knn_r2", "trustworthiness"):
            assert (b[f"{metric}_{column}"] == value).all()
    assert (b.dimension == 2.0).all()
    drawn = follows_the_drawn(found.knn_r2_realised, found.knn_r2_requested)
    assert drawn.equals(found.latent_phase == "B")
    summary = where_disorder_lives(found).set_index("layer")
    assert list(summary.index) == ["down3", "up1", "up3"]
    assert summary.in_order.to_dict() == {"down3": 5, "up1": 0, "up3": 5}
    assert summary.with_b.to_dict() == {"down3": 5, "up1": 0, "up3": 5}
    assert summary.follows_drawn.to_dict() == {"down3": 15, "up1": 0, "up3": 20}
    *_, with_b, follows = places_text(found).splitlines()
    assert with_b == "Most runs with B at down3 t=239, up3 t=39: 5 of 5 runs."
    assert follows == "Most clouds follow the drawn centre at up3 t=39: 20 of 40 checkpoints."
    *_, with_b, follows = places_text(found[found.layer == "up1"]).splitlines()
    assert (with_b, follows) == ("No run shows B.", "No cloud follows the drawn centre.")


def test_following_what_is_drawn_needs_a_margin_and_a_level():
    requested, drawn = pd.Series([0.2, 0.45, 0.1, np.nan]), pd.Series([0.5, 0.5, 0.35, 0.9])
    assert follows_the_drawn(drawn, requested).tolist() == [True, False, False, False]


def test_verdicts_whose_numbers_no_choice_changes_are_not_counted():
    rows = [
        ("configured", "as configured", "C1", np.nan, 0, "undetermined", False),
        ("configured", "as configured", "C3", 0.9, 5, "contradicted", False),
        ("place", "up1", "C1", 0.5, 5, "contradicted", True),
        ("place", "up1", "C3", np.nan, 0, "undetermined", True),  # nobody intervened there
        ("place", "up2", "C1", np.nan, 0, "undetermined", False),
        ("place", "up2", "C3", 0.8, 5, "contradicted", False),
        ("samples", "32", "C1", np.nan, 0, "undetermined", False),
        ("samples", "32", "C3", 0.9, 5, "contradicted", False),  # not measured again
    ]
    names = ["factor", "level", "claim", "estimate", "runs", "verdict", "changed"]
    text = verdicts_text(pd.DataFrame(rows, columns=names).assign(low=np.nan, high=np.nan))
    assert "1 of the 2 verdicts whose numbers a choice changes are others: C1 at up1 (contradicted)." in text
    assert "1 cannot be judged there" in text


@pytest.mark.slow
def test_the_printed_table_marks_and_counts_what_changes(made_up, probings):
    changes = [
        {},
        {"factor": "tolerance", "level": "2 px", "tolerance": 2.0},
        {"factor": "place", "level": "up1 t=239", "layer": "up1", "t": 239},
        {"factor": "place", "level": "up3 t=39", "layer": "up3", "t": 39},
    ]
    table = pd.concat([made_up.judge(reading(**change), probings) for change in changes], ignore_index=True)
    text = verdicts_text(table)
    lines = text.splitlines()
    row = next(line for line in lines if "up1 t=239" in line)
    assert row.split()[3:5] == ["contradicted", "*"]
    marked = table[table.changed]
    start = next(k for k, line in enumerate(lines) if "whose numbers a choice changes" in line)
    assert sum(line.count(" *") for line in lines[3:start]) == len(marked) > 1
    assert lines[start].startswith(f"{len(marked)} of the ")
    for changed in marked.itertuples():
        assert f"{changed.level} ({changed.verdict})" in " ".join(lines[start:])
    unchanged = verdicts_text(table[table.level.isin(["as configured", "up3 t=39"])])
    assert "\n0 of the " in unchanged
    # A configured reading that comes out otherwise was made elsewhere, and the text warns.
    assert "As configured" not in text
    elsewhere = table.assign(changed=table.factor == "configured")
    assert "As configured, C1, " in verdicts_text(elsewhere)


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ("{", "--readings: Invalid JSON"),
        ('{"runs": {}, "variants": {}}', "--readings: Field required"),
        ('{"runs": {}, "variants": {}, "readings": []}', "no balanced dataset on a plane"),
    ],
)
def test_readings_that_cannot_be_read_are_told_in_one_line(tmp_path, readings, told):
    with pytest.raises(CommandError, match=told) as caught:
        sensitivity(readings, tmp_path, *(tmp_path / name for name in ("verdicts", "places", "text")))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
