"""C5 on tables of coupling made up so that the right verdict is known."""

import math

import pandas as pd
import pytest

from bumpscope.judge.claims import claims
from bumpscope.store.schemas import TABLES
from made_up_runs import EMPTY, only


def coupling_row(dataset, verdict, index, null_gap=-0.7, runs=6, measure="effects", reference="none"):
    numbers = {"coupling": index, "low": index - 0.1, "high": index + 0.1, "gap": 0.0, "gap_low": -0.1, "gap_high": 0.1}
    numbers |= {"null_gap": null_gap, "null_low": null_gap - 0.2, "null_high": null_gap + 0.2, "runs": runs}
    kind = {"dataset": dataset, "kind": "lattice", "reference": reference, "measure": measure}
    return kind | {"censored": 0, "simultaneous": "yes", "verdict": verdict} | numbers


def c5(*rows):
    table = pd.DataFrame(rows, columns=TABLES["coupling"].names)
    return only(claims(EMPTY["metrics"], EMPTY["runs"], pd.DataFrame(), table), "C5")


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        (["coupled", "undetermined"], "supported"),
        (["factorised"], "contradicted"),
        (["coupled", "factorised"], "contradicted"),
        (["reversed"], "contradicted"),
        (["partial"], "undetermined"),
        (["undetermined"], "undetermined"),
    ],
)
def test_c5_follows_the_coupling_table(verdicts, wanted):
    rows = [coupling_row(f"d{k}", verdict, 0.9) for k, verdict in enumerate(verdicts)]
    assert c5(*rows).verdict == wanted


def test_c5_estimates_from_the_clearest_nulls_and_only_from_effects():
    rows = [coupling_row("dim", "coupled", 0.8, -0.3), coupling_row("clear", "coupled", 1.1, -0.9, runs=7)]
    row = c5(*rows, coupling_row("clear", "factorised", 0.0, measure="accuracy"))
    assert (row.verdict, row.estimate, row.runs) == ("supported", 1.1, 7)
    assert (row.low, row.high) == pytest.approx((1.0, 1.2))


def test_c5_without_imbalanced_datasets_is_undetermined():
    row = c5()
    assert row.verdict == "undetermined" and math.isnan(row.estimate) and row.runs == 0


def test_c5_nulls_that_do_not_differ_have_no_estimate():
    row = c5(coupling_row("d", "undetermined", math.nan))
    assert math.isnan(row.estimate) and row.verdict == "undetermined"
