"""The animation rests on what was measured, marks what was not, and stays small."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bumpscope.commands.animation import animation as command
from bumpscope.show import animation
from bumpscope.show.manifold_view import NothingToSee, manifold_view
from bumpscope.store.results import Results
from bumpscope.store.tables import write_table
from synthetic_results import BALANCED, DATASETS, METADATA, STEPS, write_results

MEGABYTES = 2.5
SHOWN = STEPS[::3]


def _frames(gif: bytes) -> list[tuple[np.ndarray, int]]:
    image = Image.open(BytesIO(gif))
    found = []
    for number in range(image.n_frames):
        image.seek(number)
        found.append((np.asarray(image.convert("RGB")), image.info["duration"]))
    return found


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> Path:
    return write_results(tmp_path_factory.mktemp("usual"), {"balanced": BALANCED}, seeds=(0,), steps=SHOWN)


@pytest.fixture(scope="module")
def gif(usual) -> bytes:
    return animation.animate(Results(usual))


def test_it_rests_at_every_checkpoint_and_longest_at_both_ends(gif):
    frames = _frames(gif)
    assert len(frames) == len(SHOWN) + animation.BETWEEN * (len(SHOWN) - 1)
    durations = [duration for _, duration in frames]
    assert durations[0] == durations[-1] == animation.END
    rests = durations[:: animation.BETWEEN + 1]
    assert rests[1:-1] == [animation.REST] * (len(SHOWN) - 2)
    assert max(set(range(len(frames))) - set(range(0, len(frames), animation.BETWEEN + 1))) == len(frames) - 2
    assert durations.count(animation.MOVE) == animation.BETWEEN * (len(SHOWN) - 1)


def test_it_loops_fits_a_page_and_stays_small(gif):
    image = Image.open(BytesIO(gif))
    assert image.size == (800, 450) and image.info["loop"] == 0
    assert len(gif) < MEGABYTES * 1e6


def test_paper_stays_white(gif):
    for picture, _ in _frames(gif)[::9]:
        assert (picture[3, 3] == 255).all()


def test_frames_between_checkpoints_are_marked_and_others_are_not(usual, monkeypatch):
    told = []
    real = animation._Stage.picture

    def noted(self, moment):
        picture = real(self, moment)
        told.append(
            (moment.fraction, self.title.get_text(), self.note.get_text(), self.clouds[0]["points"].get_alpha())
        )
        return picture

    monkeypatch.setattr(animation._Stage, "picture", noted)
    animation.animate(Results(usual))
    for fraction, title, note, opacity in told:
        if fraction:
            assert "not measured" in note and "→" in title and "correct" not in title and opacity < 0.5
        else:
            assert note == "" and "phase" in title and "correct" in title and opacity == 1
    assert told[0][1].startswith("step 0 ") and told[-1][1].startswith(f"step {SHOWN[-1]} ")


def test_the_run_and_the_place_with_the_best_told_weaker_coordinate_are_shown(tmp_path):
    root = write_results(tmp_path, {"balanced": BALANCED}, seeds=(0, 1), steps=(0, 900), samples=64)
    results, random = Results(root), np.random.default_rng(0)
    for seed in (0, 1):
        run = results["balanced", seed]
        table = run.table("embedding")
        # In seed 1, at up1 and t = 39, the cloud is the requests; elsewhere x is, and y is noise.
        requests = table.merge(run.table("samples"), on=["step", "sample"], how="left")
        best = ((table["layer"] == "up1") & (table["t"] == 39)).to_numpy() & (seed == 1)
        table["aligned_1"] = requests["mu_x"].to_numpy()
        table["aligned_2"] = np.where(best, requests["mu_y"], random.standard_normal(len(table)))
        table["aligned_3"] = random.standard_normal(len(table))
        write_table("embedding", run.path("embedding"), table, METADATA | {"run": run.name})
    view = manifold_view(results)
    assert (view.run.seed, view.layer, view.t) == (1, "up1", 39)


def test_points_at_a_checkpoint_are_those_of_the_table(usual):
    results = Results(usual)
    scene = animation._scene(results)
    stage = animation._Stage(scene)
    stage.picture(animation.Moment(4, 0.0, 1))
    points = scene.view.points.query("step == @SHOWN[4]").sort_values("sample")
    assert np.asarray(stage.clouds[1]["points"].get_offsets()) == pytest.approx(points[["view_1", "view_2"]].to_numpy())
    assert np.asarray(stage.clouds[1]["points"].get_array()) == pytest.approx(points["mu_y"].to_numpy())


@pytest.mark.slow
def test_the_same_tables_give_the_same_bytes(usual, gif):
    assert animation.animate(Results(usual)) == gif


@pytest.mark.parametrize("steps", [(0,), (0, 600), pytest.param((0, 50, 100, 150), marks=pytest.mark.slow)])
@pytest.mark.parametrize("dataset", ["balanced", "torus"])
def test_few_checkpoints_are_shown_as_well(dataset, steps, tmp_path):
    root = write_results(tmp_path, {dataset: DATASETS[dataset]}, seeds=(0,), steps=steps, samples=16)
    frames = _frames(animation.animate(Results(root)))
    assert len(frames) == len(steps) + animation.BETWEEN * (len(steps) - 1)


def test_many_checkpoints_are_thinned_out_and_both_ends_kept(tmp_path):
    steps = tuple(range(0, 4000, 100))
    root = write_results(tmp_path, {"balanced": BALANCED}, seeds=(0,), steps=steps, samples=16)
    scene = animation._scene(Results(root))
    assert len(scene.steps) == animation.MOST_CHECKPOINTS
    assert (scene.steps[0], scene.steps[-1]) == (0, 3900)
    assert len(animation.moments(animation.MOST_CHECKPOINTS)) <= animation.MOST_FRAMES


def test_an_experiment_without_phases_or_outcomes_says_so_in_the_frame(tmp_path):
    root = write_results(
        tmp_path, {"balanced": BALANCED}, seeds=(0,), steps=(0, 900), samples=16, without=("phases", "metrics")
    )
    scene = animation._scene(Results(root))
    assert animation._Stage(scene)._caption(1) == "step 900   ·   images not judged"
    assert len(_frames(animation.animate(Results(root)))) == 2 + animation.BETWEEN


def test_an_experiment_without_latents_ends_in_one_frame_that_says_so(tmp_path):
    root = write_results(
        tmp_path, {"balanced": BALANCED}, seeds=(0,), steps=(0, 900), samples=16, without=("embedding",)
    )
    with pytest.raises(NothingToSee, match="No run has an embedding of its latents"):
        manifold_view(Results(root))
    command(folder=root, gif=tmp_path / "manifold.gif")
    ((picture, duration),) = _frames((tmp_path / "manifold.gif").read_bytes())
    assert picture.shape[1] == 800 and picture.min() < 100 and duration == animation.END
