"""The coupling index of factors that cannot be swapped, on learning curves whose answer is known by construction."""

import math

import numpy as np
import pandas as pd
import pytest

from bumpscope.judge.answers import answer
from bumpscope.judge.claims import checks_of, claims_table, evidence_table, judge
from bumpscope.judge.coupling import coupling
from bumpscope.judge.data import Data
from bumpscope.judge.remedies import COMMON_DISTANCE, EACH_ALONE
from bumpscope.judge.unlike import DISCRIMINABLE, levels, unlike_comparisons
from bumpscope.store.schemas import TABLES
from made_up_runs import number, only
from made_up_sizes import FAST, LEVELS, MIDDLE, PLANE, SLOW, SOLID, experiment, row_of, tables


def claims(metrics, runs):
    none = {"phases": pd.DataFrame(), "coupling": pd.DataFrame(columns=TABLES["coupling"].names)}
    return judge(Data({"runs": runs, "metrics": metrics} | none))


KNOWN = {"factorised": ((FAST, SLOW), 0.0), "coupled": ((MIDDLE, MIDDLE), 1.0), "reversed": ((SLOW, FAST), 2.0)}


@pytest.mark.parametrize("verdict", KNOWN)
def test_the_index_is_that_of_curves_with_a_known_answer(verdict):
    times, index = KNOWN[verdict]
    (row,) = coupling(*tables(experiment(*times))).to_dict("records")
    assert (row["dataset"], row["kind"], row["swapped"]) == ("sized", "x_size", None)
    assert (row["null_x"], row["null_y"], row["runs"]) == ("x alone", "size alone", 5)
    assert row["verdict"] == verdict and row["coupling"] == pytest.approx(index, abs=0.1)
    assert row["null_gap"] == pytest.approx(math.log(FAST / SLOW), abs=0.05)


def test_a_factor_that_is_always_slower_is_factorised_and_not_coupled():
    # Twice as slow with the other factor and alone, so that nothing is learnt from the other.
    (row,) = coupling(*tables(experiment(FAST, 2 * FAST, (FAST, 2 * FAST)))).to_dict("records")
    assert row["verdict"] == "factorised"


def test_both_claims_are_judged_by_pairs_of_factors():
    expected = {"factorised": ("contradicted", "contradicted"), "coupled": ("supported", "supported")}
    for verdict, found in expected.items():
        table = claims_table(claims(*tables(experiment(*KNOWN[verdict][0]))))
        assert tuple(only(table, name)["verdict"] for name in ("C5-not-factorised", "C5-fully-coupled")) == found


def test_pairs_of_another_world_than_the_judged_one_do_not_count():
    metrics, runs = tables(experiment(FAST, SLOW))
    first = row_of("solid", world='{"kind": "sized_xy", "sizes": 3}', factors="x+y size") | {"dy": 1.0}
    found = claims(metrics, pd.concat([pd.DataFrame([first]), runs], ignore_index=True))["C5-not-factorised"]
    assert number(found.checks, "pairs of factors") == 0


LACKING = {
    "no size alone": lambda found: {name: one for name, one in found.items() if name != "size alone"},
    "nulls alike": lambda _found: experiment(MIDDLE, MIDDLE, (MIDDLE, MIDDLE)),
}


@pytest.mark.parametrize("lacking", LACKING)
def test_without_nulls_that_differ_there_is_no_verdict_and_the_advice_names_keys_of_this_world(lacking):
    metrics, runs = tables(LACKING[lacking](experiment(FAST, SLOW)))
    (row,) = coupling(metrics, runs).to_dict("records")
    assert row["verdict"] == "undetermined" and math.isnan(row["coupling"])
    judged = claims(metrics, runs)
    table, evidence = claims_table(judged), evidence_table(judged)
    for name in ("C5-not-factorised", "C5-fully-coupled"):
        told = answer(only(table, name), checks_of(name, evidence))
        assert list(told.remedies) == [EACH_ALONE] and "pairs of factors" in told.lacking.lower()
    told = answer(only(table, "C3"), checks_of("C3", evidence))
    assert list(told.remedies) == [COMMON_DISTANCE] and not told.asked


def test_a_null_is_alike_in_all_but_the_other_factors():
    rows = [row_of("sized"), row_of("size alone", dx=12.0), row_of("x alone", sizes=1)]
    (one,) = unlike_comparisons(pd.DataFrame(rows))
    assert (one.null_x, one.null_y, one.factors, one.swapped) == ("x alone", "size alone", ("x", "size"), None)
    for other in ({"sigma": 1.2}, {"dx": 2.0}, {"labels": "permuted"}, {"trained": "otherwise"}):
        rows = [row_of("sized"), row_of("x alone", sizes=1, **other)]
        assert unlike_comparisons(pd.DataFrame(rows)) == [], other
    skew = {"dx": 12.0, "skew_axis": "size"}
    alone = [row_of(f"alone {alpha}", skew_alpha=alpha, **skew) for alpha in (2.0, 1.0)]
    rows = [row_of("sized", skew_axis="size", skew_alpha=1.0), *alone]
    (one,) = unlike_comparisons(pd.DataFrame(rows))
    assert (one.null_x, one.null_y) == (None, "alone 1.0")


def test_levels_change_an_image_equally():
    for world in (PLANE, SOLID):
        found, labels = levels(world), world.points.labels
        for place, factor in enumerate(world.factors):
            step = 0.01 * found[factor.name]
            moved = labels.copy()
            moved[:, place] = factor.coordinate(labels[:, place]) + step
            moved[:, place] = np.exp(moved[:, place]) if factor.logarithmic else moved[:, place]
            change = ((world.render(moved) - world.render(labels)) ** 2).sum(axis=(1, 2))
            assert np.sqrt(change.mean()) == pytest.approx(0.01 * DISCRIMINABLE, rel=0.02)
    assert pytest.approx({"x": 1.54, "size": 0.41}, abs=0.01) == LEVELS
