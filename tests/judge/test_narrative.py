"""Paragraphs say what the numbers say, and turn when the numbers turn."""

import math

import numpy as np
import pandas as pd
import pytest

from bumpscope.judge.claims import claims_table, evidence_table, judge
from bumpscope.judge.narrative import UNKNOWN, paragraph
from bumpscope.judge.verdicts import STATISTICS, Number
from bumpscope.judge.wording import Numbers, bracket, count, ending, estimate, listed, number
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from made_up_runs import EMPTY, NAME, STEPS, Experiment, every, letters, rise
from synthetic_results import IMBALANCED, write_results


def told(experiment: Experiment, claim: str) -> tuple[str, pd.Series]:
    """The paragraph on a claim, and its row."""
    metrics = pd.DataFrame(experiment.metrics) if experiment.metrics else EMPTY["metrics"]
    judged = judge(metrics, pd.DataFrame(experiment.runs), pd.DataFrame(experiment.phases), EMPTY["coupling"])
    table = claims_table(judged)
    row = table[table["claim"] == claim].iloc[0]
    return paragraph(row, evidence_table(judged), EMPTY["coupling"]), row


def in_words(row: pd.Series) -> str:
    return estimate(Number("", row.estimate, row.low, row.high))


# --- C1 ---


def test_c1_in_order_and_out_of_order_are_told_apart():
    text, row = told(every(5, latent=letters(500, 900)), "C1")
    assert row.verdict == "supported" and text.endswith(
        "The claim is supported: 5 of 5 is more than half by a one-sided binomial test at 0.05 (p = 0.0312)."
    )
    assert "pass A, B and C in order in 5 of 5 seeds (share 1, 95% 0.478 to 1.000)" in text
    assert "without a disordered manifold" not in text and "do not count" not in text
    turned, row = told(every(5, latent=letters(500, 500)), "C1")
    assert row.verdict == "contradicted" and turned.endswith(
        "The claim is contradicted: 0 of 5 is fewer than half by a one-sided binomial test at 0.05 (p = 0.0312)."
    )
    assert "In 5 runs they went from no structure (A) to order (C) without a disordered manifold (B)" in turned


def test_c1_the_onsets_are_those_of_the_phases():
    text, _ = told(every(5, latent=letters(500, 900)), "C1")
    for words, step in (("Structure of either kind (B or C)", 500), ("Order (C)", 900)):
        begin = float(text.split(f"{words} begins at step ")[1].split(" ")[0])
        assert step / 1.15 < begin <= step
    text, _ = told(every(5, latent=letters(500, 9999), behaviour=letters(500, 900)), "C1")
    assert "Order (C) was read in no latents." in text


def test_c1_neither_more_nor_fewer_than_half_stays_open_and_says_so():
    text, row = told(every(6, latent=lambda seed: letters(500, 900 if seed % 2 else 500)), "C1")
    assert row.verdict == "undetermined"
    assert "stays undetermined, since 3 of 6 is neither shown to be more nor to be fewer than half" in text


def test_c1_runs_that_do_not_count_are_told():
    experiment = every(2, latent=letters(500, 900))
    experiment.add("balanced", 2, latent=letters(500, 9999))
    experiment.add("balanced", 3, latent=letters(500, 500).replace("C", "?", 3))
    text, row = told(experiment, "C1")
    assert "Of 4 balanced runs on a plane, 3 reached phase C" in text
    assert "1 run ended before any order could show" in text
    assert "In 1 run a B may hide between checkpoints" in text
    assert row.verdict == "undetermined" and "needs 5 seeds that tell the order and there are 2" in text


@pytest.mark.parametrize("claim", ["C1", "C2", "C3"])
def test_without_a_balanced_run_nothing_is_said_for_or_against(claim):
    experiment = Experiment().add("fine", 0, dx=0.5, dy=1.0)
    assert told(experiment, claim)[0] == "No balanced run on a plane has phases, so nothing speaks for or against it."


def test_one_run_and_no_order_at_all():
    text, row = told(every(1), "C1")
    assert "Of 1 balanced run on a plane, 0 reached phase C" in text and "nan" not in text
    assert row.verdict == "undetermined" and "Of 1 balanced run on a plane, none shows when" in told(every(1), "C2")[0]


