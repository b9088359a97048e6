"""The screen of exact denoisers: its page is made of its table, and the oracles draw what they must."""

import pandas as pd
import pytest

import leaderboard_page
import screen_oracles as screen
from made_up_designs import ARMS, benchmark_tables
from truth_tables import frames


@pytest.fixture(scope="module")
def kept():
    return frames(screen.NAME)[screen.NAME]


def test_the_page_holds_the_table_of_what_was_drawn(kept):
    text = screen.PAGE.read_text(encoding="utf-8")
    assert screen.with_table(text, screen.page(kept)) == text
    assert set(kept["design"]) == set(screen.DESIGNS)


def test_what_the_page_says_is_what_was_drawn(kept):
    withheld = kept[(kept["split"] == "heldout") & (kept["requests"] > 0)].set_index(["oracle", "design"])["right"]
    assert (withheld["product"] == 1).all()
    for oracle in ("copier", "kernel", "composed, guidance 1", "composed, guidance 4"):
        assert (withheld[oracle] == 0).all()
    shown = kept[(kept["design"] == "full lattice") & (kept["split"] == "seen")].set_index("oracle")["right"]
    assert shown["composed, guidance 1"] < 0.9 and shown["composed, guidance 4"] < 0.9


def test_a_design_is_drawn_again_as_it_was(kept):
    name = "circulant, N = 8, k = 1"
    again = screen.screen(name, screen.DESIGNS[name])
    pd.testing.assert_frame_equal(
        again, kept[kept["design"] == name].reset_index(drop=True), rtol=0, atol=0.03, check_dtype=False
    )


def test_the_leaderboard_has_a_row_for_each_arm_and_says_what_is_only_a_bound():
    table = benchmark_tables(ARMS)[1]
    lines = leaderboard_page.page(table).splitlines()
    assert len(lines) == 2 + len(table)
    assert {line.count("|") for line in lines} == {1 + len(leaderboard_page.HEAD)}
    assert "| at most 8 (" in lines[2] and not [line for line in lines if "nan" in line]
    text = leaderboard_page.PAGE.read_text(encoding="utf-8")
    assert text.count(leaderboard_page.MARK) == 2
    assert "| rendering |" in leaderboard_page.with_table(text, "\n".join(lines))
