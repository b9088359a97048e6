"""Figures: what is selected from the tables, and that it alone is enough to draw and to say what was found."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from bumpscope.judge.histories import without_return
from bumpscope.measure import topology
from bumpscope.show import gallery, manifold_view, marks, rows, style
from bumpscope.show.figures import (
    behaviour_mix,
    contact_sheet,
    decodability,
    errors,
    event_order,
    label_effects,
    learning_and_geometry,
    loss,
    manifold,
    persistence,
    phases,
    places,
    prediction,
    training_strip,
    weights,
)
from bumpscope.store.results import Results
from bumpscope.store.run import Run
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from bumpscope.worlds.factor import Factor
from synthetic_results import BALANCED, DATASETS, IMBALANCED, METADATA, write_results

NAMES = gallery.names()
FEW_STEPS = (0, 300, 600, 900, 1500)
FEW = {"samples": 32, "steps": FEW_STEPS, "seeds": (0,)}
# Factors of which only the period counts.
X, Y, RING = (
    Factor(name, "px", np.arange(16.0), np.full(16, 1 / 16), period)
    for name, period in (("x", None), ("y", None), ("x", 16.0))
)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Results:
    """Datasets of all kinds: a torus, imbalanced ones with nulls, both predictions; two seeds."""
    datasets = DATASETS | {name: IMBALANCED[name] for name in ("fine", "coarse", "skew-x", "skew-both")}
    folder = write_results(tmp_path_factory.mktemp("full"), datasets, seeds=(0, 1), steps=FEW_STEPS, samples=64)
    return Results(folder)


@pytest.fixture(scope="module")
def selected(full) -> dict[str, pd.DataFrame]:
    return {name: gallery.figure(name).select(full) for name in NAMES}


def marked(figure: Figure) -> int:
    """How many lines, areas, images and other marks the panels have."""
    return sum(len(axes.lines) + len(axes.collections) + len(axes.patches) + len(axes.images) for axes in figure.axes)


def pixels(figure: Figure) -> np.ndarray:
    figure.set_dpi(40)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


# All figures


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_declares_what_it_is(name, selected):
    module = gallery.figure(name)
    assert gallery.title(module) and module.TOPIC in gallery.TOPICS
    assert module.WIDTH in (style.SINGLE, style.DOUBLE)
    assert 10 < len(module.CAPTION.split()) <= 60
    assert len(gallery.title(module).split()) <= 15
    assert set(module.READS) <= set(TABLES)
    assert list(selected[name].columns) == list(module.COLUMNS)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_reads_the_tables_it_names_and_no_others(name, full, monkeypatch):
    read = {"runs"}  # opening the results reads it
    for reader, method in ((Results, "table"), (Run, "table"), (Run, "block")):
        real = getattr(reader, method)

        def noted(self, table, *arguments, real=real, **keywords):
            read.add(table)
            return real(self, table, *arguments, **keywords)

        monkeypatch.setattr(reader, method, noted)
    module = gallery.figure(name)
    module.select(full)
    assert read == set(module.READS) | {"runs"}


# Of many panels, which take seconds to draw twice.
LARGE = {"label_effects", "event_order", "learning_and_geometry", "decodability", "errors"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in NAMES]
)
def test_a_figure_is_drawn_from_its_csv_alone(name, selected, tmp_path):
    module, data = gallery.figure(name), selected[name]
    assert len(data)
    data.to_csv(tmp_path / "data.csv", index=False)
    again = pd.read_csv(tmp_path / "data.csv")
    assert module.finding(again) == module.finding(data)
    first, second = (module.draw(frame) for frame in (data, again))
    for figure in (first, second):
        figure.set_layout_engine("none")  # it follows from what is drawn, and takes longest
    assert marked(first) > 0
    assert (pixels(first) == pixels(second)).all()


@pytest.mark.parametrize("name", NAMES)
def test_without_data_a_figure_says_why(name):
    module = gallery.figure(name)
    empty = pd.DataFrame(columns=list(module.COLUMNS))
    assert module.finding(empty) == module.NOTHING
    texts = [text.get_text() for text in module.draw(empty).texts]
    assert [" ".join(text.split()) for text in texts] == [module.NOTHING]


TWO = {"balanced": BALANCED, "torus": DATASETS["torus"]}
POOR: dict[str, dict] = {
    "one run, one checkpoint": {"datasets": {"balanced": BALANCED}, "steps": (1500,)},
    "step 0 alone": {"datasets": {"balanced": BALANCED}, "steps": (0,)},
    "a long training": {"datasets": {"balanced": BALANCED}, "steps": (0, 50, 800, 20_000, 100_000)},
    "many datasets and layers": {
        "datasets": {f"a-rather-long-name-{k}": BALANCED for k in range(10)},
        "layers": ("up2", "up1", "down3", "down2", "down1"),
        "steps": (0, 900),
    },
    "undefined numbers": {
        "datasets": TWO,
        "undefined": ({"quantity": "r2", "layer": "down3"}, {"quantity": "effect"}, {"quantity": "share_correct"}),
    },
    "every number undefined": {"datasets": {"balanced": BALANCED}, "undefined": ({},)},
    "no tables": {
        "datasets": {"balanced": BALANCED},
        "without": (
            "metrics", "claims", "coupling", "onsets", "factorisation", "losses", "embedding", "topology", "phases",
        ),
    },
}  # fmt: skip


# These take half a minute together, those with many panels as long again.
SLOW = (
    "many datasets and layers", "one run, one checkpoint", "step 0 alone", "a long training", "every number undefined"
)  # fmt: skip
CASES = [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in POOR]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_every_figure_is_drawn_from_poor_tables(case, tmp_path):
    results = Results(write_results(tmp_path, **(FEW | POOR[case])))
    for name in NAMES:
        module = gallery.figure(name)
        data = module.select(results)
        pixels(module.draw(data))
        assert list(data.columns) == list(module.COLUMNS)
        assert module.finding(data).endswith(".") and "nan" not in module.finding(data)


# Marks and style


def test_curves_are_means_over_runs_with_a_line_for_each_run():
    data = pd.DataFrame({"run": ["a", "a", "b", "b"], "step": [0, 1] * 2, "value": [0.0, 1.0, 0.5, 3.0], "line": "own"})
    axes = Figure().subplots()
    ends = marks.curves(axes, data, "line", {"own": {"color": "C0"}, "absent": {"color": "C1"}})
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.0, 1.0], [0.5, 3.0], [0.25, 2.0]]
    assert [(end, name) for end, name, _ in ends] == [(2.0, "own")]


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


def test_the_first_names_come_with_how_many_are_left_out():
    assert rows.first(["a", "b", "a"], 2, "datasets") == (["a", "b"], "")
    assert rows.first(["a", "b", "c"], 2, "datasets") == (["a", "b"], "Shown: the first 2 of 3 datasets.")


def test_datasets_of_one_checkpoint_are_left_out_where_others_have_a_course():
    data = pd.DataFrame({"dataset": ["a", "a", "b"], "step": [0, 1, 1]})
    kept, note = rows.over_training(data)
    assert kept["dataset"].tolist() == ["a", "a"] and "1 dataset probed at one checkpoint" in note
    alone = data[data["dataset"] == "b"]
    assert rows.over_training(alone)[0].equals(alone) and not rows.over_training(alone)[1]


# Behaviour


def test_shares_of_correct_images_are_means_over_seeds():
    found = [("d-0", "d", 0, 900, 0.1), ("d-0", "d", 0, 1000, 0.25), ("d-1", "d", 1, 1000, 0.75)]
    data = pd.DataFrame(found, columns=["run", "dataset", "seed", "step", "share"]).assign(outcome="correct")
    assert "step 1000" in behaviour_mix.finding(data) and "d 50%" in behaviour_mix.finding(data)


def test_areas_of_outcomes_fill_the_panel(selected):
    data = selected["behaviour_mix"]
    assert data.groupby(["run", "step"])["share"].sum().to_numpy() == pytest.approx(1)
    top = behaviour_mix.draw(data).axes[0].collections[-1].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(1)


# One model in training


def test_the_strip_shows_one_run_with_its_phases_and_outcomes_at_every_checkpoint(full, selected):
    data = selected["training_strip"]
    assert data["run"].nunique() == 1
    view = manifold_view.manifold_view(full)
    assert data["run"].iloc[0] == view.run.name and data["layer"].iloc[0] == view.layer
    for part in ("latents", "behaviour", *training_strip.NAMES):
        assert data.loc[data["part"] == part, "step"].tolist() == list(FEW_STEPS)
    shares = data[data["part"].isin(training_strip.NAMES)].groupby("step")["value"].sum()
    assert shares.to_numpy() == pytest.approx(1)
    right = full.table("metrics", quantity="share_correct", split="seen", run=view.run.name, bin=None)
    assert data.loc[data["part"] == "correct", "value"].tolist() == pytest.approx(right["value"].tolist())


def test_the_strip_is_coloured_by_the_coordinate_that_is_told_worse_at_the_end(full, selected):
    points = selected["training_strip"].query("part == 'point'")
    last = points[points["step"] == points["step"].max()]
    told = {f.name: manifold_view.explained_variance(last, f) for f in (X, Y)}
    assert last["r2"].iloc[0] == pytest.approx(min(told.values()))
    assert told[last["axis"].iloc[0]] == min(told.values())


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
    assert manifold_view.explained_variance(points, X) == pytest.approx(1)
    assert np.isnan(manifold_view.explained_variance(points, Y))


def test_explained_variance_on_a_torus_does_not_see_the_jump():
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    points = pd.DataFrame({"view_1": np.cos(angle), "view_2": np.sin(angle), "mu_x": angle * 16 / (2 * np.pi)})
    assert manifold_view.explained_variance(points, RING) == pytest.approx(1)
    assert manifold_view.explained_variance(points, X) < 0.7


def test_the_viewpoint_turns_a_tilted_sheet_to_the_reader():
    random = np.random.default_rng(4)
    requests = random.uniform(0, 16, (200, 2))
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    place = np.column_stack([requests, np.zeros(200)]) @ turn
    points = pd.DataFrame(np.hstack([place, requests]), columns=[*manifold_view.COORDINATES, "mu_x", "mu_y"])
    seen = place @ manifold_view.viewpoint(points, (X, Y))
    assert seen - seen.mean(axis=0) == pytest.approx((requests - requests.mean(axis=0)) * [1, -1])


def test_the_viewpoint_makes_no_order_where_there_is_none():
    random = np.random.default_rng(5)
    points = pd.DataFrame(random.normal(size=(500, 5)), columns=[*manifold_view.COORDINATES, "mu_x", "mu_y"])
    points[manifold_view.VIEW] = points[manifold_view.COORDINATES].to_numpy() @ manifold_view.viewpoint(points, (X, Y))
    assert manifold_view.explained_variance(points, X) < 0.05
    points["mu_y"] = 1.0
    assert manifold_view.viewpoint(points, (X, Y)) == pytest.approx(np.eye(3)[:, :2])


def test_images_are_those_of_the_same_requests_at_every_checkpoint(full, selected):
    data = selected["manifold"].dropna(subset="image")
    shown = data.groupby("step")["sample"].apply(tuple)
    assert len(shown) == len(FEW_STEPS) and shown.nunique() == 1 and 1 < len(shown.iloc[0]) <= 9
    row = data.iloc[-1]
    (image,) = full[row["run"]].images(step=int(row["step"]), sample=int(row["sample"]))
    assert np.abs(manifold_view.from_text(row["image"]) - image.clip(0, 1)).max() <= 0.5 / 255 + 1e-6


def test_the_images_of_a_column_stand_where_they_were_requested(selected):
    data = selected["manifold"]
    picture = manifold.draw(data).axes[10]
    size = 16
    rings = picture.lines[0].get_xydata()
    corners = (rings // (size + manifold_view.GAP)) * (size + manifold_view.GAP)
    requests = data.drop_duplicates("sample")[["mu_x", "mu_y"]].to_numpy().tolist()
    assert all(ring in requests for ring in (rings - corners).tolist())


# Decodability


def test_decodability_has_controls_and_the_first_accurate_checkpoint():
    def lines(line: str, layer: str | None, values: dict[int, float]) -> list[tuple]:
        axis = None if layer is None else "y"
        return [("d-0", "d", 0, step, layer, 239, axis, line, value) for step, value in values.items()]

    table = lines("requested", "down3", {0: 0.1, 100: 0.5, 200: 0.9}) + lines("shuffled", "down3", {200: -0.05})
    # The same layer at another timestep is another place.
    table += [("d-0", "d", 0, 200, "down3", 39, "y", "requested", 0.3)]
    table += [("d-0", "d", 0, 200, "down3", 239, "x", "requested", 0.8)]
    accuracy = lines(decodability.ACCURACY, None, {0: 0.0, 100: 0.6, 200: 0.7})
    finding = decodability.finding(pd.DataFrame(table + accuracy, columns=list(decodability.COLUMNS)))
    for number in ("x 0.80, y 0.90 at step 200", "shuffled y -0.05", "untrained y 0.10", "(step 100) it is y 0.50"):
        assert number in finding
    assert "realised" not in finding


def test_lines_of_decodability_are_the_scores_of_each_label_and_noise(full, selected):
    data = selected["decodability"]
    assert set(data["line"]) == set(decodability.LINES)
    table = full.table("metrics", quantity="r2", run="torus-seed1", layer="up1", t=39, space="pca3", noise="shared")
    own = data[(data["run"] == "torus-seed1") & (data["layer"] == "up1") & (data["t"] == 39)]
    for axis in "xy":
        shared = own[(own["line"] == decodability.SHARED) & (own["factor"] == axis)]
        expected = table[(table["label"] == "requested") & (table["factor"] == axis)]["value"].tolist()
        assert shared["value"].tolist() == expected and expected


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
    for dimension, own in holes.groupby("dimension"):
        above = own["death"] > persistence.rule_border(dimension, own["birth"].to_numpy())
        assert (above == own["significant"]).all()
    assert bars["significant"].sum() == 1


def test_diagrams_show_one_run_of_each_boundary_at_its_first_and_last_checkpoint(selected):
    data = selected["persistence"]
    assert set(data["run"]) == {"balanced-seed0", "torus-seed0"} and set(data["step"]) == {0, 1500}
    diagrams = data.groupby(["run", "layer", "t", "step"], sort=False).size()
    assert list(diagrams["torus-seed0"].index) == [
        ("down3", 239, 0), ("down3", 239, 1500), ("up1", 39, 1500), ("image", 0, 1500)
    ]  # fmt: skip
    finding = persistence.finding(data)
    assert "torus-seed0 1, 2, 1 in down3, 1, 2, 1 in up1, 1, 2, 1 in the images" in finding


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
    found = [("r", "d", 0, step, kind, phase) for kind in ("latent", "behaviour") for step, phase in enumerate("ABC")]
    found[-1] = ("r", "d", 0, 2, "behaviour", "A")
    finding = phases.finding(pd.DataFrame(found, columns=list(phases.COLUMNS)))
    assert "latent phases in 1 of 1 runs and behaviour phases in 0 of 1 runs" in finding


def test_phases_are_those_of_the_table_in_the_order_of_the_runs(full, selected):
    data = selected["phases"]
    assert list(data["run"].unique()) == full.names
    table = full["torus-seed1"].table("phases", judged=True)
    latent = data[(data["run"] == "torus-seed1") & (data["kind"] == "latent")]
    assert latent["phase"].tolist() == table["latent_phase"].fillna("?").tolist()


def test_places_are_all_places_of_one_dataset_with_open_verdicts_and_the_images_as_control(selected):
    data = selected["places"]
    assert set(data["dataset"]) == {"balanced"}
    latents = [f"{layer}, t = {t}" for layer in ("down3", "up1") for t in (239, 39)]
    assert list(data["place"].unique()) == [*latents, "images", "behaviour"]
    assert (data.groupby(["run", "place"])["step"].nunique() == len(FEW_STEPS)).all()
    assert "?" in set(data["phase"]) and set(data["phase"]) <= set("ABC?")


def test_places_count_runs_in_order_at_each_place():
    verdicts = {("r0", "down3, t = 239"): "A?CC", ("r0", "up2, t = 39"): "ABCC", ("r1", "up2, t = 39"): "ABAC"}
    found = [
        (run, "d", 0, place, step, phase)
        for (run, place), letters in verdicts.items()
        for step, phase in enumerate(letters)
    ]
    finding = places.finding(pd.DataFrame(found, columns=list(places.COLUMNS)))
    assert "down3, t = 239 0 of 1" in finding and "up2, t = 39 1 of 2" in finding


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


def test_the_interval_of_steps_is_students_on_the_logarithm():
    steps = pd.Series([100.0, 200.0, 400.0])
    data = pd.DataFrame({"run": list("abc"), "dataset": "d", "seed": range(3), "event": "effect of x", "step": steps})
    axes = event_order.draw(data).axes[0]
    expected = stats.ttest_1samp(np.log(steps), 0.0).confidence_interval(0.95)
    (bar,) = [line for line in axes.lines if len(line.get_xdata()) == 2 and np.isfinite(line.get_xdata()).all()]
    assert np.asarray(bar.get_xdata()) == pytest.approx([np.exp(expected.low), np.exp(expected.high)])
    means = [line.get_xdata() for line in axes.lines if line.get_marker() == "D"]
    assert np.concatenate(means) == pytest.approx([200.0])
    assert np.isnan(event_order._interval(np.log(steps[:2]))).all()


def test_order_of_events_uses_balanced_runs_alone_and_every_seed(selected):
    data = selected["event_order"]
    assert set(data["dataset"]) == {"balanced", "torus", "balanced-epsilon", "fine", "coarse"}
    assert (data.groupby(["dataset", "event"])["seed"].nunique() == 2).all()


def test_events_come_earliest_first():
    found = [("d-0", "d", 0, "late", 300.0), ("d-0", "d", 0, "early", 100.0), ("d-0", "d", 0, "never", np.nan)]
    finding = event_order.finding(pd.DataFrame(found, columns=list(event_order.COLUMNS)))
    assert "early 100, late 300" in finding and "never" not in finding


def test_no_mean_is_drawn_or_told_of_an_event_that_is_not_timed_in_every_run():
    steps = {"all": [100.0, 200.0], "some": [50.0, np.nan], "none": [np.nan] * 2}
    found = [(f"d-{k}", "d", k, event, step) for event, two in steps.items() for k, step in enumerate(two)]
    data = pd.DataFrame(found, columns=list(event_order.COLUMNS))
    axes = event_order.draw(data).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "some", "none"]
    assert [text.get_text() for text in axes.texts] == ["2 of 2", "1 of 2", "0 of 2"]
    means = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == "D"])
    assert means[np.isfinite(means).all(axis=1)] == pytest.approx(np.array([[np.sqrt(20_000), 0]]))
    dots = np.concatenate([dots.get_offsets() for dots in axes.collections])
    assert sorted(dots[:, 0]) == pytest.approx([50.0, 100.0, 200.0])
    assert "d: all 141 (2 not timed in every run)." in event_order.finding(data)


# Label effects, loss and prediction


def test_effects_are_shown_at_the_middle_timestep_and_errors_at_all(full, selected):
    data = selected["label_effects"]
    effects = data[data["quantity"].isin(["effect_x", "effect_y", "effect_xy"])]
    assert set(effects["t"]) == {450} and set(data.loc[data["quantity"] == "residual", "t"]) == {300, 450, 600}
    table = full.table("metrics", quantity="effect", factor="x", t=450, weights="raw", run="torus-seed1")
    own = effects[(effects["run"] == "torus-seed1") & (effects["quantity"] == "effect_x")]
    assert own["value"].tolist() == table["value"].tolist()
    torus = data[data["dataset"] == "torus"]
    final = torus[(torus["step"] == 1500) & (torus["quantity"] == "effect_x")]
    assert f"torus at step 1500, t = 450: x {final['value'].mean():.2f}" in label_effects.finding(torus)


def test_averaging_keeps_a_constant_loss_and_the_order_of_steps():
    steps, losses = loss.averaged(np.arange(0, 5000, 10), np.full(500, 0.2))
    assert losses == pytest.approx(0.2) and np.all(np.diff(steps) > 0) and len(steps) < 60


def test_loss_is_the_geometric_mean_over_runs():
    found = [("a", 10, 1.0), ("a", 20, 0.1), ("b", 10, 4.0), ("b", 20, 0.4)]
    data = pd.DataFrame(found, columns=["run", "step", "loss"]).assign(dataset="d", seed=0)
    assert "d 2 to 0.2" in loss.finding(data)


def test_predictions_are_compared_where_their_runs_were_trained_on_different_machines(tmp_path):
    other = {"epsilon": {**BALANCED, "prediction": "epsilon", "gpu": "A GPU", "torch": "3"}, "v": BALANCED}
    results = Results(write_results(tmp_path, other, **FEW))
    assert set(prediction.select(results)["pair"]) == {"epsilon and v"}


def test_predictions_are_compared_only_between_datasets_that_differ_in_nothing_else(selected, tmp_path):
    data = selected["prediction"]
    assert set(data["pair"]) == {"balanced-epsilon and balanced"}
    pairs = set(zip(data["dataset"], data["prediction"], strict=True))
    assert pairs == {("balanced", "v"), ("balanced-epsilon", "epsilon")}
    assert set(data["quantity"]) == set(prediction.QUANTITIES)
    assert set(data.loc[data["quantity"] == "residual", "t"]) == {600}
    for number, setting in enumerate(({"n_parameters": 1}, {"learning_rate": 1e-4}, {"schedule": "constant"})):
        other = {"epsilon": {**BALANCED, "prediction": "epsilon"}, "v": {**BALANCED, **setting}}
        assert prediction.select(Results(write_results(tmp_path / str(number), other, **FEW))).empty


def test_predictions_are_compared_at_timesteps_of_their_own_pair(tmp_path):
    pair = {"epsilon": {**BALANCED, "prediction": "epsilon"}, "v": BALANCED}
    others = {
        "early": {**BALANCED, "dx": 0.5, "effect_shift": -200},
        "late": {**BALANCED, "dx": 2.0, "effect_shift": 9},
    }
    data = prediction.select(Results(write_results(tmp_path, pair | others, **FEW)))
    times = data.groupby("quantity")["t"].unique().map(list).to_dict()
    assert times == {"correct": [-1], "effect_x": [450], "residual": [600]}


def test_the_contact_sheet_shows_the_judged_place_where_no_later_timestep_was_read(full):
    place = {"layer": "down3", "t": 239, "noise": "own", "weights": "raw"}
    points = pd.DataFrame([place | {"sample": sample, "step": 900} for sample in range(3)])
    ((variant, rows),) = contact_sheet._variants(points, full["balanced-seed0"])
    assert variant == "down3, t = 239" and len(rows) == 3


def test_both_weights_are_shown_where_both_were_probed(full, selected, tmp_path):
    data = selected["weights"]
    assert set(data["weights"]) == {"raw", "ema"} and set(data["quantity"]) == {*weights.PANELS, "x", "y"}
    assert set(data["dataset"]) == {"balanced"} and set(data["seed"]) == {0, 1}
    late = data[data["quantity"] == "correct"].groupby("weights")["value"].mean()
    assert late["ema"] < late["raw"], "the made-up average lags behind"
    one = Results(write_results(tmp_path, {"balanced": BALANCED}, **FEW))
    table = one.table("metrics", weights=["raw", None])
    write_table("metrics", tmp_path / "metrics.parquet", table, METADATA)
    assert weights.select(Results(tmp_path)).empty


def test_half_times_of_predictions_are_geometric_means():
    found = [("epsilon", f"e{seed}", step, value) for seed, half in ((0, 200), (1, 800)) for step, value in
             ((half // 2, 0.0), (half, 0.5), (2 * half, 1.0))]  # fmt: skip
    found += [("v", "v0", step, 0.1) for step in (100, 200)]
    data = pd.DataFrame(found, columns=["prediction", "run", "step", "value"])
    finding = prediction.finding(data.assign(pair="a and b", quantity="correct"))
    assert "epsilon at step 400 (n = 2), v never (n = 1)" in finding


def test_factors_other_than_x_and_y_are_drawn_by_their_names(selected):
    other = {"y": "size", "parallelism_y": "parallelism_size"}
    scores = selected["decodability"].replace({"factor": other})
    labels = [panel.get_ylabel() for panel in decodability.draw(scores).axes]
    assert [label for label in labels if label] == [
        f"balanced\nR² of {name}, or share of images" for name in ("x", "size")
    ]
    assert "R² of the request is size " in decodability.finding(scores)
    final = selected["learning_and_geometry"].replace({"metric": other})
    (legend,) = learning_and_geometry.draw(final).legends
    assert {"parallelism, x", "parallelism, size"} < {text.get_text() for text in legend.get_texts()}


def test_distances_without_a_common_unit_are_drawn_apart(selected):
    run = {"image_size": 16, "sigma": 1.0, "margin": 2.0, "dx": 1.0, "boundary": "plane", "polarity": "bright"}
    drawn = errors._drawn(run | {"world": '{"kind": "sized", "sizes": 12}'}).set_index("quantity")
    assert list(drawn.index) == ["error_x", "error_size", "amplitude"]
    assert list(drawn["unit"]) == ["px", "ln", ""] and list(drawn["factor"]) == ["", "size", ""]
    assert drawn.loc["error_x", "chance"] == 3.0 and 0.3 < drawn.loc["error_size", "chance"] < 0.4
    data = selected["errors"]
    data = data[data["dataset"] == "balanced"]
    sizes = data[data["quantity"] == "error"].assign(quantity="error_size", unit="ln")
    data = pd.concat([data.replace({"quantity": {"error": "error_x"}}), sizes])
    labels = [panel.get_ylabel() for panel in errors.draw(data).axes]
    assert [label for label in labels if label] == ["distance in x, px", "distance in size, ln", "amplitude, width / σ"]
    assert " size " in errors.finding(data) and " ln (chance" in errors.finding(data)
