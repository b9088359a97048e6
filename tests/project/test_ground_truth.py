"""The validation scripts measure what they say, and the page says what their tables say and nothing else."""

import numpy as np
import pandas as pd
import pytest

import ground_truth_page as page
import measure_behaviour
import measure_clouds
import measure_effects
from bumpscope.config.settings import Lattice
from judgements import NOT_MEASURED, Judgement, summary
from known_values import ACCEPTED
from truth_tables import load, save

SMALL = Lattice(image_size=8, margin=1.0)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A folder with every table, each made by its script of few probes, images and clouds."""
    folder = tmp_path_factory.mktemp("tables")
    save("effects", measure_effects.decomposed("small", SMALL, 300, 32), folder)
    save("effects-large", measure_effects.cost(SMALL, 300, 32), folder)
    generator, lattice = np.random.default_rng(0), measure_behaviour.LATTICES["torus"]
    counted = [
        measure_behaviour.counts(lattice, amplitudes, 16, generator).assign(lattice="torus", band=band)
        for band, amplitudes in measure_behaviour.BANDS.items()
    ]
    save("behaviour-counts", pd.concat(counted, ignore_index=True), folder)
    located = measure_behaviour.position_errors(lattice, (0.6, 1.2), (1.0,), (0.0, 0.02), 100, generator)
    save("behaviour-positions", located.assign(lattice="torus"), folder)
    for family, kinds in {
        "fresh": ["random, ten-dimensional", "unrelated curved sheet", "ordered flat sheet", "circle"],
        "tuned": ["ordered torus", "circle"],
    }.items():
        rows = [measure_clouds.row(family, (kind, index)) for kind in kinds for index in range(2)]
        save(f"clouds-{family}", pd.DataFrame(rows), folder)
    return folder


def changed(tables, name, tmp_path, change):
    """The tables with one of them changed."""
    for other in page.TABLES:
        save(other, load(other, tables)[0], tmp_path)
    save(name, change(load(name, tables)[0]), tmp_path)
    return page.page(tmp_path)


def line_of(text, what):
    """The line of the summary that begins with these words."""
    (found,) = (line for line in text.splitlines() if line.startswith(f"| {what}"))
    return found


def test_each_bayes_denoiser_is_found_and_another_is_not():
    frame = measure_effects.decomposed("small", SMALL, 300, 32)
    assert len(frame) == len(measure_effects.DENOISERS) * len(measure_effects.FORMS)
    assert frame.deviation[frame.form == "float64"].max() < 1e-9 < frame.deviation[frame.form != "float64"].min()
    assert frame.deviation.max() < 1e-5
    excess = frame[frame.form == "float64"].set_index("denoiser").excess
    assert excess["blind"] == pytest.approx(1) and excess["both"] == 0
    assert excess[["x only", "y only"]].between(0.05, 0.95).all()


def test_a_prediction_keeps_the_estimate_but_for_rounding():
    probe = measure_effects.make_probe(SMALL, measure_effects.alpha_bar(300), 300, 16, seed=0)
    for form in ("epsilon", "v"):
        again = measure_effects.through_prediction(probe.Dx, probe, form)
        assert 0 < np.abs(again - probe.Dx).max() < 1e-5
    assert measure_effects.through_prediction(probe.Dx, probe, "float64") is probe.Dx


def test_the_share_of_signal_is_that_of_the_linear_schedule():
    betas = np.linspace(1e-4, 0.02, 1000)
    assert measure_effects.alpha_bar(450) == pytest.approx(np.prod(1 - betas[:451]))


def test_the_large_lattice_has_ten_thousand_points():
    frame = measure_effects.cost(measure_effects.LARGE, 450, 16)
    assert frame.points.item() == 10_000
    assert frame.seconds.item() > 0 and frame.peak.item() > 0


def test_counts_have_each_number_and_noise_equally_often():
    frame = measure_behaviour.counts(Lattice(), (0.6, 1.2), 32, np.random.default_rng(0))
    assert (frame.groupby(["noise", "truth"]).size() == 2).all()
    assert frame.weakest.dropna().between(0.6, 1.2).all() and (frame.weakest.isna() == (frame.truth == 0)).all()
    assert (frame.nearest.dropna() >= 4).all() and (frame.nearest.notna() == (frame.truth > 1)).all()
    assert (frame.error.notna() == ((frame.noise == 0) & (frame.truth > 0))).all()
    assert (frame.found == frame.truth).all()


def test_a_bump_that_is_not_found_has_no_error():
    lattice = Lattice()
    bumps = np.array([[5.0, 5.0, 0.9, 1.0], [11.0, 11.0, 0.1, 1.0]])
    assert np.isnan(measure_behaviour._largest_error(measure_behaviour.drawn(bumps, lattice), bumps, lattice))


def test_clouds_take_turns_in_noise_and_number_of_images(tables):
    frame = load("clouds-fresh", tables)[0]
    assert frame.images.tolist()[:2] == [512, 256] and (frame.noise[::2] == 0).all() and (frame.noise[1::2] > 0).all()
    assert set(measure_clouds.KINDS) == set(measure_clouds.FAMILIES)
    # The only dataset on a torus has 512 images.
    assert {len(measure_clouds.cloud("fresh", "ordered torus", index)[0].vectors) for index in range(2)} == {512}
    settings = {
        tuple(measure_clouds.cloud("fresh", "random, ten-dimensional", index)[1].values()) for index in range(13)
    }
    assert len(settings) == 13


def test_a_row_has_the_verdict_the_betti_numbers_and_every_number(tables):
    frame = load("clouds-fresh", tables)[0].set_index("kind")
    assert set(frame.verdict["unrelated curved sheet"]) == {"B"}
    assert set(frame.verdict["ordered flat sheet"]) == {"C"}
    assert set(frame.betti_found["ordered flat sheet"]) == {"(1, 0, 0)"}
    sheets = frame.loc["ordered flat sheet"]
    assert (sheets["rank"] == 2).all() and (sheets.known_rank == 2).all()
    assert sheets[list(ACCEPTED)].notna().all(axis=None)
    assert (
        frame.known_r2["circle"].between(-0.1, 0, inclusive="neither").all() and frame.known_rank["circle"].isna().all()
    )
    # A reason is kept where the verdict is another, and there alone.
    assert ((frame.reason != "") == (frame.verdict != frame.phase)).all()


def test_many_processes_measure_what_one_does(monkeypatch):
    monkeypatch.setitem(measure_clouds.KINDS, "tuned", ["circle"])
    pd.testing.assert_frame_equal(measure_clouds.measured("tuned", 2), measure_clouds.measured("tuned", 2, processes=2))


def test_a_table_comes_back_with_its_machine_and_a_missing_one_is_none(tmp_path):
    save("some", pd.DataFrame({"n": [1], "share": [0.1]}), tmp_path)
    frame, facts = load("some", tmp_path)
    assert frame.n.tolist() == [1] and frame["share"].dtype == np.float32 and facts["processor"]
    assert load("other", tmp_path) is None


def test_the_page_is_made_of_the_tables_beside_it():
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_the_page_says_what_was_not_measured(tmp_path):
    text = page.page(tmp_path)
    assert text.count(f"{NOT_MEASURED}.") == len(page.TABLES)
    assert "met" not in text.replace("instrument", "").split()


def test_a_page_of_few_cases_counts_what_is_met(tables):
    text = page.page(tables)
    rows = [
        line for line in text.split("## Label effects")[0].splitlines() if line.endswith(("| met |", "| not met |"))
    ]
    met = sum(line.endswith("| met |") for line in rows)
    assert f"Of {len(rows)} targets {met} are met and {len(rows) - met} are not met." in text
    assert NOT_MEASURED not in text


BEYOND = {
    "label effects (a, b, c) of exact": ("effects", {"deviation": 1e-3}),
    "posterior means": ("effects", {"posterior_deviation": 1e-3}),
    "peak memory": ("effects-large", {"peak": 1e9}),
    "bumps miscounted": ("behaviour-counts", {"found": 5}),
    "position error over": ("behaviour-positions", {"ratio": 1.3}),
    "root mean square position error without noise": ("behaviour-positions", {"rms": 0.02}),
    "phase verdicts, fresh clouds, wrong in all": ("clouds-fresh", {"verdict": "A"}),
    "phase verdicts, fresh clouds, wrong in the worst": ("clouds-fresh", {"verdict": "A"}),
    "fresh circles": ("clouds-fresh", {"verdict": "A"}),
    "Betti numbers, fresh clouds, right in all": ("clouds-fresh", {"betti_found": "(2, 0, 0)"}),
    "Betti numbers, tuned-on clouds, right in the worst": ("clouds-tuned", {"betti_found": "(2, 0, 0)"}),
    "rank above noise, fresh": ("clouds-fresh", {"rank": 5.0}),
    "linear R² of requested centres, fresh": ("clouds-fresh", {"r2": 0.5}),
    "participation ratio, tuned-on": ("clouds-tuned", {"participation_ratio": np.nan}),
}


@pytest.mark.parametrize("what", BEYOND)
def test_a_number_beyond_its_target_is_not_met(what, tables, tmp_path):
    name, beyond = BEYOND[what]
    assert line_of(page.page(tables), what).endswith("| met |")
    text = changed(tables, name, tmp_path, lambda frame: frame.assign(**beyond))
    assert line_of(text, what).endswith("| not met |")
    assert text.count("**not met**") > page.page(tables).count("**not met**")


def test_tori_of_fewer_images_are_told_but_not_judged(tables, tmp_path):
    few = pd.DataFrame([measure_clouds.row("fresh", ("ordered torus", 1, 256))]).assign(betti_found="(1, 5, 0)")
    text = changed(tables, "clouds-fresh", tmp_path, lambda frame: pd.concat([frame, few], ignore_index=True))
    assert "| ordered torus | 256 | 1 | 0.0% | 0.0% |" in text
    for what in (
        "phase verdicts, fresh",
        "Betti numbers, fresh clouds, right in all",
        "linear R² of requested centres, f",
    ):
        lines = [[line for line in page.split("\n") if what in line] for page in (text, page.page(tables))]
        assert lines[0] == lines[1]


def test_an_undecided_cloud_is_no_wrong_one_but_is_listed(tables, tmp_path):
    def undecide(frame):
        return frame.assign(verdict="?", reason=f"partly ordered {4711}")

    text = changed(tables, "clouds-fresh", tmp_path, undecide)
    assert line_of(text, "phase verdicts, fresh clouds, wrong in all").endswith("| met |")
    assert "partly ordered 4711" in text


def test_a_summary_is_a_row_a_judgement():
    judged = [Judgement("length", "at most 1", "2", False), Judgement("breadth", "at most 1", "1", True)]
    assert summary(judged).splitlines()[2:] == [
        "| length | at most 1 | 2 | not met |",
        "| breadth | at most 1 | 1 | met |",
    ]
    assert judged[0].sentence() == "Length: 2; the target is at most 1: **not met**."
