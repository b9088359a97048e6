"""Figures of imbalanced data show what the tables have, also where something is missing or wild."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import made_up_sizes
from bumpscope.judge import controls
from bumpscope.judge.coupling import coupling
from bumpscope.show import gallery
from bumpscope.show.figures import (
    coupling_index,
    imbalance_curves,
    learning_and_geometry,
    onset_map,
    rare_common,
)
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from synthetic_results import BALANCED, COARSE, FINE, IMBALANCED, MACHINE, METADATA, write_results

NAMES = ("imbalance_curves", "coupling_index", "onset_map", "rare_common", "learning_and_geometry")
STEPS = (0, 300, 450, 550, 650, 750, 850, 1000, 1200, 1500)
BARE = ("losses", "samples", "embedding", "topology", "phases", "claims")


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Results:
    root = tmp_path_factory.mktemp("imbalance")
    return Results(write_results(root, IMBALANCED, range(5), STEPS, samples=8, without=BARE))


@pytest.fixture(scope="module")
def selected(full) -> dict[str, pd.DataFrame]:
    return {name: gallery.figure(name).select(full) for name in NAMES}


def words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def arrows(figure: Figure) -> int:
    return sum(line.get_marker() in ("^", "<", ">") for axes in figure.axes for line in axes.lines)


# All five

POOR: dict[str, dict] = {
    "balanced alone": {"datasets": {"balanced": BALANCED}},
    "one seed": {"datasets": {name: IMBALANCED[name] for name in ("fine-x", "skew-x", "skew-both", "balanced")}},
    "torus": {"datasets": {"x": {**BALANCED, "dx": 0.5, "boundary": "torus"}, "skew": {**IMBALANCED["skew-x"]}}},
    "no timestep of all datasets": {
        "datasets": {**IMBALANCED, "other": {**BALANCED, "dx": 6.0, "bins": True, "effect_shift": 13}}
    },
    "no timestep with its null": {
        "datasets": {**IMBALANCED, "balanced": {**IMBALANCED["balanced"], "effect_shift": 13}}
    },
    "never learnt": {"datasets": {"fine-x": {**IMBALANCED["fine-x"], "tau": (1e9, 1e9)}}},
    "undefined": {
        "datasets": {name: IMBALANCED[name] for name in ("fine-x", "fine-y", "skew-x")},
        "undefined": (
            {"quantity": "resolution", "factor": "y"}, {"quantity": "use"}, {"quantity": "share_correct"},
            {"quantity": "accuracy"}, {"quantity": "orthogonality"},
        ),
    },
    "many, with long names": {
        "datasets": {
            f"a-dataset-with-a-rather-long-name-{k}": {
                **BALANCED, "dx": (1.0, 0.5)[k % 2], "skew_axis": ("none", "x")[k > 3],
                "skew_alpha": (0.0, 1.0 + k)[k > 3], "batch_size": k, "reference": ("none", "gated")[k == 11],
            }
            for k in range(12)
        }
    },
}  # fmt: skip


SLOW = ("many, with long names", "no timestep of all datasets", "no timestep with its null", "torus")
CASES = [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in POOR]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_poor_experiments_are_drawn_or_said_to_be_poor(case, tmp_path):
    keys = {"seeds": (0,), "steps": (0, 450, 600, 800, 1500), "samples": 8, "without": BARE} | POOR[case]
    results = Results(write_results(tmp_path, **keys))
    for name in NAMES:
        module = gallery.figure(name)
        data = module.select(results)
        figure = module.draw(data)
        figure.set_dpi(30)
        FigureCanvasAgg(figure).draw()
        assert module.finding(data).endswith(".") and "nan" not in module.finding(data)
        if case == "balanced alone" and name != "learning_and_geometry":
            assert data.empty
        if case == "many, with long names" and name != "onset_map":
            assert "Shown: the first" in figure.get_suptitle()


def test_of_a_pair_with_swapped_axes_the_first_is_shown(selected):
    for name in ("imbalance_curves", "coupling_index", "learning_and_geometry", "rare_common"):
        assert not {"fine-y", "skew-y", "fine-y-factorised"} & set(selected[name]["dataset"])
    table = pd.DataFrame({"dataset": ["b", "a", "c", "b"], "swapped": ["a", "b", None, "a"]})
    assert controls.first_of_pairs(table)["dataset"].tolist() == ["b", "c", "b"]


# Learning curves


def test_curves_are_those_of_the_dataset_and_of_the_null_of_each_axis(selected):
    data = selected["imbalance_curves"]
    assert list(data["dataset"].unique()) == ["fine-x", "skew-x", "fine-x-factorised"]
    nulls = data[data["role"] == "nulls"].groupby(["dataset", "axis"])["source"].unique().str.join("")
    assert nulls["fine-x", "x"] == "fine" and nulls["fine-x", "y"] == "coarse"
    assert nulls["skew-x", "x"] == "skew-both" and nulls["skew-x", "y"] == "balanced"
    assert set(data["t"]) == {450} and data["step"].min() > 0


def test_half_times_follow_the_curves():
    points = [(f"r{seed}", step, value) for seed, half in ((0, 200), (1, 800)) for step, value in
              ((half // 2, 9.0), (half, 3.0), (2 * half, 1.0))]  # fmt: skip
    own = pd.DataFrame(points, columns=["run", "step", "value"]).assign(role="own", axis="x", source="d")
    never = own.assign(axis="y", value=9.0)
    null = own.assign(role="nulls", step=own["step"] * 2, source="e")
    data = pd.concat([own, never, null]).assign(dataset="d", reference="none", pair="x and y", compared_at=3.0)
    assert "d: x 400, y never (nulls: x 800)" in imbalance_curves.finding(data)


def test_a_missing_null_is_said_to_be_missing(selected):
    data = selected["imbalance_curves"]
    data = data[(data["dataset"] == "fine-x") & ((data["role"] == "own") | (data["axis"] == "y"))]
    assert words(imbalance_curves.draw(data)) == ["no null for x"]


def test_a_dataset_with_other_timesteps_is_shown_at_its_own(tmp_path):
    times = {"other": {**IMBALANCED["skew-x"], "skew_alpha": 4.0, "effect_shift": 13}}
    datasets = {name: IMBALANCED[name] for name in ("skew-x", "skew-y", "skew-both", "balanced")} | times
    results = Results(write_results(tmp_path, datasets, (0,), STEPS, samples=8, without=BARE))
    for module in (imbalance_curves, rare_common):
        shown = module.select(results).query("t > 0").groupby("dataset")["t"].unique().map(list)
        assert shown["skew-x"] == [450] and shown["other"] == [463]
    found = results.table("coupling", measure="resolution").set_index("dataset")
    assert found.loc["skew-x", "null_gap"] > 0 and pd.isna(found.loc["other", "null_x"])
    drawn = rare_common.draw(rare_common.select(results))
    assert any("t = 463" in axes.get_title("left").replace("\n", " ") for axes in drawn.axes)


def test_factors_that_cannot_be_swapped_are_drawn_in_units_of_their_levels(tmp_path):
    metrics, runs = made_up_sizes.tables(made_up_sizes.experiment(made_up_sizes.FAST, made_up_sizes.SLOW), noise=0.0)
    found = {"metrics": metrics, "coupling": coupling(metrics, runs)}
    found["runs"] = runs.assign(**MACHINE, tables=None)[TABLES["runs"].names]
    for name, table in found.items():
        write_table(name, tmp_path / TABLES[name].path, table, METADATA)
    data = imbalance_curves.select(Results(tmp_path))
    assert set(zip(data["axis"], data["role"], data["source"], strict=True)) == {
        ("x", "own", "sized"), ("size", "own", "sized"), ("x", "nulls", "x alone"), ("size", "nulls", "size alone")
    }  # fmt: skip
    assert dict(zip(data["axis"], data["compared_at"], strict=True)) == made_up_sizes.LEVELS
    told = imbalance_curves.finding(data)
    for whose in (" (x and size): {}", "(nulls: {})"):
        size, x = (re.search(rf"{name} (\d+)", told.split(whose.split("{")[0])[1]) for name in ("size", "x"))
        assert int(size[1]) / int(x[1]) == pytest.approx(made_up_sizes.SLOW / made_up_sizes.FAST, rel=0.05)
    panel, *rest = imbalance_curves.draw(data).axes
    assert not rest and panel.get_ylabel().startswith("resolution, of its level")
    (level,) = {line.get_ydata()[0] for line in panel.lines if line.get_xdata()[0] == 0 and len(line.get_xdata()) == 2}
    assert level == 1
    other = data.assign(pair="x and y", axis=data["axis"].replace("size", "y"))
    titles = [axes.get_title("left") for axes in imbalance_curves.draw(pd.concat([data, other])).axes]
    assert [title.split("\n")[0] for title in titles] == ["sized, x and size", "sized, x and y"]


# Coupling index


def changed(data: pd.DataFrame, **values) -> pd.DataFrame:
    """The frame with other numbers in the row of fine-x and its resolution."""
    wild = data.copy()
    wild.loc[(wild["dataset"] == "fine-x") & (wild["measure"] == "resolution"), list(values)] = list(values.values())
    return wild


def test_the_index_is_that_of_the_table_over_the_imbalance(full, selected):
    data = selected["coupling_index"]
    assert set(data["kind"]) == {"lattice", "frequency"}
    own = data[(data["dataset"] == "fine-x") & (data["measure"] == "resolution")].iloc[0]
    table = full.coupling.query("dataset == 'fine-x' and measure == 'resolution'").iloc[0]
    assert own["imbalance"] == 4 and own["coupling"] == table["coupling"] and pd.isna(own["reason"])
    assert (data.loc[data["kind"] == "frequency", "imbalance"] == 2).all()
    index = f"{table['coupling']:.2f} [{table['low']:.2f}, {table['high']:.2f}] ({table['in_steps']:.2f} in steps)"
    assert f"fine-x {index} {table['verdict']}" in coupling_index.finding(data)


def test_an_interval_beyond_the_axis_has_an_arrow_and_does_not_stretch_it(selected):
    before = coupling_index.draw(selected["coupling_index"])
    assert arrows(before) == 0
    after = coupling_index.draw(changed(selected["coupling_index"], low=-40.0, high=30.0))
    assert [axes.get_ylim() for axes in after.axes] == [axes.get_ylim() for axes in before.axes]
    assert arrows(after) == 1 and sum(line.get_marker() == "v" for line in after.axes[0].lines) == 2


def test_an_estimate_beyond_the_axis_is_written_as_a_number(selected):
    figure = coupling_index.draw(changed(selected["coupling_index"], coupling=7.3, low=5.0, high=9.0))
    assert "7.3" in words(figure) and arrows(figure) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"null_low": -0.1, "null_high": 0.2}, "nulls do not differ"),
        ({"null_x": None}, "no nulls"),
        ({"swapped": None}, "no swapped dataset"),
        ({"runs": 1}, "too few seeds"),
    ],
)
def test_where_there_is_no_index_the_reason_stands_in_words(changes, reason, full, tmp_path):
    poor = full.coupling[full.coupling["dataset"] == "fine-x"].copy()
    for column, value in {"coupling": math.nan, "low": math.nan, "high": math.nan, **changes}.items():
        poor[column] = value
    write_table("runs", tmp_path / TABLES["runs"].path, full.runs, METADATA)
    write_table("coupling", tmp_path / TABLES["coupling"].path, poor.assign(verdict="undetermined"), METADATA)
    data = coupling_index.select(Results(tmp_path))
    assert words(coupling_index.draw(data)).count(reason) >= 3
    assert f"fine-x no index ({reason})" in coupling_index.finding(data)


def test_undetermined_estimates_are_hollow(selected):
    def faces(data: pd.DataFrame) -> set:
        lines = coupling_index.draw(data).axes[0].lines
        return {line.get_markerfacecolor() for line in lines if line.get_marker() in ("o", "v")}

    assert "white" not in faces(selected["coupling_index"])
    assert faces(selected["coupling_index"].assign(verdict="undetermined")) == {"white"}


# Times to half over the spacings


def test_the_map_holds_the_times_of_each_pair_of_spacings(full, selected):
    data = selected["onset_map"]
    cells = {(row.dx, row.dy): row for row in data.itertuples()}
    assert set(cells) == {(0.5, 2.0), (2.0, 0.5), (0.5, 0.5), (2.0, 2.0), (1.0, 1.0)}
    times = full.onsets.query("measure == 'resolution'").set_index("dataset")
    assert cells[0.5, 2.0].tau_x == times.loc["fine-x", "tau_x"]
    # The references, and the skewed datasets, are other families.
    assert not data["dataset"].str.contains("factorised|skew").any()
    assert abs(math.log(cells[2.0, 2.0].tau_x / cells[0.5, 0.5].tau_x) - math.log(COARSE / FINE)) < 0.1


def test_cells_stand_at_their_spacings_and_both_times_share_a_scale(selected):
    figure = onset_map.draw(selected["onset_map"])
    maps = [axes.collections[0] for axes in figure.axes[:3]]
    # From above: dy 2, 1, 0.5; from the left: dx 0.5, 1, 2.
    grid = np.asarray(maps[1].get_array().reshape(3, 3))
    cells = selected["onset_map"].set_index(["dx", "dy"])["tau_y"]
    assert grid[0, 0] == cells[0.5, 2.0] and grid[2, 2] == cells[2.0, 0.5] and grid[0, 2] == cells[2.0, 2.0]
    assert f"{cells[2.0, 2.0]:.0f}" in words(figure)
    assert maps[0].norm.vmin == maps[1].norm.vmin and maps[0].norm.vmax == maps[1].norm.vmax
    assert maps[2].norm.vmin == -maps[2].norm.vmax


def test_a_cell_without_timing_is_hatched(selected):
    data = selected["onset_map"].copy()
    data.loc[data["dataset"] == "fine-x", ["tau_x", "tau_y", "own_gap", "own_gap_low", "own_gap_high"]] = np.nan
    for axes in onset_map.draw(data).axes[:3]:
        assert [patch.get_xy() for patch in axes.patches if patch.get_hatch()] == [(0, 0)]


def test_a_gap_is_bracketed_unless_its_interval_excludes_zero():
    row = {"own_gap": -0.2, "own_gap_low": -0.3, "own_gap_high": -0.1}
    assert onset_map._text(row, "own_gap") == "−0.20"
    assert onset_map._text(row | {"own_gap_high": 0.1}, "own_gap") == "(−0.20)"
    assert onset_map._text(row | {"own_gap_low": math.nan, "own_gap_high": math.nan}, "own_gap") == "(−0.20)"


# Common and rare positions


def test_labels_at_rare_positions_are_shown_beside_their_controls(selected):
    data = selected["rare_common"]
    roles = data.drop_duplicates("dataset").set_index("dataset")["role"]
    assert list(roles.items()) == [("skew-x", "x"), ("skew-both", "both"), ("balanced", "none")]
    assert set(data.loc[data["quantity"] == "correct", "t"]) == {-1}
    assert set(data.loc[data["quantity"] != "correct", "t"]) == {450}


def test_each_panel_has_the_numbers_of_its_bins(full, selected):
    def values(**where) -> list[float]:
        own = data
        for column, value in where.items():
            own = own[own[column] == value]
        return own["value"].tolist()

    def table(factor: str, bins: str) -> list[float]:
        where = {"run": "skew-x-seed0", "quantity": "use", "factor": factor, "t": 450, "bin": bins}
        return full.table("metrics", **where, filters=[("step", ">", 0)])["value"].tolist()

    data = selected["rare_common"]
    data = data[data["run"] == "skew-x-seed0"]
    assert values(panel="x", bin="rare", quantity="use_x") == table("x", "x=rare,y=all")
    assert values(panel="y", bin="common", quantity="use_y") == table("y", "x=all,y=common")
    assert values(panel="rare", bin="middle", quantity="use_x") == table("x", "x=rare,y=middle")


def test_half_times_by_bin_follow_the_curves():
    def curve(half: int, panel: str, name: str) -> pd.DataFrame:
        steps = [half // 2, half, 2 * half]
        return pd.DataFrame({"run": "r", "step": steps, "value": [0.0, 0.5, 1.0], "panel": panel, "bin": name})

    parts = [curve(100, "x", "common"), curve(200, "x", "middle"), curve(400, "x", "rare")]
    parts += [curve(300, "rare", "common"), curve(500, "rare", "rare")]
    data = pd.concat(parts).assign(dataset="d", reference="none", role="both", quantity="use_x", t=450)
    finding = rare_common.finding(data)
    assert "x at common 100, middle 200, rare 400, rare x with common y 300, rare y 500" in finding
    swapped = data.replace({"panel": {"x": "y"}}).assign(role="y", quantity="use_y")
    assert "y at common 100, middle 200, rare 400, rare y with common x 300" in rare_common.finding(swapped)


# Learning and geometry


def test_learning_stands_beside_the_geometry_of_the_same_dataset(full, selected):
    data = selected["learning_and_geometry"]
    assert list(data["dataset"].unique())[:2] == ["fine-x", "skew-x"]
    own = data[(data["dataset"] == "fine-x") & (data["metric"] == "additive_share")]
    table = full.factorisation.query("dataset == 'fine-x' and metric == 'additive_share'")
    assert sorted(own["value"]) == sorted(table["value"]) and set(own["layer"]) == {"down3", "up1", "image"}
    gaps = full.onsets.query("dataset == 'fine-x' and measure == 'resolution'").iloc[0]
    assert set(own["own_gap_low"]) == {gaps["own_gap_low"]}
    assert words(learning_and_geometry.draw(data)).count("balanced") == 4
    layers = own[own["layer"] != "image"]["value"]
    assert f"additive share {layers.min():.2f} to {layers.max():.2f} over its layers" in (
        learning_and_geometry.finding(data)
    )
    # A code as additive as that of a network that learnt nothing of the images is told beside it.
    told = learning_and_geometry.finding(own.assign(permuted=0.93))
    assert told.endswith("trained on permuted labels 0.93.")
