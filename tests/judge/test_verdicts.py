"""A verdict follows from its checks alone, and words follow from both."""

import math

import pytest

from bumpscope.judge.verdicts import (
    CONTRADICTED,
    CONTRADICTS,
    MOST_SUBJECTS,
    NEEDED,
    NONE,
    SHOWN,
    SUPPORTED,
    SUPPORTS,
    UNDETERMINED,
    Bound,
    count,
    estimate,
    sentences,
    verdict,
)
from bumpscope.judge.wording import number, with_interval

NAN = math.nan


@pytest.mark.parametrize(
    ("bound", "holds", "text"),
    [
        (Bound(above=0), {(0.1, 0.2): True, (0.0, 0.2): False, (-1, 1): False, (NAN, NAN): False}, "> 0"),
        (Bound(below=-0.1), {(-0.3, -0.2): True, (-0.3, -0.1): False}, "< −0.1"),
        (Bound(least=5), {(5, 5): True, (4, 4): False}, "≥ 5"),
        (Bound(least=-0.4, most=0.4), {(-0.4, 0.4): True, (-0.41, 0): False, (0, 0.41): False}, "−0.4 to 0.4"),
        (Bound(below=0.1, not_above=0), {(-1, 0.05): True, (0.01, 0.05): False, (-1, 0.1): False}, "< 0.1 and not > 0"),
        (NONE, {(0, 0): True, (1, 1): False}, "0"),
    ],
)
def test_a_bound_holds_for_the_whole_interval(bound, holds, text):
    assert {ends: bound.holds(*ends) for ends in holds} == holds
    assert str(bound) == text


def check(role, passed, subject=""):
    return count("number", float(passed), role, Bound(above=0), subject)


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([], UNDETERMINED),
        ([check(NEEDED, True)], UNDETERMINED),
        ([check(NEEDED, True), check(SUPPORTS, True)], SUPPORTED),
        ([check(NEEDED, False), check(SUPPORTS, True)], UNDETERMINED),
        ([check(SUPPORTS, True), check(SUPPORTS, False)], UNDETERMINED),
        ([check(NEEDED, True), check(CONTRADICTS, True), check(SUPPORTS, False)], CONTRADICTED),
        ([check(NEEDED, False), check(CONTRADICTS, True)], UNDETERMINED),
        ([check(CONTRADICTS, True), check(CONTRADICTS, False)], UNDETERMINED),
        ([check(CONTRADICTS, False, "B"), check(CONTRADICTS, True, "C")], CONTRADICTED),
        ([check(NEEDED, False, "B"), check(CONTRADICTS, True, "C")], CONTRADICTED),
        ([check(NEEDED, False, "C"), check(CONTRADICTS, True, "C")], UNDETERMINED),
        ([check(NEEDED, False), check(CONTRADICTS, True, "C")], UNDETERMINED),
        ([check(NEEDED, False, "B"), check(SUPPORTS, True, "C")], UNDETERMINED),
        ([check(SUPPORTS, True, "B"), check(SUPPORTS, False, "C")], UNDETERMINED),
        ([count("number", 1), check(SUPPORTS, True)], SUPPORTED),
    ],
)
def test_a_verdict_follows_from_the_checks(checks, expected):
    assert verdict(checks) == expected


def test_an_estimate_is_held_against_a_bound_by_its_interval_and_a_count_by_itself():
    assert estimate("slope", (0.5, -0.1, 1.1), SUPPORTS, Bound(above=0)).passed is False
    assert estimate("slope", (0.5, 0.1, 0.9), SUPPORTS, Bound(above=0)).passed is True
    assert estimate("slope", (0.5, NAN, NAN), SUPPORTS, Bound(above=0)).passed is False
    assert count("seeds", 5, NEEDED, Bound(least=5)).passed is True
    assert (count("runs", 5).passed, count("runs", 5).role) == (None, SHOWN)


def test_a_sentence_has_the_number_its_bounds_and_whether_they_hold():
    slope = (0.0, -0.12, 0.11)
    checks = [
        count("seeds", 5, NEEDED, Bound(least=5)),
        estimate("slope", slope, SUPPORTS, Bound(above=0)),
        estimate("slope", slope, CONTRADICTS, Bound(below=0.2)),
        count("runs", 3, subject="B"),
        count("runs", 4, subject="C"),
    ]
    assert sentences(checks) == (
        "Seeds: 5, needs ≥ 5: yes. "
        "Slope: 0.00 (95% −0.12 to 0.11), support needs > 0: no, contradiction needs < 0.2: yes. "
        "Runs: B 3; C 4."
    )


def test_of_many_subjects_only_numbers_that_count_are_all_written_out():
    subjects = [f"d{k}" for k in range(MOST_SUBJECTS + 2)]
    shown = sentences(count("runs", 1, subject=subject) for subject in subjects)
    assert shown.count(";") == MOST_SUBJECTS and "2 more" in shown
    counted = sentences(count("runs", 1, NEEDED, Bound(least=1), subject) for subject in subjects)
    assert all(subject in counted for subject in subjects)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (-0.5, "−0.5"), (3.0, "3"), (12345.6, "12346"), (1e-7, "1e-07"), (-0.0, "0"), (NAN, "–"),
     (None, "–"), (math.inf, "∞")],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((-0.0047, -0.1207, 0.1112), "0.00 (95% −0.12 to 0.11)"),
        ((479.2, 388.1, 591.4), "479 (95% 388 to 591)"),
        ((1.0, NAN, NAN), "1"),
        ((1.0, 1.0, 1.0), "1 (95% 1 to 1)"),
        ((NAN, NAN, NAN), "–"),
    ],
)
def test_an_estimate_has_as_many_digits_as_its_interval_allows(interval, text):
    assert with_interval(*interval) == text
