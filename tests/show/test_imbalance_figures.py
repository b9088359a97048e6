"""Figures of imbalanced data say what the tables say, also where something is missing or wild."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bumpscope.judge import controls
from bumpscope.show import style
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
from synthetic_results import BALANCED, COARSE, FINE, IMBALANCED, METADATA, write_results

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (imbalance_curves, coupling_index, onset_map, rare_common, learning_and_geometry)
}
STEPS = (0, 300, 450, 550, 650, 750, 850, 1000, 1200, 1500)
BARE = ("losses", "samples", "embedding", "topology", "phases", "claims")


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Results:
    root = tmp_path_factory.mktemp("imbalance")
    return Results(write_results(root, IMBALANCED, range(5), STEPS, samples=8, without=BARE))


def _with(full: Results, root, **tables: pd.DataFrame) -> Results:
    """The same experiment with some of its tables replaced."""
    given = {name: getattr(full, name) for name in ("runs", "metrics", "coupling", "onsets", "factorisation")}
    for name, table in (given | tables).items():
        write_table(name, root / TABLES[name].path, table, METADATA)
    return Results(root)


def _words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def _arrows(figure: Figure) -> int:
    return sum(line.get_marker() in ("^", "<", ">") for axes in figure.axes for line in axes.lines)


# All five


@pytest.mark.parametrize("name", MODULES)
def test_the_same_tables_give_the_same_bytes(name, full, tmp_path):
    for number in (1, 2):
        style.save(MODULES[name].draw(full)[0], tmp_path / f"{number}.pdf", tmp_path / f"{number}.png")
    for kind in ("pdf", "png"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()


@pytest.mark.parametrize("name", MODULES)
def test_the_finding_comes_from_the_numbers_alone_and_nothing_leaves_the_page(name, full, tmp_path):
    figure, data = MODULES[name].draw(full)
    assert len(data)
    data.to_csv(tmp_path / "data.csv", index=False)
    assert MODULES[name].finding(pd.read_csv(tmp_path / "data.csv")) == MODULES[name].finding(data)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn, page = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    assert drawn.x0 >= -0.01 and drawn.y0 >= -0.01
    assert drawn.x1 <= page[0] + 0.01 and drawn.y1 <= page[1] + 0.01


POOR: dict[str, dict] = {
    "balanced alone": {"datasets": {"balanced": BALANCED}},
    "one seed": {"datasets": {name: IMBALANCED[name] for name in ("fine-x", "skew-x", "skew-both", "balanced")}},
    "torus": {"datasets": {"x": {**BALANCED, "dx": 0.5, "boundary": "torus"}, "skew": {**IMBALANCED["skew-x"]}}},
    "never learnt": {"datasets": {"fine-x": {**IMBALANCED["fine-x"], "tau": (1e9, 1e9)}}},
    "undefined": {
        "datasets": {name: IMBALANCED[name] for name in ("fine-x", "fine-y", "skew-x")},
        "undefined": ("effect_y", "use_", "outcome", "accuracy", "orthogonality"),
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


@pytest.mark.parametrize("case", POOR)
@pytest.mark.filterwarnings("error")
def test_poor_experiments_are_drawn_or_said_to_be_poor(case, tmp_path):
    keys = {"seeds": (0,), "steps": (0, 450, 600, 800, 1500), "samples": 8, "without": BARE} | POOR[case]
    results = Results(write_results(tmp_path, **keys))
    for name, module in MODULES.items():
        figure, data = module.draw(results)
        figure.set_dpi(30)
        FigureCanvasAgg(figure).draw()
        assert module.finding(data).endswith(".") and "nan" not in module.finding(data)
        if case == "balanced alone" and name != "learning_and_geometry":
            assert data.empty and module.finding(data) == module.NONE
        if case == "many, with long names" and name != "onset_map":
            assert "Shown: the first" in figure.get_suptitle()


def test_of_a_pair_with_swapped_axes_the_first_is_shown(full):
    for module in (imbalance_curves, coupling_index, learning_and_geometry, rare_common):
        _, data = module.draw(full)
        assert not {"fine-y", "skew-y", "fine-y-factorised"} & set(data["dataset"])
    table = pd.DataFrame({"dataset": ["b", "a", "c", "b"], "swapped": ["a", "b", None, "a"]})
    assert controls.first_of_pairs(table)["dataset"].tolist() == ["b", "c", "b"]


# Learning curves


def test_curves_are_those_of_the_dataset_and_of_the_null_of_each_axis(full):
    figure, data = imbalance_curves.draw(full)
    assert list(data["dataset"].unique()) == ["fine-x", "skew-x", "fine-x-factorised"]
    nulls = data[data["role"] == "balanced"].groupby(["dataset", "axis"])["source"].unique().str.join("")
    assert nulls["fine-x", "x"] == "fine" and nulls["fine-x", "y"] == "coarse"
    assert nulls["skew-x", "x"] == "skew-both" and nulls["skew-x", "y"] == "balanced"
    assert set(data["t"]) == {450} and data["step"].min() > 0
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[-1] == "fine-x-factorised\nfactorised reference; dx 0.5, dy 2" and "reference" not in titles[0]


def test_half_times_in_the_finding_follow_the_curves():
    rows = [(f"r{seed}", step, value) for seed, half in ((0, 200), (1, 800)) for step, value in
            ((half // 2, 0.0), (half, 0.5), (2 * half, 1.0))]  # fmt: skip
    own = pd.DataFrame(rows, columns=["run", "step", "value"]).assign(role="own", axis="x", source="d")
    never = own.assign(axis="y", value=0.1)
    null = own.assign(role="balanced", step=own["step"] * 2, source="e")
    data = pd.concat([own, never, null]).assign(dataset="d", reference="none")
    assert "d: x 400, y never (nulls: x 800)" in imbalance_curves.finding(data)


def test_a_missing_null_is_said_to_be_missing(tmp_path):
    datasets = {name: IMBALANCED[name] for name in ("fine-x", "coarse")}
    results = Results(write_results(tmp_path, datasets, (0,), STEPS, samples=8, without=BARE))
    figure, _ = imbalance_curves.draw(results)
    assert _words(figure) == ["no null for x"]


# Coupling index


def test_the_index_is_that_of_the_table_over_the_imbalance(full):
    _, data = coupling_index.draw(full)
    assert set(data["kind"]) == {"lattice", "frequency"}
    own = data[(data["dataset"] == "fine-x") & (data["measure"] == "effects")].iloc[0]
    table = full.coupling.query("dataset == 'fine-x' and measure == 'effects'").iloc[0]
    assert own["imbalance"] == 4 and own["coupling"] == table["coupling"] and pd.isna(own["reason"])
    assert (data.loc[data["kind"] == "frequency", "imbalance"] == 2).all()
    low, high = table["low"], table["high"]
    assert f"fine-x {table['coupling']:.2f} [{low:.2f}, {high:.2f}] {table['verdict']}" in coupling_index.finding(data)
    assert "fine-x-factorised (factorised reference) 0.0" in coupling_index.finding(data)


def test_an_interval_beyond_the_axis_has_an_arrow_and_does_not_stretch_it(full, tmp_path):
    before, _ = coupling_index.draw(full)
    assert _arrows(before) == 0
    wild = full.coupling.copy()
    here = (wild["dataset"] == "fine-x") & (wild["measure"] == "effects")
    wild.loc[here, ["low", "high"]] = -40.0, 30.0
    after, _ = coupling_index.draw(_with(full, tmp_path, coupling=wild))
    assert [axes.get_ylim() for axes in after.axes] == [axes.get_ylim() for axes in before.axes]
    assert _arrows(after) == 1 and sum(line.get_marker() == "v" for line in after.axes[0].lines) == 2


def test_an_estimate_beyond_the_axis_is_told_as_a_number(full, tmp_path):
    wild = full.coupling.copy()
    here = (wild["dataset"] == "fine-x") & (wild["measure"] == "effects")
    wild.loc[here, ["coupling", "low", "high"]] = 7.3, 5.0, 9.0
    figure, _ = coupling_index.draw(_with(full, tmp_path, coupling=wild))
    assert "7.3" in _words(figure) and _arrows(figure) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"null_low": -0.1, "null_high": 0.2}, "nulls do not differ"),
        ({"null_x": None}, "no nulls"),
        ({"swapped": None}, "no swapped dataset"),
        ({"runs": 1}, "too few seeds"),
    ],
)
def test_where_there_is_no_index_the_reason_stands_in_words(changes, words, full, tmp_path):
    poor = full.coupling[full.coupling["dataset"] == "fine-x"].copy()
    for column, value in {"coupling": math.nan, "low": math.nan, "high": math.nan, **changes}.items():
        poor[column] = value
    figure, data = coupling_index.draw(_with(full, tmp_path, coupling=poor.assign(verdict="undetermined")))
    assert _words(figure).count(words) == 2
    assert f"fine-x no index ({words})" in coupling_index.finding(data)


def test_undetermined_estimates_are_hollow(full, tmp_path):
    def faces(results: Results) -> set:
        figure, _ = coupling_index.draw(results)
        return {line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() in ("o", "v")}

    assert "white" not in faces(full)
    open_verdicts = full.coupling.assign(verdict="undetermined")
    assert faces(_with(full, tmp_path, coupling=open_verdicts)) == {"white"}


# Times to half over the spacings


def test_the_map_holds_the_times_of_each_pair_of_spacings(full):
    figure, data = onset_map.draw(full)
    cells = {(row.dx, row.dy): row for row in data.itertuples()}
    assert set(cells) == {(0.5, 2.0), (2.0, 0.5), (0.5, 0.5), (2.0, 2.0), (1.0, 1.0)}
    times = full.onsets.query("measure == 'effects'").set_index("dataset")
    assert cells[0.5, 2.0].tau_x == times.loc["fine-x", "tau_x"]
    assert f"{cells[2.0, 2.0].tau_y:.0f}" in _words(figure)
    # The references, and the skewed datasets, are other families.
    assert not data["dataset"].str.contains("factorised|skew").any()
    assert abs(math.log(cells[2.0, 2.0].tau_x / cells[0.5, 0.5].tau_x) - math.log(COARSE / FINE)) < 0.1
    images = [axes.images[0] for axes in figure.axes[:3]]
    assert images[0].norm is images[1].norm and images[2].norm.vmin == -images[2].norm.vmax


def test_a_cell_without_timing_is_hatched(full, tmp_path):
    untimed = full.onsets.copy()
    untimed.loc[untimed["dataset"] == "fine-x", ["tau_x", "tau_y", "gap", "gap_low", "gap_high"]] = np.nan
    figure, data = onset_map.draw(_with(full, tmp_path, onsets=untimed))
    for axes in figure.axes[:3]:
        assert [patch.get_xy() for patch in axes.patches if patch.get_hatch()] == [(-0.5, 1.5)]
    assert "4 of 5 datasets are timed" in onset_map.finding(data)


def test_a_gap_is_bracketed_unless_its_interval_excludes_zero():
    row = {"gap": -0.2, "gap_low": -0.3, "gap_high": -0.1}
    assert onset_map._text(row, "gap") == "−0.20"
    assert onset_map._text(row | {"gap_high": 0.1}, "gap") == "(−0.20)"
    assert onset_map._text(row | {"gap_low": math.nan, "gap_high": math.nan}, "gap") == "(−0.20)"


# Common and rare positions


def test_labels_at_rare_positions_are_shown_beside_their_controls(full):
    _, data = rare_common.draw(full)
    roles = data.drop_duplicates("dataset").set_index("dataset")["role"]
    assert list(roles.items()) == [("skew-x", "x"), ("skew-both", "both"), ("balanced", "none")]
    assert set(data.loc[data["quantity"] == "correct", "t"]) == {-1}
    assert set(data.loc[data["quantity"] != "correct", "t"]) == {450}


def test_half_times_by_bin_follow_the_curves():
    def rows(half: int, x: str, y: str) -> pd.DataFrame:
        steps = [half // 2, half, 2 * half]
        return pd.DataFrame({"run": "r", "step": steps, "value": [0.0, 0.5, 1.0], "bin_x": x, "bin_y": y})

    parts = [rows(100, "common", "all"), rows(200, "middle", "all"), rows(400, "rare", "all")]
    parts += [rows(300, "rare", "common"), rows(500, "rare", "rare")]
    data = pd.concat(parts).assign(dataset="d", reference="none", role="both", quantity="use_x", t=450)
    finding = rare_common.finding(data)
    assert "d: x at common 100, middle 200, rare 400; rare x with common y 300, with rare y 500" in finding
    swapped = data.rename(columns={"bin_x": "bin_y", "bin_y": "bin_x"}).assign(role="y", quantity="use_y")
    assert "d: y at common 100, middle 200, rare 400; rare y with common x 300" in rare_common.finding(swapped)


# Learning and geometry


def test_learning_stands_beside_the_geometry_of_the_same_dataset(full):
    figure, data = learning_and_geometry.draw(full)
    assert list(data["dataset"].unique())[:2] == ["fine-x", "skew-x"]
    own = data[(data["dataset"] == "fine-x") & (data["metric"] == "additive_share")]
    table = full.factorisation.query("dataset == 'fine-x' and metric == 'additive_share'")
    assert sorted(own["value"]) == sorted(table["value"]) and set(own["layer"]) == {"down3", "up1", "image"}
    gaps = full.onsets.query("dataset == 'fine-x' and measure == 'effects'").iloc[0]
    assert set(own["gap_low"]) == {gaps["gap_low"]}
    assert _words(figure).count("balanced") == 4
    layers = own[own["layer"] != "image"]["value"]
    finding = learning_and_geometry.finding(data)
    assert f"additive share {layers.min():.2f} to {layers.max():.2f} over its layers" in finding
    assert "fine-x coupling 0.9" in finding and "fine gap" in finding
