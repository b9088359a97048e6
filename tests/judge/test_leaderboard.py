"""The leaderboard: read from what workflows write, in the right order, and fair only where settings agree."""

import math

import numpy as np
import pandas as pd
import pytest

from bumpscope.commands.arms import arms as count_arms
from bumpscope.commands.leaderboard import leaderboard
from bumpscope.config.lattice import Lattice, Shown
from bumpscope.config.loading import validate
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import Arms
from bumpscope.judge import leaderboard as benchmark
from bumpscope.measure.metrics import run_metrics
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import read_table, write_table
from bumpscope.worlds.requests import requested_centres
from made_up_designs import benchmark_tables, made_up, of_tables, tables, together
from made_up_runs import run_row
from synthetic_results import METADATA, metrics_table


def test_shares_are_read_from_metrics_of_designs():
    lattice = Lattice(image_size=16, margin=2.0, dx=1.5, dy=1.5, shown=Shown(each=2))
    requests = requested_centres(lattice, 256)
    random = np.random.default_rng(0)
    hit = {axis: random.random(len(requests)) < share for axis, share in (("x", 0.9), ("y", 0.5))}
    behaviour = requests.assign(
        step=800, weights="raw", bumps=1, amplitude=1.0, width=1.0, error=0.0, outcome="correct"
    )
    for axis, right in hit.items():
        behaviour[axis] = behaviour[f"mu_{axis}"] + np.where(right, 0.0, 1.5)
    metrics = run_metrics("a-seed0", "a", 0, behaviour=behaviour, lattice=lattice)
    design = {"dx": 1.5, "dy": 1.5, "n_images": 16, "shown": "each=2"}
    runs = [run_row("a", 0, **design), run_row("b", 0, **design, stripes=0.4), run_row("c", 0, dx=1.5, dy=1.5)]
    everyone = [metrics.assign(run=f"{name}-seed0", dataset=name) for name in "abc"]
    found = benchmark.of_designs(pd.DataFrame(runs), pd.concat(everyone))
    heldout = (requests["split"] == "heldout").to_numpy()
    assert found["arm"].tolist() == ["unet", "unet + stripes"]
    assert found[["positions", "shown", "requests"]].to_numpy().tolist() == [[8, 16, heldout.sum()]] * 2
    assert found["right"].tolist() == pytest.approx([(hit["x"] & hit["y"])[heldout].sum()] * 2)
    for axis in "xy":
        assert found[f"right_{axis}"].tolist() == pytest.approx([hit[axis][heldout].mean()] * 2)
    seen = (requests["split"] == "seen").to_numpy()
    assert found["seen"].tolist() == pytest.approx([(hit["x"] & hit["y"])[seen].mean()] * 2)


CURVES = pd.concat(
    [made_up(arm, n, k_star * (n / 8) ** power) for n in (8, 12) for arm, k_star, power in
     (("unet", 40, 2), ("unet + stripes", 24, 1.5), ("rendering", 13, 1))]
)  # fmt: skip


def test_the_arm_that_needs_the_fewest_combinations_comes_first():
    cells, table = benchmark_tables(CURVES)
    assert list(table.columns) == TABLES["leaderboard"].names and list(cells.columns) == TABLES["combinations"].names
    for n in (8, 12):
        own = table[table["positions"] == n]
        assert own["arm"].tolist() == ["rendering", "unet + stripes", "unet"]
        assert own["told"].tolist() == ["a bias", "stripes", ""]
    first = table.set_index(["arm", "positions"])
    for arm, k_star, power in (("unet", 40, 2), ("unet + stripes", 24, 1.5), ("rendering", 13, 1)):
        row = first.loc[arm, 8]
        assert row["low"] <= k_star <= row["high"]
        assert row["exponent_low"] <= power <= row["exponent_high"]
        assert row["seeds"] == 5 and row["runs"] == 15 and row["seen_accuracy"] == pytest.approx(0.98)
    assert first.loc["rendering", 8]["ratio_high"] < 0.5 and first.loc["unet", 8]["ratio"] == 1
    assert (table["guardrails"] == "").all()


def test_cells_have_the_share_of_all_seeds_and_what_became_of_the_labels():
    cells, _ = benchmark_tables(CURVES)
    assert len(cells) == 3 * (3 + 4)
    row = cells.set_index(["arm", "positions", "shown"]).loc["unet", 8, 32]
    own = CURVES[(CURVES["arm"] == "unet") & (CURVES["positions"] == 8) & (CURVES["shown"] == 32)]
    assert row["heldout"] == pytest.approx(own["right"].sum() / own["requests"].sum())
    assert row["heldout_low"] < row["heldout"] < row["heldout_high"] <= 1
    assert row["requests"] == 5 * 96 and row["runs"] == 5
    assert row["beyond_product"] == pytest.approx(0) and row["use_x"] == 1
    assert row["onset_x"] == pytest.approx(math.sqrt(200 * 400))


def test_guardrails_are_told_of_each_arm():
    runs, metrics, arms = tables(CURVES, seen=0.9)
    of_stripes = arms["dataset"].str.contains("rendering")
    arms.loc[of_stripes, ["n_parameters", "training_operations"]] = 1200, 60_000
    told = benchmark.leaderboard(benchmark.of_designs(runs, metrics), arms).set_index("arm")["guardrails"]
    unseen = "accuracy 0.90 on shown combinations, less than 0.95"
    sizes = "1.20 times the parameters, more than 10% off; 2.00 times the training operations, more than 10% off"
    assert set(told["unet"]) == {unseen} and set(told["rendering"]) == {f"{unseen}; {sizes}"}
    without = tables(CURVES[CURVES["arm"] != "unet"])
    table = benchmark.leaderboard(benchmark.of_designs(*without[:2]), without[2])
    assert table["ratio"].isna().all() and (table["guardrails"] == "no unet to compare sizes with").all()


