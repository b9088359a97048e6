"""The page on imbalance is made of its tables, and what is kept of an experiment is what it measured."""

import numpy as np
import pandas as pd
import pytest

import imbalance_page as page
import keep_imbalance
import search_imbalance
from truth_tables import DOCS, as_csv, frames, load

STEPS = np.arange(100, 1601, 50)


@pytest.fixture
def kept():
    return frames("imbalance-coupling", "imbalance-bins", "imbalance-accuracy")


def test_the_page_and_its_tables_are_made_of_the_kept_ones():
    assert (DOCS / "imbalance.md").read_text(encoding="utf-8") == page.page()
    for name, table in page.tables().items():
        assert (DOCS / "data" / f"{name}.csv").read_text(encoding="utf-8") == as_csv(table), name


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="imbalance-search"):
        page.page(tmp_path)


def test_a_dataset_and_its_swapped_one_have_one_row(kept):
    coupling = kept["imbalance-coupling"]
    study = coupling[(coupling["experiment"] == "study") & (coupling["measure"] == "effects")]
    assert len(study) == 2 * len(page.index(study).splitlines()[2:])
    row = study.iloc[0]
    assert page.interval(row.coupling, row.low, row.high) in page.index(study)


@pytest.mark.parametrize(
    ("reference", "verdict"), [("own_resolution", "factorised"), ("equal_resolution", "coupled"), ("gated", "coupled")]
)
def test_models_of_known_coupling_read_as_the_page_says(reference, verdict):
    table, _ = load(page.KNOWN)
    row = table[(table["reference"] == reference) & (table["measure"] == "resolution")].iloc[0]
    assert row.runs == 5 and row.verdict == verdict
    for low, high in ((row.low, row.high), (row.in_steps_low, row.in_steps_high)):
        assert high < 0.2 if verdict == "factorised" else 0.8 <= low <= high <= 1.25


def test_a_skew_of_three_leaves_nulls_and_axes_alike_as_the_page_says():
    row = load("imbalance-network")[0].query("experiment == 'skew'").iloc[0]
    assert row.null_low < 0 < row.null_high and row.gap_low < 0 < row.gap_high
    assert np.isnan(row.coupling) and row.runs == 5


def test_references_that_were_not_run_are_named(kept):
    coupling = kept["imbalance-coupling"]
    assert page.missing(coupling) == "Not run: factorised with unequal frequency, gated with unequal frequency."
    kinds = ("lattice", "frequency")
    everything = [coupling.assign(reference=name, kind=kind) for name in page.REFERENCES for kind in kinds]
    assert page.missing(pd.concat(everything)) == ""


def test_correct_images_are_those_at_the_positions_of_the_label(kept):
    accuracy = kept["imbalance-accuracy"].query("experiment == 'study'")
    text = page.rare(kept["imbalance-bins"].query("experiment == 'study'"), accuracy)
    (line,) = [line for line in text.splitlines() if line.startswith("| dx1_dy1_skewx3 | x, rare |")]
    row = accuracy.query("dataset == 'dx1_dy1_skewx3' and bin_x == 'rare' and bin_y == 'all'").iloc[0]
    assert line.endswith(f"| {page.interval(row.correct, row.low, row.high)} |")


def curves(factor, place, time):
    """Curves of the use of a label that cross one half at this step, a little elsewhere in each seed."""
    parts = []
    for seed in range(6):
        value = 1 / (1 + (time * (1 + 0.02 * seed) / STEPS) ** 8)
        parts.append(pd.DataFrame({"seed": seed, "step": STEPS, "value": value}))
    return pd.concat(parts).assign(dataset="d", factor=factor, bin=place)


def test_use_by_bin_is_timed_seed_by_seed():
    own = [curves("x", "x=rare,y=all", 300), curves("y", "x=all,y=rare", 600)]
    use = pd.concat([*own, curves("x", "x=all,y=all", 300)])
    table = keep_imbalance.by_bin(use).set_index("axis")
    assert len(table) == 2
    assert table.loc["x", "tau"] == pytest.approx(300, rel=0.1) and table.loc["x", "other"] == "all"
    assert table.loc["y", "tau"] / table.loc["x", "tau"] == pytest.approx(2, rel=0.1)
    assert (table["timed"] == 6).all() and (table["use"] > 0.99).all()
    assert (table["tau_low"] < table["tau"]).all() and (table["tau"] < table["tau_high"]).all()


def test_accuracy_by_bin_is_that_of_the_last_step():
    frame = pd.DataFrame({"dataset": "d", "seed": [0, 1] * 2, "step": [100, 100, 200, 200], "value": [0, 0, 0.4, 0.6]})
    both = pd.concat([frame.assign(bin="x=rare,y=all"), frame.assign(bin="x=rare,y=common")])
    (row,) = keep_imbalance.accuracy(both).to_dict("records")
    assert (row["bin_x"], row["bin_y"], row["correct"]) == ("rare", "all", pytest.approx(0.5))


def test_the_search_looks_at_balanced_data_alone_and_with_seeds_of_its_own():
    cases = list(search_imbalance.cases())
    assert all(case.lattice.dx == case.lattice.dy for case in cases)
    assert {case.lattice.skew.axis for case in cases} == {"none", "both"}
    assert min(case.seed for case in cases) >= 100


def test_the_search_table_compares_within_seeds():
    rows = []
    for seed, factor in ((100, 1.0), (101, 2.0)):
        for spacing, time in ((1.0, 600.0), (6.0, 300.0)):
            row = {"spacing": spacing, "alpha": 0.0, "seed": seed, "measure": "effects"}
            rows.append(row | {"tau_x": time * factor, "tau_y": time * factor})
    text = page.search(pd.DataFrame(rows))
    assert "| 424 | -0.69 [-0.69, -0.69] |" in text and "| 849 |" in text


def test_a_kept_table_replaces_only_its_own_experiment(tmp_path, monkeypatch):
    class Finished:
        def __init__(self, folder):
            self.value = float(folder.name)

        def table(self, name, **where):
            return pd.DataFrame({"value": [self.value], "bin": None})

    monkeypatch.setattr(keep_imbalance, "Results", Finished)
    monkeypatch.setattr(keep_imbalance, "usual_timesteps", lambda use: {})
    monkeypatch.setattr(keep_imbalance, "at_timesteps", lambda use, times: use)
    for name in ("by_bin", "accuracy"):
        monkeypatch.setattr(keep_imbalance, name, lambda frame: frame)
    for folder, experiment in (("1", "study"), ("2", "gated"), ("3", "study")):
        keep_imbalance.keep(tmp_path / folder, experiment, tmp_path)
    table = load("imbalance-runs", tmp_path)[0]
    assert dict(zip(table["experiment"], table["value"], strict=True)) == {"gated": 2, "study": 3}
