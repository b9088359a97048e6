"""Both claims of C5 on runs made up so that the right verdict is known."""

import math

import numpy as np
import pandas as pd
import pytest

from bumpscope.judge.claims import claims_table, judge, modules
from bumpscope.judge.data import Data
from bumpscope.judge.intervals import holm
from bumpscope.store.schemas import TABLES
from made_up_runs import number, only, run_row
from synthetic_results import metrics_table

STEPS = np.array([0, 50, *range(100, 1001, 25)])
FAST, SLOW = 250.0, 500.0
APART, TOGETHER = (FAST, SLOW), ((FAST * SLOW) ** 0.5,) * 2
HALF_WAY = (FAST**0.75 * SLOW**0.25, FAST**0.25 * SLOW**0.75)


def pair(label, times, nulls=(FAST, SLOW), **kind):
    """A pair of datasets with swapped axes and their nulls: name -> (onsets along x and y, properties)."""
    x, y = times
    null_x, null_y = nulls
    dx, dy = kind.pop("dx", 1 / 6), kind.pop("dy", 6.0)
    return {
        f"{label}": ((x, y), {"dx": dx, "dy": dy, **kind}),
        f"{label}-swapped": ((y, x), {"dx": dy, "dy": dx, **kind}),
        f"{label}-x": ((null_x, None), {"dx": dx, "dy": 12.0, **kind}),
        f"{label}-y": ((None, null_y), {"dx": 12.0, "dy": dy, **kind}),
        f"{label}-swapped-x": ((null_y, None), {"dx": dy, "dy": 12.0, **kind}),
        f"{label}-swapped-y": ((None, null_x), {"dx": 12.0, "dy": dx, **kind}),
    }


def data(*pairs, seeds=5, noise=0.02):
    """Runs whose resolution crosses 3 px at the onsets given; those of a seed are all late or early alike."""
    runs, metrics = [], []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        common = math.exp(0.2 * random.standard_normal())
        for name, (times, kind) in {key: value for each in pairs for key, value in each.items()}.items():
            runs.append(run_row(name, seed, **kind))
            for axis, tau in zip("xy", times, strict=True):
                if tau is None:
                    continue
                late = tau * common * math.exp(noise * random.standard_normal())
                known = np.clip(3.0 * (late / np.maximum(STEPS, 1)) ** 2, 0.5, 22.0)
                row = {"run": f"{name}-seed{seed}", "dataset": name, "seed": seed, "factor": axis, "t": 450}
                row |= {"quantity": "resolution", "weights": "raw"}
                metrics += [row | {"step": s, "value": v} for s, v in zip(STEPS, known, strict=True)]
    tables = {"runs": pd.DataFrame(runs), "metrics": metrics_table(metrics), "phases": pd.DataFrame()}
    return Data(tables | {"coupling": pd.DataFrame(columns=TABLES["coupling"].names)})


def verdicts(found):
    table = claims_table(judge(found))
    return [only(table, claim) for claim in ("C5-not-factorised", "C5-fully-coupled")]


KNOWN = {
    "apart": (APART, 0.0, "contradicted", "contradicted"),
    "half-way": (HALF_WAY, 0.5, "supported", "contradicted"),
    "together": (TOGETHER, 1.0, "supported", "supported"),
    "reversed": ((SLOW, FAST), 2.0, "supported", "contradicted"),
}


@pytest.mark.parametrize("case", KNOWN)
def test_verdicts_of_learners_whose_coupling_is_known(case):
    times, index, *wanted = KNOWN[case]
    found = verdicts(data(pair("a", times)))
    assert [row.verdict for row in found] == wanted
    for row in found:
        assert row.estimate == pytest.approx(index, abs=0.05) and row.low < row.estimate < row.high
        assert row.runs == 5


PACES = (150.0, 300.0)


