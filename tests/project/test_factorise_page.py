"""The page of the factorisation benchmark: made of its tables, whole or in part; the preset can tell either way."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from scipy.special import expit, logit

import leaderboard_data
import leaderboard_page
import screen_oracles as screen
from bumpscope.config.lattice import Lattice, Shown
from bumpscope.config.loading import load, validate
from bumpscope.judge.claims import memorises, stripes
from bumpscope.judge.combinations import COLUMNS, RIGHT
from bumpscope.judge.data import Data
from bumpscope.judge.verdicts import count
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from bumpscope.worlds.bumps import lattice_points
from made_up_designs import ARMS, benchmark_tables, drawn, tables, together
from made_up_runs import run_row
from synthetic_results import METADATA, metrics_table, write_results
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


STEPS = run_row("a", 0)["training_steps"]
CONFIG = validate(
    {
        "seeds": [0, 1],
        "datasets": {"a": {}, "b": {}, "c": {"seeds": [0]}},
        "training": {"steps": STEPS, "checkpoints": [STEPS]},
        "probe": {"checkpoints": [STEPS]},
    }
)
DRAWN = {"a": 2, "b": 2, "c": 1}


def measured(cells=None, board=None, runs=(), seeds_of=None, **own):
    """What was measured: these tables, with images of so many seeds of each of the datasets ``seeds_of``."""
    tables = {name: pd.DataFrame(columns=TABLES[name].names) for name in ("leaderboard", "combinations", "evidence")}
    given = {"board": board, "cells": cells, **own}
    rows = [row for _, metrics in runs for row in metrics]
    for name, seeds in (seeds_of or {}).items():
        rows += [
            {"dataset": name, "seed": seed, "step": STEPS, "quantity": "requests", "value": 1} for seed in range(seeds)
        ]
    empty = {"board": tables["leaderboard"], "cells": tables["combinations"], "evidence": tables["evidence"]}
    empty["asked"] = pd.DataFrame()
    empty["claims"] = pd.DataFrame(columns=[*TABLES["claims"].names, "place"])
    empty["runs"] = pd.DataFrame([row for row, _ in runs] or [run_row("a", 0)])
    empty["metrics"] = metrics_table(rows)
    return leaderboard_data.Measured(**(empty | {name: one for name, one in given.items() if one is not None}))


def test_each_arm_has_a_row_and_what_is_only_a_bound_is_told():
    cells, board = benchmark_tables(ARMS)
    text = leaderboard_page.page(measured(cells, board, seeds_of=DRAWN), CONFIG)
    for n in (8, 12):
        (block,) = [part for part in text.split("\n\n") if part.startswith(f"| N = {n} ")]
        lines = block.splitlines()
        assert len(lines) == 2 + (board["positions"] == n).sum() and len({line.count("|") for line in lines}) == 1
        first = board[board["positions"] == n].iloc[0]
        assert f"| at most {first['high']:.3g} |" in lines[2] and "nan" not in block
    row = cells.set_index(["arm", "positions", "shown"]).loc["relative", 12, 24]
    assert f"{row['heldout']:.2f} ({row['heldout_low']:.2f}–{row['heldout_high']:.2f})" in text
    assert "Not measured" not in text and "Rows with fewer than 5 seeds are descriptive only." in text


def test_designs_in_random_order_have_a_section_of_their_own():
    even, shuffled = benchmark_tables(ARMS), benchmark_tables(ARMS, order="random")
    cells, board = (pd.concat(pair, ignore_index=True) for pair in zip(even, shuffled, strict=True))
    parts = leaderboard_page.page(measured(cells, board, seeds_of=DRAWN), CONFIG).split("\n\n")
    start = parts.index("**Rows and columns in random order:**")
    alone = leaderboard_page.page(measured(*even, seeds_of=DRAWN), CONFIG).split("\n\n")
    assert parts[:start] == alone[:start] and parts[start + 1] == alone[0]
    tables = [part.splitlines()[0].split(" | ")[0] for part in parts if part.startswith("| N")]
    assert tables == ["| N = 8", "| N = 12", "| N = 8, random order", "| N = 12, random order"]
    failed = next(part for part in parts if part.startswith("**Failed**"))
    assert "(k = 1 of 8)" in failed and "(k = 1 of 8, random order)" in failed


def test_an_arm_of_one_seed_is_not_certainly_better():
    few = ARMS[(ARMS["arm"] != "rendering") | (ARMS["seed"] == 0)]
    assert "rendering at most" in leaderboard_page.in_words(benchmark_tables(ARMS)[1])
    assert "rendering" not in leaderboard_page.in_words(benchmark_tables(few)[1])


def test_several_results_are_put_together_and_kept_as_csv(tmp_path, monkeypatch):
    folders = []
    for order in ("even", "random"):
        root = write_results(tmp_path / order, {"d": {"dx": 1.0, "dy": 1.0}}, (0,), (0,), samples=32)
        made = benchmark_tables(ARMS, order=order, training_steps=800)
        for name, table in zip(("combinations", "leaderboard"), made, strict=True):
            write_table(name, root / TABLES[name].path, table, METADATA)
        folders.append(root)
    written = []
    monkeypatch.setattr(leaderboard_page, "write", lambda *told: written.append(told))
    leaderboard_page.main(folders)
    ((name, text, csv),) = written
    assert name == "factorise" and "| N = 12, random order | told |" in text
    claims = leaderboard_data.gathered([Results(folder) for folder in folders], 800).claims
    assert claims.loc[claims["estimate"].isna(), "place"].eq("").all() and "random order" in set(claims["place"])
    for key, table in zip(("leaderboard", "combinations"), csv.values(), strict=True):
        assert f"](data/factorise-{key}.csv)" in text and f"factorise-{key}" in csv
        assert list(table.columns) == TABLES[key].names and set(table["design"]) == {"even", "random"}


def test_what_failed_is_told_and_what_was_not_run():
    cells, board = benchmark_tables(ARMS)
    board.loc[board["arm"] == "coind", "guardrails"] = "2.00 times the training operations, more than 10% off"
    text = leaderboard_page.page(measured(cells, board, seeds_of={"a": 2, "b": 1}), CONFIG)
    failed = next(part for part in text.split("\n\n") if part.startswith("**Failed**"))
    low = cells[cells["heldout"] < leaderboard_page.FAILS]
    assert failed.count("(k = ") == len(low) > 2 and f"unet {low['heldout'].iloc[0]:.2f} (k = 1 of 8), " in failed
    assert "† **Not a fair comparison**: coind (2.00 times" in text and text.count("| coind † |") == 2
    assert text.endswith("Not measured: c, b (1 of 2 seeds).")


def test_without_results_the_page_says_what_was_not_measured():
    assert leaderboard_page.page(measured(), CONFIG) == "Not measured: a, b, c."


def test_verdicts_of_the_follow_ups_are_on_the_page():
    rows = [
        ("F4", "", "a number", 0.5, 0.25, 0.75, 10, "supported", "", "random order"),
        ("F4", "", "a number", np.nan, np.nan, np.nan, 10, "undetermined", "", ""),
        ("F1", "", "a number", 0.5, 0.25, 0.75, 10, "supported", "", ""),
        ("F1", "", "a number", np.nan, np.nan, np.nan, 0, "undetermined", "", "random order"),
        ("C1", "", "a number", 0.5, 0.25, 0.75, 10, "supported", "", ""),
    ]
    claims = pd.DataFrame(rows, columns=[*TABLES["claims"].names, "place"])
    assert leaderboard_page.verdicts(claims).splitlines()[2:] == [
        "| F1 | supported | 0.5 (0.25 to 0.75) | a number |",
        "| F4 | undetermined | – | a number |",
        "| F4, random order | supported | 0.5 (0.25 to 0.75) | a number |",
    ]


def test_what_lies_around_a_request_is_told_with_what_was_drawn():
    lattice = Lattice(image_size=16, margin=2.0, dx=1.5, dy=1.5)
    points = pd.DataFrame({"mu_x": [2.25, 3.75, 12.75], "mu_y": [2.25, 2.25, 12.75]})
    drawn = pd.DataFrame(
        [
            (3.75, 3.75, 3.7, 3.8, 1, 1.0),  # right
            (3.75, 3.75, 3.75, 2.3, 1, 1.0),  # one that was shown
            (3.75, 3.75, 3.75, 2.3, 1, 1.5),  # the same, too wide
            (8.25, 8.25, np.nan, np.nan, 0, np.nan),
            (11.25, 12.75, 9.75, 9.75, 1, 1.0),  # neither
        ],
        columns=["mu_x", "mu_y", "x", "y", "bumps", "width"],
    ).assign(split="heldout")
    told = leaderboard_data.with_surroundings(drawn, points, lattice)
    assert told["around"].tolist() == [2, 2, 2, 0, 1]
    assert told["right"].tolist() == [1, 0, 0, 0, 0] and told["copied"].tolist() == [0, 1, 0, 0, 0]


def test_the_table_of_what_lies_around():
    rows = [("even", 8, 2, 1, 0.0, 1.0), ("even", 8, 2, 4, 1.0, 0.0), ("random", 8, 2, 9, 1.0, 0.0)]
    names = ["design", "positions", "each", "around", "right", "copied"]
    lines = leaderboard_page.surroundings(pd.DataFrame(rows, columns=names).assign(image_size=16)).splitlines()[2:]
    assert lines[0].startswith("| shown within 2.3 px: | k | 0 to 2 | 3 to 5 | 6 to 8 | 9 or more |")
    assert lines[2] == "| N = 8 | 2 | 0.00 (1) | 1.00 (1) |  |  | 0.50 | 0.50 |"
    assert lines[3] == "| N = 8, random order | 2 |  |  |  | 1.00 (1) | 1.00 | 0.00 |"


def test_each_arm_and_each_hole_has_its_share_right():
    def block(dataset, seed, share, arm, width):
        keys = {"dx": 1.0, "dy": 1.0, "holdout": str(width), "n_images": 144 - width**2, "denoiser": arm}
        return drawn(dataset, seed, share, network=arm, **keys)

    runs = [block("u6", seed, 0.75, "unet", 6) for seed in range(5)]
    runs += [block("u9", seed, 0.25, "unet", 9) for seed in range(5)]
    runs += [block("r6", seed, 1.0, "rendering", 6) for seed in range(2)]
    lines = leaderboard_page.hole(measured(runs=runs)).splitlines()[2:]
    assert "25% of all combinations, 50% of each axis" in lines[0] and "56% of all" in lines[0]
    rows = [line.split(" | ") for line in lines[2:]]
    assert rows[0][0] == "| unet" and rows[0][1].startswith("0.75 (0.7") and rows[0][2].startswith("0.25 (0.2")
    assert rows[1][1].startswith("1.00 (0.9") and rows[1][1].endswith(", 2 seeds)") and rows[1][2] == " |"


def test_a_longer_training_is_told_beside_the_usual_one():
    plain = ARMS[(ARMS["arm"] == "unet") & (ARMS["shown"] == 16)]
    short = tables(plain, training_steps=800)
    long = tables(plain[plain["seed"] == 0], training_steps=3200)
    for part in long[:2]:
        part[["run", "dataset"]] = "1/" + part[["run", "dataset"]]
    for step, share in ((1600, 0.25), (3200, 0.125)):
        last = long[1][(long[1]["step"] == 800)].assign(step=step)
        last.loc[(last["quantity"] == "right_0.45") & (last["split"] == "heldout"), "value"] = share
        long = (long[0], pd.concat([long[1], last], ignore_index=True), long[2])
    runs, metrics, _ = together(short, long)
    found = measured(metrics=metrics[metrics["quantity"].isin(["right_0.45", "requests"])], cells=None)
    found = replace(found, runs=runs)
    head, _, row = leaderboard_page.longer(found, 800).splitlines()[2:]
    assert head == "| arm | 800 steps | 800 of 3200 | 1600 of 3200 | 3200 of 3200 | shown |"
    own = found.metrics[(found.metrics["split"] == "heldout") & (found.metrics["quantity"] == "right_0.45")]
    first = own[(own["run"] == short[0]["run"].iloc[0])]["value"].item()
    assert row == f"| unet, k = 2 of 8 | {first:.2f} | {first:.2f} | 0.25 | 0.12 | 0.98 |"
    assert leaderboard_page.longer(replace(found, runs=short[0]), 800) == ""


def test_shares_shown_at_random_are_told_with_what_is_connected():
    checks = [
        count("share right of what was shown", 0.97, subject="narrow"),
        count("share from which half of the shown are connected", 0.4, subject="narrow"),
        count("share right", 0.25, subject="narrow, 0.5 shown"),
        count("largest connected share", 0.875, subject="narrow, 0.5 shown"),
    ]
    rows = pd.DataFrame([{"claim": "F3"} | asdict(check) for check in checks])
    lines = leaderboard_page.percolation(rows).splitlines()
    assert lines[2] == "| narrow, 0.5 shown | 0.88 | 0.25 |"
    assert (
        lines[-1] == "- narrow: half of those shown are connected from 0.4 on; of those shown 0.97 or more are right."
    )
    assert leaderboard_page.percolation(rows[:0]) == ""


def test_what_is_there_of_an_experiment_that_was_cut_short_is_a_preset(tmp_path):
    for place in ("unet-n8-k2/seed=3", "unet-n8-k2/seed=1", "coind-n8-k4/seed=0"):
        (tmp_path / "runs" / place).mkdir(parents=True)
        (tmp_path / "runs" / place / "behaviour.parquet").touch()
    for place in ("unet-n8-k2/seed=3", "unet-n8-k2/seed=1"):
        (tmp_path / "runs" / place / "effects.parquet").touch()
    leaderboard_page.main([tmp_path], tmp_path / "part.yaml")
    part = load(screen.DOCS.parent / "config.yaml", leaderboard_page.PRESET, tmp_path / "part.yaml")
    whole = load(screen.DOCS.parent / "config.yaml", leaderboard_page.PRESET)
    assert [run.id for run in part.runs()] == ["unet-n8-k2-seed1", "unet-n8-k2-seed3"]
    assert set(map(str, part.runs())) <= set(map(str, whole.runs()))


def test_the_page_has_a_place_for_what_was_measured():
    text = leaderboard_page.PAGE.read_text(encoding="utf-8")
    assert text.count(leaderboard_page.MARK) == 2
    assert "| rendering |" in leaderboard_page.with_table(text, "| rendering |")


CELLS = [run for run in load(screen.DOCS.parent / "config.yaml", leaderboard_page.PRESET).runs() if run.lattice.shown]


def on_preset(claim, **k_stars):
    """A claim judged by the runs of the preset, whose arms have these K* at N = 8 and exponents."""
    rows, draw = [], np.random.default_rng(0)
    for run in CELLS:
        arm = run.denoiser.kind + (" + stripes" if run.lattice.stripes else "")
        if name := next((name for name in k_stars if name.replace("_", " + ") == arm), None):
            k_star, power = k_stars[name]
            n, each = run.lattice.counts[0], run.lattice.shown.each
            share = expit(5 * np.log(each * n / (k_star * (n / 8) ** power)) + logit(RIGHT))
            rows.append((arm, n, each * n, run.seed, draw.binomial(64, share), 64))
    curves = pd.DataFrame(rows, columns=COLUMNS)
    runs, metrics, _ = tables(curves)
    return claim.judge(Data({"leaderboard": benchmark_tables(curves)[1], "runs": runs, "metrics": metrics})).verdict


def test_the_preset_can_support_and_contradict():
    assert on_preset(stripes, unet=(40, 2), unet_stripes=(24, 2)) == "supported"
    assert on_preset(stripes, unet=(40, 2), unet_stripes=(40, 2)) == "contradicted"
    assert on_preset(memorises, unet=(44, 2), rendering=(4, 1)) == "supported"
    assert on_preset(memorises, unet=(40, 1), rendering=(4, 1)) == "contradicted"


@pytest.mark.parametrize(("seeds", "exponent"), [([None], 1.42), (range(5), 0.58)])
def test_a_model_that_fills_in_what_lies_near_has_the_exponents_that_the_page_says(seeds, exponent):
    def drawn(n, k, seed):
        shown = Shown(each=k, seed=seed)
        points = lattice_points(Lattice(image_size=16, margin=2.0, dx=12 / n, dy=12 / n, shown=shown))
        centres = np.column_stack([points.mu_x, points.mu_y])
        apart = cdist(centres[points.heldout], centres[~points.heldout]).min(axis=1)
        return (apart <= 1.5).mean()

    sizes = np.array([8, 16])
    fewest = [next(k for k in range(1, n) if np.mean([drawn(n, k, seed) for seed in seeds]) >= RIGHT) for n in sizes]
    assert np.polyfit(np.log(sizes), np.log(fewest * sizes), 1)[0] == pytest.approx(exponent, abs=0.01)