def test_places_elsewhere_are_told_by_what_they_show():
    other = {"latent_phase/up1/t=39": np.searchsorted([500, 900], STEPS, side="right").astype(float)}
    other |= {"latent_phase/image/t=0": np.zeros(len(STEPS))}
    text, _ = told(every(5, latent=letters(500, 500), curves=other), "C1")
    assert "in order in 5 of 5 runs at up1, t=39 and in no run in the images." in text


# --- C2 ---


def c2(shift, seeds=5):
    """Latents whose phases begin ``shift`` steps after those of behaviour."""
    return told(every(seeds, latent=letters(700 + shift, 1000 + shift), behaviour=letters(700, 1000)), "C2")


def test_c2_together_earlier_and_later_are_told_apart():
    text, row = c2(0)
    assert row.verdict == "supported" and "Phase B begins no earlier and no later in the latents" in text
    assert text.count("within ±0.405 (a factor of 1.5)") == 2
    text, row = c2(450)
    assert row.verdict == "contradicted" and "Phase B begins later in the latents than in behaviour" in text
    assert "at B the interval lies outside ±0.405 (a factor of 1.5) by more than the checkpoints are apart" in text
    text, row = c2(-400)
    assert row.verdict == "contradicted" and "Phase B begins earlier in the latents than in behaviour" in text
    assert "later" not in text


def test_c2_seeds_that_differ_leave_the_order_open():
    latent = lambda seed: letters(700 + (-1) ** seed * 100, 1000 + (-1) ** seed * 100)  # noqa: E731
    text, _ = told(every(6, latent=latent, behaviour=letters(700, 1000)), "C2")
    assert text.count("begins earlier in the latents or in behaviour is open") == 2
    assert "Phase B begins" not in text and "Phase C begins" not in text


def test_c2_what_never_came_is_a_bound_and_one_seed_has_no_interval():
    text, row = told(every(5, latent=letters(700, 9999), behaviour=letters(700, 1000)), "C2")
    assert "where in 5 one of the two never came" in text and row.verdict == "undetermined"
    text, row = c2(450, seeds=1)
    assert "(no interval)" in text and "needs 5 seeds at phase B and there is 1" in text and "nan" not in text


def test_c2_checkpoints_too_far_apart_are_the_reason():
    sparse = {50, 500, 1000, 1500}
    experiment = every(5, latent=letters(500, 1000))
    experiment.phases = [row for row in experiment.phases if row["step"] in sparse | {0}]
    text, row = told(experiment, "C2")
    assert row.verdict == "undetermined" and "but the checkpoints are further apart than that" in text


# --- C3 ---


def c3(requested, shuffled=0.02, accuracy=900, seeds=5):
    curves = lambda seed: {  # noqa: E731
        "outcome/correct/seen": rise(accuracy),
        f"{NAME}/requested": requested + 0.01 * seed,
        f"{NAME}/shuffled": shuffled,
    }
    return told(every(seeds, curves=curves), "C3")


def test_c3_above_and_below_the_controls_are_told_apart():
    text, row = c3(rise(500))
    assert row.verdict == "supported" and f"R² lies above it, with an excess of {in_words(row)}" in text
    assert "In 5 of 5 runs it is above 0.1" in text and "in every run" in text
    text, row = c3(rise(500), shuffled=0.99 + np.zeros(len(STEPS)))
    assert row.estimate < 0.1 and row.verdict == "contradicted"
    text, row = c3(np.full(len(STEPS), 0.3), shuffled=0.9)
    assert f"R² lies below it, with an excess of {in_words(row)}" in text and "In 0 of 5 runs" in text
    assert (
        text.endswith("The claim is contradicted: the interval of the excess lies below 0.1.")
        or "its interval lies below 0.1" in text
    )


def test_c3_one_run_without_order_is_the_reason():
    curves = lambda seed: {  # noqa: E731
        "outcome/correct/seen": rise(900),
        f"{NAME}/requested": rise(500) * (seed > 0),
        f"{NAME}/shuffled": 0.0,
    }
    text, row = told(every(6, curves=curves), "C3")
    assert row.verdict == "undetermined" and "In 5 of 6 runs" in text and "in not every run" in text


def test_c3_runs_that_never_get_accurate_and_values_that_are_missing():
    text, row = c3(rise(500), accuracy=9999)
    assert row.runs == 0 and "0 came to draw at least 0.5" in text and "nan" not in text
    text, row = c3(np.full(len(STEPS), np.nan))
    assert row.runs == 0 and "In none of these was R² measured" in text and "nan" not in text