def test_axes_that_keep_their_own_pace_after_a_delay_of_both_are_not_taken_for_coupled():
    found = data(pair("a", [tau + 200 for tau in PACES], nulls=PACES))
    weaker, stronger = verdicts(found)
    # In ln steps alone it would read as half coupled.
    assert weaker.low > 0.2 and weaker.verdict == "undetermined"
    assert stronger.verdict == "contradicted"
    checks = modules()["C5-not-factorised"].judge(found).checks
    assert number(checks, "the same in steps") == pytest.approx(0, abs=0.2)
    for axis in "xy":
        assert number(checks, f"steps by which {axis} is later than its null", "a") == pytest.approx(200, rel=0.3)


def test_axes_that_take_a_common_factor_longer_are_factorised():
    found = data(pair("a", [2 * tau for tau in PACES], nulls=PACES))
    assert [row.verdict for row in verdicts(found)] == ["contradicted", "contradicted"]


def test_an_index_at_the_bound_is_neither():
    at_bound = (FAST**0.9 * SLOW**0.1, FAST**0.1 * SLOW**0.9)  # index 0.2
    assert verdicts(data(pair("a", at_bound)))[0].verdict == "undetermined"


def test_nulls_that_do_not_differ_decide_nothing_though_the_axes_are_learnt_together():
    for times in (TOGETHER, APART):
        found = verdicts(data(pair("a", times, nulls=TOGETHER)))
        assert [row.verdict for row in found] == ["undetermined", "undetermined"]
        assert math.isnan(found[0].estimate)
    checks = modules()["C5-not-factorised"].judge(data(pair("a", TOGETHER, nulls=TOGETHER))).checks
    assert number(checks, "pairs whose nulls do not differ, where a factorised learner looks coupled too") == 1
    assert number(checks, "pairs that count") == 0


def test_a_pair_whose_nulls_do_not_differ_does_not_touch_the_verdict_of_another():
    alone, other = data(pair("a", HALF_WAY)), pair("b", TOGETHER, nulls=TOGETHER, skew_axis="none", dx=1.0, dy=2.0)
    both = data(pair("a", HALF_WAY), other)
    assert [row.verdict for row in verdicts(both)] == [row.verdict for row in verdicts(alone)]
    assert verdicts(both)[0].estimate == pytest.approx(0.5, abs=0.05)


def test_a_pair_is_one_row_and_one_factorised_pair_does_not_contradict_alone():
    mixed = data(pair("a", TOGETHER), pair("b", APART, dx=1.0, dy=2.0))
    checks = modules()["C5-not-factorised"].judge(mixed).checks
    assert number(checks, "pairs with swapped axes") == 2
    weaker, stronger = verdicts(mixed)
    assert weaker.estimate == pytest.approx(0.5, abs=0.05) and weaker.low > 0.2
    # The pooled index lies above the bound, but one pair lies below it.
    assert number(checks, "pairs below 0.2") == 1 and weaker.verdict == "undetermined"
    assert stronger.verdict == "undetermined"


def test_below_five_seeds_and_for_reference_models_there_is_no_verdict():
    assert verdicts(data(pair("a", TOGETHER), seeds=4))[0].verdict == "undetermined"
    reference = verdicts(data(pair("a", TOGETHER, reference="gated")))[0]
    assert reference.verdict == "undetermined" and reference.runs == 0


def test_balanced_nulls_are_not_judged_by():
    balanced = {"fine": ((FAST, FAST), {"dx": 1 / 6, "dy": 1 / 6}), "coarse": ((SLOW, SLOW), {"dx": 6.0, "dy": 6.0})}
    runs = {name: value for name, value in pair("a", TOGETHER).items() if name in ("a", "a-swapped")} | balanced
    assert [row.verdict for row in verdicts(data(runs))] == ["undetermined", "undetermined"]


def test_a_curve_that_never_gets_there_leaves_no_verdict_that_it_could_change():
    found = data(pair("a", TOGETHER))
    metrics = found.tables["metrics"].copy()
    metrics.loc[(metrics.dataset == "a") & (metrics.seed == 2) & (metrics.factor == "y"), "value"] = 9.0
    assert verdicts(Data({**found.tables, "metrics": metrics}))[1].verdict == "undetermined"


def test_p_values_adjusted_by_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0
