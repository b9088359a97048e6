"""What all claims have in common: the runs that count, and the tables."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bumpscope.judge.claims import (
    claims,
    claims_table,
    evidence_table,
    judge,
    modules,
    paragraph,
    read,
    read_of_metrics,
)
from bumpscope.judge.verdicts import CONTRADICTED, SHOWN, SUPPORTED, UNDETERMINED
from bumpscope.show import gallery
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import read_table, write_table
from made_up_runs import CORRECT, EMPTY, every, letters, r2, rise
from synthetic_results import DATASETS, METADATA, write_results


@pytest.mark.parametrize(
    "other", [{"boundary": "torus"}, {"skew_axis": "x", "skew_alpha": 1.0}, {"dy": 2.0}, {"labels": "permuted"}]
)
def test_runs_that_are_not_balanced_on_a_plane_do_not_count(other):
    curves = {CORRECT["seen"]: 0.95, CORRECT["heldout"]: 0.3, CORRECT["between"]: 0.9}
    experiment = every(5, latent=letters(200, 800), curves=curves, **other)
    assert [experiment.judge(claim).runs for claim in ("C1", "C2", "C6")] == [0, 0, 0]


def test_the_table_has_its_columns_and_all_claims_whatever_is_missing():
    nothing = pd.DataFrame()
    full = every(2, latent=letters(200, 800), curves=r2("requested", rise(500)) | {CORRECT["seen"]: rise(900)})
    metrics, runs, phases = (full.data().table(name) for name in ("metrics", "runs", "phases"))
    unread = metrics.assign(value=np.nan)
    open_phases = phases.assign(latent_phase="?", behaviour_phase="?")
    cases = [
        (nothing, nothing, nothing, nothing),
        (EMPTY["metrics"], EMPTY["runs"], phases.iloc[:0], EMPTY["coupling"]),
        (nothing, runs, nothing, nothing),
        (metrics, runs, nothing, nothing),
        (nothing, runs, phases, nothing),
        (metrics, runs.iloc[:1], phases, nothing),
        (metrics[metrics.seed == 0], runs[runs.seed == 0], phases[phases.seed == 0], nothing),
        (unread, runs, phases, nothing),
        (metrics, runs, open_phases, nothing),
        (metrics[metrics.step == 0], runs, phases[phases.step == 0], nothing),
    ]
    for case in cases:
        table = claims(*case)
        assert list(table.columns) == TABLES["claims"].names
        assert table.claim.tolist() == list(modules())
        assert set(table.verdict) == {"undetermined"} and (table.reason.str.len() > 0).all()


@pytest.fixture(scope="module")
def known():
    """Verdicts of all three kinds."""
    curves = r2("requested", rise(500)) | {CORRECT["seen"]: rise(900), CORRECT["between"]: 0.2}
    return every(5, latent=letters(200, 800), behaviour=letters(200, 1400), curves=curves).data()


def test_evidence_holds_the_checks_of_each_claim_and_the_report_says_them(known):
    judged = judge(known)
    table, rows = evidence_table(judged), claims_table(judged).to_dict("records")
    assert {row["verdict"] for row in rows} == {SUPPORTED, CONTRADICTED, UNDETERMINED}
    assert list(table.columns) == TABLES["evidence"].names
    assert not table.duplicated(["claim", "quantity", "subject", "role"]).any()
    assert (table["passed"].isna() == (table["bound"] == "")).all()
    assert ((table["role"] == SHOWN) == (table["bound"] == "")).all()
    for row in rows:
        text = paragraph(row, table)
        assert "nan" not in text
        for check in judged[row["claim"]].checks:
            assert check.bound in text
        assert paragraph(row, None) == paragraph(row, table.iloc[:0]) == row["reason"]


def test_evidence_survives_its_table(known, tmp_path):
    table = evidence_table(judge(known))
    write_table("evidence", tmp_path / "evidence.parquet", table, METADATA)
    again = read_table("evidence", tmp_path / "evidence.parquet")
    row = claims_table(judge(known)).to_dict("records")[0]
    assert paragraph(row, again) == paragraph(row, table)


def test_claims_read_few_of_the_metrics_and_need_no_others(tmp_path):
    root = write_results(tmp_path, DATASETS, seeds=range(5), steps=(0, 300, 600, 900, 1500), samples=16)
    results = Results(root)
    few, whole = read(results), results.metrics
    assert 0 < len(few.table("metrics")) < len(whole) / 2
    one, other = (
        table.sort_values(list(table.columns), ignore_index=True)
        for table in (few.table("metrics"), read_of_metrics(whole))
    )
    pd.testing.assert_frame_equal(one, other)
    tables = [results.runs, few.table("phases"), results.coupling]
    others = {name: few.table(name) for name in ("interventions", "leaderboard")}
    pd.testing.assert_frame_equal(claims_table(judge(few)), claims(whole, *tables, **others))


def test_figures_of_claims_are_figures_of_the_package():
    assert {name for module in modules().values() for name in module.FIGURES} <= set(gallery.names())


def test_the_bounds_in_the_documentation_are_those_of_the_code():
    page = (Path(__file__).parents[2] / "docs/claims.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, flags=re.MULTILINE))
    code = {name: value for module in modules().values() for name, value in vars(module).items() if name in told}
    assert told and told.keys() == code.keys()
    assert {name: round(code[name], len(value.partition(".")[2])) for name, value in told.items()} == {
        name: float(value) for name, value in told.items()
    }


def test_runs_of_another_network_or_training_are_no_further_seeds():
    experiment = every(2)
    for seed in (2, 3, 4):
        experiment.add("slower", seed - 2, learning_rate=1e-4)
        experiment.add("larger", seed - 2, network="another")
    assert set(experiment.data().planes.index) == {"balanced", "slower", "larger"}
    planes = experiment.data().best_timed
    assert len(planes) == 1, "three models, of which one is judged"
    assert {dataset for dataset, _ in experiment.data().histories} == set(planes.index)
