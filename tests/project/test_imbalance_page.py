"""The page on imbalance says what its tables say, and what was not measured."""

import numpy as np
import pandas as pd
import pytest
from test_coupling import FAST, LATTICE, SLOW, experiment, imbalanced
from test_imbalance import shares

import imbalance_page as page
import keep_imbalance
import search_imbalance
from bumpscope.judge.claims import claims
from bumpscope.judge.coupling import coupling
from bumpscope.judge.onset_table import onset_table
from bumpscope.judge.side_by_side import side_by_side
from judgements import NOT_MEASURED
from made_up_runs import EMPTY
from truth_tables import load, save


def tables(times, reference="none"):
    """What an experiment with these onsets would leave."""
    kinds = {name: kind | {"reference": reference} for name, kind in LATTICE.items()}
    metrics, runs = experiment(imbalanced(*times), kinds)
    metrics = pd.concat([metrics, shares([[0.3, 0.4], [0.9, 0.95]])])
    found, onsets = coupling(metrics, runs), onset_table(metrics, runs)
    judged = claims(EMPTY["metrics"], EMPTY["runs"], pd.DataFrame(), found)
    geometry = side_by_side(metrics, found, onsets)
    return {"runs": runs, "coupling": found, "onsets": onsets, "factorisation": geometry, "claims": judged}


@pytest.fixture
def folder(tmp_path):
    for name, table in tables((FAST, SLOW)).items():
        save(f"imbalance-{name}", table.assign(experiment="study"), tmp_path)
    return tmp_path


def test_the_page_is_made_of_the_tables_beside_it():
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_what_was_not_measured_is_said(tmp_path):
    text = page.page(tmp_path)
    assert text.count(f"{NOT_MEASURED}.") == 8 and "Kept here: nothing" in text


def test_verdict_and_index_are_those_of_the_tables(folder, tmp_path_factory):
    text = page.page(folder)
    row = load("imbalance-coupling", folder)[0].iloc[0]
    assert "**contradicted**" in text and "**factorised**" in text
    assert page.interval(row.coupling, row.low, row.high) in text
    other = tmp_path_factory.mktemp("coupled")
    middle = (FAST * SLOW) ** 0.5
    for name, table in tables((middle, middle)).items():
        save(f"imbalance-{name}", table.assign(experiment="study"), other)
    assert "**supported**" in page.page(other) and "**factorised**" not in page.page(other)


def test_references_stand_apart_from_the_model_under_study(folder):
    for name, table in tables((FAST, SLOW), "factorised").items():
        kept = load(f"imbalance-{name}", folder)[0]
        save(f"imbalance-{name}", pd.concat([kept, table.assign(experiment="factorised")]), folder)
    ends, study = page.page(folder).split("## The denoiser under study")
    assert "| factorised |" in ends and "| factorised |" not in study and "| under study |" in study


def test_a_dataset_and_its_swapped_one_have_one_row(folder):
    lines = page.page(folder).splitlines()
    rows = [line for line in lines if line.startswith(("| wide | under study | effects", "| tall | under study"))]
    assert len(rows) == 1


def test_use_by_bin_is_timed_seed_by_seed():
    names = ("use_x/t=450/ema/x=rare,y=all", "use_y/t=450/ema/x=all,y=rare")
    metrics, _ = experiment({"d": (FAST, SLOW)}, {"d": {}}, names=names)
    effects, _ = experiment({"d": (FAST, FAST)}, {"d": {}})
    table = keep_imbalance.by_bin(pd.concat([metrics, effects])).set_index("axis")
    assert table.loc["x", "tau"] == pytest.approx(FAST, rel=0.25) and table.loc["x", "other"] == "all"
    assert table.loc["y", "tau"] / table.loc["x", "tau"] == pytest.approx(2, rel=0.05)
    assert (table["timed"] == 6).all() and (table["use"] == 1).all()


def test_the_search_looks_at_balanced_data_alone_and_with_seeds_of_its_own():
    cases = list(search_imbalance.cases())
    assert all(case.lattice.dx == case.lattice.dy for case in cases)
    assert {case.lattice.skew.axis for case in cases} == {"none", "both"}
    assert min(case.seed for case in cases) >= 100


def test_the_search_table_compares_within_seeds():
    rows = []
    for seed, factor in ((100, 1.0), (101, 2.0)):
        for spacing, time in ((1.0, 600.0), (6.0, 300.0)):
            for measure in ("effects", "rare"):
                tau = np.nan if (measure, spacing) == ("rare", 6.0) else time * factor
                row = {"spacing": spacing, "alpha": 0.0, "seed": seed, "measure": measure}
                rows.append(row | {"tau_x": tau, "tau_y": tau})
    text = page.search(pd.DataFrame(rows))
    assert "-0.69 [-0.69, -0.69]" in text and "| 424 |" in text and "| 849 |" in text
