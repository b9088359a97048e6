"""Figures say what the tables say, survive poor tables, and are the same bytes every time."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats

from bumpscope.judge.histories import without_return
from bumpscope.measure import topology
from bumpscope.show import gallery, manifold_view, marks, style
from bumpscope.show.figures import (
    behaviour_mix,
    decodability,
    event_order,
    label_effects,
    loss,
    manifold,
    persistence,
    phases,
    places,
    prediction,
)
from bumpscope.store.results import Results
from synthetic_results import BALANCED, DATASETS, write_results

NAMES = gallery.names()
MODULES = {name: importlib.import_module(f"bumpscope.show.figures.{name}") for name in NAMES}
FEW_STEPS = (0, 300, 600, 900, 1500)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Results:
    """Five datasets: a torus, two imbalanced ones and a pair that differs in what the network predicts; three seeds."""
    datasets = {name: DATASETS[name] for name in ("balanced", "torus", "fine-x", "balanced-epsilon", "skew-y")}
    return Results(write_results(tmp_path_factory.mktemp("full"), datasets, steps=FEW_STEPS, samples=64))


def _poor(name: str, root: Path) -> Results:
    """Experiments that lack something."""
    few = {"samples": 32, "steps": FEW_STEPS, "seeds": (0,)}
    one = {"balanced": BALANCED}
    two = {"balanced": BALANCED, "torus": DATASETS["torus"]}
    many = {f"a-rather-long-name-{k}": BALANCED for k in range(10)}
    tables = ("metrics", "claims", "coupling", "onsets", "factorisation", "losses", "embedding", "topology", "phases")
    cases = {
        "one run, one checkpoint": {"datasets": one} | few | {"steps": (1500,)},
        "step 0 alone": {"datasets": one} | few | {"steps": (0,)},
        "many datasets and layers": {"datasets": many, "layers": ("up2", "up1", "down3", "down2", "down1")}
        | few
        | {"steps": (0, 900)},
        "undefined numbers": {"datasets": two, "undefined": ("r2/down3", "effect_", "outcome/correct")} | few,
        "every number undefined": {"datasets": one, "undefined": ("",)} | few,
        "no tables": {"datasets": one, "without": tables} | few,
        "a long training": {"datasets": one} | few | {"steps": (0, 50, 800, 20_000, 100_000)},
    }
    return Results(write_results(root, **cases[name]))


@pytest.mark.parametrize(
    "case",
    [
        "one run, one checkpoint",
        "step 0 alone",
        "many datasets and layers",
        "undefined numbers",
        "every number undefined",
        "no tables",
        "a long training",
    ],
)
@pytest.mark.filterwarnings("error")
def test_every_figure_is_drawn_from_poor_tables(case, tmp_path):
    results = _poor(case, tmp_path)
    for module in MODULES.values():
        figure, data = module.draw(results)
        figure.set_dpi(30)
        FigureCanvasAgg(figure).draw()
        assert isinstance(data, pd.DataFrame)
        assert module.finding(data).endswith(".")
        assert "nan" not in module.finding(data)


@pytest.mark.parametrize("name", NAMES)
def test_data_behind_a_figure_gives_the_same_finding_after_a_round_trip_through_csv(name, full, tmp_path):
    _, data = MODULES[name].draw(full)
    assert len(data)
    data.to_csv(tmp_path / "data.csv", index=False)
    assert MODULES[name].finding(pd.read_csv(tmp_path / "data.csv")) == MODULES[name].finding(data)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_figure_runs_over_the_edge_of_the_page(name, full):
    figure, _ = MODULES[name].draw(full)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn, page = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    assert drawn.x0 >= -0.01 and drawn.y0 >= -0.01
    assert drawn.x1 <= page[0] + 0.01 and drawn.y1 <= page[1] + 0.01


def test_saved_figures_have_the_same_bytes_every_time(full, tmp_path):
    for number in (1, 2):
        style.save(loss.draw(full)[0], tmp_path / f"{number}.pdf", tmp_path / f"{number}.png")
    for kind in ("pdf", "png"):
        first, second = ((tmp_path / f"{number}.{kind}").read_bytes() for number in (1, 2))
        assert first == second
    assert b"CreationDate" not in (tmp_path / "1.pdf").read_bytes()


def test_a_figure_imports_no_other_figure():
    for name in NAMES:
        source = Path(MODULES[name].__file__).read_text()
        others = [other for other in NAMES if other != name and f"figures.{other}" in source]
        assert not others, f"{name} imports {others}"


def test_outcomes_and_phases_darken_in_order():
    def luminance(colour: str) -> float:
        red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    shades = [luminance(colour) for colour in style.OUTCOMES.values()]
    assert np.all(np.diff(shades) < -0.1)


@pytest.mark.parametrize("heights", [[0.5, 0.5, 0.5], [0.0, 0.01, 0.99, 1.0], [0.1, 0.5, 0.9], [1.0] * 5])
def test_spread_labels_keep_their_distance_order_and_panel(heights):
    placed = marks.spread(heights, 0.1)
    assert np.all(np.diff(placed) >= 0.1 - 1e-9)
    assert min(placed) >= 0 and max(placed) <= 1 + 1e-9


def test_labels_that_are_far_apart_stay_where_they_belong():
    assert marks.spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])


def test_wrapped_text_keeps_words_whole_and_within_the_width():
    text = "spacing-0-long-name 97%; " * 10
    lines = style.wrapped(text, 200).splitlines()
    assert " ".join(lines).split() == text.split()
    assert all(style.wrapped(line, 200) == line for line in lines) and len(lines) > 3


def test_capped_names_say_how_many_are_left_out():
    assert style.capped(["a", "b"], 2, "datasets") == (["a", "b"], "")
    assert style.capped(["a", "b", "c"], 2, "datasets") == (["a", "b"], "Shown: the first 2 of 3 datasets.")


# Behaviour


def test_shares_of_correct_images_in_the_finding_are_means_over_seeds():
    rows = [("d-0", "d", 0, 900, 0.1), ("d-0", "d", 0, 1000, 0.25), ("d-1", "d", 1, 1000, 0.75)]
    data = pd.DataFrame(rows, columns=["run", "dataset", "seed", "step", "share"]).assign(outcome="correct")
    assert "(step 1000)" in behaviour_mix.finding(data) and "d 50%" in behaviour_mix.finding(data)


def test_areas_of_outcomes_fill_the_panel(full):
    figure, data = behaviour_mix.draw(full)
    assert data.groupby(["run", "step"])["share"].sum().to_numpy() == pytest.approx(1)
    top = figure.axes[0].collections[-1].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(1)


# Manifold


def test_checkpoints_are_spaced_along_the_change_and_keep_both_ends():
    steps = np.array([0, 100, 200, 300, 400, 500])
    shares = np.array([[0.0], [0.0], [0.0], [0.5], [1.0], [1.0]])
    assert manifold_view.spaced_by_change(steps, shares, 3) == [0, 300, 500]


def test_checkpoints_are_different_and_in_order_wherever_the_change_is():
    steps = np.arange(8)
    for place in range(1, 8):
        chosen = manifold_view.spaced_by_change(steps, (steps >= place).astype(float)[:, None], 5)
        assert chosen == sorted(set(chosen)) and len(chosen) == 5 and chosen[0] == 0 and chosen[-1] == 7


def test_checkpoints_without_change_are_spaced_by_their_number():
    assert manifold_view.spaced_by_change(np.arange(9), np.zeros((9, 4)), 5) == [0, 2, 4, 6, 8]


def test_explained_variance_is_one_for_a_linear_map_and_none_for_a_constant():
    random = np.random.default_rng(0)
    points = pd.DataFrame(random.normal(size=(50, 2)), columns=manifold_view.VIEW)
    points["mu_x"] = 3 * points["view_1"] - 2 * points["view_2"] + 1
    points["mu_y"] = 5.0
    assert manifold_view.explained_variance(points, "mu_x", None) == pytest.approx(1)
    assert np.isnan(manifold_view.explained_variance(points, "mu_y", None))


def test_explained_variance_on_a_torus_does_not_see_the_jump():
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    points = pd.DataFrame({"view_1": np.cos(angle), "view_2": np.sin(angle), "mu_x": angle * 16 / (2 * np.pi)})
    assert manifold_view.explained_variance(points, "mu_x", 16.0) == pytest.approx(1)
    assert manifold_view.explained_variance(points, "mu_x", None) < 0.7


def test_the_viewpoint_turns_a_tilted_sheet_to_the_reader():
    random = np.random.default_rng(4)
    requests = random.uniform(0, 16, (200, 2))
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    place = np.column_stack([requests, np.zeros(200)]) @ turn
    points = pd.DataFrame(np.hstack([place, requests]), columns=[*manifold_view.COORDINATES, "mu_x", "mu_y"])
    seen = place @ manifold_view.viewpoint(points)
    assert seen - seen.mean(axis=0) == pytest.approx((requests - requests.mean(axis=0)) * [1, -1])


def test_the_viewpoint_makes_no_order_where_there_is_none():
    random = np.random.default_rng(5)
    points = pd.DataFrame(random.normal(size=(500, 5)), columns=[*manifold_view.COORDINATES, "mu_x", "mu_y"])
    points[manifold_view.VIEW] = points[manifold_view.COORDINATES].to_numpy() @ manifold_view.viewpoint(points)
    assert manifold_view.explained_variance(points, "mu_x", None) < 0.05
    points["mu_y"] = 1.0
    assert manifold_view.viewpoint(points) == pytest.approx(np.eye(3)[:, :2])


def test_thumbnails_are_the_same_requests_at_every_checkpoint(full):
    _, data = manifold.draw(full)
    shown = data[data["thumbnail"]].groupby("step")["sample"].apply(tuple)
    assert len(shown) == len(FEW_STEPS) and shown.nunique() == 1 and 1 < len(shown.iloc[0]) <= 9


# Decodability


def test_decodability_reports_controls_and_the_first_accurate_checkpoint():
    def rows(line: str, layer: str, values: dict[int, float]) -> list[tuple]:
        return [("d-0", "d", 0, step, layer, 239, line, value) for step, value in values.items()]

    table = rows("requested", "down3", {0: 0.1, 100: 0.5, 200: 0.9}) + rows("shuffled", "down3", {200: -0.05})
    # The same layer at another timestep is another place.
    table += [("d-0", "d", 0, 200, "down3", 39, "requested", 0.3)]
    accuracy = rows(decodability.ACCURACY, "", {0: 0.0, 100: 0.6, 200: 0.7})
    columns = ["run", "dataset", "seed", "step", "layer", "t", "line", "value"]
    finding = decodability.finding(pd.DataFrame(table + accuracy, columns=columns))
    assert "0.90 at step 200" in finding and "shuffled -0.05" in finding and "untrained 0.10" in finding
    assert "0.50 at step 100, the first" in finding and "realised" not in finding
    never = rows(decodability.ACCURACY, "", {0: 0.0, 200: 0.4})
    assert "at no checkpoint" in decodability.finding(pd.DataFrame(table + never, columns=columns))


# Persistence


@pytest.mark.parametrize("shape", ["circle", "sphere", "two clouds"])
def test_marks_above_the_border_drawn_are_those_that_were_counted(shape):
    random = np.random.default_rng(3)
    points = random.normal(size=(200, 2 + (shape == "sphere")))
    if shape == "two clouds":
        points[:100] += 30
    else:
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    cloud = points @ np.eye(points.shape[1], 16)
    bars = topology.persistence(cloud + 1e-3 * random.normal(size=cloud.shape), 0).query("death < inf")
    pieces, holes = bars[bars["dimension"] == 0], bars[bars["dimension"] > 0]
    assert ((pieces["death"] > persistence.piece_border(bars)) == pieces["significant"]).all()
    for dimension, rows in holes.groupby("dimension"):
        above = rows["death"] > persistence.rule_border(dimension, rows["birth"].to_numpy())
        assert (above == rows["significant"]).all()
    assert bars["significant"].sum() == 1


def test_diagrams_show_one_run_of_each_boundary_at_its_first_and_last_checkpoint(full):
    _, data = persistence.draw(full)
    assert set(data["run"]) == {"balanced-seed0", "torus-seed0"} and set(data["step"]) == {0, 1500}
    finding = persistence.finding(data)
    assert "torus-seed0 1, 0, 0 in down3 at step 0, 1, 2, 1 in down3 at step 1500, 1, 2, 1 in up1" in finding
    assert "1, 2, 1 in the images at step 1500" in finding
    assert set(data.loc[data["layer"] == "image", "step"]) == {1500}


# Phases


def test_stretches_of_equal_phase_meet_halfway_between_checkpoints():
    stretches = marks.segments(np.array([0, 100, 300, 400]), ["A", "A", "B", "C"])
    assert stretches == [(0, 200, "A"), (200, 350, "B"), (350, 400, "C")]


@pytest.mark.parametrize(
    ("verdicts", "in_order"),
    [("AABBCC", True), ("A?B?C", True), ("ABCB", False), ("AC", False), ("BAC", False), ("AB", False), ("???", False)],
)
def test_phases_are_in_order_only_if_all_come_without_return(verdicts, in_order):
    assert without_return(list(verdicts)) is in_order


def test_phases_of_a_run_that_returns_are_not_counted_as_in_order():
    rows = [("r", "d", 0, step, kind, phase) for kind in ("latent", "behaviour") for step, phase in enumerate("ABC")]
    rows[-1] = ("r", "d", 0, 2, "behaviour", "A")
    data = pd.DataFrame(rows, columns=["run", "dataset", "seed", "step", "kind", "phase"])
    assert "latent phases in 1 of 1 runs and behaviour phases in 0 of 1 runs" in phases.finding(data)


# Places


def test_places_show_every_place_of_one_dataset_with_open_verdicts_and_the_images_as_control(full):
    _, data = places.draw(full)
    assert set(data["dataset"]) == {"balanced"}
    latents = [f"{layer}, t = {t}" for layer in ("down3", "up1") for t in (239, 39)]
    assert list(data["place"].unique()) == [*latents, "images", "behaviour"]
    assert (data.groupby(["run", "place"])["step"].nunique() == len(FEW_STEPS)).all()
    # The tables hold no number for an open verdict.
    assert "?" in set(data["phase"]) and set(data["phase"]) <= set("ABC?")


def test_places_count_runs_in_order_at_each_place():
    verdicts = {("r0", "down3, t = 239"): "A?CC", ("r0", "up2, t = 39"): "ABCC", ("r1", "up2, t = 39"): "ABAC"}
    rows = [
        (run, "d", 0, place, step, phase)
        for (run, place), phases in verdicts.items()
        for step, phase in enumerate(phases)
    ]
    finding = places.finding(pd.DataFrame(rows, columns=["run", "dataset", "seed", "place", "step", "phase"]))
    assert "down3, t = 239 0 of 1, up2, t = 39 1 of 2" in finding


# Order of events


def test_halfway_is_exact_for_a_curve_linear_in_the_logarithm_of_the_step():
    steps = np.array([0, 100, 120, 144])
    assert event_order.halfway(steps, np.array([0.0, 0.0, 0.5, 1.0])) == pytest.approx(120)
    assert event_order.halfway(steps, np.array([0.2, 0.2, 0.2, 1.0])) == pytest.approx(120 * 1.2**0.5)


def test_a_crossing_between_checkpoints_far_apart_has_no_halfway():
    steps = np.array([0, 10, 100, 1000])
    assert np.isnan(event_order.halfway(steps, np.array([0.2, 0.2, 0.2, 1.0])))
    assert np.isnan(event_order.halfway(steps, np.array([0.0, 1.0, 1.0, 1.0])))


def test_a_curve_that_hardly_rises_has_no_halfway():
    assert np.isnan(event_order.halfway(np.array([0, 10]), np.array([0.5, 0.55])))
    assert np.isnan(event_order.halfway(np.array([0, 10, 20]), np.array([0.5, 0.9, 0.1])))


def test_interval_of_steps_is_students_on_the_logarithm():
    steps = np.array([100.0, 200.0, 400.0])
    mean, low, high = event_order.geometric_interval(steps)
    expected = stats.ttest_1samp(np.log(steps), 0.0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((200, np.exp(expected.low), np.exp(expected.high)))
    assert np.isnan(event_order.geometric_interval(steps[:2])[1:]).all()


def test_order_of_events_uses_balanced_runs_alone_and_every_seed(full):
    _, data = event_order.draw(full)
    assert set(data["dataset"]) == {"balanced", "torus", "balanced-epsilon"}
    assert (data.groupby(["dataset", "event"])["seed"].nunique() == 3).all()


def test_events_are_told_earliest_first():
    rows = [("d-0", "d", 0, "late", 300.0), ("d-0", "d", 0, "early", 100.0), ("d-0", "d", 0, "never", np.nan)]
    finding = event_order.finding(pd.DataFrame(rows, columns=["run", "dataset", "seed", "event", "step"]))
    assert "early 100, late 300" in finding and "never" not in finding


# Label effects and loss


def test_effects_are_shown_at_the_middle_timestep(full):
    _, data = label_effects.draw(full)
    assert label_effects.middle_timestep(data) == 450
    final = data[(data["dataset"] == "torus") & (data["step"] == 1500) & (data["t"] == 450)]
    expected = final.loc[final["quantity"] == "effect_x", "value"].mean()
    assert f"torus at step 1500, t = 450: x {expected:.2f}" in label_effects.finding(data)


def test_averaging_keeps_a_constant_loss_and_the_order_of_steps():
    steps, losses = loss.averaged(np.arange(10, 5000, 10), np.full(499, 0.2))
    assert losses == pytest.approx(0.2) and np.all(np.diff(steps) > 0) and len(steps) < 60


def test_loss_in_the_finding_is_the_geometric_mean_over_runs():
    rows = [("a", 10, 1.0), ("a", 20, 0.1), ("b", 10, 4.0), ("b", 20, 0.4)]
    data = pd.DataFrame(rows, columns=["run", "step", "loss"]).assign(dataset="d", seed=0)
    assert "d 2 to 0.2" in loss.finding(data)


def test_predictions_are_compared_where_their_runs_were_trained_on_different_machines(tmp_path):
    other = {"epsilon": {**BALANCED, "prediction": "epsilon", "gpu": "A GPU", "torch": "3"}, "v": BALANCED}
    results = Results(write_results(tmp_path, other, steps=FEW_STEPS, samples=32, seeds=(0,)))
    assert set(prediction.draw(results)[1]["pair"]) == {"epsilon and v"}


def test_predictions_are_compared_only_between_datasets_that_differ_in_nothing_else(full, tmp_path):
    _, data = prediction.draw(full)
    assert set(data["dataset"]) == {"balanced", "balanced-epsilon"}
    assert set(data["pair"]) == {"balanced-epsilon and balanced"}
    assert set(zip(data["dataset"], data["prediction"], strict=True)) == {
        ("balanced", "v"),
        ("balanced-epsilon", "epsilon"),
    }
    assert set(data["quantity"]) == set(prediction.QUANTITIES)
    assert set(data.loc[data["quantity"] == "residual", "t"]) == {600}
    other = {"epsilon": {**BALANCED, "prediction": "epsilon"}, "v": {**BALANCED, "n_parameters": 1}}
    results = Results(write_results(tmp_path, other, steps=FEW_STEPS, samples=32, seeds=(0,)))
    _, nothing = prediction.draw(results)
    assert nothing.empty and prediction.finding(nothing) == prediction.NONE


def test_the_finding_of_predictions_is_the_geometric_mean_of_half_times():
    rows = [("epsilon", f"e{seed}", step, value) for seed, half in ((0, 200), (1, 800)) for step, value in
            ((half // 2, 0.0), (half, 0.5), (2 * half, 1.0))]  # fmt: skip
    rows += [("v", "v0", step, 0.1) for step in (100, 200)]
    data = pd.DataFrame(rows, columns=["prediction", "run", "step", "value"]).assign(pair="a and b", quantity="correct")
    assert "a and b: epsilon at step 400 (n = 2), v never (n = 1)" in prediction.finding(data)