def test_runs_that_were_trained_otherwise_are_not_pooled():
    _, table = of_tables(*together(tables(CURVES), tables(CURVES, image_size=32, margin=10.0)))
    alone = benchmark_tables(CURVES)[1]
    for size in (16, 32):
        own = table[table["image_size"] == size].reset_index(drop=True)
        pd.testing.assert_frame_equal(own.drop(columns="image_size"), alone.drop(columns="image_size"))


def test_random_orders_are_pooled_as_seeds_and_kept_apart_from_even_spacing():
    shuffled = pd.concat([made_up(arm, n, 30, draw=1) for n in (8, 12) for arm in ("unet", "rendering")])
    both = of_tables(*together(tables(CURVES), tables(shuffled, order="random")))
    alone = [benchmark_tables(CURVES), benchmark_tables(shuffled, order="random")]
    for table, *separate in zip(both, *alone, strict=True):
        for design, own in zip(("even", "random"), separate, strict=True):
            assert set(own["design"]) == {design}
            found = table[table["design"] == design].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, own)
    # What each seed has of a design of its own is pooled like what all seeds have of one.
    for pooled, one in zip(alone[1], benchmark_tables(shuffled), strict=True):
        pd.testing.assert_frame_equal(pooled.drop(columns="design"), one.drop(columns="design"))
    assert (alone[1][1]["seeds"] == 5).all()


def test_a_random_order_is_told_in_words():
    row = {"positions": 8, "image_size": 16, "training_steps": 800}
    told = [benchmark.in_words(row | {"design": design}) for design in ("even", "random")]
    assert told == ["N = 8, 16 px, 800 steps", "N = 8, 16 px, 800 steps, random order"]


def test_a_bound_is_told_by_the_end_of_its_interval():
    row = {"k_star": 64.0, "low": 33.0, "high": 63.0}
    assert [benchmark.known_k_star(row | {"bound": bound}) for bound in ("", "at least", "at most")] == [64, 33, 63]
    assert benchmark.known_k_star(row | {"low": math.nan, "bound": "at least"}) == 64


def test_arms_of_one_name_are_told_apart_by_what_differs():
    plain = {"denoiser": "unet", "image_size": 16, "network": "a", "n_parameters": 1000, "stripes": 0.0}
    rows = [plain, plain | {"network": "b", "n_parameters": 4000}, plain | {"denoiser": "relative"}]
    rows += [plain | {"denoiser": "relative", "stripes": share} for share in (0.2, 0.4)]
    assert benchmark.arms(pd.DataFrame(rows)).tolist() == [
        "unet (1000 parameters)", "unet (4000 parameters)",
        "relative", "relative + stripes (0.2)", "relative + stripes (0.4)",
    ]  # fmt: skip


def test_without_designs_both_tables_are_there_and_empty(tmp_path):
    runs = pd.DataFrame([run_row("plain", 0)]).reindex(columns=TABLES["runs"].names)
    write_table("runs", tmp_path / "runs.parquet", runs, METADATA)
    write_table("metrics", tmp_path / "metrics.parquet", metrics_table([]), METADATA)
    config = validate({"seeds": [0], "datasets": {"plain": {}}})
    settings = canonical_json(Arms.of_runs(config.runs()).plain)
    count_arms(settings, tmp_path / "arms.parquet")
    leaderboard(tmp_path, tmp_path / "leaderboard.parquet", tmp_path / "combinations.parquet")
    for name in ("arms", "leaderboard", "combinations"):
        table = read_table(name, tmp_path / f"{name}.parquet")
        assert table.empty and list(table.columns) == TABLES[name].names


def test_denoisers_are_counted_once_for_all_designs(tmp_path):
    small = {"image_size": 8, "margin": 2.0, "model": {"channel_multipliers": [1, 1, 1], "embedding_width": 8}}
    datasets = {
        f"{kind}-{k}": small | {"shown": {"each": k}, "denoiser": {"kind": kind} | keys}
        for k in (1, 2)
        for kind, keys in (("unet", {}), ("dropout", {"composed": True}), ("coind", {}))
    }
    attention = {"model": {"attention_resolutions": [1]}}
    settings = Arms.of_runs(validate({"seeds": [0, 1], "datasets": datasets} | attention).runs())
    assert [arm.datasets for arm in settings.arms] == [
        [f"{kind}-1", f"{kind}-2"] for kind in ("unet", "dropout", "coind")
    ]
    count_arms(canonical_json(settings.plain), tmp_path / "arms.parquet")
    table = read_table("arms", tmp_path / "arms.parquet").set_index("dataset")
    plain, composed, coind = (table.loc[f"{kind}-2"] for kind in ("unet", "dropout", "coind"))
    assert plain["told"] == "labels come in two parts" and composed["told"] == "independence"
    assert composed["operations"] == pytest.approx(3 * plain["operations"], rel=0.4)
    assert coind["training_operations"] == pytest.approx(2 * plain["training_operations"], rel=0.1)
    assert table["n_parameters"].nunique() == 1