# --- C4 ---


def c4(exponent, seeds=5, spacings=(0.5, 1.0, 2.0), spread=0.01):
    experiment = Experiment()
    for seed in range(seeds):
        for k, spacing in enumerate(spacings):
            factor = 1 + spread * ((seed + k) % 3)
            curve = {f"{NAME}/requested": rise(600 * spacing**exponent * factor)}
            experiment.add(f"spacing{spacing}", seed, curve, dx=spacing, dy=spacing)
    return told(experiment, "C4")


def test_c4_earlier_and_later_on_denser_lattices_are_told_apart():
    text, row = c4(0.4)
    saved = 100 * (1 - 2**-row.estimate)
    assert row.verdict == "supported" and f"halving the spacing saves {saved:.1f}% of the steps" in text
    assert f"slope {in_words(row)}" in text and "the interval of the slope lies above 0" in text
    text, row = c4(-0.4)
    assert row.verdict == "contradicted" and "halving the spacing costs" in text and "saves 3" not in text
    assert "lies below 0 and below 0.1" in text
    text, row = c4(0.0, spread=0.3)
    assert row.verdict == "undetermined" and "lies on both sides of 0" in text


def test_c4_few_seeds_and_onsets_that_never_came():
    text, _ = c4(0.4, seeds=1)
    assert "Within the one seed" in text and "(no interval)" in text and "needs 5 seeds and there is 1" in text
    text, _ = c4(1.5)
    assert "In 5 of 15 runs it never did" in text and "ten times later" in text
    text, _ = told(every(5), "C4")
    assert text.startswith("No seed has R² on balanced lattices of two spacings.")


# --- C5 ---


@pytest.fixture(scope="module")
def coupled(tmp_path_factory):
    bare = ("losses", "samples", "embedding", "topology", "phases", "claims")
    root = write_results(tmp_path_factory.mktemp("c5"), IMBALANCED, seeds=range(5), samples=1, without=bare)
    table = Results(root).coupling
    assert table is not None
    return table


def c5(table, verdict="undetermined"):
    row = {"claim": "C5", "verdict": verdict, "estimate": math.nan, "low": math.nan, "high": math.nan}
    return paragraph(row, None, table)


def test_c5_tells_the_verdict_of_each_dataset_and_of_no_reference(coupled):
    text = c5(coupled, "supported")
    row = coupled[(coupled["dataset"] == "fine-x") & (coupled["measure"] == "effects")].iloc[0]
    index = estimate(Number("", row["coupling"], row["low"], row["high"]))
    assert f"fine-x (5 seeds): index {index}, {row['verdict']}" in text
    assert "factorised." not in text.replace("-factorised", "") and "fine-y (" not in text
    assert c5(coupled[coupled["reference"] == "factorised"]).startswith("No imbalanced dataset has label effects.")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"gap": 0.3, "gap_low": 0.2, "gap_high": 0.4, "simultaneous": "no"},
            "half used later than that of y, by 0.3 ln",
        ),
        (
            {"gap": -0.3, "gap_low": -0.4, "gap_high": -0.2, "simultaneous": "no"},
            "half used earlier than that of y, by 0.3",
        ),
        ({"gap": 0.01, "gap_low": -0.02, "gap_high": 0.04, "simultaneous": "yes"}, "0.0400; inside ±0.0953"),
        ({"gap": 0.3, "gap_low": math.nan, "gap_high": math.nan}, "no interval; not clearly inside or outside"),
        ({"runs": 2}, "a verdict needs 5 seeds"),
        ({"null_x": None}, "its nulls were not trained"),
        ({"null_gap": 0.1, "null_low": -0.1, "null_high": 0.3}, "not clearly learnt at different times"),
        ({"censored": 1}, "in 1 run half of a label was never used"),
        ({"censored": 1, "gap": 0.0, "gap_low": math.nan}, "With the last step for what never came, the label of x"),
        ({"gap": 0.0, "gap_low": math.nan}, "half used at the same step as that of y"),
        ({"swapped": None}, "its axes were not swapped"),
        ({"low": 0.2, "high": 1.4}, "tells none of factorised, partial, coupled and reversed"),
        ({"coupling": math.nan, "low": math.nan, "high": math.nan}, "no index"),
    ],
)
def test_c5_says_why_and_which_way(coupled, change, says):
    one = coupled[(coupled["dataset"] == "fine-x") & (coupled["measure"] == "effects")]
    text = c5(one.assign(**({"simultaneous": "undetermined"} | change), verdict="undetermined"))
    assert says in text and "nan" not in text


def test_c5_leaves_many_datasets_to_the_table(coupled):
    one = coupled[(coupled["dataset"] == "fine-x") & (coupled["measure"] == "effects")]
    text = c5(pd.concat([one.assign(dataset=f"d{k}", swapped=None) for k in range(9)]))
    assert "5 further datasets are in the table." in text and text.count(": index") == 4


# --- C6 ---


def c6(heldout=None, between=0.95, seeds=5):
    curves = {"outcome/correct/seen": rise(500), "outcome/correct/between": between}
    if heldout is not None:
        curves["outcome/correct/heldout"] = heldout
    return told(every(seeds, curves=curves), "C6")


def test_c6_kinds_that_fall_behind_and_kinds_that_do_not_are_told_apart():
    text, row = c6(heldout=0.99)
    assert row.verdict == "supported" and "Of withheld combinations 0.99 are right, 0.01 less than" in text
    assert text.count("lies above −0.1") == 2
    text, row = c6(heldout=0.4)
    assert row.verdict == "contradicted" and "0.6 less than of seen ones" in text
    assert "for withheld combinations the interval of the difference lies below −0.1" in text
    assert "for centres between lattice points the interval" not in text
    accuracy = {f"outcome/correct/{split}": 1.0 for split in ("seen", "between")}
    text, row = told(every(6, curves=lambda seed: accuracy | {"outcome/correct/heldout": 0.8 + 0.2 * (seed % 2)}), "C6")
    assert row.verdict == "undetermined"
    assert text.endswith("since for withheld combinations the interval of the difference lies on both sides of −0.1.")
    text, _ = c6(heldout=1.0, between=1.0)
    assert "as many as of seen ones" in text and "less than" not in text


def test_c6_what_was_not_asked_for_and_runs_that_cannot_draw():
    text, row = c6()
    assert row.verdict == "undetermined" and "None was asked for withheld combinations." in text
    assert "needs 5 seeds for withheld combinations and there are 0" in text
    text, row = told(every(5, curves={"outcome/correct/seen": 0.1}), "C6")
    assert row.verdict == "undetermined" and "0 draw at least 0.5" in text and "nan" not in text


# --- all ---


@pytest.mark.parametrize("claim", list(STATISTICS))
def test_numbers_that_are_not_on_record_are_not_made_up(claim):
    row = {"claim": claim, "verdict": "supported", "estimate": 1.0, "low": 0.9, "high": 1.0}
    assert paragraph(row, None, None) == UNKNOWN
    assert paragraph(row, pd.DataFrame(columns=TABLES["evidence"].names), None) == UNKNOWN


def test_evidence_is_a_number_a_row_and_goes_into_its_table():
    experiment = every(5, latent=letters(500, 900), curves={"outcome/correct/seen": rise(900)})
    judged = judge(pd.DataFrame(experiment.metrics), pd.DataFrame(experiment.runs),
                   pd.DataFrame(experiment.phases), EMPTY["coupling"])  # fmt: skip
    table = evidence_table(judged)
    assert list(table.columns) == TABLES["evidence"].names
    assert not table.duplicated(["claim", "quantity", "subject"]).any() and table["value"].notna().all()


def test_words_for_numbers():
    assert [count(n, "run") for n in (0, 1, 5)] == ["no runs", "1 run", "5 runs"]
    assert [listed(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert estimate(Number("", -0.0047, -0.1207, 0.1112)) == "−0.005 (95% −0.121 to 0.111)"
    assert estimate(Number("", -0.0001, -0.4, 0.4)) == "0.000 (95% −0.400 to 0.400)"
    assert estimate(Number("", 479.2, 388.1, 591.4)) == "479 (95% 388 to 591)"
    assert bracket(Number("", 1.0)) == "no interval" and number(-0.0) == "0"
    assert ending("undetermined", []) == "The claim stays undetermined."
    assert math.isnan(Numbers(pd.DataFrame(columns=TABLES["evidence"].names)).of("x").value)
